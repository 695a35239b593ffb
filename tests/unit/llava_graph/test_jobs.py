"""The wire format of OCR jobs, and the queue's scripts on a real Redis, seen from the gateway's side."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llava_graph.jobs import (
    JOB_GRACE_MS,
    Job,
    JobProducer,
    Keys,
    Outcome,
    QueueAnswer,
    Reply,
    WireError,
    WorkerRecord,
    connect,
    live_workers,
    now_ms,
)
from llava_graph.ocr import Line

KEYS = Keys()
PNG = b"\x89PNG, as far as the queue cares"


WAIT_MS = 10_000


def job() -> Job:
    return Job("job-1", "fig", deadline_ms=1_800_000_010_000, enqueued_at_ms=1_800_000_000_000, request_id="req")


async def submit(producer: JobProducer, figure_id: str = "fig", *, job_id: str = "job-1") -> QueueAnswer:
    return (await producer.submit(figure_id, PNG, job_id=job_id, wait_ms=WAIT_MS)).admission


def as_stream_fields(job: Job) -> dict[bytes, bytes]:
    return {key.encode(): value.encode() for key, value in job.to_fields().items()}


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
coordinates = st.floats(0, 10_000).map(lambda v: round(v, 1))


@given(
    job_id=text,
    figure_id=text,
    deadline=st.integers(0, 2**53),
    enqueued=st.integers(0, 2**53),
    request_id=text,
    traceparent=st.just("") | text,
)
def test_job_comes_back_from_the_stream_as_it_was(
    job_id: str, figure_id: str, deadline: int, enqueued: int, request_id: str, traceparent: str
) -> None:
    sent = Job(job_id, figure_id, deadline, enqueued, request_id, traceparent)
    assert Job.from_fields(as_stream_fields(sent)) == sent


@given(
    figure_id=text,
    outcome=st.sampled_from(Outcome),
    lines=st.lists(
        st.builds(
            Line,
            text,
            st.tuples(coordinates, coordinates, coordinates, coordinates),
            st.floats(0, 1).map(lambda v: round(v, 4)),
        ),
        max_size=5,
    ).map(tuple),
    reason=text,
)
def test_reply_comes_back_from_json_as_it_was(
    figure_id: str, outcome: Outcome, lines: tuple[Line, ...], reason: str
) -> None:
    sent = Reply(figure_id, outcome, lines, engine="e", run_ms=12.5, reason=reason)
    assert Reply.from_json(sent.to_json()) == sent


def test_fields_of_a_newer_version_are_ignored() -> None:
    fields = {**as_stream_fields(job()), b"traceparent": b"00-ab-cd-01"}
    assert Job.from_fields(fields).figure_id == "fig"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({b"v": b"2"}, "wire version"),
        ({b"job_id": b""}, "empty"),
        ({b"figure_id": b"\xff"}, "UTF-8"),
        ({b"deadline_ms": b"soon"}, "bad number"),
    ],
)
def test_job_that_cannot_be_read_says_why(change: dict[bytes, bytes], words: str) -> None:
    with pytest.raises(WireError, match=words):
        Job.from_fields({**as_stream_fields(job()), **change})


def test_job_without_a_field_names_the_field() -> None:
    fields = as_stream_fields(job())
    del fields[b"deadline_ms"]
    with pytest.raises(WireError, match="deadline_ms"):
        Job.from_fields(fields)


@given(
    st.binary(max_size=200) | st.sampled_from([b"[]", b"{}", b"null", b'{"v":1}', b'{"v":9}', b'{"v":1,"lines":[{}]}'])
)
def test_bytes_that_are_no_reply_are_a_wire_error(raw: bytes) -> None:
    with pytest.raises(WireError):
        Reply.from_json(raw)


@given(st.binary(max_size=200) | st.sampled_from([b"[]", b"{}", b"null", b'{"consumer":"c"}']))
def test_bytes_that_are_no_worker_record_are_a_wire_error(raw: bytes) -> None:
    with pytest.raises(WireError):
        WorkerRecord.from_json(raw)


async def test_figure_that_nobody_knows_is_submitted_once_however_many_ask(redis: Redis) -> None:
    gateways = [JobProducer(redis, KEYS, f"gw-{i}") for i in range(3)]
    looked_up = [(await gateway.look_up("fig", WAIT_MS)).admission for gateway in gateways]
    assert looked_up == [QueueAnswer.UNKNOWN] * 3
    submitted = await asyncio.gather(*(submit(gateway, job_id=f"job-{i}") for i, gateway in enumerate(gateways)))
    assert sorted(submitted) == ["joined", "joined", "queued"]
    assert await gateways[0].depth() == 1
    assert await redis.scard(KEYS.waiters("fig")) == 3


async def test_job_travels_with_its_times_by_the_clock_of_redis(redis: Redis) -> None:
    await JobProducer(redis, KEYS, "gw").submit("fig", PNG, job_id="job-1", wait_ms=1234, request_id="req")
    entries: Any = await redis.xrange(KEYS.jobs)
    [(entry_id, fields)] = entries
    sent = Job.from_fields(fields)
    assert (sent.job_id, sent.figure_id, sent.request_id) == ("job-1", "fig", "req")
    assert 0 <= int(entry_id.split(b"-")[0]) - sent.enqueued_at_ms < 1000, "Redis names entries after its clock, too"
    assert sent.deadline_ms - sent.enqueued_at_ms == 1234


async def test_submission_repeated_after_a_broken_connection_joins_its_own_job(redis: Redis) -> None:
    gateway = JobProducer(redis, KEYS, "gw")
    assert [await submit(gateway), await submit(gateway)] == [QueueAnswer.QUEUED, QueueAnswer.JOINED]


async def test_look_up_of_a_figure_under_way_joins_and_keeps_the_latest_deadline(redis: Redis) -> None:
    first, patient, hasty = (JobProducer(redis, KEYS, name) for name in ("first", "patient", "hasty"))
    await submit(first)
    before = int(await redis.hget(KEYS.pending("fig"), "deadline_ms") or 0)
    assert (await patient.look_up("fig", WAIT_MS + 60_000)).admission is QueueAnswer.JOINED
    latest = int(await redis.hget(KEYS.pending("fig"), "deadline_ms") or 0)
    assert (await hasty.look_up("fig", 10)).admission is QueueAnswer.JOINED
    assert latest >= before + 60_000
    assert await redis.hget(KEYS.pending("fig"), "deadline_ms") == str(latest).encode()
    for key in (KEYS.pending("fig"), KEYS.image("fig"), KEYS.waiters("fig")):
        assert await redis.pttl(key) > JOB_GRACE_MS + 60_000


async def test_full_queue_says_so_and_keeps_nothing(redis: Redis) -> None:
    gateway = JobProducer(redis, KEYS, "gw", max_depth=2)
    for name in ("a", "b"):
        assert await submit(gateway, name, job_id=name) is QueueAnswer.QUEUED
    await gateway.look_up("c", WAIT_MS)
    assert await submit(gateway, "c", job_id="c") is QueueAnswer.FULL
    assert await gateway.depth() == 2
    assert await redis.exists(KEYS.image("c"), KEYS.pending("c"), KEYS.waiters("c")) == 0


async def test_figure_under_way_is_joined_even_when_the_queue_is_full(redis: Redis) -> None:
    gateway, other = (JobProducer(redis, KEYS, name, max_depth=1) for name in ("gw", "other"))
    await submit(gateway)
    assert await submit(other, job_id="job-2") is QueueAnswer.JOINED


async def test_stored_result_of_the_current_engine_is_answered_at_once(redis: Redis) -> None:
    gateway = JobProducer(redis, KEYS, "gw")
    known = Reply("fig", Outcome.DONE, (Line("Vodikar", (1.0, 2.0, 3.0, 4.0)),), engine="rapid/1")
    await redis.set(KEYS.engine, "rapid/1")
    await redis.set(KEYS.result("rapid/1", "fig"), known.to_json())
    submitted = await gateway.submit("fig", PNG, job_id="job-1", wait_ms=WAIT_MS)
    for asked in (await gateway.look_up("fig", WAIT_MS), submitted):
        assert asked.admission is QueueAnswer.CACHED
        assert asked.reply == known
    assert await gateway.depth() == 0
    assert not await redis.exists(KEYS.waiters("fig"))


async def test_result_of_another_engine_is_not_served(redis: Redis) -> None:
    gateway = JobProducer(redis, KEYS, "gw")
    await redis.set(KEYS.engine, "rapid/2")
    await redis.set(KEYS.result("rapid/1", "fig"), Reply("fig", Outcome.DONE).to_json())
    assert (await gateway.look_up("fig", WAIT_MS)).admission is QueueAnswer.UNKNOWN


async def test_peek_sees_how_a_figure_stands_and_is_told_nothing_later(redis: Redis) -> None:
    gateway, onlooker = (JobProducer(redis, KEYS, name) for name in ("gw", "onlooker"))
    assert (await onlooker.peek("fig")).admission is QueueAnswer.UNKNOWN
    await submit(gateway)
    assert (await onlooker.peek("fig")).admission is QueueAnswer.PENDING
    assert await redis.smembers(KEYS.waiters("fig")) == {KEYS.replies("gw").encode()}
    known = Reply("fig", Outcome.DONE, (Line("Vodikar", (1.0, 2.0, 3.0, 4.0)),), engine="rapid/1")
    await redis.set(KEYS.engine, "rapid/1")
    await redis.set(KEYS.result("rapid/1", "fig"), known.to_json())
    assert (await onlooker.peek("fig")).reply == known


async def test_replies_come_in_order_and_none_is_an_empty_list(redis: Redis) -> None:
    gateway = JobProducer(redis, KEYS, "gw")
    assert await gateway.replies(block_s=0.01) == []
    sent = [Reply(f"fig-{i}", Outcome.EXPIRED).to_json() for i in range(5)]
    await redis.rpush(KEYS.replies("gw"), *sent)
    assert await gateway.replies(most=3) == sent[:3]
    assert await gateway.replies(most=1) == sent[3:4]
    assert await gateway.replies() == sent[4:]


def test_worker_record_comes_back_as_it_was_and_an_older_ones_says_less() -> None:
    record = WorkerRecord("w1", "rapid/1", "host", 5, "pool", 2, 7, 9)
    assert WorkerRecord.from_json(record.to_json()) == record
    older = b'{"consumer":"w1","engine":"rapid/1","host":"host","started_at_ms":5}'
    assert WorkerRecord.from_json(older) == WorkerRecord("w1", "rapid/1", "host", 5)


async def test_only_workers_that_renew_their_record_are_live(redis: Redis) -> None:
    record = WorkerRecord("w1", "rapid/1", "host", now_ms())
    assert await live_workers(redis, KEYS) == []
    await redis.sadd(KEYS.workers, "w1", "w2")
    await redis.set(KEYS.worker("w1"), record.to_json())
    assert await live_workers(redis, KEYS) == [record]


async def test_prefix_keeps_two_installations_apart(redis: Redis) -> None:
    ours, theirs = JobProducer(redis, Keys("a:"), "gw"), JobProducer(redis, Keys("b:"), "gw")
    await submit(ours)
    assert (await theirs.look_up("fig", WAIT_MS)).admission is QueueAnswer.UNKNOWN
    keys: Any = await redis.keys()
    assert all(key.startswith((b"a:", b"b:")) for key in keys)


async def test_redis_that_is_not_there_is_an_error_and_not_a_wait() -> None:
    client = connect("unix:///nonexistent/redis.sock")
    with pytest.raises(RedisError):
        await JobProducer(client, KEYS, "gw").look_up("fig", WAIT_MS)
    await client.aclose()
