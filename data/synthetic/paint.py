"""Draws planned panels onto a canvas and keeps where their texts stand. Every size and choice comes with the plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data.synthetic.canvas import Canvas, Colour, Fill, Label, Points, Stroke, Type
from data.synthetic.layout import Legend, Plan, value_label
from data.synthetic.spec import Role, Series, TextBox
from data.synthetic.ticks import Tick, minor_ticks
from llava_graph.ocr import Box

_BLACK: Colour = (0.0, 0.0, 0.0)
_GREY: Colour = (0.5, 0.5, 0.5)
_MAX_MARKERS = 12
"""A line with more points than this carries a marker only at every second, third … of them."""


def paint(canvas: Canvas, plan: Plan, corner: tuple[float, float]) -> list[TextBox]:
    """Draws one panel, the upper left corner of its data area at `corner`; the boxes are pixels of the canvas."""
    painter = _Painter(canvas, plan, corner)
    canvas.rectangle(painter.area, Fill(plan.look.frame.background))
    painter.grid()
    canvas.clip(painter.area)
    painter.data()
    canvas.clip(None)
    painter.outline()
    painter.tick_marks()
    painter.bar_values()
    painter.x_axis_texts()
    painter.y_axis_texts()
    painter.head()
    if plan.legend:
        painter.legend(plan.legend)
    return painter.texts


class _Painter:
    def __init__(self, canvas: Canvas, plan: Plan, corner: tuple[float, float]) -> None:
        self._canvas = canvas
        self._plan = plan
        self._corner = np.array(corner, dtype=np.float64)
        x, y = corner
        self.area: Box = (x, y, x + plan.width, y + plan.height)
        self.texts: list[TextBox] = []

    def _text(
        self,
        role: Role,
        label: Label,
        face: Type,
        x: float,
        baseline: float,
        *,
        align: float = 0.5,
        angle: float = 0.0,
        index: int = 0,
    ) -> None:
        if label.text:
            box = self._canvas.text(label, face, x, baseline, align, angle)
            self.texts.append(TextBox(label.plain, box, role, self._plan.index, index))

    def _points(self, xs: Sequence[float] | Points, ys: Sequence[float] | Points) -> Points:
        return self._plan.points(xs, ys) + self._corner

    def _x_pixels(self, ticks: Sequence[Tick]) -> list[float]:
        return [self.area[0] + float(f) * self._plan.width for f in self._plan.x.fraction([t.value for t in ticks])]

    def _y_pixels(self, ticks: Sequence[Tick]) -> list[float]:
        return [self.area[3] - float(f) * self._plan.height for f in self._plan.y.fraction([t.value for t in ticks])]

    def _segments(self, ends: Sequence[tuple[float, float]], stroke: Stroke) -> None:
        self._canvas.segments(np.array(ends, dtype=np.float64).reshape(-1, 2), stroke)

    # The data area

    def grid(self) -> None:
        x0, y0, x1, y1 = self.area
        plan, frame = self._plan, self._plan.look.frame
        ends: list[tuple[float, float]] = []
        if frame.grid in ("both", "x") and not plan.has_bars:
            ends += [end for x in self._x_pixels(plan.x_ticks) for end in ((x, y0), (x, y1))]
        if frame.grid in ("both", "y"):
            ends += [end for y in self._y_pixels(plan.y_ticks) for end in ((x0, y), (x1, y))]
        self._segments(ends, Stroke(frame.grid_colour, 0.8, frame.grid_dashes))

    def data(self) -> None:
        draw = {"line": self._line, "scatter": self._scatter}.get(self._plan.panel.kind, self._bars)
        for index, series in enumerate(self._plan.panel.series):
            draw(index, series)

    def _line(self, index: int, series: Series) -> None:
        marks = self._plan.look.marks
        colour = marks.colours[index]
        points = self._points(series.x, series.y)
        if series.error is not None and marks.error_band:
            lower, upper = self._error_ends(series.x, series)
            self._canvas.area(np.concatenate([upper, lower[::-1]]), Fill(colour, alpha=0.22))
        else:
            self._error_bars(series.x, series, colour)
        self._canvas.line(points, Stroke(colour, marks.line_pt, marks.dashes[index]))
        if marks.markers[index]:
            every = math.ceil(len(points) / _MAX_MARKERS)
            self._canvas.markers(points[::every], marks.markers[index], marks.marker_pt, self._marker_fill(index))

    def _scatter(self, index: int, series: Series) -> None:
        self._error_bars(series.x, series, self._plan.look.marks.colours[index])
        self._scatter_marks(index, self._points(series.x, series.y))

    def _scatter_marks(self, index: int, points: Points) -> None:
        marks = self._plan.look.marks
        fill = replace(self._marker_fill(index), alpha=0.0 if marks.hollow else marks.alpha)
        self._canvas.markers(points, marks.markers[index] or "o", marks.marker_pt, fill)

    def _marker_fill(self, index: int) -> Fill:
        marks = self._plan.look.marks
        edge = Stroke(marks.colours[index], 1.2 if marks.hollow or marks.markers[index] in ("x", "+") else 0.6)
        return Fill(self._plan.look.frame.background if marks.hollow else marks.colours[index], edge=edge)

    def _bars(self, index: int, series: Series) -> None:
        plan = self._plan
        centres, half = plan.bar_centres(index), plan.bar_width / 2
        feet = self._points(centres - half, np.full(len(centres), plan.bar_foot))
        tops = self._points(centres + half, series.y)
        for (x0, foot), (x1, top) in zip(feet, tops, strict=True):
            self._canvas.rectangle((x0, min(foot, top), x1, max(foot, top)), self._bar_fill(index))
        self._error_bars(centres, series, self._contrasting(index))

    def _bar_fill(self, index: int) -> Fill:
        marks = self._plan.look.marks
        edged = marks.bar_edge or marks.hatches[index]
        edge = Stroke(self._contrasting(index), 0.8) if edged else None
        return Fill(marks.colours[index], edge=edge, hatch=marks.hatches[index])

    def _contrasting(self, index: int) -> Colour:
        """For what is drawn onto a bar: black, or grey on the darkest bars."""
        return _BLACK if sum(self._plan.look.marks.colours[index]) > 0.6 else _GREY

    def _error_ends(self, xs: Sequence[float] | Points, series: Series) -> tuple[Points, Points]:
        ys, error = np.array(series.y), np.array(series.error)
        return self._points(xs, ys - error), self._points(xs, ys + error)

    def _error_bars(self, xs: Sequence[float] | Points, series: Series, colour: Colour) -> None:
        if series.error is None:
            return
        lower, upper = self._error_ends(xs, series)
        pairs = [np.stack([lower, upper], axis=1)]
        cap = np.array([self._plan.look.marks.cap_pt * self._plan.px / 2, 0.0])
        if cap.any():
            pairs += [np.stack([ends - cap, ends + cap], axis=1) for ends in (lower, upper)]
        self._canvas.segments(np.concatenate(pairs).reshape(-1, 2), Stroke(colour, 1.0))

    # Around it

    def outline(self) -> None:
        x0, y0, x1, y1 = self.area
        plan, frame = self._plan, self._plan.look.frame
        ends = [(x0, y1), (x1, y1)]
        if frame.sides != "bottom":
            ends += [(x0, y0), (x0, y1)]
        if frame.sides == "box":
            ends += [(x0, y0), (x1, y0), (x1, y0), (x1, y1)]
        if plan.has_bars and plan.y.low < plan.bar_foot:
            zero = y1 - float(plan.y.fraction(plan.bar_foot)) * plan.height
            ends += [(x0, zero), (x1, zero)]
        self._segments(ends, Stroke(frame.colour, frame.width_pt))

    def tick_marks(self) -> None:
        plan, frame = self._plan, self._plan.look.frame
        length = frame.tick_pt * plan.px
        if not length:
            return
        self._tick_marks(plan.x_ticks, plan.y_ticks, length)
        fine_x = not plan.has_bars and (frame.minor_ticks or plan.panel.x.log)
        fine_y = frame.minor_ticks or plan.panel.y.log
        x_minor = minor_ticks(plan.x, plan.x_ticks) if fine_x else ()
        y_minor = minor_ticks(plan.y, plan.y_ticks) if fine_y else ()
        self._tick_marks(x_minor, y_minor, length * 0.55)

    def _tick_marks(self, x_ticks: Sequence[Tick], y_ticks: Sequence[Tick], length: float) -> None:
        x0, y0, x1, y1 = self.area
        frame = self._plan.look.frame
        outside, inside = {"out": (1.0, 0.0), "in": (0.0, 1.0), "inout": (0.5, 0.5)}[frame.tick_direction]
        out, into = outside * length, inside * length
        xs, ys = self._x_pixels(x_ticks), self._y_pixels(y_ticks)
        ends = [end for x in xs for end in ((x, y1 + out), (x, y1 - into))]
        if frame.sides != "bottom":
            ends += [end for y in ys for end in ((x0 - out, y), (x0 + into, y))]
        if frame.mirrored_ticks:
            ends += [end for x in xs for end in ((x, y0 - out), (x, y0 + into))]
            ends += [end for y in ys for end in ((x1 + out, y), (x1 - into, y))]
        self._segments(ends, Stroke(frame.colour, frame.width_pt))

    # Texts

    def bar_values(self) -> None:
        plan, face = self._plan, self._plan.faces.tick
        if not plan.values_shown:
            return
        for index, series in enumerate(plan.panel.series):
            tops = np.array(series.y) + np.array(series.error or (0.0,) * len(series.y))
            for (x, top), value in zip(self._points(plan.bar_centres(index), tops), series.y, strict=True):
                self._text("annotation", value_label(value, plan.look), face, x, top - 0.4 * face.size_pt * plan.px)

    def x_axis_texts(self) -> None:
        """Numbers or categories, the label below them, and the panel's letter where it stands at the foot."""
        plan, faces, gap = self._plan, self._plan.faces, self._plan.gap
        x0, _, x1, y1 = self.area
        bottom = y1 + plan.x_tick_gap
        self._x_tick_labels(bottom)
        bottom += plan.x_tick_depth + gap
        label = Label(plan.panel.x.label)
        extent = plan.extent(label, faces.label)
        self._text("x_label", label, faces.label, (x0 + x1) / 2, bottom + extent.ascent)
        bottom += extent.height
        if plan.legend and plan.legend.place == "below":
            bottom += 1.5 * gap + plan.legend.height
        if plan.letter and plan.letter_below:
            ascent = plan.extent(plan.letter, faces.title).ascent
            self._text("panel_letter", plan.letter, faces.title, (x0 + x1) / 2, bottom + 2 * gap + ascent)

    def _x_tick_labels(self, top: float) -> None:
        plan, face = self._plan, self._plan.faces.tick
        ascent = max(plan.extent(tick.label, face).ascent for tick in plan.x_ticks if tick.label)
        turn = math.radians(plan.tick_angle)
        for index, (tick, x) in enumerate(zip(plan.x_ticks, self._x_pixels(plan.x_ticks), strict=True)):
            if tick.label and plan.tick_angle:
                # The end of the turned text stands below its tick.
                start = x + ascent * math.sin(turn) / 2, top + ascent * math.cos(turn)
                self._text("x_tick", tick.label, face, *start, align=1.0, angle=plan.tick_angle, index=index)
            elif tick.label:
                self._text("x_tick", tick.label, face, x, top + ascent, index=index if plan.has_bars else 0)

    def y_axis_texts(self) -> None:
        plan, faces = self._plan, self._plan.faces
        x0, y0, _, y1 = self.area
        right = x0 - plan.tick_reach - plan.gap
        half_digit = plan.extent(Label("0"), faces.tick).ascent / 2
        for tick, y in zip(plan.y_ticks, self._y_pixels(plan.y_ticks), strict=True):
            if tick.label:
                self._text("y_tick", tick.label, faces.tick, right, y + half_digit, align=1.0)
        if not plan.look.arrangement.flat_y_label:
            label = Label(plan.panel.y.label)
            x = right - plan.y_tick_width - plan.gap - plan.extent(label, faces.label).descent
            self._text("y_label", label, faces.label, x, (y0 + y1) / 2, angle=90.0)

    def head(self) -> None:
        """What stands above the data area and a legend there: a flat y label, then title and panel letter."""
        plan, faces, gap = self._plan, self._plan.faces, self._plan.gap
        x0, y0, x1, _ = self.area
        bottom = y0 - plan.head_gap
        if plan.legend and plan.legend.place == "above":
            bottom -= plan.legend.height + gap
        if plan.look.arrangement.flat_y_label:
            label = Label(plan.panel.y.label)
            extent = plan.extent(label, faces.label)
            self._text("y_label", label, faces.label, x0 - plan.left / 2, bottom - extent.descent, align=0.0)
            bottom -= extent.height + gap
        if plan.panel.title:
            title = Label(plan.panel.title)
            baseline = bottom - plan.extent(title, faces.title).descent - gap / 2
            x, align = (x0, 0.0) if plan.look.arrangement.title_at_left else ((x0 + x1) / 2, 0.5)
            self._text("title", title, faces.title, x, baseline, align=align)
        if plan.letter and not plan.letter_below:
            baseline = bottom - plan.extent(plan.letter, faces.title).descent - gap / 2
            self._text("panel_letter", plan.letter, faces.title, x0 - plan.left, baseline, align=0.0)

    # The legend

    def legend(self, legend: Legend) -> None:
        plan, face, em = self._plan, self._plan.faces.legend, self._plan.legend_em
        left, top = self.area[0] + legend.left, self.area[1] + legend.top
        if plan.look.legend.framed:
            fill = Fill(plan.look.frame.background, plan.look.legend.alpha, Stroke((0.75, 0.75, 0.75), 0.8))
            self._canvas.rectangle((left, top, left + legend.width, top + legend.height), fill)
        half_letter = plan.extent(Label("x"), face).ascent * 0.6
        x = left + 0.5 * em
        for column, name_width in enumerate(legend.name_widths):
            names_x = x + plan.handle_width + 0.6 * em
            first = column * legend.rows
            for row, series in enumerate(plan.panel.series[first : first + legend.rows]):
                middle = top + (0.3 + 1.3 * (row + 0.5)) * em
                self._handle(first + row, x, middle)
                name = Label(series.name)
                self._text("legend", name, face, names_x, middle + half_letter, align=0.0, index=first + row)
            x = names_x + name_width + 1.2 * em

    def _handle(self, index: int, x: float, middle: float) -> None:
        marks, kind, width = self._plan.look.marks, self._plan.panel.kind, self._plan.handle_width
        centre = np.array([(x + width / 2, middle)])
        if kind == "scatter":
            self._scatter_marks(index, centre)
        elif kind == "line":
            ends = np.array([(x, middle), (x + width, middle)])
            self._canvas.line(ends, Stroke(marks.colours[index], marks.line_pt, marks.dashes[index]))
            if marks.markers[index]:
                self._canvas.markers(centre, marks.markers[index], marks.marker_pt, self._marker_fill(index))
        else:
            half = 0.38 * self._plan.legend_em
            self._canvas.rectangle((x, middle - half, x + width, middle + half), self._bar_fill(index))
