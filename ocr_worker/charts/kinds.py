"""What kind of chart a plot area holds, from the shapes of its colours. Nothing is claimed before this is known.

A colour is drawn as a curve (thin, one height a column), as bars (rectangles on a common base), as points (small pieces
of one size), or as something that is not read (filled areas, boxes, images). Knows no axes and no values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from ocr_worker.charts.colours import SHADE, Layer
from ocr_worker.charts.picture import Mask
from ocr_worker.charts.tracing import fill_holes, runs

Form = Literal["curve", "bars", "points", "fill", "nothing"]

RECTANGULAR = 0.86
"""Share of its box that a bar fills after error bars and hatches took their part; an ellipse fills 0.79."""

HATCH_GAPS = (1, 3, 7, 13, 21)
"""Pixels that are closed, in turn: nothing, edges and error bars, hatches, wide hatches of large figures."""

LEAST_HATCHED = 0.015
"""Share of the plot area that hatched bars of one colour cover with ink; a curve of four pixels covers 0.008."""

LEAST_INK = 0.3
"""Share of a rectangle that has its colour before gaps are closed; the densest hatches take half."""

THICK = 0.025
"""Half-widths above this share of the plot area, and above 8 pixels, are filled shapes: the thickest lines are 3
points of
a plot of 170, and markers have 7."""

ELONGATED = 1.5
"""Length over width, by standard deviations, from which pieces are dashes: triangles have 1.0 to 1.2, dashes 2 and
more."""

LEAST_BAR = 5
"""Pixels; narrower rectangles are pieces of lines."""

MAX_BARS = 120
"""Rectangles that are weighed, the largest: more bars than this are a histogram."""

CUT = 3
"""Pixels; grid lines that are drawn over bars are seldom wider."""

MOST_UNEVEN = 0.35
"""Deviation of the widths of bars over their mean: of 200 charts of the generator's training figures all but four had
less than 0.2, pieces of bands around curves have 0.5."""

SIDE = 2
SIDES_SHARE = 0.35
"""Pixels at both sides of a bar, and share of its width, that go on beside a tick or an error bar upon it."""

MAX_BASES = 10
"""Places that are tried as the base, those that most of the rectangles touch."""

MAX_PARTS = 8
"""Parts of one stacked bar."""

BOX_SHARE = 0.5
LEAST_BOX = 6
LEAST_BOXES = 4
BOXES_SHARE = 0.35
UNEVEN = 0.25
"""Holes of up to this share of the area are a box's; boxes are at least this many pixels wide and high, and so many;
they hold this share of the ink; and their heights differ by this much, as a share of the mean: those of square markers
and of a thick line's plateaus do not."""

LARGEST_MARKER = 26
"""Pixels; 10 points at 190 dots an inch."""

FILLED = 0.4
"""Share of a colour's pixels three of which lie side by side both ways, from which it is no edge."""

OUTLINE_SHARE = 0.3
OUTLINE_MOST = 8
"""How far the outlines of bars and the fringes that compression gave them reach: share of the bars' width, and pixels
at most. Bars side by side are wider than that."""

OVERLAID = 0.9
"""Share of the pixels in a colour's rectangles, within and closely around the bars of others, from which it is drawn
upon them."""

