"""Reads a source in step with its consumer, and ahead of a consumer that is slow.

A task that reads, and a queue, would do the same at all times and cost every token of every answer a change of tasks:
with 500 streams that doubled the delay of a token (benchmarks.streams). So both come only for a consumer that has kept
the source waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def read_ahead(source: AsyncGenerator[T], *, patience_s: float, most: int) -> AsyncIterator[AsyncGenerator[T]]:
    """The items of `source`. Once the consumer has had items for `patience_s` in all without asking for the next, the
    rest is read as fast as `source` gives it, up to `most` items ahead. Leaving the block closes `source`.

    The items raise what `source` raises, after those that came before.
    """
    reader = _Reader(source, patience_s, most)
    items = reader.items()
    try:
        yield items
    finally:
        await items.aclose()
        await reader.close()


class _Reader(Generic[T]):
    def __init__(self, source: AsyncGenerator[T], patience_s: float, most: int) -> None:
        self._source = source
        self._patience_s = patience_s
        self._clock = asyncio.get_running_loop().time
        self._waited_s = 0.0
        """The source, for the consumer, but for the item that it has now."""
        self._handed_at_s: float | None = None
        """When the consumer had the item that it has now."""
        self._ahead: asyncio.Task[None] | None = None
        self._items: asyncio.Queue[tuple[T] | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(most)
        self._look_in(patience_s)

    async def items(self) -> AsyncGenerator[T]:
        async for item in self._source:
            handed_at_s = self._handed_at_s = self._clock()
            yield item
            self._handed_at_s = None
            self._waited_s += self._clock() - handed_at_s
            if self._ahead is None and self._waited_s >= self._patience_s:
                self._begin()
            if self._ahead is not None:
                break
        if self._ahead is None:
            return
        while (next_item := await self._items.get()) is not None:
            self._room.release()
            yield next_item[0]
        await self._ahead

    async def close(self) -> None:
        """Afterwards nothing reads the source, and it is closed."""
        self._timer.cancel()
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.wait({self._ahead})
            if not self._ahead.cancelled():
                self._ahead.exception()  # the consumer has left: nothing is left to tell it to
        await self._source.aclose()

    def _look_in(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        """Whether the consumer has been at one item for too long."""
        if self._ahead is not None:
            return
        waited_s = self._waited_s + (self._clock() - self._handed_at_s if self._handed_at_s is not None else 0.0)
        if self._handed_at_s is not None and waited_s >= self._patience_s:
            self._begin()
        else:
            self._look_in(self._patience_s)

    def _begin(self) -> None:
        self._ahead = asyncio.create_task(self._read(), name="read-ahead")

    async def _read(self) -> None:
        try:
            async for item in self._source:
                await self._room.acquire()
                self._items.put_nowait((item,))
        finally:
            self._items.put_nowait(None)
