"""The parent of a gateway of several processes: starts, watches and replaces them, and answers no request itself.

One process uses one core. Each is a program of its own (service/process/child.py), not a fork of this one.
What they share is here: the slots for answers, the sockets they listen on, the folder of their metrics. The parent's
part:

    a process dies            another takes its seat, after a pause that grows; connections that wait at its socket stay
    one's event loop stands   it gives no sign of life for `worker_silence_s`, and is killed
    SIGTERM, ctrl-C           is passed on, and each drains (service/process/server.py); none is replaced any more
    a second signal           ends the parent at once
    the parent itself dies    Linux kills the processes (llava_graph/parent_death.py)

A first process that dies before it was ever ready ends everything: a wrong configuration does not correct itself.
uvicorn's own supervisor knows neither the drain nor the death of a parent, and has no pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import structlog
from prometheus_client import CollectorRegistry

from llava_graph.address import Address
from llava_graph.metrics_folder import FOLDER_VARIABLE, forget_process, write_to_folder
from llava_graph.parent_death import tied_to_this_process
from llava_graph.restart_pauses import RestartPauses
from service.metrics import PID_SUFFIX, ParentMetrics
from service.process.listeners import bound_listeners
from service.process.logs import configure_logging
from service.process.place import Place
from service.process.shared_slots import SlotServer
from service.settings import GatewaySettings
from service.slots import OwnSlots

_CHILD = (sys.executable, "-m", "service.process.child")
_NAME = "parent"
"""Its seat among the metrics."""

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0

_SILENT_TICKS = 10
"""Silence is counted in steps of the parent's own: a parent which stood still itself must kill no process for that."""

_END_S = 10.0
"""What a process may take to end after it has cut its last requests short."""

log = structlog.stdlib.get_logger(__name__)


class GatewayProcessError(Exception):
    """The processes cannot be brought up. The message is for people; the log says why."""


