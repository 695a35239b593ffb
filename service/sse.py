"""Sends an explanation as server-sent events: one per part, keep-alive comments, and errors within the stream.

    event: figure      once, first
    event: ocr         once
    event: chart       once
    event: delta       any number
    event: done        last, or
    event: error       last, when something failed after the stream had begun

Those are the `NAMED_EVENTS` of most calls; OpenAI's clients see others (service/openai/answer.py). This module knows
how parts are sent, not how they come about.

Why neither sse-starlette nor fastapi.sse, which both send events: each token of each answer passes here. Measured side
by side (`python -m benchmarks.sse`, 2 cores of an AMD EPYC, Python 3.11), an event costs 12 us of processor time here,
48 us with sse-starlette 3.7 (which enters a timeout for each send) and 119 us with FastAPI 0.165 (a queue between two
tasks). And neither ends a stream with an event of its own when the process is being stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

import structlog
from pydantic_core import to_json
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.errors import GatewayError
from service.events import DeltaPart, ErrorPart, Part, event_name
from service.middleware.drain import cut_short, was_cut_short
from service.middleware.request_context import RequestRecord, record_of

KEEPALIVE = b": keep-alive\n\n"

log = structlog.stdlib.get_logger(__name__)


class Wire(Protocol):
    """What a client sees of an answer. Each method gives whole events, or nothing where the client hears nothing."""

    def part(self, part: Part) -> bytes: ...

    def failure(self, error: GatewayError) -> bytes:
        """The last of a stream that ends early."""
        ...

    def end(self) -> bytes:
        """The last of a stream that is complete."""
        ...


class _NamedEvents:
    """Each part is an event of its own. JSON has no line breaks of its own, so one `data:` line holds it."""

    def part(self, part: Part) -> bytes:
        if isinstance(part, DeltaPart):
            # Nearly all parts are these: the general way takes five times as long.
            return b'event: delta\ndata: {"text":%b}\n\n' % to_json(part.text)
        return f"event: {event_name(part)}\ndata: {part.model_dump_json()}\n\n".encode()

    def failure(self, error: GatewayError) -> bytes:
        return self.part(ErrorPart(code=error.code, message=error.detail, retryable=error.retryable))

    def end(self) -> bytes:
        return b""


NAMED_EVENTS = _NamedEvents()


class EventStream(StreamingResponse):
    """Sends `first`, then the parts of `rest` as they come; closes `rest` whatever happens.

    `first` is there already because until then nothing is promised: what fails before it is answered with a status
    code of its own. After `keepalive_s` of silence a comment goes out. A client that takes longer than `write_s` to
    make room for the next event is taken to be gone. That it hung up is for middleware.HangUp to notice.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        first: Part,
        rest: AsyncGenerator[Part],
        record: RequestRecord,
        *,
        keepalive_s: float,
        write_s: float,
        wire: Wire = NAMED_EVENTS,
    ) -> None:
        self._wire = wire
        self._encoded = self._events(first, rest, record)
        super().__init__(
            self._encoded,
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        self._keepalive_s = keepalive_s
        self._write_s = write_s
        # Events and comments come from two tasks; ASGI does not promise that `send` may be called by both at once.
        self._no_comment = asyncio.Event()
        self._no_comment.set()
        self._writing_since_s: float | None = None
        self._sent_at_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(send), name="sse-watch")
                # Closed here, for a client can also be given up between two parts, outside of the generator.
                async with aclosing(self._encoded):
                    try:
                        async for event in self._encoded:
                            await self._write(send, event, more=True)
                    except asyncio.CancelledError:
                        if not was_cut_short(scope):
                            raise
                        await self._write(send, self._failure(cut_short(), record_of(scope)), more=True)
                await self._write(send, b"", more=False)
                watch.cancel()
        except* TimeoutError:
            record_of(scope).outcome = "client_gone"
            log.warning("client_stalled", after_s=self._write_s)

    async def _events(self, first: Part, rest: AsyncGenerator[Part], record: RequestRecord) -> AsyncGenerator[bytes]:
        async with aclosing(rest):
            yield self._wire.part(first)
            try:
                async for part in rest:
                    if event := self._wire.part(part):
                        yield event
                if event := self._wire.end():
                    yield event
            except GatewayError as error:
                yield self._failure(error, record)

    def _failure(self, error: GatewayError, record: RequestRecord) -> bytes:
        """What ends the stream early; notes so."""
        record.failed(error)
        return self._wire.failure(error)

    async def _write(self, send: Send, body: bytes, *, more: bool) -> None:
        """Runs for every event, so it only notes when it begins and ends; `_watch` looks after it."""
        if not self._no_comment.is_set():
            await self._no_comment.wait()
        clock = asyncio.get_running_loop().time
        self._writing_since_s = clock()
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self._writing_since_s = None
        self._sent_at_s = clock()

    async def _watch(self, send: Send) -> None:
        """Breaks silences; raises TimeoutError when a write takes too long. Wakes rarely, however many events there
        are, but often enough that no write which begins while it sleeps is overdue before it looks."""
        clock = asyncio.get_running_loop().time
        self._sent_at_s = clock()
        while True:
            if self._writing_since_s is not None:
                left_s = self._writing_since_s + self._write_s - clock()
                if left_s <= 0:
                    raise TimeoutError
            else:
                left_s = self._sent_at_s + self._keepalive_s - clock()
                if left_s <= 0:
                    await self._comment(send)
                    continue
            await asyncio.sleep(min(left_s, self._write_s))

    async def _comment(self, send: Send) -> None:
        """Breaks a silence; an event that comes meanwhile waits. Raises TimeoutError."""
        self._no_comment.clear()
        async with asyncio.timeout(self._write_s):
            await send({"type": "http.response.body", "body": KEEPALIVE, "more_body": True})
        self._sent_at_s = asyncio.get_running_loop().time()
        self._no_comment.set()
