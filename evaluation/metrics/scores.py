"""BLEU-1 to BLEU-4, ROUGE-L and CIDEr by pycocoevalcap's definitions, with one reference for each answer.

Published numbers of SciGraphQA and the original LLaVA-Graph come from pycocoevalcap 1.2, so its definitions are
followed to the last constant; tests hold the two together to 1e-6. It is not used itself because its BLEU carries a
licence that excludes commercial use and because the wheel has 104 MB of Java. Everything here keeps per-item parts,
which is what intervals and paired tests need. Strings come prepared (see `protocols`); no file is read here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.statistics import Floats, Indices, Statistic, mean_of

ORDERS = 4
METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr")
VERSION = "1"
"""Changes whenever a number would."""

_ROUGE_BETA = 1.2
_CIDER_SIGMA = 6.0
_SMALL, _TINY = 1e-9, 1e-15  # pycocoevalcap's guards: BLEU of no match at all is tiny instead of 0

_Ngram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the scores of one run are computed from, item by item.

    bleu: [items, 10]; columns: matched n-grams for n = 1 to 4, n-grams of the answer for n = 1 to 4, words of the
    answer, words of the reference. rouge, cider: [items].
    """

    bleu: Floats
    rouge: Floats
    cider: Floats

    @property
    def items(self) -> int:
        return len(self.rouge)

    def statistic(self, metric: str) -> Statistic:
        """The metric as a function of items. CIDEr's idf stays that of the whole reference set."""
        return statistic_of(metric, self)


def parts_of(answers: Sequence[str], references: Sequence[str]) -> Parts:
    """The parts of all scores; `answers[i]` belongs to `references[i]`. Raises ValueError for different lengths or
    none."""
    if len(answers) != len(references) or not answers:
        raise ValueError(f"{len(answers)} answers for {len(references)} references")
    pairs = list(zip(answers, references, strict=True))
    return Parts(
        bleu=np.asarray([_bleu_row(answer, reference) for answer, reference in pairs], dtype=np.float64),
        rouge=np.asarray([rouge_l(answer, reference) for answer, reference in pairs], dtype=np.float64),
        cider=np.asarray(_cider(answers, references), dtype=np.float64),
    )


def together(left: Parts, right: Parts) -> Parts:
    """The rows of two runs one after the other, for `statistics.compare`."""
    return Parts(
        np.concatenate([left.bleu, right.bleu]),
        np.concatenate([left.rouge, right.rouge]),
        np.concatenate([left.cider, right.cider]),
    )


def statistic_of(metric: str, parts: Parts) -> Statistic:
    """Raises KeyError for a metric that is not in METRICS."""
    statistics: dict[str, Callable[[], Statistic]] = {
        **{f"BLEU-{n}": lambda n=n: _bleu_statistic(parts.bleu, n) for n in range(1, ORDERS + 1)},  # type: ignore[misc]
        "ROUGE-L": lambda: mean_of(parts.rouge),
        "CIDEr": lambda: mean_of(parts.cider),
    }
    return statistics[metric]()


def _bleu_statistic(rows: Floats, order: int) -> Statistic:
    """Corpus-level BLEU (Papineni et al. 2002): counts are summed before precisions are multiplied."""

    def of(indices: Indices) -> Floats:
        sums = rows[indices].sum(axis=-2)  # [..., 10]
        matched, offered = sums[..., :order], sums[..., ORDERS : ORDERS + order]
        precision = np.prod((matched + _TINY) / (offered + _SMALL), axis=-1) ** (1.0 / order)
        ratio = (sums[..., 2 * ORDERS] + _TINY) / (sums[..., 2 * ORDERS + 1] + _SMALL)
        return np.asarray(precision * np.where(ratio < 1, np.exp(1 - 1 / np.minimum(ratio, 1.0)), 1.0))

    return of


def _bleu_row(answer: str, reference: str) -> list[float]:
    words, reference_words = answer.split(), reference.split()
    counts, reference_counts = _ngrams(words), _ngrams(reference_words)
    matched = [0] * ORDERS
    for ngram, count in counts.items():
        matched[len(ngram) - 1] += min(count, reference_counts[ngram])
    offered = [max(0, len(words) - n) for n in range(ORDERS)]
    return [*map(float, matched), *map(float, offered), float(len(words)), float(len(reference_words))]


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L F with beta 1.2 (Lin 2004), tokens between single spaces: a line break glues two words together."""
    words, reference_words = answer.split(" "), reference.split(" ")
    common = longest_common_subsequence(words, reference_words)
    if not common:
        return 0.0
    precision, recall = common / len(words), common / len(reference_words)
    weight = _ROUGE_BETA**2
    return (1 + weight) * precision * recall / (recall + weight * precision)


def longest_common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Its length, by Hyyrö's bit-parallel recurrence (2004) on Python's integers: one addition for each word."""
    places: dict[str, int] = {}
    for index, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << index
    everything = (1 << len(left)) - 1
    row = everything
    for word in right:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & everything
    return len(left) - row.bit_count()


def _cider(answers: Sequence[str], references: Sequence[str]) -> list[float]:
    """CIDEr-D as pycocoevalcap has it (Vedantam et al. 2015): clipped tf-idf cosine with a length penalty, times 10."""
    reference_counts = [_ngrams(reference.split()) for reference in references]
    frequency: Counter[_Ngram] = Counter()
    for counts in reference_counts:
        frequency.update(counts.keys())
    documents = math.log(len(references))

    def vector(counts: Counter[_Ngram]) -> tuple[dict[_Ngram, float], list[float], int]:
        weights = {ngram: count * (documents - math.log(max(1, frequency[ngram]))) for ngram, count in counts.items()}
        norms = [0.0] * ORDERS
        length = 0
        for ngram, weight in weights.items():
            norms[len(ngram) - 1] += weight * weight
            if len(ngram) == 2:  # pycocoevalcap measures length in bigrams
                length += counts[ngram]
        return weights, [math.sqrt(norm) for norm in norms], length

    scores = []
    for answer, counts in zip(answers, reference_counts, strict=True):
        weights, norms, length = vector(_ngrams(answer.split()))
        reference_weights, reference_norms, reference_length = vector(counts)
        similarity = [0.0] * ORDERS
        for ngram, weight in weights.items():
            other = reference_weights.get(ngram, 0.0)
            similarity[len(ngram) - 1] += min(weight, other) * other
        penalty = math.exp(-((length - reference_length) ** 2) / (2 * _CIDER_SIGMA**2))
        for n in range(ORDERS):
            if norms[n] and reference_norms[n]:
                similarity[n] /= norms[n] * reference_norms[n]
        scores.append(10.0 * penalty * sum(similarity) / ORDERS)
    return scores


def _ngrams(words: Sequence[str]) -> Counter[_Ngram]:
    return Counter(tuple(words[start : start + n]) for n in range(1, ORDERS + 1) for start in range(len(words) - n + 1))
