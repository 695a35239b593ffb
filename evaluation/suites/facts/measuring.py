"""One run of the facts suite against a gateway that runs or is started: what `eval facts` and `eval card` share.

Puts together what `run.py` asks and what `launcher` runs. Which figures, and what is written of the result, is for the
commands to say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from rich.console import Console

from evaluation.endpoint import chat_endpoint
from evaluation.pacing import Pacer, Pacing
from evaluation.suites.charts.truth import TRUTH_FILE
from evaluation.suites.facts.blank import BlankImages
from evaluation.suites.facts.card import Measured
from evaluation.suites.facts.run import FactsError, Plan, ScoredAnswerFile, follow_ups, run, summarise
from evaluation.suites.facts.score import METRICS
from launcher.building import build_missing
from launcher.engine.command import EngineChoice
from launcher.run_folder import STATE_FILE
from launcher.running import gateway_client
from launcher.stack import PARTS, running_stack
from launcher.terminal import PartsView, progress_bar
from llava_graph.manifest import ModelManifest, load_manifest

LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that serves the model. `engine_url` is that of the engine behind it, None where it is not known."""

    gateway: httpx2.AsyncClient
    engine_url: str | None


@asynccontextmanager
async def served(
    console: Console, model_dir: Path, url: str | None, engine_url: str | None, start_deadline_s: float, logs: Path
) -> AsyncIterator[Served]:
    """The gateway at `url`, or everything, started on this machine and running as long as the context lasts.

    Raises ManifestError, SetupError, ServiceError or OSError.
    """
    if url is not None:
        async with gateway_client(url) as gateway:
            yield Served(gateway, engine_url)
        return
    with PartsView(console, PARTS) as view:
        await build_missing(model_dir, None, view.say)
        async with (
            running_stack(model_dir, EngineChoice(), "127.0.0.1", 0, logs, start_deadline_s, view.tell) as stack,
            gateway_client(stack.url) as gateway,
        ):
            yield Served(gateway, json.loads((logs / STATE_FILE).read_text(encoding="utf-8"))["engine_url"])


def is_complete(plan: Plan, answers: ScoredAnswerFile) -> bool:
    return not _wanted(plan) - answers.done()


async def measure(
    console: Console, where: Served, manifest: ModelManifest, plan: Plan, answers: ScoredAnswerFile, what: str
) -> None:
    """Asks what is not answered yet. Raises FactsError."""
    wanted = _wanted(plan)
    with progress_bar(console) as progress:
        task = progress.add_task(what, total=len(wanted), completed=len(wanted & answers.done()))

        def told() -> None:
            progress.advance(task)

        if not plan.with_blank:
            await run(where.gateway, plan, answers, told)
            return
        if where.engine_url is None:
            raise FactsError("the blank image is asked of the engine itself: give its address (--engine-url)")
        pacer = Pacer(Pacing(plan.concurrency))
        async with chat_endpoint(f"{where.engine_url}/v1", manifest.name, None, pacer) as engine:
            blank = BlankImages(engine, manifest.context_template, manifest.max_new_tokens)
            await run(where.gateway, plan, answers, told, blank)


def measured(settings: dict[str, object], plan: Plan, answers: ScoredAnswerFile) -> Measured:
    """The tables of a run."""
    kept: dict[str, dict[str, list[list[int]]]] = {}
    for record in answers.records:
        if record["column"] in plan.scored:
            kept.setdefault(record["figure"], {})[record["column"]] = [list(record["scores"][name]) for name in METRICS]
    return Measured(settings, summarise(answers, plan.scored), follow_ups(answers), kept)


def figures_of(set_dir: Path | None, seed: int) -> dict[str, object]:
    """Which figures are asked about, to the byte where they lie in files."""
    if set_dir is None:
        return {"figures": "synthetic heldout", "first_seed": seed}
    truth = hashlib.sha256((set_dir / TRUTH_FILE).read_bytes()).hexdigest()
    return {"figures": set_dir.name, "truth_sha256": truth}


def identity(model_dir: Path) -> dict[str, object]:
    """What was measured, to the byte: a revision can be forgotten when weights are exchanged."""
    manifest = load_manifest(model_dir)
    digest = hashlib.sha256()
    for path in sorted(model_dir.glob("*.safetensors")):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return {"model": manifest.name, "revision": manifest.revision, "weights_sha256": digest.hexdigest()}


def _wanted(plan: Plan) -> set[tuple[str, str]]:
    return {(name, part) for name in plan.figures.ids for part in plan.parts}
