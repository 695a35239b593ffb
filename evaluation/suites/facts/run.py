"""Runs the facts suite: has a gateway explain figures whose truth is known, and scores the answers against it.

The gateway is asked over HTTP, so OCR, prompt and engine are those of production. Each figure is asked about once for
each of COLUMNS, greedily. Answers are kept as they come, one JSON object a line, and a run that was stopped goes on
where it ended. Nothing here knows what runs behind the gateway's address.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx2

from evaluation.errors import EvaluationError
from evaluation.suites.facts import report
from evaluation.suites.facts.blank import BlankImages, PromptError
from evaluation.suites.facts.follow_ups import questions
from evaluation.suites.facts.score import METRICS, Score, Share, score
from evaluation.suites.facts.truth import TrueFigure
from llava_graph import client
from llava_graph.client import Event, ExplainError
from llava_graph.context import DEFAULT_QUESTION, Turn
from llava_graph.context_parts import ContextParts

ANSWERS_FILE = "answers.jsonl"
SETTINGS_FILE = "settings.json"
TABLE_FILE = "table.md"
SUMMARY_FILE = "summary.json"

TRIES = 4
"""How often one question is asked before the run gives up: engines restart, and queues are full for a while."""


COLUMNS = {
    "no context": ContextParts.parse("none"),
    "caption only": ContextParts.parse("caption"),
    "caption + OCR": ContextParts.parse("caption,ocr"),
    "caption + chart": ContextParts.parse("caption,chart"),
    "all": ContextParts.parse("all"),
}
"""What the model is told besides the image, by the column of the table."""

FOLLOW_UPS = "follow-up questions"
"""The column of the answers to follow-up questions, which are asked with all of the context."""

BLANK = "all, image blank"
"""The column of the answers to the prompts of `all` with a white image (blank.py)."""

_READ = {"ocr": ("ok", "cached"), "chart": ("ok", "cached", "abstained")}
"""The statuses of a part that was read; a reader that abstains has read."""


class FactsError(Exception):
    """The run cannot go on; its answers are kept, and the same command resumes it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`figures` gives those that are asked about, by id, each made when its turn comes; `concurrency` of them at once.

    `follow_ups` is how many further questions are asked about each figure. `pause_s` lies between two tries, where the
    gateway does not say when to come back. With `with_blank`, whose column is BLANK, `columns` must hold `all`.
    """

    figures: Figures
    columns: Sequence[str]
    concurrency: int
    follow_ups: int = 0
    pause_s: float = 2.0
    with_blank: bool = False

    @property
    def scored(self) -> Sequence[str]:
        """The columns whose answers explain the figure."""
        return (*self.columns, BLANK) if self.with_blank else self.columns

    @property
    def parts(self) -> Sequence[str]:
        """What is asked about each figure: the columns, and the follow-up questions as one."""
        return (*self.scored, FOLLOW_UPS) if self.follow_ups else self.scored


class Figures(Protocol):
    """Figures of one source. Making one may take a while, so those that are not needed are left out."""

    @property
    def ids(self) -> Sequence[str]: ...

    def made(self, ids: Iterable[str]) -> Iterator[TrueFigure]: ...


class ScoredAnswerFile:
    """The answers of one run in `folder`, and the settings that they belong to."""

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        """Takes up the run in `folder`, or begins one there. Raises FactsError when its settings are others."""
        self._path = folder / ANSWERS_FILE
        folder.mkdir(parents=True, exist_ok=True)
        settings_path = folder / SETTINGS_FILE
        wanted = json.loads(json.dumps(settings))
        if settings_path.exists():
            found = json.loads(settings_path.read_text(encoding="utf-8"))
            if differing := sorted(key for key in wanted | found if wanted.get(key) != found.get(key)):
                raise FactsError(
                    f"{folder} holds a run with another {', '.join(differing)}: choose another folder, or delete it"
                )
        else:
            settings_path.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        self._records = self._kept()

    @property
    def records(self) -> list[dict[str, Any]]:
        return list(self._records)

    def done(self) -> set[tuple[str, str]]:
        return {(record["figure"], record["column"]) for record in self._records}

    def of(self, figure: str, column: str) -> dict[str, Any]:
        """Raises KeyError for an answer that is not there."""
        for record in self._records:
            if (record["figure"], record["column"]) == (figure, column):
                return record
        raise KeyError((figure, column))

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


async def run(
    gateway: httpx2.AsyncClient,
    plan: Plan,
    answers: ScoredAnswerFile,
    told: Callable[[], None],
    blank: BlankImages | None = None,
) -> None:
    """Asks whatever the file does not yet hold an answer to; `told` is called after each answer.

    `blank` asks the engine, where the plan is `with_blank`. Raises FactsError when a question gets no answer however
    often it is asked.
    """
    if plan.with_blank and (blank is None or "all" not in plan.columns):
        raise FactsError("the blank image is compared with the column `all`, and needs the engine's address")
    done = answers.done()
    wanted = [name for name in plan.figures.ids if any((name, part) not in done for part in plan.parts)]
    figures: asyncio.Queue[TrueFigure | None] = asyncio.Queue(maxsize=plan.concurrency)

    async def draw() -> None:
        made = plan.figures.made(wanted)
        # One at a time: matplotlib is not made for several threads.
        while (figure := await asyncio.to_thread(next, made, None)) is not None:
            await figures.put(figure)
        for _ in range(plan.concurrency):
            await figures.put(None)

    async def ask() -> None:
        while figure := await figures.get():
            for part in plan.parts:
                if (figure.id, part) not in done:
                    if part == FOLLOW_UPS:
                        answers.add(await _asked_on(gateway, figure, plan))
                    elif part == BLANK:
                        assert blank is not None
                        answers.add(await _answered_blank(blank, figure, answers.of(figure.id, "all")))
                    else:
                        answers.add(await _answered(gateway, figure, part, plan.pause_s))
                    told()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(draw())
            for _ in range(plan.concurrency):
                group.create_task(ask())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the first that failed; the others were stopped for its sake


def summarise(answers: ScoredAnswerFile, names: Iterable[str] = tuple(COLUMNS)) -> dict[str, report.Column]:
    """The scores of all answers, column by column."""
    columns = {}
    for name in names:
        records = [record for record in answers.records if record["column"] == name]
        happened = Counter({"answers cut off": sum(record["finish_reason"] != "stop" for record in records)})
        happened.update(f"text in the figure: {record['ocr']['status']}" for record in records)
        happened.update(f"chart data: {record['chart']['status']}" for record in records)
        columns[name] = report.column([_score_of(record) for record in records], happened)
    return columns


def follow_ups(answers: ScoredAnswerFile) -> dict[str, report.Cell]:
    """Of each kind of follow-up question, and of all, how many answers are right."""
    judged = [record["answers"] for record in answers.records if record["column"] == FOLLOW_UPS]
    kinds = sorted({each["kind"] for one in judged for each in one})
    return {
        kind or "all": report.cell(
            Share(
                sum(each["right"] for each in one if kind in ("", each["kind"])),
                sum(kind in ("", each["kind"]) for each in one),
            )
            for one in judged
        )
        for kind in ("", *kinds)
        if judged
    }


def _score_of(record: Mapping[str, Any]) -> Score:
    return {metric: Share(*record["scores"][metric]) for metric in METRICS}


async def _answered(gateway: httpx2.AsyncClient, figure: TrueFigure, column: str, pause_s: float) -> dict[str, Any]:
    """One line of the answers: what was asked, what was read and said, and its scores."""
    context = COLUMNS[column]
    caption = figure.caption if context.caption else ""
    parts = await _asked(gateway, figure, caption, context, pause_s)
    scores = score(figure.truth, caption, parts["done"]["text"])
    return {
        "figure": figure.id,
        "column": column,
        "size": [parts["figure"]["width"], parts["figure"]["height"]],
        "caption": caption,
        "question": DEFAULT_QUESTION,
        "ocr": parts["ocr"],
        # Whole only where a blank image is told it once more: it is long.
        "chart": parts["chart"] if column == "all" else {"status": parts["chart"]["status"]},
        "prompt_sha256": (parts["done"].get("receipt") or {}).get("prompt_sha256"),
        "answer": parts["done"]["text"],
        "finish_reason": parts["done"]["finish_reason"],
        "timings_ms": parts["done"].get("timings_ms"),
        "truth": figure.truth.explanation,
        "scores": {metric: (share.hits, share.of) for metric, share in scores.items()},
    }


async def _answered_blank(blank: BlankImages, figure: TrueFigure, asked: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the answers: what the model says to the prompt of `asked` without seeing the figure."""
    try:
        reply = await blank.answered(asked)
    except (EvaluationError, PromptError) as error:
        raise FactsError(f"the blank image: {error}") from error
    scores = score(figure.truth, asked["caption"], reply.text)
    return {
        **{name: asked[name] for name in ("figure", "size", "caption", "question", "truth")},
        "column": BLANK,
        "ocr": {"status": asked["ocr"]["status"]},
        "chart": {"status": asked["chart"]["status"]},
        "answer": reply.text,
        "finish_reason": reply.finish_reason,
        "scores": {metric: (share.hits, share.of) for metric, share in scores.items()},
    }


