"""Reads scatter charts: the points where they can be told apart, else where the cloud lies and how it leans."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from llava_graph.chart import Fact, Point, Series
from llava_graph.curves import trend_by
from ocr_worker.charts.axes import Scale
from ocr_worker.charts.colours import View, are_alike, code
from ocr_worker.charts.lines import Named
from ocr_worker.charts.picture import Mask
from ocr_worker.charts.tracing import fill_holes

MERGED = 1.55
"""A piece with this many times the usual pixels holds more than one marker."""

TOLD_APART = 0.85
"""Share of a colour's pixels in single markers from which its points are claimed as a whole."""

LEAST_FOR_CLOUD = 12
"""Markers from which the lean of a cloud is told without its points; of fewer, one hidden marker changes it too
much."""

LEAST_BY_INK = 16
"""The same for as many markers as would have a cloud's pixels, where few stand alone: how many lie in a heap is not
known."""

LEAST_SINGLE = 0.08
FEWEST_SINGLE = 4
"""Share of a colour's pixels in single markers, and how many there must be, to know how large a marker is."""

WHOLE_PART = 0.4
HIDDEN_PART = 0.15
"""Share of a marker's pixels from which a piece is a single marker, and from which it may be one of which others hide a
part; less is the edge of another. Without those, ranges of 18 clouds in 550 became right and of 7 wrong."""

STRONG = 0.8
"""Correlation that hidden markers do not change: of 60 clouds with few markers that stand alone it was right of all, of
33 with a weaker one of 29."""

MOST_POINTS = 400


def read_scatter(area: View, series: Sequence[Named], x: Scale, y: Scale, scale_px: float) -> list[Series]:
    """One Series for each of `series`; facts of clouds whose points overlap are filled in here."""
    return [_one(area, index, series, x, y, scale_px) for index in range(len(series))]


def middles(area: View, series: Sequence[Named], y: Scale) -> list[float]:
    """The value at the middle of each colour's pixels: how high it lies on the whole, whatever overlaps."""
    rows = np.array([float(np.nonzero(one.layer.mask)[0].mean()) if one.layer.mask.any() else 0.0 for one in series])
    return [float(value) for value in y.values(rows + area.y)]


def _one(area: View, index: int, series: Sequence[Named], x: Scale, y: Scale, scale_px: float) -> Series:
    named = series[index]
    name, line = (named.entry.name, named.entry.line) if named.entry else (None, None)
    colour = code(named.layer.colour)
    if any(
        at != index and other.entry and named.entry and are_alike(other.layer, named.layer, area.ground)
        for at, other in enumerate(series)
    ):
        return Series(name, line, colour, abstained="same_colour_series")
    solid = fill_holes(named.layer.mask, 24)
    centres, single, marker, parts = markers(solid)
    if len(centres) < 3:
        return Series(name, line, colour, abstained="low_coverage")
    columns, rows = centres[:, 0], centres[:, 1]
    xs, ys = x.values(columns + area.x), y.values(rows + area.y)
    order = np.argsort(columns, kind="stable")[:MOST_POINTS]
    points = tuple(
        Point(
            float(f"{xs[i]:.5g}"),
            float(f"{ys[i]:.5g}"),
            round((float(columns[i]) + area.x) / scale_px, 1),
            round((float(rows[i]) + area.y) / scale_px, 1),
        )
        for i in order
    )
    told_apart = single >= TOLD_APART and len(centres) <= MOST_POINTS
    if not told_apart and not _is_cloud(len(centres), single):
        return Series(name, line, colour, abstained="points_overlap")
    facts = () if told_apart else _cloud_facts(parts, marker, area, x, y)
    if len(centres) < LEAST_FOR_CLOUD:
        facts = tuple(f for f in facts if f.kind != "correlation" or (f.y is not None and abs(f.y) >= STRONG))
    if not told_apart and not facts:
        return Series(name, line, colour, abstained="points_overlap")
    return Series(
        name,
        line,
        colour,
        points,
        coverage=round(single, 4),
        x_tolerance=round(1.5 / area.width + 0.004, 4),
        y_tolerance=round(1.5 / area.height + 0.004, 4),
        facts=facts,
    )


def _is_cloud(singles: int, single: float) -> bool:
    """Whether there are enough points to tell how they lie together; `single`: share of their ink in `singles`."""
    is_sized = singles >= FEWEST_SINGLE and single >= LEAST_SINGLE
    return singles >= LEAST_FOR_CLOUD or (is_sized and singles / single >= LEAST_BY_INK)


def markers(mask: Mask) -> tuple[npt.NDArray[np.float64], float, float, Mask]:
    """The centres of single markers, [n, 2] in x, y; the share of pixels that lie in such; the markers' width; the mask
    without what is no part of a marker."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    pieces = stats[1 : min(count, 5000)].astype(np.float64)
    pieces = pieces[pieces[:, 4] >= 3]
    if not len(pieces):
        return np.zeros((0, 2)), 0.0, 0.0, mask
    # Single markers are the most frequent size; merged ones are larger, hidden ones smaller.
    sizes = pieces[:, 4]
    typical = _mode(sizes)
    single = (sizes <= MERGED * typical) & (sizes >= WHOLE_PART * typical)
    kept = pieces[single]
    centres = np.stack([kept[:, 0] + (kept[:, 2] - 1) / 2, kept[:, 1] + (kept[:, 3] - 1) / 2], axis=1)
    is_part = stats[:, 4] >= HIDDEN_PART * typical
    is_part[0] = False  # the ground
    width = float(np.median(kept[:, 2])) if len(kept) else 0.0
    return centres, float(sizes[single].sum() / sizes.sum()), width, np.asarray(is_part[labels], np.bool_)


def _mode(sizes: npt.NDArray[np.float64]) -> float:
    """The size that most pieces have to within a quarter."""
    order = np.sort(sizes)
    counts = np.searchsorted(order, order * 1.25) - np.searchsorted(order, order * 0.8)
    return float(order[counts.argmax()])


def _cloud_facts(mask: Mask, marker: float, area: View, x: Scale, y: Scale) -> tuple[Fact, ...]:
    """Correlation and ranges from all pixels: hidden points lie under others and change them little."""
    rows, columns = np.nonzero(mask)
    half = marker / 2
    left, right = float(columns.min()) + half, float(columns.max()) - half
    top, bottom = float(rows.min()) + half, float(rows.max()) - half
    facts = [
        Fact("x_range", *_ordered(x.value(left + area.x), x.value(right + area.x))),
        Fact("y_range", *_ordered(y.value(top + area.y), y.value(bottom + area.y))),
    ]
    if columns.std() > 0 and rows.std() > 0 and not (x.log or y.log):
        r = float(np.corrcoef(columns, rows)[0, 1]) * float(np.sign(x.a) * np.sign(y.a))
        facts.insert(0, Fact("correlation", y=round(r, 3)))
        if x.a > 0 > y.a and (direction := trend_by(r)):  # along an axis the other way round "rises" is ambiguous
            facts.insert(0, Fact("trend", text=direction))
    return tuple(facts)


def _ordered(a: float, b: float) -> tuple[float, float]:
    return float(f"{min(a, b):.4g}"), float(f"{max(a, b):.4g}")
