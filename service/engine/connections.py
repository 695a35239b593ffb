"""The HTTP connections to all engines of a gateway, in one client session.

One session for all, so that engines can come and go with the engines file while answers stream. It knows no engine's
address or key: both go with each request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from service.settings import GatewaySettings

_IDLE_S = 2.0
"""Idle connections are dropped after this: uvicorn, which most engines run on, closes its own after 5 s, and a request
sent on a connection that is just being closed fails."""


class EngineConnections:
    """One per process. Works inside `async with connections.opened():`, and connects to nothing before it is asked."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=settings.engine_connect_s, sock_read=settings.engine_silence_s
        )
        self._http: aiohttp.ClientSession | None = None

    @property
    def http(self) -> aiohttp.ClientSession:
        assert self._http is not None
        return self._http

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keeps the connections; when it ends, they are closed."""
        async with aiohttp.ClientSession(
            # Each engine's client keeps its bound itself: here a stream past it would wait, and its wait look like a
            # dead engine.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as self._http:
            yield
