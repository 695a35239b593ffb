"""`llava-graph gateway --check` and `llava-graph engine --check`, as a container's health check runs them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from launcher.services import engine_trouble
from llava_graph.address import Address
from service.process.check import check_gateway
from tests.fakes.openai_engine import OpenAIEngine, Wire
from tests.harness.gateway import closed_port_url, gateway, serving


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said; what is said of a trouble belongs to standard error."""

    status: int
    output: str
    errors: str


async def checked(part: str, url: str) -> Ended:
    """`llava-graph PART --check` on the port of a URL, listening on all addresses as in a container."""
    command = ["-m", "launcher.cli", part, "--check", "--host", "0.0.0.0", "--port", str(urlsplit(url).port)]
    # A proxy that is nowhere: a check of what runs beside it must not go through one.
    environment = {**os.environ, "http_proxy": closed_port_url(), "HTTP_PROXY": closed_port_url()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


@asynccontextmanager
async def deaf() -> AsyncIterator[str]:
    """The URL of a server that takes connections and says nothing."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_gateway_without_ocr_workers_passes_and_what_is_missing_is_said(redis_url: str) -> None:
    async with serving(OpenAIEngine(), lifespan=False) as engine_url, gateway(redis_url, engine_url) as running:
        ended = await checked("gateway", str(running.http.base_url))
    assert ended.status == 0
    assert "degraded (engine ok, Redis ok, OCR down)" in ended.output


async def test_gateway_without_an_engine_fails_and_the_engine_is_named(redis_url: str) -> None:
    async with gateway(redis_url, closed_port_url()) as running:
        ended = await checked("gateway", str(running.http.base_url))
    assert ended.status == 1
    assert ended.output == ""
    assert "unavailable (engine down, Redis ok" in ended.errors


async def test_engine_that_answers_passes() -> None:
    async with serving(OpenAIEngine(), lifespan=False) as url:
        ended = await checked("engine", url)
    assert ended.status == 0
    assert "ready" in ended.output


@pytest.mark.parametrize("part", ["gateway", "engine"])
async def test_where_nobody_listens_the_check_fails_with_the_address(part: str) -> None:
    url = closed_port_url()
    ended = await checked(part, url)
    assert ended.status == 1
    assert url in ended.errors
    assert "Traceback" not in ended.errors


@pytest.mark.parametrize("part", ["gateway", "engine"])
async def test_a_check_without_a_port_is_refused(part: str) -> None:
    ended = await checked(part, "http://127.0.0.1:0")
    assert ended.status == 2
    assert "--check needs the port" in ended.errors


async def test_what_takes_connections_and_never_answers_is_not_waited_for() -> None:
    async with deaf() as url, asyncio.timeout(30):
        found = await check_gateway(url, deadline_s=0.05)
        assert found.words == f"{url} did not answer within 0.05 s"
        assert not found.ok
        trouble = await engine_trouble(Address("127.0.0.1", urlsplit(url).port or 0), deadline_s=0.05)
        assert trouble == f"{url}/health did not answer within 0.05 s"


async def test_another_server_in_the_gateway_s_place_is_told_from_it() -> None:
    async def somebody(_: Scope, __: Receive, send: Send) -> None:
        wire = Wire(send)
        await wire.start(content_type="application/json")
        await wire.send(b'{"status": "ready"}')
        await wire.end()

    async with serving(somebody, lifespan=False) as url:
        found = await check_gateway(url)
    assert not found.ok
    assert "not as a gateway does" in found.words


async def test_engine_that_is_still_loading_fails_with_its_status() -> None:
    async with serving(OpenAIEngine(health_status=503), lifespan=False) as url:
        trouble = await engine_trouble(Address("127.0.0.1", urlsplit(url).port or 0))
    assert trouble == f"{url}/health answers 503"
