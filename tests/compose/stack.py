"""docker-compose.yml as somebody runs it: a project of its own on a Docker engine, on free ports."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.paths import REPOSITORY

HEALTHY = "health_status: healthy"
DEAD = "die"

COMMAND_DEADLINE_S = 120
BUILD_DEADLINE_S = 3600
"""PyTorch has to come over the network."""


def compose_command() -> list[str] | None:
    """Compose v2, else docker-compose 1.29; None where there is neither."""
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=COMMAND_DEADLINE_S)
    if asked.returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Stack:
    """One Compose project. `settings` are the variables of .env that differ from it, and what builds want."""

    def __init__(self, compose: Sequence[str], project: str, settings: Mapping[str, str]) -> None:
        self.project = project
        self._compose = [*compose, "--project-name", project]
        # What .env says before what this shell happens to say: it is .env that is tested.
        self._environment = {**os.environ, **settings_file(), **settings}

    def compose(
        self, *arguments: str, check: bool = True, deadline_s: float = COMMAND_DEADLINE_S
    ) -> subprocess.CompletedProcess[str]:
        """`docker compose ARGUMENTS`, in the repository's root."""
        done = subprocess.run(
            [*self._compose, *arguments],
            cwd=REPOSITORY,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline_s,
        )
        assert not check or done.returncode == 0, (
            f"{' '.join(arguments)}:\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
        )
        return done

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, those that have ended included."""
        labels = self._labels(service)
        return docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.oneoff=False", *labels).split()

    def facts(self, service: str) -> dict[str, Any]:
        """What the Docker engine knows of a service's container."""
        [container] = self.containers(service)
        facts: dict[str, Any] = json.loads(docker("inspect", container))[0]
        return facts

    def run_inside(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in a service's container, as the user it runs as."""
        [container] = self.containers(service)
        return subprocess.run(
            ["docker", "exec", container, *command], capture_output=True, text=True, timeout=COMMAND_DEADLINE_S
        )

    def get(self, url: str, *, by: str = "gateway") -> subprocess.CompletedProcess[str]:
        """What a URL of the inner networks answers to a container with Python."""
        program = f"from urllib.request import urlopen; print(urlopen({url!r}, timeout=5).read().decode())"
        return self.run_inside(by, "python3", "-c", program)

    def kill_main_process(self, service: str) -> None:
        """SIGKILL to what the container's init runs: as after a crash, the container ends. (`docker kill` would not do:
        Docker takes that for somebody's wish, and starts nothing again.)"""
        program = (
            "import os, pathlib, signal\n"
            "for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):\n"
            "    pid, parent = int(stat.parent.name), int(stat.read_text().rpartition(')')[2].split()[1])\n"
            "    if parent == 1: os.kill(pid, signal.SIGKILL)\n"
        )
        self.run_inside(service, "python3", "-c", program)

    async def until(self, service: str, status: str, *, since: float, deadline_s: float = 300) -> None:
        """Returns when a service's container has come to `status` after the time `since`: HEALTHY or DEAD."""
        # The engine tells of what has happened since then first, so nothing is missed before this begins to listen.
        command = ["docker", "events", "--since", f"{since:.3f}", *self._labels(service), "--format", "{{.Status}}"]
        events = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(deadline_s):
                assert events.stdout is not None
                async for line in events.stdout:
                    if line.decode().strip() == status:
                        return
            raise AssertionError("the Docker engine tells nothing any more")
        except TimeoutError:
            raise AssertionError(f"{service} never was {status!r}:\n{self.logs(service)}") from None
        finally:
            events.kill()
            await events.wait()

    def _labels(self, service: str) -> list[str]:
        """Options that pick out the containers of a service, and what is told of them."""
        project = f"label=com.docker.compose.project={self.project}"
        return ["--filter", project, "--filter", f"label=com.docker.compose.service={service}"]

    def logs(self, service: str) -> str:
        return self.compose("logs", "--no-color", "--tail", "50", service, check=False).stdout

    def down(self) -> None:
        self.compose("down", "--volumes", "--timeout", "10")


def docker(*arguments: str) -> str:
    """The output of a `docker` command that must succeed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=COMMAND_DEADLINE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def bridge_address() -> str:
    """This machine as containers see it while they are built."""
    subnet = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}").strip()
    return str(ipaddress.ip_network(subnet)[1])


def settings_file() -> dict[str, str]:
    """The variables of .env."""
    lines = (REPOSITORY / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def now() -> float:
    """A time for `since`."""
    return time.time()
