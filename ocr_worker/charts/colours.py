"""Which pixel belongs to which series: each lies on the ray from the ground to the colour of its series.

That holds for anti-aliased edges and for half-transparent strokes alike, which a distance to the colour does not. Knows
colours only, no shapes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ocr_worker.charts.areas import Area
from ocr_worker.charts.picture import DASH_GAP, INK, Mask, Picture, Stroke, mode_colour, page_colour

Colour = npt.NDArray[np.float32]

MAX_SERIES = 10
"""More curves than this cannot be told apart by colour, and each takes time."""

CORE = 0.42
"""Share of its full strength from which a pixel is the stroke itself. Error bands are drawn with an alpha of 0.1 to
0.35,
and a line of one pixel that falls between two rows gives each a half."""

OFF_RAY = 0.3
"""Greatest distance from the ray as a share of the distance from the ground, and at least OFF_RAY_LEAST: JPEG moves
hues."""

OFF_RAY_LEAST = 16.0
OFF_RAY_MOST = 48.0

SAME_HUE = 0.99
"""Cosine between two rays from which pixels at the edges of one series pass for pixels of the other."""

SAME_COLOUR = 30.0
"""Distance in RGB between two strokes below which noise and edges mix them: pastels of neighbouring hues are 33
apart."""

SHADES_APART = 0.14
"""Difference in strength, as a share of the strongest, from which strokes of one hue are told apart by their middles:
black and three even greys on white are 0.18 to 0.3 apart."""

FLAT_SHARE = 0.6
"""Share of a shade's pixels in strokes of just that strength, below which the shades are not told apart: thin lines
have no middle of their full strength."""

SHADE_HUE = 0.985
SHADE = 45.0
"""The same for a colour that no legend names: JPEG moves the edges of a stroke further than its middle."""

MADE_HUE = 0.97
LEAST_HUE = 16.0
BLEND = 24.0
"""Cosine between two hues from which one colour is made of the other by edges and compression, how far from grey in RGB
both must be to have one, and how far a colour may lie from the blends of two others with the ground. Of 103 colours
that no legend named and that were no series 102 are found by one of both; of 20 that were one, none: their hues are
below 0.93 and they lie farther than 45."""

BLENDS = 21
"""Blends of two colours that are tried: steps of colours 400 apart are 20."""

GRID = 150.0
"""Distance in RGB from the ground below which a grey that no legend names is a grid: #aaaaaa on white is 147 away."""

GRID_SHARE = 0.6
"""Share of a row, where nothing else covers it, that a grid line fills: markers and curves cross it in few places."""

GRID_WIDTH = 4
GRID_WIDTH_SHARE = 0.014
"""Pixels, or share of the longer side of its area, whichever is more, that no grid line is wider than."""

DASHED_SHARE = 0.3
GRID_GAP = 0.04
"""Share of a row that the dashes or dots of a grid line fill, and the widest gap between two as a share of the row."""

TICK_SHARE = 0.03
TICK_LEAST = 8
"""Share of the longer side of an area, and pixels at least, that ticks pointing inwards are shorter than."""

BLENDED = 1.25
"""How much stronger than the colour that a legend or a band gave a series is drawn, from which that one was blended."""

LINE_SHARE = 0.6
"""Share of an area's width that a curve is taken to span when its strongest pixels are counted."""

MAX_COLOURS = 12
LEAST_SHARE = 0.0006
"""Share of the plot area that a colour must cover to be drawn data: one line of a pixel across covers 0.002 of it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The pixels of one colour within an area. `mask` and `strength` (1 is the full colour) are [height, width].

    `is_shade` is whether its pixels were told from those of other strengths of its hue.
    """

    colour: Colour
    mask: Mask
    strength: npt.NDArray[np.float32]
    is_shade: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """A plot area cut out: [height, width] arrays whose origin is at (x, y) of the picture."""

    x: int
    y: int
    rgb: npt.NDArray[np.float32]
    ground: Colour
    distance: npt.NDArray[np.float32]
    free: Mask
    """False where legend, texts, spines and full-length grid lines are: nothing there is data."""
    grid: Mask

    @property
    def height(self) -> int:
        return int(self.free.shape[0])

    @property
    def width(self) -> int:
        return int(self.free.shape[1])


