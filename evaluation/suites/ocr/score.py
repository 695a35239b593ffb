"""Words and boxes that were read against those that are there.

Words: recall and precision over the words of a figure, as often as they stand in it, sign by sign, upper and lower case
distinct; order and place do not matter. Boxes: true and read boxes are paired so that the sum of their intersection
over union (IoU) is largest (scipy's assignment); a true line without a partner counts 0. All sums go over figures
before they are divided, and intervals resample figures. It reads no figure and no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from evaluation.errors import InputError
from evaluation.statistics import Estimate, Floats, Indices, Statistic, estimate
from llava_graph.ocr import Box, Line

IOU_HIT = 0.5
"""A true line counts as found where its box and its partner's overlap at least so much (PASCAL VOC's bound)."""

METRICS = ("word recall", "word precision", "mean box IoU", f"boxes found (IoU ≥ {IOU_HIT:g})")


@dataclass(frozen=True, slots=True)
class FigureCounts:
    """One figure: words true, read and right; true boxes, sum of IoU, boxes found."""

    true_words: int
    read_words: int
    right_words: int
    true_boxes: int
    iou_sum: float
    found_boxes: int


@dataclass(frozen=True, slots=True)
class OcrScore:
    """Estimates by METRICS, over `figures`; `silent` of them gave no line at all."""

    figures: int
    silent: int
    metrics: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        return {
            "figures": self.figures,
            "figures_without_a_line": self.silent,
            "metrics": {name: found.to_json() for name, found in self.metrics.items()},
        }


def count(truth: Sequence[Line], read: Sequence[Line]) -> FigureCounts:
    """The counts of one figure."""
    true_words, read_words = _words(truth), _words(read)
    overlaps = iou([line.box for line in truth], [line.box for line in read])
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    paired = overlaps[rows, columns]
    return FigureCounts(
        true_words.total(),
        read_words.total(),
        (true_words & read_words).total(),
        len(truth),
        float(paired.sum()),
        int((paired >= IOU_HIT).sum()),
    )


def iou(left: Sequence[Box], right: Sequence[Box]) -> Floats:
    """Intersection over union of each box with each, [left, right]; 0 where a box has no area."""
    a, b = np.asarray(left, dtype=np.float64).reshape(-1, 4), np.asarray(right, dtype=np.float64).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(np.clip(box[:, 2:] - box[:, :2], 0, None), axis=-1) for box in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)


def scored(figures: Iterable[FigureCounts]) -> OcrScore:
    """Raises InputError where there is no figure, or no word in any truth."""
    counts = list(figures)
    table = np.asarray(
        [(c.true_words, c.read_words, c.right_words, c.true_boxes, c.iou_sum, c.found_boxes) for c in counts],
        dtype=np.float64,
    ).reshape(-1, 6)
    if not len(table) or table[:, 0].sum() == 0:
        raise InputError("the ground truth holds no word")

    def share(part: int, whole: int) -> Statistic:
        def of(indices: Indices) -> Floats:
            sums = table[indices].sum(axis=-2)
            return np.asarray(sums[..., part] / np.maximum(sums[..., whole], 1.0))

        return of

    pairs = ((2, 0), (2, 1), (4, 3), (5, 3))
    found = {name: estimate(share(*pair), len(table)) for name, pair in zip(METRICS, pairs, strict=True)}
    return OcrScore(len(table), sum(c.read_words == 0 for c in counts), found)


def table(score: OcrScore) -> str:
    """Markdown."""
    lines = ["| metric | value (95 % interval) |", "| --- | --- |"]
    lines += [f"| {name} | {found.text(3)} |" for name, found in score.metrics.items()]
    return "\n".join([*lines, "", f"{score.figures} figures, {score.silent} of them without a line read."]) + "\n"


def _words(lines: Iterable[Line]) -> Counter[str]:
    return Counter(word for line in lines for word in line.text.split())
