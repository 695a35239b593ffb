"""Client of the OCR workers: asks for the text of a figure over Redis. A missing text never fails an explanation.

A request that explains a figure waits for its text (`read`); one that only keeps it starts the reading (`begin`), and
later requests ask for its state (`progress`).

One reader task per process listens on the process's reply list and hands each reply to the requests that wait for it,
so 500 waiting clients are 500 futures and one connection. While Redis is unreachable only that reader tries to
reconnect: requests get `failed` at once instead of each waiting for a connection. This module knows the queue's wire
format only through llava_graph.jobs, and nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import structlog
from opentelemetry.trace import SpanKind, Tracer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llava_graph.chart import Chart
from llava_graph.jobs import DEFAULT_MAX_BYTES, Asked, JobProducer, Keys, Outcome, QueueAnswer, Reply, WireError
from llava_graph.ocr import Line
from llava_graph.tracing import NO_TRACES, traceparent
from service.deadline import within
from service.events import OcrStatus
from service.figures.decode import EncodedFigure
from service.figures.figure_room import FigureRoom
from service.metrics import Metrics
from service.middleware.callers import bucket_of_request

_REPLIES_BLOCK_S = 2.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OcrText:
    """The text of a figure, in reading order; without lines unless `status` is ok or cached."""

    status: OcrStatus
    lines: Sequence[Line] = ()
    wait_ms: float = 0.0
    engine: str = ""
    """Revision of what read it: OCR engine and chart reader; empty where nothing did."""
    chart: Chart | None = None
    """The data of the figure; None where the worker reads none, or there is no text either."""
    chart_ms: float = 0.0
    """What the worker took for the data."""


OFF = OcrText("off")

ReadingState = Literal["pending", "ok", "failed", "unread"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How the reading of a figure stands; without lines unless it is `ok`.

    `pending`: it waits for an OCR worker or is being read. `failed`: its text could not be read. `unread`: no job
    any more, because the queue was full, its job expired before it was begun, or Redis became unreachable.
    """

    state: ReadingState
    lines: Sequence[Line] = ()
    chart: Chart | None = None


_UNREAD = Reading("unread")


class _NoTextError(Exception):
    """Ends the wait for a figure's text. `reason` is one of the metric's."""

    def __init__(self, status: OcrStatus, reason: str, words: str) -> None:
        super().__init__(words)
        self.status: OcrStatus = status
        self.reason = reason


@dataclass(eq=False, slots=True)
class _Waiter:
    """One request that waits for a figure's text."""

    reply: asyncio.Future[Reply | _NoTextError]
    queued: bool = False
    """Redis has the job, so the reply will come to the reply list."""
    missed: bool = False
    """Redis was found not to know the job any more; the reply may have come just before that."""

    def tell(self, what: Reply | _NoTextError) -> None:
        if not self.reply.done():
            # An error as a result, not an exception: a request that leaves now would never fetch the exception.
            self.reply.set_result(what)


