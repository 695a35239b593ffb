"""Readings of generated figures as the readers would make them, from the figure's truth: cheap, so there can be many.

    reading = simulate(spec, rendered, random.Random(3))

Reading a figure takes seconds; a small model also needs variety. Here OCR lines come from the drawn texts, with the
errors that the real OCR makes (lines missed, letters confused, spaces lost), and chart data from the specification,
with the reader's tolerances and its abstentions. The shares are those of 3,000 figures as `chart-7` reads them. The
real readings of `reading` are what the model is tuned to in the end; nothing here is used to measure.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from data.synthetic.render import Rendered
from data.synthetic.spec import Axis as SpecAxis
from data.synthetic.spec import FigureSpec, TextBox
from data.synthetic.spec import Panel as SpecPanel
from data.synthetic.spec import Series as SpecSeries
from llava_graph.chart import Axis, AxisScale, Box, Chart, Panel, Point, Series
from llava_graph.curves import facts_of
from llava_graph.ocr import Line, reading_order
from training.small.partly_read import in_words, overlapping, traced, unread, weighted
from training.small.reading import Reading

_SAMPLES = 41
"""Points of a curve that the reader gives."""

_UNREAD_CHARTS, _UNREAD_PANELS, _SOME_UNREAD, _LONE_UNREAD = 0.01, 0.075, 0.22, 0.07
_PLACES_UNREAD = 0.03
"""Share of the line charts with an x axis of which no values were read."""
_PANEL_REASONS = {
    "kind_not_read": 0.42,
    "unexplained_ink": 0.22,
    "axis_not_calibrated": 0.18,
    "kind_unknown": 0.08,
    "same_colour_series": 0.03,
    "broken_axis": 0.03,
    "too_many_series": 0.03,
    "values_disagree": 0.01,
}
_OF_NO_KIND = ("kind_not_read", "kind_unknown", "broken_axis")
_CONFUSED = {"I": "l", "l": "I", "O": "0", "rn": "m", "ai": "al", "ff": "f", "S": "5", "vv": "w", "ri": "n"}

Seen = Mapping[tuple[str, int, int], tuple[str, int]]
"""By role, panel and index of a drawn text, how OCR read it and in which line."""


def simulate(spec: FigureSpec, rendered: Rendered, rng: random.Random) -> Reading:
    """A reading of the figure; the same generator's state gives the same."""
    texts = [text for text in rendered.texts if rng.random() > _missed(text, spec)]
    found = [(text, Line(_seen(text.text, rng), text.box, round(rng.uniform(0.93, 1.0), 4))) for text in texts]
    lines = reading_order([line for _, line in found])
    indices = {id(line): i for i, line in enumerate(lines)}
    seen: Seen = {(text.role, text.panel, text.index): (line.text, indices[id(line)]) for text, line in found}
    if rng.random() < _UNREAD_CHARTS:
        chart = Chart(abstained="no_axes")
    else:
        pairs = zip(spec.panels, rendered.axes_boxes, strict=True)
        chart = Chart(tuple(_panel(panel, area, number, seen, rng) for number, (panel, area) in enumerate(pairs)))
    return Reading("", rendered.image.width, rendered.image.height, tuple(lines), chart)


def _missed(text: TextBox, spec: FigureSpec) -> float:
    """The share of such texts that OCR does not find: of ticks more, where these are not names of categories."""
    is_number = text.role == "y_tick" or (text.role == "x_tick" and not spec.panels[text.panel].categories)
    return 0.06 if is_number else 0.015


def _seen(text: str, rng: random.Random) -> str:
    if " " in text and rng.random() < 0.02:
        text = text.replace(" ", "", 1)
    if rng.random() < 0.015:
        found = [pair for pair in _CONFUSED.items() if pair[0] in text]
        if found:
            text = text.replace(*rng.choice(found), 1)
    return text


