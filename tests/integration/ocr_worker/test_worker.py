"""The OCR worker with a real Redis and, where text is read, the real PP-OCR.

Where a test is about the queue and not about text, the engine is `Canned`: a real `OcrEngine` that answers at once, or
when the test lets it.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import structlog
from click.testing import CliRunner
from PIL import Image, ImageDraw, ImageFont
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llava_graph.figure import Figure, open_figure
from llava_graph.jobs import (
    GROUP,
    Asked,
    JobProducer,
    Keys,
    Outcome,
    QueueAnswer,
    Reply,
    connect,
    live_workers,
)
from llava_graph.ocr import Line
from ocr_worker import Worker, WorkerOptions
from ocr_worker.__main__ import main
from ocr_worker.engines import OcrEngine, Pixels
from ocr_worker.engines.rapid import RapidEngine
from ocr_worker.errors import OcrEngineError, OcrEngineStuckError
from ocr_worker.inbox import Inbox
from ocr_worker.metrics import WorkerMetrics
from tests.conftest import RedisServer
from tests.paths import REPOSITORY

KEYS = Keys()
WORDS = Line("Vodikar", (1.0, 2.0, 30.0, 10.0))
PAGE = 48
SHORT_LEASE = WorkerOptions(lease_s=0.2, block_s=0.05)


class Canned(OcrEngine):
    """Answers every figure with the same line. `gate` holds it up, `entered` says that it is held."""

    revision = "canned/1"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.refuses_side: int | None = None

    def read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        self.entered.set()
        self.gate.wait()
        if any(image.shape[0] == self.refuses_side for image in images):
            raise OcrEngineError("not this one")
        self.batches.append(len(images))
        return [[WORDS] for _ in images]


class InSteps(Canned):
    """Reads a figure of `PAGE` pixels a side in steps, for as long as `steps` says, and any other in one."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def reading(self, images: Sequence[Pixels]) -> Iterator[dict[int, list[Line]]]:
        pages = [index for index, image in enumerate(images) if image.shape[0] == PAGE]
        yield {index: [WORDS] for index in range(len(images)) if index not in pages}
        for _ in range(self.steps if pages else 0):
            self.entered.set()
            self.gate.wait()
            yield {}
        yield {index: [WORDS] for index in pages}


class Gateway:
    """Asks as a gateway does."""

    def __init__(self, redis: Redis, name: str = "gw") -> None:
        self.producer = JobProducer(redis, KEYS, name)

    async def ask(self, figure: Figure, *, job_id: str = "job-1", wait_ms: int = 30_000, caller: str = "") -> Asked:
        asked = await self.producer.look_up(figure.id, wait_ms)
        if asked.admission is QueueAnswer.UNKNOWN:
            asked = await self.producer.submit(
                figure.id, figure.png(), job_id=job_id, wait_ms=wait_ms, request_id="req", caller=caller
            )
        return asked

    async def reply(self) -> Reply:
        """The next one; fails after half a minute, when no reply will come."""
        async with asyncio.timeout(30):
            while True:
                for raw in await self.producer.replies(most=1):
                    return Reply.from_json(raw)


def blank(side: int = 32, shade: int = 255) -> Figure:
    buffer = io.BytesIO()
    Image.new("L", (side, side), shade).save(buffer, "PNG")
    return open_figure(buffer.getvalue())


def labelled() -> Figure:
    """A figure with known words: a title, a label on the x axis and a rotated one on the y axis."""
    font = ImageFont.load_default(22)
    page = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(page)
    draw.text((200, 12), "Growth of Quosant", "black", font)
    draw.text((210, 440), "Exposure time (hours)", "navy", font)
    label = Image.new("RGB", (260, 30), "white")
    ImageDraw.Draw(label).text((2, 2), "Relative density [%]", "black", font)
    page.paste(label.rotate(90, expand=True), (20, 100))
    draw.line([(80, 400), (300, 220), (600, 90)], "crimson", 3)
    draw.rectangle((80, 60, 610, 420), outline="black")
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return open_figure(buffer.getvalue())


