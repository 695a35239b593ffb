"""Figures that were photographed or scanned a little crooked: how far they are turned, and how to turn them back.

The row of tick labels below a plot is straight, so its slope is the figure's. What is read of the straightened figure
is moved back to the pixels of the given one. Knows no axes and no data.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from llava_graph.chart import Chart, Panel, Point, Series
from llava_graph.ocr import Box, Line
from ocr_worker.charts.numerals import readings
from ocr_worker.charts.picture import Pixels, page_colour

LEAST = 0.006
"""Slope from which turning is worth it: over an axis of 700 pixels it moves values by 4 of them, half a percent."""

MOST = 0.06
"""Slope (3.4°) above which a row of numbers is more likely data than labels."""

LEAST_LABELS = 5
"""Labels that must stand in the row: four numbers on one slope are found by chance among values printed in a plot."""

OFF = 0.14
"""Heights of a label within which its centre lies on the row: OCR boxes are off by that much."""

SPAN = 0.35
"""Share of the figure's width that the row must span, so that its slope is known to a few thousandths."""

MAX_NUMBERS = 60


@dataclass(frozen=True, slots=True)
class Turn:
    """A rotation: `forth` maps the given figure's pixels to those of the straightened one, `back` the other way.

    Both are [2, 3].
    """

    forth: npt.NDArray[np.float64]
    back: npt.NDArray[np.float64]


def turn_of(image: Pixels, lines: Sequence[Line]) -> Turn | None:
    """How to straighten a figure, None where it is straight or its slope is not known. `image`: [height, width, 3]."""
    height, width = image.shape[:2]
    slope = slope_of(lines, width)
    if slope is None:
        return None
    forth = cv2.getRotationMatrix2D((width / 2, height / 2), math.degrees(math.atan(slope)), 1.0)
    return Turn(np.asarray(forth, np.float64), np.asarray(cv2.invertAffineTransform(forth), np.float64))


def slope_of(lines: Sequence[Line], width: int) -> float | None:
    """Rows that fall per column along the row of labels, None below LEAST or where no row is clear."""
    numbers = [line.box for line in lines if readings(line.text)][:MAX_NUMBERS]
    if len(numbers) < LEAST_LABELS:
        return None
    xs = np.array([(x0 + x1) / 2 for x0, _, x1, _ in numbers])
    ys = np.array([(y0 + y1) / 2 for _, y0, _, y1 in numbers])
    within = OFF * float(np.median([y1 - y0 for _, y0, _, y1 in numbers])) + 1
    level = max(int((np.abs(ys - y) <= within).sum()) for y in ys)
    best: npt.NDArray[np.bool_] | None = None
    for i, j in itertools.combinations(range(len(numbers)), 2):
        across = xs[j] - xs[i]
        if abs(across) < SPAN * width:
            continue
        slope = (ys[j] - ys[i]) / across
        if abs(slope) > MOST:
            continue
        on = np.abs(ys - ys[i] - slope * (xs - xs[i])) <= within
        if best is None or on.sum() > best.sum():
            best = on
    if best is None or best.sum() < LEAST_LABELS or best.sum() < level + 2:
        return None
    slope = float(np.polyfit(xs[best], ys[best], 1)[0])
    return slope if LEAST <= abs(slope) <= MOST else None


def straightened(image: Pixels, lines: Sequence[Line], turn: Turn) -> tuple[Pixels, list[Line]]:
    """The figure turned back, of the same size, its corners filled with the page; the lines moved with it."""
    height, width = image.shape[:2]
    page = tuple(float(channel) for channel in page_colour(image))
    turned = cv2.warpAffine(image, turn.forth, (width, height), flags=cv2.INTER_LINEAR, borderValue=page)
    return np.asarray(turned, np.uint8), [replace(line, box=_moved_box(line.box, turn.forth)) for line in lines]


def _moved_box(box: Box, by: npt.NDArray[np.float64]) -> Box:
    """The same box at its new middle: the slope is too small for its sides to matter."""
    x0, y0, x1, y1 = box
    x, y = _moved((x0 + x1) / 2, (y0 + y1) / 2, by)
    return x - (x1 - x0) / 2, y - (y1 - y0) / 2, x + (x1 - x0) / 2, y + (y1 - y0) / 2


def _moved(x: float, y: float, by: npt.NDArray[np.float64]) -> tuple[float, float]:
    at = by @ np.array([x, y, 1.0])
    return float(at[0]), float(at[1])


def moved_back(chart: Chart, turn: Turn) -> Chart:
    """A chart whose positions are pixels of the given figure again; values stay."""
    return replace(chart, panels=tuple(_panel_back(panel, turn) for panel in chart.panels))


def _panel_back(panel: Panel, turn: Turn) -> Panel:
    x0, y0, x1, y1 = panel.area
    corners = [_moved(x, y, turn.back) for x, y in ((x0, y0), (x1, y0), (x0, y1), (x1, y1))]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    area = (max(round(min(xs), 1), 0.0), max(round(min(ys), 1), 0.0), round(max(xs), 1), round(max(ys), 1))
    return replace(panel, area=area, series=tuple(_series_back(one, turn) for one in panel.series))


def _series_back(series: Series, turn: Turn) -> Series:
    return replace(series, points=tuple(_point_back(point, turn) for point in series.points))


def _point_back(point: Point, turn: Turn) -> Point:
    px, py = _moved(point.px, point.py, turn.back)
    return replace(point, px=round(px, 1), py=round(py, 1))
