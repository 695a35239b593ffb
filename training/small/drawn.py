"""Panels as somebody would have drawn them: kind, axes, names, and the numbers of each series.

    panel = draw("line", ["A", "A + cache"], (120.0, 60.0, 760.0, 540.0), random.Random(3))

The points stand where they would in the figure, since facts of bars that lie depend on it. What a reader sees of a
panel is decided in `composed`, where its texts stand in `printed`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llava_graph.chart import AxisScale, Box, ChartKind, Point, Series
from llava_graph.curves import Range
from training.small import paper_names
from training.small.courses import courses

SAMPLES = 41
"""Points of a curve, as the reader gives."""

BARS = ("bar", "grouped_bar", "stacked_bar")

_DATES = 0.07
"""Share of the line charts whose x axis has dates, in days since 1970."""

_CROWDED = 7
"""From so many series on, numbers are short ones: long ones would fill the prompt, and such examples are left out."""
_SHORT = (-1, 0, 0, 1, 1, 2, 2)
"""Exponents of ten of numbers with few digits."""

_MOST_BARS = 40
"""Of all series of a panel: more would fill the prompt."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One panel. `legend` holds the names that stand in the figure, none where the only series has no name.

    `x` and `y` are labels as in a reading: of bars that lie, x is the axis of the categories, which stands upright.
    """

    kind: ChartKind
    area: Box
    x: str
    y: str
    legend: tuple[str, ...]
    series: tuple[Series, ...]
    along: Range
    upright: Range
    categories: tuple[str, ...] = ()
    horizontal: bool = False
    values_printed: bool = False


def draw(kind: ChartKind, names: Sequence[str], area: Box, rng: random.Random) -> Drawn:
    """A panel with a series for each name."""
    is_named = len(names) > 1 or rng.random() < 0.25
    shown = tuple(names) if is_named else ()
    if kind in BARS:
        return _bars(kind, names, shown, area, rng)
    return _curves(kind, names, shown, area, rng)


def as_unreadable(kind: ChartKind, names: Sequence[str], area: Box, rng: random.Random) -> Drawn:
    """A panel of no kind that is read, such as boxes or a map of colours: its texts alone count."""
    panel = draw("grouped_bar" if kind in BARS else "line", names, area, rng)
    return Drawn("other", area, panel.x, panel.y, panel.legend, (), panel.along, panel.upright, panel.categories)


def _labels(rng: random.Random, has_bars: bool) -> tuple[str, str]:
    """For x and y; "" where there is none. With one of them missing, a small model takes the other for it."""
    if has_bars:
        x = "" if rng.random() < 0.5 else paper_names.label_beside_bars(rng)
        return x, "" if rng.random() < 0.12 else paper_names.label(rng)
    if rng.random() < 0.07:
        return paper_names.labels_alike(rng)
    missing = rng.random()
    x = "" if missing < 0.17 else paper_names.label(rng, is_along=True)
    y = "" if 0.12 < missing < 0.27 else paper_names.label(rng)
    return x, y if y != x else ""


# Curves and clouds


def _curves(kind: ChartKind, names: Sequence[str], shown: Sequence[str], area: Box, rng: random.Random) -> Drawn:
    x, y = _labels(rng, has_bars=False)
    is_crowded = len(names) >= _CROWDED
    along = _along(kind, is_crowded, rng)
    if along.scale == "date":  # which has no unit
        x = rng.choice(("date", "Date", "Year", "Time", "year", "Month", "Period", "Day of report", "", "", ""))
    is_log = rng.random() < (0.1 if kind == "line" else 0.05)
    value = _log_values(rng) if is_log else _values(is_crowded, rng)
    found = _traced(names, value, rng) if kind == "line" else [(name, *_cloud(value, rng)) for name in names]
    heights = [height for _, _, heights in found for height in heights]
    upright = _shown(heights, "log" if is_log else "linear", rng)
    series = tuple(
        Series(
            name, points=tuple(_point(along, upright, t, height, area) for t, height in zip(ts, heights, strict=True))
        )
        for name, ts, heights in found
    )
    return Drawn(kind, area, x, y, tuple(shown), series, along, upright)


def _along(kind: ChartKind, is_crowded: bool, rng: random.Random) -> Range:
    form = rng.random()
    if kind == "line" and form < _DATES and not is_crowded:
        first = 365.25 * rng.randint(0, 48)
        return Range(first, first + 365.25 * rng.choice((0.05, 0.25, 1, 2, 5, 8, 12)), "date")
    if form < _DATES + 0.08:
        low = 10.0 ** rng.randint(-4, 2) * rng.choice((1, 1, 2, 5))
        return Range(low, low * 10.0 ** rng.choice((1, 2, 3, 4, 6)), "log")
    if form < 0.28:
        first = float(rng.randint(1950, 2015))
        return Range(first, first + rng.randint(4, 60))
    low = rng.choice((0.0, 0.0, 0.0, 1.0, -1.0, float(rng.randint(-200, 900))))
    exponents = _SHORT if is_crowded else (*_SHORT, *_SHORT, -3, -1, 3, 4, 6)
    reach = 10.0 ** rng.choice(exponents) * rng.choice((1, 2, 4, 5, 8, rng.uniform(1, 9)))
    low = low if abs(low) < 20 * reach or rng.random() < 0.1 else 0.0
    return Range(-reach, reach) if rng.random() < 0.06 else Range(low, low + reach)


Values = Callable[[float], float]


def _values(is_crowded: bool, rng: random.Random) -> Values:
    """From a height in the panel to a value: shares, tiny and huge numbers, small differences of large ones, signs."""
    form = rng.random()
    if form < 0.2:
        low, reach = rng.choice(((0.0, 100.0), (0.0, 100.0), (40.0, 58.0), (80.0, 19.0), (90.0, 9.8), (0.0, 20.0)))
        return lambda h: low + reach * min(max(h, 0.0), 1.0)
    if form < 0.32:
        low, reach = rng.choice(((0.0, 1.0), (0.5, 0.45), (0.9, 0.09), (0.0, 0.1), (-1.0, 2.0)))
        return lambda h: low + reach * min(max(h, 0.0), 1.0)
    exponents = _SHORT if is_crowded else (*_SHORT, *_SHORT, -7, -5, -4, -3, -2, 3, 3, 4, 5, 6, 8)
    scale = 10.0 ** rng.choice(exponents) * rng.uniform(1, 9)
    if form < 0.42 and not is_crowded:
        offset = scale * rng.choice((5, 20, 100)) * rng.uniform(0.8, 1.2)
        return lambda h: offset + scale * h
    if form < 0.54:
        return lambda h: scale * (h - 0.5)
    if form < 0.62:
        return lambda h: -scale * (1.2 - h)
    low_height = rng.choice((0.0, 0.0, 0.3))
    return lambda h: scale * (low_height + h)


def _log_values(rng: random.Random) -> Values:
    lowest, decades = rng.randint(-7, 4), rng.choice((1.5, 2, 3, 4, 6))
    return lambda h: 10.0 ** (lowest + decades * h)


def _traced(names: Sequence[str], value: Values, rng: random.Random) -> list[tuple[str, list[float], list[float]]]:
    has_own_ends = rng.random() < 0.12
    noise = rng.choice((0.0, 0.0, 0.0, 0.005, 0.02))
    found = []
    for name, course in zip(names, courses(len(names), rng), strict=True):
        first, last = 0.0, 1.0
        if has_own_ends and rng.random() < 0.6:
            first, last = rng.choice(((0.0, rng.uniform(0.4, 0.9)), (rng.uniform(0.1, 0.6), 1.0), (0.2, 0.7)))
        places = [first + (last - first) * i / (SAMPLES - 1) for i in range(SAMPLES)]
        found.append((name, places, [value(course(t) + (rng.gauss(0, noise) if noise else 0.0)) for t in places]))
    return found


def _cloud(value: Values, rng: random.Random) -> tuple[list[float], list[float]]:
    count = rng.choice((5, 8, 12, 15, 20, 25, 30, 40, 60))
    first, last = rng.choice(((0.0, 1.0), (0.0, 1.0), (rng.uniform(0, 0.4), rng.uniform(0.6, 1.0))))
    slope, noise = rng.choice((0.0, 0.0, 0.3, 0.6, 0.8, -0.3, -0.6, -0.8)), rng.choice((0.02, 0.05, 0.1, 0.2))
    middle, bend = rng.uniform(0.3, 0.7), rng.choice((0.0, 0.0, 0.0, 1.5, -1.5))
    places = sorted(rng.uniform(first, last) for _ in range(count))
    return places, [value(middle + slope * (t - 0.5) + bend * (t - 0.5) ** 2 + rng.gauss(0, noise)) for t in places]


def _shown(values: Sequence[float], scale: AxisScale, rng: random.Random) -> Range:
    """What an axis shows of these values: all, with some room."""
    low, high = min(values), max(values)
    if scale == "log":
        room = (high / low) ** 0.06 * 1.1
        return Range(low / room, high * room, "log")
    room = (high - low) * rng.uniform(0.02, 0.15) or abs(high) * 0.1 or 1.0
    if low >= 0 and rng.random() < 0.35:
        return Range(0.0, high + room, scale)
    return Range(low - room, high + room, scale)


def _point(along: Range, upright: Range, share: float, y: float, area: Box) -> Point:
    x0, y0, x1, y1 = area
    low, high = along.level(along.low), along.level(along.high)
    place = along.value(low + share * (high - low))
    return Point(place, y, x0 + share * (x1 - x0), y1 - upright.height(y) * (y1 - y0))


# Bars


def _bars(kind: ChartKind, names: Sequence[str], shown: Sequence[str], area: Box, rng: random.Random) -> Drawn:
    x, y = _labels(rng, has_bars=True)
    counts = (2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10, 12, 15, 20) if kind == "bar" else (2, 2, 3, 3, 4, 5, 6, 7, 8, 10)
    count = min(rng.choice(counts), max(_MOST_BARS // len(names), 2))
    taken = {name.casefold() for name in shown}
    categories = tuple(name for name in paper_names.categories(count, rng) if name.casefold() not in taken)
    if len(categories) < 2:
        categories = ("A", "B", "C") if not taken & set("abc") else ("first", "second")
    horizontal = rng.random() < 0.35
    rows = _rows_of_bars(kind, len(names), len(categories), rng)
    values_printed = rng.random() < 0.15
    if values_printed:
        rows = [[float(f"{value:.3g}") for value in row] for row in rows]
    tops = [sum(row[i] for row in rows) for i in range(len(categories))] if kind == "stacked_bar" else []
    every = [value for row in rows for value in row]
    high = max([*every, *tops, 0.0])
    upright = Range(min(0.0, min(every) * 1.1), high * rng.uniform(1.02, 1.15) if high > 0 else 0.0)
    series = []
    for name, row in zip(names, rows, strict=True):
        points = []
        for i, (category, value) in enumerate(zip(categories, row, strict=True)):
            points.append(_bar(category, value, (i + 0.5) / len(categories), upright, area, horizontal))
        series.append(Series(name, points=tuple(points)))
    across = Range(0.0, 1.0, "category")
    return Drawn(kind, area, x, y, tuple(shown), tuple(series), across, upright, categories, horizontal, values_printed)


def _bar(category: str, value: float, share: float, upright: Range, area: Box, horizontal: bool) -> Point:
    """Bars that lie have their first category on top, and their ends along the width."""
    x0, y0, x1, y1 = area
    height = upright.height(value)
    if horizontal:
        return Point(category, value, x0 + height * (x1 - x0), y0 + share * (y1 - y0))
    return Point(category, value, x0 + share * (x1 - x0), y1 - height * (y1 - y0))


def _rows_of_bars(kind: ChartKind, count: int, categories: int, rng: random.Random) -> list[list[float]]:
    """Values by series and category."""
    scale = 10.0 ** rng.choice((-3, -1, 0, 0, 1, 1, 2, 2, 3, 4, 6)) * rng.uniform(1, 9)
    if rng.random() < 0.25:
        scale = 95.0
    profile = [rng.uniform(0.25, 1.0) for _ in range(categories)]
    if rng.random() < 0.3:
        profile.sort(reverse=rng.random() < 0.6)
    form = rng.random()
    if kind == "stacked_bar" and form < 0.35:
        parts = [[rng.uniform(0.1, 1.0) for _ in range(categories)] for _ in range(count)]
        sums = [sum(row[i] for row in parts) for i in range(categories)]
        return [[100.0 * part / total for part, total in zip(row, sums, strict=True)] for row in parts]
    if form < 0.35:  # each series for itself
        rows = [[scale * rng.uniform(0.15, 1.0) for _ in range(categories)] for _ in range(count)]
    elif form < 0.6:  # the same category is the highest of every series
        rows = [[scale * level * p * rng.uniform(0.93, 1.0) for p in profile] for level in _levels(count, rng)]
    elif form < 0.75:  # values that differ little
        rows = [[scale * (0.8 + rng.uniform(-0.06, 0.06)) for _ in range(categories)] for _ in range(count)]
    elif form < 0.9:
        slope = rng.choice((0.8, 1.5, -0.6, -0.8))
        shares = [(i + 0.5) / categories for i in range(categories)]
        rows = [
            [scale * level * (1 + slope * t + rng.uniform(-0.1, 0.1)) / 2 for t in shares]
            for level in _levels(count, rng)
        ]
    else:  # one stands out
        out = rng.randrange(categories)
        rows = [
            [scale * (1.0 if i == out else rng.uniform(0.02, 0.3)) for i in range(categories)] for _ in range(count)
        ]
    if kind != "stacked_bar" and rng.random() < 0.1:
        rows = [[value - scale * 0.5 for value in row] for row in rows]
    return [[value if math.isfinite(value) else 0.0 for value in row] for row in rows]


def _levels(count: int, rng: random.Random) -> list[float]:
    low = rng.choice((0.2, 0.5, 0.8))
    return [rng.uniform(low, 1.0) for _ in range(count)]
