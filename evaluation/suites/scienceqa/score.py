"""ScienceQA's score: an answer counts when it holds `The answer is X.` exactly once (with or without
brackets around the letter) and X is right.

The original draws a letter at random where there is not exactly one match, which makes its accuracy move from run to
run and rewards silence; that is an option here, with a seed, and the answers without a match are counted either way.
Nothing here asks a model.
"""

from __future__ import annotations

import random
import re
import string
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.errors import InputError
from evaluation.rows import Row, by_id, joined, text_of
from evaluation.statistics import Estimate, estimate, mean_of

_ANSWER = re.compile(r"The answer is \(?([A-Z])\)?\.")


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer: the letter that was read (None unless there is exactly one match) and whether it counts as right."""

    question_id: str
    category: str
    letter: str | None
    right: bool


@dataclass(frozen=True, slots=True)
class ScienceQaScore:
    accuracy: Estimate
    by_category: Mapping[str, Estimate]
    without_answer: int
    guessed: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "accuracy": self.accuracy.to_json(),
            "by_category": {name: found.to_json() for name, found in self.by_category.items()},
            "without_exactly_one_answer": self.without_answer,
            "random_guess": self.guessed,
        }


def letter_of(text: str) -> str | None:
    """The one letter that the answer gives, or None."""
    found = _ANSWER.findall(text)
    return found[0] if len(found) == 1 else None


def judge(questions: Sequence[Row], answers: Sequence[Row], guess_seed: int | None = None) -> list[Judged]:
    """Raises MismatchError unless both hold the same ids. With `guess_seed`, the original's random guess stands in for
    an answer without exactly one match; a letter beyond the choices is wrong."""
    asked, answered = by_id(questions, "the questions"), by_id(answers, "the answers")
    draw = random.Random(guess_seed) if guess_seed is not None else None
    judged = []
    for key in joined(asked, "the questions", answered, "the answers"):
        question = asked[key]
        right, choices = question.get("answer"), question.get("choices")
        if not isinstance(right, str) or not isinstance(choices, int):
            raise InputError(
                f"question {key} has no answer or no number of choices: convert it with `scienceqa convert`"
            )
        letter = letter_of(text_of(answered[key], "the answers"))
        taken = letter
        if letter is None and draw is not None:
            taken = string.ascii_uppercase[draw.randrange(choices)]
        judged.append(Judged(key, str(question.get("category", "default")), letter, taken == right))
    return judged


def scored(judged: Sequence[Judged], *, guessed: bool) -> ScienceQaScore:
    by_category: dict[str, list[bool]] = defaultdict(list)
    for item in judged:
        by_category[item.category].append(item.right)
    return ScienceQaScore(
        _share([item.right for item in judged]),
        {name: _share(rights) for name, rights in by_category.items()},
        sum(item.letter is None for item in judged),
        guessed,
    )


def table(score: ScienceQaScore) -> str:
    """Markdown."""
    lines = ["| subject | questions | accuracy |", "| --- | --- | --- |"]
    rows = {"all": score.accuracy, **score.by_category}
    lines += [f"| {name} | {found.items} | {found.text(4)} |" for name, found in rows.items()]
    how = "a random guess in the original's manner" if score.guessed else "wrong"
    return (
        "\n".join([*lines, "", f"Answers without exactly one letter: {score.without_answer}, counted as {how}."]) + "\n"
    )


def _share(rights: Sequence[bool]) -> Estimate:
    return estimate(mean_of(np.asarray(rights, dtype=np.float64)), len(rights))
