"""Reads a panel of curves or points: which colours are data, of which form, and what of them may be claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from llava_graph.chart import ChartKind, Panel, Series
from ocr_worker.charts import areas, axes, checks, colours, kinds, legend, lines, scatter
from ocr_worker.charts.areas import Area
from ocr_worker.charts.axes import Scale
from ocr_worker.charts.colours import Layer, View
from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.errors import AbstainError
from ocr_worker.charts.layout import Layout, in_figure
from ocr_worker.charts.legend import Entry
from ocr_worker.charts.lines import Named
from ocr_worker.charts.panel_facts import with_facts
from ocr_worker.charts.picture import Picture
from ocr_worker.charts.texts import Token

DRAWN = 3.0
"""How well an area must be backed by lines (see `areas.drawn`) to be one without an x scale: two spines, or a grid both
ways."""

LEAST_LABELS = 2
"""Texts along an x axis of which no scale is known: with fewer the area may be none that curves are drawn in."""

LEAST_TICKS = 4
"""Ticks there that say as much, where OCR took the labels for one text or read none."""

FILL_SHARE = 0.35
"""Share of the ink in filled shapes that are no bars from which the chart is of a kind that is not read."""

EDGE_SHARE = 0.9
"""Share of a colour's pixels beside those of colours with more, from which it is an edge that compression gave them."""

LONE_MARKER = 1.45
"""Width over height of a legend's handle up to which it is a marker without a line. Of 140 handles of the generator's
training figures markers had 0.5 to 1.3 and lines 1.7 to 7."""

SCATTERED = 5
"""Pieces from which a colour may be a cloud: a curve beside a patch in the legend, as web charts have it, is in one."""

HOOK = lines.ROUGH_END
"""Share of the height that a curve's stroke may take in a border beside its own thickness."""

STEEP = 24
"""Rows that a curve may rise or fall within the ten columns past the edge of an area: more is a vertical line."""


