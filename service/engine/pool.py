"""The engines of one model: gives each request to one of them, and to another if that one fails before it has begun.

Which one is service.engine.dispatch's to say; it is asked among the engines that are up and do not drain. Where none is
up, every one that does not drain is tried: what a health check says may be older than the request. Once the answer has
begun nothing is tried again, since the client has its first words: it ends with a retryable error.

A request that brings engines down must not bring all of them down one by one: it is given to so many, and then fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import count

import structlog

from service.engine.client import Finish, Sampling
from service.engine.dispatch import Balance, Reason, choose
from service.engine.replica import Replica
from service.errors import EngineFailure, EngineTimeout, EngineUnavailable, Overloaded

log = structlog.stdlib.get_logger(__name__)


class Pool:
    """One per model. Its engines' health is watched inside `async with pool.watched():`."""

    def __init__(self, replicas: Sequence[Replica], balance: Balance, *, deliveries: int) -> None:
        self.replicas = tuple(replicas)
        self._balance = balance
        self._deliveries = deliveries
        self._turns = count(1)
        self._watches: dict[Replica, asyncio.Task[None]] | None = None

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Watches the health of all engines, also of those that come later."""
        self._watches = {}
        self._watch()
        try:
            yield
        finally:
            watches, self._watches = self._watches, None
            for watch in watches.values():
                watch.cancel()
            await asyncio.gather(*watches.values(), return_exceptions=True)

    def replace(self, replicas: Sequence[Replica]) -> None:
        """These are the engines from now on. What is under way at others ends there."""
        self.replicas = tuple(replicas)
        self._watch()

    async def check(self, figure_id: str | None = None) -> None:
        """Returns when an engine is there that a request about the figure can be given. Raises EngineUnavailable."""
        chosen, _ = self._chosen(figure_id, ())
        try:
            await chosen.check()
        except EngineUnavailable:
            # All at once: each may take as long as a probe may.
            others = [replica.check() for replica in self._open({chosen})]
            found = await asyncio.gather(*others, return_exceptions=True)
            if None not in found:
                raise

    async def stream(
        self,
        messages: Sequence[dict[str, object]],
        sampling: Sampling,
        request_id: str,
        figure_id: str | None = None,
    ) -> AsyncGenerator[str | Finish]:
        """The answer in pieces as they come, then one Finish, as Engine.stream has them. Closing the generator stops
        the generation.

        Raises an EngineFailure, PromptTooLong or Overloaded: what the last engine that was tried said.
        """
        tried: set[Replica] = set()
        delivered = 0
        begun = False
        while True:
            replica, reason = self._chosen(figure_id, tried)
            pieces = replica.stream(messages, sampling, request_id, turn=next(self._turns), reason=reason)
            try:
                async with aclosing(pieces):
                    async for piece in pieces:
                        if not begun:
                            begun = True
                            messages = ()  # they hold the figure, and answers take long
                        yield piece
                return
            except (EngineFailure, Overloaded) as failure:
                # One that was silent until the deadline may still be at it: another would be asked for the same twice.
                if begun or isinstance(failure, EngineTimeout):
                    raise
                tried.add(replica)
                delivered += not isinstance(failure, EngineUnavailable | Overloaded)
                if delivered >= self._deliveries or not self._open(tried):
                    raise
                replica.replaced()
                log.warning("engine_replaced", engine=replica.name, code=failure.code, request_id=request_id)

    def _open(self, tried: Collection[Replica] = ()) -> list[Replica]:
        """The engines that a request may be given."""
        return [replica for replica in self.replicas if not replica.draining and replica not in tried]

    def _chosen(self, figure_id: str | None, tried: Collection[Replica]) -> tuple[Replica, Reason]:
        """Raises EngineUnavailable when there is none to choose."""
        candidates = self._open(tried)
        if not candidates:
            raise EngineUnavailable("No server of this model takes anything new.")
        candidates = [replica for replica in candidates if replica.up] or candidates
        name, reason = choose([replica.candidate for replica in candidates], figure_id, self._balance)
        return next(replica for replica in candidates if replica.name == name), reason

    def _watch(self) -> None:
        """Has exactly the engines of now watched."""
        if self._watches is None:
            return
        for replica in self._watches.keys() - set(self.replicas):
            self._watches.pop(replica).cancel()
        for replica in self.replicas:
            if replica not in self._watches:
                self._watches[replica] = asyncio.create_task(replica.watch(), name=f"engine-health {replica.name}")
