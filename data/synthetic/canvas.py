"""A sheet to draw on: lines, areas, markers and text in pixels, on matplotlib's Agg renderer.

It uses the renderer's own primitives and not matplotlib's Figure and Axes: those spend most of their time on layout
that layout.py does itself, since it must know where each text stands to the pixel. Coordinates are pixels with y
downwards; sizes that an author would name (line width, font size) are points. It knows no figure, panel or axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg, get_hinting_flag
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Bbox
from numpy.typing import NDArray
from PIL import Image

from llava_graph.ocr import Box

Colour = tuple[float, float, float]
"""Red, green and blue in 0..1."""

Points = NDArray[np.float64]  # [N, 2], pixels, y downwards

_POINTS_PER_INCH = 72.0
_SUBPIXELS = 64.0  # FreeType counts in 1/64 pixel
_RAISED_SIZE = 0.7
_RAISED_BY = 0.42  # of the font size


@dataclass(frozen=True, slots=True)
class Font:
    """A font file with its bold sibling; `scale` evens out families that look smaller at the same size."""

    path: str
    bold_path: str
    scale: float = 1.0

    def covers(self, text: str) -> bool:
        return all(ord(char) in _characters(self.path) for char in text)


@dataclass(frozen=True, slots=True)
class Type:
    """How a text is set: font file, size in points, colour."""

    path: str
    size_pt: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class Label:
    """A text, perhaps with an exponent after it. `plain` is what an OCR model would write down for it."""

    text: str
    raised: str = ""

    @property
    def plain(self) -> str:
        return (self.text + self.raised).replace("−", "-")


@dataclass(frozen=True, slots=True)
class Extent:
    """Ink of a text whose baseline starts at (0, 0), in pixels: it reaches `ascent` up and `descent` down."""

    left: float
    width: float
    ascent: float
    descent: float

    @property
    def height(self) -> float:
        return self.ascent + self.descent


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line. `dashes` are lengths on and off, in multiples of the line width as in matplotlib's styles."""

    colour: Colour
    width_pt: float
    dashes: tuple[float, ...] = ()
    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class Fill:
    colour: Colour
    alpha: float = 1.0
    edge: Stroke | None = None
    hatch: str = ""


