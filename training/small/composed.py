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
from llava_graph.chart import Axis, Box, Chart, ChartKind, Panel, Point, Series
from llava_graph.chart_text import KIND_WORDS
from llava_graph.curves import facts_of
from llava_graph.ocr import Line, reading_order
from training.small import paper_words
from training.small.reading import Reading
from training.small.truth import FigureNames, PanelNames

WIDTH, HEIGHT = 960, 640
_AREA: Box = (120.0, 60.0, 760.0, 540.0)

_SAMPLES = 41
"""Points of a curve, as the reader gives."""

_COUNTS = {
    "line": (1, 2, 2, 3, 4, 5, 5, 6, 6, 7, 8, 8, 10),
    "grouped_bar": (2, 2, 3, 3, 4, 5, 6),
    "scatter": (2, 3, 4, 5),
}
_KINDS: dict[ChartKind, float] = {"line": 0.55, "grouped_bar": 0.15, "stacked_bar": 0.1, "bar": 0.14, "scatter": 0.06}
_UNREAD = ("same_colour_series", "low_coverage", "low_coverage", "redrawing_differs", "same_colour_dashes")


@dataclass(frozen=True, slots=True)
class Composed:
    """A reading with the names in its figure and captions for it."""

    reading: Reading
    names: FigureNames
    caption: Callable[[random.Random], str]


def composed(rng: random.Random) -> Composed:
    """A figure with one panel, made up and read."""
    kind = rng.choices(list(_KINDS), weights=list(_KINDS.values()))[0]
    y = rng.choice(paper_words.QUANTITIES) if rng.random() < 0.8 else _invented_label(rng)
    count = 1 if kind == "bar" else rng.choice(_COUNTS["grouped_bar" if kind == "stacked_bar" else str(kind)])
    legend = _legend(count, rng)
    if kind in ("line", "scatter"):
        x = rng.choice(paper_words.PLACES) if rng.random() < 0.8 else _invented_label(rng)
        categories: tuple[str, ...] = ()
    else:
        x = rng.choice(paper_words.BESIDE_BARS) if rng.random() < 0.6 else ""
        categories = _categories(rng)
    series = _unread_some(_bars(legend, categories, rng) if categories else _curves(kind, legend, rng), rng)
    return _read(kind, x, y, categories, series, rng)


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


# Data


def _curves(kind: ChartKind, legend: Sequence[str], rng: random.Random) -> list[Series]:
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
        points = tuple(_point(x0 + t * (x1 - x0), t, height) for t, height in zip(places, heights, strict=True))
        found.append(_series(name, points, rng))
    return found


def _point(x: float | str, share: float, y: float) -> Point:
    return Point(x, y, _AREA[0] + share * (_AREA[2] - _AREA[0]), (_AREA[1] + _AREA[3]) / 2)


def _series(name: str, points: tuple[Point, ...], rng: random.Random) -> Series:
    """Now and then an end of a curve was not seen, as where others hide it."""
    ends_known = rng.random() > 0.15, rng.random() > 0.15
    return Series(name, None, None, points, 1.0, 0.01, rng.uniform(0.01, 0.03), *ends_known)


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


def _bars(legend: Sequence[str], categories: Sequence[str], rng: random.Random) -> list[Series]:
    scale = 10.0 ** rng.randint(-1, 4) * rng.uniform(1, 9)
    found = []
    slope = rng.choice((0.0, 0.0, 0.6, -0.5))
    for name in legend:
        level = rng.uniform(0.4, 1.0)
        shares = [(i + 0.5) / len(categories) for i in range(len(categories))]
        heights = [scale * level * (1 + slope * t + rng.uniform(-0.3, 0.3)) for t in shares]
        points = tuple(_point(*one) for one in zip(categories, shares, heights, strict=True))
        if rng.random() < 0.06:
            points = points[1:]  # a bar that was not read
        found.append(Series(name, None, None, points, 1.0, 0.01, 0.015))
    return found


