"""Computes the facts of a synthetic figure: trend of each curve, highest curve, crossings.

What "rises" or "crosses" means is defined in `llava_graph.curves`, which chart reader and checks call, too; this module
applies it to a generated panel. Nothing here knows how a figure looks or what is said of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.synthetic.spec import Panel
from llava_graph import curves
from llava_graph.curves import Range, Trend, range_of

__all__ = ["PanelFacts", "SeriesFacts", "Trend", "panel_facts", "trend"]


def trend(ys: Sequence[float], low: float, high: float) -> Trend:
    """The shape of a curve within a panel that shows `low`..`high`, on a linear axis."""
    return curves.trend(ys, Range(low, high))


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
    values = [y for series in panel.series for y in series.y]
    shown = range_of(values, "log" if panel.y.log else "linear", from_zero=bool(panel.categories))
    is_cloud = panel.kind == "scatter"
    facts = []
    for series in panel.series:
        peak_at, low_at = curves.extrema(series.y, shown, is_cloud)
        start, end = curves.ends(series.y, is_cloud)
        shape = curves.trend(series.y, shown)
        highest, lowest = series.y[peak_at], series.y[low_at]
        facts.append(SeriesFacts(series.name, shape, start, end, highest, lowest, peak_at, low_at))
    order, clear_top = curves.order([series.y for series in panel.series], shown)
    return PanelFacts(tuple(facts), order, clear_top, _crossing(panel, shown))


def _crossing(panel: Panel, shown: Range) -> tuple[int, int, float] | None:
    if panel.kind != "line" or len(panel.series) != 2:
        return None
    first, second = panel.series
    found = curves.crossing(first.x, first.y, second.y, shown, "log" if panel.x.log else "linear")
    return (0, 1, found[0]) if found else None
