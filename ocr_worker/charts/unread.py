"""Where labels of an axis stand that OCR did not read, found by their ink: lone digits above all, which detectors miss.

The strip between an axis and its title holds tick marks and labels alone. What is drawn there and is neither a tick
nor a text that was read is a label to be read again. Knows no scales.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ocr_worker.charts.areas import Area
from ocr_worker.charts.picture import INK as FAINT
from ocr_worker.charts.picture import Mask, Picture
from ocr_worker.charts.texts import Token

INK = 60.0
"""Distance from the ground from which a pixel belongs to a letter: fainter ones are noise of compression and grids."""

TICK = 0.3
"""Height of a label up to which a piece that touches the axis is a tick mark."""

LOWEST, HIGHEST = 0.35, 1.4
"""Heights of a label's box between which the rows of a label are: the box is half as high again as a digit, and an
exponent stands above it."""

ALIGNED = 1.2
"""Heights by which the end of a label may lie off that of those that were read."""

LETTER_GAP = 0.45
"""Heights up to which a gap between two columns of ink is one between letters of a label; between labels it is one and
more."""

MARGIN = 3
"""Pixels around what is read again: recognisers want a little ground."""

WIDEST = 8.0
"""Heights that a label is wide at most."""

SPINE = 0.6
"""Share of an axis' length that a column of ink has from which it is its spine."""

MOST_SPINE = 14
"""Pixels beside the middle of an axis' line at most that it is thick."""

Corners = tuple[int, int, int, int]


def suspect(area: Area, side: str, token: Token) -> bool:
    """Whether a label's box reaches the left axis, so that a tick may have been read as a part of it: `31` for `3`."""
    return side == "left" and token.box[2] >= area.x0 - 1


def boxes(
    picture: Picture, area: Area, side: str, tokens: Sequence[Token], texts: Sequence[Token], *, all_again: bool = False
) -> list[Corners]:
    """The boxes of what is drawn where the labels of a side stand and was not read, or of all labels there. `tokens`:
    what stands there as labels do; `texts`: all of the figure's, whose numbers tell how large labels are."""
    known = [token for token in tokens if token.numerals and token.upright]
    names = [token for token in tokens if not token.numerals and (token.upright or side == "bottom")]
    if len(names) > len(known):
        return []
    sure = [token for token in known if not suspect(area, side, token)] or known
    sizes = [token.height for token in (known or texts) if token.numerals and token.upright]
    if not sizes or side not in ("left", "bottom") or (side == "bottom" and not known):
        return []
    height = float(np.median(sizes))
    doubtful = [
        token for token in tokens if token.upright and (all_again or not token.numerals or suspect(area, side, token))
    ]
    read = [token for token in texts if token not in doubtful]
    find = _at_left if side == "left" else _below
    return find(picture, area, height, sure, read)


def _at_left(
    picture: Picture, area: Area, height: float, known: Sequence[Token], read: Sequence[Token]
) -> list[Corners]:
    right = _before_spine(picture, area)
    if known:
        right = min(right, round(float(np.median([t.box[2] for t in known])) + TICK * height))
    reach = min([right - 5 * height, *(t.box[0] - 2 * height for t in known)])
    left = max(round(reach), 0)
    top, bottom = max(round(area.y0 - 0.7 * height), 0), round(area.y1 + 0.7 * height)
    if right - left < 4:
        return []
    ink = _without(picture.distance[top:bottom, left:right] > INK, read, left, top)
    ink = _without_ticks(ink, height)
    columns = np.flatnonzero(ink.any(axis=0))
    if not len(columns):
        return []
    ink[:, : _last_group(columns, max(0.3 * height, 3.0))[0]] = False  # a title that was not read
    found = []
    for a, b in _runs(np.asarray(ink.any(axis=1)), 2):
        columns = np.flatnonzero(ink[a:b].any(axis=0))
        first, last = _last_group(columns, 1.5 * LETTER_GAP * height)
        is_aligned = not known or ink.shape[1] - last <= ALIGNED * height
        if LOWEST * height <= b - a <= HIGHEST * height and last - first <= WIDEST * height and is_aligned:
            found.append(_padded(picture, (left + first, top + a, left + last, top + b)))
    return found


