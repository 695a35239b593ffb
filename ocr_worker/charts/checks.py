"""Whether what was read explains what is drawn: the checks before a claim, which do not use how it was read.

A curve is drawn again from its samples and compared with the ink of its colour; what no series explains is counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from ocr_worker.charts.colours import Layer, View
from ocr_worker.charts.picture import Mask
from ocr_worker.charts.tracing import Trace, runs

UNEXPLAINED = 0.15
"""Share of the ink that may belong to no series that was read: annotations and reference lines take up to 0.1."""

REDRAWN = 0.85
"""Share of a curve drawn again that must fall on ink of its colour; dashes are not drawn in their gaps."""

MOST_HIGHER = 2.2
"""How many times higher than a stroke of its slope the runs of a curve may be, in the median."""

EXPLAINED = 0.78
"""Share of a colour's ink that the curve must touch. Markers and error bars do touch it; caps, and bits of others that
lie on the same ray, take up to 0.2."""


def redrawing_agrees(trace: Trace, layer: Layer, others: Mask) -> bool:
    """Draws the curve and compares. `others`: ink of other series, under which this one may be hidden."""
    mask = layer.mask
    canvas = np.zeros(mask.shape, np.uint8)
    longest = max(6, round(0.05 * mask.shape[1]))
    for a, b in itertools.pairwise(range(len(trace.columns))):
        x0, x1 = int(trace.columns[a]), int(trace.columns[b])
        if x1 - x0 <= longest:
            cv2.line(canvas, (x0, round(float(trace.heights[a]))), (x1, round(float(trace.heights[b]))), 1, 1)
    drawn = canvas > 0
    if not drawn.any():
        return False
    size = 2 * max(2, round(trace.stroke)) + 1
    near = cv2.dilate((mask | others).astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    # A dash gap along the curve is bridged, whatever other curves have in its columns.
    columns = np.asarray(mask.any(axis=0), np.bool_)
    relevant = drawn & columns[None]
    if not relevant.any() or float((near & relevant).sum() / relevant.sum()) < REDRAWN:
        return False
    return is_thin(trace, mask) and explained_share(trace, mask) >= EXPLAINED


def is_thin(trace: Trace, mask: Mask) -> bool:
    """Whether the runs that the curve passes through are as high as its stroke and slope make them.

    A cloud of points that run into each other is higher everywhere; so is a curve that moves up and down in each pixel.
    """
    columns, tops, feet = runs(mask)
    at = np.interp(columns, trace.columns, trace.heights)
    on = (tops <= at + 1) & (at <= feet + 1) & (columns >= trace.columns[0]) & (columns <= trace.columns[-1])
    if not on.any():
        return False
    ahead = np.interp(columns[on] + 4, trace.columns, trace.heights)
    behind = np.interp(columns[on] - 4, trace.columns, trace.heights)
    slope = np.abs(ahead - behind) / 8
    expected = trace.stroke * np.sqrt(1 + slope**2) + slope
    return bool(np.median((feet[on] - tops[on] + 1) / expected) <= MOST_HIGHER)


def explained_share(trace: Trace, mask: Mask) -> float:
    """Share of the colour's pixels in vertical runs that the curve passes through or near."""
    columns, tops, feet = runs(mask)
    if not len(columns):
        return 0.0
    inside = (columns >= trace.columns[0] - 12) & (columns <= trace.columns[-1] + 12)
    at = np.interp(columns, trace.columns, trace.heights)
    slack = trace.stroke + 3
    touched = inside & (tops - slack <= at) & (at <= feet + slack)
    # Steep pieces: the run may lie between the heights of the neighbouring columns.
    sizes = feet - tops + 1
    return float(sizes[touched].sum() / sizes.sum())


def unexplained_share(area: View, layers: Sequence[Layer], strong: float = 60.0) -> float:
    """Share of the ink in free places that has none of the layers' colours. Full-length lines (grids, references) do
    not count."""
    ink = (area.distance > strong) & area.free & ~area.grid
    total = int(ink.sum())
    if total < 30:
        return 0.0
    known = np.zeros_like(ink)
    for layer in layers:
        known |= layer.strength > 0.2
    known = cv2.dilate(known.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return float((ink & ~known).sum() / total)
