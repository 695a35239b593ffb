"""Who reads a figure: the OCR workers behind a queue, or a callable of this process.

The queue is the one that gateways use (llava_graph/jobs.py), so any number of OCR workers on any number of machines
reads, what one of them read before comes from the cache, and a full queue slows the asking down. A callable is for a
machine without workers: a module that knows an OCR library hands it in by name, and this one never imports it.
"""

from __future__ import annotations

import asyncio
import importlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from redis.exceptions import RedisError

from data.errors import OcrError
from llava_graph.chart import Chart
from llava_graph.figure import FigureError, open_figure
from llava_graph.jobs import JobProducer, Keys, Outcome, QueueAnswer, Reply, WireError, connect, live_workers
from llava_graph.ocr import Line

_REPLIES_BLOCK_S = 0.5
"""How long a shard's end waits for the listener at most; the shard itself waits for its figures."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one figure. Boxes in pixels of the upright image; `engine` is the revision of who read it."""

    lines: Sequence[Line]
    chart: Chart | None = None
    engine: str = ""


class NotReadError(Exception):
    """This figure was not read; the words say why. Others may well be."""


class FigureReader(Protocol):
    """Asked about one figure after the other, or about several at once."""

    async def read(self, image: bytes) -> Reading:
        """`image` is the file's bytes. Raises NotReadError for this figure, OcrError when none can be read."""


class ReaderFactory(Protocol):
    """Picklable: each process opens a reader of its own. `at_once` is how many figures are asked about at a time."""

    @property
    def at_once(self) -> int: ...

    def open(self) -> AbstractAsyncContextManager[FigureReader]: ...


@dataclass(frozen=True, slots=True)
class OverQueue:
    """Asks the OCR workers behind the Redis at `redis_url`. `wait_s` is how long one figure may take, its place in the
    queue included."""

    redis_url: str
    prefix: str = "lg:"
    at_once: int = 32
    wait_s: float = 600.0
    full_pause_s: float = 0.5

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FigureReader]:
        """Raises OcrError when Redis cannot be reached or no worker lives."""
        redis = connect(self.redis_url, max_connections=self.at_once + 2)
        keys = Keys(self.prefix)
        try:
            if not await live_workers(redis, keys):
                raise OcrError(
                    f"no OCR worker lives behind {self.prefix!r} on this Redis; start `llava-graph ocr-worker`"
                )
            # More jobs than workers take is what the queue's own bound is for; ours adds nothing.
            producer = JobProducer(redis, keys, f"data-{uuid.uuid4().hex}")
            reader = _QueueReader(producer, self.wait_s, self.full_pause_s)
            listening = asyncio.create_task(reader.listen())
            try:
                yield reader
            finally:
                # Not cancelled: a cancellation that meets an answer of Redis can be lost, and then this waits for ever.
                reader.closing = True
                await listening
        except (RedisError, WireError) as error:
            raise OcrError(f"the OCR queue: {error}") from error
        finally:
            await redis.aclose()


class _QueueReader:
    def __init__(self, producer: JobProducer, wait_s: float, full_pause_s: float) -> None:
        self._producer = producer
        self._wait_s = wait_s
        self._full_pause_s = full_pause_s
        self._waiting: dict[str, list[asyncio.Future[Reply]]] = {}
        self.closing = False

    async def listen(self) -> None:
        """Hands each reply to those who wait for it. When Redis is gone, all of them hear so."""
        while not self.closing:
            try:
                raw_replies = await self._producer.replies(block_s=_REPLIES_BLOCK_S)
            except RedisError as error:
                for futures in self._waiting.values():
                    for future in futures:
                        if not future.done():
                            future.set_exception(OcrError(f"the OCR queue: {error}"))
                return
            for raw in raw_replies:
                try:
                    reply = Reply.from_json(raw)
                except WireError:
                    continue  # its asker's wait ends by itself, and is counted
                for future in self._waiting.get(reply.figure_id, []):
                    if not future.done():
                        future.set_result(reply)

    async def read(self, image: bytes) -> Reading:
        try:
            figure = await asyncio.to_thread(open_figure, image)
        except FigureError as error:
            raise NotReadError(error.code) from error
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(figure.id, [])
        waiting.append(future)
        try:
            async with asyncio.timeout(self._wait_s):
                wait_ms = int(self._wait_s * 1000)
                asked = await self._producer.look_up(figure.id, wait_ms)
                if asked.admission is QueueAnswer.UNKNOWN:
                    png = await asyncio.to_thread(figure.png)
                    job_id = uuid.uuid4().hex
                    while True:
                        asked = await self._producer.submit(figure.id, png, job_id=job_id, wait_ms=wait_ms)
                        if asked.admission is not QueueAnswer.FULL:
                            break
                        await asyncio.sleep(self._full_pause_s)
                reply = asked.reply or await future
        except TimeoutError as error:
            raise NotReadError(f"not read within {self._wait_s:g} s") from error
        finally:
            waiting.remove(future)
            if not waiting:
                self._waiting.pop(figure.id, None)
        if reply.outcome is not Outcome.DONE:
            raise NotReadError(reply.reason or reply.outcome.value)
        return Reading(reply.lines, reply.chart, reply.engine)


ReadFigures = Callable[[Sequence[bytes]], Sequence[Reading]]
"""What a callable takes and gives: files' bytes, and a reading for each. Any exception costs the figures of the
call."""


@dataclass(frozen=True, slots=True)
class ByCallable:
    """`target` is `module:factory`; the factory is called once in each process and returns a `ReadFigures`."""

    target: str
    at_once: int = 1

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[FigureReader]:
        """Raises OcrError when there is no such factory."""
        yield _CallableReader(await asyncio.to_thread(_made, self.target))


@lru_cache(maxsize=1)
def _made(target: str) -> ReadFigures:
    """Once a process, not once a shard: loading an OCR library's models takes seconds."""
    module_name, _, attribute = target.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise OcrError(f"{target}: no such factory of readers: {error}") from error
    made: ReadFigures = factory()
    return made


class _CallableReader:
    def __init__(self, read_figures: ReadFigures) -> None:
        self._read_figures = read_figures

    async def read(self, image: bytes) -> Reading:
        try:
            (reading,) = await asyncio.to_thread(self._read_figures, [image])
        except Exception as error:
            raise NotReadError(f"{type(error).__name__}: {error}") from error
        return reading
