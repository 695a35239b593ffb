"""The report: self-contained, escaped, and honest about what is compared."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from evaluation.answers.contexts import read_readings
from evaluation.cli import main
from evaluation.errors import InputError
from evaluation.fingerprint import Fingerprint, save
from evaluation.report.examples import overlays_of, spans_of
from evaluation.report.plots import bars, points, said_and_true
from evaluation.report.runs import checked, read_runs
from evaluation.report.sections import said_and_read
from evaluation.rows import read_rows
from tests.fakes import evaluation_files as files

EVIL = '</p><script>alert(1)</script><img src="https://example.org/x.png">'


class _Addresses(HTMLParser):
    """Every attribute that could make a browser ask for something, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]


def _run(folder: Path, rows: list[files.Row], model: str, *, checks: bool = False, **differing: str) -> Path:
    answers = []
    for row in rows:
        image = next(item["image"] for item in files.QUESTIONS if item["question_id"] == row["question_id"])
        category = next(item["category"] for item in files.QUESTIONS if item["question_id"] == row["question_id"])
        metadata: dict[str, Any] = {"image": image, "category": category}
        if checks:
            metadata["lines"] = [{"text": EVIL, "box": [10, 20, 60, 30], "confidence": 0.9}]
            at = {"kind": "number", "panel": 0, "series": 0, "fact": None}
            metadata["checks"] = [
                {"start": 0, "end": 2, "verdict": "contradicted", "point": 0, **at},
                {"start": 3, "end": 5, "verdict": "read", "point": 1, **at},
            ]
            points = [{"x": 0, "y": 15.0, "px": 10, "py": 100}, {"x": 1, "y": 70.5, "px": 150, "py": 20}]
            series = {"name": "Treated", "colour": "#1f77b4", "points": points}
            axes = {"x": {"low": 0, "high": 1, "scale": "linear"}, "y": {"low": 10, "high": 110, "scale": "linear"}}
            metadata["chart"] = {"panels": [{"kind": "line", "area": [0, 0, 9, 9], **axes, "series": [series]}]}
            row = {**row, "text": f"12 70 {row['text']}"}
        answers.append({**row, "prompt": EVIL, "metadata": metadata})
    path = files.lines(folder / "answers.jsonl", answers)
    known = {"model": model, "pixels_sha256": "p" * 64, "questions_sha256": "q" * 64, **differing}
    save(Fingerprint("answers", context="all", **known), path)
    return folder


