"""From the pixels of one colour to a curve: one height for each column of the plot area.

Dashes and pieces between crossings are chained by dynamic programming, then one run of pixels a column is chosen, again
by dynamic programming. Markers, error bars and caps stand above and below the curve alike, so that the middle of a run
is right where they are; at a sharp peak only one side is the curve's. Knows neither axes nor names.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.errors import AbstainError
from ocr_worker.charts.picture import Mask

MAX_PIECES = 160
"""Pieces of one colour that are chained, the largest. A dotted line across 1,600 pixels has some 250 dots: coarser
pieces of it suffice, since closing joins them first."""

MAX_RUNS = 8
"""Runs of one column that are weighed, the longest."""

BRANCHED = 0.18
"""Share of columns with a second run as strong as the first from which two curves have this colour. Caps of error bars
take up to 0.12."""

AT_BORDER = 3
"""Pixels from the border of the plot area within which a curve reaches it."""

THICK_STROKE = 5.0
"""Pixels from which the slant of a stroke's end shows in its last heights."""

DASH_SHARE = 0.05
"""Gaps of up to this share of the width are those of dashes, markers and crossings; the curve runs straight through."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trace:
    """A curve: `columns` rise, one height each. `stroke` is the line's width, `coverage` the share of columns with
    ink."""

    columns: npt.NDArray[np.int64]
    heights: Floats
    stroke: float
    coverage: float
    branched: float
    """Share of columns in which another run of the colour could be the curve as well."""
    widest_gap: int


def trace(mask: Mask, marker_px: float, deadline: Deadline) -> Trace:
    """`mask`: [height, width]; `marker_px`: height of the handle's marker, 0 without one. Raises AbstainError."""
    solid = fill_holes(mask, max(24.0, 2.2 * marker_px))
    if solid.sum() < 12:
        raise AbstainError("low_coverage")
    deadline.check()
    chain = _chain(solid, deadline)
    columns, tops, feet = _path(chain, deadline)
    if len(columns) < 8:
        raise AbstainError("low_coverage")
    stroke = _stroke(tops, feet)
    heights = _heights(columns, tops, feet, stroke)
    heights = _without_spikes(columns, tops, feet, heights, stroke)
    columns, heights, tops, feet = _without_end_markers(columns, heights, tops, feet, stroke, marker_px, mask.shape[1])
    gaps = np.diff(columns)
    bridged = max(6, round(DASH_SHARE * mask.shape[1]))
    covered = 1 + float(gaps[gaps <= bridged].sum())
    return Trace(
        columns,
        heights,
        stroke,
        coverage=covered / float(columns[-1] - columns[0] + 1),
        branched=_branched(solid, columns, tops, feet, stroke, marker_px),
        widest_gap=int(gaps.max()) if len(gaps) else 0,
    )


