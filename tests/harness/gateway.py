"""The real gateway on a real socket for a test, and small figures to send to it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx2
import uvicorn
from PIL import Image, ImageDraw, ImageFont
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from starlette.types import ASGIApp, Receive, Scope, Send

from llava_graph.manifest import ModelManifest
from service.app import create_app
from service.figures.remote import RemoteImages
from service.middleware.drain import Drain
from service.process.server import server_config
from service.settings import GatewaySettings
from tests.fakes.description import Description
from tests.harness.plain_http import plain_client

MANIFEST = ModelManifest(
    name="fake-model", revision="1", context_template="located", context_length=1024, max_new_tokens=256
)

DESCRIPTION = Description(MANIFEST)


def png(text: str = "", *, size: tuple[int, int] = (320, 200)) -> bytes:
    """A small white figure with a frame and, if given, one line of text large enough for OCR."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((4, 4, size[0] - 5, size[1] - 5), outline="black", width=2)
    draw.text((24, size[1] // 2 - 18), text, fill="black", font=_font())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(36)


@dataclass(frozen=True)
class Event:
    name: str
    data: dict[str, Any]


@dataclass
class Gateway:
    """A running gateway, seen from outside."""

    http: httpx2.AsyncClient
    registry: CollectorRegistry
    _app: _Counted
    _look_again: Callable[[], Awaitable[None]]

    async def take_over_engines(self) -> None:
        """Has the engines file read now, and not within a second."""
        await self._look_again()

    async def post(self, image: bytes | None = None, **fields: object) -> httpx2.Response:
        """One POST /v1/explain, answered in full; OCR is off and the caption empty unless the fields say otherwise."""
        return await self.http.post("/v1/explain", files=_files(image), data=_fields(fields))

    async def events(self, image: bytes | None = None, **fields: object) -> list[Event]:
        """All events of one explanation."""
        async with self.stream(image, **fields) as events:
            return [event async for event in events]

    @asynccontextmanager
    async def stream(self, image: bytes | None = None, **fields: object) -> AsyncIterator[AsyncIterator[Event]]:
        """The events of one explanation as they come; leaving the block hangs up."""
        async with self.http.sse("/v1/explain", method="POST", files=_files(image), data=_fields(fields)) as source:
            assert source.response.status_code == 200, await source.response.aread()

            async def parsed() -> AsyncIterator[Event]:
                async for event in source:
                    yield Event(event.event, json.loads(event.data))

            yield parsed()

    def metric(self, name: str, **labels: str) -> float:
        """A sample's value; what was never counted is 0."""
        return self.registry.get_sample_value(f"llava_graph_gateway_{name}", labels) or 0.0

    async def until_idle(self) -> None:
        """Returns once every request is over, its log line and counts included: that is after its last byte."""
        async with asyncio.timeout(10):
            await self._app.idle.wait()

    async def until_busy(self) -> None:
        """Returns once a request has arrived."""
        async with asyncio.timeout(10):
            await self._app.busy.wait()

    async def until_in_flight(self, requests: int) -> None:
        """Returns once at least so many are under way."""
        async with asyncio.timeout(10):
            while self._app.in_flight < requests:
                self._app.arrived.clear()
                await self._app.arrived.wait()


@asynccontextmanager
async def gateway(
    redis_url: str,
    engine_url: str,
    *,
    manifest: ModelManifest = MANIFEST,
    remote: RemoteImages | None = None,
    redis: Redis | None = None,
    drain: Drain | None = None,
    **settings: object,
) -> AsyncIterator[Gateway]:
    """The gateway on a free port, with short deadlines unless the settings say otherwise. Every response that a test
    gets of it must be one that the description of the interface has."""
    given: dict[str, Any] = {"redis_url": redis_url, "engine_url": engine_url, "ocr_deadline_s": 0.3, **settings}
    registry = CollectorRegistry()
    parts: dict[str, Any] = {
        "manifest": manifest,
        "registry": registry,
        "remote": remote,
        "redis": redis,
        "drain": drain,
    }
    options = GatewaySettings(**given)
    made = create_app(options, **parts)
    app = _Counted(made)
    hooks = {"response": [DESCRIPTION.check]}
    async with (
        serving(app, server_config(app, options, made.state.metrics)) as url,
        plain_client(base_url=url, timeout=30, event_hooks=hooks) as http,
    ):
        yield Gateway(http, registry, app, made.state.gateway.models.look_again)


@asynccontextmanager
async def serving(app: ASGIApp, config: uvicorn.Config | None = None, *, lifespan: bool = True) -> AsyncIterator[str]:
    """Serves an ASGI app with uvicorn on a free port of the loopback; yields its URL. `config` is for the app as well,
    where it wants one of its own."""
    # Named as TCP: else asyncio does not switch Nagle's algorithm off, and each answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    config = config or uvicorn.Config(app, log_config=None, access_log=False)
    config.lifespan = "on" if lifespan else "off"
    config.timeout_graceful_shutdown = 1
    server = _QuietServer(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.stopping.set()
        await running
        listener.close()


class _Counted:
    """Wraps an ASGI app: `idle` is set while it handles no HTTP request, `busy` while it handles one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.in_flight = 0
        self.arrived = asyncio.Event()
        self.busy = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self.in_flight += 1
        self.idle.clear()
        self.busy.set()
        self.arrived.set()
        try:
            await self._app(scope, receive, send)
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self.busy.clear()
                self.idle.set()


class _QuietServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        """uvicorn's own looks ten times a second whether it is to end; there are hundreds of these."""
        await self.on_tick(0)
        await self.stopping.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals stay pytest's."""
        yield


def closed_port_url(scheme: str = "http") -> str:
    """The URL of a closed port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"


def _files(image: bytes | None) -> dict[str, tuple[str, bytes]]:
    return {"image": ("figure.png", png() if image is None else image)}


def _fields(given: dict[str, object]) -> dict[str, str]:
    fields = {"caption": "", "ocr": "off", **given}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in fields.items()}
