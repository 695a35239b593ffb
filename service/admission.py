"""How many answers are made at once, and how many may wait for it.

Two bounds, both of one gateway. Who asks for an answer gets a place at the door, before his body is read, or hears
`overloaded` at once: there are as many places as answers may be made and may wait. Who has a place uploads, has his
figure read, and then waits for his turn with the engine, first come first served and not for ever. So what is slow on
the client's side keeps nobody from the engine, and what the engine cannot do yet waits here, where it costs little.

Rates and shares of single callers are service/rates.py's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Overloaded
from service.metrics import Metrics
from service.refusal import refuse

_ANSWERING = re.compile(r"/v1/(explain|chat/completions|figures/[^/]+/chat)")


def asks_for_answer(scope: Scope) -> bool:
    """Whether a request is for an answer of the engine. Tells without reading its body."""
    return scope["type"] == "http" and scope["method"] == "POST" and _ANSWERING.fullmatch(scope["path"]) is not None


class Admission:
    """One per process. `running` answers are made at once, `waiting` more may wait, each for `wait_s` at most."""

    def __init__(self, metrics: Metrics, *, running: int, waiting: int, wait_s: float) -> None:
        self._metrics = metrics
        self._most = running + waiting
        self._wait_s = wait_s
        self._turns = asyncio.Semaphore(running)
        self._admitted = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request. Raises Overloaded when there is none."""
        if self._admitted >= self._most:
            self._metrics.admission_refused.labels("no_place").inc()
            raise Overloaded(f"{self._admitted} answers are being made or wait for it.")
        self._admitted += 1
        self._metrics.answers.labels("admitted").inc()
        try:
            yield
        finally:
            self._admitted -= 1
            self._metrics.answers.labels("admitted").dec()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A turn with the engine, waited for. Raises Overloaded when it takes too long."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turns.acquire()
        except TimeoutError as error:
            self._metrics.admission_refused.labels("no_turn").inc()
            raise Overloaded(f"The model had no time for this within {self._wait_s:g} s.") from error
        self._metrics.answers.labels("running").inc()
        try:
            yield
        finally:
            self._turns.release()
            self._metrics.answers.labels("running").dec()


class Admit:
    """Gives requests for an answer their places, and refuses those for which there are none."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not asks_for_answer(scope):
            await self._app(scope, receive, send)
            return
        with ExitStack() as held:
            try:
                held.enter_context(self._admission.place())
            except Overloaded as refusal:
                await refuse(refusal, scope, receive, send)
                return
            await self._app(scope, receive, send)
