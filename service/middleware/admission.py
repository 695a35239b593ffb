"""Admission control: bounds how many answers are made at once, and how many requests may wait.

Two bounds, both of one gateway, all its processes together. Running and waiting answers together have a fixed number of
slots (service/slots.py). A request for an answer that comes while all are taken gets `overloaded` at once, before its
body is read; else it takes a slot when its body is complete, so that a slow upload holds none. An admitted request has
its figure read and then waits for the engine, for a bounded time. What the engine cannot do yet waits here, where it
costs little.

Limits of single callers are in service/middleware/rate_limits.py.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Overloaded
from service.metrics import Metrics
from service.middleware.callers import bucket_of_request
from service.middleware.refusal import refuse
from service.slots import Slots

_ANSWERING = re.compile(r"/v1/(explain|chat/completions|figures/[^/]+/chat)")


def asks_for_answer(scope: Scope) -> bool:
    """Whether a request is for an answer of the engine. Tells without reading its body."""
    return scope["type"] == "http" and scope["method"] == "POST" and _ANSWERING.fullmatch(scope["path"]) is not None


class Admission:
    """One per process: gets slots for the callers of requests, and counts them."""

    def __init__(self, metrics: Metrics, slots: Slots) -> None:
        self._metrics = metrics
        self._slots = slots

    async def check(self) -> None:
        """Raises Overloaded when there is no free slot for the caller of this request."""
        try:
            await self._slots.check(bucket_of_request())
        except Overloaded:
            self._metrics.admission_refused.labels("no_place").inc()
            raise

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Holds a slot for one request. Raises Overloaded when none is free."""
        async with AsyncExitStack() as held:
            try:
                await held.enter_async_context(self._slots.slot(bucket_of_request()))
            except Overloaded:
                self._metrics.admission_refused.labels("no_place").inc()
                raise
            self._metrics.answers.labels("admitted").inc()
            try:
                yield
            finally:
                self._metrics.answers.labels("admitted").dec()

    @asynccontextmanager
    async def engine_slot(self) -> AsyncIterator[None]:
        """Waits for the engine and holds one of its concurrent answers. Raises Overloaded after too long a wait."""
        async with AsyncExitStack() as held:
            try:
                await held.enter_async_context(self._slots.engine_slot(bucket_of_request()))
            except Overloaded:
                self._metrics.admission_refused.labels("no_turn").inc()
                raise
            self._metrics.answers.labels("running").inc()
            try:
                yield
            finally:
                self._metrics.answers.labels("running").dec()


class Admit:
    """Gives a request for an answer its slot when its body is complete; refuses it when no slot is free."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not asks_for_answer(scope):
            await self._app(scope, receive, send)
            return
        try:
            await self._admission.check()
        except Overloaded as refusal:
            await refuse(refusal, scope, receive, send)
            return
        admitted = False
        async with AsyncExitStack() as held:

            async def receive_and_admit() -> Message:
                """Raises Overloaded."""
                nonlocal admitted
                message = await receive()
                if not admitted and message["type"] == "http.request" and not message.get("more_body", False):
                    await held.enter_async_context(self._admission.slot())
                    admitted = True
                return message

            await self._app(scope, receive_and_admit, send)
