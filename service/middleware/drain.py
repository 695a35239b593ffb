"""Graceful shutdown: refuses new work, gives running requests time, ends the rest with an error.

    Drain.begin       from now on requests for answers and uploads are refused as `draining`; /readyz tells of it
    Drain.cut_short   what is still under way ends now: a stream with an `error` event, the rest with a problem

service/process/server.py handles the signals and calls the two. This module knows no signal.

A request is cut short by the cancellation of its task, as when its client hangs up, so everything upstream is closed
on the way out. Code that has begun a response catches the cancellation (`was_cut_short`) and ends it properly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Draining
from service.middleware.refusal import refuse, refuse_and_close
from service.middleware.request_context import record_of

_SCOPE_KEY = "llava_graph.under_way"


class Drain:
    """One per process."""

    def __init__(self) -> None:
        self.begun = False
        self.when_begun: Callable[[], None] | None = None
        self._under_way: set[_UnderWay] = set()

    def begin(self) -> None:
        self.begun = True
        if self.when_begun is not None:
            self.when_begun()

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
        # The task may have been cancelled for another reason too: then it stays cancelled (see asyncio.Task.uncancel).
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
    """Call where a request's CancelledError was caught: whether the drain alone cancelled it. If so the task is no
    longer cancelled."""
    request: _UnderWay = scope[_SCOPE_KEY]
    return request.was_cut_short()


def cut_short() -> Draining:
    """The error of a request that was cut short."""
    return Draining("The gateway is being stopped, and had no more time for this.")
