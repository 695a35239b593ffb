"""Measures the OCR queue's own cost: from a gateway's look-up to the reply, with an engine that reads nothing.

    python -m benchmarks.queue [--count 500]

Real Redis on a unix socket, the real worker (parent and one process), the gateway's side of the queue as the asker, all
on this machine. Latency is measured one figure after the other, throughput with all of them submitted at once. The
small figure is the queue alone; the chart adds its way through Redis and its decoding in the worker. What the gateway
spends on encoding it is in no latency and given by itself. Writes a table in Markdown.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import click
from PIL import Image, ImageDraw
from redis.asyncio import Redis
from redis.exceptions import RedisError

from launcher.services import redis_server_binary
from llava_graph.figure import Figure, open_figure
from llava_graph.jobs import JobProducer, Keys, Outcome, QueueAnswer, Reply, connect, live_workers
from ocr_worker.settings import WorkerSettings, cores_given

KEYS = Keys()
WAIT_MS = 30_000
START_S = 30.0
GOAL_P50_MS = 3.0


@dataclass(frozen=True, slots=True)
class Result:
    """One row: latencies of single jobs in milliseconds, jobs per second of many, encoding of one figure."""

    figures: str
    latencies_ms: list[float]
    jobs_per_s: float
    encode_ms: float

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.latencies_ms)

    @property
    def p95_ms(self) -> float:
        return statistics.quantiles(self.latencies_ms, n=20)[-1]


class Asker:
    """Asks as a gateway does, over connections like a gateway's."""

    def __init__(self, redis: Redis) -> None:
        self._producer = JobProducer(redis, KEYS, "benchmark", max_depth=100_000)

    async def ask(self, figure_id: str, png: bytes) -> None:
        """Look-up and submission of a new figure."""
        asked = await self._producer.look_up(figure_id, WAIT_MS)
        if asked.admission is QueueAnswer.UNKNOWN:
            asked = await self._producer.submit(figure_id, png, job_id=figure_id, wait_ms=WAIT_MS)
        if asked.admission is not QueueAnswer.QUEUED:
            raise click.ClickException(f"a figure was {asked.admission.value} instead of queued")

    async def replies(self, count: int) -> None:
        """Waits for so many replies, all of which must be good."""
        async with asyncio.timeout(WAIT_MS / 1000):
            while count > 0:
                for raw in await self._producer.replies():
                    reply = Reply.from_json(raw)
                    if reply.outcome is not Outcome.DONE:
                        raise click.ClickException(f"a figure was {reply.outcome.value}: {reply.reason}")
                    count -= 1


def small(number: int) -> Image.Image:
    """32 × 32 pixels of one colour."""
    return Image.new("RGB", (32, 32), (number >> 16, number >> 8 & 255, number & 255))


def chart(number: int) -> Image.Image:
    """800 × 600 pixels with a frame and curves: the size and the emptiness of a figure from a paper."""
    page = Image.new("RGB", (800, 600), "white")
    draw = ImageDraw.Draw(page)
    draw.rectangle((60, 40, 780, 540), outline="black")
    for curve in range(6):
        heights = [(number * 31 + curve * 97 + step * (curve + 3)) % 460 for step in range(60)]
        points = [(60 + 12 * step, 60 + height) for step, height in enumerate(heights)]
        draw.line(points, fill=("crimson", "navy", "green", "orange", "purple", "black")[curve], width=2)
    draw.text((70, 560), f"figure {number}", "black")
    return page


def as_figure(image: Image.Image) -> Figure:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return open_figure(buffer.getvalue())


async def measure(redis: Redis, name: str, draw: Callable[[int], Image.Image], count: int) -> Result:
    figures = [as_figure(draw(number)) for number in range(2 * count)]
    started = time.perf_counter()
    encoded = [(figure.id, figure.png()) for figure in figures]
    encode_ms = (time.perf_counter() - started) / len(encoded) * 1000
    asker = Asker(redis)
    latencies_ms = []
    for figure_id, png in encoded[:count]:
        started = time.perf_counter()
        await asker.ask(figure_id, png)
        await asker.replies(1)
        latencies_ms.append((time.perf_counter() - started) * 1000)
    started = time.perf_counter()
    submitting = asyncio.create_task(_ask_all(asker, encoded[count:]))
    await asker.replies(count)
    await submitting
    return Result(name, latencies_ms, count / (time.perf_counter() - started), encode_ms)


async def _ask_all(asker: Asker, encoded: list[tuple[str, bytes]]) -> None:
    for figure_id, png in encoded:
        await asker.ask(figure_id, png)


@contextlib.asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[str]:
    """A Redis of its own; gives its URL."""
    unix_socket = folder / "redis.sock"
    command = [str(redis_server_binary()), "--port", "0", "--save", "", "--dir", str(folder)]
    command += ["--unixsocket", str(unix_socket)]
    async with _process(command, env={}):
        yield f"unix://{unix_socket}"


@contextlib.asynccontextmanager
async def worker(redis_url: str, redis: Redis) -> AsyncIterator[None]:
    """The worker, as soon as it has announced itself."""
    settings = WorkerSettings(redis_url=redis_url, log_level="error", charts=False)  # the queue alone
    async with _process([sys.executable, "-m", "benchmarks.idle_ocr_worker"], env=settings.to_environment()):
        async with asyncio.timeout(START_S):
            while not await _is_there(redis):  # noqa: ASYNC110 - Redis sends no event for it
                await asyncio.sleep(0.05)
        yield


async def _is_there(redis: Redis) -> bool:
    try:
        return bool(await live_workers(redis, KEYS))
    except RedisError:  # it is starting, too
        return False


@contextlib.asynccontextmanager
async def _process(command: Sequence[str], *, env: Mapping[str, str]) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **env}, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def run(count: int) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="lg-bench-") as folder:
        async with redis_server(Path(folder)) as redis_url:
            redis = connect(redis_url)
            try:
                async with worker(redis_url, redis):
                    await measure(redis, "warm-up", lambda number: small(0x800000 + number), 20)
                    return [
                        await measure(redis, "32 × 32", small, count),
                        await measure(redis, "chart, 800 × 600", chart, count),
                    ]
            finally:
                await redis.aclose()


def table(results: list[Result]) -> Iterator[str]:
    yield f"OCR queue without OCR, {cores_given()} cores, {platform.machine()}, Python {platform.python_version()}"
    yield ""
    yield "| figures | p50 | p95 | jobs/s at once | encoding in the gateway |"
    yield "| --- | --- | --- | --- | --- |"
    for result in results:
        yield (
            f"| {result.figures} | {result.p50_ms:.2f} ms | {result.p95_ms:.2f} ms | {result.jobs_per_s:.0f} "
            f"| {result.encode_ms:.2f} ms |"
        )
    yield ""
    yield f"Goal for the queue alone: p50 at most {GOAL_P50_MS:g} ms."


@click.command()
@click.option("--count", default=500, show_default=True, type=click.IntRange(20), help="Figures of each kind.")
def main(count: int) -> None:
    """Measure latency and throughput of the OCR queue."""
    for line in table(asyncio.run(run(count))):
        click.echo(line)


if __name__ == "__main__":
    main()
