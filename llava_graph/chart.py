"""The data read from a chart: panels, axes, series of points in axis units, and what is true of them.

The data model that the chart reader fills, the context prompt shows, the answer is checked against, and the gateway
sends. It goes over the wire as JSON (`to_json`, `from_json`). Nothing here knows how a chart is read.

Positions are pixels of the upright figure, origin at its top left corner. A value on a date axis is in days since
1970-01-01 (fractions allowed). A tolerance is a share of the axis range: 0.01 means one hundredth of `high - low`, on a
logarithmic axis one hundredth of `log10(high) - log10(low)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

ChartKind = Literal["line", "bar", "grouped_bar", "stacked_bar", "scatter", "other"]
AxisScale = Literal["linear", "log", "date", "category"]
FactKind = Literal[
    "trend",  # of a curve: `text` is a Trend
    "first",  # value at the left end; `x` is where
    "last",
    "maximum",  # highest value; `x` is where: of a curve, or of the bars of one series
    "minimum",
    "crossing",  # two curves cross once: `other` is the other series, `x` where, `y` at which height
    "highest_overall",  # the series that lies highest on average, and clearly so
    "correlation",  # of a scatter series: `y` is Pearson's r
    "x_range",  # of a scatter series: from `x` to `y`, both in units of the x axis
    "y_range",  # of a scatter series: from `x` to `y`, both in units of the y axis
]

Box = tuple[float, float, float, float]  # x0, y0, x1, y1


class ChartFormatError(ValueError):
    """The JSON of a chart does not have this module's shape."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis. `line` is the index of the OCR line that holds the label. `low` and `high` are what the axis shows."""

    label: str | None = None
    line: int | None = None
    unit: str | None = None
    scale: AxisScale | None = None  # None: not calibrated, so no value along it is claimed
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One sample: `x` in axis units, or a category's text; `px`, `py` where it lies in the figure.

    Of a curve over an axis whose scale is not known, `x` says in words where it lies, such as "40 % of the width".
    """

    x: float | str
    y: float
    px: float
    py: float


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is true of a series; which fields are set depends on `kind` (see FactKind)."""

    kind: FactKind
    x: float | str | None = None
    y: float | None = None
    text: str | None = None
    other: int | None = None  # index of another series of the same panel


@dataclass(frozen=True, slots=True)
class Series:
    """One curve, set of bars or cloud of points. An abstained series is there, but nothing of its data is claimed.

    `line` is the index of the OCR line that names the series, None where it has no printed name. `coverage` is the
    share of the series' extent along x that was traced. `y_tolerance` and `x_tolerance` hold for `points` and `facts`
    alike. `first_known`, `last_known`: False where ink goes on past the plot area, so that no value at that end is
    claimed.
    """

    name: str | None = None
    line: int | None = None
    colour: str | None = None  # "#rrggbb"
    points: tuple[Point, ...] = ()
    coverage: float = 0.0
    x_tolerance: float = 0.0
    y_tolerance: float = 0.0
    first_known: bool = True
    last_known: bool = True
    values_printed: bool = False  # bars whose values come from labels at the bars, not from lengths
    abstained: str | None = None  # the reason, one of ABSTENTION_REASONS
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot area with its axes. `abstained` is the reason why nothing of the panel is claimed.

    `horizontal`: bars lie, so `x`, the axis of their categories, is drawn upright and `y` along the bottom.
    """

    kind: ChartKind
    area: Box
    x: Axis = Axis()
    y: Axis = Axis()
    series: tuple[Series, ...] = ()
    abstained: str | None = None
    horizontal: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """What a reader made of a figure. `abstained` is set when the figure as a whole gave nothing."""

    panels: tuple[Panel, ...] = ()
    abstained: str | None = None
    revision: str = ""  # of the reader; part of the cache key, so that a better reader reads again

    @property
    def claims(self) -> bool:
        """Whether any series is claimed."""
        return any(series.abstained is None and series.points for panel in self.panels for series in panel.series)


# Why a reader claims nothing of a figure, a panel or a series. The codes are part of the interface.
ABSTENTION_REASONS: Mapping[str, str] = {
    "no_axes": "no plot area with axes was found",
    "axis_not_calibrated": "fewer than three tick labels agree on a scale",
    "twin_axes": "there are two different value axes",
    "broken_axis": "an axis is interrupted",
    "unsupported_scale": "an axis is neither linear, logarithmic, dates nor categories",
    "kind_unknown": "the kind of chart is not clear",
    "kind_not_read": "charts of this kind are not read",
    "same_colour_dashes": "curves of one colour differ only in their dashes or markers",
    "same_colour_series": "series have colours too alike to be told apart",
    "too_many_series": "there are more series than are read",
    "unnamed_series": "no legend entry or label names the series",
    "unexplained_ink": "too much of what is drawn belongs to no series that was read",
    "redrawing_differs": "the samples, drawn again, do not match the figure",
    "low_coverage": "too little of the series could be traced",
    "points_overlap": "points overlap, so they cannot be told apart",
    "values_disagree": "lengths of bars and the values printed on them disagree",
    "low_resolution": "the figure is too small for its values to be read",
    "deadline": "reading took longer than allowed",
    "reader_failed": "the reader failed",
}


def scaled(chart: Chart, across: float, down: float) -> Chart:
    """The chart with all positions multiplied: as read in an image of another size than the figure's."""

    def moved(panel: Panel) -> Panel:
        x0, y0, x1, y1 = panel.area
        series = tuple(
            dataclasses.replace(
                one,
                points=tuple(
                    dataclasses.replace(point, px=point.px * across, py=point.py * down) for point in one.points
                ),
            )
            for one in panel.series
        )
        return dataclasses.replace(panel, area=(x0 * across, y0 * down, x1 * across, y1 * down), series=series)

    return dataclasses.replace(chart, panels=tuple(map(moved, chart.panels)))


