"""The deadline that holds whatever is done with a cancellation."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from service.deadline import within


class Stubborn:
    """A call that forgets the cancellation that reaches it, as redis-py can, and goes on until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.let_go = asyncio.Event()
        self.ended = asyncio.Event()

    async def call(self) -> None:
        self.begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        self.cancelled.set()
        await self.let_go.wait()
        self.ended.set()
        raise ConnectionError("after all this time")


async def test_result_and_error_of_a_call_in_time_are_its_own() -> None:
    async def answers() -> int:
        return 7

    async def fails() -> int:
        raise ConnectionError("refused")

    assert await within(10, answers()) == 7
    with pytest.raises(ConnectionError, match="refused"):
        await within(10, fails())


async def test_call_that_forgets_its_cancellation_is_not_waited_for() -> None:
    stubborn = Stubborn()
    with pytest.raises(TimeoutError):
        await within(0.01, stubborn.call())
    await stubborn.cancelled.wait()
    assert not stubborn.ended.is_set()
    stubborn.let_go.set()
    await stubborn.ended.wait()


async def test_caller_that_is_cancelled_leaves_at_once_and_cancels_the_call() -> None:
    stubborn = Stubborn()
    caller = asyncio.create_task(within(300, stubborn.call()))
    await stubborn.begun.wait()
    caller.cancel()
    await asyncio.wait({caller})
    assert caller.cancelled()
    await stubborn.cancelled.wait()
    stubborn.let_go.set()
    await stubborn.ended.wait()


async def test_nobody_complains_of_an_error_that_came_too_late() -> None:
    complaints: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
    try:
        stubborn = Stubborn()
        with pytest.raises(TimeoutError):
            await within(0.01, stubborn.call())
        stubborn.let_go.set()
        await stubborn.ended.wait()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)
    assert complaints == []
