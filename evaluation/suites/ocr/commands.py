"""`llava-graph eval ocr`: word recall, word precision and box IoU on a folder with ground truth.

The folder holds images and `truth.jsonl`, a row for each image: {"file", "texts": [{"text", "box": [x0, y0, x1, y1]}]}
in pixels of the upright image, as `llava-graph data` writes it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evaluation.errors import EvaluationError, InputError
from evaluation.rows import read_rows, write_json
from llava_graph.ocr import Line

if TYPE_CHECKING:
    from evaluation.answers.contexts import Reading

TRUTH_FILE = "truth.jsonl"


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--service", help="Address of our service, which reads the figures.")
@click.option("--readings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Readings made before.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first figures.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the scores as JSON.")
def ocr(
    folder: Path, service: str | None, readings: Path | None, limit: int | None, concurrency: int, out: Path | None
) -> None:
    """Measure how well the text of the figures in FOLDER is read, against its truth.jsonl."""
    from evaluation.answers.contexts import read_readings
    from evaluation.suites.ocr.score import count, scored, table

    if (service is None) == (readings is None):
        raise click.UsageError("name either --service or --readings")
    try:
        truth = read_truth(folder, limit)
        found: dict[str, Reading] = (
            read_readings(readings) if readings else asyncio.run(_read(folder, list(truth), service or "", concurrency))
        )
        if unread := [name for name in truth if name not in found]:
            raise InputError(f"{len(unread)} figures have no reading (the first: {unread[0]})")
        score = scored(count(lines, found[name].lines) for name, lines in truth.items())
        revisions = sorted({found[name].reader or "not known" for name in truth})
        if out is not None:
            write_json(out, {**score.to_json(), "readers": revisions})
    except EvaluationError as error:
        raise click.ClickException(str(error)) from error
    click.echo(table(score))
    click.echo(f"Read by: {', '.join(revisions)}")


def read_truth(folder: Path, limit: int | None = None) -> dict[str, list[Line]]:
    """True lines by file name. Raises InputError for rows of another shape and for images that are not there."""
    truth: dict[str, list[Line]] = {}
    for row in read_rows(folder / TRUTH_FILE)[:limit]:
        name = row.get("file")
        if not isinstance(name, str) or Path(name).name != name:
            raise InputError(f"{folder / TRUTH_FILE}: a row has no usable file: {name!r}")
        if not (folder / name).is_file():
            raise InputError(f"there is no image {name!r} in {folder}")
        try:
            truth[name] = [Line.from_json({"confidence": 1.0, **text}) for text in row["texts"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder / TRUTH_FILE}: the texts of {name} have another shape: {error}") from error
    return truth


async def _read(folder: Path, names: list[str], service: str, concurrency: int) -> dict[str, Reading]:
    from evaluation.gateway import gateway_client, read_figure
    from evaluation.pacing import Pacer, Pacing, each
    from evaluation.progress import progress_bar
    from llava_graph.figure import FigureError, open_figure

    found: dict[str, Reading] = {}
    pacer = Pacer(Pacing(concurrency=concurrency))
    async with gateway_client(service) as gateway:
        with progress_bar("figures read") as advance:
            advance(0, len(names))

            async def read_one(name: str) -> None:
                try:
                    figure = await asyncio.to_thread(lambda: open_figure((folder / name).read_bytes()))
                except (FigureError, OSError) as error:
                    raise InputError(f"{name}: {error}") from error
                found[name] = await read_figure(gateway, figure.png(), name, pacer)
                advance(len(found), len(names))

            await each(names, read_one, concurrency)
    return found
