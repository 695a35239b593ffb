"""Figures by LaTeX and pgfplots, as in most papers; turned into pixels by pdftoppm."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from evaluation.suites.charts.draw.specs import Drawing, Look, axis_title, number
from evaluation.suites.charts.truth import TruthAxis, TruthPanel, TruthSeries
from llava_graph.chart import Box

_DASHES = ("solid", "dashed", "dotted", "dashdotted", "densely dashed")
_MARKS = ("*", "square*", "triangle*", "diamond*", "o", "square", "x", "+")
_POINTS_PER_INCH = 72.27

_PREAMBLE = r"""
\documentclass{article}
\usepackage{pgfplots}
\usepgfplotslibrary{groupplots,fillbetween,dateplot,polar}
\usetikzlibrary{shapes.geometric,arrows.meta}
\pgfplotsset{compat=1.17}
\newwrite\areas
\immediate\openout\areas=areas.txt
\newcommand{\place}[1]{%
  \pgfpointanchor{#1}{south west}\pgfgetlastxy{\ax}{\ay}%
  \pgfpointanchor{#1}{north east}\pgfgetlastxy{\bx}{\by}%
  \immediate\write\areas{\ax,\ay,\bx,\by}}
"""

# The page is as large as the picture with 6 points around it.
_PAGE = r"""
\pdfpagewidth=\dimexpr\wd0+12pt\relax \pdfpageheight=\dimexpr\ht0+\dp0+12pt\relax
\hoffset=\dimexpr-1in+6pt\relax \voffset=\dimexpr-1in+6pt\relax
\shipout\box0
\end{document}
"""


def draw(drawing: Drawing, folder: Path) -> list[Box | None]:
    """Draw the figure into the folder; where its plot areas are. Raises subprocess.CalledProcessError, ValueError."""
    truth, look = drawing.truth, drawing.look
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        (work / "figure.tex").write_text(_document(drawing), encoding="utf-8")
        compiling = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "figure.tex"]
        done = subprocess.run(compiling, cwd=work, capture_output=True, check=False)
        if done.returncode:
            raise ValueError(done.stdout.decode("utf-8", "replace")[-1500:])
        dpi = 110 if look.width < 700 else 150 if look.width < 1000 else 200
        subprocess.run(
            ["pdftoppm", "-r", str(dpi), "-png", "-singlefile", "figure.pdf", "figure"],
            cwd=work,
            capture_output=True,
            check=True,
        )
        Image.open(work / "figure.png").convert("RGB").save(folder / truth.file, optimize=True)
        if truth.panels[0].abstain:
            return [None]
        *boxes, bounds = [tuple(_points(line)) for line in (work / "areas.txt").read_text().splitlines()]
    return [_pixels(box, bounds, dpi) for box in boxes]


def _points(line: str) -> list[float]:
    return [float(v) for v in re.findall(r"(-?[\d.]+)pt", line)]


def _pixels(box: tuple[float, ...], bounds: tuple[float, ...], dpi: int) -> Box:
    """TeX points of the picture, y upwards, to pixels of the page, which has a border of 6 TeX points."""
    scale = dpi / _POINTS_PER_INCH
    left, top = bounds[0] - 6, bounds[3] + 6
    return (box[0] - left) * scale, (top - box[3]) * scale, (box[2] - left) * scale, (top - box[1]) * scale


def _document(drawing: Drawing) -> str:
    truth, look = drawing.truth, drawing.look
    lines = [_PREAMBLE]
    if look.theme == "minimal":
        lines.append(r"\renewcommand{\familydefault}{\sfdefault}")
    for i, colour in enumerate(look.colours):
        lines.append(rf"\definecolor{{c{i}}}{{HTML}}{{{colour[1:].upper()}}}")
    lines.append(r"\begin{document}\setbox0=\hbox{\begin{tikzpicture}")
    panels = truth.panels
    if panels[0].abstain:
        lines += _NOT_READ[panels[0].abstain](panels[0], look)
    elif len(panels) == 1:
        lines += _axis(panels[0], look, "a0", "")
    else:
        for index, panel in enumerate(panels):
            at = rf"at={{({index % 2 * 8.6}cm,{-(index // 2) * 6.6}cm)}},anchor=south west,"
            lines += _axis(panel, look, f"a{index}", at)
    if not panels[0].abstain:
        lines += [rf"\place{{a{index}}}" for index in range(len(panels))]
        lines.append(r"\place{current bounding box}")
    lines.append(r"\end{tikzpicture}}" + _PAGE)
    return "\n".join(lines)


def _size(look: Look, small: bool) -> str:
    if small:
        return "width=5.6cm,height=3.8cm"
    width = 7 + look.width / 200
    return f"width={width:.2f}cm,height={width * look.height / look.width * 0.85:.2f}cm"


def _axis(panel: TruthPanel, look: Look, name: str, at: str) -> Iterator[str]:
    options = [f"name={name},{at}scale only axis", _size(look, bool(at))]
    options += [f"xlabel={{{_tex(axis_title(panel.x))}}}", f"ylabel={{{_tex(axis_title(panel.y, '[]'))}}}"]
    if look.title and name == "a0":
        options.append(f"title={{{_tex(look.title)}}}")
    if look.grid:
        options.append("ymajorgrids" if panel.kind.endswith("bar") else "grid=major")
    if not look.frame:
        options.append("axis lines*=left")
    if look.rotate_ticks:
        options.append("x tick label style={rotate=45,anchor=north east}")
    options.append(_legend(look))
    for letter, axis in (("x", panel.x), ("y", panel.y)):
        options += _ends(letter, axis)
    if panel.kind in ("line", "scatter"):
        options.append("no markers" if panel.kind == "line" and not look.markers else "")
    else:
        options += _bar_options(panel, look)
    yield r"\begin{axis}[" + ",".join(option for option in options if option) + "]"
    for i, series in enumerate(panel.series):
        yield from _plot(panel, series, look, i)
    yield r"\end{axis}"


def _ends(letter: str, axis: TruthAxis) -> Iterator[str]:
    if axis.scale == "category":
        coordinates = ",".join(_tex(c) for c in axis.categories)
        yield f"symbolic {letter} coords={{{coordinates}}},{letter}tick=data"
        return
    if axis.scale == "log":
        yield f"{letter}mode=log"
    if axis.scale == "date":
        yield f"date coordinates in={letter},{letter}ticklabel={{\\year-\\month}},date ZERO={_day(axis.low or 0)}"
        yield f"{letter}min={_day(axis.low or 0)},{letter}max={_day(axis.high or 0)}"
        return
    if axis.label == "Year":
        yield f"{letter}ticklabel style={{/pgf/number format/1000 sep={{}}}}"
    yield f"{letter}min={axis.low!r},{letter}max={axis.high!r}"


def _legend(look: Look) -> str:
    row, column = ("north" if look.corner[0] == "top" else "south"), ("east" if look.corner[1] == "right" else "west")
    places = {
        "none": "",
        "inside": f"legend pos={row} {column}",
        "right": "legend pos=outer north east",
        "below": "legend columns=-1,legend style={at={(0.5,-0.3)},anchor=north,draw=none}",
        "top": "legend columns=-1,legend style={at={(0.5,1.05)},anchor=south}",
    }
    return places[look.legend] + (",legend cell align=left" if look.legend != "none" else "")


def _bar_options(panel: TruthPanel, look: Look) -> Iterator[str]:
    letter = "x" if panel.horizontal else "y"
    categories = panel.y.categories if panel.horizontal else panel.x.categories
    room = 0.5 if panel.kind == "grouped_bar" else 0.4
    across = "y" if panel.horizontal else "x"
    yield f"{letter}bar stacked" if panel.kind == "stacked_bar" else f"{letter}bar"
    width_cm = (7 + look.width / 200) * (look.height / look.width * 0.85 if panel.horizontal else 1)
    slot = width_cm / (len(categories) + 2 * room)
    bars = len(panel.series) if panel.kind == "grouped_bar" else 1
    yield f"bar width={slot * 0.75 / bars:.3f}cm"
    if bars > 1:
        yield f"{letter}bar=0pt"
    yield f"enlarge {across} limits={{abs={slot * room:.3f}cm}}"
    if look.values:
        yield "nodes near coords,nodes near coords style={font=\\scriptsize,/pgf/number format/.cd,fixed,1000 sep={}}"


def _plot(panel: TruthPanel, series: TruthSeries, look: Look, i: int) -> Iterator[str]:
    half = look.errors[i] if i < len(look.errors) else ()
    width = 0.4 + 0.35 * look.line_px
    if panel.kind == "line":
        style = f"color=c{i},line width={width:.2f}pt,{_DASHES[i % 5] if look.dashes else 'solid'}"
        style += f",mark={_MARKS[i % 8]},mark options={{solid}},mark size=1.6pt" if look.markers else ",mark=none"
        if look.band:
            for side, sign in (("low", -1), ("high", 1)):
                ends = _coordinates(panel.x, [(x, y + sign * h) for (x, y), h in zip(series.points, half, strict=True)])
                yield rf"\addplot[draw=none,forget plot,name path={side}{i}] coordinates {{{ends}}};"
            yield rf"\addplot[c{i},opacity=0.25,forget plot] fill between[of=low{i} and high{i}];"
            half = ()
    elif panel.kind == "scatter":
        style = f"only marks,color=c{i},mark={_MARKS[i % 8 if look.frame else 0]},mark size=1.8pt"
    else:
        style = f"fill=c{i},draw={'black' if look.frame else f'c{i}'}"
    if half:
        style += ",error bars/.cd,y dir=both,y explicit"
        ends = " ".join(
            f"{_place(panel.x, x)[:-1]},{y!r}) +- (0,{h:.5g})" for (x, y), h in zip(series.points, half, strict=True)
        )
    elif panel.horizontal:
        ends = " ".join(f"({y!r},{_tex(str(x))})" for x, y in series.points)
    else:
        ends = _coordinates(panel.x, series.points)
    yield rf"\addplot[{style}] coordinates {{{ends}}};"
    if series.name and look.legend != "none":
        yield rf"\addlegendentry{{{_tex(series.name)}}}"


def _coordinates(axis: TruthAxis, points: object) -> str:
    return " ".join(f"{_place(axis, x)[:-1]},{y:.6g})" for x, y in points)  # type: ignore[attr-defined]


def _place(axis: TruthAxis, x: float | str) -> str:
    """ "(x)": the opening of a coordinate."""
    if axis.scale == "date":
        return f"({_day(number(x))})"
    return f"({_tex(x)})" if isinstance(x, str) else f"({x!r})"


def _day(days: float) -> str:
    return str(np.datetime64("1970-01-01") + np.timedelta64(round(days), "D"))


def _tex(text: str) -> str:
    for plain, escaped in (("%", r"\%"), ("_", r"\_"), ("&", r"\&"), ("#", r"\#"), ("°", r"$^\circ$")):
        text = text.replace(plain, escaped)
    return text


def _surface(panel: TruthPanel, _look: Look) -> Iterator[str]:
    labels = f"xlabel={{{_tex(axis_title(panel.x))}}},zlabel={{{_tex(axis_title(panel.y))}}}"
    yield rf"\begin{{axis}}[view={{35}}{{30}},{labels}]"
    yield r"\addplot3[surf,domain=-3:3,samples=18] {exp(-(x^2+y^2)/4)*cos(deg(x*2))};"
    yield r"\end{axis}"


def _broken_axis(panel: TruthPanel, look: Look) -> Iterator[str]:
    labels = f"xlabel={{{_tex(axis_title(panel.x))}}},ylabel={{{_tex(axis_title(panel.y))}}}"
    kind = "parallel" if look.grid else "crunch"
    yield rf"\begin{{axis}}[axis y discontinuity={kind},ymin=360,ymax=600,xmin=0,xmax=9,{labels},{_size(look, False)}]"
    yield r"\addplot[color=c0,thick,mark=*] coordinates {(1,450)(2,475)(3,468)(4,510)(5,533)(6,521)(7,560)(8,577)};"
    yield r"\end{axis}"


def _twin_axes(panel: TruthPanel, look: Look) -> Iterator[str]:
    size = f"{_size(look, False)},scale only axis,xmin=0,xmax=10"
    yield rf"\begin{{axis}}[{size},axis y line*=left,xlabel={{{_tex(axis_title(panel.x))}}},ylabel={{Yield}}]"
    yield r"\addplot[c0,thick,smooth,mark=*] coordinates {(0,2)(2,8)(4,13)(6,15)(8,16)(10,16.5)};"
    yield r"\end{axis}"
    yield rf"\begin{{axis}}[{size},axis y line*=right,axis x line=none,ylabel={{{_tex(axis_title(panel.y))}}}]"
    yield r"\addplot[c1,thick,dashed] coordinates {(0,950)(2,700)(4,430)(6,300)(8,210)(10,190)};"
    yield r"\end{axis}"


def _diagram(_panel: TruthPanel, _look: Look) -> Iterator[str]:
    words = ["Input", "Encoder", "Attention", "Decoder", "Output"]
    style = "draw,rounded corners,minimum width=2.2cm,minimum height=0.9cm"
    for i, word in enumerate(words):
        yield rf"\node[{style},fill=c{i}!30] (n{i}) at ({i * 3.2},{(i % 2) * 1.6}) {{{word}}};"
    for i in range(4):
        yield rf"\draw[-{{Stealth}},thick] (n{i}) -- (n{i + 1});"
    yield r"\node[diamond,draw,aspect=2] (d) at (6.4,-2) {converged?}; \draw[-{Stealth}] (n2) -- (d);"


def _pie(_panel: TruthPanel, _look: Look) -> Iterator[str]:
    start = 0.0
    for i, (name, share) in enumerate((("Alpha", 35), ("Beta", 27), ("Gamma", 21), ("Delta", 17))):
        end = start + 3.6 * share
        yield rf"\draw[fill=c{i}] (0,0) -- ({start}:3cm) arc ({start}:{end}:3cm) -- cycle;"
        yield rf"\node at ({(start + end) / 2}:3.7cm) {{{name} {share}\%}};"
        start = end


def _polar(_panel: TruthPanel, _look: Look) -> Iterator[str]:
    yield r"\begin{polaraxis}"
    yield r"\addplot[c0,thick,domain=0:360,samples=200] {2+sin(5*x)};"
    yield r"\addplot[c1,thick,domain=0:360,samples=200] {1.5+cos(3*x)};"
    yield r"\end{polaraxis}"


_NOT_READ: dict[str, Callable[[TruthPanel, Look], Iterator[str]]] = {
    "surface": _surface,
    "broken_axis": _broken_axis,
    "twin_axes": _twin_axes,
    "diagram": _diagram,
    "pie": _pie,
    "polar": _polar,
}
