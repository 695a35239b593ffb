"""Samples the look of a figure at random: fonts, sizes, colours, lines, frames, grids, the place of the legend.

The mixture follows what one meets in papers (matplotlib most of all, then MATLAB, gnuplot, R, spreadsheets). It knows
how many series and bars there are, and nothing of their values or names.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import matplotlib
from matplotlib.colors import to_rgb
from matplotlib.font_manager import findfont, fontManager

from data.synthetic.canvas import Colour, Font
from data.synthetic.ticks import NumberStyle

Place = Literal["upper right", "upper left", "lower right", "lower left", "upper center", "right", "above", "below"]
Sides = Literal["box", "open", "bottom"]
TickDirection = Literal["out", "in", "inout"]
Grid = Literal["", "both", "x", "y"]

MAX_WIDTH_PX = 1400
MAX_HEIGHT_PX = 1100
MIN_FONT_PX = 11.5
"""Height of the em square in pixels below which PP-OCR starts to misread digits."""

_PALETTES: tuple[tuple[str, float], ...] = (
    ("1f77b4 ff7f0e 2ca02c d62728 9467bd 8c564b e377c2 7f7f7f bcbd22 17becf", 30),  # matplotlib
    ("000000 e69f00 56b4e9 009e73 0072b2 d55e00 cc79a7", 10),  # Okabe and Ito
    ("e41a1c 377eb8 4daf4a 984ea3 ff7f00 a65628 f781bf", 8),  # Set1
    ("66c2a5 fc8d62 8da0cb e78ac3 a6d854 ffd92f", 4),  # Set2
    ("1b9e77 d95f02 7570b3 e7298a 66a61e e6ab02 a6761d", 6),  # Dark2
    ("1f77b4 aec7e8 ff7f0e ffbb78 2ca02c 98df8a d62728 ff9896", 3),  # tab20
    ("0072bd d95319 edb120 7e2f8e 77ac30 4dbeee a2142f", 10),  # MATLAB
    ("0000ff ff0000 008000 ff00ff 000000 00bfbf", 6),  # MATLAB before 2014, and many a plot in pure colours
    ("9400d3 009e73 56b4e9 e69f00 f0e442 0072b2 e51e10", 5),  # gnuplot
    ("4472c4 ed7d31 a5a5a5 ffc000 5b9bd5 70ad47", 6),  # spreadsheets
    ("f8766d 00ba38 619cff c77cff 00bfc4 b79f00", 6),  # ggplot2
    ("4c72b0 dd8452 55a868 c44e52 8172b3 937860", 6),  # seaborn
    ("440154 3b528b 21918c 5ec962 fde725", 4),  # viridis
    ("003f5c 7a5195 ef5675 ffa600", 3),
    ("264653 2a9d8f e9c46a f4a261 e76f51", 3),
)
_GREYS = ("000000", "555555", "909090", "c0c0c0")
_MARKERS = ("o", "s", "^", "D", "v", "x", "*", "+", "p", "<", ">", "h")
_DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (3.7, 1.6),
    (1.2, 1.6),
    (6.4, 1.6, 1.2, 1.6),
    (8.0, 3.0),
    (3.0, 1.2, 1.0, 1.2, 1.0, 1.2),
)
_HATCHES = ("", "///", "\\\\\\", "xxx", "...", "---", "+++", "ooo")
_BUNDLED_FONTS = (
    ("DejaVuSans", "DejaVuSans-Bold", 1.0, 46),
    ("DejaVuSerif", "DejaVuSerif-Bold", 1.0, 10),
    ("DejaVuSansMono", "DejaVuSansMono-Bold", 1.0, 4),
    ("STIXGeneral", "STIXGeneralBol", 1.12, 18),
    ("cmss10", "cmss10", 1.12, 14),
    ("cmr10", "cmb10", 1.12, 8),
)
_SYSTEM_FAMILIES = (
    *(
        "Arial",
        "Helvetica",
        "Liberation Sans",
        "Nimbus Sans",
        "FreeSans",
        "Calibri",
        "Carlito",
        "Noto Sans",
        "Open Sans",
    ),
    *("Roboto", "Lato", "Ubuntu", "Cantarell", "Times New Roman", "Liberation Serif", "Nimbus Roman", "Noto Serif"),
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lettering:
    """How texts are set; sizes in points."""

    font: Font
    colour: Colour
    tick_pt: float
    label_pt: float
    legend_pt: float
    title_pt: float
    bold_labels: bool
    bold_titles: bool
    numbers: NumberStyle
    panel_letter: str
    """The first panel's letter with whatever stands around it: `(a)`, `A`."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where things go. The data area grows where its labels need more than its size in points."""

    area_width_pt: float
    area_height_pt: float
    stacked: bool
    letter_below: bool
    title_at_left: bool
    flat_y_label: bool
    widened: bool
    """Whether a data area is widened (within reason) rather than its long category names turned."""
    category_angle: float
    limits_at_ticks: bool
    margin: float
    """Empty share of the x axis at either end of a line."""
    x_tick_count: int
    y_tick_count: int


