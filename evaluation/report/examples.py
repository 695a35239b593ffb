"""Examples side by side: the figure with what was read in it, and every run's answer with what the checks say of it.

Images are scaled down and put into the page. Text and coordinates come from figures and models: they are data here, and
stay so in the page, which escapes them. It renders no HTML.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.answers.questions import image_path
from evaluation.errors import InputError
from evaluation.report.parts import Example, ExampleAnswer, Overlay, Span
from evaluation.report.runs import Run
from evaluation.rows import Row, by_id
from llava_graph.figure import FigureError, open_figure

MAX_SIDE_PX = 900
MAX_ANSWER_CHARS = 4000

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_DEFAULT_COLOUR = "#d55e00"


def examples_of(
    runs: Sequence[Run],
    images: Path | None,
    references: Sequence[Row] | None,
    count: int,
    wanted: Sequence[str] = (),
) -> list[Example]:
    """`count` questions, evenly spread over those that every run with answers has answered; or those of `wanted`.

    Raises InputError for a wanted question that a run lacks, and for an image that is missing or broken.
    """
    answered = [run for run in runs if run.answers]
    if not answered:
        return []
    common = [key for key in answered[0].answers if all(key in run.answers for run in answered)]
    if missing := [key for key in wanted if key not in common]:
        raise InputError(f"question {missing[0]} is not answered by every run")
    keys = list(wanted) or _spread(common, count)
    true = by_id(references, "the references") if references is not None else {}
    return [_example(key, answered, images, true.get(key)) for key in keys]


def spans_of(text: str, metadata: Mapping[str, Any]) -> list[Span]:
    """The answer in stretches: those that checks or grounding speak of, and the rest between them. Stretches that lie
    outside the text or overlap an earlier one are left out: a page about an answer must show all of it, once."""
    checks, links = _dicts(metadata.get("checks")), _dicts(metadata.get("grounding"))
    marks = [(*_ends(check), str(check.get("verdict", "")), _said(check)) for check in checks]
    marks += [(*_ends(link), "named", "stands in the figure") for link in links]
    spans: list[Span] = []
    at = 0
    # At one place the check comes before the grounding: it says more.
    for start, end, kind, title in sorted(marks, key=lambda mark: (mark[0], mark[2] == "named")):
        if not at <= start < end <= len(text):
            continue
        if start > at:
            spans.append(Span(text[at:start]))
        spans.append(Span(text[start:end], kind, title))
        at = end
    if at < len(text) or not spans:
        spans.append(Span(text[at:]))
    return spans


def overlays_of(metadata: Mapping[str, Any]) -> list[Overlay]:
    """Boxes of the lines and what was traced, as far as their coordinates are numbers."""
    found = []
    for line in _dicts(metadata.get("lines")):
        box = line.get("box")
        if isinstance(box, list) and len(box) == 4 and all(_is_number(value) for value in box):
            x0, y0, x1, y1 = (float(value) for value in box)
            found.append(Overlay(str(line.get("text", "")), box=(x0, y0, x1, y1)))
    chart = metadata.get("chart")
    for panel in _dicts(chart.get("panels") if isinstance(chart, dict) else None):
        for series in _dicts(panel.get("series")):
            places = [
                (float(point["px"]), float(point["py"]))
                for point in _dicts(series.get("points"))
                if _is_number(point.get("px")) and _is_number(point.get("py"))
            ]
            if places:
                found.append(_series(series, places, is_curve=panel.get("kind") == "line"))
    return found


def _series(series: Mapping[str, Any], places: Sequence[tuple[float, float]], *, is_curve: bool) -> Overlay:
    colour = str(series.get("colour") or "")
    return Overlay(
        str(series.get("name") or "a series without a name"),
        curve=" ".join(f"{x:.1f},{y:.1f}" for x, y in places) if is_curve else "",
        dots=() if is_curve else [(round(x, 1), round(y, 1)) for x, y in places],
        colour=colour if _COLOUR.fullmatch(colour) else _DEFAULT_COLOUR,
    )


def _example(key: str, runs: Sequence[Run], images: Path | None, reference: Row | None) -> Example:
    rows = {run.name: run.answers[key] for run in runs}
    first = next(iter(rows.values()))
    metadata = {name: _metadata(row) for name, row in rows.items()}
    image = next((m["image"] for m in metadata.values() if m.get("image")), None)
    # The fullest reading: under the context `none` a run holds none.
    overlays = max((overlays_of(m) for m in metadata.values()), key=len)
    uri, width, height = _image(images, image) if images is not None and image else (None, 0, 0)
    return Example(
        key,
        str(first.get("prompt", "")),
        str(_metadata(first).get("category", "")),
        None if reference is None else str(reference.get("text", "")),
        [
            ExampleAnswer(name, spans_of(str(row.get("text", ""))[:MAX_ANSWER_CHARS], metadata[name]))
            for name, row in rows.items()
        ],
        uri,
        width,
        height,
        overlays if uri else (),
    )


def _image(folder: Path, name: str) -> tuple[str, int, int]:
    """The image as a data URI, and its size before it was scaled down: the overlays are in those pixels."""
    path = image_path(folder, name)
    try:
        figure = open_figure(path.read_bytes())
    except (FigureError, OSError) as error:
        raise InputError(f"{path}: {error}") from error
    small = figure.image.copy()
    small.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    encoded = base64.b64encode(file.getvalue()).decode("ascii")
    return f"data:image/png;base64,{encoded}", figure.width, figure.height


def _spread(keys: Sequence[str], count: int) -> list[str]:
    if len(keys) <= count:
        return list(keys)
    return [keys[index * len(keys) // count] for index in range(count)]


def _ends(mark: Mapping[str, Any]) -> tuple[int, int]:
    start, end = mark.get("start"), mark.get("end")
    return (start, end) if isinstance(start, int) and isinstance(end, int) else (-1, -1)


def _said(check: Mapping[str, Any]) -> str:
    facts = [f"{name}: {value}" for name, value in check.items() if name not in ("start", "end") and value is not None]
    return "; ".join(facts)


def _metadata(row: Row) -> Mapping[str, Any]:
    metadata = row.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _dicts(value: object) -> list[Mapping[str, Any]]:
    """The objects of an array; readings that did not come from a file hold tuples."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, (list, tuple)) else []


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
