"""The one record: a figure with all that a data set or a reader of figures says about it.

Readers make records, `ocr` adds lines and chart, `dialogues` adds conversations, `build` turns them into training
conversations. A record holds no pixels: the image travels beside it in the shard (shards.py). Nothing here knows a
format of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llava_graph import chart as charts
from llava_graph.chart import Chart
from llava_graph.context import Turn
from llava_graph.ocr import Line

IMAGE_TOKEN = "<image>"
"""Marks in a conversation where its image stands, in the turns of records and samples as in LLaVA's list-JSON."""

_ALWAYS = ("id", "source", "licence", "figure")

SPEAKERS = {"human": "user", "gpt": "assistant"}
"""LLaVA's names of the two who speak, and ours."""


@dataclass(frozen=True, slots=True)
class FigureReference:
    """Which image it is and where it comes from. `width` and `height` are pixels of the upright image, 0 until known.

    `name` is the image's path below the image folder, as the data set writes it. `paper` is an arXiv id without its
    version; `number` is the figure's number in the paper as the file name has it ("2", "6.1", "10-7", "S3").
    """

    name: str
    paper: str | None = None
    number: str | None = None
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One figure, or one text-only conversation where `figure` is None.

    `caption` keeps the figure index ("Fig. 6. …") where the source has it. `texts` are words of the figure that the
    source gives without boxes; `lines` are OCR lines with boxes. `paragraphs` mention the figure, first mention first;
    `mentions` holds, for each of them, its sentences that do. `split` is what the source says: train, val or test.
    """

    id: str
    source: str
    licence: str
    figure: FigureReference | None
    caption: str = ""
    lines: tuple[Line, ...] = ()
    texts: tuple[str, ...] = ()
    chart: Chart | None = None
    mentions: tuple[tuple[str, ...], ...] = ()
    paragraphs: tuple[str, ...] = ()
    conversations: tuple[Turn, ...] = ()
    title: str = ""
    abstract: str = ""
    figure_type: str = ""
    split: str | None = None

    @property
    def paper(self) -> str | None:
        return self.figure.paper if self.figure else None

    @property
    def group(self) -> str:
        """What must stay within one split: the paper; the image where no paper is known; else the record itself."""
        if self.figure is None:
            return f"id:{self.source}:{self.id}"
        return f"paper:{self.figure.paper}" if self.figure.paper else f"image:{self.source}:{self.figure.name}"


def to_json(record: Record) -> dict[str, Any]:
    """The record as JSON objects; empty fields are left out, but for the first four."""
    figure = record.figure
    fields: dict[str, Any] = {
        "id": record.id,
        "source": record.source,
        "licence": record.licence,
        "figure": None
        if figure is None
        else {
            "name": figure.name,
            "paper": figure.paper,
            "number": figure.number,
            "width": figure.width,
            "height": figure.height,
        },
        "caption": record.caption,
        "lines": [line.to_json() for line in record.lines],
        "texts": list(record.texts),
        "chart": None if record.chart is None else charts.to_json(record.chart),
        "mentions": [list(sentences) for sentences in record.mentions],
        "paragraphs": list(record.paragraphs),
        "conversations": turns_to_json(record.conversations),
        "title": record.title,
        "abstract": record.abstract,
        "figure_type": record.figure_type,
        "split": record.split,
    }
    return {name: value for name, value in fields.items() if name in _ALWAYS or value not in (None, "", [])}


def from_json(raw: Mapping[str, Any]) -> Record:
    """The inverse of `to_json`; raises KeyError, TypeError or ValueError on anything else."""
    figure = raw["figure"]
    return Record(
        id=str(raw["id"]),
        source=str(raw["source"]),
        licence=str(raw["licence"]),
        figure=None if figure is None else FigureReference(**figure),
        caption=str(raw.get("caption", "")),
        lines=tuple(Line.from_json(line) for line in raw.get("lines", ())),
        texts=tuple(raw.get("texts", ())),
        chart=charts.from_json(raw["chart"]) if raw.get("chart") is not None else None,
        mentions=tuple(tuple(sentences) for sentences in raw.get("mentions", ())),
        paragraphs=tuple(raw.get("paragraphs", ())),
        conversations=turns_from_json(raw.get("conversations", ())),
        title=str(raw.get("title", "")),
        abstract=str(raw.get("abstract", "")),
        figure_type=str(raw.get("figure_type", "")),
        split=raw.get("split"),
    )


def turns_to_json(turns: tuple[Turn, ...]) -> list[dict[str, str]]:
    """Turns as LLaVA writes them: `{"from": "human" | "gpt", "value": text}`."""
    names = {role: speaker for speaker, role in SPEAKERS.items()}
    return [{"from": names[turn.role], "value": turn.text} for turn in turns]


def turns_from_json(raw: Any) -> tuple[Turn, ...]:
    """The inverse of `turns_to_json`; raises KeyError, TypeError or ValueError on anything else."""
    turns = []
    for entry in raw:
        speaker, value = entry["from"], entry["value"]
        if speaker not in SPEAKERS or not isinstance(value, str):
            raise ValueError(f"a turn is from {speaker!r} with a value of type {type(value).__name__}")
        turns.append(Turn("user" if speaker == "human" else "assistant", value))
    return tuple(turns)
