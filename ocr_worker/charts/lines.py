"""Reads a line chart: one curve for each name of the legend, or each colour where there is no legend.

Put together from `colours` (whose pixel), `tracing` (which height) and `checks` (whether that explains the ink). Claims
samples in axis units; what is true of them is said by `llava_graph.curves`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from llava_graph.chart import Point, Series
from llava_graph.curves import Range, range_of, trend
from ocr_worker.charts import errorbars
from ocr_worker.charts.axes import Scale
from ocr_worker.charts.checks import redrawing_agrees
from ocr_worker.charts.colours import INSET, Layer, View, are_alike, code
from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.errors import AbstainError, DeadlineError
from ocr_worker.charts.hidden import followed
from ocr_worker.charts.legend import Entry
from ocr_worker.charts.picture import Mask
from ocr_worker.charts.texts import Token
from ocr_worker.charts.tracing import AT_BORDER, BRANCHED, Trace, trace

SAMPLES = 41
"""Evenly spaced points that are claimed of a curve beside its extrema: a turn between two is narrower than 2.5 % of
the axis."""

LEAST_COVERAGE = 0.75
"""Share of a curve's columns that must hold its ink or be short gaps; what is hidden under other curves counts as
seen."""

WIDEST_GAP = 0.12
"""Share of the area's width that a curve may be hidden at a stretch: what it does there is a guess."""

BEYOND = 0.12
"""Share of the area's width with ink of the curve's colour left and right of what was traced: a part was not joined."""

PIECE = 0.03
"""Share of the width that such ink must have to be a piece of the curve, whose height then counts for its trend."""

LEAST_EXTENT = 0.08
"""Share of the area's width that a curve spans at least: shorter strokes are annotations."""

END_SHARE = 0.03
"""A curve that ends this share of the width before the others do may go on under one of them."""


STEEP_END = 0.015
"""Share of the height that a curve would go on to fall or rise up to where others end, from which its end matters."""


REST = 2
"""Columns of the curve's colour beyond a traced end from which the curve goes on there: one is a rest of an edge."""

ROUGH_END = 0.05
"""Share of the height that the run at an end may span: where in a steep or jagged piece the curve ends is a guess,
and values are right within 5 % of the axis."""

FAINT = 0.3
"""Strength of a colour from which a last step is seen: a line of a pixel between two columns has 0.4 in each."""

LOOSE = 3
EVEN = 0.5
"""Pixels of a curve's colour away from its end from which they are a part of it, and how many as a share of them must
stand on the other side of it for both to be an error bar's."""

TICKS = 3
"""Places along a border with ink of the curve's colour from which that is ticks or grid lines."""

EDGE = 8
"""Pixels around a curve within which JPEG spreads its colour: it saves colours in blocks of 16 by 16."""

STEPS = 4
"""Columns that spines and their edges hide at a border, within which a jagged curve may turn."""

CUT_COVERAGE = 0.9
"""The most that is said to be covered of a curve that may go on under a legend or behind a gap: of its trend and its
extremes only what a short piece cannot change is known."""

JUMP_COVERAGE = 0.7
"""The most where ink of its colour stands off its end, or a steep piece there reaches beyond the rest, so far that with
it the curve would have another trend: neither that nor the extremes are known."""


