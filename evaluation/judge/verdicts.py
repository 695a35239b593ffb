"""From what a judge wrote to scores, or to the reason why there are none.

The original takes `8 7` and `8,7` and turns all else, `8, 7` and `(8, 7)` included, into −1, which it then averages in.
Here every form is read that can only mean one thing; what cannot be read is a Failure, never a number. It knows no
prompt and no endpoint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

FailureReason = Literal["refused", "cut", "unparsable", "out of range", "empty"]

_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_PAIR = re.compile(rf"[\[(*\s]*({_NUMBER})(?:\s*/\s*10)?(?:\s*[,;]\s*|\s+)({_NUMBER})(?:\s*/\s*10)?[\])*.\s]*")
_ONE = re.compile(rf"(?:score|rating)?\s*[:=]?[\s*]*({_NUMBER})(?:\s*(?:/|out of)\s*10)?[*.\s]*", re.I)

PAIR_RANGE = (1.0, 10.0)
ONE_RANGE = (0.0, 10.0)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a judge's reply gives no score."""

    reason: FailureReason


def read_pair(text: str, finish_reason: str = "stop", refusal: str | None = None) -> tuple[float, float] | Failure:
    """The scores of the first and the second answer: the first line that is not empty, or else the only line of the
    text that is nothing but a pair of numbers (a judge that solves the problem before it scores)."""
    found = _read(text, _PAIR, finish_reason, refusal)
    if isinstance(found, Failure):
        return found
    first, second = (float(number) for number in found.groups())
    if not all(PAIR_RANGE[0] <= score <= PAIR_RANGE[1] for score in (first, second)):
        return Failure("out of range")
    return first, second


def read_one(text: str, finish_reason: str = "stop", refusal: str | None = None) -> float | Failure:
    """The score of a single answer, 0 to 10, read by the same rule."""
    found = _read(text, _ONE, finish_reason, refusal)
    if isinstance(found, Failure):
        return found
    score = float(found.group(1))
    return score if ONE_RANGE[0] <= score <= ONE_RANGE[1] else Failure("out of range")


def _read(text: str, pattern: re.Pattern[str], finish_reason: str, refusal: str | None) -> re.Match[str] | Failure:
    if refusal or finish_reason == "content_filter":
        return Failure("refused")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return Failure("cut" if finish_reason == "length" else "empty")
    matches = [match for line in lines if (match := pattern.fullmatch(line.strip()))]
    first = pattern.fullmatch(lines[0].strip())
    if first is not None:
        # A cut can stand in the middle of a number, if the scores are all that came.
        return Failure("cut") if finish_reason == "length" and len(lines) == 1 else first
    if len(matches) == 1:
        return matches[0]
    return Failure("cut" if finish_reason == "length" else "unparsable")
