"""Scores of files: joined by id, with intervals, under a named protocol; and the command that writes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluation.cli import main
from evaluation.errors import InputError, MismatchError, UnavailableError
from evaluation.fingerprint import Fingerprint, save
from evaluation.metrics import spice
from evaluation.metrics.protocols import protocol
from evaluation.metrics.score import compare_runs, score_run, table
from tests.fakes.evaluation_files import ANSWERS_A, ANSWERS_B, REFERENCES, Row, lines


def test_order_of_rows_and_kind_of_id_do_not_matter() -> None:
    shuffled = [{**row, "question_id": str(row["question_id"])} for row in reversed(ANSWERS_A)]
    first = score_run(ANSWERS_A, REFERENCES, "original", with_spice=False)
    second = score_run(shuffled, REFERENCES, "original", with_spice=False)
    assert first.metrics == second.metrics
    assert first.references_sha256 == second.references_sha256


@pytest.mark.parametrize("rows", [ANSWERS_A[:3], [*ANSWERS_A, {"question_id": 9, "text": "More."}]])
def test_answers_to_other_questions_than_the_references_are_refused(rows: list[Row]) -> None:
    with pytest.raises(MismatchError, match="1 ids of"):
        score_run(rows, REFERENCES, "original", with_spice=False)


def test_an_id_that_comes_twice_is_refused() -> None:
    with pytest.raises(InputError, match="question_id 0 comes twice"):
        score_run([*ANSWERS_A, ANSWERS_A[0]], REFERENCES, "original", with_spice=False)


def test_an_empty_reference_is_refused_and_an_empty_answer_is_counted() -> None:
    assert score_run(ANSWERS_B, REFERENCES, "original", with_spice=False).empty == 1
    with pytest.raises(InputError, match="the text of question 0 is empty"):
        score_run(ANSWERS_A, [{**REFERENCES[0], "text": " "}, *REFERENCES[1:]], "original", with_spice=False)


def test_tokenised_scores_forgive_case_and_punctuation_and_are_labelled() -> None:
    answers, references = (
        [{"question_id": 1, "text": "Growth, at last."}],
        [{"question_id": 1, "text": "growth , at last ."}],
    )
    raw = score_run(answers, references, "original", with_spice=False)
    tokenised = score_run(answers, references, "tokenised", with_spice=False)
    assert raw.metrics["BLEU-1"].value < 0.5
    assert tokenised.metrics["BLEU-1"].value == pytest.approx(1.0)
    assert "| BLEU-1 (tokenised) |" in table(tokenised)
    assert "(tokenised)" not in table(raw)
    assert raw.scorer != tokenised.scorer
    assert protocol("tokenised").prepare("A (b), 1.5%") == "a ( b ) , 1.5 %"


def test_published_rows_stand_beside_scores_of_their_protocol_alone() -> None:
    assert "| DePlot + LLaVA-13B | 0.153 | 0.106 | 0.273 |" in table(
        score_run(ANSWERS_A, REFERENCES, "original", with_spice=False)
    )
    assert "DePlot" not in table(score_run(ANSWERS_A, REFERENCES, "tokenised", with_spice=False))


def test_intervals_hold_the_value_and_a_run_does_not_differ_from_itself() -> None:
    scored = score_run(ANSWERS_A, REFERENCES, "original", with_spice=False)
    for found in scored.metrics.values():
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.high
    same = compare_runs(ANSWERS_A, ANSWERS_A, REFERENCES, "original", with_spice=False)
    for paired in same.values():
        assert (paired.difference.value, paired.difference.low, paired.difference.high) == (0, 0, 0)
        assert paired.p_value == 1.0


def test_a_clear_difference_is_found_by_interval_and_test() -> None:
    references = [{"question_id": n, "text": f"run {n} rises from {n} to {n + 5} over time"} for n in range(40)]
    good = [{"question_id": n, "text": f"run {n} rises from {n} to {n + 5}"} for n in range(40)]
    bad = [{"question_id": n, "text": f"figure {n} of a chart"} for n in range(40)]
    for metric, paired in compare_runs(bad, good, references, "original", with_spice=False).items():
        assert paired.difference.low is not None
        assert paired.difference.low > 0, metric
        assert paired.p_value is not None
        assert paired.p_value < 0.01, metric


def test_spice_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("java") is None
    assert "Java" in str(spice.missing())
    with pytest.raises(UnavailableError, match="Java"):
        score_run(ANSWERS_A, REFERENCES, "original", with_spice=True)


def test_command_writes_values_and_intervals(tmp_path: Path) -> None:
    answers, references = lines(tmp_path / "a.jsonl", ANSWERS_A), lines(tmp_path / "r.jsonl", REFERENCES)
    out = tmp_path / "out.json"
    result = CliRunner().invoke(
        main, ["metrics", "--answers", str(answers), "--references", str(references), "--json", str(out)]
    )
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    for metric in ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"):
        low, high = written[metric]["interval"]
        assert low <= high
        assert isinstance(written[metric]["value"], float)
    assert written["protocol"] == "original"
    assert written["CIDEr"]["value"] == pytest.approx(3.426990514475622, abs=1e-6)


def _against(tmp_path: Path, *more: str) -> tuple[int, str]:
    arguments = ["metrics", "--answers", str(tmp_path / "a.jsonl"), "--against", str(tmp_path / "b.jsonl")]
    result = CliRunner().invoke(main, [*arguments, "--references", str(tmp_path / "r.jsonl"), *more])
    return result.exit_code, result.output


def test_runs_are_compared_only_when_it_says_in_what_they_differ(tmp_path: Path) -> None:
    a, b = lines(tmp_path / "a.jsonl", ANSWERS_A), lines(tmp_path / "b.jsonl", ANSWERS_B)
    lines(tmp_path / "r.jsonl", REFERENCES)
    code, output = _against(tmp_path)
    assert code == 1
    assert "no fingerprint" in output
    save(Fingerprint("answers", model="one", pixels_sha256="p" * 64, questions_sha256="q"), a)
    save(Fingerprint("answers", model="two", pixels_sha256="p" * 64, questions_sha256="q"), b)
    code, output = _against(tmp_path)
    assert code == 0
    assert "- model: two / one" in output
    save(Fingerprint("answers", model="two", pixels_sha256="x" * 64, questions_sha256="q"), b)
    code, output = _against(tmp_path)
    assert code == 1
    assert "not comparable: pixels_sha256" in output
    assert _against(tmp_path, "--differing", "pixels_sha256")[0] == 0
