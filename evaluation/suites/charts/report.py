"""The scores of many figures as tables: Markdown for people, JSON for programs.

Intervals are 95 %, by resampling figures (see `evaluation.suites.facts.report.cell`). Nothing here knows a reader.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.suites.charts.score import CLOUD_FACTS, LINE_FACTS, Count, FigureScore
from evaluation.suites.facts.report import Cell, cell
from evaluation.suites.facts.score import Share

LINES = "lines"
MEASURES: Mapping[str, tuple[str, ...]] = {
    LINES: tuple(f"line.{kind}" for kind in LINE_FACTS),
    **{f"lines: {kind}": (f"line.{kind}",) for kind in LINE_FACTS},
    "bars: value": ("bar.value",),
    "scatter: correlation and ranges": tuple(f"scatter.{kind}" for kind in CLOUD_FACTS),
    "scatter: points": ("scatter.points",),
    "kind of panel": ("kind",),
    "series found and named": ("series",),
    "axes calibrated": ("axis",),
}
"""Rows of the tables: what each is called and which counts it sums up."""

_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Row:
    """Right among what was claimed, and found among all that could be told."""

    of_claimed: Cell
    of_all: Cell


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval; `value` is None where there is nothing to average."""

    value: float | None
    low: float | None
    high: float | None
    figures: int

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "–"
        return f"{100 * self.value:.1f} ({100 * self.low:.1f}–{100 * self.high:.1f}), n = {self.figures}"


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures of one set, tool or kind."""

    figures: int
    rows: Mapping[str, Row]
    claimed_figures: Cell  # figures of readable kinds of which something was claimed
    false_kind: Cell  # figures and panels that must be abstained from, of which something was claimed
    rms_f1: Mean
    rms_f1_claimed: Mean  # only over figures of which something was claimed
    seconds: Mapping[str, float]
    cpu_seconds: Mapping[str, float]
    abstained: Mapping[str, int]


def summarise(scores: Sequence[FigureScore]) -> Summary:
    tables = [score for score in scores if score.rms_f1 is not None]
    readable = [score for score in scores if score.kind != "not read"]
    unread = [count for score in scores if (count := score.counts.get("unread")) is not None]
    return Summary(
        figures=len(scores),
        rows={name: _row(scores, parts) for name, parts in MEASURES.items()},
        claimed_figures=cell(Share(int(score.claims), 1) for score in readable),
        false_kind=cell(Share(count.claimed - count.right, count.all) for count in unread),
        rms_f1=_mean([score.rms_f1 or 0.0 for score in tables]),
        rms_f1_claimed=_mean([score.rms_f1 or 0.0 for score in tables if score.claims]),
        seconds=_spread([score.seconds for score in scores]),
        cpu_seconds=_spread([score.cpu_seconds for score in scores]),
        abstained=dict(Counter(reason for score in scores for reason in set(score.abstained)).most_common()),
    )


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {"median": 0.0, "p95": 0.0, "max": 0.0}
    return {
        "median": float(np.median(seconds)),
        "p95": float(np.quantile(seconds, 0.95)),
        "max": max(seconds),
    }


def _row(scores: Iterable[FigureScore], parts: Sequence[str]) -> Row:
    counts = []
    for score in scores:
        whole = Count()
        for part in parts:
            whole.add(score.counts.get(part, Count()))
        counts.append(whole)
    return Row(
        cell(Share(count.right, count.claimed) for count in counts),
        cell(Share(count.found, count.all) for count in counts),
    )


def _mean(values: Sequence[float]) -> Mean:
    if not values:
        return Mean(None, None, None, 0)
    numbers = np.array(values)
    rng = np.random.default_rng(0)
    means = numbers[rng.integers(len(numbers), size=(_RESAMPLES, len(numbers)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Mean(float(numbers.mean()), float(low), float(high), len(values))


GROUPINGS: Mapping[str, Callable[[FigureScore], str]] = {
    "kind": lambda score: score.kind,
    "tool": lambda score: score.tool,
    "form": lambda score: score.form,
}


def grouped(scores: Sequence[FigureScore], by: Callable[[FigureScore], str]) -> dict[str, Summary]:
    names = sorted({by(score) for score in scores})
    return {name: summarise([score for score in scores if by(score) == name]) for name in names}


def as_json(summary: Summary) -> dict[str, object]:
    return dataclasses.asdict(summary)


def markdown(sets: Mapping[str, Summary]) -> str:
    """One table with a column for each set: `right of claimed / right of all`."""
    names = list(sets)
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]

    def line(title: str, shown: Callable[[Summary], object]) -> None:
        lines.append(f"| {title} | " + " | ".join(str(shown(sets[name])) for name in names) + " |")

    line("figures", lambda summary: summary.figures)
    for name in MEASURES:
        line(f"{name}, right of claimed", lambda summary, name=name: summary.rows[name].of_claimed)  # type: ignore[misc]
        line(f"{name}, right of all", lambda summary, name=name: summary.rows[name].of_all)  # type: ignore[misc]
    line("figures of readable kinds claimed", lambda summary: summary.claimed_figures)
    line("claims on kinds that are not read ↓", lambda summary: summary.false_kind)
    line("RMS-F1, all figures with a table", lambda summary: summary.rms_f1)
    line("RMS-F1, claimed figures", lambda summary: summary.rms_f1_claimed)
    for name in ("median", "p95", "max"):
        line(f"seconds, {name}", lambda summary, name=name: f"{summary.seconds[name]:.2f}")  # type: ignore[misc]
    for name in ("median", "p95", "max"):
        line(f"CPU seconds, {name}", lambda summary, name=name: f"{summary.cpu_seconds[name]:.2f}")  # type: ignore[misc]
    return "\n".join(lines) + "\n"


def short_markdown(groups: Mapping[str, Summary]) -> str:
    """One line for each group, for tables by tool and by kind."""
    lines = [
        "| | figures | lines of claimed | of all | bars of claimed | of all | axes of all | RMS-F1 | false kind |",
        "| --- |" + " --- |" * 8,
    ]
    for name, summary in groups.items():
        curve, bars = summary.rows[LINES], summary.rows["bars: value"]
        cells = (
            *(_short(part) for part in (curve.of_claimed, curve.of_all, bars.of_claimed, bars.of_all)),
            _short(summary.rows["axes calibrated"].of_all),
            "–" if summary.rms_f1.value is None else f"{100 * summary.rms_f1.value:.0f}",
            _short(summary.false_kind),
        )
        lines.append(f"| {name} | {summary.figures} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _short(part: Cell) -> str:
    return "–" if part.share is None else f"{100 * part.share:.0f} % of {part.of}"
