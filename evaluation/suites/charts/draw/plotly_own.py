"""Figures by plotly, drawn by kaleido in a Chromium."""

from __future__ import annotations

import atexit
import datetime
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kaleido
import numpy as np
import plotly.graph_objects as go

from evaluation.suites.charts.draw import layout
from evaluation.suites.charts.draw.specs import Drawing, Look, axis_title, number
from evaluation.suites.charts.truth import Place, TruthAxis, TruthPanel
from llava_graph.chart import Box

_EPOCH = datetime.date(1970, 1, 1)
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "circle-open")
_TEMPLATES = {"plain": "simple_white", "grey": "plotly", "minimal": "plotly_white"}


def draw(drawing: Drawing, folder: Path) -> list[Box | None]:
    """Draw the figure into the folder; where its plot areas are. Raises ValueError."""
    truth, look = drawing.truth, drawing.look
    boxes: list[Box] = layout.areas(truth.panels, look)
    figure = go.Figure()
    figure.update_layout(_layout(look, boxes[0]))
    if truth.panels[0].abstain:
        for trace in _NOT_READ[truth.panels[0].abstain](truth.panels[0], look):
            figure.add_trace(trace)
        figure.update_layout(_unread_layout(truth.panels[0], look))
    else:
        for index, (panel, box) in enumerate(zip(truth.panels, boxes, strict=True)):
            number_ = "" if index == 0 else str(index + 1)
            for trace in _traces(panel, look, index):
                trace.update(xaxis=f"x{number_}", yaxis=f"y{number_}")
                figure.add_trace(trace)
            x, y = _domain(box, look)
            figure.update_layout(
                {
                    f"xaxis{number_}": {**_axis(panel.x, look), "domain": x, "anchor": f"y{number_}"},
                    f"yaxis{number_}": {**_axis(panel.y, look), "domain": y, "anchor": f"x{number_}"},
                }
            )
        figure.update_layout(barmode="stack" if truth.panels[0].kind == "stacked_bar" else "group")
    _browser()
    figure.write_image(folder / truth.file, width=look.width, height=look.height, scale=1)
    return [None] if truth.panels[0].abstain else list(boxes)


@functools.cache
def _browser() -> None:
    """One Chromium for all figures; starting it takes seconds. It ends with this process."""
    kaleido.start_sync_server(silence_warnings=True)
    atexit.register(kaleido.stop_sync_server, silence_warnings=True)


def _domain(box: Box, look: Look) -> tuple[list[float], list[float]]:
    """Shares of the figure, which has no margins of its own; y grows upwards."""
    x0, y0, x1, y1 = box
    return [x0 / look.width, x1 / look.width], [1 - y1 / look.height, 1 - y0 / look.height]


def _layout(look: Look, box: Box) -> dict[str, Any]:
    em = layout.em_px(look)
    x0, y0, x1, y1 = box
    row, column = look.corner
    inside = {
        "x": (x1 - 0.5 * em if column == "right" else x0 + 0.5 * em) / look.width,
        "xanchor": column,
        "y": 1 - (y0 + 0.5 * em if row == "top" else y1 - 0.5 * em) / look.height,
        "yanchor": row,
        "bgcolor": "rgba(255,255,255,0.7)",
    }
    legends: dict[str, dict[str, Any]] = {
        "none": {},
        "inside": inside,
        "right": {"x": 1, "xanchor": "right", "y": 0.9, "yanchor": "top"},
        "below": {"x": 0.5, "xanchor": "center", "y": 0.0, "yanchor": "bottom", "orientation": "h"},
        "top": {"x": 0.5, "xanchor": "center", "y": 1.0, "yanchor": "top", "orientation": "h"},
    }
    return {
        "template": _TEMPLATES[look.theme],
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0, "autoexpand": False},
        "font": {"size": em * 0.85},
        "showlegend": look.legend != "none",
        "legend": legends[look.legend],
        "paper_bgcolor": look.background,
        "title": {"text": look.title, "x": 0.5, "y": 1 - 1.5 * em / look.height} if look.title else None,
    }


