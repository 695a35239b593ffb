"""What a model is told of a figure, and so all that an answer may say: caption, lines and chart within the template.

    told = tell(reading, names, caption, parts)

A name is known where chart data give it or where it stands in the caption or in a line that is told, and then
as it stands there, an OCR error included. Everything else is None, and is spoken of without a name. No sentence is
made here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from data.synthetic.write import spoken
from llava_graph.chart import Axis, Panel, Series
from llava_graph.chart_text import KIND_WORDS
from llava_graph.context import TEMPLATES, FigureContext, neutralise, told_lines
from llava_graph.context_parts import ContextParts
from llava_graph.ocr import Line
from training.small.reading import Reading
from training.small.truth import FigureNames, PanelNames

TEMPLATE = "brief@2"

_ALIKE = 0.86
"""From this ratio on, a line is the name that it was printed from, with an error of OCR."""


@dataclass(frozen=True, slots=True)
class ToldPanel:
    """`series` has a name, or None, for each series of `data`, or for each printed name where there are no data.

    `data` is the panel as it was read, None where nothing was; `unread` is the reason, None where none was told.
    """

    kind: str | None
    x: str | None
    y: str | None
    series: tuple[str | None, ...]
    categories: tuple[str, ...] = ()
    data: Panel | None = None
    unread: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """`context` is what the prompt is made of, `panels` what may be said. `has_text`: caption or lines were given."""

    context: FigureContext
    panels: tuple[ToldPanel, ...]
    unread: str | None
    has_text: bool


def tell(reading: Reading, names: FigureNames, caption: str, parts: ContextParts) -> Told:
    """What is told of a reading when these parts of the context are."""
    template = TEMPLATES[TEMPLATE]
    lines = reading.lines if parts.ocr else ()
    chart = reading.chart if parts.chart else None
    caption = caption if parts.caption else ""
    context = FigureContext(reading.width, reading.height, caption, lines, chart)
    kept, _ = told_lines(template, lines)
    seen = neutralise(caption)[0]
    printed = [_legible_panel(panel, kept, seen) for panel in names]
    limits = template.chart
    assert limits is not None
    if chart is None or chart.abstained or not chart.panels:
        unread = chart.abstained or "reader_failed" if chart else None
        return Told(context, _with_something(printed), unread, bool(kept or seen.strip()))
    panels = []
    left = limits.series
    for index, panel in enumerate(chart.panels[: limits.panels]):
        # Only where panels are as many as in the figure is it known which is which.
        own = printed[index] if len(printed) == len(chart.panels) else None
        shown = replace(panel, series=panel.series[:left])
        left -= len(shown.series)
        panels.append(_read_panel(shown, own))
    return Told(context, tuple(panels), None, True)


def _with_something(panels: Sequence[ToldPanel]) -> tuple[ToldPanel, ...]:
    """The panels of which anything is told; the first where that is none. A kind is told by the figure's pixels."""
    kept = [panel for panel in panels if panel.kind or panel.x or panel.y or panel.series or panel.categories]
    return tuple(kept or panels[:1])


def _read_panel(panel: Panel, printed: ToldPanel | None) -> ToldPanel:
    x, y = _label(panel.x), _label(panel.y)
    if printed and panel.abstained:
        kind = None if panel.kind == "other" else KIND_WORDS[panel.kind]
        return replace(printed, kind=printed.kind or kind, unread=panel.abstained)
    if printed and panel.horizontal:
        printed = replace(printed, x=printed.y, y=printed.x)
    if printed:
        # Where only one label stands in the figure, it is not known to which axis the other name belongs.
        x, y = x or (printed.x if printed.x != y else None), y or (printed.y if printed.y != x else None)
    kind = KIND_WORDS[panel.kind] if panel.kind != "other" else None
    names = tuple(_name(series) for series in panel.series)
    categories = tuple(dict.fromkeys(str(p.x) for s in panel.series for p in s.points if isinstance(p.x, str)))
    if panel.abstained:
        return ToldPanel(kind, x, y, names, (), None, panel.abstained)
    return ToldPanel(kind, x, y, names, categories, panel)


def _label(axis: Axis) -> str | None:
    return spoken(" ".join(axis.label.split())) if axis.label and axis.label.strip() else None


def _name(series: Series) -> str | None:
    return " ".join(series.name.split()) if series.name and series.name.strip() else None


def _legible_panel(names: PanelNames, lines: Sequence[Line], caption: str) -> ToldPanel:
    series = tuple(_legible(name, lines, caption) for name in names.series)
    categories = tuple(name for name in (_legible(name, lines, "") for name in names.categories) if name)
    x, y = (names.x and _legible(names.x, lines, caption), names.y and _legible(names.y, lines, caption))
    return ToldPanel(names.kind, x, y, tuple(dict.fromkeys(name for name in series if name)), categories)


def _legible(name: str, lines: Sequence[Line], caption: str) -> str | None:
    """The name as it stands in a line or in the caption."""
    wanted = _squeezed(name)
    best, best_ratio = None, _ALIKE
    for line in lines:
        text = spoken(line.text)
        if _squeezed(text) == wanted:
            return text
        ratio = difflib.SequenceMatcher(None, _squeezed(text), wanted).ratio() if len(wanted) >= 6 else 0.0
        if ratio > best_ratio:
            best, best_ratio = text, ratio
    if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", caption):
        return name
    return best


def _squeezed(text: str) -> str:
    return "".join(text.split()).casefold()
