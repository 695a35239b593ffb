"""A shared byte budget: bounds what many requests hold at the same time, fair between callers.

When the budget is used up, the largest holder of the caller with most bytes loses its share. So a caller who fills the
budget with bodies that never end loses them, and the other callers go on. This module knows nothing of HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Room:
    """One per process and purpose: `most_bytes` held at the same time."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._of_callers: Counter[str] = Counter()
        self._holders: dict[Holder, None] = {}
        """In the order in which they came."""

    @property
    def held_bytes(self) -> int:
        return self._bytes

    @contextmanager
    def holder(self, caller: str) -> Iterator[Holder]:
        """A holder of bytes; all of them are freed when the block is left."""
        holder = Holder(self, caller)
        self._holders[holder] = None
        try:
            yield holder
        finally:
            holder.leave()
            del self._holders[holder]

    def _take(self, holder: Holder, more_bytes: int) -> None:
        self._add(holder, more_bytes)
        while self._bytes > self._most_bytes:
            # Of those with the same number of bytes, `max` gives the first, which had the most time.
            greedy = max(self._of_callers, key=self._of_callers.__getitem__)
            largest = max((one for one in self._holders if one.caller == greedy), key=lambda one: one.held_bytes)
            largest._make_way()

    def _add(self, holder: Holder, more_bytes: int) -> None:
        holder.held_bytes += more_bytes
        self._bytes += more_bytes
        self._of_callers[holder.caller] += more_bytes
        if self._of_callers[holder.caller] == 0:
            del self._of_callers[holder.caller]


class Holder:
    """One piece of work that holds bytes for a caller."""

    def __init__(self, room: Room, caller: str) -> None:
        self._room = room
        self.caller = caller
        self.held_bytes = 0
        self.made_way = False
        """It lost its share to others, and must free its bytes."""
        self.when_it_makes_way: Callable[[], None] | None = None

    def take(self, more_bytes: int) -> bool:
        """Whether there is room for more bytes; else all of it is lost. Others may have to make way."""
        if not self.made_way:
            self._room._take(self, more_bytes)
        return not self.made_way

    def leave(self) -> None:
        """Frees what it holds."""
        self._room._add(self, -self.held_bytes)

    def _make_way(self) -> None:
        self.made_way = True
        self.leave()
        if self.when_it_makes_way is not None:
            self.when_it_makes_way()
