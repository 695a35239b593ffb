"""Starts all parts on one machine: chooses addresses, starts the parts in order, keeps `run.json` up to date.

This is where supervision (`supervisor.py`) meets the services (`services.py`); it prints nothing.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher import services
from launcher.addresses import Addresses, choose_addresses
from launcher.engine import engine_command
from launcher.engine.command import EngineChoice
from launcher.run_folder import RunFolder
from launcher.supervisor import Change, Service, State, Supervisor
from llava_graph.manifest import load_manifest

PARTS = ("redis", "ocr-worker", "engine", "gateway")
"""In the order of their start; they are stopped the other way round."""


_WRITE_AGAIN_S = 2.0
"""Between tries to write `run.json` that failed."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack: the gateway's address, and the supervisor to wait on."""

    url: str
    supervisor: Supervisor


@asynccontextmanager
async def running_stack(
    model_dir: Path,
    choice: EngineChoice,
    host: str,
    port: int,
    run_dir: Path,
    start_deadline_s: float,
    tell: Callable[[Change], None],
) -> AsyncIterator[Stack]:
    """Everything, ready to explain; stopped when the context ends. `port` 0 takes a free one.

    Raises ManifestError, SetupError or OSError before anything is started, ServiceError when a part does not come up.
    """
    manifest = load_manifest(model_dir)
    addresses = choose_addresses(host, port)
    with RunFolder.open(run_dir) as folder, tempfile.TemporaryDirectory(prefix="llava-graph-engine-") as workspace:
        command = engine_command(choice, manifest, model_dir, Path(workspace), addresses.engine)
        parts = [
            services.redis_service(addresses, folder),
            services.ocr_worker_service(addresses, folder),
            services.engine_service(command, addresses.engine, folder.log("engine")),
            services.gateway_service(addresses, model_dir, folder, answers_at_once=command.answers_at_once),
        ]
        record = _Record(folder, addresses, parts)

        def note_and_tell(change: Change) -> None:
            record.note(change)
            tell(change)

        supervisor = Supervisor(parts, note_and_tell)
        async with record.kept_current(), supervisor.running(start_deadline_s):
            yield Stack(addresses.gateway.url, supervisor)


class _Record:
    """`run.json`: where the parts are and which process is which, rewritten with every change.

    What cannot be written (the disk is full) is written later; no part waits for it.
    """

    def __init__(self, folder: RunFolder, addresses: Addresses, parts: list[Service]) -> None:
        self._folder = folder
        self._addresses = addresses
        self._stale = asyncio.Event()
        self._parts: dict[str, dict[str, object]] = {
            part.name: {"state": "waiting", "pid": None, "log": str(part.log)} for part in parts
        }

    @asynccontextmanager
    async def kept_current(self) -> AsyncIterator[None]:
        """Writes later what could not be written at once."""
        writer = asyncio.create_task(self._write_later(), name="run.json")
        try:
            yield
        finally:
            writer.cancel()
            await asyncio.wait({writer})

    def note(self, change: Change) -> None:
        alive = change.state in (State.STARTED, State.READY)
        self._parts[change.service.name].update(state=change.state.value, pid=change.pid if alive else None)
        try:
            self._write()
        except OSError:
            self._stale.set()

    async def _write_later(self) -> None:
        while True:
            await self._stale.wait()
            try:
                self._write()
                self._stale.clear()
            except OSError:
                await asyncio.sleep(_WRITE_AGAIN_S)

    def _write(self) -> None:
        self._folder.write_state(
            {
                "supervisor_pid": os.getpid(),
                "gateway_url": self._addresses.gateway.url,
                "engine_url": self._addresses.engine.url,
                "redis_url": self._addresses.redis_url,
                "parts": self._parts,
            }
        )
