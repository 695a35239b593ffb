"""From reviews to tables: scores per category, order bias, flips, verbosity, agreement of two judges.

Our reading: a question's winner is what both orders of the answers say, and a tie where they disagree; reviews without
readable scores are left out and counted. The original's reading (`original_table`) averages everything in, −1 included,
and is there to reproduce published numbers alone. It reads no file and asks no model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from evaluation.errors import InputError, MismatchError
from evaluation.judge.reviews import PairReview, SingleReview
from evaluation.rows import Row
from evaluation.statistics import (
    Estimate,
    Floats,
    Indices,
    PairedDifference,
    cohens_kappa,
    compare_means,
    estimate,
    mean_of,
    rank_correlation,
)

ALL = "all"
WINNERS = ("answer 1", "answer 2", "tie")
SINGLE_BANDS = ("0 to 3", "above 3 to 7", "above 7")

Review = TypeVar("Review", PairReview, SingleReview)


@dataclass(frozen=True, slots=True)
class PairGroup:
    """One category, or all. `questions` have a readable review in each order that was asked for.

    score1, score2: mean scores of answers 1 and 2. ratio: mean 2 as percent of mean 1. wins: questions by winner.
    difference: score 2 − score 1 with its paired test.
    """

    questions: int
    score1: Estimate
    score2: Estimate
    ratio: Estimate
    difference: PairedDifference
    wins: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        return {
            "questions": self.questions,
            "score1": self.score1.to_json(),
            "score2": self.score2.to_json(),
            "ratio_percent": self.ratio.to_json(),
            "difference": self.difference.to_json(),
            "wins": dict(self.wins),
        }


@dataclass(frozen=True, slots=True)
class PairSummary:
    """All categories, and what is known of the judge itself.

    left_out: reviews without scores, by reason. incomplete: questions left out for them. both_orders: whether every
    question was judged in both orders. position_bias: mean score of what stood first less that of what stood second.
    first_preferred: share of decided reviews that prefer what stood first. order_disagreement: share of questions on
    whose winner the two orders disagree. flip_rate: share of repeated reviews with another winner than the first time.
    verbosity: rank correlation of the difference in length with the difference in score.
    """

    groups: Mapping[str, PairGroup]
    left_out: Mapping[str, int]
    incomplete: int
    both_orders: bool
    position_bias: Estimate | None
    first_preferred: Estimate | None
    order_disagreement: Estimate | None
    flip_rate: Estimate | None
    verbosity: Estimate | None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "pairs",
            "groups": {name: group.to_json() for name, group in self.groups.items()},
            "left_out": dict(self.left_out),
            "incomplete_questions": self.incomplete,
            "both_orders": self.both_orders,
            "judge": {name: found.to_json() if found else None for name, found in judge_facts(self).items()},
        }


@dataclass(frozen=True, slots=True)
class SingleSummary:
    """Mean score by category. flip_rate: share of repeated reviews with another score than the first time."""

    groups: Mapping[str, Estimate]
    left_out: Mapping[str, int]
    incomplete: int
    flip_rate: Estimate | None
    verbosity: Estimate | None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "single",
            "groups": {name: found.to_json() for name, found in self.groups.items()},
            "left_out": dict(self.left_out),
            "incomplete_questions": self.incomplete,
            "judge": {name: found.to_json() if found else None for name, found in judge_facts(self).items()},
        }


def judge_facts(summary: PairSummary | SingleSummary) -> dict[str, Estimate | None]:
    """What is measured of the judge, by the words that tables use."""
    facts = {"flip rate on repeats": summary.flip_rate, "verbosity correlation (Spearman)": summary.verbosity}
    if isinstance(summary, PairSummary):
        facts = {
            "position bias (first less second)": summary.position_bias,
            "first answer preferred (of decided)": summary.first_preferred,
            "orders disagree (of questions)": summary.order_disagreement,
            **facts,
        }
    return facts


@dataclass(frozen=True, slots=True)
class _Judged:
    """One question with all its readable reviews."""

    category: str
    scores: tuple[float, float]
    winner: str
    disagree: bool


def summarise_pairs(reviews: Sequence[PairReview]) -> PairSummary:
    """Raises InputError when no question is left."""
    grouped = _by_question(reviews)
    orders = {review.order for review in reviews}
    judged = {key: found for key, rows in grouped.items() if (found := _judged(rows, len(orders))) is not None}
    if not judged:
        raise InputError("no question has readable scores")
    whole = [review for key in judged for review in grouped[key] if review.scores is not None]
    return PairSummary(
        groups=_groups(judged, lambda item: item.category, _pair_group),
        left_out=_failures(reviews),
        incomplete=len(grouped) - len(judged),
        both_orders=len(orders) == 2,
        position_bias=_position_bias(judged, grouped) if len(orders) == 2 else None,
        first_preferred=_first_preferred(judged, grouped) if len(orders) == 2 else None,
        order_disagreement=_share([item.disagree for item in judged.values()]) if len(orders) == 2 else None,
        flip_rate=_flips(whole, lambda review: (review.question_id, review.order), lambda review: review.sign),
        verbosity=_pair_verbosity(judged, grouped),
    )


def summarise_single(reviews: Sequence[SingleReview]) -> SingleSummary:
    """Raises InputError when no question is left."""
    grouped = _by_question(reviews)
    means: dict[str, tuple[str, float, int | None]] = {}
    for key, rows in grouped.items():
        scores = [review.score for review in rows if review.score is not None]
        if scores:
            means[key] = (rows[0].category, float(np.mean(scores)), rows[0].words)
    if not means:
        raise InputError("no question has a readable score")
    whole = [review for key in means for review in grouped[key] if review.score is not None]
    known = [(words, score) for _, score, words in means.values() if words is not None]
    return SingleSummary(
        groups=_groups(
            means,
            lambda item: item[0],
            lambda items: estimate(mean_of(np.asarray([score for _, score, _ in items])), len(items)),
        ),
        left_out=_failures(reviews),
        incomplete=len(grouped) - len(means),
        flip_rate=_flips(whole, lambda review: (review.question_id, ""), lambda review: review.score),
        verbosity=rank_correlation(*(np.asarray(side, dtype=np.float64) for side in zip(*known, strict=True)))
        if known
        else None,
    )


def pair_agreement(left: Sequence[PairReview], right: Sequence[PairReview]) -> Estimate | None:
    """Cohen's kappa of two judges over winners. Raises MismatchError unless both judged the same questions."""
    a, b = _by_question(left), _by_question(right)
    _same_questions(a, b)
    winners = []
    for key in a:
        one = _judged(a[key], len({review.order for review in left}))
        other = _judged(b[key], len({review.order for review in right}))
        if one is not None and other is not None:
            winners.append((one.winner, other.winner))
    return _kappa(winners, WINNERS)


