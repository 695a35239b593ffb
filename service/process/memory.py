"""Makes the C library return large freed blocks to the system at once.

glibc maps blocks of 128 KiB and more by themselves at first, and returns them when they are freed; but with each one
that is freed it raises that bound, up to 32 MiB, and what is below then stays with the process. A gateway that has
passed on a few large figures would keep hundreds of megabytes. Fixed bounds stop that. Other C libraries are left as
they are.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import platform

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_MMAP_THRESHOLD_BYTES = 256 * 1024
_TRIM_THRESHOLD_BYTES = 1024 * 1024
_ARENAS = 2
"""Threads of the gateway look up names and pass on logs; none of them allocates in a hurry."""


def give_back_large_blocks() -> None:
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
    libc.mallopt(_M_ARENA_MAX, _ARENAS)