def _unread_some(series: list[Series], rng: random.Random) -> list[Series]:
    share = rng.choice((0.0, 0.0, 0.0, 0.3)) if len(series) > 1 else 0.0
    return [
        Series(one.name, abstained=rng.choice(_UNREAD)) if share and rng.random() < share else one for one in series
    ]


# What was read


def _read(
    kind: ChartKind, x: str, y: str, categories: tuple[str, ...], series: Sequence[Series], rng: random.Random
) -> Composed:
    horizontal = bool(categories) and rng.random() < 0.3
    title = f"{words.quantity(rng, 'train')}" if rng.random() < 0.2 else ""
    values = [point.y for one in series for point in one.points] or [0.0, 1.0]
    places = [point.x for one in series for point in one.points if not isinstance(point.x, str)] or [0.0, 1.0]
    named = len(series) > 1 or rng.random() < 0.3
    legend = [str(one.name) for one in series] if named else []
    lines = reading_order(_texts(x, y, categories, legend, values, places, title, horizontal, rng))
    indices = {line.text: i for i, line in reversed(list(enumerate(lines)))}
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 1.0
    y_axis = Axis(y or None, indices.get(y), _unit_of(y), "linear", 0.0 if categories else low - room, high + room)
    if categories:
        x_axis = Axis(x or None, indices.get(x), None, "category", None, None, tuple(categories))
    else:
        x_axis = Axis(x or None, indices.get(x), _unit_of(x), "linear", min(places), max(places))
    told = tuple(
        replace(one, name=one.name if named else None, line=indices.get(one.name or "") if named else None)
        for one in series
    )
    panel = Panel(kind, _AREA, x_axis, y_axis, told, horizontal=horizontal)
    panel = replace(panel, series=facts_of(panel))
    names = PanelNames(
        KIND_WORDS[kind],
        _quantity(x) or None,
        _quantity(y) or None,
        tuple(legend),
        categories,
    )
    reading = Reading("", WIDTH, HEIGHT, tuple(lines), Chart((panel,)))
    return Composed(reading, (names,), lambda rng: _caption(names, rng))


def _quantity(label: str) -> str:
    return label[: label.rindex("(")].strip() if label.endswith(")") else label


def _texts(
    x: str,
    y: str,
    categories: Sequence[str],
    legend: Sequence[str],
    values: Sequence[float],
    places: Sequence[float],
    title: str,
    horizontal: bool,
    rng: random.Random,
) -> list[Line]:
    """The texts at the places where such charts have them."""
    found = []

    def put(text: str, across: float, down: float, is_turned: bool = False) -> None:
        wide, high = (14.0, 7.0 * len(text)) if is_turned else (7.0 * len(text), 14.0)
        box = (across - wide / 2, down - high / 2, across + wide / 2, down + high / 2)
        found.append(Line(text, box, round(rng.uniform(0.93, 1.0), 4)))

    x0, y0, x1, y1 = _AREA

    def put_below(text: str, share: float) -> None:
        put(text, x0 + share * (x1 - x0), y1 + 16)

    along, upright = (y, x) if horizontal else (x, y)
    if title:
        put(title, (x0 + x1) / 2, 30)
    if along:
        put(along, (x0 + x1) / 2, y1 + 50)
    if upright:
        put(upright, 30, (y0 + y1) / 2, is_turned=True)
    for i, category in enumerate(categories):
        share = (i + 0.5) / len(categories)
        if horizontal:
            put(category, x0 - 30, y0 + share * (y1 - y0))
        else:
            put_below(category, share)
    for text, share in _ticks(values):
        if horizontal:
            put_below(text, share)
        else:
            put(text, x0 - 20, y1 - share * (y1 - y0))
    if not categories:
        for text, share in _ticks(places):
            put_below(text, share)
    column = rng.choice((x1 + 80, x1 - 60, x0 + 80))
    for i, name in enumerate(legend):
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
