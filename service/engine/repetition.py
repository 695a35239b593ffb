"""Detects repetition in an answer: the same words in a row, which greedy decoding can continue up to max_tokens.

vLLM can stop such answers itself, `transformers serve` cannot; so the gateway looks, for every engine. Whether it does,
and how often is too often, stands in the model's manifest. This module knows nothing of engines.
"""

from __future__ import annotations

import re
from collections import deque

_SPACE = re.compile(r"[ \n]")

MAX_WORDS = 24
"""The longest stretch that is looked for. Whole sentences that are said again are mostly shorter."""


class Repetition:
    """Reads an answer in pieces; `found` once a stretch of up to `MAX_WORDS` words was said `times` times in a row.

    Words are what white space separates; one counts when white space has followed. The answer ends with that white
    space, so that it does not depend on what came along in the same piece. Without `times` nothing is found.
    """

    def __init__(self, times: int | None) -> None:
        self.found = False
        self._times = times
        self._word = ""
        self._last: deque[str] = deque(maxlen=MAX_WORDS)
        self._runs = [0] * (MAX_WORDS + 1)
        """By the length of a stretch in words: how many words in a row equal the one so many before."""

    def read(self, piece: str) -> str:
        """What of `piece` belongs to the answer: all of it, unless a repetition is found in it."""
        if self._times is None:
            return piece
        begin = 0
        for space in _SPACE.finditer(piece):
            word = self._word + piece[begin : space.start()]
            self._word, begin = "", space.end()
            if word:
                self._read_word(word)
            if self.found:
                return piece[:begin]
        self._word += piece[begin:]
        return piece

    def _read_word(self, word: str) -> None:
        assert self._times is not None
        for length, earlier in enumerate(reversed(self._last), start=1):
            self._runs[length] = self._runs[length] + 1 if earlier == word else 0
            if self._runs[length] >= length * (self._times - 1):
                self.found = True
        self._last.append(word)
