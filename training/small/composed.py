"""Readings of charts that nobody drew, with all that a reader meets: many series, missing labels, what was not read.

    figure = composed(random.Random(3))

The generator's figures have up to four series with invented names, so a model that is trained on them alone stops after
the fourth curve and takes a series called "20" for a number. Here the data of a chart are made up (`drawn`), and from
them where its texts would stand (`printed`) and what the reader would have read. There is no picture: such an example
is shown without its image. The shares of what was not read lie between those of the generator's figures and those of
other tools' figures, as the reader reads them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from data.synthetic.write import spoken
from llava_graph.chart import Axis, Box, Chart, ChartKind, Panel, Series
from llava_graph.curves import facts_of
from training.small import paper_names, paper_words
from training.small.drawn import BARS, Drawn, as_unreadable, draw
from training.small.paper_captions import caption
from training.small.partly_read import in_words, overlapping, traced, unread, weighted
from training.small.printed import HEIGHT, WIDTH, Found, Texts, put_beside, put_legend, put_panel
from training.small.reading import Reading
from training.small.truth import FigureNames, PanelNames

_COUNTS: dict[str, tuple[int, ...]] = {
    "line": (1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 10, 12),
    "bar": (1,),
    "grouped_bar": (2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7),
    "stacked_bar": (2, 3, 3, 4, 5, 6),
    "scatter": (1, 1, 2, 2, 3, 3, 4, 5, 6),
}
_KINDS: dict[ChartKind, float] = {"line": 0.52, "grouped_bar": 0.15, "stacked_bar": 0.07, "bar": 0.14, "scatter": 0.12}
_PANELS = {1: 0.82, 2: 0.09, 3: 0.04, 4: 0.03, 6: 0.02}
_GRIDS = {1: (1, 1), 2: (1, 2), 3: (1, 3), 4: (2, 2), 6: (2, 3)}
"""Rows and columns by the number of panels."""
_MOST_TOGETHER = 8
"""Series of all panels of a figure that has several; the prompt tells eight of them."""

_UNREAD_CHARTS = 0.04
_CHART_REASONS = {
    "no_axes": 0.75,
    "low_resolution": 0.07,
    "deadline": 0.06,
    "reader_failed": 0.06,
    "kind_unknown": 0.06,
}
_UNREAD_PANELS = 0.1
_PANEL_REASONS: dict[str, float] = {
    "kind_not_read": 0.36,
    "axis_not_calibrated": 0.22,
    "unexplained_ink": 0.15,
    "kind_unknown": 0.07,
    "broken_axis": 0.06,
    "twin_axes": 0.05,
    "same_colour_series": 0.03,
    "too_many_series": 0.03,
    "values_disagree": 0.02,
    "deadline": 0.01,
    "unsupported_scale": 0.01,
    "low_resolution": 0.01,
}
_OF_NO_KIND = ("kind_not_read", "kind_unknown", "broken_axis", "twin_axes", "values_disagree")
"""Reasons for which no kind is told."""

_SOME_UNREAD = 0.23
"""Share of the panels with several series of which some were not read."""
_LONE_UNREAD = 0.06
_EXTRA = 0.03
"""Share of the panels with several series where the reader found one more, such as a line that marks a limit."""
_TITLED, _TITLE_TAKEN = 0.18, 0.17
"""Share of the legends that have a title, and of these of which it was taken for a series."""
_PLACES_UNREAD = 0.04
"""Share of the line charts with an x axis of which no values were read, as of dates that OCR reads badly."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A reading with the names in its figure and captions for it."""

    reading: Reading
    names: FigureNames
    caption: Callable[[random.Random], str]


