"""An OCR worker as a process of its own, with its log lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from ocr_worker.settings import WorkerSettings
from tests.paths import REPOSITORY

PATIENT_S = 60


class RunningWorker:
    """A parent process and what it and its children log."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._events: list[dict[str, Any]] = []
        self._more = asyncio.Condition()
        self.reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def logged(self, event: str, *, count: int = 1) -> list[dict[str, Any]]:
        """The events of this name in order, as soon as there are so many; fails when the worker ends before."""
        async with asyncio.timeout(PATIENT_S), self._more:
            while len(found := self.seen(event)) < count:
                assert not self.reading.done(), self._events
                await self._more.wait()
        return found

    def seen(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self._events if entry["event"] == event]

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit status."""
        self._process.send_signal(number)
        async with asyncio.timeout(PATIENT_S):
            await self.reading
            return await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            async with self._more:
                self._events.append(json.loads(line))
                self._more.notify_all()
        async with self._more:
            self._more.notify_all()


@contextlib.asynccontextmanager
async def worker(redis_url: str, **settings: object) -> AsyncIterator[RunningWorker]:
    """A worker whose processes are all ready; settings by their names in `WorkerSettings`."""
    wanted = WorkerSettings.model_validate({"redis_url": redis_url, "ocr_lease_s": 1.0, "charts": False, **settings})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.ocr_worker"),
        env={**os.environ, **wanted.to_environment()},
        cwd=REPOSITORY,
        stderr=asyncio.subprocess.PIPE,
    )
    running = RunningWorker(process)
    try:
        await running.logged("process_ready", count=wanted.ocr_processes)
        yield running
    finally:
        if process.returncode is None:
            await running.end()