@dataclass(frozen=True, slots=True)
class Named:
    """A colour of the plot area with the name that the legend gives it, if any."""

    layer: Layer
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A traced curve and how high it is drawn: its stroke, or its markers."""

    trace: Trace
    size: float

    @classmethod
    def of(cls, named: Named, traced: Trace | str) -> _Drawn | None:
        return None if isinstance(traced, str) else cls(traced, max(traced.stroke, _marker_px(named.entry)))


def read_lines(
    area: View,
    series: Sequence[Named],
    x: Scale | Sequence[Token],
    y: Scale,
    scale_px: float,
    beyond: Sequence[tuple[bool, bool]],
    hooked: Sequence[tuple[bool, bool]],
    deadline: Deadline,
) -> tuple[list[Series], Scale | Sequence[Token]]:
    """One Series for each of `series`, and the x that their points have.

    `x` is a scale, or the categories along the axis, or empty where neither is known. Curves that begin before the
    first or end after the last category are not drawn at categories but along an axis of which no scale is known: then
    the x that is given back is empty, and points say in words how far from the left they lie. `scale_px` is pixels of
    the picture for one of the figure; `beyond`: whether ink goes on past the left and the right of the area; `hooked`:
    whether it goes up or down in the border itself. What was traced before the deadline is claimed. Raises
    DeadlineError where nothing was.
    """
    traces: list[Trace | str] = []
    for index in range(len(series)):
        try:
            deadline.check()
            traces.append(_traced(area, index, series, deadline))
        except DeadlineError:  # the curves that were traced in time are as right as without the others
            traces.append("deadline")
    traces, barred = _with_bars_at_ends(series, traces)
    known = [t for t in traces if isinstance(t, Trace)]
    if not known and "deadline" in traces:
        raise DeadlineError
    if not isinstance(x, Scale) and any(any(_between_categories(area, t, x)) for t in known if x):
        x = ()
    first = min((int(t.columns[0]) for t in known), default=0)
    last = max((int(t.columns[-1]) for t in known), default=0)
    drawn = [_Drawn.of(named, t) for named, t in zip(series, traces, strict=True)]
    found = []
    for index, (named, traced) in enumerate(zip(series, traces, strict=True)):
        name, line = (named.entry.name, named.entry.line) if named.entry else (None, None)
        colour = code(named.layer.colour)
        if isinstance(traced, str):
            found.append(Series(name, line, colour, abstained=traced))
            continue
        others = _others(series, index)
        hidden = _hidden_ends(traced, others, (first, last), area.width)
        alone = _ends_alone(traced, known, area.width)
        unsure = _unsure_ends(area, named, traced, alone, (first, last))
        loose = _loose_ends(area, named, traced, others, [d for at, d in enumerate(drawn) if at != index and d])
        rough, reached = _rough_ends(named, traced, barred[index])
        unsure = unsure[0] or hooked[index][0], unsure[1] or hooked[index][1]
        pieces = _pieces_beyond(named.layer.mask, traced)
        strays = [[row for row in rows if row is not None] for rows in zip(loose, reached, pieces, strict=True)]
        covered = round(min(traced.coverage, _most_covered(traced, any(unsure), strays, area.height)), 4)
        for side, limit in enumerate((first, last)):
            if hidden[side] and (whole := followed(traced, others, limit, side)) is not None:
                traced, hidden[side] = whole, False
        cut = [hidden[side] or unsure[side] or rough[side] or strays[side] or beyond[index][side] for side in (0, 1)]
        points = _points(area, traced, x, y, scale_px)
        found.append(
            Series(
                name,
                line,
                colour,
                points,
                coverage=covered,
                x_tolerance=0.01,
                y_tolerance=round(max(0.01, 1.5 * traced.stroke / area.height), 4),
                first_known=not cut[0],
                last_known=not cut[1],
            )
            if points
            else Series(name, line, colour, abstained="low_coverage")
        )
    return found, x


def _with_bars_at_ends(
    series: Sequence[Named], traces: Sequence[Trace | str]
) -> tuple[list[Trace | str], list[tuple[bool, bool]]]:
    """The curves with their ends in the middles of error bars, and which ends of each have one."""
    found: list[Trace | str] = []
    barred: list[tuple[bool, bool]] = []
    for named, traced in zip(series, traces, strict=True):
        if isinstance(traced, Trace):
            ended, has_bars = errorbars.with_bars_at_ends(traced, named.layer.mask, _marker_px(named.entry))
            found.append(ended)
            barred.append(has_bars)
        else:
            found.append(traced)
            barred.append((False, False))
    return found, barred


def _most_covered(traced: Trace, may_go_on: bool, strays: Sequence[Sequence[float]], height: int) -> float:
    """The most that is said to be covered of a curve by what is seen at its ends.

    `strays` has, for the left and the right end, the rows of ink of its colour that was not traced there, or NaN.
    """
    if any(strays):
        return CUT_COVERAGE if _keeps_trend(traced, strays, height) else JUMP_COVERAGE
    return CUT_COVERAGE if may_go_on else 1.0


def _keeps_trend(traced: Trace, strays: Sequence[Sequence[float]], height: int) -> bool:
    """Whether the curve would have the same trend with an end at each of the rows, in the area and in its own range."""
    reach = max(len(traced.heights) // 20, 1)  # as many as a moving average takes together
    drawn = (-traced.heights).tolist()
    for side, rows in enumerate(strays):
        for row in rows:
            moved = [-row] * reach + drawn[reach:] if side == 0 else drawn[:-reach] + [-row] * reach
            ranges = (Range(-float(height), 0.0), range_of([*moved, *drawn]))
            if not math.isfinite(row) or any(trend(moved, shown) != trend(drawn, shown) for shown in ranges):
                return False
    return True


def _traced(area: View, index: int, series: Sequence[Named], deadline: Deadline) -> Trace | str:
    """The curve of one colour, or the reason why there is none to claim."""
    named = series[index]
    twins = [
        other
        for at, other in enumerate(series)
        if at != index and are_alike(named.layer, other.layer, area.ground) and other.entry and named.entry
    ]
    if twins:
        same = any(float(np.linalg.norm(t.layer.colour - named.layer.colour)) < 45 for t in twins)
        return "same_colour_dashes" if same else "same_colour_series"
    try:
        traced = trace(named.layer.mask, _marker_px(named.entry), deadline)
    except AbstainError as error:
        return error.reason
    if traced.branched > BRANCHED:
        return "same_colour_series"
    if traced.columns[-1] - traced.columns[0] < LEAST_EXTENT * area.width:
        return "low_coverage"
    others = _others(series, index)
    seen = _seen(traced, others)
    if seen < LEAST_COVERAGE or traced.widest_gap > WIDEST_GAP * area.width:
        return "low_coverage"
    if _columns_beyond(named.layer.mask, traced) > BEYOND * area.width:
        return "low_coverage"
    if not redrawing_agrees(traced, named.layer, others):
        return "redrawing_differs"
    return replace(traced, coverage=seen)


def _columns_beyond(mask: Mask, traced: Trace) -> int:
    """How many columns outside of the curve's extent hold as much of its colour as a stroke."""
    before, behind = _beyond_ends(mask, traced)
    return int(before.sum() + behind.sum())


