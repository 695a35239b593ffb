"""`llava-graph eval facts` and `eval card`: answers about figures of known truth, scored, as tables.

    llava-graph eval facts --model model_repo/llava-graph-tiny --count 300 --out runs/eval
    llava-graph eval card --model model_repo/llava-graph-small --out runs/card --set runs/other

`facts` measures and says whether the model's card holds the same; `card` makes the tables of the card. What both do
stands in measuring.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from evaluation.suites.charts.truth import TruthError
from evaluation.suites.facts import card as cards
from evaluation.suites.facts import report
from evaluation.suites.facts.measuring import LOGS, figures_of, identity, is_complete, measure, measured, served
from evaluation.suites.facts.run import (
    COLUMNS,
    SUMMARY_FILE,
    TABLE_FILE,
    FactsError,
    Plan,
    ScoredAnswerFile,
)
from evaluation.suites.facts.truth import DrawnByOthers, Generated
from launcher.errors import SetupError
from launcher.supervisor import ServiceError
from launcher.terminal import show_log_tail
from llava_graph.manifest import DEFAULT_MODEL_DIR, ManifestError, load_manifest

COMPARISON_FILE = "comparison.md"
CARD_FILE = "card.md"

_FIRST_SEED = 1_000_000

_WITHOUT_CAPTIONS = tuple(name for name in COLUMNS if name != "caption only")
"""Figures of other tools have no captions, so this column would be `no context` once more."""


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """The options of both commands, and their errors as messages."""

    @wraps(command)
    def guarded(**options: Any) -> None:
        console = Console(highlight=False)
        try:
            command(console=console, **options)
        except ServiceError as error:
            show_log_tail(console, error.service)
            raise click.ClickException(str(error)) from error
        except (FactsError, TruthError, SetupError, ManifestError, OSError) as error:
            raise click.ClickException(str(error)) from error

    options = (
        click.option(
            "--model",
            "model_dir",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            envvar="LLAVA_GRAPH_MODEL_DIR",
            default=DEFAULT_MODEL_DIR,
            show_default=True,
            help="Folder of the model that is measured.",
        ),
        click.option("--url", help="A gateway that serves this model. Without it, everything is started here."),
        click.option(
            "--follow-ups",
            "follow_ups_count",
            type=click.IntRange(0, 20),
            default=4,
            show_default=True,
            help="Further questions about each figure, in one conversation.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            default=_FIRST_SEED,
            show_default=True,
            help="The first generated figure's; others follow.",
        ),
        click.option(
            "--concurrency",
            type=click.IntRange(1, 256),
            default=2,
            show_default=True,
            help="Figures asked about at once; engines on a CPU are fastest with few.",
        ),
        click.option(
            "--start-timeout",
            "start_deadline_s",
            type=click.FloatRange(min=1),
            default=180.0,
            show_default=True,
            help="Seconds that everything may take to become ready, without --url.",
        ),
        click.option(
            "--out",
            "folder",
            type=click.Path(file_okay=False, path_type=Path),
            required=True,
            help="Folder for answers and tables; a run that was stopped there goes on.",
        ),
    )
    for option in reversed(options):
        guarded = option(guarded)
    return guarded


_SET = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=300, show_default=True, help="How many figures.")
@click.option(
    "--set",
    "set_dir",
    type=_SET,
    help="A folder of `python -m evaluation.suites.charts.draw`: figures of other tools in place of the generator's.",
)
@click.option(
    "--column",
    "columns",
    type=click.Choice(list(COLUMNS)),
    multiple=True,
    help="Only this context; may be given several times.  [default: every one]",
)
@_shared
def facts(
    console: Console,
    model_dir: Path,
    url: str | None,
    count: int,
    set_dir: Path | None,
    follow_ups_count: int,
    columns: tuple[str, ...],
    seed: int,
    concurrency: int,
    start_deadline_s: float,
    folder: Path,
) -> None:
    """Explain held-out figures and score the facts in the answers.

    Each figure is explained from its image alone, with its caption, with OCR text or chart data beside it, and with
    all of them; then further questions are asked about it. Writes answers.jsonl (an answer a line, with its scores),
    table.md and summary.json to the folder, and says which scores agree with those of the model's card. A gateway that
    wants a key is sent the one in LLAVA_GRAPH_KEY.
    """
    card = cards.load(model_dir)  # before the work: a file that cannot be read is said at once
    run = _Run.of(model_dir, folder, set_dir, seed, count, concurrency, follow_ups_count, columns or tuple(COLUMNS))
    asyncio.run(_work(console, model_dir, url, None, start_deadline_s, folder, [run]))
    found = measured(run.settings, run.plan, run.answers)
    table = report.markdown(found.columns) + (report.follow_ups_markdown(found.follow_ups) if found.follow_ups else "")
    (folder / TABLE_FILE).write_text(table, encoding="utf-8")
    summary = json.dumps(found.to_json(), indent=2, ensure_ascii=False)
    (folder / SUMMARY_FILE).write_text(summary + "\n", encoding="utf-8")
    compared = cards.comparison(found, card, model_dir)
    (folder / COMPARISON_FILE).write_text(compared, encoding="utf-8")
    click.echo(f"{table}\n{compared}")


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True, help="How many generated figures.")
@click.option(
    "--set",
    "set_dirs",
    type=_SET,
    multiple=True,
    help="A folder of `python -m evaluation.suites.charts.draw`, measured besides; may be given several times.",
)
@click.option(
    "--set-count", type=click.IntRange(min=1), default=60, show_default=True, help="How many figures of each set."
)
@click.option(
    "--blank/--no-blank",
    default=True,
    show_default=True,
    help="Whether the prompts of `all` are asked once more with a white image.",
)
@click.option("--engine-url", help="With --url: the engine behind the gateway, which --blank asks.")
@click.option("--keep", is_flag=True, help=f"Also put {cards.MEASURED_FILE} into the model's folder, for `eval facts`.")
@_shared
def card(
    console: Console,
    model_dir: Path,
    url: str | None,
    count: int,
    set_dirs: tuple[Path, ...],
    set_count: int,
    blank: bool,
    engine_url: str | None,
    keep: bool,
    follow_ups_count: int,
    seed: int,
    concurrency: int,
    start_deadline_s: float,
    folder: Path,
) -> None:
    """Measure what a model's card holds: card.md to paste, measured/card.json for `eval facts` to compare with.

    Generated figures under every context, with follow-up questions and with a blank image; the same for each --set,
    whose figures have no captions. A stopped run goes on; so does one with more --set.
    """
    common = (concurrency, follow_ups_count)
    runs = [_Run.of(model_dir, folder / "generated", None, seed, count, *common, tuple(COLUMNS), blank)]
    for set_dir in set_dirs:
        place = folder / f"set-{set_dir.resolve().name}"
        runs.append(_Run.of(model_dir, place, set_dir, seed, set_count, *common, _WITHOUT_CAPTIONS, blank))
    asyncio.run(_work(console, model_dir, url, engine_url, start_deadline_s, folder, runs))
    found = [measured(run.settings, run.plan, run.answers) for run in runs]
    text = cards.markdown(found, _machine(), [_command(model_dir, run, follow_ups_count) for run in runs])
    (folder / CARD_FILE).write_text(text, encoding="utf-8")
    for place in (folder, model_dir) if keep else (folder,):
        cards.write(place / cards.MEASURED_FILE, _machine(), found)
    click.echo(text)


@dataclass(frozen=True, slots=True)
class _Run:
    """One set of figures: what is asked, and the file of its answers."""

    settings: dict[str, object]
    plan: Plan
    answers: ScoredAnswerFile
    set_dir: Path | None

    @classmethod
    def of(
        cls,
        model_dir: Path,
        folder: Path,
        set_dir: Path | None,
        seed: int,
        count: int,
        concurrency: int,
        follow_ups: int,
        columns: Sequence[str],
        blank: bool = False,
    ) -> _Run:
        settings: dict[str, object] = {**identity(model_dir), **figures_of(set_dir, seed), "count": count}
        figures = DrawnByOthers(set_dir, count) if set_dir else Generated(seed, count)
        plan = Plan(figures, columns, concurrency, follow_ups, with_blank=blank)
        return cls(settings, plan, ScoredAnswerFile(folder, settings), set_dir)


async def _work(
    console: Console,
    model_dir: Path,
    url: str | None,
    engine_url: str | None,
    start_deadline_s: float,
    folder: Path,
    runs: Sequence[_Run],
) -> None:
    missing = [run for run in runs if not is_complete(run.plan, run.answers)]
    if not missing:
        return
    manifest = load_manifest(model_dir)
    async with served(console, model_dir, url, engine_url, start_deadline_s, folder / LOGS) as where:
        for run in missing:
            what = f"explaining figures ({run.settings['figures']})"
            await measure(console, where, manifest, run.plan, run.answers, what)


def _command(model_dir: Path, run: _Run, follow_ups: int) -> str:
    """The command that measures one set again."""
    words = ["llava-graph", "eval", "facts", "--model", str(model_dir), "--count", str(run.settings["count"])]
    if run.settings.get("first_seed", _FIRST_SEED) != _FIRST_SEED:
        words += ["--seed", str(run.settings["first_seed"])]
    if run.set_dir is not None:
        words += ["--set", run.set_dir.name]
        words += [word for name in run.plan.columns for word in ("--column", name)]
    return shlex.join([*words, "--follow-ups", str(follow_ups), "--out", "runs/eval"])


def _machine() -> str:
    """Cores and processor of this machine."""
    cores = f"{len(os.sched_getaffinity(0))} cores"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return cores
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{cores} of {names[0]}" if names else cores
