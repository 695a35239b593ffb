"""Scores an answer's statements about a figure against all that is true of it: pure functions, no model, no files.

The claims are found by `llava_graph.claims`, as in serving, in whatever wording; here they are judged strictly, since
everything is known. Each score of a figure is a `Share`, so many of so many, and shares of many figures add up:

axis_labels          both quantities (without units) of every panel are named, letter by letter; 1 or 0 of 1
axis_labels_lenient  the same with one slip allowed in names of six and more letters
series_named         names of the legend that are named
trend_right          of the trends stated about curves that have a clear one
trend_coverage       of the curves and lone rows of bars with a clear trend, those whose trend is told
trend_unfounded      of the trends stated, those about curves that have no clear one; less is better
extremum_right       highest and lowest curves and bars; within 5 % of the range of the true one counts
numbers_near         numbers within 10 % of what the panel shows, on log axes of its logarithms
hallucinated         of all names in the answer, those that stand nowhere in figure or caption; less is better
contradicted         answers in which the product's own check, given the truth, contradicts something; less is better

A trend told of a part of a curve ("until 20") is neither right nor wrong. A statement that is repeated counts once.
Names are what `llava_graph.support` takes for names, and unknown words with a capital before a verb, which begin a
sentence: "Kelmoo rises" makes a name up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from evaluation.suites.facts.names import located, named_leniently, squeezed, stands_in
from evaluation.suites.facts.truth import Truth
from llava_graph.chart import Axis, Chart, FactKind, Panel, Series
from llava_graph.checks import checks
from llava_graph.claims import Claim, Name, Value, claims_in
from llava_graph.curves import Range, range_of, resampled
from llava_graph.mentions import EVERYDAY
from llava_graph.numbers import Number
from llava_graph.ocr import Line
from llava_graph.support import unsupported

TIED = 0.05
"""Share of the range within which two heights are the same to the eye."""

NEAR = 0.10
"""Share of the range by which a stated number may be off."""

METRICS = (
    "axis_labels",
    "axis_labels_lenient",
    "series_named",
    "trend_right",
    "trend_coverage",
    "trend_unfounded",
    "extremum_right",
    "numbers_near",
    "hallucinated",
    "contradicted",
)

_SUBJECT = re.compile(
    r"(?:^|(?<=[.!?]\s)|(?<=\n))(?P<name>[A-Z][^\W_]*(?:[ -][^\W_]+){0,3}?) (?:(?:steadily|clearly|first|also) )?"
    r"(?:is|are|rises?|falls?|grows?|climbs?|increases?|decreases?|declines?|drops?|peaks?|dips?|stays?|remains?|starts?"
    r"|ends?|reaches|shows?|lies|has|crosses|goes|varies|changes)\b"
)
"""The capitalised words that a sentence begins with, up to its verb."""

_PRONOUNS = frozenset(
    ["it", "they", "this", "that", "there", "these", "those", "each", "both", "all", "neither", "none"]
)
_ROLES: dict[str, FactKind] = {"first": "first", "last": "last", "maximum": "maximum", "minimum": "minimum"}


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `of`."""

    hits: int = 0
    of: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.hits + other.hits, self.of + other.of)


Score = dict[str, Share]
"""A Share for each of METRICS."""


def score(truth: Truth, caption: str, answer: str) -> Score:
    """What is true of `answer` about a figure. `caption` is what the model was given, or empty."""
    found = _Answer(truth, caption, answer)
    return {
        **_names(truth, answer),
        **found.trends(),
        "extremum_right": found.extremes(),
        "numbers_near": found.numbers(),
        "hallucinated": found.hallucinated(),
        "contradicted": found.contradicted(),
    }


