"""Facts of curves, bars and points: the one definition of trend, peak, dip, order, clear top and crossing.

The generator of synthetic figures, the evaluation, the chart reader and the checks of answers all call this module, so
that "rises" means the same in a training text, in a score and in a claim. Functions take plain sequences in axis units
and a `Range`; `facts_of` fills in the facts of a panel that a reader has read.

All thresholds are shares of the range that the data of the panel cover, since a reader judges by the eye: a curve that
moves by less than a tenth of it looks flat whatever its numbers say. On a logarithmic axis heights are compared as
logarithms, for the same reason. How a chart is drawn, read or told is not known here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llava_graph.chart import Axis, AxisScale, Fact, Panel, Point, Series

Trend = Literal["rises", "falls", "flat", "peaks", "dips", "unclear"]

_FLAT_BELOW = 0.10
_MOVES_ABOVE = 0.25
_TURN_ABOVE = 0.25
_TOP_STANDS_OUT_ABOVE = 0.12
_APART_AT_ENDS = 0.15
"""Curves that cross must lie this far apart at both ends, or it is as good to say that they touch."""

_MARGIN = 0.1
"""A fact read from pixels is claimed only when every threshold raised and lowered by this share gives the same fact."""

_COMPLETE = 0.95
"""Coverage from which a curve whose end is not known left the plot area there, rather than being lost on its way."""

_UNSEEN_AT_ENDS = 0.15
"""Share of the x axis that may lie beyond the ends of a curve that are not known, for the rest of it to tell where it
is highest and lowest."""

_UNSEEN_FOR_TREND = 0.30
"""The same for its trend: of 314 such curves of 3,000 figures of the generator it was right of 313."""

_MOSTLY_SEEN = 0.75
"""Coverage that the rest of such a curve must have: of less, a turn may lie in what was not traced."""

_PARTLY_SEEN = 0.7
_UNSEEN_OF_PARTLY_SEEN = 0.08
"""Coverage of a curve with ink of its colour off an end, with which it would have another trend, and how little of the
x axis may then lie beyond its ends: of 48 such curves the trend was right of all, of 21 with more beyond of 19."""

_FAR_FROM_ENDS = 0.5
"""Share of the y axis by which an extremum must stand out from an end that is not known: unseen, the curve would have
to come back as far. Of 158 such values, 156 were right within 5 % of the axis."""

_STRONG_CORRELATION = 0.8
"""Pearson's r from which a cloud of points rises or falls, whatever its course looks like."""

_SAME_PLACE = 0.03
"""Share of the x axis within which two places are one: an extremum that is reached further apart has no place."""

_LEAST_HEIGHT_TOLERANCE = 0.005

_LARGEST = 1e100
"""No axis shows more; within it no square overflows."""


