"""What is known of a figure that a chart reader is measured with: the one format of all sets.

A set is a folder of images with a file `truth.jsonl`, one figure a line. The kinds of charts and scales are those of
`llava_graph.chart`. Nothing here knows how a figure was made or how a reader is scored.

    {"id": "gnuplot-007", "file": "gnuplot-007.png", "tool": "gnuplot", "split": "dev", "form": "line_markers",
     "panels": [{"kind": "line", "abstain": null, "area": [80, 30, 600, 410], "horizontal": false,
                 "x": {"label": "Time", "unit": "h", "scale": "linear", "low": 0, "high": 48, "categories": []},
                 "y": {...},
                 "series": [{"name": "Control", "points": [[0, 0.1], [4, 0.3]], "facts": [], "complete": true}]}]}
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from llava_graph.chart import AxisScale, Box, ChartKind, FactKind

TRUTH_FILE = "truth.jsonl"

Split = Literal["dev", "test"]
Place = float | str  # a category's text, or a number; days since 1970-01-01 on a date axis


class TruthError(ValueError):
    """A line of a truth file is not in this format."""


@dataclass(frozen=True, slots=True)
class TruthAxis:
    """One axis. `low` and `high` are the values at the edges of the plot area, left or bottom first.

    An axis that runs the other way has `low` > `high`. None: not known, so that calibration is not scored.
    """

    label: str | None = None
    unit: str | None = None
    scale: AxisScale = "linear"
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TruthFact:
    """A fact that was read by eye. `tolerance` is the doubt of that reading as a share of the axis range.

    `also` holds the further trends that a careful reader could name, for curves at the edge of two definitions.
    """

    kind: FactKind
    x: Place | None = None
    y: float | None = None
    text: str | None = None
    tolerance: float = 0.0
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TruthSeries:
    """One curve, set of bars or cloud. `complete`: `points` are all of its data, so that facts follow from them.

    Otherwise `facts` hold what was labelled, and what was not labelled is not scored.
    """

    name: str | None = None
    points: tuple[tuple[Place, float], ...] = ()
    facts: tuple[TruthFact, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class TruthPanel:
    """One plot area. `abstain` names what it is that must not be claimed, e.g. "pie"; then `series` is empty.

    `area` is the plot area in pixels, None where it is not known. `horizontal`: values of bars run along x; then `x` is
    the axis of values and `y` that of categories. Points are (category, value) in either case.
    `tolerance` is the doubt of values that were read by eye, as a share of the axis range.
    """

    kind: ChartKind
    x: TruthAxis = TruthAxis()
    y: TruthAxis = TruthAxis()
    series: tuple[TruthSeries, ...] = ()
    area: Box | None = None
    abstain: str | None = None
    horizontal: bool = False
    tolerance: float = 0.0

    @property
    def value_axis(self) -> TruthAxis:
        return self.x if self.horizontal else self.y


@dataclass(frozen=True, slots=True)
class TruthFigure:
    """One figure. `form` is a finer name of its kind ("line_errorbars"), by which results can be listed."""

    id: str
    file: str
    tool: str
    split: Split
    form: str
    panels: tuple[TruthPanel, ...]

    @property
    def must_abstain(self) -> bool:
        """Whether nothing at all may be claimed of it."""
        return all(panel.abstain for panel in self.panels)


def write(figures: Iterable[TruthFigure], folder: Path) -> None:
    with (folder / TRUTH_FILE).open("w", encoding="utf-8") as file:
        for figure in figures:
            file.write(json.dumps(dataclasses.asdict(figure), ensure_ascii=False) + "\n")


def load(folder: Path) -> list[TruthFigure]:
    """The figures of a set. Raises TruthError with the line's number, and OSError where there is no truth file."""
    return list(_parsed((folder / TRUTH_FILE).read_text(encoding="utf-8").splitlines()))


def _parsed(lines: Iterable[str]) -> Iterator[TruthFigure]:
    for number, line in enumerate(lines, 1):
        try:
            yield figure(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise TruthError(f"line {number}: {type(error).__name__}: {error}") from error


def figure(raw: Mapping[str, Any]) -> TruthFigure:
    """Read a figure from its JSON object; raises KeyError, TypeError or ValueError."""
    return TruthFigure(
        id=str(raw["id"]),
        file=str(raw["file"]),
        tool=str(raw["tool"]),
        split=_one_of(raw["split"], get_args(Split)),
        form=str(raw["form"]),
        panels=tuple(_panel(panel) for panel in raw["panels"]),
    )


def _panel(raw: Mapping[str, Any]) -> TruthPanel:
    area = raw.get("area")
    panel = TruthPanel(
        kind=_one_of(raw["kind"], get_args(ChartKind)),
        x=_axis(raw.get("x", {})),
        y=_axis(raw.get("y", {})),
        series=tuple(_series(series) for series in raw.get("series", ())),
        area=None if area is None else _box(area),
        abstain=raw.get("abstain"),
        horizontal=bool(raw.get("horizontal", False)),
        tolerance=float(raw.get("tolerance", 0.0)),
    )
    if (panel.abstain is None) == (not panel.series):
        raise ValueError("a panel has either series or the reason why nothing may be claimed of it")
    if panel.kind == "other" and panel.abstain is None:
        raise ValueError("a panel of the kind `other` must be abstained from")
    return panel


def _box(raw: Any) -> Box:
    x0, y0, x1, y1 = (float(edge) for edge in raw)
    return x0, y0, x1, y1


def _axis(raw: Mapping[str, Any]) -> TruthAxis:
    return TruthAxis(
        label=raw.get("label"),
        unit=raw.get("unit"),
        scale=_one_of(raw.get("scale", "linear"), get_args(AxisScale)),
        low=_number(raw.get("low")),
        high=_number(raw.get("high")),
        categories=tuple(str(category) for category in raw.get("categories", ())),
    )


def _series(raw: Mapping[str, Any]) -> TruthSeries:
    series = TruthSeries(
        name=raw.get("name"),
        points=tuple((_place(x), float(y)) for x, y in raw.get("points", ())),
        facts=tuple(_fact(fact) for fact in raw.get("facts", ())),
        complete=bool(raw.get("complete", True)),
    )
    if not series.points and not series.facts:
        raise ValueError("a series has neither points nor facts")
    return series


def _fact(raw: Mapping[str, Any]) -> TruthFact:
    x = raw.get("x")
    return TruthFact(
        kind=_one_of(raw["kind"], get_args(FactKind)),
        x=None if x is None else _place(x),
        y=_number(raw.get("y")),
        text=raw.get("text"),
        tolerance=float(raw.get("tolerance", 0.0)),
        also=tuple(str(trend) for trend in raw.get("also", ())),
    )


def _one_of(value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
    return value


def _place(value: Any) -> Place:
    return value if isinstance(value, str) else float(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
