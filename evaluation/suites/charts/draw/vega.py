"""Figures by Vega-Lite, drawn without a browser by vl-convert."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import vl_convert

from evaluation.suites.charts.draw import layout
from evaluation.suites.charts.draw.specs import Drawing, Look, axis_title, number
from evaluation.suites.charts.truth import Place, TruthAxis, TruthPanel
from llava_graph.chart import Box

_EPOCH = datetime.date(1970, 1, 1)
_DASHES = ([1, 0], [8, 4], [2, 3], [8, 3, 2, 3], [12, 4])


def draw(drawing: Drawing, folder: Path) -> list[Box | None]:
    """Draw the figure into the folder; where its plot areas are, None for several panels. Raises ValueError."""
    truth, look = drawing.truth, drawing.look
    panels = truth.panels
    boxes: list[Box | None] = list(layout.areas(panels, look))
    if panels[0].abstain:
        view = _NOT_READ[panels[0].abstain](panels[0], look)
        sized = _sized(view, boxes[0], look)
        boxes = [None]
    elif len(panels) == 1:
        sized = _sized(_view(panels[0], look), boxes[0], look)
    else:
        cells = [{**_view(panel, look), "width": 340, "height": 240} for panel in panels]
        sized = {"hconcat": cells, "resolve": {"scale": {"x": "independent", "y": "independent"}}}
        boxes = [None] * len(panels)
    if look.title:
        sized["title"] = look.title
    specification = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", **sized, "config": _config(look)}
    png = vl_convert.vegalite_to_png(vl_spec=specification, scale=1, ppi=72)
    (folder / truth.file).write_bytes(png)
    return boxes


def _sized(view: dict[str, Any], box: Box | None, look: Look) -> dict[str, Any]:
    if box is None:
        raise ValueError("the plot area is not known")
    x0, y0, x1, y1 = box
    padding = {"left": x0, "top": y0, "right": look.width - x1, "bottom": look.height - y1}
    fixed = {"autosize": {"type": "none"}, "padding": padding}
    return {**view, "width": x1 - x0, "height": y1 - y0, **fixed}


def _config(look: Look) -> dict[str, Any]:
    em = layout.em_px(look)
    legends: dict[str, dict[str, Any]] = {
        "right": {"orient": "right"},
        "below": {"orient": "bottom", "offset": 3.4 * em},
        "top": {"orient": "top"},
        "inside": {"orient": "-".join(look.corner), "fillColor": "#ffffffcc"},
        "none": {},
    }
    axis: dict[str, Any] = {
        "grid": look.grid,
        "labelFontSize": em * 0.8,
        "titleFontSize": em * 0.9,
        "domain": look.frame,
        "ticks": look.theme != "minimal",
    }
    return {
        "background": look.background,
        "axis": axis,
        "axisX": {"labelAngle": -45} if look.rotate_ticks else {"labelAngle": 0},
        "legend": {"labelFontSize": em * 0.85, "title": None, **legends[look.legend]},
        "title": {"fontSize": em * 1.1},
        "view": {"stroke": "#888888" if look.frame else None},
    }


def _scaled(axis: TruthAxis, **more: Any) -> dict[str, Any]:
    """The encoding channel of a value axis."""
    kinds = {"date": "temporal", "category": "nominal"}
    scale: dict[str, Any] = {"domain": [_shown(axis.low, axis), _shown(axis.high, axis)], "nice": False, "zero": False}
    channel: dict[str, Any] = {"type": kinds.get(axis.scale, "quantitative"), "title": axis_title(axis) or None, **more}
    if axis.scale == "log":
        scale["type"] = "log"
        channel["axis"] = {"format": ".1~e" if (axis.high or 0) < 10 else "~s", "tickCount": 5}
    elif axis.label == "Year":
        channel["axis"] = {"format": "d", "tickCount": 8}
    channel["scale"] = scale
    return channel


def _shown(place: Place | None, axis: TruthAxis) -> Any:
    """The value as the specification wants it; dates as text."""
    if axis.scale != "date" or place is None:
        return place
    return (_EPOCH + datetime.timedelta(days=number(place))).isoformat()


def _rows(panel: TruthPanel, look: Look) -> list[dict[str, Any]]:
    return [
        {
            "series": series.name or "",
            "x": _shown(x, panel.x) if not isinstance(x, str) else x,
            "y": y,
            "low": y - (look.errors[i][k] if i < len(look.errors) else 0),
            "high": y + (look.errors[i][k] if i < len(look.errors) else 0),
            "order": i,
        }
        for i, series in enumerate(panel.series)
        for k, (x, y) in enumerate(series.points)
    ]


def _view(panel: TruthPanel, look: Look) -> dict[str, Any]:
    names = [series.name or "" for series in panel.series]
    legend: dict[str, Any] | None = None if len(names) == 1 else {}
    colour: dict[str, Any] = {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": names, "range": list(look.colours[: len(names)])},
        "title": None,
    }
    if legend is None:
        colour["legend"] = None
    data = {"values": _rows(panel, look)}
    if panel.kind == "line":
        return {"data": data, "layer": _line_layers(panel, look, colour)}
    if panel.kind == "scatter":
        encoding = {"x": _scaled(panel.x, field="x"), "y": _scaled(panel.y, field="y"), "color": colour}
        if len(names) > 1 and look.frame:
            encoding["shape"] = {"field": "series", "type": "nominal", "scale": {"domain": names}, "title": None}
        return {"data": data, "mark": {"type": "point", "filled": not look.grid, "size": 50}, "encoding": encoding}
    return {"data": data, "layer": _bar_layers(panel, look, colour)}


def _line_layers(panel: TruthPanel, look: Look, colour: dict[str, Any]) -> list[dict[str, Any]]:
    x, y = _scaled(panel.x, field="x"), _scaled(panel.y, field="y")
    line: dict[str, Any] = {"type": "line", "strokeWidth": look.line_px, "clip": True}
    if look.markers:
        line["point"] = {"size": 30 + 8 * look.line_px}
    encoding: dict[str, Any] = {"x": x, "y": y, "color": colour}
    if look.dashes:
        names = [series.name for series in panel.series]
        dashes = {"domain": names, "range": list(_DASHES[: len(names)])}
        encoding["strokeDash"] = {"field": "series", "type": "nominal", "scale": dashes, "title": None}
    layers = []
    if look.errors:
        mark = {"type": "area", "opacity": 0.25} if look.band else {"type": "rule", "strokeWidth": look.line_px * 0.7}
        layers.append(
            {"mark": mark, "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour}}
        )
    return [*layers, {"mark": line, "encoding": encoding}]


def _bar_layers(panel: TruthPanel, look: Look, colour: dict[str, Any]) -> list[dict[str, Any]]:
    category_axis = panel.y if panel.horizontal else panel.x
    across = {
        "field": "x",
        "type": "nominal",
        "sort": list(category_axis.categories),
        "title": None,
        "scale": {"paddingInner": 0.25, "paddingOuter": 0.15},
    }
    along = _scaled(panel.value_axis, field="y")
    letters = ("y", "x") if panel.horizontal else ("x", "y")
    names = [series.name for series in panel.series]
    encoding: dict[str, Any] = {letters[0]: across, letters[1]: along}
    if panel.kind == "grouped_bar":
        encoding[f"{letters[0]}Offset"] = {"field": "series", "type": "nominal", "sort": names}
    if panel.kind == "stacked_bar":
        encoding["order"] = {"field": "order"}
    else:
        along["stack"] = None
    mark: dict[str, Any] = {"type": "bar"}
    if look.frame:
        mark["stroke"] = "black"
    layers: list[dict[str, Any]] = [{"mark": mark, "encoding": {**encoding, "color": colour}}]
    if look.errors:
        ends = {letters[1]: {**along, "field": "low"}, f"{letters[1]}2": {"field": "high"}}
        layers.append({"mark": {"type": "rule", "strokeWidth": 1.5}, "encoding": {**encoding, **ends}})
    if look.values:
        place = {"align": "left", "dx": 3} if panel.horizontal else {"baseline": "bottom", "dy": -2}
        text = {"field": "y", "type": "quantitative", "format": f".{look.decimals}f"}
        font = layout.em_px(look) * 0.75
        layers.append({"mark": {"type": "text", "fontSize": font, **place}, "encoding": {**encoding, "text": text}})
    return layers


def _random(panel: TruthPanel, look: Look, *shape: int) -> Any:
    """Numbers between the ends of the panel's y axis, the same for the same figure."""
    rng = np.random.default_rng([look.width, look.height, int(look.line_px * 100), len(panel.x.label or "")])
    low, high = panel.y.low or 0.0, panel.y.high or 1.0
    return low + (high - low) * np.clip(rng.normal(0.5, 0.18, shape), 0, 1)


