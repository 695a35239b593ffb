"""Reads figures with RapidOCR for `llava-graph data ocr --reader benchmarks.data_reader:rapid_reader`.

The data room imports no OCR library; this is the callable that is handed to it. One thread a process: the runner's
processes share the cores out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from data.ocr.readers import Reading
from llava_graph.figure import open_figure
from ocr_worker.engines.rapid import RapidEngine


def rapid_reader() -> Callable[[Sequence[bytes]], list[Reading]]:
    """Loads the models, which takes some seconds, once a process."""
    engine = RapidEngine(threads=1)

    def read(images: Sequence[bytes]) -> list[Reading]:
        pixels = [np.asarray(open_figure(image).image) for image in images]
        return [Reading(lines, None, engine.revision) for lines in engine.read(pixels)]

    return read
