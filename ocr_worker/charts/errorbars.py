"""Finds error bars on a traced curve: upright strokes through its points, as long above as below.

An error bar at an end looks like a steep last piece of a curve. Where others like it stand along the curve it is none,
and its middle is the curve's last point. Knows neither axes nor names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ocr_worker.charts.picture import Mask
from ocr_worker.charts.tracing import AT_BORDER, Trace, runs

LEAST_BARS = 2
"""Error bars along a curve, its ends apart, from which a stroke like them at an end is one too."""

MOSTLY = 0.6
"""Share of a curve's tall places that must be error bars: a jagged curve has a few that look so."""

TALL = 3.0
"""Times the stroke, and two pixels, from which a run is more than the curve and its slope."""

EVEN = 0.15
"""Share of an error bar's length that its middle may lie off the curve."""

THIN = 0.5
"""Share of its length that the curve may have right beside an error bar: flanks of a peak are higher."""

LIKE = 0.5
"""Least length of an end's error bar as a share of the shortest of the others; as much longer it may be."""

INWARD = 3
"""Reaches of a marker or stroke over which the course to an end is taken to be straight."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """The run that lies on the curve in each column, zero-high where there is none."""

    tops: npt.NDArray[np.float64]
    feet: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.float64]
    course: npt.NDArray[np.float64]
    height: int  # of the area


def with_bars_at_ends(traced: Trace, mask: Mask, marker_px: float) -> tuple[Trace, tuple[bool, bool]]:
    """The curve with its ends in the middles of the error bars there, and which of its ends have one."""
    if not len(traced.columns):
        return traced, (False, False)
    columns = _on_curve(traced, mask)
    lengths = _along(traced, columns, marker_px)
    if len(lengths) < LEAST_BARS:
        return traced, (False, False)
    found = []
    for side in (0, 1):
        bar = _at_end(traced, columns, lengths, marker_px, side)
        found.append(bar is not None)
        if bar is not None:
            traced = _ended_at(traced, bar, _reach(traced, marker_px), side)
    return traced, (found[0], found[1])


def _on_curve(traced: Trace, mask: Mask) -> _Columns:
    """Of several runs that touch the curve in a column the tallest."""
    at, tops, feet = runs(mask)
    course = np.interp(np.arange(mask.shape[1]), traced.columns, traced.heights)
    near = (tops <= course[at] + 2) & (feet >= course[at] - 2)
    at, tops, feet = at[near], tops[near], feet[near]
    order = np.argsort(feet - tops, kind="stable")  # the tallest is written last
    found = np.zeros((3, mask.shape[1]))
    found[0, at[order]], found[1, at[order]], found[2, at[order]] = tops[order], feet[order], (feet - tops + 1)[order]
    return _Columns(found[0], found[1], found[2], course, mask.shape[0])


def _reach(traced: Trace, marker_px: float) -> int:
    """Columns within which an end's error bar stands: a cap or a marker goes further out than its point."""
    return round(max(2 * traced.stroke + 4, marker_px)) + 4


def _along(traced: Trace, columns: _Columns, marker_px: float) -> npt.NDArray[np.float64]:
    """Lengths of the error bars between the ends; empty where most tall places are none."""
    away = _reach(traced, marker_px)
    first, last = int(traced.columns[0]) + away, int(traced.columns[-1]) - away
    tall = columns.sizes > max(TALL * traced.stroke + 2, 1.2 * marker_px)
    tall[: max(first, 0)] = tall[max(last, 0) :] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[0], tall.astype(np.int8), [0]])))
    spans = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    lengths = [columns.sizes[a:b].max() for a, b in spans if _is_bar(traced, columns, a, b)]
    return np.array(lengths if len(lengths) >= MOSTLY * len(spans) else [], np.float64)


def _is_bar(traced: Trace, columns: _Columns, start: int, stop: int) -> bool:
    """Whether a tall place is narrow, stands out from the curve beside it and lies evenly on it."""
    if stop - start > 2.2 * traced.stroke + 3:
        return False
    at = start + int(columns.sizes[start:stop].argmax())
    size, middle = columns.sizes[at], (columns.tops[at] + columns.feet[at]) / 2
    beside = [max(start - 2, 0), min(stop + 1, len(columns.sizes) - 1)]
    is_thin = bool((columns.sizes[beside] <= THIN * size).all())
    # A step of the curve has its two levels at the two ends of the run.
    levels = columns.course[[max(start - 3, 0), min(stop + 2, len(columns.sizes) - 1)]]
    is_even = abs(levels.mean() - middle) <= EVEN * size and bool((np.abs(levels - middle) <= THIN / 2 * size).all())
    return is_thin and is_even


def _at_end(
    traced: Trace, columns: _Columns, lengths: npt.NDArray[np.float64], marker_px: float, side: int
) -> tuple[int, float] | None:
    """The column and the middle row of the error bar at the left or right end, if there is one like the others."""
    away, step = _reach(traced, marker_px), 1 if side == 0 else -1
    end = int(traced.columns[-side])
    near = np.arange(max(end - away, 0), min(end + away + 1, len(columns.sizes)))
    sizes = columns.sizes[near]
    size = float(sizes.max())
    if not LIKE * lengths.min() <= size <= lengths.max() / LIKE or size <= TALL * traced.stroke + 2:
        return None
    tallest = near[sizes >= 0.9 * size]
    if np.ptp(tallest) > 2.2 * traced.stroke + 3:
        return None
    at = int(np.median(tallest))
    top, foot = float(columns.tops[tallest].min()), float(columns.feet[tallest].max())
    if top <= AT_BORDER or foot >= columns.height - 1 - AT_BORDER:  # cut off, its middle is not known
        return None
    inner = at + step * np.arange(round(traced.stroke) + 3 + round(marker_px / 2), INWARD * away)
    inner = inner[(inner >= traced.columns[0]) & (inner <= traced.columns[-1])]
    if len(inner) < away:
        return None
    # Past caps and markers the course is that of the line.
    slope, level = np.polyfit(inner - at, columns.course[inner], 1)
    middle = (top + foot) / 2
    return (at, middle) if abs(level - middle) <= EVEN * size + abs(slope) else None


def _ended_at(traced: Trace, bar: tuple[int, float], away: int, side: int) -> Trace:
    """The curve from the middle of its end's error bar on, straight to where markers and caps no longer disturb it."""
    at, middle = bar
    kept = traced.columns > at + away if side == 0 else traced.columns < at - away
    columns, heights = traced.columns[kept], traced.heights[kept]
    between = np.arange(at, columns[0]) if side == 0 else np.arange(columns[-1] + 1, at + 1)
    inner = (float(columns[0]), float(heights[0])) if side == 0 else (float(columns[-1]), float(heights[-1]))
    places, rows = zip(*sorted([(float(at), middle), inner]), strict=True)
    straight = np.interp(between, places, rows)
    parts = ((between, straight), (columns, heights)) if side == 0 else ((columns, heights), (between, straight))
    return replace(
        traced,
        columns=np.concatenate([part[0] for part in parts]),
        heights=np.concatenate([part[1] for part in parts]),
    )
