"""Health check (`llava-graph ocr-worker --check`): reads from Redis which of this host's worker processes work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from llava_graph.jobs import Keys, WorkerRecord, live_workers, now_ms


@dataclass(frozen=True, slots=True)
class Health:
    """The worker processes of one host that renewed their announcement lately."""

    working: Sequence[WorkerRecord]
    stuck: Sequence[WorkerRecord]
    """Alive, but in one step for longer than any step may take."""
    wanted: int
    """How many there are to be, by what their parents say."""

    @property
    def ok(self) -> bool:
        return bool(self.working)

    def in_words(self, host: str) -> str:
        stuck = f", {len(self.stuck)} stuck" if self.stuck else ""
        engines = ", ".join(sorted({worker.engine for worker in self.working}))
        return f"{host}: {len(self.working)} of {self.wanted} OCR worker processes at work{stuck} {engines}".rstrip()


async def health_of(redis: Redis, keys: Keys, host: str) -> Health:
    """Raises RedisError when Redis cannot be reached, WireError when a worker's record cannot be read."""
    found = [worker for worker in await live_workers(redis, keys) if worker.host == host]
    return judge(found, now_ms())


def judge(found: Sequence[WorkerRecord], at_ms: int) -> Health:
    """Who of a host's announced workers works, at a time of that host's clock."""
    stuck = [worker for worker in found if _is_stuck(worker, at_ms)]
    pools = {worker.pool: worker.processes for worker in found}
    return Health([worker for worker in found if worker not in stuck], stuck, sum(pools.values()))


def _is_stuck(worker: WorkerRecord, at_ms: int) -> bool:
    return 0 < worker.progress_within_ms < at_ms - worker.progress_at_ms
