"""A gateway of two processes on one port, with a real Redis: what they share, and what happens when one ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.openai_engine import OpenAIEngine, Wire, speaks, speaks_on_command
from tests.harness.gateway import closed_port_url, png, serving
from tests.harness.gateway_process import PATIENT_S, Several, several_started

pytestmark = pytest.mark.timeout(600)

FILES = {"image": ("figure.png", png())}
FIELDS = {"caption": "", "ocr": "off"}


async def samples(http: httpx2.AsyncClient) -> dict[tuple[str, frozenset[str]], float]:
    """The values of one scrape, by name and values of labels; a name stands without its prefix."""
    text = (await http.get("/metrics")).text
    return {
        (sample.name.removeprefix("llava_graph_gateway_"), frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@asynccontextmanager
async def streaming(http: httpx2.AsyncClient) -> AsyncIterator[AsyncIterator[Any]]:
    """An answer that has begun: its first piece has come. What follows are its other events."""
    async with http.sse("/v1/explain", method="POST", files=FILES, data=FIELDS) as source:
        assert source.response.status_code == 200, await source.response.aread()
        events = aiter(source)
        async for event in events:
            if event.event == "delta":
                break
        else:
            raise AssertionError("there was no first piece")
        yield events


async def asked(http: httpx2.AsyncClient) -> httpx2.Response:
    return await http.post("/v1/explain", files=FILES, data={**FIELDS, "stream": "false"})


def code_of(refused: httpx2.Response) -> tuple[int, str]:
    return refused.status_code, refused.json()["code"]


async def test_figures_limits_and_metrics_are_those_of_one_gateway(redis_url: str, tmp_path: Path) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine = OpenAIEngine(speaks_on_command(pieces))
    limits = {"concurrent_streams": 1, "requests_per_minute": 60}
    async with (
        serving(engine, lifespan=False) as engine_url,
        several_started(tmp_path, redis_url=redis_url, engine_url=engine_url, **limits) as gateway,
    ):
        one, other = gateway.clients["0"], gateway.clients["1"]
        kept = await one.post(
            "/v1/figures", files={"image": ("figure.png", png("Growth"))}, data={"caption": "Growth."}
        )
        described = await other.get(f"/v1/figures/{kept.json()['id']}")
        assert described.json()["caption"] == "Growth."

        pieces.put_nowait("Growth.")
        async with streaming(one) as rest:
            assert code_of(await asked(other)) == (429, "rate_limited")
            assert (await samples(other))["in_flight", frozenset()] == 2  # the answer, and the scrape
            pieces.put_nowait(None)
            assert [event.event async for event in rest] == ["done"]

        before, after = [(await http.get("/v1/figures/fig_1")).headers for http in (one, other)]
        assert int(after["ratelimit-remaining"]) == int(before["ratelimit-remaining"]) - 1

        scraped = [await samples(http) for http in (one, other)]
        for values in scraped:
            assert values["requests_total", frozenset({"/v1/figures", "ok"})] == 1
            assert values["requests_total", frozenset({"/v1/figures/{id}", "ok"})] == 1
            assert values["requests_total", frozenset({"/v1/figures/{id}", "refused"})] == 2
            assert values["answers", frozenset({"admitted"})] == 0
            assert values["processes", frozenset()] == 2
            assert values["engine_up", frozenset({"fake-model", "engine"})] == 1
            assert all(values["process_resident_memory_bytes", frozenset({name})] > 0 for name in ("0", "1", "parent"))


async def test_killed_process_frees_what_it_held_and_is_replaced(redis_url: str, tmp_path: Path) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine = OpenAIEngine(speaks_on_command(pieces))
    bound = {"max_answers": 1, "max_waiting_answers": 0}
    async with (
        serving(engine, lifespan=False) as engine_url,
        several_started(tmp_path, redis_url=redis_url, engine_url=engine_url, **bound) as gateway,
    ):
        one, other = gateway.clients["0"], gateway.clients["1"]
        pieces.put_nowait("Growth.")
        async with streaming(one) as rest:
            assert code_of(await asked(other)) == (503, "overloaded")
            assert (await samples(other))["admission_refused_total", frozenset({"no_place"})] == 1
            os.kill(gateway.pids["0"], signal.SIGKILL)
            with pytest.raises(httpx2.HTTPError):
                await anext(rest)
        assert (await gateway.parent.until_logged("process_died"))["status"] == -signal.SIGKILL
        engine.behaviour = speaks("Growth.")
        assert (await asked(other)).status_code == 200, "its place is free"

        await gateway.until_ready()
        for http in gateway.clients.values():
            async with asyncio.timeout(20):
                # The new process answers once it has heard of the engine.
                while (await http.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - it sends no event
                    await asyncio.sleep(0.05)
            assert (await asked(http)).status_code == 200
        values = await samples(other)
        assert values["process_deaths_total", frozenset({"crashed"})] == 1
        assert values["processes", frozenset()] == 2
        assert values["in_flight", frozenset()] == 1, "what the dead one had is forgotten"
        assert values["requests_total", frozenset({"/v1/explain", "ok"})] == 3


async def test_drain_answers_all_that_was_begun_in_every_process(redis_url: str, tmp_path: Path) -> None:
    answers: list[asyncio.Queue[str | None]] = [asyncio.Queue(), asyncio.Queue()]
    engine = OpenAIEngine()

    async def speaks_each_on_its_own(wire: Wire) -> None:
        await speaks_on_command(answers[len(engine.requests) - 1])(wire)

    engine.behaviour = speaks_each_on_its_own
    async with (
        serving(engine, lifespan=False) as engine_url,
        several_started(tmp_path, redis_url=redis_url, engine_url=engine_url, shutdown_s=PATIENT_S) as gateway,
    ):
        for pieces in answers:
            pieces.put_nowait("Growth.")
        async with streaming(gateway.clients["0"]) as rest:
            async with streaming(gateway.clients["1"]) as rest_of_other:
                gateway.parent.process.send_signal(signal.SIGTERM)
                for _ in range(2):
                    await gateway.parent.until_logged("Shutting down")
                await until_refused(gateway)
                for pieces in answers:
                    pieces.put_nowait(None)
                assert [event.event async for event in rest_of_other] == ["done"]
            assert [event.event async for event in rest] == ["done"]
        for _ in range(2):
            assert (await gateway.parent.until_logged("process_ended"))["status"] == 0
        assert await gateway.parent.process.wait() == 0


async def until_refused(gateway: Several) -> None:
    """Returns once no process, nor the parent, listens at the port."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    async with asyncio.timeout(PATIENT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except ConnectionError:
                return
            writer.close()
            await asyncio.sleep(0.05)  # a port that is closed tells nobody


