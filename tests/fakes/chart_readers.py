"""Faulty chart readers (crash, hang, defect), for tests of the process that a reader runs in. Loaded by name there."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence

from llava_graph.chart import Chart, Panel
from llava_graph.ocr import Line
from ocr_worker.charts.process import ReadCrops
from ocr_worker.engines import Pixels

CRASHES, HANGS, RAISES = 1, 2, 3
"""What the first pixel's red says that the reader does; anything else is read."""


def misbehaving(image: Pixels, lines: Sequence[Line], deadline_s: float, reread: ReadCrops | None) -> Chart:  # noqa: ARG001
    match int(image[0, 0, 0]):
        case 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case 2:
            threading.Event().wait()
        case 3:
            raise ValueError("a defect of the reader")
    return Chart((Panel("line", (0.0, 0.0, float(image.shape[1]), float(len(lines)))),), revision=str(os.getpid()))


def rereading(image: Pixels, lines: Sequence[Line], deadline_s: float, reread: ReadCrops | None) -> Chart:  # noqa: ARG001
    """Has the image itself read as a crop, and gives the text back as its revision."""
    assert reread is not None
    [(text, confidence)] = reread([image])
    return Chart(revision=f"{text} {confidence}")


def insatiable(image: Pixels, lines: Sequence[Line], deadline_s: float, reread: ReadCrops | None) -> Chart:  # noqa: ARG001
    assert reread is not None
    while True:
        reread([image])
