"""Checks an answer against what was read: each number, trend and comparison is printed, read, contradicted or neither.

    checks("Vodira falls from 52 to 27.", lines, caption, chart)

`printed`: the number stands in the figure or its caption. `read`: it agrees with what was read from the chart, and the
check points to that series, point or fact. `contradicted`: the statement surely speaks of one series and one fact, and
what was read differs clearly; `instead` says what was read. `unsupported`: none of these, which is no reproach. A false
"contradicted" is worse than ten missed ones, so whatever is in doubt is unsupported: see `llava_graph.claims` for what
counts as a statement, and the shares below for what counts as clearly.

Deterministic and without a model. Answers, names and captions are untrusted: nothing here raises, and the time is
linear in the answer's length.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llava_graph.chart import Axis, Chart, Fact, FactKind, Panel, Series
from llava_graph.chart_text import NumberWriter
from llava_graph.claims import Claim, Name, Parsed, Value, claims_in
from llava_graph.curves import Range, range_of, resampled
from llava_graph.mentions import tokens_of
from llava_graph.numbers import Number, numbers_in
from llava_graph.ocr import Line
from llava_graph.support import Unsupported, counts_or_refers, told, unsupported

Verdict = Literal["printed", "read", "contradicted", "unsupported"]
CheckKind = Literal["number", "name", "trend", "comparison"]

MAX_CHECKS = 400
"""Checks of one answer; the contradicted ones are kept first."""

_AGREES_WITHIN = 0.03
_DIFFERS_BEYOND = 0.10
"""Shares of the axis; both get the tolerance of the reading and the rounding of the number as it is written."""

_FLAT_MOVES_AT_LEAST = 0.35
"""Share of the range that a curve must move for "stays constant" to be surely false."""

_CLEARLY_APART = 0.05
_SCALES = (1e2, 1e3, 1e6, 1e9)
"""Factors between a number and what was read that look like another unit rather than an error."""

_FACTORS = {"twice": 2.0, "double": 2.0, "triple": 3.0, "half": 0.5}
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_FACTOR = re.compile(
    r"\b(?:(?P<bound>more than|less than) |about |roughly |nearly |almost |approximately )?"
    rf"(?P<factor>twice|(?P<count>{'|'.join(_COUNTS)}|\d{{1,3}}(?:\.\d{{1,3}})?) times|double|triple|half)"
    r"(?= (?:as|that|of|the)\b)",
    re.IGNORECASE,
)
_ENDS: tuple[FactKind, ...] = ("first", "last")
_COMPARED_FACTS: tuple[FactKind, ...] = ("last", "maximum", "first")

_BARS = ("bar", "grouped_bar", "stacked_bar")


@dataclass(frozen=True, slots=True)
class Reading:
    """Where in the chart something was read: a point or a fact of a series, each by its index; None where neither."""

    panel: int
    series: int
    point: int | None = None
    fact: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """The verdict on `answer[start:end]`. Offsets count characters (code points).

    `line` is the OCR line where a printed number stands, None for the caption. `reading` is what agrees or contradicts.
    `instead` is what was read, in words, of a contradicted statement.
    """

    start: int
    end: int
    kind: CheckKind
    verdict: Verdict
    reading: Reading | None = None
    line: int | None = None
    instead: str | None = None

    def to_json(self) -> dict[str, Any]:
        """One flat object, every field present."""
        at = self.reading
        return {
            "start": self.start,
            "end": self.end,
            "kind": self.kind,
            "verdict": self.verdict,
            "panel": at.panel if at else None,
            "series": at.series if at else None,
            "point": at.point if at else None,
            "fact": at.fact if at else None,
            "line": self.line,
            "instead": self.instead,
        }


def checks(answer: str, lines: Sequence[Line] = (), caption: str = "", chart: Chart | None = None) -> list[Check]:
    """The checks of an answer, by `start`, never overlapping. `lines` and `caption` as they were read, not as told."""
    return _Checker(answer, lines, caption, chart or Chart()).checks()


def as_unsupported(found: Iterable[Check]) -> list[Unsupported]:
    """The older view: numbers and names for which there is neither print nor reading."""
    return [
        Unsupported(check.start, check.end, check.kind)
        for check in found
        if check.kind in ("number", "name") and check.verdict in ("unsupported", "contradicted")
    ]


@dataclass(frozen=True, slots=True)
class _Judged:
    verdict: Verdict
    reading: Reading | None = None
    instead: str | None = None


_UNDECIDED = _Judged("unsupported")

_DENIED = re.compile(r"\bno (?:such |curve |series |bar )?$", re.IGNORECASE)

_ABSENT = re.compile(
    r"\bthere is no ([^!?;\n]{1,80}?) in (?:this|the) (?:figure|chart|plot|graph|panel)\b", re.IGNORECASE
)
"""A name that is said not to be there: of "Run 7" neither the word nor the number is claimed of the figure."""

_OF_RANGE = frozenset(("between", "from", "range", "ranges"))
_OF_CORRELATION = frozenset(("correlation", "correlated", "r"))
"""Words before a number, in its sentence, that say which number of a cloud of points it is."""


class _Checker:
    """Checks one answer."""

    def __init__(self, answer: str, lines: Sequence[Line], caption: str, chart: Chart) -> None:
        self._answer = answer
        self._lines = lines
        self._caption = caption
        self._chart = chart
        self._axes = [_axis(panel) for panel in chart.panels]
        self._parsed: Parsed = claims_in(answer, chart, lines)
        sources = [*(line.text for line in lines), caption]
        self._printed, _ = told(sources)
        self._printed |= {number.value for text in sources for number in numbers_in(text)}
        self._line_of = self._numbers_by_line()
        self._spoken = self._numbers_that_are_no_ticks()
        self._absent = bytearray(len(answer))
        for found in _ABSENT.finditer(answer):
            self._absent[found.start(1) : found.end(1)] = b"\x01" * (found.end(1) - found.start(1))

    def checks(self) -> list[Check]:
        found: dict[tuple[int, int], Check] = {}
        claims = itertools.islice(self._claims(), 4 * MAX_CHECKS)
        others = itertools.islice(self._other_numbers(), MAX_CHECKS)
        parts = (claims, self._factors(), others, self._clouds(), self._other_trends(), self._names())
        for check in itertools.chain(*parts):
            place = (check.start, check.end)
            before = found.get(place)
            if before is None or _RANK[check.verdict] < _RANK[before.verdict]:
                found[place] = check
        kept: list[Check] = []
        for check in sorted(found.values(), key=lambda check: (check.start, _RANK[check.verdict], -check.end)):
            if not kept or check.start >= kept[-1].end:
                kept.append(check)
            elif _RANK[check.verdict] < _RANK[kept[-1].verdict]:
                kept[-1] = check
        if len(kept) > MAX_CHECKS:
            kept = sorted(kept, key=lambda check: (check.verdict != "contradicted", check.start))[:MAX_CHECKS]
        return sorted(kept, key=lambda check: check.start)

    # Claims

    def _claims(self) -> Iterator[Check]:
        opposed = self._trends_told()
        for claim in self._parsed.claims:
            if claim.kind == "trend":
                yield self._check(claim, "trend", self._trend(claim, opposed))
            elif claim.kind == "extreme":
                yield self._check(claim, "comparison", self._extreme(claim))
            elif claim.kind == "order":
                yield self._check(claim, "comparison", self._order(claim))
            elif claim.kind == "values" and claim.trend is not None:
                yield self._check(claim, "trend", self._turn(claim))
            for value in claim.values:
                judged = self._number(claim, value)
                yield from self._check_number(value.number, judged)
                if isinstance(value.place, Number):
                    yield from self._check_number(value.place, self._place(claim, value, value.place))

    def _check_number(self, number: Number, judged: _Judged) -> Iterator[Check]:
        if judged.verdict != "unsupported":
            yield Check(number.start, number.end, "number", judged.verdict, judged.reading, None, judged.instead)

    def _check(self, claim: Claim, kind: CheckKind, judged: _Judged) -> Check:
        return Check(claim.start, claim.end, kind, judged.verdict, judged.reading, None, judged.instead)

    def _trends_told(self) -> dict[tuple[int, int], set[str]]:
        """Of each series the directions that the answer gives it, as far as it gives more than one."""
        found: dict[tuple[int, int], set[str]] = {}
        for claim in self._parsed.claims:
            if claim.kind == "trend" and claim.trend in ("rises", "falls"):
                for names in claim.subjects:
                    for panel, series in _of_names(names):
                        found.setdefault((panel, series), set()).add(claim.trend)
        return found

    def _trend(self, claim: Claim, opposed: Mapping[tuple[int, int], set[str]]) -> _Judged:
        if claim.is_all:
            return self._trend_of_all(claim)
        return _all_hold(
            [_agreed([self._trend_of(claim, p, s, opposed) for p, s in _of_names(names)]) for names in claim.subjects]
        )

    def _trend_of_all(self, claim: Claim) -> _Judged:
        panel_at = claim.panel if claim.panel is not None else 0
        if panel_at < 0:
            return _UNDECIDED
        if claim.panel is None and len(self._chart.panels) != 1:
            return _UNDECIDED
        if panel_at >= len(self._chart.panels):
            return _UNDECIDED
        panel = self._chart.panels[panel_at]
        words = {token.key for token in tokens_of(self._answer[max(claim.start - 60, 0) : claim.start].casefold())}
        if not words & {"all", "both", "every", "each"} or ("both" in words and len(panel.series) != 2):
            return _UNDECIDED
        verdicts = [self._trend_of(claim, panel_at, s, {}) for s in range(len(panel.series))]
        return _all_hold(verdicts)

    def _trend_of(self, claim: Claim, p: int, s: int, told_of: Mapping[tuple[int, int], set[str]]) -> _Judged:
        series = self._series(p, s)
        fact = _fact(series, "trend") if series else None
        if series is None or fact is None:
            return _UNDECIDED
        at = Reading(p, s, fact=fact[0])
        shape = fact[1].text
        if claim.is_part or len(told_of.get((p, s), ())) > 1:
            return _UNDECIDED
        if shape == claim.trend:
            return _Judged("read", at)
        opposite = (claim.trend, shape) in (("rises", "falls"), ("falls", "rises"))
        moves = claim.trend == "flat" and shape != "flat" and self._moves(p, s) >= _FLAT_MOVES_AT_LEAST
        strong = claim.is_strong and shape == "flat" and claim.trend in ("rises", "falls")
        if not (opposite or moves or strong) or self._could_be_along_x(claim, p, s):
            return _UNDECIDED
        return _Judged("contradicted", at, self._course(p, s))

    def _moves(self, p: int, s: int) -> float:
        """How far the values of a series lie apart, as a share of what the data of its panel cover."""
        panel = self._chart.panels[p]
        ys = [point.y for series in panel.series if not series.abstained for point in series.points]
        own = [point.y for point in panel.series[s].points]
        scale = panel.y.scale or "linear"
        share = range_of(ys, scale, from_zero=panel.kind in _BARS and scale != "log").share(max(own), min(own))
        return share if math.isfinite(share) else 0.0

    def _could_be_along_x(self, claim: Claim, p: int, s: int) -> bool:
        """Whether "from 10 to 20" may be a stretch of the x axis, of which the claim then speaks alone."""
        axis = self._chart.panels[p].x
        if len(claim.values) != 2 or axis.low is None or axis.high is None or axis.scale in (None, "category"):
            return False
        if any(value.place is not None for value in claim.values):
            return False
        if any(value.has_unit for value in claim.values) or self._are_ends(claim, p, s):
            return False
        first, last = (value.number.value for value in claim.values)
        low, high = min(axis.low, axis.high), max(axis.low, axis.high)
        is_inside = low <= first <= high and low <= last <= high
        return is_inside and abs(first - last) > 0.05 * (high - low)

    def _are_ends(self, claim: Claim, p: int, s: int) -> bool:
        """Whether the two numbers are the heights of the two ends, in whatever order."""
        ends = [_fact(self._chart.panels[p].series[s], kind) for kind in _ENDS]
        heights = [end[1].y for end in ends if end is not None and end[1].y is not None]
        if len(heights) != 2:
            return False
        share = self._axes[p].share
        told = [value.number.value for value in claim.values]
        return any(
            all(share(a, b) <= _AGREES_WITHIN for a, b in zip(told, order, strict=True))
            for order in (heights, heights[::-1])
        )

    def _turn(self, claim: Claim) -> _Judged:
        """Of "peaks" alone: it is read where the curve has such a turn, and never contradicted."""
        for names in claim.subjects:
            for p, s in _of_names(names):
                series = self._series(p, s)
                fact = _fact(series, "trend") if series else None
                if fact and fact[1].text == claim.trend:
                    return _Judged("read", Reading(p, s, fact=fact[0]))
        return _UNDECIDED

    def _course(self, p: int, s: int) -> str:
        """What a series does, in words: "falls from 52 to 27"."""
        panel, series = self._chart.panels[p], self._chart.panels[p].series[s]
        write = NumberWriter.of(panel, series)
        trend = _fact(series, "trend")
        shape = trend[1].text if trend else None
        if shape in ("peaks", "dips"):
            turn = _fact(series, "maximum" if shape == "peaks" else "minimum")
            return f"{shape} at {write.y(turn[1].y)}" if turn else shape
        if shape == "flat":
            first = _fact(series, "first")
            return f"stays flat at {write.y(first[1].y)}" if first else "stays flat"
        ends = [_fact(series, "first"), _fact(series, "last")]
        if all(ends):
            return f"{shape} from {write.y(ends[0][1].y)} to {write.y(ends[1][1].y)}"  # type: ignore[index]
        return shape or ""

    # Numbers

    def _number(self, claim: Claim, value: Value) -> _Judged:
        if claim.kind == "crossing":
            return self._crossing(claim, value)
        if claim.kind == "extreme" or value.role == "bar":
            return _agreed([self._bar(claim, value, p, s) for p, s in self._rows_of_bars(claim)])
        if claim.is_all:
            return _UNDECIDED
        judged = _all_hold(
            [_agreed([self._value(claim, value, p, s) for p, s in _of_names(names)]) for names in claim.subjects]
        )
        # "A and B start at 1 and 2": which number belongs to which is not known.
        return _UNDECIDED if judged.verdict == "contradicted" and len(claim.subjects) > 1 else judged

    def _value(self, claim: Claim, value: Value, p: int, s: int) -> _Judged:
        series = self._series(p, s)
        if series is None or not series.points:
            return _UNDECIDED
        panel = self._chart.panels[p]
        if claim.kind == "trend" and self._could_be_along_x(claim, p, s) and not self._fits_y(claim, panel):
            return _UNDECIDED
        role = value.role
        trend = _fact(series, "trend")
        has_course = trend is not None and trend[1].text in ("rises", "falls")
        if claim.kind == "trend" and not has_course and role in ("first", "last"):
            role = "reached"  # of a curve that turns, a rise is one part
        if claim.is_part and role in ("first", "last", "level"):
            role = "reached"
        if role == "at" or (role in ("first", "last", "reached") and value.place is not None and not claim.is_part):
            return self._at_place(value, p, s)
        if role == "change":
            return self._change(value.number, p, s)
        if role in ("reached", "level"):
            return self._within(value.number, p, s, is_level=role == "level")
        kind: FactKind = role  # type: ignore[assignment]  # the other roles are facts by name
        facts = [fact for fact in (_fact(series, kind),) if fact]
        if claim.kind == "trend" and role == "last" and len(claim.values) == 1:
            # "rises to 40" may speak of the highest value rather than the last.
            extreme = _fact(series, "maximum" if claim.trend == "rises" else "minimum")
            facts += [extreme] if extreme else []
        judged = [self._compared(value.number, p, s, index, fact) for index, fact in facts]
        found = _agreed(judged)
        if role in ("maximum", "minimum") and isinstance(value.place, Number) and found.verdict != "contradicted":
            return found
        return found

    def _place(self, claim: Claim, value: Value, place: Number) -> _Judged:
        """The place at which a curve is said to have its highest or lowest value, or an end."""
        if claim.is_all or claim.kind not in ("values", "trend") or len(claim.subjects) != 1:
            return _UNDECIDED
        return _agreed([self._place_of(value, place, p, s) for p, s in _of_names(claim.subjects[0])])

    def _place_of(self, value: Value, place: Number, p: int, s: int) -> _Judged:
        panel, series = self._chart.panels[p], self._series(p, s)
        if series is None or not _lies_along(place, panel.x):
            return _UNDECIDED
        xs = [float(point.x) for point in series.points if not isinstance(point.x, str)]
        if value.role in ("at", "reached"):
            return self._place_of_value(value.number, place, p, s)
        fact = _fact(series, value.role)  # type: ignore[arg-type]  # the other roles are facts by name
        if fact is None or fact[1].x is None or isinstance(fact[1].x, str) or len(xs) < len(series.points):
            return _UNDECIDED
        x = fact[1].x
        along = _x_range(panel, xs)
        off, rounding = along.share(place.value, x), _rounding(place, along)
        at = Reading(p, s, self._point_at(p, s, x), fact[0])
        if off <= _AGREES_WITHIN + series.x_tolerance + min(rounding, _AGREES_WITHIN):
            return _Judged("read", at)
        trend = _fact(series, "trend")
        is_turn = trend is not None and (value.role, trend[1].text) in (("maximum", "peaks"), ("minimum", "dips"))
        is_clear = off > _DIFFERS_BEYOND + series.x_tolerance + rounding and not place.is_vague
        # Where the curve is as high as at its turn, that place is as good.
        there = self._at_place(Value(place, "at", place), p, s, truth=fact[1].y)
        if is_turn and is_clear and there.verdict == "contradicted":
            return _Judged("contradicted", at, NumberWriter.of(panel, series).x(x))
        return _UNDECIDED

    def _place_of_value(self, number: Number, place: Number, p: int, s: int) -> _Judged:
        """A place at which the curve has the value that it is said to have there."""
        judged = self._at_place(Value(number, "at", place), p, s)
        return _Judged("read", judged.reading) if judged.verdict == "read" else _UNDECIDED

    def _fits_y(self, claim: Claim, panel: Panel) -> bool:
        """Whether both numbers may be heights at all."""
        low, high = panel.y.low, panel.y.high
        if low is None or high is None:
            return False
        return all(min(low, high) <= value.number.value <= max(low, high) for value in claim.values)

    def _change(self, number: Number, p: int, s: int) -> _Judged:
        """A change is read where it agrees, in units of the axis or as a share of the first value; else undecided."""
        series = self._chart.panels[p].series[s]
        first, last = _fact(series, "first"), _fact(series, "last")
        if first is None or last is None or first[1].y is None or last[1].y is None:
            return _UNDECIDED
        change = abs(last[1].y - first[1].y)
        percent = change / abs(first[1].y) * 100 if first[1].y else math.inf
        if number.percent and abs(percent - abs(number.value)) <= 2 + number.half_step:
            return _Judged("read", Reading(p, s, fact=last[0]))
        axis = self._axes[p]
        if axis.scale != "log" and axis.share(change, abs(number.value)) <= _AGREES_WITHIN + 2 * series.y_tolerance:
            return _Judged("read", Reading(p, s, fact=last[0]))
        return _UNDECIDED

    def _compared(self, number: Number, p: int, s: int, index: int, fact: Fact) -> _Judged:
        if fact.y is None:
            return _UNDECIDED
        return self._measured(number, fact.y, fact.y, p, s, Reading(p, s, self._point_at(p, s, fact.x), index))

    def _measured(self, number: Number, low: float, high: float, p: int, s: int, at: Reading) -> _Judged:
        """A number against a truth that lies within `low`..`high`."""
        panel, series = self._chart.panels[p], self._chart.panels[p].series[s]
        axis = self._axes[p]
        truth = min(max(number.value, low), high)
        off = axis.share(number.value, truth)
        rounding = _rounding(number, axis)
        if off <= _AGREES_WITHIN + series.y_tolerance + min(rounding, _AGREES_WITHIN):
            return _Judged("read", at)
        is_clear = off > _DIFFERS_BEYOND + series.y_tolerance + rounding
        if not is_clear or number.is_vague or number.magnitude != 1.0 or number.value in self._spoken:
            return _UNDECIDED
        if self._could_be_a_place(number, panel):
            return _UNDECIDED
        if any(_looks_scaled(number.value, truth) for truth in (low, high, (low + high) / 2)):
            return _UNDECIDED
        if number.percent and not _is_percent(panel):
            return _UNDECIDED
        write = NumberWriter.of(panel, series)
        return _Judged("contradicted", at, write.y(low) if low == high else f"{write.y(low)} to {write.y(high)}")

    def _could_be_a_place(self, number: Number, panel: Panel) -> bool:
        """Whether a number is outside what the y axis shows and inside what the x axis shows, as in "starts at 24"."""
        low, high, left, right = panel.y.low, panel.y.high, panel.x.low, panel.x.high
        if low is None or high is None or left is None or right is None:
            return False
        is_a_height = min(low, high) <= number.value <= max(low, high)
        return not is_a_height and min(left, right) <= number.value <= max(left, right)

    def _within(self, number: Number, p: int, s: int, is_level: bool) -> _Judged:
        """A number that the curve is said to take somewhere: contradicted only where it never comes near.

        As the level of a flat curve it must lie near all values.
        """
        series = self._chart.panels[p].series[s]
        if not (series.first_known and series.last_known) and not series.values_printed:
            return _UNDECIDED
        ys = [point.y for point in series.points]
        if is_level:
            ends = [self._measured(number, y, y, p, s, Reading(p, s)).verdict for y in (min(ys), max(ys))]
            if ends != ["read", "read"] and min(ys) <= number.value <= max(ys):
                return _UNDECIDED
        for index, fact in enumerate(series.facts):
            if fact.kind in ("maximum", "minimum", "first", "last") and fact.y is not None:
                judged = self._compared(number, p, s, index, fact)
                if judged.verdict == "read":
                    return judged
        nearest = min(range(len(ys)), key=lambda i: abs(ys[i] - number.value))
        return self._measured(number, min(ys), max(ys), p, s, Reading(p, s, nearest))

    def _at_place(self, value: Value, p: int, s: int, truth: float | None = None) -> _Judged:
        """A number that the curve is said to have at a place: the values around it are as good.

        `truth` takes the place of the number, for a value that is known rather than stated.
        """
        panel, series = self._chart.panels[p], self._chart.panels[p].series[s]
        if isinstance(value.place, str):
            found = [i for i, point in enumerate(series.points) if point.x == value.place]
            if len(found) != 1:
                return _UNDECIDED
            y = series.points[found[0]].y
            return self._measured(value.number, y, y, p, s, Reading(p, s, found[0]))
        if value.place is None or panel.kind != "line" or not _lies_along(value.place, panel.x):
            return _UNDECIDED
        curve = {float(point.x): point.y for point in series.points if not isinstance(point.x, str)}
        x = value.place.value
        if len(curve) < 2 or not min(curve) <= x <= max(curve) or (panel.x.scale == "log" and min(curve) <= 0):
            return _UNDECIDED
        along = _x_range(panel, list(curve))
        reach = (
            0.02
            + series.x_tolerance
            + along.share(x, x + value.place.half_step if x + value.place.half_step > 0 else x)
        )
        around = [y for place, y in curve.items() if along.share(place, x) <= min(reach, 0.1)]
        y_range = self._axes[p]
        if y_range.scale == "log" and min(curve.values()) <= 0:
            return _UNDECIDED
        around += resampled(curve, [x], y_range, panel.x.scale or "linear")
        nearest = min(range(len(series.points)), key=lambda i: abs(float(series.points[i].x) - x))
        number = value.number if truth is None else Number(0, 0, truth, 0.0)
        return self._measured(number, min(around), max(around), p, s, Reading(p, s, nearest))

    def _crossing(self, claim: Claim, value: Value) -> _Judged:
        for p, panel in enumerate(self._chart.panels):
            members = [next((s for q, s in _of_names(names) if q == p), None) for names in claim.subjects]
            if None in members or panel.x.scale not in ("linear", "log", "date"):
                continue
            for s in members:
                for index, fact in enumerate(panel.series[s].facts if s is not None else ()):
                    if (
                        fact.kind == "crossing"
                        and fact.other in members
                        and not isinstance(fact.x, str)
                        and fact.x is not None
                    ):
                        x = fact.x
                        along = _x_range(
                            panel, [float(pt.x) for pt in panel.series[s or 0].points if not isinstance(pt.x, str)]
                        )
                        off = along.share(value.number.value, x)
                        rounding = _rounding(value.number, along)
                        at = Reading(p, s or 0, self._point_at(p, s or 0, x), index)
                        if off <= _AGREES_WITHIN + min(rounding, _AGREES_WITHIN):
                            return _Judged("read", at)
                        if (
                            off > _DIFFERS_BEYOND + rounding
                            and not value.number.is_vague
                            and not self._fits_crossing_y(value.number, fact, panel)
                        ):
                            return _Judged("contradicted", at, NumberWriter.of(panel, panel.series[s or 0]).x(x))
        return _UNDECIDED

    def _fits_crossing_y(self, number: Number, fact: Fact, panel: Panel) -> bool:
        """Whether a crossing may be told by its height rather than its place."""
        return fact.y is not None and _axis(panel).share(number.value, fact.y) <= _DIFFERS_BEYOND

    def _clouds(self) -> Iterator[Check]:
        """Of "lie between 2 and 8" and "correlation 0.93": numbers that are those of a scatter series."""
        series_of = [
            (p, s, series)
            for p, panel in enumerate(self._chart.panels)
            for s, series in enumerate(panel.series)
            if panel.kind == "scatter" and not series.abstained
        ]
        for number in numbers_in(self._answer) if series_of else ():
            before = self._answer[: number.start]
            words = set(before[max(before.rfind(". "), before.rfind("? ")) + 1 :].casefold().split())
            for p, s, series in series_of:
                for index, fact in enumerate(series.facts):
                    if self._is_of_cloud(number, words, p, fact):
                        at = Reading(p, s, fact=index)
                        yield Check(number.start, number.end, "number", "read", at)

    def _is_of_cloud(self, number: Number, words: set[str], p: int, fact: Fact) -> bool:
        if fact.kind == "correlation":
            is_near = fact.y is not None and abs(number.value - fact.y) <= number.half_step + 0.005
            return is_near and not words.isdisjoint(_OF_CORRELATION)
        if fact.kind not in ("x_range", "y_range") or words.isdisjoint(_OF_RANGE):
            return False
        panel = self._chart.panels[p]
        low, high = fact.x, fact.y
        if isinstance(low, str) or low is None or high is None:
            return False
        axis = self._axes[p] if fact.kind == "y_range" else _x_range(panel, [low, high])
        allowed = _AGREES_WITHIN + min(_rounding(number, axis), _AGREES_WITHIN)
        return any(axis.share(number.value, end) <= allowed for end in (low, high))

    # Comparisons

    def _extreme(self, claim: Claim) -> _Judged:
        if claim.is_all and claim.subjects and _is_category(claim.subjects[0]):
            return self._extreme_of_all(claim, claim.subjects[0][0].text)
        if claim.is_all or len(claim.subjects) != 1 or claim.is_part:
            return _UNDECIDED
        names = claim.subjects[0]
        if all(name.kind == "category" for name in names):
            category = names[0].text
            rows = self._rows_of_bars(claim)
            return (
                _agreed([self._extreme_bar(p, s, category, claim.is_high) for p, s in rows])
                if len(rows) == 1
                else _UNDECIDED
            )
        return _agreed([self._extreme_series(p, s, claim) for p, s in _of_names(names)])

    def _extreme_of_all(self, claim: Claim, category: str) -> _Judged:
        """Of "all are highest at C": of each series of the only panel with bars, or of the one spoken of."""
        panels = [p for p, panel in enumerate(self._chart.panels) if panel.kind in _BARS and not panel.abstained]
        panels = [p for p in panels if claim.panel in (None, p)]
        count = len(self._chart.panels[panels[0]].series) if len(panels) == 1 else 0
        is_both = self._answer[max(claim.start - 24, 0) : claim.end].casefold().find("both") >= 0
        if count < 2 or (is_both and count != 2):
            return _UNDECIDED
        return _all_hold([self._extreme_bar(panels[0], s, category, claim.is_high) for s in range(count)])

    def _extreme_series(self, p: int, s: int, claim: Claim) -> _Judged:
        """Highest by any measure (mean, maximum, an end) is not contradicted, highest by the mean is read."""
        panel = self._chart.panels[p]
        if len(panel.series) < 2 or any(series.abstained or not series.points for series in panel.series):
            return _UNDECIDED
        if any(len(series.points) < 2 for series in panel.series) or panel.kind == "stacked_bar":
            return _UNDECIDED
        axis = self._axes[p]
        sign = 1 if claim.is_high else -1
        try:
            levels = [[sign * axis.level(point.y) for point in series.points] for series in panel.series]
        except ValueError:
            return _UNDECIDED
        extent = abs(axis.extent)
        measures = [[sum(ys) / len(ys) for ys in levels], [max(ys) for ys in levels]]
        measures += [[ys[0] for ys in levels], [ys[-1] for ys in levels]]
        behind = [max(values) - values[s] for values in measures]
        if claim.is_reached:
            return self._reaches_most(p, s, behind[1] / extent if extent else 0.0, measures[1])
        if claim.is_high and _fact(panel.series[s], "highest_overall"):
            index = next(i for i, fact in enumerate(panel.series[s].facts) if fact.kind == "highest_overall")
            return _Judged("read", Reading(p, s, fact=index))
        if behind[0] == 0 or behind[1] == 0:
            return _Judged("read", Reading(p, s)) if behind[0] <= _CLEARLY_APART * extent else _UNDECIDED
        is_clear = all(gap > _CLEARLY_APART * extent for gap in behind)
        if claim.is_overall:
            is_clear = behind[0] > _DIFFERS_BEYOND * extent and behind[1] > 0
        if is_clear:
            best = max(range(len(levels)), key=measures[0].__getitem__)
            return _Judged("contradicted", Reading(p, best), panel.series[best].name or None)
        return _UNDECIDED

    def _reaches_most(self, p: int, s: int, behind: float, levels: Sequence[float]) -> _Judged:
        """Of "reaches the highest value"."""
        best = max(range(len(levels)), key=levels.__getitem__)
        series = self._chart.panels[p].series
        if best == s:
            return _Judged("read", Reading(p, s))
        if behind > _CLEARLY_APART + series[s].y_tolerance + series[best].y_tolerance:
            return _Judged("contradicted", Reading(p, best), series[best].name or None)
        return _UNDECIDED

    def _extreme_bar(self, p: int, s: int, category: str, is_high: bool) -> _Judged:
        series = self._chart.panels[p].series[s]
        found = [i for i, point in enumerate(series.points) if point.x == category]
        if len(found) != 1 or series.abstained:
            return _UNDECIDED
        sign = 1 if is_high else -1
        ys = [sign * point.y for point in series.points]
        best = max(range(len(ys)), key=ys.__getitem__)
        if best == found[0]:
            return _Judged("read", Reading(p, s, best))
        apart = self._axes[p].share(series.points[best].y, series.points[found[0]].y)
        if apart <= _CLEARLY_APART + series.y_tolerance:
            return _UNDECIDED
        return _Judged("contradicted", Reading(p, s, best), str(series.points[best].x))

    def _order(self, claim: Claim) -> _Judged:
        if len(claim.subjects) != 2 or claim.is_part:
            return _UNDECIDED
        first, second = claim.subjects
        if first and first[0].kind == "category":
            rows = self._rows_of_bars(claim)
            return self._order_of_bars(*rows[0], claim) if len(rows) == 1 else _UNDECIDED
        pairs = [(p, s, t) for p, s in _of_names(first) for q, t in _of_names(second) if p == q and s != t]
        return _agreed([self._order_of_series(p, s, t, claim) for p, s, t in pairs])

    def _order_of_bars(self, p: int, s: int, claim: Claim) -> _Judged:
        panel, series = self._chart.panels[p], self._chart.panels[p].series[s]
        by_category = {point.x: i for i, point in enumerate(series.points)}
        at = [by_category.get(names[0].text) for names in claim.subjects]
        if at[0] is None or at[1] is None:
            return _UNDECIDED
        first, second = series.points[at[0]].y, series.points[at[1]].y
        apart = self._axes[p].share(first, second)
        if apart <= series.y_tolerance:
            return _UNDECIDED
        if (first > second) == claim.is_high:
            return _Judged("read", Reading(p, s, at[0]))
        if apart <= _CLEARLY_APART + series.y_tolerance:
            return _UNDECIDED
        write = NumberWriter.of(panel, series)
        return _Judged("contradicted", Reading(p, s, at[0]), f"{write.y(first)} and {write.y(second)}")

    def _order_of_series(self, p: int, s: int, t: int, claim: Claim) -> _Judged:
        panel = self._chart.panels[p]
        one, other = panel.series[s], panel.series[t]
        if one.abstained or other.abstained or not one.points or not other.points:
            return _UNDECIDED
        axis = self._axes[p]
        try:
            gaps = _gaps(panel, one, other, axis, claim.place if isinstance(claim.place, str) else None)
        except ValueError:
            return _UNDECIDED
        if not gaps:
            return _UNDECIDED
        signed = gaps if claim.is_high else [-gap for gap in gaps]
        tolerance = one.y_tolerance + other.y_tolerance
        if sum(gap > -tolerance for gap in signed) >= 0.95 * len(signed) and max(signed) > tolerance:
            return _Judged("read", Reading(p, s))
        if all(gap < -tolerance for gap in signed) and min(signed) < -_CLEARLY_APART - tolerance:
            return _Judged(
                "contradicted",
                Reading(p, t),
                f"{other.name or 'the other'} lies {'above' if claim.is_high else 'below'}",
            )
        return _UNDECIDED

    def _rows_of_bars(self, claim: Claim) -> list[tuple[int, int]]:
        """The series that a statement about bars speaks of: the named one, or the only one there is."""
        # Of stacked bars the highest may be a part or a whole, unless a series is named.
        kinds = _BARS if claim.bars_of else ("bar", "grouped_bar")
        panels = [p for p, panel in enumerate(self._chart.panels) if panel.kind in kinds and not panel.abstained]
        if claim.panel is not None:
            panels = [p for p in panels if p == claim.panel]
        if claim.bars_of:
            return [(p, s) for p, s in _of_names(claim.bars_of) if p in panels]
        rows = [(p, s) for p in panels for s in range(len(self._chart.panels[p].series))]
        return rows if len(rows) == 1 else []

    def _bar(self, claim: Claim, value: Value, p: int, s: int) -> _Judged:
        """The value of a bar; in "the highest bar is C at 3", 3 may also be right of the bar that is the highest."""
        series = self._series(p, s)
        if series is None or not isinstance(value.place, str):
            return _UNDECIDED
        extreme = _fact(series, "maximum" if claim.is_high else "minimum") if claim.kind == "extreme" else None
        judged = self._compared(value.number, p, s, *extreme) if extreme else _UNDECIDED
        return judged if judged.verdict == "read" else self._at_place(value, p, s)

    def _factors(self) -> Iterator[Check]:
        """ "Twice", "half" and "three times" between two bars or two curves that the sentence names in this order."""
        mentions = [mention for mention in self._parsed.mentions if _of_names(mention[2]) or _is_category(mention[2])]
        next_mention = 0
        sentences = iter(self._parsed.sentences)
        start, end = next(sentences, (0, 0))
        named: list[tuple[Name, ...]] = []
        for match in _FACTOR.finditer(self._answer):
            while match.start() >= end:
                start, end = next(sentences, (len(self._answer), len(self._answer) + 1))
                named = []
            while next_mention < len(mentions) and mentions[next_mention][0] < end:
                if mentions[next_mention][0] >= start:
                    named.append(mentions[next_mention][2])
                next_mention += 1
            word = match["factor"].casefold()
            factor = _FACTORS.get(word) or float(_COUNTS.get(match["count"] or "", 0) or match["count"] or 0)
            reading = self._factor(named, factor, (match["bound"] or "").casefold()) if len(named) == 2 else None
            yield Check(match.start(), match.end(), "number", "read" if reading else "unsupported", reading)

    def _factor(self, named: Sequence[tuple[Name, ...]], factor: float, bound: str) -> Reading | None:
        low, high = factor * 0.87, factor * 1.15
        if bound:
            low, high = (factor, factor * 1.6) if bound.startswith("more") else (factor * 0.6, factor)
        for first, second, reading in self._pairs(named):
            if second and low <= first / second <= high:
                return reading
        return None

    def _pairs(self, named: Sequence[tuple[Name, ...]]) -> Iterator[tuple[float, float, Reading]]:
        """Values of the two that one may compare: of bars theirs, of curves the last, the highest and the first."""
        if all(_is_category(names) for names in named):
            rows = [
                (p, s)
                for p, panel in enumerate(self._chart.panels)
                for s, series in enumerate(panel.series)
                if panel.kind in _BARS and series.abstained is None
            ]
            for p, s in rows if len(rows) == 1 else ():
                ys = {point.x: (i, point.y) for i, point in enumerate(self._chart.panels[p].series[s].points)}
                both = [ys.get(names[0].text) for names in named]
                if both[0] and both[1]:
                    yield both[0][1], both[1][1], Reading(p, s, both[0][0])
            return
        for p, s in _of_names(named[0]):
            for q, t in _of_names(named[1]):
                for kind in _COMPARED_FACTS if p == q and s != t else ():
                    one, other = (_fact(self._chart.panels[p].series[i], kind) for i in (s, t))
                    if one and other and one[1].y is not None and other[1].y is not None:
                        yield one[1].y, other[1].y, Reading(p, s, fact=one[0])

    # What belongs to no claim

    def _other_numbers(self) -> Iterator[Check]:
        tokens = tokens_of(self._answer)
        token_at = {token.start: i for i, token in enumerate(tokens)}
        ends = [end for _, end in self._parsed.sentences]
        facts_near: list[tuple[int, int, int, Fact]] = []
        sentence = -1
        mentions = sorted(self._parsed.mentions)
        next_mention = 0
        place_of_facts = -1
        # Of a level, agreement with the end of a curve that is not flat says nothing.
        levels = {v.number.start for claim in self._parsed.claims for v in claim.values if v.role == "level"}
        for number in self._parsed.numbers:
            while sentence + 1 < len(ends) and (sentence < 0 or number.start >= ends[sentence]):
                sentence += 1
            if sentence != place_of_facts:
                place_of_facts = sentence
                start, end = self._parsed.sentences[sentence] if ends else (0, 0)
                named = []
                while next_mention < len(mentions) and mentions[next_mention][0] < end:
                    if mentions[next_mention][0] >= start:
                        named.append(mentions[next_mention][2])
                    next_mention += 1
                facts_near = self._facts_of_sentence(named)
            index = token_at.get(number.start)
            if self._absent[number.start] or (index is not None and counts_or_refers(tokens, index)):
                continue
            yield self._other_number(number, () if number.start in levels else facts_near)

    def _facts_of_sentence(self, named: Sequence[tuple[Name, ...]]) -> list[tuple[int, int, int, Fact]]:
        """The facts of the series that a sentence names; of all where it names none."""
        chosen = {pair for names in named for pair in _of_names(names)}
        return [
            (p, s, i, fact)
            for p, panel in enumerate(self._chart.panels)
            for s, series in enumerate(panel.series)
            if (not chosen or (p, s) in chosen) and series.abstained is None
            for i, fact in enumerate(series.facts)
            if fact.kind in ("first", "last", "maximum", "minimum", "crossing")
        ]

    def _other_number(self, number: Number, facts: Sequence[tuple[int, int, int, Fact]]) -> Check:
        for p, s, index, fact in facts:
            panel = self._chart.panels[p]
            if fact.y is None or panel.y.scale in (None, "category"):
                continue
            axis = self._axes[p]
            off = axis.share(number.value, fact.y)
            if off <= panel.series[s].y_tolerance + min(_rounding(number, axis), 0.01) + 0.005:
                return Check(
                    number.start, number.end, "number", "read", Reading(p, s, self._point_at(p, s, fact.x), index)
                )
        if number.value in self._printed or abs(number.value) in self._printed:
            return Check(number.start, number.end, "number", "printed", line=self._line_of.get(number.value))
        return Check(number.start, number.end, "number", "unsupported")

    def _other_trends(self) -> Iterator[Check]:
        for start, end in self._parsed.trend_words:
            yield Check(start, end, "trend", "unsupported")

    def _names(self) -> Iterator[Check]:
        # The reader joins the words of a legend and reads some of them again: its names are read, too.
        read = [series.name for panel in self._chart.panels for series in panel.series if series.name]
        for mark in unsupported(self._answer, [*(line.text for line in self._lines), self._caption, *read]):
            # "There is no Zorb" claims of no name that it stands in the figure.
            is_denied = _DENIED.search(self._answer, max(mark.start - 20, 0), mark.start) is not None
            is_denied = is_denied or bool(self._absent[mark.start])
            if mark.kind == "name" and not is_denied:
                yield Check(mark.start, mark.end, "name", "unsupported")

    # The figure

    def _numbers_by_line(self) -> dict[float, int]:
        found: dict[float, int] = {}
        for index, line in enumerate(self._lines):
            for number in numbers_in(line.text):
                found.setdefault(number.value, index)
        return found

    def _numbers_that_are_no_ticks(self) -> set[float]:
        """Numbers printed in the caption, within a plot area or beside words: these may be what the answer goes by."""
        found = {number.value for number in numbers_in(self._caption)}
        for line in self._lines:
            x, y = line.centre
            inside = any(a[0] <= x <= a[2] and a[1] <= y <= a[3] for a in (panel.area for panel in self._chart.panels))
            if inside or any(char.isalpha() for char in line.text):
                found |= {number.value for number in numbers_in(line.text)}
        return found

    def _series(self, p: int, s: int) -> Series | None:
        panel = self._chart.panels[p]
        series = panel.series[s]
        return None if panel.abstained or series.abstained else series

    def _point_at(self, p: int, s: int, x: float | str | None) -> int | None:
        """The point of a series that lies nearest to a place."""
        points = self._chart.panels[p].series[s].points
        if x is None or not points:
            return None
        if isinstance(x, str):
            return next((i for i, point in enumerate(points) if point.x == x), None)
        numeric = [i for i, point in enumerate(points) if not isinstance(point.x, str)]
        return min(numeric, key=lambda i: abs(float(points[i].x) - x)) if numeric else None


_RANK: Mapping[Verdict, int] = {"contradicted": 0, "read": 1, "printed": 2, "unsupported": 3}


def _of_names(names: Iterable[Name]) -> list[tuple[int, int]]:
    return [(name.panel, name.series) for name in names if name.kind == "series" and name.series is not None]


def _is_category(names: Sequence[Name]) -> bool:
    return bool(names) and all(name.kind == "category" for name in names)


def _agreed(judged: Sequence[_Judged]) -> _Judged:
    """The verdict where a name may stand for several series: one that agrees will do, to contradict all must."""
    for one in judged:
        if one.verdict == "read":
            return one
    if judged and all(one.verdict == "contradicted" for one in judged):
        return judged[0]
    return _UNDECIDED


def _all_hold(judged: Sequence[_Judged]) -> _Judged:
    """The verdict on several series spoken of together: contradicted by one, read where all agree."""
    for one in judged:
        if one.verdict == "contradicted":
            return one
    return judged[0] if judged and all(one.verdict == "read" for one in judged) else _UNDECIDED


def _fact(series: Series, kind: FactKind) -> tuple[int, Fact] | None:
    return next(((i, fact) for i, fact in enumerate(series.facts) if fact.kind == kind), None)


def _axis(panel: Panel) -> Range:
    """What the y axis shows, as far as it is known, else what its data cover."""
    low, high, scale = panel.y.low, panel.y.high, panel.y.scale or "linear"
    if low is None or high is None or low == high or (scale == "log" and min(low, high) <= 0):
        ys = [point.y for series in panel.series for point in series.points] or [0.0, 1.0]
        if scale == "log" and min(ys) <= 0:
            scale = "linear"
        return range_of(ys, scale)
    return Range(min(low, high), max(low, high), scale)


def _x_range(panel: Panel, xs: Sequence[float]) -> Range:
    low, high, scale = panel.x.low, panel.x.high, panel.x.scale or "linear"
    if low is None or high is None or low == high or (scale == "log" and min(low, high) <= 0):
        return range_of(xs or [0.0, 1.0], scale)
    return Range(min(low, high), max(low, high), scale)


def _rounding(number: Number, axis: Range) -> float:
    """How far a number may be off by its rounding, as a share of the axis."""
    share = axis.share(number.value, number.value + math.copysign(number.half_step, number.value))
    return share if math.isfinite(share) else 0.0


def _looks_scaled(value: float, truth: float) -> bool:
    """Whether a number is what was read in another unit (thousands, percent) or told without its sign."""
    if truth and abs(value + truth) <= 0.05 * abs(truth):
        return True
    if value == 0 or truth == 0 or (value < 0) != (truth < 0):
        return False
    ratio = abs(value / truth)
    return any(0.8 <= max(ratio, 1 / ratio) / factor <= 1.25 for factor in _SCALES)


def _is_percent(panel: Panel) -> bool:
    return "%" in f"{panel.y.unit or ''}{panel.y.label or ''}"


def _lies_along(place: Number, axis: Axis) -> bool:
    """Whether a place can be looked up along an axis: a date among dates, a number among numbers."""
    return axis.scale == "date" if place.is_date else axis.scale in ("linear", "log")


def _gaps(panel: Panel, one: Series, other: Series, axis: Range, place: str | None) -> list[float]:
    """How far one series lies above another, as shares of the axis, at the places of both."""
    if any(isinstance(point.x, str) for series in (one, other) for point in series.points):
        ys = {point.x: point.y for point in other.points}
        pairs = [(p.y, ys[p.x]) for p in one.points if p.x in ys and place in (None, p.x)]
        return [(axis.level(a) - axis.level(b)) / axis.extent for a, b in pairs] if axis.extent else []
    if panel.kind != "line" or panel.x.scale is None or place is not None:
        return []
    a, b = ({float(point.x): point.y for point in series.points} for series in (one, other))
    low, high = max(min(a), min(b)), min(max(a), max(b))
    places = sorted({x for x in (*a, *b) if low <= x <= high})
    if len(places) < 2 or not axis.extent:
        return []
    along = [resampled(curve, places, axis, panel.x.scale) for curve in (a, b)]
    return [(axis.level(u) - axis.level(v)) / axis.extent for u, v in zip(*along, strict=True)]
