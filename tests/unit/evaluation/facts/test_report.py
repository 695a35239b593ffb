"""Tables of scores: shares, counts and honest intervals."""

from __future__ import annotations

import pytest

from evaluation.suites.facts.report import TITLES, as_json, cell, column, markdown, wilson
from evaluation.suites.facts.score import METRICS, Share


def test_every_score_has_a_title() -> None:
    assert list(TITLES) == list(METRICS)


@pytest.mark.parametrize(
    ("share", "n", "low", "high"), [(0.0, 10, 0.0, 0.2775), (1.0, 10, 0.7225, 1.0), (0.5, 100, 0.4038, 0.5962)]
)
def test_wilsons_interval_is_that_of_the_textbooks(share: float, n: int, low: float, high: float) -> None:
    assert wilson(share, n) == pytest.approx((low, high), abs=1e-4)


def test_a_cell_sums_over_figures() -> None:
    found = cell([Share(1, 2), Share(0, 0), Share(3, 4)])
    assert (found.hits, found.of) == (4, 6)
    assert found.share == pytest.approx(4 / 6)


def test_one_opportunity_a_figure_gives_wilsons_interval() -> None:
    found = cell([Share(1, 1)] * 50 + [Share(0, 1)] * 50 + [Share(0, 0)] * 7)
    assert (found.low, found.high) == pytest.approx(wilson(0.5, 100))


def test_several_opportunities_a_figure_widen_the_interval_to_that_of_the_figures() -> None:
    together = cell([Share(10, 10)] * 50 + [Share(0, 10)] * 49 + [Share(5, 10)])
    assert together.low is not None
    assert together.high is not None
    assert together.high - together.low > 0.15  # 1,000 independent opportunities would give 0.06
    assert cell([Share(10, 10)] * 50 + [Share(0, 10)] * 49 + [Share(5, 10)]) == together


def test_all_alike_does_not_mean_certain() -> None:
    found = cell([Share(3, 3)] * 20)
    assert (found.share, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.8389, abs=1e-4)


def test_one_figure_alone_does_not_mean_certain() -> None:
    found = cell([Share(1, 4), Share(0, 0)])
    assert (found.low, found.high) == pytest.approx(wilson(0.25, 1))


def test_no_opportunity_is_shown_as_none() -> None:
    assert str(cell([Share(0, 0)])) == "–"


def test_the_table_has_a_row_for_each_score_and_each_note() -> None:
    score = dict.fromkeys(METRICS, Share(1, 1))
    columns = {"without": column([score], {"cut off": 0}), "with": column([score, score], {"read": 2})}
    rows = markdown(columns).splitlines()
    assert rows[0] == "|  | without | with |"
    assert rows[2] == "| both axis labels named | 100.0 % (20.7–100.0), n = 1 | 100.0 % (34.2–100.0), n = 2 |"
    assert rows[-3:] == ["| figures | 1 | 2 |", "| cut off | 0 | 0 |", "| read | 0 | 2 |"]
    assert len(rows) == 2 + len(METRICS) + 3
    assert as_json(columns)["with"] == {
        "figures": 2,
        "scores": {
            metric: {"hits": 2, "of": 2, "share": 1.0, "low": pytest.approx(0.3424, abs=1e-4), "high": 1.0}
            for metric in METRICS
        },
        "notes": {"read": 2},
    }
