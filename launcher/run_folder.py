"""The folder of one run: the children's logs, a lock that keeps two runs apart, and `run.json` with their addresses.

`run.json` says where the gateway, the engine and Redis are and which process is which, so that an operator (or a test)
can stop one part without stopping the rest. Knows nothing about what the parts do.
"""

from __future__ import annotations

import fcntl
import json
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from launcher.errors import RunFolderInUseError

STATE_FILE = "run.json"
LOCK_FILE = "lock"


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[RunFolder]:
        """The folder at `path`, made if need be, locked while the context lasts; the logs of the last run are emptied.

        Raises RunFolderInUseError, and OSError when the folder cannot be made or written.
        """
        path.mkdir(parents=True, exist_ok=True)
        with (path / LOCK_FILE).open("a") as lock:
            try:
                # Held by the open file: the kernel gives it back however this process ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunFolderInUseError(f"{path} is in use by another run; choose another with --run-dir") from error
            for old in path.glob("*.log"):
                old.unlink()
            folder = cls(path)
            try:
                yield folder
            finally:
                (path / STATE_FILE).unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        return self.path / f"{name}.log"

    def write_state(self, state: Mapping[str, object]) -> None:
        """Replaces `run.json` in one step, so that a reader never sees half of it; it holds Redis' password."""
        new = self.path / f"{STATE_FILE}.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        new.replace(self.path / STATE_FILE)


def tail(log: Path, lines: int = 20) -> list[str]:
    """The last lines of a log; none when there is no log."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
    except FileNotFoundError:
        return []