def _names(truth: Truth, answer: str) -> Score:
    axes = [axis for panel in truth.chart.panels for axis in (panel.x, panel.y)]
    labels = [axis.label for axis in axes if axis.label]
    categories = [category for panel in truth.chart.panels for category in panel.x.categories]
    named = {squeezed(name) for _, _, name in located([*labels, *truth.legends, *categories], answer)}
    return {
        "axis_labels": Share(int(all(squeezed(label) in named for label in labels)), 1) if labels else Share(),
        "axis_labels_lenient": Share(int(all(named_leniently(label, answer) for label in labels)), 1)
        if labels
        else Share(),
        "series_named": Share(sum(stands_in(name, answer) for name in truth.legends), len(truth.legends)),
    }


class _Answer:
    """One answer beside the truth, and each score of its statements as a method."""

    def __init__(self, truth: Truth, caption: str, answer: str) -> None:
        self._truth = truth
        self._chart: Chart = truth.chart
        self._caption = caption
        self._answer = answer
        self._lines = [Line(text, (0, 0, 1, 1), 1.0) for text in truth.texts]
        self._parsed = claims_in(answer, self._chart, self._lines)

    # Trends

    def trends(self) -> Score:
        stated = set(self._trends_told())
        clear = {place: trend for place in self._all_series() if (trend := _trend_of(self._series(*place)))}
        about_clear = [(place, trend) for place, trend in stated if place in clear]
        told = {place for place, _ in stated}
        to_tell = [
            place for place in clear if self._is_alone(place[0]) or not self._chart.panels[place[0]].x.categories
        ]
        return {
            "trend_right": Share(sum(clear[place] == trend for place, trend in about_clear), len(about_clear)),
            "trend_coverage": Share(sum(place in told for place in to_tell), len(to_tell)),
            "trend_unfounded": Share(len(stated) - len(about_clear), len(stated)),
        }

    def _trends_told(self) -> Iterator[tuple[tuple[int, int], str]]:
        for claim in self._parsed.claims:
            if claim.trend is None or claim.is_part:
                continue
            for place in self._subjects(claim):
                yield place, claim.trend

    def _subjects(self, claim: Claim) -> Iterator[tuple[int, int]]:
        """The series that a claim speaks of, one for each name: the first that it may stand for."""
        if claim.is_all:
            panel = claim.panel if claim.panel is not None and claim.panel >= 0 else 0
            if panel < len(self._chart.panels):
                yield from ((panel, s) for s in range(len(self._chart.panels[panel].series)))
        for names in claim.subjects:
            yield from _places(names)[:1]

    # Highest and lowest

    def extremes(self) -> Share:
        verdicts = {}
        for claim in self._parsed.claims:
            if claim.kind == "extreme" and not claim.is_part and claim.subjects:
                verdicts[claim.start] = self._is_extreme(claim)
        return Share(sum(verdicts.values()), len(verdicts))

    def _is_extreme(self, claim: Claim) -> bool:
        names = claim.subjects[0]
        if any(name.kind == "category" for name in names):
            rows = self._rows(claim)
            if not rows or (len(rows) > 1 and not claim.is_all):
                return False
            return all(self._is_extreme_bar(p, s, names[0].text, claim.is_high) for p, s in rows)
        return any(self._is_extreme_series(p, s, claim) for p, s in _places(names))

    def _is_extreme_bar(self, p: int, s: int, category: str, is_high: bool) -> bool:
        heights = {point.x: point.y for point in self._series(p, s).points}
        at = heights.get(category)
        return at is not None and _is_top(list(heights.values()), at, is_high, shown(self._chart.panels[p]))

    def _is_extreme_series(self, p: int, s: int, claim: Claim) -> bool:
        panel = self._chart.panels[p]
        heights = shown(panel)
        if claim.is_reached:
            reached = [(max if claim.is_high else min)(point.y for point in one.points) for one in panel.series]
            return _is_top(reached, reached[s], claim.is_high, heights)
        levels = [sum(heights.level(point.y) for point in one.points) / len(one.points) for one in panel.series]
        best = (max if claim.is_high else min)(levels)
        return abs(best - levels[s]) <= TIED * abs(heights.extent)

    def _rows(self, claim: Claim) -> list[tuple[int, int]]:
        """The rows of bars that a claim about a bar may speak of."""
        if claim.bars_of:
            return _places(claim.bars_of)
        panels = {name.panel for names in claim.subjects for name in names if name.kind == "category"}
        return [(p, s) for p in sorted(panels) for s in range(len(self._chart.panels[p].series))]

    # Numbers

    def numbers(self) -> Share:
        """Only numbers that belong to something identified: what belongs to no curve is neither near nor far."""
        verdicts: dict[int, bool] = {}
        for claim in self._parsed.claims:
            for value in claim.values:
                truths = list(self._true_values(claim, value))
                if truths:
                    near = any(_is_near(value.number, truth, shown) for truth, shown in truths)
                    verdicts[value.number.start] = verdicts.get(value.number.start, False) or near
                place = self._true_place(claim, value)
                if place is not None and isinstance(value.place, Number):
                    verdicts[value.place.start] = _is_near(value.place, *place)
        return Share(sum(verdicts.values()), len(verdicts))

    def _true_values(self, claim: Claim, value: Value) -> Iterator[tuple[float, Range]]:
        """What a number should be, each with the range in which it is compared; several where either would do."""
        if value.role == "crossing":
            yield from self._crossings(claim)
            return
        if value.role == "bar":
            for p, s in self._rows(claim):
                found = [point.y for point in self._series(p, s).points if point.x == value.place]
                yield from ((y, shown(self._chart.panels[p])) for y in found)
            return
        for place in self._subjects(claim):
            panel, series = self._chart.panels[place[0]], self._series(*place)
            for truth in _truths(series, panel, claim, value):
                yield truth, shown(panel)

    def _crossings(self, claim: Claim) -> Iterator[tuple[float, Range]]:
        for p, panel in enumerate(self._chart.panels):
            members = {s for names in claim.subjects for q, s in _places(names) if q == p}
            for s in members:
                for fact in panel.series[s].facts:
                    if fact.kind == "crossing" and fact.other in members and isinstance(fact.x, float):
                        yield fact.x, _along(panel)

    def _true_place(self, claim: Claim, value: Value) -> tuple[float, Range] | None:
        """Where along x the turning point lies whose place is told."""
        if value.role not in ("maximum", "minimum") or claim.is_all or len(claim.subjects) != 1:
            return None
        for p, s in self._subjects(claim):
            panel, series = self._chart.panels[p], self._series(p, s)
            fact = _fact(series, _ROLES[value.role])
            if fact is not None and isinstance(fact[0], float) and panel.x.scale in ("linear", "log"):
                return fact[0], _along(panel)
        return None

    # Names and checks

    def hallucinated(self) -> Share:
        """Made-up names, of those and all true names, each time it stands there."""
        axes = [axis.label for panel in self._chart.panels for axis in (panel.x, panel.y) if axis.label]
        sources = [*self._truth.texts, self._caption]
        made_up = [(mark.start, mark.end) for mark in unsupported(self._answer, sources) if mark.kind == "name"]
        known = [(start, end) for start, end, _ in located([*self._truth.texts, *axes], self._answer)]
        for match in _SUBJECT.finditer(self._answer):
            start, end = match.span("name")
            if any(first < end and start < past for first, past in (*known, *made_up)):
                continue
            words = re.findall(r"[^\W_]+", match["name"].casefold())
            if any(stands_in(word, text) for word in words for text in sources):
                known.append((start, end))
            elif not any(word in EVERYDAY or word in _PRONOUNS for word in words):
                made_up.append((start, end))
        return Share(len(made_up), len(made_up) + len(known))

    def contradicted(self) -> Share:
        found = checks(self._answer, self._lines, self._caption, self._chart)
        return Share(int(any(check.verdict == "contradicted" for check in found)), 1)

    def _all_series(self) -> list[tuple[int, int]]:
        return [(p, s) for p, panel in enumerate(self._chart.panels) for s in range(len(panel.series))]

    def _is_alone(self, p: int) -> bool:
        return len(self._chart.panels[p].series) == 1

    def _series(self, p: int, s: int) -> Series:
        return self._chart.panels[p].series[s]