def _axis(axis: TruthAxis, look: Look) -> dict[str, Any]:
    made: dict[str, Any] = {"title": {"text": axis_title(axis, "[]")}, "showgrid": look.grid, "automargin": False}
    if look.frame:
        made |= {"showline": True, "mirror": True, "linecolor": "#444444", "ticks": "outside"}
    if axis.scale == "log":
        low, high = number(axis.low or 1), number(axis.high or 1)
        made |= {
            "type": "log",
            "range": [float(np.log10(low)), float(np.log10(high))],
            "dtick": 1,
            "exponentformat": "power",
        }
    elif axis.scale == "date":
        made |= {"type": "date", "range": [_day(axis.low or 0), _day(axis.high or 0)]}
    elif axis.scale == "linear":
        made |= {"range": [axis.low, axis.high], "zeroline": False}
        if axis.label == "Year":
            made["tickformat"] = "d"
    else:
        made |= {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": list(axis.categories),
            "showgrid": False,
        }
        made["title"] = None
    if look.rotate_ticks and axis.scale in ("category", "date"):
        made["tickangle"] = -45
    return made


def _day(place: Place) -> str:
    return (_EPOCH + datetime.timedelta(days=number(place))).isoformat()


def _traces(panel: TruthPanel, look: Look, index: int) -> Iterator[Any]:
    for i, series in enumerate(panel.series):
        xs = [_day(x) if panel.x.scale == "date" else x for x, _ in series.points]
        ys = [y for _, y in series.points]
        shown = {"name": series.name or "", "showlegend": series.name is not None and index == 0}
        colour = look.colours[i]
        half = list(look.errors[i]) if i < len(look.errors) else []
        if panel.kind == "line":
            if look.band:
                yield _band(xs, ys, half, colour)
            yield go.Scatter(
                x=xs,
                y=ys,
                mode="lines+markers" if look.markers else "lines",
                line={"color": colour, "width": look.line_px, "dash": _DASHES[i % 5] if look.dashes else "solid"},
                marker={"symbol": _SYMBOLS[i % 8], "size": 5 + 2 * look.line_px},
                error_y={"type": "data", "array": half} if half and not look.band else None,
                **shown,
            )
        elif panel.kind == "scatter":
            marker = {"color": colour, "symbol": _SYMBOLS[i % 8 if look.frame else 0], "size": 8}
            yield go.Scatter(x=xs, y=ys, mode="markers", marker=marker, **shown)
        else:
            yield go.Bar(
                x=ys if panel.horizontal else xs,
                y=xs if panel.horizontal else ys,
                orientation="h" if panel.horizontal else "v",
                marker={"color": colour, "line": {"width": 1 if look.frame else 0, "color": "#333333"}},
                text=[f"{y:.{look.decimals}f}" for y in ys] if look.values else None,
                textposition=("outside" if look.grid else "auto") if look.values else None,
                error_y={"type": "data", "array": half} if half else None,
                **shown,
            )


def _band(xs: list[Any], ys: list[float], half: list[float], colour: str) -> Any:
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return go.Scatter(
        x=xs + xs[::-1],
        y=[y + h for y, h in zip(ys, half, strict=True)] + [y - h for y, h in zip(ys, half, strict=True)][::-1],
        fill="toself",
        fillcolor=f"rgba({r},{g},{b},0.25)",
        line={"width": 0},
        mode="lines",
        showlegend=False,
    )


def _random(panel: TruthPanel, look: Look, *shape: int) -> Any:
    """Numbers between the ends of the panel's y axis, the same for the same figure."""
    rng = np.random.default_rng([look.width, look.height, int(look.line_px * 100), len(panel.x.label or "")])
    low, high = panel.y.low or 0.0, panel.y.high or 1.0
    return low + (high - low) * np.clip(rng.normal(0.5, 0.18, shape), 0, 1)


