"""All parts on one machine, put together: addresses chosen, parts started in order, `run.json` kept up to date.

This is where supervision (`supervisor.py`) meets the services (`services.py`); it prints nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from llava_graph.local import services
from llava_graph.local.addresses import Addresses, choose_addresses
from llava_graph.local.engine import engine_command
from llava_graph.local.engine.command import EngineChoice
from llava_graph.local.run_folder import RunFolder
from llava_graph.local.supervisor import Change, Service, State, Supervisor
from llava_graph.manifest import load_manifest

PARTS = ("redis", "ocr-worker", "engine", "gateway")
"""In the order of their start; they are stopped the other way round."""


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
            services.gateway_service(addresses, model_dir, folder),
        ]
        record = _Record(folder, addresses, parts)

        def note_and_tell(change: Change) -> None:
            record.note(change)
            tell(change)

        supervisor = Supervisor(parts, note_and_tell)
        async with supervisor.running(start_deadline_s):
            yield Stack(addresses.gateway.url, supervisor)


class _Record:
    """`run.json`: where the parts are and which process is which, rewritten with every change."""

    def __init__(self, folder: RunFolder, addresses: Addresses, parts: list[Service]) -> None:
        self._folder = folder
        self._addresses = addresses
        self._parts: dict[str, dict[str, object]] = {
            part.name: {"state": "waiting", "pid": None, "log": str(part.log)} for part in parts
        }

    def note(self, change: Change) -> None:
        alive = change.state in (State.STARTED, State.READY)
        self._parts[change.service.name].update(state=change.state.value, pid=change.pid if alive else None)
        self._folder.write_state(
            {
                "supervisor_pid": os.getpid(),
                "gateway_url": self._addresses.gateway.url,
                "engine_url": self._addresses.engine.url,
                "redis_url": self._addresses.redis_url,
                "parts": self._parts,
            }
        )
