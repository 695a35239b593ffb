"""A figure with two curves whose data are known, and a reading of it that says nothing but the truth."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evaluation.suites.charts.truth import TruthAxis, TruthFigure, TruthPanel, TruthSeries
from llava_graph.chart import Axis, Chart, Fact, Panel, Point, Series

AREA = (100.0, 50.0, 500.0, 350.0)
XS = tuple(float(x) for x in range(11))
RISING = tuple((x, 10 + 6 * x) for x in XS)
FALLING = tuple((x, 60 - 5 * x) for x in XS)


@pytest.fixture
def two_curves() -> TruthFigure:
    panel = TruthPanel(
        "line",
        TruthAxis("Time", "s", "linear", 0, 10),
        TruthAxis("Level", None, "linear", 0, 100),
        (TruthSeries("Alpha", RISING), TruthSeries("Omega", FALLING)),
        AREA,
    )
    return TruthFigure("figure", "figure.png", "tool", "test", "line_few", (panel,))


@pytest.fixture
def curve() -> Callable[..., Series]:
    """Makes a series through points (x, y) with the facts that follow from them."""

    def make(name: str | None, points: tuple[tuple[float, float], ...], trend: str) -> Series:
        ys = [y for _, y in points]
        facts = (
            Fact("trend", text=trend),
            Fact("first", x=points[0][0], y=ys[0]),
            Fact("last", x=points[-1][0], y=ys[-1]),
            Fact("maximum", y=max(ys)),
            Fact("minimum", y=min(ys)),
        )
        placed = tuple(Point(x, y, 100 + 40 * x, 350 - 3 * y) for x, y in points)
        return Series(name=name, points=placed, coverage=1.0, facts=facts)

    return make


@pytest.fixture
def read_panel() -> Callable[..., Panel]:
    """Makes a panel of two linear axes around the true plot area."""

    def make(*series: Series, kind: str = "line") -> Panel:
        x = Axis("Time", None, "s", "linear", 0.0, 10.0)
        y = Axis("Level", None, None, "linear", 0.0, 100.0)
        return Panel(kind, AREA, x, y, series)  # type: ignore[arg-type]

    return make


@pytest.fixture
def right_chart(curve: Callable[..., Series], read_panel: Callable[..., Panel]) -> Chart:
    return Chart((read_panel(curve("Alpha", RISING, "rises"), curve("Omega", FALLING, "falls")),))
