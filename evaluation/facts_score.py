"""How many of an answer's statements about a synthetic figure are true: pure functions, no model, no files.

Each score of a figure is a `Share`, so many of so many, and shares of many figures add up. What counts:

axis_labels          both quantities (without units) of every panel are named, letter by letter; 1 or 0 of 1
axis_labels_lenient  the same with one slip allowed in names of six and more letters
series_named         names of the legend that are named
trend_right          of the trends stated about curves that have a clear one (several curves, none named: wrong)
trend_coverage       of the curves with a clear trend and lone rows of bars that rise or fall, those whose trend is told
trend_unfounded      of the trends stated, those about curves that have no clear one; less is better
extremum_right       highest and lowest curves and bars; within 5 % of the range of the true one counts
numbers_near         numbers within 10 % of what the panel shows, on log axes of its logarithms
hallucinated         of all names in the answer, those that stand nowhere in figure or caption; less is better

A name with one wrong letter is hallucinated. So is, to be on the strict side, every word outside our sentences' own
vocabulary: the scores are for models that write in the manner of `synthetic.write`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from evaluation.names import located, named_leniently, squeezed, stands_in
from evaluation.statements import BarExtreme, Extreme, Statements, TrendClaim, parse
from synthetic.facts import PanelFacts, SeriesFacts, Trend, panel_facts
from synthetic.spec import FigureSpec, Panel
from synthetic.write import KIND_WORDS, TREND_WORDS, number

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
)

_VOCABULARY = frozenset(
    word
    for text in (
        *(words for kinds in KIND_WORDS.values() for words in kinds),
        *(words for verbs in TREND_WORDS.values() for words in verbs),
        "the this a an it they its one two three four five another third fourth figure panel chart plot curve curves",
        "series bar bars axis horizontal vertical legend label is are of to at in on by as for and with over under",
        "near about from shows plots lists against versus function overall lies highest lowest cross crosses left",
        "right not all both each while whereas but then between",
    )
    for word in text.split()
)
_WORDS = re.compile(r"[^\W\d_][\w+*-]*")


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `of`."""

    hits: int = 0
    of: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.hits + other.hits, self.of + other.of)


Score = dict[str, Share]
"""A Share for each of METRICS."""


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """One curve or row of bars with what is true of it."""

    panel: Panel
    facts: PanelFacts
    index: int

    @property
    def true(self) -> SeriesFacts:
        return self.facts.series[self.index]

    @property
    def is_alone(self) -> bool:
        return len(self.panel.series) == 1

    @property
    def has_trend_to_tell(self) -> bool:
        """Bars are told by the highest and the lowest, unless one row of them goes up or down."""
        if self.panel.categories:
            return self.is_alone and self.true.trend in ("rises", "falls")
        return self.true.trend != "unclear"


def score(spec: FigureSpec, caption: str, answer: str) -> Score:
    """What is true of `answer` about the figure `spec`. `caption` is what the model was given, or empty."""
    statements = parse(answer)
    figure = _Figure(spec)
    trend_right, trend_coverage, trend_unfounded = figure.trends(statements)
    return {
        "axis_labels": figure.axis_labels(answer),
        "axis_labels_lenient": figure.axis_labels_lenient(answer),
        "series_named": figure.series_named(answer),
        "trend_right": trend_right,
        "trend_coverage": trend_coverage,
        "trend_unfounded": trend_unfounded,
        "extremum_right": figure.extremes(statements),
        "numbers_near": figure.numbers(statements),
        "hallucinated": figure.hallucinated(statements, caption),
    }