def _places(names: Iterable[Name]) -> list[tuple[int, int]]:
    return [(name.panel, name.series) for name in names if name.series is not None]


def _trend_of(series: Series) -> str | None:
    return next((fact.text for fact in series.facts if fact.kind == "trend"), None)


def _fact(series: Series, kind: FactKind) -> tuple[float | str | None, float] | None:
    return next(((fact.x, fact.y) for fact in series.facts if fact.kind == kind and fact.y is not None), None)


def _truths(series: Series, panel: Panel, claim: Claim, value: Value) -> Iterator[float]:
    ys = [point.y for point in series.points]
    role = value.role
    if role in ("at", "reached") and value.place is not None:
        yield from _values_at(series, panel, value.place)
        return
    if claim.is_part and role in ("first", "last", "level"):
        role = "reached"  # an end of a part is some value of the curve
    if role in _ROLES:
        fact = _fact(series, _ROLES[role])
        yield fact[1] if fact else {"first": ys[0], "last": ys[-1], "maximum": max(ys), "minimum": min(ys)}[role]
        if role == "last" and len(claim.values) == 1 and claim.trend in ("rises", "falls"):
            yield (max if claim.trend == "rises" else min)(ys)  # "rises to 40"
    elif role == "level":
        yield from (ys[0], sum(ys) / len(ys))
    elif role == "reached":
        told = value.number.value
        yield min(max(told, min(ys)), max(ys))
    elif role == "change":
        yield abs(ys[-1] - ys[0])
        if value.number.percent and ys[0]:
            yield abs(ys[-1] - ys[0]) / abs(ys[0]) * 100


