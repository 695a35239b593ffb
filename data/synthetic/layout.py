"""Lays out a figure: positions of panels, axes and texts in pixels, before anything is drawn.

It works from the inside out: the data area has a size, the texts around it are measured, and the sheet becomes as large
as all of it needs, so that nothing is cut off and nothing overlaps. It draws nothing; its choices come in a `Look`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.synthetic.canvas import Extent, Label, Points, Type, measure, widest
from data.synthetic.looks import Look, Place
from data.synthetic.spec import FigureSpec, Panel, Series
from data.synthetic.ticks import Scale, Tick, number, rounded, ticks

_MAX_LEGEND_SHARE = 0.42
"""A legend that hides data and would take more than this of the data area's height goes outside."""

_MAX_WIDENING = 1.6
"""How much wider than its look wants a data area may become so that its categories stand upright."""

_MAX_SLANT_SLOTS = 1.5
"""Slanted names that reach across more slots than this stand upright instead."""


@dataclass(frozen=True, slots=True)
class Faces:
    """How the texts of one panel are set."""

    tick: Type
    label: Type
    legend: Type
    title: Type


@dataclass(frozen=True, slots=True)
class Legend:
    """A legend's size and place; its entries fill columns of `rows` rows, one after the other.

    `left` and `top` are its upper left corner relative to the data area's.
    """

    width: float
    height: float
    name_widths: tuple[float, ...]
    """The longest name in each column."""
    rows: int
    place: Place
    left: float = 0.0
    top: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A panel whose every size is known, in pixels. The margins are what its texts need around the data area."""

    panel: Panel
    index: int
    look: Look
    faces: Faces
    width: int
    height: int
    x: Scale
    y: Scale
    letter: Label | None = None
    letter_below: bool = False
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    tick_angle: float = 0.0
    values_shown: bool = False
    legend: Legend | None = None
    left: float = 0.0
    right: float = 0.0
    top: float = 0.0
    bottom: float = 0.0

    @property
    def has_bars(self) -> bool:
        return self.panel.kind in ("bar", "grouped_bar")

    @property
    def px(self) -> float:
        """Pixels a point."""
        return self.look.dpi / 72.0

    @property
    def gap(self) -> float:
        """Between neighbours such as an axis and its numbers, the numbers and the label, the area and the title."""
        return 4.0 * self.px

    @property
    def tick_reach(self) -> float:
        """How far ticks stand out of the data area."""
        outside = {"out": 1.0, "inout": 0.5, "in": 0.0}[self.look.frame.tick_direction]
        return outside * self.look.frame.tick_pt * self.px

    @property
    def head_gap(self) -> float:
        """From the data area up to the next text; the highest number of the y axis may reach above the area."""
        return max(self.gap, self.extent(Label("0"), self.faces.tick).ascent / 2 + 0.6 * self.gap)

    @property
    def x_tick_gap(self) -> float:
        """From the data area down to the numbers of the x axis; those of the y axis may reach below the area."""
        return max(self.tick_reach + self.gap, self.head_gap)

    @cached_property
    def x_tick_depth(self) -> float:
        """From the upper to the lower end of the x axis' numbers or categories."""
        extents = [self.extent(tick.label, self.faces.tick) for tick in self.x_ticks if tick.label]
        line = max(e.ascent for e in extents) + max(e.descent for e in extents)
        turn = math.radians(self.tick_angle)
        return line * math.cos(turn) + (max(e.width for e in extents) * math.sin(turn) if self.tick_angle else 0.0)

    @cached_property
    def y_tick_width(self) -> float:
        return widest([tick.label for tick in self.y_ticks if tick.label], self.faces.tick, self.look.dpi)

    @property
    def legend_em(self) -> float:
        return self.faces.legend.size_pt * self.px

    @property
    def handle_width(self) -> float:
        """Of the line, marker or patch before a name in the legend."""
        return {"line": 2.0, "scatter": 1.0}.get(self.panel.kind, 1.5) * self.legend_em

    @property
    def bar_width(self) -> float:
        """In units of the x axis, where categories are 1 apart."""
        return self.look.marks.bar_share / len(self.panel.series)

    def bar_centres(self, series_index: int) -> NDArray[np.float64]:
        offset = (series_index - (len(self.panel.series) - 1) / 2) * self.bar_width
        return np.arange(len(self.panel.series[series_index].y), dtype=np.float64) + offset

    @property
    def bar_foot(self) -> float:
        """The y value that bars stand on."""
        return self.y.low if self.panel.y.log else min(max(0.0, self.y.low), self.y.high)

    def extent(self, label: Label, face: Type) -> Extent:
        return measure(label, face, self.look.dpi)

    def points(self, xs: ArrayLike, ys: ArrayLike) -> Points:
        """Data values as pixels relative to the data area's upper left corner."""
        return np.column_stack([self.x.fraction(xs) * self.width, (1.0 - self.y.fraction(ys)) * self.height])


