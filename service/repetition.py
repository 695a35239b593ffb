"""Notices that an answer goes in circles: the same words again and again, as greedy models can say them to the end.

vLLM can stop such answers itself, `transformers serve` cannot; so the gateway looks, for every engine. Whether it does,
and how often is too often, stands in the model's manifest. This module knows nothing of engines.
"""

from __future__ import annotations

from collections import deque

MAX_WORDS = 24
"""The longest stretch that is looked for. Whole sentences that are said again are mostly shorter."""


class Repetition:
    """Reads an answer in pieces; `found` once a stretch of up to `MAX_WORDS` words was said `times` times in a row.

    Words are what white space separates; one counts when white space has followed. Without `times` nothing is found.
    """

    def __init__(self, times: int | None) -> None:
        self.found = False
        self._times = times
        self._word = ""
        self._last: deque[str] = deque(maxlen=MAX_WORDS)
        self._runs = [0] * (MAX_WORDS + 1)
        """By the length of a stretch in words: how many words in a row equal the one so many before."""

    def read(self, piece: str) -> None:
        if self._times is None:
            return
        *words, self._word = (self._word + piece).replace("\n", " ").split(" ")
        for word in filter(None, words):
            self._read_word(word)

    def _read_word(self, word: str) -> None:
        assert self._times is not None
        for length, earlier in enumerate(reversed(self._last), start=1):
            self._runs[length] = self._runs[length] + 1 if earlier == word else 0
            if self._runs[length] >= length * (self._times - 1):
                self.found = True
        self._last.append(word)
