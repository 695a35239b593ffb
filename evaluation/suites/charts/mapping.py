"""RMS-F1: how alike two tables are, by relative mapping similarity.

After Liu et al., "DePlot: One-shot visual language reasoning by plot-to-table translation" (ACL Findings 2023,
arXiv:2212.10505), section 3.2. A table is an unordered set of entries (row header, column header, value). The keys of
two entries are compared by the normalised Levenshtein distance of row || column, the values by their relative distance;
both count as 1 above a threshold. Entries are paired at the least total distance of their keys, and an entry without a
partner has similarity 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

KEY_LIMIT = 0.5
"""tau: keys further apart than this are different."""

VALUE_LIMIT = 0.5
"""theta: values further apart than this share of the true one are different."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of a table: `key` is row header and column header."""

    key: tuple[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Similarity:
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def rms(predicted: Sequence[Entry], true: Sequence[Entry]) -> Similarity:
    """Relative mapping similarity; the order of entries does not matter. Two empty tables are alike."""
    if not predicted or not true:
        same = float(not predicted and not true)
        return Similarity(same, same)
    distances = np.array([[key_distance("".join(p.key), "".join(t.key)) for t in true] for p in predicted])
    rows, columns = linear_sum_assignment(distances)
    alike = sum(
        (1 - distances[i, j]) * (1 - _value_distance(predicted[i].value, true[j].value))
        for i, j in zip(rows, columns, strict=True)
    )
    return Similarity(float(alike / len(predicted)), float(alike / len(true)))


def key_distance(first: str, second: str) -> float:
    """Normalised Levenshtein distance, 1 above KEY_LIMIT."""
    distance = normalised_distance(first, second)
    return distance if distance <= KEY_LIMIT else 1.0


def _value_distance(predicted: float, true: float) -> float:
    if predicted == true:
        return 0.0
    distance = abs(predicted - true) / abs(true) if true else 1.0
    return distance if distance <= VALUE_LIMIT else 1.0


def normalised_distance(first: str, second: str) -> float:
    """Levenshtein distance over the length of the longer text: 0 for equal texts, 1 for wholly different ones."""
    if first == second:
        return 0.0
    before = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        row = [i]
        for j, b in enumerate(second, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b)))
        before = row
    return before[-1] / max(len(first), len(second))
