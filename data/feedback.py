"""Makes of stored feedback what training and evaluation can use: preference pairs, and questions.

    preferences.jsonl   one row a pair: two answers to one question about one figure, one up and one down
    questions.jsonl     one row a question whose answer was flagged or down, in the form that `llava-graph eval` takes
    images/ID.png       the figures' images, as far as they were stored

An entry that another replaces does not count, provided both are of one caller about one answer. What else is said of
one answer is added up: it is liked with more ups than downs and flags, disliked with fewer. Feedback is what callers
say: look at what was written before anything is trained on it. The form of the entries is in llava_graph/feedback.py.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from data.errors import FormatError, StageError
from llava_graph.feedback import ENTRIES_FILE, FIGURES_FOLDER, FeedbackEntry, FeedbackLineError, answer_sha256

PAIRS_FILE = "preferences.jsonl"
QUESTIONS_FILE = "questions.jsonl"
IMAGES_FOLDER = "images"

_FIGURE_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: the conversation so far, the last turn the user's, about figures with captions."""

    turns: tuple[tuple[str, str], ...]
    """Role and text of each."""
    figures: tuple[tuple[str, str, int], ...]
    """Hash of the pixels, caption, and the turn that shows it, of each."""

    @property
    def key(self) -> str:
        """Names it in rows, the same in every export."""
        return hashlib.sha256(json.dumps([self.turns, self.figures]).encode()).hexdigest()[:16]


@dataclass(slots=True)
class Said:
    """What was said of one answer."""

    answer: str
    model: str
    votes: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def balance(self) -> int:
        """Above 0: liked; below: disliked."""
        return self.votes["up"] - self.votes["down"] - self.votes["flag"]


@dataclass(slots=True)
class FeedbackReport:
    """What was read and written. `left_out` counts entries and questions that gave nothing, by reason."""

    entries: int = 0
    pairs: int = 0
    questions: int = 0
    images: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def export_feedback(
    folders: Sequence[Path], out: Path, *, pairs_per_question: int, overwrite: bool = False
) -> FeedbackReport:
    """Reads the folders of one or more gateways, and writes the two files and the images to the folder `out`.

    Raises FormatError for a folder without feedback, StageError where `out` holds an earlier export.
    """
    report = FeedbackReport()
    if (out / PAIRS_FILE).exists() and not overwrite:
        raise StageError(f"{out} holds an earlier export: --overwrite replaces it")
    asked = _by_question(_entries(folders, report), report)
    pairs = [row for question, said in asked.items() for row in _pairs(question, said, pairs_per_question)]
    questions = _questions(asked, report)
    out.mkdir(parents=True, exist_ok=True)
    report.images = _copy_images(folders, out / IMAGES_FOLDER, pairs, questions)
    # The questions first: an export without the pairs is none yet.
    _write(out / QUESTIONS_FILE, questions)
    _write(out / PAIRS_FILE, pairs)
    report.pairs, report.questions = len(pairs), len(questions)
    return report


def _entries(folders: Sequence[Path], report: FeedbackReport) -> list[FeedbackEntry]:
    """The entries that count. Those that replace others may come from another gateway, so all are read first."""
    read: dict[str, FeedbackEntry] = {}
    for folder in folders:
        path = folder / ENTRIES_FILE
        try:
            with path.open("rb") as file:
                for line in file:
                    try:
                        entry = FeedbackEntry.from_line(line)
                    except FeedbackLineError as error:
                        report.left_out[f"unreadable: {error}"] += 1
                        continue
                    report.entries += 1
                    read[entry.entry_id] = entry
        except OSError as error:
            raise FormatError(f"{path}: {error.strerror}") from error
    replaced = {entry.replaces for entry in read.values() if entry.replaces and _replaces(entry, read)}
    report.left_out["replaced by a later one"] += len(replaced)
    return [entry for entry_id, entry in read.items() if entry_id not in replaced]


def _replaces(entry: FeedbackEntry, read: Mapping[str, FeedbackEntry]) -> bool:
    """Whether what it says to replace is the same caller's about the same answer, and older."""
    earlier = read.get(entry.replaces or "")
    if earlier is None or earlier is entry:
        return False
    same = (earlier.caller, earlier.answer) == (entry.caller, entry.answer)
    return same and earlier.time <= entry.time


