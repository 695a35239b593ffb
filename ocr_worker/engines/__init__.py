"""The OcrEngine interface between the worker and an OCR library, and the list of adapters.

One engine per process, used by one thread at a time: PP-OCR pipelines are not thread-safe (shared by two threads,
they mix up texts without an error), and every runtime under them brings threads of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from llava_graph.ocr import Line

Pixels = npt.NDArray[np.uint8]
"""An upright image, RGB, [height, width, 3]."""


class OcrEngine(Protocol):
    """Reads the text of figures."""

    @property
    def revision(self) -> str:
        """Names library, models, runtime and pipeline: whatever changes the text or boxes changes it, and it is part
        of the cache's keys."""

    def read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        """The lines of each image in reading order, boxes in pixels of that image; no text is an empty list.

        Blocks for as long as it takes. Raises `OcrEngineError` when the batch cannot be read; an error in one image
        may fail the whole batch, the caller then tries the images one by one.
        """

    def reading(self, images: Sequence[Pixels]) -> Iterator[Mapping[int, list[Line]]]:
        """The same in steps of about a second, so that a figure with a lot of text need not hold up the others: each
        step gives what it has finished, by the index of the image. Figures with little text come first.

        An engine that has no steps makes one of it. Raises as `read` does, at any step.
        """
        yield dict(enumerate(self.read(images)))

    def read_crops(self, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Text and confidence of each crop, which holds one upright line of text. Detects nothing.

        Blocks for as long as it takes. Raises `OcrEngineError`.
        """