def fill_holes(mask: Mask, largest: float) -> Mask:
    """Hollow markers become solid: holes no wider and higher than `largest` pixels are filled."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return mask
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]  # a hole lies within the ink
    part = mask[box]
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~part).astype(np.uint8), connectivity=4)
    if count > 4000:
        return mask
    small = (stats[:, 2] <= largest) & (stats[:, 3] <= largest) & (stats[:, 4] <= 0.8 * largest * largest)
    small[0] = False
    at_border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    small[at_border] = False
    filled = mask.copy()
    filled[box] = part | small[labels]
    return filled


def _chain(mask: Mask, deadline: Deadline) -> Mask:
    """The pieces that follow each other from left to right as one curve would."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    order = np.argsort(stats[1:, 4])[::-1][:MAX_PIECES] + 1
    order = order[np.argsort(stats[order, 0], kind="stable")]
    width = mask.shape[1]
    start = stats[order, 0].astype(np.float64)
    end = start + stats[order, 2] - 1
    left, right = _end_heights(np.asarray(labels, np.int32), np.asarray(stats, np.int32), order)
    rise, tall = right - left, stats[order, 3].astype(np.float64)
    # A vertical piece of a step has few columns and still is the curve.
    weight = np.maximum(stats[order, 2], 0.15 * stats[order, 3]).astype(np.float64)
    typical = float(np.median(np.minimum(stats[order, 2], stats[order, 3])))
    score = weight.copy()
    before = np.full(len(order), -1)
    for i in range(1, len(order)):
        if i % 40 == 0:
            deadline.check()
        gap = start[i] - end[:i]
        overlap = np.minimum(0.3 * np.minimum(end[:i] - start[:i], end[i] - start[i]) + 2, 14)
        able = gap >= -overlap
        step = left[i] - right[:i]
        # Between the dashes of a steep curve lie few columns and many rows, but no more than a dash has.
        goes_on = (np.sign(step) == np.sign(rise[i])) & (np.sign(step) == np.sign(rise[:i]))
        steep = np.where(goes_on, np.minimum(tall[:i], tall[i]), 0)
        apart = np.maximum(np.abs(step) - typical - np.maximum(0.4 * np.maximum(gap, 0), steep), 0)
        cost = 0.35 * np.maximum(gap, 0) + 0.8 * apart
        gain = np.where(able & (cost < 0.5 * width), score[:i] - cost, -np.inf)
        best = int(gain.argmax())
        if gain[best] > 0:
            score[i] += gain[best]
            before[i] = best
    chosen = []
    at = int(score.argmax())
    while at >= 0:
        chosen.append(order[at])
        at = int(before[at])
    keep = np.zeros(count, np.bool_)
    keep[chosen] = True
    return np.asarray(keep[labels] & mask)


