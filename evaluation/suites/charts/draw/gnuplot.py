"""Figures by gnuplot's pngcairo terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from evaluation.suites.charts.draw import layout
from evaluation.suites.charts.draw.specs import Drawing, Look, axis_title, number
from evaluation.suites.charts.truth import TruthAxis, TruthPanel, TruthSeries
from llava_graph.chart import Box

_DAY_S = 86_400
_DASHES = ("1", "2", "4", "5", "3")
_POINTS = (7, 5, 9, 13, 6, 4, 8, 12)


def draw(drawing: Drawing, folder: Path) -> list[Box | None]:
    """Draw the figure into the folder; where its plot areas are. Raises subprocess.CalledProcessError."""
    truth, look = drawing.truth, drawing.look
    boxes = layout.areas(truth.panels, look)
    lines = list(_head(look, folder / truth.file))
    if len(truth.panels) > 1:
        lines.append("set multiplot")
    for index, (panel, box) in enumerate(zip(truth.panels, boxes, strict=True)):
        lines += _panel(panel, look, box, index)
    if len(truth.panels) > 1:
        lines.append("unset multiplot")
    script = "\n".join(lines) + "\n"
    subprocess.run(["gnuplot"], input=script, text=True, check=True, capture_output=True)
    return [None if truth.panels[0].abstain else box for box in boxes]


def _head(look: Look, path: Path) -> Iterator[str]:
    yield f"set terminal pngcairo size {look.width},{look.height} font 'DejaVu Sans,{look.font_pt * 0.95:.1f}' " + (
        f"background rgb '{look.background}'"
    )
    yield f"set output {_quoted(str(path))}"
    yield "set encoding utf8"


def _panel(panel: TruthPanel, look: Look, box: Box, index: int) -> Iterator[str]:
    x0, y0, x1, y1 = box
    yield "reset"
    yield "set encoding utf8"
    yield f"set lmargin at screen {x0 / look.width:.6f}"
    yield f"set rmargin at screen {x1 / look.width:.6f}"
    yield f"set tmargin at screen {1 - y0 / look.height:.6f}"
    yield f"set bmargin at screen {1 - y1 / look.height:.6f}"
    if look.title and index == 0:
        yield f"set title {_quoted(look.title)} noenhanced"
    if look.grid:
        yield "set grid"
    if not look.frame:
        yield "set border 3"
        yield "set tics nomirror"
    yield _key(look)
    yield f"set xlabel {_quoted(axis_title(panel.x))} noenhanced"
    yield f"set ylabel {_quoted(axis_title(panel.y))} noenhanced"
    if look.rotate_ticks:
        yield "set xtics rotate by -45"
    if panel.abstain:
        yield from _NOT_READ[panel.abstain](panel, look)
    elif panel.kind == "line":
        yield from _lines(panel, look, index)
    elif panel.kind == "scatter":
        yield from _scatter(panel, look)
    elif panel.horizontal:
        yield from _horizontal_bars(panel, look)
    else:
        yield from _bars(panel, look)


def _key(look: Look) -> str:
    row = "horizontal noenhanced"
    places = {
        "none": "set key off",
        "inside": f"set key inside {look.corner[0]} {look.corner[1]} noenhanced" + (" box" if look.frame else ""),
        "right": "set key outside right center noenhanced",
        "below": f"set key at screen 0.5,{1.6 * layout.em_px(look) / look.height:.3f} center center {row}",
        "top": f"set key at graph 0.5,1.07 center bottom {row}",
    }
    return places[look.legend]


def _ranges(panel: TruthPanel) -> Iterator[str]:
    for letter, axis in (("x", panel.x), ("y", panel.y)):
        if axis.scale == "category":
            continue
        if axis.scale == "date":
            yield f"set {letter}data time"
            yield 'set timefmt "%s"'
            days = (axis.high or 0) - (axis.low or 0)
            yield f"set {letter}tics {days * _DAY_S / 5:.0f}"
            yield f'set format {letter} "{"%Y" if days > 1500 else "%b %Y" if days > 120 else "%d %b"}"'
            yield f"set {letter}range ['{(axis.low or 0) * _DAY_S:.0f}':'{(axis.high or 0) * _DAY_S:.0f}']"
        else:
            yield f"set {letter}range [{axis.low}:{axis.high}]"
        if axis.scale == "log":
            yield f"set logscale {letter}"
            yield f'set format {letter} "10^{{%T}}"'


def _lines(panel: TruthPanel, look: Look, index: int) -> Iterator[str]:
    yield from _ranges(panel)
    plots = []
    for i, series in enumerate(panel.series):
        errors = look.errors[i] if look.errors else ()
        yield from _block(f"$s{index}_{i}", _rows(series, panel.x, errors))
        colour = f"lc rgb '{look.colours[i]}'"
        stroke = f"lw {look.line_px:.2f} dt {_DASHES[i % 5] if look.dashes else 1}"
        title = f"title {_quoted(series.name)}" if series.name else "notitle"
        data = f"$s{index}_{i}"
        if look.band:
            plots.append(
                f"{data} using 1:($2-$3):($2+$3) with filledcurves {colour} fs transparent solid 0.25 noborder notitle"
            )
        if look.errors and not look.band:
            plots.append(f"{data} using 1:2:3 with yerrorbars {colour} lw {look.line_px * 0.7:.2f} pt -1 notitle")
        style = "linespoints" if look.markers else "lines"
        points = f" pt {_POINTS[i % 8]} ps {0.5 * look.line_px:.2f}" if look.markers else ""
        plots.append(f"{data} using 1:2 with {style} {colour} {stroke}{points} {title}")
    yield "plot " + ", ".join(plots)


def _rows(series: TruthSeries, axis: TruthAxis, errors: tuple[float, ...]) -> Iterator[str]:
    scale = _DAY_S if axis.scale == "date" else 1
    for i, (x, y) in enumerate(series.points):
        yield f"{number(x) * scale!r} {y!r} {errors[i] if errors else 0.0!r}"


def _scatter(panel: TruthPanel, look: Look) -> Iterator[str]:
    yield from _ranges(panel)
    plots = []
    for i, series in enumerate(panel.series):
        yield from _block(f"$s{i}", _rows(series, panel.x, ()))
        title = f"title {_quoted(series.name)}" if series.name else "notitle"
        plots.append(f"$s{i} using 1:2 with points lc rgb '{look.colours[i]}' pt {_POINTS[i % 8]} ps 1.1 {title}")
    yield "plot " + ", ".join(plots)


def _bars(panel: TruthPanel, look: Look) -> Iterator[str]:
    yield from _ranges(panel)
    categories = panel.x.categories
    count = len(panel.series)
    yield f"set xrange [-0.6:{len(categories) - 0.4}]"
    yield "set xtics (" + ", ".join(f"{_quoted(c)} {i}" for i, c in enumerate(categories)) + ") noenhanced"
    yield f"set style fill solid {0.8 if look.grid else 1.0} {'border lc black' if look.frame else 'noborder'}"
    if panel.y.low and panel.y.low < 0:
        yield "set xzeroaxis lt 1 lc black"
    width = 0.8 / count if panel.kind == "grouped_bar" else 0.65
    bottoms = [0.0] * len(categories)
    plots = []
    for i, series in enumerate(panel.series):
        shift = (i - (count - 1) / 2) * width if panel.kind == "grouped_bar" else 0.0
        ys = [y for _, y in series.points]
        if panel.kind == "stacked_bar":
            # Whole stacks, the highest first, so that the later ones cover their lower part.
            ys = [b + y for b, y in zip(bottoms, ys, strict=True)]
            bottoms = ys
        errors = look.errors[i] if look.errors else (0.0,) * len(ys)
        rows = (f"{k + shift} {y} {series.points[k][1]} {errors[k]}" for k, y in enumerate(ys))
        yield from _block(f"$s{i}", rows)
        title = f"title {_quoted(series.name)}" if series.name else "notitle"
        plots.append(f"$s{i} using 1:2:({width}) with boxes lc rgb '{look.colours[i]}' {title}")
    if panel.kind == "stacked_bar":
        plots.reverse()
    for i in range(count):
        if look.values:
            plots.append(f"$s{i} using 1:2:(sprintf('%.{look.decimals}f',$3)) with labels offset 0,0.6 notitle")
        if look.errors:
            plots.append(f"$s{i} using 1:2:4 with yerrorbars lc black lw {look.line_px * 0.7:.2f} pt -1 notitle")
    yield "plot " + ", ".join(plots)


def _horizontal_bars(panel: TruthPanel, look: Look) -> Iterator[str]:
    yield from _ranges(panel)
    categories = panel.y.categories
    count = len(panel.series)
    yield f"set yrange [-0.6:{len(categories) - 0.4}]"
    yield "set ytics (" + ", ".join(f"{_quoted(c)} {i}" for i, c in enumerate(categories)) + ") noenhanced"
    yield "set style fill solid 1.0 noborder"
    width = 0.8 / count
    plots = []
    for i, series in enumerate(panel.series):
        shift = (i - (count - 1) / 2) * width
        yield from _block(f"$s{i}", (f"{k + shift} {y}" for k, (_, y) in enumerate(series.points)))
        title = f"title {_quoted(series.name)}" if series.name else "notitle"
        box = f"(0):($1):(0):($2):($1-{width / 2}):($1+{width / 2})"
        plots.append(f"$s{i} using {box} with boxxyerror lc rgb '{look.colours[i]}' {title}")
        if look.values:
            plots.append(f"$s{i} using 2:1:(sprintf('%.{look.decimals}f',$2)) with labels left offset 0.5,0 notitle")
    yield "plot " + ", ".join(plots)


def _block(name: str, rows: Iterator[str]) -> Iterator[str]:
    yield f"{name} << EOD"
    yield from rows
    yield "EOD"


def _noise(look: Look, panel: TruthPanel, *shape: int) -> np.ndarray:
    """Numbers between the ends of the panel's y axis, the same for the same figure."""
    rng = np.random.default_rng([look.width, look.height, int(look.line_px * 100), len(panel.x.label or "")])
    low, high = panel.y.low or 0.0, panel.y.high or 1.0
    return low + (high - low) * np.clip(rng.normal(0.5, 0.18, shape), 0, 1)


