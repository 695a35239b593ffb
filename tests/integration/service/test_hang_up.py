"""A client that hangs up stops everything that was under way for it, at whatever stage that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from llava_graph.jobs import Keys
from tests.fakes.openai_engine import OpenAIEngine, Wire, never_answers, stalls_after
from tests.harness.gateway import Gateway, gateway, png, serving


@pytest.fixture
async def service(redis_url: str, engine: OpenAIEngine) -> AsyncIterator[Gateway]:
    # Deadlines and keep-alives far beyond the test's: what ends here was ended by the hang-up.
    slow = {"ocr_deadline_s": 300, "keepalive_s": 300}
    async with serving(engine, lifespan=False) as url, gateway(redis_url, url, **slow) as running:
        yield running


async def _hangs_up(service: Gateway, waiting: asyncio.Task[object]) -> None:
    waiting.cancel()
    await asyncio.wait({waiting})
    await service.until_idle()
    assert service.metric("requests_total", route="/v1/explain", outcome="client_gone") == 1
    assert service.metric("in_flight") == 0


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
async def test_hang_up_in_the_prefill_closes_the_request_to_the_engine(
    service: Gateway, engine: OpenAIEngine, stream: bool
) -> None:
    engine.behaviour = never_answers
    waiting = asyncio.ensure_future(service.post(stream=stream))
    async with asyncio.timeout(10):
        await engine.arrived.wait()
        await _hangs_up(service, waiting)
        await engine.hung_up.wait()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
async def test_hang_up_in_the_middle_of_an_answer_closes_the_request_to_the_engine(
    service: Gateway, engine: OpenAIEngine, stream: bool
) -> None:
    engine.behaviour = stalls_after("The ", "figure ")
    waiting = asyncio.ensure_future(service.post(stream=stream))
    async with asyncio.timeout(10):
        await engine.arrived.wait()
        await _hangs_up(service, waiting)
        await engine.hung_up.wait()


async def test_hang_up_after_some_tokens_closes_the_request_to_the_engine(
    service: Gateway, engine: OpenAIEngine
) -> None:
    engine.behaviour = stalls_after("The ")
    async with asyncio.timeout(10):
        async with service.stream() as events:
            assert [(await anext(events)).name for _ in range(4)] == ["figure", "ocr", "chart", "delta"]
        await engine.hung_up.wait()
        await service.until_idle()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
async def test_hang_up_while_the_figure_is_read_never_reaches_the_engine(
    service: Gateway, engine: OpenAIEngine, redis: Redis, stream: bool
) -> None:
    waiting = asyncio.ensure_future(service.post(png("waits"), ocr="auto", stream=stream))
    async with asyncio.timeout(10):
        # No worker runs: the job's arrival in the queue is what there is to wait for.
        await redis.xread({Keys().jobs: "0"}, block=5000)
        await _hangs_up(service, waiting)
    assert engine.requests == []


async def test_hang_up_of_one_client_leaves_the_others_alone(service: Gateway, engine: OpenAIEngine) -> None:
    engine.behaviour = never_answers
    first = asyncio.ensure_future(service.post())
    async with asyncio.timeout(10):
        await engine.arrived.wait()
        async with service.stream() as events:
            assert (await anext(events)).name == "figure"
            first.cancel()
            await engine.hung_up.wait()
            assert (await anext(events)).name == "ocr"


async def test_hang_up_in_the_middle_of_an_upload_is_no_error_of_ours(service: Gateway) -> None:
    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="caption"\r\n\r\n'
        started.set()
        await asyncio.Event().wait()

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    waiting = asyncio.ensure_future(service.http.post("/v1/explain", content=endless(), headers=headers))
    async with asyncio.timeout(10):
        await started.wait()
        await service.until_busy()
        await _hangs_up(service, waiting)


async def test_client_that_stops_reading_is_given_up(redis_url: str, engine: OpenAIEngine) -> None:
    engine.behaviour = _floods
    async with (
        asyncio.timeout(30),
        serving(engine, lifespan=False) as url,
        gateway(redis_url, url, client_write_s=0.1) as service,
        service.stream() as events,
    ):
        await anext(events)
        await engine.hung_up.wait()
        await service.until_idle()
        assert service.metric("requests_total", route="/v1/explain", outcome="client_gone") == 1


async def _floods(wire: Wire) -> None:
    while True:
        await wire.chunk("x" * 50_000)
        await asyncio.sleep(0)  # uvicorn's send does not pause once the client has left
