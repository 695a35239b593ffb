"""How long to wait before another process is started in the place of one that died. Starts and watches none itself.

The parents of gateway processes and of OCR workers use it, and the supervisor of one machine, each with its own times.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class RestartPauses:
    """Pauses between deaths and new starts: doubled with each death from the first to the longest. A death is forgotten
    after `forget_s`."""

    first_s: float
    longest_s: float
    forget_s: float = 300.0
    _deaths: deque[float] = field(default_factory=deque)

    def after_death(self, now_s: float) -> float:
        """Counts a death at `now_s`, a time of a clock that never goes back; the pause to make now."""
        self._deaths.append(now_s)
        while self._deaths[0] < now_s - self.forget_s:
            self._deaths.popleft()
        return float(min(self.first_s * 2 ** (len(self._deaths) - 1), self.longest_s))

    @property
    def deaths(self) -> int:
        """Those that were not forgotten when the last one was counted."""
        return len(self._deaths)