def _by_question(entries: Iterable[FeedbackEntry], report: FeedbackReport) -> dict[Asked, dict[str, Said]]:
    """What was said of each answer to each question; answers by their hash."""
    asked: dict[Asked, dict[str, Said]] = {}
    for entry in entries:
        try:
            question, model = _asked(entry.receipt), str(entry.receipt["model"]["id"])
        except (KeyError, TypeError, ValueError):
            report.left_out["unreadable: the receipt"] += 1
            continue
        of_question = asked.setdefault(question, {})
        said = of_question.setdefault(answer_sha256(entry.answer), Said(entry.answer, model))
        said.votes[entry.verdict] += 1
        if entry.note.strip():
            said.notes.append(entry.note.strip())
    return asked


def _asked(receipt: Mapping[str, Any]) -> Asked:
    """Raises KeyError, TypeError or ValueError for a receipt that is none."""
    turns = tuple((str(turn["role"]), str(turn["text"])) for turn in receipt["turns"])
    figures = tuple((str(one["id"]), str(one["caption"]), int(one["turn"])) for one in receipt["figures"])
    if not turns or turns[-1][0] != "user":
        raise ValueError("the last turn is not the user's")
    if not all(_FIGURE_ID.fullmatch(figure_id) for figure_id, _, _ in figures):
        raise ValueError("a figure has no id")  # it becomes the name of a file
    return Asked(turns, figures)


def _pairs(question: Asked, said: Mapping[str, Said], most: int) -> list[dict[str, Any]]:
    """The clearest pairs of a question first: by what was said for the one and against the other."""
    liked = [one for one in said.values() if one.balance > 0 and one.answer.strip()]
    disliked = [one for one in said.values() if one.balance < 0]
    pairs = sorted(product(liked, disliked), key=lambda pair: pair[1].balance - pair[0].balance)
    return [_pair(question, i, up, down) for i, (up, down) in enumerate(pairs[:most])]


def _pair(question: Asked, number: int, up: Said, down: Said) -> dict[str, Any]:
    return {
        "id": f"{question.key}-{number}",
        "images": [_image(figure_id) for figure_id, _, _ in question.figures],
        "captions": [caption for _, caption, _ in question.figures],
        "prompt": [{"role": role, "content": text} for role, text in question.turns],
        "chosen": up.answer,
        "rejected": down.answer,
        "chosen_model": up.model,
        "rejected_model": down.model,
        "notes": down.notes,
    }


def _questions(asked: Mapping[Asked, Mapping[str, Said]], report: FeedbackReport) -> list[dict[str, Any]]:
    """In the form of evaluation/answers/questions.py, which asks first questions about one figure, and no others.
    `disliked` and `notes` are for the people who look through them: no evaluation reads them."""
    rows = []
    for question, said in asked.items():
        disliked = [one for one in said.values() if one.balance < 0]
        if not disliked:
            continue
        if len(question.figures) != 1:
            report.left_out["not about one figure"] += 1
        elif len(question.turns) != 1:
            report.left_out["a later question of a conversation"] += 1
        else:
            [(figure_id, caption, _)] = question.figures
            flagged = any(one.votes["flag"] for one in disliked)
            rows.append(
                {
                    "question_id": question.key,
                    "image": _image(figure_id),
                    "text": question.turns[0][1],
                    "category": "flagged" if flagged else "down",
                    "caption": caption,
                    "disliked": [one.answer for one in disliked],
                    "notes": [note for one in disliked for note in one.notes],
                }
            )
    return rows


def _copy_images(
    folders: Sequence[Path], target: Path, pairs: Sequence[Mapping[str, Any]], questions: Sequence[Mapping[str, Any]]
) -> int:
    """Copies those that the rows name and a gateway has stored; returns how many."""
    names = {name for row in pairs for name in row["images"]} | {row["image"] for row in questions}
    copied = 0
    target.mkdir(exist_ok=True)
    for name in sorted(names):
        found = next((path for folder in folders if (path := folder / FIGURES_FOLDER / name).is_file()), None)
        if found is not None:
            shutil.copyfile(found, target / name)
            copied += 1
    return copied


def _image(figure_id: str) -> str:
    return f"{figure_id}.png"


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    partial.replace(path)