INSET = 2
"""Pixels along the border of an area that belong to its spines."""


def view(picture: Picture, area: Area, blocked: Sequence[tuple[float, float, float, float]]) -> View:
    """The inside of an area; `blocked` are boxes of the picture in which nothing is data."""
    insets = _insets(picture, area)
    x0, y0 = max(round(area.x0) + insets[0], 0), max(round(area.y0) + insets[1], 0)
    x1, y1 = min(round(area.x1) - insets[2] + 1, picture.width), min(round(area.y1) - insets[3] + 1, picture.height)
    rgb = picture.rgb[y0:y1, x0:x1]
    ground = picture.page
    for a, b, c, d in picture.panels:
        if a - 4 <= area.x0 and b - 4 <= area.y0 and c + 4 >= area.x1 and d + 4 >= area.y1:
            ground = page_colour(picture.rgb[b:d, a:c])
    free = np.ones(rgb.shape[:2], np.bool_)
    for left, top, right, bottom in blocked:
        rows = slice(max(round(top) - y0, 0), max(round(bottom) - y0, 0))
        free[rows, max(round(left) - x0, 0) : max(round(right) - x0, 0)] = False
    grid = np.zeros_like(free)
    for stroke in picture.horizontals:
        if min(stroke.end, x1) - max(stroke.start, x0) >= 0.9 * (x1 - x0):
            _paint(grid, stroke.at - y0, stroke.width)
    for stroke in picture.verticals:
        if min(stroke.end, y1) - max(stroke.start, y0) >= 0.9 * (y1 - y0):
            _paint(grid.T, stroke.at - x0, stroke.width)
    pixels, distance = rgb.astype(np.float32), picture.distance[y0:y1, x0:x1]
    pale = free & (distance > INK) & (distance < GRID) & _greyish(pixels, ground)
    grid = grid | _grid_rows(pale, free) | _grid_rows(pale.T, free.T).T
    return View(x0, y0, pixels, ground, distance, free, grid)


def _greyish(pixels: npt.NDArray[np.float32], ground: Colour) -> Mask:
    """Pixels [h, w, 3] that are greys on a ground, as `is_neutral` has it."""
    off = pixels - ground
    return np.asarray((np.ptp(pixels, axis=2) < 24) & (np.ptp(off, axis=2) < 24 + 0.25 * np.abs(off).max(axis=2)))


def _grid_rows(pale: Mask, free: Mask) -> Mask:
    """The rows that light greys fill as far as legends and curves do not hide them: grid lines that are interrupted."""
    seen = free.sum(axis=1)
    gap = max(DASH_GAP, round(GRID_GAP * pale.shape[1]))
    joined = cv2.morphologyEx(pale.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((1, gap), np.uint8)) > 0
    is_line = (joined & free).sum(axis=1) >= GRID_SHARE * seen
    full = is_line & (pale.sum(axis=1) >= DASHED_SHARE * seen) & (seen > 0.3 * free.shape[1])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], full, [False]]).astype(np.int8)))
    rows = np.zeros(pale.shape, np.bool_)
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        if b - a <= max(GRID_WIDTH, round(GRID_WIDTH_SHARE * max(pale.shape))):  # wider ones are filled areas
            rows[a:b] = True
    return rows


def _insets(picture: Picture, area: Area) -> tuple[int, int, int, int]:
    """Pixels of the left, top, right and bottom border that belong to spines: half of each one's width and its edge."""

    def of(strokes: Sequence[Stroke], at: float, start: float, end: float) -> int:
        spines = [
            s.width
            for s in strokes
            if abs(s.at - at) <= 3 and min(s.end, end) - max(s.start, start) >= 0.7 * (end - start)
        ]
        return max([INSET, *(math.ceil(width / 2) + 1 for width in spines if width > 2)])

    x0, y0, x1, y1 = area.box
    return (
        of(picture.verticals, x0, y0, y1),
        of(picture.horizontals, y0, x0, x1),
        of(picture.verticals, x1, y0, y1),
        of(picture.horizontals, y1, x0, x1),
    )


