"""The reader runs as a command; what it prints is kept and can be loaded again, what goes wrong is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evaluation.suites.charts.reading import ReaderError, load, run
from llava_graph.chart import Chart

# A program that prints a line for each figure, as a reader's command does.
ECHO = """
import json, sys
folder, flag, listed = sys.argv[1:]
assert flag == "--only"
for name in open(listed, encoding="utf-8").read().split():
    if name.startswith("bad"):
        print(json.dumps({"file": name, "error": "image_undecodable"}))
    else:
        print(json.dumps({"file": name, "chart": {"abstained": "no_axes"}, "chart_s": 0.25, "ocr_s": 0.5}))
"""


def command(tmp_path: Path, text: str) -> list[str]:
    script = tmp_path / "reader.py"
    script.write_text(text, encoding="utf-8")
    return [sys.executable, str(script)]


def test_each_listed_figure_is_read_and_kept(tmp_path: Path) -> None:
    told: list[str] = []
    out = tmp_path / "readings.jsonl"
    readings = run(command(tmp_path, ECHO), tmp_path, ["a.png", "bad.png"], out, told.append)
    assert told == ["a.png", "bad.png"]
    assert readings == load(out)
    assert readings[0].chart == Chart(abstained="no_axes")
    assert (readings[0].seconds, readings[0].ocr_seconds, readings[0].error) == (0.25, 0.5, None)
    assert readings[1].error == "image_undecodable"
    assert not readings[1].chart.claims


def test_reader_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="status 3"):
        run(command(tmp_path, "raise SystemExit(3)"), tmp_path, ["a.png"], tmp_path / "out")


def test_line_that_is_no_reading_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="not a reading"):
        run(command(tmp_path, "print('hello')"), tmp_path, ["a.png"], tmp_path / "out")
