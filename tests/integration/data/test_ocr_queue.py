"""Figures read by the OCR workers behind a real Redis; the engine reads numbers (tests/fakes/ocr_worker.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis

from data.cli import main
from data.errors import OcrError
from data.ocr.readers import NotReadError, OverQueue
from data.record import FigureReference, Record
from data.shards import RECORD_SCHEMA, ShardWriter, record_of, record_row, rows_of, shard_name, shard_paths
from llava_graph.jobs import JobProducer, Keys, connect
from tests.conftest import RedisServer
from tests.fakes.ocr_worker import figure, text_of
from tests.integration.data.workers import CHART, worker

FIGURES = 30


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """30 figures in three shards; the last two are one figure under two names."""
    for shard in range(3):
        with ShardWriter(tmp_path / "records" / shard_name(shard), RECORD_SCHEMA) as writer:
            for row in range(10):
                number = min(shard * 10 + row, FIGURES - 2)
                record = Record(f"r{shard * 10 + row}", "test", "none", FigureReference(f"{number}.png"))
                writer.add(record_row(record, figure(number).png()))
    return tmp_path / "records"


async def run(*arguments: object) -> Result:
    """The command in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, main, [str(argument) for argument in arguments])


async def test_command_has_texts_and_charts_of_all_figures_read_by_a_worker(
    redis_url: str, records: Path, tmp_path: Path
) -> None:
    async with worker(redis_url):
        result = await run("ocr", records, "--redis-url", redis_url, "--at-once", 4, "--out", tmp_path / "read")
    assert result.exit_code == 0, result.output
    assert "30 of 30 figures read" in result.output
    texts = {}
    for shard in shard_paths(tmp_path / "read"):
        for record, _ in map(record_of, rows_of(shard)):
            texts[record.id] = [line.text for line in record.lines]
            assert record.chart == CHART
    assert texts == {f"r{number}": [text_of(min(number, FIGURES - 2))] for number in range(FIGURES)}


async def test_second_run_is_answered_from_the_cache(
    redis: Redis, redis_url: str, records: Path, tmp_path: Path
) -> None:
    async with worker(redis_url):
        await run("ocr", records, "--redis-url", redis_url, "--out", tmp_path / "first")
        before = int((await redis.info("commandstats"))["cmdstat_xadd"]["calls"])
        result = await run("ocr", records, "--redis-url", redis_url, "--out", tmp_path / "second")
        assert int((await redis.info("commandstats"))["cmdstat_xadd"]["calls"]) == before
    assert "30 of 30 figures read" in result.output


async def test_full_queue_is_waited_for(redis: Redis, redis_url: str) -> None:
    producer = JobProducer(redis, Keys(), "other", max_depth=10_000)
    for number in range(1000, 1256):
        await producer.submit(figure(number).id, figure(number).png(), job_id=f"j{number}", wait_ms=60_000)
    async with worker(redis_url), OverQueue(redis_url, full_pause_s=0.01).open() as reader:
        readings = await asyncio.gather(*(reader.read(figure(number).png()) for number in range(20)))
    assert [reading.lines[0].text for reading in readings] == [text_of(number) for number in range(20)]


async def test_figure_that_nobody_reads_in_time_is_given_up(redis: Redis, redis_url: str) -> None:
    async with worker(redis_url):
        pass
    # The worker has gone, its liveness is said to last: a figure waits in the queue.
    record = b'{"consumer": "w2", "engine": "e", "host": "h", "started_at_ms": 0}'
    await redis.sadd(Keys().workers, "w2")
    await redis.set(Keys().worker("w2"), record)
    async with OverQueue(redis_url, wait_s=0.2).open() as reader:
        with pytest.raises(NotReadError, match=r"not read within 0\.2 s"):
            await reader.read(figure(1).png())


async def test_image_that_is_none_is_given_up_without_a_job(redis: Redis, redis_url: str) -> None:
    async with worker(redis_url), OverQueue(redis_url).open() as reader:
        with pytest.raises(NotReadError, match="image_undecodable"):
            await reader.read(b"no image")
        assert await redis.xlen(Keys().jobs) == 0


async def test_queue_without_a_worker_is_refused_at_once(redis_url: str, records: Path, tmp_path: Path) -> None:
    result = await run("ocr", records, "--redis-url", redis_url, "--out", tmp_path / "read")
    assert result.exit_code == 1
    assert "no OCR worker lives" in result.output


async def test_redis_that_goes_away_ends_the_run_in_words(own_redis: RedisServer) -> None:
    async with worker_gone(own_redis) as reading:
        own_redis.stop()
        with pytest.raises(OcrError, match="the OCR queue"):
            await reading


@asynccontextmanager
async def worker_gone(server: RedisServer) -> AsyncIterator[asyncio.Future[object]]:
    """A figure that waits in a queue whose worker is only said to live."""
    redis = connect(server.url)
    await redis.sadd(Keys().workers, "w")
    await redis.set(Keys().worker("w"), b'{"consumer": "w", "engine": "e", "host": "h", "started_at_ms": 0}')

    async def read() -> object:
        async with OverQueue(server.url).open() as reader:
            return await reader.read(figure(1).png())

    reading = asyncio.ensure_future(read())
    async with asyncio.timeout(30):
        while not await redis.xlen(Keys().jobs):  # noqa: ASYNC110  Redis sends no event of it
            await asyncio.sleep(0.01)
    await redis.aclose()
    yield reading
