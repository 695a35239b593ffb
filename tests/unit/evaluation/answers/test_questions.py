"""Questions in every format: what is asked, about which image, with which reference."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluation.answers.questions import check_images, image_path, read_questions
from evaluation.cli import main
from evaluation.errors import InputError
from evaluation.rows import read_rows
from llava_graph.context import DEFAULT_QUESTION
from tests.fakes import evaluation_files as files


def test_original_questions_lose_their_image_token_and_keep_their_ids(tmp_path: Path) -> None:
    found = read_questions(files.lines(tmp_path / "q.jsonl", files.QUESTIONS)).questions
    assert [item.text for item in found[:3]] == [
        "Which run is best in the graph?",
        "Describe the figure in detail.",
        "Why does the curve fall?",
    ]
    assert [item.written_id for item in found] == [0, 1, 2, 3]
    assert [item.category for item in found] == ["conv", "detail", "complex", "conv"]


def test_image_file_is_taken_for_image(tmp_path: Path) -> None:
    rows = [{"question_id": 0, "image_file": files.FIGURE, "text": "Why?"}]
    assert read_questions(files.lines(tmp_path / "q.jsonl", rows)).questions[0].image == files.FIGURE


def test_scigraphqa_gives_the_first_turn_with_the_row_as_id_and_counts_rows_without_one(tmp_path: Path) -> None:
    for path in (
        files.lines(tmp_path / "s.jsonl", files.SCIGRAPHQA),
        files.document(tmp_path / "s.json", files.SCIGRAPHQA),
    ):
        found = read_questions(path)
        assert [(item.question_id, item.text, item.reference) for item in found.questions] == [
            ("0", "Which graph rises?", "Treated."),
            ("2", "What does the chart show?", "Decay."),
        ]
        assert found.left_out == {"no question was kept": 1}
        assert found.questions[0].caption == "Fig. 10. Growth of both groups."


def test_scicap_challenge_is_joined_by_image_id_and_counts_what_lacks_caption_or_paragraph(tmp_path: Path) -> None:
    found = read_questions(files.document(tmp_path / "val.json", files.SCICAP_CHALLENGE))
    (item,) = found.questions
    assert (item.question_id, item.image, item.category) == ("50", files.FIGURE, "Graph Plot")
    assert (item.text, item.reference) == (DEFAULT_QUESTION, "Figure 10 shows growth.")
    assert found.left_out == {"no paragraph mentions the figure": 1, "no caption": 1}


def test_scicap_of_2021_does_not_give_the_reference_away_as_context(tmp_path: Path) -> None:
    files.document(tmp_path / "Test" / "1801.01974v2-Figure10-1.json", files.SCICAP_2021)
    (item,) = read_questions(tmp_path).questions
    assert (item.reference, item.caption) == ("Figure 10: Growth of both groups.", "")


def test_hash_depends_on_what_is_asked_and_not_on_the_order(tmp_path: Path) -> None:
    first = read_questions(files.lines(tmp_path / "a.jsonl", files.QUESTIONS))
    second = read_questions(files.lines(tmp_path / "b.jsonl", files.QUESTIONS[::-1]))
    third = read_questions(
        files.lines(tmp_path / "c.jsonl", [{**files.QUESTIONS[0], "text": "Else?"}, *files.QUESTIONS[1:]])
    )
    assert first.sha256 == second.sha256 != third.sha256


@pytest.mark.parametrize("row", [{"question_id": 1, "image": "x.png"}, {"question_id": 1, "text": "<image>"}])
def test_question_without_words_is_refused(tmp_path: Path, row: files.Row) -> None:
    with pytest.raises(InputError, match="question 1 has no text"):
        read_questions(files.lines(tmp_path / "q.jsonl", [row]))


def test_images_of_coco_are_found_under_both_names(tmp_path: Path) -> None:
    folder = files.images(tmp_path / "images")
    assert image_path(folder, files.COCO_NAME) == folder / files.COCO_FILE
    assert image_path(folder, files.COCO_FILE) == folder / files.COCO_FILE


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../b.png", "..\\b.png", "a\x00.png"])
def test_image_names_do_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="leads out of"):
        image_path(tmp_path, name)


def test_missing_images_are_counted_before_anything_is_asked(tmp_path: Path) -> None:
    questions = read_questions(files.lines(tmp_path / "q.jsonl", files.QUESTIONS)).questions
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="4 of 4 images are missing"):
        check_images(questions, tmp_path / "none")
    with pytest.raises(InputError, match="name the folder"):
        check_images(questions, None)


def test_command_writes_questions_and_references(tmp_path: Path) -> None:
    source = files.lines(tmp_path / "s.jsonl", files.SCIGRAPHQA)
    out, references = tmp_path / "q.jsonl", tmp_path / "r.jsonl"
    result = CliRunner().invoke(main, ["questions", str(source), "--out", str(out), "--references", str(references)])
    assert result.exit_code == 0, result.output
    assert "left out of" in result.stderr
    assert read_rows(references) == [{"question_id": 0, "text": "Treated."}, {"question_id": 2, "text": "Decay."}]
    assert read_questions(out).questions == read_questions(source).questions
