"""The OCR worker process: `python -m ocr_worker`, or `llava-graph ocr-worker`. `--check` is for health checks.

Puts the parts together and maps signals to `Worker.stop`: SIGTERM and SIGINT finish the jobs in hand, then end with
status 0. A worker whose engine hangs ends with status 70 at once; whatever started it is to start it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys

import click
import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from pydantic import ValidationError
from redis.exceptions import RedisError
from structlog.typing import FilteringBoundLogger

from llava_graph.jobs import Keys, WireError, connect, live_workers
from ocr_worker.consumer import Worker
from ocr_worker.engines import OcrEngine
from ocr_worker.errors import OcrEngineStuckError
from ocr_worker.metrics import WorkerMetrics
from ocr_worker.settings import WorkerSettings, masked

EXIT_STUCK = 70
"""EX_SOFTWARE of sysexits.h."""


@click.command("ocr-worker")
@click.option("--check", is_flag=True, help="Exit with 0 when a worker of this host is alive, else with 1.")
@click.option("--burst", is_flag=True, help="Read what is in the queue, then end.")
def main(check: bool, burst: bool) -> None:
    """Read the text of figures from the queue. All settings come from the environment (LLAVA_GRAPH_…)."""
    try:
        settings = WorkerSettings()
    except ValidationError as error:
        raise click.ClickException(f"settings: {error}") from error
    if check:
        sys.exit(asyncio.run(check_alive(settings, socket.gethostname())))
    sys.exit(asyncio.run(serve(settings, burst=burst)))


async def check_alive(settings: WorkerSettings, host: str) -> int:
    """0 when a worker of this host has a liveness key, else 1 and a line that says why."""
    redis = connect(settings.redis_url, max_connections=1)
    try:
        workers = [worker for worker in await live_workers(redis, Keys(settings.key_prefix)) if worker.host == host]
    except (RedisError, WireError) as error:
        click.echo(f"cannot tell: {masked(settings.redis_url)}: {error}", err=True)
        return 1
    finally:
        await redis.aclose()
    if not workers:
        click.echo(f"no OCR worker of host {host} is alive", err=True)
        return 1
    click.echo("\n".join(f"{worker.consumer} {worker.engine}" for worker in workers))
    return 0


async def serve(settings: WorkerSettings, *, burst: bool) -> int:
    """Runs one worker until a signal ends it; returns the exit status."""
    log = make_log(settings.log_level)
    host = socket.gethostname()
    consumer = f"{host}-{os.getpid()}"
    log.info("starting", consumer=consumer, settings=settings.for_log(), threads=settings.threads)
    # In the event loop's thread: until the models are there, there is nothing else to do.
    engine = load_engine(settings)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    metrics = WorkerMetrics(registry)
    if settings.ocr_metrics_port:
        start_http_server(settings.ocr_metrics_port, settings.ocr_metrics_host, registry)
    redis = connect(settings.redis_url)
    worker = Worker(
        redis,
        engine,
        keys=Keys(settings.key_prefix),
        consumer=consumer,
        host=host,
        metrics=metrics,
        log=log,
        options=settings.options,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    log.info("ready", engine=engine.revision)
    try:
        await worker.run(burst=burst)
    except OcrEngineStuckError:
        # A normal exit would wait for the thread that hangs. Its jobs are pending in Redis and will be taken over.
        os._exit(EXIT_STUCK)
    except RedisError as error:  # in a burst only
        log.error("redis_away", error=str(error))
        return 1
    finally:
        await redis.aclose()
    log.info("stopped")
    return 0


def load_engine(settings: WorkerSettings) -> OcrEngine:
    """The engine that the settings name. Its library is imported here: others need not be installed."""
    from ocr_worker.engines.rapid import RapidEngine

    return RapidEngine(threads=settings.threads)


def make_log(level: str) -> FilteringBoundLogger:
    """One JSON object a line, on standard error."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    ).bind(service="ocr-worker")
    return log


if __name__ == "__main__":
    main()
