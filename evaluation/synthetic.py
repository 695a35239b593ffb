"""Held-out synthetic figures, explained by a running gateway exactly as for a user, and scored against their truth.

The gateway is asked over HTTP, so OCR, prompt and engine are those of production. Each figure is asked about once for
each of COLUMNS, greedily. Answers are kept as they come, one JSON object a line, and a run that was stopped goes on
where it ended. Nothing here knows what runs behind the gateway's address.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from evaluation import report
from evaluation.facts_score import METRICS, Score, Share, score
from llava_graph import client
from llava_graph.client import ExplainError
from llava_graph.context import DEFAULT_QUESTION
from synthetic import write
from synthetic.render import render
from synthetic.sample import sample_figure
from synthetic.spec import FigureSpec

ANSWERS_FILE = "answers.jsonl"
SETTINGS_FILE = "settings.json"
TABLE_FILE = "table.md"
SUMMARY_FILE = "summary.json"

TRIES = 4
"""How often one question is asked before the run gives up: engines restart, and queues are full for a while."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the model is given besides the image."""

    caption: bool
    ocr: bool


COLUMNS = {
    "no context": Context(caption=False, ocr=False),
    "caption only": Context(caption=True, ocr=False),
    "caption + OCR": Context(caption=True, ocr=True),
}


class EvaluationError(Exception):
    """The run cannot go on; what has been answered is kept, and the same command takes it up again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which figures: `count` held-out ones from seed `first_seed` on; `concurrency` of them are asked about at once.

    `pause_s` lies between two tries, where the gateway does not say when to come back.
    """

    first_seed: int
    count: int
    concurrency: int
    pause_s: float = 2.0


@dataclass(frozen=True, slots=True)
class _Figure:
    seed: int
    spec: FigureSpec
    caption: str
    truth: str
    png: bytes


class AnswerFile:
    """The answers of one run in `folder`, and the settings that they belong to."""

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        """Takes up the run in `folder`, or begins one there. Raises EvaluationError when its settings are others."""
        self._path = folder / ANSWERS_FILE
        folder.mkdir(parents=True, exist_ok=True)
        settings_path = folder / SETTINGS_FILE
        wanted = json.loads(json.dumps(settings))
        if settings_path.exists():
            found = json.loads(settings_path.read_text(encoding="utf-8"))
            if differing := sorted(key for key in wanted | found if wanted.get(key) != found.get(key)):
                raise EvaluationError(
                    f"{folder} holds a run with another {', '.join(differing)}: choose another folder, or delete it"
                )
        else:
            settings_path.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        self._records = self._kept()

    @property
    def records(self) -> list[dict[str, Any]]:
        return list(self._records)

    def done(self) -> set[tuple[int, str]]:
        return {(record["seed"], record["column"]) for record in self._records}

    def add(self, record: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._records.append(record)

    def _kept(self) -> list[dict[str, Any]]:
        """The answers of earlier; a last line that was cut off in the middle is cut off for good."""
        if not self._path.exists():
            return []
        whole, _, torn = self._path.read_bytes().rpartition(b"\n")
        if torn:
            self._path.write_bytes(whole + b"\n" if whole else b"")
        return [json.loads(line) for line in whole.splitlines() if line]


async def run(gateway: httpx2.AsyncClient, plan: Plan, answers: AnswerFile, told: Callable[[], None]) -> None:
    """Asks whatever the file does not yet hold an answer to; `told` is called after each answer.

    Raises EvaluationError when a question gets no answer however often it is asked.
    """
    done = answers.done()
    figures: asyncio.Queue[_Figure | None] = asyncio.Queue(maxsize=plan.concurrency)

    async def draw() -> None:
        for seed in range(plan.first_seed, plan.first_seed + plan.count):
            if any((seed, column) not in done for column in COLUMNS):
                # One at a time: matplotlib is not made for several threads.
                await figures.put(await asyncio.to_thread(_drawn, seed))
        for _ in range(plan.concurrency):
            await figures.put(None)

    async def ask() -> None:
        while figure := await figures.get():
            for column, context in COLUMNS.items():
                if (figure.seed, column) not in done:
                    answers.add(await _answered(gateway, figure, column, context, plan.pause_s))
                    told()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(draw())
            for _ in range(plan.concurrency):
                group.create_task(ask())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the first that failed; the others were stopped for its sake


def summarise(answers: AnswerFile) -> dict[str, report.Column]:
    """The scores of all answers, column by column."""
    columns = {}
    for name in COLUMNS:
        records = [record for record in answers.records if record["column"] == name]
        happened = Counter({"answers cut off": sum(record["finish_reason"] != "stop" for record in records)})
        happened.update(f"text in the figure: {record['ocr']['status']}" for record in records)
        columns[name] = report.column([_score_of(record) for record in records], happened)
    return columns


def _score_of(record: Mapping[str, Any]) -> Score:
    return {metric: Share(*record["scores"][metric]) for metric in METRICS}


def _drawn(seed: int) -> _Figure:
    spec = sample_figure(seed, "heldout")
    file = io.BytesIO()
    render(spec).image.save(file, "PNG")
    caption = write.caption(spec, random.Random(f"caption-{seed}"))
    truth = write.explanation(spec, write.everything(spec), random.Random(f"explanation-{seed}"))
    return _Figure(seed, spec, caption, truth, file.getvalue())


async def _answered(
    gateway: httpx2.AsyncClient, figure: _Figure, column: str, context: Context, pause_s: float
) -> dict[str, Any]:
    """One line of the answers: what was asked, what was read and said, and its scores."""
    caption = figure.caption if context.caption else ""
    parts = await _asked(gateway, figure, caption, context, pause_s)
    scores = score(figure.spec, caption, parts["done"]["text"])
    return {
        "seed": figure.seed,
        "column": column,
        "caption": caption,
        "question": DEFAULT_QUESTION,
        "ocr": parts["ocr"],
        "answer": parts["done"]["text"],
        "finish_reason": parts["done"]["finish_reason"],
        "truth": figure.truth,
        "scores": {metric: (share.hits, share.of) for metric, share in scores.items()},
    }


async def _asked(
    gateway: httpx2.AsyncClient, figure: _Figure, caption: str, context: Context, usual_pause_s: float
) -> dict[str, dict[str, Any]]:
    """The parts of an explanation, after as many tries as it takes; with its text read, where that belongs to it."""
    why = ""
    for attempt in range(TRIES):
        pause_s = usual_pause_s
        parts: dict[str, dict[str, Any]] = {}
        try:
            events = client.explain(gateway, figure.png, caption, ocr=context.ocr, temperature=0.0)
            async with aclosing(events):
                async for event in events:
                    if event.name != "delta":  # their text stands in `done` once more
                        parts[event.name] = event.data
        except ExplainError as error:
            if not error.retryable:
                raise EvaluationError(f"figure {figure.seed}: {error}") from error
            why = str(error)
            if error.retry_after_s is not None:
                pause_s = error.retry_after_s
        else:
            # An answer without the text is another column's. It was late, so it will be in the cache the next time.
            if not context.ocr or parts["ocr"]["status"] in ("ok", "cached"):
                return parts
            why = f"the text was not read ({parts['ocr']['status']})"
        if attempt + 1 < TRIES:
            await asyncio.sleep(pause_s)
    raise EvaluationError(f"figure {figure.seed} was asked about {TRIES} times: {why}")
