"""Asks about many items, some at a time, and gives the answers in the items' order, with bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

HELD = 4
"""Items held for each that is under way: so long may a slow one hold up those behind it before asking stops."""


async def in_order(
    items: Iterable[Item], ask: Callable[[Item], Awaitable[Answer]], at_once: int
) -> AsyncGenerator[tuple[Item, Answer]]:
    """Each item with its answer. At most `at_once` are asked about at a time, and `HELD` times as many are in memory.

    What `ask` raises comes out here, and what is under way is cancelled then, or when the iteration is left.
    """
    slots = asyncio.Semaphore(at_once)

    async def one(item: Item) -> Answer:
        async with slots:
            return await ask(item)

    under_way: deque[tuple[Item, asyncio.Task[Answer]]] = deque()
    try:
        for item in items:
            under_way.append((item, asyncio.create_task(one(item))))
            if len(under_way) == HELD * at_once:
                first, task = under_way[0]
                answer = await task
                under_way.popleft()
                yield first, answer
        while under_way:
            first, task = under_way[0]
            answer = await task
            under_way.popleft()
            yield first, answer
    finally:
        left = {task for _, task in under_way}
        while left:
            # Again and again: a cancellation that meets an answer on a connection can be lost.
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=1.0)
        for _, task in under_way:
            if not task.cancelled():
                task.exception()  # seen: the first failure is what comes out
