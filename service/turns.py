"""A semaphore that is fair between callers: waiting requests are served round-robin by caller, not by request.

A caller with a hundred requests does not delay the next caller's first request by a hundred, but by one. The queue is
bounded in number, bytes and waiting time, and one caller may fill half of either bound.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.errors import Overloaded


@dataclass(eq=False, slots=True)
class _Waiting:
    turn: asyncio.Future[None]
    size_bytes: int


class Turns:
    """Admits `places` requests at a time. For one event loop."""

    def __init__(self, what: str, *, places: int, waiting: int, waiting_bytes: int, wait_s: float) -> None:
        """`what` names the work in errors; `wait_s` is the longest wait of one request."""
        self._what = what
        self._free = places
        self._most = waiting
        self._most_bytes = waiting_bytes
        self._wait_s = wait_s
        self._bytes = 0
        self._count = 0
        self._by_caller: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        """Waiting requests by caller; the next caller to be served stands first."""

    @asynccontextmanager
    async def turn(self, caller: str, size_bytes: int) -> AsyncIterator[None]:
        """Holds a place while the block lasts. Raises Overloaded when the queue is full, or the wait takes too long."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(caller, size_bytes)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, caller: str, size_bytes: int) -> None:
        mine = self._by_caller.get(caller, ())
        if (
            self._count >= self._most
            or self._bytes + size_bytes > self._most_bytes
            or len(mine) >= -(-self._most // 2)
            or sum(waiting.size_bytes for waiting in mine) + size_bytes > -(-self._most_bytes // 2)
        ):
            raise Overloaded(f"Too much waits to be {self._what}.")
        waiting = _Waiting(asyncio.get_running_loop().create_future(), size_bytes)
        self._by_caller.setdefault(caller, deque()).append(waiting)
        self._count += 1
        self._bytes += size_bytes
        try:
            async with asyncio.timeout(self._wait_s):
                await waiting.turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiting.turn.done() and not waiting.turn.cancelled():
                self._pass_on()  # it came in the same moment
            else:
                self._leave(caller, waiting)
            if isinstance(error, TimeoutError):
                raise Overloaded(f"It took longer than {self._wait_s:g} s until it could be {self._what}.") from error
            raise

    def _leave(self, caller: str, waiting: _Waiting) -> None:
        queue = self._by_caller.get(caller, ())
        if waiting not in queue:
            return  # `_pass_on` came across it
        self._by_caller[caller].remove(waiting)
        if not self._by_caller[caller]:
            del self._by_caller[caller]
        self._forget(waiting)

    def _forget(self, waiting: _Waiting) -> None:
        self._count -= 1
        self._bytes -= waiting.size_bytes

    def _pass_on(self) -> None:
        """Gives a place to the first request of the next caller, and moves that caller to the end of the callers."""
        while self._by_caller:
            caller, queue = self._by_caller.popitem(last=False)
            waiting = queue.popleft()
            if queue:
                self._by_caller[caller] = queue
            self._forget(waiting)
            if not waiting.turn.done():  # else it is cancelled, and its task will come to know of it
                waiting.turn.set_result(None)
                return
        self._free += 1