def _unread_layout(panel: TruthPanel, look: Look) -> dict[str, Any]:
    em = layout.em_px(look)
    made: dict[str, Any] = {
        "margin": {"l": int(6 * em), "r": int(6 * em), "t": int(4 * em), "b": int(5 * em), "autoexpand": True},
        "showlegend": panel.abstain in ("pie", "radar", "twin_axes"),
        "legend": None,
        "xaxis": {"title": {"text": axis_title(panel.x)}},
        "yaxis": {"title": {"text": axis_title(panel.y)}},
    }
    if panel.abstain == "twin_axes":
        made["yaxis2"] = {"overlaying": "y", "side": "right", "title": {"text": "Count"}}
    return made


def _pie(panel: TruthPanel, look: Look) -> Iterator[Any]:
    labels = [f"Part {i + 1}" for i in range(5)]
    yield go.Pie(labels=labels, values=np.abs(_random(panel, look, 5)) + 1e-3, hole=0.4 if look.frame else 0)


def _heat_map(panel: TruthPanel, look: Look) -> Iterator[Any]:
    yield go.Heatmap(z=_random(panel, look, 9, 13), colorscale="Viridis")


def _box_plot(panel: TruthPanel, look: Look) -> Iterator[Any]:
    for i in range(4):
        yield go.Box(y=_random(panel, look, 4, 50)[i], name="ABCD"[i], marker={"color": look.colours[i]})


def _violin(panel: TruthPanel, look: Look) -> Iterator[Any]:
    for i in range(3):
        yield go.Violin(y=_random(panel, look, 3, 60)[i], name="ABC"[i], marker={"color": look.colours[i]})


def _surface(panel: TruthPanel, look: Look) -> Iterator[Any]:
    yield (
        go.Scatter3d(x=_random(panel, look, 60), y=_random(panel, look, 60)[::-1], z=_random(panel, look, 60))
        if (look.frame)
        else go.Surface(z=_random(panel, look, 15, 15))
    )


def _radar(panel: TruthPanel, look: Look) -> Iterator[Any]:
    for i in range(2):
        values = _random(panel, look, 2, 6)[i]
        yield go.Scatterpolar(
            r=values, theta=list("ABCDEF"), fill="toself", line={"color": look.colours[i]}, name=f"P{i}"
        )


def _twin_axes(panel: TruthPanel, look: Look) -> Iterator[Any]:
    data = _random(panel, look, 2, 30)
    yield go.Bar(y=np.abs(data[1]) * 7 + 15, name="Count", yaxis="y2", opacity=0.4, marker={"color": look.colours[1]})
    yield go.Scatter(y=data[0], name="Value", mode="lines+markers", line={"color": look.colours[0]})


def _sunburst(_panel: TruthPanel, _look: Look) -> Iterator[Any]:
    labels = ["All", "A", "B", "C", "A1", "A2", "B1"]
    yield go.Sunburst(
        labels=labels, parents=["", "All", "All", "All", "A", "A", "B"], values=[60, 30, 20, 10, 18, 12, 9]
    )


def _sankey(_panel: TruthPanel, _look: Look) -> Iterator[Any]:
    links = {"source": [0, 0, 1, 2], "target": [2, 3, 3, 4], "value": [8, 4, 2, 8]}
    yield go.Sankey(node={"label": ["In", "Grid", "Store", "Loss", "Out"]}, link=links)


_NOT_READ: dict[str, Callable[[TruthPanel, Look], Iterator[Any]]] = {
    "pie": _pie,
    "heat_map": _heat_map,
    "box_plot": _box_plot,
    "violin": _violin,
    "surface": _surface,
    "radar": _radar,
    "twin_axes": _twin_axes,
    "sunburst": _sunburst,
    "sankey": _sankey,
}
