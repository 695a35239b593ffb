"""Reads a panel of bars: which rectangles are data, whose they are, and the names below or beside them.

`bars` measures the rectangles; what makes a panel one of bars, and what is abstained from, is decided here.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from llava_graph.chart import Panel
from ocr_worker.charts import axes, bars, colours, kinds, picture, rows, texts
from ocr_worker.charts.axes import Labels, ReadCrops, Scale
from ocr_worker.charts.colours import Layer, View
from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.errors import AbstainError
from ocr_worker.charts.layout import Layout, in_figure
from ocr_worker.charts.legend import Entry
from ocr_worker.charts.lines import Named
from ocr_worker.charts.panel_facts import with_facts
from ocr_worker.charts.picture import Mask, Picture
from ocr_worker.charts.texts import Token

BARS_SHARE = 0.5
"""Share of the coloured ink that must lie in rectangles on a common base for a chart to be one of bars."""

KEY_SHARE = 0.1
"""Share of a legend's key that has the colour of its bars at least, beside outlines and hatches."""

FLAT_INK = 20.0
"""Distance in RGB within which pixels have one colour: fillings are flat, the edges of outlines are not."""

MOST_SPINE = 12
"""Pixels; no spine is thicker inside its area."""

SPINE = 0.95
"""Share of a row along the border, or of a column, that a spine fills in its colour: black bars stand on it as one."""

BEFORE_AXIS = 5, 10
"""Pixels beyond the edge of an area, past its spine, between which no bar that begins there is drawn."""

SAME_LETTERS = 0.75
"""Share of the letters that names read again have in common with what OCR read of them as one text."""

FLAT = 3.0
"""Width over height from which several names were read as one text; a slanted name has a box that is nearly square."""

TICK = 2.0
"""Pixels below an axis in which its tick marks, not its labels, are seen."""


def read_bar_panel(
    figure: Picture,
    layout: Layout,
    view: View,
    own: Sequence[Entry],
    others: Sequence[colours.Colour],
    x: Scale | None,
    y: Scale | None,
    tokens: Sequence[Token],
    taken: set[int],
    reread: ReadCrops | None,
    deadline: Deadline,
) -> Panel | None:
    """The panel as a chart of bars; None where it is none."""
    own = _repainted(
        figure, own, [c for c in others if not colours.is_neutral(c, view.ground) and kinds.is_filled(view.rgb, c)]
    )
    # Legend colours may be blended, data colours are not: those that are alike are one.
    handles = colours.refined(view, [entry.colour for entry in own])
    palette: list[tuple[colours.Colour, Entry | None]] = list(zip(handles, own, strict=True))
    palette += [(c, None) for c in others if all(float(np.linalg.norm(c - k)) > 45 for k, _ in palette)]
    layers = colours.nearest(view, [colour for colour, _ in palette])
    boxes = []
    for layer in layers:
        deadline.check()
        boxes.append(kinds.rectangles(_without_spines(layer.mask)))
    if own and any(len(b) for b, (_, entry) in zip(boxes, palette, strict=True) if entry):
        # Greys and blacks that the legend does not name are frames, grids and texts upon the bars.
        boxes = [
            b[:0] if entry is None and colours.is_neutral(colour, view.ground) else b
            for b, (colour, entry) in zip(boxes, palette, strict=True)
        ]
    if not own and any(
        len(b) for b, (c, _) in zip(boxes, palette, strict=True) if not colours.is_neutral(c, view.ground)
    ):
        # What is left of spines and outlines along the border is thinner than any bar.
        boxes = [
            b[b[:, 2:4].min(axis=1) >= kinds.LEAST_BAR] if colours.is_neutral(colour, view.ground) else b
            for b, (colour, _) in zip(boxes, palette, strict=True)
        ]
    boxes = kinds.overlaid(
        [layer.mask for layer in layers],
        boxes,
        named=[entry is not None for _, entry in palette],
        grey=[colours.is_neutral(colour, view.ground) for colour, _ in palette],
    )
    if not any(len(b) for b in boxes):
        return None
    everything = np.concatenate([b for b in boxes if len(b)])
    ink = (view.distance > 60) & view.free & ~view.grid
    covered = float(everything[:, 4].sum()) / max(int(ink.sum()), 1)
    if covered < BARS_SHARE:
        return None
    base = kinds.common_base(everything)
    if base is None:
        return None
    greys = [handle for handle in handles if colours.is_neutral(handle, view.ground)]
    if any(float(np.linalg.norm(a - b)) < colours.SAME_COLOUR for a, b in itertools.combinations(greys, 2)):
        raise AbstainError("same_colour_series")  # black bars and black ones with hatches
    kept = [b[_standing(b, everything, base)] if len(b) else b for b in boxes]
    series = [Named(layer, entry) for layer, (_, entry) in zip(layers, palette, strict=True)]
    used = [i for i, b in enumerate(kept) if len(b)]
    if len(used) > colours.MAX_SERIES and not all(len(kept[i]) == 1 for i in used):
        raise AbstainError("too_many_series")
    value_axis, category_labels = (y, layout.bottom) if base.upright else (x, layout.left)
    category_axis = x if base.upright else y
    labels = _category_tokens(category_labels, figure, len(everything))
    printed = [
        t
        for t in tokens
        if t.numerals
        and t.line not in taken
        and layout.area.x0 - 3 < t.x < layout.area.x1 + 40
        and layout.area.y0 - 25 < t.y < layout.area.y1
    ]
    kind, categories, found = bars.read_bars(
        view,
        [series[i] for i in used],
        [kept[i] for i in used],
        base,
        labels,
        category_axis is not None and sum(bool(t.numerals) for t in labels) >= 0.6 * len(labels),
        value_axis,
        printed,
        figure.scale,
        None
        if reread is None
        else partial(_read_names, figure, layout, tokens, reread)
        if base.upright
        else partial(_read_names_at_left, figure, layout, reread),
    )
    if kind == "stacked_bar" and continues(figure, view, layers, kept, base):
        raise AbstainError("kind_unknown")  # the first part of each bar is cut off
    x_title, y_title = (layout.x_title, layout.y_title) if base.upright else (layout.y_title, layout.x_title)
    panel = Panel(
        kind,
        in_figure(layout.area.box, figure),
        axes.axis_of(None, x_title, categories),
        axes.axis_of(value_axis, y_title),
        tuple(found),
        horizontal=not base.upright,
    )
    return replace(panel, series=with_facts(panel))


