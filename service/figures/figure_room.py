"""Bounds the memory of figures in use: counts their bytes, in all and by caller.

A figure is counted for as long as its object exists, however its request ends: the count goes down when Python frees
the object. So no code has to release it, and none can forget to.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import Overloaded

_LARGE_BYTES = 1024 * 1024
_LARGE_AT_ONCE = 2


class FigureRoom:
    """One per process. One caller may take half of it, so that the others find room."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._by_caller: Counter[str] = Counter()
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    @property
    def taken_bytes(self) -> int:
        return self._bytes

    def check(self, caller: str) -> None:
        """Raises Overloaded while there is no room for another figure of this caller."""
        if self._bytes >= self._most_bytes or self._by_caller[caller] >= -(-self._most_bytes // 2):
            raise Overloaded("Figures that are being explained take all the memory that they may have.")

    def count(self, holder: object, size_bytes: int, caller: str) -> None:
        """Counts the bytes that `holder` keeps in memory until it is freed."""
        self._bytes += size_bytes
        self._by_caller[caller] += size_bytes
        weakref.finalize(holder, self._freed, size_bytes, caller).atexit = False

    @asynccontextmanager
    async def large(self, size_bytes: int) -> AsyncIterator[None]:
        """Around the sending of a figure to Redis, which has all of it before it can say that there is no room: of
        large ones only a few are under way at once."""
        if size_bytes < _LARGE_BYTES:
            yield
        else:
            async with self._large:
                yield

    def _freed(self, size_bytes: int, caller: str) -> None:
        self._bytes -= size_bytes
        self._by_caller[caller] -= size_bytes
        if not self._by_caller[caller]:
            del self._by_caller[caller]
