"""Readings of generated figures as the readers would make them, from the figure's truth: cheap, so there can be many.

    reading = simulate(spec, rendered, random.Random(3))

Reading a figure takes seconds; a small model also needs variety. Here OCR lines come from the drawn texts, with the
errors that the real OCR makes (lines missed, letters confused, spaces lost), and chart data from the specification,
with the reader's tolerances and its abstentions. The shares are those of a few hundred real readings. The real readings
of `reading` are what the model is tuned to in the end; nothing here is used to measure.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data.synthetic.render import Rendered
from data.synthetic.spec import Axis as SpecAxis
from data.synthetic.spec import FigureSpec
from data.synthetic.spec import Panel as SpecPanel
from data.synthetic.spec import Series as SpecSeries
from llava_graph.chart import Axis, AxisScale, Box, Chart, Panel, Point, Series
from llava_graph.curves import facts_of
from llava_graph.ocr import Line, reading_order
from training.small.reading import Reading

_SAMPLES = 41
"""Points of a curve that the reader gives."""

_PANEL_REASONS = ("axis_not_calibrated",) * 5 + ("unexplained_ink", "kind_unknown", "twin_axes", "deadline")
_SERIES_REASONS = ("same_colour_series",) * 3 + ("low_coverage",) * 3 + ("redrawing_differs", "points_overlap")
_CONFUSED = {"I": "l", "l": "I", "O": "0", "rn": "m", "ai": "al", "ff": "f", "S": "5", "vv": "w", "ri": "n"}


def simulate(spec: FigureSpec, rendered: Rendered, rng: random.Random) -> Reading:
    """A reading of the figure; the same generator's state gives the same."""
    texts = rendered.texts
    kept = [text for text in texts if rng.random() > (0.06 if text.role in ("x_tick", "y_tick") else 0.012)]
    lines = reading_order([Line(_seen(text.text, rng), text.box, round(rng.uniform(0.93, 1.0), 4)) for text in kept])
    if rng.random() < 0.07:
        reason = rng.choice(("no_axes", "kind_unknown", "low_resolution", "deadline"))
        chart = Chart(abstained=reason)
    else:
        pairs = zip(spec.panels, rendered.axes_boxes, strict=True)
        chart = Chart(tuple(_panel(panel, area, lines, rng) for panel, area in pairs))
    return Reading("", rendered.image.width, rendered.image.height, tuple(lines), chart)


def _seen(text: str, rng: random.Random) -> str:
    if " " in text and rng.random() < 0.02:
        text = text.replace(" ", "", 1)
    if rng.random() < 0.015:
        found = [pair for pair in _CONFUSED.items() if pair[0] in text]
        if found:
            text = text.replace(*rng.choice(found), 1)
    return text


def _panel(panel: SpecPanel, area: Box, lines: Sequence[Line], rng: random.Random) -> Panel:
    has_bars = bool(panel.categories)
    x = _axis(panel.x, [v for s in panel.series for v in s.x], "category" if has_bars else None, lines, rng)
    y = _axis(panel.y, [v for s in panel.series for v in s.y], None, lines, rng, from_zero=has_bars)
    if rng.random() < 0.14:
        reason = rng.choice(_PANEL_REASONS)
        return Panel(panel.kind, area, replace(x, scale=None, low=None, high=None), y, abstained=reason)
    if has_bars:
        x = replace(x, categories=_as_read(panel.categories, lines))
    unread = 0.0 if len(panel.series) == 1 else rng.choice((0.0, 0.0, 0.0, 0.35))
    series = [_series(one, panel, x, y, area, lines, rng, unread) for one in panel.series]
    read = Panel(panel.kind, area, x, y, tuple(series))
    return replace(read, series=facts_of(read))


def _axis(
    axis: SpecAxis,
    values: Sequence[float],
    scale: AxisScale | None,
    lines: Sequence[Line],
    rng: random.Random,
    from_zero: bool = False,
) -> Axis:
    label = next((line.text for line in lines if line.text == axis.label), None)
    index = next((i for i, line in enumerate(lines) if line.text == axis.label), None)
    if scale == "category":
        return Axis(label, index, axis.unit if label else None, scale)
    scale = "log" if axis.log else "linear"
    low, high = min(values), max(values)
    if axis.log:
        stretch = (high / low) ** 0.05
        low, high = low / stretch, high * stretch
    else:
        room = (high - low) * rng.uniform(0.02, 0.08)
        low, high = (0.0 if from_zero else low - room), high + room
    return Axis(label, index, axis.unit if label else None, scale, low, high)


def _as_read(names: Sequence[str], lines: Sequence[Line]) -> tuple[str, ...]:
    texts = {line.text for line in lines}
    return tuple(name if name in texts else "" for name in names)


def _series(
    series: SpecSeries,
    panel: SpecPanel,
    x: Axis,
    y: Axis,
    area: Box,
    lines: Sequence[Line],
    rng: random.Random,
    unread: float,
) -> Series:
    index = next((i for i, line in enumerate(lines) if line.text == series.name), None)
    name = series.name if index is not None and panel.legend else None
    if name is None and len(panel.series) > 1:
        return Series(abstained="unnamed_series") if panel.categories else Series(abstained="same_colour_series")
    if rng.random() < unread:
        return Series(name, index, abstained=rng.choice(_SERIES_REASONS))
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
    first, last = rng.random() > 0.03, rng.random() > 0.03
    tolerance = 0.015 if panel.categories else rng.uniform(0.015, 0.06)
    if panel.kind != "line":
        first = last = True
    return Series(name, index, None, points, 1.0, 0.01, tolerance, first, last)


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