def _end_heights(
    labels: npt.NDArray[np.int32], stats: npt.NDArray[np.int32], order: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """The heights at which each piece begins and ends."""
    left, right = [], []
    for index in order:
        x, y, w, h, _ = stats[index]
        part = labels[y : y + h, x : x + w] == index
        left.append(y + float(np.flatnonzero(part[:, 0]).mean()))
        right.append(y + float(np.flatnonzero(part[:, -1]).mean()))
    return np.array(left), np.array(right)


def runs(mask: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Column, first and last row of every vertical run of pixels, ordered by column and row."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    first, height = int(rows[0]), int(rows[-1] - rows[0]) + 1
    padded = np.zeros((mask.shape[1], height + 2), np.bool_)
    padded[:, 1:-1] = mask[first : first + height].T
    change = np.flatnonzero(padded[:, 1:] != padded[:, :-1])  # in turn where a run begins and where it has ended
    columns, tops = np.divmod(change[::2], height + 1)
    return columns, tops + first, change[1::2] % (height + 1) + first - 1


def _path(mask: Mask, deadline: Deadline) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """One run for each column that has any: the sequence with the least vertical movement. Columns, tops, feet."""
    columns, tops, feet = runs(mask)
    if not len(columns):
        raise AbstainError("low_coverage")
    firsts = np.flatnonzero(np.concatenate([[True], np.diff(columns) > 0]))
    bounds = [*firsts.tolist(), len(columns)]
    costs: list[list[float]] = []
    backs: list[list[int]] = []
    kept: list[list[int]] = []
    for number, (a, b) in enumerate(itertools.pairwise(bounds)):
        if number % 200 == 0:
            deadline.check()
        now = list(range(a, b))
        if len(now) > MAX_RUNS:
            now = sorted(sorted(now, key=lambda k: tops[k] - feet[k])[:MAX_RUNS])
        kept.append(now)
        if number == 0:
            costs.append([0.0] * len(now))
            backs.append([-1] * len(now))
            continue
        gap = float(columns[a] - columns[bounds[number - 1]])
        row_costs, row_backs = [], []
        for k in now:
            best, back = float("inf"), -1
            top, foot = float(tops[k]), float(feet[k])
            for index, j in enumerate(kept[number - 1]):
                away = max(0.0, tops[j] - foot, top - feet[j])
                moved = abs((top + foot) - float(tops[j] + feet[j])) / 2
                cost = costs[number - 1][index] + (away + 0.2 * moved) / gap**0.5
                if cost < best:
                    best, back = cost, index
            # A longer run is more likely the curve than a rest of an edge.
            row_costs.append(best - 0.02 * min(foot - top, 6.0))
            row_backs.append(back)
        costs.append(row_costs)
        backs.append(row_backs)
    at = int(np.argmin(costs[-1]))
    chosen = []
    for number in range(len(kept) - 1, -1, -1):
        chosen.append(kept[number][at])
        at = backs[number][at]
    picked = np.array(chosen[::-1])
    return columns[picked], tops[picked].astype(np.float64), feet[picked].astype(np.float64)


def _stroke(tops: Floats, feet: Floats) -> float:
    """The line's width: in flat stretches a run is as high as the line is wide."""
    return float(np.percentile(feet - tops + 1, 20))


def _heights(columns: npt.NDArray[np.int64], tops: Floats, feet: Floats, stroke: float) -> Floats:
    """The middle of each run, but at a sharp turn the middle of the stroke at the outer end of the run."""
    middle = (tops + feet) / 2
    if len(columns) < 5:
        return middle
    reach = 2
    before_t, after_t = np.roll(tops, reach), np.roll(tops, -reach)
    before_f, after_f = np.roll(feet, reach), np.roll(feet, -reach)
    tall = (feet - tops + 1) > 1.6 * stroke + 1
    peak = tall & (tops < before_t - 0.5) & (tops < after_t - 0.5) & (feet <= np.maximum(before_f, after_f) + 1)
    dip = tall & (feet > before_f + 0.5) & (feet > after_f + 0.5) & (tops >= np.minimum(before_t, after_t) - 1)
    inner = np.zeros(len(columns), np.bool_)
    inner[reach:-reach] = True
    middle = np.where(peak & ~dip & inner, tops + (stroke - 1) / 2, middle)
    return np.asarray(np.where(dip & ~peak & inner, feet - (stroke - 1) / 2, middle))


def _without_spikes(
    columns: npt.NDArray[np.int64], tops: Floats, feet: Floats, heights: Floats, stroke: float
) -> Floats:
    """Error bars: a few columns that are much taller than those on both sides, which meet within them."""
    tall = (feet - tops + 1) > 3.0 * stroke + 2
    if not tall.any() or tall.mean() > 0.4:
        return heights
    heights = heights.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], tall.astype(np.int8), [0]])))
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        if columns[b - 1] - columns[a] + 1 > 2.2 * stroke + 3 or a < 2 or b > len(columns) - 2:
            continue
        left, right = heights[max(a - 2, 0)], heights[min(b + 1, len(heights) - 1)]
        inside = tops[a:b].min() <= min(left, right) and max(left, right) <= feet[a:b].max()
        size = float((feet[a:b] - tops[a:b]).max())
        if inside and abs(left - right) < 0.5 * size:
            heights[a:b] = np.interp(columns[a:b], [columns[a] - 2, columns[b - 1] + 2], [left, right])
    return heights