@dataclass(frozen=True, slots=True)
class Sheet:
    """The whole figure in pixels; `corners` are the upper left corners of the plans' data areas."""

    plans: tuple[Plan, ...]
    corners: tuple[tuple[int, int], ...]
    width: int
    height: int


def lay_out(spec: FigureSpec, look: Look) -> Sheet:
    plans = tuple(_plan(panel, index, len(spec.panels), look) for index, panel in enumerate(spec.panels))
    pad = 5.0 * look.dpi / 72.0
    gap = 2.5 * pad
    corners = []
    if look.arrangement.stacked:
        left, y = pad + max(plan.left for plan in plans), pad
        for plan in plans:
            corners.append((round(left), round(y + plan.top)))
            y += plan.top + plan.height + plan.bottom + gap
        width, height = left + max(plan.width + plan.right for plan in plans) + pad, y - gap + pad
    else:
        top, x = pad + max(plan.top for plan in plans), pad
        for plan in plans:
            corners.append((round(x + plan.left), round(top)))
            x += plan.left + plan.width + plan.right + gap
        width, height = x - gap + pad, top + max(plan.height + plan.bottom for plan in plans) + pad
    return Sheet(plans, tuple(corners), math.ceil(width), math.ceil(height))


def value_label(value: float, look: Look) -> Label:
    """What stands above a bar: three digits or so."""
    decimals = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return Label(number(value, min(decimals, 6), replace(look.text.numbers, trim_zeros=True)))


def _plan(panel: Panel, index: int, panel_count: int, look: Look) -> Plan:
    arrangement, faces, px = look.arrangement, _faces(panel, look), look.dpi / 72.0
    width = max(arrangement.area_width_pt * px, 0.95 * measure(Label(panel.x.label), faces.label, look.dpi).width)
    if panel.title:
        width = max(width, 0.9 * measure(Label(panel.title), faces.title, look.dpi).width)
    height = arrangement.area_height_pt * px
    if not arrangement.flat_y_label:
        height = max(height, measure(Label(panel.y.label), faces.label, look.dpi).width)
    x, y = _scales(panel, look)
    plan = Plan(panel, index, look, faces, round(width), round(height), x, y)
    if panel_count > 1:
        letter = "".join(chr(ord(c) + index) if c in "aA" else c for c in look.text.panel_letter)
        below = arrangement.letter_below or arrangement.flat_y_label or panel.title is not None
        plan = replace(plan, letter=Label(letter), letter_below=below)
    plan = _with_categories(plan) if plan.has_bars else _with_x_numbers(plan)
    if plan.has_bars and look.marks.bar_values:
        plan = _with_values(plan)
    if panel.legend:
        plan = _with_legend(plan)
    # The y axis comes last: values and legend may have made it longer.
    most = max(2, int(plan.height / (look.text.tick_pt * px * 2.2)))
    plan = replace(plan, y_ticks=tuple(ticks(plan.y, min(arrangement.y_tick_count, most), look.text.numbers)))
    return _with_margins(plan)