def make_worker(
    redis: Redis,
    engine: Any,
    *,
    consumer: str = "w1",
    options: WorkerOptions | None = None,
    registry: CollectorRegistry | None = None,
) -> Worker:
    return Worker(
        redis,
        engine,
        keys=KEYS,
        consumer=consumer,
        host="here",
        metrics=WorkerMetrics(registry or CollectorRegistry()),
        log=structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr), wrapper_class=structlog.make_filtering_bound_logger(0)
        ),
        options=options or WorkerOptions(),
    )


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Waits for a state of Redis, of which Redis sends no event."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def announced_again(redis: Redis, consumer: str) -> None:
    await redis.delete(KEYS.worker(consumer))
    await until(lambda: redis.exists(KEYS.worker(consumer)))


async def pending_jobs(redis: Redis) -> int:
    """Jobs in the hands of workers."""
    summary: Any = await redis.xpending(KEYS.jobs, GROUP)
    return int(summary["pending"])


async def first_entry(redis: Redis) -> bytes:
    entries: Any = await redis.xrange(KEYS.jobs)
    return bytes(entries[0][0])


async def dead_letters(redis: Redis) -> list[dict[bytes, bytes]]:
    entries: Any = await redis.xrange(KEYS.dead)
    return [fields for _, fields in entries]


async def until_entered(engine: Canned) -> None:
    assert await asyncio.to_thread(engine.entered.wait, 30)


async def die_with_jobs(redis: Redis, consumer: str, count: int = 10) -> None:
    """What a worker that was killed leaves behind: it took its jobs and never came back."""
    taken: Any = await redis.xreadgroup(GROUP, consumer, {KEYS.jobs: ">"}, count=count)
    assert taken


@pytest.fixture(scope="session")
def rapid() -> RapidEngine:
    return RapidEngine(threads=2)


@pytest.fixture
def gateway(redis: Redis) -> Gateway:
    return Gateway(redis)


@pytest.fixture
async def group(redis: Redis) -> AsyncIterator[None]:
    """The group as an earlier worker left it."""
    await redis.xgroup_create(KEYS.jobs, GROUP, id="0", mkstream=True)
    yield


# Reading


async def test_words_of_a_figure_come_back_through_the_queue(
    redis: Redis, gateway: Gateway, rapid: RapidEngine
) -> None:
    figure = labelled()
    assert (await gateway.ask(figure)).admission is QueueAnswer.QUEUED
    await make_worker(redis, rapid).run(burst=True)
    reply = await gateway.reply()
    assert (reply.figure_id, reply.outcome, reply.engine) == (figure.id, Outcome.DONE, rapid.revision)
    assert [line.text for line in reply.lines] == [
        "Growth of Quosant",
        "Relative density [%]",
        "Exposure time (hours)",
    ]
    x0, y0, x1, y1 = reply.lines[1].box
    assert x0 < 60 and 90 < y0 < y1 < 370 and y1 - y0 > 3 * (x1 - x0), "the rotated label, where it was drawn"
    assert all(line.confidence > 0.8 for line in reply.lines)


@pytest.mark.parametrize("turn", [90, 270])
def test_rotated_label_is_read_in_both_directions(rapid: RapidEngine, turn: int) -> None:
    label = Image.new("RGB", (400, 80), "white")
    ImageDraw.Draw(label).text((40, 20), "Throughput (images/s)", "black", ImageFont.load_default(28))
    [lines] = rapid.read([np.asarray(label.rotate(turn, expand=True))])
    assert [line.text for line in lines] == ["Throughput (images/s)"]


@pytest.mark.parametrize("size", [(8, 8), (8, 3000), (3000, 8), (33, 700)])
def test_odd_sizes_are_read_without_error(rapid: RapidEngine, size: tuple[int, int]) -> None:
    assert rapid.read([np.full((*size, 3), 255, np.uint8)]) == [[]]


def test_batch_reads_what_single_figures_read(rapid: RapidEngine) -> None:
    pages = [np.asarray(labelled().image), np.full((64, 64, 3), 200, np.uint8), np.asarray(labelled().image)[:300]]
    together = rapid.read(pages)
    alone = [rapid.read([page])[0] for page in pages]
    assert [[line.text for line in lines] for lines in together] == [[line.text for line in lines] for lines in alone]


