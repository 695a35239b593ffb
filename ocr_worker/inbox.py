"""The worker's side of the job queue in Redis: claims jobs, renews their leases, settles them.

The gateway's side, the keys and the wire format are in `llava_graph.jobs`. A worker holds a job by a lease: the entry's
idle time in the consumer group, which `renew` sets back while the worker lives. A job whose lease has run out belongs
to the first worker that claims it, so a dead worker's jobs wait for at most one lease, however long a job may take;
and for less where its parent reports it dead (`surrender`).

Jobs that were handed out before are handed out one at a time. One of them may have killed the worker that held them
all; handed out alone, it can take no other job with it.

Every method raises `redis.exceptions.RedisError` when Redis cannot be reached or refuses. This module knows no OCR.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from llava_graph.jobs import (
    DISCARD,
    GROUP,
    JOBS_AT_A_TURN,
    MAX_DEAD_LETTERS,
    MAX_REPLIES,
    REPLIES_TTL_MS,
    SETTLE,
    Job,
    Keys,
    Outcome,
    Reply,
    WireError,
    WorkerRecord,
    now_ms,
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A job that this worker holds. `deliveries` counts this delivery too."""

    entry_id: bytes
    job: Job
    deliveries: int
    taken_at_ns: int = field(default_factory=time.time_ns)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stream entry that is no job of this version."""

    entry_id: bytes
    reason: str
    caller: str = ""
    image_bytes: int = 0
    """As far as its fields tell, so that it is counted no longer."""


@dataclass(frozen=True, slots=True)
class Load:
    """What Redis holds for a job when it is taken."""

    image: bytes | None
    """PNG; None when it outlived its time."""
    deadline_ms: int
    """The latest of all askers."""
    known: bytes | None
    """A `Reply` that is stored already: another worker finished the figure meanwhile."""
    now_ms: int
    """Redis's clock, by which the job's times are."""


@dataclass(frozen=True, slots=True)
class Settled:
    ours: bool
    """False when another worker had settled the job before."""
    told: int
    """Gateways that were waiting."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The state of the queue, for all workers together."""

    depth: int
    """Jobs waiting and in hand."""
    in_hand: int
    """Jobs that workers hold, dead ones included."""
    oldest_age_s: float
    """Since the submission of the oldest job that has not ended; 0 without jobs."""
    workers: int
    """Worker processes, ourselves included."""
    waiting: int = 0
    """Jobs in their callers' own lists: no worker can take them yet."""

    def fair_share(self) -> int:
        """How many of the jobs that no worker holds one worker may take without leaving another idle."""
        return -(-max(self.depth - self.in_hand, 0) // max(self.workers, 1))


class Inbox:
    """One consumer of the group. The Redis client is handed in and stays the caller's."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        consumer: str,
        *,
        lease_ms: int,
        result_ttl_ms: int,
        failure_ttl_ms: int,
        max_text_bytes: int,
        jobs_at_a_turn: int,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._consumer = consumer
        self._lease_ms = lease_ms
        self._result_ttl_ms = result_ttl_ms
        self._failure_ttl_ms = failure_ttl_ms
        self._max_text_bytes = max_text_bytes
        self._jobs_at_a_turn = jobs_at_a_turn
        self._settle = redis.register_script(SETTLE)
        self._discard = redis.register_script(DISCARD)
        self._renew = redis.register_script(_RENEW)
        self._leave = redis.register_script(_LEAVE)
        self._bury = redis.register_script(_BURY)

    async def open(self) -> None:
        """Makes stream and group where they are missing: at first start, and after Redis has lost its data."""
        try:
            await self._redis.xgroup_create(self._keys.jobs, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def take(self, most: int, *, block_ms: int | None) -> list[Delivery | Unreadable]:
        """New jobs, at most `most`; waits up to `block_ms` for the first, None does not wait."""
        return self._first_deliveries(await self._read(">", most, block_ms))

    async def take_back(self) -> list[Delivery | Unreadable]:
        """A job that Redis holds for this consumer, because the connection that handed it out broke; none is empty."""
        return await self._counted(_entries(await self._read("0", 1, None)))

    async def take_over(self) -> list[Delivery | Unreadable]:
        """A job whose lease has run out, of any holder; none is empty."""
        # Not XAUTOCLAIM: it looks at ten entries and hands back a cursor, this looks through all of them at once.
        idle: Any = await self._redis.xpending_range(self._keys.jobs, GROUP, "-", "+", 1, idle=self._lease_ms)
        if not idle:
            return []
        entry_id: bytes = idle[0]["message_id"]
        claimed: Any = await self._redis.xclaim(self._keys.jobs, GROUP, self._consumer, self._lease_ms, [entry_id])
        if claimed == [(None, None)]:  # deleted by hand; Redis 6 books it on us all the same
            return [Unreadable(entry_id, _DELETED)]
        return await self._counted(claimed)

    async def queue(self) -> Queue:
        """The state of the queue, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        self._ask_queue(pipeline)
        return _queue(await pipeline.execute())

    async def dead_letter_undeliverable(self) -> int:
        """Takes workers that gave no sign for a lease off the list, and those that hold no jobs any more out of the
        group; returns how many left the group."""
        keys = self._keys
        return int(await self._bury(keys=[keys.jobs, keys.workers], args=[GROUP, keys.worker(""), self._lease_ms]))

    async def renew(self, entry_ids: Sequence[bytes]) -> None:
        """Starts the leases of these entries anew; those that were taken over meanwhile stay with their new holder."""
        if entry_ids:
            await self._renew(keys=[self._keys.jobs], args=[GROUP, self._consumer, *entry_ids])

    async def load(self, jobs: Sequence[Job], engine: str) -> list[Load]:
        """Image, deadline and known result of each job, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for job in jobs:
            pipeline.mget(self._keys.image(job.figure_id), self._keys.result(engine, job.figure_id))
            pipeline.hget(self._keys.pending(job.figure_id), "deadline_ms")
        pipeline.time()
        *answers, (seconds, microseconds) = await pipeline.execute()
        now = seconds * 1000 + microseconds // 1000
        return [
            Load(image, max(job.deadline_ms, int(latest or 0)), known, now)
            for job, (image, known), latest in zip(jobs, answers[0::2], answers[1::2], strict=True)
        ]

    async def settle(self, delivery: Delivery, reply: Reply, engine: str, dead: bool) -> Settled:
        """Ends a job: keeps the reply, tells those who wait, and only then acknowledges. All or nothing.

        A result is kept for the result TTL, a failure for the failure TTL (so that a figure that kills workers is not
        tried again at once), an expiry not at all. `dead` adds a dead letter. Safe to repeat after a broken connection.
        """
        job, keys = delivery.job, self._keys
        keep_ms = {
            Outcome.DONE: self._result_ttl_ms,
            Outcome.FAILED: self._failure_ttl_ms,
            Outcome.EXPIRED: 0,
        }[reply.outcome]
        letter = {**job.to_fields(), **self._letter(reply.reason, delivery.deliveries)} if dead else {}
        ours, told = await self._settle(
            keys=[
                keys.jobs,
                keys.pending(job.figure_id),
                keys.image(job.figure_id),
                keys.waiters(job.figure_id),
                keys.result(engine, job.figure_id),
                keys.dead,
                keys.load,
                keys.backlog(job.caller),
                keys.workers,
                keys.turn,
                keys.texts,
                keys.text_sizes,
            ],
            args=[
                GROUP,
                delivery.entry_id,
                job.job_id,
                reply.outcome.value,
                reply.to_json(),
                keep_ms,
                REPLIES_TTL_MS,
                MAX_REPLIES,
                MAX_DEAD_LETTERS,
                job.caller,
                job.image_bytes,
                JOBS_AT_A_TURN,
                self._max_text_bytes,
                *(part for pair in letter.items() for part in pair),
            ],
        )
        return Settled(bool(ours), int(told))

    async def discard(self, entry: Unreadable) -> None:
        """Ends an entry that is no job with a dead letter. No gateway is told: the waiters are named in the job."""
        keys = self._keys
        letter: Any = {**self._letter(entry.reason, 1), "entry_id": entry.entry_id}
        await self._discard(
            keys=[keys.jobs, keys.dead, keys.load, keys.backlog(entry.caller), keys.workers, keys.turn],
            args=[
                GROUP,
                entry.entry_id,
                MAX_DEAD_LETTERS,
                entry.caller,
                entry.image_bytes,
                JOBS_AT_A_TURN,
                *(part for pair in letter.items() for part in pair),
            ],
        )

    async def announce(self, record: WorkerRecord, *, first: bool) -> Queue:
        """Announces this worker for one lease; returns the state of the queue.

        The first time its engine becomes the one whose cached results are served; later only where there is none (Redis
        lost its data), so that in an upgrade the old workers do not take the place of the new.
        """
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(self._keys.worker(record.consumer), record.to_json(), px=self._lease_ms)
        pipeline.sadd(self._keys.workers, record.consumer)
        pipeline.set(self._keys.engine, record.engine, nx=not first)
        pipeline.set(self._keys.turn, self._jobs_at_a_turn, nx=not first)
        self._ask_queue(pipeline)
        return _queue((await pipeline.execute())[4:])

    async def leave(self) -> None:
        """Takes this consumer off the list of workers, and out of the group unless Redis still holds jobs for it."""
        await self._redis.delete(self._keys.worker(self._consumer))
        await self._redis.srem(self._keys.workers, self._consumer)
        await self._leave(keys=[self._keys.jobs], args=[GROUP, self._consumer])

    async def _read(self, start: str, most: int, block_ms: int | None) -> Any:
        return await self._redis.xreadgroup(GROUP, self._consumer, {self._keys.jobs: start}, count=most, block=block_ms)

    def _ask_queue(self, pipeline: Any) -> None:
        pipeline.xlen(self._keys.jobs)
        pipeline.xpending(self._keys.jobs, GROUP)
        pipeline.xrange(self._keys.jobs, count=1)
        pipeline.time()
        pipeline.scard(self._keys.workers)
        pipeline.hget(self._keys.load, "waiting")

    def _first_deliveries(self, answer: Any) -> list[Delivery | Unreadable]:
        return [_delivery(entry_id, fields, 1) for entry_id, fields in _entries(answer)]

    async def _counted(self, entries: Sequence[tuple[bytes, dict[bytes, bytes] | None]]) -> list[Delivery | Unreadable]:
        """With the delivery counts that the group keeps."""
        if not entries:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        for entry_id, _fields in entries:
            pipeline.xpending_range(self._keys.jobs, GROUP, entry_id, entry_id, 1)
        answers: Any = await pipeline.execute()
        return [
            _delivery(entry_id, fields, pending[0]["times_delivered"])
            for (entry_id, fields), pending in zip(entries, answers, strict=True)
            if pending  # else settled by its former holder since we looked
        ]

    def _letter(self, reason: str, deliveries: int) -> dict[str, str]:
        return {
            "reason": reason,
            "deliveries": str(deliveries),
            "consumer": self._consumer,
            "died_at_ms": str(now_ms()),
        }


# Claiming from oneself sets the idle time to 0; JUSTID leaves the delivery count alone.
_RENEW = """
for i = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  end
end
"""

# A consumer's pending entries go with it when it is deleted, so it goes only when it has none.
_LEAVE = """
for _, consumer in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1])[4] or {}) do
  if consumer[1] == ARGV[2] then return 0 end
