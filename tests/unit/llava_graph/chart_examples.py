"""Charts as a reader would have read them, and statements about them marked by hand: statements.txt, held_out.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llava_graph.chart import Axis, Chart, ChartKind, Panel, Point, Series
from llava_graph.curves import facts_of
from llava_graph.ocr import Line

STATEMENTS = Path(__file__).with_name("statements.txt")
HELD_OUT = Path(__file__).with_name("held_out.txt")
HELD_OUT_2 = Path(__file__).with_name("held_out_2.txt")


def series(name: str | None, xs: Sequence[float | str], ys: Sequence[float]) -> Series:
    points = tuple(Point(x, y, 0.0, 0.0) for x, y in zip(xs, ys, strict=True))
    return Series(name, points=points, coverage=1.0, x_tolerance=0.005, y_tolerance=0.005)


def panel(kind: ChartKind, x: Axis, y: Axis, *members: Series) -> Panel:
    read = Panel(kind, (100, 20, 600, 400), x, y, members)
    return replace(read, series=facts_of(read))


def _dense(xs: Sequence[float], ys: Sequence[float], count: int = 200) -> tuple[list[float], list[float]]:
    """The points that a tracing has of a curve drawn straight between a few."""
    places = [xs[0] + (xs[-1] - xs[0]) * i / (count - 1) for i in range(count)]
    heights = []
    for place in places:
        i = max(j for j in range(len(xs) - 1) if xs[j] <= place or j == 0)
        share = (place - xs[i]) / (xs[i + 1] - xs[i])
        heights.append(ys[i] + share * (ys[i + 1] - ys[i]))
    return places, heights


_HOURS = [float(hour) for hour in range(0, 49, 4)]
_GROWTH = {
    "Vodira": (0.02, 0.06, 0.17, 0.31, 0.53, 0.87, 1.12, 1.29, 1.34, 1.4, 1.42, 1.44, 1.45),
    "Kestrol B": (0.95, 0.9, 0.82, 0.77, 0.71, 0.64, 0.55, 0.47, 0.4, 0.33, 0.28, 0.24, 0.2),
    "Mura-7": (0.1, 0.1, 0.11, 0.1, 0.11, 0.12, 0.11, 0.12, 0.11, 0.12, 0.12, 0.11, 0.12),
}
_YEARS = ("2015", "2016", "2017", "2018")
_TIME = Axis("Time (h)", scale="linear", low=-2, high=50)
_CATEGORIES = Axis("Year", scale="category", categories=_YEARS)
_SHARE = Axis("Share (%)", scale="linear", low=0, high=80)
_EFFECT = Axis("Effect", scale="linear", low=0, high=100)
_ITERATIONS = [i * 10.0 for i in range(101)]

CHARTS = {
    "growth": Chart(
        (
            panel(
                "line",
                _TIME,
                Axis("Optical density", scale="linear", low=0, high=1.5),
                *(series(name, *_dense(_HOURS, ys)) for name, ys in _GROWTH.items()),
            ),
        )
    ),
    "bars": Chart(
        (
            panel(
                "bar",
                Axis("Soil", scale="category"),
                Axis("Yield (t/ha)", unit="t/ha", scale="linear", low=0, high=8),
                series(None, ("clay", "loam", "sand", "peat"), (3.1, 7.4, 4.6, 5.9)),
            ),
        )
    ),
    "grouped": Chart(
        (
            panel(
                "grouped_bar",
                _CATEGORIES,
                _SHARE,
                series("Urban", _YEARS, (20, 35, 50, 62)),
                series("Rural", _YEARS, (70, 55, 41, 30)),
            ),
        )
    ),
    "waves": Chart(
        (
            panel(
                "line",
                Axis("Frequency (Hz)", scale="linear", low=0, high=100),
                Axis("Gain (dB)", scale="linear", low=-20, high=40),
                series("Filter A", *_dense((0, 20, 40, 60, 100), (-10, 10, 35, 12, -8))),
                series("Filter B", *_dense((0, 30, 60, 80, 100), (20, 8, -15, 5, 22))),
            ),
        )
    ),
    "single": Chart(
        (
            panel(
                "line",
                Axis("Depth (m)", scale="linear", low=0, high=500),
                Axis("Temperature (°C)", scale="linear", low=0, high=25),
                series(None, *_dense((0, 100, 300, 500), (21, 14, 7, 4))),
            ),
        )
    ),
    "log": Chart(
        (
            panel(
                "line",
                Axis("Iterations", scale="linear", low=0, high=1000),
                Axis("Error", scale="log", low=1e-4, high=1),
                series("SGD", _ITERATIONS, [0.5 * (0.02 / 0.5) ** (x / 1000) for x in _ITERATIONS]),
                series("Adam", _ITERATIONS, [0.4 * (0.0003 / 0.4) ** (x / 1000) for x in _ITERATIONS]),
            ),
        )
    ),
    "twins": Chart(
        (
            panel(
                "line",
                _TIME,
                _EFFECT,
                series("Control", *_dense((0, 48), (50, 50))),
                series("Drug", *_dense((0, 48), (50, 90))),
            ),
            panel(
                "line",
                _TIME,
                _EFFECT,
                series("Control", *_dense((0, 48), (80, 30))),
                series("Drug", *_dense((0, 48), (80, 10))),
            ),
        )
    ),
    "models": Chart(
        (
            panel(
                "line",
                Axis("Epoch", scale="linear", low=0, high=100),
                Axis("Accuracy (%)", scale="linear", low=0, high=100),
                series("ABC-Net", *_dense((0, 40, 100), (20, 50, 91))),
                series("Model 2", *_dense((0, 60, 100), (15, 50, 74))),
                series("alpha = 0.5", *_dense((0, 100), (50, 50))),
                series("Low", *_dense((0, 100), (60, 30))),
            ),
        )
    ),
    "months": Chart(
        (
            panel(
                "bar",
                Axis(None, scale="category"),
                Axis("Change (%)", scale="linear", low=-10, high=10),
                series(None, ("Jan", "Feb", "Mar", "Apr"), (-4, 2, 6, -9)),
            ),
        )
    ),
    "numbers": Chart(
        (
            panel(
                "line",
                Axis("Voltage (mV)", scale="linear", low=0, high=4),
                Axis("Current", scale="linear", low=0, high=60),
                series("10", *_dense((0, 4), (1, 48))),
                series("20", *_dense((0, 4), (44, 8))),
                series("50", *_dense((0, 4), (54, 54))),
            ),
        )
    ),
    "dates": Chart(
        (
            panel(
                "line",
                Axis("date", scale="date", low=1096, high=5113),
                Axis("Price", scale="linear", low=0, high=700),
                series("Copper", *_dense((1096, 5100), (210, 610))),
                series("Tin", *_dense((1096, 5100), (430, 95))),
            ),
        )
    ),
    "stacked": Chart(
        (
            panel(
                "stacked_bar",
                Axis("Crop", scale="category"),
                Axis("Yield", scale="linear", low=0, high=20),
                series("North", ("rye", "oats", "wheat"), (3, 9, 5)),
                series("South", ("rye", "oats", "wheat"), (2, 4, 8)),
            ),
        )
    ),
    "hidden": Chart(
        (
            panel(
                "line",
                _TIME,
                _EFFECT,
                series("Seen", *_dense((0, 48), (10, 90))),
                Series("Ghost", abstained="low_coverage"),
            ),
        )
    ),
}


def lines_of(chart: Chart) -> list[Line]:
    """What an OCR engine would have read of a chart: its labels and names, and round numbers at its axes."""
    texts = []
    for one in chart.panels:
        texts += [axis.label for axis in (one.x, one.y) if axis.label]
        texts += [member.name for member in one.series if member.name]
        texts += [point.x for member in one.series for point in member.points if isinstance(point.x, str)]
        for axis in (one.x, one.y):
            if axis.low is not None and axis.high is not None:
                texts += [f"{axis.low + (axis.high - axis.low) * i / 5:g}" for i in range(6)]
    return [Line(text, (0, 10 * i, 50, 10 * i + 8)) for i, text in enumerate(dict.fromkeys(texts))]


@dataclass(frozen=True, slots=True)
class Mark:
    """`text[start:end]` was marked: "t" is true, "f" is surely false, "u" cannot be decided."""

    start: int
    end: int
    truth: str


@dataclass(frozen=True, slots=True)
class Statement:
    chart: str
    text: str
    marks: tuple[Mark, ...]


def statements(file: Path) -> Iterator[Statement]:
    """The statements of one file."""
    rows = [row for row in file.read_text(encoding="utf-8").splitlines() if row and not row.startswith("#")]
    for row in rows:
        chart, _, marked = row.partition(": ")
        text = ""
        marks = []
        place = 0
        for match in re.finditer(r"\{([^{}]*)\|([tfu])\}", marked):
            text += marked[place : match.start()]
            marks.append(Mark(len(text), len(text) + len(match[1]), match[2]))
            text += match[1]
            place = match.end()
        yield Statement(chart, text + marked[place:], tuple(marks))
