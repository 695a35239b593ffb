"""Intervals and paired tests, by scipy, for whatever a room of the evaluation measures.

Items are questions (or figures): they are resampled as wholes, because what is said of one figure hangs together.
A statistic is a function of indices, so that corpus-level scores (BLEU, ratios) are computed anew on each resample
instead of being averaged. Seeds are fixed: the same rows give the same interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 0
_BATCH = 200  # resamples at a time: 200 × 3,002 items × 10 numbers are 48 MB

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

Statistic = Callable[[Indices], Floats]
"""From indices [..., items] to one value for each leading position [...]."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval; the interval is None where there are fewer than two items."""

    value: float
    low: float | None
    high: float | None
    items: int

    def to_json(self) -> dict[str, Any]:
        interval = None if self.low is None or self.high is None else [self.low, self.high]
        return {"value": self.value, "interval": interval, "items": self.items}

    def text(self, digits: int = 3) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}f}"
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """`right − left` on the same items, its interval, and the two-sided p-value of a paired randomisation test."""

    difference: Estimate
    p_value: float | None

    def to_json(self) -> dict[str, Any]:
        return {**self.difference.to_json(), "p_value": self.p_value}


def mean_of(values: Floats) -> Statistic:
    """The mean of per-item values as a statistic."""
    return lambda indices: np.asarray(values[indices].mean(axis=-1))


def estimate(statistic: Statistic, items: int) -> Estimate:
    """The statistic over all items with its percentile bootstrap interval over items."""
    everything = np.arange(items)
    value = float(statistic(everything))
    if items < 2:
        return Estimate(value, None, None, items)
    low, high = _interval(statistic, everything)
    return Estimate(value, low, high, items)


def compare(statistic: Statistic, items: int) -> PairedDifference:
    """The difference `right − left` of two runs on the same items.

    `statistic` takes indices into the rows of both runs, one after the other: index i is item i of the left run, index
    `items` + i is the same item of the right run. The interval resamples items. The p-value is that of the paired
    randomisation test: the two runs' results are exchanged item by item and the statistic is computed anew each time,
    so that it holds for corpus-level scores too (Noreen 1989; for BLEU: Riezler and Maxwell 2005).
    """

    def difference(indices: Indices) -> Floats:
        return np.asarray(statistic(indices + items) - statistic(indices))

    found = estimate(difference, items)
    return PairedDifference(found, _exchange_p_value(statistic, items) if items > 1 else None)


def _exchange_p_value(statistic: Statistic, items: int) -> float:
    left = np.arange(items)
    found = stats.permutation_test(
        (left, left + items),
        lambda a, b, axis: statistic(np.moveaxis(b, axis, -1)) - statistic(np.moveaxis(a, axis, -1)),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=_BATCH,
        rng=np.random.default_rng(_SEED),
    )
    return float(found.pvalue)


def compare_means(left: Floats, right: Floats) -> PairedDifference:
    """The mean of `right − left` of per-item values [items], with interval and paired randomisation test."""
    return compare(mean_of(np.concatenate([left, right])), len(left))


def rank_correlation(x: Floats, y: Floats) -> Estimate | None:
    """Spearman's rank correlation with its bootstrap interval; None where one side does not vary or n < 3."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None

    def of(indices: Indices) -> Floats:
        rows = np.atleast_2d(indices)
        return np.asarray([_spearman(x[row], y[row]) for row in rows]).reshape(indices.shape[:-1])

    everything = np.arange(len(x))
    low, high = _interval(of, everything)
    return Estimate(float(of(everything)), low, high, len(x))


def cohens_kappa(left: NDArray[Any], right: NDArray[Any], labels: tuple[Any, ...]) -> Estimate | None:
    """Cohen's kappa (1960) of two judges' labels for the same items, with its bootstrap interval; None without items.

    One where both always give one and the same label, which leaves chance no room (scikit-learn has NaN there).
    """
    if len(left) == 0:
        return None
    a = np.asarray([labels.index(item) for item in left])
    b = np.asarray([labels.index(item) for item in right])

    def of(indices: Indices) -> Floats:
        x, y = a[indices], b[indices]
        observed = (x == y).mean(axis=-1)
        expected = sum(((x == label).mean(axis=-1) * (y == label).mean(axis=-1) for label in range(len(labels))), 0.0)
        room = 1.0 - np.asarray(expected)
        return np.where(room > 1e-12, (observed - expected) / np.where(room > 1e-12, room, 1.0), 1.0)

    return estimate(of, len(left))


def _spearman(x: Floats, y: Floats) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])


def _interval(statistic: Statistic, everything: Indices) -> tuple[float, float]:
    found = stats.bootstrap(
        (everything,),
        lambda indices, axis: statistic(np.moveaxis(indices, axis, -1)),
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=_BATCH,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
