"""Writes the data of a chart as text for a model's context, row by row.

    Chart data, line chart; x: Time (h), 0 to 48; y: Mass (g), 0 to 60
    - Treated: (0, 52), (10, 47), (20, 41), (30, 35), (40, 31), (48, 27); falls from 52 at 0 to 27 at 48
    - Control: not read: too little of the series could be traced
    - highest overall: Treated

What was not read is told as not read, with its reason: a model that is told nothing invents. Rows are bounded by
`ChartLimits`, and what is cut is said. A row that tells a series begins with "- ", so that no text of the figure
stands at the beginning of a row. Texts are as the figure has them: `llava_graph.context` makes the rows harmless.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llava_graph.chart import (
    ABSTENTION_REASONS,
    Axis,
    AxisScale,
    Chart,
    ChartKind,
    Fact,
    FactKind,
    Panel,
    Point,
    Series,
)
from llava_graph.curves import Range, range_of

KIND_WORDS: dict[ChartKind, str] = {
    "line": "line chart",
    "bar": "bar chart",
    "grouped_bar": "grouped bar chart",
    "stacked_bar": "stacked bar chart",
    "scatter": "scatter plot",
    "other": "chart",
}

_TREND_WORDS = {"rises": "rises", "falls": "falls", "flat": "stays flat", "peaks": "peaks", "dips": "dips"}
_LARGEST = 1e100
"""No axis shows more, and no arithmetic on it overflows."""

_UNNAMED = "a series without a name"


@dataclass(frozen=True, slots=True)
class ChartLimits:
    """The most that a template tells of a chart. `samples` and `categories` are those of one series.

    `exact_bars`: bars that lie are said to be horizontal, and no highest bar is told without its category.
    """

    panels: int
    series: int  # of all panels together
    samples: int
    categories: int
    crossings: int  # of one panel
    name_chars: int
    exact_bars: bool = False


def chart_rows(chart: Chart, limits: ChartLimits) -> list[str]:
    """The rows that tell a chart; how many and how long they are is bounded by `limits`."""
    if chart.abstained or not chart.panels:
        return [f"Chart data: not read: {_reason(chart.abstained or 'reader_failed')}"]
    rows = []
    left = limits.series
    shown = chart.panels[: limits.panels]
    for number, panel in enumerate(shown, 1):
        rows.append(_heading(panel, number if len(chart.panels) > 1 else None, limits))
        if panel.abstained:
            continue
        told = panel.series[:left]
        left -= len(told)
        rows += [f"- {_name(series, limits)}: {_about(series, panel, limits)}" for series in told]
        if len(told) < len(panel.series):
            rows.append(f"- {_count(len(panel.series) - len(told), 'more series', 'more series')}, not told here")
        rows += _comparisons(panel, len(told), limits)
    if len(shown) < len(chart.panels):
        rows.append(f"{_count(len(chart.panels) - len(shown), 'more panel', 'more panels')}, not told here")
    return rows


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _reason(code: str) -> str:
    return ABSTENTION_REASONS.get(code, "no reason is known")


def _heading(panel: Panel, number: int | None, limits: ChartLimits) -> str:
    title = "Chart data" if number is None else f"Chart data of panel {number}"
    if panel.abstained:
        return f"{title}, {KIND_WORDS[panel.kind]}: not read: {_reason(panel.abstained)}"
    axes = [f"{which}: {_axis(axis, limits)}" for which, axis in (("x", panel.x), ("y", panel.y))]
    kind = KIND_WORDS[panel.kind]
    if panel.horizontal and limits.exact_bars:
        kind += " with horizontal bars"
    return f"{title}, {kind}; {'; '.join(axes)}"


def _axis(axis: Axis, limits: ChartLimits) -> str:
    label = _cut(axis.label, limits) if axis.label else "no label"
    unit = axis.unit and _cut(axis.unit, limits)
    if unit and unit not in label:
        label = f"{label} [{unit}]"
    if axis.scale == "category":
        return label
    if axis.scale is None:
        return f"{label}, values not read"
    if axis.low is None or axis.high is None:
        return label
    quantum = _quantum(Range(axis.low, axis.high, axis.scale))
    bounds = f"{_number(axis.low, axis, quantum)} to {_number(axis.high, axis, quantum)}"
    return f"{label}, {bounds}, logarithmic" if axis.scale == "log" else f"{label}, {bounds}"


def _name(series: Series, limits: ChartLimits) -> str:
    return _cut(series.name, limits) if series.name else _UNNAMED


def _cut(text: str, limits: ChartLimits) -> str:
    return text if len(text) <= limits.name_chars else text[: limits.name_chars] + "…"


def _about(series: Series, panel: Panel, limits: ChartLimits) -> str:
    if series.abstained or not series.points:
        return f"not read: {_reason(series.abstained or 'low_coverage')}"
    if panel.y.scale is None:
        return f"not read: {_reason('axis_not_calibrated')}"
    if not all(abs(value) <= _LARGEST for p in series.points for value in (p.x, p.y) if not isinstance(value, str)):
        return f"not read: {_reason('reader_failed')}"
    write = NumberWriter.of(panel, series)
    if panel.kind in ("bar", "grouped_bar", "stacked_bar"):
        points: Sequence[Point] = series.points[: limits.categories]
        rest = len(series.points) - len(points)
        told = [f"{_cut(write.x(p.x), limits)} {write.y(p.y)}" for p in points]
        if rest:
            told.append(f"and {_count(rest, 'more', 'more')}, not told here")
    elif panel.kind == "scatter":
        told = [_count(len(series.points), "point", "points")]
    else:
        told = [f"({_cut(write.x(x), limits)}, {write.y(y)})" for x, y in samples(series.points, panel, limits.samples)]
    facts = list(_facts(series, panel, write, limits))
    return "; ".join([", ".join(told), *facts])


def _facts(series: Series, panel: Panel, write: NumberWriter, limits: ChartLimits) -> Iterator[str]:
    by_kind = {fact.kind: fact for fact in series.facts}
    has_bars = panel.kind in ("bar", "grouped_bar", "stacked_bar")
    words = ("highest", "lowest") if has_bars else ("max", "min")
    told = []
    if trend := by_kind.get("trend"):
        told.append(trend.text)
        yield _trend(trend, by_kind, write, has_bars)
    extremes: tuple[tuple[FactKind, str], ...] = (("maximum", words[0]), ("minimum", words[1]))
    for kind, word in extremes:
        fact = by_kind.get(kind)
        if fact is None or (kind, told) in (("maximum", ["peaks"]), ("minimum", ["dips"])):
            continue
        if has_bars and fact.x is not None:
            yield f"{word} {_cut(write.x(fact.x), limits)} {write.y(fact.y)}"
        elif has_bars and limits.exact_bars:
            continue
        elif not _said_by_trend(fact, trend, by_kind, series, panel):
            yield f"{word} {write.y(fact.y)}{_at(fact.x, write)}"
    if panel.kind == "scatter":
        if (r := by_kind.get("correlation")) and r.y is not None:
            yield f"correlation {r.y:.2f}"
        if reach := by_kind.get("x_range"):
            yield f"x from {write.x(reach.x)} to {write.x(reach.y)}"
        if (reach := by_kind.get("y_range")) and not isinstance(reach.x, str):
            yield f"y from {write.y(reach.x)} to {write.y(reach.y)}"
    if not series.first_known and panel.kind == "line":
        yield "left end not read"
    if not series.last_known and panel.kind == "line":
        yield "right end not read"


def _trend(trend: Fact, by_kind: Mapping[FactKind, Fact], write: NumberWriter, has_bars: bool) -> str:
    word = _TREND_WORDS.get(trend.text or "", "is unclear")
    first, last = by_kind.get("first"), by_kind.get("last")
    if has_bars:
        return f"{word} from left to right"
    if trend.text in ("peaks", "dips"):
        turn = by_kind.get("maximum" if trend.text == "peaks" else "minimum")
        return f"{word} at {write.y(turn.y)}{_at(turn.x, write)}" if turn else word
    if trend.text == "flat" and first:
        return f"{word} at {write.y(first.y)}"
    start = f" from {write.y(first.y)}{_at(first.x, write)}" if first else ""
    end = f" to {write.y(last.y)}{_at(last.x, write)}" if last else ""
    return word + start + end


def _at(x: float | str | None, write: NumberWriter) -> str:
    return "" if x is None else f" at {write.x(x)}"


def _said_by_trend(
    extreme: Fact, trend: Fact | None, by_kind: Mapping[FactKind, Fact], series: Series, panel: Panel
) -> bool:
    """Whether the words about the trend have told this value already, as the end of a curve that rises.

    What differs from an end by less than was read is no other value: "falls from 38.4; max 38.5" would tell a model of
    a turn that the curve does not have.
    """
    if trend is None or trend.text not in ("rises", "falls"):
        return False
    write = NumberWriter.of(panel, series)
    low, high = panel.y.low, panel.y.high
    unread = 0.0
    if low is not None and high is not None and panel.y.scale == "linear":
        unread = series.y_tolerance * abs(high - low)
    ends = (by_kind.get("first"), by_kind.get("last"))
    return any(
        end is not None and (write.y(end.y) == write.y(extreme.y) or _is_within(unread, end.y, extreme.y))
        for end in ends
    )


def _is_within(distance: float, y: float | None, other: float | None) -> bool:
    return y is not None and other is not None and abs(y - other) <= distance


def _comparisons(panel: Panel, told: int, limits: ChartLimits) -> list[str]:
    rows = []
    crossings = []
    for series in panel.series[:told]:
        write = NumberWriter.of(panel, series)
        for fact in series.facts:
            if fact.kind == "highest_overall":
                rows.append(f"- highest overall: {_name(series, limits)}")
            elif fact.kind == "crossing" and fact.other is not None and fact.other < told:
                other = _name(panel.series[fact.other], limits)
                crossings.append(f"- {_name(series, limits)} and {other} cross{_at(fact.x, write)}")
    if len(crossings) > limits.crossings:
        crossings[limits.crossings :] = [
            f"- {_count(len(crossings) - limits.crossings, 'more crossing', 'more crossings')}, not told here"
        ]
    return rows + crossings


def samples(points: Sequence[Point], panel: Panel, most: int) -> list[tuple[float | str, float]]:
    """At most `most` points of a curve, from left to right: all where it has few, else its heights at rounded x.

    No height is made up within a gap of the tracing: there a point is left out.
    """
    if len(points) <= most:
        return [(point.x, point.y) for point in points]
    places = [point.x for point in points if not isinstance(point.x, str)]
    if len(places) < len(points) or panel.x.scale in (None, "category"):
        picked = [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)] if most > 1 else points[:1]
        return [(point.x, point.y) for point in picked]
    scale: AxisScale = panel.x.scale or "linear"
    curve = sorted((float(point.x), point.y) for point in points)
    if scale == "log" and curve[0][0] <= 0:
        return []
    along = range_of(places, scale)
    heights: AxisScale = "log" if panel.y.scale == "log" and min(y for _, y in curve) > 0 else "linear"
    up = Range(1.0, 10.0, heights)
    rounded = _rounded_places(along, most)
    widest = along.extent / most
    taken: list[tuple[float | str, float]] = []
    i = 0
    for place in rounded:
        while i + 2 < len(curve) and curve[i + 1][0] <= place:
            i += 1
        (x0, y0), (x1, y1) = curve[i], curve[i + 1]
        left, right, at = along.level(x0), along.level(x1), along.level(place)
        if right - left > widest or not left <= at <= right:
            continue
        share = (at - left) / (right - left) if right > left else 0.0
        taken.append((place, up.value(up.level(y0) + share * (up.level(y1) - up.level(y0)))))
    return taken


def _rounded_places(along: Range, most: int) -> list[float]:
    """At most `most` round numbers within a range, as few digits each as such a number of them allows."""
    low, high = along.level(along.low), along.level(along.high)
    if high <= low:
        return [along.low]
    if along.scale == "log" and high - low >= 1:
        for digits in ((1, 2, 5), (1, 3), (1,)):
            decades = range(math.floor(low), math.ceil(high) + 1)
            places = [d * 10.0**e for e in decades for d in digits if along.low <= d * 10.0**e <= along.high]
            if len(places) <= most:
                break
        return places[:: math.ceil(len(places) / most)]
    low, high = along.low, along.high
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    if step == 0:
        return [low, high]
    for factor in (1, 2, 5, 10, 20, 50):
        first, last = math.ceil(low / (step * factor) - 1e-9), math.floor(high / (step * factor) + 1e-9)
        if last - first + 1 <= most:
            return [min(max(i * step * factor, low), high) for i in range(first, last + 1)]
    return [low, high]


@dataclass(frozen=True, slots=True)
class NumberWriter:
    """Writes numbers along the two axes of a panel with as many digits as they were read to."""

    x_axis: Axis
    y_axis: Axis
    x_quantum: float | None
    y_quantum: float | None

    @classmethod
    def of(cls, panel: Panel, series: Series) -> NumberWriter:
        xs = [p.x for s in panel.series for p in s.points if not isinstance(p.x, str)]
        ys = [p.y for s in panel.series for p in s.points]
        x = _quantum(_shown(panel.x, xs)) if xs else None
        y = None if series.values_printed else _quantum(_shown(panel.y, ys)) if ys else None
        return cls(panel.x, panel.y, x, y)

    def x(self, value: float | str | None) -> str:
        return value if isinstance(value, str) else _number(value, self.x_axis, self.x_quantum)

    def y(self, value: float | None) -> str:
        return _number(value, self.y_axis, self.y_quantum)


def _shown(axis: Axis, values: Sequence[float]) -> Range:
    if axis.low is None or axis.high is None:
        return range_of(values, axis.scale or "linear")
    return Range(min(axis.low, axis.high), max(axis.low, axis.high), axis.scale or "linear")


def _quantum(shown: Range) -> float | None:
    """What numbers along an axis are rounded to: about a hundredth of it, None on a log axis (two digits then)."""
    extent = shown.high - shown.low
    if shown.scale == "log" or not 0 < abs(extent) < math.inf:
        return None
    return 10.0 ** math.floor(math.log10(abs(extent) / 100))


def _number(value: float | None, axis: Axis, quantum: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "unknown"
    if axis.scale == "date":
        return _date(value, quantum)
    if quantum is None:
        return _plain(float(f"{value:.2g}") if axis.scale == "log" else float(f"{value:.6g}"))
    steps = value / quantum
    return _plain(round(steps) * quantum, quantum) if math.isfinite(steps) else f"{value:.3g}"


def _plain(value: float, quantum: float = 0.0) -> str:
    """Digits without an exponent where these are few; -0 is 0."""
    if value == 0:
        return "0"
    if not 1e-5 <= abs(value) < 1e9:
        return f"{value:.3g}"
    digits = (
        max(0, -math.floor(math.log10(quantum) + 1e-9)) if quantum else max(0, 6 - math.floor(math.log10(abs(value))))
    )
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


_EPOCH = datetime.datetime(1970, 1, 1)


def _date(days: float, quantum: float | None) -> str:
    """A date as precise as its axis: to the hour where the axis shows days, to the month where it shows years."""
    try:
        when = _EPOCH + datetime.timedelta(days=days)
    except OverflowError:
        return "unknown"
    if quantum is None or quantum < 0.1:
        return when.strftime("%Y-%m-%d %H:%M")
    return when.strftime("%Y-%m-%d") if quantum < 10 else when.strftime("%Y-%m")