def _without_end_markers(
    columns: npt.NDArray[np.int64],
    heights: Floats,
    tops: Floats,
    feet: Floats,
    stroke: float,
    marker_px: float,
    width: int,
) -> tuple[npt.NDArray[np.int64], Floats, Floats, Floats]:
    """A marker at an end reaches beyond the point, as half the stroke does: both are cut off.

    The outer half of a marker is without the line, so that its middle is the point's height. The end of a thick stroke
    is cut straight or slantwise, so that its last heights follow from those before them.
    """
    heights = heights.copy()
    first, last = 0, len(columns) - 1
    half = max(round(marker_px / 2), 1)
    with_markers = marker_px > 1.7 * stroke + 1
    for side in (0, 1):
        order = slice(None) if side == 0 else slice(None, None, -1)
        away = np.abs(columns[order] - columns[order][0])
        sizes, middles, course = (feet - tops + 1)[order], ((tops + feet) / 2)[order], heights[order]
        at_border = (columns[0] <= AT_BORDER) if side == 0 else (columns[-1] >= width - 1 - AT_BORDER)
        if at_border and not (with_markers and _whole_marker(away, sizes, stroke, marker_px)):
            if with_markers:  # half a marker: the line behind it goes on straight
                _extrapolate(away, course, half + 1, 3 * half + 4)
            continue
        near = sizes[away <= half]
        has_marker = with_markers and len(near) > 1 and 0.7 * marker_px <= near.max() and near[0] < 1.05 * marker_px
        if has_marker:
            moved = min(int(np.searchsorted(away, max(half - 0.5, 0))), (len(columns) - 5) // 2)
            course[moved] = float(np.median(middles[: moved + 1]))
        elif sizes[0] > 1.8 * stroke + 1 and len(course) > 8:
            moved = 0
            inner = float(middles[min(int(np.searchsorted(away, stroke + 4)), len(middles) - 1)])
            low, high = tops[order][0] + 0.25 * sizes[0], feet[order][0] - 0.25 * sizes[0]
            if low < inner < high:  # an error bar: the curve goes on from its middle
                course[away <= stroke + 3] = inner
            else:  # a steep end: it lies at the end of its run that is away from the rest
                course[0] = feet[order][0] - (stroke - 1) / 2 if inner <= low else tops[order][0] + (stroke - 1) / 2
        else:
            moved = min(int(np.searchsorted(away, max(round(stroke / 2) - 0.5, 0))), (len(columns) - 5) // 2)
            if stroke >= THICK_STROKE:
                _extrapolate(away, course, 1.3 * stroke, 3.2 * stroke + 3)
        if side == 0:
            first = max(moved, 0)
        else:
            last -= max(moved, 0)
    part = slice(first, last + 1)
    return columns[part], heights[part], tops[part], feet[part]


def _whole_marker(away: npt.NDArray[np.int64], sizes: Floats, stroke: float, marker_px: float) -> bool:
    """Whether a marker at the border is all there, so that the curve ends in its middle: none that the border cuts."""
    inner = sizes[(away > 1.3 * marker_px) & (away <= 3 * marker_px)]
    usual = float(np.median(inner)) if len(inner) else 0.0  # a steep line is as high everywhere
    thin = np.flatnonzero(sizes <= max(1.5 * stroke + 1, 1.2 * usual + 1))
    thick = thin[thin > 1]
    wide = float(away[thick[0]]) if len(thick) else 0.0
    return 0.8 * marker_px <= wide <= 1.6 * marker_px


def _extrapolate(away: npt.NDArray[np.int64], course: Floats, start: float, end: float) -> None:
    """Sets the heights up to `start` pixels from an end to the straight line through those from there to `end`."""
    inner = (away > start) & (away <= end)
    if inner.sum() >= 3 and np.ptp(away[inner]) >= 2:
        a, b = np.polyfit(away[inner].astype(np.float64), course[inner], 1)
        course[away <= start] = a * away[away <= start] + b


def _branched(
    mask: Mask, columns: npt.NDArray[np.int64], tops: Floats, feet: Floats, stroke: float, marker_px: float
) -> float:
    """Share of the curve's columns that hold another run, as strong as the stroke and further off than a marker."""
    all_columns, all_tops, all_feet = runs(mask)
    place = np.full(mask.shape[1], -1)
    place[columns] = np.arange(len(columns))
    own = place[all_columns]
    known = own >= 0
    own = own[known]
    away = np.maximum(all_tops[known] - feet[own], tops[own] - all_feet[known])
    strong = (all_feet[known] - all_tops[known] + 1) >= max(0.6 * stroke, 1)
    far = strong & (away > max(1.5 * stroke, 0.6 * marker_px) + 2)
    return float(len(np.unique(own[far])) / len(columns))
