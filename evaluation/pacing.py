"""Many requests at once, at the pace the endpoint allows.

When an endpoint says that it is busy, all requests of the run wait, not only the one that was told: a rate limit
counts them together. `Retry-After` is obeyed; without it pauses double. It knows no protocol: a call raises BusyError
where another try makes sense, and anything else ends the run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import TypeVar

from evaluation.errors import EndpointError

Item = TypeVar("Item")
Result = TypeVar("Result")


class BusyError(Exception):
    """This try failed, another may succeed. `retry_after_s` is set where the endpoint said when."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Pacing:
    """How a run asks. An endpoint that wants a longer pause than `longest_pause_s` ends the run (it can be resumed)."""

    concurrency: int = 4
    tries: int = 6
    first_pause_s: float = 1.0
    longest_pause_s: float = 120.0


class Pacer:
    """Holds back all calls of a run while the endpoint is busy."""

    def __init__(self, pacing: Pacing) -> None:
        self.pacing = pacing
        self.pauses = 0
        self._resume_at_s = 0.0  # on the event loop's clock

    async def call(self, what: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of `work`, tried again while it raises BusyError. Raises EndpointError when the tries are used
        up; `what` names the request in it."""
        why = ""
        for attempt in range(self.pacing.tries):
            await self._until_free()
            try:
                return await work()
            except BusyError as busy:
                why = str(busy)
                self._pause(what, attempt, busy)
        raise EndpointError(f"{what} was asked {self.pacing.tries} times: {why}")

    def _pause(self, what: str, attempt: int, busy: BusyError) -> None:
        pause_s = busy.retry_after_s
        if pause_s is None:
            pause_s = min(self.pacing.first_pause_s * 2**attempt, self.pacing.longest_pause_s)
        if pause_s > self.pacing.longest_pause_s:
            raise EndpointError(
                f"{what}: the endpoint wants a pause of {pause_s:.0f} s, more than {self.pacing.longest_pause_s:.0f} s "
                f"({busy}). Run the same command again later: it goes on where it stopped"
            ) from busy
        self.pauses += 1
        self._resume_at_s = max(self._resume_at_s, asyncio.get_running_loop().time() + pause_s)

    async def _until_free(self) -> None:
        loop = asyncio.get_running_loop()
        while (left_s := self._resume_at_s - loop.time()) > 0:  # noqa: ASYNC110 (the time may have moved meanwhile)
            await asyncio.sleep(left_s)


async def each(items: Sequence[Item], work: Callable[[Item], Awaitable[None]], concurrency: int) -> None:
    """Awaits `work` for every item, `concurrency` of them at once, begun in order. The first failure stops the others
    and is raised."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(items))):
                group.create_task(worker())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def retry_after_s(header: str | None) -> float | None:
    """Seconds in a `Retry-After` header, which holds a number or a date (RFC 9110, 10.2.3); None for neither."""
    if not header:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(header)
        return max(0.0, seconds) if seconds == seconds and seconds != float("inf") else None
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    return None
