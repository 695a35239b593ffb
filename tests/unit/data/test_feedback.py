"""`llava-graph data feedback`: which entries count, which answers become pairs, which questions are asked again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from data.cli import main
from data.errors import FormatError, StageError
from data.feedback import FeedbackReport, export_feedback
from evaluation.answers.questions import read_questions
from llava_graph.feedback import ENTRIES_FILE, FIGURES_FOLDER, FeedbackEntry, Verdict, answer_sha256

FIGURE = "ab" * 32
OTHER_FIGURE = "cd" * 32


def receipt_of(
    answer: str,
    *,
    question: str = "Which run is best?",
    figures: tuple[str, ...] = (FIGURE,),
    model: str = "small",
    turns: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What of a receipt the export reads. `turns` stand before the question."""
    said = [{"role": ("user", "assistant")[i % 2], "text": text} for i, text in enumerate((*turns, question))]
    return {
        "format": 1,
        "model": {"id": model},
        "figures": [{"id": figure, "caption": "Accuracy.", "turn": 0} for figure in figures],
        "turns": said,
        "answer_sha256": answer_sha256(answer),
    }


class Folder:
    """A gateway's folder of feedback, written as the gateway does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / FIGURES_FOLDER).mkdir(parents=True)
        (path / ENTRIES_FILE).touch()
        self._count = 0

    def add(self, verdict: Verdict, answer: str, **fields: Any) -> FeedbackEntry:
        """An entry; what is no field of an entry is one of its receipt."""
        self._count += 1
        own = {name: fields.pop(name) for name in ("note", "caller", "replaces") if name in fields}
        entry = FeedbackEntry(
            entry_id=f"{self._count:032x}",
            time=f"2026-11-26T01:00:{self._count:02}+00:00",
            verdict=verdict,
            note=own.pop("note", ""),
            answer=answer,
            receipt=receipt_of(answer, **fields),
            **own,
        )
        self.write(entry.to_line())
        return entry

    def write(self, line: bytes) -> None:
        with (self.path / ENTRIES_FILE).open("ab") as file:
            file.write(line)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "feedback")


class Export:
    def __init__(self, out: Path, report: FeedbackReport) -> None:
        self.out, self.report = out, report
        self.pairs = rows(out / "preferences.jsonl")
        self.questions = rows(out / "questions.jsonl")

    @property
    def preferred(self) -> list[tuple[str, str]]:
        return [(row["chosen"], row["rejected"]) for row in self.pairs]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def export(*folders: Folder, pairs_per_question: int = 4) -> Export:
    out = folders[0].path.parent / "out"
    report = export_feedback([one.path for one in folders], out, pairs_per_question=pairs_per_question, overwrite=True)
    return Export(out, report)


def test_liked_and_disliked_answer_to_one_question_are_a_pair(folder: Folder) -> None:
    folder.add("up", "Run A, with 0.9.", model="small")
    folder.add("down", "Run B.", model="tiny", note="B is lower")
    [pair] = export(folder).pairs
    assert pair == {
        "id": pair["id"],
        "images": [f"{FIGURE}.png"],
        "captions": ["Accuracy."],
        "prompt": [{"role": "user", "content": "Which run is best?"}],
        "chosen": "Run A, with 0.9.",
        "rejected": "Run B.",
        "chosen_model": "small",
        "rejected_model": "tiny",
        "notes": ["B is lower"],
    }


@pytest.mark.parametrize(
    "other",
    [{"question": "Why?"}, {"figures": (OTHER_FIGURE,)}, {"turns": ("Hello?", "Hello.")}],
    ids=["question", "figure", "conversation"],
)
def test_answers_to_different_questions_are_no_pair(folder: Folder, other: dict[str, Any]) -> None:
    folder.add("up", "Run A.")
    folder.add("down", "Run B.", **other)
    assert export(folder).pairs == []


def test_flagged_answer_is_a_disliked_one(folder: Folder) -> None:
    folder.add("up", "Run A.")
    folder.add("flag", "Run B.")
    assert export(folder).preferred == [("Run A.", "Run B.")]


def test_votes_on_one_answer_are_added_up(folder: Folder) -> None:
    folder.add("up", "Run A.")
    verdicts: dict[str, tuple[Verdict, ...]] = {"Run B.": ("up", "down", "down"), "Run C.": ("up", "down")}
    for answer, said in verdicts.items():
        for verdict in said:
            folder.add(verdict, answer)
    assert export(folder).preferred == [("Run A.", "Run B.")]


def test_verdict_that_was_replaced_does_not_count(folder: Folder) -> None:
    folder.add("up", "Run A.")
    first = folder.add("up", "Run B.")
    folder.add("down", "Run B.", replaces=first.entry_id)
    exported = export(folder)
    assert exported.preferred == [("Run A.", "Run B.")]
    assert exported.report.left_out["replaced by a later one"] == 1


def test_feedback_of_others_cannot_be_replaced(folder: Folder) -> None:
    folder.add("down", "Run B.", caller="alice")
    first = folder.add("up", "Run A.", caller="alice")
    folder.add("down", "Run A.", caller="mallory", replaces=first.entry_id)
    folder.add("down", "Run C.", caller="alice", replaces=first.entry_id)
    exported = export(folder)
    assert exported.report.left_out["replaced by a later one"] == 0
    assert exported.pairs == []  # one up, one down


def test_clearest_pairs_of_a_question_come_first(folder: Folder) -> None:
    folder.add("up", "Run A.")
    for _ in range(3):
        folder.add("up", "Run A, with 0.9.")
    folder.add("down", "Run B.")
    for _ in range(2):
        folder.add("down", "Run C.")
    exported = export(folder, pairs_per_question=2)
    assert exported.preferred == [("Run A, with 0.9.", "Run C."), ("Run A, with 0.9.", "Run B.")]
    assert len({row["id"] for row in exported.pairs}) == 2


def test_disliked_answers_become_questions_that_the_evaluation_reads(folder: Folder) -> None:
    folder.add("down", "Run B.", note="B is lower")
    folder.add("flag", "Buy now!", question="What is shown?")
    folder.add("up", "A line.", question="What kind is it?")
    exported = export(folder)
    read = read_questions(exported.out / "questions.jsonl", "own")
    assert [(one.text, one.category, one.image, one.caption) for one in read.questions] == [
        ("Which run is best?", "down", f"{FIGURE}.png", "Accuracy."),
        ("What is shown?", "flagged", f"{FIGURE}.png", "Accuracy."),
    ]
    assert exported.questions[0]["disliked"] == ["Run B."]
    assert exported.questions[0]["notes"] == ["B is lower"]


def test_questions_that_the_evaluation_cannot_ask_are_counted(folder: Folder) -> None:
    folder.add("down", "Since.", turns=("Which run is best?", "Run A."), question="Why?")
    folder.add("down", "Neither.", figures=(FIGURE, OTHER_FIGURE))
    folder.add("down", "Hm.", figures=())
    exported = export(folder)
    assert exported.questions == []
    assert exported.report.left_out["a later question of a conversation"] == 1
    assert exported.report.left_out["not about one figure"] == 2


def test_stored_images_come_with_the_rows(folder: Folder) -> None:
    (folder.path / FIGURES_FOLDER / f"{FIGURE}.png").write_bytes(b"the image")
    (folder.path / FIGURES_FOLDER / f"{OTHER_FIGURE}.png").write_bytes(b"of a liked answer alone")
    folder.add("down", "Run B.")
    folder.add("up", "Run A.", figures=(OTHER_FIGURE,))
    exported = export(folder)
    assert exported.report.images == 1
    assert {path.name: path.read_bytes() for path in (exported.out / "images").iterdir()} == {
        f"{FIGURE}.png": b"the image"
    }


def test_folders_of_several_gateways_are_one(folder: Folder, tmp_path: Path) -> None:
    second = Folder(tmp_path / "second")
    folder.add("up", "Run A.")
    second.write(
        replace(
            folder.add("up", "Run A."), entry_id="e" * 32, verdict="down", answer="B", receipt=receipt_of("B")
        ).to_line()
    )
    assert export(folder, second).preferred == [("Run A.", "B")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"format":1,"entry_', "unreadable: not JSON"),
        (b"\xff\xfe", "unreadable: not JSON"),
        (b'{"format":2}', "unreadable: another format"),
        (b'{"format":1}', "unreadable: 'entry_id' is missing"),
    ],
)
def test_line_that_is_no_entry_is_counted_and_costs_no_other(folder: Folder, line: bytes, reason: str) -> None:
    folder.write(line + b"\n")
    folder.add("down", "Run B.")
    exported = export(folder)
    assert exported.report.left_out[reason] == 1
    assert len(exported.questions) == 1


def test_answer_that_is_not_the_receipts_is_counted(folder: Folder) -> None:
    folder.write(folder.add("up", "Run A.").to_line().replace(b"Run A.", b"Run Z."))
    exported = export(folder)
    assert exported.report.left_out["unreadable: the receipt is of another answer"] == 1


@pytest.mark.parametrize("figure", ["../../etc/passwd", "a" * 63 + "/", ""])
def test_figure_whose_id_is_a_path_is_left_out(folder: Folder, figure: str) -> None:
    folder.add("down", "Run B.", figures=(figure,))
    exported = export(folder)
    assert exported.questions == []
    assert exported.report.left_out["unreadable: the receipt"] == 1


def test_earlier_export_is_not_overwritten_unasked(folder: Folder, tmp_path: Path) -> None:
    export(folder)
    with pytest.raises(StageError, match="--overwrite"):
        export_feedback([folder.path], tmp_path / "out", pairs_per_question=1)


def test_folder_without_feedback_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"feedback\.jsonl"):
        export_feedback([tmp_path], tmp_path / "out", pairs_per_question=1)


def test_command_says_what_it_made(folder: Folder, tmp_path: Path) -> None:
    folder.add("up", "Run A.")
    folder.add("down", "Run B.")
    folder.write(b"{\n")
    done = CliRunner().invoke(main, ["feedback", str(folder.path), "--out", str(tmp_path / "made")])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "2 entries: 1 preference pairs, 1 questions",
        "0 images of their figures were stored",
        "left out, unreadable: not JSON: 1",
    ]
