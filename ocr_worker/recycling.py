"""Decides when a worker process is recycled: replaced by a fresh one.

OCR runtimes keep memory: pools grow to the largest figure ever seen, and some leak for days until the machine kills the
process in the middle of a job. A process that is replaced in good time costs nothing. Knows no queue and no engine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

MIB = 1024 * 1024

RecyclingReason = Literal["jobs", "memory"]

_STATM = Path("/proc/self/statm")


class RecyclingPolicy:
    """The bounds of one process's life; 0 sets none."""

    def __init__(self, *, jobs: int, mib: int) -> None:
        self._jobs = jobs
        self._bytes = mib * MIB

    def reason(self, *, jobs: int, resident: int) -> RecyclingReason | None:
        """The reason to recycle a process that has ended so many jobs and holds so many bytes; None for no reason."""
        if 0 < self._jobs <= jobs:
            return "jobs"
        if 0 < self._bytes <= resident:
            return "memory"
        return None


def resident_bytes() -> int:
    """Memory of this process that lies in RAM; 0 where the system has no /proc to ask."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