def _paint(mask: Mask, at: float, width: int) -> None:
    first = max(round(at - width / 2 - 0.5), 0)
    mask[first : max(round(at + width / 2 + 0.5), 0) + 1] = True


def discover(area: View, known: Sequence[Colour] = ()) -> list[Colour]:
    """The colours that data are drawn in beside the `known` ones, most frequent first.

    Peels off one colour after the other with everything on its ray.
    """
    usable = area.free & ~area.grid & (area.distance > 55)
    pixels = area.rgb[usable]
    least = max(LEAST_SHARE * area.free.size, 30)
    found: list[Colour] = []
    for colour in known:
        pixels = pixels[~_on_ray(pixels - area.ground, colour - area.ground)]
    while len(pixels) >= least and len(found) < MAX_COLOURS:
        colour = mode_colour(pixels.astype(np.uint8))
        on = _on_ray(pixels - area.ground, colour - area.ground)
        if not on.any():
            break
        if on.sum() >= least:
            found.append(colour)
        pixels = pixels[~on]
    # A light grey is a grid where anything else is drawn.
    strong = [c for c in found if not (is_neutral(c, area.ground) and float(np.linalg.norm(c - area.ground)) < GRID)]
    return strong if strong or known else found


def _on_ray(off: npt.NDArray[np.float32], ray: Colour) -> npt.NDArray[np.bool_]:
    share, rest = _project(off, ray)
    size = np.linalg.norm(off, axis=1)
    return np.asarray((rest <= np.clip(OFF_RAY * size, OFF_RAY_LEAST, OFF_RAY_MOST)) & (share > 0))


