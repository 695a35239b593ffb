"""Tables: sums over figures, means and reasons, from scores whose sums are known."""

from __future__ import annotations

import dataclasses
import json

import pytest

from evaluation.suites.charts import report
from evaluation.suites.charts.score import score
from evaluation.suites.charts.truth import TruthFigure, TruthPanel
from llava_graph.chart import Chart


def test_shares_are_of_all_figures_together(two_curves: TruthFigure, right_chart: Chart) -> None:
    pie = TruthFigure("pie", "pie.png", "vega", "test", "pie", (TruthPanel("other", abstain="pie"),))
    scores = [
        score(two_curves, right_chart, 0.1),
        score(two_curves, Chart(abstained="no_axes"), 0.3),
        score(pie, right_chart, 0.2),
        score(pie, Chart(abstained="kind_not_read"), 0.2),
    ]
    summary = report.summarise(scores)
    lines = summary.rows[report.LINES]
    assert (lines.of_claimed.hits, lines.of_claimed.of) == (10, 10)
    assert (lines.of_all.hits, lines.of_all.of) == (10, 20)
    assert (summary.false_kind.hits, summary.false_kind.of) == (1, 2)
    assert (summary.claimed_figures.hits, summary.claimed_figures.of) == (1, 2)
    assert summary.rms_f1.value == pytest.approx(0.5)
    assert summary.rms_f1_claimed.value == pytest.approx(1.0)
    assert summary.seconds["median"] == pytest.approx(0.2)
    assert summary.seconds["max"] == pytest.approx(0.3)
    assert summary.abstained == {"no_axes": 1, "kind_not_read": 1}


def test_groups_hold_each_figure_once(two_curves: TruthFigure, right_chart: Chart) -> None:
    other = dataclasses.replace(two_curves, tool="gnuplot")
    scores = [score(two_curves, right_chart, 0), score(other, right_chart, 0)]
    groups = report.grouped(scores, report.GROUPINGS["tool"])
    assert {name: summary.figures for name, summary in groups.items()} == {"tool": 1, "gnuplot": 1}


def test_tables_show_each_set_and_measure(two_curves: TruthFigure, right_chart: Chart) -> None:
    summary = report.summarise([score(two_curves, right_chart, 0.125)])
    table = report.markdown({"generator": summary, "real": summary})
    assert table.startswith("| | generator | real |\n")
    assert "| lines, right of claimed | 100.0 % " in table
    assert "| bars: value, right of all | – | – |" in table
    assert "| seconds, max | 0.12 | 0.12 |" in table
    assert "| line | 1 | 100 % of 10 | 100 % of 10 |" in report.short_markdown({"line": summary})
    assert json.loads(json.dumps(report.as_json(summary)))["figures"] == 1
