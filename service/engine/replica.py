"""One engine of a model: its client, what is in flight there, whether it is up, and its metrics.

Up is what the health checks and the requests say (service/engine/health.py). An engine that drains finishes what it has
and is given nothing new; so is one that was removed from the engines file. This module chooses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import structlog

from service.engine.client import Engine, Finish, Sampling
from service.engine.dispatch import REASONS, Candidate, Reason
from service.engine.health import Health
from service.errors import ENGINE_CODES, EngineFailure, EngineInterrupted, EngineUnavailable
from service.metrics import Metrics
from service.settings import GatewaySettings

_LEAST_PAUSE_S = 0.2
"""Between two health checks of an engine, however many requests fail there."""

log = structlog.stdlib.get_logger(__name__)


class Replica:
    """An engine of the model `model`, known as `name` in logs and metrics."""

    def __init__(
        self, model: str, name: str, engine: Engine, settings: GatewaySettings, metrics: Metrics, *, drain: bool = False
    ) -> None:
        self.model = model
        self.name = name
        self.engine = engine
        self.identity: str | None = None
        """Name and version, such as `vllm 0.32.0`, as the engine told them when it came up."""
        self._identified = False
        self.in_flight = 0
        self._health = Health(settings.engine_health_rise, settings.engine_health_fall)
        self._interval_s = settings.engine_health_interval_s
        self._deadline_s = settings.engine_health_s
        self._metrics = _ReplicaMetrics(metrics, model, name)
        self._doubted = asyncio.Event()
        self._last_chosen = 0
        self.draining = drain

    @property
    def draining(self) -> bool:
        return self._draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._draining = draining
        self._metrics.draining(draining)

    @property
    def up(self) -> bool:
        return self._health.up

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.name, self.in_flight, self._last_chosen)

    async def check(self) -> None:
        """Returns when the engine answers, or has at least accepted the connection. Raises EngineUnavailable."""
        try:
            await self.engine.check()
        except EngineUnavailable:
            self._note_failure(refused=True)
            self._doubted.set()
            raise

    async def stream(
        self, messages: Sequence[dict[str, object]], sampling: Sampling, request_id: str, *, turn: int, reason: Reason
    ) -> AsyncGenerator[str | Finish]:
        """As Engine.stream, counted here; `turn` is the number of this choice among all of the pool's. The caller has
        to close the generator: until then it is in flight."""
        self._last_chosen = turn
        self._metrics.requests(reason)
        self._set_in_flight(self.in_flight + 1)
        pieces = self.engine.stream(messages, sampling, request_id)
        del messages  # it holds the figure, and answers take long
        try:
            async with aclosing(pieces):
                heard = False
                async for piece in pieces:
                    if not heard:
                        heard = True
                        self._note_success()
                    yield Finish(piece.reason, piece.usage, self.identity) if isinstance(piece, Finish) else piece
        except EngineFailure as failure:
            self._metrics.failed(failure.code)
            if isinstance(failure, EngineUnavailable | EngineInterrupted):
                self._note_failure(refused=isinstance(failure, EngineUnavailable))
                self._doubted.set()
            raise
        finally:
            self._set_in_flight(self.in_flight - 1)

    async def watch(self) -> None:
        """Checks the engine's health at every interval, and sooner when a request failed, until it is cancelled."""
        pause_s = min(_LEAST_PAUSE_S, self._interval_s)
        while True:
            self._doubted.clear()
            await self.check_health()
            await asyncio.sleep(pause_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s - pause_s):
                    await self._doubted.wait()

    async def check_health(self) -> None:
        """Asks the engine once, within the deadline."""
        if await self.engine.answers(self._deadline_s):
            if not self._identified:
                # Once each time it comes up: it may have come up as another version.
                self.identity = await self.engine.identity(self._deadline_s)
                self._identified = True
            self._note_success()
        else:
            self._note_failure()

    def replaced(self) -> None:
        """Notes that a request was taken from this engine before its first token and given to another."""
        self._metrics.replaced()

    def remove(self) -> None:
        """It stands in the engines file no more: what is under way ends there, and its metrics go now, since another
        engine may get its name."""
        self._draining = True
        self._metrics.remove()

    def _set_in_flight(self, in_flight: int) -> None:
        self.in_flight = in_flight
        self._metrics.in_flight(in_flight)

    def _note_success(self) -> None:
        if self._health.succeeded():
            log.info("engine_up", model=self.model, engine=self.name, identity=self.identity)
        self._metrics.up(self.up)

    def _note_failure(self, *, refused: bool = False) -> None:
        if self._health.failed(refused=refused):
            self._identified = False
            log.warning("engine_down", model=self.model, engine=self.name)
        self._metrics.up(self.up)


class _ReplicaMetrics:
    """The gateway's metrics of engines, for one of them. What is noted after `remove` is noted nowhere."""

    def __init__(self, metrics: Metrics, model: str, name: str) -> None:
        self._metrics = metrics
        self._labels = (model, name)
        self._removed = False
        metrics.add_engine(model, name)
        for reason in REASONS:
            metrics.engine_requests.labels(*self._labels, reason)  # a rate needs the zero before the first one
        for code in ENGINE_CODES:
            metrics.engine_failures.labels(*self._labels, code)
        metrics.engine_replaced.labels(*self._labels)
        self.in_flight(0)
        self.up(False)

    def in_flight(self, in_flight: int) -> None:
        if not self._removed:
            self._metrics.engine_in_flight.labels(*self._labels).set(in_flight)

    def up(self, up: bool) -> None:
        if not self._removed:
            self._metrics.engine_up.labels(*self._labels).set(up)

    def draining(self, draining: bool) -> None:
        if not self._removed:
            self._metrics.engine_draining.labels(*self._labels).set(draining)

    def requests(self, reason: Reason) -> None:
        if not self._removed:
            self._metrics.engine_requests.labels(*self._labels, reason).inc()

    def failed(self, code: str) -> None:
        if not self._removed:
            self._metrics.engine_failures.labels(*self._labels, code).inc()

    def replaced(self) -> None:
        if not self._removed:
            self._metrics.engine_replaced.labels(*self._labels).inc()

    def remove(self) -> None:
        self._removed = True
        self._metrics.remove_engine(*self._labels)