def single_agreement(left: Sequence[SingleReview], right: Sequence[SingleReview]) -> Estimate | None:
    """Cohen's kappa of two judges over SINGLE_BANDS. Raises MismatchError unless both judged the same questions."""
    a, b = _by_question(left), _by_question(right)
    _same_questions(a, b)
    bands = []
    for key in a:
        one = [review.score for review in a[key] if review.score is not None]
        other = [review.score for review in b[key] if review.score is not None]
        if one and other:
            bands.append((_band(float(np.mean(one))), _band(float(np.mean(other)))))
    return _kappa(bands, SINGLE_BANDS)


def original_table(
    rows: Sequence[Row], categories: Mapping[str, str] | None = None
) -> list[tuple[str, list[float], float]]:
    """(category, [mean 1, mean 2], mean 2 as percent of mean 1) by the original's arithmetic.

    Means are rounded to 3 digits before they are divided, the percentage to 1; −1 of unreadable verdicts is averaged
    in; categories come in the order in which they are first seen, `all` among them. For reviews of the original, whose
    rows hold no category, `categories` may give one by question id.
    """
    by_category: dict[str, list[Sequence[float]]] = {}
    for row in rows:
        scores = row.get("tuple", row.get("score"))
        if not isinstance(scores, list) or len(scores) != 2:
            raise InputError(f"the review of question {row.get('question_id')!r} has no two scores")
        category = row.get("category") or (categories or {}).get(str(row.get("question_id")))
        for name in (category, ALL) if category is not None else (ALL,):
            by_category.setdefault(str(name), []).append(scores)
    table = []
    for category, scores_of in by_category.items():
        means = [round(value, 3) for value in np.asarray(scores_of, dtype=np.float64).mean(0).tolist()]
        if means[0] == 0:
            raise InputError(f"the mean score of answer 1 is 0 in {category!r}: the original's ratio does not exist")
        table.append((category, means, round(means[1] / means[0] * 100, 1)))
    return table