def _beyond_ends(mask: Mask, traced: Trace) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """For each column well before and behind the curve's extent whether it holds as much of its colour as a stroke."""
    slack = round(2 * traced.stroke) + 10
    strong = np.asarray(mask.sum(axis=0) >= max(0.6 * traced.stroke, 1), np.bool_)
    return strong[: max(int(traced.columns[0]) - slack, 0)], strong[int(traced.columns[-1]) + slack :]


def _pieces_beyond(mask: Mask, traced: Trace) -> tuple[float | None, float | None]:
    """The row of a piece of the curve's colour before its left and behind its right end: it may be a last part that was
    not joined. None for rests of edges."""
    found: list[float | None] = []
    before, behind = _beyond_ends(mask, traced)
    for columns, inked in ((mask[:, : len(before)], before), (mask[:, mask.shape[1] - len(behind) :], behind)):
        rows = np.nonzero(columns[:, inked])[0]
        found.append(float(np.median(rows)) if inked.sum() > PIECE * mask.shape[1] else None)
    return found[0], found[1]


def _marker_px(entry: Entry | None) -> float:
    """Height of the marker in the legend's handle; a line alone is lower than a fifth of the text."""
    if entry is None or entry.direct:
        return 0.0
    height = entry.handle[3] - entry.handle[1]
    return height if height >= 0.2 * entry.height else 0.0


def _others(series: Sequence[Named], index: int) -> Mask:
    mask = np.zeros_like(series[index].layer.mask)
    for at, other in enumerate(series):
        if at != index:
            mask |= other.layer.mask
    return mask


