"""What is at hand when a question about one panel is made: what was told of it, chance, and who words the question."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from llava_graph.chart import Axis, Chart, Fact, FactKind, Panel, Series
from llava_graph.chart_text import NumberWriter, chart_rows
from llava_graph.context import TEMPLATES
from training.small import paragraphs
from training.small.paragraphs import fact_of, unit_of, who
from training.small.questions.wording import Asker
from training.small.told import TEMPLATE, Told, ToldPanel

Pair = tuple[str, str]

_SAME = 0.01
"""Share of the axis, besides what was read, within which the highest value of a curve is that of its end."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One panel. `claimed` are the indices of the series of which data were read and that one can ask for."""

    told: Told
    panel: ToldPanel
    rng: random.Random
    ask: Asker
    claimed: tuple[int, ...]
    rows: list[str] = field(default_factory=list)
    """The rows of the prompt that tell the series, once one was looked up."""

    @property
    def data(self) -> Panel:
        assert self.panel.data is not None
        return self.panel.data

    @property
    def letter(self) -> str | None:
        return self.ask.letter

    @property
    def ask_on(self) -> Asker:
        """Words a question that goes on from the one before, and so need not say which panel it is about."""
        return replace(self.ask, letter=None)

    @property
    def names(self) -> list[str]:
        return [name for name in self.panel.series if name]

    @property
    def claimed_names(self) -> list[str]:
        return [name for i in self.claimed if (name := self.panel.series[i])]

    @property
    def is_told_whole(self) -> bool:
        """Whether the prompt tells all series of the panel."""
        chart = self.told.context.chart
        at = next((i for i, panel in enumerate(self.told.panels) if panel is self.panel), None)
        return chart is not None and at is not None and len(chart.panels[at].series) == len(self.panel.series)

    def pick(self) -> int:
        return self.rng.choice(self.claimed)

    def two(self) -> tuple[int, int] | None:
        """Two series that have names."""
        named = [i for i in self.claimed if self.panel.series[i]]
        if len(named) < 2:
            return None
        first, second = self.rng.sample(named, 2)
        return first, second

    def series(self, i: int) -> Series:
        return self.data.series[i]

    def fact(self, i: int, kind: FactKind) -> Fact | None:
        return fact_of(self.series(i), kind)

    def told_fact(self, i: int, kind: FactKind) -> Fact | None:
        """The fact as the prompt tells it: not at all, or without its place, or with the value of the end that it is
        within what was read; the prompt does not tell the highest value of a curve that rises to it."""
        fact = self.fact(i, kind)
        if fact is None or fact.y is None:
            return None
        near = self.series(i).y_tolerance + _SAME
        ends = [self.fact(i, "first"), self.fact(i, "last")] if kind in ("maximum", "minimum") else []
        for one in (fact, *ends):
            if one is None or one.y is None or self.span(one.y, fact.y) > near or not self._tells(i, one.y, is_y=True):
                continue
            return one if self._tells(i, one.x, is_y=False) else replace(one, x=None)
        return None

    def _tells(self, i: int, value: float | str | None, is_y: bool) -> bool:
        """Whether the row of a series has the value."""
        write = NumberWriter.of(self.data, self.series(i))
        text = write.y(value) if is_y and not isinstance(value, str) else write.x(value)
        return re.search(rf"(?<![\w.-]){re.escape(text)}(?!\w|\.\d)", self._row(i)) is not None

    def _row(self, i: int) -> str:
        if not self.rows:
            limits = TEMPLATES[TEMPLATE].chart
            assert limits is not None
            self.rows.extend(chart_rows(Chart((self.data,)), limits)[1:])
        name = self.series(i).name
        return self.rows[i].removeprefix(f"- {name}:") if i < len(self.rows) else ""

    def name(self, i: int) -> str:
        return who(self.panel, self.data, i)

    def y(self, i: int, value: float | None) -> str:
        """A value as the prompt writes it, with its unit."""
        return f"{NumberWriter.of(self.data, self.series(i)).y(value)}{unit_of(self.data.y)}"

    def x(self, i: int, value: float | str | None) -> str:
        return NumberWriter.of(self.data, self.series(i)).x(value)

    @property
    def x_unit(self) -> str:
        """The unit behind a place along x; an axis that was not calibrated has places such as "40 % of the width"."""
        return unit_of(self.data.x) if self.data.x.scale is not None else ""

    def span(self, low: float, high: float) -> float:
        """How far two values lie apart, as a share of what the vertical axis shows; of a log axis, as a ratio."""
        return apart(self.data.y, low, high)


def apart(axis: Axis, low: float, high: float) -> float:
    if axis.scale == "log" and min(low, high) > 0:
        return abs(high / low - 1) / 4
    extent = abs((axis.high or 0.0) - (axis.low or 0.0))
    return abs(high - low) / extent if extent else 0.0


def link(name: str) -> str:
    """The verb that a series needs in a list of values: "5 about 6" would be two numbers."""
    return "" if any(char.isalpha() for char in name) else "is "


Make = Callable[[Scene], Sequence[Pair]]


class Kind(NamedTuple):
    """A kind of question: how often it is drawn beside others, and how it is made: nothing where it does not apply."""

    name: str
    weight: float
    make: Make


def scene_of(told: Told, panel: ToldPanel, rng: random.Random, ask: Asker) -> Scene:
    claimed: tuple[int, ...] = ()
    if panel.data is not None:
        claimed = tuple(
            i
            for i, series in enumerate(panel.data.series)
            if not series.abstained and series.points and (panel.series[i] or len(panel.data.series) == 1)
        )
    return Scene(told, panel, rng, ask, claimed)


capital = paragraphs.capital
