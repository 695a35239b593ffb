"""The gateway as a process of its own: `python -m service`, its log lines, and a client of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.harness.plain_http import plain_client

PATIENT_S = 120
"""Processes that start side by side on a busy machine take long."""

MANIFEST = """
name = "fake-model"
revision = "1"
context_template = "located"
context_length = 1024
max_new_tokens = 256
"""


class Process:
    """A running `python -m service` and the log lines it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    async def until_logged(self, event: str) -> dict[str, Any]:
        """The next line whose event begins so."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENT_S):
            async for line in self.process.stderr:
                self.lines.append(json.loads(line))
                if str(self.lines[-1]["event"]).startswith(event):
                    return self.lines[-1]
        raise AssertionError(f"{event!r} was never logged: {self.lines}")


@asynccontextmanager
async def started(
    folder: Path, *, redis_url: str, engine_url: str, **settings: object
) -> AsyncIterator[tuple[Process, httpx2.AsyncClient]]:
    async with _running(folder, redis_url, engine_url, settings) as process:
        running = await process.until_logged("Uvicorn running")
        [url] = re.findall(r"http://[0-9.:]+", running["event"])
        async with plain_client(base_url=url, timeout=30) as http:
            yield process, http


class Several:
    """A gateway of several processes, and a client of each: one whose connection came to that process, and stays."""

    def __init__(self, parent: Process, url: str, ready: dict[str, int]) -> None:
        self.parent = parent
        self.url = url
        self.pids = ready
        self.clients: dict[str, httpx2.AsyncClient] = {}

    async def connect(self, stack: AsyncExitStack) -> None:
        """Makes connections until each process has got one."""
        while len(self.clients) < len(self.pids):
            client = await stack.enter_async_context(plain_client(base_url=self.url, timeout=PATIENT_S))
            await client.get("/v1/nothing")
            self.clients.setdefault(str((await self.parent.until_logged("request"))["process"]), client)

    async def until_ready(self) -> None:
        """A process, or another one, takes connections."""
        line = await self.parent.until_logged("process_ready")
        self.pids[str(line["process"])] = line["pid"]


@asynccontextmanager
async def several_started(
    folder: Path, *, redis_url: str, engine_url: str, workers: int = 2, **settings: object
) -> AsyncIterator[Several]:
    """`python -m service` with several processes, all of them ready, and a client of each."""
    async with (
        _running(folder, redis_url, engine_url, {**settings, "workers": workers}) as process,
        AsyncExitStack() as stack,
    ):
        several = Several(process, str((await process.until_logged("gateway_listens"))["url"]), {})
        while len(several.pids) < workers:
            await several.until_ready()
        await several.connect(stack)
        yield several


@asynccontextmanager
async def _running(
    folder: Path, redis_url: str, engine_url: str, settings: Mapping[str, object]
) -> AsyncIterator[Process]:
    (folder / "manifest.toml").write_text(MANIFEST)
    environment = {
        **os.environ,
        "LLAVA_GRAPH_MODEL_DIR": str(folder),
        "LLAVA_GRAPH_REDIS_URL": redis_url,
        "LLAVA_GRAPH_ENGINE_URL": engine_url,
        "LLAVA_GRAPH_ENGINE_API_KEY": "the-engines-key",
        "LLAVA_GRAPH_PORT": "0",
        **{f"LLAVA_GRAPH_{name.upper()}": str(value) for name, value in settings.items()},
    }
    process = Process(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service", env=environment, stderr=asyncio.subprocess.PIPE
        )
    )
    try:
        yield process
    finally:
        if process.process.returncode is None:
            process.process.kill()
        await process.process.wait()