def _repainted(figure: Picture, own: Sequence[Entry], others: Sequence[colours.Colour]) -> list[Entry]:
    """The entries, those whose key is mostly outline and hatch in the colour of bars that is in their key alone."""
    found = list(own)
    if not own or not others:
        return found
    shares = np.array([[_share_of(figure, entry, colour) for colour in others] for entry in own])
    for index, entry in enumerate(own):
        if entry.direct:
            continue
        best = int(shares[index].argmax())
        is_alone = shares[index, best] >= KEY_SHARE and (shares[:, best] >= KEY_SHARE).sum() == 1
        is_outline = np.ptp(entry.colour) < picture.NEUTRAL
        if is_alone and (is_outline or shares[index, best] > _share_of(figure, entry, entry.colour, FLAT_INK)):
            found[index] = replace(entry, colour=others[best])
    return found


def _share_of(figure: Picture, entry: Entry, colour: colours.Colour, within: float = colours.SHADE) -> float:
    """The share of an entry's key that has a colour."""
    x0, y0, x1, y1 = (round(edge) for edge in entry.handle)
    part = figure.rgb[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1].astype(np.float32)
    return float((np.linalg.norm(part - colour, axis=2) <= within).mean()) if part.size else 0.0


def _without_spines(mask: Mask) -> Mask:
    """The mask without what a thick spine left along the borders."""
    mask = mask.copy()
    for turned in (mask, mask[::-1], mask.T, mask.T[::-1]):  # views: what is cleared in them is cleared in the mask
        full = turned[:MOST_SPINE].mean(axis=1) >= SPINE
        turned[: len(full) if full.all() else int(full.argmin())] = False
    return mask


def _standing(own: npt.NDArray[np.int32], everything: npt.NDArray[np.int32], base: kinds.Base) -> npt.NDArray[np.bool_]:
    piled = kinds.standing(everything, base)
    stand = {tuple(row) for row in everything[piled].tolist()}
    return np.array([tuple(row) in stand for row in own.tolist()], np.bool_)


