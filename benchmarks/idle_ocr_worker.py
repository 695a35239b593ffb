"""The OCR worker with an engine that reads nothing: what is left is the cost of the queue.

python -m benchmarks.idle_ocr_worker
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from llava_graph.ocr import Line
from ocr_worker import child
from ocr_worker.__main__ import supervise
from ocr_worker.engines import OcrEngine, Pixels
from ocr_worker.settings import WorkerSettings


class Idle(OcrEngine):
    """Finds no text in any figure, at once."""

    revision = "idle/1"

    def read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        return [[] for _ in images]


def main() -> None:
    if len(sys.argv) > 1:  # started by the parent, with a place
        child.main(lambda _settings: Idle())
    sys.exit(asyncio.run(supervise(WorkerSettings(), child=(sys.executable, "-m", "benchmarks.idle_ocr_worker"))))


if __name__ == "__main__":
    main()
