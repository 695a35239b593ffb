"""Ends an answer before the first stop string, however the engine's pieces cut it.

The gateway does this for every engine and sends none of them `stop`. `transformers serve` 5.23 fails on it for models
with a processor, which those that see images have, and where it knows the field it leaves the stop string in the
answer; vLLM cuts it off. So the answer to a request with `stop` would depend on the engine. The cost: an answer that
was cut has no usage, because its connection is closed before the engine has counted. This module knows no engine.
"""

from __future__ import annotations

from collections.abc import Sequence


class UntilStop:
    """The text of pieces up to where the first of `stops` begins, the first in the text, whichever it is.

    What could be the beginning of a stop string is held back until the next pieces tell. Raises ValueError when a stop
    string is empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        if not all(stops):
            raise ValueError("a stop string is empty")
        self._stops = tuple(stops)
        self._longest = max(map(len, stops), default=0)
        self._held = ""
        self.stopped = False
        """A stop string was found: the text is complete, and further pieces are not to be read."""

    def read(self, piece: str) -> str:
        """What `piece` makes certain to belong to the text."""
        if not self._stops:
            return piece
        self._held += piece
        possible = self._first_possible()
        found = self._first_found()
        # A stop string may stand complete within the beginning of another, which began earlier and would win.
        if found is not None and found <= possible:
            self.stopped = True
            return self._held[:found]
        text, self._held = self._held[:possible], self._held[possible:]
        return text

    def end(self) -> str:
        """What was held back and belongs to the text, now that no more pieces come."""
        found = self._first_found()
        if found is None:
            return self._held
        self.stopped = True
        return self._held[:found]

    def _first_found(self) -> int | None:
        """Where the first complete stop string begins."""
        return min((start for stop in self._stops if (start := self._held.find(stop)) >= 0), default=None)

    def _first_possible(self) -> int:
        """Where the first stop string begins that further text could complete; the end when none does."""
        end = len(self._held)
        for start in range(max(0, end - self._longest + 1), end):
            tail = self._held[start:]
            if any(stop.startswith(tail) and stop != tail for stop in self._stops):
                return start
        return end
