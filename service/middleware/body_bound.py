"""Bounds the bytes of request bodies, by path, before any parser sees them."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyMalformed, BodyTooLarge
from service.middleware.refusal import refuse


class BoundBody:
    """Refuses bodies past the bound of their path, `max_bytes`: at once where the length is declared, else when the
    bytes arrive, before any parser sees them."""

    def __init__(self, app: ASGIApp, max_bytes: Callable[[str], int]) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        max_bytes = self._max_bytes(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal():
            await refuse(BodyMalformed("Content-Length is not a number."), scope, receive, send)
            return
        if int(declared) > max_bytes:
            await refuse(_too_large(max_bytes), scope, receive, send)
            return
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise _too_large(max_bytes)
            return message

        await self._app(scope, receive_bounded, send)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body has more than {max_bytes} bytes.")