def composed(rng: random.Random) -> Composed:
    """A figure, made up and read."""
    count = weighted(_PANELS, rng)
    panels, reasons, owners = _panels(count, rng)
    texts = Texts(rng)
    for number, panel in enumerate(panels):
        put_panel(texts, panel, number, rng, 6 if count < 3 else 4)
    title = rng.choice(paper_words.LEGEND_TITLES) if rng.random() < _TITLED else ""
    for owner in sorted(set(owners)):
        if panels[owner].legend:
            put_legend(texts, panels[owner], [owner], title, rng)
    put_beside(texts, panels, rng)
    found = texts.read()
    if rng.random() < _UNREAD_CHARTS:
        chart = Chart(abstained=weighted(_CHART_REASONS, rng))
    else:
        read = []
        for number, (panel, reason) in enumerate(zip(panels, reasons, strict=True)):
            read.append(_read(panel, number, owners[number], reason, found, rng))
        chart = Chart(tuple(read))
    names = tuple(_names(panel) for panel in panels)
    return Composed(Reading("", WIDTH, HEIGHT, found.lines, chart), names, lambda rng: caption(panels, rng))


def _names(panel: Drawn) -> PanelNames:
    """What can be known of a panel without its data: the axes as drawn, and names that are more than numbers.

    There is no picture, so neither the kind of chart is known then, nor which of all the numbers are names of series.
    """
    x, y = (panel.y, panel.x) if panel.horizontal else (panel.x, panel.y)
    return PanelNames(None, spoken(x) or None, spoken(y) or None, _worded(panel.legend), _worded(panel.categories))


def _worded(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if any(char.isalpha() for char in name))


# Panels


