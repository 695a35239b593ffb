"""Intervals and tests agree with what is known of them in closed form, or from the literature."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics import cohens_kappa, compare_means, estimate, mean_of, rank_correlation


def test_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(3).normal(5.0, 2.0, size=400)
    found = estimate(mean_of(values), len(values))
    half = 1.96 * values.std(ddof=1) / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.04)
    assert found.high == pytest.approx(values.mean() + half, abs=0.04)


def test_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(4).normal(size=50)
    assert estimate(mean_of(values), 50) == estimate(mean_of(values), 50)


def test_one_item_has_a_value_and_no_interval() -> None:
    found = estimate(mean_of(np.asarray([2.0])), 1)
    assert (found.value, found.low, found.high) == (2.0, None, None)
    assert found.to_json()["interval"] is None


def test_paired_difference_is_narrower_than_the_scores_and_its_p_value_is_that_of_a_paired_test() -> None:
    draw = np.random.default_rng(5)
    left = draw.normal(0.0, 3.0, size=120)
    right = left + draw.normal(0.15, 0.5, size=120)
    paired = compare_means(left, right)
    alone = estimate(mean_of(left), 120)
    assert paired.difference.value == pytest.approx((right - left).mean())
    assert paired.difference.low is not None
    assert paired.difference.high is not None
    assert alone.low is not None
    assert alone.high is not None
    assert paired.difference.high - paired.difference.low < (alone.high - alone.low) / 3
    assert paired.p_value == pytest.approx(stats.ttest_rel(right, left).pvalue, abs=0.01)


def test_kappa_is_that_of_the_textbook() -> None:
    # Fleiss, Statistical Methods for Rates and Proportions: 20 and 15 agreed, 5 and 10 not, kappa 0.4.
    left = np.asarray(["yes"] * 25 + ["no"] * 25)
    right = np.asarray(["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15)
    found = cohens_kappa(left, right, ("yes", "no"))
    assert found is not None
    assert found.value == pytest.approx(0.4)
    assert found.low is not None
    assert found.low < 0.4


def test_kappa_of_two_judges_with_one_label_is_1() -> None:
    same = np.asarray(["tie"] * 5)
    found = cohens_kappa(same, same, ("tie", "answer 1"))
    assert found is not None
    assert found.value == 1.0


def test_rank_correlation_is_spearmans() -> None:
    draw = np.random.default_rng(6)
    x = draw.normal(size=80)
    y = x**3 + draw.normal(size=80)
    found = rank_correlation(x, y)
    assert found is not None
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.low is not None
    assert found.low < found.value


def test_rank_correlation_needs_values_that_vary() -> None:
    assert rank_correlation(np.ones(5), np.arange(5.0)) is None
