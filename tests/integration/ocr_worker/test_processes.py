"""The OCR worker as operators run it, a parent with its processes, under what befalls it in production.

Redis, parent and processes are real; the engine reads numbers (tests/fakes/ocr_worker.py), so that hundreds of jobs
take seconds and every answer can be checked against its figure.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from llava_graph.jobs import GROUP, JobProducer, Keys, Outcome, QueueAnswer, Reply, connect, live_workers
from ocr_worker.child import make_log
from ocr_worker.errors import WorkerProcessError
from ocr_worker.parent import Parent
from ocr_worker.settings import WorkerSettings
from service.figures.decode import EncodedFigure
from service.figures.ocr_client import OcrClient, OcrText
from service.metrics import Metrics
from tests.conftest import RedisServer
from tests.fakes.ocr_worker import CRASHES, HANGS, LEAK_BYTES, LEAKY, figure, text_of
from tests.harness.ocr_worker_process import PATIENT_S, worker

KEYS = Keys()
MIB = 1024 * 1024


class Gateway:
    """Asks for numbers as a gateway asks for figures, and keeps every reply."""

    def __init__(self, redis: Redis) -> None:
        self._producer = JobProducer(redis, KEYS, "gw", max_depth=10_000)
        self.replies: list[Reply] = []

    async def ask(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            asked = await self._submit(number)
            assert asked is QueueAnswer.QUEUED

    async def until_answered(self, count: int) -> None:
        async with asyncio.timeout(PATIENT_S):
            while len(self.replies) < count:
                await self._take(0.5)

    async def no_more_comes(self) -> bool:
        """Whether nothing is left: no job, and so no reply that could still come."""
        assert await self._producer.depth() == 0
        before = len(self.replies)
        await self._take(0.01)
        return len(self.replies) == before

    def texts(self) -> Counter[tuple[str, str]]:
        """How often each figure was answered with which text."""
        return Counter((reply.figure_id, reply.lines[0].text) for reply in self.replies if reply.lines)

    async def _submit(self, number: int) -> QueueAnswer:
        opened = figure(number)
        asked = await self._producer.submit(
            opened.id, opened.png(), job_id=f"job-{number}", wait_ms=PATIENT_S * 1000, request_id="req"
        )
        return asked.admission

    async def _take(self, block_s: float) -> None:
        self.replies += map(Reply.from_json, await self._producer.replies(block_s=block_s))


def once_each(numbers: Iterable[int]) -> Counter[tuple[str, str]]:
    return Counter((figure(number).id, text_of(number)) for number in numbers)


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Waits for a state of Redis or of the system, of which neither sends an event."""
    async with asyncio.timeout(PATIENT_S):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def held_by(redis: Redis, consumer_prefix: str) -> int:
    """Jobs in the hands of the consumers of one pool."""
    consumers: Any = await redis.xinfo_consumers(KEYS.jobs, GROUP)
    return sum(int(one["pending"]) for one in consumers if one["name"].decode().startswith(consumer_prefix))


async def is_stopped_with_jobs(redis: Redis, ready: dict[str, Any]) -> bool:
    """Stops a process, and has it go on again unless it holds jobs, which it then cannot finish any more."""
    os.kill(ready["pid"], signal.SIGSTOP)
    await redis.ping()  # when this is answered, Redis has heard what the process said before it stopped
    if await held_by(redis, ready["consumer"]):
        return True
    os.kill(ready["pid"], signal.SIGCONT)
    return False


