"""A source is read in step with its consumer, and ahead of one that is slow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import pytest

from service.read_ahead import read_ahead

LONG_S = 60.0
"""Longer than any test."""


class Source:
    """Gives 0, 1, 2, …; says what it has given, and that it is closed."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count = count
        self.error = error
        self.given: list[int] = []
        self.closed = asyncio.Event()
        self._more = asyncio.Event()

    async def numbers(self) -> AsyncGenerator[int]:
        try:
            for number in range(self.count):
                self.given.append(number)
                self._more.set()
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns once `holds` of what was given."""
        async with asyncio.timeout(10):
            while not holds():
                self._more.clear()
                await self._more.wait()


async def test_source_is_read_in_step_with_a_consumer_that_keeps_up() -> None:
    source = Source(4)
    async with read_ahead(source.numbers(), patience_s=LONG_S, most=10) as items:
        async for number in items:
            assert source.given[-1] == number, "nothing is read before it is asked for"
            await asyncio.sleep(0)
    assert source.given == [0, 1, 2, 3]


async def test_source_is_read_to_its_end_while_the_consumer_stays_with_one_item() -> None:
    source = Source(5)
    seen = []
    async with read_ahead(source.numbers(), patience_s=0.001, most=10) as items:
        async for number in items:
            if number == 0:
                async with asyncio.timeout(10):
                    await source.closed.wait()
            seen.append(number)
    assert seen == [0, 1, 2, 3, 4]


async def test_consumer_that_is_a_little_slow_with_each_item_is_slow_in_all() -> None:
    source = Source(1000)
    seen = []
    async with read_ahead(source.numbers(), patience_s=0.02, most=1000) as items:
        async for number in items:
            seen.append(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    await source.closed.wait()
                break
    assert seen == list(range(len(seen)))
    assert len(seen) < 1000, "the source had come to its end before"


async def test_no_more_than_so_many_items_wait_for_the_consumer() -> None:
    source = Source(50)
    async with read_ahead(source.numbers(), patience_s=0.001, most=3) as items:
        assert await anext(items) == 0
        await source.until(lambda: len(source.given) == 5)  # one is had, three wait, one is at hand
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(source.given) == 5
        assert [await anext(items) for _ in range(49)] == list(range(1, 50))


@pytest.mark.parametrize("patience_s", [0.001, LONG_S])
async def test_error_of_the_source_comes_after_what_it_gave(patience_s: float) -> None:
    source = Source(3, ValueError("broken"))
    seen = []
    with pytest.raises(ValueError, match="broken"):
        async with read_ahead(source.numbers(), patience_s=patience_s, most=10) as items:
            async for number in items:
                seen.append(number)
                if number == 0 and patience_s < 1:
                    await source.closed.wait()
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("patience_s", [0.001, LONG_S])
async def test_source_is_closed_when_the_consumer_leaves(patience_s: float) -> None:
    source = Source(1_000_000)
    async with read_ahead(source.numbers(), patience_s=patience_s, most=2) as items:
        assert await anext(items) == 0
        if patience_s < 1:
            await source.until(lambda: len(source.given) > 1)
    assert source.closed.is_set()
    assert len(source.given) < 1_000_000