def _panels(count: int, rng: random.Random) -> tuple[list[Drawn], list[str | None], list[int]]:
    """The panels, for each the reason why it was not read, and which panel's legend holds its names."""
    kind = weighted(_KINDS, rng)
    most = max(_MOST_TOGETHER // count, 2) if count > 1 else max(_COUNTS[kind])
    size = min(rng.choice(_COUNTS[kind]), most)
    legend = paper_names.legend(size, rng)
    is_shared = rng.random() < 0.55
    is_mixed = rng.random() < 0.25
    panels: list[Drawn] = []
    reasons: list[str | None] = []
    owners: list[int] = []
    for number, area in enumerate(_areas(count, rng)):
        owner = 0 if is_shared else number
        if number and is_mixed:
            kind, owner = weighted(_KINDS, rng), number
            size = min(rng.choice(_COUNTS[kind]), most)
        names = legend if owner != number or number == 0 else paper_names.legend(size, rng)
        reason = weighted(_PANEL_REASONS, rng) if rng.random() < _UNREAD_PANELS else None
        panel = as_unreadable(kind, names, area, rng) if reason in _OF_NO_KIND else draw(kind, names, area, rng)
        panel = replace(panel, legend=tuple(names)) if owner != number and len(names) > 1 else panel
        if number and rng.random() < 0.5:
            panel = _like(panel, panels[0], rng)
        panels.append(panel)
        reasons.append(reason)
        owners.append(owner)
    return panels, reasons, owners


def _like(panel: Drawn, first: Drawn, rng: random.Random) -> Drawn:
    """A panel with a label of the first one, as where panels show one quantity under several conditions."""
    if bool(panel.categories) != bool(first.categories):
        return panel
    if rng.random() < 0.6:
        return replace(panel, x=first.x) if first.x != panel.y else panel
    return replace(panel, y=first.y) if first.y != panel.x else panel


def _areas(count: int, rng: random.Random) -> list[Box]:
    rows, columns = _GRIDS[count]
    if rows == 1 and rng.random() < 0.4:
        rows, columns = columns, rows
    right = rng.choice((20, 20, 140, 180)) if count == 1 else 20
    left, top, bottom = (100, rng.choice((30, 60)), 75) if count == 1 else (70, 34, 62)
    wide, high = WIDTH / columns, HEIGHT / rows
    return [
        (column * wide + left, row * high + top, (column + 1) * wide - right, (row + 1) * high - bottom)
        for row in range(rows)
        for column in range(columns)
    ]


# What is read of a panel


def _read(drawn: Drawn, number: int, owner: int, reason: str | None, found: Found, rng: random.Random) -> Panel:
    x, y = _axis(f"{number} x", found, rng), _axis(f"{number} y", found, rng)
    y = replace(y, scale=drawn.upright.scale, low=drawn.upright.low, high=drawn.upright.high)
    if reason:
        x = replace(x, scale=None, low=None, high=None)
        return Panel(
            drawn.kind, drawn.area, x, y, abstained=reason, horizontal=drawn.horizontal and drawn.kind != "other"
        )
    x = replace(x, scale=drawn.along.scale)
    if drawn.categories:
        keys = [f"{number} category {i}" for i in range(len(drawn.categories))]
        x = replace(x, categories=tuple(found.seen[key][0] if key in found.seen else "" for key in keys))
    else:
        x = replace(x, low=drawn.along.low, high=drawn.along.high)
    series = _all_series(drawn, number, owner, x.categories, found, rng)
    if drawn.kind == "line" and rng.random() < _PLACES_UNREAD:
        x = replace(x, scale=None, low=None, high=None)
        series = [replace(one, points=in_words(one.points, drawn.area)) for one in series]
    panel = Panel(drawn.kind, drawn.area, x, y, tuple(series), horizontal=drawn.horizontal)
    panel = replace(panel, series=facts_of(panel))
    return overlapping(panel, rng) if drawn.kind == "scatter" else panel


def _axis(key: str, found: Found, rng: random.Random) -> Axis:
    """An axis with its label, which the reader now and then does not take for one. It takes a unit in brackets."""
    if key not in found.seen or rng.random() < 0.015:
        return Axis()
    label, index = found.seen[key]
    opening = max(label.rfind("("), label.rfind("["))
    unit = label[opening + 1 : -1].strip() or None if label[-1] in ")]" and opening > 0 else None
    return Axis(label, index, unit)


def _all_series(
    drawn: Drawn, number: int, owner: int, categories: Sequence[str], found: Found, rng: random.Random
) -> list[Series]:
    """The series in the order of the legend, each with what was read of it."""
    named = []
    for i, one in enumerate(drawn.series):
        name, line = found.seen.get(f"{owner} legend {i}", (None, None)) if drawn.legend else (None, None)
        named.append(replace(one, name=name, line=line))
    if owner != number and rng.random() < 0.25:  # the legend stands in another panel, which alone takes its names
        named = [replace(one, name=None, line=None) for one in named]
    reasons = unread(drawn.kind, named, _SOME_UNREAD, _LONE_UNREAD, rng)
    series = [
        _claimed(one, drawn, categories, rng) if reason is None else Series(one.name, one.line, abstained=reason)
        for one, reason in zip(named, reasons, strict=True)
    ]
    if len(series) > 1 and rng.random() < _EXTRA:
        series.insert(rng.randint(0, len(series)), Series(abstained="unnamed_series"))
    if (title := found.seen.get(f"{owner} legend title")) and rng.random() < _TITLE_TAKEN:
        reason = rng.choice(("low_coverage", "low_coverage", "redrawing_differs", "same_colour_series"))
        series.insert(rng.choice((0, 0, 1)), Series(*title, abstained=reason))
    return series


def _claimed(one: Series, drawn: Drawn, categories: Sequence[str], rng: random.Random) -> Series:
    if drawn.kind in BARS:
        points = [replace(point, x=name) for point, name in zip(one.points, categories, strict=True) if name]
        if len(points) > 1 and rng.random() < 0.05:  # a bar that was not read
            points.pop(rng.randrange(len(points)))
        printed = drawn.values_printed
        tolerance = 0.001 if printed else 0.01
        return replace(one, points=tuple(points), coverage=1.0, y_tolerance=tolerance, values_printed=printed)
    one = replace(one, coverage=1.0, x_tolerance=0.01, y_tolerance=rng.uniform(0.008, 0.05))
    return traced(one, rng) if drawn.kind == "line" else one
