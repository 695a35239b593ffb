"""The names in a training figure: of the generator's figures and of those drawn by other tools.

Values are not here: what a target says of values comes from what was read. Nothing here knows a reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.synthetic.spec import FigureSpec
from llava_graph.chart_text import KIND_WORDS


@dataclass(frozen=True, slots=True)
class PanelNames:
    """`kind` in words ("line chart"), None where it is of no kind that has a word. Labels are without units."""

    kind: str | None
    x: str | None
    y: str | None
    series: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


FigureNames = tuple[PanelNames, ...]


def of_spec(spec: FigureSpec) -> FigureNames:
    """The names in a figure of the generator."""
    return tuple(
        PanelNames(
            KIND_WORDS[panel.kind],
            panel.x.quantity,
            panel.y.quantity,
            tuple(series.name for series in panel.series) if panel.legend else (),
            panel.categories,
        )
        for panel in spec.panels
    )


def of_record(raw: Mapping[str, Any]) -> FigureNames:
    """The names in a figure whose truth is a JSON object in the format of the chart sets (truth.jsonl)."""
    return tuple(
        PanelNames(
            None if panel.get("abstain") or panel["kind"] == "other" else KIND_WORDS[panel["kind"]],
            panel["x"].get("label"),
            panel["y"].get("label"),
            tuple(series["name"] for series in panel["series"] if series.get("name")),
            tuple((panel["y"] if panel.get("horizontal") else panel["x"]).get("categories", ())),
        )
        for panel in raw["panels"]
    )
