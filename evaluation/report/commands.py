"""`llava-graph eval report`: any number of runs on one page."""

from __future__ import annotations

from pathlib import Path

import click

from evaluation.errors import EvaluationError
from evaluation.metrics.protocols import PROTOCOLS, ProtocolName
from evaluation.rows import read_rows

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUT = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("runs", type=FOLDER, nargs=-1, required=True)
@click.option("--references", type=FILE, help="JSONL with question_id and text: scores, differences, figure types.")
@click.option("--images", type=FOLDER, help="Folder of the images, for the examples.")
@click.option("--readings", type=FILE, help="Readings of the figures: all answers are checked against these.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="original", show_default=True)
@click.option("--examples", "count", type=click.IntRange(0, 100), default=6, show_default=True)
@click.option("--example", "wanted", multiple=True, help="Id of a question to show, instead of evenly spread ones.")
@click.option("--title", default="Evaluation", show_default=True)
@click.option("--out", type=OUT, required=True, help="The HTML page.")
@click.option("--markdown", "markdown_out", type=OUT, help="The same in Markdown, without plots and figures.")
def report(
    runs: tuple[Path, ...],
    references: Path | None,
    images: Path | None,
    readings: Path | None,
    protocol: ProtocolName,
    count: int,
    wanted: tuple[str, ...],
    title: str,
    out: Path,
    markdown_out: Path | None,
) -> None:
    """Put RUNS, folders that the other commands wrote, on one self-contained page.

    The first run is the one that others are compared with. The page makes no request to anywhere.
    """
    from evaluation.answers.contexts import read_readings
    from evaluation.report.examples import examples_of
    from evaluation.report.parts import Report
    from evaluation.report.render import html, markdown
    from evaluation.report.runs import checked, read_runs
    from evaluation.report.sections import sections_of

    try:
        found = read_runs(runs)
        if readings is not None:
            read = read_readings(readings)
            found = [checked(run, read) for run in found]
        true = read_rows(references) if references else None
        made = Report(title, sections_of(found, true, protocol), examples_of(found, images, true, count, wanted))
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(html(made), encoding="utf-8")
        if markdown_out is not None:
            markdown_out.parent.mkdir(parents=True, exist_ok=True)
            markdown_out.write_text(markdown(made), encoding="utf-8")
    except (EvaluationError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {len(found)} runs, {len(made.examples)} examples")
