"""The product as a user starts it: `llava-graph up` in a process of its own, on free ports.

The model is the small one of the tests, which needs no building, unless the environment names another.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from llava_graph.example_figures import Example, load_examples
from tests.paths import REPOSITORY

LLAVA_GRAPH = [sys.executable, "-m", "launcher.cli"]

STOP_DEADLINE_S = 60.0

ENVIRONMENT = {"LLAVA_GRAPH_MODEL_DIR": "model_repo/llava-graph-tiny", **os.environ}


class RunningCommand:
    """A `llava-graph` command that keeps running; its output is read line by line, so that one can wait for a line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*LLAVA_GRAPH, *arguments],
            cwd=REPOSITORY,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output: list[str] = []

    def wait_for(self, words: str) -> str:
        """The next line that holds `words`; fails with all output when the command ends first."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line.rstrip("\n"))
            if words in line:
                return self.output[-1]
        raise AssertionError(f"{words!r} was never said:\n" + "\n".join(self.output))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends the command and returns its exit status."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=STOP_DEADLINE_S)
        self.output += rest.splitlines()
        return self.process.returncode


class RunningStack(RunningCommand):
    """`llava-graph up`, ready, with `options` of that command."""

    def __init__(self, run_dir: Path, *options: str) -> None:
        super().__init__("up", "--port", "0", "--run-dir", str(run_dir), *options)
        self.run_dir = run_dir
        self.url = self.wait_for("LLaVA-Graph is ready at").split()[-1]

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.run_dir / "run.json").read_text(encoding="utf-8"))
        return state

    def pid(self, part: str) -> int:
        return int(self.state["parts"][part]["pid"])


def processes_of(group: int) -> dict[int, str]:
    """The living processes of a process group, by id, with their names; one that has ended and of which its parent has
    not yet taken note (`Z`) lives no longer."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if os.getpgid(int(folder.name)) != group or "\nState:\tZ" in (folder / "status").read_text():
                continue
            found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ").strip()
        except (FileNotFoundError, ProcessLookupError):  # ended while we looked
            continue
    return found


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One stack for all tests. Who breaks a part of it mends it."""
    running = RunningStack(tmp_path_factory.mktemp("stack"))
    yield running
    running.stop()


@pytest.fixture
def start_command() -> Iterator[Callable[..., RunningCommand]]:
    """Starts commands that are ended with the test, if they still run."""
    started: list[RunningCommand] = []

    def start(*arguments: str) -> RunningCommand:
        started.append(RunningCommand(*arguments))
        return started[-1]

    yield start
    for command in started:
        if command.process.poll() is None:
            command.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return load_examples(REPOSITORY / "examples")


async def until_known_to_be_gone(gateway: httpx2.AsyncClient) -> None:
    """Returns once the gateway knows that its engine died; it asks none again that it heard in the last second."""
    async with asyncio.timeout(20):
        while (await gateway.get("/readyz")).status_code != 503:  # noqa: ASYNC110 - it sends no event
            await asyncio.sleep(0.1)