def test_page_of_many_words_is_read_in_steps_after_a_figure_of_few(rapid: RapidEngine) -> None:
    font = ImageFont.load_default(20)
    sheet = Image.new("RGB", (900, 700), "white")
    words = [f"{row}{column}7" for row in range(1, 10) for column in range(1, 9)]
    for number, word in enumerate(words):
        ImageDraw.Draw(sheet).text((20 + 110 * (number % 8), 20 + 70 * (number // 8)), word, "black", font)
    page, figure = np.asarray(sheet), np.asarray(labelled().image)
    finished = [sorted(step) for step in rapid.reading([page, figure])]
    assert finished[-1] == [0] and [1] in finished, "the figure first"
    assert finished.index([1]) < len(finished) - 2, "and at least one step of the page between them"
    assert {line.text for line in rapid.read([page])[0]} == set(words)


def test_no_images_are_no_work(rapid: RapidEngine) -> None:
    assert rapid.read([]) == []


# The cache, and many who ask


async def test_result_is_cached_by_figure_and_no_second_job_is_made(redis: Redis, gateway: Gateway) -> None:
    engine = Canned()
    await gateway.ask(blank())
    await make_worker(redis, engine).run(burst=True)
    first = await gateway.reply()
    again = await gateway.ask(blank())
    assert again == Asked(QueueAnswer.CACHED, first)
    assert engine.batches == [1]
    assert await gateway.producer.depth() == 0


async def test_fifty_waiting_gateways_make_one_job_and_all_are_told(redis: Redis) -> None:
    engine, figure = Canned(), blank()
    gateways = [Gateway(redis, f"gw-{i}") for i in range(50)]
    admissions = [(await g.ask(figure)).admission for g in gateways]
    assert admissions == [QueueAnswer.QUEUED, *[QueueAnswer.JOINED] * 49]
    await make_worker(redis, engine).run(burst=True)
    assert {(await g.reply()).lines for g in gateways} == {(WORDS,)}
    assert engine.batches == [1]


async def test_jobs_that_wait_together_are_read_together(redis: Redis, gateway: Gateway) -> None:
    engine = Canned()
    for side in range(32, 38):
        await gateway.ask(blank(side), job_id=f"job-{side}")
    await make_worker(redis, engine, options=WorkerOptions(batch_size=4)).run(burst=True)
    assert engine.batches == [4, 2]


async def test_worker_leaves_idle_workers_their_share(redis: Redis, gateway: Gateway) -> None:
    engine = Canned()
    for name in ("w1", "other"):
        await redis.set(KEYS.worker(name), b"{}", ex=60)
        await redis.sadd(KEYS.workers, name)
    for side in range(32, 40):
        await gateway.ask(blank(side), job_id=f"job-{side}")
    await make_worker(redis, engine, options=WorkerOptions(batch_size=8)).run(burst=True)
    assert engine.batches == [5, 2, 1], "one, and half of what then waits"


@pytest.mark.usefixtures("group")
async def test_batch_waits_for_company_while_there_is_other_work(redis: Redis, gateway: Gateway) -> None:
    engine = Canned()
    await gateway.ask(blank(33))
    await die_with_jobs(redis, "busy")
    worker = make_worker(redis, engine, options=WorkerOptions(batch_size=2, batch_wait_s=20.0, lease_s=60.0))
    running = asyncio.create_task(worker.run())
    await gateway.ask(blank(34), job_id="job-2")
    await until(lambda: _are_pending(redis, 2))
    await gateway.ask(blank(35), job_id="job-3")
    assert {(await gateway.reply()).figure_id for _ in range(2)} == {blank(34).id, blank(35).id}
    worker.stop()
    await running
    assert engine.batches == [2]


async def test_job_that_is_alone_waits_for_no_company(redis: Redis, gateway: Gateway) -> None:
    worker = make_worker(redis, Canned(), options=WorkerOptions(batch_size=2, batch_wait_s=3600.0))
    running = asyncio.create_task(worker.run())
    await gateway.ask(blank())
    assert (await gateway.reply()).outcome is Outcome.DONE
    worker.stop()
    await running


async def _are_pending(redis: Redis, count: int) -> bool:
    return await pending_jobs(redis) == count


async def test_settled_job_leaves_nothing_but_its_result(redis: Redis, gateway: Gateway) -> None:
    figure = blank()
    await gateway.ask(figure)
    await make_worker(redis, Canned()).run(burst=True)
    await gateway.reply()
    left: Any = await redis.keys()
    kept = (KEYS.jobs, KEYS.engine, KEYS.turn, KEYS.result(Canned.revision, figure.id), KEYS.texts, KEYS.text_sizes)
    assert set(left) == {name.encode() for name in kept}
    assert await redis.pttl(KEYS.result(Canned.revision, figure.id)) > 0
    assert await redis.xlen(KEYS.jobs) == 0


# Acknowledging


async def test_job_is_acknowledged_only_after_its_result_is_stored(redis: Redis, gateway: Gateway) -> None:
    engine, figure = Canned(), blank()
    engine.gate.clear()
    await gateway.ask(figure)
    worker = make_worker(redis, engine)
    running = asyncio.create_task(worker.run(burst=True))
    await until_entered(engine)
    assert await pending_jobs(redis) == 1, "while it is read"
    assert not await redis.exists(KEYS.result(Canned.revision, figure.id))
    engine.gate.set()
    await running
    assert await redis.exists(KEYS.result(Canned.revision, figure.id))
    assert await pending_jobs(redis) == 0


@pytest.mark.usefixtures("group")
async def test_job_claimed_by_dead_worker_is_run_again(redis: Redis, gateway: Gateway) -> None:
    registry = CollectorRegistry()
    await gateway.ask(blank())
    await die_with_jobs(redis, "dead")
    worker = make_worker(redis, Canned(), options=SHORT_LEASE, registry=registry)
    running = asyncio.create_task(worker.run())
    reply = await gateway.reply()
    worker.stop()
    await running
    assert reply.outcome is Outcome.DONE
    assert registry.get_sample_value("llava_graph_ocr_taken_over_total") == 1


@pytest.mark.usefixtures("group")
async def test_jobs_of_a_dead_worker_are_read_one_at_a_time(redis: Redis, gateway: Gateway) -> None:
    engine = Canned()
    for side in (32, 33, 34):
        await gateway.ask(blank(side), job_id=f"job-{side}")
    await die_with_jobs(redis, "dead")
    worker = make_worker(redis, engine, options=SHORT_LEASE)
    running = asyncio.create_task(worker.run())
    assert [(await gateway.reply()).outcome for _ in range(3)] == [Outcome.DONE] * 3
    worker.stop()
    await running
    assert engine.batches == [1, 1, 1]


@pytest.mark.usefixtures("group")
async def test_stale_job_is_found_behind_many_that_others_hold(redis: Redis, gateway: Gateway) -> None:
    for side in range(32, 62):
        await gateway.ask(blank(side), job_id=f"job-{side}")
    await die_with_jobs(redis, "busy", count=30)
    last: Any = await redis.xrevrange(KEYS.jobs, count=1)
    await redis.execute_command("XCLAIM", KEYS.jobs, GROUP, "dead", 0, last[0][0], "IDLE", 3_600_000)
    await make_worker(redis, Canned(), options=WorkerOptions(lease_s=60.0)).run(burst=True)
    assert (await gateway.reply()).figure_id == blank(61).id
    assert await pending_jobs(redis) == 29


@pytest.mark.usefixtures("group")
async def test_worker_that_is_gone_leaves_the_group_only_when_it_holds_nothing(redis: Redis, gateway: Gateway) -> None:
    await gateway.ask(blank())
    await die_with_jobs(redis, "dead-with-a-job")
    await redis.execute_command("XGROUP", "CREATECONSUMER", KEYS.jobs, GROUP, "dead")
    lives = {"lease_ms": 0, "result_ttl_ms": 1, "failure_ttl_ms": 1}
    inbox = Inbox(redis, KEYS, "w1", **lives, max_text_bytes=1, jobs_at_a_turn=1)
    await redis.sadd(KEYS.workers, "dead", "dead-with-a-job")
    await until(inbox.dead_letter_undeliverable)
    left: Any = await redis.xinfo_consumers(KEYS.jobs, GROUP)
    assert [one["name"] for one in left] == [b"dead-with-a-job"]
    assert await redis.smembers(KEYS.workers) == set()


async def test_living_worker_keeps_its_job_however_long_it_takes(redis: Redis, gateway: Gateway) -> None:
    slow, idle = Canned(), Canned()
    slow.gate.clear()
    await gateway.ask(blank())
    at_work = make_worker(redis, slow, options=SHORT_LEASE)
    at_rest = make_worker(redis, idle, consumer="w2", options=SHORT_LEASE)
    first = asyncio.create_task(at_work.run())
    await until_entered(slow)
    second = asyncio.create_task(at_rest.run())
    for _ in range(15):  # renewals, five to a lease
        await announced_again(redis, "w1")
    slow.gate.set()
    assert (await gateway.reply()).outcome is Outcome.DONE
    at_work.stop()
    at_rest.stop()
    await asyncio.gather(first, second)
    assert (slow.batches, idle.batches) == ([1], [])


@pytest.mark.usefixtures("group")
async def test_job_lost_on_a_broken_connection_is_taken_back(redis: Redis, gateway: Gateway) -> None:
    await gateway.ask(blank())
    await die_with_jobs(redis, "w1")  # handed out to us, but the answer never arrived
    await make_worker(redis, Canned(), consumer="w1").run(burst=True)
    assert (await gateway.reply()).outcome is Outcome.DONE


async def test_late_worker_does_not_undo_a_result(redis: Redis, gateway: Gateway) -> None:
    late, quick, figure = Canned(), Canned(), blank()
    late.gate.clear()
    late.refuses_side = 32
    await gateway.ask(figure)
    asleep = asyncio.create_task(make_worker(redis, late, consumer="late").run(burst=True))
    await until_entered(late)
    entry = await first_entry(redis)
    await redis.xclaim(KEYS.jobs, GROUP, "quick", 0, [entry])
    await make_worker(redis, quick, consumer="quick").run(burst=True)
    late.gate.set()
    await asleep
    assert (await gateway.ask(figure)).admission is QueueAnswer.CACHED
    assert [(await gateway.reply()).outcome] == [Outcome.DONE]
    assert await gateway.producer.replies(block_s=0.01) == [], "told once"
    assert await redis.xlen(KEYS.dead) == 0


# Jobs that end unread or badly


@pytest.mark.usefixtures("group")
async def test_poison_job_becomes_a_dead_letter_and_its_waiters_are_told(redis: Redis, gateway: Gateway) -> None:
    engine, figure = Canned(), blank()
    await gateway.ask(figure)
    await die_with_jobs(redis, "dead-1")
    entry = await first_entry(redis)
    for consumer in ("dead-2", "w1"):
        await redis.xclaim(KEYS.jobs, GROUP, consumer, 0, [entry])
    await make_worker(redis, engine, options=WorkerOptions(max_deliveries=3)).run(burst=True)
    reply = await gateway.reply()
    assert (reply.outcome, engine.batches) == (Outcome.FAILED, [])
    assert reply.reason == "poison: handed out 3 times and never finished"
    [letter] = await dead_letters(redis)
    assert (letter[b"figure_id"], letter[b"deliveries"]) == (figure.id.encode(), b"4")
    assert b"poison" in letter[b"reason"]
    assert await gateway.producer.depth() == 0


async def test_figure_that_failed_is_not_tried_again_at_once(redis: Redis, gateway: Gateway) -> None:
    engine, figure = Canned(), blank()
    engine.refuses_side = 32
    await gateway.ask(figure)
    await make_worker(redis, engine).run(burst=True)
    assert (await gateway.reply()).outcome is Outcome.FAILED
    again = await gateway.ask(figure)
    assert again.admission is QueueAnswer.CACHED
    assert again.reply is not None and again.reply.reason == "engine: not this one"


async def test_figure_that_cannot_be_read_does_not_fail_its_batch(redis: Redis, gateway: Gateway) -> None:
    engine = Canned()
    engine.refuses_side = 40
    for side in (39, 40, 41):
        await gateway.ask(blank(side), job_id=f"job-{side}")
    await make_worker(redis, engine).run(burst=True)
    outcomes = {reply.figure_id: reply.outcome for reply in [await gateway.reply() for _ in range(3)]}
    assert outcomes == {
        blank(39).id: Outcome.DONE,
        blank(40).id: Outcome.FAILED,
        blank(41).id: Outcome.DONE,
    }
    assert await redis.xlen(KEYS.dead) == 1


async def test_expired_job_is_dropped_and_its_waiters_are_told(redis: Redis, gateway: Gateway) -> None:
    engine, registry = Canned(), CollectorRegistry()
    await gateway.ask(blank(), wait_ms=0)
    await make_worker(redis, engine, registry=registry).run(burst=True)
    assert (await gateway.reply()).outcome is Outcome.EXPIRED
    assert engine.batches == []
    assert registry.get_sample_value("llava_graph_ocr_jobs_total", {"outcome": "expired"}) == 1
    assert (await gateway.ask(blank())).admission is QueueAnswer.QUEUED, "an expiry is not remembered"


async def test_job_is_read_when_a_later_asker_still_waits(redis: Redis, gateway: Gateway) -> None:
    await gateway.ask(blank(), wait_ms=0)
    assert (await Gateway(redis, "patient").ask(blank(), wait_ms=30_000)).admission is QueueAnswer.JOINED
    await make_worker(redis, Canned()).run(burst=True)
    assert (await gateway.reply()).outcome is Outcome.DONE


async def test_job_whose_image_is_gone_is_dropped(redis: Redis, gateway: Gateway) -> None:
    await gateway.ask(blank())
    await redis.delete(KEYS.image(blank().id))
    await make_worker(redis, Canned()).run(burst=True)
    reply = await gateway.reply()
    assert (reply.outcome, reply.reason) == (Outcome.EXPIRED, "its image was gone")


@pytest.mark.parametrize("image", [b"no image", blank(33).png()], ids=["not an image", "another figure's"])
async def test_image_that_is_not_the_figure_fails_the_job(redis: Redis, gateway: Gateway, image: bytes) -> None:
    engine = Canned()
    await gateway.ask(blank())
    await redis.set(KEYS.image(blank().id), image)
    await make_worker(redis, engine).run(burst=True)
    assert (await gateway.reply()).reason.startswith("image: ")
    assert engine.batches == []


async def test_entry_that_is_no_job_becomes_a_dead_letter_and_work_goes_on(redis: Redis, gateway: Gateway) -> None:
    await redis.xadd(KEYS.jobs, {"hello": "world"})
    await gateway.ask(blank())
    await make_worker(redis, Canned()).run(burst=True)
    assert (await gateway.reply()).outcome is Outcome.DONE
    [letter] = await dead_letters(redis)
    assert b"lacks the field" in letter[b"reason"]
    assert await gateway.producer.depth() == 0


@pytest.mark.usefixtures("group")
async def test_pending_entry_deleted_by_hand_is_cleared_and_work_goes_on(redis: Redis, gateway: Gateway) -> None:
    await gateway.ask(blank(33))
    await die_with_jobs(redis, "dead")
    await redis.xdel(KEYS.jobs, await first_entry(redis))
    await gateway.ask(blank(), job_id="job-2")
    for _ in range(2):  # one takes over what is left of it, the next takes it back
        await make_worker(redis, Canned(), options=WorkerOptions(lease_s=0.001)).run(burst=True)
    assert (await gateway.reply()).figure_id == blank().id
    assert await pending_jobs(redis) == 0


async def test_figure_of_another_caller_is_read_between_two_steps_of_a_page(redis: Redis, gateway: Gateway) -> None:
    engine = InSteps(steps=3)
    engine.gate.clear()
    await gateway.ask(blank(PAGE), job_id="page", caller="bob")
    worker = make_worker(redis, engine)
    running = asyncio.create_task(worker.run())
    await until_entered(engine)
    await gateway.ask(blank(33), job_id="next", caller="bob")
    await gateway.ask(blank(34), job_id="figure", caller="alice")
    engine.gate.set()
    ended = [(await gateway.reply()).figure_id for _ in range(3)]
    assert ended == [blank(34).id, blank(PAGE).id, blank(33).id], "the caller's own next figure waits for the page"
    worker.stop()
    await running
    assert await pending_jobs(redis) == 0


async def test_what_was_put_aside_is_read_by_a_worker_that_is_told_to_stop(redis: Redis, gateway: Gateway) -> None:
    engine = InSteps(steps=2)
    engine.gate.clear()
    await gateway.ask(blank(PAGE), job_id="page", caller="bob")
    worker = make_worker(redis, engine)
    running = asyncio.create_task(worker.run())
    await until_entered(engine)
    await gateway.ask(blank(33), job_id="next", caller="bob")
    engine.entered.clear()
    engine.gate.set()
    await until_entered(engine)
    worker.stop()
    await running
    assert [(await gateway.reply()).figure_id for _ in range(2)] == [blank(PAGE).id, blank(33).id]


async def test_page_past_what_a_figure_may_take_fails_and_the_worker_reads_on(redis: Redis, gateway: Gateway) -> None:
    engine = InSteps(steps=1_000_000)
    await gateway.ask(blank(PAGE), job_id="page")
    options = WorkerOptions(job_timeout_s=0.05)
    await make_worker(redis, engine, options=options).run(burst=True)
    reply = await gateway.reply()
    assert (reply.outcome, "not read within" in reply.reason) == (Outcome.FAILED, True)
    await gateway.ask(blank(33), job_id="next")
    await make_worker(redis, engine, consumer="w2", options=options).run(burst=True)
    assert (await gateway.reply()).outcome is Outcome.DONE


async def test_engine_that_hangs_ends_the_worker_and_leaves_the_job_pending(redis: Redis, gateway: Gateway) -> None:
    engine = Canned()
    engine.gate.clear()
    await gateway.ask(blank())
    with pytest.raises(OcrEngineStuckError):
        await make_worker(redis, engine, options=WorkerOptions(job_timeout_s=0.05)).run()
    engine.gate.set()  # or the thread would outlive the test
    assert await pending_jobs(redis) == 1


class Computing(Canned):
    """Computes for so many processor seconds before it reads."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        begun_s = time.thread_time()
        while time.thread_time() - begun_s < self.seconds:
            hashlib.sha256(bytes(1_000_000))  # which lets the event loop run
        return super().read(images)


async def test_engine_that_computes_for_long_on_a_busy_machine_has_not_hung(redis: Redis, gateway: Gateway) -> None:
    """The bound on computing is that of many threads, so that only the clock could end it."""
    await gateway.ask(blank())
    options = WorkerOptions(job_timeout_s=1, threads=1000)
    await make_worker(redis, Computing(1.5), options=options).run(burst=True)
    assert (await gateway.reply()).outcome is Outcome.DONE


async def test_engine_that_computes_for_ever_has_hung(redis: Redis, gateway: Gateway) -> None:
    engine = Computing(60)
    await gateway.ask(blank())
    with pytest.raises(OcrEngineStuckError):
        await make_worker(redis, engine, options=WorkerOptions(job_timeout_s=0.1)).run()
    engine.seconds = 0
    assert await pending_jobs(redis) == 1


# Living and leaving


async def test_worker_is_listed_while_it_runs_and_not_after(redis: Redis) -> None:
    worker = make_worker(redis, Canned(), options=SHORT_LEASE)
    running = asyncio.create_task(worker.run())
    await worker.wait_until_announced()
    [record] = await live_workers(redis, KEYS)
    assert (record.consumer, record.engine, record.host) == ("w1", "canned/1", "here")
    worker.stop()
    await running
    assert await live_workers(redis, KEYS) == []
    assert await redis.xinfo_consumers(KEYS.jobs, GROUP) == []


async def test_running_old_worker_does_not_take_the_cache_back_from_a_new_one(redis: Redis) -> None:
    old, new = Canned(), Canned()
    new.revision = "canned/2"
    workers = [make_worker(redis, old, options=SHORT_LEASE), make_worker(redis, new, consumer="w2")]
    tasks = []
    for worker in workers:
        tasks.append(asyncio.create_task(worker.run()))
        await worker.wait_until_announced()
    await announced_again(redis, "w1")
    assert await redis.get(KEYS.engine) == b"canned/2"
    for worker in workers:
        worker.stop()
    await asyncio.gather(*tasks)


async def test_burst_without_redis_says_so() -> None:
    client = connect("unix:///nonexistent/redis.sock")
    with pytest.raises(RedisError):
        await make_worker(client, Canned()).run(burst=True)
    await client.aclose()


# Redis goes away


async def test_result_in_hand_survives_a_restart_of_redis(own_redis: RedisServer) -> None:
    client = connect(own_redis.url)
    engine, gateway = Canned(), Gateway(client)
    engine.gate.clear()
    await gateway.ask(blank())
    worker = make_worker(client, engine)
    running = asyncio.create_task(worker.run())
    await until_entered(engine)
    await own_redis.stop_and_save()
    engine.gate.set()
    own_redis.start()
    reply = await gateway.reply()
    worker.stop()
    await running
    assert reply.outcome is Outcome.DONE
    assert await gateway.producer.depth() == 0
    await client.aclose()


async def test_worker_serves_on_when_redis_comes_back_empty(own_redis: RedisServer) -> None:
    client = connect(own_redis.url)
    gateway = Gateway(client)
    worker = make_worker(client, Canned(), options=SHORT_LEASE)
    running = asyncio.create_task(worker.run())
    await worker.wait_until_announced()
    own_redis.stop()
    own_redis.start()
    await gateway.ask(blank())
    assert (await gateway.reply()).outcome is Outcome.DONE
    await until(lambda: live_workers(client, KEYS))
    assert await client.get(KEYS.engine) == b"canned/1"
    worker.stop()
    await running
    await client.aclose()


# The process


async def start_worker(redis_url: str) -> asyncio.subprocess.Process:
    """Returns when it has loaded its models and logged that it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ocr_worker",
        env={**os.environ, "LLAVA_GRAPH_REDIS_URL": redis_url},
        cwd=REPOSITORY,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    log = b""
    while b'"ready"' not in log:
        line = await process.stderr.readline()
        assert line, log.decode()
        log += line
    return process


async def test_sigterm_finishes_the_job_in_hand(redis: Redis, redis_url: str, gateway: Gateway) -> None:
    process = await start_worker(redis_url)
    await gateway.ask(labelled())
    await until(lambda: pending_jobs(redis))
    process.send_signal(signal.SIGTERM)
    _, log = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, log.decode()
    assert (await gateway.reply()).outcome is Outcome.DONE
    assert await live_workers(redis, KEYS) == []


async def test_check_tells_whether_a_worker_of_this_host_lives(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAVA_GRAPH_REDIS_URL", redis_url)
    process = await start_worker(redis_url)
    await until(lambda: live_workers(redis, KEYS))
    result = await asyncio.to_thread(CliRunner().invoke, main, ["--check"])
    assert (result.exit_code, "1 of 1 OCR worker processes at work" in result.output) == (0, True)
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 30)
    result = await asyncio.to_thread(CliRunner().invoke, main, ["--check"])
    assert (result.exit_code, "is alive" in result.output) == (1, True)


def test_check_without_redis_says_so_and_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVA_GRAPH_REDIS_URL", "redis://user:secret@127.0.0.1:1/0")
    result = CliRunner().invoke(main, ["--check"])
    assert result.exit_code == 1
    assert "cannot tell" in result.output
    assert "secret" not in result.output


def test_setting_out_of_range_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVA_GRAPH_OCR_BATCH_SIZE", "0")
    result = CliRunner().invoke(main, ["--check"])
    assert result.exit_code == 1
    assert "ocr_batch_size" in result.output