ON_BASE = 0.7
"""Share of the rectangles that must stand on the common base: boxes of box plots and floating bars do not."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """What the pieces of a colour look like; the arrays have one entry a piece: x, y, width, height, pixels."""

    form: Form
    pieces: npt.NDArray[np.int32]


def shapes(layer: Layer) -> Shapes:
    """The form of one colour within a plot area."""
    mask = layer.mask
    area = mask.size
    total = int(mask.sum())
    if total < max(12, 0.00008 * area):
        return Shapes("nothing", np.zeros((0, 5), np.int32))
    pieces = _pieces(fill_holes(mask, 24))
    if len(pieces) >= 3 and float(np.median(pieces[:, 2:4])) <= LARGEST_MARKER and _are_points(pieces, mask):
        return Shapes("points", pieces)  # before bars: a small disc is nearly a square
    bars = _solid(mask)
    if len(bars):
        explained = sum(int(mask[y : y + h, x : x + w].sum()) for x, y, w, h, _ in bars) / total
        if explained >= 0.72:
            return Shapes("bars", bars)
    if _thick_share(mask) > 0.55 and total > 0.02 * area:
        return Shapes("fill", pieces)
    if _are_points(pieces, mask):
        return Shapes("points", pieces)
    if _are_boxes(mask):
        return Shapes("fill", pieces)
    return Shapes("curve", pieces)


def is_filled(rgb: npt.NDArray[np.float32], colour: npt.NDArray[np.float32]) -> bool:
    """Whether a colour fills shapes, hatched ones too, rather than being the edge of others."""
    near = (((rgb - colour) ** 2).sum(axis=2) <= SHADE**2).astype(np.uint8)
    solid = cv2.morphologyEx(near, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return int(solid.sum()) > FILLED * max(int(near.sum()), 1)


def _are_boxes(mask: Mask) -> bool:
    """Whether much of a colour is in rectangles of many sizes, hollow or filled, as candlesticks and boxes with
    whiskers have it. The markers of a curve are of one size."""
    solid = fill_holes(mask, BOX_SHARE * min(mask.shape))
    opened = cv2.morphologyEx(solid.astype(np.uint8), cv2.MORPH_OPEN, np.ones((LEAST_BOX, LEAST_BOX), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    found = stats[1 : min(count, 400)].astype(np.float64)
    found = found[found[:, 4] >= RECTANGULAR * found[:, 2] * found[:, 3]]
    if len(found) < LEAST_BOXES or float(found[:, 4].sum()) < BOXES_SHARE * float(solid.sum()):
        return False
    return float(np.std(found[:, 3]) / np.mean(found[:, 3])) > UNEVEN


def _pieces(mask: Mask) -> npt.NDArray[np.int32]:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    found = stats[1 : min(count, 4000)]
    return np.asarray(found[found[:, 4] >= 3], np.int32)


def rectangles(mask: Mask) -> npt.NDArray[np.int32]:
    """The filled rectangles of a colour: x, y, width, height, pixels. Error bars and texts upon them do not count."""
    found = _solid(mask)
    if len(found) > MAX_BARS:
        return found
    return _lengthened(_lengthened(found, mask).take(TURNED, axis=1), mask.T).take(TURNED, axis=1)


TURNED = (1, 0, 3, 2, 4)
"""The columns of rectangles with x and y exchanged."""


def _solid(mask: Mask) -> npt.NDArray[np.int32]:
    """The rectangles as they are filled. Hatches cut bars to pieces: gaps are closed as far as it takes, and no
    further."""
    best, most = np.zeros((0, 5), np.int32), 0.0
    total = max(int(mask.sum()), 1)
    for gap in HATCH_GAPS:
        if gap > HATCH_GAPS[1] and total < LEAST_HATCHED * mask.size:
            break
        closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
        opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((LEAST_BAR, LEAST_BAR), np.uint8))
        if not opened.any():
            continue
        count, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
        found = stats[1 : min(count, 400)]
        full = found[:, 4] >= RECTANGULAR * found[:, 2] * found[:, 3]
        inked = np.array([int(mask[y : y + h, x : x + w].sum()) for x, y, w, h, _ in found[full]], np.float64)
        kept = found[full][inked >= LEAST_INK * found[full][:, 4]]
        explained = sum(int(mask[y : y + h, x : x + w].sum()) for x, y, w, h, _ in kept) / total
        # Closing further may only merge: it must explain clearly more, or the same with far fewer pieces.
        if explained > most + 0.1 or (explained > most - 0.02 and len(kept) < 0.7 * len(best)):
            best, most = np.asarray(kept, np.int32), explained
        if count <= 1 or (explained > 0.9 and len(kept) <= 30):
            break
    return _mended(_mended(best).take(TURNED, axis=1)).take(TURNED, axis=1)


def _lengthened(boxes: npt.NDArray[np.int32], mask: Mask) -> npt.NDArray[np.int32]:
    """The rectangles with what ticks and error bars of another colour parted from their upper and lower ends: rows in
    which both sides of the bar go on. What was a rectangle of its own there is left out."""
    longer = boxes.copy()
    for box in longer:
        left, y, width, h = (int(v) for v in box[:4])
        rows = mask[:, left : left + width]
        sides = rows[:, :SIDE].any(axis=1) & rows[:, -SIDE:].any(axis=1)
        # A row without a hole is another bar's: what parted that from this one would be seen in it.
        goes_on = sides & (rows.mean(axis=1) >= SIDES_SHARE) & ~rows[:, SIDE:-SIDE].all(axis=1)
        top, bottom = _last(goes_on, y, -1), _last(goes_on, y + h - 1, 1)
        box[1], box[3] = top, bottom + 1 - top
        box[4] += int(rows[top:y].sum() + rows[y + h : bottom + 1].sum())
    starts, sizes = longer[:, :2], longer[:, 2:4]
    ends, pixels = starts + sizes, sizes[:, 0] * sizes[:, 1]
    begins_within = (starts[:, None] >= starts[None]).all(axis=2)
    ends_within = (ends[:, None] <= ends[None]).all(axis=2)
    within = begins_within & ends_within & (pixels[:, None] < pixels[None])
    return np.asarray(longer[~within.any(axis=1)], np.int32)


def _last(goes_on: Mask, at: int, step: int) -> int:
    """The last row from `at` on that goes on, past cuts of a few rows."""
    last, row = at, at + step
    while 0 <= row < len(goes_on) and abs(row - last) <= CUT + 1:
        if goes_on[row]:
            last = row
        row += step
    return last


def overlaid(
    masks: Sequence[Mask], boxes: Sequence[npt.NDArray[np.int32]], named: Sequence[bool], grey: Sequence[bool]
) -> list[npt.NDArray[np.int32]]:
    """The rectangles of each colour without those that merely lie upon the bars of others and around them: outlines,
    hatches, edges and error bars, which mostly are black. What the legend names is drawn for its own sake."""
    kept = list(boxes)
    if not masks:
        return kept
    bars = np.zeros(masks[0].shape, np.uint8)
    for index in sorted(range(len(boxes)), key=lambda i: (not named[i], grey[i], -int(masks[i].sum()))):
        own = boxes[index]
        if not len(own):
            continue
        if not named[index] and bars.any():
            inks = [masks[index][y : y + h, x : x + w] for x, y, w, h, _ in own.tolist()]
            upon = [
                int((ink & (bars[y : y + h, x : x + w] > 0)).sum())
                for ink, (x, y, w, h, _) in zip(inks, own.tolist(), strict=True)
            ]
            sizes = np.array([int(ink.sum()) for ink in inks])
            apart = (
                np.array(upon) < OVERLAID * sizes if sum(upon) < OVERLAID * sizes.sum() else np.zeros(len(own), bool)
            )
            own = kept[index] = own[apart]
            if not len(own):
                continue
        reach = min(round(OUTLINE_SHARE * float(np.median(own[:, 2:4].min(axis=1)))), OUTLINE_MOST)
        for x, y, w, h, _ in own.tolist():
            bars[max(y - reach, 0) : y + h + reach, max(x - reach, 0) : x + w + reach] = 1
    return kept


def _mended(boxes: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The rectangles without the thin cuts that lines across several of them left: grids drawn over bars.

    Two that stand above each other become one, if others are cut in the same row: bars side by side have a gap each in
    a place of its own.
    """
    x, y, w, h = (boxes[:, k] for k in range(4))
    gap = y[None] - (y + h)[:, None]  # [upper, lower]
    same = (np.abs(x[None] - x[:, None]) <= 1) & (np.abs(w[None] - w[:, None]) <= 1)
    upper, lower = np.nonzero(same & (gap > 0) & (gap <= CUT))
    rows = (y + h)[upper]
    if not any(len(set(x[upper[np.abs(rows - row) <= 1]].tolist())) >= 2 for row in set(rows.tolist())):
        return boxes
    after = dict(zip(upper.tolist(), lower.tolist(), strict=True))
    found = []
    for index in sorted(set(range(len(boxes))) - set(after.values())):
        box, last = boxes[index].copy(), index
        while last in after:
            last = after[last]
            box[3] = y[last] + h[last] - box[1]
            box[4] += boxes[last, 4]
        found.append(box)
    return np.array(found, np.int32)


