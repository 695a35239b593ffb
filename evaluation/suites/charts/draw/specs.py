"""What the figures of other tools show and how they look, from a seed.

The data are of many shapes (growth, decay, peaks, seasons, random walks, steps, noise, few and many points), since a
reader that is only shown smooth monotone curves looks better than it is. Names are both invented and of the field.
Nothing here knows how a tool is told to draw.
"""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evaluation.suites.charts.truth import Place, Split, TruthAxis, TruthFigure, TruthPanel, TruthSeries

LINES = (
    "line_single",
    "line_few",
    "line_markers",
    "line_log_y",
    "line_many",
    "line_dashes",
    "line_errorbars",
    "line_dates",
    "line_band",
    "line_panels",
    "line_grey_dashes",
    "line_log_log",
    "line_noisy",
    "line_sparse",
)
BARS = (
    "bar",
    "bar_grouped",
    "bar_values",
    "bar_horizontal",
    "bar_stacked",
    "bar_horizontal_values",
    "bar_negative",
    "bar_grouped_values",
    "bar_errorbars",
    "bar_grouped_horizontal",
)
SCATTERS = ("scatter", "scatter_groups")

NOT_READ: Mapping[str, tuple[str, ...]] = {
    "gnuplot": ("heat_map", "surface", "histogram", "box_plot", "twin_axes", "area", "polar", "candlesticks"),
    "ggplot": ("heat_map", "box_plot", "histogram", "pie", "area", "violin", "density_2d"),
    "r": ("pie", "histogram", "box_plot", "surface", "heat_map", "twin_axes", "broken_axis", "mosaic"),
    "pgfplots": ("surface", "broken_axis", "twin_axes", "diagram", "pie", "polar"),
    "vega": ("pie", "heat_map", "box_plot", "histogram", "twin_axes", "area", "streamgraph"),
    "plotly": ("pie", "heat_map", "box_plot", "violin", "surface", "radar", "twin_axes", "sunburst", "sankey"),
}
"""The forms that each tool draws and that must be abstained from."""

COUNTS: Mapping[str, int] = {"gnuplot": 44, "ggplot": 36, "r": 34, "pgfplots": 40, "vega": 44, "plotly": 42}

_PALETTES: Mapping[str, tuple[str, ...]] = {
    "tableau": ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf"),
    "okabe": ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000", "#f0e442"),
    "set1": ("#e41a1c", "#377eb8", "#4daf4a", "#984ea3", "#ff7f00", "#a65628", "#f781bf", "#666666"),
    "dark2": ("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d", "#555555"),
    "gnuplot": ("#9400d3", "#009e73", "#56b4e9", "#e69f00", "#f0e442", "#0072b2", "#e51e10", "#000000"),
    "hue": ("#f8766d", "#00ba38", "#619cff", "#c49a00", "#00c0af", "#f564e3", "#7cae00", "#c77cff"),
    "plotly": ("#636efa", "#ef553b", "#00cc96", "#ab63fa", "#ffa15a", "#19d3f3", "#ff6692", "#b6e880"),
    "primary": ("#0000ff", "#ff0000", "#008000", "#000000", "#ff00ff", "#00a0a0", "#b8860b", "#808080"),
    "muted": ("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#b07aa1", "#9c755f", "#edc948"),
    "navy": ("#1d3557", "#e63946", "#2a9d8f", "#e9c46a", "#6d597a", "#f4a261", "#8ab17d", "#457b9d"),
}

