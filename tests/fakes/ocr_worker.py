"""A whole OCR worker, parent and processes, with an engine that reads numbers: for tests about queue and processes.

    python -m tests.fakes.ocr_worker

It is the product's worker in all but the engine. A figure of one colour is a number, and what the engine does with it
depends on the number: most are read, some cause the failures that PP-OCR has caused in production.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from PIL import Image

from llava_graph.figure import Figure, open_figure
from llava_graph.ocr import Line
from ocr_worker import child
from ocr_worker.__main__ import supervise
from ocr_worker.engines import OcrEngine, Pixels
from ocr_worker.settings import WorkerSettings

REVISION = "numbers/1"

READING_S = 0.005
"""What one figure takes."""

LEAKY = range(0x100000, 0x200000)
LEAK_BYTES = 1024 * 1024

CRASHES = 0xDEAD00
HANGS = 0xDEAD01


def figure(number: int) -> Figure:
    """The figure that is this number, below 2**24."""
    colour = (number >> 16, number >> 8 & 255, number & 255)
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(buffer, "PNG")
    return open_figure(buffer.getvalue())


def text_of(number: int) -> str:
    """What the engine reads in `figure(number)`."""
    return f"number {number}"


class Numbers(OcrEngine):
    """The engine."""

    revision = REVISION

    def __init__(self) -> None:
        self._leaked: list[bytes] = []

    def read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        return [[Line(text_of(self._read(image)), (0.0, 0.0, 32.0, 32.0))] for image in images]

    def read_crops(self, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        return [("", 0.0) for _ in crops]

    def _read(self, image: Pixels) -> int:
        red, green, blue = (int(part) for part in image[0, 0])
        number = red << 16 | green << 8 | blue
        if number == CRASHES:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == HANGS:
            threading.Event().wait()
        if number in LEAKY:
            self._leaked.append(os.urandom(LEAK_BYTES))
        time.sleep(READING_S)
        return number


def main() -> None:
    if len(sys.argv) > 1:  # started by the parent, with a place
        child.main(lambda _settings: Numbers())
    sys.exit(asyncio.run(supervise(WorkerSettings(), child=(sys.executable, "-m", "tests.fakes.ocr_worker"))))


if __name__ == "__main__":
    main()
