"""What is true of a figure: how each curve runs, which one is highest, where curves cross.

All thresholds are shares of the panel's visible range, since a reader judges by the eye: a curve that moves by less
than a tenth of the axis looks flat whatever its numbers say. On a log axis heights are compared as logarithms, for the
same reason. Nothing here knows how a figure looks or what is said of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from synthetic.spec import Panel

Trend = Literal["rises", "falls", "flat", "peaks", "dips", "unclear"]

_FLAT_BELOW = 0.10
_MOVES_ABOVE = 0.25
_TURN_ABOVE = 0.25


def trend(ys: Sequence[float], low: float, high: float) -> Trend:
    """The shape of a curve within a panel that shows `low`..`high`; noise is smoothed away first."""
    if high == low:
        return "flat"
    heights = _smooth([(y - low) / (high - low) for y in ys])
    start, end = heights[0], heights[-1]
    top, bottom = max(heights), min(heights)
    if top - bottom < _FLAT_BELOW * 1.5 and abs(end - start) < _FLAT_BELOW:
        return "flat"
    if top - max(start, end) > _TURN_ABOVE and min(start, end) - bottom < _FLAT_BELOW:
        return "peaks"
    if min(start, end) - bottom > _TURN_ABOVE and top - max(start, end) < _FLAT_BELOW:
        return "dips"
    if top - max(start, end) > _FLAT_BELOW or min(start, end) - bottom > _FLAT_BELOW:
        return "unclear"
    if end - start > _MOVES_ABOVE:
        return "rises"
    if start - end > _MOVES_ABOVE:
        return "falls"
    return "unclear"


def _smooth(heights: list[float]) -> list[float]:
    """A centred moving average over about a tenth of the points."""
    reach = len(heights) // 20
    return [
        sum(heights[max(i - reach, 0) : i + reach + 1]) / len(heights[max(i - reach, 0) : i + reach + 1])
        for i in range(len(heights))
    ]


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """`peak_at` and `low_at` are indices of points; values are in the units of the y axis."""

    name: str
    trend: Trend
    start: float
    end: float
    highest: float
    lowest: float
    peak_at: int
    low_at: int


@dataclass(frozen=True, slots=True)
class PanelFacts:
    """`order` lists the series from the highest to the lowest mean height; `clear_top`: the first stands out.

    `crossing` is (series, series, x value) for two curves that cross exactly once, far from their ends.
    """

    series: tuple[SeriesFacts, ...]
    order: tuple[int, ...]
    clear_top: bool
    crossing: tuple[int, int, float] | None


def panel_facts(panel: Panel) -> PanelFacts:
    low, high = panel.y_span
    height = (lambda v: math.log10(v)) if panel.y.log else (lambda v: v)
    low, high = height(low), height(high)
    if panel.categories:
        low = min(low, 0.0)
    facts = []
    means = []
    for series in panel.series:
        heights = [height(v) for v in series.y]
        smooth = _smooth(heights) if panel.kind == "scatter" else heights
        peak_at = max(range(len(smooth)), key=smooth.__getitem__)
        low_at = min(range(len(smooth)), key=smooth.__getitem__)
        start, end = (_smooth(list(series.y))[i] if panel.kind == "scatter" else series.y[i] for i in (0, -1))
        facts.append(
            SeriesFacts(
                series.name, trend(heights, low, high), start, end, series.y[peak_at], series.y[low_at], peak_at, low_at
            )
        )
        means.append(sum(heights) / len(heights))
    order = tuple(sorted(range(len(means)), key=lambda i: -means[i]))
    clear_top = len(order) > 1 and means[order[0]] - means[order[1]] > 0.12 * (high - low)
    return PanelFacts(tuple(facts), order, clear_top, _crossing(panel, low, high))


def _crossing(panel: Panel, low: float, high: float) -> tuple[int, int, float] | None:
    if panel.kind != "line" or len(panel.series) != 2:
        return None
    first, second = panel.series
    log = math.log10 if panel.y.log else float
    gaps = [(log(a) - log(b)) / (high - low) for a, b in zip(first.y, second.y, strict=True)]
    changes = [i for i in range(1, len(gaps)) if gaps[i - 1] * gaps[i] < 0]
    if len(changes) != 1 or abs(gaps[0]) < 0.15 or abs(gaps[-1]) < 0.15:
        return None
    i = changes[0]
    share = gaps[i - 1] / (gaps[i - 1] - gaps[i])
    left, right = first.x[i - 1], first.x[i]
    # Between its points a curve is drawn straight, also on a log axis.
    return 0, 1, left * (right / left) ** share if panel.x.log else left + share * (right - left)
