"""What one caller's figures may cost the others in Redis: turns at OCR, room in the queue, and limits that stay.

Redis is real; where memory matters, one of its own with little of it.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from launcher.addresses import choose_addresses
from launcher.run_folder import RunFolder
from launcher.services import redis_service
from llava_graph.jobs import (
    JOBS_AT_A_TURN,
    JobProducer,
    Keys,
    Outcome,
    QueueAnswer,
    Reply,
    connect,
)
from llava_graph.ocr import Line
from ocr_worker.inbox import Delivery, Inbox, Unreadable
from service.errors import FiguresUnavailable
from service.figures.decode import EncodedFigure
from service.figures.figure_room import FigureRoom
from service.figures.store import FigureStore
from service.metrics import Metrics
from tests.conftest import RedisServer
from tests.paths import REPOSITORY

KEYS = Keys()
MIB = 1024 * 1024
KUBERNETES = "deploy/kubernetes/base/redis.conf"


def figure_id(name: str) -> str:
    return name.encode().hex().ljust(64, "0")


def inbox_of(redis: Redis, *, max_text_bytes: int = 10 * MIB, consumer: str = "w") -> Inbox:
    return Inbox(
        redis,
        KEYS,
        consumer,
        lease_ms=60_000,
        result_ttl_ms=60_000,
        failure_ttl_ms=1000,
        max_text_bytes=max_text_bytes,
        jobs_at_a_turn=JOBS_AT_A_TURN,
    )


async def submit(
    producer: JobProducer, name: str, *, caller: str = "", png: bytes = b"png", size: tuple[int, int] = (8, 8)
) -> QueueAnswer:
    asked = await producer.submit(figure_id(name), png, job_id=f"job-{name}", wait_ms=60_000, caller=caller, size=size)
    return asked.admission


async def settle(inbox: Inbox, delivery: Delivery | Unreadable, *lines: Line) -> str:
    """Ends a job as read; returns its figure."""
    assert isinstance(delivery, Delivery)
    reply = Reply(delivery.job.figure_id, Outcome.DONE, lines, "e")
    await inbox.settle(delivery, reply, "e", False)
    return delivery.job.figure_id


async def read_all(inbox: Inbox) -> list[str]:
    """Reads what there is, one after the other; returns the figures in the order in which they were read."""
    order = []
    while taken := await inbox.take(1, block_ms=None):
        order.append(await settle(inbox, taken[0]))
    return order


async def test_next_callers_figure_is_read_after_a_few_of_who_sent_many_and_all_are_read(redis: Redis) -> None:
    producer, inbox = JobProducer(redis, KEYS, "gw"), inbox_of(redis)
    await inbox.open()
    many = [f"many {i}" for i in range(120)]
    for name in many:
        assert await submit(producer, name, caller="a") is QueueAnswer.QUEUED
    assert await submit(producer, "one", caller="b") is QueueAnswer.QUEUED
    assert await producer.depth() == 121
    order = await read_all(inbox)
    assert order.index(figure_id("one")) <= JOBS_AT_A_TURN
    assert [name for name in order if name != figure_id("one")] == [figure_id(name) for name in many]
    assert await producer.depth() == 0
    assert not await redis.exists(KEYS.load, KEYS.backlog("a"), KEYS.backlog("b")), "nothing is left to count"


async def test_more_workers_take_more_of_one_callers_figures_at_a_time(redis: Redis) -> None:
    await redis.sadd(KEYS.workers, "w1", "w2", "w3")
    producer = JobProducer(redis, KEYS, "gw")
    for i in range(100):
        await submit(producer, f"{i}", caller="a")
    assert await redis.xlen(KEYS.jobs) == 3 * JOBS_AT_A_TURN


@pytest.mark.parametrize(
    ("size", "at_a_turn"), [((1000, 800), JOBS_AT_A_TURN), ((1600, 1200), 2), ((1600, 1600), 1), ((6000, 6000), 1)]
)
async def test_next_caller_waits_for_fewer_figures_the_larger_they_are(
    redis: Redis, size: tuple[int, int], at_a_turn: int
) -> None:
    producer, inbox = JobProducer(redis, KEYS, "gw"), inbox_of(redis)
    await inbox.open()
    for i in range(10):
        await submit(producer, f"page {i}", caller="a", size=size)
    await submit(producer, "one", caller="b")
    order = await read_all(inbox)
    assert order.index(figure_id("one")) == at_a_turn
    assert len(order) == 11


async def test_one_caller_may_fill_half_of_the_queue(redis: Redis) -> None:
    producer = JobProducer(redis, KEYS, "gw", max_depth=6, max_bytes=600)
    inbox = inbox_of(redis)
    await inbox.open()
    admitted = [await submit(producer, f"a{i}", caller="a") for i in range(4)]
    assert admitted == [QueueAnswer.QUEUED] * 3 + [QueueAnswer.FULL]
    assert await submit(producer, "large", caller="b", png=bytes(301)) is QueueAnswer.FULL
    assert await submit(producer, "b", caller="b", png=bytes(299)) is QueueAnswer.QUEUED
    await read_all(inbox)
    assert await submit(producer, "again", caller="a", png=bytes(300)) is QueueAnswer.QUEUED


async def test_images_in_the_queue_are_bounded_in_bytes_over_all_callers(redis: Redis) -> None:
    producer, inbox = JobProducer(redis, KEYS, "gw", max_bytes=600), inbox_of(redis)
    await inbox.open()
    assert await submit(producer, "a", caller="a", png=bytes(300)) is QueueAnswer.QUEUED
    assert await submit(producer, "b", caller="b", png=bytes(300)) is QueueAnswer.QUEUED
    assert await submit(producer, "c", caller="c", png=bytes(1)) is QueueAnswer.FULL
    await read_all(inbox)
    assert await submit(producer, "c", caller="c", png=bytes(1)) is QueueAnswer.QUEUED


async def test_job_that_is_no_job_does_not_take_its_callers_turn_for_ever(redis: Redis) -> None:
    producer, inbox = JobProducer(redis, KEYS, "gw"), inbox_of(redis)
    await inbox.open()
    for i in range(JOBS_AT_A_TURN + 1):
        await submit(producer, f"{i}", caller="a")
    [entry] = await inbox.take(1, block_ms=None)
    assert isinstance(entry, Delivery)
    await inbox.discard(Unreadable(entry.entry_id, "staged", entry.job.caller, entry.job.image_bytes))
    assert len(await read_all(inbox)) == JOBS_AT_A_TURN
    assert await producer.depth() == 0


async def test_counts_begin_anew_when_entries_were_deleted_by_hand(redis: Redis) -> None:
    producer = JobProducer(redis, KEYS, "gw", max_depth=4)
    for i in range(2):
        assert await submit(producer, f"{i}", caller="a") is QueueAnswer.QUEUED
    await redis.delete(KEYS.jobs)
    for i in range(2, 4):
        assert await submit(producer, f"{i}", caller="a") is QueueAnswer.QUEUED


async def test_texts_have_a_bound_and_those_whose_time_ends_first_go(redis: Redis) -> None:
    producer, inbox = JobProducer(redis, KEYS, "gw"), inbox_of(redis, max_text_bytes=50_000)
    await inbox.open()
    await redis.set(KEYS.engine, "e")
    text = Line("x" * 10_000, (0, 0, 1, 1), 0.9)
    for i in range(10):
        await submit(producer, f"{i}")
        [delivery] = await inbox.take(1, block_ms=None)
        await settle(inbox, delivery, text)
    kept = [(await producer.peek(figure_id(f"{i}"))).admission is QueueAnswer.CACHED for i in range(10)]
    assert kept == [False] * 6 + [True] * 4
    assert await redis.zcard(KEYS.texts) == 4


@pytest.fixture
async def small_redis(own_redis: RedisServer) -> AsyncIterator[Redis]:
    """With room for 24 MiB, and told as ours are to drop nothing."""
    client = connect(own_redis.url)
    used = (await client.info("memory"))["used_memory"]
    await client.config_set("maxmemory", used + 24 * MIB)
    await client.config_set("maxmemory-policy", "noeviction")
    yield client
    await client.aclose()


async def test_figures_and_jobs_leave_room_for_limits_and_drop_none(small_redis: Redis) -> None:
    """The bounds are set larger than this Redis: what is left free is seen to when something is stored."""
    await small_redis.set("lg:rates:requests:key:alice", "1", px=60_000)
    store = FigureStore(small_redis, "lg:", Metrics(CollectorRegistry()), ttl_s=60, max_bytes=1 << 30, deadline_s=5)
    producer = JobProducer(small_redis, KEYS, "gw", max_bytes=1 << 30)
    admissions = []
    for i in range(40):
        png = os.urandom(MIB)
        await store.keep(EncodedFigure(figure_id(f"{i}"), 640, 480, png), "", scope="alice")
        admissions.append(await submit(producer, f"{i}", caller="a", png=png))
    assert QueueAnswer.FULL in admissions
    assert await small_redis.get("lg:rates:requests:key:alice") == b"1"
    assert await small_redis.set("lg:rates:requests:key:bob", "1", px=60_000), "and others can still be counted"
    info = await small_redis.info()
    assert info["evicted_keys"] == 0
    assert info["used_memory"] < info["maxmemory"] * 0.9


def test_no_redis_of_ours_drops_anything_by_itself(tmp_path: Path) -> None:
    """With a policy that evicts, a large figure takes callers' limits and everybody's kept figures with it."""
    with RunFolder.open(tmp_path) as folder:
        redis_service(choose_addresses("127.0.0.1", 0), folder)
    files = [tmp_path / "redis.conf", *(REPOSITORY / name for name in ("docker-compose.yml", KUBERNETES))]
    for file in files:
        assert re.findall(r'maxmemory-policy[\s,"-]+([a-z]+)', file.read_text(encoding="utf-8")) == ["noeviction"], file


async def test_figure_for_which_redis_has_no_room_is_refused_as_unavailable(small_redis: Redis) -> None:
    most = (await small_redis.info("memory"))["maxmemory"]
    await small_redis.config_set("maxmemory", 0)
    await small_redis.set("of others", bytes(20 * MIB))
    await small_redis.config_set("maxmemory", most)
    store = FigureStore(small_redis, "lg:", Metrics(CollectorRegistry()), ttl_s=60, max_bytes=1 << 30, deadline_s=5)
    with pytest.raises(FiguresUnavailable):
        await store.keep(EncodedFigure(figure_id("x"), 640, 480, bytes(4 * MIB)), "", scope="")


async def test_two_large_figures_at_a_time_are_on_their_way_to_redis() -> None:
    room = FigureRoom(1 << 30)
    under_way = most = 0

    async def send() -> None:
        nonlocal under_way, most
        async with room.large(8 * MIB):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(send() for _ in range(10)))
    assert most == 2