async def _asked_on(gateway: httpx2.AsyncClient, figure: TrueFigure, plan: Plan) -> dict[str, Any]:
    """One line of the answers: the follow-up questions about a figure in one conversation, each answer judged."""
    asked = questions(figure.truth, random.Random(f"follow-ups-{figure.id}"), plan.follow_ups)
    turns: list[Turn] = []
    kept = await _kept(gateway, figure, plan.pause_s) if asked else ""
    judged = []
    for question in asked:
        turns.append(Turn("user", question.text))
        parts = await _tried(figure, lambda: client.chat(gateway, kept, turns, temperature=0.0), plan.pause_s, ())
        answer = parts["done"]["text"]
        turns.append(Turn("assistant", answer or "…"))
        is_right = question.is_right(answer)
        judged.append(
            {"kind": question.kind, "question": question.text, "expected": question.expected, "answer": answer}
            | {"right": is_right}
        )
    return {"figure": figure.id, "column": FOLLOW_UPS, "answers": judged}


async def _kept(gateway: httpx2.AsyncClient, figure: TrueFigure, usual_pause_s: float) -> str:
    """The id of the figure, kept by the gateway."""
    for attempt in range(TRIES):
        try:
            return str((await client.add_figure(gateway, figure.png, figure.caption))["id"])
        except ExplainError as error:
            if not error.retryable or attempt + 1 == TRIES:
                raise FactsError(f"figure {figure.id}: {error}") from error
            await asyncio.sleep(error.retry_after_s or usual_pause_s)
    raise AssertionError("the last try returns or raises")


