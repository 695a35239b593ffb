"""Scores of many answers as one table, with counts and 95 % intervals, in Markdown for people and JSON for programs.

A score is hits divided by opportunities, summed over figures. Statements about one figure are not independent of each
other, so intervals come from resampling figures (bootstrap), except where a figure has one opportunity at most, where
every one of them ended alike, or where only one figure has any: there, from Wilson's formula over figures. It knows no
model and no figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.suites.facts.score import METRICS, Score, Share

TITLES = {
    "axis_labels": "both axis labels named",
    "axis_labels_lenient": "… with one slip allowed",
    "series_named": "series named",
    "trend_right": "trend statements right",
    "trend_coverage": "trends told",
    "trend_unfounded": "trends told where there is none ↓",
    "extremum_right": "highest and lowest right",
    "numbers_near": "numbers within 10 %",
    "hallucinated": "hallucinated labels ↓",
    "contradicted": "answers with a contradicted statement ↓",
}
"""How each score is called in tables; ↓ where less is better."""

_RESAMPLES = 2000
_Z = 1.959964  # 95 % of a normal distribution lie within so many standard deviations


@dataclass(frozen=True, slots=True)
class Cell:
    """One score of one column; `share` and the bounds `low` and `high` are None where there was no opportunity."""

    hits: int
    of: int
    share: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.share is None or self.low is None or self.high is None:
            return "–"
        return f"{100 * self.share:.1f} % ({100 * self.low:.1f}–{100 * self.high:.1f}), n = {self.of}"


@dataclass(frozen=True, slots=True)
class Column:
    """All answers of one column: how many figures, the cell of each metric, and how often what else happened."""

    figures: int
    cells: Mapping[str, Cell]
    notes: Mapping[str, int]


def column(scores: Sequence[Score], notes: Mapping[str, int]) -> Column:
    """The column of the answers whose scores these are, one Score a figure."""
    return Column(len(scores), {metric: cell([score[metric] for score in scores]) for metric in METRICS}, notes)


def cell(shares: Iterable[Share]) -> Cell:
    """The shares of many figures as one, with its 95 % interval. The same shares give the same interval."""
    counted = [share for share in shares if share.of]
    total = sum(counted, Share())
    if not total.of:
        return Cell(0, 0, None, None, None)
    value = total.hits / total.of
    if total.hits in (0, total.of) or all(share.of == 1 for share in counted) or len(counted) == 1:
        low, high = wilson(value, len(counted))
    else:
        low, high = _bootstrap(counted)
    return Cell(total.hits, total.of, value, low, high)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval for a share seen in `n` independent trials, `n` > 0."""
    spread = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    middle, scale = share + _Z**2 / (2 * n), 1 + _Z**2 / n
    # At the ends rounding could leave the share itself just outside.
    return min(max((middle - spread) / scale, 0.0), share), max(min((middle + spread) / scale, 1.0), share)


def _bootstrap(shares: Sequence[Share]) -> tuple[float, float]:
    counts = np.array([(share.hits, share.of) for share in shares])  # [figures, 2]
    drawn = np.random.default_rng(0).integers(len(counts), size=(_RESAMPLES, len(counts)))
    sums = counts[drawn].sum(axis=1)  # [resamples, 2]
    low, high = np.percentile(sums[:, 0] / sums[:, 1], (2.5, 97.5))
    return float(low), float(high)


def markdown(columns: Mapping[str, Column]) -> str:
    """A table with a row for each score; cells are `share (95 % interval), n = opportunities`."""
    rows = [
        ["", *columns],
        ["---"] * (len(columns) + 1),
        *([TITLES[metric], *(str(column.cells[metric]) for column in columns.values())] for metric in METRICS),
        ["figures", *(str(column.figures) for column in columns.values())],
    ]
    notes = dict.fromkeys(note for column in columns.values() for note in column.notes)
    rows += [[note, *(str(column.notes.get(note, 0)) for column in columns.values())] for note in notes]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def follow_ups_markdown(cells: Mapping[str, Cell]) -> str:
    """A second table: follow-up questions by kind."""
    rows = "".join(f"| {kind} | {cell} |\n" for kind, cell in cells.items())
    return f"\n| follow-up questions | right |\n| --- | --- |\n{rows}"


def as_json(columns: Mapping[str, Column]) -> dict[str, object]:
    return {
        name: {"figures": column.figures, "scores": cells_json(column.cells), "notes": dict(column.notes)}
        for name, column in columns.items()
    }


def cells_json(cells: Mapping[str, Cell]) -> dict[str, object]:
    return {
        name: {"hits": c.hits, "of": c.of, "share": c.share, "low": c.low, "high": c.high} for name, c in cells.items()
    }
