"""The worker's side of the queue in Redis: taking jobs, keeping them, ending them.

The gateway's side, the keys and the wire format are in `llava_graph.jobs`. A worker holds a job by a lease: the entry's
idle time in the consumer group, which `renew` sets back while the worker lives. A job whose lease has run out belongs
to whoever claims it first, so a dead worker's jobs wait for one lease and no longer, however long a job may take.

Every method raises `redis.exceptions.RedisError` when Redis cannot be reached or refuses. This module knows no OCR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from llava_graph.jobs import (
    GROUP,
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
    """A job in this worker's hands. `deliveries` counts this time too."""

    entry_id: bytes
    job: Job
    deliveries: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stream entry that is no job of this version."""

    entry_id: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Load:
    """What lies in Redis for a job at the moment it is taken."""

    image: bytes | None
    """PNG; None when it outlived its time."""
    deadline_ms: int
    """The latest of all askers."""
    known: bytes | None
    """A `Reply` that is stored already: another worker finished the figure meanwhile."""


@dataclass(frozen=True, slots=True)
class Settled:
    ours: bool
    """False when somebody else had settled the job before."""
    told: int
    """Gateways that were waiting."""


class Inbox:
    """One consumer of the group. The Redis client is handed in and stays the caller's."""

    def __init__(
        self, redis: Redis, keys: Keys, consumer: str, *, lease_ms: int, result_ttl_ms: int, failure_ttl_ms: int
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._consumer = consumer
        self._lease_ms = lease_ms
        self._result_ttl_ms = result_ttl_ms
        self._failure_ttl_ms = failure_ttl_ms
        self._settle = redis.register_script(SETTLE)
        self._renew = redis.register_script(_RENEW)
        self._leave = redis.register_script(_LEAVE)

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

    async def take_back(self, most: int) -> list[Delivery | Unreadable]:
        """Jobs that Redis holds for this consumer: handed out on a connection that broke before they arrived here."""
        return await self._counted(_entries(await self._read("0", most, None)))

    async def take_over(self, most: int) -> list[Delivery | Unreadable]:
        """Jobs whose lease has run out, whoever held them."""
        _cursor, entries, *_ = await self._redis.xautoclaim(
            self._keys.jobs, GROUP, self._consumer, self._lease_ms, "0-0", count=most
        )
        # Redis 6 gives an empty place for an entry that somebody deleted by hand; `take_back` gets its id.
        return await self._counted([entry for entry in entries if entry[0] is not None])

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
        answers: Any = await pipeline.execute()
        loads = []
        for job, (image, known), latest in zip(jobs, answers[0::2], answers[1::2], strict=True):
            loads.append(Load(image, max(job.deadline_ms, int(latest or 0)), known))
        return loads

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
                *(part for pair in letter.items() for part in pair),
            ],
        )
        return Settled(bool(ours), int(told))

    async def discard(self, entry: Unreadable) -> None:
        """Ends an entry that is no job: a dead letter, and nobody to tell, for who waits stands in the job."""
        pipeline = self._redis.pipeline(transaction=True)
        letter: Any = {**self._letter(entry.reason, 1), "entry_id": entry.entry_id}
        pipeline.xadd(self._keys.dead, letter, maxlen=MAX_DEAD_LETTERS, approximate=True)
        pipeline.xack(self._keys.jobs, GROUP, entry.entry_id)
        pipeline.xdel(self._keys.jobs, entry.entry_id)
        await pipeline.execute()

    async def announce(self, record: WorkerRecord, *, first: bool) -> int:
        """Says that this worker lives, for one lease; returns the queue depth.

        The first time its engine becomes the one whose cached results are served; later only where there is none (Redis
        lost its data), so that in an upgrade the old workers do not take the place of the new.
        """
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(self._keys.worker(record.consumer), record.to_json(), px=self._lease_ms)
        pipeline.sadd(self._keys.workers, record.consumer)
        pipeline.set(self._keys.engine, record.engine, nx=not first)
        pipeline.xlen(self._keys.jobs)
        answers: Any = await pipeline.execute()
        return int(answers[-1])

    async def leave(self) -> None:
        """Takes this consumer off the list of workers, and out of the group unless Redis still holds jobs for it."""
        await self._redis.delete(self._keys.worker(self._consumer))
        await self._redis.srem(self._keys.workers, self._consumer)
        await self._leave(keys=[self._keys.jobs], args=[GROUP, self._consumer])

    async def _read(self, start: str, most: int, block_ms: int | None) -> Any:
        return await self._redis.xreadgroup(GROUP, self._consumer, {self._keys.jobs: start}, count=most, block=block_ms)

    def _first_deliveries(self, answer: Any) -> list[Delivery | Unreadable]:
        return [_delivery(entry_id, fields, 1) for entry_id, fields in _entries(answer)]

    async def _counted(self, entries: Sequence[tuple[bytes, dict[bytes, bytes] | None]]) -> list[Delivery | Unreadable]:
        """With the delivery counts that the group keeps."""
        if not entries:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        for entry_id, _ in entries:
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


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes] | None]]:
    """The entries in an answer to XREADGROUP on one stream."""
    return [entry for _stream, entries in answer or () for entry in entries]


def _delivery(entry_id: bytes, fields: dict[bytes, bytes] | None, deliveries: int) -> Delivery | Unreadable:
    if not fields:
        return Unreadable(entry_id, "the entry was deleted from the stream while it was pending")
    try:
        return Delivery(entry_id, Job.from_fields(fields), deliveries)
    except WireError as error:
        return Unreadable(entry_id, str(error))
