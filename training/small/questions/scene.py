"""What is at hand when a question about one panel is made: what was told of it, chance, and who words the question."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from llava_graph.chart import Axis, Fact, FactKind, Panel, Series
from llava_graph.chart_text import NumberWriter
from training.small import paragraphs
from training.small.paragraphs import fact_of, unit_of, who
from training.small.questions.wording import Asker
from training.small.told import Told, ToldPanel

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Scene:
    """One panel. `claimed` are the indices of the series of which data were read and that one can ask for."""

    told: Told
    panel: ToldPanel
    rng: random.Random
    ask: Asker
    claimed: tuple[int, ...]

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

    def name(self, i: int) -> str:
        return who(self.panel, self.data, i)

    def y(self, i: int, value: float | None) -> str:
        """A value as the prompt writes it, with its unit."""
        return f"{NumberWriter.of(self.data, self.series(i)).y(value)}{unit_of(self.data.y)}"

    def x(self, i: int, value: float | str | None) -> str:
        return NumberWriter.of(self.data, self.series(i)).x(value)

    def span(self, low: float, high: float) -> float:
        """How far two values lie apart, as a share of what the vertical axis shows; of a log axis, as a ratio."""
        return apart(self.data.y, low, high)


def apart(axis: Axis, low: float, high: float) -> float:
    if axis.scale == "log" and min(low, high) > 0:
        return abs(high / low - 1) / 4
    extent = abs((axis.high or 0.0) - (axis.low or 0.0))
    return abs(high - low) / extent if extent else 0.0


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
