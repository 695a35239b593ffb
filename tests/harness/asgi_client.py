"""Drives an ASGI application directly: sends the parts of a body, may leave, keeps what comes back."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Scope


class Client:
    """Drives an ASGI app: sends body parts, may leave, keeps what comes back."""

    def __init__(self, *parts: bytes, headers: dict[str, str] | None = None) -> None:
        self._parts = list(parts)
        self._headers = headers or {}
        self._left = asyncio.Event()
        self.received: list[Message] = []

    def leave(self) -> None:
        self._left.set()

    async def call(self, app: ASGIApp) -> Scope:
        headers = [(name.lower().encode(), value.encode()) for name, value in self._headers.items()]
        scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        await app(scope, self._receive, self._send)
        return scope

    async def _receive(self) -> Message:
        if self._parts:
            return {"type": "http.request", "body": self._parts.pop(0), "more_body": bool(self._parts)}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.received.append(message)
        # As servers do: when the response is complete there is nothing more to receive.
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.leave()