def _heat_map(panel: TruthPanel, look: Look) -> Iterator[str]:
    yield from _block("$m", (" ".join(f"{v:.4g}" for v in row) for row in _noise(look, panel, 9, 12)))
    yield "set autoscale fix"
    yield "plot $m matrix with image notitle"


def _surface(panel: TruthPanel, _look: Look) -> Iterator[str]:
    yield "set isosamples 30"
    yield f"set zlabel {_quoted(axis_title(panel.y))} rotate"
    yield f"splot [-3:3][-3:3] {panel.y.high}*exp(-(x*x+y*y)/4)*cos(x*2) with pm3d notitle"


def _histogram(panel: TruthPanel, look: Look) -> Iterator[str]:
    counts, edges = np.histogram(_noise(look, panel, 400), 18)
    middles = (edges[1:] + edges[:-1]) / 2
    yield from _block("$h", (f"{m} {c}" for m, c in zip(middles, counts, strict=True)))
    yield f"set xlabel {_quoted(axis_title(panel.y))}"
    yield "set ylabel 'Count'"
    yield "set style fill solid 0.7 border lc black"
    yield "set yrange [0:*]"
    yield f"set boxwidth {edges[1] - edges[0]}"
    yield f"plot $h using 1:2 with boxes lc rgb '{look.colours[0]}' notitle"


