"""Whether an engine is up, by its health checks and by what came of requests: thresholds, and no network.

An engine is up again after `rise` successes in a row, and down after `fall` failures in a row. One that has never been
heard of is down until its first success. An engine that does not accept a connection is down at once: there is nothing
to be unsure about.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Health:
    """The state of one engine."""

    rise: int
    fall: int
    up: bool = False
    _known: bool = False
    _in_a_row: int = 0
    """Successes of one that is down, failures of one that is up."""

    def succeeded(self) -> bool:
        """Notes a success. Returns whether the engine is up only since now."""
        if self.up:
            self._in_a_row = 0
            return False
        self._in_a_row += 1
        if self._known and self._in_a_row < self.rise:
            return False
        self.up, self._known, self._in_a_row = True, True, 0
        return True

    def failed(self, *, refused: bool = False) -> bool:
        """Notes a failure; `refused`: it accepted no connection. Returns whether the engine is down only since now."""
        if not self.up:
            self._in_a_row = 0
            self._known = True
            return False
        self._in_a_row += 1
        if not refused and self._in_a_row < self.fall:
            return False
        self.up, self._in_a_row = False, 0
        return True