def _project(off: npt.NDArray[np.float32], ray: Colour) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Place along the ray (1 at its colour) and distance from it, for offsets [n, 3] from the ground."""
    length = max(float(ray @ ray), 1.0)
    share = off @ ray / length
    near = np.clip(share, 0.0, None)
    rest = np.linalg.norm(off - near[:, None] * ray, axis=1)
    return share.astype(np.float32), rest.astype(np.float32)


def separate(area: View, colours: Sequence[Colour]) -> list[Layer]:
    """One layer for each colour: every pixel of ink goes to the nearest ray, or to none."""
    neutral = _neutral(area.ground)
    ink = (area.distance > INK) & area.free
    off = (area.rgb - area.ground)[ink]
    size = area.distance[ink]
    rays = [colour - area.ground for colour in colours]
    # Grids and frames: nearer to grey than to any series that is not grey itself.
    extra = [] if any(is_neutral(colour, area.ground) for colour in colours) else [neutral]
    projected = [_project(off, ray) for ray in (*rays, *extra)]
    if not projected:
        return []
    rests = np.stack([rest for _, rest in projected])
    owner = rests.argmin(axis=0)
    valid = rests.min(axis=0) <= np.clip(OFF_RAY * size, OFF_RAY_LEAST, OFF_RAY_MOST)
    shades: set[int] = set()
    for family in _families(rays):
        of_family = valid & np.isin(owner, family)
        found = _by_shade(ink, of_family, projected[family[0]][0], [_strength(rays, i, family[0]) for i in family])
        if found is not None:
            owner[of_family] = np.asarray(family)[found]
            shades.update(family)
    layers = []
    for index, colour in enumerate(colours):
        share = projected[index][0]
        mine = valid & (owner == index)
        full = _full_strength(share[mine], area.width)
        strength = np.zeros(area.free.shape, np.float32)
        strength[ink] = np.where(mine, share / full, 0)
        mask = strength >= CORE
        if is_neutral(colour, area.ground):
            mask = _without_ticks(mask & ~area.grid)
        if full > BLENDED:
            colour = np.clip(area.ground + full * (colour - area.ground), 0, 255)
        layers.append(Layer(colour, mask, strength, index in shades))
    return layers


def _families(rays: Sequence[Colour]) -> list[list[int]]:
    """Colours of one hue whose strengths are all apart, the strongest first."""
    left = sorted(range(len(rays)), key=lambda i: -float(np.linalg.norm(rays[i])))
    families = []
    while left:
        # A colour like the ground has no hue, not even that of itself.
        family = [left[0], *(i for i in left[1:] if _cosine(rays[i], rays[left[0]]) > SAME_HUE)]
        left = [i for i in left if i not in family]
        strengths = [_strength(rays, i, family[0]) for i in family]
        if len(family) > 1 and all(a - b >= SHADES_APART for a, b in itertools.pairwise(strengths)):
            families.append(family)
    return families


def _strength(rays: Sequence[Colour], index: int, strongest: int) -> float:
    return float(np.linalg.norm(rays[index]) / max(float(np.linalg.norm(rays[strongest])), 1.0))


def _by_shade(
    ink: Mask, of_family: npt.NDArray[np.bool_], shares: npt.NDArray[np.float32], strengths: Sequence[float]
) -> npt.NDArray[np.int64] | None:
    """The index of the strength for each pixel of a family, or None where the strokes have no even middles.

    A stroke is its own strength in its middle and paler at its edges, so each pixel goes by the strongest near it.
    `ink` is [height, width]; the others are of its pixels, `shares` on the ray of the strongest.
    """
    placed = np.zeros(ink.shape, np.float32)
    placed[ink] = np.where(of_family, shares, 0)
    peaks = cv2.dilate(placed, np.ones((5, 5), np.uint8))[ink][of_family]
    levels = np.asarray(strengths, np.float32)
    off = np.abs(peaks[:, None] - levels)
    owner = off.argmin(axis=1)
    gaps = [min(abs(a - b) for j, b in enumerate(strengths) if j != i) for i, a in enumerate(strengths)]
    for index, gap in enumerate(gaps):
        own = off[owner == index, index]
        if len(own) == 0 or float((own <= 0.3 * gap).mean()) < FLAT_SHARE:
            return None
    return np.asarray(owner, np.int64)


def _without_ticks(mask: Mask) -> Mask:
    """A mask of greys without the short thin strokes that stand on its borders: ticks that point inwards."""
    mask = mask.copy()
    depth = max(TICK_LEAST, round(TICK_SHARE * max(mask.shape)))
    for turned in (mask, mask[::-1], mask.T, mask.T[::-1]):  # views: what is cleared in them is cleared in the mask
        band = turned[:depth]
        if not band.size:
            continue
        count, labels, stats, _ = cv2.connectedComponentsWithStats(band.astype(np.uint8), connectivity=8)
        thin = (stats[:, 2] <= GRID_WIDTH) & (stats[:, 1] <= 1) & (stats[:, 1] + stats[:, 3] < depth)
        thin[0] = False
        if count > 1 and thin.any():
            band[thin[labels]] = False
    return mask


def nearest(area: View, colours: Sequence[Colour], tolerance: float = 42.0) -> list[Layer]:
    """One layer for each colour by distance to the colour itself: for filled shapes, whose shades may share a hue."""
    if not colours:
        return []
    ink = area.distance > INK
    pixels = area.rgb[ink]
    distances = np.stack([_squared(pixels, colour) for colour in colours])
    owner = distances.argmin(axis=0)
    near = distances.min(axis=0) <= tolerance * tolerance
    layers = []
    for index, colour in enumerate(colours):
        mask = np.zeros(ink.shape, np.bool_)
        mask[ink] = near & (owner == index)
        mask = _bridged(mask, area.grid)
        layers.append(Layer(colour, mask, mask.astype(np.float32)))
    return layers


def _bridged(mask: Mask, grid: Mask) -> Mask:
    """The mask without the cuts that grid lines drawn over filled shapes leave."""
    if not mask.any() or not grid.any():
        return mask
    size = GRID_WIDTH + 3
    solid = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
    down = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((size, 1), np.uint8))
    across = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((1, size), np.uint8))
    return np.asarray(mask | (grid & ((down > 0) | (across > 0))))


def refined(area: View, found: Sequence[Colour]) -> list[Colour]:
    """Each colour as the area's pixels near it have it: a small handle is blended with its outline."""
    if not found:
        return []
    pixels = area.rgb[area.distance > INK]
    distances = np.stack([_squared(pixels, colour) for colour in found])
    owner = distances.argmin(axis=0)  # a shade of another handle's colour is that one's
    blended = []
    for index, colour in enumerate(found):
        near = pixels[(owner == index) & (distances[index] <= 60 * 60)]
        blended.append(mode_colour(near.astype(np.uint8)) if len(near) >= 60 else colour)
    return blended