class _Figure:
    """A figure's truth, and each score as a method."""

    def __init__(self, spec: FigureSpec) -> None:
        self._panels = spec.panels
        self._series = [
            _Series(panel, facts, i)
            for panel in spec.panels
            for facts in [panel_facts(panel)]
            for i in range(len(panel.series))
        ]
        self._labels = [label for panel in spec.panels for label in (panel.x.quantity, panel.y.quantity)]
        # A curve's name stands in the figure only where there is a legend, but a caption can give it away.
        self._legends = [series.name for panel in spec.panels if panel.legend for series in panel.series]
        self._texts = [
            *(axis.label for panel in spec.panels for axis in (panel.x, panel.y)),
            *(panel.title for panel in spec.panels if panel.title),
            *(category for panel in spec.panels for category in panel.categories),
            *self._legends,
        ]

    def axis_labels(self, answer: str) -> Share:
        names = [*self._labels, *self._legends, *(c for panel in self._panels for c in panel.categories)]
        named = {squeezed(name) for _, _, name in located(names, answer)}
        return Share(int(all(squeezed(label) in named for label in self._labels)), 1)

    def axis_labels_lenient(self, answer: str) -> Share:
        return Share(int(all(named_leniently(label, answer) for label in self._labels)), 1)

    def series_named(self, answer: str) -> Share:
        return Share(sum(stands_in(name, answer) for name in self._legends), len(self._legends))

    def trends(self, statements: Statements) -> tuple[Share, Share, Share]:
        """trend_right, trend_coverage, trend_unfounded. A statement that is repeated counts once."""
        stated: set[tuple[_Series | str, Trend]] = set()
        for claim in statements.trends:
            stated.add((self._named(claim.subject, claim.panel) or squeezed(claim.subject), claim.trend))
        about_clear = [(who, trend) for who, trend in stated if isinstance(who, str) or who.true.trend != "unclear"]
        right = sum(not isinstance(who, str) and who.true.trend == trend for who, trend in about_clear)
        to_tell = [series for series in self._series if series.has_trend_to_tell]
        told = {who for who, _ in stated}
        return (
            Share(right, len(about_clear)),
            Share(sum(series in told for series in to_tell), len(to_tell)),
            Share(len(stated) - len(about_clear), len(stated)),
        )

    def extremes(self, statements: Statements) -> Share:
        verdicts = []
        for curve in statements.series_extremes:
            found = self._named(curve.subject, curve.panel)
            verdicts.append(
                found is not None and _is_extreme(_mean_heights(found.panel), found.index, curve.which, found.panel)
            )
        for bar in statements.bar_extremes:
            row = self._of_bars(bar)
            named = located(row.panel.categories, bar.category) if row else []
            if row is None or len(named) != 1:
                verdicts.append(False)
            else:
                at = row.panel.categories.index(named[0][2])
                verdicts.append(_is_extreme(row.panel.series[row.index].y, at, bar.which, row.panel))
        return Share(sum(verdicts), len(verdicts))

    def numbers(self, statements: Statements) -> Share:
        """Only numbers that belong to something identified: what belongs to no curve is neither near nor far."""
        verdicts: list[bool] = []
        for claim in statements.trends:
            if series := self._named(claim.subject, claim.panel):
                verdicts += _trend_numbers(series, claim)
        for bar in statements.bar_extremes:
            if bar.level is not None and (row := self._of_bars(bar)):
                truth = row.true.highest if bar.which == "highest" else row.true.lowest
                verdicts.append(_is_near(bar.level, truth, _shown(row.panel), log=False))
        for crossing in statements.crossings:
            pair = [self._named(name, crossing.panel) for name in crossing.names]
            if (first := pair[0]) and pair[1] and first.panel is pair[1].panel and (truth_of := first.facts.crossing):
                verdicts.append(_is_near(crossing.at, truth_of[2], _x_shown(first.panel), first.panel.x.log))
        return Share(sum(verdicts), len(verdicts))

    def hallucinated(self, statements: Statements, caption: str) -> Share:
        texts = [*self._texts, caption]
        names = [*statements.slots, *(run for rest in statements.leftovers for run in self._strange(rest, texts))]
        return Share(sum(not _stands(name, texts) for name in names), len(names))

    def _strange(self, rest: str, texts: list[str]) -> Iterator[str]:
        """Names in running text: true ones, and runs of words that neither we nor the figure use."""
        place = 0
        for start, end, name in [*located(self._texts, rest), (len(rest), len(rest), "")]:
            run: list[str] = []
            for word in [*_WORDS.findall(rest[place:start]), ""]:
                if word and word.casefold() not in _VOCABULARY and not any(stands_in(word, text) for text in texts):
                    run.append(word)
                elif run:
                    yield " ".join(run)
                    run = []
            if name:
                yield name
            place = end

    def _named(self, subject: str, panel: int | None) -> _Series | None:
        """The series that a subject names last; any subject will do where there is only one series to speak of."""
        scope = self._in_scope(panel)
        if len(scope) == 1:
            return scope[0]
        by_name = {series.panel.y.quantity: series for series in scope if series.is_alone}
        by_name |= {series.true.name: series for series in scope}
        found = located(by_name, subject)
        return by_name[found[-1][2]] if found else None

    def _of_bars(self, bar: BarExtreme) -> _Series | None:
        """The row of bars that a statement is about."""
        rows = [series for series in self._in_scope(bar.panel) if series.panel.categories]
        if bar.series is not None and len(rows) > 1:
            by_name = {series.true.name: series for series in rows}
            found = located(by_name, bar.series)
            return by_name[found[-1][2]] if found else None
        return rows[0] if len(rows) == 1 else None

    def _in_scope(self, panel: int | None) -> list[_Series]:
        if panel is None or panel >= len(self._panels):
            return self._series
        return [series for series in self._series if series.panel is self._panels[panel]]


