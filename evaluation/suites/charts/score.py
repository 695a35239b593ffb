"""Compares what a reader claims of a figure with what is true of it.

Each fact is counted twice: among what was claimed, and among all that could have been claimed. Statements are judged as
a person would read them: by the name that the reader gave to a series, so that two curves with exchanged names are
wrong, and so is each fact of a series, bar or panel that does not exist. What a fact is follows `llava_graph.curves`,
the one definition for generator, reader and evaluation. Nothing here knows how figures were read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from evaluation.suites.charts.mapping import Entry, normalised_distance, rms
from evaluation.suites.charts.truth import Place, TruthAxis, TruthFact, TruthFigure, TruthPanel, TruthSeries
from llava_graph import curves
from llava_graph.chart import Axis, Box, Chart, Fact, FactKind, Panel, Point, Series
from llava_graph.curves import Range

VALUE_WITHIN = 0.05
"""Share of the axis within which a claimed first, last, highest or lowest value of a curve is right."""

BAR_WITHIN = 0.03
TICK_WITHIN = 0.01
"""An axis is calibrated when its ends, in pixels, have their values within this share of it."""

LABELLED_TICK_WITHIN = 0.025
"""The same where the plot area in pixels is not known, and only the values at its ends are compared."""

POINT_WITHIN = 0.02
CORRELATION_WITHIN = 0.1
SAME_NAME = 0.7
"""Names at least this similar, letters and digits only, are the same one with OCR errors."""

SAME_AREA = 0.1
"""Intersection over union from which a panel that was read can be the one that is there."""

TABLE_COLUMNS = 20
"""Places of a curve, evenly chosen among its points, that make up its row of the table for RMS-F1."""

LINE_FACTS: tuple[FactKind, ...] = ("trend", "first", "last", "maximum", "minimum")
CLOUD_FACTS: tuple[FactKind, ...] = ("correlation", "x_range", "y_range")


@dataclass(slots=True)
class Count:
    """`right` of `claimed`; `found` of `all` that is true and could be told."""

    right: int = 0
    claimed: int = 0
    found: int = 0
    all: int = 0

    def add(self, other: Count) -> None:
        self.right += other.right
        self.claimed += other.claimed
        self.found += other.found
        self.all += other.all


@dataclass(frozen=True, slots=True)
class WrongClaim:
    """A claim that is not true, for people who look at it."""

    figure: str
    what: str  # the measure, e.g. "line.trend"
    series: str | None
    claimed: str
    true: str


@dataclass(frozen=True, slots=True)
class FigureScore:
    """What one figure contributes to each measure; `rms_f1` is None where no table is known."""

    id: str
    tool: str
    form: str
    kind: str  # of its first panel, "not read" where it must be abstained from
    split: str
    counts: Mapping[str, Count]
    rms_f1: float | None
    claims: bool
    abstained: tuple[str, ...]  # reasons
    seconds: float
    cpu_seconds: float
    wrong: tuple[WrongClaim, ...]


@dataclass(slots=True)
class _Tally:
    """Collects the counts of one figure."""

    figure: str
    counts: dict[str, Count] = field(default_factory=dict)
    wrong: list[WrongClaim] = field(default_factory=list)

    def fact(self, measure: str, series: str | None, claimed: object, true: object, right: bool) -> None:
        """A claim was made."""
        self.counts.setdefault(measure, Count()).add(Count(right=int(right), claimed=1))
        if not right:
            self.wrong.append(WrongClaim(self.figure, measure, series, _shown(claimed), _shown(true)))

    def possible(self, measure: str, found: bool) -> None:
        """Something could be told, and was told rightly or not."""
        self.counts.setdefault(measure, Count()).add(Count(found=int(found), all=1))


def score(truth: TruthFigure, chart: Chart, seconds: float, cpu_seconds: float | None = None) -> FigureScore:
    """Judge one reading. Axes, series and facts of panels that are abstained from count as not claimed."""
    tally = _Tally(truth.id)
    pairs = match_panels(truth.panels, chart.panels)
    for true, read in pairs:
        if true.abstain:
            if not truth.must_abstain:
                _judge_unread(tally, true.abstain, read is not None and _claims(read))
        else:
            _judge_panel(tally, true, read)
    if truth.must_abstain:
        _judge_unread(tally, truth.form, chart.claims)
    else:
        matched = [read for _, read in pairs if read is not None]
        for read in chart.panels:
            if all(read is not other for other in matched):
                _judge_invented(tally, read, "there is no such panel")
    tables = [panel for panel in truth.panels if _has_table(panel)]
    whole = len(tables) == len(truth.panels)
    return FigureScore(
        id=truth.id,
        tool=truth.tool,
        form=truth.form,
        kind="not read" if truth.must_abstain else next(p.kind for p in truth.panels if not p.abstain),
        split=truth.split,
        counts=tally.counts,
        rms_f1=_rms_f1(pairs) if tables and whole else None,
        claims=chart.claims,
        abstained=tuple(_reasons(chart)),
        seconds=seconds,
        cpu_seconds=seconds if cpu_seconds is None else cpu_seconds,
        wrong=tuple(tally.wrong),
    )


def _reasons(chart: Chart) -> Iterator[str]:
    if chart.abstained:
        yield chart.abstained
    for panel in chart.panels:
        if panel.abstained:
            yield panel.abstained
        else:
            yield from (series.abstained for series in panel.series if series.abstained)


def match_panels(true: Sequence[TruthPanel], read: Sequence[Panel]) -> list[tuple[TruthPanel, Panel | None]]:
    """Each true panel with the one that was read of it: by area where that is known, else by names and order."""
    if not true or not read:
        return [(panel, None) for panel in true]
    alike = np.array([[_panel_similarity(t, i, r, j) for j, r in enumerate(read)] for i, t in enumerate(true)])
    rows, columns = linear_sum_assignment(-alike)
    partners = {
        int(i): read[int(j)]
        for i, j in zip(rows, columns, strict=True)
        if true[i].area is None or alike[i, j] >= SAME_AREA
    }
    return [(panel, partners.get(i)) for i, panel in enumerate(true)]


def _panel_similarity(true: TruthPanel, i: int, read: Panel, j: int) -> float:
    if true.area is not None:
        return _overlap(true.area, read.area)
    names = [_name_similarity(a.name, b.name) for a in true.series for b in read.series if a.name and b.name]
    labels = [
        _name_similarity(a.label, b.label) for a, b in ((true.x, read.x), (true.y, read.y)) if a.label and b.label
    ]
    claimed = 0.2 * _claims(read)
    return max(names, default=0.0) + sum(labels) + claimed + (0.1 if i == j else 0.0)


def _overlap(first: Box, second: Box) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return both / (areas - both)


def _claims(panel: Panel) -> bool:
    return bool(_claimed(panel))


def _claimed(panel: Panel) -> list[Series]:
    return [] if panel.abstained else [s for s in panel.series if s.abstained is None and s.points]


def _judge_unread(tally: _Tally, form: str, claimed: bool) -> None:
    """Something that must be abstained from; `found` counts the abstentions."""
    tally.possible("unread", not claimed)
    if claimed:
        tally.fact("unread", None, "data", form, right=False)


def _judge_panel(tally: _Tally, true: TruthPanel, read: Panel | None) -> None:
    claimed = _claimed(read) if read is not None else []
    if read is not None and claimed:
        tally.fact("kind", None, read.kind, true.kind, read.kind == true.kind)
    tally.possible("kind", read is not None and bool(claimed) and read.kind == true.kind)
    _judge_axes(tally, true, read)
    same_family = read is not None and _family(read.kind) == _family(true.kind)
    if read is not None and not same_family:
        _judge_invented(tally, read, f"it is a {true.kind} chart")
    pairs, invented = match_series(true.series, claimed if same_family else [])
    for series, found in pairs:
        tally.possible("series", found is not None)
        _JUDGES[_family(true.kind)](tally, true, series, found)
    if read is not None:
        for _, found in pairs:
            if found is not None:
                tally.fact("series", found.name, found.name, "", right=True)
        for found in invented:
            _judge_invented_series(tally, read, found, "there is no series of this name")


def _family(kind: str) -> str:
    return "bar" if kind.endswith("bar") else kind


def _judge_invented(tally: _Tally, read: Panel, why: str) -> None:
    for series in _claimed(read):
        _judge_invented_series(tally, read, series, why)


def _judge_invented_series(tally: _Tally, read: Panel, series: Series, why: str) -> None:
    tally.fact("series", series.name, series.name, why, right=False)
    family = _family(read.kind)
    if family == "bar":
        for point in series.points:
            tally.fact("bar.value", series.name, f"{point.x}: {point.y:.4g}", why, right=False)
    for fact in series.facts:
        if (family == "line" and fact.kind in LINE_FACTS) or (family == "scatter" and fact.kind in CLOUD_FACTS):
            tally.fact(f"{family}.{fact.kind}", series.name, fact, why, right=False)


def match_series(
    true: Sequence[TruthSeries], read: Sequence[Series]
) -> tuple[list[tuple[TruthSeries, Series | None]], list[Series]]:
    """Each true series with the one that was read under its name, and those that were read under no true name.

    Where there is one curve only, its name does not matter: what is said can be about nothing else.
    """
    if len(true) == 1 and len(read) == 1:
        return [(true[0], read[0])], []
    if not true or not read:
        return [(series, None) for series in true], list(read)
    alike = np.array([[_name_similarity(t.name, r.name) for r in read] for t in true])
    rows, columns = linear_sum_assignment(-alike)
    partners = {int(i): int(j) for i, j in zip(rows, columns, strict=True) if alike[i, j] >= SAME_NAME}
    pairs = [(series, read[partners[i]] if i in partners else None) for i, series in enumerate(true)]
    return pairs, [series for j, series in enumerate(read) if j not in partners.values()]


def _name_similarity(first: str | None, second: str | None) -> float:
    """1 for the same letters and digits; None is like None only."""
    if first is None or second is None:
        return float(first is second)
    a, b = (re.sub(r"[\W_]+", "", name.casefold()) or name for name in (first, second))
    return 1 - normalised_distance(a, b)


# --- curves


def _judge_curve(tally: _Tally, panel: TruthPanel, true: TruthSeries, read: Series | None) -> None:
    shown = value_range(panel)
    told = {fact.kind: fact for fact in read.facts} if read is not None else {}
    for kind in LINE_FACTS:
        fact = told.get(kind)
        claim = fact if fact is not None and (fact.text if kind == "trend" else fact.y) is not None else None
        if kind == "trend":
            allowed, is_clear = true_trends(panel, true)
            if not allowed:
                continue  # not labelled
            claim = None if claim is not None and claim.text == "unclear" else claim
            right = claim is not None and claim.text in allowed
            shown_truth: object = "/".join(sorted(allowed))
            if is_clear:
                tally.possible("line.trend", right)
        else:
            truth = true_value(true, kind)
            if truth is None:
                continue
            within = VALUE_WITHIN + truth.tolerance + panel.tolerance
            right = claim is not None and shown.share(number(claim.y), number(truth.y)) <= within
            shown_truth = truth.y
            tally.possible(f"line.{kind}", right)
        if claim is not None:
            tally.fact(f"line.{kind}", read.name if read else None, claim, shown_truth, right)


def value_range(panel: TruthPanel) -> Range:
    """What the axis of values shows; what the data cover where that is not known."""
    axis = panel.value_axis
    scale = "linear" if axis.scale == "category" else axis.scale
    if axis.low is not None and axis.high is not None:
        return Range(min(axis.low, axis.high), max(axis.low, axis.high), scale)
    values = [y for series in panel.series for _, y in series.points]
    values += [fact.y for series in panel.series for fact in series.facts if fact.y is not None]
    return curves.range_of(values, scale, from_zero=panel.kind.endswith("bar"))


def true_trends(panel: TruthPanel, series: TruthSeries) -> tuple[frozenset[str], bool]:
    """The trends that may be claimed of a series, and whether it has one without argument.

    A curve near a threshold of the definition may be told either way: the definition is asked with thresholds a tenth
    lower and higher, and of the points as well as of even samples of the curve, which is what a reader has. "unclear"
    is no claim, so a curve with that one answer may be given no trend at all. Empty: not known.
    """
    labelled = [fact for fact in series.facts if fact.kind == "trend" and fact.text]
    if labelled:
        told = frozenset((str(labelled[0].text), *labelled[0].also))
        return told, len(told) == 1 and "unclear" not in told
    if not series.complete or len(series.points) < 2:
        return frozenset(), False
    everything = [y for one in panel.series for _, y in one.points]
    shown = curves.range_of(everything, panel.y.scale)
    points = sorted(series.points, key=lambda point: number(point[0]))
    even = resampled(points, panel.x.scale == "log", panel.y.scale == "log")
    told = frozenset(
        curves.trend(values, shown, thresholds)
        for values in ([y for _, y in points], even)
        for thresholds in (0.9, 1, 1.1)
    )
    return told, len(told) == 1 and "unclear" not in told


def resampled(points: Sequence[tuple[Place, float]], x_log: bool, y_log: bool, count: int = 100) -> list[float]:
    """Values at places that are evenly spaced along the axis; between its points a curve is drawn straight."""
    xs = np.array([number(x) for x, _ in points])
    ys = np.array([y for _, y in points])
    xs, ys = (np.log10(xs) if x_log else xs), (np.log10(ys) if y_log else ys)
    even = np.interp(np.linspace(xs[0], xs[-1], count), xs, ys)
    return [float(v) for v in (10**even if y_log else even)]


def true_value(series: TruthSeries, kind: FactKind) -> TruthFact | None:
    """The true first, last, highest or lowest value; None where it was not labelled."""
    for fact in series.facts:
        if fact.kind == kind:
            return fact
    if not series.complete:
        return None
    points = sorted(series.points, key=lambda point: number(point[0]))
    values = [y for _, y in points]
    y = {"first": values[0], "last": values[-1], "maximum": max(values), "minimum": min(values)}[kind]
    return TruthFact(kind, y=y)


# --- bars


def _judge_bars(tally: _Tally, panel: TruthPanel, true: TruthSeries, read: Series | None) -> None:
    shown = value_range(panel)
    points = list(read.points) if read is not None else []
    partners = _match_bars(true.points, points)
    for i, (category, value) in enumerate(true.points):
        bar = points[partners[i]] if i in partners else None
        right = bar is not None and shown.share(bar.y, value) <= BAR_WITHIN + panel.tolerance
        tally.possible("bar.value", right)
        if bar is not None and read is not None:
            tally.fact("bar.value", read.name, f"{bar.x}: {bar.y:.4g}", f"{category}: {value:.4g}", right)
    for j, bar in enumerate(points):
        if j not in partners.values() and read is not None:
            tally.fact("bar.value", read.name, f"{bar.x}: {bar.y:.4g}", "there is no such bar", right=False)


def _match_bars(true: Sequence[tuple[Place, float]], read: Sequence[Point]) -> dict[int, int]:
    """Index of each true bar → index of the bar that was read at its category."""
    if not true or not read:
        return {}
    alike = np.array([[_place_similarity(category, bar.x) for bar in read] for category, _ in true])
    rows, columns = linear_sum_assignment(-alike)
    return {int(i): int(j) for i, j in zip(rows, columns, strict=True) if alike[i, j] >= SAME_NAME}


def _place_similarity(true: Place, read: Place) -> float:
    """Categories by their text. A number can be printed in several ways: 2.50 and 2.5 are the same place."""
    try:
        a, b = float(true), float(read)
    except ValueError:
        return _name_similarity(str(true), str(read))
    return float(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9))


# --- clouds


def _judge_cloud(tally: _Tally, panel: TruthPanel, true: TruthSeries, read: Series | None) -> None:
    told = {fact.kind: fact for fact in read.facts} if read is not None else {}
    for kind in CLOUD_FACTS:
        truth = _true_of_cloud(true, kind)
        if truth is None:
            continue
        claim = told.get(kind)
        right = claim is not None and _cloud_fact_right(panel, kind, claim, truth)
        tally.possible(f"scatter.{kind}", right)
        if claim is not None:
            tally.fact(f"scatter.{kind}", read.name if read else None, claim, truth, right)
    if true.complete:
        _judge_cloud_points(tally, panel, true, read)


def _true_of_cloud(series: TruthSeries, kind: FactKind) -> TruthFact | None:
    for fact in series.facts:
        if fact.kind == kind:
            return fact
    if not series.complete or len(series.points) < 3:
        return None
    xs, ys = [number(x) for x, _ in series.points], [y for _, y in series.points]
    if kind == "correlation":
        r = curves.correlation(xs, ys)
        return None if r is None else TruthFact(kind, y=r)
    values = xs if kind == "x_range" else ys
    return TruthFact(kind, min(values), max(values))


def _cloud_fact_right(panel: TruthPanel, kind: FactKind, claim: Fact, truth: TruthFact) -> bool:
    if kind == "correlation":
        return claim.y is not None and abs(claim.y - number(truth.y)) <= CORRELATION_WITHIN + truth.tolerance
    if claim.x is None or claim.y is None:
        return False
    axis = panel.x if kind == "x_range" else panel.y
    low, high = (
        number(axis.low if axis.low is not None else truth.x),
        number(axis.high if axis.high is not None else truth.y),
    )
    shown = Range(min(low, high), max(low, high), axis.scale)
    within = VALUE_WITHIN + truth.tolerance + panel.tolerance
    ends = ((claim.x, truth.x), (claim.y, truth.y))
    return all(shown.share(number(a), number(b)) <= within for a, b in ends)


def _judge_cloud_points(tally: _Tally, panel: TruthPanel, true: TruthSeries, read: Series | None) -> None:
    """Points are right where each of them lies at a true point of its own."""
    points = read.points if read is not None else ()
    places = [_place_shares(panel, p.x, p.y) for p in points]
    targets = [_place_shares(panel, x, y) for x, y in true.points]
    right = 0
    if places and targets:
        off = np.array([[max(abs(a[0] - b[0]), abs(a[1] - b[1])) for b in targets] for a in places])
        rows, columns = linear_sum_assignment(np.minimum(off, 10 * POINT_WITHIN))
        right = int((off[rows, columns] <= POINT_WITHIN).sum())
    tally.counts.setdefault("scatter.points", Count()).add(Count(right, len(places), right, len(targets)))


def _place_shares(panel: TruthPanel, x: Place, y: float) -> tuple[float, float]:
    """Where a point lies, as shares of the two axes."""
    if isinstance(x, str):
        return math.inf, math.inf
    shares = []
    for axis, value, index in ((panel.x, x, 0), (panel.y, y, 1)):
        everything = [number(p[index]) for series in panel.series for p in series.points]
        low = axis.low if axis.low is not None else min(everything)
        high = axis.high if axis.high is not None else max(everything)
        if axis.scale == "log" and value <= 0:
            return math.inf, math.inf
        shares.append(Range(low, high, axis.scale).height(value))
    return shares[0], shares[1]


_JUDGES = {"line": _judge_curve, "bar": _judge_bars, "scatter": _judge_cloud}


# --- axes


def _judge_axes(tally: _Tally, true: TruthPanel, read: Panel | None) -> None:
    for along_x, axis in ((True, true.x), (False, true.y)):
        if axis.scale == "category" or axis.low is None or axis.high is None:
            continue
        got = None if read is None else read.x if along_x else read.y
        if got is None or got.scale in (None, "category") or got.low is None or got.high is None:
            tally.possible("axis", False)
            continue
        right = read is not None and _calibrated(axis, true.area, got, read.area, along_x)
        tally.possible("axis", right)
        ends = f"{got.scale} {got.low:.5g}..{got.high:.5g}"
        tally.fact("axis", "x" if along_x else "y", ends, f"{axis.scale} {axis.low:.5g}..{axis.high:.5g}", right)


def _calibrated(true: TruthAxis, true_area: Box | None, read: Axis, read_area: Box, along_x: bool) -> bool:
    """Whether the values at the ends of the true plot area come out right."""
    if true.scale == "date" and in_years(read):
        low, high = (None if end is None else year(end) for end in (true.low, true.high))
        true = TruthAxis(true.label, true.unit, "linear", low, high)
    if read.scale != true.scale or read.low is None or read.high is None or true.low is None or true.high is None:
        return False
    shown = Range(min(true.low, true.high), max(true.low, true.high), true.scale)
    if read.scale == "log" and min(read.low, read.high) <= 0:
        return False
    got = Range(read.low, read.high, read.scale)
    if true_area is None:
        return all(shown.share(a, b) <= LABELLED_TICK_WITHIN for a, b in ((read.low, true.low), (read.high, true.high)))
    first, last = (0, 2) if along_x else (3, 1)  # low values lie at the left and at the bottom
    extent = read_area[last] - read_area[first]
    if extent == 0:
        return False
    for edge, value in ((true_area[first], true.low), (true_area[last], true.high)):
        level = got.level(read.low) + (edge - read_area[first]) / extent * got.extent
        if abs(level - got.level(value)) > TICK_WITHIN * abs(shown.extent):
            return False
    return True


def in_years(read: Axis) -> bool:
    """Whether an axis of dates was read as one of numbers, which are years: as right as days are."""
    return (
        read.scale == "linear" and read.low is not None and read.high is not None and 1500 < read.low < read.high < 2500
    )


def year(days: float) -> float:
    """Days since 1970-01-01 as a year with its fraction."""
    return 1970 + days / 365.2425


# --- tables


def _has_table(panel: TruthPanel) -> bool:
    return panel.kind != "scatter" and not panel.abstain and all(series.complete for series in panel.series)


def _rms_f1(pairs: Sequence[tuple[TruthPanel, Panel | None]]) -> float:
    """Of all panels of a figure as one table."""
    predicted: list[Entry] = []
    true: list[Entry] = []
    for index, (panel, read) in enumerate(pairs):
        prefix = f"{index}|" if len(pairs) > 1 else ""
        true += [Entry((prefix + key[0], key[1]), value) for key, value in true_table(panel)]
        if read is not None:
            predicted += [Entry((prefix + key[0], key[1]), value) for key, value in read_table(panel, read)]
    return rms(predicted, true).f1


def true_table(panel: TruthPanel) -> Iterator[tuple[tuple[str, str], float]]:
    """Rows are series, columns are places along x, as text."""
    for series in panel.series:
        name = "" if len(panel.series) == 1 else series.name or ""
        for x, y in _columns(panel, series):
            yield (name, _column(x)), y


def read_table(panel: TruthPanel, read: Panel) -> Iterator[tuple[tuple[str, str], float]]:
    """What was read, at the same places: a curve's columns are a choice, so they are not held against the reader.

    A curve has no entry where it was not traced. Bars have the categories that were read.
    """
    claimed = _claimed(read)
    pairs, _ = match_series(panel.series, claimed)
    truths = {id(found): true for true, found in pairs if found is not None}
    for series in claimed:
        name = "" if len(panel.series) == 1 and len(claimed) == 1 else series.name or ""
        if read.kind != "line" or panel.kind != "line":
            for point in series.points:
                yield (name, _column(point.x)), point.y
            continue
        true = truths.get(id(series), panel.series[0])
        points = sorted((p for p in series.points if not isinstance(p.x, str)), key=lambda p: number(p.x))
        for x, _ in _columns(panel, true):
            place = number(x)
            if panel.x.scale == "date" and in_years(read.x):
                place = year(place)
            value = _value_at(place, points, panel)
            if value is not None:
                yield (name, _column(x)), value


def _columns(panel: TruthPanel, series: TruthSeries) -> list[tuple[Place, float]]:
    points = list(series.points)
    if panel.kind != "line" or len(points) <= TABLE_COLUMNS:
        return points
    chosen = np.linspace(0, len(points) - 1, TABLE_COLUMNS).round().astype(int)
    return [points[i] for i in chosen]


def _value_at(x: float, points: Sequence[Point], panel: TruthPanel) -> float | None:
    """A read curve's value at x, straight between its samples; None beyond them by a hundredth of its extent."""
    if not points:
        return None
    log = np.log10 if panel.x.scale == "log" else np.asarray
    xs = np.array([number(p.x) for p in points])
    if panel.x.scale == "log" and min(xs[0], x) <= 0:
        return None
    at, places = float(log(x)), log(xs)
    slack = 0.01 * abs(float(places[-1] - places[0]))
    if at < places[0] - slack or at > places[-1] + slack:
        return None
    return float(np.interp(at, places, [p.y for p in points]))


def _column(x: Place) -> str:
    return x if isinstance(x, str) else f"{x:.5g}"


def number(value: Place | None) -> float:
    """Raises TypeError for a category or for nothing."""
    if value is None or isinstance(value, str):
        raise TypeError(f"{value!r} is not a number")
    return value


def _shown(value: object) -> str:
    if isinstance(value, Fact | TruthFact):
        return " ".join(str(part) for part in (value.kind, value.text, value.x, value.y) if part is not None)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
