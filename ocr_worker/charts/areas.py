"""Where the plot areas are: rectangles whose frame, grid or filling is drawn and that have tick labels beside them.

Each way to draw a plot area gives candidates (two spines that meet, a set of grid lines with common ends, a filled
rectangle, a lone bottom line under a column of labels); those with most labels beside them stay. Reads no values.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from llava_graph.ocr import Box
from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.picture import Picture, Stroke
from ocr_worker.charts.texts import Token

MAX_AREAS = 6
"""Figures with more panels than this have panels too small to be read well, and each takes time."""

MIN_SIDE = 50
"""Pixels; below it one pixel is 2 % of the axis, and no claim within 5 % is safe."""

CORNER = 0.022
"""Share of the figure's longer side, and at least 12 pixels, by which ticks that point outwards make spines longer."""

FIRM = 3.0
"""How well lines back a rectangle (see `drawn`) that surely is a panel: by a grid both ways, or two spines."""

BEYOND = 0.05
"""Share of a side's length by which a spine that goes beyond it shows that the line there is no other spine."""

MAX_CANDIDATES = 400
"""Rectangles that are weighed; many long lines that cross (a table, a hatching) give thousands."""

Rect = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Area:
    """A plot area. `left` … say whether a line is drawn at that side (where spines were seen)."""

    x0: float
    y0: float
    x1: float
    y1: float
    left: bool = False
    right: bool = False
    top: bool = False
    bottom: bool = False

    @property
    def box(self) -> Box:
        return self.x0, self.y0, self.x1, self.y1

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0


def find_areas(picture: Picture, tokens: Sequence[Token], deadline: Deadline | None = None) -> list[Area]:
    """The plot areas from left to right in rows from the top; empty where there are none. Raises DeadlineError."""
    snapped = (_snapped(rect, picture) for rect in _candidates(picture, tokens))
    candidates = dict.fromkeys(_rounded(rect) for rect in snapped if _large_enough(rect, picture))
    scored = []
    support: dict[Rect, float] = {}
    for number, rect in enumerate(itertools.islice(candidates, MAX_CANDIDATES)):
        if deadline is not None and number % 20 == 0:
            deadline.check()
        numeric_left, texts_left = beside(rect, tokens, "left")
        numeric_below, texts_below = beside(rect, tokens, "bottom")
        if numeric_left >= 2 or numeric_below >= 2:
            sides = _sides(rect, picture)
            size = (rect[2] - rect[0]) * (rect[3] - rect[1]) / (picture.width * picture.height)
            labels = min(numeric_left, 6) + min(numeric_below, 6) + 0.3 * min(texts_left + texts_below, 8)
            backed = drawn(rect, sides, picture)
            score = labels + backed + 2 * size - 8.0 * _spans_panels(rect, tokens, picture)
            # A grid line above the axis, or right of it.
            score -= 2.5 * (_gap_below(rect, tokens) > 2.2 or _line_before_labels(rect, tokens, picture))
            cut = _cuts_labels(rect, tokens) or _cuts_row(rect, tokens)
            score -= 2.5 * (_line_after_labels(rect, tokens, picture) or cut)
            scored.append((score, rect, sides))
            support[rect] = backed
    firm = [rect for rect, backed in support.items() if backed >= FIRM]
    # Labels of several panels, with no line around them all, span none.
    scored = [one for one in scored if support[one[1]] >= 1 or not _holds_two(one[1], firm)]
    chosen: list[Area] = []
    for _, rect, sides in sorted(scored, reverse=True):
        if len(chosen) < MAX_AREAS and not any(_overlap(rect, other.box) > 0.1 for other in chosen):
            chosen.append(Area(*rect, *sides))
    grown = [_grown(area, chosen, picture) for area in chosen]
    return sorted(grown, key=lambda area: (round(area.y0 / max(picture.height, 1) * 4), area.x0))


def _holds_two(rect: Rect, others: Sequence[Rect]) -> bool:
    """Whether two of the others that do not overlap lie nearly wholly within a rectangle."""
    inside = [o for o in others if _overlap(rect, o) > 0.9 and _size(o) < 0.6 * _size(rect)]
    return any(_overlap(a, b) <= 0 for i, a in enumerate(inside) for b in inside[:i])