def _faces(panel: Panel, look: Look) -> Faces:
    """Axis labels that are longer than their axis are set smaller, down to the size of the numbers."""
    text = look.text
    label = Type(text.font.bold_path if text.bold_labels else text.font.path, text.label_pt, text.colour)
    room = ((panel.x.label, look.arrangement.area_width_pt), (panel.y.label, look.arrangement.area_height_pt))
    excess = max(measure(Label(line), label, 72.0).width / length for line, length in room)
    return Faces(
        tick=Type(text.font.path, text.tick_pt, text.colour),
        label=replace(label, size_pt=max(text.tick_pt, text.label_pt / max(excess, 1.0))),
        legend=Type(text.font.path, text.legend_pt, text.colour),
        title=Type(text.font.bold_path if text.bold_titles else text.font.path, text.title_pt, text.colour),
    )


def _scales(panel: Panel, look: Look) -> tuple[Scale, Scale]:
    arrangement = look.arrangement
    lows, highs = zip(*(_reach(series) for series in panel.series), strict=True)
    low, high = min(lows), max(highs)
    if panel.y.log and low <= 0:
        low = min(v for s in panel.series for v in s.y if v > 0)
    if panel.kind in ("line", "scatter"):
        y = _spread(low, high, panel.y.log).extended(0.05, 0.05)
        xs = [v for s in panel.series for v in s.x]
        x = _spread(min(xs), max(xs), panel.x.log)
        margin = 0.04 if panel.kind == "scatter" else arrangement.margin
        x = rounded(x, arrangement.x_tick_count) if arrangement.limits_at_ticks else x.extended(margin, margin)
    else:
        low, high = (low / 2.0, high) if panel.y.log else (min(low, 0.0), max(high, 0.0))
        y = _spread(low, high, panel.y.log).extended(0.06 if low < 0 else 0.0, 0.06 if high > 0 else 0.0)
        x = Scale(-0.6, len(panel.series[0].y) - 0.4)
    return x, rounded(y, arrangement.y_tick_count) if arrangement.limits_at_ticks else y


def _reach(series: Series) -> tuple[float, float]:
    """From the lowest to the highest y value, errors included."""
    error = series.error or (0.0,) * len(series.y)
    spans = [(y - e, y + e) for y, e in zip(series.y, error, strict=True)]
    return min(low for low, _ in spans), max(high for _, high in spans)


def _spread(low: float, high: float, log: bool) -> Scale:
    """A scale over the values, which may all be equal."""
    if high > low:
        return Scale(low, high, log)
    half = (abs(low) or 1.0) / 2
    return Scale(low / 2, high * 2, log=True) if log else Scale(low - half, high + half)


def _with_categories(plan: Plan) -> Plan:
    """Category names side by side; where they have no room the area is widened or the names are turned."""
    arrangement = plan.look.arrangement
    names = [Label(name) for name in plan.panel.categories]
    plan = replace(plan, x_ticks=tuple(Tick(float(i), name) for i, name in enumerate(names)))
    longest = widest(names, plan.faces.tick, plan.look.dpi)
    slots = plan.x.high - plan.x.low
    needed = (longest + 0.6 * plan.faces.tick.size_pt * plan.px) * slots
    if needed <= plan.width:
        return plan
    if arrangement.widened and needed <= arrangement.area_width_pt * plan.px * _MAX_WIDENING:
        return replace(plan, width=math.ceil(needed))
    angle = arrangement.category_angle
    crowded = longest * math.cos(math.radians(angle)) > _MAX_SLANT_SLOTS * plan.width / slots
    return replace(plan, tick_angle=90.0 if crowded else angle)


def _with_x_numbers(plan: Plan) -> Plan:
    """As many numbers as the look wants and the width has room for."""
    chosen: list[Tick] = []
    for count in range(plan.look.arrangement.x_tick_count, 0, -1):
        chosen = ticks(plan.x, count, plan.look.text.numbers)
        room = widest([tick.label for tick in chosen if tick.label], plan.faces.tick, plan.look.dpi)
        places = plan.x.fraction([tick.value for tick in chosen]) * plan.width
        if float(np.diff(places).min()) >= room + 0.8 * plan.faces.tick.size_pt * plan.px:
            break
    return replace(plan, x_ticks=tuple(chosen))


