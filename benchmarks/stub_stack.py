"""What benchmarks of the gateway share: parts under the supervisor, a stub engine behind a gateway, and a client.

Each part is a process of its own; so is the client that reads the streams.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import httpx2

from launcher import services
from launcher.addresses import Addresses
from launcher.run_folder import RunFolder, tail
from launcher.supervisor import Change, Service, ServiceError, Supervisor

ENDLESS = 1_000_000
"""Tokens to ask for where a stream goes on until the client has measured."""

_MANIFEST = f"""
name = "stub"
revision = "1"
context_template = "located"
context_length = {ENDLESS}
max_new_tokens = {ENDLESS}
"""


def gateway_and_stub(
    addresses: Addresses, folder: RunFolder, tokens_per_s: int, gateway_environment: Mapping[str, str]
) -> list[Service]:
    """Redis, the stub engine, and a gateway that knows it as its model, with these settings besides."""
    (folder.path / "manifest.toml").write_text(_MANIFEST)
    stub = ["-m", "benchmarks.stub_engine", "--port", str(addresses.engine.port)]
    gateway = services.gateway_service(addresses, folder.path, folder)
    return [
        services.redis_service(addresses, folder),
        Service(
            "engine",
            [sys.executable, *stub, "--tokens-per-s", str(tokens_per_s)],
            healthy(addresses.engine.url),
            log=folder.log("engine"),
        ),
        replace(gateway, env={**gateway.env, **gateway_environment}),
    ]


@asynccontextmanager
async def supervised(
    parts: Sequence[Service], folder: RunFolder, deadline_s: float, note: Callable[[Change], None] = lambda _: None
) -> AsyncIterator[None]:
    """The parts, ready. A part that fails ends the benchmark with the last lines of its log."""
    try:
        async with Supervisor(parts, note).running(deadline_s):
            yield
    except ServiceError as error:
        last = "\n".join(tail(folder.log(error.service.name)))
        raise click.ClickException(f"{error}\n{last}") from error


async def streamed(port: int, request: Path, server_pid: int, streams: int, seconds: float) -> dict[str, Any]:
    """What a client in a process of its own measured at a port; `request` is a file with what each stream sends."""
    options = {"port": port, "request": request, "server-pid": server_pid, "streams": streams, "seconds": seconds}
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.stream_client"),
        *(text for name, value in options.items() for text in (f"--{name}", str(value))),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await client.communicate()
    if client.returncode != 0:
        raise click.ClickException(f"The client ended with exit status {client.returncode}.")
    measured: dict[str, Any] = json.loads(output)
    return measured


def raw_request(path: str, **content: Any) -> bytes:
    """An HTTP/1.1 request as it goes over the wire."""
    request = httpx2.Request("POST", f"http://127.0.0.1{path}", **content)
    body = request.read()
    head = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    return "\r\n".join([*head, "", ""]).encode() + body


def healthy(url: str, path: str = "/health") -> services.Probe:
    """A readiness probe: `url` answers there with success."""

    async def ready() -> bool:
        try:
            async with httpx2.AsyncClient(timeout=services.PROBE_DEADLINE_S, trust_env=False) as http:
                return (await http.get(f"{url}{path}")).is_success
        except httpx2.HTTPError:
            return False

    return ready
