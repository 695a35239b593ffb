"""Tells axes that are interrupted: by a gap of the spine, by a second spine above it, or as two areas of one plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llava_graph.chart import Panel
from ocr_worker.charts.areas import Area
from ocr_worker.charts.layout import Layout
from ocr_worker.charts.picture import Picture
from ocr_worker.charts.texts import Token

SPINE_SHORT = 0.05
"""Share of its area that a spine may lack at its two ends: the area may reach a tick's length beyond it."""

MOST_GAPS = 5
"""Gaps of a spine that is interrupted once or twice, those of a pair of strokes and of noise with them."""

RESUMED = 0.15
"""Share of an area's height within which its left spine begins anew above it where the axis is broken there."""


def spine_interrupted(figure: Picture, area: Area) -> bool:
    """Whether the left spine has a gap, as the zigzag or the pair of strokes of a broken axis leaves it."""
    x, y0, y1 = round(area.x0), round(area.y0) + 4, round(area.y1) - 4
    if y1 - y0 < 30 or x < 1:
        return False
    drawn = np.asarray((figure.distance[y0:y1, x - 1 : x + 2] > 50).any(axis=1), np.bool_)
    if drawn.mean() < 0.6:
        return False
    first, last = int(drawn.argmax()), len(drawn) - int(drawn[::-1].argmax())
    if first + len(drawn) - last > SPINE_SHORT * len(drawn):
        return False
    y0, drawn = y0 + first, drawn[first:last]
    y1 = y0 + len(drawn)
    # Where bars begin at the axis their own edges make a line, with gaps between them.
    bare = ~np.asarray((figure.distance[y0:y1, x + 5 : x + 9] > 50).all(axis=1), np.bool_)
    if bare.any() and drawn[bare].mean() < 0.6:
        return False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~drawn, [False]]).astype(np.int8)))
    if len(edges) // 2 > MOST_GAPS:
        return False  # a dashed grid line
    longest = max((int(b - a) for a, b in zip(edges[::2], edges[1::2], strict=True)), default=0)
    return longest >= max(4, 0.008 * (y1 - y0))


def spine_resumed(figure: Picture, area: Area, tokens: Sequence[Token]) -> bool:
    """Whether the left spine goes on after a gap above the area, with neither a frame nor labels between, as where one
    plot has an interrupted axis."""
    if area.top or not area.left:
        return False
    for stroke in figure.verticals:
        gap = area.y0 - stroke.end
        if abs(stroke.at - area.x0) > 2 or not 4 <= gap <= RESUMED * area.height:
            continue
        closed = any(
            abs(row.at - stroke.end) <= 4 and row.start <= area.x0 + 4 and row.end > area.x0 + 0.3 * area.width
            for row in figure.horizontals
        )
        between = any(stroke.end < t.y < area.y0 and area.x0 < t.x < area.x1 for t in tokens)
        if not closed and not between:
            return True
    return False


def broken(layouts: Sequence[Layout], panels: Sequence[Panel]) -> bool:
    """Whether areas above each other are one plot with an interrupted axis: same width, little between, no labels
    there."""
    if len(panels) < 2:
        return False
    for upper in layouts:
        for lower in layouts:
            gap = lower.area.y0 - upper.area.y1
            same = abs(upper.area.x0 - lower.area.x0) <= 3 and abs(upper.area.x1 - lower.area.x1) <= 3
            close = 0 < gap < 0.12 * min(upper.area.height, lower.area.height)
            labelled = any(upper.area.y1 < token.y < lower.area.y0 for token in upper.bottom.tokens)
            if same and close and not labelled and not (upper.area.bottom and lower.area.top):
                return True
    return False
