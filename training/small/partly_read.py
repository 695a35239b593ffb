"""What the chart reader does not see of a panel: unread series, hidden ends, points that overlap, axes without values.

For readings that are made up (`composed`) and simulated. The shares are those of the reader's readings of the
generator's figures and of other tools' figures; a caller that wants other shares gives them. Nothing here knows names.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from llava_graph.chart import Box, ChartKind, Fact, Panel, Point, Series

T = TypeVar("T")

_REASONS: dict[str, dict[str, float]] = {
    "line": {"same_colour_series": 0.42, "low_coverage": 0.3, "same_colour_dashes": 0.14, "redrawing_differs": 0.14},
    "bars": {"same_colour_series": 0.6, "low_coverage": 0.4},
    "scatter": {"points_overlap": 0.75, "same_colour_series": 0.15, "low_coverage": 0.1},
}
_COVERAGES = {1.0: 0.8, 0.9: 0.12, 0.7: 0.08}
_OVERLAP = 0.35
"""Share of the clouds of which not all points were told apart."""
_STRONG_CORRELATION = 0.8


def weighted(weights: Mapping[T, float], rng: random.Random) -> T:
    """One of the keys, drawn by its weight."""
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def unread(kind: ChartKind, named: Sequence[Series], some: float, lone: float, rng: random.Random) -> list[str | None]:
    """For each series the reason why it was not read, None where it was.

    `some` is the share of panels with several series of which some were not read, `lone` that of lone series. One of
    several that no text names is never claimed. Mostly all have one reason; often the first one is among them, since a
    model gives an unread curve the numbers of the next one.
    """
    count = len(named)
    weights = _REASONS.get(kind, _REASONS["bars"])
    unnamed = "unnamed_series" if rng.random() < 0.6 else "same_colour_series"
    reasons: list[str | None] = [unnamed if one.name is None and count > 1 else None for one in named]
    form = rng.random()
    if count == 1:
        alone = {reason: share for reason, share in weights.items() if not reason.startswith("same_colour")}
        return [weighted(alone, rng)] if form < lone else reasons
    if form >= some:
        return reasons
    form /= some
    if form < 0.2:
        hit: Sequence[int] = range(count)
    elif form < 0.5:
        hit = [0, *rng.sample(range(1, count), rng.randint(0, count - 2))]
    else:
        hit = rng.sample(range(count), rng.choice((1, 1, *range(1, count))))
    common, has_one_reason = weighted(weights, rng), rng.random() < 0.8
    for i in hit:
        reasons[i] = reasons[i] or (common if has_one_reason else weighted(weights, rng))
    return reasons


def traced(curve: Series, rng: random.Random) -> Series:
    """The curve as it was traced: mostly whole, else without an end, both, or a stretch in its middle."""
    coverage = weighted(_COVERAGES, rng)
    if coverage == 1.0:
        # Now and then an end was not seen, as where other curves hide it.
        return replace(curve, coverage=1.0, first_known=rng.random() > 0.05, last_known=rng.random() > 0.06)
    lost = rng.choice(("first", "last", "last", "both", "between"))
    points = _cut(curve.points, lost, coverage)
    first, last = lost in ("last", "between"), lost in ("first", "between")
    return replace(curve, points=points, coverage=coverage, first_known=first, last_known=last)


def _cut(points: Sequence[Point], lost: str, coverage: float) -> tuple[Point, ...]:
    """What is left of a curve that was not traced over its whole length."""
    gone = max(round((1 - coverage) * len(points)), 1)
    if lost == "first":
        return tuple(points[gone:])
    if lost == "last":
        return tuple(points[:-gone])
    if lost == "both":
        return tuple(points[gone // 2 : len(points) - (gone - gone // 2)])
    start = (len(points) - gone) // 2
    return tuple(points[:start]) + tuple(points[start + gone :])


def in_words(points: Sequence[Point], area: Box) -> tuple[Point, ...]:
    """The points of a curve over an axis of which no values were read."""
    wide = area[2] - area[0]
    return tuple(replace(point, x=f"{round(100 * (point.px - area[0]) / wide)} % of the width") for point in points)


def overlapping(panel: Panel, rng: random.Random) -> Panel:
    """The panel with some clouds of which the facts come from all their pixels, but not all points were told apart.

    Such a cloud has no ends and no turn: its trend is the sign of a strong correlation.
    """
    series = []
    for one in panel.series:
        r = next((fact.y for fact in one.facts if fact.kind == "correlation"), None)
        if r is None or rng.random() > _OVERLAP or len(one.points) < 8:
            series.append(one)
            continue
        kept = [fact for fact in one.facts if fact.kind in ("correlation", "x_range", "y_range", "highest_overall")]
        if abs(r) >= _STRONG_CORRELATION:
            kept.insert(0, Fact("trend", text="rises" if r > 0 else "falls"))
        told_apart = sorted(rng.sample(range(len(one.points)), round(len(one.points) * rng.uniform(0.5, 0.95))))
        series.append(replace(one, points=tuple(one.points[i] for i in told_apart), facts=tuple(kept)))
    return replace(panel, series=tuple(series))