@dataclass(frozen=True, slots=True)
class Marks:
    """How data are drawn. The tuples have one entry a series; no marker is an empty string, no hatch as well."""

    grey: bool
    colours: tuple[Colour, ...]
    markers: tuple[str, ...]
    dashes: tuple[tuple[float, ...], ...]
    hatches: tuple[str, ...]
    line_pt: float
    marker_pt: float
    hollow: bool
    alpha: float
    error_band: bool
    cap_pt: float
    bar_share: float
    """Share of a category's slot that its bars fill."""
    bar_edge: bool
    bar_values: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """The data area's background, outline, ticks and grid."""

    background: Colour
    sides: Sides
    width_pt: float
    colour: Colour
    tick_pt: float
    tick_direction: TickDirection
    mirrored_ticks: bool
    minor_ticks: bool
    grid: Grid
    grid_colour: Colour
    grid_dashes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LegendLook:
    """`places` in order of preference; those outside the data area always have room."""

    places: tuple[Place, ...]
    framed: bool
    columns: int
    alpha: float


@dataclass(frozen=True, slots=True)
class Look:
    """Everything about a figure that its spec leaves open."""

    dpi: float
    background: Colour
    text: Lettering
    arrangement: Arrangement
    marks: Marks
    frame: Frame
    legend: LegendLook


