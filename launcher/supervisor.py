"""Supervises child processes: starts them in order, waits until ready, restarts dead ones, stops in reverse order.

Knows nothing of Redis, OCR or models: a `Service` is a command line with a readiness probe. A service that dies before
it was ever ready fails the start (a wrong configuration does not correct itself); one that dies later is started again,
after a pause that grows, until it has died too often in a short time.

Each child has a process group of its own: a ctrl-C in the terminal reaches only the supervisor, which stops the
children in order, and what a child leaves behind is killed with its group. See llava_graph/parent_death.py for a
supervisor that dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from llava_graph.parent_death import tied_to_this_process
from llava_graph.restart_pauses import RestartPauses

PROBE_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Service:
    """One child process.

    `ready` is asked until it says True; it returns False, and never raises, while the service is not there yet, and
    bounds its own time. `needs` names services that must have been ready before this one starts. `env` is added to the
    supervisor's own. `log` takes stdout and stderr; None leaves them where the supervisor's go. `stop_s` is the time
    between SIGTERM and SIGKILL.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    log: Path | None = None
    needs: Sequence[str] = ()
    stop_s: float = 10.0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """A service fails after more than `limit` deaths within `window_s`; pauses double from the first to the longest."""

    limit: int = 5
    window_s: float = 300.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 8.0


