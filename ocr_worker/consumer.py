"""The consumer loop of a worker: takes jobs, reads their figures in batches, settles them, until told to stop.

One loop takes and settles; a second one says that the worker lives and renews the leases of the jobs in hand, which is
why reading runs in a thread beside the event loop. What happens when something fails:

    Redis is away             waits with growing pauses and goes on; results in hand are kept until they can be stored
    a figure cannot be read   answered `failed`, with a dead letter; its batch is read again one by one
    this process dies         its leases run out, and others take its jobs over, one at a time: one of them may be what
                              killed it, and must not take the others with it a second time
    a job was handed out      more than `max_deliveries` times: answered `failed`, with a dead letter, unread
    recycling is due          it says so (`on_recycling_due`) and works on until it is stopped
    its deadline has passed   answered `expired`, unread
    the engine hangs          `OcrEngineStuckError` ends `run`; the process must end, for its thread cannot be stopped
    a figure has much text    it is read in steps, and after each a figure of another caller has its turn; past the
                              time that a figure may take it is answered `failed`

The worker knows neither the OCR library behind `OcrEngine` nor who asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ParamSpec, Protocol, TypeVar

import numpy as np
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from redis.asyncio import Redis
from redis.exceptions import RedisError
from structlog.typing import FilteringBoundLogger

from llava_graph.chart import Chart, scaled
from llava_graph.figure import FigureError, FigureLimits, open_figure
from llava_graph.jobs import JOB_GRACE_MS, Job, Keys, Outcome, Reply, WireError, WorkerRecord, now_ms
from llava_graph.ocr import Line
from llava_graph.tracing import NO_TRACES, PROPAGATOR, trace_id
from ocr_worker.engines import OcrEngine, Pixels
from ocr_worker.errors import OcrEngineError, OcrEngineStuckError
from ocr_worker.hang import HangWatch, processor_s
from ocr_worker.inbox import Delivery, Inbox, Load, Queue, Unreadable
from ocr_worker.metrics import WorkerMetrics
from ocr_worker.recycling import RecyclingPolicy, RecyclingReason, resident_bytes

T = TypeVar("T")
P = ParamSpec("P")

# The gateway has checked the figure against its own limits, which are its operator's choice. This is a second check.
_LIMITS = FigureLimits(max_bytes=512 * 1024 * 1024, max_pixels=200_000_000, min_side=1)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker behaves; `WorkerSettings` explains each value to operators."""

    batch_size: int = 4
    batch_wait_s: float = 0.0
    job_timeout_s: float = 30.0
    threads: int = 1
    lease_s: float = 10.0
    max_deliveries: int = 3
    result_ttl_s: float = 86_400.0
    failure_ttl_s: float = 300.0
    text_cache_bytes: int = 48 * 1024 * 1024
    recycle_jobs: int = 0
    recycle_mib: int = 0
    block_s: float = 1.0
    """Longest wait for new jobs in one call, which is also how long a stop can take on an idle worker. Must stay below
    the Redis client's command timeout."""

    @property
    def renew_s(self) -> float:
        """Four tries before a lease runs out."""
        return self.lease_s / 5

    @property
    def sweep_s(self) -> float:
        """How often to look for jobs whose lease has run out."""
        return self.lease_s / 5

    @property
    def progress_s(self) -> float:
        """The longest that one step of the working loop may take. A worker that took longer is stuck."""
        return self.job_timeout_s * self.batch_size + self.block_s + _LONGEST_PAUSE_S + self.lease_s


class ChartReader(Protocol):
    """Reads the data of a figure; `ocr_worker.charts.process.ChartProcess` is one."""

    @property
    def revision(self) -> str:
        """Names the reader: whatever changes what it reads changes it, and it is part of the cache's keys."""

    def read(self, image: Pixels, lines: Sequence[Line]) -> Chart:
        """What was read, or why nothing was. Never raises, and bounds its own time."""