def _titles(panel: TruthPanel) -> tuple[dict[str, Any], dict[str, Any]]:
    x = {"field": "x", "title": axis_title(panel.x)}
    y = {"field": "y", "title": axis_title(panel.y), "scale": {"zero": False}}
    return x, y


def _pie(panel: TruthPanel, look: Look) -> dict[str, Any]:
    shares = np.abs(_random(panel, look, 5)) + 1e-3
    rows = [{"group": f"Part {i + 1}", "share": round(float(s), 3)} for i, s in enumerate(shares)]
    encoding = {"theta": {"field": "share", "type": "quantitative"}, "color": {"field": "group", "type": "nominal"}}
    return {
        "data": {"values": rows},
        "mark": {"type": "arc", "innerRadius": 40 if look.frame else 0},
        "encoding": encoding,
    }


def _heat_map(panel: TruthPanel, look: Look) -> dict[str, Any]:
    grid = _random(panel, look, 10, 14)
    rows = [{"x": k, "y": i, "value": float(v)} for i, line in enumerate(grid) for k, v in enumerate(line)]
    x, y = _titles(panel)
    encoding = {
        "x": {**x, "type": "ordinal"},
        "y": {"field": "y", "title": y["title"], "type": "ordinal"},
        "color": {"field": "value", "type": "quantitative"},
    }
    return {"data": {"values": rows}, "mark": "rect", "encoding": encoding}


