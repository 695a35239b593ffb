"""Sends large responses in pieces, as fast as the client reads, and bounds the bytes of all of them together.

A server takes any body and keeps what the client has not read. Here it gets the next piece when it has passed on the
last ones, and the bytes that wait count. Past the bound the caller with most bytes gives way: a response that has not
begun is refused, one that has is cut. service/process/http.py bounds how long a client may take for a piece.
"""

from __future__ import annotations

import asyncio

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Overloaded
from service.middleware.callers import Limits, anonymous, find_caller
from service.middleware.refusal import refuse
from service.middleware.request_context import record_of
from service.room import Holder, Room

PIECE_BYTES = 64 * 1024

log = structlog.stdlib.get_logger(__name__)


class SendInPieces:
    """Sends bodies past PIECE_BYTES piece by piece, while there is room for them."""

    def __init__(self, app: ASGIApp, room: Room) -> None:
        self._app = app
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = _Response(scope, send, self._room)
        try:
            await self._app(scope, receive, response.send)
        except _NoRoomError:
            await refuse(Overloaded("There is no room now for so large a response."), scope, receive, send)
        except _CutError:
            record_of(scope).outcome = "client_gone"
            log.warning("response_cut", detail="others wanted the room that it took")


class _NoRoomError(Exception):
    """Nothing of the response has been sent."""


class _CutError(Exception):
    """Some of it has."""


class _Response:
    def __init__(self, scope: Scope, send: Send, room: Room) -> None:
        self._scope = scope
        self._send = send
        self._room = room
        self._start: Message | None = None
        """Kept until it is known whether there is room for the body."""

    async def send(self, message: Message) -> None:
        """Raises _NoRoomError and _CutError."""
        body = message.get("body", b"")
        if self._start is None and len(body) <= PIECE_BYTES and message["type"] == "http.response.body":
            await self._send(message)  # each token of each answer
        elif message["type"] == "http.response.start" and _announces_much(message):
            self._start = message
        elif len(body) > PIECE_BYTES:
            caller = find_caller(self._scope) or anonymous(self._scope, Limits())
            with self._room.holder(caller.bucket) as holder:
                if not holder.take(len(body)):
                    raise _CutError if self._start is None else _NoRoomError
                await self._begin()
                await self._send_in_pieces(message, holder)
        else:
            await self._begin()
            await self._send(message)

    async def _begin(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self._send(start)

    async def _send_in_pieces(self, message: Message, holder: Holder) -> None:
        body, more = message["body"], message.get("more_body", False)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as clock:
                holder.when_it_makes_way = lambda: clock.reschedule(loop.time())
                for start in range(0, len(body), PIECE_BYTES):
                    end = start + PIECE_BYTES
                    piece = {"type": "http.response.body", "body": body[start:end]}
                    await self._send({**piece, "more_body": more or end < len(body)})
        except TimeoutError as error:
            raise _CutError from error
        finally:
            holder.when_it_makes_way = None


def _announces_much(start: Message) -> bool:
    length = Headers(raw=start["headers"]).get("content-length", "0")
    return int(length) > PIECE_BYTES
