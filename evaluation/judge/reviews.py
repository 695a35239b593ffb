"""Reviews: what a judge said of one pair of answers, or of one answer, and the files they stand in.

Rows of pairs have the original's fields {id, question_id, answer1_id, answer2_id, category, content, tuple}; `tuple` is
always (answer 1, answer 2), whichever stood first before the judge, and [-1, -1] where no scores could be read. The
original's own review files are read too: they call the tuple `score` and have no category. Our `metadata` holds order,
repeat, reason of a failure and lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

from evaluation.errors import InputError
from evaluation.rows import Row, read_rows, row_id

Order = Literal["as given", "swapped"]
ORDERS: tuple[Order, Order] = ("as given", "swapped")

UNREAD = -1.0
"""What a score that could not be read is written as, in the original's files and in ours."""


@dataclass(frozen=True, slots=True)
class PairReview:
    """`scores` are those of answer 1 and answer 2; None where they could not be read, for `failure`."""

    question_id: str
    category: str
    scores: tuple[float, float] | None
    failure: str | None
    order: Order
    repeat: int
    words: tuple[int, int] | None

    @property
    def sign(self) -> int | None:
        """1 where answer 1 is better, −1 where answer 2 is, 0 for equal scores."""
        if self.scores is None:
            return None
        return (self.scores[0] > self.scores[1]) - (self.scores[0] < self.scores[1])

    @property
    def first_minus_second(self) -> float | None:
        """The score of what stood first before the judge, less that of what stood second."""
        if self.scores is None:
            return None
        difference = self.scores[0] - self.scores[1]
        return difference if self.order == "as given" else -difference


@dataclass(frozen=True, slots=True)
class SingleReview:
    """`score` is 0 to 10; None where it could not be read, for `failure`."""

    question_id: str
    category: str
    score: float | None
    failure: str | None
    repeat: int
    words: int | None


def is_single(rows: list[Row]) -> bool:
    """Whether the rows judge one answer each. Raises InputError for a file of neither kind, or of both."""
    kinds = {"answer_id" in row and "answer1_id" not in row for row in rows}
    if len(kinds) != 1:
        raise InputError("the file holds no reviews" if not kinds else "the file holds reviews of both kinds")
    return kinds.pop()


def read_reviews(path: Path) -> list[Row]:
    rows = read_rows(path)
    if not rows:
        raise InputError(f"{path} holds no reviews")
    return rows


def pair_review(row: Row, categories: Mapping[str, str] | None = None) -> PairReview:
    """`categories` by question id fill in what the row does not say. Raises InputError."""
    metadata = _metadata(row)
    key = row_id(row)
    scores = row.get("tuple", row.get("score"))
    if not isinstance(scores, list) or len(scores) != 2 or not all(_is_number(score) for score in scores):
        raise InputError(f"the review of question {key} has no two scores")
    order = metadata.get("order", "as given")
    if order not in ORDERS:
        raise InputError(f"the review of question {key} has the order {order!r}")
    unread = UNREAD in scores
    words = metadata.get("words")
    return PairReview(
        key,
        _category(row, key, categories),
        None if unread else (float(scores[0]), float(scores[1])),
        str(metadata.get("failure") or "unparsable") if unread else None,
        order,
        int(metadata.get("repeat", 1)),
        (int(words[0]), int(words[1])) if isinstance(words, list) and len(words) == 2 else None,
    )


def single_review(row: Row, categories: Mapping[str, str] | None = None) -> SingleReview:
    """Raises InputError."""
    metadata, key, score = _metadata(row), row_id(row), row.get("score")
    if not _is_number(score):
        raise InputError(f"the review of question {key} has no score")
    words = metadata.get("words")
    unread = score == UNREAD
    return SingleReview(
        key,
        _category(row, key, categories),
        None if unread else float(score),
        str(metadata.get("failure") or "unparsable") if unread else None,
        int(metadata.get("repeat", 1)),
        int(words) if isinstance(words, int) else None,
    )


def _category(row: Row, key: str, categories: Mapping[str, str] | None) -> str:
    if "category" in row:
        return str(row["category"])
    return categories.get(key, "default") if categories else "default"


def _metadata(row: Row) -> Mapping[str, Any]:
    metadata = row.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
