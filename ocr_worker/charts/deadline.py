"""How long reading one figure may take. The steps ask between pieces of work that are small beside it.

Knows nothing of charts. The clock is handed in, so that tests need no waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ocr_worker.charts.errors import DeadlineError

DEFAULT_S = 1.2
"""The most that a figure of 1,600 × 1,200 may take is 1.5 s; the longest piece between two checks takes some 0.2 s."""


class Deadline:
    """A point in time after which `check` raises."""

    def __init__(self, seconds: float = DEFAULT_S, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds from any zero and never goes back."""
        self._clock = clock
        self._end = clock() + seconds

    @property
    def left_s(self) -> float:
        """Seconds left; below zero when the time is used up."""
        return self._end - self._clock()

    def check(self) -> None:
        """Raises DeadlineError when the time is used up."""
        if self.left_s <= 0:
            raise DeadlineError
