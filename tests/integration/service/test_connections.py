"""What a connection may cost before there is a request, and after: the server's protocol, on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from service.metrics import Metrics
from service.process.http import BoundedProtocol, ConnectionBounds
from service.process.server import server_config
from service.settings import GatewaySettings
from tests.harness.gateway import serving
from tests.harness.wire import Wire, connected, exchange, request

MIB = 2**20


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was asked."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    said = {
        "method": scope["method"],
        "path": scope["path"],
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": body.decode("latin-1"),
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(said).encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def served(app: ASGIApp = echo, **settings: Any) -> AsyncIterator[str]:
    given = GatewaySettings(**settings)
    async with serving(app, server_config(app, given, Metrics(CollectorRegistry())), lifespan=False) as url:
        yield url


async def refusal(wire: Wire) -> tuple[int, str]:
    """How the next request is refused, after which the connection ends."""
    async with asyncio.timeout(30):
        response = await wire.response()
        assert response.headers["connection"] == "close"
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["instance"] == response.headers["x-request-id"]
        assert await wire.rest() == b""
    return response.status_code, response.json()["code"]


# Request line and headers

TOO_LARGE = {
    "URL": request("GET", "/" + "a" * 40_000),
    "one header": request("GET", "/", headers=[("X-Long", "a" * 40_000)]),
    "bytes of all headers": request("GET", "/", headers=[(f"X-{i}", "a" * 1000) for i in range(50)]),
    "number of headers": request("GET", "/", headers=[("X", "y")] * 100),
    "URL and headers together": request("GET", "/" + "a" * 20_000, headers=[("X-Long", "a" * 20_000)]),
}


@pytest.mark.parametrize("kind", TOO_LARGE)
async def test_head_past_its_bound_is_refused(kind: str) -> None:
    async with served() as url, connected(url) as wire:
        await wire.send(TOO_LARGE[kind])
        assert await refusal(wire) == (431, "head_too_large")


async def test_head_within_its_bound_is_read() -> None:
    headers = [(f"X-{i}", "a" * 300) for i in range(90)]
    async with served() as url:
        response = await exchange(url, request("GET", "/" + "a" * 3000, headers=headers))
    assert response.status_code == 200
    assert len(response.json()["headers"]) == 91


NEVER_ENDING = {
    "URL": (b"GET /", b"a" * 65_536),
    "name of a header": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"a" * 65_536),
    "value of a header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a" * 65_536),
    "headers": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"a: b\r\n" * 10_000),
    "empty lines": (b"", b"\r\n" * 32_768),
}


@pytest.mark.parametrize("kind", NEVER_ENDING)
async def test_head_that_never_ends_is_refused_and_the_rest_thrown_away(kind: str) -> None:
    begin, more = NEVER_ENDING[kind]
    async with served() as url, connected(url) as wire:
        await wire.send(begin)
        for _ in range(128):
            await wire.send(more)
        assert await refusal(wire) == (431, "head_too_large")
        assert (await exchange(url, request("GET", "/after"))).json()["path"] == "/after"


@pytest.mark.parametrize("begin", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: y"], ids=["method", "headers"])
async def test_head_that_is_not_complete_in_time_is_refused(begin: bytes) -> None:
    async with served(head_s=0.2) as url, connected(url) as wire:
        await wire.send(begin)
        assert await refusal(wire) == (408, "request_too_slow")


@pytest.mark.parametrize("drop", [b"a", b"\r\n"], ids=["header", "empty lines"])
async def test_head_that_trickles_is_not_given_more_time(drop: bytes) -> None:
    async with served(head_s=0.3) as url, connected(url) as wire:
        if drop == b"a":
            await wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        answered = asyncio.create_task(refusal(wire))
        while not answered.done():
            await wire.send(drop)
            await asyncio.wait({answered}, timeout=0.02)
        assert await answered == (408, "request_too_slow")


async def test_connection_on_which_nothing_is_asked_is_closed() -> None:
    async with served(head_s=0.2) as url, connected(url) as wire, asyncio.timeout(30):
        assert await wire.rest() == b""


async def test_later_head_on_a_connection_is_bounded_like_the_first() -> None:
    async with served(head_s=0.3) as url, connected(url) as wire:
        for _ in range(3):
            await wire.send(request("POST", "/", b"x" * 100_000))
            assert len((await wire.response()).json()["body"]) == 100_000
        await wire.send(b"GET / HTTP/1.1\r\nHo")
        assert await refusal(wire) == (408, "request_too_slow")
    async with served() as url, connected(url) as wire:
        await wire.send(request("POST", "/", b"x" * 200_000) + request("GET", "/second"))
        assert [(await wire.response()).status_code for _ in range(2)] == [200, 200]
        await wire.send(TOO_LARGE["one header"])
        assert await refusal(wire) == (431, "head_too_large")


# Hosts, trailers, chunks


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
    ids=["none", "two", "two with HTTP/1.0"],
)
async def test_request_without_its_one_host_is_refused(head: bytes) -> None:
    async with served() as url, connected(url) as wire:
        await wire.send(head)
        assert await refusal(wire) == (400, "head_malformed")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"*1\r\n$4\r\nPING\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["TLS", "Redis", "HTTP/2", "proxy", "two lengths", "chunk"],
)
async def test_what_is_not_http_is_told_so(data: bytes) -> None:
    async with served() as url, connected(url) as wire:
        await wire.send(data)
        assert await refusal(wire) == (400, "head_malformed")


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_trailers_do_not_become_headers() -> None:
    async with served() as url:
        response = await exchange(url, CHUNKED + b"2\r\nhi\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
    assert response.json()["body"] == "hi"
    assert [name for name, _ in response.json()["headers"]] == ["host", "transfer-encoding"]


@pytest.mark.parametrize("begin", [b"0\r\nX: ", b"2;x=", b"0\r\n"], ids=["trailer", "extension", "trailers"])
async def test_what_surrounds_chunks_is_bounded(begin: bytes) -> None:
    more = b"X: y\r\n" * 10_000 if begin == b"0\r\n" else b"a" * 60_000
    async with served() as url, connected(url) as wire:
        await wire.send(CHUNKED + b"2\r\nhi\r\n" + begin)
        for _ in range(20):
            await wire.send(more)
        assert await refusal(wire) == (400, "head_malformed")


# Other protocols


def in_pieces(data: bytes) -> Iterator[bytes]:
    yield from (data[i : i + 1] for i in range(len(data)))


SMUGGLED = request("GET", "/smuggled")
BODIES = {
    "length": (b"Content-Length: %d" % len(SMUGGLED), SMUGGLED),
    "chunks": (b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
}


@pytest.mark.parametrize("framing", BODIES)
@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0, h2c"])
@pytest.mark.parametrize("sent", ["at once", "head first", "byte by byte"])
async def test_request_that_asks_for_another_protocol_is_answered_in_this_one(
    framing: str, protocol: bytes, sent: str
) -> None:
    length, body = BODIES[framing]
    head = b"POST /asked HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\n" % protocol
    head += b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nX-Kept: y\r\n%b\r\n\r\n" % length
    pieces = {"at once": [head + body], "head first": [head, body], "byte by byte": in_pieces(head + body)}[sent]
    async with served() as url, connected(url) as wire, asyncio.timeout(30):
        for piece in pieces:
            await wire.send(piece)
        said = (await wire.response()).json()
        assert (said["method"], said["path"], said["body"].encode()) == ("POST", "/asked", SMUGGLED)
        assert "upgrade" not in dict(said["headers"])
        assert dict(said["headers"])["x-kept"] == "y"
        await wire.send(request("GET", "/next"))
        assert (await wire.response()).json()["path"] == "/next"


async def test_requests_in_a_row_may_all_ask_for_another_protocol() -> None:
    headers = [("Connection", "upgrade"), ("Upgrade", "h2c")]
    async with served() as url, connected(url) as wire, asyncio.timeout(30):
        await wire.send(b"".join(request("GET", f"/{i}", headers=headers) for i in range(5)))
        assert [(await wire.response()).json()["path"] for _ in range(5)] == [f"/{i}" for i in range(5)]


# HTTP/1.0


async def test_client_of_http_1_0_gets_no_chunks() -> None:
    async with served() as url, connected(url) as wire, asyncio.timeout(30):
        await wire.send(b"POST /old HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi")
        head, _, body = (await wire.rest()).partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head.lower()
        assert b"connection: close" in head.lower()
        assert json.loads(body)["body"] == "hi"


# Clients that do not read


class _Watched(BoundedProtocol):
    """Tells when its connection is over."""

    over: asyncio.Event

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.over.set()


@asynccontextmanager
async def watched(app: ASGIApp, **settings: Any) -> AsyncIterator[tuple[str, asyncio.Event, Metrics]]:
    class Watched(_Watched):
        over = asyncio.Event()

    given, metrics = GatewaySettings(**settings), Metrics(CollectorRegistry())
    config = server_config(app, given, metrics)
    config.http = partial(Watched, bounds=ConnectionBounds.of(given), metrics=metrics)  # type: ignore[assignment]
    async with serving(app, config, lifespan=False) as url:
        yield url, Watched.over, metrics


async def _piece_by_piece(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(1024):
        await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _all_at_once(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"33554432")]})
    await send({"type": "http.response.body", "body": bytes(32 * MIB), "more_body": False})


async def _fails_in_the_middle(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(32 * MIB), "more_body": True})
    raise RuntimeError("in the middle")


@pytest.mark.parametrize("app", [_piece_by_piece, _all_at_once, _fails_in_the_middle])
@pytest.mark.parametrize("keep_alive", [True, False])
async def test_client_that_reads_nothing_is_let_go(app: ASGIApp, keep_alive: bool) -> None:
    headers = [] if keep_alive else [("Connection", "close")]
    async with (
        watched(app, client_write_s=0.3) as (url, over, metrics),
        connected(url, receive_bytes=4096) as wire,
        asyncio.timeout(30),
    ):
        await wire.send(request("GET", "/", headers=headers))
        await over.wait()
        assert metrics.registry.get_sample_value("llava_graph_gateway_clients_stalled_total") == 1


async def test_client_that_reads_slowly_gets_everything() -> None:
    async with watched(_piece_by_piece, client_write_s=5) as (url, _, metrics), connected(url) as wire:
        await wire.send(request("GET", "/", headers=[("Connection", "close")]))
        async with asyncio.timeout(60):
            assert len((await wire.response()).content) == 64 * MIB
        assert metrics.registry.get_sample_value("llava_graph_gateway_clients_stalled_total") == 0


# What is left of a body


async def _answers_at_once(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def test_rest_of_a_body_that_is_answered_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.process.http._LINGER_S", 0.3)
    async with watched(_answers_at_once) as (url, over, _), connected(url) as wire, asyncio.timeout(30):
        await wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx")
        assert (await wire.response()).status_code == 413
        while not over.is_set():
            await wire.send(b"x")
            await asyncio.wait({asyncio.ensure_future(over.wait())}, timeout=0.02)


async def test_connection_goes_on_after_a_body_that_nobody_read() -> None:
    async with watched(_answers_at_once) as (url, _, _), connected(url) as wire, asyncio.timeout(30):
        for _ in range(3):
            await wire.send(request("POST", "/", bytes(1_000_000)))
            assert (await wire.response()).status_code == 413
