"""One worker process: an engine, a connection to Redis, a `Worker`. Started by `ocr_worker.parent`, not by people.

    python -m ocr_worker.child POOL CONSUMER SEAT

Settings come from the environment, as the parent left it. Standard output belongs to the parent, one word a line:

    ready            the models are loaded, and Redis knows of this worker
    worn REASON      this process is due for recycling; it works on until SIGTERM

Whatever libraries print goes to standard error, where the log goes. SIGTERM and SIGINT finish the jobs in hand, then
end with status 0. A process whose engine hangs ends with status 70 at once; its jobs are pending in Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO, cast

import structlog
from prometheus_client import CollectorRegistry
from redis.exceptions import RedisError
from structlog.typing import FilteringBoundLogger

from llava_graph.jobs import Keys, connect
from llava_graph.log_stream import LogStream
from llava_graph.metrics_folder import write_to_folder
from llava_graph.tracing import Traces
from ocr_worker.charts.process import KILL_REMOTE_AFTER, ChartProcess
from ocr_worker.consumer import Worker
from ocr_worker.engines import OcrEngine
from ocr_worker.errors import OcrEngineStuckError
from ocr_worker.metrics import WorkerMetrics
from ocr_worker.settings import WorkerSettings

EXIT_STUCK = 70
"""EX_SOFTWARE of sysexits.h."""

LoadEngine = Callable[[WorkerSettings], OcrEngine]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A process's identity: the pool of its parent, its consumer name in Redis, its seat for the metrics."""

    pool: str
    consumer: str
    seat: int

    def to_arguments(self) -> list[str]:
        """For the command line of `main`."""
        return [self.pool, self.consumer, str(self.seat)]

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> Place:
        """The inverse of `to_arguments`. Raises ValueError."""
        pool, consumer, seat = arguments
        return cls(pool, consumer, int(seat))


def load_engine(settings: WorkerSettings) -> OcrEngine:
    """The engine that the settings name. Its library is imported here: others need not be installed."""
    match settings.ocr_engine:
        case "rapid":
            from ocr_worker.engines.rapid import RapidEngine

            return RapidEngine(threads=settings.threads)
        case "paddle":
            from ocr_worker.engines.paddle import PaddleEngine

            return PaddleEngine(device=settings.ocr_device, threads=settings.threads, model_dir=settings.ocr_model_dir)


def load_charts(settings: WorkerSettings, engine: OcrEngine) -> ChartProcess | None:
    """The chart reader that the settings name, if any."""
    if not settings.charts:
        return None
    if settings.chart_endpoint is not None and settings.chart_model is not None:
        from ocr_worker.charts.remote import RemoteChartReader

        remote = RemoteChartReader(
            settings.chart_endpoint,
            settings.chart_model,
            settings.chart_api_key,
            timeout_s=settings.chart_endpoint_timeout_s,
        )
        charts = ChartProcess(
            remote.revision,
            deadline_s=settings.chart_endpoint_timeout_s,
            kill_after=KILL_REMOTE_AFTER,
            read=remote.read_in_process,
        )
    else:
        from ocr_worker.charts.reader import REVISION

        charts = ChartProcess(REVISION, deadline_s=settings.chart_deadline_s, read_crops=engine.read_crops)
    charts.start()
    return charts


def main(load: LoadEngine = load_engine) -> None:
    """Runs a child of the parent; `load` gives it another engine than the settings name."""
    place = Place.from_arguments(sys.argv[1:])
    settings = WorkerSettings()
    with _parents_output() as say:
        write_to_folder(place.seat)
        sys.exit(asyncio.run(serve(settings, place, load=load, say=say)))


async def serve(
    settings: WorkerSettings,
    place: Place,
    *,
    load: LoadEngine = load_engine,
    say: Say | None = None,
    burst: bool = False,
) -> int:
    """Runs one worker until a signal ends it, or the queue is empty in a burst; returns the exit status."""
    log = make_log(settings.log_level)
    _relay_complaints(log)
    log.info("starting", consumer=place.consumer, settings=settings.for_log(), threads=settings.threads)
    # In the event loop's thread: until the models are there, there is nothing else to do.
    engine = load(settings)
    redis = connect(settings.redis_url)
    traces = Traces(settings.traces_endpoint, "llava-graph-ocr-worker")
    charts = load_charts(settings, engine)
    worker = Worker(
        redis,
        engine,
        keys=Keys(settings.key_prefix),
        consumer=place.consumer,
        host=socket.gethostname(),
        metrics=WorkerMetrics(CollectorRegistry()),
        log=log,
        options=settings.options,
        pool=place.pool,
        processes=settings.ocr_processes,
        on_recycling_due=(lambda reason: say(f"worn {reason}")) if say else None,
        tracer=traces.tracer,
        charts=charts,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    log.info("ready", consumer=place.consumer, engine=engine.revision)
    announcing = asyncio.create_task(_say_ready(worker, say)) if say else None
    try:
        await worker.run(burst=burst)
    except OcrEngineStuckError:
        # A normal exit would wait for the thread that hangs. Its jobs are pending in Redis and will be taken over.
        os._exit(EXIT_STUCK)
    except RedisError as error:  # in a burst only
        log.error("redis_away", error=str(error))
        return 1
    finally:
        if announcing:
            announcing.cancel()
        if charts:
            charts.close()
        await redis.aclose()
        await asyncio.to_thread(traces.close)
    log.info("stopped", consumer=place.consumer)
    return 0


def make_log(level: str) -> FilteringBoundLogger:
    """One JSON object a line, on standard error."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(cast("TextIO", LogStream(sys.stderr))),  # a line at once: parent and children share it
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    ).bind(service="ocr-worker")
    return log


class _Relay(logging.Handler):
    """What OpenTelemetry's exporter complains of, in the form of the log."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.warning("traces", detail=record.getMessage())


def _relay_complaints(log: FilteringBoundLogger) -> None:
    logger = logging.getLogger("opentelemetry")
    logger.handlers[:] = [_Relay(log)]
    logger.propagate = False


async def _say_ready(worker: Worker, say: Say) -> None:
    await worker.wait_until_announced()
    say("ready")


@contextlib.contextmanager
def _parents_output() -> Iterator[Say]:
    """Keeps standard output for what is said to the parent; file descriptor 1 becomes standard error for all others."""
    with os.fdopen(os.dup(1), "w", buffering=1, encoding="ascii") as pipe:
        os.dup2(2, 1)

        def say(words: str) -> None:
            with contextlib.suppress(BrokenPipeError):  # without its parent this process is about to end
                pipe.write(f"{words}\n")

        yield say


if __name__ == "__main__":
    main()
