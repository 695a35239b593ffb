"""The gateway as a process: how it starts, what it logs, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from tests.fakes.openai_engine import OpenAIEngine, speaks_on_command, stalls_after
from tests.harness.gateway import closed_port_url, png, serving
from tests.harness.gateway_process import started

FILES = {"image": ("figure.png", png())}
FIELDS = {"caption": "", "ocr": "off"}


async def test_running_stream_is_finished_after_sigterm_and_then_the_process_stops(
    tmp_path: Path, redis_url: str
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine = OpenAIEngine(speaks_on_command(pieces))
    async with (
        serving(engine, lifespan=False) as engine_url,
        started(tmp_path, redis_url=redis_url, engine_url=engine_url) as (process, http),
    ):
        headers = {"X-Request-Id": "mine"}
        async with http.sse("/v1/explain", method="POST", files=FILES, data=FIELDS, headers=headers) as events:
            names = []
            async for event in events:
                names.append(event.event)
                if event.event == "ocr":
                    process.process.send_signal(signal.SIGTERM)
                    await process.until_logged("Shutting down")
                    pieces.put_nowait("Growth.")
                    pieces.put_nowait(None)
        assert names == ["figure", "ocr", "chart", "delta", "done"]
        line = await process.until_logged("request")
        await process.until_logged("gateway_stops")
        assert await process.process.wait() == 0
    expected = {"request_id": "mine", "route": "/v1/explain", "outcome": "ok", "status": 200, "ocr_status": "off"}
    assert expected.items() <= line.items()
    assert {"figure_id", "first_token_ms", "tokens_in", "tokens_out", "ms", "timestamp", "level"} <= set(line)
    assert engine.headers[0]["authorization"] == "Bearer the-engines-key"


async def test_draining_gateway_still_listens_and_says_so_until_a_second_signal_ends_it(
    tmp_path: Path, redis_url: str
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine = OpenAIEngine(speaks_on_command(pieces))
    async with (
        serving(engine, lifespan=False) as engine_url,
        started(tmp_path, redis_url=redis_url, engine_url=engine_url, drain_delay_s=600, shutdown_s=600) as running,
    ):
        process, http = running
        assert "llava_graph_gateway_draining 0.0" in (await http.get("/metrics")).text
        async with http.sse("/v1/explain", method="POST", files=FILES, data=FIELDS) as source:
            events = aiter(source)
            assert (await anext(events)).event == "figure"
            process.process.send_signal(signal.SIGTERM)
            await process.until_logged("draining")

            ready = await http.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (503, "draining")
            assert (await http.get("/healthz")).status_code == 200
            assert "llava_graph_gateway_draining 1.0" in (await http.get("/metrics")).text
            large = {"image": ("figure.png", bytes(10_000_000))}
            for path, files in (("/v1/explain", FILES), ("/v1/explain", large), ("/v1/figures", FILES)):
                refused = await http.post(path, files=files, data=FIELDS)
                assert (refused.status_code, refused.json()["code"]) == (503, "draining")
                assert refused.json()["retryable"] is True
                assert int(refused.headers["retry-after"]) > 0
                assert refused.headers["connection"] == "close"

            pieces.put_nowait("Growth.")
            pieces.put_nowait(None)
            assert [event.event async for event in events] == ["ocr", "chart", "delta", "done"]
        process.process.send_signal(signal.SIGTERM)
        assert await process.process.wait() == -signal.SIGTERM


async def test_what_is_under_way_past_its_time_is_ended_with_an_error_and_not_cut_off(
    tmp_path: Path, redis_url: str
) -> None:
    engine = OpenAIEngine(stalls_after("The "))
    async with (
        serving(engine, lifespan=False) as engine_url,
        started(tmp_path, redis_url=redis_url, engine_url=engine_url, shutdown_s=0) as (process, http),
        http.sse("/v1/explain", method="POST", files=FILES, data=FIELDS) as source,
    ):
        events = aiter(source)
        assert [(await anext(events)).event for _ in range(4)] == ["figure", "ocr", "chart", "delta"]
        engine.arrived.clear()
        waiting = asyncio.ensure_future(http.post("/v1/explain", files=FILES, data={**FIELDS, "stream": "false"}))
        await engine.arrived.wait()
        process.process.send_signal(signal.SIGTERM)

        [last] = [event async for event in events]
        assert last.event == "error"
        assert (last.json()["code"], last.json()["retryable"]) == ("draining", True)
        refused = await waiting
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert (await process.until_logged("cut_short"))["requests"] == 2
        for _ in range(2):
            line = await process.until_logged("request")
            assert (line["outcome"], line["code"]) == ("failed", "draining")
        await process.until_logged("gateway_stops")
        assert await process.process.wait() == 0
        await engine.hung_up.wait()


async def test_every_log_line_is_json_and_names_its_request_but_no_secret(tmp_path: Path) -> None:
    redis_url = closed_port_url("redis").replace("://", "://:the-redis-password@")
    async with started(tmp_path, redis_url=redis_url, engine_url=closed_port_url()) as (process, http):
        response = await http.post("/v1/explain", files=FILES, data={"caption": ""}, headers={"X-Request-Id": "mine"})
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
