"""The whole way of a measurement, with the worker's real OCR and chart reader: figures in, tables out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import evaluation.suites.charts
from evaluation.suites.charts import truth
from evaluation.suites.charts.cli import charts

SAMPLE = Path(evaluation.suites.charts.__file__).parent / "sample"


@pytest.mark.timeout(600)
def test_figures_are_read_scored_and_scored_again_without_reading(tmp_path: Path) -> None:
    chosen = [figure for figure in truth.load(SAMPLE) if figure.form in ("line_single", "bar_stacked", "pie")]
    some = tmp_path / "some"
    some.mkdir()
    truth.write(chosen, some)
    for figure in chosen:
        shutil.copy(SAMPLE / figure.file, some)
    arguments = ["measure", "--set", f"sample={some}", "--split", "all", "--out", str(tmp_path)]
    arguments += ["--ocr-cache", str(tmp_path / "ocr.sqlite")]
    measured = CliRunner().invoke(charts, arguments)
    assert measured.exit_code == 0, measured.output
    assert (tmp_path / "ocr.sqlite").is_file()
    readings = [json.loads(line) for line in (tmp_path / "sample" / "readings.jsonl").read_text().splitlines()]
    figures = truth.load(some)
    assert [reading["file"] for reading in readings] == [figure.file for figure in figures]
    texts = {reading["file"]: {line["text"] for line in reading["lines"]} for reading in readings}
    named = [figure for figure in figures if not figure.must_abstain and figure.panels[0].value_axis.label]
    for figure in named:
        label = str(figure.panels[0].value_axis.label).split()[0].casefold()
        assert any(label in text.casefold() for text in texts[figure.file]), (figure.id, label)
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| figures | 3 |" in table
    again = CliRunner().invoke(charts, [*arguments, "--kept"])
    assert again.exit_code == 0, again.output
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == table
    scores = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert {score["id"] for score in scores} == {figure.id for figure in figures}
