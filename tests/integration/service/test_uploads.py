"""Bodies on their way: those that never end keep nobody from an answer, and none of them goes on for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import pytest

from llava_graph.api_keys import digest
from tests.fakes.openai_engine import OpenAIEngine, stalls_after
from tests.harness.gateway import MANIFEST, Gateway, gateway, png
from tests.harness.wire import FORM, Wire, connected, form, request

KEYS = "".join(f'keys.{name}.sha256 = ["{digest(name.encode())}"]\n' for name in ("alice", "bob"))

CALLS = {
    "/v1/explain": (FORM, b'--x\r\nContent-Disposition: form-data; name="caption"\r\n\r\n'),
    "/v1/figures": (FORM, b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'),
    "/v1/chat/completions": ("application/json", b'{"model": "'),
}


@asynccontextmanager
async def stalled(
    service: Gateway, path: str = "/v1/explain", more: bytes = b"", headers: dict[str, str] | None = None
) -> AsyncIterator[Wire]:
    """An upload that has begun, and does not go on by itself."""
    kind, begin = CALLS[path]
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", "Content-Length: 10000000"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    async with connected(service.http.base_url) as wire:
        await wire.send("\r\n".join([*lines, "", ""]).encode() + begin + more)
        yield wire


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def refused(response: httpx2.Response) -> tuple[int, str]:
    said = response.json()
    return response.status_code, said.get("error", said)["code"]


@pytest.mark.parametrize("path", ["/v1/explain", "/v1/chat/completions"])
async def test_uploads_that_do_not_end_hold_no_place(redis_url: str, engine_url: str, path: str) -> None:
    async with gateway(redis_url, engine_url, max_answers=1, max_waiting_answers=0) as service:
        async with AsyncExitStack() as held:
            for _ in range(5):
                await held.enter_async_context(stalled(service, path))
            await service.until_in_flight(5)
            assert (await service.post(stream=False)).status_code == 200
            assert service.metric("in_flight") == 5
        await service.until_idle()
        assert service.metric("answers", state="admitted") == 0


async def test_place_is_taken_when_the_body_is_there(redis_url: str, engine: OpenAIEngine, engine_url: str) -> None:
    """And the request refused then, where others were quicker."""
    engine.behaviour = stalls_after("The ")
    body = form(png(), caption="", ocr="off")
    whole = request("POST", "/v1/explain", body, headers=[("Content-Type", FORM)])
    async with (
        gateway(redis_url, engine_url, max_answers=1, max_waiting_answers=0) as service,
        connected(service.http.base_url) as late,
        asyncio.timeout(30),
    ):
        await late.send(whole[:-10])
        await service.until_in_flight(1)
        async with service.stream() as events:
            assert (await anext(events)).name == "figure"
            await late.send(whole[-10:])
            assert refused(await late.response()) == (503, "overloaded")


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("drop", [b"", b"a"], ids=["nothing", "a byte at a time"])
async def test_upload_that_is_too_slow_is_refused(redis_url: str, engine_url: str, path: str, drop: bytes) -> None:
    async with (
        gateway(redis_url, engine_url, upload_grace_s=0.2, upload_bytes_per_s=10_000) as service,
        stalled(service, path) as wire,
        asyncio.timeout(30),
    ):
        answer = asyncio.create_task(wire.response())
        while not answer.done():
            await wire.send(drop)
            await asyncio.wait({answer}, timeout=0.02)
        assert refused(await answer) == (408, "request_too_slow")


async def test_upload_may_not_take_longer_than_its_time_however_fast_it_is(redis_url: str, engine_url: str) -> None:
    async with (
        gateway(redis_url, engine_url, upload_s=0.3, upload_bytes_per_s=1) as service,
        stalled(service) as wire,
        asyncio.timeout(30),
    ):
        answer = asyncio.create_task(wire.response())
        while not answer.done():
            await wire.send(b"a" * 1000)
            await asyncio.wait({answer}, timeout=0.02)
        assert refused(await answer) == (408, "request_too_slow")


@pytest.mark.parametrize("path", CALLS)
async def test_who_fills_the_room_for_uploads_makes_way_for_others(redis_url: str, engine_url: str, path: str) -> None:
    settings: dict[str, Any] = {"uploads_bytes": 1_000_000, "keys": KEYS}
    async with gateway(redis_url, engine_url, **settings) as service, AsyncExitStack() as held, asyncio.timeout(30):
        full = [
            await held.enter_async_context(stalled(service, path, b"a" * 400_000, bearer("alice"))) for _ in range(2)
        ]
        await service.until_in_flight(2)
        service.http.headers.update(bearer("bob"))
        answered = asyncio.create_task(full[0].response())
        # Until the whole of what Alice sends is there, Bob's needs nobody to make way.
        while not answered.done():
            response = await service.post(caption="c" * 19_000, image=png() + bytes(300_000), stream=False)
            assert response.status_code == 200
            await asyncio.wait({answered}, timeout=0.01)
        assert refused(await answered) == (503, "overloaded")


async def test_completions_that_do_not_end_leave_room_for_others(redis_url: str, engine_url: str) -> None:
    settings: dict[str, Any] = {"completion_bodies_bytes": 100_000, "uploads_bytes": 200_000}
    asked = {"model": MANIFEST.name, "messages": [{"role": "user", "content": "Why?"}]}
    async with gateway(redis_url, engine_url, **settings) as service, AsyncExitStack() as held, asyncio.timeout(30):
        for _ in range(3):
            await held.enter_async_context(stalled(service, "/v1/chat/completions", b"a" * 60_000))
        await service.until_in_flight(3)
        assert (await service.http.post("/v1/chat/completions", json=asked)).status_code == 200