def _size(rect: Rect) -> float:
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def _gap_below(rect: Rect, tokens: Sequence[Token]) -> float:
    """How far the nearest text below a rectangle is, in heights of it; 0 where there is none."""
    x0, _, x1, y1 = rect
    below = [t for t in tokens if t.box[1] > y1 - 4 and x0 < t.x < x1]
    nearest = min(below, key=lambda t: t.box[1], default=None)
    return (nearest.box[1] - y1) / max(min(nearest.height, nearest.width), 1.0) if nearest else 0.0


def _line_before_labels(rect: Rect, tokens: Sequence[Token], picture: Picture) -> bool:
    """Whether another line of the rectangle's width lies between its bottom and the texts below it."""
    x0, _, x1, y1 = rect
    below = [t for t in tokens if t.box[1] > y1 - 4 and x0 < t.x < x1]
    numbers = [t for t in below if t.numerals]
    nearest = min((t.box[1] for t in (numbers if len(numbers) >= 3 else below)), default=y1)
    return any(
        y1 + 4 < s.at < nearest + 4 and min(s.end, x1) - max(s.start, x0) >= 0.7 * (x1 - x0)
        for s in picture.horizontals
    )


def _line_after_labels(rect: Rect, tokens: Sequence[Token], picture: Picture) -> bool:
    """Whether another line of the rectangle's height lies between its left side and the numbers left of it: then that
    is the spine, and the side is a bar's or a grid line."""
    x0, y0, _, y1 = rect
    nearest = max((t.box[2] for t in tokens if t.numerals and t.box[2] < x0 + 4 and y0 < t.y < y1), default=x0)
    return any(
        nearest - 4 < s.at < x0 - 4 and min(s.end, y1) - max(s.start, y0) >= 0.7 * (y1 - y0) for s in picture.verticals
    )


def _cuts_labels(rect: Rect, tokens: Sequence[Token]) -> bool:
    """Whether the column of numbers left of a rectangle goes on above or below it at the same step."""
    x0, y0, x1, y1 = rect
    left = [t for t in tokens if t.numerals and -4 <= x0 - t.box[2] <= 0.14 * (x1 - x0) + 20]
    inside = sorted((t for t in left if y0 - 0.6 * t.height <= t.y <= y1 + 0.6 * t.height), key=lambda t: t.y)
    if len(inside) < 2:
        return False
    step = float(np.median(np.diff([t.y for t in inside])))
    edge = float(np.median([t.box[2] for t in inside]))
    beyond = [(t, inside[0].y - t.y) for t in left if t.y < y0 - 0.6 * t.height]
    beyond += [(t, t.y - inside[-1].y) for t in left if t.y > y1 + 0.6 * t.height]
    return any(abs(t.box[2] - edge) <= 0.6 * t.height and abs(gap - step) <= 0.15 * step for t, gap in beyond)


def _cuts_row(rect: Rect, tokens: Sequence[Token]) -> bool:
    """Whether the row of numbers below a rectangle goes on left of it at the same step."""
    x0, y0, x1, y1 = rect
    below = [t for t in tokens if t.numerals and -4 <= t.box[1] - y1 <= 0.12 * (y1 - y0) + 20]
    inside = sorted((t for t in below if x0 - 0.6 * t.width <= t.x <= x1 + 0.6 * t.width), key=lambda t: t.x)
    if len(inside) < 2:
        return False
    step = float(np.median(np.diff([t.x for t in inside])))
    level = float(np.median([t.y for t in inside]))
    return any(
        abs(t.y - level) <= 0.5 * t.height and abs(inside[0].x - t.x - step) <= 0.15 * step
        for t in below
        if t.x < x0 - 0.6 * t.width
    )