def _box_plot(panel: TruthPanel, look: Look) -> Iterator[str]:
    data = _noise(look, panel, 60, 4)
    yield from _block("$b", (" ".join(f"{v + 0.1 * i * v:.4g}" for i, v in enumerate(row)) for row in data))
    yield "set style fill solid 0.4"
    yield "set xtics ('A' 1, 'B' 2, 'C' 3, 'D' 4)"
    plots = (f"$b using ({i + 1}):{i + 1} with boxplot lc rgb '{look.colours[i]}' notitle" for i in range(4))
    yield "plot " + ", ".join(plots)


def _twin_axes(panel: TruthPanel, look: Look) -> Iterator[str]:
    data = np.cumsum(_noise(look, panel, 40, 2) - (panel.y.low or 0.0), axis=0)
    yield from _block("$t", (f"{i} {a:.5g} {1000 * b / (1 + b):.5g}" for i, (a, b) in enumerate(data)))
    yield "set y2tics"
    yield "set ytics nomirror"
    yield "set y2label 'Rate (1/s)'"
    yield "set key inside top left"
    yield (
        f"plot $t using 1:2 with lines lw 2 lc rgb '{look.colours[0]}' title 'Total', "
        f"$t using 1:3 axes x1y2 with lines lw 2 lc rgb '{look.colours[1]}' title 'Rate'"
    )


def _area(panel: TruthPanel, look: Look) -> Iterator[str]:
    data = np.cumsum(np.abs(_noise(look, panel, 30, 3)), axis=1)
    yield from _block("$a", (f"{i} " + " ".join(f"{v:.5g}" for v in row) for i, row in enumerate(data)))
    yield "set key inside top right"
    yield "plot " + ", ".join(
        f"$a using 1:{i + 2} with filledcurves y1=0 lc rgb '{look.colours[i]}' title 'Layer {i + 1}'" for i in (2, 1, 0)
    )


def _polar(_panel: TruthPanel, look: Look) -> Iterator[str]:
    yield "set polar"
    yield "set grid polar"
    yield "unset border"
    yield "unset tics"
    yield "set size square"
    first, second = (f"lc rgb '{colour}' lw 2 notitle" for colour in look.colours[:2])
    yield f"plot [0:2*pi] 2+sin(5*t) {first}, 1.5+cos(3*t) {second}"


def _candlesticks(panel: TruthPanel, look: Look) -> Iterator[str]:
    walk = np.cumsum(_noise(look, panel, 26) - float(np.mean(_noise(look, panel, 26)))) + 100
    spread = float(np.std(walk)) / 3 + 0.1
    days = [(i, walk[i], walk[i + 1]) for i in range(25)]
    rows = (f"{i} {a:.4g} {min(a, b) - spread:.4g} {max(a, b) + spread:.4g} {b:.4g}" for i, a, b in days)
    yield from _block("$c", rows)
    yield "set style fill empty"
    yield "set boxwidth 0.6"
    yield f"plot $c using 1:2:3:4:5 with candlesticks lc rgb '{look.colours[0]}' notitle"


_NOT_READ: dict[str, Callable[[TruthPanel, Look], Iterator[str]]] = {
    "heat_map": _heat_map,
    "surface": _surface,
    "histogram": _histogram,
    "box_plot": _box_plot,
    "twin_axes": _twin_axes,
    "area": _area,
    "polar": _polar,
    "candlesticks": _candlesticks,
}


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