def _with_values(plan: Plan) -> Plan:
    """Shows the bars' values above them where they fit side by side."""
    values = [v for s in plan.panel.series for v in s.y]
    slot = plan.width / (plan.x.high - plan.x.low) / len(plan.panel.series)
    slot *= 1.0 if len(plan.panel.series) == 1 else plan.look.marks.bar_share
    width = widest([value_label(v, plan.look) for v in values], plan.faces.tick, plan.look.dpi)
    if min(values) <= 0 or width > slot * 0.9:
        return plan
    return replace(plan, y=plan.y.extended(0.0, _value_height(plan) / plan.height), values_shown=True)


def _value_height(plan: Plan) -> float:
    return 1.6 * plan.faces.tick.size_pt * plan.px


def _with_legend(plan: Plan) -> Plan:
    """Puts the legend where it covers no data: into a free corner, above lowered data, or outside."""
    places = plan.look.legend.places
    if places[0] in ("right", "above", "below"):
        return _with_legend_outside(plan, places[0])
    legend = _legend(plan, min(plan.look.legend.columns, len(plan.panel.series)))
    if legend.width > plan.width * 0.6:
        legend = _legend(plan, 1)
    if legend.width > plan.width * 0.8 or legend.height > plan.height * 0.7:
        return _with_legend_outside(plan, "above")
    data = _covered(plan)
    air = 0.3 * plan.legend_em
    for place in places:
        placed = _inside(plan, legend, place)
        x_hit = (data[:, 0] > placed.left - air) & (data[:, 0] < placed.left + placed.width + air)
        y_hit = (data[:, 1] > placed.top - air) & (data[:, 1] < placed.top + placed.height + air)
        if not (x_hit & y_hit).any():
            return replace(plan, legend=placed)
    share = (legend.height + 4 * air) / plan.height
    if share > _MAX_LEGEND_SHARE:
        return _with_legend_outside(plan, "right" if legend.width < plan.width * 0.6 else "above")
    missing = max(0.0, share - max(0.0, float(data[:, 1].min()) / plan.height))
    upper = next(place for place in places if place.startswith("upper"))
    return replace(plan, y=plan.y.extended(0.0, missing / (1.0 - share)), legend=_inside(plan, legend, upper))


def _inside(plan: Plan, legend: Legend, place: Place) -> Legend:
    inset = 0.6 * plan.legend_em
    right, below = plan.width - inset - legend.width, plan.height - inset - legend.height
    left = {"left": inset, "center": (plan.width - legend.width) / 2}.get(place.split()[-1], right)
    return replace(legend, place=place, left=round(left), top=round(inset if place.startswith("upper") else below))


def _with_legend_outside(plan: Plan, place: Place) -> Plan:
    """`top` of a legend below is left to `_with_margins`, which knows what else stands there."""
    if place == "right":
        legend = _legend(plan, 1)
        top = 0.0 if plan.look.legend.framed else max(0.0, (plan.height - legend.height) / 2)
        return replace(plan, legend=replace(legend, place=place, left=plan.width + 0.8 * plan.legend_em, top=top))
    columns = len(plan.panel.series)
    legend = _legend(plan, columns)
    while legend.width > plan.width and columns > 1:
        columns -= 1
        legend = _legend(plan, columns)
    left = (plan.width - legend.width) / 2
    return replace(plan, legend=replace(legend, place=place, left=left, top=-plan.head_gap - legend.height))


def _legend(plan: Plan, columns: int) -> Legend:
    names = [Label(series.name) for series in plan.panel.series]
    rows = math.ceil(len(names) / columns)
    groups = [names[start : start + rows] for start in range(0, len(names), rows)]
    widths = tuple(widest(group, plan.faces.legend, plan.look.dpi) for group in groups)
    em = plan.legend_em
    width = sum(widths) + len(groups) * (plan.handle_width + 0.6 * em) + (len(groups) - 1) * 1.2 * em + em
    return Legend(math.ceil(width), math.ceil((rows * 1.3 + 0.6) * em), widths, rows, "upper right")


