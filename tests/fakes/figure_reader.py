"""Readers of figures for `llava-graph data ocr --reader tests.fakes.figure_reader:…`: they read no text, they count.

Each figure asked about is a line in the file that FIGURE_READER_LOG names, so that a test sees what was asked, by
however many processes, killed ones included.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from data.ocr.readers import Reading
from llava_graph.ocr import Line

LOG = "FIGURE_READER_LOG"


def text_of(image: bytes) -> str:
    """What is "read" in an image: another text for each file."""
    return hashlib.sha256(image).hexdigest()[:12]


def counting() -> Callable[[Sequence[bytes]], list[Reading]]:
    """Reads every figure."""
    log = Path(os.environ[LOG])

    def read(images: Sequence[bytes]) -> list[Reading]:
        with log.open("a", encoding="utf-8") as file:
            file.writelines(f"{text_of(image)}\n" for image in images)
        return [Reading([Line(text_of(image), (0.0, 0.0, 9.0, 9.0), 0.9)], None, "fake") for image in images]

    return read


def dying() -> Callable[[Sequence[bytes]], list[Reading]]:
    """Reads five figures, and takes its process down with the sixth."""
    read = counting()
    log = Path(os.environ[LOG])

    def read_or_die(images: Sequence[bytes]) -> list[Reading]:
        if log.exists() and len(log.read_text(encoding="utf-8").splitlines()) >= 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(images)

    return read_or_die


def failing() -> Callable[[Sequence[bytes]], list[Reading]]:
    """Reads none."""

    def read(_: Sequence[bytes]) -> list[Reading]:
        raise RuntimeError("no model")

    return read
