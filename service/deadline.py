"""A deadline for calls to Redis that holds even where redis-py loses a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(deadline_s: float, call: Coroutine[Any, Any, T]) -> T:
    """What the call returns or raises; TimeoutError when it takes longer.

    `asyncio.timeout` would not do: redis-py sends within `asyncio.wait_for`, which on Python 3.11 forgets a
    cancellation that comes in the moment when the bytes are gone, and what follows are redis-py's own timeouts and
    retries, up to 20 s. So the call gets a task of its own, which is cancelled and left to itself.
    """
    task = asyncio.create_task(call)
    task.add_done_callback(_look_at)
    try:
        done, _ = await asyncio.wait({task}, timeout=deadline_s)
    finally:
        task.cancel()
    if not done:
        raise TimeoutError(f"no answer within {deadline_s:g} s")
    return task.result()


def _look_at(task: asyncio.Task[Any]) -> None:
    """Takes the result of an abandoned task, or asyncio logs "Task exception was never retrieved"."""
    if not task.cancelled():
        task.exception()