def _covered(plan: Plan) -> Points:
    """Points, close to each other, that the data cover, in pixels relative to the data area."""
    parts: list[Points] = []
    for index, series in enumerate(plan.panel.series):
        ys = np.array(series.y)
        error = np.array(series.error) if series.error is not None else np.zeros_like(ys)
        if plan.has_bars:
            parts.extend(_bar_points(plan, index, ys - error, ys + error))
        elif plan.panel.kind == "scatter":
            parts.extend(plan.points(series.x, line) for line in (ys, ys - error, ys + error))
        else:
            parts.extend(_dense(plan.points(series.x, line)) for line in (ys, ys - error, ys + error))
    return np.concatenate(parts)


def _bar_points(plan: Plan, index: int, lows: NDArray[np.float64], highs: NDArray[np.float64]) -> list[Points]:
    half, lift = plan.bar_width / 2, _value_height(plan) if plan.values_shown else 0.0
    grids = []
    for centre, low, high in zip(plan.bar_centres(index), lows, highs, strict=True):
        ends = plan.points([centre - half, centre + half], [min(low, plan.bar_foot), max(high, plan.bar_foot)])
        (x0, bottom), (x1, top) = ends
        xs, ys = np.meshgrid(np.linspace(x0, x1, 5), np.arange(top - lift, max(bottom, top + 1), 4.0))
        grids.append(np.column_stack([xs.ravel(), ys.ravel()]))
    return grids


def _dense(points: Points, step_px: float = 3.0) -> Points:
    """The polyline through `points`, sampled about every `step_px`."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0.0, along[-1], max(2, int(along[-1] / step_px)))
    return np.column_stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])])


def _with_margins(plan: Plan) -> Plan:
    panel, faces, gap, legend = plan.panel, plan.faces, plan.gap, plan.legend
    flat_y_label = plan.look.arrangement.flat_y_label
    y_label_height = plan.extent(Label(panel.y.label), faces.label).height

    left = plan.tick_reach + gap + plan.y_tick_width + (0.0 if flat_y_label else gap + y_label_height)
    top = plan.head_gap
    bottom = plan.x_tick_gap + plan.x_tick_depth + gap + plan.extent(Label(panel.x.label), faces.label).height
    if legend and legend.place == "above":
        top += legend.height + gap
    if legend and legend.place == "below":
        legend = replace(legend, top=plan.height + bottom + 1.5 * gap)
        bottom += legend.height + 1.5 * gap
    if flat_y_label:
        top += y_label_height + gap
    if plan.letter and plan.letter_below:
        bottom += 2 * gap + plan.extent(plan.letter, faces.title).height
    if panel.title or (plan.letter and not plan.letter_below):
        top += plan.extent(Label(panel.title or "(a)"), faces.title).height + 1.5 * gap

    spans = [
        *_x_tick_spans(plan),
        *(_centred_span(plan, *line) for line in ((panel.x.label, faces.label), (panel.title or "", faces.title))),
    ]
    if legend and legend.place in ("right", "above", "below"):
        spans.append((legend.left, legend.left + legend.width))
    left = max(left, *(-start for start, _ in spans))
    right = max(0.0, *(end - plan.width for _, end in spans))
    return replace(plan, legend=legend, left=left, right=right, top=top, bottom=bottom)


def _x_tick_spans(plan: Plan) -> list[tuple[float, float]]:
    """From where to where the texts below the x axis reach, relative to the data area's left side."""
    spans = []
    turn = math.radians(plan.tick_angle)
    for tick in plan.x_ticks:
        if tick.label:
            x = float(plan.x.fraction(tick.value)) * plan.width
            extent = plan.extent(tick.label, plan.faces.tick)
            if plan.tick_angle:
                spans.append((x - extent.width * math.cos(turn) - extent.height * math.sin(turn), x + extent.height))
            else:
                spans.append((x - extent.width / 2, x + extent.width / 2))
    return spans


def _centred_span(plan: Plan, text: str, face: Type) -> tuple[float, float]:
    half = plan.extent(Label(text), face).width / 2
    return plan.width / 2 - half, plan.width / 2 + half