def _squared(pixels: npt.NDArray[np.float32], colour: Colour) -> npt.NDArray[np.float32]:
    """Squared distances of [n, 3] from a colour."""
    off = pixels - colour
    return np.asarray(np.einsum("nc,nc->n", off, off), np.float32)


def _full_strength(shares: npt.NDArray[np.float32], width: int) -> float:
    """Where along its ray a series is fully itself: the colour of a handle may be blended, or half-transparent.

    The strongest twentieth of its pixels is; of a curve within a band of its own hue, those that make up a line, at
    least one pixel thick over most of the `width` of the area.
    """
    if len(shares) < 20:
        return 1.0
    strongest = min(len(shares) // 20, round(LINE_SHARE * width))
    return float(np.clip(np.partition(shares, -strongest - 1)[-strongest - 1], 0.3, 6.0))


def _neutral(ground: Colour) -> Colour:
    """From the ground to black, on dark grounds to white."""
    return np.asarray((0.0 if ground.mean() > 110 else 255.0) - ground, np.float32)


def _cosine(a: Colour, b: Colour) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6))


def is_neutral(colour: Colour, ground: Colour) -> bool:
    """Whether a colour is a grey that grids, frames and texts may have as well: a pale colour is none."""
    return bool(np.ptp(colour) < 24 and np.ptp(colour - ground) < 0.25 * float(np.linalg.norm(colour - ground)) + 24)


def alike(a: Colour, b: Colour, ground: Colour) -> bool:
    """Whether two strokes cannot be told apart: one hue, or nearly one colour."""
    return _cosine(a - ground, b - ground) > SAME_HUE or float(np.linalg.norm(a - b)) < SAME_COLOUR


def are_alike(a: Layer, b: Layer, ground: Colour) -> bool:
    """Whether two layers hold strokes that cannot be told apart, by colour or by shade."""
    by_shade = a.is_shade and b.is_shade and _cosine(a.colour - ground, b.colour - ground) > SAME_HUE
    return not by_shade and alike(a.colour, b.colour, ground)


def is_shade(a: Colour, b: Colour, ground: Colour) -> bool:
    """Whether a colour that was found may be an edge of another one, or the two blended by compression."""
    return _cosine(a - ground, b - ground) > SHADE_HUE or float(np.linalg.norm(a - b)) < SHADE


def is_made_of(colour: Colour, others: Sequence[Colour], ground: Colour) -> bool:
    """Whether a colour is what edges, crossings and compression make of others: the hue of one, or a blend of two."""
    if any(_same_hue(colour, other) for other in others):
        return True
    off = colour - ground
    shares = np.linspace(0, 1, BLENDS, dtype=np.float32)[:, None]
    for a, b in itertools.combinations(others, 2):
        rays = a - ground + shares * (b - a)
        # Half-transparent, a blend lies between the ground and its full strength.
        along = np.clip(rays @ off / np.maximum((rays * rays).sum(axis=1), 1.0), 0, 1)
        if float(np.linalg.norm(off - along[:, None] * rays, axis=1).min()) <= BLEND:
            return True
    return False


def _same_hue(a: Colour, b: Colour) -> bool:
    """Whether two colours have one hue, however pale or dark they are; greys have none."""
    hues = a - a.mean(), b - b.mean()
    return min(float(np.linalg.norm(hue)) for hue in hues) >= LEAST_HUE and _cosine(*hues) >= MADE_HUE


def code(colour: Colour) -> str:
    """As `#rrggbb`."""
    r, g, b = (int(np.clip(round(float(c)), 0, 255)) for c in colour)
    return f"#{r:02x}{g:02x}{b:02x}"
