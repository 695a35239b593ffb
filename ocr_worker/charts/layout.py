"""A plot area with the labels and titles that stand around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ocr_worker.charts import axes
from ocr_worker.charts.areas import Area
from ocr_worker.charts.axes import Labels
from ocr_worker.charts.picture import Picture
from ocr_worker.charts.texts import Token


@dataclass(frozen=True, slots=True)
class Layout:
    """An area with what stands around it."""

    area: Area
    left: Labels
    bottom: Labels
    right: Labels
    x_title: Token | None
    y_title: Token | None


def layout_at(figure: Picture, area: Area, tokens: Sequence[Token]) -> Layout:
    """What stands around an area, of all texts of the figure."""
    left = axes.labels_at(figure, area, tokens, "left")
    bottom = axes.labels_at(figure, area, tokens, "bottom")
    right = axes.labels_at(figure, area, tokens, "right")
    x_title = axes.title_of(area, bottom, tokens, left.tokens)
    y_title = axes.title_of(area, left, tokens, bottom.tokens)
    return Layout(area, left, bottom, right, x_title, y_title)


def lines_of(layout: Layout) -> set[int]:
    """OCR lines that are tick labels or axis labels."""
    titles = [title for title in (layout.x_title, layout.y_title) if title is not None]
    return {token.line for token in (*layout.left.tokens, *layout.bottom.tokens, *titles)}


def in_figure(box: tuple[float, float, float, float], figure: Picture) -> tuple[float, float, float, float]:
    """A box of the prepared picture in pixels of the figure as it came."""
    x0, y0, x1, y1 = (round(edge / figure.scale, 1) for edge in box)
    return x0, y0, x1, y1