async def consumers(redis: Redis) -> set[str]:
    found: Any = await redis.xinfo_consumers(KEYS.jobs, GROUP)
    return {one["name"].decode() for one in found}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def scrape(port: int) -> dict[tuple[str, frozenset[str]], float]:
    """Every sample by its name, without the common prefix, and its label values."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name.removeprefix("llava_graph_ocr_"), frozenset(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


async def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def gateway(redis: Redis) -> Gateway:
    return Gateway(redis)


async def test_two_hundred_jobs_in_flight_are_answered_once_each_though_one_of_two_workers_is_killed(
    redis: Redis, redis_url: str, gateway: Gateway
) -> None:
    numbers = range(200)
    async with worker(redis_url) as survivor, worker(redis_url) as victim:
        [ready] = await victim.logged("process_ready")
        await gateway.ask(numbers)
        await gateway.until_answered(20)
        await until(lambda: is_stopped_with_jobs(redis, ready))
        assert await victim.end(signal.SIGKILL) == -signal.SIGKILL
        await until(lambda: is_gone(ready["pid"]))
        await gateway.until_answered(200)
        assert gateway.texts() == once_each(numbers)
        assert await gateway.no_more_comes()
        assert survivor.seen("taken_over"), "the victim held jobs when it was killed"
        alive = {(await survivor.logged("process_ready"))[0]["consumer"]}
        await until(lambda: _are_consumers(redis, alive))
        assert {name.decode() for name in await redis.smembers(KEYS.workers)} == alive


async def _are_consumers(redis: Redis, names: set[str]) -> bool:
    return await consumers(redis) == names


async def test_job_that_crashes_its_process_takes_no_other_job_with_it(
    redis: Redis, redis_url: str, gateway: Gateway
) -> None:
    innocent = [*range(10), *range(20, 40)]
    async with worker(redis_url, ocr_processes=2, ocr_batch_size=8, ocr_lease_s=60) as running:
        await gateway.ask([*innocent[:10], CRASHES, *innocent[10:]])
        await gateway.until_answered(31)
        assert gateway.texts() == once_each(innocent)
        [refused] = [reply for reply in gateway.replies if reply.outcome is not Outcome.DONE]
        assert (refused.figure_id, refused.outcome) == (figure(CRASHES).id, Outcome.FAILED)
        assert refused.reason == "poison: handed out 3 times and never finished"
        assert await redis.xlen(KEYS.dead) == 1
        assert len(running.seen("process_died")) == 3, "not one more than it was handed out"
        assert await gateway.no_more_comes()


async def test_process_whose_engine_hangs_is_replaced_and_its_job_given_up(redis_url: str, gateway: Gateway) -> None:
    port = free_port()
    async with worker(redis_url, ocr_job_timeout_s=0.3, ocr_max_deliveries=2, ocr_metrics_port=port):
        await gateway.ask([1, HANGS, 2])
        await gateway.until_answered(3)
        outcomes = {reply.figure_id: reply.outcome for reply in gateway.replies}
        assert outcomes == {
            figure(1).id: Outcome.DONE,
            figure(2).id: Outcome.DONE,
            figure(HANGS).id: Outcome.FAILED,
        }
        samples = await asyncio.to_thread(scrape, port)
        assert samples["process_deaths_total", frozenset({"stuck"})] == 2
        assert samples["dead_letters_total", frozenset()] == 1


@pytest.mark.timeout(240)
async def test_a_thousand_jobs_with_recycling_every_fifty_lose_nothing_and_keep_memory_flat(
    redis_url: str, gateway: Gateway
) -> None:
    port, numbers = free_port(), LEAKY[:1000]
    peak = 0.0
    async with worker(redis_url, ocr_recycle_jobs=50, ocr_metrics_port=port) as running:
        fresh = (await asyncio.to_thread(scrape, port))["resident_bytes", frozenset({"0"})]
        for wave in range(20):
            await gateway.ask(numbers[50 * wave : 50 * (wave + 1)])
            await gateway.until_answered(50 * (wave + 1))
            samples = await asyncio.to_thread(scrape, port)
            peak = max(peak, *(value for (name, _), value in samples.items() if name == "resident_bytes"))
            await running.logged("process_ended", count=wave + 1)
        assert gateway.texts() == once_each(numbers)
        assert await gateway.no_more_comes()
        samples = await asyncio.to_thread(scrape, port)
    assert samples["recycles_total", frozenset({"jobs"})] == 20
    assert samples["jobs_total", frozenset({"done"})] == 1000, "counted across twenty processes"
    assert not running.seen("process_died")
    assert fresh + 50 * LEAK_BYTES <= peak + 5 * MIB, "the engine leaks, or this test shows nothing"
    assert peak < fresh + 100 * LEAK_BYTES, "1,000 MiB were leaked"


async def test_process_that_holds_too_much_memory_is_recycled(redis_url: str, gateway: Gateway) -> None:
    port = free_port()
    async with worker(redis_url, ocr_recycle_mib=200, ocr_metrics_port=port) as running:
        await gateway.ask(LEAKY[:200])
        await running.logged("process_ended")
        await gateway.until_answered(200)
        samples = await asyncio.to_thread(scrape, port)
    assert samples["recycles_total", frozenset({"memory"})] >= 1
    assert gateway.texts() == once_each(LEAKY[:200])


async def test_successor_is_ready_before_the_worn_process_is_told_to_go(redis_url: str, gateway: Gateway) -> None:
    async with worker(redis_url, ocr_recycle_jobs=1) as running:
        await gateway.ask([1])
        await running.logged("process_ended")
        happened = [entry["event"] for entry in running._events if entry["event"].startswith("process_")]
    assert happened[:3] == ["process_ready", "process_ready", "process_ended"]


async def test_sigterm_finishes_what_is_in_hand_and_leaves_the_rest_to_others(
    redis: Redis, redis_url: str, gateway: Gateway
) -> None:
    numbers = range(200)
    async with worker(redis_url, ocr_processes=2) as going:
        await gateway.ask(numbers)
        await gateway.until_answered(10)
        assert await going.end() == 0
    summary: Any = await redis.xpending(KEYS.jobs, GROUP)
    assert summary["pending"] == 0, "nothing is left in hands that are gone"
    assert await consumers(redis) == set()
    assert await live_workers(redis, KEYS) == []
    left = await redis.xlen(KEYS.jobs)
    async with worker(redis_url):
        await gateway.until_answered(200)
    assert gateway.texts() == once_each(numbers)
    assert 0 < left < 200, "it was stopped in the middle"


async def test_process_that_does_not_drain_in_time_is_killed(redis: Redis, redis_url: str, gateway: Gateway) -> None:
    async with worker(redis_url, ocr_drain_s=0.3) as running:
        await gateway.ask([HANGS])
        await until(lambda: held_by(redis, ""))
        assert await running.end() == 0
        assert len(running.seen("killed")) == 1
    assert await held_by(redis, "") == 1, "its job is there for the next worker"


@pytest.mark.parametrize("data", ["kept", "lost"])
async def test_redis_restarts_in_mid_load_and_everything_is_answered_or_failed_clearly(
    own_redis: RedisServer, data: str
) -> None:
    client = connect(own_redis.url)
    numbers = range(300)
    async with worker(own_redis.url, ocr_processes=2) as running:
        ocr = OcrClient(client, KEYS, Metrics(CollectorRegistry()), max_depth=10_000, redis_deadline_s=2.0)
        async with ocr.listening():
            reading = [asyncio.create_task(_read(ocr, number)) for number in numbers]
            await until(lambda: _is_under_way(reading))
            if data == "kept":
                await own_redis.stop_and_save()
            else:
                await asyncio.to_thread(own_redis.stop)
            await asyncio.to_thread(own_redis.start)
            texts = await asyncio.gather(*reading)
            # A restart so quick that the gateway did not notice it costs, with the data, the deadline.
            assert {text.status for text in texts} <= {"ok", "failed", "timeout" if data == "lost" else "ok"}
            await until(lambda: _reads_all_again(ocr, numbers))
        await until(lambda: _queue_is_empty(client))
        assert not running.seen("process_died")
    assert await client.xlen(KEYS.jobs) == 0
    assert await client.xlen(KEYS.dead) == 0
    await client.aclose()


async def _read(ocr: OcrClient, number: int) -> OcrText:
    opened = figure(number)
    kept = EncodedFigure(opened.id, opened.width, opened.height, opened.png())
    text = await ocr.read(kept, deadline_s=10, request_id="req")
    if text.status in ("ok", "cached"):
        assert [line.text for line in text.lines] == [text_of(number)]
    return text


async def _is_under_way(reading: list[asyncio.Task[OcrText]]) -> bool:
    return sum(task.done() for task in reading) >= 10


async def _reads_all_again(ocr: OcrClient, numbers: Iterable[int]) -> bool:
    texts = await asyncio.gather(*(_read(ocr, number) for number in numbers))
    return {text.status for text in texts} <= {"ok", "cached"}


async def _queue_is_empty(client: Redis) -> bool:
    return await client.xlen(KEYS.jobs) == 0


async def test_processes_share_one_port_of_metrics_and_say_what_they_are(redis_url: str, gateway: Gateway) -> None:
    port = free_port()
    async with worker(redis_url, ocr_processes=2, ocr_metrics_port=port):
        await gateway.ask(range(40))
        await gateway.until_answered(40)
        async with asyncio.timeout(10):
            # A worker counts a job once it is settled, when its gateway may have heard of it already.
            while (samples := await asyncio.to_thread(scrape, port))["jobs_total", frozenset({"done"})] < 40:  # noqa: ASYNC110 - scraped
                await asyncio.sleep(0.05)
    assert samples["jobs_total", frozenset({"done"})] == 40
    assert samples["processes", frozenset()] == 2
    assert samples["engine_info", frozenset({"numbers/1"})] == 2
    assert min(samples["resident_bytes", frozenset({seat})] for seat in "01") > 10 * MIB


async def test_parent_whose_first_process_cannot_start_ends(redis_url: str) -> None:
    settings = WorkerSettings(redis_url=redis_url, ocr_processes=2)
    parent = Parent(settings, make_log("info"), child=(sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(WorkerProcessError, match="status 3 before it was ready"):
        await asyncio.wait_for(parent.run(), PATIENT_S)
