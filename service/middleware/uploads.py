"""Bounds request bodies being received: time and rate of each, and the bytes of all of them together.

Bodies are counted here only while they arrive. Admission gives a slot when the body is complete (see `Admit`), so a
slow or endless upload takes no answer from another request.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import GatewayError, Overloaded, RequestTooSlow
from service.middleware.callers import find_caller
from service.room import Holder, Room


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a body must come: `bytes_per_s` on the average once `grace_s` are over, the whole within `most_s`."""

    bytes_per_s: int
    grace_s: float
    most_s: float

    def due_s(self, received: int) -> float:
        """Seconds after its begin at which a body of which so much is there must go on."""
        return min(self.most_s, self.grace_s + received / self.bytes_per_s)


class ReceiveInTime:
    """Refuses bodies that come too slowly, and those that have to make way in the room."""

    def __init__(self, app: ASGIApp, pace: Pace, room: Room) -> None:
        self._app = app
        self._pace = pace
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = find_caller(scope) if scope["type"] == "http" else None
        if caller is None:  # the page and the like, which read no body
            await self._app(scope, receive, send)
            return
        with self._room.holder(caller.bucket) as holder:
            await self._app(scope, _Upload(receive, self._pace, holder).receive, send)


class _Upload:
    def __init__(self, receive: Receive, pace: Pace, holder: Holder) -> None:
        self._receive = receive
        self._pace = pace
        self._holder = holder
        self._begun_s: float | None = None
        self._received = 0
        self._complete = False

    async def receive(self) -> Message:
        """Raises RequestTooSlow and Overloaded."""
        if self._complete:
            return await self._receive()
        message = await self._next()
        body = message.get("body", b"")
        self._received += len(body)
        if body and not self._holder.take(len(body)):
            raise _no_room()
        if not message.get("more_body", False):
            self._complete = True
            self._holder.leave()
        return message

    async def _next(self) -> Message:
        loop = asyncio.get_running_loop()
        if self._begun_s is None:
            self._begun_s = loop.time()
        if self._holder.made_way:
            raise _no_room()
        try:
            async with asyncio.timeout_at(self._begun_s + self._pace.due_s(self._received)) as clock:
                self._holder.when_it_makes_way = lambda: clock.reschedule(loop.time())
                try:
                    return await self._receive()
                finally:
                    self._holder.when_it_makes_way = None
        except TimeoutError as error:
            raise (_no_room() if self._holder.made_way else self._too_slow()) from error

    def _too_slow(self) -> GatewayError:
        pace = self._pace
        if pace.due_s(self._received) == pace.most_s:
            return RequestTooSlow(f"The body took longer than {pace.most_s:g} s.")
        return RequestTooSlow(f"The body came with less than {pace.bytes_per_s} bytes a second.")


def _no_room() -> GatewayError:
    return Overloaded("There is no room now for so large a body.")
