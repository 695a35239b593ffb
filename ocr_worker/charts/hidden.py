"""Follows a curve under others, where their ink leaves it one way only.

A curve whose ink ends at another one, while others go on, lies under these as far as they go: it could not leave them
unseen. Where all that it could be hidden under lies close together, its course is known though no pixel of it is seen.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from ocr_worker.charts.picture import Mask
from ocr_worker.charts.tracing import AT_BORDER, Trace

Rows = npt.NDArray[np.bool_]

EDGE = 2
"""Pixels around ink in which its edge hides another curve too."""

FLAT_OVER = 12
FLAT = 0.35
"""Columns before an end, and rows a column that a curve moves there at most where it comes flatly to a border."""

ONE_WAY = 0.05
"""Share of the height that the ink above a hidden curve may span: its middle is then right within half of that, and
values are right within 5 % of the axis."""


def followed(traced: Trace, others: Mask, limit: int, side: int) -> Trace | None:
    """The curve drawn on under `others` from its left (`side` 0) or right end to the column `limit`, or None where they
    end before or leave it more than one way."""
    size = 2 * EDGE + 1
    ink = cv2.dilate(others.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    if _runs_along_border(traced, others.shape[0], side):  # a spine hides a curve as another does
        ink[:AT_BORDER] = ink[-AT_BORDER:] = True
    end, row = int(traced.columns[-side]), round(float(traced.heights[-side]))
    step = -1 if side == 0 else 1
    columns = np.arange(end + step, limit + step, step)
    reach = round(traced.stroke) + EDGE + 1
    start = np.zeros(ink.shape[0], np.bool_)
    start[max(row - reach, 0) : row + reach + 1] = True
    ways = _connected(ink[:, columns], start)
    if not len(columns) or ways is None:
        return None
    # What leads to a dead end is no way: the curve came as far as the others.
    back = _connected(ways[:, ::-1], ways[:, -1])
    if back is None:
        return None
    ways = back[:, ::-1]
    tops = ways.argmax(axis=0)
    feet = ways.shape[0] - 1 - ways[::-1].argmax(axis=0)
    if int((feet - tops).max()) + 1 - 2 * EDGE > ONE_WAY * ink.shape[0]:
        return None
    heights = (tops + feet) / 2
    if side == 0:
        return replace(
            traced,
            columns=np.concatenate([columns[::-1], traced.columns]),
            heights=np.concatenate([heights[::-1], traced.heights]),
        )
    return replace(
        traced,
        columns=np.concatenate([traced.columns, columns]),
        heights=np.concatenate([traced.heights, heights]),
    )


def _runs_along_border(traced: Trace, height: int, side: int) -> bool:
    """Whether the curve comes to the upper or lower border so flatly that it goes on below the spine: a steep one
    leaves the area."""
    part = slice(0, FLAT_OVER) if side == 0 else slice(-FLAT_OVER, None)
    row = float(traced.heights[-side])
    is_near = min(row, height - 1 - row) <= AT_BORDER + traced.stroke / 2
    return is_near and float(np.ptp(traced.heights[part])) <= FLAT * FLAT_OVER


def _connected(ink: Mask, start: Rows) -> Mask | None:
    """The ink that is reached column by column from the rows of `start` before the first; None where it ends."""
    found = np.zeros_like(ink)
    before = start
    for at in range(ink.shape[1]):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], ink[:, at].astype(np.int8), [0]])))
        for top, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if before[max(top - 1, 0) : stop + 1].any():
                found[top:stop, at] = True
        before = found[:, at]
        if not before.any():
            return None
    return found
