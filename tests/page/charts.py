"""Figures with data, as a reader would have read them: drawn where the data says that they lie."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw
from redis.asyncio import Redis

from llava_graph.chart import Axis, Chart, Panel, Point, Series
from llava_graph.curves import facts_of
from llava_graph.figure import open_figure
from llava_graph.jobs import Outcome, Reply
from llava_graph.ocr import Line
from tests.fakes.kept import store_reply

SIZE = (600, 400)
AREA = (60.0, 20.0, 580.0, 360.0)
HOURS = Axis("Time (h)", scale="linear", low=0.0, high=48.0)
DENSITY = Axis("Optical density", scale="linear", low=0.0, high=1.5)
SAMPLES = 49
NAMES = ("Vodira", "Kestrol")

_COLOURS = ("#1f77b4", "#ff7f0e")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure and the data that lies in it."""

    image: bytes
    chart: Chart
    lines: Sequence[Line]

    async def store(self, redis: Redis) -> None:
        """As if an OCR worker had read it."""
        figure_id = open_figure(self.image).id
        await store_reply(
            redis, Reply(figure_id, Outcome.DONE, self.lines, engine="fake/1", chart=self.chart, chart_ms=80.0)
        )


def growth() -> Drawn:
    """Two curves over 48 hours: Vodira rises from 0.02 to 1.45, Kestrol falls from 0.95 to 0.2."""
    places = [48.0 * i / (SAMPLES - 1) for i in range(SAMPLES)]
    curves = (
        _series(NAMES[0], _COLOURS[0], places, [0.02 + 1.43 * x / 48 for x in places]),
        _series(NAMES[1], _COLOURS[1], places, [0.95 - 0.75 * x / 48 for x in places]),
    )
    return _drawn(Panel("line", AREA, HOURS, DENSITY, curves))


def yields() -> Drawn:
    """One set of three bars, in a figure in which a second series could not be read."""
    categories = ("=SUM(1)", "B, plain", "C")
    x = Axis("Plot", scale="category", categories=categories)
    bars = _series("@yield", _COLOURS[0], categories, (0.5, 1.25, 0.75))
    hidden = Series("Kestrol", abstained="low_coverage")
    return _drawn(Panel("bar", AREA, x, DENSITY, (bars, hidden)))


def unread(reason: str = "twin_axes") -> Drawn:
    """Two panels, of which one is read and the other abstained from."""
    read = growth()
    other = Panel("line", AREA, HOURS, DENSITY, abstained=reason)
    return replace(read, chart=replace(read.chart, panels=(*read.chart.panels, other)))


def _series(name: str, colour: str, xs: Sequence[float | str], ys: Sequence[float]) -> Series:
    points = tuple(Point(x, y, *_place(i / (len(xs) - 1), y)) for i, (x, y) in enumerate(zip(xs, ys, strict=True)))
    return Series(name, None, colour, points, coverage=1.0, x_tolerance=0.005, y_tolerance=0.005)


def _place(share: float, y: float) -> tuple[float, float]:
    x0, y0, x1, y1 = AREA
    return x0 + share * (x1 - x0), y1 - y / 1.5 * (y1 - y0)


def _drawn(panel: Panel) -> Drawn:
    panel = replace(panel, series=facts_of(panel))
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle(AREA, outline="black", width=2)
    for series in panel.series:
        if series.points:
            draw.line([(point.px, point.py) for point in series.points], fill=series.colour, width=3)
    file = io.BytesIO()
    image.save(file, "PNG")
    lines = [Line(name, (70.0, 25.0 + 20 * i, 130.0, 40.0 + 20 * i), 0.98) for i, name in enumerate(NAMES)]
    return Drawn(file.getvalue(), Chart((panel,), revision="fake/1"), lines)
