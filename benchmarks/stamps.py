"""Timestamps that the stub engine writes into tokens, and their latency at the receiver.

A stamp is `t` and eighteen digits: nanoseconds on the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import re
import time

_STAMP = re.compile(rb"t(\d{18})")
STAMP_BYTES = 19


def stamp() -> str:
    """The time as it is now."""
    return f"t{time.monotonic_ns():018d}"


def stamps_ns(data: bytes) -> list[int]:
    """All stamps in `data`, in order."""
    return [int(digits) for digits in _STAMP.findall(data)]
