"""Supervision with real, small processes: order, readiness, restarts, stopping, and a supervisor that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from launcher.supervisor import Change, RestartPolicy, Service, ServiceError, State, Supervisor

QUICK = RestartPolicy(limit=2, window_s=60, first_pause_s=0.01, longest_pause_s=0.01)


class Changes:
    """Hears what the supervisor tells; one can wait for a change."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[Change] = asyncio.Queue()
        self.all: list[tuple[str, State]] = []

    def __call__(self, change: Change) -> None:
        self.all.append((change.service.name, change.state))
        self._heard.put_nowait(change)

    async def next(self, state: State) -> Change:
        while True:
            change = await self._heard.get()
            if change.state is state:
                return change


def file_exists(path: Path) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        return path.exists()  # noqa: ASYNC240 - one look at a local folder

    return ready


def python_service(
    name: str, tmp_path: Path, program: str, *, needs: tuple[str, ...] = (), stop_s: float = 10
) -> Service:
    """A Python program that is ready once it has made the file READY in its folder."""
    folder = tmp_path / name
    folder.mkdir()
    prelude = "import os, signal, subprocess, sys, time\nfrom pathlib import Path\nREADY = Path('READY')\n"
    return Service(
        name,
        [sys.executable, "-c", prelude + textwrap.dedent(program)],
        file_exists(folder / "READY"),
        cwd=folder,
        log=folder / "log",
        needs=needs,
        stop_s=stop_s,
    )


WAITS = "READY.touch(); signal.pause()"


def is_gone(pid: int) -> bool:
    """Also true of a process that has ended and of which its parent has not yet taken note (`Z`)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_services_start_when_what_they_need_is_ready_and_stop_the_other_way_round(tmp_path: Path) -> None:
    changes = Changes()
    services = [python_service("first", tmp_path, WAITS), python_service("second", tmp_path, WAITS, needs=("first",))]
    async with Supervisor(services, changes).running(30):
        pass
    assert changes.all == [
        ("first", State.STARTED),
        ("first", State.READY),
        ("second", State.STARTED),
        ("second", State.READY),
        ("second", State.STOPPED),
        ("first", State.STOPPED),
    ]


async def test_a_service_must_stand_after_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="first needs second"):
        Supervisor(
            [python_service("first", tmp_path, WAITS, needs=("second",)), python_service("second", tmp_path, WAITS)],
            Changes(),
        )


async def test_a_service_that_dies_before_it_is_ready_fails_the_start_and_its_log_tells_why(tmp_path: Path) -> None:
    services = [python_service("good", tmp_path, WAITS), python_service("bad", tmp_path, "sys.exit('no such model')")]
    changes = Changes()
    with pytest.raises(ServiceError, match="bad ended with exit status 1 before it was ready"):
        async with Supervisor(services, changes).running(30):
            pytest.fail("it was never ready")
    assert "no such model" in (tmp_path / "bad" / "log").read_text()
    assert changes.all[-1] == ("good", State.STOPPED)


async def test_a_service_that_never_becomes_ready_fails_the_start(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"slow was not ready within 0\.5 s"):
        async with Supervisor([python_service("slow", tmp_path, "signal.pause()")], Changes()).running(0.5):
            pytest.fail("it was never ready")


async def test_a_program_that_does_not_exist_fails_the_start(tmp_path: Path) -> None:
    service = Service("ghost", ["/nonexistent/program"], file_exists(tmp_path / "never"), log=tmp_path / "log")
    with pytest.raises(ServiceError, match="ghost ended with exit status 1"):
        async with Supervisor([service], Changes()).running(30):
            pytest.fail("it was never ready")
    assert (
        "/nonexistent/program" in (tmp_path / "log").read_text()
        or "FileNotFoundError" in (tmp_path / "log").read_text()
    )


async def test_a_service_that_dies_later_is_started_again(tmp_path: Path) -> None:
    changes = Changes()
    async with Supervisor([python_service("one", tmp_path, WAITS)], changes, QUICK).running(30):
        first = await changes.next(State.READY)
        os.kill(first.pid, signal.SIGKILL)
        died = await changes.next(State.DIED)
        assert (died.pid, died.how, died.pause_s) == (first.pid, "was ended by SIGKILL", 0.01)
        second = await changes.next(State.READY)
        assert second.pid != first.pid
        assert is_gone(first.pid)


async def test_a_service_that_dies_too_often_fails_for_good(tmp_path: Path) -> None:
    changes = Changes()
    supervisor = Supervisor([python_service("one", tmp_path, WAITS)], changes, QUICK)
    async with supervisor.running(30):
        for _ in range(QUICK.limit + 1):
            os.kill((await changes.next(State.READY)).pid, signal.SIGKILL)
        with pytest.raises(ServiceError, match="was ended by SIGKILL; it died 3 times in 60 s"):
            await supervisor.wait()


async def test_the_grandchildren_of_a_service_are_ended_with_it(tmp_path: Path) -> None:
    program = """
        child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])
        Path('CHILD').write_text(str(child.pid))
        READY.touch()
        signal.pause()
    """
    async with Supervisor([python_service("parent", tmp_path, program)], Changes()).running(30):
        grandchild = int((tmp_path / "parent" / "CHILD").read_text())
        assert not is_gone(grandchild)
    await _until_gone(grandchild)


async def test_a_service_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); READY.touch()\nwhile True: time.sleep(60)"
    changes = Changes()
    async with Supervisor([python_service("deaf", tmp_path, deaf, stop_s=0.2)], changes).running(30):
        pid = (await changes.next(State.READY)).pid
    assert is_gone(pid)


async def test_a_suspended_service_can_be_stopped(tmp_path: Path) -> None:
    changes = Changes()
    async with Supervisor([python_service("asleep", tmp_path, WAITS)], changes).running(30):
        pid = (await changes.next(State.READY)).pid
        os.kill(pid, signal.SIGSTOP)
    assert is_gone(pid)
    assert (await changes.next(State.STOPPED)).how == "was ended by SIGTERM"


async def test_a_killed_supervisor_leaves_no_service_behind_and_nothing_that_a_service_started() -> None:
    program = """
        import asyncio, sys
        from launcher.supervisor import Service, Supervisor

        async def ready():
            return True

        async def main():
            child = (
                "import os, signal, subprocess, sys\\n"
                "grandchild = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\\n"
                "print(os.getpid(), grandchild.pid, flush=True)\\n"
                "signal.pause()"
            )
            service = Service("one", [sys.executable, "-c", child], ready)
            async with Supervisor([service], lambda change: None).running(30):
                await asyncio.Event().wait()

        asyncio.run(main())
    """
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(program), stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    service_pid, grandchild_pid = map(int, (await supervisor.stdout.readline()).split())
    supervisor.kill()
    await supervisor.wait()
    await _until_gone(service_pid)
    await _until_gone(grandchild_pid)


async def test_no_sentinel_stays_when_its_service_is_gone(tmp_path: Path) -> None:
    changes = Changes()
    async with Supervisor([python_service("one", tmp_path, WAITS)], changes).running(30):
        pid = (await changes.next(State.READY)).pid
        sentinels = _children(pid)
        assert sentinels
    for sentinel in sentinels:
        await _until_gone(sentinel)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def _until_gone(pid: int) -> None:
    """Nobody tells us of the end of a process that is not our child."""
    async with asyncio.timeout(10):
        while not is_gone(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