def _box_plot(panel: TruthPanel, look: Look) -> dict[str, Any]:
    data = _random(panel, look, 4, 50)
    rows = [{"x": "ABCD"[i], "y": float(v)} for i, group in enumerate(data) for v in group]
    x, y = _titles(panel)
    encoding = {
        "x": {**x, "type": "nominal"},
        "y": {**y, "type": "quantitative"},
        "color": {"field": "x", "legend": None},
    }
    return {"data": {"values": rows}, "mark": {"type": "boxplot", "size": 40}, "encoding": encoding}


def _histogram(panel: TruthPanel, look: Look) -> dict[str, Any]:
    rows = [{"x": float(v)} for v in _random(panel, look, 300)]
    encoding = {
        "x": {"field": "x", "bin": {"maxbins": 24}, "title": axis_title(panel.y)},
        "y": {"aggregate": "count", "title": "Count"},
    }
    return {"data": {"values": rows}, "mark": {"type": "bar", "color": look.colours[0]}, "encoding": encoding}


def _twin_axes(panel: TruthPanel, look: Look) -> dict[str, Any]:
    data = _random(panel, look, 30, 2)
    rows = [{"x": i, "y": float(a), "count": float(abs(b)) * 13 + 20} for i, (a, b) in enumerate(data)]
    x, y = _titles(panel)
    bars = {
        "mark": {"type": "bar", "color": look.colours[1], "opacity": 0.5},
        "encoding": {
            "x": {**x, "type": "quantitative"},
            "y": {"field": "count", "type": "quantitative", "title": "Count"},
        },
    }
    line = {
        "mark": {"type": "line", "color": look.colours[0]},
        "encoding": {"x": {**x, "type": "quantitative"}, "y": {**y, "type": "quantitative"}},
    }
    return {"data": {"values": rows}, "layer": [bars, line], "resolve": {"scale": {"y": "independent"}}}


def _area(panel: TruthPanel, look: Look, stack: str = "zero") -> dict[str, Any]:
    data = np.abs(_random(panel, look, 3, 40)) + 1e-3
    rows = [
        {"x": k, "y": float(v), "group": f"Layer {i + 1}"} for i, line in enumerate(data) for k, v in enumerate(line)
    ]
    x, y = _titles(panel)
    encoding = {
        "x": {**x, "type": "quantitative"},
        "y": {"field": "y", "title": y["title"], "type": "quantitative", "stack": stack},
        "color": {"field": "group", "type": "nominal", "scale": {"range": list(look.colours[:3])}},
    }
    return {"data": {"values": rows}, "mark": "area", "encoding": encoding}


def _streamgraph(panel: TruthPanel, look: Look) -> dict[str, Any]:
    return _area(panel, look, "center")


_NOT_READ: dict[str, Callable[[TruthPanel, Look], dict[str, Any]]] = {
    "pie": _pie,
    "heat_map": _heat_map,
    "box_plot": _box_plot,
    "histogram": _histogram,
    "twin_axes": _twin_axes,
    "area": _area,
    "streamgraph": _streamgraph,
}