def read_curve_panel(
    figure: Picture,
    layout: Layout,
    view: View,
    own: Sequence[Entry],
    others: Sequence[colours.Colour],
    x: Scale | None,
    y: Scale | None,
    tokens: Sequence[Token],
    taken: set[int],
    deadline: Deadline,
) -> Panel:
    area = layout.area
    palette: list[tuple[colours.Colour, Entry | None]] = [(e.colour, e) for e in own]
    for colour in others:
        # A shade of a curve's colour is the edge of its markers.
        if not any(
            colours.is_shade(colour, known, view.ground) and not colours.is_neutral(known, view.ground)
            for known, _ in palette
        ):
            palette.append((colour, None))
    if not palette:
        raise AbstainError("kind_unknown")
    layers = colours.separate(view, [colour for colour, _ in palette])
    strokes = [found for found, layer in zip(palette, layers, strict=True) if found[1] or not _is_edge(layer, layers)]
    if len(strokes) < len(palette):
        palette, layers = strokes, colours.separate(view, [colour for colour, _ in strokes])
    deadline.check()
    forms = []
    for layer in layers:
        deadline.check()
        forms.append(kinds.shapes(layer))
    deadline.check()
    series = [Named(layer, entry) for layer, (_, entry) in zip(layers, palette, strict=True)]
    shows_line = [_shows_line(figure, entry) for entry in own if not entry.direct]
    forms = [_as_in_legend(f, n.entry, shows_line) for f, n in zip(forms, series, strict=True)]
    kind = _kind(series, forms)
    both = axes.axis_of(x, layout.x_title), axes.axis_of(y, layout.y_title)
    empty = Panel(kind, in_figure(area.box, figure), *both)
    if kind == "other":
        return replace(empty, abstained="kind_not_read")
    wanted = "curve" if kind == "line" else "points"
    kept = [s for s, form in zip(series, forms, strict=True) if form.form == wanted and _is_data(s, own, view)]
    if not any(entry.names for entry in own):
        kept = _with_direct_names(figure, view, kept, tokens, taken)
    if not kept:
        return replace(empty, kind="other", abstained="kind_unknown")
    if len(kept) > colours.MAX_SERIES:
        return replace(empty, abstained="too_many_series")
    if y is None:
        other = axes.is_of_other_scale(layout.left)
        return replace(empty, abstained="unsupported_scale" if other else "axis_not_calibrated")
    if checks.unexplained_share(view, layers) > checks.UNEXPLAINED:
        return replace(empty, abstained="unexplained_ink")
    if kind == "scatter":
        if x is None:
            return replace(empty, abstained="axis_not_calibrated")
        found = _without_wrong_names(scatter.read_scatter(view, kept, x, y, figure.scale), kept)
        if len(found) > 1:
            found = [s if s.name is not None or s.abstained else _unnamed(s) for s in found]
        middles = dict(zip((s.colour for s in found), scatter.middles(view, kept, y), strict=True))
        found = _without_edges(found, kept, own, view)
        panel = replace(empty, series=tuple(found))
        return replace(panel, series=with_facts(panel, [middles[s.colour] for s in found]))
    place: Scale | Sequence[Token] = x if x is not None else _categories(layout)
    if x is None and not _is_certain(figure, layout):
        return replace(empty, abstained="axis_not_calibrated")
    beyond = [_beyond(figure, area, s.layer) for s in kept]
    hooked = [_hooked(figure, area, view, s.layer) for s in kept]
    found, place = lines.read_lines(view, kept, place, y, figure.scale, beyond, hooked, deadline)
    if not isinstance(place, Scale):
        empty = replace(empty, x=axes.axis_of(None, layout.x_title, [token.text for token in place]))
    found = [
        Series(s.name, s.line, s.colour, abstained="low_coverage") if _leaves(figure, k.layer, view) else s
        for s, k in zip(found, kept, strict=True)
    ]
    found = _without_wrong_names(found, kept)
    if len(found) > 1:
        # A colour that the legend does not name is a reference line or a rest of an edge, and of several curves without
        # names none can be spoken of.
        found = [s if s.name is not None or s.abstained else _unnamed(s) for s in found]
    found = _without_edges(found, kept, own, view)
    drawn = {s.entry.key for s in kept if s.entry is not None}
    missing = [e for e in own if e.names and e.key not in drawn]
    found += [Series(e.name, e.line, colours.code(e.colour), abstained=_why_missing(e, own, view)) for e in missing]
    panel = replace(empty, series=tuple(found))
    return replace(panel, series=with_facts(panel))


def _without_wrong_names(found: Sequence[Series], kept: Sequence[Named]) -> list[Series]:
    """The series of `kept`, those without a name that are drawn as one of another panel."""
    nameless = [named.entry is not None and not named.entry.names for named in kept]
    return [replace(s, name=None, line=None) if no else s for s, no in zip(found, nameless, strict=True)]


def _without_edges(found: Sequence[Series], kept: Sequence[Named], own: Sequence[Entry], view: View) -> list[Series]:
    """The series of `kept`, without the colours that no legend names and that those it names make where they meet,
    thin out or are compressed: they are no series that was not read."""
    named = [k.layer.colour for k in kept if k.entry is not None and k.entry.names]
    named += [entry.colour for entry in own if entry.names]
    return [
        s
        for s, k in zip(found, kept, strict=True)
        if k.entry is not None or not s.abstained or not colours.is_made_of(k.layer.colour, named, view.ground)
    ]


def _why_missing(entry: Entry, own: Sequence[Entry], view: View) -> str:
    """Why a name of the legend has no curve: mostly its colour is another's as well."""
    for other in own:
        if other.key != entry.key and colours.alike(other.colour, entry.colour, view.ground):
            return "same_colour_series"
    return "low_coverage"


