"""Summaries: winners by both orders, failures counted and left out, and the original's arithmetic beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluation.cli import main
from evaluation.errors import InputError, MismatchError
from evaluation.judge.reviews import ORDERS, PairReview, SingleReview, pair_review, single_review
from evaluation.judge.summary import (
    original_table,
    pair_agreement,
    pair_table,
    single_agreement,
    summarise_pairs,
    summarise_single,
)
from tests.fakes.evaluation_files import REVIEW_SUMS, lines, reviews_with_sums


def _pair(
    question: int,
    scores: tuple[float, float] | None,
    swapped: tuple[float, float] | None,
    *,
    category: str = "conv",
    words: tuple[int, int] = (10, 10),
    repeat: int = 1,
) -> list[PairReview]:
    return [
        PairReview(str(question), category, pair, None if pair else "unparsable", order, repeat, words)
        for order, pair in zip(ORDERS, (scores, swapped), strict=True)
    ]


@pytest.mark.parametrize("name", list(REVIEW_SUMS))
def test_originals_arithmetic_gives_the_published_ratios(name: str) -> None:
    first, second, ratio = REVIEW_SUMS[name]
    (row,) = original_table(reviews_with_sums(first, second))
    assert row == ("all", [round(first / 80, 3), round(second / 80, 3)], ratio)


def test_originals_arithmetic_averages_unread_verdicts_in_and_keeps_the_order_of_categories() -> None:
    rows = [
        {"question_id": 1, "category": "detail", "tuple": [8, 4]},
        {"question_id": 2, "category": "conv", "tuple": [-1, -1]},
        {"question_id": 3, "category": "conv", "tuple": [5, 6]},
    ]
    assert original_table(rows) == [
        ("detail", [8.0, 4.0], 50.0),
        ("all", [4.0, 3.0], 75.0),
        ("conv", [2.0, 2.5], 125.0),
    ]


def test_orders_that_disagree_are_a_tie() -> None:
    reviews = [
        *_pair(1, (8, 6), (9, 5)),
        *_pair(2, (8, 6), (5, 7)),
        *_pair(3, (6, 6), (6, 6)),
        *_pair(4, (2, 9), (3, 9)),
    ]
    summary = summarise_pairs(reviews)
    assert summary.groups["all"].wins == {"answer 1": 1, "tie": 2, "answer 2": 1}
    assert summary.order_disagreement is not None
    assert summary.order_disagreement.value == 0.25


def test_unread_verdicts_are_counted_and_their_questions_left_out() -> None:
    summary = summarise_pairs([*_pair(1, (8, 4), (8, 4)), *_pair(2, (1, 9), None)])
    assert summary.left_out == {"unparsable": 1}
    assert summary.incomplete == 1
    assert summary.groups["all"].questions == 1
    assert summary.groups["all"].ratio.value == 50.0
    assert "unparsable: 1. Questions left out: 1." in pair_table(summary)
    with pytest.raises(InputError, match="no question has readable scores"):
        summarise_pairs(_pair(1, None, None))


def test_a_judge_that_prefers_what_stands_first_is_found_out() -> None:
    # Two points more for the first place, whichever answer stands there.
    reviews = [review for n in range(20) for review in _pair(n, (7, 5), (5, 7))]
    summary = summarise_pairs(reviews)
    assert summary.position_bias is not None
    assert summary.first_preferred is not None
    assert (summary.position_bias.value, summary.first_preferred.value) == (2.0, 1.0)
    assert summary.groups["all"].wins == {"tie": 20}
    fair = summarise_pairs([review for n in range(20) for review in _pair(n, (7, 5), (7, 5))])
    assert fair.position_bias is not None
    assert fair.position_bias.value == 0.0


def test_a_judge_that_likes_length_is_found_out() -> None:
    reviews = [review for n in range(20) for review in _pair(n, (5 + n % 5, 5), (5 + n % 5, 5), words=(10 + n % 5, 10))]
    verbosity = summarise_pairs(reviews).verbosity
    assert verbosity is not None
    assert verbosity.value == pytest.approx(1.0)


def test_flips_are_counted_over_repeats() -> None:
    reviews = [*_pair(1, (8, 4), (8, 4)), *_pair(1, (4, 8), (8, 4), repeat=2)]
    flips = summarise_pairs(reviews).flip_rate
    assert flips is not None
    assert flips.value == 0.5
    assert summarise_pairs(_pair(1, (8, 4), (8, 4))).flip_rate is None


def test_reviews_of_one_order_are_summarised_and_the_bias_is_said_to_be_unknown() -> None:
    reviews = [pair_review(row) for row in reviews_with_sums(583, 704)]
    summary = summarise_pairs(reviews)
    assert not summary.both_orders
    assert summary.position_bias is None
    assert summary.groups["all"].ratio.value == pytest.approx(100 * 704 / 583)
    assert "Only one order was judged" in pair_table(summary)


def test_two_judges_agreement_is_kappa_over_winners() -> None:
    left = [r for n in range(10) for r in _pair(n, (8, 4) if n < 5 else (4, 8), (8, 4) if n < 5 else (4, 8))]
    agreement = pair_agreement(left, left)
    assert agreement is not None
    assert agreement.value == 1.0
    opposite = [r for n in range(10) for r in _pair(n, (4, 8) if n < 5 else (8, 4), (4, 8) if n < 5 else (8, 4))]
    agreement = pair_agreement(left, opposite)
    assert agreement is not None
    assert agreement.value == -1.0
    with pytest.raises(MismatchError):
        pair_agreement(left, left[2:])


def test_single_scores_are_averaged_over_repeats_and_by_category() -> None:
    reviews = [
        SingleReview("1", "conv", 8.0, None, 1, 5),
        SingleReview("1", "conv", 6.0, None, 2, 5),
        SingleReview("2", "detail", 2.0, None, 1, 9),
        SingleReview("2", "detail", 2.0, None, 2, 9),
        SingleReview("3", "detail", None, "refused", 1, 9),
    ]
    summary = summarise_single(reviews)
    assert {name: found.value for name, found in summary.groups.items()} == {"all": 4.5, "conv": 7.0, "detail": 2.0}
    assert (summary.left_out, summary.incomplete) == ({"refused": 1}, 1)
    assert summary.flip_rate is not None
    assert summary.flip_rate.value == 0.5
    agreement = single_agreement(reviews, reviews)
    assert agreement is not None
    assert agreement.value == 1.0


def test_a_score_of_minus_1_is_no_score() -> None:
    assert single_review({"question_id": 1, "answer_id": "a", "score": -1.0}).score is None
    with pytest.raises(InputError, match="has no score"):
        single_review({"question_id": 1, "answer_id": "a", "score": "8"})


def test_command_prints_the_originals_lines(tmp_path: Path) -> None:
    path = lines(tmp_path / "gpt4_text_alpaca.jsonl", reviews_with_sums(583, 704))
    result = CliRunner().invoke(main, ["summarize", "--original", str(path)])
    assert result.exit_code == 0, result.output
    assert "\nall [7.287, 8.8] 120.8\n" in result.output


def test_command_takes_categories_from_the_questions_and_writes_json(tmp_path: Path) -> None:
    path = lines(tmp_path / "reviews.jsonl", reviews_with_sums(583, 704))
    questions = [{"question_id": n, "text": "?", "category": "math" if n < 4 else "generic"} for n in range(1, 81)]
    out = tmp_path / "judge.json"
    arguments = ["summarize", str(path), "--questions", str(lines(tmp_path / "q.jsonl", questions)), "--json", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    groups = json.loads(out.read_text())["groups"]
    assert {name: group["questions"] for name, group in groups.items()} == {"all": 80, "math": 3, "generic": 77}