def _spans_panels(rect: Rect, tokens: Sequence[Token], picture: Picture) -> bool:
    """Whether tick labels of another panel stand inside: a column of numbers left of a line, or a row below one."""
    x0, y0, x1, y1 = rect
    inside = [t for t in tokens if t.numerals and x0 + 5 < t.box[0] and t.box[2] < x1 - 5 and y0 - 5 < t.y < y1 + 5][
        :80
    ]
    level = [t for t in tokens if t.numerals and x0 - 3 < t.x < x1 + 3 and y0 - 5 < t.y < y1 - 5][:80]
    for token in inside:
        reach = 2.0 * token.height + 6
        column = [t for t in inside if abs(t.box[2] - token.box[2]) <= 0.5 * token.height]
        top, bottom = min(t.y for t in column), max(t.y for t in column)
        if len(column) >= 3 and any(
            0 < s.at - token.box[2] + 3 <= reach and s.start <= top + 8 and s.end >= bottom - 8
            for s in picture.verticals
        ):
            return True
        # The first and the last label of a row stand half outside.
        row = [t for t in level if abs(t.y - token.y) <= 0.4 * token.height]
        if len(row) < 3:
            continue
        left, right = min(t.x for t in row), max(t.x for t in row)
        if any(
            0 < token.box[1] - s.at + 3 <= reach and s.start <= left + 8 and s.end >= right - 8
            for s in picture.horizontals
        ):
            return True
    return False


def drawn(rect: Rect, sides: Sequence[bool], picture: Picture) -> float:
    """How well lines and fillings back a rectangle: 2 for each spine, 1.5 for a grid that ends at two sides, 4 if
    filled."""
    x0, y0, x1, y1 = rect
    rows = sum(
        abs(s.start - x0) <= 6 and abs(s.end - x1) <= 6 and y0 - 3 <= s.at <= y1 + 3 for s in picture.horizontals
    )
    columns = sum(
        abs(s.start - y0) <= 6 and abs(s.end - y1) <= 6 and x0 - 3 <= s.at <= x1 + 3 for s in picture.verticals
    )
    filled = any(max(abs(a - b) for a, b in zip(rect, panel, strict=True)) <= 4 for panel in picture.panels)
    return 2.0 * sum(sides) + 1.5 * (rows >= 3) + 1.5 * (columns >= 3) + 4.0 * filled


def _snapped(rect: Rect, picture: Picture) -> Rect:
    """Each edge at the line that runs along it: ticks that point outwards make rectangles too large."""
    x0, y0, x1, y1 = rect

    def nearest(strokes: Sequence[Stroke], at: float, start: float, end: float) -> float:
        along = [
            s.at
            for s in strokes
            if abs(s.at - at) <= 12 and min(s.end, end) - max(s.start, start) >= 0.7 * (end - start)
        ]
        return min(along, key=lambda place: abs(place - at), default=at)

    x0, y0, x1, y1 = (
        nearest(picture.verticals, x0, y0, y1),
        nearest(picture.horizontals, y0, x0, x1),
        nearest(picture.verticals, x1, y0, y1),
        nearest(picture.horizontals, y1, x0, x1),
    )
    # The last grid line is no spine where the lines across it go on.
    right = [
        s.end
        for s in picture.horizontals
        if s.start <= x0 + 8 and y0 + 3 < s.at < y1 - 3 and s.length > 0.5 * (x1 - x0)
    ]
    if len(right) >= 2 and float(np.median(right)) > x1 + 6:
        x1 = float(np.median(right))
    top = [
        s.start for s in picture.verticals if s.end >= y1 - 8 and x0 + 3 < s.at < x1 - 3 and s.length > 0.5 * (y1 - y0)
    ]
    if len(top) >= 2 and float(np.median(top)) < y0 - 6:
        y0 = float(np.median(top))
    return x0, y0, x1, y1