class OcrClient:
    """One per process. Works inside `async with client.listening():`; the Redis client stays the caller's."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        metrics: Metrics,
        *,
        max_depth: int,
        max_bytes: int = DEFAULT_MAX_BYTES,
        redis_deadline_s: float,
        room: FigureRoom | None = None,
        tracer: Tracer = NO_TRACES,
    ) -> None:
        self._redis = redis
        self._room = room or FigureRoom(max_bytes)
        self._tracer = tracer
        self._producer = JobProducer(redis, keys, uuid.uuid4().hex, max_depth=max_depth, max_bytes=max_bytes)
        self._metrics = metrics
        self._redis_deadline_s = redis_deadline_s
        self._waiting: dict[str, set[_Waiter]] = {}
        self._redis_is_there = True

    async def read(self, figure: EncodedFigure, *, deadline_s: float, request_id: str) -> OcrText:
        """The text of a figure, or why there is none. Never raises for the OCR's sake, and returns by the deadline."""
        # Current, so that a job made for it becomes its child (see `_queue`), in whichever task that is.
        with self._tracer.start_as_current_span(
            "ocr", kind=SpanKind.PRODUCER, record_exception=False, set_status_on_exception=False
        ) as span:
            text = await self._text(figure, deadline_s, request_id)
            span.set_attributes({"llava_graph.figure_id": figure.figure_id, "llava_graph.ocr_status": text.status})
            return text

    async def _text(self, figure: EncodedFigure, deadline_s: float, request_id: str) -> OcrText:
        started = time.perf_counter()
        waiter = _Waiter(asyncio.get_running_loop().create_future())
        # Waiting before asking: the reply may come between the two.
        self._waiting.setdefault(figure.figure_id, set()).add(waiter)
        try:
            status, got = await self._read(figure, waiter, deadline_s, request_id)
        except _NoTextError as error:
            status, got = error.status, None
            self._metrics.ocr_failures.labels(error.reason).inc()
            log.warning(
                "ocr_without", figure_id=figure.figure_id, status=status, reason=error.reason, detail=str(error)
            )
        finally:
            waiting = self._waiting[figure.figure_id]
            waiting.discard(waiter)
            if not waiting:
                del self._waiting[figure.figure_id]
        wait_ms = (time.perf_counter() - started) * 1000
        if got is None:
            return OcrText(status, (), wait_ms)
        return OcrText(status, got.lines, wait_ms, got.engine, got.chart, got.chart_ms)

    async def begin(self, figure: EncodedFigure, *, deadline_s: float, request_id: str) -> Reading:
        """Has a figure read by whichever worker takes it up within `deadline_s`, and waits for none. Never raises for
        the OCR's sake."""
        try:
            reply = await self._ask(figure, deadline_s, request_id)
        except _NoTextError as error:
            log.warning("ocr_not_begun", figure_id=figure.figure_id, reason=error.reason, detail=str(error))
            return _UNREAD
        return Reading("pending") if reply is None else _reading(reply)

    async def progress(self, figure_id: str) -> Reading:
        """How the reading of a figure stands now. Never raises for the OCR's sake."""
        try:
            asked = await within(self._redis_deadline_s, self._producer.peek(figure_id))
        except (RedisError, OSError, WireError) as error:
            log.warning("ocr_progress_unknown", figure_id=figure_id, detail=f"{type(error).__name__}: {error}")
            return _UNREAD
        if asked.reply is not None:
            return _reading(asked.reply)
        return Reading("pending") if asked.admission is QueueAnswer.PENDING else _UNREAD

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Runs the reader of replies."""
        reader = asyncio.create_task(self._listen(), name="ocr-replies")
        try:
            yield
        finally:
            while not reader.done():
                # Again and again: redis-py on Python 3.11 can swallow a cancellation that comes with an answer.
                reader.cancel()
                await asyncio.wait({reader}, timeout=1.0)

    async def _read(
        self, figure: EncodedFigure, waiter: _Waiter, deadline_s: float, request_id: str
    ) -> tuple[OcrStatus, Reply]:
        try:
            async with asyncio.timeout(deadline_s):
                cached = await self._ask(figure, deadline_s, request_id)
                waiter.queued = cached is None
                got = cached or await waiter.reply
        except TimeoutError as error:
            raise _NoTextError("timeout", "deadline", f"no reply within {deadline_s:g} s") from error
        if isinstance(got, _NoTextError):
            raise got
        if got.outcome is Outcome.DONE:
            return ("cached" if cached else "ok"), got
        if got.outcome is Outcome.EXPIRED:
            raise _NoTextError("timeout", "expired", got.reason)
        raise _NoTextError("failed", "worker", got.reason)

    async def _ask(self, figure: EncodedFigure, deadline_s: float, request_id: str) -> Reply | None:
        """The stored reply, or None when one will come to the reply list."""
        if not self._redis_is_there:
            raise _NoTextError("failed", "redis", "Redis is away")
        try:
            asked = await within(self._redis_deadline_s, self._queue(figure, int(deadline_s * 1000), request_id))
        except (RedisError, OSError) as error:
            self._redis_is_there = False
            raise _NoTextError("failed", "redis", f"{type(error).__name__}: {error}") from error
        except WireError as error:
            raise _NoTextError("failed", "unreadable", str(error)) from error
        if asked.admission is QueueAnswer.FULL:
            raise _NoTextError("failed", "queue_full", "the OCR queue is at its bound")
        return asked.reply

    async def _queue(self, figure: EncodedFigure, wait_ms: int, request_id: str) -> Asked:
        asked = await self._producer.look_up(figure.figure_id, wait_ms)
        if asked.admission is QueueAnswer.UNKNOWN:
            async with self._room.large(len(figure.png)):
                asked = await self._producer.submit(
                    figure.figure_id,
                    figure.png,
                    job_id=uuid.uuid4().hex,
                    wait_ms=wait_ms,
                    request_id=request_id,
                    traceparent=traceparent(),
                    size=(figure.width, figure.height),
                    caller=bucket_of_request(),
                )
        return asked

    async def _listen(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                if not self._redis_is_there:
                    # Says sooner than a blocking read that Redis is back.
                    await self._redis.ping()
                    self._redis_is_there = True
                    log.info("redis_is_back")
                replies = await self._producer.replies(block_s=_REPLIES_BLOCK_S)
                if not replies:
                    await self._look_for_lost_jobs()
            except (RedisError, OSError) as error:
                log.warning("redis_is_away", detail=f"{type(error).__name__}: {error}", retry_in_s=pause_s)
                self._lose(error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                continue
            pause_s = _FIRST_PAUSE_S
            for raw in replies:
                self._deliver(raw)

    def _deliver(self, raw: bytes) -> None:
        try:
            reply = Reply.from_json(raw)
        except WireError as error:
            log.error("ocr_reply_unreadable", detail=str(error))
            return
        for waiter in self._waiting.get(reply.figure_id, ()):
            waiter.tell(reply)

    def _lose(self, error: RedisError | OSError) -> None:
        """Ends all waits when Redis is lost: it may come back empty, without the jobs that were submitted before."""
        self._redis_is_there = False
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.tell(_NoTextError("failed", "redis", f"{type(error).__name__}: {error}"))

    async def _look_for_lost_jobs(self) -> None:
        """Ends waits whose job is lost. Redis can restart empty without a failed call, or be flushed: then no reply
        comes. So after a silence it is asked for the jobs waited for, and a wait ends when Redis does not know its job
        twice in a row: the first time the reply may be on its way."""
        for figure_id, waiters in tuple(self._waiting.items()):
            queued = [waiter for waiter in waiters if waiter.queued]
            if not queued:
                continue
            try:
                asked = await self._producer.peek(figure_id)
            except WireError as error:
                log.error("ocr_reply_unreadable", detail=str(error))
                continue
            for waiter in queued:
                if asked.reply is not None:
                    waiter.tell(asked.reply)
                elif asked.admission is QueueAnswer.UNKNOWN and waiter.missed:
                    waiter.tell(_NoTextError("failed", "lost", "Redis has lost the job"))
                waiter.missed = asked.admission is QueueAnswer.UNKNOWN


def _reading(reply: Reply) -> Reading:
    match reply.outcome:
        case Outcome.DONE:
            return Reading("ok", reply.lines, reply.chart)
        case Outcome.FAILED:
            return Reading("failed")
        case Outcome.EXPIRED:
            return _UNREAD