async def _asked(
    gateway: httpx2.AsyncClient, figure: TrueFigure, caption: str, context: ContextParts, usual_pause_s: float
) -> dict[str, dict[str, Any]]:
    """The parts of an explanation; with the figure read, where the column includes that."""
    is_read = context.ocr or context.chart

    def explained() -> AsyncGenerator[Event, None]:
        return client.explain(gateway, figure.png, caption, context=str(context), ocr=is_read, temperature=0.0)

    return await _tried(figure, explained, usual_pause_s, [part for part in _READ if part in context.names])


async def _tried(
    figure: TrueFigure,
    ask: Callable[[], AsyncGenerator[Event, None]],
    usual_pause_s: float,
    to_read: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """The parts of an answer, after up to TRIES tries, in which the parts `to_read` of the figure were read."""
    why = ""
    for attempt in range(TRIES):
        pause_s = usual_pause_s
        parts: dict[str, dict[str, Any]] = {}
        try:
            async with aclosing(ask()) as events:
                async for event in events:
                    if event.name != "delta":  # their text stands in `done` once more
                        parts[event.name] = event.data
        except ExplainError as error:
            if not error.retryable:
                raise FactsError(f"figure {figure.id}: {error}") from error
            why = str(error)
            if error.retry_after_s is not None:
                pause_s = error.retry_after_s
        else:
            # An answer without what was to be read is another column's. It will be in the cache the next time.
            late = [part for part in to_read if parts[part]["status"] not in _READ[part]]
            if not late:
                return parts
            statuses = ", ".join(f"{part} {parts[part]['status']}" for part in late)
            why = f"the figure was not read ({statuses})"
        if attempt + 1 < TRIES:
            await asyncio.sleep(pause_s)
    raise FactsError(f"figure {figure.id} was asked about {TRIES} times: {why}")
