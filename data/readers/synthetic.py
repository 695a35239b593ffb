"""Our own synthetic figures, as `llava-graph data synthetic` writes them: captions.jsonl and truth.jsonl in one folder.

The texts are true, with true boxes, so they stand as OCR lines of confidence 1. `explanation` is the paragraph that a
model trains towards. Where truth.jsonl has `chart` (the form of llava_graph/chart.py), it is the record's chart; the
generator's spec alone says no pixel of any point, so no chart is made of it. Each figure is a paper of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from data.errors import FormatError
from data.readers.base import Reader, Source, text, without_suffix
from data.record import FigureReference, Record
from data.tally import Tally
from llava_graph import chart as charts
from llava_graph.ocr import Line, reading_order

LICENCE = "Apache-2.0"


def _records(source: Source, tally: Tally) -> Iterator[Record]:
    captions = _lines(source.path / "captions.jsonl")
    truths = _lines(source.path / "truth.jsonl")
    for number, (caption, truth) in enumerate(zip_longest(captions, truths), 1):
        if caption is None or truth is None:
            raise FormatError(f"{source.path}: captions.jsonl and truth.jsonl differ in length")
        found = _record(caption, truth, f"row {number}", source.split, tally)
        if found is not None:
            yield found


def _lines(path: Path) -> Iterator[Any]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise FormatError(f"{path}:{number}: not JSON: {error}") from error
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from error


def _record(caption: Any, truth: Any, place: str, split: str | None, tally: Tally) -> Record | None:
    try:
        name = truth["file"]
        if caption["file"] != name:
            raise ValueError("captions.jsonl and truth.jsonl are of different figures")
        lines = [Line(str(entry["text"]), _box(entry["box"])) for entry in truth["texts"]]
        kinds = [panel["kind"] for panel in truth["spec"]["panels"]]
        figure = FigureReference(str(name), None, None, int(truth["width"]), int(truth["height"]))
        told, explanation = text(caption, "caption"), text(truth, "explanation")
    except (KeyError, TypeError, ValueError):
        tally.add("row_unreadable", place)
        return None
    record_id = without_suffix(figure.name)
    chart = None
    if truth.get("chart") is not None:
        try:
            chart = charts.from_json(truth["chart"])
        except charts.ChartFormatError:
            tally.add("chart_unreadable", record_id)
    return Record(
        id=record_id,
        source="synthetic",
        licence=LICENCE,
        figure=figure,
        caption=told,
        lines=tuple(reading_order(lines)),
        chart=chart,
        paragraphs=(explanation,) if explanation else (),
        figure_type=", ".join(dict.fromkeys(kinds)),
        split=split,
    )


def _box(value: Any) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(edge) for edge in value)
    return x0, y0, x1, y1


READER = Reader("synthetic", "our synthetic figures: captions.jsonl and truth.jsonl", LICENCE, _records)