@dataclass(eq=False, slots=True)
class _Process:
    seat: int
    process: asyncio.subprocess.Process
    is_ready: bool = False
    is_heard: bool = False
    is_stuck: bool = False
    silent_ticks: int = 0

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """With all that it started; each has a process group of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


def run_several(settings: GatewaySettings) -> None:
    """Serves until a signal ends it. Raises click.ClickException when it cannot start like this."""
    configure_logging(settings.log_level)
    log.info("settings", **settings.for_log())
    try:
        asyncio.run(Parent(settings).run())
    except (GatewayProcessError, OSError) as error:
        raise click.ClickException(str(error)) from error


class Parent:
    """Keeps `settings.workers` processes at work. One in a process: it handles the signals, and its metrics count for
    all of the process."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._slots = SlotServer(OwnSlots.of(settings))
        self._processes: dict[int, _Process] = {}
        self._one_was_ready = False
        self._stopping = asyncio.Event()
        self._folder = Path()
        self._listeners: list[list[socket.socket]] = []
        self._port = 0

    async def run(self) -> None:
        """Works until a signal. Raises GatewayProcessError when no process can be brought up, OSError when the port
        cannot be had."""
        with TemporaryDirectory(prefix="llava-graph-gateway-") as folder:
            self._folder = Path(folder)
            os.environ[FOLDER_VARIABLE] = folder
            write_to_folder(_NAME)
            self._metrics = ParentMetrics(CollectorRegistry())
            self._write_pid(_NAME, os.getpid())
            self._listeners = bound_listeners(self._settings.host, self._settings.port, self._settings.workers)
            self._port = int(self._listeners[0][0].getsockname()[1])
            log.info("gateway_listens", url=Address(self._settings.host, self._port).url)
            with contextlib.closing(self):
                await self._keep_all()

    def close(self) -> None:
        """Listens no more, as far as it is for the parent."""
        for listener in (one for listeners in self._listeners for one in listeners):
            listener.close()

    async def _keep_all(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._begin_drain, number)
        keepers = [asyncio.create_task(self._keep(seat)) for seat in range(self._settings.workers)]
        try:
            await asyncio.wait(keepers, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self._stopping.set()
            for process in self._processes.values():
                process.kill()  # there is one only when another could not be brought up
            await asyncio.wait(keepers)
        await asyncio.gather(*keepers)  # raises what ended one

    def _begin_drain(self, number: signal.Signals) -> None:
        loop = asyncio.get_running_loop()
        for handled in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(handled)
            signal.signal(handled, signal.SIG_DFL)
        log.info("draining", signal=number.name, processes=len(self._processes))
        self._stopping.set()
        for process in self._processes.values():
            process.signal(signal.SIGTERM)
            process.signal(signal.SIGCONT)  # a stopped process hears SIGTERM only when it goes on
        loop.call_later(self._settings.drain_delay_s, self.close)
        loop.call_later(max(self._settings.drain_delay_s, self._settings.shutdown_s) + _END_S, self._kill_the_rest)

    def _kill_the_rest(self) -> None:
        for process in self._processes.values():
            log.warning("killed", process=process.seat)
            process.kill()

    async def _keep(self, seat: int) -> None:
        """One seat's processes, one after the other, until the drain. Raises GatewayProcessError."""
        pauses = RestartPauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while not self._stopping.is_set():
            try:
                how = await self._live(seat)
            except OSError as error:  # no process or descriptor is to be had now
                how = f"could not be started: {error}"
            if self._stopping.is_set():
                return
            if not self._one_was_ready:
                raise GatewayProcessError(f"a process {how} before it was ready")
            pause_s = pauses.after_death(asyncio.get_running_loop().time())
            log.info("starting_again", process=seat, pause_s=pause_s, detail=how)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()

    async def _live(self, seat: int) -> str:
        """Runs a process once; returns how it ended, in words. Raises OSError when there is none to be had."""
        async with self._started(seat) as process:
            status = await process.process.wait()
        how = f"ended with status {status}"
        if self._stopping.is_set():
            log.info("process_ended", process=seat, status=status)
        else:
            self._metrics.deaths.labels("stuck" if process.is_stuck else "crashed").inc()
            log.error("process_died", process=seat, pid=process.process.pid, status=status, stuck=process.is_stuck)
        return how

    @contextlib.asynccontextmanager
    async def _started(self, seat: int) -> AsyncIterator[_Process]:
        """A process that is served and watched. When the block is left it has ended; then it is cleared up after."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            place = Place(seat, theirs, self._listeners[seat], self._folder)
            process = _Process(seat, await self._spawn(place))
            theirs.close()
            self._processes[seat] = process
            self._write_pid(str(seat), process.process.pid)
            if self._stopping.is_set():  # the drain has begun while it was being started
                process.signal(signal.SIGTERM)
            serving = asyncio.create_task(self._slots.serve(ours, lambda word: self._hear(process, word)))
            watching = asyncio.create_task(self._watch(process))
            try:
                yield process
            finally:
                process.kill()  # what it started must not live on
                watching.cancel()
                served, _ = await asyncio.gather(serving, watching, return_exceptions=True)
                # A defect of ours: without its slots the process has ended, and the next one is served again.
                if served is not None:
                    log.error("slots_failed", process=seat, exc_info=served)
                del self._processes[seat]
                self._pid_file(str(seat)).unlink()
                forget_process(seat, self._folder)
                if process.is_ready:
                    self._metrics.processes.dec()

    async def _spawn(self, place: Place) -> asyncio.subprocess.Process:
        """Raises OSError."""
        return await asyncio.create_subprocess_exec(
            *tied_to_this_process([*_CHILD, *place.to_arguments()]),
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                "LLAVA_GRAPH_HOST": self._settings.host,
                "LLAVA_GRAPH_PORT": str(self._port),
                "LLAVA_GRAPH_WORKERS": str(self._settings.workers),
            },
            pass_fds=place.descriptors,
            start_new_session=True,
        )

    def _hear(self, process: _Process, word: str) -> None:
        process.is_heard = True
        process.silent_ticks = 0
        if word == "ready":
            self._one_was_ready = process.is_ready = True
            self._metrics.processes.inc()
            log.info("process_ready", process=process.seat, pid=process.process.pid)

    async def _watch(self, process: _Process) -> None:
        """Kills a process that has given a sign of life before and gives none any more."""
        while True:
            await asyncio.sleep(self._settings.worker_silence_s / _SILENT_TICKS)
            process.silent_ticks += process.is_heard
            if process.silent_ticks > _SILENT_TICKS:
                process.is_stuck = True
                process.kill()

    def _write_pid(self, name: str, pid: int) -> None:
        self._pid_file(name).write_text(str(pid), encoding="ascii")

    def _pid_file(self, name: str) -> Path:
        return self._folder / f"{name}{PID_SUFFIX}"
