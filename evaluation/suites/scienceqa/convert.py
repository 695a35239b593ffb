"""ScienceQA's problems as questions: context, question and lettered choices in, `The answer is X.` asked for.

Reads the data set's `problems.json` ({id: {question, choices, answer, hint, image, split, …}}) and gives rows of our
own question format with `answer`, the right letter, and `choices`, their number. Images lie at
`<split>/<id>/image.png`, as the data set has them. Nothing here asks a model.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any, Literal

from evaluation.errors import InputError
from evaluation.rows import Row, read_json

Split = Literal["train", "val", "test", "minival", "minitest", "minitrain"]

ASK = "Answer in exactly this form, with the letter of the option in place of X: The answer is X."


def questions_of(path: Path, split: str, ids: list[str] | None = None) -> list[Row]:
    """Questions of one split, in the file's order, or those of `ids`. Raises InputError."""
    problems = read_json(path)
    if not isinstance(problems, dict):
        raise InputError(f"{path} is not ScienceQA's object of problems")
    wanted = ids if ids is not None else [key for key, problem in problems.items() if _split(problem, key) == split]
    if missing := [key for key in wanted if key not in problems]:
        raise InputError(f"{path} lacks {len(missing)} problems (the first: {missing[0]})")
    if not wanted:
        raise InputError(f"{path} holds no problem of the split {split!r}")
    return [_row(key, problems[key]) for key in wanted]


def _row(key: str, problem: Any) -> Row:
    question, choices, answer = (problem.get(name) for name in ("question", "choices", "answer"))
    if not isinstance(question, str) or not isinstance(choices, list) or not 2 <= len(choices) <= 26:
        raise InputError(f"problem {key} has no question or no choices")
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
        raise InputError(f"problem {key}: the answer {answer!r} is no choice")
    letters = string.ascii_uppercase
    hint = str(problem.get("hint") or "").strip()
    options = " ".join(f"({letters[i]}) {choice}" for i, choice in enumerate(choices))
    text = "\n".join([*([f"Context: {hint}"] if hint else []), f"Question: {question}", f"Options: {options}", ASK])
    row: Row = {
        "question_id": key,
        "text": text,
        "category": str(problem.get("subject", "default")),
        "answer": letters[answer],
        "choices": len(choices),
    }
    if problem.get("image"):
        row["image"] = f"{_split(problem, key)}/{key}/{problem['image']}"
    return row


def _split(problem: Any, key: str) -> str:
    if not isinstance(problem, dict) or not isinstance(problem.get("split"), str):
        raise InputError(f"problem {key} names no split")
    return str(problem["split"])
