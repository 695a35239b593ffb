"""Rate limits: Retry-After is obeyed, all requests wait, and an end is reached."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from evaluation.errors import EndpointError
from evaluation.pacing import BusyError, Pacer, Pacing, each, retry_after_s


async def test_a_busy_answer_holds_back_every_call() -> None:
    pacer = Pacer(Pacing(tries=2))
    was_busy = asyncio.Event()

    async def busy() -> None:
        was_busy.set()
        raise BusyError("slow down", 60.0)

    async def other() -> str:
        return "answered"

    assert await pacer.call("zero", other) == "answered"
    first = asyncio.create_task(pacer.call("one", busy))
    await was_busy.wait()
    second = asyncio.create_task(pacer.call("two", other))
    for _ in range(20):  # without the pause it would be answered in the first of these turns
        await asyncio.sleep(0)
    assert not second.done()
    assert pacer.pauses == 1
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_tries_come_to_an_end_that_says_why() -> None:
    async def busy() -> None:
        raise BusyError("HTTP 503", 0.0)

    with pytest.raises(EndpointError, match="question 3 was asked 3 times: HTTP 503"):
        await Pacer(Pacing(tries=3)).call("question 3", busy)


async def test_a_pause_that_is_too_long_ends_the_run_at_once() -> None:
    async def busy() -> None:
        raise BusyError("quota", 3600.0)

    with pytest.raises(EndpointError, match="wants a pause of 3600 s"):
        await Pacer(Pacing(tries=3)).call("question 3", busy)


async def test_no_more_than_the_concurrency_runs_at_once_and_a_failure_stops_the_rest() -> None:
    running, most, done = 0, 0, []

    async def work(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        if item == 5:
            raise EndpointError("no")
        done.append(item)

    await each(range(5), work, 2)
    assert most == 2
    assert sorted(done) == list(range(5))
    with pytest.raises(EndpointError):
        await each(range(5, 1000), work, 2)
    assert len(done) < 20


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after_s("3") == 3.0
    assert retry_after_s("0.5") == 0.5
    later = retry_after_s(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert later is not None
    assert 50 < later <= 60
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert [retry_after_s(value) for value in (None, "", "soon", "nan", "inf")] == [None] * 5