def bundled_fonts() -> tuple[tuple[Font, float], ...]:
    """Fonts that come with matplotlib, each with its weight in the draw: the same figures on every machine."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return tuple(
        (Font(str(folder / f"{regular}.ttf"), str(folder / f"{bold}.ttf"), scale), float(weight))
        for regular, bold, scale, weight in _BUNDLED_FONTS
    )


def system_fonts(weight: float = 12.0) -> tuple[tuple[Font, float], ...]:
    """Text fonts that this machine happens to have: more variety, but other figures than on other machines."""
    known = {entry.name for entry in fontManager.ttflist}
    return tuple(
        (Font(findfont(family), findfont(f"{family}:bold")), weight) for family in _SYSTEM_FAMILIES if family in known
    )


def choose(
    rng: random.Random,
    *,
    series_count: int,
    category_count: int,
    panel_count: int,
    characters: str,
    fonts: Sequence[tuple[Font, float]],
) -> Look:
    """A look for a figure of `panel_count` panels with at most so many series and categories in one.

    `characters` are all that occur in its texts: a font that lacks one is not chosen, unless all do; then it is the
    first of `fonts`. Raises ValueError when there are more series than any palette has distinct colours.
    """
    able = [(font, weight) for font, weight in fonts if font.covers(characters)] or [fonts[0]]
    grey = rng.random() < 0.07 and series_count <= len(_GREYS)
    background, area_background = _backgrounds(rng, grey)
    text = _lettering(rng, _pick(rng, able))
    return Look(
        dpi=max(rng.uniform(80, 200), 72 * MIN_FONT_PX / min(text.tick_pt, text.legend_pt)),
        background=background,
        text=text,
        arrangement=_arrangement(rng, panel_count, category_count),
        marks=_marks(rng, series_count, grey, area_background),
        frame=_frame(rng, area_background),
        legend=_legend(rng),
    )


def distance(a: Colour, b: Colour) -> float:
    """How different two colours look: Euclidean in CIE Lab (CIE 1976), where about 2 is just noticeable."""
    return math.dist(_lab(a), _lab(b))


def _rgb(code: str) -> Colour:
    return to_rgb(f"#{code}")


def _pick(rng: random.Random, weighted: Sequence[tuple[T, float]]) -> T:
    return rng.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


def _lettering(rng: random.Random, font: Font) -> Lettering:
    label_pt = rng.uniform(8.0, 13.0) * font.scale
    return Lettering(
        font=font,
        colour=_rgb(_pick(rng, (("000000", 75), ("222222", 10), ("404040", 10), ("1a1a40", 5)))),
        tick_pt=max(7.0, label_pt * rng.uniform(0.8, 1.0)),
        label_pt=label_pt,
        legend_pt=max(7.0, label_pt * rng.uniform(0.78, 1.0)),
        title_pt=label_pt * rng.uniform(1.0, 1.25),
        bold_labels=rng.random() < 0.12,
        bold_titles=rng.random() < 0.3,
        numbers=NumberStyle(
            minus="−" if font.covers("−") and rng.random() < 0.7 else "-",
            thousands=rng.random() < 0.2,
            trim_zeros=rng.random() < 0.3,
            log="power" if rng.random() < 0.65 else "plain",
        ),
        panel_letter=_pick(rng, (("(a)", 74), ("a)", 8), ("a", 6), ("A", 8), ("(A)", 4))),
    )


def _arrangement(rng: random.Random, panel_count: int, category_count: int) -> Arrangement:
    narrowest, widest = {1: (170, 400), 2: (150, 250)}.get(panel_count, (120, 170))
    width = max(rng.uniform(narrowest, widest), 28.0 * category_count)
    return Arrangement(
        area_width_pt=width,
        area_height_pt=min(max(width * rng.triangular(0.5, 1.05, 0.72), 110.0), 300.0),
        stacked=panel_count > 1 and rng.random() < 0.25,
        letter_below=rng.random() < 0.3,
        title_at_left=rng.random() < 0.12,
        flat_y_label=rng.random() < 0.03,
        widened=rng.random() < 0.7,
        category_angle=rng.choice((30.0, 35.0, 40.0, 45.0, 45.0)),
        limits_at_ticks=rng.random() < 0.3,
        margin=rng.choice((0.0, 0.03, 0.05, 0.05)),
        x_tick_count=rng.randint(5, 8),
        y_tick_count=rng.randint(5, 9),
    )


def _marks(rng: random.Random, count: int, grey: bool, background: Colour) -> Marks:
    """Grey series differ by marker, dash and hatch, coloured ones at least by colour."""
    shapes = list(_MARKERS)
    if rng.random() < 0.5:
        rng.shuffle(shapes)
    style = "varied" if grey else _pick(rng, (("none", 45), ("same", 20), ("varied", 35)))
    dashed = grey or rng.random() < 0.25
    hatched = grey or rng.random() < 0.15
    first_hatch = rng.randint(0, 1)
    return Marks(
        grey=grey,
        colours=tuple(map(_rgb, _GREYS[:count])) if grey else _colours(rng, count, background),
        markers={"none": ("",) * count, "same": (shapes[0],) * count, "varied": tuple((shapes * 2)[:count])}[style],
        dashes=tuple(_DASHES[i % len(_DASHES)] if dashed else () for i in range(count)),
        hatches=tuple(_HATCHES[(i + first_hatch) % len(_HATCHES)] if hatched else "" for i in range(count)),
        line_pt=rng.uniform(*_pick(rng, (((0.8, 1.4), 30), ((1.4, 2.0), 50), ((2.0, 3.0), 20)))),
        marker_pt=rng.uniform(3.5, 7.5),
        hollow=rng.random() < 0.2,
        alpha=rng.choice((1.0, 1.0, 0.85, 0.7)),
        error_band=rng.random() < 0.5,
        cap_pt=rng.choice((0.0, 2.0, 3.0, 4.0)),
        bar_share=rng.uniform(0.5, 0.88),
        bar_edge=grey or rng.random() < 0.35,
        bar_values=rng.random() < 0.22,
    )


def _frame(rng: random.Random, background: Colour) -> Frame:
    sides: Sides = _pick(rng, (("box", 66), ("open", 28), ("bottom", 6)))
    direction: TickDirection = _pick(rng, (("out", 66), ("in", 29), ("inout", 5)))
    grid: Grid = _pick(rng, (("", 55), ("both", 28), ("y", 15), ("x", 2)))
    return Frame(
        background=background,
        sides=sides,
        width_pt=rng.uniform(0.6, 1.4),
        colour=_rgb(_pick(rng, (("000000", 75), ("444444", 17), ("808080", 8)))),
        tick_pt=rng.uniform(2.5, 5.0) if rng.random() < 0.93 else 0.0,
        tick_direction=direction,
        mirrored_ticks=sides == "box" and direction == "in" and rng.random() < 0.6,
        minor_ticks=rng.random() < 0.15,
        grid=grid,
        grid_colour=_rgb(rng.choice(("b0b0b0", "cccccc", "d9d9d9", "e2e2e2"))),
        grid_dashes=rng.choice(((), (), (3.7, 1.6), (1.0, 1.65))),
    )


def _legend(rng: random.Random) -> LegendLook:
    corners: list[Place] = ["upper right", "upper left", "lower right", "lower left"]
    rng.shuffle(corners)
    first: Place = _pick(rng, ((corners[0], 72), ("right", 11), ("above", 10), ("below", 7)))
    return LegendLook(
        places=(first, *(corner for corner in corners if corner != first), "upper center"),
        framed=rng.random() < 0.6,
        columns=_pick(rng, ((1, 80), (2, 15), (3, 5))),
        alpha=rng.choice((1.0, 0.8)),
    )


def _colours(rng: random.Random, count: int, background: Colour) -> tuple[Colour, ...]:
    palettes, weights = zip(*_PALETTES, strict=True)
    for _ in range(40):
        codes = rng.choices(palettes, weights)[0].split()
        if rng.random() < 0.5:
            rng.shuffle(codes)
        chosen: list[Colour] = []
        for colour in map(_rgb, codes):
            if distance(colour, background) > 28 and all(distance(colour, other) > 26 for other in chosen):
                chosen.append(colour)
        if len(chosen) >= count:
            return tuple(chosen[:count])
    raise ValueError(f"no palette has {count} distinct colours")


def _backgrounds(rng: random.Random, grey: bool) -> tuple[Colour, Colour]:
    """The colours of the sheet and of the data area: white most of the time."""
    white = _rgb("ffffff")
    tint = _rgb(rng.choice(("eaeaf2", "ebebeb", "f5f5f5", "fdf6e3", "f7f3e8", "eef3f8")))
    choices = (((white, white), 84), ((white, tint), 8), ((tint, white), 4), ((tint, tint), 4))
    return (white, white) if grey else _pick(rng, choices)


def _lab(colour: Colour) -> tuple[float, float, float]:
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (c ** (1 / 3) if c > 216 / 24389 else (24389 / 27 * c + 16) / 116 for c in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
