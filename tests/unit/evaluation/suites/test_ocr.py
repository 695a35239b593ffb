"""Words and boxes that were read, against the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evaluation.cli import main
from evaluation.errors import InputError
from evaluation.suites.ocr.commands import read_truth
from evaluation.suites.ocr.score import count, iou, scored
from llava_graph.ocr import Line
from tests.fakes import evaluation_files as files

TRUTH = [Line("Time (s)", (10, 100, 60, 110)), Line("Treated", (100, 10, 140, 20))]


def test_exact_reading_scores_1_throughout() -> None:
    score = scored([count(TRUTH, TRUTH)])
    assert {name: found.value for name, found in score.metrics.items()} == dict.fromkeys(score.metrics, 1.0)


def test_words_are_counted_sign_by_sign_wherever_they_stand() -> None:
    read = [Line("Time(s)", (10, 100, 60, 110)), Line("Treated 口", (0, 0, 5, 5))]
    found = count(TRUTH, read)
    assert (found.true_words, found.read_words, found.right_words) == (3, 3, 1)


def test_iou_of_boxes_is_that_of_their_areas() -> None:
    assert iou([(0, 0, 10, 10)], [(5, 0, 15, 10), (20, 20, 30, 30)]).tolist() == [[pytest.approx(1 / 3), 0.0]]
    assert iou([(3, 3, 3, 3)], [(3, 3, 3, 3)]).tolist() == [[0.0]]
    assert iou([], [(0, 0, 1, 1)]).shape == (0, 1)


def test_each_box_has_one_partner_and_lost_lines_count_0() -> None:
    # One wide box over both lines: it can be the partner of one of them alone.
    found = count([Line("a", (0, 0, 10, 10)), Line("b", (10, 0, 20, 10))], [Line("a b", (0, 0, 20, 10))])
    assert found.iou_sum == pytest.approx(0.5)
    assert (found.true_boxes, found.found_boxes) == (2, 1)


def test_figures_without_a_line_read_are_counted_and_lower_the_recall() -> None:
    score = scored([count(TRUTH, TRUTH), count(TRUTH, [])])
    assert score.silent == 1
    assert score.metrics["word recall"].value == 0.5
    assert score.metrics["word precision"].value == 1.0
    with pytest.raises(InputError, match="holds no word"):
        scored([])


def _folder(tmp_path: Path) -> Path:
    folder = files.images(tmp_path / "images")
    texts = [{"text": line.text, "box": list(line.box)} for line in TRUTH]
    files.lines(folder / "truth.jsonl", [{"file": files.FIGURE, "texts": texts}])
    return folder


def test_command_scores_readings_that_were_made_before(tmp_path: Path) -> None:
    readings = files.lines(
        tmp_path / "readings.jsonl",
        [{"image": files.FIGURE, "lines": [line.to_json() for line in TRUTH[:1]], "reader": "r1"}],
    )
    out = tmp_path / "ocr.json"
    arguments = ["ocr", str(_folder(tmp_path)), "--readings", str(readings), "--json", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert written["metrics"]["word recall"]["value"] == pytest.approx(2 / 3)
    assert written["readers"] == ["r1"]


def test_truth_about_images_that_are_not_there_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    assert read_truth(folder)[files.FIGURE] == TRUTH
    (folder / files.FIGURE).unlink()
    with pytest.raises(InputError, match="there is no image"):
        read_truth(folder)


def test_random_boxes_never_leave_0_to_1() -> None:
    draw = np.random.default_rng(0)
    low = draw.uniform(0, 50, size=(40, 2))
    boxes = [tuple(map(float, row)) for row in np.hstack([low, low + draw.uniform(-5, 50, size=(40, 2))])]
    found = iou(boxes, boxes)  # type: ignore[arg-type]
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-12
