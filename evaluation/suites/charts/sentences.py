"""True sentences about figures whose data are known, and what the checks of answers make of them.

The sentences are put together from the truth, never from what was read. Where the checks call one contradicted, the
reader misread the figure or the checks misread the sentence: either way a reader of the answer is misled. Nothing here
knows how figures were read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evaluation.suites.charts.reading import Reading
from evaluation.suites.charts.score import number, true_trends, true_value
from evaluation.suites.charts.truth import TruthFigure, TruthPanel, TruthSeries
from evaluation.suites.facts.report import Cell, cell
from evaluation.suites.facts.score import Share
from llava_graph.chart import FactKind
from llava_graph.checks import checks


@dataclass(frozen=True, slots=True)
class Sentence:
    """A true sentence about one figure, with the verdicts of its checks, and what was read instead where it was called
    contradicted."""

    figure: str
    text: str
    verdicts: tuple[str, ...]
    instead: str | None = None

    @property
    def is_contradicted(self) -> bool:
        return "contradicted" in self.verdicts

    @property
    def is_judged(self) -> bool:
        """Whether something of it was compared with what was read."""
        return self.is_contradicted or "read" in self.verdicts


def judged(figures: Iterable[TruthFigure], readings: dict[str, Reading]) -> Iterator[Sentence]:
    """Every true sentence about the figures of which the reader claims something, as the checks judge it."""
    for figure in figures:
        reading = readings[figure.file]
        if figure.must_abstain or not reading.chart.claims:
            continue
        for text in true_sentences(figure):
            found = checks(text, lines=reading.lines, chart=reading.chart)
            instead = next((str(check.instead) for check in found if check.verdict == "contradicted"), None)
            yield Sentence(figure.id, text, tuple(check.verdict for check in found), instead)


def true_sentences(figure: TruthFigure) -> Iterator[str]:
    """Of one panel only: in several, the same names and axes would make sentences ambiguous."""
    if len(figure.panels) == 1 and not figure.panels[0].abstain:
        (panel,) = figure.panels
        for series in panel.series:
            name = series.name or ("The curve" if len(panel.series) == 1 else None)
            if name is not None and panel.kind == "line":
                yield from _of_curve(panel, series, name)
            elif panel.kind.endswith("bar"):
                yield from _of_bars(panel, series)


def _of_curve(panel: TruthPanel, series: TruthSeries, name: str) -> Iterator[str]:
    def value(kind: FactKind) -> str | None:
        fact = true_value(series, kind)
        return None if fact is None or fact.y is None else _number(fact.y)

    first, last, highest, lowest = (value(kind) for kind in ("first", "last", "maximum", "minimum"))
    allowed, _ = true_trends(panel, series)
    trend = next(iter(allowed)) if len(allowed) == 1 else None
    if trend in ("rises", "falls") and first is not None and last is not None:
        yield f"{name} {trend} from {first} to {last}."
    elif trend == "flat" and first is not None:
        yield f"{name} stays nearly constant at about {first}."
    elif trend == "peaks" and highest is not None:
        yield f"{name} rises to a peak of {highest} and then falls."
    elif trend == "dips" and lowest is not None:
        yield f"{name} falls to a minimum of {lowest} and then rises."
    if first is not None and last is not None:
        yield f"{name} starts at {first} and ends at {last}."
    if highest is not None:
        yield f"The highest value of {name} is {highest}."
    if lowest is not None:
        yield f"The lowest value of {name} is {lowest}."


def _of_bars(panel: TruthPanel, series: TruthSeries) -> Iterator[str]:
    of = f" of {series.name}" if series.name and len(panel.series) > 1 else ""
    if len(panel.series) > 1 and not series.name:
        return
    for category, value in series.points:
        yield f"The value{of} for {category} is {_number(value)}."
    if series.complete and len(series.points) > 1:
        category, value = max(series.points, key=lambda point: number(point[1]))
        yield f"The highest bar{of} is that for {category}, at {_number(value)}."


def _number(value: float) -> str:
    """As a text would give it: three digits."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:.0f}" if abs(rounded) >= 1000 else f"{rounded:g}"


@dataclass(frozen=True, slots=True)
class Tally:
    """Of all true sentences of one set: how many were called contradicted; verdicts of all checks."""

    of_all: Cell
    of_judged: Cell
    verdicts: dict[str, int]


def tally(sentences: Iterable[Sentence]) -> Tally:
    """Intervals are 95 %, by resampling figures."""
    by_figure: dict[str, list[Sentence]] = {}
    for sentence in sentences:
        by_figure.setdefault(sentence.figure, []).append(sentence)
    wrong = [sum(s.is_contradicted for s in group) for group in by_figure.values()]
    return Tally(
        cell(Share(n, len(group)) for n, group in zip(wrong, by_figure.values(), strict=True)),
        cell(Share(n, sum(s.is_judged for s in group)) for n, group in zip(wrong, by_figure.values(), strict=True)),
        dict(Counter(verdict for group in by_figure.values() for s in group for verdict in s.verdicts).most_common()),
    )
