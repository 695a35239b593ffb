"""`llava-graph eval`: measures a model through a running gateway, or through one that is started for the purpose.

    llava-graph eval synthetic --model model_repo/llava-graph-tiny --count 300 --out runs/eval

Puts together what `evaluation.synthetic` asks, `llava_graph.local` runs and `evaluation.report` writes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import httpx2
from rich.console import Console

from evaluation import report
from evaluation.synthetic import COLUMNS, SUMMARY_FILE, TABLE_FILE, AnswerFile, EvaluationError, Plan, run, summarise
from llava_graph.local.engine.command import EngineChoice
from llava_graph.local.errors import SetupError
from llava_graph.local.running import gateway_client
from llava_graph.local.stack import PARTS, running_stack
from llava_graph.local.supervisor import ServiceError
from llava_graph.local.terminal import PartsView, progress_bar, show_log_tail
from llava_graph.manifest import ManifestError, load_manifest


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure a model."""


@main.command()
@click.option(
    "--model",
    "model_dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="LLAVA_GRAPH_MODEL_DIR",
    default=Path("model_repo/llava-graph-tiny"),
    show_default=True,
    help="Folder of the model that is measured.",
)
@click.option("--url", help="A gateway that serves this model. Without it, everything is started on this machine.")
@click.option("--count", type=click.IntRange(min=1), default=300, show_default=True, help="How many figures.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=1_000_000,
    show_default=True,
    help="The first figure's; others follow.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    default=2,
    show_default=True,
    help="Figures asked about at once; engines on a CPU are fastest with few.",
)
@click.option(
    "--start-timeout",
    "start_deadline_s",
    type=click.FloatRange(min=1),
    default=180.0,
    show_default=True,
    help="Seconds that everything may take to become ready, without --url.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for answers and tables; a run that was stopped there goes on.",
)
def synthetic(
    model_dir: Path, url: str | None, count: int, seed: int, concurrency: int, start_deadline_s: float, folder: Path
) -> None:
    """Explain held-out synthetic figures and score the facts in the answers.

    Each figure is explained from its image alone, with its caption, and with caption and OCR text. Writes answers.jsonl
    (an answer a line, with its scores), table.md and summary.json to the folder. A gateway that wants a key is sent the
    one in LLAVA_GRAPH_KEY.
    """
    console = Console(highlight=False)
    try:
        settings = {**_identity(model_dir), "figures": "synthetic heldout", "first_seed": seed, "count": count}
        answers = AnswerFile(folder, settings)
        asyncio.run(_work(console, model_dir, url, start_deadline_s, folder, Plan(seed, count, concurrency), answers))
        columns = summarise(answers)
        table = report.markdown(columns)
        (folder / TABLE_FILE).write_text(table, encoding="utf-8")
        summary = {"settings": settings, "columns": report.as_json(columns)}
        (folder / SUMMARY_FILE).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except ServiceError as error:
        show_log_tail(console, error.service)
        raise click.ClickException(str(error)) from error
    except (EvaluationError, SetupError, ManifestError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(table)


async def _work(
    console: Console,
    model_dir: Path,
    url: str | None,
    start_deadline_s: float,
    folder: Path,
    plan: Plan,
    answers: AnswerFile,
) -> None:
    total, done = plan.count * len(COLUMNS), len(answers.done())
    if done == total:
        return
    async with _gateway(console, model_dir, url, start_deadline_s, folder) as gateway:
        with progress_bar(console) as progress:
            task = progress.add_task("explaining figures", total=total, completed=done)
            await run(gateway, plan, answers, told=lambda: progress.advance(task))


@asynccontextmanager
async def _gateway(
    console: Console, model_dir: Path, url: str | None, start_deadline_s: float, folder: Path
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the gateway at `url`, or of one that runs as long as the context lasts."""
    if url is not None:
        async with gateway_client(url) as gateway:
            yield gateway
        return
    with PartsView(console, PARTS) as view:
        async with (
            running_stack(
                model_dir, EngineChoice(), "127.0.0.1", 0, folder / "logs", start_deadline_s, view.tell
            ) as stack,
            gateway_client(stack.url) as gateway,
        ):
            yield gateway


def _identity(model_dir: Path) -> dict[str, object]:
    """What was measured, to the byte: a revision can be forgotten when weights are exchanged."""
    manifest = load_manifest(model_dir)
    digest = hashlib.sha256()
    for path in sorted(model_dir.glob("*.safetensors")):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return {"model": manifest.name, "revision": manifest.revision, "weights_sha256": digest.hexdigest()}
