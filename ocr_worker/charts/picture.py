"""The figure as the other steps see it: bounded in size, its ground, its ink, its long straight strokes.

`ground` is what everything is drawn on, one colour for the page and one for each filled plot area (ggplot's grey).
`ink` is what differs from the ground. Knows no axes and no data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from llava_graph.ocr import Line

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

MAX_PIXELS = 1_300_000
"""Larger figures are shrunk to this for reading. Time grows with pixels, and a stroke of one pixel on 1,600 × 1,200 is
still seen at 0.8 of that size; values lose less than 0.1 % of an axis."""

MIN_SIDE = 80
"""Below this many pixels a side there is no room for axes with three labels of a legible size."""

INK = 22.0
"""Distance in RGB from the ground from which a pixel is drawn. The lightest usual grid (#ededed on white) is 31 away;
JPEG
noise around letters mostly stays below 20."""

NEUTRAL = 40
"""Greatest difference of channels of a grey pixel; JPEG tints greys by up to 30."""

DASH_GAP = 9
"""Gaps in pixels of the dashes and dots that grids are drawn with are mostly narrower."""

MAX_STROKE = 7
MAX_STROKE_SHARE = 0.016
"""Greatest width of a spine in pixels, and as a share of the figure's longer side: 3 points of a figure of 200."""

TEXT_EDGE = 0.12
"""Share of a text's height that its box is padded by, in which a line along an axis may run."""

TINTED = 90
"""Difference of channels from which a line is coloured: bluish blacks and greys of axes have up to 50."""

MAX_STROKES = 300
"""Long lines that are looked at; a figure with more is a hatching or noise."""

PANEL_SHARE = 0.08
"""A filled plot area covers at least this share of the figure."""


LIGHT, DARK = 160.0, 90.0
"""Mean channels of a light page, and of what on it is filled data rather than a plot area."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A straight horizontal or vertical line. `at` is its place across, `start` and `end` (inclusive) along."""

    at: float
    start: int
    end: int
    width: int
    tinted: bool = False
    """Whether it is drawn in a strong colour, as data are and axes are not."""

    @property
    def length(self) -> int:
        return self.end - self.start + 1


@dataclass(frozen=True, slots=True)
class Picture:
    """`rgb` is [height, width, 3]; all positions of a Picture, of `lines` too, are pixels of it. `scale`: of it to
    the figure."""

    rgb: Pixels
    scale: float
    lines: tuple[Line, ...]
    page: npt.NDArray[np.float32]  # [3]
    panels: tuple[tuple[int, int, int, int], ...]
    distance: npt.NDArray[np.float32]  # [height, width], from the ground
    horizontals: tuple[Stroke, ...]
    verticals: tuple[Stroke, ...]

    @property
    def ink(self) -> Mask:
        return self.distance > INK

    @property
    def height(self) -> int:
        return int(self.rgb.shape[0])

    @property
    def width(self) -> int:
        return int(self.rgb.shape[1])


def prepare(image: Pixels, lines: Sequence[Line]) -> Picture:
    """`image`: RGB, [height, width, 3], both sides at least MIN_SIDE."""
    height, width = image.shape[:2]
    scale = min(1.0, (MAX_PIXELS / (height * width)) ** 0.5)
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    moved = tuple(Line(line.text, tuple(edge * scale for edge in line.box), line.confidence) for line in lines)
    page = page_colour(image)
    panels = filled_panels(image, page)
    distance = _distance(image, page)
    for x0, y0, x1, y1 in panels:
        part = image[y0:y1, x0:x1]
        distance[y0:y1, x0:x1] = _distance(part, page_colour(part))  # bars may cover more than the ground
    ink = (distance > INK).astype(np.uint8)
    # Bars hide the axis that they stand on; without colours it stands alone.
    neutral = ink & (np.ptp(image, axis=2) < NEUTRAL).astype(np.uint8)
    # A gap as wide as those of dashes lies between a spine and the label at its end, and between letters as well.
    unwritten = _without_texts(ink, moved)
    horizontals = merged((*strokes(ink, 1), *strokes(neutral, 1), *strokes(unwritten, DASH_GAP)))
    verticals = merged(
        (
            *strokes(np.ascontiguousarray(ink.T), 1),
            *strokes(np.ascontiguousarray(neutral.T), 1),
            *strokes(np.ascontiguousarray(unwritten.T), DASH_GAP),
        )
    )
    horizontals = tuple(replace(s, tinted=_is_tinted(image, s)) for s in horizontals)
    verticals = tuple(replace(s, tinted=_is_tinted(image.transpose(1, 0, 2), s)) for s in verticals)
    return Picture(image, scale, moved, page, panels, distance, horizontals, verticals)


def _is_tinted(image: Pixels, stroke: Stroke) -> bool:
    """`image` is turned so that the stroke is horizontal."""
    row = int(np.clip(round(stroke.at), 0, image.shape[0] - 1))
    along = image[row, stroke.start : stroke.end + 1 : max(stroke.length // 64, 1)].astype(np.int32)
    return bool(len(along) and np.median(np.ptp(along, axis=1)) > TINTED)


def _without_texts(ink: npt.NDArray[np.uint8], lines: Sequence[Line]) -> npt.NDArray[np.uint8]:
    """The ink outside of what was read as text."""
    unwritten = ink.copy()
    for line in lines:
        x0, y0, x1, y1 = line.box
        pad = TEXT_EDGE * min(x1 - x0, y1 - y0)
        unwritten[max(round(y0 + pad), 0) : round(y1 - pad), max(round(x0 + pad), 0) : round(x1 - pad)] = 0
    return unwritten


def _distance(image: Pixels, colour: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    difference = image.astype(np.float32) - colour
    return np.asarray(np.sqrt(np.einsum("...c,...c->...", difference, difference)), np.float32)


def mode_colour(pixels: Pixels) -> npt.NDArray[np.float32]:
    """The most frequent colour of [n, 3], to within noise: the median of the fullest cell of a 16³ grid."""
    cells = _cells(pixels)
    fullest = np.bincount(cells, minlength=4096).argmax()
    return np.asarray(np.median(pixels[cells == fullest], axis=0), np.float32)


def _cells(pixels: Pixels) -> npt.NDArray[np.int32]:
    parts = pixels.astype(np.int32) >> 4
    return np.asarray(parts[:, 0] * 256 + parts[:, 1] * 16 + parts[:, 2], np.int32)


def page_colour(image: Pixels) -> npt.NDArray[np.float32]:
    """The colour of the page: what is most frequent along the border, where a plot area seldom reaches."""
    margin = max(2, min(image.shape[:2]) // 60)
    border = [image[:margin], image[-margin:], image[:, :margin], image[:, -margin:]]
    return mode_colour(np.concatenate([part.reshape(-1, 3) for part in border]))


EMPTY = 0.99
"""Share of a rectangle in one colour from which nothing is drawn in it: it is a bar, not a panel."""


def filled_panels(image: Pixels, page: npt.NDArray[np.float32]) -> tuple[tuple[int, int, int, int], ...]:
    """Rectangles filled with one colour other than the page's: x0, y0, x1, y1, the ends exclusive."""
    small = image[::2, ::2]
    cells = _cells(small.reshape(-1, 3)).reshape(small.shape[:2])
    counts = np.bincount(cells.ravel(), minlength=4096)
    found = []
    for cell in np.argsort(counts)[::-1][:4]:
        if counts[cell] < PANEL_SHARE * 0.35 * cells.size:  # grids and data take up to two thirds of a panel
            break
        mask = (cells == cell).astype(np.uint8)
        colour = np.median(small[mask > 0], axis=0)
        if np.linalg.norm(colour - page) <= 8 or np.ptp(colour) > 60:  # a saturated area is data
            continue
        if page.mean() > LIGHT and colour.mean() < DARK:  # black bars on a light page
            continue
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=4)
        for x, y, w, h, size in stats[1:]:
            if w * h < PANEL_SHARE * cells.size or size < 0.3 * w * h:
                continue
            if mask[y : y + h, x : x + w].mean() >= EMPTY:
                continue
            # Letters and grids of the same colour hang on to a panel: its own rows and columns are full.
            rows = _full(mask[y : y + h, x : x + w].sum(axis=1))
            columns = _full(mask[y : y + h, x : x + w].sum(axis=0))
            x0, y0, x1, y1 = x + columns[0], y + rows[0], x + columns[1], y + rows[1]
            edges = np.concatenate([mask[y0, x0:x1], mask[y1 - 1, x0:x1], mask[y0:y1, x0], mask[y0:y1, x1 - 1]])
            # A panel's border is mostly of its colour; the border of a filled curve is not straight.
            if (x1 - x0) * (y1 - y0) >= PANEL_SHARE * cells.size and edges.mean() >= 0.4:
                found.append((int(2 * x0), int(2 * y0), int(2 * x1), int(2 * y1)))
    return tuple(found)


def _full(counts: npt.NDArray[np.int64]) -> tuple[int, int]:
    """From the first to past the last place that holds at least 0.12 of what the fullest one holds."""
    places = np.flatnonzero(counts >= 0.12 * counts.max())
    return int(places[0]), int(places[-1]) + 1


def strokes(ink: npt.NDArray[np.uint8], gap: int) -> tuple[Stroke, ...]:
    """The long straight horizontal lines of `ink`, [height, width] of 0 and 1, with gaps of less than `gap` pixels."""
    height, width = ink.shape
    least = max(30, width // 12)
    closed = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((1, gap), np.uint8)) if gap > 1 else ink
    long = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((1, least), np.uint8))
    # What is thicker than an axis is a bar or a filled area.
    widest = max(MAX_STROKE, round(MAX_STROKE_SHARE * max(height, width)))
    thick = cv2.morphologyEx(long, cv2.MORPH_OPEN, np.ones((widest + 1, 1), np.uint8))
    thin = np.asarray((long > 0) & (thick == 0), np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(thin, connectivity=4)
    found = []
    for x, y, w, h, _ in stats[1 : min(count, MAX_STROKES)]:
        if h <= widest and w >= least:
            rows = closed[y : y + h, x : x + w].sum(axis=1).astype(np.float64)
            found.append(Stroke(float((rows * (y + np.arange(h))).sum() / rows.sum()), int(x), int(x + w - 1), int(h)))
    return tuple(found)


def merged(found: Sequence[Stroke]) -> tuple[Stroke, ...]:
    """Without strokes that lie within others."""
    kept: list[Stroke] = []
    for stroke in sorted(found, key=lambda s: -s.length)[:MAX_STROKES]:
        if not any(
            abs(k.at - stroke.at) <= 1.5 and k.start - 3 <= stroke.start and stroke.end <= k.end + 3 for k in kept
        ):
            kept.append(stroke)
    return tuple(kept)
