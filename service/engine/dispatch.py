"""Chooses the engine for a request: the one whose caches know the figure, unless it has too much to do.

Requests about a figure go to the engine that comes first for it in rendezvous hashing, since that one holds image and
prompt in its caches. One with more in flight than a bound is passed over for the next in that order: consistent hashing
with bounded loads (V. Mirrokni, M. Thorup, M. Zadimoghaddam, 2016, arXiv:1608.01350), where the bound is `imbalance`
times the mean. Below `imbalance_from` in flight nothing is passed over: engines batch, so a handful of requests beside
another costs less than a figure to compute anew. Requests without a figure go where the least is in flight.

It is handed numbers and names, and sends nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service.engine.rendezvous import ranked

Reason = Literal["affinity", "load"]
REASONS: tuple[Reason, ...] = ("affinity", "load")


@dataclass(frozen=True, slots=True)
class Balance:
    """How much more than its share an engine may have in flight: `imbalance` times the mean, or `imbalance_from`."""

    imbalance: float
    imbalance_from: int

    def bound(self, in_flight: int, engines: int) -> int:
        """What each of so many engines may have in flight, the next request included."""
        return max(self.imbalance_from, math.ceil(self.imbalance * (in_flight + 1) / engines))


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine that may be chosen. `last_chosen` orders those with equal load: the longest ago comes first."""

    name: str
    in_flight: int
    last_chosen: int


def choose(candidates: Sequence[Candidate], figure_id: str | None, balance: Balance) -> tuple[str, Reason]:
    """The name of one of the candidates, of which there is at least one, and why it is that one."""
    if figure_id is None:
        least = min(candidates, key=lambda candidate: (candidate.in_flight, candidate.last_chosen))
        return least.name, "load"
    by_name = {candidate.name: candidate for candidate in candidates}
    bound = balance.bound(sum(candidate.in_flight for candidate in candidates), len(candidates))
    order = ranked(figure_id, by_name)
    # At least one is below: the bound is no less than the mean with one more.
    chosen = next(name for name in order if by_name[name].in_flight < bound)
    return chosen, "affinity" if chosen == order[0] else "load"