# label, unit, low, high: plausible ranges of quantities
_QUANTITIES: tuple[tuple[str, str | None, float, float], ...] = (
    ("Temperature", "°C", -10, 35),
    ("Accuracy", "%", 40, 98),
    ("Yield", "t/ha", 0.5, 9),
    ("Loss", None, 0.1, 3.2),
    ("Throughput", "req/s", 100, 5200),
    ("Concentration", "mg/L", 0, 12),
    ("Latency", "ms", 2, 180),
    ("Rainfall", "mm", 0, 240),
    ("Population", None, 12_000, 98_000),
    ("Unemployment rate", "%", 2, 14),
    ("Absorbance", "a.u.", 0, 1.4),
    ("Force", "N", -40, 60),
    ("Revenue", None, 1.2, 48),
    ("F1 score", None, 0.2, 0.95),
    ("Net change", None, -6, 6),
    ("Pressure", "kPa", 80, 420),
    ("Voltage", "V", -1.2, 1.2),
    ("Memory use", "GB", 0.5, 30),
    ("Relative abundance", None, 0, 0.6),
    ("Emissions", "kt", 150, 2400),
    ("Heart rate", "bpm", 55, 175),
    ("Elevation", "m", 0, 2600),
    ("Speedup", None, 1, 14),
    ("Residual", None, -0.03, 0.03),
)
_ABSCISSAE: tuple[tuple[str, str | None, float, float], ...] = (
    ("Time", "s", 0, 60),
    ("Epoch", None, 0, 100),
    ("Distance", "km", 0, 42),
    ("Day", None, 1, 28),
    ("Frequency", "kHz", 0, 20),
    ("Dose", "mg", 0, 400),
    ("Depth", "m", 0, 150),
    ("Year", None, 1990, 2022),
    ("Number of nodes", None, 0, 64),
    ("Angle", "deg", -180, 180),
    ("Wavelength", "nm", 400, 750),
    ("Training steps", None, 0, 50_000),
    ("Age", "years", 20, 80),
    ("x", None, -5, 5),
)
_NAMES: tuple[tuple[str, ...], ...] = (
    ("Control", "Treated", "Placebo", "Sham", "Vehicle", "Wild type", "Knockout", "Rescue"),
    ("ResNet-50", "ViT-B/16", "ConvNeXt", "EfficientNet", "MobileNet", "Swin-T", "DenseNet", "VGG-16"),
    ("Germany", "France", "Japan", "Brazil", "Kenya", "Norway", "Canada", "India"),
    ("Torvan", "Melidra", "Quessel", "Ibrano", "Zephra", "Okundi", "Palvex", "Urtica"),
    ("baseline", "ours", "oracle", "random", "greedy", "beam search", "top-k", "nucleus"),
    ("Site A", "Site B", "Site C", "Site D", "Site E", "Site F", "Site G", "Site H"),
    ("E. coli", "B. subtilis", "S. aureus", "P. putida", "L. lactis", "V. cholerae", "M. luteus", "K. oxytoca"),
    ("North", "South", "East", "West", "Centre", "Coast", "Islands", "Highlands"),
    ("SGD", "Adam", "RMSprop", "AdaGrad", "LAMB", "Lion", "Sophia", "Muon"),
    ("Wheat", "Barley", "Maize", "Oats", "Rye", "Rice", "Sorghum", "Millet"),
    ("train", "validation", "test", "held-out", "dev", "shadow", "probe", "replay"),
    ("PostgreSQL", "Redis", "SQLite", "MongoDB", "Cassandra", "DuckDB", "MySQL", "CockroachDB"),
)
_CATEGORIES: tuple[tuple[str, ...], ...] = (
    ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    ("2015", "2016", "2017", "2018", "2019", "2020", "2021"),
    ("Q1", "Q2", "Q3", "Q4"),
    ("Apples", "Pears", "Plums", "Figs", "Grapes", "Cherries", "Limes"),
    ("MNLI", "SST-2", "QQP", "CoLA", "RTE", "MRPC", "QNLI"),
    ("Low", "Medium", "High"),
    ("18-24", "25-34", "35-44", "45-54", "55-64", "65+"),
    ("Spain", "Italy", "Poland", "Greece", "Sweden", "Ireland", "Austria", "Latvia"),
    ("Harvest", "Sowing", "Growth", "Storage", "Transport"),
    ("CPU", "GPU", "TPU", "FPGA"),
    ("Berodin", "Callux", "Dormiva", "Efanil", "Fotrex"),
    ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug"),
)
_TITLES = (
    "Field trial results",
    "Comparison of methods",
    "Station 14, 2021 season",
    "Effect of treatment",
    "Benchmark summary",
    "Figure 3",
    "Observed values",
    "Sensitivity analysis",
)