def pair_table(summary: PairSummary) -> str:
    """Markdown."""
    lines = [
        "| category | questions | answer 1 | answer 2 | 2 as % of 1 | 2 − 1 | p | 1 wins | 2 wins | ties |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, group in summary.groups.items():
        p_value = "–" if group.difference.p_value is None else f"{group.difference.p_value:.3f}"
        lines.append(
            f"| {name} | {group.questions} | {group.score1.text(2)} | {group.score2.text(2)} | {group.ratio.text(1)} "
            f"| {group.difference.difference.text(2)} | {p_value} "
            f"| {' | '.join(str(group.wins.get(winner, 0)) for winner in WINNERS)} |"
        )
    if not summary.both_orders:
        lines += ["", "Only one order was judged: position bias is neither known nor removed."]
    return "\n".join([*lines, "", *_judge_lines(summary)]) + "\n"


def single_table(summary: SingleSummary) -> str:
    """Markdown."""
    lines = ["| category | questions | score, 0 to 10 |", "| --- | --- | --- |"]
    lines += [f"| {name} | {found.items} | {found.text(2)} |" for name, found in summary.groups.items()]
    return "\n".join([*lines, "", *_judge_lines(summary)]) + "\n"


def _judge_lines(summary: PairSummary | SingleSummary) -> list[str]:
    lines = ["| of the judge | value (95 % interval) |", "| --- | --- |"]
    lines += [f"| {name} | {found.text(3) if found else '–'} |" for name, found in judge_facts(summary).items()]
    reasons = ", ".join(f"{reason}: {count}" for reason, count in summary.left_out.items()) or "none"
    return [*lines, "", f"Reviews without a readable verdict: {reasons}. Questions left out: {summary.incomplete}."]


def _judged(reviews: Sequence[PairReview], orders: int) -> _Judged | None:
    """None unless every order has a readable review. Repeats of an order are averaged."""
    by_order: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for review in reviews:
        if review.scores is not None:
            by_order[review.order].append(review.scores)
    if len(by_order) < orders:
        return None
    means = [np.mean(scores, axis=0) for scores in by_order.values()]
    signs = {int(np.sign(mean[0] - mean[1])) for mean in means}
    winner = "tie" if len(signs) > 1 else {1: "answer 1", -1: "answer 2", 0: "tie"}[next(iter(signs))]
    both = np.mean(means, axis=0)
    return _Judged(reviews[0].category, (float(both[0]), float(both[1])), winner, len(signs) > 1)


def _pair_group(items: Sequence[_Judged]) -> PairGroup:
    scores = np.asarray([item.scores for item in items], dtype=np.float64)  # [questions, 2]

    def ratio(indices: Indices) -> Floats:
        means = scores[indices].mean(axis=-2)
        return np.asarray(100 * means[..., 1] / means[..., 0])

    return PairGroup(
        len(items),
        estimate(mean_of(scores[:, 0]), len(items)),
        estimate(mean_of(scores[:, 1]), len(items)),
        estimate(ratio, len(items)),
        compare_means(scores[:, 0], scores[:, 1]),
        Counter(item.winner for item in items),
    )


Item = TypeVar("Item")
Group = TypeVar("Group")


def _groups(
    items: Mapping[str, Item], category: Callable[[Item], str], group: Callable[[Sequence[Item]], Group]
) -> dict[str, Group]:
    by_category: dict[str, list[Item]] = defaultdict(list)
    for item in items.values():
        by_category[category(item)].append(item)
    return {ALL: group(list(items.values())), **{name: group(found) for name, found in by_category.items()}}


def _position_bias(judged: Mapping[str, _Judged], grouped: Mapping[str, Sequence[PairReview]]) -> Estimate:
    """Over questions, with both orders in each, so that which answer is better cancels out."""
    values = []
    for key in judged:
        by_order: dict[str, list[float]] = defaultdict(list)
        for review in grouped[key]:
            if (difference := review.first_minus_second) is not None:
                by_order[review.order].append(difference)
        values.append(np.mean([np.mean(found) for found in by_order.values()]))
    return estimate(mean_of(np.asarray(values, dtype=np.float64)), len(values))


def _first_preferred(judged: Mapping[str, _Judged], grouped: Mapping[str, Sequence[PairReview]]) -> Estimate | None:
    counts = []  # [questions, 2]: reviews that prefer the first, and decided reviews
    for key in judged:
        found = [review.first_minus_second for review in grouped[key] if review.first_minus_second]
        counts.append((sum(value > 0 for value in found), len(found)))
    table = np.asarray([row for row in counts if row[1]], dtype=np.float64)
    if not len(table):
        return None

    def share(indices: Indices) -> Floats:
        sums = table[indices].sum(axis=-2)
        return np.asarray(sums[..., 0] / sums[..., 1])

    return estimate(share, len(table))


def _pair_verbosity(judged: Mapping[str, _Judged], grouped: Mapping[str, Sequence[PairReview]]) -> Estimate | None:
    rows = [(grouped[key][0].words, item.scores) for key, item in judged.items()]
    known = [(words[0] - words[1], scores[0] - scores[1]) for words, scores in rows if words is not None]
    if not known:
        return None
    table = np.asarray(known, dtype=np.float64)
    return rank_correlation(table[:, 0], table[:, 1])


def _flips(
    reviews: Sequence[Review], place: Callable[[Review], tuple[str, str]], verdict: Callable[[Review], object]
) -> Estimate | None:
    """Share of repeats whose verdict is another than the first one at their place; None where nothing was repeated."""
    by_place: dict[tuple[str, str], list[Review]] = defaultdict(list)
    for review in reviews:
        by_place[place(review)].append(review)
    by_question: dict[str, list[bool]] = defaultdict(list)
    for (question, _), found in by_place.items():
        verdicts = [verdict(review) for review in sorted(found, key=attrgetter("repeat"))]
        by_question[question] += [other != verdicts[0] for other in verdicts[1:]]
    table = np.asarray([(sum(flips), len(flips)) for flips in by_question.values() if flips], dtype=np.float64)
    if not len(table):
        return None

    def share(indices: Indices) -> Floats:
        sums = table[indices].sum(axis=-2)
        return np.asarray(sums[..., 0] / sums[..., 1])

    return estimate(share, len(table))


def _share(values: Sequence[bool]) -> Estimate:
    return estimate(mean_of(np.asarray(values, dtype=np.float64)), len(values))


def _by_question(reviews: Sequence[Review]) -> dict[str, list[Review]]:
    grouped: dict[str, list[Review]] = {}
    for review in reviews:
        grouped.setdefault(review.question_id, []).append(review)
    return grouped


def _failures(reviews: Sequence[PairReview | SingleReview]) -> dict[str, int]:
    return dict(Counter(review.failure for review in reviews if review.failure is not None))


def _same_questions(left: Mapping[str, object], right: Mapping[str, object]) -> None:
    if left.keys() != right.keys():
        raise MismatchError(
            f"the judges judged different questions: {len(left.keys() - right.keys())} only the first, "
            f"{len(right.keys() - left.keys())} only the second"
        )


def _kappa(pairs: Sequence[tuple[str, str]], labels: tuple[str, ...]) -> Estimate | None:
    if not pairs:
        return None
    table = np.asarray(pairs)
    return cohens_kappa(table[:, 0], table[:, 1], labels)


def _band(score: float) -> str:
    return SINGLE_BANDS[(score > 3) + (score > 7)]
