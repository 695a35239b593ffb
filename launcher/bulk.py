"""Explains many figures through a gateway into a JSONL file: a line each, appended as answers come, resumable.

A stopped run is resumed: figures that have an answer in the file are skipped, those that failed are asked about again.
Retryable errors (a full queue, an engine that is starting) are retried after the pause that the gateway asks for.
Knows the gateway only through `llava_graph.client`, and no terminal.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from llava_graph import client
from llava_graph.client import Event, ExplainError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff"})
"""What is taken for a figure in a folder."""

TRIES = 5
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


class BulkError(Exception):
    """A list of captions or a file of answers that cannot be used; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Item:
    """One figure to ask about; `question` None asks for an explanation."""

    image: Path
    caption: str
    question: str | None = None

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What an answer is an answer to."""
        return str(self.image), self.caption, self.question


def read_captions(path: Path) -> list[Item]:
    """The figures of a JSON-lines file: `{"image": "a.png", "caption": "…", "question": "…"}`, the question optional.

    Images are named relative to the file's folder. Raises BulkError.
    """
    items = []
    for number, record in _records(path):
        try:
            image, caption, question = record["image"], record["caption"], record.get("question")
        except KeyError as error:
            raise BulkError(f"{path}:{number}: {error} is missing") from error
        if not (isinstance(image, str) and isinstance(caption, str) and isinstance(question, str | None)):
            raise BulkError(f"{path}:{number}: image, caption and question must be texts")
        items.append(Item(path.parent / image, caption, question))
    return items


def find_figures(paths: Sequence[Path], listed: Sequence[Item]) -> list[Item]:
    """The figures in files and folders, with the captions that are listed for them; without paths, all that are listed.

    A figure that is not listed has an empty caption. Folders are searched to any depth, in the order of names.
    """
    if not paths:
        return list(listed)
    by_file: dict[Path, list[Item]] = {}
    for item in listed:
        by_file.setdefault(item.image.resolve(), []).append(item)
    found: list[Item] = []
    for path in _files(paths):
        same = by_file.get(path.resolve(), [Item(path, "")])
        found += [Item(path, item.caption, item.question) for item in same]
    return found


class AnswerFile:
    """The JSON-lines file of answers. Each line: `image`, `caption`, `question`, and the parts of an answer or `error`.

    A line that a crash cut short is dropped when the file is opened, and so are earlier failures.
    """

    def __init__(self, path: Path) -> None:
        """Raises BulkError when the file holds something else, OSError when it cannot be read or written."""
        self._path = path
        kept = [record for _, record in _records(path, last_may_be_cut=True)] if path.exists() else []
        self._answered = {
            (str(record.get("image")), str(record.get("caption")), record.get("question"))
            for record in kept
            if "error" not in record
        }
        anew = path.with_name(path.name + ".new")
        anew.write_text("".join(_line(record) for record in kept if "error" not in record), encoding="utf-8")
        anew.replace(path)

    def missing(self, items: Iterable[Item]) -> list[Item]:
        """The items that have no answer yet, each once."""
        return list({item.key: item for item in items if item.key not in self._answered}.values())

    def add(self, item: Item, parts: Mapping[str, Any]) -> None:
        """Returns once the line is with the operating system's disk: a crash loses at most answers under way."""
        record = {"image": str(item.image), "caption": item.caption, "question": item.question, **parts}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(record))
            file.flush()
            os.fsync(file.fileno())


Asking = Callable[[Item, bytes], AsyncGenerator[Event, None]]
"""Asks about one figure, given its file's bytes."""


async def explain_all(
    items: Sequence[Item],
    answers: AnswerFile,
    asking: Asking,
    *,
    concurrency: int,
    ended: Callable[[Item, ExplainError | None], None],
    sleep: Callable[[float], Any] = asyncio.sleep,
) -> None:
    """Asks about every item, `concurrency` at a time, and adds each answer or error to the file.

    `ended` is told of each item, with the error of one that failed. `sleep` waits between the tries.
    """
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            try:
                parts: dict[str, Any] = await _insist(item, asking, sleep)
                error = None
            except ExplainError as failure:
                error = failure
                parts = {"error": error.to_json()}
            await asyncio.to_thread(answers.add, item, parts)
            ended(item, error)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(items))):
            group.create_task(work())


async def collected(events: AsyncGenerator[Event, None]) -> dict[str, Any]:
    """The parts of an answer in one object: `figure`, `ocr` and what `done` holds. Raises ExplainError."""
    parts: dict[str, Any] = {}
    async with aclosing(events):
        async for event in events:
            if event.name == "done":
                parts |= event.data
            elif event.name != "delta":  # their text stands in `done` once more
                parts[event.name] = event.data
    return parts


def over(gateway: httpx2.AsyncClient, **options: Any) -> Asking:
    """Asks a gateway; `options` are those of `client.explain`."""

    def ask(item: Item, image: bytes) -> AsyncGenerator[Event, None]:
        return client.explain(gateway, image, item.caption, question=item.question, **options)

    return ask


async def _insist(item: Item, asking: Asking, sleep: Callable[[float], Any]) -> dict[str, Any]:
    try:
        image = await asyncio.to_thread(item.image.read_bytes)
    except OSError as error:
        raise ExplainError("image_unreadable", f"{item.image}: {error.strerror or error}") from error
    pause_s = _FIRST_PAUSE_S
    for tries_left in reversed(range(TRIES)):
        try:
            return await collected(asking(item, image))
        except ExplainError as error:
            if not (error.retryable and tries_left):
                raise
            await sleep(min(error.retry_after_s or pause_s, _LONGEST_PAUSE_S))
            pause_s *= 2
    raise AssertionError("the last try returns or raises")


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.suffix.lower() in SUFFIXES)
        else:
            yield path


def _records(path: Path, *, last_may_be_cut: bool = False) -> Iterable[tuple[int, dict[str, Any]]]:
    # Not splitlines(), which also ends a line where a caption has U+2028 or U+0085.
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            if last_may_be_cut and number == len(lines):
                return
            raise BulkError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise BulkError(f"{path}:{number}: not a JSON object")
        yield number, record


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