def _values_at(series: Series, panel: Panel, place: Number | str) -> Iterator[float]:
    """The values around a place; at a place that the series does not reach there is none."""
    if isinstance(place, str):
        yield from (point.y for point in series.points if point.x == place)
        return
    curve = {float(point.x): point.y for point in series.points if not isinstance(point.x, str)}
    if len(curve) < 2 or panel.x.scale not in ("linear", "log") or not min(curve) <= place.value <= max(curve):
        return
    along = _along(panel)
    reach = 0.02 + along.share(place.value, place.value + place.half_step)
    yield from (y for x, y in curve.items() if along.share(x, place.value) <= min(reach, NEAR))
    yield from resampled(curve, [place.value], shown(panel), panel.x.scale or "linear")


def shown(panel: Panel) -> Range:
    """The values that a panel shows."""
    return _range(panel.y, [point.y for series in panel.series for point in series.points])


def _along(panel: Panel) -> Range:
    places = [float(point.x) for series in panel.series for point in series.points if not isinstance(point.x, str)]
    return _range(panel.x, places)


def _range(axis: Axis, values: Sequence[float]) -> Range:
    scale = axis.scale or "linear"
    if axis.low is None or axis.high is None or axis.low == axis.high:
        return range_of(values, scale)
    return Range(min(axis.low, axis.high), max(axis.low, axis.high), scale)


def _is_near(number: Number, truth: float, shown: Range) -> bool:
    """A number is compared as it is written: half of its last digit is no error."""
    if shown.scale == "log" and min(number.value, truth) <= 0:
        return False
    off = shown.share(number.value, truth)
    return off <= NEAR or (math.isfinite(number.half_step) and abs(number.value - truth) <= number.half_step)


def _is_top(heights: Sequence[float], at: float, is_high: bool, shown: Range) -> bool:
    """Whether the height `at` is the highest or lowest, or one that the eye cannot tell from it."""
    best = (max if is_high else min)(heights)
    return shown.share(best, at) <= TIED