class State(Enum):
    """STARTED: it runs, but is not ready; READY: its probe said so; DIED: it ended by itself; STOPPED: we ended it."""

    STARTED = "started"
    READY = "ready"
    DIED = "died"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a service. `how` says how it died; `pause_s` is set when it will be started again."""

    service: Service
    state: State
    pid: int
    how: str = ""
    pause_s: float | None = None


class ServiceError(Exception):
    """A service could not be started, or died too often. The message is for people; the log says why."""

    def __init__(self, service: Service, reason: str) -> None:
        super().__init__(f"{service.name} {reason}")
        self.service = service


class Supervisor:
    """Runs `services` between `start` and `stop`; `on_change` hears of every change, in the event loop's thread.

    What `on_change` does with files or a terminal may fail (a full disk, a reader that has gone): its OSError costs the
    news, never a service.
    """

    def __init__(
        self,
        services: Sequence[Service],
        on_change: Callable[[Change], None],
        restarts: RestartPolicy | None = None,
    ) -> None:
        names = [service.name for service in services]
        for position, service in enumerate(services):
            if unknown := set(service.needs) - set(names[:position]):
                raise ValueError(f"{service.name} needs {', '.join(sorted(unknown))}, which must stand before it")
        self._services = list(services)
        self._on_change = on_change
        self._restarts = restarts or RestartPolicy()
        self._ready = {name: asyncio.Event() for name in names}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping: set[str] = set()

    @asynccontextmanager
    async def running(self, deadline_s: float) -> AsyncIterator[None]:
        """`start` on entering, `stop` on leaving, however it is left."""
        try:
            await self.start(deadline_s)
            yield
        finally:
            await self.stop()

    async def start(self, deadline_s: float) -> None:
        """Returns when every service has been ready; raises ServiceError when one died first or was too slow."""
        self._keepers = [
            asyncio.create_task(self._keep(service), name=f"keep {service.name}") for service in self._services
        ]
        all_ready = asyncio.create_task(self._wait_until_all_ready())
        try:
            await asyncio.wait([all_ready, *self._keepers], timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
            self._raise_failure()
            for service in self._services:
                if not self._ready[service.name].is_set():
                    raise ServiceError(service, f"was not ready within {deadline_s:g} s")
        finally:
            all_ready.cancel()
            with suppress(asyncio.CancelledError):
                await all_ready

    async def wait(self) -> None:
        """Waits until a service has failed for good, and raises its ServiceError."""
        await asyncio.wait(self._keepers, return_when=asyncio.FIRST_COMPLETED)
        self._raise_failure()

    async def stop(self) -> None:
        """Stops what runs, the last started first. Cancelling this call kills what is left at once."""
        for service in self._services:
            self._stopping.add(service.name)
        for keeper in self._keepers:
            if keeper.get_name().removeprefix("keep ") not in self._processes:
                keeper.cancel()  # still waiting for its turn, or between two lives
        try:
            for service in reversed(self._services):
                if process := self._processes.get(service.name):
                    await _end(process, service.stop_s)
            await asyncio.gather(*self._keepers, return_exceptions=True)
        finally:
            for process in self._processes.values():
                _signal_group(process.pid, signal.SIGKILL)

    def _tell(self, change: Change) -> None:
        with suppress(OSError):
            self._on_change(change)

    async def _wait_until_all_ready(self) -> None:
        for event in self._ready.values():
            await event.wait()

    def _raise_failure(self) -> None:
        for keeper in self._keepers:
            if keeper.done() and not keeper.cancelled() and (error := keeper.exception()):
                raise error

    async def _keep(self, service: Service) -> None:
        """Runs one service and restarts it after each death. Ends when it is being stopped; raises ServiceError."""
        for name in service.needs:
            await self._ready[name].wait()
        restarts = self._restarts
        pauses = RestartPauses(restarts.first_pause_s, restarts.longest_pause_s, restarts.window_s)
        while True:
            try:
                pid, how = await self._live(service)
            except OSError as error:  # no process, no descriptor or no room for a log is to be had now
                pid, how = 0, f"could not be started: {error}"
            if service.name in self._stopping:
                return
            if not self._ready[service.name].is_set():
                raise ServiceError(service, f"{how} before it was ready")
            pause_s = pauses.after_death(asyncio.get_running_loop().time())
            if pauses.deaths > restarts.limit:
                raise ServiceError(service, f"{how}; it died {pauses.deaths} times in {restarts.window_s:g} s")
            self._tell(Change(service, State.DIED, pid, how, pause_s))
            await asyncio.sleep(pause_s)

    async def _live(self, service: Service) -> tuple[int, str]:
        """Runs the process once; returns its process id and, in words, how it ended."""
        process = await _spawn(service)
        self._processes[service.name] = process
        self._tell(Change(service, State.STARTED, process.pid))
        prober = asyncio.create_task(self._announce_when_ready(service, process.pid))
        try:
            how = _in_words(await process.wait())
        finally:
            prober.cancel()
            with suppress(asyncio.CancelledError):
                await prober
        # The leader is gone; what it started must not live on, nor keep its port.
        _signal_group(process.pid, signal.SIGKILL)
        del self._processes[service.name]
        if service.name in self._stopping:
            self._tell(Change(service, State.STOPPED, process.pid, how))
        return process.pid, how

    async def _announce_when_ready(self, service: Service, pid: int) -> None:
        while not await service.ready():  # noqa: ASYNC110 - another process sends no event when it is ready
            await asyncio.sleep(PROBE_INTERVAL_S)
        self._ready[service.name].set()
        self._tell(Change(service, State.READY, pid))


async def _spawn(service: Service) -> asyncio.subprocess.Process:
    command = tied_to_this_process(service.argv)
    with ExitStack() as stack:
        log = stack.enter_context(service.log.open("ab")) if service.log else None
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=service.cwd,
            env={**os.environ, **service.env},
            start_new_session=True,
        )


async def _end(process: asyncio.subprocess.Process, grace_s: float) -> None:
    _signal_group(process.pid, signal.SIGTERM)
    _signal_group(process.pid, signal.SIGCONT)  # a stopped process hears SIGTERM only when it goes on
    try:
        await asyncio.wait_for(process.wait(), grace_s)
    except TimeoutError:
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    # macOS answers EPERM where a group holds only processes that have ended.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _in_words(returncode: int) -> str:
    """How a process ended, from its return code; negative means a signal (see `subprocess.Popen.returncode`)."""
    if returncode >= 0:
        return f"ended with exit status {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"
