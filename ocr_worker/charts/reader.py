"""Reads the data of a chart: kind, axes, legend, tracing, facts and checks put together. The room's entry.

`read_chart` never raises, whatever the image: what cannot be read is abstained from with a reason. A wrong claim is
worse than none. The modules of this room know one step each; this one knows their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from llava_graph.chart import Chart, Panel
from llava_graph.ocr import Line
from ocr_worker.charts import areas, axes, broken_axes, colours, legend, picture, rows, skew, texts
from ocr_worker.charts.areas import Area
from ocr_worker.charts.axes import Labels, ReadCrops, Scale
from ocr_worker.charts.bar_panel import read_bar_panel
from ocr_worker.charts.curve_panel import read_curve_panel
from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.errors import AbstainError, DeadlineError
from ocr_worker.charts.layout import Layout, in_figure, layout_at, lines_of
from ocr_worker.charts.legend import Entry
from ocr_worker.charts.panel_legend import are_drawn, entries_of
from ocr_worker.charts.picture import Picture, Pixels
from ocr_worker.charts.texts import Token

REVISION = "chart-8"
"""Raised with every change of what is read: results of another revision are read again."""


def read_chart(
    image: Pixels,
    ocr_lines: Sequence[Line],
    deadline: Deadline | None = None,
    reread: ReadCrops | None = None,
) -> Chart:
    """What can be read of a figure. `image`: RGB, [height, width, 3]; `ocr_lines` in pixels of it.

    `reread` reads crops of tick labels that OCR missed; without it fewer axes are calibrated. Positions in the result
    are pixels of `image`. Never raises.
    """
    try:
        deadline = deadline or Deadline()
        turn = skew.turn_of(image, ocr_lines) if image.ndim == 3 else None
        if turn is None:
            return _read(image, ocr_lines, deadline, reread)
        straight, moved = skew.straightened(image, ocr_lines, turn)
        return skew.moved_back(_read(straight, moved, deadline, reread), turn)
    except AbstainError as error:
        return Chart(abstained=error.reason, revision=REVISION)
    except DeadlineError:
        return Chart(abstained="deadline", revision=REVISION)
    except (cv2.error, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, MemoryError, RuntimeError):
        # What a hostile image can provoke in numpy, OpenCV or here must not cost the text that was read.
        return Chart(abstained="reader_failed", revision=REVISION)


def _read(image: Pixels, ocr_lines: Sequence[Line], deadline: Deadline, reread: ReadCrops | None) -> Chart:
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < picture.MIN_SIDE:
        raise AbstainError("low_resolution")
    figure = picture.prepare(np.ascontiguousarray(image), ocr_lines[:MAX_LINES])
    deadline.check()
    pieces = rows.apart(figure, texts.tokens(figure.lines), reread)
    tokens = [t for t in pieces if not _is_no_text(figure, t) and not legend.is_drawn(figure, t)]
    found = areas.find_areas(figure, tokens, deadline)
    if not found:
        raise AbstainError("no_axes")
    deadline.check()
    layouts, entries = _with_legend(figure, found, tokens, reread)
    taken = {line for layout in layouts for line in lines_of(layout)}
    panels = []
    for layout in layouts:
        try:
            panels.append(_panel(figure, layout, layouts, tokens, entries, taken, deadline, reread))
        except (AbstainError, DeadlineError) as error:
            if isinstance(error, DeadlineError) and not any(map(_claims, panels)):
                raise
            reason = error.reason if isinstance(error, AbstainError) else "deadline"
            panels.append(Panel("other", in_figure(layout.area.box, figure), abstained=reason))
    if broken_axes.broken(layouts, panels):
        panels = [replace(panel, series=(), abstained="broken_axis") for panel in panels]
    return Chart(tuple(panels), revision=REVISION)


def _claims(panel: Panel) -> bool:
    return any(series.abstained is None for series in panel.series)


def _is_no_text(figure: Picture, token: Token) -> bool:
    """Whether a box is far too large for its letters, as where a detector takes a whole plot for a text."""
    across = max(token.width, token.height) / max(len(token.text), 1)
    return min(token.width, token.height) > 0.3 * min(figure.width, figure.height) and across > 0.08 * figure.width


MAX_LINES = 400
"""Lines of text that are looked at; a figure with more is a page or a table."""


def _with_legend(
    figure: Picture, found: Sequence[Area], tokens: Sequence[Token], reread: ReadCrops | None
) -> tuple[list[Layout], list[Entry]]:
    """The layouts and the legend. What has a handle like others beside it names a series, and is no axis' title."""
    layouts = [layout_at(figure, area, tokens) for area in found]
    ticks = {t.line for layout in layouts for t in (*layout.left.tokens, *layout.bottom.tokens)}
    entries = legend.find_entries(figure, legend.parted(figure, tokens, ticks, reread), ticks, reread)
    titles = {t.line for layout in layouts for t in (layout.x_title, layout.y_title) if t is not None}
    named = {entry.line for entry in entries}
    if not titles & named:
        return layouts, entries
    if len(entries) < 2:
        return layouts, []
    others = [token for token in tokens if token.line not in named]
    return [layout_at(figure, area, others) for area in found], entries


