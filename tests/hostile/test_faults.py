"""Faults of the machine under running parts: a full disk under logs and state, no process to be had.

/dev/full refuses every write as a full disk does. Processes and Redis are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from launcher.addresses import Addresses, choose_addresses
from launcher.run_folder import STATE_FILE, RunFolder
from launcher.stack import _Record
from launcher.supervisor import Change, RestartPolicy, Service, State, Supervisor
from llava_graph.jobs import JobProducer, Keys, Reply, live_workers
from llava_graph.log_stream import LogStream
from ocr_worker.settings import WorkerSettings
from tests.fakes.ocr_worker import CRASHES, figure, text_of
from tests.paths import REPOSITORY

PATIENT_S = 60
FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


def test_log_that_cannot_be_written_loses_its_lines_and_says_later_how_many(tmp_path: Path) -> None:
    with FULL.open("w") as full, (tmp_path / "log").open("w") as file:
        stream = LogStream(file)
        with contextlib.closing(os.fdopen(os.dup(file.fileno()), "w")) as room:
            stream.write('{"event": "first"}\n')
            os.dup2(full.fileno(), file.fileno())
            stream.write('{"event": "lost"}\n')
            stream.write('{"event": "lost"}\n')
            assert stream.lost == 2
            os.dup2(room.fileno(), file.fileno())
            stream.write('{"event": "last"}\n')
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["first", "log_lines_lost", "last"]
    assert lines[1]["lines"] == 2


def test_line_that_was_cut_short_does_not_run_into_the_next() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "w") as pipe, os.fdopen(reader, "rb") as read_end:
        stream = LogStream(pipe)
        while not stream.lost:
            stream.write("x" * 9_999 + "\n")
        begun = os.read(read_end.fileno(), 10_000_000)
        assert not begun.endswith(b"\n"), "the pipe's size must not be a multiple of the line's"
        stream.write("whole\n")
        whole = os.read(read_end.fileno(), 10_000_000).split(b"\n")
    assert whole[0] == b""
    assert json.loads(whole[1])["event"] == "log_lines_lost"
    assert whole[2] == b"whole"


@contextlib.asynccontextmanager
async def worker_with_a_full_disk(redis_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    settings = WorkerSettings.model_validate({"redis_url": redis_url, "ocr_lease_s": 1.0})
    with FULL.open("w") as full:  # noqa: ASYNC230 - a device
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.fakes.ocr_worker"),
            env={**os.environ, **settings.to_environment()},
            cwd=REPOSITORY,
            stderr=full,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), PATIENT_S)


async def until_workers(redis: Redis, at_work: bool) -> None:
    async with asyncio.timeout(PATIENT_S):
        while bool(await live_workers(redis, Keys())) is not at_work:  # noqa: ASYNC110 - Redis sends no event
            await asyncio.sleep(0.02)


async def test_ocr_goes_on_while_its_log_cannot_be_written_and_comes_back_from_a_crash(
    redis_url: str, redis: Redis
) -> None:
    producer = JobProducer(redis, Keys(), "gw")

    async def ask(number: int) -> None:
        opened = figure(number)
        await producer.submit(opened.id, opened.png(), job_id=f"job-{number}", wait_ms=PATIENT_S * 1000)

    async def answers(count: int) -> list[str]:
        replies: list[Reply] = []
        async with asyncio.timeout(PATIENT_S):
            while len(replies) < count:
                replies += map(Reply.from_json, await producer.replies(block_s=0.5))
        return [reply.lines[0].text if reply.lines else reply.reason for reply in replies]

    async with worker_with_a_full_disk(redis_url) as process:
        await until_workers(redis, True)
        await ask(1)
        assert await answers(1) == [text_of(1)]
        await ask(CRASHES)
        await ask(2)
        answered = await answers(2)
        assert text_of(2) in answered
        assert any("poison" in answer for answer in answered)
        assert process.returncode is None


class Deaf:
    """Hears of changes through a file that takes nothing."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Change] = asyncio.Queue()

    def __call__(self, change: Change) -> None:
        self.heard.put_nowait(change)
        with FULL.open("w", buffering=1) as file:
            file.write(f"{change}\n")

    async def next(self, state: State) -> Change:
        while True:
            change = await asyncio.wait_for(self.heard.get(), PATIENT_S)
            if change.state is state:
                return change


def sleeper(name: str = "one", log: Path | None = None) -> Service:
    async def ready() -> bool:
        return True

    return Service(name, [sys.executable, "-c", "import signal; signal.pause()"], ready, log=log)


QUICK = RestartPolicy(limit=2, window_s=60, first_pause_s=0.01, longest_pause_s=0.01)


async def test_part_that_dies_while_its_news_cannot_be_written_is_started_again() -> None:
    changes = Deaf()
    supervisor = Supervisor([sleeper("one"), sleeper("other")], changes, QUICK)
    async with supervisor.running(PATIENT_S):
        pids = {(await changes.next(State.READY)).service.name: 0 for _ in range(2)}
        assert set(pids) == {"one", "other"}
        failed = asyncio.create_task(supervisor.wait())
        os.kill(supervisor._processes["one"].pid, signal.SIGKILL)
        assert (await changes.next(State.READY)).service.name == "one"
        assert not failed.done(), "the stack goes on"
        failed.cancel()


async def test_part_whose_log_cannot_be_opened_again_is_tried_later(tmp_path: Path) -> None:
    changes = Deaf()
    log = tmp_path / "logs" / "log"
    log.parent.mkdir()
    async with Supervisor([sleeper(log=log)], changes, QUICK).running(PATIENT_S):
        first = await changes.next(State.READY)
        log.unlink()
        log.parent.rmdir()  # a file that cannot be made, as without inodes or descriptors
        os.kill(first.pid, signal.SIGKILL)
        assert (await changes.next(State.DIED)).pid == first.pid
        assert "could not be started" in (await changes.next(State.DIED)).how
        log.parent.mkdir()
        assert (await changes.next(State.READY)).pid != first.pid


async def test_run_file_that_could_not_be_written_is_written_when_there_is_room(tmp_path: Path) -> None:
    addresses: Addresses = choose_addresses("127.0.0.1", 0)
    service = sleeper()
    with RunFolder.open(tmp_path / "run") as folder:
        record = _Record(folder, addresses, [service])
        async with record.kept_current():
            half_made = folder.path / f"{STATE_FILE}.new"
            half_made.symlink_to(FULL)
            record.note(Change(service, State.STARTED, 4711))
            assert not (folder.path / STATE_FILE).exists()
            half_made.unlink()
            async with asyncio.timeout(PATIENT_S):
                while not (folder.path / STATE_FILE).exists():  # noqa: ASYNC110 - files send no event
                    await asyncio.sleep(0.02)
        assert json.loads((folder.path / STATE_FILE).read_text())["parts"]["one"]["pid"] == 4711
