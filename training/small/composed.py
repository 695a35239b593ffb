"""Readings of charts that nobody drew: many series, lying bars, and names such as papers have them.

    figure = composed(random.Random(3))

The generator's figures have up to four series with invented names, so a model that is trained on them alone stops after
the fourth curve and takes a series called "20" for a number. Here the data of a chart are made up, and from them what
the reader would have read and where the texts would stand. There is no picture: such an example is shown without its
image. The reader's own errors come from figures that were really read (`reading`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from data.synthetic import words
from llava_graph.chart import Axis, AxisScale, Box, Chart, ChartKind, Panel, Point, Series
from llava_graph.chart_text import KIND_WORDS
from llava_graph.curves import facts_of
from llava_graph.ocr import Line, reading_order
from training.small import paper_words
from training.small.reading import Reading
from training.small.truth import FigureNames, PanelNames

WIDTH, HEIGHT = 960, 640
_AREAS: dict[int, tuple[Box, ...]] = {
    1: ((120.0, 60.0, 760.0, 540.0),),
    2: ((80.0, 60.0, 420.0, 540.0), (560.0, 60.0, 900.0, 540.0)),
}

_SAMPLES = 41
"""Points of a curve, as the reader gives."""

_COUNTS = {
    "line": (1, 2, 2, 3, 4, 5, 5, 6, 6, 7, 8, 8, 10),
    "bar": (1,),
    "grouped_bar": (2, 2, 3, 3, 4, 5, 6),
    "stacked_bar": (2, 3, 3, 4, 5, 6),
    "scatter": (2, 3, 4, 5),
}
_KINDS: dict[ChartKind, float] = {"line": 0.55, "grouped_bar": 0.15, "stacked_bar": 0.1, "bar": 0.14, "scatter": 0.06}
_UNREAD = ("same_colour_series", "low_coverage", "low_coverage", "redrawing_differs", "same_colour_dashes")
_TWO_PANELS = 0.15
_DATES = 0.1
"""Share of the line charts whose x axis has dates, in days since 1970."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A reading with the names in its figure and captions for it."""

    reading: Reading
    names: FigureNames
    caption: Callable[[random.Random], str]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One panel as somebody would have drawn it. `legend` holds the names that stand in the figure."""

    kind: ChartKind
    area: Box
    x: str
    y: str
    categories: tuple[str, ...]
    legend: tuple[str, ...]
    series: tuple[Series, ...]
    horizontal: bool = False
    x_scale: AxisScale = "linear"

    @property
    def values(self) -> list[float]:
        return [point.y for one in self.series for point in one.points] or [0.0, 1.0]

    @property
    def places(self) -> list[float]:
        found = [point.x for one in self.series for point in one.points if not isinstance(point.x, str)]
        return found or [0.0, 1.0]


def composed(rng: random.Random) -> Composed:
    """A figure, made up and read."""
    kind = rng.choices(list(_KINDS), weights=list(_KINDS.values()))[0]
    count = rng.choice(_COUNTS[kind])
    legend = _legend(count, rng)
    areas = _AREAS[2 if kind == "line" and count <= 3 and rng.random() < _TWO_PANELS / 0.4 else 1]
    others = [legend if rng.random() < 0.6 else _legend(count, rng) for _ in areas[1:]]
    drawn = [_drawn(kind, names, area, rng) for names, area in zip((legend, *others), areas, strict=True)]
    texts = [line for panel in drawn for line in _texts(panel, rng)]
    if rng.random() < 0.2:
        texts.append(_text(words.quantity(rng, "train"), WIDTH / 2, 30, rng))
    lines = reading_order(texts)
    names = tuple(
        PanelNames(KIND_WORDS[one.kind], _quantity(one.x) or None, _quantity(one.y) or None, one.legend, one.categories)
        for one in drawn
    )
    chart = Chart(tuple(_read(panel, lines, rng) for panel in drawn))
    return Composed(Reading("", WIDTH, HEIGHT, tuple(lines), chart), names, lambda rng: _caption(names[0], rng))


# Names


def _legend(count: int, rng: random.Random) -> list[str]:
    form = rng.random()
    if form < 0.3:
        return _some(rng.choice(paper_words.NUMBERS), count, rng, ordered=True)
    if form < 0.45:
        pattern = rng.choice(paper_words.PARAMETERS)
        values = sorted(rng.sample(range(1, 100), count))
        return [pattern.format(value) for value in values]
    if form < 0.9:
        return _some(rng.choice(paper_words.LEGENDS), count, rng, ordered=rng.random() < 0.5)
    return words.names(rng, "train", count)


def _some(names: Sequence[str], count: int, rng: random.Random, ordered: bool) -> list[str]:
    """`count` of the names; where they are fewer, the rest is invented."""
    taken = rng.sample(range(len(names)), min(count, len(names)))
    chosen = [names[i] for i in (sorted(taken) if ordered else taken)]
    known = {name.casefold() for name in chosen}
    while len(chosen) < count:
        name = words.invented_word(rng, "train").capitalize()
        if name.casefold() not in known:
            chosen.append(name)
            known.add(name.casefold())
    return chosen


def _categories(rng: random.Random) -> tuple[str, ...]:
    count = rng.choice((2, 3, 3, 4, 4, 5, 6, 7, 8, 10))
    if rng.random() < 0.5:
        ticks = rng.choice(paper_words.CATEGORIES)
        first = rng.randrange(max(len(ticks) - count, 0) + 1)
        return ticks[first : first + count]
    return tuple(_some(rng.choice(paper_words.LEGENDS), count, rng, ordered=False))


def _invented_label(rng: random.Random) -> str:
    name = words.quantity(rng, "train")
    return f"{name} ({words.unit(rng)})" if rng.random() < 0.5 else name


def _unit_of(label: str) -> str | None:
    return label[label.rindex("(") + 1 : -1] if label.endswith(")") else None


# What is drawn


def _drawn(kind: ChartKind, legend: Sequence[str], area: Box, rng: random.Random) -> _Drawn:
    y = rng.choice(paper_words.QUANTITIES) if rng.random() < 0.8 else _invented_label(rng)
    is_named = len(legend) > 1 or rng.random() < 0.3
    shown = tuple(legend) if is_named else ()
    if kind in ("line", "scatter"):
        x = rng.choice(paper_words.PLACES) if rng.random() < 0.8 else _invented_label(rng)
        x_scale: AxisScale = "date" if kind == "line" and rng.random() < _DATES else "linear"
        if x_scale == "date":
            x = rng.choice(("date", "Date", "Year", "Time", "year", ""))
        series = _curves(kind, legend, x_scale, area, rng)
        return _Drawn(kind, area, x, y, (), shown, series, x_scale=x_scale)
    x = rng.choice(paper_words.BESIDE_BARS) if rng.random() < 0.6 else ""
    categories = _categories(rng)
    series = _bars(legend, categories, area, rng)
    return _Drawn(kind, area, x, y, categories, shown, series, rng.random() < 0.3, "category")


def _curves(
    kind: ChartKind, legend: Sequence[str], x_scale: AxisScale, area: Box, rng: random.Random
) -> tuple[Series, ...]:
    if x_scale == "date":
        x0 = 365.25 * rng.randint(0, 45)
        x1 = x0 + 365.25 * rng.randint(1, 12)
    else:
        x0 = rng.choice((0.0, 0.0, 1.0, float(rng.randint(-50, 400))))
        x1 = x0 + rng.choice((1.0, 4.0, 10.0, 24.0, 50.0, 100.0, 500.0, 2000.0)) * rng.uniform(0.6, 1.0)
    scale = 10.0 ** rng.randint(-2, 4) * rng.uniform(1, 9)
    base = rng.choice((0.0, 0.0, rng.uniform(-1, 1)))
    alike = rng.choice((None, None, _saturating, _falling, _rising))
    found = []
    for name in legend:
        shape = alike if alike and rng.random() < 0.8 else rng.choice(_SHAPES)
        course = shape(rng)
        low, reach = rng.uniform(0, 0.5), rng.uniform(0.25, 0.6)
        places = [i / (_SAMPLES - 1) for i in range(_SAMPLES)]
        noise = rng.choice((0.0, 0.0, 0.0, 0.01, 0.03))
        if kind == "scatter":
            places, noise = sorted(rng.random() for _ in range(rng.randint(12, 40))), rng.choice((0.02, 0.08, 0.2))
        heights = [scale * (base + low + reach * (course(t) + rng.gauss(0, noise))) for t in places]
        points = tuple(_point(x0 + t * (x1 - x0), t, height, area) for t, height in zip(places, heights, strict=True))
        found.append(Series(name, points=points, coverage=1.0))
    return tuple(found)


def _bars(legend: Sequence[str], categories: Sequence[str], area: Box, rng: random.Random) -> tuple[Series, ...]:
    scale = 10.0 ** rng.randint(-1, 4) * rng.uniform(1, 9)
    slope = rng.choice((0.0, 0.0, 0.6, -0.5))
    found = []
    for name in legend:
        level = rng.uniform(0.4, 1.0)
        shares = [(i + 0.5) / len(categories) for i in range(len(categories))]
        heights = [scale * level * (1 + slope * t + rng.uniform(-0.3, 0.3)) for t in shares]
        points = tuple(_point(*one, area) for one in zip(categories, shares, heights, strict=True))
        found.append(Series(name, points=points, coverage=1.0))
    return tuple(found)


def _point(x: float | str, share: float, y: float, area: Box) -> Point:
    """`py` is the middle of the area: nothing that is trained on depends on it."""
    return Point(x, y, area[0] + share * (area[2] - area[0]), (area[1] + area[3]) / 2)


def _rising(rng: random.Random) -> Callable[[float], float]:
    power = rng.choice((0.5, 1.0, 1.0, 2.0, 4.0))
    return lambda t: t**power


def _falling(rng: random.Random) -> Callable[[float], float]:
    rate = rng.choice((0.0, 2.0, 5.0))
    return (lambda t: 1 - t) if rate == 0 else (lambda t: math.exp(-rate * t))


def _saturating(rng: random.Random) -> Callable[[float], float]:
    rate = rng.uniform(3, 12)
    return lambda t: 1 - math.exp(-rate * t)


def _flat(rng: random.Random) -> Callable[[float], float]:
    level = rng.uniform(0.2, 0.8)
    return lambda _: level


def _peak(rng: random.Random) -> Callable[[float], float]:
    middle, width = rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.3)
    sign = rng.choice((1.0, -1.0))
    return lambda t: sign * math.exp(-(((t - middle) / width) ** 2))


def _wave(rng: random.Random) -> Callable[[float], float]:
    turns, start = rng.uniform(1, 3), rng.uniform(0, 6)
    return lambda t: 0.5 * math.sin(6.28 * turns * t + start)


_SHAPES = (_rising, _rising, _falling, _falling, _saturating, _flat, _flat, _peak, _peak, _wave)


# What is read of it


def _read(drawn: _Drawn, lines: Sequence[Line], rng: random.Random) -> Panel:
    indices = {line.text: i for i, line in reversed(list(enumerate(lines)))}
    low, high = min(drawn.values), max(drawn.values)
    room = 0.05 * (high - low) or 1.0
    bottom = 0.0 if drawn.categories else low - room
    y = Axis(drawn.y or None, indices.get(drawn.y), _unit_of(drawn.y), "linear", bottom, high + room)
    x = Axis(drawn.x or None, indices.get(drawn.x), _unit_of(drawn.x), drawn.x_scale)
    if drawn.categories:
        x = replace(x, categories=drawn.categories)
    else:
        x = replace(x, low=min(drawn.places), high=max(drawn.places))
    share = rng.choice((0.0, 0.0, 0.0, 0.3)) if len(drawn.series) > 1 else 0.0
    series = tuple(_series(one, drawn, indices, rng.random() < share, rng) for one in drawn.series)
    panel = Panel(drawn.kind, drawn.area, x, y, series, horizontal=drawn.horizontal)
    return replace(panel, series=facts_of(panel))


def _series(drawn: Series, panel: _Drawn, indices: dict[str, int], is_unread: bool, rng: random.Random) -> Series:
    name = drawn.name if panel.legend else None
    named = Series(name, indices.get(name or ""))
    if is_unread:
        return replace(named, abstained=rng.choice(_UNREAD))
    points = drawn.points
    if panel.categories:
        points = points[1:] if rng.random() < 0.06 and len(points) > 1 else points  # a bar that was not read
        return replace(named, points=points, coverage=1.0, x_tolerance=0.01, y_tolerance=0.015)
    # Now and then an end of a curve was not seen, as where others hide it.
    first, last = rng.random() > 0.15, rng.random() > 0.15
    if panel.kind != "line":
        first = last = True
    tolerance = rng.uniform(0.01, 0.03)
    return replace(
        named,
        points=points,
        coverage=1.0,
        x_tolerance=0.01,
        y_tolerance=tolerance,
        first_known=first,
        last_known=last,
    )


def _quantity(label: str) -> str:
    return label[: label.rindex("(")].strip() if label.endswith(")") else label


def _text(text: str, across: float, down: float, rng: random.Random, is_turned: bool = False) -> Line:
    wide, high = (14.0, 7.0 * len(text)) if is_turned else (7.0 * len(text), 14.0)
    box = (across - wide / 2, down - high / 2, across + wide / 2, down + high / 2)
    return Line(text, box, round(rng.uniform(0.93, 1.0), 4))


def _texts(drawn: _Drawn, rng: random.Random) -> list[Line]:
    """The texts at the places where such charts have them."""
    x0, y0, x1, y1 = drawn.area
    found = []

    def put(text: str, across: float, down: float, is_turned: bool = False) -> None:
        if text:
            found.append(_text(text, across, down, rng, is_turned))

    def put_below(text: str, share: float) -> None:
        put(text, x0 + share * (x1 - x0), y1 + 16)

    def put_beside(text: str, share: float) -> None:
        put(text, x0 - 25, y1 - share * (y1 - y0))

    along, upright = (drawn.y, drawn.x) if drawn.horizontal else (drawn.x, drawn.y)
    put(along, (x0 + x1) / 2, y1 + 50)
    put(upright, x0 - 65, (y0 + y1) / 2, is_turned=True)
    for i, category in enumerate(drawn.categories):
        share = (i + 0.5) / len(drawn.categories)
        if drawn.horizontal:
            put_beside(category, 1 - share)
        else:
            put_below(category, share)
    for text, share in _ticks(drawn.values):
        if drawn.horizontal:
            put_below(text, share)
        else:
            put_beside(text, share)
    if drawn.x_scale == "date":
        for text, share in _ticks([1970 + place / 365.25 for place in drawn.places]):
            put_below(text, share)
    elif not drawn.categories:
        for text, share in _ticks(drawn.places):
            put_below(text, share)
    column = rng.choice((x1 + 80, x1 - 60, x0 + 80)) if drawn.area in _AREAS[1] else x1 - 60
    for i, name in enumerate(drawn.legend):
        put(name, column, y0 + 20 + 22 * i)
    return found


def _ticks(values: Sequence[float]) -> list[tuple[str, float]]:
    """Round numbers within the values, each with its share of their range."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high <= low:
        return []
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [(f"{i * step:.10g}", (i * step - low) / (high - low)) for i in range(first, last + 1)]


def _caption(names: PanelNames, rng: random.Random) -> str:
    forms = ["", "Results.", "Comparison of the methods."]
    if names.y:
        forms += [f"{names.y}.", f"Comparison of {names.y}."]
    if names.x and names.y:
        forms += [f"{names.y} against {names.x}.", f"{names.y} for different {names.x}."]
    text = rng.choice(forms)
    return rng.choice(("", f"Figure {rng.randint(1, 12)}: ", f"Fig. {rng.randint(1, 12)}. ")) + text if text else ""