def _panel(
    figure: Picture,
    layout: Layout,
    layouts: Sequence[Layout],
    tokens: Sequence[Token],
    entries: Sequence[Entry],
    taken: set[int],
    deadline: Deadline,
    reread: ReadCrops | None,
) -> Panel:
    area = layout.area
    own, is_others = entries_of(area, entries, layouts, tokens)
    blocked = [*legend.region(own), *_texts_inside(figure, area, tokens)]
    view = colours.view(figure, area, blocked)
    if is_others and not are_drawn(view, own):
        own = [replace(entry, names=False) for entry in own]
    if min(view.width, view.height) < areas.MIN_SIDE - 8:
        raise AbstainError("low_resolution")
    known = [entry.colour for entry in own]
    if len(known) > colours.MAX_SERIES:
        raise AbstainError("too_many_series")
    others = colours.discover(view, known)
    deadline.check()
    x = _scale(figure, area, layout.bottom, tokens, reread)
    y = _scale(figure, area, layout.left, tokens, reread)
    if broken_axes.spine_interrupted(figure, area) or broken_axes.spine_resumed(figure, area, tokens):
        raise AbstainError("broken_axis")
    if _has_second_axis(figure, layout, layouts, tokens, y):
        raise AbstainError("twin_axes")
    deadline.check()
    named = [entry for entry in own if entry.names]
    bars = read_bar_panel(figure, layout, view, named, others, x, y, tokens, taken, reread, deadline)
    if bars is not None:
        return bars
    return read_curve_panel(figure, layout, view, own, others, x, y, tokens, taken, deadline)


def _scale(
    figure: Picture, area: Area, labels: Labels, tokens: Sequence[Token], reread: ReadCrops | None
) -> Scale | None:
    try:
        return axes.calibrate(figure, area, labels, tokens, reread)
    except AbstainError:
        return None


def _texts_inside(figure: Picture, area: Area, tokens: Sequence[Token]) -> list[tuple[float, float, float, float]]:
    """The boxes of texts in the area, a little smaller than OCR makes them; markers taken for letters are no texts."""
    boxes = []
    for token in tokens:
        if not (area.x0 < token.x < area.x1 and area.y0 < token.y < area.y1):
            continue
        if legend.is_marker(figure, token):
            continue
        x0, y0, x1, y1 = token.box
        pad = 0.2 * min(y1 - y0, x1 - x0)
        boxes.append((x0 + pad, y0 + 0.6 * pad, x1 - pad, y1 - 0.6 * pad))
    return boxes


def _has_second_axis(
    figure: Picture, layout: Layout, layouts: Sequence[Layout], tokens: Sequence[Token], y: Scale | None
) -> bool:
    """Whether numbers at the right side make another scale than those at the left."""
    others = {token.line for other in layouts if other is not layout for token in other.left.tokens}
    near = [n for n in layout.right.numbers if n.box[0] - layout.area.x1 < 3.5 * n.height and n.line not in others]
    if len(near) < axes.MIN_LABELS or y is None:
        return False
    right = _scale(figure, layout.area, replace(layout.right, tokens=tuple(near)), tokens, None)
    if right is None:
        return False
    span = max(y.high - y.low, 1e-300)
    return (
        abs(right.value(y.start) - y.value(y.start)) > 0.02 * span
        or abs(right.value(y.end) - y.value(y.end)) > 0.02 * span
    )
