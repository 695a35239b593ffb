"""The truth format: what is written is read back, and what is not in the format is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.suites.charts import truth
from evaluation.suites.charts.truth import TruthError, TruthFact, TruthFigure, TruthPanel, TruthSeries


def test_written_figures_are_read_back(tmp_path: Path, two_curves: TruthFigure) -> None:
    labelled = TruthSeries(None, (), (TruthFact("trend", text="falls", also=("unclear",)),), complete=False)
    real = TruthFigure("real", "real.png", "owner/name", "dev", "line", (TruthPanel("line", series=(labelled,)),))
    pie = TruthFigure("pie", "pie.png", "tool", "dev", "pie", (TruthPanel("other", abstain="pie"),))
    truth.write([two_curves, real, pie], tmp_path)
    assert truth.load(tmp_path) == [two_curves, real, pie]
    assert [figure.must_abstain for figure in truth.load(tmp_path)] == [False, False, True]


def raw_figure() -> dict[str, Any]:
    series = {"name": "A", "points": [[0, 1], [1, 2]]}
    return {
        "id": "a",
        "file": "a.png",
        "tool": "tool",
        "split": "dev",
        "form": "line",
        "panels": [{"kind": "line", "series": [series]}],
    }


def broken(**panel: Any) -> dict[str, Any]:
    raw = raw_figure()
    raw["panels"][0] |= panel
    return raw


@pytest.mark.parametrize(
    "raw",
    [
        raw_figure() | {"split": "train"},
        broken(kind="pie"),
        broken(kind="other"),
        broken(abstain="pie"),
        broken(series=[]),
        broken(series=[{"name": "A", "points": []}]),
        broken(x={"scale": "logit"}),
        broken(area=[1, 2, 3]),
        {key: value for key, value in raw_figure().items() if key != "tool"},
    ],
    ids=["split", "kind", "other", "both", "neither", "no-data", "scale", "area", "tool"],
)
def test_figure_that_is_not_in_the_format_is_refused(tmp_path: Path, raw: dict[str, Any]) -> None:
    lines = [json.dumps(raw_figure()), json.dumps(raw)]
    (tmp_path / truth.TRUTH_FILE).write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(TruthError, match="line 2"):
        truth.load(tmp_path)


def test_raw_figure_of_these_tests_is_in_the_format() -> None:
    assert truth.figure(raw_figure()).panels[0].series[0].points == ((0.0, 1.0), (1.0, 2.0))
