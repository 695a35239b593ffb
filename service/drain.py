"""How the gateway comes to an end: no new work, time for what is under way, and a word where that was not enough.

    Drain.begin       from now on requests for answers and uploads are refused as `draining`; /readyz tells of it
    Drain.cut_short   what is still under way ends now: a stream with an `error` event, the rest with a problem

When each of the two happens is for service/server.py to say, which hears the signals. This module knows none.

A request is cut short by the cancellation of its task, as when its client hangs up, so everything upstream is closed
on the way out. Who has begun a response catches that (`was_cut_short`) and brings it to a proper end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Draining
from service.record import record_of
from service.refusal import refuse, refuse_and_close

_SCOPE_KEY = "llava_graph.under_way"


class Drain:
    """One per process."""

    def __init__(self) -> None:
        self.begun = False
        self._under_way: set[_UnderWay] = set()

    def begin(self) -> None:
        self.begun = True

    def cut_short(self) -> int:
        """Returns how many requests were still under way."""
        for request in self._under_way:
            request.cut_short()
        return len(self._under_way)

    @contextmanager
    def under_way(self) -> Iterator[_UnderWay]:
        """Around what the current task does for one request."""
        task = asyncio.current_task()
        assert task is not None
        request = _UnderWay(task)
        self._under_way.add(request)
        try:
            yield request
        finally:
            self._under_way.discard(request)


class _UnderWay:
    def __init__(self, task: asyncio.Task[object]) -> None:
        self._task = task
        self._cut = False

    def cut_short(self) -> None:
        self._cut = True
        self._task.cancel()

    def was_cut_short(self) -> bool:
        if not self._cut:
            return False
        self._cut = False
        # Somebody else may have cancelled the task as well: then it is still cancelled (see asyncio.Task.uncancel).
        return self._task.uncancel() == 0


class EndInTime:
    """Refuses requests for answers and uploads once the drain has begun; ends those that it cuts short."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._drain.begun and scope["method"] == "POST":
            refusal = Draining("Another process takes over, or this one comes back.")
            await refuse_and_close(refusal, scope, receive, send)
            return
        with self._drain.under_way() as request:
            scope[_SCOPE_KEY] = request
            try:
                await self._app(scope, receive, send)
            except asyncio.CancelledError:
                if not request.was_cut_short():
                    raise
                record = record_of(scope)
                if record.status is None:
                    await refuse(cut_short(), scope, receive, send)
                else:  # a response has begun, and is no stream of events: nothing can be said any more
                    record.failed(cut_short())


def was_cut_short(scope: Scope) -> bool:
    """To be asked where a request's CancelledError was caught: whether that was the drain, and nobody else. If so the
    task is cancelled no longer."""
    request: _UnderWay = scope[_SCOPE_KEY]
    return request.was_cut_short()


def cut_short() -> Draining:
    """What a request hears that was cut short."""
    return Draining("The gateway is being stopped, and had no more time for this.")