def _panel(panel: SpecPanel, area: Box, number: int, seen: Seen, rng: random.Random) -> Panel:
    has_bars = bool(panel.categories)
    x = _axis(panel.x, [v for s in panel.series for v in s.x], seen.get(("x_label", number, 0)), rng)
    y = _axis(panel.y, [v for s in panel.series for v in s.y], seen.get(("y_label", number, 0)), rng, has_bars)
    if rng.random() < _UNREAD_PANELS:
        reason = weighted(_PANEL_REASONS, rng)
        kind = "other" if reason in _OF_NO_KIND else panel.kind
        return Panel(kind, area, replace(x, scale=None, low=None, high=None), y, abstained=reason)
    if has_bars:
        ticks = [seen.get(("x_tick", number, i)) for i in range(len(panel.categories))]
        names = tuple(tick[0] if tick else "" for tick in ticks)
        x = replace(x, scale="category", low=None, high=None, categories=names)
    named = []
    for i, one in enumerate(panel.series):
        name, line = seen.get(("legend", number, i), (None, None)) if panel.legend else (None, None)
        named.append(_series(replace(one, name=name or ""), line, panel, x, y, area, rng))
    reasons = unread(panel.kind, named, _SOME_UNREAD, _LONE_UNREAD, rng)
    series = [
        _as_read(one, panel, rng) if reason is None else Series(one.name, one.line, abstained=reason)
        for one, reason in zip(named, reasons, strict=True)
    ]
    if panel.kind == "line" and rng.random() < _PLACES_UNREAD:
        x = replace(x, scale=None, low=None, high=None)
        series = [replace(one, points=in_words(one.points, area)) for one in series]
    read = Panel(panel.kind, area, x, y, tuple(series))
    read = replace(read, series=facts_of(read))
    return overlapping(read, rng) if panel.kind == "scatter" else read


def _axis(
    axis: SpecAxis,
    values: Sequence[float],
    label: tuple[str, int] | None,
    rng: random.Random,
    from_zero: bool = False,
) -> Axis:
    scale: AxisScale = "log" if axis.log else "linear"
    low, high = min(values), max(values)
    if axis.log:
        stretch = (high / low) ** 0.05
        low, high = low / stretch, high * stretch
    else:
        room = (high - low) * rng.uniform(0.02, 0.08)
        low, high = (0.0 if from_zero else low - room), high + room
    if label is None:
        return Axis(None, None, None, scale, low, high)
    return Axis(*label, axis.unit if axis.unit and axis.unit in label[0] else None, scale, low, high)


def _as_read(series: Series, panel: SpecPanel, rng: random.Random) -> Series:
    return traced(series, rng) if panel.kind == "line" else series


def _series(
    series: SpecSeries, line: int | None, panel: SpecPanel, x: Axis, y: Axis, area: Box, rng: random.Random
) -> Series:
    """The series with all that could be read of it. A name of "" is none."""
    places: list[float | str]
    if panel.categories:
        ys = [value * (1 + rng.gauss(0, 0.003)) for value in series.y]
        shares = [(i + 0.5) / len(ys) for i in range(len(ys))]
        places = list(x.categories)
    else:
        xs, ys = (list(series.x), list(series.y)) if panel.kind == "scatter" else _traced(series, panel)
        low, high = _levels([x.low or 0.0, x.high or 1.0], panel.x.log)
        shares = [float((level - low) / (high - low)) for level in _levels(xs, panel.x.log)]
        places = list(xs)
        extent = (y.high or 1.0) - (y.low or 0.0)
        ys = [v * (1 + rng.gauss(0, 0.01)) if panel.y.log else v + rng.gauss(0, 0.002) * extent for v in ys]
    bottom, top = _levels([y.low or (1e-9 if panel.y.log else 0.0), y.high or 1.0], panel.y.log)
    heights = [float((level - bottom) / (top - bottom)) for level in _levels(ys, panel.y.log)]
    x0, y0, x1, y1 = area
    points = tuple(
        Point(place, float(value), x0 + share * (x1 - x0), y1 - height * (y1 - y0))
        for place, value, share, height in zip(places, ys, shares, heights, strict=True)
        if place != ""
    )
    tolerance = 0.015 if panel.categories else rng.uniform(0.015, 0.06)
    return Series(series.name or None, line, None, points, 1.0, 0.01, tolerance)


def _traced(series: SpecSeries, panel: SpecPanel) -> tuple[list[float], list[float]]:
    """The curve at places of equal distance on the paper, straight between its points."""
    xs, ys = np.array(_levels(series.x, panel.x.log)), np.array(_levels(series.y, panel.y.log))
    places = np.linspace(xs[0], xs[-1], max(_SAMPLES, len(xs)))
    heights = np.interp(places, xs, ys)
    return _values(places, panel.x.log), _values(heights, panel.y.log)


def _levels(values: Sequence[float], log: bool) -> list[float]:
    return [float(v) for v in np.log10(values)] if log else [float(v) for v in values]


def _values(levels: np.ndarray, log: bool) -> list[float]:
    return [float(v) for v in 10.0**levels] if log else [float(v) for v in levels]
