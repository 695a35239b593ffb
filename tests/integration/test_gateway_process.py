"""The gateway as a process: how it starts, what it logs, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.fakes.gateway import closed_port_url, png, serving
from tests.fakes.openai_engine import OpenAIEngine, speaks_on_command

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
        async with asyncio.timeout(60):
            async for line in self.process.stderr:
                self.lines.append(json.loads(line))
                if str(self.lines[-1]["event"]).startswith(event):
                    return self.lines[-1]
        raise AssertionError(f"{event!r} was never logged: {self.lines}")


@asynccontextmanager
async def started(
    folder: Path, *, redis_url: str, engine_url: str
) -> AsyncIterator[tuple[Process, httpx2.AsyncClient]]:
    (folder / "manifest.toml").write_text(MANIFEST)
    environment = {
        **os.environ,
        "LLAVA_GRAPH_MODEL_DIR": str(folder),
        "LLAVA_GRAPH_REDIS_URL": redis_url,
        "LLAVA_GRAPH_ENGINE_URL": engine_url,
        "LLAVA_GRAPH_ENGINE_API_KEY": "the-engines-key",
        "LLAVA_GRAPH_PORT": "0",
    }
    process = Process(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service", env=environment, stderr=asyncio.subprocess.PIPE
        )
    )
    try:
        running = await process.until_logged("Uvicorn running")
        [url] = re.findall(r"http://[0-9.:]+", running["event"])
        async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            yield process, http
    finally:
        if process.process.returncode is None:
            process.process.kill()
        await process.process.wait()


async def test_running_stream_is_finished_after_sigterm_and_then_the_process_stops(
    tmp_path: Path, redis_url: str
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine = OpenAIEngine(speaks_on_command(pieces))
    async with (
        serving(engine, lifespan=False) as engine_url,
        started(tmp_path, redis_url=redis_url, engine_url=engine_url) as (process, http),
    ):
        files, data = {"image": ("figure.png", png())}, {"caption": "", "ocr": "off"}
        headers = {"X-Request-Id": "mine"}
        async with http.sse("/v1/explain", method="POST", files=files, data=data, headers=headers) as events:
            names = []
            async for event in events:
                names.append(event.event)
                if event.event == "ocr":
                    process.process.send_signal(signal.SIGTERM)
                    await process.until_logged("Shutting down")
                    pieces.put_nowait("Growth.")
                    pieces.put_nowait(None)
        assert names == ["figure", "ocr", "delta", "done"]
        line = await process.until_logged("request")
        await process.until_logged("gateway_stops")
        assert await process.process.wait() == -signal.SIGTERM  # uvicorn stops in order, then lets the signal through
    expected = {"request_id": "mine", "route": "/v1/explain", "outcome": "ok", "status": 200, "ocr_status": "off"}
    assert expected.items() <= line.items()
    assert {"figure_id", "first_token_ms", "tokens_in", "tokens_out", "ms", "timestamp", "level"} <= set(line)
    assert engine.headers[0]["authorization"] == "Bearer the-engines-key"


async def test_every_log_line_is_json_and_names_its_request_but_no_secret(tmp_path: Path) -> None:
    redis_url = closed_port_url("redis").replace("://", "://:the-redis-password@")
    async with started(tmp_path, redis_url=redis_url, engine_url=closed_port_url()) as (process, http):
        files, data = {"image": ("figure.png", png())}, {"caption": ""}
        response = await http.post("/v1/explain", files=files, data=data, headers={"X-Request-Id": "mine"})
        assert response.status_code == 503
        assert (await process.until_logged("request"))["request_id"] == "mine"
        about_the_request = [line for line in process.lines if line.get("request_id") == "mine"]
        assert [line["event"] for line in about_the_request] == ["engine_unavailable", "request"]
        logged = json.dumps(process.lines)
        assert "the-engines-key" not in logged
        assert "the-redis-password" not in logged


async def test_wrong_setting_is_named_and_nothing_starts(tmp_path: Path) -> None:
    environment = {**os.environ, "LLAVA_GRAPH_OCR_DEADLINE_S": "soon", "LLAVA_GRAPH_MODEL_DIR": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"LLAVA_GRAPH_OCR_DEADLINE_S" in errors
    assert b"Traceback" not in errors


async def test_missing_manifest_is_named_and_nothing_starts(tmp_path: Path) -> None:
    environment = {**os.environ, "LLAVA_GRAPH_MODEL_DIR": str(tmp_path / "nowhere")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"manifest.toml" in errors
    assert b"Traceback" not in errors
