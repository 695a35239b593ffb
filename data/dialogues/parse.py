"""Takes a language model's answer apart into questions and answers, by the rule that SciGraphQA was made with.

Split at "Question: " and "Answer: ", drop pieces of three characters or fewer, pair them up, and keep a pair only when
its question speaks of a figure (one of FIGURE_WORDS). A response without the words "question" and "answer" is rejected
whole. Ours in addition: an answer that was cut off at the token limit goes, and so does its pair.

Dropping a pair can leave a question that refers to it ("this relationship"). The rule is kept because the published
data were made so; how many pairs went stands in the summary.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

FIGURE_WORDS = ("graph", "diagram", "figure", "chart", "axis", "plot", "table", "image", "visual", "illustrat")
_MARK = re.compile(r"Question: |Answer: ")
_MIN_CHARS = 3

REASONS = {
    "no_context": "the record has neither caption nor paragraph; nothing was asked",
    "refused": "the endpoint refuses this request (too long, or against its rules)",
    "filtered": "the model's provider withheld the answer",
    "empty": "the answer has no text",
    "no_question_answer": "the answer lacks the words question and answer",
    "no_pairs": "no question with an answer could be told apart",
    "no_figure_word": "no question speaks of the figure",
    "cut_off": "the answer was cut off before its first pair was whole",
    "rating_unreadable": "the rating is no number from 0 to 10",
    "rating_low": "the rating is below the least that was asked for",
}


class RejectedError(Exception):
    """The response gives no dialogue; `reason` is one of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Dialogue:
    """`dropped` is how many pairs were there and were not kept."""

    pairs: list[tuple[str, str]]
    dropped: int


def parse(response: str, finish_reason: str | None) -> Dialogue:
    """The dialogue in a response. `finish_reason` is the endpoint's: stop, length, content_filter. Raises
    RejectedError."""
    if finish_reason == "content_filter":
        raise RejectedError("filtered")
    if not response.strip():
        raise RejectedError("empty")
    lower = response.lower()
    if "question" not in lower or "answer" not in lower:
        raise RejectedError("no_question_answer")
    pieces = [piece for piece in _MARK.split(response) if len(piece) > _MIN_CHARS]
    pieces = [piece.strip() for piece in pieces if piece.strip()]
    every = list(zip(pieces[::2], pieces[1::2], strict=False))
    dropped = 0
    if finish_reason == "length":
        if len(pieces) % 2 == 0 and every:  # the last answer is the one that was cut
            every, dropped = every[:-1], 1
        if not every:
            raise RejectedError("cut_off")
    if not every:
        raise RejectedError("no_pairs")
    pairs = [(question, answer) for question, answer in every if _speaks_of_figure(question)]
    if not pairs:
        raise RejectedError("no_figure_word")
    return Dialogue(pairs, dropped + len(every) - len(pairs))


def _speaks_of_figure(question: str) -> bool:
    lower = question.lower()
    return any(word in lower for word in FIGURE_WORDS)


def parse_rating(response: str) -> float:
    """The score, 0..10, of a rating's JSON object, also within a fence of backticks. Raises RejectedError."""
    match = re.search(r"\{.*?\}", response, re.DOTALL)
    try:
        score = float(json.loads(match[0])["score"]) if match else float(response.strip())
    except (ValueError, KeyError, TypeError) as error:
        raise RejectedError("rating_unreadable") from error
    if not 0 <= score <= 10:
        raise RejectedError("rating_unreadable")
    return score
