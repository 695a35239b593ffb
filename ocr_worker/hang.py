"""Tells a hung engine from one that computes: by the processor time of this process, not by the clock alone.

On a machine that has too little for all that runs on it, a batch takes ten times as long by the clock and is not hung;
to end its process would lose the work, load the models again, and hang the next process in the same way. So an engine
has hung when it computes nothing for the time that its batch may take, or when it has computed for that time on every
core that it may use. Knows no engine and no Redis.
"""

from __future__ import annotations

import time

_NOTHING = 0.01
"""Share of a core: less is what a process uses besides, such as for its metrics."""


class HangWatch:
    """Watches one call of an engine in another thread. Make it and ask it in the thread of the event loop, whose own
    processor time does not count."""

    def __init__(self, timeout_s: float, threads: int) -> None:
        self.timeout_s = timeout_s
        """How long to wait between two looks."""
        self._most_s = timeout_s * threads
        self._begun_s = self._seen_s = processor_s()

    def has_hung(self) -> bool:
        """To be asked when another `timeout_s` have passed."""
        before_s, self._seen_s = self._seen_s, processor_s()
        return self._seen_s - before_s < _NOTHING * self.timeout_s or self._seen_s - self._begun_s >= self._most_s


def processor_s() -> float:
    """Processor seconds of all threads but this one."""
    return time.process_time() - time.thread_time()
