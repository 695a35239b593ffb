"""One stack for all tests here: images built, everything up with a key, and taken down at the end."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from llava_graph import client
from tests.compose import images, pip_here
from tests.compose.stack import (
    BUILD_DEADLINE_S,
    HEALTHY,
    Stack,
    bridge_address,
    compose_command,
    free_port,
    now,
    settings_file,
)

OURS = ("ocr-worker", "engine", "gateway")


@dataclass(frozen=True)
class Running:
    """The stack that is up: what it consists of here, and how callers get in."""

    stack: Stack
    services: list[str]
    port: int
    key: str
    started: float


@pytest.fixture(scope="session")
def compose() -> list[str]:
    """The command; skips where there is no Docker engine to run anything."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker command on this machine")
    if (asked := subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=60)).returncode != 0:
        pytest.skip(f"no Docker engine answers: {asked.stderr.strip()}")
    command = compose_command()
    if command is None:
        pytest.skip("there is neither `docker compose` nor docker-compose on this machine")
    return command


@pytest.fixture(scope="session")
def image_names(compose: list[str]) -> dict[str, str]:
    """The images of others by their variables in .env."""
    assert compose
    try:
        return images.found_or_made(settings_file())
    except images.NoImageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
async def running(compose: list[str], image_names: dict[str, str]) -> AsyncIterator[Running]:
    # Without Grafana's image all the rest is still worth testing.
    services = ["redis", *OURS, "prometheus", *(["grafana"] if "GRAFANA_IMAGE" in image_names else [])]
    async with started(compose, image_names, services, built=OURS, LLAVA_GRAPH_FEEDBACK="on") as running:
        yield running


@asynccontextmanager
async def started(
    compose: list[str], image_names: dict[str, str], services: list[str], *, built: Sequence[str], **chosen: str
) -> AsyncIterator[Running]:
    """These services of a project of its own, built and healthy, with a key; `chosen` goes before .env."""
    port = free_port()
    # A folder that other users of this machine cannot enter; the file in it must be readable to the containers' user.
    with tempfile.TemporaryDirectory(prefix="llava-graph-keys-") as folder:
        keys = Path(folder) / "keys.toml"
        settings = {**image_names, "LLAVA_GRAPH_PUBLISHED_PORT": str(port), "GRAFANA_PUBLISHED_PORT": str(free_port())}
        settings |= chosen
        project = f"llava-graph-test-{secrets.token_hex(3)}"
        with pip_here.build_arguments(bridge_address()) as arguments:
            # They are given to all commands: one that looks after images would else build other ones.
            settings |= arguments
            without_keys = Stack(compose, project, settings)
            without_keys.compose("build", *built, deadline_s=BUILD_DEADLINE_S)
        stack = Stack(compose, project, {**settings, "LLAVA_GRAPH_KEYS_FILE": str(keys)})
        try:
            made = without_keys.compose("run", "--rm", "--no-deps", "-T", "gateway", "keys", "new", "alice")
            [key] = re.findall(r"lg_[\w-]{43}", made.stderr)
            keys.write_text(made.stdout, encoding="utf-8")
            keys.chmod(0o644)
            since = now()
            stack.compose("up", "--detach", "--no-build", *services, deadline_s=600)
            for service in services:
                await stack.until(service, HEALTHY, since=since)
            yield Running(stack, services, port, key, since)
        finally:
            stack.down()


@pytest.fixture(scope="session")
def stack(running: Running) -> Stack:
    return running.stack


@pytest.fixture
async def gateway(running: Running) -> AsyncIterator[httpx2.AsyncClient]:
    """A client at the published port, with the key."""
    headers = {"Authorization": f"Bearer {running.key}"}
    url = f"http://127.0.0.1:{running.port}"
    async with httpx2.AsyncClient(base_url=url, timeout=client.TIMEOUT, trust_env=False, headers=headers) as http:
        yield http
