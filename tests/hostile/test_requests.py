"""Each bad request beside an ordinary one: it is answered as it may be, and keeps nobody from an answer.

That others are served meanwhile is asserted as an order of events: theirs comes while the bad one's connection is open,
and where that one never comes to an end, before it has an answer at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.fakes.openai_engine import OpenAIEngine
from tests.harness.gateway import Gateway, gateway, serving
from tests.harness.wire import Wire, connected
from tests.hostile.requests import CORPUS, NEVER_ENDING, Hostile


@pytest.fixture
async def service(redis_url: str) -> AsyncIterator[Gateway]:
    async with (
        serving(OpenAIEngine(), lifespan=False) as engine_url,
        gateway(redis_url, engine_url) as running,
    ):
        yield running


async def others_are_served(service: Gateway) -> None:
    assert (await service.http.get("/healthz")).json() == {"status": "ok"}
    assert (await service.post(stream=False)).json()["text"] == "The figure shows growth."


async def is_answered(wire: Wire, hostile: Hostile) -> None:
    response = await wire.response()
    assert response.status_code in hostile.statuses, f"{hostile.name}: {response.status_code} {response.text[:200]}"
    assert "Traceback" not in response.text
    assert 'File "' not in response.text


@pytest.mark.parametrize("kind", [kind for kind in CORPUS if CORPUS[kind] is not NEVER_ENDING])
async def test_bad_request_is_refused_and_others_are_served(service: Gateway, kind: str) -> None:
    async with asyncio.timeout(90), AsyncExitStack() as held:
        wires = [await held.enter_async_context(connected(service.http.base_url)) for _ in CORPUS[kind]]
        for wire, hostile in zip(wires, CORPUS[kind], strict=True):
            await wire.send(hostile.data)
        await others_are_served(service)
        for wire, hostile in zip(wires, CORPUS[kind], strict=True):
            await is_answered(wire, hostile)
        await others_are_served(service)


async def test_requests_that_never_end_keep_nobody_from_an_answer(redis_url: str) -> None:
    """There are many times as many as there are places for answers."""
    async with (
        serving(OpenAIEngine(), lifespan=False) as engine_url,
        gateway(redis_url, engine_url, max_answers=1, max_waiting_answers=0) as service,
        asyncio.timeout(90),
    ):
        await _others_are_served_beside(service)
        await service.until_idle()
        assert service.metric("in_flight") == 0


async def _others_are_served_beside(service: Gateway) -> None:
    async with AsyncExitStack() as held:
        waiting = []
        for hostile in NEVER_ENDING * 5:
            wire = await held.enter_async_context(connected(service.http.base_url))
            await wire.send(hostile.data)
            waiting.append(asyncio.ensure_future(wire.response()))
        await service.until_in_flight(4 * 5)
        await others_are_served(service)
        assert not any(answer.done() for answer in waiting)
        for answer in waiting:
            answer.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_requests_that_never_end_are_ended(redis_url: str) -> None:
    """With 408, or without a word where nothing was asked."""
    deadlines = {"head_s": 0.5, "upload_grace_s": 0.5, "upload_bytes_per_s": 100_000_000}
    async with (
        serving(OpenAIEngine(), lifespan=False) as engine_url,
        gateway(redis_url, engine_url, **deadlines) as service,
        asyncio.timeout(90),
        AsyncExitStack() as held,
    ):
        wires = [await held.enter_async_context(connected(service.http.base_url)) for _ in NEVER_ENDING]
        for wire, hostile in zip(wires, NEVER_ENDING, strict=True):
            await wire.send(hostile.data)
        for wire, hostile in zip(wires, NEVER_ENDING, strict=True):
            if hostile.data:
                assert (await wire.response()).status_code == 408, hostile.name
            else:
                assert await wire.rest() == b""
