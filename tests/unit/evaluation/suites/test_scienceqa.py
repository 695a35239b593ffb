"""ScienceQA: its problems as questions, and exactly one letter as an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluation.cli import main
from evaluation.errors import InputError
from evaluation.rows import read_json, read_rows
from evaluation.suites.scienceqa.convert import questions_of
from evaluation.suites.scienceqa.score import judge, letter_of, scored
from tests.fakes import evaluation_files as files


def test_problems_of_a_split_become_questions_with_lettered_choices(tmp_path: Path) -> None:
    first, second = questions_of(files.document(tmp_path / "problems.json", files.SCIENCEQA), "test")
    assert first["text"].startswith(
        "Context: Look at the leaf.\nQuestion: Which gas do plants take up?\nOptions: (A) oxygen (B) carbon dioxide\n"
    )
    assert (first["answer"], first["choices"], first["image"]) == ("B", 2, "test/1/image.png")
    assert "image" not in second
    assert not second["text"].startswith("Context")


def test_published_order_of_a_split_is_kept_and_missing_problems_are_refused(tmp_path: Path) -> None:
    path = files.document(tmp_path / "problems.json", files.SCIENCEQA)
    assert [row["question_id"] for row in questions_of(path, "test", ["2", "1"])] == ["2", "1"]
    with pytest.raises(InputError, match="lacks 1 problems"):
        questions_of(path, "test", ["1", "9"])
    with pytest.raises(InputError, match="holds no problem of the split 'val'"):
        questions_of(path, "val")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is B.", "B"),
        ("Because of light. The answer is (B).", "B"),
        ("The answer is B. No, the answer is A. The answer is A.", None),
        ("The answer is B", None),
        ("B", None),
        ("The answer is b.", None),
        ("", None),
    ],
)
def test_exactly_one_answer_is_read(text: str, letter: str | None) -> None:
    assert letter_of(text) == letter


QUESTIONS = [{"question_id": n, "text": "?", "answer": "A", "choices": 4, "category": "s"} for n in range(200)]


def test_an_answer_without_a_letter_is_wrong_and_counted() -> None:
    answers = [{"question_id": n, "text": "The answer is A." if n < 50 else "Hm."} for n in range(200)]
    score = scored(judge(QUESTIONS, answers), guessed=False)
    assert (score.accuracy.value, score.without_answer) == (0.25, 150)


def test_the_originals_random_guess_rewards_silence_and_is_the_same_for_one_seed() -> None:
    answers = [{"question_id": n, "text": "Hm."} for n in range(200)]
    guessed = scored(judge(QUESTIONS, answers, 3), guessed=True)
    assert 0.1 < guessed.accuracy.value < 0.4
    assert guessed == scored(judge(QUESTIONS, answers, 3), guessed=True)
    assert guessed.without_answer == 200


def test_commands_convert_and_score(tmp_path: Path) -> None:
    problems = files.document(tmp_path / "problems.json", files.SCIENCEQA)
    questions, out = tmp_path / "q.jsonl", tmp_path / "scienceqa.json"
    result = CliRunner().invoke(main, ["scienceqa", "convert", str(problems), "--out", str(questions)])
    assert result.output == f"2 questions in {questions}, 1 with an image\n"
    assert len(read_rows(questions)) == 2
    rows = [{"question_id": "1", "text": "The answer is B."}, {"question_id": "2", "text": "The answer is C."}]
    answers = files.lines(tmp_path / "a.jsonl", rows)
    arguments = ["scienceqa", "score", "--questions", str(questions), "--answers", str(answers), "--json", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert read_json(out)["accuracy"]["value"] == 0.5