def to_json(chart: Chart) -> dict[str, Any]:
    """The chart as JSON objects, every field present."""
    return dataclasses.asdict(chart)


def from_json(value: object) -> Chart:
    """Read what `to_json` wrote. Unknown keys are ignored, so that a newer worker's results can be read.

    Raises ChartFormatError where a field is missing its type.
    """
    try:
        return _chart(_mapping(value))
    except (TypeError, ValueError, KeyError) as error:
        raise ChartFormatError(f"not a chart: {error}") from error


def _chart(value: Mapping[str, Any]) -> Chart:
    return Chart(
        tuple(_panel(_mapping(panel)) for panel in value.get("panels", ())),
        _text(value.get("abstained")),
        str(value.get("revision", "")),
    )


def _panel(value: Mapping[str, Any]) -> Panel:
    kind = value["kind"]
    if kind not in get_args(ChartKind):
        raise ValueError(f"kind {kind!r}")
    x0, y0, x1, y1 = (float(edge) for edge in value["area"])
    return Panel(
        kind,
        (x0, y0, x1, y1),
        _axis(_mapping(value.get("x", {}))),
        _axis(_mapping(value.get("y", {}))),
        tuple(_series(_mapping(series)) for series in value.get("series", ())),
        _text(value.get("abstained")),
        bool(value.get("horizontal", False)),
    )


def _axis(value: Mapping[str, Any]) -> Axis:
    scale = value.get("scale")
    if scale is not None and scale not in get_args(AxisScale):
        raise ValueError(f"scale {scale!r}")
    return Axis(
        _text(value.get("label")),
        _index(value.get("line")),
        _text(value.get("unit")),
        scale,
        _number(value.get("low")),
        _number(value.get("high")),
        tuple(str(category) for category in value.get("categories", ())),
    )


def _series(value: Mapping[str, Any]) -> Series:
    return Series(
        name=_text(value.get("name")),
        line=_index(value.get("line")),
        colour=_text(value.get("colour")),
        points=tuple(_point(_mapping(point)) for point in value.get("points", ())),
        coverage=float(value.get("coverage", 0.0)),
        x_tolerance=float(value.get("x_tolerance", 0.0)),
        y_tolerance=float(value.get("y_tolerance", 0.0)),
        first_known=bool(value.get("first_known", True)),
        last_known=bool(value.get("last_known", True)),
        values_printed=bool(value.get("values_printed", False)),
        abstained=_text(value.get("abstained")),
        facts=tuple(_fact(_mapping(fact)) for fact in value.get("facts", ())),
    )


def _point(value: Mapping[str, Any]) -> Point:
    return Point(_place(value["x"]), float(value["y"]), float(value["px"]), float(value["py"]))


def _fact(value: Mapping[str, Any]) -> Fact:
    kind = value["kind"]
    if kind not in get_args(FactKind):
        raise ValueError(f"fact {kind!r}")
    x = value.get("x")
    return Fact(
        kind,
        None if x is None else _place(x),
        _number(value.get("y")),
        _text(value.get("text")),
        _index(value.get("other")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{type(value).__name__} instead of an object")
    return value


def _place(value: object) -> float | str:
    return value if isinstance(value, str) else float(value)  # type: ignore[arg-type]  # anything else raises TypeError


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _index(value: Any) -> int | None:
    return None if value is None else int(value)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
