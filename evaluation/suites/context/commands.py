"""`llava-graph eval context`: the same model and figures under each context, with paired differences."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evaluation.answers.commands import FILE, FOLDER, PATH, Asking, answered, asking_options, read
from evaluation.answers.contexts import CONTEXTS, ContextName
from evaluation.answers.questions import FORMATS, QuestionFormat, Questions
from evaluation.errors import EvaluationError
from evaluation.metrics.protocols import PROTOCOLS, ProtocolName
from evaluation.rows import read_rows, write_json

if TYPE_CHECKING:
    from evaluation.suites.context.compare import ContextRun

ANSWERS_FILE = "answers.jsonl"
RESULT_FILE = "context.json"
TABLE_FILE = "context.md"


@click.command()
@click.option("--questions", "path", type=PATH, required=True, help="JSONL of questions, or a data set's file.")
@click.option("--format", "name", type=click.Choice(FORMATS), default="auto", show_default=True)
@click.option("--images", type=FOLDER, required=True, help="Folder of the images.")
@click.option("--references", type=FILE, help="JSONL with question_id and text, if the questions hold none.")
@click.option("--contexts", "names", type=click.Choice(CONTEXTS), multiple=True, help="By default all five.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="original", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first questions.")
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), required=True)
@asking_options
def context(
    path: Path,
    name: QuestionFormat,
    images: Path,
    references: Path | None,
    names: tuple[ContextName, ...],
    protocol: ProtocolName,
    limit: int | None,
    folder: Path,
    **asked: object,
) -> None:
    """Measure what each context is worth: the image alone, caption, text, chart data, and all of them.

    Writes OUT/<context>/answers.jsonl with its fingerprint, context.json and context.md. A stopped run goes on.
    """
    from evaluation.suites.context.compare import compare_contexts, table

    asking = Asking(**asked)  # type: ignore[arg-type]
    chosen = names or CONTEXTS
    try:
        questions = read(path, name, limit)
        true = read_rows(references) if references else questions.references()
        for one in chosen:
            asking.check(questions, one)  # all of them, before the first request
        runs = asyncio.run(_runs(asking, questions, images, chosen, folder))
        comparison = compare_contexts(runs, true, protocol)
        write_json(folder / RESULT_FILE, comparison.to_json())
        text = table(comparison)
        (folder / TABLE_FILE).write_text(text, encoding="utf-8")
    except EvaluationError as error:
        raise click.ClickException(str(error)) from error
    click.echo(text)


async def _runs(
    asking: Asking, questions: Questions, images: Path, chosen: tuple[ContextName, ...], folder: Path
) -> dict[str, ContextRun]:
    from evaluation.suites.context.compare import ContextRun

    runs: dict[str, ContextRun] = {}
    for name in chosen:
        out = folder / name / ANSWERS_FILE
        fingerprint = await answered(asking, questions, images, name, out, label=f"context {name}")
        runs[name] = ContextRun(read_rows(out), fingerprint)
    return runs
