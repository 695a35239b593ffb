"""The spec of a synthetic figure: plain data, without its look (render.py) and its texts (write.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["line", "scatter", "bar", "grouped_bar"]

Role = Literal["title", "x_label", "y_label", "x_tick", "y_tick", "legend", "panel_letter", "annotation"]


@dataclass(frozen=True, slots=True)
class Axis:
    """`label` is exactly what stands beside the axis: the quantity and, where there is one, its unit."""

    quantity: str
    unit: str | None = None
    brackets: str = "()"
    log: bool = False

    @property
    def label(self) -> str:
        return f"{self.quantity} {self.brackets[0]}{self.unit}{self.brackets[1]}" if self.unit else self.quantity


@dataclass(frozen=True, slots=True)
class Series:
    """`x` and `y` have one entry a point; in bar panels `x` counts the categories. `error` is a half-width in y."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    error: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One coordinate system. `categories` is empty unless the panel has bars."""

    kind: Kind
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    categories: tuple[str, ...] = ()
    title: str | None = None
    legend: bool = True

    @property
    def y_span(self) -> tuple[float, float]:
        values = [v for s in self.series for v in s.y]
        return min(values), max(values)


@dataclass(frozen=True, slots=True)
class FigureSpec:
    """One figure with one to three panels, side by side or stacked. `seed` also decides its looks when it is drawn."""

    panels: tuple[Panel, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class TextBox:
    """A text as it was drawn. `index` is the series of a legend entry, the category of a bar's tick, else 0."""

    text: str
    box: tuple[float, float, float, float]
    role: Role
    panel: int = 0
    index: int = 0