Error = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """How a figure is drawn. Sizes in pixels; `errors[i]` are the half-widths of panel 0's series i, if any."""

    width: int
    height: int
    colours: tuple[str, ...]
    title: str | None
    grid: bool
    legend: str  # "inside", "right", "below", "top", "none"
    corner: tuple[str, str]  # ("top" | "bottom", "left" | "right"), of a legend inside
    frame: bool
    line_px: float
    dashes: bool
    markers: bool
    font_pt: float
    values: bool = False
    band: bool = False
    errors: tuple[Error, ...] = ()
    background: str = "#ffffff"
    theme: str = "plain"
    decimals: int = 1
    rotate_ticks: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure whose plot areas are not known yet, and its look."""

    truth: TruthFigure
    look: Look


def drawings(tool: str, seed: int, count: int | None = None) -> Iterator[Drawing]:
    """The figures of one tool. Each has a seed of its own, so that more figures do not change the first ones."""
    forms = _forms(tool)
    for index in range(COUNTS[tool] if count is None else count):
        rng = np.random.default_rng([seed, *tool.encode(), index])
        yield _drawing(tool, next(forms), index, rng)


def _forms(tool: str) -> Iterator[str]:
    """Of twenty figures nine are lines, five bars, two clouds of points, and four not to be read."""
    lines, bars = itertools.cycle(LINES), itertools.cycle(BARS)
    scatters, others = itertools.cycle(SCATTERS), itertools.cycle(NOT_READ[tool])
    if tool == "pgfplots":
        bars = itertools.cycle([form for form in BARS if form != "bar_errorbars"])
    for index in itertools.count():
        place = index % 10
        if place >= 8 and index // 10 % 2:
            yield next(scatters)
        elif place in (0, 2, 4, 6, 8):
            yield next(lines)
        elif place in (1, 5) or (place == 7 and index // 10 % 2):
            yield next(bars)
        else:
            yield next(others)


def _drawing(tool: str, form: str, index: int, rng: np.random.Generator) -> Drawing:
    panels = tuple(_panels(form, rng))
    split: Split = "dev" if (index // 2 + index // 20) % 2 else "test"  # each place of `_forms` is in both
    name = f"{tool}-{index:03d}"
    truth = TruthFigure(name, f"{name}.png", tool, split, form, panels)
    return Drawing(truth, _look(form, panels, rng))


def _look(form: str, panels: Sequence[TruthPanel], rng: np.random.Generator) -> Look:
    palette = _PALETTES[str(rng.choice(sorted(_PALETTES)))]
    named = [series.name for series in panels[0].series if series.name]
    legends = ["inside", "right", "below", "top"] if len(panels) == 1 else ["inside", "below"]
    legend = str(rng.choice(legends, p=[0.4, 0.3, 0.15, 0.15] if len(legends) == 4 else None)) if named else "none"
    width, height = (
        (560, 380),
        (640, 480),
        (800, 500),
        (900, 620),
        (1200, 800),
        (1400, 1000),
        (720, 720),
    )[int(rng.choice(7, p=[0.1, 0.25, 0.25, 0.15, 0.1, 0.05, 0.1]))]
    if len(panels) > 1:
        columns = len(panels) if len(panels) < 4 else 2
        width, height = max(width, 480 * columns), max(height, 440 if columns == len(panels) else 800)
    scale = math.sqrt(width * height / (640 * 480))
    colours = ("#222222", "#777777", "#aaaaaa", "#000000") if form == "line_grey_dashes" else palette
    if form == "line_grey_dashes" and rng.random() < 0.5:
        colours = ("#000000",) * 8
    span = _span(panels[0])
    return Look(
        width=width,
        height=height,
        colours=colours,
        title=str(rng.choice(_TITLES)) if rng.random() < 0.5 and legend != "top" else None,
        grid=bool(rng.random() < 0.5),
        legend=legend,
        corner=_corner(panels[0], rng),
        frame=bool(rng.random() < 0.6),
        line_px=float(rng.choice([1.0, 1.5, 2.0, 3.0])) * scale,
        dashes=form in ("line_dashes", "line_grey_dashes"),
        markers=form in ("line_markers", "line_sparse", "line_errorbars")
        or (form == "line_few" and rng.random() < 0.3),
        font_pt=float(rng.choice([9, 10, 11, 12])) * scale,
        values=form.endswith("_values"),
        band=form == "line_band",
        errors=tuple(_errors(form, panels[0], span, rng)),
        background=str(rng.choice(["#ffffff", "#ffffff", "#ffffff", "#f5f5f0"])),
        theme=str(rng.choice(["plain", "grey", "minimal"])),
        decimals=0 if span > 30 else 1 if span > 3 else 2 if span > 0.3 else 3,
        rotate_ticks=bool(rng.random() < 0.25),
    )


def _corner(panel: TruthPanel, rng: np.random.Generator) -> tuple[str, str]:
    """The corner with the fewest points, as most people choose; the top right one in a fifth of the figures."""
    if panel.kind not in ("line", "scatter") or rng.random() < 0.2:
        return "top", "right"
    log = math.log10 if panel.y.scale == "log" else float
    low, high = log(panel.y.low or 0.0), log(panel.y.high or 1.0)
    inside: dict[tuple[str, str], int] = {}
    for row, column in itertools.product(("top", "bottom"), ("right", "left")):
        inside[row, column] = 0
        for series in panel.series:
            for i, (_, y) in enumerate(series.points):
                share = (log(y) - low) / (high - low)
                near = share > 0.7 if row == "top" else share < 0.3
                far = i / len(series.points)
                inside[row, column] += near and (far > 0.6 if column == "right" else far < 0.4)
    return min(inside, key=lambda corner: inside[corner])


def _span(panel: TruthPanel) -> float:
    axis = panel.value_axis
    return abs((axis.high or 1.0) - (axis.low or 0.0))


def _errors(form: str, panel: TruthPanel, span: float, rng: np.random.Generator) -> Iterator[Error]:
    if form in ("line_errorbars", "line_band", "bar_errorbars"):
        for series in panel.series:
            share = 0.02 + 0.03 * rng.random()
            yield tuple(float(span * share * (0.6 + 0.8 * rng.random())) for _ in series.points)


def _panels(form: str, rng: np.random.Generator) -> Iterator[TruthPanel]:
    if form.startswith("line"):
        count = int(rng.integers(2, 5)) if form == "line_panels" else 1
        names = _pick_names(rng)
        for _ in range(count):
            yield _line_panel(form, names, rng)
    elif form.startswith("bar"):
        yield _bar_panel(form, rng)
    elif form.startswith("scatter"):
        yield _scatter_panel(form, rng)
    else:
        yield _unread_panel(form, rng)


def _unread_panel(form: str, rng: np.random.Generator) -> TruthPanel:
    """Axes only; tools draw data of their own under it, since none of them may be claimed."""
    label, unit, low, high = _QUANTITIES[int(rng.integers(len(_QUANTITIES)))]
    x_label, x_unit, x_low, x_high = _ABSCISSAE[int(rng.integers(len(_ABSCISSAE)))]
    return TruthPanel(
        "other",
        TruthAxis(x_label, x_unit, "linear", x_low, x_high),
        TruthAxis(label, unit, "linear", low, high),
        abstain=form,
    )


def _pick_names(rng: np.random.Generator) -> list[str]:
    names = list(_NAMES[int(rng.integers(len(_NAMES)))])
    rng.shuffle(names)
    return names


def _line_panel(form: str, names: Sequence[str], rng: np.random.Generator) -> TruthPanel:
    count = {
        "line_single": 1,
        "line_noisy": int(rng.integers(1, 3)),
        "line_many": int(rng.integers(5, 9)),
        "line_panels": int(rng.integers(1, 4)),
        "line_band": int(rng.integers(1, 4)),
        "line_grey_dashes": int(rng.integers(2, 4)),
    }.get(form, int(rng.integers(2, 5)))
    y_log = form in ("line_log_y", "line_log_log")
    x_log = form == "line_log_log"
    places, x_axis = _places(form, x_log, rng)
    if y_log:
        top = float(rng.choice([1.0, 1e2, 1e4]))
        decades = float(rng.choice([2, 3, 4, 5]))
        label, unit, low, high = ("Error", None, top / 10**decades, top)
    else:
        label, unit, low, high = _QUANTITIES[int(rng.integers(len(_QUANTITIES)))]
    series = []
    for index in range(count):
        heights = _curve(len(places), rng, calm=form in ("line_many", "line_errorbars", "line_band"))
        if form == "line_noisy":
            heights = np.clip(heights + rng.normal(0, 0.05, len(heights)), 0, 1)
        values = low * (high / low) ** heights if y_log else low + (high - low) * heights
        name = None if count == 1 else names[index]
        series.append(TruthSeries(name, tuple((x, _rounded(float(v))) for x, v in zip(places, values, strict=True))))
    y_axis = _fitted(label, unit, series, y_log, rng, room=0.12 if form in ("line_errorbars", "line_band") else 0.05)
    return TruthPanel("line", x_axis, y_axis, tuple(series))


def _places(form: str, log: bool, rng: np.random.Generator) -> tuple[list[float], TruthAxis]:
    if form == "line_dates":
        start = datetime.date(int(rng.integers(1995, 2020)), int(rng.integers(1, 13)), 1).toordinal()
        start -= datetime.date(1970, 1, 1).toordinal()
        step = int(rng.choice([1, 7, 30, 91]))
        count = int(rng.integers(24, 60))
        days = [float(start + step * i) for i in range(count)]
        return days, TruthAxis("Date", None, "date", days[0], days[-1])
    if log:
        low, high = (1.0, 1e3) if rng.random() < 0.5 else (0.1, 100.0)
        steps = np.geomspace(low, high, int(rng.integers(8, 40)))
        return [_rounded(float(x)) for x in steps], TruthAxis("Sample size", None, "log", low / 1.2, high * 1.2)
    label, unit, low, high = _ABSCISSAE[int(rng.integers(len(_ABSCISSAE)))]
    if form in ("line_sparse", "line_errorbars", "line_markers"):
        count = int(rng.integers(5, 14))
    else:
        count = int(rng.choice([15, 30, 60, 120, 250]))
    if form == "line_sparse":
        inner = np.sort(rng.choice(np.arange(1, 30), count - 2, replace=False)) / 30
        shares = [0.0, *inner.tolist(), 1.0]
    else:
        shares = np.linspace(0, 1, count).tolist()
    places = [_rounded(low + (high - low) * share) for share in shares]
    pad = float(rng.choice([0.0, 0.02, 0.05])) * (high - low)
    return places, TruthAxis(label, unit, "linear", low - pad, high + pad)


def _curve(count: int, rng: np.random.Generator, calm: bool) -> Any:
    """Heights in 0..1 of one of eleven shapes, [count]."""
    t = np.linspace(0, 1, count)
    a, b, c = rng.random(3)
    up = rng.random() < 0.5
    shape = int(rng.integers(11))
    if shape == 0:
        raw = 1 / (1 + np.exp(-(6 + 14 * a) * (t - 0.25 - 0.5 * b)))
    elif shape == 1:
        raw = np.exp(-(1.5 + 6 * a) * t)
    elif shape == 2:
        raw = np.exp(-(((t - 0.2 - 0.6 * a) / (0.08 + 0.2 * b)) ** 2))
    elif shape == 3:
        raw = 0.5 + 0.5 * np.sin(2 * np.pi * ((0.7 + 3.3 * a) * t + b))
    elif shape == 4:
        raw = np.cumsum(rng.normal(0, 1, count))
    elif shape == 5:
        raw = np.full(count, 0.5) + 0.02 * rng.normal(0, 1, count)
        return np.clip(0.1 + 0.8 * a + (raw - 0.5), 0, 1)
    elif shape == 6:
        raw = t + 0.12 * rng.normal(0, 1, count) * (not calm)
    elif shape == 7:
        raw = np.floor(t * (3 + int(4 * a))) / 4 + 0.05 * b * t
    elif shape == 8:
        raw = np.exp(-3 * t) * np.cos(2 * np.pi * (1 + 3 * a) * t)
    elif shape == 9:
        raw = np.sqrt(t) + 0.04 * rng.normal(0, 1, count)
    else:
        raw = np.abs(t - 0.2 - 0.6 * c) ** (0.7 + a)
    if not up:
        raw = -raw
    low, high = float(raw.min()), float(raw.max())
    unit = (raw - low) / (high - low) if high > low else np.full(count, 0.5)
    bottom = 0.5 * rng.random() * (rng.random() < 0.7)
    top = bottom + (1 - bottom) * (0.3 + 0.7 * rng.random())
    return np.clip(bottom + (top - bottom) * unit, 0, 1)


def _fitted(
    label: str, unit: str | None, series: Sequence[TruthSeries], log: bool, rng: np.random.Generator, room: float
) -> TruthAxis:
    """An axis around the data, sometimes from zero."""
    values = [y for one in series for _, y in one.points]
    low, high = min(values), max(values)
    if log:
        spare = (math.log10(high / low) or 1.0) * room
        return TruthAxis(label, unit, "log", _rounded(low / 10**spare), _rounded(high * 10**spare))
    spare = (high - low or abs(high) or 1.0) * (room + 0.05 * rng.random())
    bottom = 0.0 if low > 0 and rng.random() < 0.35 else low - spare
    return TruthAxis(label, unit, "linear", _rounded(bottom), _rounded(high + spare))


def _bar_panel(form: str, rng: np.random.Generator) -> TruthPanel:
    grouped, stacked = "grouped" in form, "stacked" in form
    horizontal = "horizontal" in form
    categories = list(_CATEGORIES[int(rng.integers(len(_CATEGORIES)))])
    categories = categories[: 5 if grouped and "values" in form else len(categories)]
    names = _pick_names(rng)
    count = int(rng.integers(2, 5)) if grouped or stacked else 1
    if grouped and "values" in form:
        count = min(count, 3)
    negative = form == "bar_negative"
    choices = [q for q in _QUANTITIES if (q[2] < 0) == negative]
    label, unit, _, high = choices[int(rng.integers(len(choices)))]
    decimals = 0 if high > 30 else 1 if high > 3 else 2 if high > 0.3 else 3
    series = []
    for index in range(count):
        shares = 0.08 + 0.92 * rng.random(len(categories))
        if negative:
            shares *= rng.choice([-1, 1], len(categories))
        top = high / count if stacked else high
        points = tuple((c, round(float(top * s), decimals)) for c, s in zip(categories, shares, strict=True))
        series.append(TruthSeries(names[index] if count > 1 else None, points))
    sums = [sum(one.points[i][1] for one in series) for i in range(len(categories))] if stacked else []
    values = sums or [y for one in series for _, y in one.points]
    top, bottom = max(0.0, *values), min(0.0, *values)
    spare = (top - bottom) * 0.14
    values_axis = TruthAxis(
        label, unit, "linear", _rounded(bottom - spare * (bottom < 0)), _rounded(top + spare * (top > 0))
    )
    category_axis = TruthAxis(None, None, "category", None, None, tuple(categories))
    kind = "grouped_bar" if grouped else "stacked_bar" if stacked else "bar"
    x, y = (values_axis, category_axis) if horizontal else (category_axis, values_axis)
    return TruthPanel(kind, x, y, tuple(series), horizontal=horizontal)  # type: ignore[arg-type]


def _scatter_panel(form: str, rng: np.random.Generator) -> TruthPanel:
    label, unit, low, high = _QUANTITIES[int(rng.integers(len(_QUANTITIES)))]
    x_label, x_unit, x_low, x_high = _ABSCISSAE[int(rng.integers(len(_ABSCISSAE)))]
    names = _pick_names(rng)
    series = []
    for index in range(1 if form == "scatter" else int(rng.integers(2, 4))):
        count = int(rng.integers(12, 70))
        across = rng.random(count)
        slope = float(rng.choice([-0.8, -0.4, 0.0, 0.4, 0.8]))
        up = np.clip(0.5 + slope * (across - 0.5) + rng.normal(0, 0.12, count), 0.02, 0.98)
        points = tuple(
            (_rounded(float(x_low + (x_high - x_low) * a)), _rounded(float(low + (high - low) * u)))
            for a, u in zip(across, up, strict=True)
        )
        series.append(TruthSeries(names[index] if form == "scatter_groups" else None, points))
    pad = 0.04 * (x_high - x_low)
    x_axis = TruthAxis(x_label, x_unit, "linear", x_low - pad, x_high + pad)
    return TruthPanel("scatter", x_axis, _fitted(label, unit, series, False, rng, 0.05), tuple(series))


def axis_title(axis: TruthAxis, brackets: str = "()") -> str:
    """ "Time (s)": label and unit as a figure prints them; empty for an axis without a label."""
    if axis.label is None:
        return ""
    return f"{axis.label} {brackets[0]}{axis.unit}{brackets[1]}" if axis.unit else axis.label


def stacked_sums(panel: TruthPanel) -> list[float]:
    return [sum(one.points[i][1] for one in panel.series) for i in range(len(panel.series[0].points))]


def number(place: Place) -> float:
    if isinstance(place, str):
        raise TypeError(f"the category {place!r} is not a number")
    return place


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