@dataclass(frozen=True, slots=True)
class Range:
    """The values that the data of a panel cover along one axis. On a log scale both ends must be above zero."""

    low: float
    high: float
    scale: AxisScale = "linear"

    def level(self, value: float) -> float:
        """The value as it is drawn: its decimal logarithm on a log axis. Raises ValueError for the log of 0 or less."""
        return math.log10(value) if self.scale == "log" else value

    def value(self, level: float) -> float:
        """The inverse of `level`."""
        return 10.0**level if self.scale == "log" else level

    @property
    def extent(self) -> float:
        return self.level(self.high) - self.level(self.low)

    def height(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        return (self.level(value) - self.level(self.low)) / self.extent

    def share(self, first: float, second: float) -> float:
        """How far two values lie apart, as a share of the range; infinite for what a log axis cannot hold."""
        if self.scale == "log" and min(first, second) <= 0:
            return 0.0 if first == second else math.inf
        if self.extent == 0:
            return 0.0 if first == second else math.inf
        return abs(self.level(first) - self.level(second)) / abs(self.extent)


def range_of(values: Sequence[float], scale: AxisScale = "linear", from_zero: bool = False) -> Range:
    """The range that values cover; `from_zero` for bars, which stand on zero. Raises ValueError for no values."""
    low, high = min(values), max(values)
    return Range(min(low, 0.0), max(high, 0.0), scale) if from_zero else Range(low, high, scale)


def smoothed(values: Sequence[float]) -> list[float]:
    """A centred moving average over about a tenth of the values; under 20 values stay as they are."""
    reach = len(values) // 20
    windows = (values[max(i - reach, 0) : i + reach + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def trend(values: Sequence[float], shown: Range, thresholds: float = 1.0) -> Trend:
    """The shape of a curve within the range of its panel; noise is smoothed away first.

    `thresholds` scales all thresholds: a shape that 0.9 and 1.1 agree on is no borderline case.
    """
    if shown.extent == 0:
        return "flat"
    heights = smoothed([shown.height(value) for value in values])
    flat_below, moves_above, turn_above = (t * thresholds for t in (_FLAT_BELOW, _MOVES_ABOVE, _TURN_ABOVE))
    start, end = heights[0], heights[-1]
    top, bottom = max(heights), min(heights)
    if top - bottom < flat_below * 1.5 and abs(end - start) < flat_below:
        return "flat"
    if top - max(start, end) > turn_above and min(start, end) - bottom < flat_below:
        return "peaks"
    if min(start, end) - bottom > turn_above and top - max(start, end) < flat_below:
        return "dips"
    if top - max(start, end) > flat_below or min(start, end) - bottom > flat_below:
        return "unclear"
    if end - start > moves_above:
        return "rises"
    if start - end > moves_above:
        return "falls"
    return "unclear"


def extrema(values: Sequence[float], shown: Range, is_cloud: bool = False) -> tuple[int, int]:
    """Indices of the highest and the lowest point; of a cloud of points, where its smoothed course is so."""
    levels: Sequence[float] = [shown.level(value) for value in values]
    if is_cloud:
        levels = smoothed(levels)
    places = range(len(levels))
    return max(places, key=levels.__getitem__), min(places, key=levels.__getitem__)


def ends(values: Sequence[float], is_cloud: bool = False) -> tuple[float, float]:
    """The values at the left and the right end; of a cloud of points, those of its smoothed course."""
    course = smoothed(values) if is_cloud else values
    return course[0], course[-1]


def order(curves: Sequence[Sequence[float]], shown: Range, thresholds: float = 1.0) -> tuple[tuple[int, ...], bool]:
    """The curves from the highest to the lowest mean height, and whether the first of them clearly stands out."""
    means = [sum(shown.level(value) for value in values) / len(values) for values in curves]
    ranks = tuple(sorted(range(len(means)), key=lambda i: -means[i]))
    least = _TOP_STANDS_OUT_ABOVE * thresholds * shown.extent
    return ranks, len(ranks) > 1 and means[ranks[0]] - means[ranks[1]] > least


def crossing(
    places: Sequence[float],
    first: Sequence[float],
    second: Sequence[float],
    shown: Range,
    x_scale: AxisScale = "linear",
    tolerance: float = 0.0,
    thresholds: float = 1.0,
) -> tuple[float, float] | None:
    """Where two curves through the same `places` cross, as (x, y), if they do so exactly once, far from their ends.

    Points at which they are closer than `tolerance`, a share of the range, do not say which one is above.
    """
    if shown.extent == 0 or not places:
        return None
    gaps = [(shown.level(a) - shown.level(b)) / shown.extent for a, b in zip(first, second, strict=True)]
    apart = _APART_AT_ENDS * thresholds
    if abs(gaps[0]) < apart or abs(gaps[-1]) < apart:
        return None
    telling = [i for i, gap in enumerate(gaps) if abs(gap) >= tolerance]
    changes = [(i, j) for i, j in itertools.pairwise(telling) if gaps[i] * gaps[j] < 0]
    if len(changes) != 1:
        return None
    i, j = changes[0]
    share = gaps[i] / (gaps[i] - gaps[j])
    left, right = places[i], places[j]
    # Between its points a curve is drawn straight, also on a log axis.
    x = left * (right / left) ** share if x_scale == "log" else left + share * (right - left)
    return x, shown.value(shown.level(first[i]) + share * (shown.level(first[j]) - shown.level(first[i])))


def correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Pearson's r; None where one of the two does not vary."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    off_x, off_y = [x - mean_x for x in xs], [y - mean_y for y in ys]
    spread = math.hypot(*off_x) * math.hypot(*off_y)
    if spread == 0:
        return None
    return min(max(sum(a * b for a, b in zip(off_x, off_y, strict=True)) / spread, -1.0), 1.0)


def trend_by(r: float | None) -> Trend | None:
    """The direction of a cloud by its correlation, or None for a correlation that is not clearly strong."""
    if r is None or abs(r) < _STRONG_CORRELATION:
        return None
    return "rises" if r > 0 else "falls"


def facts_of(panel: Panel) -> tuple[Series, ...]:
    """The series of a panel with their facts filled in, as far as they can be claimed; facts that were there go.

    Along an axis that is drawn the other way round "rises" is ambiguous, so no trend and no ends are claimed.
    A series without facts stands for an abstained one, and for every series where the y axis has no scale. A value at
    an end that is not known is no fact. A trend must be clear by a margin; where a series of the panel is missing, it
    must hold in the range of the known ones and in that of the whole axis, and no series is the highest overall. A row
    of bars of which one was not read has no facts: the missing one may be the highest.
    """
    numbers = [_Numbers.of(series, panel) for series in panel.series]
    known = [n for n in numbers if n is not None]
    if panel.abstained or panel.kind == "other" or panel.y.scale in (None, "category") or not known:
        return tuple(replace(series, facts=()) for series in panel.series)
    has_bars = panel.kind in ("bar", "grouped_bar", "stacked_bar")
    scale: AxisScale = panel.y.scale or "linear"
    shown = range_of([y for n in known for y in n.ys], scale, from_zero=has_bars and scale != "log")
    is_whole = len(known) == len(panel.series) and not any(_lacks_bars(series, panel) for series in panel.series)
    axis = _axis_range(panel.y, shown)
    ranges = [shown] if is_whole else [shown, axis]
    facts: list[list[Fact]] = [
        [] if n is None else _own_facts(series, n, panel, axis, ranges)
        for series, n in zip(panel.series, numbers, strict=True)
    ]
    if is_whole and len(known) > 1 and panel.kind in ("line", "scatter", "grouped_bar"):
        curves = [n.ys for n in known]
        if all(order(curves, shown, t)[1] for t in _both_sides()):
            facts[order(curves, shown)[0][0]].append(Fact("highest_overall"))
    if panel.kind == "line" and panel.x.scale in ("linear", "log", "date"):
        for i, first in enumerate(numbers):
            for j in range(i + 1, len(numbers)):
                second = numbers[j]
                if first and second and (found := _crossing_of(first, second, shown, panel.x.scale)):
                    facts[i].append(Fact("crossing", x=found[0], y=found[1], other=j))
    return tuple(replace(series, facts=tuple(own)) for series, own in zip(panel.series, facts, strict=True))


def _lacks_bars(series: Series, panel: Panel) -> bool:
    """Whether a category of the panel has no bar of the series."""
    return panel.kind in ("bar", "grouped_bar", "stacked_bar") and len(series.points) < len(panel.x.categories)


def _axis_range(axis: Axis, shown: Range) -> Range:
    """What the whole axis shows, or what its data cover where that is not known."""
    low, high, scale = axis.low, axis.high, axis.scale or "linear"
    if (
        low is None
        or high is None
        or low == high
        or max(abs(low), abs(high)) > _LARGEST
        or (scale == "log" and min(low, high) <= 0)
    ):
        return shown
    return Range(min(low, high), max(low, high), scale)


def _both_sides() -> tuple[float, float]:
    return 1 - _MARGIN, 1 + _MARGIN


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The points of a claimed series from left to right. `at` holds each one's place as a share of the x axis."""

    places: tuple[float | str, ...]
    at: tuple[float, ...]
    ys: tuple[float, ...]
    y_tolerance: float
    is_inverted: bool

    @classmethod
    def of(cls, series: Series, panel: Panel) -> _Numbers | None:
        """None for a series of which nothing is claimed, or whose points do not fit the scales of their axes."""
        if series.abstained or not series.points:
            return None
        points: Sequence[Point] = series.points
        if any(not abs(p.y) <= _LARGEST or (panel.y.scale == "log" and p.y <= 0) for p in points):
            return None
        places = [p.x for p in points if not isinstance(p.x, str)]
        if len(places) < len(points):  # categories stand in their own order
            at = [i / max(len(points) - 1, 1) for i in range(len(points))]
        else:
            scale = panel.x.scale or "linear"
            if any(not abs(x) <= _LARGEST or (scale == "log" and x <= 0) for x in places):
                return None
            points = sorted(points, key=lambda p: float(p.x))
            axis = _axis_range(panel.x, range_of(places, scale))
            at = [axis.height(float(p.x)) if axis.extent else 0.0 for p in points]
        inverted = points[-1].px < points[0].px or _falls_on_paper(points)
        return cls(tuple(p.x for p in points), tuple(at), tuple(p.y for p in points), series.y_tolerance, inverted)


def _falls_on_paper(points: Sequence[Point]) -> bool:
    """Whether higher values stand lower in the figure, where pixels count downwards."""
    top, bottom = max(points, key=lambda p: p.y), min(points, key=lambda p: p.y)
    return top.py > bottom.py


def _own_facts(series: Series, numbers: _Numbers, panel: Panel, axis: Range, ranges: Sequence[Range]) -> list[Fact]:
    if panel.kind == "scatter":
        return _facts_of_cloud(numbers, panel, ranges)
    if panel.kind == "line":
        return _facts_of_curve(series, numbers, panel, axis, ranges)
    if _lacks_bars(series, panel):
        return []
    facts = []
    # Bars are compared rather than followed: only a row of them that goes up or down has a trend.
    if panel.kind != "stacked_bar" and not numbers.is_inverted and len(numbers.ys) > 2:
        facts = [fact for fact in _trend_fact(numbers.ys, ranges) if fact.text in ("rises", "falls")]
    return facts + _extreme_facts(numbers, axis, set(), has_place=True)


def _facts_of_curve(
    series: Series, numbers: _Numbers, panel: Panel, axis: Range, ranges: Sequence[Range]
) -> list[Fact]:
    has_place = panel.x.scale is not None
    facts: list[Fact] = []
    is_complete = (series.first_known and series.last_known) or series.coverage >= _COMPLETE
    unseen = _unseen(series, numbers)
    is_mostly_seen = series.coverage >= _MOSTLY_SEEN
    is_told = is_complete or (is_mostly_seen and unseen <= _UNSEEN_AT_ENDS)
    beyond = _UNSEEN_FOR_TREND if is_mostly_seen else _UNSEEN_OF_PARTLY_SEEN
    has_trend = is_complete or (series.coverage >= _PARTLY_SEEN and unseen <= beyond)
    if has_trend and len(numbers.ys) > 1 and not numbers.is_inverted:
        facts += _trend_fact(numbers.ys, ranges)
    if series.first_known and not numbers.is_inverted:
        facts.append(Fact("first", numbers.places[0] if has_place else None, numbers.ys[0]))
    if series.last_known and not numbers.is_inverted:
        facts.append(Fact("last", numbers.places[-1] if has_place else None, numbers.ys[-1]))
    if is_told:
        reach = len(numbers.ys) // 20
        unknown = set() if series.first_known else set(range(reach + 1))
        if not series.last_known:
            unknown |= set(range(len(numbers.ys) - reach - 1, len(numbers.ys)))
        extremes = _extreme_facts(numbers, axis, unknown, has_place)
        facts += extremes if is_complete else _far_from_ends(extremes, series, numbers, axis)
    return facts


def _unseen(series: Series, numbers: _Numbers) -> float:
    """The share of the x axis beyond the ends that are not known; infinite where places along it are words."""
    if any(isinstance(place, str) for place in numbers.places):
        return math.inf
    before = 0.0 if series.first_known else max(numbers.at[0], 0.0)
    behind = 0.0 if series.last_known else max(1.0 - numbers.at[-1], 0.0)
    return before + behind


def _far_from_ends(extremes: Sequence[Fact], series: Series, numbers: _Numbers, axis: Range) -> list[Fact]:
    """The extremes that stand out from every end that is not known."""
    ends = [] if series.first_known else [numbers.ys[0]]
    if not series.last_known:
        ends.append(numbers.ys[-1])
    return [
        fact
        for fact in extremes
        if fact.y is not None and all(axis.share(fact.y, end) >= _FAR_FROM_ENDS for end in ends)
    ]


def _facts_of_cloud(numbers: _Numbers, panel: Panel, ranges: Sequence[Range]) -> list[Fact]:
    """Ends and turning points of a cloud are those of its smoothed course, so they are told only with its trend. Where
    the course is not clear, a strong correlation tells the trend alone."""
    xs = [x for x in numbers.places if not isinstance(x, str)]
    if len(xs) < 3 or len(xs) < len(numbers.ys) or panel.x.scale is None:
        return []
    facts = [] if numbers.is_inverted else _trend_fact(numbers.ys, ranges)
    shape = facts[0].text if facts else None
    if shape in ("rises", "falls", "flat"):
        first, last = ends(numbers.ys, is_cloud=True)
        facts += [Fact("first", xs[0], first), Fact("last", xs[-1], last)]
    elif shape in ("peaks", "dips"):
        peak_at, low_at = extrema(numbers.ys, ranges[0], is_cloud=True)
        at = peak_at if shape == "peaks" else low_at
        facts.append(Fact("maximum" if shape == "peaks" else "minimum", xs[at], numbers.ys[at]))
    r = correlation(xs, numbers.ys)
    if not facts and not numbers.is_inverted and (direction := trend_by(r)):
        facts.append(Fact("trend", text=direction))
    if r is not None:
        facts.append(Fact("correlation", y=r))
    return [*facts, Fact("x_range", min(xs), max(xs)), Fact("y_range", min(numbers.ys), max(numbers.ys))]


def _trend_fact(ys: Sequence[float], ranges: Sequence[Range]) -> list[Fact]:
    """The trend as a fact, if it is clear by a margin and the same in all of the ranges."""
    shapes = {trend(ys, shown, thresholds) for shown in ranges for thresholds in _both_sides()}
    return [] if len(shapes) > 1 or "unclear" in shapes else [Fact("trend", text=shapes.pop())]


def _extreme_facts(numbers: _Numbers, axis: Range, unknown: set[int], has_place: bool) -> list[Fact]:
    """Maximum and minimum. One that lies at an end that is not known is no fact; one of several places has none."""
    facts = []
    kinds: tuple[Literal["maximum", "minimum"], ...] = ("maximum", "minimum")
    for kind, at in zip(kinds, extrema(numbers.ys, axis), strict=True):
        if at in unknown:
            continue
        # Two values of a series may be off in opposite directions.
        tolerance = max(2 * numbers.y_tolerance, _LEAST_HEIGHT_TOLERANCE)
        alike = [numbers.at[i] for i, y in enumerate(numbers.ys) if axis.share(y, numbers.ys[at]) <= tolerance]
        has_one_place = has_place and max(alike) - min(alike) <= _SAME_PLACE
        facts.append(Fact(kind, numbers.places[at] if has_one_place else None, numbers.ys[at]))
    return facts


def _crossing_of(first: _Numbers, second: _Numbers, shown: Range, x_scale: AxisScale) -> tuple[float, float] | None:
    """The crossing of two curves that were sampled at places of their own, over the stretch that both cover."""
    a, b = ({float(x): y for x, y in zip(n.places, n.ys, strict=True)} for n in (first, second))
    low, high = max(min(a), min(b)), min(max(a), max(b))
    places = sorted({x for x in (*a, *b) if low <= x <= high})
    if len(places) < 2:
        return None
    first_ys, second_ys = resampled(a, places, shown, x_scale), resampled(b, places, shown, x_scale)
    tolerance = first.y_tolerance + second.y_tolerance
    found = [crossing(places, first_ys, second_ys, shown, x_scale, tolerance, t) for t in _both_sides()]
    return found[0] if all(found) else None


def resampled(curve: dict[float, float], places: Sequence[float], shown: Range, x_scale: AxisScale) -> list[float]:
    """A curve's values at `places`, which rise and lie within it, straight between its points as drawn."""
    along = Range(1.0, 10.0, x_scale)
    xs = sorted(curve)
    values = []
    i = 0
    for place in places:
        while i + 2 < len(xs) and xs[i + 1] < place:
            i += 1
        if place in curve or len(xs) == 1:
            values.append(curve.get(place, curve[xs[0]]))
            continue
        left, right = along.level(xs[i]), along.level(xs[i + 1])
        share = (along.level(place) - left) / (right - left)
        low, high = shown.level(curve[xs[i]]), shown.level(curve[xs[i + 1]])
        values.append(shown.value(low + share * (high - low)))
    return values
