"""`llava-graph eval scienceqa convert|answer|score`."""

from __future__ import annotations

from pathlib import Path

import click

from evaluation.answers.commands import answer
from evaluation.errors import EvaluationError, InputError
from evaluation.rows import read_json, read_rows, write_json, write_rows

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT = click.Path(dir_okay=False, path_type=Path)


@click.group()
def scienceqa() -> None:
    """ScienceQA: convert its problems, answer them, score the answers.

    `answer` is `eval answer`: ask with --context none, through --endpoint for questions without an image.
    """


@scienceqa.command()
@click.argument("problems", type=FILE)
@click.option("--split", default="test", show_default=True)
@click.option("--splits", type=FILE, help="pid_splits.json: the ids of each split, in the published order.")
@click.option("--out", type=OUT, required=True, help="JSONL of questions with the right letters.")
def convert(problems: Path, split: str, splits: Path | None, out: Path) -> None:
    """Turn problems.json into questions."""
    from evaluation.suites.scienceqa.convert import questions_of

    try:
        ids = None
        if splits is not None:
            known = read_json(splits)
            if not isinstance(known, dict) or not isinstance(known.get(split), list):
                raise InputError(f"{splits} holds no split {split!r}")
            ids = [str(key) for key in known[split]]
        rows = questions_of(problems, split, ids)
        write_rows(out, rows)
    except EvaluationError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{len(rows)} questions in {out}, {sum('image' in row for row in rows)} with an image")


scienceqa.add_command(answer)


@scienceqa.command()
@click.option("--questions", type=FILE, required=True, help="What `convert` wrote.")
@click.option("--answers", type=FILE, required=True)
@click.option("--original-guess", type=int, help="Seed of the original's random guess where no letter was given.")
@click.option("--json", "out", type=OUT, help="Write the score as JSON.")
def score(questions: Path, answers: Path, original_guess: int | None, out: Path | None) -> None:
    """Accuracy: exactly one `The answer is X.` with the right letter; all else is wrong, and counted."""
    from evaluation.suites.scienceqa.score import judge, scored, table

    try:
        found = scored(
            judge(read_rows(questions), read_rows(answers), original_guess), guessed=original_guess is not None
        )
        if out is not None:
            write_json(out, found.to_json())
    except EvaluationError as error:
        raise click.ClickException(str(error)) from error
    click.echo(table(found))
