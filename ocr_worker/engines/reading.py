"""The OCR pipeline between text detection and recognition, shared by the engines `rapid` and `paddle`.

Pages and figures differ, and what OCR libraries do between their two models is made for pages:

- *Rotated axis labels.* Libraries turn every tall crop the same way, so that labels which read from bottom to top, as
  nearly all do, arrive upside down and come out as `To--1` for `Top-1 accuracy [%]`. Here a tall crop is read from
  bottom to top, and in the other direction as well when that reading is not sure; the more confident one stays. That
  makes a classifier for upside-down text unnecessary.
- *Broken axis labels.* Detectors often split a vertical label into pieces; they are joined before they are read.
- *Batches.* The crops of several figures are recognised together.
- *Steps.* A page of a thousand words takes many seconds. It is read in steps, after figures with less text.

Knows no model and no runtime.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from llava_graph.ocr import Box, Line, reading_order
from ocr_worker.engines import Pixels

Quad = npt.NDArray[np.float32]
"""Corners of a text, [4, 2] in x, y: top left, top right, bottom right, bottom left of the image, not of the text."""

MIN_CONFIDENCE = 0.3
"""Below this it is strokes and markers taken for letters. Context templates draw their own, higher line."""

SURE = 0.9
"""A rotated text read with this confidence is not read in the other direction too. Upside down, letters stay below."""

TALL = 1.5
"""A crop this much higher than wide holds rotated text: horizontal text of one narrow letter stays below."""


CROPS_A_STEP = 64
"""Crops recognised before others may have the engine: less than a second's work on two cores."""


class Reading(NamedTuple):
    """What a crop says; `confidence` lies in 0..1 and is 0 when it says nothing."""

    text: str
    confidence: float


class TextModels(Protocol):
    """A detector and a recogniser. Colours are in OpenCV's order, blue first, which PP-OCR was trained on."""

    def detect(self, bgr: Pixels) -> list[Quad]:
        """The texts of one image, in pixels of it; corners may lie a little outside."""

    def recognise(self, crops: Sequence[Pixels]) -> list[Reading]:
        """One reading for each crop, in their order. A crop holds one line of text, upright."""


def read_figures(models: TextModels, images: Sequence[Pixels]) -> Iterator[dict[int, list[Line]]]:
    """See `OcrEngine.reading`. Lets through what the models raise, and cv2.error."""
    quads: list[list[Quad]] = []
    crops: list[list[Pixels]] = []
    for rgb in images:
        if quads:
            yield {}
        bgr = np.ascontiguousarray(rgb[:, :, ::-1])
        quads.append(join_vertical(models.detect(bgr)))
        crops.append([_cut(bgr, quad) for quad in quads[-1]])
    for figures in _steps([len(found) for found in crops]):
        if len(figures) == 1:
            readings = yield from _read_in_steps(models, crops[figures[0]])
        else:
            readings = _read_upright(models, [crop for index in figures for crop in crops[index]])
        left = iter(readings)
        yield {index: _lines(images[index], quads[index], left) for index in figures}


def _steps(crops: Sequence[int]) -> Iterator[list[int]]:
    """Figures to recognise together: those with few crops first, and no more crops than a step has, unless alone."""
    together: list[int] = []
    for index in sorted(range(len(crops)), key=lambda index: crops[index]):
        if together and sum(crops[other] for other in together) + crops[index] > CROPS_A_STEP:
            yield together
            together = []
        together.append(index)
    if together:
        yield together


def _read_in_steps(
    models: TextModels, crops: Sequence[Pixels]
) -> Generator[dict[int, list[Line]], None, list[Reading]]:
    """The readings of one figure's crops; a figure of many takes several steps, each with crops of similar width."""
    order = sorted(range(len(crops)), key=lambda crop: crops[crop].shape[1] / crops[crop].shape[0])
    if len(order) <= CROPS_A_STEP:
        return _read_upright(models, crops)
    readings = [Reading("", 0.0)] * len(crops)
    for begin in range(0, len(order), CROPS_A_STEP):
        if begin:
            yield {}
        step = order[begin : begin + CROPS_A_STEP]
        for crop, reading in zip(step, _read_upright(models, [crops[crop] for crop in step]), strict=True):
            readings[crop] = reading
    return readings


