"""Large responses: sent as fast as their clients read, with a bound on all of them together."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import numpy
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import Metrics
from service.middleware.request_log import RecordRequests
from service.middleware.sending import PIECE_BYTES, SendInPieces
from service.process.server import server_config
from service.room import Room
from service.settings import GatewaySettings
from tests.fakes.kept import post_figure
from tests.harness.gateway import gateway, png, serving
from tests.harness.wire import connected, exchange, request

MIB = 2**20


def in_memory(app: ASGIApp, room: Room) -> ASGIApp:
    return RecordRequests(SendInPieces(app, room), Metrics(CollectorRegistry()))


@asynccontextmanager
async def served(app: ASGIApp, room: Room, **settings: object) -> AsyncIterator[str]:
    given = GatewaySettings(**settings)  # type: ignore[arg-type]
    config = server_config(in_memory(app, room), given, Metrics(CollectorRegistry()))
    async with serving(config.app, config, lifespan=False) as url:  # type: ignore[arg-type]
        yield url


async def messages_of(app: ASGIApp, room: Room) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()  # nobody leaves
        raise AssertionError

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": ("127.0.0.1", 1)}
    await in_memory(app, room)(scope, receive, send)
    return sent


@pytest.mark.parametrize("length", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, MIB + 7])
async def test_response_is_whole_and_in_pieces(length: int) -> None:
    body, room = bytes(i % 251 for i in range(length)), Room(2 * MIB)
    start, *pieces = await messages_of(Response(body), room)
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert b"".join(piece["body"] for piece in pieces) == body
    assert all(len(piece["body"]) <= PIECE_BYTES for piece in pieces)
    assert [piece.get("more_body", False) for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert room.held_bytes == 0


async def test_stream_with_a_large_part_goes_on_after_it() -> None:
    _, *pieces = await messages_of(StreamingResponse(iter([b"a", b"b" * 200_000, b"c"])), Room(MIB))
    assert b"".join(piece.get("body", b"") for piece in pieces) == b"a" + b"b" * 200_000 + b"c"
    assert [piece.get("more_body", False) for piece in pieces].index(False) == len(pieces) - 1


async def test_response_for_which_there_is_no_room_is_refused() -> None:
    start, body = await messages_of(Response(bytes(MIB)), Room(MIB - 1))
    assert (start["status"], b'"code":"overloaded"' in body["body"]) == (503, True)


async def test_client_that_does_not_read_makes_way_for_one_that_does() -> None:
    room, begun = Room(40 * MIB), asyncio.Semaphore(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def begin(message: Message) -> None:
            begun.release()
            await send(message)

        await Response(bytes(16 * MIB))(scope, receive, begin)

    async with served(app, room) as url, AsyncExitStack() as held, asyncio.timeout(60):
        idle = [await held.enter_async_context(connected(url, receive_bytes=4096)) for _ in range(2)]
        for wire in idle:
            await wire.send(request("GET", "/", headers=[("Connection", "close")]))
            for _ in ("start", "body"):
                await begun.acquire()
        assert len((await exchange(url, request("GET", "/"))).content) == 16 * MIB
        assert len(await idle[0].rest()) < 16 * MIB
    assert room.held_bytes == 0


async def test_image_past_all_room_is_refused_and_a_small_one_is_not(redis_url: str, engine_url: str) -> None:
    file = io.BytesIO()
    Image.fromarray(numpy.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype="uint8")).save(file, "PNG")
    async with gateway(redis_url, engine_url, sending_bytes=100_000) as service:
        for image, status in ((file.getvalue(), 503), (png(), 200)):
            kept = (await post_figure(service, image)).json()["id"]
            response = await service.http.get(f"/v1/figures/{kept}/image")
            assert response.status_code == status
            assert status == 200 or (response.json()["code"], response.json()["retryable"]) == ("overloaded", True)