class Worker:
    """Reads figures from the queue. One per process, because its engine is; everything is handed in.

    The Redis client must answer within a deadline (`llava_graph.jobs.connect`). The caller closes it.
    """

    def __init__(
        self,
        redis: Redis,
        engine: OcrEngine,
        *,
        keys: Keys,
        consumer: str,
        host: str,
        metrics: WorkerMetrics,
        log: FilteringBoundLogger,
        options: WorkerOptions = WorkerOptions(),
        pool: str = "",
        processes: int = 1,
        on_recycling_due: Callable[[RecyclingReason], None] | None = None,
        tracer: Tracer = NO_TRACES,
        charts: ChartReader | None = None,
    ) -> None:
        """`consumer` must be new for each process: it names what Redis holds for this worker. `pool` and `processes`
        are as in `WorkerRecord`. `on_recycling_due` is called once, in the event loop, when it should be replaced.
        `charts` reads the data of a figure once its text is there; None reads none.
        """
        self._engine = engine
        self._charts = charts
        self._revision = engine.revision if charts is None else f"{engine.revision}+{charts.revision}"
        self._options = options
        self._metrics = metrics
        self._log = log.bind(consumer=consumer)
        self._tracer = tracer
        self._record = WorkerRecord(
            consumer,
            self._revision,
            host,
            now_ms(),
            pool=pool,
            processes=processes,
            progress_within_ms=round(options.progress_s * 1000),
        )
        self._inbox = Inbox(
            redis,
            keys,
            consumer,
            lease_ms=round(options.lease_s * 1000),
            result_ttl_ms=round(options.result_ttl_s * 1000),
            failure_ttl_ms=round(options.failure_ttl_s * 1000),
            max_text_bytes=options.text_cache_bytes,
            jobs_at_a_turn=options.batch_size,
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ocr")
        self._in_hand: list[bytes] = []
        self._reading_for: list[str] = []
        """The callers of the figures that are being read: of several batches, where one waits between two steps."""
        self._aside: list[Delivery | Unreadable] = []
        """Taken between two steps, but of a caller whose figures are being read: next in turn."""
        self._ended_jobs = 0
        self._wear = RecyclingPolicy(jobs=options.recycle_jobs, mib=options.recycle_mib)
        self._on_worn = on_recycling_due
        self._progress_at_ms = now_ms()
        self._patient = True
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._announced = asyncio.Event()
        metrics.engine.labels(self._revision).set(1)

    def stop(self) -> None:
        """Asks `run` to finish the jobs in hand and return. For the event loop's thread; may be called twice."""
        self._stopping.set()

    async def wait_until_announced(self) -> None:
        """Returns once this worker is announced in Redis."""
        await self._announced.wait()

    async def run(self, *, burst: bool = False) -> None:
        """Works until `stop`; with `burst`, until the queue holds nothing more for this worker.

        Raises OcrEngineStuckError when the engine hangs, and with `burst` RedisError when Redis is away: without it, a
        worker outlives any outage.
        """
        self._patient = not burst
        working = asyncio.create_task(self._work(burst=burst))
        living = asyncio.create_task(self._live())
        try:
            done, _ = await asyncio.wait({working, living}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except OcrEngineStuckError:
            self._log.error("engine_stuck", jobs=len(self._in_hand), timeout_s=self._options.job_timeout_s)
            raise
        finally:
            # Said by event and by cancellation: redis-py on Python 3.11 can swallow a cancellation that comes in the
            # moment of an answer, and each loop then ends at its next turn.
            self._stopping.set()
            self._ended.set()
            working.cancel()
            living.cancel()
            await asyncio.gather(working, living, return_exceptions=True)
            # Not waited for: the thread is idle on every way out but a hanging engine and a cancelled `run`.
            self._thread.shutdown(wait=False, cancel_futures=True)
        with contextlib.suppress(RedisError):  # the liveness key and the leases run out by themselves
            await self._inbox.leave()

    async def _work(self, *, burst: bool) -> None:
        pause_s = 0.0
        while not self._stopping.is_set():
            try:
                await self._inbox.open()
                if pause_s:
                    self._log.info("redis_back")
                    pause_s = 0.0
                await self._serve(burst=burst)
            except RedisError as error:
                if burst:
                    raise
                pause_s = self._longer(pause_s, error)
                await self._rest(pause_s)
            else:
                return

    async def _serve(self, *, burst: bool) -> None:
        """Takes and handles jobs for as long as Redis answers; returns when told to stop or, in a burst, when done."""
        # A connection that broke may have swallowed jobs that Redis has booked on us, as it has what we had put aside.
        self._aside = []
        while back := await self._inbox.take_back():
            await self._handle(back)
        next_sweep = time.monotonic()
        while self._aside or not self._stopping.is_set():
            self._note_progress()
            if self._aside:
                aside, self._aside = self._aside, []
                await self._handle(aside)
                continue
            if time.monotonic() >= next_sweep:
                over = await self._inbox.take_over()
                if over:  # there may be more: sweep again before taking new ones
                    self._metrics.taken_over.inc(len(over))
                    self._log.info("taken_over", jobs=len(over))
                    await self._handle(over)
                    continue
                await self._inbox.dead_letter_undeliverable()
                next_sweep = time.monotonic() + self._options.sweep_s
            new = await self._take_batch(burst=burst)
            if new:
                await self._handle(new)
            elif burst:
                return

    async def _take_batch(self, *, burst: bool) -> list[Delivery | Unreadable]:
        """New jobs, up to a batch of them, and no more than our share: what waits is for all workers."""
        block_ms = None if burst else round(self._options.block_s * 1000)
        taken = await self._inbox.take(1, block_ms=block_ms)
        most = self._options.batch_size
        if not taken or most == 1:
            return taken
        queue = await self._inbox.queue()
        if share := min(queue.fair_share(), most - 1):
            taken += await self._inbox.take(share, block_ms=None)
        # No other job waits: waiting to fill the batch would only delay the one caller.
        alone = queue.depth <= len(taken)
        give_up_at = time.monotonic() + (0 if alone or burst else self._options.batch_wait_s)
        while len(taken) < most and (left_s := give_up_at - time.monotonic()) > 0:
            taken += await self._inbox.take(1, block_ms=max(round(left_s * 1000), 1))
        return taken

    async def _handle(self, taken: Sequence[Delivery | Unreadable]) -> None:
        """Settles every entry. From here on Redis may be unreachable for a time without a job being lost."""
        deliveries = [entry for entry in taken if isinstance(entry, Delivery)]
        self._hold(deliveries)
        try:
            for entry in taken:
                if isinstance(entry, Unreadable):
                    await self._insist(self._inbox.discard, entry)
                    self._log.error("job_unreadable", entry_id=entry.entry_id.decode(), reason=entry.reason)
                    self._metrics.jobs.labels("unreadable").inc()
                    self._metrics.dead_letters.inc()
            if deliveries:
                await self._handle_jobs(deliveries)
        finally:
            self._let_go(deliveries)
            self._look_at_recycling()

    def _hold(self, deliveries: Sequence[Delivery]) -> None:
        """From here on their leases are renewed."""
        self._in_hand += [one.entry_id for one in deliveries if one.entry_id not in self._in_hand]

    def _let_go(self, deliveries: Sequence[Delivery]) -> None:
        gone = {delivery.entry_id for delivery in deliveries}
        self._in_hand = [entry_id for entry_id in self._in_hand if entry_id not in gone]

    async def _handle_jobs(self, deliveries: Sequence[Delivery]) -> None:
        jobs = [delivery.job for delivery in deliveries]
        loads = await self._insist(self._inbox.load, jobs, self._revision)
        to_read: list[tuple[Delivery, Pixels]] = []
        for delivery, load in zip(deliveries, loads, strict=True):
            self._metrics.wait.observe(max(load.now_ms - delivery.job.enqueued_at_ms, 0) / 1000)
            ended = self._ended_unread(delivery, load)
            if ended is not None:
                await self._settle(delivery, ended)
                continue
            try:
                pixels = await self._in_thread(_pixels, delivery.job, load.image or b"")
            except FigureError as error:
                await self._settle(delivery, _failed(delivery, f"image: {error.message}"))
            else:
                to_read.append((delivery, pixels))
        if to_read:
            await self._read(to_read)

    def _ended_unread(self, delivery: Delivery, load: Load) -> _End | None:
        """The outcome of a job that need not or must not be read; None for one that is to be read."""
        figure_id = delivery.job.figure_id
        known = _known(load)
        if known is not None:
            return _End(known, "known")
        if delivery.deliveries > self._options.max_deliveries:
            return _failed(delivery, f"poison: handed out {delivery.deliveries - 1} times and never finished")
        if load.deadline_ms <= load.now_ms:
            return _End(Reply(figure_id, Outcome.EXPIRED, reason="its deadline had passed"), "expired")
        if load.image is None:
            return _End(Reply(figure_id, Outcome.EXPIRED, reason="its image was gone"), "expired")
        return None

    async def _read(self, batch: Sequence[tuple[Delivery, Pixels]]) -> None:
        """Reads and settles a batch; when it fails, each figure by itself, so that one costs the others only time."""
        callers = [delivery.job.caller for delivery, _ in batch]
        self._reading_for += callers
        left = dict(enumerate(batch))
        try:
            await self._read_in_steps(left)
        except OcrEngineError as error:
            if len(batch) > 1:
                self._log.warning("batch_failed", figures=len(left), error=str(error))
                for one in left.values():
                    await self._read([one])
            else:
                await self._settle(batch[0][0], _failed(batch[0][0], f"engine: {error}"))
        finally:
            for caller in callers:
                self._reading_for.remove(caller)

    async def _read_in_steps(self, left: dict[int, tuple[Delivery, Pixels]]) -> None:
        """Settles each figure when it is finished, and takes it out of `left`. Raises OcrEngineError."""
        steps = iter(self._engine.reading([pixels for _, pixels in left.values()]))
        most_s = self._options.job_timeout_s * len(left) * self._options.threads
        run_s = computed_s = 0.0
        self._metrics.batch.observe(len(left))
        while left:
            started, before_s = time.perf_counter(), processor_s()
            found = await self._in_thread(next, steps, None, figures=len(left))
            run_s += time.perf_counter() - started
            computed_s += processor_s() - before_s
            if found is None:
                raise OcrEngineError("the engine left figures unread")
            for index, lines in found.items():
                await self._settle_read(*left.pop(index), lines, run_s)
            if left and computed_s > most_s:
                raise OcrEngineError(f"its text was not read within {most_s:g} s of computing")
            if left:
                await self._let_others_pass()
        self._metrics.run.observe(run_s)

    async def _settle_read(self, delivery: Delivery, pixels: Pixels, lines: Sequence[Line], run_s: float) -> None:
        self._metrics.lines.inc(len(lines))
        reply = Reply(delivery.job.figure_id, Outcome.DONE, tuple(lines), self._revision, run_s * 1000)
        reply = await self._with_data(reply, pixels)
        await self._settle(delivery, _End(_in_pixels_of_the_figure(reply, delivery.job, pixels), "done"))

    async def _let_others_pass(self) -> None:
        """Between two steps: handles the next job of a caller for whom nothing is being read, if one waits.

        Its figure may be read in steps too, between which a third caller has a turn: as many are begun as there are
        callers, and each gets on by a step while another's figure is read.
        """
        while len(self._aside) < self._options.batch_size and not self._stopping.is_set():
            try:
                taken = await self._inbox.take(1, block_ms=None)
            except RedisError:  # what is read goes on; the working loop says so in the log, when it needs Redis
                self._metrics.redis_errors.inc()
                return
            if not taken:
                return
            if not isinstance(taken[0], Delivery) or taken[0].job.caller not in self._reading_for:
                await self._handle(taken)
                return
            self._hold([taken[0]])
            self._aside += taken

    async def _with_data(self, reply: Reply, pixels: Pixels) -> Reply:
        """The reply with the data of the figure, where this worker reads any."""
        if self._charts is None:
            return reply
        started = time.perf_counter()
        chart = await self._in_thread(self._charts.read, pixels, reply.lines)
        run_s = time.perf_counter() - started
        self._metrics.observe_chart(chart, run_s)
        return replace(reply, chart=chart, chart_ms=run_s * 1000)

    async def _settle(self, delivery: Delivery, end: _End) -> None:
        settled = await self._insist(self._inbox.settle, delivery, end.reply, self._revision, end.dead)
        self._in_hand.remove(delivery.entry_id)
        self._ended_jobs += 1
        self._metrics.jobs.labels(end.label).inc()
        self._metrics.dead_letters.inc(end.dead)
        job = delivery.job
        self._log.log(
            logging.ERROR if end.dead else logging.INFO,
            "job_ended",
            outcome=end.label,
            reason=end.reply.reason,
            job_id=job.job_id,
            figure_id=job.figure_id,
            request_id=job.request_id,
            deliveries=delivery.deliveries,
            ours=settled.ours,
            told=settled.told,
            lines=len(end.reply.lines),
            run_ms=round(end.reply.run_ms, 1),
            **self._trace(delivery, end),
        )

    def _trace(self, delivery: Delivery, end: _End) -> dict[str, str]:
        """The span of a job that has ended, in the trace of the request that it was made for; for the log, its id.

        Made now, for the whole time since the job was taken: one that ends with its process leaves no span behind, and
        its next delivery has one of its own.
        """
        job = delivery.job
        if not job.traceparent:
            return {}
        span = self._tracer.start_span(
            "ocr job",
            PROPAGATOR.extract({"traceparent": job.traceparent}),
            SpanKind.CONSUMER,
            {
                "messaging.system": "redis",
                "messaging.operation.type": "process",
                "messaging.message.id": job.job_id,
                "llava_graph.figure_id": job.figure_id,
                "llava_graph.request_id": job.request_id,
                "llava_graph.outcome": end.label,
                "llava_graph.deliveries": delivery.deliveries,
                "llava_graph.lines": len(end.reply.lines),
                "llava_graph.engine_ms": round(end.reply.run_ms, 1),
            },
            start_time=delivery.taken_at_ns,
        )
        if end.dead:
            span.set_status(StatusCode.ERROR)
        span.end()
        return {"trace_id": trace_id(span)} if span.get_span_context().is_valid else {}

    async def _in_thread(self, function: Callable[..., T], *args: object, figures: int = 1) -> T:
        """Runs in the worker's one thread. Raises OcrEngineStuckError when it has hung (ocr_worker/hang.py); the job
        timeout of so many figures is what it may take."""
        call = asyncio.get_running_loop().run_in_executor(self._thread, functools.partial(function, *args))
        watch = HangWatch(self._options.job_timeout_s * figures, self._options.threads)
        try:
            while not (await asyncio.wait({call}, timeout=watch.timeout_s))[0]:
                if watch.has_hung():
                    raise OcrEngineStuckError(f"no answer within {watch.timeout_s} s")
                self._note_progress()
            return call.result()
        finally:
            call.cancel()
            self._note_progress()

    async def _insist(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Repeats a call until Redis answers. All calls it is used for are safe to repeat.

        Gives up, raising RedisError, when the worker is told to stop, or after the time that a job outlives its
        deadline: the jobs then stay pending in Redis and are taken back or taken over.
        """
        give_up_at = time.monotonic() + JOB_GRACE_MS / 1000
        pause_s = 0.0
        while True:
            try:
                return await call(*args, **kwargs)
            except RedisError as error:
                if not self._patient or self._stopping.is_set() or time.monotonic() >= give_up_at:
                    raise
                pause_s = self._longer(pause_s, error)
                await self._rest(pause_s)

    def _longer(self, pause_s: float, error: RedisError) -> float:
        self._metrics.redis_errors.inc()
        pause_s = min(max(2 * pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self._log.warning("redis_away", error=str(error), retry_in_s=pause_s)
        return pause_s

    async def _rest(self, pause_s: float) -> None:
        """Up to `pause_s`, less for some, so that workers do not come back all at once; a stop ends it."""
        await _wait(self._stopping, pause_s * random.uniform(0.5, 1.0))
        self._note_progress()

    def _note_progress(self) -> None:
        self._progress_at_ms = now_ms()

    def _look_at_recycling(self) -> None:
        resident = resident_bytes()
        self._metrics.resident.set(resident)
        reason = self._wear.reason(jobs=self._ended_jobs, resident=resident)
        if reason and self._on_worn:
            self._log.info("worn", reason=reason, jobs=self._ended_jobs, resident_bytes=resident)
            self._on_worn(reason)
            self._on_worn = None

    async def _live(self) -> None:
        """Announces this worker and renews the leases of the jobs in hand, until the working loop has ended."""
        while not self._ended.is_set():
            try:
                if not self._announced.is_set():
                    await self._inbox.open()  # the working loop may not have come so far
                record = replace(self._record, progress_at_ms=self._progress_at_ms)
                queue = await self._inbox.announce(record, first=not self._announced.is_set())
                await self._inbox.renew(self._in_hand)
            except RedisError:  # the working loop says so in the log
                self._metrics.redis_errors.inc()
            else:
                self._show(queue)
                self._announced.set()
            await _wait(self._ended, self._options.renew_s)

    def _show(self, queue: Queue) -> None:
        self._metrics.depth.set(queue.depth + queue.waiting)
        self._metrics.oldest_age.set(queue.oldest_age_s)
        self._metrics.resident.set(resident_bytes())


@dataclass(frozen=True, slots=True)
class _End:
    """How a job ends, and the outcome that the metrics count it under."""

    reply: Reply
    label: str

    @property
    def dead(self) -> bool:
        """Whether it leaves a dead letter."""
        return self.label == "failed"


async def _wait(event: asyncio.Event, at_most_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(at_most_s):
            await event.wait()


def _failed(delivery: Delivery, reason: str) -> _End:
    return _End(Reply(delivery.job.figure_id, Outcome.FAILED, reason=reason), "failed")


def _known(load: Load) -> Reply | None:
    if load.known is None:
        return None
    try:
        return Reply.from_json(load.known)
    except WireError:  # then the figure is read again, which overwrites the unreadable entry
        return None


def _pixels(job: Job, png: bytes) -> Pixels:
    """Decodes a job's image. Raises FigureError, also when it is not the figure that the job names, as far as that can
    be told: one that was scaled down for the queue has other pixels."""
    figure = open_figure(png, _LIMITS)
    scaled = figure.width < job.width and figure.height < job.height
    if figure.id != job.figure_id and not scaled:
        raise FigureError("image_undecodable", f"Its pixels are those of figure {figure.id}.")
    return np.asarray(figure.image)


def _in_pixels_of_the_figure(reply: Reply, job: Job, pixels: Pixels) -> Reply:
    """The reply with all positions as in the upright figure, which `pixels` [H, W, 3] may show smaller."""
    height, width = pixels.shape[:2]
    if (width, height) == (job.width, job.height) or not job.width:
        return reply
    across, down = job.width / width, job.height / height
    lines = tuple(
        Line(line.text, (x0 * across, y0 * down, x1 * across, y1 * down), line.confidence)
        for line in reply.lines
        for x0, y0, x1, y1 in [line.box]
    )
    return replace(reply, lines=lines, chart=None if reply.chart is None else scaled(reply.chart, across, down))
