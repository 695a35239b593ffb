"""`llava-graph eval metrics`: scores of a file of answers, and of two files against each other."""

from __future__ import annotations

from pathlib import Path

import click

from evaluation import fingerprint
from evaluation.errors import EvaluationError, MismatchError
from evaluation.metrics.protocols import PROTOCOLS, ProtocolName
from evaluation.rows import read_rows, write_json

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--answers", type=FILE, required=True, help="JSONL with question_id and text.")
@click.option("--references", type=FILE, required=True, help="JSONL with question_id and text.")
@click.option("--against", type=FILE, help="Answers of another run to the same questions: paired differences.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="original", show_default=True, help="See the docs.")
@click.option("--spice", is_flag=True, help="SPICE too: needs Java and pycocoevalcap.")
@click.option("--differing", multiple=True, help="A field of the fingerprint in which compared runs may differ.")
@click.option("--without-fingerprint", is_flag=True, help="Compare runs that have no fingerprint.")
@click.option("--json", "out", type=OUT, help="Write the scores as JSON.")
def metrics(
    answers: Path,
    references: Path,
    against: Path | None,
    protocol: ProtocolName,
    spice: bool,
    differing: tuple[str, ...],
    without_fingerprint: bool,
    out: Path | None,
) -> None:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr of answers against references, with 95 % intervals.

    The protocol `original` is that of SciGraphQA's published numbers: first turn, one reference, raw strings. Numbers
    of the protocol `tokenised` are not comparable with it. With --against, differences are those of ANSWERS less
    those of AGAINST.
    """
    from evaluation.metrics.score import compare_runs, comparison_table, score_run, table

    try:
        answered, true = read_rows(answers), read_rows(references)
        scored = score_run(answered, true, protocol, with_spice=spice)
        document = scored.to_json()
        run = fingerprint.load(answers)
        document["run"] = run.to_json() if run else None
        click.echo(table(scored))
        if against is not None:
            other = fingerprint.load(against)
            allowed = fingerprint.compared(other, run, differing, require=not without_fingerprint)
            found = compare_runs(read_rows(against), answered, true, protocol, with_spice=spice)
            document["against"] = {
                "run": other.to_json() if other else None,
                "differing": None if allowed is None else [str(item) for item in allowed],
                "differences": {name: paired.to_json() for name, paired in found.items()},
            }
            click.echo(comparison_table(found, allowed, str(against), str(answers)))
        if out is not None:
            write_json(out, document)
    except MismatchError as error:
        raise click.ClickException(f"{error}. No score was computed.") from error
    except EvaluationError as error:
        raise click.ClickException(str(error)) from error
