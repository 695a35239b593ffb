"""RMS-F1: cases that can be worked out by hand from the paper's definition."""

from __future__ import annotations

import pytest

from evaluation.suites.charts.mapping import Entry, key_distance, normalised_distance, rms

TABLE = [
    Entry(("Alpha", "2019"), 10.0),
    Entry(("Alpha", "2020"), 20.0),
    Entry(("Beta", "2019"), 30.0),
    Entry(("Beta", "2020"), 40.0),
]


def test_a_table_is_fully_like_itself() -> None:
    assert rms(TABLE, TABLE).f1 == 1.0


def test_order_of_entries_does_not_matter() -> None:
    assert rms(TABLE[::-1], TABLE).f1 == 1.0


def test_missing_series_costs_recall_and_no_precision() -> None:
    similarity = rms(TABLE[:2], TABLE)
    assert (similarity.precision, similarity.recall) == (1.0, 0.5)
    assert similarity.f1 == pytest.approx(2 / 3)


def test_invented_series_costs_precision_and_no_recall() -> None:
    similarity = rms([*TABLE, Entry(("Zwnjkq", "1700"), 1.0)], TABLE)
    assert similarity.recall == 1.0
    assert similarity.precision == pytest.approx(4 / 5)


def test_value_off_by_a_tenth_costs_a_tenth() -> None:
    assert rms([Entry(("Alpha", "2019"), 11.0)], TABLE[:1]).f1 == pytest.approx(0.9)


def test_value_off_by_more_than_the_limit_counts_as_wrong() -> None:
    assert rms([Entry(("Alpha", "2019"), 15.1)], TABLE[:1]).f1 == 0.0


def test_true_zero_is_met_by_zero_only() -> None:
    zero = [Entry(("Alpha", "2019"), 0.0)]
    assert rms(zero, zero).f1 == 1.0
    assert rms([Entry(("Alpha", "2019"), 0.1)], zero).f1 == 0.0


def test_key_with_one_wrong_letter_of_nine_costs_a_ninth() -> None:
    assert rms([Entry(("Alphq", "2019"), 10.0)], TABLE[:1]).f1 == pytest.approx(8 / 9)


def test_empty_tables_are_alike_and_unlike_any_other() -> None:
    assert rms([], []).f1 == 1.0
    assert rms([], TABLE).f1 == 0.0
    assert rms(TABLE, []).f1 == 0.0


def test_distances_of_keys() -> None:
    assert normalised_distance("kitten", "sitting") == pytest.approx(3 / 7)
    assert key_distance("kitten", "sitting") == pytest.approx(3 / 7)
    assert key_distance("abc", "xyz") == 1.0
    assert normalised_distance("", "") == 0.0
