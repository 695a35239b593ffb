"""An image host for tests: real TLS on the loopback, under names of its own, as if on the internet.

    async with image_host("figures.example", "other.example") as host:
        host.pages["/a.png"] = sends(png())
        async with RemoteImages({"figures.example"}, metrics, resolver=host.names, trust=host.trust, …).connected(): …

Its names lead to the loopback, on the port that it has; so the client under test must permit that address.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

LOOPBACK = "127.0.0.1"

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Names(AbstractResolver):
    """Resolves names to the addresses that a test gave them; remembers the names asked for."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.addresses: dict[str, list[str]] = {}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        assert (port, family) == (443, socket.AF_UNSPEC)
        self.asked.append(host)
        if host not in self.addresses:
            raise OSError(f"no such name: {host}")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=self._port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.addresses[host]
        ]

    async def close(self) -> None:
        pass


@dataclass
class ImageHost:
    names: Names
    trust: ssl.SSLContext
    """Trusts the authority that gave this host its certificate, and no other."""
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[web.Request] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request has arrived."""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client left a page that `stalls`."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.asked.set()
        try:
            return await self.pages[request.path](request)
        except asyncio.CancelledError:
            self.hung_up.set()
            raise


@asynccontextmanager
async def image_host(*names: str) -> AsyncIterator[ImageHost]:
    """A host that has a certificate for these names; they lead to the loopback until a test says otherwise."""
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(served)
    with socket.create_server((LOOPBACK, 0)) as listener:
        resolver = Names(listener.getsockname()[1])
        resolver.addresses = {name: [LOOPBACK] for name in names}
        host = ImageHost(resolver, trust)
        runner = web.ServerRunner(web.Server(host.answer, handler_cancellation=True), shutdown_timeout=1)
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=served).start()
        try:
            yield host
        finally:
            await runner.cleanup()


def sends(image: bytes, content_type: str = "image/png", status: int = 200, **headers: str) -> Page:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(body=image, status=status, headers={"Content-Type": content_type, **headers})

    return page


def redirects(to: str, status: int = 302) -> Page:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": to, "Set-Cookie": "tasty=1; Path=/"})

    return page


def trickles(*parts: bytes) -> Page:
    """The parts one by one, their number untold."""

    async def page(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        return response

    return page


def breaks_off_after(*parts: bytes) -> Page:
    """The parts, if any, and then the end of the connection."""

    async def page(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        if parts:
            await response.prepare(request)
        for part in parts:
            await response.write(part)
        assert request.transport is not None
        request.transport.abort()
        return response

    return page


def stalls(*parts: bytes) -> Page:
    """The parts, if any, and then nothing more, ever; without any there is not even a status."""

    async def page(request: web.Request) -> web.StreamResponse:
        if parts:
            response = web.StreamResponse(headers={"Content-Type": "image/png"})
            await response.prepare(request)
            for part in parts:
                await response.write(part)
        await asyncio.Event().wait()
        raise AssertionError("never")

    return page
