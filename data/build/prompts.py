"""What a model is told of a figure: the original LLaVA-Graph's prompts to the character, and ours through
llava_graph.context.

In every conversation that leaves here `<image>` marks the image, and all other characters are text, line breaks
included: `<image>\\n` of the original has a line break that its model sees, and ours has none, because a chat template
puts the image part and the text part of a message one after the other.

    llava-graph   the original's context prompt: OCR text, caption with its index, then instruction and image
    scigraphqa    question and image, without context: the original's question-and-answer stage
    deplot        the original's DePlot prompt: the chart's table, then question and image
    as-read       the record's own conversation, with `<image>` where its source has it
    others        the names of llava_graph.context.TEMPLATES: as the gateway asks

The original has its image on either side of instruction or question, about half of the time each.

Texts of others are untrusted. Where `context.harmless` finds nothing, the original's prompts keep them as they are,
white space included; where it finds something, the whole text is neutralised, and counted.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.record import IMAGE_TOKEN, Record
from llava_graph import context
from llava_graph.chart import Chart, Panel
from llava_graph.context import TEMPLATES, FigureContext, Turn, harmless, original_context
from llava_graph.ocr import reading_order

ORIGINAL_PROMPTS = ("llava-graph", "as-read", "scigraphqa", "deplot")
PROMPTS = (*ORIGINAL_PROMPTS, *TEMPLATES)

_IMAGE_AND_BREAK = re.compile(rf"{IMAGE_TOKEN}\n?|\n{IMAGE_TOKEN}")
_DEPLOT_OPENING = "The underlying data table of the figure below is:"
_DEPLOT_ROW = "<0x0A>"
_DEPLOT_CELL = " | "


class NoChartError(Exception):
    """The prompt shows chart data and the record has none."""


@dataclass(frozen=True, slots=True)
class Worded:
    """A conversation as it is trained on, and how many spots of it were neutralised."""

    turns: tuple[Turn, ...]
    neutralised: int


def word(prompt: str, record: Record, turns: Sequence[Turn], rng: random.Random) -> Worded:
    """The conversation `turns` (which say no `<image>`) about the record's figure, under any prompt but `as-read`.

    `rng` decides on which side of the text the original's prompts put the image. Raises NoChartError for `deplot` on a
    record without chart data, KeyError for a prompt that does not exist, ValueError for turns that do not alternate.
    """
    if prompt in TEMPLATES:
        return _ours(prompt, record, turns)
    question, *rest = turns
    asked, hits = harmless(question.text)
    if prompt == "llava-graph":
        told, count = _original(record)
        first = told + _with_image(asked, rng)
        hits += count
    elif prompt == "deplot":
        # Row by row: the marks between rows are the original's own, what stands in the cells is untrusted.
        rows = [harmless(row) for row in deplot_table(record.chart)]
        first = _DEPLOT_OPENING + _DEPLOT_ROW.join(row for row, _ in rows) + _with_image(asked, rng)
        hits += sum(count for _, count in rows)
    elif prompt == "scigraphqa":
        first = _with_image(asked, rng)
    else:
        raise KeyError(prompt)
    worded = [Turn("user", first)]
    for turn in rest:
        text, count = harmless(turn.text)
        hits += count
        worded.append(Turn(turn.role, text))
    return Worded(tuple(worded), hits)


def as_read(turns: Sequence[Turn]) -> Worded:
    """A conversation with its `<image>`, if it has one, where it stands; all else of it harmless."""
    worded, hits = [], 0
    for turn in turns:
        parts = [harmless(part) for part in turn.text.split(IMAGE_TOKEN)]
        worded.append(Turn(turn.role, IMAGE_TOKEN.join(part for part, _ in parts)))
        hits += sum(count for _, count in parts)
    return Worded(tuple(worded), hits)


def without_image(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The conversation without `<image>` and the line break beside it, to be worded anew."""
    return tuple(Turn(turn.role, _IMAGE_AND_BREAK.sub("", turn.text)) for turn in turns)


def _original(record: Record) -> tuple[str, int]:
    """The original's context. Words that the source gives without boxes stand in where no line was read."""
    lines = [line.text for line in reading_order(record.lines)] or list(record.texts)
    return original_context(lines, record.caption)


def _with_image(text: str, rng: random.Random) -> str:
    return f"{IMAGE_TOKEN}\n{text}" if rng.random() < 0.5 else f"{text}\n{IMAGE_TOKEN}"


def _ours(template: str, record: Record, turns: Sequence[Turn]) -> Worded:
    """Exactly the messages that the gateway would send, written with `<image>` for the image part."""
    figure = record.figure
    assert figure is not None
    known = FigureContext(figure.width, figure.height, record.caption, reading_order(record.lines), record.chart)
    messages, hits = context.conversation(template, known, turns, {"type": "image"})
    return Worded(tuple(_turn(message) for message in messages), hits)


def _turn(message: Mapping[str, Any]) -> Turn:
    parts = (IMAGE_TOKEN if part["type"] == "image" else part["text"] for part in message["content"])
    return Turn(message["role"], "".join(parts))


def deplot_table(chart: Chart | None) -> list[str]:
    """The chart's first panel that claims data, as the rows of the table that DePlot writes.

    `TITLE | `, then a row of column names, then a row for each x. Liu et al., DePlot (2022). Raises NoChartError.
    """
    for panel in chart.panels if chart else ():
        if any(series.abstained is None and series.points for series in panel.series):
            return _rows(panel)
    raise NoChartError


def _rows(panel: Panel) -> list[str]:
    series = [entry for entry in panel.series if entry.abstained is None and entry.points]
    names = [entry.name or panel.y.label or f"series {number}" for number, entry in enumerate(series, 1)]
    values: dict[float | str, dict[int, float]] = {}
    for number, entry in enumerate(series):
        for point in entry.points:
            values.setdefault(point.x, {})[number] = point.y
    # Categories keep the order in which they stand; numbers go up.
    places = sorted(values, key=lambda x: (isinstance(x, str), x if isinstance(x, float | int) else 0.0))
    rows = [["TITLE", ""], [_cell(panel.x.label), *(_cell(name) for name in names)]]
    rows += [[_cell(x), *(_cell(values[x].get(number)) for number in range(len(series)))] for x in places]
    return [_DEPLOT_CELL.join(row) for row in rows]


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    return " ".join(value.split()) if isinstance(value, str) else f"{value:.6g}"
