"""The slots of a gateway: how many answers are made at once and how many may wait, fair between callers.

    check         is there a slot for a request of this caller?
    slot          one of those that are made or wait
    engine_slot   one of those that are made; waited for, in turns between callers, for a bounded time

One caller may have all answers that are made and half of the waiting slots, and callers take turns at the engine: one
with a hundred waiting answers delays the next caller's answer by one.

A gateway of several processes has its slots in their parent (service/process/shared_slots.py). This module knows
nothing of HTTP and counts nothing for Prometheus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from service.errors import Overloaded
from service.settings import GatewaySettings
from service.turns import Turns


class Slots(Protocol):
    """Slots here or in another process. All of it raises Overloaded where there is none."""

    async def check(self, caller: str) -> None: ...

    def slot(self, caller: str) -> AbstractAsyncContextManager[None]: ...

    def engine_slot(self, caller: str) -> AbstractAsyncContextManager[None]: ...


class OwnSlots:
    """Slots of this process. `running` answers are made at once, `waiting` more may wait, each for `wait_s` at most."""

    def __init__(self, *, running: int, waiting: int, wait_s: float) -> None:
        self._most = running + waiting
        self._most_of_one = running + -(-waiting // 2)
        # The slots bound how many wait, so the queue's own bounds are set where they are never reached.
        self._turns = Turns("answered", places=running, waiting=2 * self._most, waiting_bytes=0, wait_s=wait_s)
        self._admitted = 0
        self._by_caller: Counter[str] = Counter()

    @classmethod
    def of(cls, settings: GatewaySettings) -> OwnSlots:
        return cls(running=settings.max_answers, waiting=settings.max_waiting_answers, wait_s=settings.answer_wait_s)

    async def check(self, caller: str) -> None:
        """Raises Overloaded when there is no free slot for the caller now."""
        self._check(caller)

    @asynccontextmanager
    async def slot(self, caller: str) -> AsyncIterator[None]:
        """Holds a slot for one request. Raises Overloaded when none is free."""
        self._check(caller)
        self._admitted += 1
        self._by_caller[caller] += 1
        try:
            yield
        finally:
            self._admitted -= 1
            self._by_caller[caller] -= 1
            if not self._by_caller[caller]:
                del self._by_caller[caller]

    @asynccontextmanager
    async def engine_slot(self, caller: str) -> AsyncIterator[None]:
        """Waits for one of the concurrent answers and holds it. Raises Overloaded after too long a wait."""
        async with self._turns.turn(caller, 0):
            yield

    def _check(self, caller: str) -> None:
        of_caller = self._by_caller[caller]
        if self._admitted >= self._most or of_caller >= self._most_of_one:
            raise Overloaded(f"{self._admitted} answers are being made or wait for it, {of_caller} of them yours.")