def _report(tmp_path: Path, *runs: Path) -> tuple[str, str]:
    out, markdown = tmp_path / "report.html", tmp_path / "report.md"
    references = files.lines(tmp_path / "r.jsonl", files.REFERENCES)
    arguments = ["report", *map(str, runs), "--references", str(references)]
    arguments += ["--images", str(files.images(tmp_path / "images")), "--out", str(out), "--markdown", str(markdown)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return out.read_text(encoding="utf-8"), markdown.read_text(encoding="utf-8")


def test_page_makes_no_request_and_takes_text_for_text(tmp_path: Path) -> None:
    a = _run(tmp_path / "a", files.ANSWERS_A, "one", checks=True)
    b = _run(tmp_path / "b", [{**row, "text": row["text"] + EVIL} for row in files.ANSWERS_B], "two")
    html, markdown = _report(tmp_path, a, b)
    page = _Addresses()
    page.feed(html)
    assert page.addresses
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert "script" not in page.tags
    assert "default-src 'none'" in html
    assert "<script>" not in markdown
    assert "](http" not in markdown


def test_page_shows_runs_scores_differences_types_numbers_and_examples(tmp_path: Path) -> None:
    a = _run(tmp_path / "a", files.ANSWERS_A, "one", checks=True)
    b = _run(tmp_path / "b", files.ANSWERS_B, "two")
    html, markdown = _report(tmp_path, a, b)
    for title in ("Runs", "Answers against references", "By figure type", "Numbers", "Examples"):
        assert f"## {title}" in markdown
        assert title in html
    assert "| model ≠ | one | two |" in markdown
    assert "b differs from a in: model." in markdown
    assert "| BLEU-4 | 0." in markdown
    assert "| contradicted | 4 (50.0 %) |" in markdown
    assert "DePlot + LLaVA-13B" in markdown
    assert '<polyline class="curve dashed" points="10.0,100.0 150.0,20.0" stroke="#1f77b4"' in html
    assert html.count('<rect class="box"') == 4
    assert "Calibration of numbers" in html
    shares = said_and_read(read_rows(a / "answers.jsonl")[0])
    assert shares == [(pytest.approx(0.02), pytest.approx(0.05)), (pytest.approx(0.6), pytest.approx(0.605))]
    assert '<mark class="contradicted"' in html


def test_runs_that_must_not_be_compared_are_shown_without_a_difference(tmp_path: Path) -> None:
    a = _run(tmp_path / "a", files.ANSWERS_A, "one")
    b = _run(tmp_path / "b", files.ANSWERS_B, "one", pixels_sha256="x" * 64)
    _, markdown = _report(tmp_path, a, b)
    assert "b is not compared with a: the runs are not comparable: pixels_sha256" in markdown
    assert "less a" not in markdown


def test_answers_under_every_context_are_checked_against_the_same_readings(tmp_path: Path) -> None:
    row = {"question_id": 0, "text": "Treated reaches 70 at the end."}
    a, b = _run(tmp_path / "a", [row], "one"), _run(tmp_path / "b", [{**row, "text": "Control is at 99."}], "two")
    line = {"text": "Treated", "box": [1, 2, 30, 12], "confidence": 0.9}
    points = [{"x": 0, "y": 15.0, "px": 10, "py": 100}, {"x": 1, "y": 70.5, "px": 150, "py": 20}]
    chart = {"panels": [{"kind": "line", "area": [0, 0, 9, 9], "series": [{"name": "Treated", "points": points}]}]}
    readings = files.lines(tmp_path / "readings.jsonl", [{"image": files.FIGURE, "lines": [line], "chart": chart}])
    found = {run.name: checked(run, read_readings(readings)).answers["0"]["metadata"] for run in read_runs([a, b])}
    assert found["a"]["grounding"] == [{"start": 0, "end": 7, "line": 0}]
    assert [check["verdict"] for check in found["b"]["checks"]].count("unsupported") >= 1
    assert [item.label for item in overlays_of(found["a"])] == ["Treated", "Treated"]
    assert overlays_of(found["a"])[1].curve == "10.0,100.0 150.0,20.0"
    with pytest.raises(InputError, match="has no reading"):
        checked(read_runs([a])[0], {})


def test_results_of_the_other_commands_become_sections(tmp_path: Path) -> None:
    run = _run(tmp_path / "a", files.ANSWERS_A, "one")
    value = {"value": 0.1, "interval": [0.05, 0.2], "items": 4, "label": "BLEU-4", "p_value": 0.01}
    scores = {"BLEU-4": value, "ROUGE-L": {**value, "label": "ROUGE-L"}, "CIDEr": {**value, "label": "CIDEr"}}
    context = {"base": "none", "contexts": {"none": scores, "all": scores}, "differences": {"all": scores}}
    files.document(run / "context.json", {**context, "also_differing": {"all": ["model: m / n"]}})
    group = {"questions": 4, "score1": value, "score2": value, "ratio_percent": value, "wins": {"tie": 4}}
    files.document(
        run / "judge.json",
        {
            "kind": "pairs",
            "groups": {"all": group},
            "both_orders": True,
            "left_out": {"refused": 2},
            "judge": {"position bias (first less second)": value, "flip rate on repeats": None},
            "kappa": value,
        },
    )
    files.document(run / "ocr.json", {"figures": 3, "metrics": {"word recall": value}})
    files.document(run / "scienceqa.json", {"accuracy": value, "without_exactly_one_answer": 1, "random_guess": False})
    html, markdown = _report(tmp_path, run)
    assert "## What each context is worth" in markdown
    assert "| all | 0.1000 (0.0500 to 0.2000), p = 0.0100 |" in markdown
    assert "differs in more than the context: model: m / n" in markdown
    assert "| Cohen's kappa of two judges | 0.100 (0.050 to 0.200), p = 0.0100 |" in markdown
    assert "Reviews without a readable verdict: refused: 2." in markdown
    assert "| word recall | 0.100" in markdown
    assert "| accuracy | 0.1000" in markdown
    assert html.count("data:image/svg+xml") >= 4


def test_folder_without_a_file_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(main, ["report", str(tmp_path / "empty"), "--out", str(tmp_path / "r.html")])
    assert result.exit_code == 1
    assert "holds none of answers.jsonl" in result.output


def test_stretches_of_an_answer_make_the_whole_answer_once() -> None:
    text = "Treated rises from 12 to 77."
    metadata = {
        "checks": [
            {"start": 19, "end": 21, "verdict": "read"},
            {"start": 20, "end": 24, "verdict": "overlaps"},
            {"start": 25, "end": 99, "verdict": "outside"},
            {"start": "0", "end": None},
        ],
        "grounding": [{"start": 0, "end": 7, "line": 0}, {"start": 19, "end": 21, "line": 1}],
    }
    spans = spans_of(text, metadata)
    assert "".join(span.text for span in spans) == text
    assert [(span.text, span.kind) for span in spans if span.kind] == [("Treated", "named"), ("12", "read")]
    assert spans_of("", {})[0].text == ""


def test_overlays_with_coordinates_that_are_no_numbers_are_left_out() -> None:
    series = {"points": [{"px": '1" onload="x', "py": 1}], "colour": "red;"}
    assert overlays_of({"lines": [{"box": [1, 2, "3", 4]}], "chart": {"panels": [{"series": [series]}]}}) == []
    (curve,) = overlays_of({"chart": {"panels": [{"series": [{"points": [{"px": 1, "py": 2}], "colour": "url(x)"}]}]}})
    assert re.fullmatch("#[0-9a-f]{6}", curve.colour)


def test_points_of_a_cloud_are_not_joined_to_a_curve() -> None:
    series = {"name": "A", "colour": "#112233", "points": [{"px": 1, "py": 2}, {"px": 3.04, "py": 4}]}
    (cloud,) = overlays_of({"chart": {"panels": [{"kind": "scatter", "series": [series]}]}})
    assert (cloud.curve, list(cloud.dots)) == ("", [(1.0, 2.0), (3.0, 4.0)])
    (line,) = overlays_of({"chart": {"panels": [{"kind": "line", "series": [series]}]}})
    assert (line.curve, list(line.dots)) == ("1.0,2.0 3.0,4.0", [])


def test_plots_are_svg_without_references_to_elsewhere_and_the_same_each_time() -> None:
    def drawn() -> list[str]:
        return [
            bars(
                "a & b",
                "share",
                ["x", "y"],
                {"one": [(0.5, 0.4, 0.6), None], "two": [(0.1, None, None), (0.2, 0.1, 0.3)]},
            ).svg,
            points("a", "b", {"first <": (1.0, 0.5, 2.0), "second": (0.0, None, None)}, 0.0).svg,
            said_and_true("a", {"run": [(1.0, 1.1), (0.5, 0.4), (-3.0, 0.0)]}).svg,
        ]

    first = drawn()
    for svg in first:
        ElementTree.fromstring(svg)
        assert not re.findall(r'(?:href|src)="(?!#)', svg)
    assert first == drawn()


def test_judge_of_the_original_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "judge.json").write_text(
        json.dumps({"original": [{"category": "all", "means": [7.287, 8.8], "ratio": 120.8}]})
    )
    result = CliRunner().invoke(
        main, ["report", str(tmp_path / "a"), "--out", str(tmp_path / "r.html"), "--markdown", str(tmp_path / "r.md")]
    )
    assert result.exit_code == 0, result.output
    assert "| all | 7.287 | 8.8 | 120.8 |" in (tmp_path / "r.md").read_text()


@pytest.mark.parametrize("runs", [("a", "a")])
def test_one_run_twice_is_refused(tmp_path: Path, runs: tuple[str, str]) -> None:
    _run(tmp_path / "a", files.ANSWERS_A, "one")
    result = CliRunner().invoke(
        main, ["report", *(str(tmp_path / name) for name in runs), "--out", str(tmp_path / "r.html")]
    )
    assert result.exit_code == 1
    assert "same name" in result.output