def continues(
    figure: Picture, view: View, layers: Sequence[Layer], boxes: Sequence[npt.NDArray[np.int32]], base: kinds.Base
) -> bool:
    """Whether most bars that begin at the edge of the area go on beyond it: what was taken for the axis is a grid
    line."""
    rgb = figure.rgb if base.upright else figure.rgb.transpose(1, 0, 2)
    across, along = (view.x, view.y) if base.upright else (view.y, view.x)
    extent = view.height if base.upright else view.width
    if base.at <= 4:
        strip = rgb[max(along - BEFORE_AXIS[1], 0) : max(along - BEFORE_AXIS[0], 0)]
    elif base.at >= extent - 5:
        strip = rgb[along + extent + BEFORE_AXIS[0] : along + extent + BEFORE_AXIS[1]]
    else:
        return False
    if not len(strip):
        return False
    found = []
    for layer, own in zip(layers, boxes, strict=True):
        for x, y, w, h, _ in own.tolist():
            start, size, near, far = (x, w, y, y + h) if base.upright else (y, h, x, x + w)
            if min(abs(near - base.at), abs(far - base.at)) <= 4:
                part = strip[:, across + start + size // 4 : across + start + 3 * size // 4 + 1].astype(np.float32)
                found.append(bool((np.linalg.norm(part - layer.colour, axis=2) < 45).all()))
    return len(found) >= 2 and sum(found) > 0.5 * len(found)


def _category_tokens(labels: Labels, figure: Picture, count: int) -> list[Token]:
    """The texts at the axis of the categories; a line that spans several of them is taken apart."""
    upright = [t for t in labels.tokens if t.upright or len(t.text) > 1]
    if labels.side != "bottom" or len(upright) >= count:
        return upright
    found: list[Token] = []
    for token in upright:
        wide = token.whole and token.line >= 0 and " " in token.text and token.width > 6 * token.height
        found += texts.words(figure.lines[token.line], token.line) if wide else [token]
    return found


def _read_names(
    figure: Picture,
    layout: Layout,
    tokens: Sequence[Token],
    reread: ReadCrops,
    spans: Sequence[tuple[float, float]],
) -> list[str] | None:
    """What stands below bars at `spans` of columns, where OCR read the names of several of them as one text, or one
    turned name as several; None where it did neither."""
    labels = layout.bottom
    step = spans[0][1] - spans[0][0]
    joined = [t for t in labels.tokens if t.width > max(1.3 * step, FLAT * t.height)]
    pieces = _turned_pieces(layout, tokens, spans)
    if len(spans) > rows.MOST_PARTS or not (joined or pieces):
        return None
    if pieces:
        between = (labels.edge + TICK, max(t.box[3] for t in pieces) + TICK)
        found = rows.names_at(figure, rows.cut_at_blanks(figure, spans, between), between, reread, turned=True)
        turned = [t for t in pieces if not t.upright and len(t.text) > 2]
        kept = [
            any(a < t.x < b and _letters(t.text) in _letters(n) for (a, b), n in zip(spans, found, strict=True))
            for t in turned
        ]
        return found if sum(kept) >= SAME_LETTERS * len(kept) else None
    height = float(np.median([t.height for t in joined]))
    top, bottom = min(t.box[1] for t in joined), max(t.box[3] for t in joined)
    if bottom - top > 1.6 * height:  # names of several lines
        return None
    between = (max(top, labels.edge + TICK), bottom)
    found = rows.names_at(figure, rows.cut_at_blanks(figure, spans, between), between, reread)
    read = _letters("".join(t.text for t in sorted(labels.tokens, key=lambda t: t.x)))
    alike = difflib.SequenceMatcher(None, read, _letters("".join(found))).ratio()
    return found if alike >= SAME_LETTERS else None


def _read_names_at_left(
    figure: Picture, layout: Layout, reread: ReadCrops, spans: Sequence[tuple[float, float]]
) -> list[str] | None:
    """What stands left of lying bars at `spans` of rows, where OCR missed names: detectors see less beside large
    coloured areas. None where it read one at each."""
    known = [t for t in layout.left.tokens if t.upright]
    if len(spans) > rows.MOST_PARTS or all(any(a < t.y < b for t in known) for a, b in spans):
        return None
    found = rows.names_left_of(figure, spans, layout.area.x0 - TICK, reread)
    agree = all(
        _letters(t.text) in _letters(name) or _letters(name) in _letters(t.text)
        for t in known
        for (a, b), name in zip(spans, found, strict=True)
        if a < t.y < b
    )
    return found if agree else None


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _turned_pieces(layout: Layout, tokens: Sequence[Token], spans: Sequence[tuple[float, float]]) -> list[Token]:
    """The texts below an area whose names are turned, if OCR read some of these names in several pieces; else empty."""
    area, title = layout.area, layout.x_title
    below = [
        t
        for t in tokens
        if area.y1 - 4 < t.box[1] < area.y1 + 0.8 * area.height
        and t.width < spans[0][1] - spans[0][0]
        and t is not title
    ]
    if sum(not t.upright and len(t.text) > 2 for t in below) < 2:
        return []
    per_name = [sum(a < t.x < b for t in below) for a, b in spans]
    return below if max(per_name) > 1 else []
