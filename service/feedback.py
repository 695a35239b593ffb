"""Stores feedback on answers in a folder of this machine, where the operator has turned that on.

Entries are only ever added. Any number of gateway processes of one machine may write: each holds a lock on the file
while it looks whether there is room and adds its line. A line that a crash cut short is closed by the next writer, and
readers count it as unreadable. The bound counts entries and images together; past it nothing is stored, and nothing is
dropped.

The form of the files is in llava_graph/feedback.py. This module knows nothing of HTTP, nor of who may send feedback.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from llava_graph.feedback import ENTRIES_FILE, FIGURES_FOLDER, FeedbackEntry
from service.errors import FeedbackFull, FeedbackOff, FeedbackUnavailable
from service.metrics import Metrics

_LOCK_WAIT_S = 5.0
_LOCK_LOOK_S = 0.01
"""`flock` has no deadline of its own. A holder has the lock for as long as one line takes to reach the disk."""

log = structlog.stdlib.get_logger(__name__)


class FeedbackFolderError(Exception):
    """Feedback is on, and cannot be stored where it should; the message says why."""


@dataclass(frozen=True, slots=True)
class FigureImage:
    """The image of a figure to store beside an entry, by the hash of its pixels."""

    figure_id: str
    png: bytes


class Feedback:
    """One per process. `folder` is None where feedback is off."""

    def __init__(self, folder: Path | None, metrics: Metrics, *, max_bytes: int) -> None:
        """Makes the folder. Raises FeedbackFolderError when nothing can be written there."""
        self._folder = folder
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._turn = asyncio.Lock()
        if folder is None:
            return
        try:
            (folder / FIGURES_FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
            with _opened(folder / ENTRIES_FILE) as entries:
                metrics.feedback_bytes.set(_stored_bytes(entries, folder))
        except OSError as error:
            raise FeedbackFolderError(f"LLAVA_GRAPH_FEEDBACK_DIR: {folder} cannot be written to: {error}") from error

    @property
    def on(self) -> bool:
        return self._folder is not None

    def check(self) -> None:
        """Raises FeedbackOff where feedback is off."""
        if self._folder is None:
            raise FeedbackOff("The operator of this gateway has not turned feedback on.")

    async def add(self, entry: FeedbackEntry, image: FigureImage | None = None) -> FeedbackEntry:
        """Stores an entry, with an id and the time of now, and the image unless it is there already. Returns once both
        are on the disk.

        Raises FeedbackOff, FeedbackFull, or FeedbackUnavailable when the folder cannot be written to.
        """
        self.check()
        assert self._folder is not None
        stamped = replace(entry, entry_id=uuid.uuid4().hex, time=datetime.now(UTC).isoformat(timespec="seconds"))
        try:
            async with asyncio.timeout(2 * _LOCK_WAIT_S), self._turn:
                stored_bytes = await asyncio.to_thread(self._store, self._folder, stamped.to_line(), image)
        except (OSError, TimeoutError) as error:
            log.error("feedback_unavailable", detail=f"{type(error).__name__}: {error}")
            raise FeedbackUnavailable("Feedback cannot be stored now.") from error
        self._metrics.feedback.labels(stamped.verdict).inc()
        self._metrics.feedback_bytes.set(stored_bytes)
        return stamped

    def _store(self, folder: Path, line: bytes, image: FigureImage | None) -> int:
        """Bytes that are stored then. Raises FeedbackFull, OSError, or TimeoutError when others hold the lock."""
        with _opened(folder / ENTRIES_FILE) as entries:
            _lock(entries)
            size = os.fstat(entries).st_size
            if size and os.pread(entries, 1, size - 1) != b"\n":
                line = b"\n" + line
            path = None if image is None else folder / FIGURES_FOLDER / f"{image.figure_id}.png"
            new = image is not None and path is not None and not path.exists()
            more = len(line) + (len(image.png) if new and image is not None else 0)
            stored = _stored_bytes(entries, folder)
            if stored + more > self._max_bytes:
                raise FeedbackFull(f"{stored} bytes of feedback are stored; there is room for {self._max_bytes}.")
            try:
                if new and image is not None and path is not None:
                    _write_whole(path, image.png)
                _append(entries, line, size)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise FeedbackFull("There is no room on the disk for feedback.") from error
                raise
            return stored + more


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The descriptor of the file of entries. Closing it gives the lock back."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    until = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError("another process holds the lock of the file") from None
            time.sleep(_LOCK_LOOK_S)


def _append(descriptor: int, line: bytes, size: int) -> None:
    """Adds a line to a file of that size: all of it, or nothing."""
    try:
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _stored_bytes(entries: int, folder: Path) -> int:
    with os.scandir(folder / FIGURES_FOLDER) as files:
        images = sum(file.stat().st_size for file in files)
    return os.fstat(entries).st_size + images