def _grown(area: Area, others: Sequence[Area], picture: Picture) -> Area:
    """Where no line ends the area, it ends where the drawing ends."""
    x0, y0, x1, y1 = area.box
    if (area.right or x1 >= picture.width - 3) and area.top:
        return area
    if any(max(abs(a - b) for a, b in zip(area.box, panel, strict=True)) <= 4 for panel in picture.panels):
        return area
    ink = picture.ink.copy()
    for line in picture.lines:
        a, b, c, d = (round(edge) for edge in line.box)
        ink[max(b, 0) : d + 1, max(a, 0) : c + 1] = False
    for other in others:
        if other is not area:
            a, b, c, d = (round(edge) for edge in other.box)
            ink[max(b - 2, 0) : d + 3, max(a - 2, 0) : c + 3] = False
    if not area.left and len(others) == 1:
        beside_it = [
            line.box[2] for line in picture.lines if line.box[2] < x0 + 4 and y0 < line.box[3] and line.box[1] < y1
        ]
        reach = min(round(max([x0 - 0.05 * (x1 - x0), 0.0, *(edge + 2 for edge in beside_it)])), round(x0))
        columns = np.flatnonzero(ink[round(y0) + 3 : round(y1) - 3, reach : round(x0)].any(axis=0))
        x0 = float(reach + columns[0] - 1) if len(columns) else x0
    if not area.right:
        reach = round(x1 + 0.15 * (x1 - x0))
        columns = np.flatnonzero(ink[round(y0) : round(y1) - 3, round(x1) : reach].any(axis=0))
        x1 += float(columns[-1] + 2) if len(columns) else 0.0
    if not area.top:
        reach = max(round(y0 - 0.15 * (y1 - y0)), 0)
        rows = np.flatnonzero(ink[reach : round(y0), round(x0) + 3 : round(x1)].any(axis=1))
        y0 = float(reach + rows[0] - 1) if len(rows) else y0
    return replace(area, x0=max(x0, 0.0), x1=min(x1, picture.width - 1.0), y0=max(y0, 0.0))


def beside(rect: Sequence[float], tokens: Iterable[Token], side: str) -> tuple[int, int]:
    """How many numbers, and other texts, stand as tick labels would at the `left` or `bottom` of a rectangle. Of the
    numbers below it those in one row count: others are values at bars."""
    x0, y0, x1, y1 = rect
    numbers, other = [], 0
    reach_x, reach_y = 0.14 * (x1 - x0) + 20, 0.12 * (y1 - y0) + 20
    for token in tokens:
        if side == "left":
            fits = (
                -0.35 * token.height - 4 <= x0 - token.box[2] <= reach_x
                and y0 - token.height / 2 <= token.y <= y1 + token.height / 2
            )
        else:
            # Turned labels begin at the axis, upright ones lie wholly below it.
            gap = token.box[1] - y1
            fits = (
                -0.35 * min(token.height, token.width) - 4 <= gap <= reach_y
                and x0 - token.width / 2 - 6 <= token.x <= x1 + token.width / 2 + 6
            )
        if fits and token.numerals:
            numbers.append(token)
        elif fits:
            other += 1
    if side == "left":
        return len(numbers), other
    tops = [n.box[1] for n in numbers]
    in_row = [sum(abs(top - n.box[1]) <= 0.6 * min(n.height, n.width) for top in tops) for n in numbers]
    return max(in_row, default=0), other


def _rounded(rect: Rect) -> Rect:
    x0, y0, x1, y1 = rect
    return round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1)


