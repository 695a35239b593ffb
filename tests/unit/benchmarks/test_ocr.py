"""What the OCR benchmark counts as read."""

from __future__ import annotations

import pytest

from benchmarks.ocr_words import Tally


def tally(truth: list[str], output: list[str]) -> Tally:
    counts = Tally()
    counts.add(truth, output)
    return counts


def test_order_and_lines_of_words_do_not_matter() -> None:
    counts = tally(["Exposure time (hours)", "0.5"], ["0.5", "time (hours)", "Exposure"])
    assert (counts.recall, counts.precision, counts.characters) == (1.0, 1.0, 1.0)


def test_word_counts_as_often_as_it_stands_there() -> None:
    counts = tally(["0.5", "0.5"], ["0.5"])
    assert (counts.recall, counts.precision) == (0.5, 1.0)


def test_word_that_is_not_there_lowers_precision_alone() -> None:
    counts = tally(["Growth"], ["Growth", "o"])
    assert (counts.recall, counts.precision, counts.characters) == (1.0, 0.5, 1.0)


def test_nearly_right_word_counts_by_its_characters() -> None:
    counts = tally(["Vodikar"], ["Vodikor"])
    assert counts.recall == 0.0
    assert counts.characters == pytest.approx(6 / 7)


def test_output_word_stands_for_one_missed_word_only() -> None:
    assert tally(["abcd", "abce"], ["abcf"]).characters == pytest.approx(3 / 8)


def test_figures_add_up() -> None:
    counts = tally(["a"], ["a"])
    counts.add(["b"], [])
    assert counts.recall == 0.5