def _lines(image: Pixels, quads: Sequence[Quad], readings: Iterator[Reading]) -> list[Line]:
    """The lines of one figure; takes as many readings as it has quads."""
    height, width = image.shape[:2]
    lines = [
        Line(text.strip(), _box(quad, width, height), min(confidence, 1.0))
        for quad, (text, confidence) in zip(quads, readings)  # noqa: B905 - the others are the next figures'
        if text.strip() and confidence >= MIN_CONFIDENCE
    ]
    return reading_order(lines)


def read_crops(models: TextModels, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
    """See `OcrEngine.read_crops`. Lets through what the models raise."""
    readings = models.recognise([np.ascontiguousarray(crop[:, :, ::-1]) for crop in crops])
    return [(reading.text.strip(), min(reading.confidence, 1.0)) for reading in readings]


def _read_upright(models: TextModels, crops: Sequence[Pixels]) -> list[Reading]:
    tall = [crop.shape[0] >= TALL * crop.shape[1] for crop in crops]
    upright = [np.rot90(crop, -1) if turn else crop for crop, turn in zip(crops, tall, strict=True)]
    readings = models.recognise(upright)
    doubted = [i for i, turned in enumerate(tall) if turned and readings[i].confidence < SURE]
    for i, other in zip(doubted, models.recognise([np.rot90(upright[i], 2) for i in doubted]), strict=True):
        if other.confidence > readings[i].confidence:
            readings[i] = other
    return readings


def join_vertical(quads: Sequence[Quad]) -> list[Quad]:
    """Joins the pieces of upright-standing labels: a tall piece and what continues it above or below.

    Pieces belong together when they stand in the same column with about the same width, and the gap between them is
    less than a quarter of it: stacked tick labels are further apart, and wider than high.
    """
    pieces = sorted(((_bounds(quad), index) for index, quad in enumerate(quads)), key=lambda piece: piece[0][1])
    joined: list[tuple[Box, list[int]]] = []
    for bounds, index in pieces:
        for j, (above, indices) in enumerate(joined):
            if _continues(above, bounds):
                joined[j] = (_union(above, bounds), [*indices, index])
                break
        else:
            joined.append((bounds, [index]))
    return [quads[indices[0]] if len(indices) == 1 else _corners(bounds) for bounds, indices in joined]


def _continues(above: Box, below: Box) -> bool:
    widths = (above[2] - above[0], below[2] - below[0])
    heights = (above[3] - above[1], below[3] - below[1])
    shared = min(above[2], below[2]) - max(above[0], below[0])
    return (
        any(h >= TALL * w for w, h in zip(widths, heights, strict=True))
        and all(h >= w for w, h in zip(widths, heights, strict=True))
        and min(widths) >= 0.6 * max(widths)
        and shared >= 0.6 * max(widths)
        and below[1] - above[3] < 0.25 * min(widths)
    )


def _union(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _bounds(quad: Quad) -> Box:
    (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _corners(bounds: Box) -> Quad:
    x0, y0, x1, y1 = bounds
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def _box(quad: Quad, width: int, height: int) -> Box:
    """Detectors may see more than the image, and find texts a little larger than they are: boxes end at its border."""
    x0, y0, x1, y1 = _bounds(quad)
    return min(max(x0, 0), width), min(max(y0, 0), height), min(max(x1, 0), width), min(max(y1, 0), height)


def _cut(image: Pixels, quad: Quad) -> Pixels:
    """The text between four corners, straightened, [height, width, 3]."""
    across = max(np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[3] - quad[2]))
    down = max(np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[1] - quad[2]))
    width, height = max(int(across), 1), max(int(down), 1)
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad, target)
    cut = cv2.warpPerspective(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)
