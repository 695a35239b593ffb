"""The parent of the worker processes: starts, watches and replaces them, and reads no figures itself.

A PP-OCR engine is good for one thread, so a machine is filled with processes. Each is a program of its own
(`ocr_worker.child`), not a fork of this one: an OCR runtime's threads do not survive a fork. What the parent does:

    a process dies            its jobs are given free at once, and another is started after a pause that grows
    recycling is due          a successor is started, and only when that is ready the old process is told to end
    SIGTERM                   is passed on; those that have not finished their jobs after `ocr_drain_s` are killed
    the parent itself dies    Linux kills the processes (see `llava_graph/parent_death.py`); their leases run out

A first process that dies before it was ever ready ends everything: a wrong configuration does not correct itself. The
parent knows no OCR library, and Redis only to tell it of the dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, start_http_server
from redis.exceptions import RedisError
from structlog.typing import FilteringBoundLogger

from llava_graph.jobs import Keys, connect
from llava_graph.metrics_folder import FOLDER_VARIABLE, forget_process, gather
from llava_graph.parent_death import tied_to_this_process
from llava_graph.restart_pauses import RestartPauses
from ocr_worker.child import EXIT_STUCK, Place
from ocr_worker.errors import WorkerProcessError
from ocr_worker.inbox import surrender
from ocr_worker.metrics import ParentMetrics
from ocr_worker.settings import WorkerSettings

CHILD = (sys.executable, "-m", "ocr_worker.child")

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


@dataclass(eq=False, slots=True)
class _Process:
    """A child process and its messages: `ready` and `worn` are resolved when it reports them, `ended` at its end."""

    place: Place
    process: asyncio.subprocess.Process
    ready: asyncio.Future[None]
    worn: asyncio.Future[str]
    ended: asyncio.Future[int]

    def signal(self, number: signal.Signals) -> None:
        """To the process and all that it started; each has a process group of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class Parent:
    """Keeps `settings.ocr_processes` children at work between `run` and `stop`."""

    def __init__(self, settings: WorkerSettings, log: FilteringBoundLogger, *, child: Sequence[str] = CHILD) -> None:
        """`child` is the program of a worker process, to which its `Place` is added."""
        self._settings = settings
        self._log = log
        self._program = child
        self._pool = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._keys = Keys(settings.key_prefix)
        self._redis = connect(settings.redis_url, max_connections=2)
        self._registry = CollectorRegistry()
        self._metrics = ParentMetrics(self._registry)
        self._folder: Path | None = None
        self._processes: set[_Process] = set()
        self._following: set[asyncio.Task[None]] = set()
        self._seats_taken: set[int] = set()
        self._started = 0
        self._one_was_ready = False
        self._spare = asyncio.Lock()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Asks `run` to end the processes and return. For the event loop's thread; may be called twice."""
        self._stopping.set()

    async def run(self) -> None:
        """Works until `stop`. Raises WorkerProcessError when no process can be brought up, OSError when the port of the
        metrics is taken."""
        with self._metrics_served():
            keepers = [asyncio.create_task(self._keep()) for _ in range(self._settings.ocr_processes)]
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._stopping.set()
                await self._drain(self._processes)
                await asyncio.wait(keepers)
                await self._drain(self._processes)  # a keeper may have been starting one
                await asyncio.gather(stopping, *self._following)
                await self._redis.aclose()
            await asyncio.gather(*keepers)  # raises what ended one

    async def _keep(self) -> None:
        """One of the processes through all its lives and successors, until `stop`."""
        pauses = RestartPauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        process = await self._start_at_last(pauses)
        while process and await self._first(process.ended, process.worn):
            if process.ended.done():
                await self._rest_after(process.ended.result(), pauses)
                process = await self._start_at_last(pauses)
            else:
                process = await self._replace(process, pauses)

    async def _replace(self, worn: _Process, pauses: RestartPauses) -> _Process:
        """The successor, after the recycled process has ended; or the old process, because there is no successor yet.

        One at a time, so that the machine never holds more than one process beyond those it was told to.
        """
        async with self._spare:
            if self._stopping.is_set() or worn.ended.done():
                return worn
            try:
                successor = await self._start()
            except OSError as error:
                await self._rest_after(error, pauses)
                return worn
            await self._first(successor.ready, successor.ended, worn.ended)
            if successor.ended.done():
                await self._rest_after(successor.ended.result(), pauses)
                return worn
            if not worn.ended.done() and not self._stopping.is_set():
                await self._drain({worn})
                self._metrics.recycles.labels(worn.worn.result()).inc()
            return successor

    async def _start_at_last(self, pauses: RestartPauses) -> _Process | None:
        """A process, however often starting one fails for want of memory, descriptors or processes; None at `stop`."""
        while not self._stopping.is_set():
            try:
                return await self._start()
            except OSError as error:
                await self._rest_after(error, pauses)
        return None

    async def _start(self) -> _Process:
        """Raises OSError when the system gives no process."""
        place = Place(self._pool, f"{self._pool}-{self._started}", self._take_seat())
        self._started += 1
        try:
            process = await asyncio.create_subprocess_exec(
                *tied_to_this_process([*self._program, *place.to_arguments()]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env=self._environment(),
                start_new_session=True,
            )
        except OSError:
            self._seats_taken.discard(place.seat)
            raise
        loop = asyncio.get_running_loop()
        started = _Process(place, process, loop.create_future(), loop.create_future(), loop.create_future())
        self._processes.add(started)
        following = asyncio.create_task(self._follow(started))
        self._following.add(following)
        following.add_done_callback(self._following.discard)
        return started

    async def _follow(self, process: _Process) -> None:
        """Reads a process's messages until it has ended, then cleans up: its metrics, its jobs, its process group."""
        pid, consumer = process.process.pid, process.place.consumer
        assert process.process.stdout is not None
        async for line in process.process.stdout:
            word, _, reason = line.decode(errors="replace").strip().partition(" ")
            if word == "ready" and not process.ready.done():
                self._one_was_ready = True
                process.ready.set_result(None)
                self._metrics.processes.inc()
                self._log.info("process_ready", consumer=consumer, pid=pid)
            elif word == "worn" and not process.worn.done():
                process.worn.set_result(reason)
        status = await process.process.wait()
        process.signal(signal.SIGKILL)  # what it started must not live on
        self._processes.discard(process)
        self._seats_taken.discard(process.place.seat)
        try:
            await self._clear_up_after(process, status)
        finally:
            process.ended.set_result(status)  # whatever came of that: a keeper waits to start another

    async def _clear_up_after(self, process: _Process, status: int) -> None:
        pid, consumer = process.process.pid, process.place.consumer
        if process.ready.done():
            self._metrics.processes.dec()
        if self._folder:
            forget_process(process.place.seat, self._folder)
        if status:
            self._metrics.deaths.labels("stuck" if status == EXIT_STUCK else "crashed").inc()
            self._log.error("process_died", consumer=consumer, pid=pid, status=status)
            await self._give_free(consumer)
        else:
            self._log.info("process_ended", consumer=consumer, pid=pid)

    async def _give_free(self, consumer: str) -> None:
        """Releases a dead process's jobs now, rather than when its lease has run out."""
        try:
            jobs = await surrender(self._redis, self._keys, consumer)
        except RedisError as error:  # then the lease runs out
            self._log.warning("redis_away", error=str(error))
        else:
            self._log.info("jobs_given_free", consumer=consumer, jobs=jobs)

    async def _rest_after(self, end: int | OSError, pauses: RestartPauses) -> None:
        """The pause after a death (`end` is its status), or after a start that failed. Raises WorkerProcessError when
        no process was ready before."""
        if not self._one_was_ready:
            how = f"could not be started: {end}" if isinstance(end, OSError) else f"ended with status {end}"
            raise WorkerProcessError(f"a worker process {how} before it was ready")
        pause_s = pauses.after_death(asyncio.get_running_loop().time())
        self._log.info("starting_again", pause_s=pause_s, error=str(end) if isinstance(end, OSError) else "")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()

    async def _drain(self, processes: set[_Process]) -> None:
        """Ends processes: SIGTERM, time to finish the jobs in hand, SIGKILL."""
        left = set(processes)
        for process in left:
            process.signal(signal.SIGTERM)
            process.signal(signal.SIGCONT)  # a stopped process hears SIGTERM only when it goes on
        for process in await self._not_ended(left):
            self._log.warning("killed", consumer=process.place.consumer, after_s=self._settings.ocr_drain_s)
            process.signal(signal.SIGKILL)
        await self._not_ended(left)

    async def _not_ended(self, processes: set[_Process]) -> set[_Process]:
        """Those of the processes that have not ended when the time of a drain is over."""
        if processes:
            await asyncio.wait([process.ended for process in processes], timeout=self._settings.ocr_drain_s)
        return {process for process in processes if not process.ended.done()}

    async def _first(self, *events: asyncio.Future[None] | asyncio.Future[str] | asyncio.Future[int]) -> bool:
        """Waits for the first of these or for `stop`; False for `stop`."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({stopping, *events}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        return not self._stopping.is_set()

    def _take_seat(self) -> int:
        seat = next(seat for seat in itertools.count() if seat not in self._seats_taken)
        self._seats_taken.add(seat)
        return seat

    def _environment(self) -> dict[str, str]:
        """The parent's own, and its settings, of which the command line may have decided some."""
        folder = {FOLDER_VARIABLE: str(self._folder)} if self._folder else {}
        return {**os.environ, **self._settings.to_environment(), **folder}

    @contextlib.contextmanager
    def _metrics_served(self) -> Iterator[None]:
        """One port for the metrics of all processes, if the settings ask for one."""
        if not self._settings.ocr_metrics_port:
            yield
            return
        with TemporaryDirectory(prefix="llava-graph-ocr-") as folder:
            self._folder = Path(folder)
            gather(self._registry, self._folder)
            server, thread = start_http_server(
                self._settings.ocr_metrics_port, self._settings.ocr_metrics_host, self._registry
            )
            try:
                yield
            finally:
                server.shutdown()
                server.server_close()
                thread.join()