def _large_enough(rect: Rect, picture: Picture) -> bool:
    width, height = rect[2] - rect[0], rect[3] - rect[1]
    inside = rect[0] > 2 or rect[3] < picture.height - 3  # labels need room outside
    return inside and width >= max(MIN_SIDE, 0.1 * picture.width) and height >= max(MIN_SIDE, 0.1 * picture.height)


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """The common part of two rectangles as a share of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(width, 0) * max(height, 0) / max(smaller, 1)


def _candidates(picture: Picture, tokens: Sequence[Token]) -> Iterable[Rect]:
    # A plateau of a curve is no axis.
    rows, columns = (_longest([s for s in lines if not s.tinted]) for lines in (picture.horizontals, picture.verticals))
    yield from ((float(x0), float(y0), float(x1 - 1), float(y1 - 1)) for x0, y0, x1, y1 in picture.panels)
    yield from _corners(rows, columns, max(picture.width, picture.height))
    x_ranges, y_ranges = _common_ends(rows), _common_ends(columns)
    for x0, x1, ys in x_ranges:
        for y0, y1, xs in y_ranges:
            # Grids of panels above each other have common ends.
            inner_ys = [y for y in ys if y0 - 10 <= y <= y1 + 10]
            inner_xs = [x for x in xs if x0 - 10 <= x <= x1 + 10]
            if len(inner_ys) >= 2 and len(inner_xs) >= 2:
                yield x0, y0, x1, y1
    numbers = [token for token in tokens if token.numerals]
    for x0, x1, ys in _with_single(rows, x_ranges):
        yield from _above_line(x0, x1, ys, tokens)
    for y0, y1, xs in _with_single(columns, y_ranges):
        yield from _beside_line(y0, y1, xs, tokens)
    yield from _from_labels(numbers, tokens)


def _longest(strokes: Sequence[Stroke], most: int = 40) -> list[Stroke]:
    return sorted(strokes, key=lambda stroke: -stroke.length)[:most]


def _corners(rows: Sequence[Stroke], columns: Sequence[Stroke], side: int) -> Iterable[Rect]:
    """A rectangle for each pair of a horizontal and a vertical line that meet in an end. `side`: the figure's longer
    one."""
    tolerance = max(12, CORNER * side)
    for row in rows:
        for column in columns:
            at_left = abs(row.start - column.at) <= tolerance
            at_right = abs(row.end - column.at) <= tolerance
            below = abs(column.end - row.at) <= tolerance
            above = abs(column.start - row.at) <= tolerance
            if (at_left or at_right) and (below or above):
                x0 = column.at if at_left else float(row.start)
                x1 = column.at if at_right and not at_left else float(row.end)
                y1 = row.at if below else float(column.end)
                y0 = row.at if above and not below else float(column.start)
                yield x0, y0, x1, y1


def _common_ends(strokes: Sequence[Stroke]) -> list[tuple[float, float, list[float]]]:
    """Groups of two and more parallel lines with the same ends, as grids have them: start, end, places."""
    groups: list[list[Stroke]] = []
    for stroke in strokes:
        for group in groups:
            if abs(group[0].start - stroke.start) <= 6 and abs(group[0].end - stroke.end) <= 6:
                group.append(stroke)
                break
        else:
            groups.append([stroke])
    return [
        (float(np.median([s.start for s in group])), float(np.median([s.end for s in group])), [s.at for s in group])
        for group in groups
        if len(group) >= 2
    ]


def _with_single(
    strokes: Sequence[Stroke], groups: Sequence[tuple[float, float, list[float]]]
) -> list[tuple[float, float, list[float]]]:
    return [*groups, *((float(s.start), float(s.end), [s.at]) for s in strokes[:12])]


def _above_line(x0: float, x1: float, ys: list[float], tokens: Sequence[Token]) -> Iterable[Rect]:
    """Horizontal lines alone (a bottom spine, or a grid along y): the labels left of them give the height."""
    bottom = max(ys)
    column = [
        t
        for t in tokens
        if -0.35 * t.height - 4 <= x0 - t.box[2] <= 0.14 * (x1 - x0) + 20
        and t.upright
        and t.y <= bottom + 0.7 * t.height + 4
    ]
    row = [
        t
        for t in tokens
        if t.numerals and -6 <= t.box[1] - bottom <= 2 * t.height and x0 - t.width <= t.x <= x1 + t.width
    ]
    # Numbers at the left, or names there and numbers below, as bars that lie have it.
    if sum(bool(t.numerals) for t in column) >= 3 or (len(column) >= 2 and len(row) >= 3):
        top = min(min(t.box[1] for t in column), *ys)
        yield x0, top, x1, bottom
        lower = _next_below([t for t in column if t.numerals], tokens)
        if lower is not None:  # the lowest grid line is drawn dashed or not at all
            yield x0, top, x1, lower.y


def _next_below(column: Sequence[Token], tokens: Sequence[Token]) -> Token | None:
    """The number that goes on a column of right-aligned ones below its lowest at the same step."""
    if len(column) < 3:
        return None
    inside = sorted(column, key=lambda t: t.y)
    step = float(np.median(np.diff([t.y for t in inside])))
    return next(
        (
            t
            for t in tokens
            if t.numerals
            and abs(t.box[2] - inside[-1].box[2]) <= 0.6 * t.height
            and abs(t.y - inside[-1].y - step) <= 0.15 * step
        ),
        None,
    )


def _beside_line(y0: float, y1: float, xs: list[float], tokens: Sequence[Token]) -> Iterable[Rect]:
    """The same for vertical lines alone: the labels below them give the width."""
    left = min(xs)
    row = [t for t in tokens if -6 <= t.box[1] - y1 <= 2 * t.height and t.x >= left - t.width]
    column = [
        t
        for t in tokens
        if t.numerals and -6 <= left - t.box[2] <= 2 * t.height and y0 - t.height <= t.y <= y1 + t.height
    ]
    few = len(row) >= 3 and len(column) >= 2  # names below, and numbers of which OCR missed some
    if sum(bool(t.numerals) for t in row) >= 3 or (len(row) >= 2 and len(column) >= 3) or few:
        right = max(max(t.box[2] for t in row), *xs)
        yield left, y0, right, y1
        # Bars hide the grid from the axis on, where the row of numbers begins.
        numbers = [t for t in row if t.numerals]
        level = float(np.median([t.y for t in numbers])) if numbers else 0.0
        before = [t for t in tokens if t.numerals and t.x < left and abs(t.y - level) <= 0.5 * t.height]
        if numbers and before:
            yield min(t.x for t in before), y0, right, y1


def _from_labels(numbers: Sequence[Token], tokens: Sequence[Token]) -> Iterable[Rect]:
    """No line at all: a column of right-aligned numbers and a row of texts below it span the area."""
    for corner in numbers[:60]:
        tolerance = 0.5 * corner.height
        column = [n for n in numbers if abs(n.box[2] - corner.box[2]) <= tolerance]
        if len(column) < 3 or corner is not column[0]:
            continue
        lowest = max(n.y for n in column)
        left = max(n.box[2] for n in column)
        step = float(np.median(np.diff(sorted(n.y for n in column))))
        reach = max(4 * corner.height, 1.3 * step + 2 * corner.height)  # the lowest number may be a lone 0, not read
        below = [t for t in tokens if t.y > lowest and t.box[1] - lowest < reach and t.x > left]
        if not below:
            continue
        first = min(below, key=lambda t: t.box[1])
        row = [t for t in below if abs(t.box[1] - first.box[1]) <= 0.6 * corner.height]
        if sum(bool(t.numerals) for t in row) >= 3 or (len(row) == 2 and all(t.numerals for t in row)):
            right, bottom = max(t.x for t in row) + 2, first.box[1] - 0.4 * corner.height
        elif len(row) >= 2:
            right, bottom = max(t.box[2] for t in row), min(lowest, first.box[1])
        else:
            continue
        yield left + 0.4 * corner.height, min(n.y for n in column) - 2, right, bottom


def _sides(rect: Sequence[float], picture: Picture) -> tuple[bool, bool, bool, bool]:
    """Whether a line runs along left, right, top and bottom."""
    x0, y0, x1, y1 = rect

    def drawn(strokes: Sequence[Stroke], at: float, start: float, end: float) -> bool:
        return any(
            not s.tinted and abs(s.at - at) <= 3 and min(s.end, end) - max(s.start, start) >= 0.75 * (end - start)
            for s in strokes
        )

    left, bottom = drawn(picture.verticals, x0, y0, y1), drawn(picture.horizontals, y1, x0, x1)
    beyond_top = left and _goes_beyond([(s.at, s.end, s.start) for s in picture.verticals], x0, y1, y0)
    beyond_right = bottom and _goes_beyond([(s.at, s.start, s.end) for s in picture.horizontals], y1, x0, x1)
    return (
        left,
        drawn(picture.verticals, x1, y0, y1) and not beyond_right,
        drawn(picture.horizontals, y0, x0, x1) and not beyond_top,
        bottom,
    )


def _goes_beyond(strokes: Iterable[tuple[float, int, int]], at: float, near: float, far: float) -> bool:
    """Whether a spine at `at` goes on past `far`, from `near` on, by more than a tick: what crosses it there is a grid
    line. `strokes`: place, near and far end of each."""
    length = far - near
    return any(
        abs(place - at) <= 3 and abs(start - near) <= BEYOND * abs(length) and (end - far) / length > BEYOND
        for place, start, end in strokes
    )
