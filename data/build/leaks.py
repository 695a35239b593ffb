"""Finds answers that stand in their own context: a model learns to copy them, and a score on them says nothing.

Texts are compared by their words, case and punctuation aside. A leak is `whole` when all of the answer stands in the
text before it, and `sentence` when one of its longer sentences does (a paragraph that repeats the caption, for
example).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from llava_graph.context import Turn

Leak = Literal["whole", "sentence"]

MIN_WORDS = 8
"""Of a sentence: shorter ones ("The results are shown.") recur without saying anything."""

MIN_WORDS_WHOLE = 4
"""Of a whole answer: a short one ("Blue.", "It increases.") may well name a word of the figure, and should."""

_WORD = re.compile(r"[^\W_]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\W\d_])|\n+")


def leak_of(turns: Sequence[Turn]) -> Leak | None:
    """The worst leak of a conversation: each answer against all turns before it."""
    before = " "
    worst: Leak | None = None
    for turn in turns:
        if turn.role == "assistant":
            found = _leak(turn.text, before)
            if found == "whole":
                return "whole"
            worst = worst or found
        before += _words(turn.text) + " "
    return worst


def _leak(answer: str, before: str) -> Leak | None:
    words = _words(answer)
    if words.count(" ") + 1 >= MIN_WORDS_WHOLE and f" {words} " in before:
        return "whole"
    for sentence in _SENTENCE_END.split(answer):
        words = _words(sentence)
        if words.count(" ") + 1 >= MIN_WORDS and f" {words} " in before:
            return "sentence"
    return None


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