def _stands(name: str, texts: Iterable[str]) -> bool:
    return any(stands_in(name, text) for text in texts)


def _trend_numbers(series: _Series, claim: TrendClaim) -> Iterator[bool]:
    """Whether each number of a clause is near the fact that it states; numbers that state none are left out."""
    true, panel = series.true, series.panel
    shown = _shown(panel)
    if claim.trend in ("rises", "falls"):
        stated = [(claim.start, true.start), (claim.end, true.end)]
    elif claim.trend == "flat":
        stated = [(claim.level, true.start)]
    else:
        is_peak = claim.trend == "peaks"
        stated = [(claim.level, true.highest if is_peak else true.lowest)]
        if claim.at is not None and not panel.categories:
            place = panel.series[series.index].x[true.peak_at if is_peak else true.low_at]
            yield _is_near(claim.at, place, _x_shown(panel), panel.x.log)
    for text, truth in stated:
        if text is not None:
            yield _is_near(text, truth, shown, panel.y.log)


def _shown(panel: Panel) -> tuple[float, float]:
    """The y values that a panel shows; bars stand on zero."""
    low, high = panel.y_span
    return (min(low, 0.0), high) if panel.categories else (low, high)


def _x_shown(panel: Panel) -> tuple[float, float]:
    places = [x for series in panel.series for x in series.x]
    return min(places), max(places)


def _is_near(text: str, truth: float, shown: tuple[float, float], log: bool) -> bool:
    """Whether a number as written is near enough; the truth rounded as we round it always is."""
    stated = float(text.replace(",", "").replace("−", "-"))
    if stated == float(number(truth)):
        return True
    if log:
        if stated <= 0:
            return False
        stated, truth, shown = math.log10(stated), math.log10(truth), (math.log10(shown[0]), math.log10(shown[1]))
    return abs(stated - truth) <= NEAR * (shown[1] - shown[0])


def _mean_heights(panel: Panel) -> list[float]:
    """Of each series, as heights to the eye: logarithms on a log axis."""
    return [sum(math.log10(y) if panel.y.log else y for y in series.y) / len(series.y) for series in panel.series]


def _is_extreme(heights: Sequence[float], at: int, which: Extreme, panel: Panel) -> bool:
    """Whether the height `at` is the highest or lowest, or one that the eye cannot tell from it."""
    low, high = (math.log10(y) for y in _shown(panel)) if panel.y.log else _shown(panel)
    gap = max(heights) - heights[at] if which == "highest" else heights[at] - min(heights)
    return gap <= TIED * (high - low)
