"""The OCR worker: `python -m ocr_worker`, or `llava-graph ocr-worker`. `--check` is for health checks.

SIGTERM and SIGINT finish the jobs in hand, then end with status 0. The work is done by processes that this one starts,
watches and replaces (`ocr_worker.parent`); with `--burst` it is done here, until the queue is empty.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence

import click
from pydantic import ValidationError
from redis.exceptions import RedisError

from llava_graph.jobs import Keys, WireError, connect
from llava_graph.tracing import TracesError, require_extra
from ocr_worker.child import Place, make_log, serve
from ocr_worker.errors import WorkerProcessError
from ocr_worker.health import health_of
from ocr_worker.parent import CHILD, Parent
from ocr_worker.settings import WorkerSettings, masked


@click.command("ocr-worker")
@click.option("--processes", type=click.IntRange(1, 256), help="Worker processes; else LLAVA_GRAPH_OCR_PROCESSES.")
@click.option("--check", is_flag=True, help="Exit with 0 when a worker process of this host is at work, else with 1.")
@click.option("--burst", is_flag=True, help="Read what is in the queue in this one process, then end.")
def main(processes: int | None, check: bool, burst: bool) -> None:
    """Read the text of figures from the queue. All settings come from the environment (LLAVA_GRAPH_…)."""
    try:
        settings = WorkerSettings() if processes is None else WorkerSettings(ocr_processes=processes)
    except ValidationError as error:
        raise click.ClickException(f"settings: {error}") from error
    if check:
        sys.exit(asyncio.run(check_health(settings, socket.gethostname())))
    try:
        require_extra(settings.traces_endpoint)
    except TracesError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(asyncio.run(serve(settings, _alone(), burst=True) if burst else supervise(settings)))


async def supervise(settings: WorkerSettings, *, child: Sequence[str] = CHILD) -> int:
    """Runs the parent until a signal ends it; returns the exit status. `child` is as for `Parent`."""
    log = make_log(settings.log_level)
    parent = Parent(settings, log, child=child)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, parent.stop)
    try:
        await parent.run()
    except (WorkerProcessError, OSError) as error:
        log.error("ended", error=str(error))
        return 1
    return 0


async def check_health(settings: WorkerSettings, host: str) -> int:
    """0 when a worker process of this host is at work, else 1; says so in a line either way."""
    redis = connect(settings.redis_url, max_connections=1)
    try:
        health = await health_of(redis, Keys(settings.key_prefix), host)
    except (RedisError, WireError) as error:
        click.echo(f"cannot tell: {masked(settings.redis_url)}: {error}", err=True)
        return 1
    finally:
        await redis.aclose()
    if not health.wanted:
        click.echo(f"no OCR worker of host {host} is alive", err=True)
    else:
        click.echo(health.in_words(host), err=not health.ok)
    return 0 if health.ok else 1


def _alone() -> Place:
    return Place(pool="", consumer=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}", seat=0)


if __name__ == "__main__":
    main()