def _seen(traced: Trace, others: Mask) -> float:
    """Share of the curve's columns that hold its ink, are short gaps, or lie under other curves."""
    grown = cv2.dilate(others.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    short = max(6, round(0.05 * others.shape[1]))
    total = int(traced.columns[-1] - traced.columns[0] + 1)
    missing = 0
    for a in np.flatnonzero(np.diff(traced.columns) > short):
        x0, x1 = int(traced.columns[a]), int(traced.columns[a + 1])
        columns = np.arange(x0 + 1, x1)
        rows = np.interp(columns, [x0, x1], traced.heights[[a, a + 1]]).round().astype(int)
        hidden = grown[np.clip(rows, 0, others.shape[0] - 1), columns]
        missing += int((~hidden).sum())
    return 1.0 - missing / total


def _hidden_ends(traced: Trace, others: Mask, extent: tuple[int, int], width: int) -> list[bool]:
    """Whether the curve may go on at its left and right end, under another that begins or ends further out."""
    hidden = []
    reach = round(traced.stroke) + 3
    for at, step, limit in ((0, -1, extent[0]), (-1, 1, extent[1])):
        column, row = int(traced.columns[at]), int(traced.heights[at])
        inner = (
            traced.heights[min(12, len(traced.heights) - 1)]
            if at == 0
            else traced.heights[max(-13, -len(traced.heights))]
        )
        drop = abs(row - float(inner)) / 12 * abs(limit - column)
        if abs(limit - column) <= END_SHARE * width and drop <= STEEP_END * others.shape[0]:
            hidden.append(False)
            continue
        # No further than others end: a steep curve may be off by more than a value may be within a pixel or two.
        far = min(7, max(abs(limit - column), 1))
        ahead = np.clip(column + step * np.arange(1, far + 1), 0, others.shape[1] - 1)
        band = others[max(row - reach, 0) : row + reach + 1][:, ahead]
        hidden.append(bool(band.any(axis=0).mean() > 0.5))
    return hidden


def _ends_alone(traced: Trace, known: Sequence[Trace], width: int) -> tuple[bool, bool]:
    """Whether no other curve begins or ends where this one does: what hides the ends of all seldom cuts all alike."""
    near = END_SHARE / 2 * width
    first = sum(abs(int(t.columns[0]) - int(traced.columns[0])) <= near for t in known)
    last = sum(abs(int(t.columns[-1]) - int(traced.columns[-1])) <= near for t in known)
    return first < 2, last < 2


def _loose_ends(
    area: View, named: Named, traced: Trace, others: Mask, curves: Sequence[_Drawn]
) -> tuple[float | None, float | None]:
    """The row of ink of the curve's colour above or below its left and its right end, further off than a value may be:
    a last step that was not joined. Error bars reach as far on both sides, what lies on another of the `curves` is an
    edge of that, and ink in many places is ticks and grid lines. NaN where an end has no ink at all."""
    # The edges of other curves hold faint ink of any colour.
    edges = cv2.dilate(others.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    faint = (named.layer.strength >= FAINT) & ~edges & ~area.grid
    mask, marker = named.layer.mask | faint, _marker_px(named.entry)
    most = ROUGH_END * mask.shape[0] + max(traced.stroke, marker) / 2
    half = max(traced.stroke, marker) / 2 + 3  # a hollow marker has no ink in its middle
    reach = round(max(traced.stroke, 0.6 * marker)) + 3
    found: list[float | None] = []
    for at, step in ((0, -1), (-1, 1)):
        column, row = int(traced.columns[at]), float(traced.heights[at])
        first, last = sorted((column - step, column + step * (reach + 5)))
        rows, columns = np.nonzero(mask[:, max(first, 0) : last + 1])
        at_end = np.abs(columns + max(first, 0) - column) <= 2
        if not (np.abs(rows[at_end] - row) <= half).any():  # where no ink is the curve does not end
            found.append(math.nan)
            continue
        # Within the curve's extent it may itself be that high there.
        near = np.abs(traced.columns - column) <= 3
        high, low = float(traced.heights[near].min()), float(traced.heights[near].max())
        apart = rows[~_on_curves(rows, (first + last) / 2, curves)]
        above, below = apart[apart < min(high, row) - most], apart[apart > max(low, row) + most]
        more, less = (above, below) if len(above) >= len(below) else (below, above)
        stray = np.concatenate([above, below])
        places = 1 + int((np.diff(np.unique(stray)) > EDGE).sum())
        if not ((stray > EDGE) & (stray < mask.shape[0] - 1 - EDGE)).any():  # the edge of a spine
            found.append(None)
            continue
        is_step = len(more) >= LOOSE and len(less) < EVEN * len(more) and places < TICKS
        found.append(float(np.median(more)) if is_step else None)
    return found[0], found[1]


def _on_curves(rows: npt.NDArray[np.int64], column: float, curves: Sequence[_Drawn]) -> npt.NDArray[np.bool_]:
    """Which of the rows near a column lie on one of the curves, its markers and edge included."""
    found = np.zeros(len(rows), bool)
    for curve in curves:
        near = np.abs(curve.trace.columns - column) <= EDGE
        if near.any():
            heights, slack = curve.trace.heights[near], curve.size / 2 + EDGE
            found |= (rows >= heights.min() - slack) & (rows <= heights.max() + slack)
    return found


def _unsure_ends(
    area: View, named: Named, traced: Trace, alone: tuple[bool, bool], extent: tuple[int, int]
) -> tuple[bool, bool]:
    """Whether ink of the curve's colour, a legend or a text follows its left and its right end. `extent`: the first and
    last column of all curves; where one goes further, a legend may well cut off several of the others at once."""
    mask, marker = named.layer.mask, _marker_px(named.entry)
    counts = mask.sum(axis=0) >= max(0.5 * traced.stroke, 1)
    slack = round(max(traced.stroke, 0.6 * marker)) + 5
    first, last = int(traced.columns[0]), int(traced.columns[-1])
    rest = (
        int(counts[: max(first - slack, 0)].sum()) >= REST,
        int(counts[last + slack + 1 :].sum()) >= REST,
    )
    found = []
    reach = round(traced.stroke) + 4
    for side, column, step, at in ((0, first, -1, 0), (1, last, 1, -1)):
        row = int(np.clip(round(float(traced.heights[at])), 0, area.height - 1))
        ahead = column + step * np.arange(2, 9)
        ahead = ahead[(ahead >= 0) & (ahead < area.width)]
        band = ~area.free[max(row - reach, 0) : row + reach + 1][:, ahead]
        covered = bool(len(ahead) >= 4 and (band.any(axis=0).mean() > 0.5 or _leads_under(area, traced, at)))
        shorter = abs(extent[side] - column) > END_SHARE * area.width
        covered = covered and (alone[side] or shorter) and not (named.entry is not None and named.entry.direct)
        found.append(rest[side] or covered)
    return found[0], found[1]


def _leads_under(area: View, traced: Trace, at: int) -> bool:
    """Whether the last piece of the curve, drawn on, comes below a legend or a text."""
    step = -1 if at == 0 else 1
    inner = traced.heights[:8] if at == 0 else traced.heights[-8:]
    slope = (inner[0] - inner[-1] if at == 0 else inner[-1] - inner[0]) / max(len(inner) - 1, 1)
    rows = np.round(traced.heights[at] + slope * np.arange(1, 7)).astype(int)
    columns = int(traced.columns[at]) + step * np.arange(1, 7)
    inside = (rows >= 0) & (rows < area.height) & (columns >= 0) & (columns < area.width)
    return bool(inside.sum() >= 3 and (~area.free[rows[inside], columns[inside]]).mean() > 0.5)


def _rough_ends(
    named: Named, traced: Trace, barred: tuple[bool, bool]
) -> tuple[tuple[bool, bool], tuple[float | None, float | None]]:
    """Whether a jagged or steep piece of the curve holds its left and its right end, so that the values there are not
    known, and the row to which such a piece reaches beyond the rest of the curve, which is known. `barred`: whether
    what is steep there is an error bar."""
    mask, marker = named.layer.mask, _marker_px(named.entry)
    rough = (
        not barred[0] and _is_rough(mask, traced, 0, marker),
        not barred[1] and _is_rough(mask, traced, -1, marker),
    )
    most = ROUGH_END / 2 * mask.shape[0]
    reached: list[float | None] = []
    for at, found in ((0, rough[0]), (-1, rough[1])):
        near = _rows_near(mask, traced, at, marker)
        above = found and len(near) > 0 and near[0] < traced.heights.min() - most
        below = found and len(near) > 0 and near[-1] > traced.heights.max() + most
        reached.append(math.nan if above and below else float(near[0 if above else -1]) if above or below else None)
    return rough, (reached[0], reached[1])


def _rows_near(mask: Mask, traced: Trace, at: int, marker: float) -> npt.NDArray[np.int64]:
    """The rows of the curve's colour in the column of an end, near it. Without markers and their error bars, those of
    the outer half of its stroke too: a first step may be as narrow as that."""
    end, half = int(traced.columns[at]), 0 if marker else round(traced.stroke / 2) + 1
    outer = mask[:, max(end - half, 0) : end + 1] if at == 0 else mask[:, end : end + half + 1]
    rows = np.flatnonzero(outer.any(axis=1))
    return np.asarray(rows[np.abs(rows - traced.heights[at]) <= 0.15 * mask.shape[0]], np.int64)


def _is_rough(mask: Mask, traced: Trace, at: int, marker: float) -> bool:
    """Whether the curve moves by more than a value may be off within the last columns before an end, to and fro."""
    most = ROUGH_END * mask.shape[0]
    inner = traced.heights[:8] if at == 0 else traced.heights[-8:]
    steps = np.diff(inner)
    turns = bool((steps > 1.5).any() and (steps < -1.5).any())
    near = _rows_near(mask, traced, at, marker)
    ahead = traced.columns[0] if at == 0 else mask.shape[1] - 1 - traced.columns[-1]
    moves = np.abs(traced.heights[STEPS:] - traced.heights[:-STEPS])
    if ahead <= AT_BORDER and len(moves) and float(np.percentile(moves, 90)) > most:
        return True  # so may it within the border, whose columns are not seen
    tall = len(near) > 0 and len(near) - max(1.5 * traced.stroke, 1.2 * marker) > most
    return tall or (turns and float(np.ptp(inner)) > most)


def _between_categories(area: View, traced: Trace, categories: Sequence[Token]) -> tuple[bool, bool]:
    """Whether the curve begins before the first category and ends after the last: they are ticks, not its points."""
    slack = 0.02 * area.width + 3
    left, right = categories[0].x - area.x, categories[-1].x - area.x
    return float(traced.columns[0]) < left - slack, float(traced.columns[-1]) > right + slack


def _points(area: View, traced: Trace, x: Scale | Sequence[Token], y: Scale, scale_px: float) -> tuple[Point, ...]:
    """Samples of the curve: evenly spaced and at the extrema, or at the categories."""
    if not isinstance(x, Scale) and x:
        return _at_categories(area, traced, x, y, scale_px)
    traced = _to_border(area, traced)
    first, last = float(traced.columns[0]), float(traced.columns[-1])
    at = set(np.linspace(first, last, SAMPLES).tolist())
    at |= {float(traced.columns[traced.heights.argmin()]), float(traced.columns[traced.heights.argmax()])}
    columns = np.array(sorted(at))
    rows = np.interp(columns, traced.columns, traced.heights)
    places: list[float | str]
    if isinstance(x, Scale):
        places = [_rounded(value) for value in x.values(columns + area.x).tolist()]
    else:
        places = [f"{round(100 * column / max(area.width - 1, 1))} % of the width" for column in columns.tolist()]
    ys = y.values(rows + area.y)
    return tuple(
        Point(a, _rounded(b), round((c + area.x) / scale_px, 1), round((r + area.y) / scale_px, 1))
        for a, b, c, r in zip(places, ys.tolist(), columns.tolist(), rows.tolist(), strict=True)
    )


def _to_border(area: View, traced: Trace) -> Trace:
    """A curve that reaches the border of the view is drawn on to the spine, on which the axis ends."""
    columns, heights = traced.columns, traced.heights
    size = max(6, round(2 * traced.stroke))
    if columns[0] <= AT_BORDER and len(columns) > 2 * size:
        slope = np.polyfit(columns[:size], heights[:size], 1)[0]
        columns = np.concatenate([[-INSET], columns])
        heights = np.concatenate([[heights[0] + slope * (columns[0] - columns[1])], heights])
    if columns[-1] >= area.width - 1 - AT_BORDER and len(columns) > 2 * size:
        slope = np.polyfit(columns[-size:], heights[-size:], 1)[0]
        end = area.width - 1 + INSET
        columns = np.concatenate([columns, [end]])
        heights = np.concatenate([heights, [heights[-1] + slope * (end - columns[-2])]])
    return replace(traced, columns=columns, heights=np.clip(heights, -INSET, area.height - 1 + INSET))


def _at_categories(
    area: View, traced: Trace, categories: Sequence[Token], y: Scale, scale_px: float
) -> tuple[Point, ...]:
    found = []
    slack = 0.02 * area.width + 3
    for token in categories:
        column = token.x - area.x
        if traced.columns[0] - slack <= column <= traced.columns[-1] + slack:
            row = float(np.interp(column, traced.columns, traced.heights))
            value = _rounded(y.value(row + area.y))
            found.append(Point(token.text, value, round(token.x / scale_px, 1), round((row + area.y) / scale_px, 1)))
    return tuple(found)


def _rounded(value: float) -> float:
    """To six significant digits: more would pretend what pixels cannot give."""
    return float(f"{value:.6g}")
