"""`llava-graph explain`: a client in the terminal for a gateway that runs somewhere.

One figure after the other as it streams, or with `--out` as many as one likes at once, one JSON line each in a file.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import click
from rich.console import Console

from launcher.bulk import AnswerFile, Asking, Item, collected, explain_all, find_figures, over, read_captions
from launcher.chart_view import chart_of
from launcher.running import INTERRUPTED, CommandFailedError, gateway_client, run_command
from launcher.terminal import ExplanationView, progress_bar
from llava_graph.chart_csv import chart_csv
from llava_graph.client import Event, ExplainError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("images", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--caption", "captions", multiple=True, help="One for all images, or one for each in turn.")
@click.option("--captions", "captions_file", type=_FILE, help="JSON lines with image, caption and perhaps question.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="JSON lines of answers; goes on there.")
@click.option("--concurrency", type=click.IntRange(1, 256), default=8, show_default=True, help="With --out: at once.")
@click.option("--question", help="What to ask instead of an explanation.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The gateway.")
@click.option("--model", "model_name", help="Which of the gateway's models answers; default: its first.")
@click.option("--no-ocr", is_flag=True, help="Do without the text in the figure.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer; default: the model's.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="0 is greedy; default: the model's.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="Draw from the likeliest.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Draw the same again; default: another each time.")
@click.option(
    "--data",
    "data_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV file for the data read from the figure, of one image.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each image, instead of a stream.")
def explain(
    images: tuple[Path, ...],
    captions: tuple[str, ...],
    captions_file: Path | None,
    out: Path | None,
    concurrency: int,
    question: str | None,
    url: str,
    model_name: str | None,
    no_ocr: bool,
    max_tokens: int | None,
    temperature: float | None,
    top_p: float | None,
    seed: int | None,
    data_file: Path | None,
    as_json: bool,
) -> None:
    """Explain figures in the terminal, token by token; or many of them into a file.

    IMAGES are files, and with --captions or --out also folders. Exits with 1 when a figure was not explained.
    """
    console = Console(highlight=False, stderr=out is not None)

    async def work() -> None:
        items = _items(images, captions, captions_file, question)
        if data_file is not None and (len(items) != 1 or out is not None):
            raise click.UsageError("--data wants one image, and no --out: the answers in that file hold the data")
        async with gateway_client(url) as gateway:
            asking = over(
                gateway,
                model=model_name,
                ocr=not no_ocr,
                max_tokens=max_tokens,
                temperature=temperature,
                top_p=top_p,
                seed=seed,
            )
            if out is not None:
                await _into_file(console, items, AnswerFile(out), asking, concurrency)
            else:
                await _one_by_one(console, items, asking, as_json=as_json, data_file=data_file)

    run_command(console, work(), status_when_stopped=INTERRUPTED)


def _items(
    images: Sequence[Path], captions: Sequence[str], captions_file: Path | None, question: str | None
) -> list[Item]:
    """What to ask about. Raises click.UsageError when captions and images do not go together, or BulkError."""
    if bool(captions) == (captions_file is not None):
        raise click.UsageError("give the captions by --caption, or by --captions from a file")
    if captions_file is not None:
        found = find_figures(images, read_captions(captions_file))
    elif len(captions) == 1:
        found = [Item(item.image, captions[0]) for item in find_figures(images, [])]
    elif len(captions) == len(images):
        found = [Item(image, caption) for image, caption in zip(images, captions, strict=True)]
    else:
        raise click.UsageError(f"{len(images)} images need one --caption, or {len(images)}; there are {len(captions)}")
    if not found:
        raise click.UsageError("there are no images")
    return [Item(item.image, item.caption, item.question or question) for item in found]


async def _one_by_one(
    console: Console, items: Sequence[Item], asking: Asking, *, as_json: bool, data_file: Path | None
) -> None:
    """Raises CommandFailedError at the end when a figure was not explained."""
    failed = False
    for item in items:
        events = asking(item, await asyncio.to_thread(item.image.read_bytes))
        if as_json:
            try:
                parts = await collected(events)
            except ExplainError as error:
                parts = {"error": error.to_json()}
                failed = True
            click.echo(json.dumps({"image": str(item.image), **parts}, ensure_ascii=False))
        else:
            seen = await shown(console, item.image, item.caption, events)
            failed |= seen is None
            parts = {event.name: event.data for event in seen or []}
        if data_file is not None and "chart" in parts:
            text = chart_csv(chart_of(parts["chart"]))
            await asyncio.to_thread(data_file.write_text, text, encoding="utf-8", newline="")
    if failed:
        raise CommandFailedError


async def _into_file(
    console: Console, items: Sequence[Item], answers: AnswerFile, asking: Asking, concurrency: int
) -> None:
    """Raises CommandFailedError at the end, with a line for each figure that was not explained."""
    missing = answers.missing(items)
    failures: list[str] = []
    with progress_bar(console) as progress:
        task = progress.add_task("explaining figures", total=len(items), completed=len(items) - len(missing))

        def ended(item: Item, error: ExplainError | None) -> None:
            progress.advance(task)
            if error is not None:
                failures.append(f"{item.image}: {error}")

        await explain_all(missing, answers, asking, concurrency=concurrency, ended=ended)
    if failures:
        raise CommandFailedError("\n".join([f"{len(failures)} of {len(items)} figures", *failures]))


async def shown(console: Console, image: Path, caption: str, events: AsyncGenerator[Event, None]) -> list[Event] | None:
    """Shows an explanation as it streams and returns its events; shows the error and returns None when it fails."""
    view = ExplanationView(console, image, caption)
    seen: list[Event] = []
    try:
        async with aclosing(events):
            async for event in events:
                view.show(event)
                seen.append(event)
    except ExplainError as error:
        view.show_error(error)
        return None
    return seen