def _unnamed(series: Series) -> Series:
    return Series(None, None, series.colour, abstained="unnamed_series")


def _is_data(named: Named, own: Sequence[Entry], view: View) -> bool:
    """Unnamed greys are grids, frames and reference lines, unless nothing else is drawn."""
    return named.entry is not None or not own or not colours.is_neutral(named.layer.colour, view.ground)


def _is_edge(layer: colours.Layer, layers: Sequence[colours.Layer]) -> bool:
    """Whether a colour that no legend names lies along other colours all of its way. A curve leaves the others'."""
    size = int(layer.mask.sum())
    larger = [other.mask for other in layers if int(other.mask.sum()) > size]
    if not larger or not size:
        return False
    beside = cv2.dilate(np.logical_or.reduce(larger).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return int((layer.mask & beside).sum()) >= EDGE_SHARE * size


def _shows_line(figure: Picture, entry: Entry) -> bool:
    """Whether a handle is more than a marker: as a whole, or what is drawn in its colour within a key's filling."""
    x0, y0, x1, y1 = (round(edge) for edge in entry.handle)
    part = figure.rgb[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1].astype(np.float32)
    rows, columns = np.nonzero(np.linalg.norm(part - entry.colour, axis=2) <= colours.SHADE)
    drawn = (int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1) if len(rows) else (0, 1)
    return any(width > LONE_MARKER * height for width, height in ((x1 - x0, y1 - y0), drawn))


def _as_in_legend(shapes: kinds.Shapes, entry: Entry | None, shows_line: Sequence[bool]) -> kinds.Shapes:
    """The form of a colour where the legend knows better: a cloud along a course fills its columns as a curve does, and
    the markers of a thin curve hide it. `shows_line`: of each entry of the legend; they must agree."""
    if entry is None or entry.direct:
        return shapes
    sizes = shapes.pieces[:, 4]
    is_scattered = len(sizes) >= SCATTERED and sizes.max() < 0.7 * sizes.sum()
    if shapes.form == "curve" and not any(shows_line) and is_scattered:
        return replace(shapes, form="points")
    if shapes.form == "points" and all(shows_line):
        return replace(shapes, form="curve")
    return shapes


def _kind(series: Sequence[Named], forms: Sequence[kinds.Shapes]) -> ChartKind:
    """By the pixels of each form; the colours that a legend names alone decide where there is a legend."""
    named = [i for i, s in enumerate(series) if s.entry is not None and forms[i].form != "nothing"]
    considered = named or [i for i in range(len(series)) if forms[i].form != "nothing"]
    sizes = {"curve": 0, "points": 0, "fill": 0, "bars": 0}
    everything = 0
    for i, form in enumerate(forms):
        size = int(series[i].layer.mask.sum())
        everything += size
        if i in considered and form.form in sizes:
            sizes[form.form] += size
        elif form.form == "fill":
            sizes["fill"] += size
    if sizes["fill"] + sizes["bars"] > FILL_SHARE * max(everything, 1):
        return "other"
    curves = sum(forms[i].form == "curve" for i in considered)
    points = sum(forms[i].form == "points" for i in considered)
    if not curves and not points:
        return "other"
    if curves and points and not named:
        return "line" if sizes["curve"] >= sizes["points"] else "scatter"
    return "line" if curves >= points else "scatter"


def _with_direct_names(
    figure: Picture, view: View, kept: Sequence[Named], tokens: Sequence[Token], taken: set[int]
) -> list[Named]:
    """What is drawn, with the names that stand beside it. Where some do, a grey without a name is faded ink, a frame or
    a reference line, and is left out."""
    names = legend.direct_labels(figure, tokens, taken, [s.layer.colour for s in kept])
    found = [Named(s.layer, names.get(index, s.entry)) for index, s in enumerate(kept)]
    named = [s for s in found if s.entry is not None or not colours.is_neutral(s.layer.colour, view.ground)]
    return named if names else found


def _is_certain(figure: Picture, layout: Layout) -> bool:
    """Whether an area of which no x scale is known surely is one: it has texts and ticks below it, or one of both, and
    spines, grids or a filling of its own. Of others a plateau of a curve may be taken for the bottom."""
    area = layout.area
    sides = (area.left, area.right, area.top, area.bottom)
    has_labels = len(layout.bottom.tokens) >= LEAST_LABELS
    has_ticks = len(layout.bottom.ticks) >= LEAST_TICKS
    is_drawn = areas.drawn(area.box, sides, figure) >= DRAWN
    return (has_labels and has_ticks) or (is_drawn and (has_labels or has_ticks))


def _categories(layout: Layout) -> list[Token]:
    """The texts at the x axis, where they may be the categories that curves are drawn over; else empty."""
    named = sorted((t for t in layout.bottom.tokens if not t.numerals), key=lambda t: t.x)
    return named if len(named) >= axes.MIN_LABELS and _evenly_spaced(named) else []


def _evenly_spaced(tokens: Sequence[Token]) -> bool:
    steps = np.diff([token.x for token in tokens])
    return bool(len(steps) and steps.min() > 0.6 * steps.max())


def _hooked(figure: Picture, area: Area, view: View, layer: Layer) -> tuple[bool, bool]:
    """Whether the colour goes up or down by more than a value may be off in the left and the right border, which
    belong to the spines: there a curve's last step is not seen. Of a curve in a spine's colour that cannot be told."""
    if colours.is_neutral(layer.colour, view.ground):
        return False, False
    found = []
    y0, y1 = view.y, view.y + view.height
    for first, last in ((round(area.x0) - 2, view.x), (view.x + view.width, round(area.x1) + 3)):
        strip = figure.rgb[y0:y1, max(first, 0) : min(last, figure.width)].astype(np.float32)
        own = (np.linalg.norm(strip - layer.colour, axis=2) < 45).any(axis=1)
        found.append(bool(own.mean() > HOOK))
    return found[0], found[1]


def _beyond(figure: Picture, area: Area, layer: Layer) -> tuple[bool, bool]:
    """Whether the colour goes on past the left and the right of the area from where it reaches them."""
    found = []
    for at, inside in ((round(area.x0), slice(0, 4)), (round(area.x1), slice(-4, None))):
        rows = np.flatnonzero(layer.mask[:, inside].any(axis=1))
        x0, x1 = (at - 9, at - 4) if at == round(area.x0) else (at + 5, at + 10)
        if not len(rows) or x0 < 0 or x1 > figure.width:
            found.append(False)
            continue
        # A steep curve is some rows further after a few columns.
        top = max(int(rows[0]) + round(area.y0) - STEEP, 0)
        strip = figure.rgb[top : int(rows[-1]) + round(area.y0) + STEEP, x0:x1].astype(np.float32)
        near = np.linalg.norm(strip - layer.colour, axis=2) < 45
        found.append(bool(near.any(axis=0).mean() > 0.7))
    return found[0], found[1]


def _leaves(figure: Picture, layer: Layer, view: View) -> bool:
    """Whether the colour goes on above or below the area: it was found too small, or the curve is cut off."""
    for edge, strip_rows in ((view.y, slice(0, 3)), (view.y + view.height, slice(-3, None))):
        columns = np.flatnonzero(layer.mask[strip_rows].any(axis=0))
        above = edge == view.y
        y0, y1 = (edge - 11, edge - 6) if above else (edge + 6, edge + 11)
        if not len(columns) or y0 < 0 or y1 > figure.height:
            continue
        left = max(int(columns[0]) + view.x - 8, 0)
        strip = figure.rgb[y0:y1, left : int(columns[-1]) + view.x + 9].astype(np.float32)
        if (np.linalg.norm(strip - layer.colour, axis=2) < 45).any(axis=1).mean() > 0.7:
            return True
    return False