async def test_process_whose_event_loop_stands_still_is_replaced(redis_url: str, tmp_path: Path) -> None:
    async with several_started(
        tmp_path, redis_url=redis_url, engine_url=closed_port_url(), worker_silence_s=20
    ) as gateway:
        os.kill(gateway.pids["1"], signal.SIGSTOP)
        died = await gateway.parent.until_logged("process_died")
        assert (died["process"], died["stuck"]) == (1, True)
        await gateway.until_ready()
        values = await samples(gateway.clients["0"])
        assert values["process_deaths_total", frozenset({"stuck"})] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
async def test_processes_end_with_a_parent_that_is_killed(redis_url: str, tmp_path: Path) -> None:
    async with several_started(tmp_path, redis_url=redis_url, engine_url=closed_port_url()) as gateway:
        gateway.parent.process.kill()
        await gateway.parent.process.wait()
        await until_refused(gateway)


async def test_settings_that_no_process_can_start_with_end_the_parent(tmp_path: Path) -> None:
    environment = {**os.environ, "LLAVA_GRAPH_MODEL_DIR": str(tmp_path / "nowhere"), "LLAVA_GRAPH_PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "--workers", "2"), env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"manifest.toml" in errors
    assert b"before it was ready" in errors
    assert b"Traceback" not in errors