def _thick_share(mask: Mask) -> float:
    """Share of the pixels that lie deeper inside than any line or marker does."""
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    least = max(8.0, THICK * min(mask.shape))
    deep = depth > least
    if not deep.any():
        return 0.0
    size = 2 * round(least) + 1
    grown = cv2.dilate(deep.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    return float((grown & mask).sum() / max(int(mask.sum()), 1))


def _are_points(pieces: npt.NDArray[np.int32], mask: Mask) -> bool:
    """Many pieces of one size, as wide as high; not the dashes of a line."""
    if len(pieces) < 3:
        return False
    width, height = mask.shape[1], mask.shape[0]
    w, h = pieces[:, 2].astype(np.float64), pieces[:, 3].astype(np.float64)
    size = float(np.median(np.maximum(w, h)))
    if size > 0.12 * max(width, height):
        return False
    if w.max() > max(4.5 * size, 0.3 * width) and float(pieces[w.argmax(), 4]) > 0.35 * pieces[:, 4].sum():
        return False
    small = (np.maximum(w, h) <= 1.8 * size) & (np.maximum(w, h) >= 0.45 * size)
    if _elongation(pieces, mask) > ELONGATED or float(small.mean()) < 0.6:
        return False
    # Dots of a dotted line follow each other closely, with one run a column.
    columns, _, _ = runs(mask)
    single = float((np.bincount(columns) == 1).sum() / max(len(np.unique(columns)), 1))
    order = np.argsort(pieces[:, 0])
    steps = np.hypot(np.diff(pieces[order, 0]), np.diff(pieces[order, 1]))
    return not (single > 0.9 and len(pieces) >= 8 and float(np.median(steps)) <= 3.2 * size)


def _elongation(pieces: npt.NDArray[np.int32], mask: Mask) -> float:
    """Median of length over width of the pieces, along their own axes: slanting dashes are as wide as high."""
    found = []
    for x, y, w, h, _ in pieces[:: max(len(pieces) // 60, 1)].tolist():
        rows, columns = np.nonzero(mask[y : y + h, x : x + w])
        if len(rows) < 4:
            continue
        spread = np.linalg.eigvalsh(np.cov(np.stack([columns, rows]).astype(np.float64)) + np.eye(2) / 12)
        found.append(float((spread[1] / spread[0]) ** 0.5))
    return float(np.median(found)) if found else 1.0


@dataclass(frozen=True, slots=True)
class Base:
    """What bars stand on: `upright` bars on a horizontal line at row `at`, others on a vertical one at column `at`."""

    upright: bool
    at: float
    share: float
    """Share of the rectangles' pixels that stand on it, or on others that do."""


def common_base(boxes: npt.NDArray[np.int32]) -> Base | None:
    """The line that the rectangles ([n, 5]: x, y, width, height, pixels) stand on; None when they share none."""
    boxes = boxes[np.argsort(boxes[:, 4])[::-1][:MAX_BARS]]
    if not len(boxes):
        return None
    found = []
    for upright in (True, False):
        start, extent = (boxes[:, 1], boxes[:, 2]) if upright else (boxes[:, 0], boxes[:, 3])
        end = start + (boxes[:, 3] if upright else boxes[:, 2])
        places = np.unique(np.concatenate([start, end]))
        touches = (np.abs(start[None] - places[:, None]) <= 3) | (np.abs(end[None] - places[:, None]) <= 3)
        counts = (touches * boxes[:, 4][None]).sum(axis=1)
        piled, most = np.zeros(len(boxes), np.bool_), 0
        for candidate in np.argsort(counts)[::-1][:MAX_BASES]:
            trial = _piled(boxes, touches[candidate], upright)
            if boxes[trial, 4].sum() > 1.02 * boxes[piled, 4].sum():
                piled, most = trial, int(candidate)
        share = float(boxes[piled, 4].sum() / boxes[:, 4].sum())
        found.append((_uneven(extent[piled], boxes[piled, 4]), Base(upright, float(places[most]), share)))
    uneven, base = min(found, key=lambda pair: 1.5 * pair[0] - pair[1].share)
    return base if base.share >= ON_BASE and uneven <= MOST_UNEVEN else None


def _uneven(extent: npt.NDArray[np.int32], sizes: npt.NDArray[np.int32]) -> float:
    """The deviation of the widths over their mean, by the bars' sizes: rests of outlines and ticks are small."""
    if not len(extent):
        return float("inf")
    mean = float(np.average(extent, weights=sizes))
    return float(np.sqrt(np.average((extent - mean) ** 2, weights=sizes))) / max(mean, 1.0)


def standing(boxes: npt.NDArray[np.int32], base: Base) -> Mask:
    """Which rectangles stand on the base, or on one that does."""
    start = boxes[:, 1] if base.upright else boxes[:, 0]
    end = start + (boxes[:, 3] if base.upright else boxes[:, 2])
    touches = (np.abs(start - base.at) <= 3) | (np.abs(end - base.at) <= 3)
    return _piled(boxes, touches, base.upright)


def _piled(boxes: npt.NDArray[np.int32], standing: Mask, upright: bool) -> Mask:
    """The rectangles that stand on the base or on one that does, as the parts of stacked bars do."""
    start, across, extent = (
        (boxes[:, 1], boxes[:, 0], boxes[:, 2]) if upright else (boxes[:, 0], boxes[:, 1], boxes[:, 3])
    )
    end = start + (boxes[:, 3] if upright else boxes[:, 2])
    shared = np.minimum((across + extent)[None], (across + extent)[:, None]) - np.maximum(across[None], across[:, None])
    over = shared > 0.7 * np.minimum(extent[None], extent[:, None])
    meets = (np.abs(start[None] - end[:, None]) <= 6) | (np.abs(end[None] - start[:, None]) <= 6)
    piled = standing.copy()
    for _ in range(MAX_PARTS):
        grown = piled | ((over & meets) & piled[None]).any(axis=1)
        if (grown == piled).all():
            break
        piled = grown
    return np.asarray(piled, np.bool_)
