"""The facts of a panel's series, by the common definitions, and what they miss of clouds whose points overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llava_graph.chart import Fact, Panel, Series
from llava_graph.curves import facts_of, order, range_of

CLEARLY_HIGHEST = 1.1
"""How much farther than a curve the highest cloud must lie above the next. Of 178 groups of clouds that overlap, the
highest by the middles of their pixels was the true one in 176, and of 121 that lie this far apart in 120; by the points
that were told apart, which lie at the rims, in 162."""


def with_facts(panel: Panel, middles: Sequence[float] = ()) -> tuple[Series, ...]:
    """Facts by the common definitions; those of overlapping clouds were made from all their pixels and stay.

    `middles`: of a scatter chart, the value at the middle of each series' pixels.
    """
    told = facts_of(panel)
    if not any(one.facts for one in panel.series):
        return told
    series = tuple(old if old.facts else new for old, new in zip(panel.series, told, strict=True))
    top = _highest_cloud(panel, middles)
    kept = [tuple(fact for fact in one.facts if fact.kind != "highest_overall") for one in series]
    return tuple(
        replace(one, facts=(*facts, Fact("highest_overall")) if i == top else facts)
        for i, (one, facts) in enumerate(zip(series, kept, strict=True))
    )


def _highest_cloud(panel: Panel, middles: Sequence[float]) -> int | None:
    """The cloud whose pixels lie clearly highest on the whole, where all clouds are known."""
    if len(middles) < 2 or any(one.abstained for one in panel.series) or panel.y.scale not in ("linear", "log"):
        return None
    covered = [point.y for one in panel.series for point in one.points]
    for fact in (fact for one in panel.series for fact in one.facts if fact.kind == "y_range"):
        covered += [float(end) for end in (fact.x, fact.y) if end is not None]
    if panel.y.scale == "log" and min(*covered, *middles) <= 0:
        return None
    ranks, is_clear = order([[middle] for middle in middles], range_of(covered, panel.y.scale), CLEARLY_HIGHEST)
    return ranks[0] if is_clear else None
