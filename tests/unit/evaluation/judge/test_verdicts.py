"""What a judge writes is read where it can only mean one thing, and is a failure with a reason elsewhere."""

from __future__ import annotations

import pytest

from evaluation.judge.verdicts import Failure, read_one, read_pair


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("8 7\nBecause.", (8, 7)),
        ("8,7\nBecause.", (8, 7)),
        # The original reads none of these.
        ("8, 7\nBecause.", (8, 7)),
        ("8 7 \nBecause.", (8, 7)),
        ("8  7\nBecause.", (8, 7)),
        ("(8, 7)\nBecause.", (8, 7)),
        ("\n8 7\nBecause.", (8, 7)),
        ("**8 7**", (8, 7)),
        ("8/10 7.5/10", (8, 7.5)),
        ("Step one is right. Step two is wrong.\n(3, 9)", (3, 9)),
    ],
)
def test_pairs_that_mean_one_thing_are_read(text: str, scores: tuple[float, float]) -> None:
    assert read_pair(text) == scores


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Both answers are fine.", "unparsable"),
        ("Assistant 1 gets 8.", "unparsable"),
        ("8", "unparsable"),
        ("8 7 6", "unparsable"),
        ("Prose.\n8 7\nMore prose.\n6 5", "unparsable"),
        ("11 7", "out of range"),
        ("0 7", "out of range"),
        ("-1 -1", "out of range"),
        ("", "empty"),
        ("  \n", "empty"),
    ],
)
def test_other_pairs_are_failures(text: str, reason: str) -> None:
    assert read_pair(text) == Failure(reason)  # type: ignore[arg-type]


def test_a_cut_reply_counts_only_when_its_first_line_is_whole() -> None:
    assert read_pair("8 7\nBecause the fir", "length") == (8, 7)
    assert read_pair("8 1", "length") == Failure("cut")
    assert read_pair("Let me think about", "length") == Failure("cut")
    assert read_pair("", "length") == Failure("cut")


def test_refusals_are_their_own_reason() -> None:
    assert read_pair("", "stop", "I cannot.") == Failure("refused")
    assert read_pair("", "content_filter") == Failure("refused")


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("7", 7),
        ("7.5", 7.5),
        ("0", 0),
        ("10", 10),
        ("Score: 7", 7),
        ("**7**", 7),
        ("7/10", 7),
        ("7 out of 10", 7),
        ("7.", 7),
    ],
)
def test_single_scores_are_read(text: str, score: float) -> None:
    assert read_one(text) == score


@pytest.mark.parametrize(
    ("text", "reason"),
    [("seven", "unparsable"), ("7 8", "unparsable"), ("10.5", "out of range"), ("-1", "out of range")],
)
def test_other_single_scores_are_failures(text: str, reason: str) -> None:
    assert read_one(text) == Failure(reason)  # type: ignore[arg-type]