class Canvas:
    """An RGB sheet of `width` × `height` pixels at `dpi`, filled with `background`."""

    def __init__(self, width: int, height: int, dpi: float, background: Colour) -> None:
        self.width = width
        self.height = height
        self._px = dpi / _POINTS_PER_INCH
        self._agg = RendererAgg(width, height, dpi)  # type: ignore[no-untyped-call]
        self._renderer: RendererBase = self._agg  # the typed face of it
        self._flip = Affine2D().scale(1, -1).translate(0, height)
        self._clip: Bbox | None = None
        self.area(np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64), Fill(background))

    def clip(self, box: Box | None) -> None:
        """What is drawn from now on, text apart, stays inside `box`."""
        if box is None:
            self._clip = None
        else:
            x0, y0, x1, y1 = box
            self._clip = Bbox.from_extents(x0, self.height - y1, x1, self.height - y0)

    def line(self, points: Points, stroke: Stroke, snap: bool | None = None) -> None:
        """`snap` puts horizontal and vertical lines onto whole pixels; None lets Agg decide."""
        self._path(Path(points), stroke, snap=snap)

    def segments(self, pairs: Points, stroke: Stroke) -> None:
        """Separate straight lines in one go; `pairs` has an even number of points."""
        if len(pairs):
            codes = np.tile(np.array([Path.MOVETO, Path.LINETO], dtype=Path.code_type), len(pairs) // 2)
            self._path(Path(pairs, codes), stroke, snap=True)

    def area(self, points: Points, fill: Fill) -> None:
        self._path(Path(points, closed=False), fill.edge, fill)

    def rectangle(self, box: Box, fill: Fill) -> None:
        x0, y0, x1, y1 = box
        corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
        self._path(Path(corners, closed=True), fill.edge, fill, snap=True)

    def markers(self, points: Points, shape: str, size_pt: float, fill: Fill) -> None:
        """One marker of matplotlib's `shape` at each point; a fill alpha of 0 leaves it hollow."""
        style = MarkerStyle(shape)
        size = size_pt * self._px
        transform = style.get_transform() + Affine2D().scale(size)
        gc = self._gc(fill.edge)
        face = (*fill.colour, fill.alpha) if style.is_filled() and fill.alpha > 0 else None
        self._renderer.draw_markers(gc, style.get_path(), transform, Path(points), self._flip, face)
        gc.restore()

    def text(self, label: Label, face: Type, x: float, baseline: float, align: float = 0.0, angle: float = 0.0) -> Box:
        """Sets `label` and returns the box of its ink.

        (x, baseline) is the place on the baseline where the text starts (`align` 0), has its middle (0.5) or ends (1);
        `angle` turns it around that place, in degrees, counter-clockwise.
        """
        extent = measure(label, face, self._px * _POINTS_PER_INCH)
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        start = -(extent.left + align * extent.width)
        gc = self._renderer.new_gc()
        gc.set_foreground(face.colour)

        def place(along: float, up: float) -> tuple[float, float]:
            return x + along * cos - up * sin, baseline - along * sin - up * cos

        self._renderer.draw_text(gc, *place(start, 0.0), label.text, _properties(face.path, face.size_pt), angle)
        if label.raised:
            main = measure(Label(label.text), face, self._px * _POINTS_PER_INCH)
            along, up = start + main.left + main.width, _RAISED_BY * face.size_pt * self._px
            small = _properties(face.path, face.size_pt * _RAISED_SIZE)
            self._renderer.draw_text(gc, *place(along, up), label.raised, small, angle)
        gc.restore()
        left, right = start + extent.left, start + extent.left + extent.width
        corners = [place(along, up) for along in (left, right) for up in (-extent.descent, extent.ascent)]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def image(self) -> Image.Image:
        pixels = self._agg.buffer_rgba()  # type: ignore[no-untyped-call]
        return Image.frombuffer("RGBA", (self.width, self.height), pixels, "raw", "RGBA", 0, 1).convert("RGB")

    def _path(self, path: Path, stroke: Stroke | None, fill: Fill | None = None, snap: bool | None = None) -> None:
        gc = self._gc(stroke)
        gc.set_snap(snap)
        face = None
        if fill is not None:
            face = (*fill.colour, fill.alpha)
            if fill.hatch:
                gc.set_hatch(fill.hatch)
                gc.set_hatch_color(stroke.colour if stroke else (0.0, 0.0, 0.0))
                gc.set_hatch_linewidth(0.8 * self._px)
        self._renderer.draw_path(gc, path, self._flip, face)
        gc.restore()

    def _gc(self, stroke: Stroke | None) -> GraphicsContextBase:
        gc = self._renderer.new_gc()
        if stroke is None:
            gc.set_linewidth(0)
        else:
            gc.set_foreground((*stroke.colour, stroke.alpha), isRGBA=True)
            gc.set_linewidth(stroke.width_pt * self._px)
            gc.set_joinstyle("round")
            gc.set_capstyle("butt")
            if stroke.dashes:
                gc.set_dashes(0, [length * max(stroke.width_pt, 0.5) * self._px for length in stroke.dashes])
        if self._clip is not None:
            gc.set_clip_rectangle(self._clip)
        return gc


def measure(label: Label, face: Type, dpi: float) -> Extent:
    main = _ink(label.text, face.path, face.size_pt, dpi)
    if not label.raised:
        return main
    small = _ink(label.raised, face.path, face.size_pt * _RAISED_SIZE, dpi)
    up = _RAISED_BY * face.size_pt * dpi / _POINTS_PER_INCH
    return Extent(main.left, main.width + small.left + small.width, max(main.ascent, up + small.ascent), main.descent)


def widest(labels: Sequence[Label], face: Type, dpi: float) -> float:
    return max((measure(label, face, dpi).width for label in labels), default=0.0)


@lru_cache(maxsize=4096)
def _ink(text: str, path: str, size_pt: float, dpi: float) -> Extent:
    font = get_font(path)
    font.clear()
    font.set_size(size_pt, dpi)
    flags = get_hinting_flag()  # type: ignore[no-untyped-call]
    # FreeType's width of a line goes from its origin to the place of a next letter; ink starts later and ends before.
    first, last = (font.load_char(ord(char), flags=flags) for char in (text[:1] or " ", text[-1:] or " "))
    left = first.bbox[0]
    font.set_text(text, 0.0, flags=flags)
    advance, height = font.get_width_height()
    advance += min(font.get_bitmap_offset()[0], 0)
    right, descent = advance - (last.horiAdvance - last.bbox[2]), font.get_descent()
    return Extent(*(length / _SUBPIXELS for length in (left, right - left, height - descent, descent)))


@lru_cache(maxsize=256)
def _properties(path: str, size_pt: float) -> FontProperties:
    return FontProperties(fname=path, size=size_pt)


@lru_cache(maxsize=64)
def _characters(path: str) -> frozenset[int]:
    return frozenset(get_font(path).get_charmap())