end
return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
"""

# KEYS: jobs, workers. ARGV: group, what liveness keys begin with, lease_ms.
# A removed worker that is alive comes back by itself: its next sign lists it, its next read joins the group.
_BURY = """
for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if redis.call('EXISTS', ARGV[2] .. name) == 0 then redis.call('SREM', KEYS[2], name) end
end
local left = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local name, pending, idle_ms = consumer[2], consumer[4], consumer[6]
  if pending == 0 and idle_ms > tonumber(ARGV[3]) and redis.call('EXISTS', ARGV[2] .. name) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
    left = left + 1
  end
end
return left
"""

# Lets the leases of a dead worker run out now: IDLE sets the idle time, JUSTID leaves the delivery count alone.
# KEYS: jobs, workers, liveness. ARGV: group, consumer, most jobs, idle_ms.
_SURRENDER = """
redis.call('DEL', KEYS[3])
redis.call('SREM', KEYS[2], ARGV[2])
local held = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[3], ARGV[2])
for _, entry in ipairs(held) do
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry[1], 'IDLE', ARGV[4], 'JUSTID')
end
if #held == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end
return #held
"""

_MOST_IN_HAND = 1_000
_LONG_AGO_MS = 86_400_000  # longer than any lease
_DELETED = "the entry was deleted from the stream while it was pending"


async def surrender(redis: Redis, keys: Keys, consumer: str) -> int:
    """Declares a worker dead and releases its jobs; returns how many it held.

    Only for a parent that has seen the process end. Raises RedisError.
    """
    return int(
        await redis.register_script(_SURRENDER)(
            keys=[keys.jobs, keys.workers, keys.worker(consumer)],
            args=[GROUP, consumer, _MOST_IN_HAND, _LONG_AGO_MS],
        )
    )


def _queue(answers: Sequence[Any]) -> Queue:
    depth, pending, first, (seconds, microseconds), workers, waiting = answers
    age_ms = seconds * 1000 + microseconds // 1000 - int(first[0][0].split(b"-")[0]) if first else 0
    return Queue(int(depth), int(pending["pending"]), max(age_ms, 0) / 1000, int(workers), int(waiting or 0))


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes] | None]]:
    """The entries in an answer to XREADGROUP on one stream."""
    return [entry for _stream, entries in answer or () for entry in entries]


def _delivery(entry_id: bytes, fields: dict[bytes, bytes] | None, deliveries: int) -> Delivery | Unreadable:
    if not fields:
        return Unreadable(entry_id, _DELETED)
    try:
        return Delivery(entry_id, Job.from_fields(fields), deliveries)
    except WireError as error:
        caller, image_bytes = (fields.get(name, b"").decode("utf-8", "replace") for name in (b"caller", b"image_bytes"))
        return Unreadable(entry_id, str(error), caller, int(image_bytes) if image_bytes.isdecimal() else 0)
