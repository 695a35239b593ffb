"""Feedback on answers as the gateway stores it and `llava-graph data feedback` reads it: one JSON object a line.

    feedback.jsonl      an entry a line, in the order in which they came; nothing in it is ever changed
    figures/ID.png      images of figures by the hash of their pixels, only where the operator has them stored

An entry that names another in `replaces` counts in its place: its sender has changed the verdict. This module knows
nothing of HTTP, locks or bounds (service/feedback.py), nor of what is made of feedback (data/feedback.py).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

FORMAT = 1
"""Raised when a reader of older entries could misread a new one. New fields need no raise."""

ENTRIES_FILE = "feedback.jsonl"
FIGURES_FOLDER = "figures"

Verdict = Literal["up", "down", "flag"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


class FeedbackLineError(ValueError):
    """A line is no entry; the message says why."""


@dataclass(frozen=True, slots=True)
class FeedbackEntry:
    """One verdict on one answer. `receipt` is the answer's, as it was sent; `answer` is the text that it is of."""

    entry_id: str
    time: str
    """When it came: ISO 8601, UTC."""
    verdict: Verdict
    note: str
    answer: str
    receipt: dict[str, Any]
    caller: str | None = None
    """The name of the key that it was sent with; None where there are no keys."""
    replaces: str | None = None
    """The id of an earlier entry of the same sender about the same answer."""

    def to_line(self) -> bytes:
        """With its line end. Halves of characters, which UTF-8 cannot spell, are left out."""
        told = {"format": FORMAT, **asdict(self)}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode(errors="ignore") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> FeedbackEntry:
        """Raises FeedbackLineError, also for an entry whose answer is not the one that its receipt is of."""
        try:
            told = json.loads(line)
        except ValueError as error:  # a UnicodeDecodeError is one, too
            raise FeedbackLineError("not JSON") from error
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise FeedbackLineError("another format")
        try:
            entry = cls(**{name: told[name] for name in cls.__dataclass_fields__})
        except KeyError as error:
            raise FeedbackLineError(f"{error} is missing") from error
        texts = (entry.entry_id, entry.time, entry.note, entry.answer)
        if not all(isinstance(text, str) for text in texts) or not isinstance(entry.receipt, dict):
            raise FeedbackLineError("a field has the wrong type")
        if entry.verdict not in VERDICTS:
            raise FeedbackLineError("an unknown verdict")
        if entry.receipt.get("answer_sha256") != answer_sha256(entry.answer):
            raise FeedbackLineError("the receipt is of another answer")
        return entry


def answer_sha256(answer: str) -> str:
    """The hash by which a receipt names its answer. Of a text with halves of characters it is the hash of no answer."""
    return hashlib.sha256(answer.encode(errors="surrogatepass")).hexdigest()