def _below(picture: Picture, area: Area, height: float, known: Sequence[Token], read: Sequence[Token]) -> list[Corners]:
    top = max(round(float(np.median([t.box[1] for t in known]))), round(area.y1) + 2)
    bottom = round(float(np.median([t.box[3] for t in known]))) + 1
    width = max(t.width for t in known)
    left, right = max(round(area.x0 - width), 0), round(area.x1 + width)
    if bottom - top < 4:
        return []
    ink = _without(picture.distance[top:bottom, left:right] > INK, read, left, top)
    found = []
    for a, b in _runs(np.asarray(ink.any(axis=0)), LETTER_GAP * height):
        rows = np.flatnonzero(ink[:, a:b].any(axis=1))
        first, last = int(rows[0]), int(rows[-1]) + 1
        if last - first >= LOWEST * height and b - a <= WIDEST * height:
            found.append(_padded(picture, (left + a, top + first, left + b, top + last)))
    return found


def _before_spine(picture: Picture, area: Area) -> int:
    """The column left of which the axis' line is over."""
    at, top, bottom = round(area.x0), round(area.y0), round(area.y1)
    for column in range(at, max(at - MOST_SPINE, 0), -1):
        if (picture.distance[top:bottom, column : column + 1] > FAINT).mean() < SPINE:
            return min(column + 1, at)
    return at


def _without(ink: Mask, texts: Iterable[Token], left: int, top: int) -> Mask:
    """The ink outside of the texts' boxes; the mask begins at column `left` and row `top` of the picture."""
    ink = ink.copy()
    for token in texts:
        x0, x1 = (max(round(edge) - left, 0) for edge in (token.box[0] - 1, token.box[2] + 2))
        y0, y1 = (max(round(edge) - top, 0) for edge in (token.box[1] - 1, token.box[3] + 2))
        ink[y0:y1, x0:x1] = False
    return ink


def _without_ticks(ink: Mask, height: float) -> Mask:
    """The ink without low pieces that touch the right side."""
    count, numbered, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    touching = (stats[:, 0] + stats[:, 2] >= ink.shape[1]) & (stats[:, 3] <= TICK * height)
    touching[0] = False
    return np.asarray(ink & ~touching[numbered], np.bool_) if count > 1 else ink


def has_minus(picture: Picture, token: Token) -> bool:
    """Whether a minus stands before a number: a flat piece of ink left of its digits, half as high as they, and nothing
    else."""
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    left = max(x0 - round(BEFORE * token.height), 0)
    ink = (picture.distance[max(y0, 0) : y1, left : max(x1, 0)] > INK).astype(np.uint8)
    if ink.size == 0:
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    pieces = stats[1:][stats[1:, 4] > 2]
    digits = pieces[pieces[:, 3] >= 0.7 * pieces[:, 3].max(initial=0)]
    if not len(digits):
        return False
    first, top, height = digits[:, 0].min(), digits[:, 1].min(), digits[:, 3].max()
    before = pieces[pieces[:, 0] + pieces[:, 2] <= first + 1]
    if len(before) != 1:
        return False
    _, y, width, thick, _ = before[0].tolist()
    middle = (y + thick / 2 - top) / height
    return bool(width >= 0.3 * height and thick <= max(0.25 * height, 2) and 0.35 <= middle <= 0.75)


BEFORE = 0.7
"""Heights of a label's box in which its minus stands before what OCR read of it."""


def _runs(filled: npt.NDArray[np.bool_], gap: float) -> list[tuple[int, int]]:
    """First and past the last place of each stretch; those with a gap of less than `gap` between them are one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], filled, [False]]).astype(np.int8)))
    merged: list[tuple[int, int]] = []
    for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if merged and a - merged[-1][1] < gap:
            merged[-1] = merged[-1][0], b
        else:
            merged.append((a, b))
    return merged


def _last_group(columns: npt.NDArray[np.intp], gap: float) -> tuple[int, int]:
    """First and past the last column of those that follow each other up to the last one, with gaps of up to `gap`."""
    breaks = np.flatnonzero(np.diff(columns) > gap)
    first = columns[breaks[-1] + 1] if len(breaks) else columns[0]
    return int(first), int(columns[-1]) + 1


def _padded(picture: Picture, box: Corners) -> Corners:
    x0, y0, x1, y1 = box
    return (
        max(x0 - MARGIN, 0), max(y0 - MARGIN, 0),
        min(x1 + MARGIN, picture.width), min(y1 + MARGIN, picture.height),
    )  # fmt: skip
