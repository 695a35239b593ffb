"""What is done within a shard that is not done yet: JSON lines by id, added as results come.

A stage that asks others (an OCR worker, a language model) loses at most the answers under way when it is stopped. A
line that a crash cut short is dropped when the journal is opened. It is removed when its shard is written.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from data.errors import StageError


class Journal:
    """Results by id. Holds one shard's results in memory, not more."""

    def __init__(self, path: Path) -> None:
        """Raises StageError when the file holds something else."""
        self._path = path
        self._results: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = _read(path, self._results)
        self._file = path.open("ab")
        self._file.truncate(whole)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def get(self, record_id: str) -> Any | None:
        return self._results.get(record_id)

    def add(self, record_id: str, result: Any) -> None:
        """Returns once the line is with the operating system: a crash of this process does not lose it."""
        self._results[record_id] = result
        self._file.write(json.dumps([record_id, result], ensure_ascii=False).encode() + b"\n")
        self._file.flush()

    def remove(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def _read(path: Path, results: dict[str, Any]) -> int:
    """Fills `results`; returns the number of bytes that are whole lines."""
    whole = 0
    if not path.exists():
        return whole
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                record_id, result = json.loads(line)
            except ValueError as error:
                raise StageError(f"{path}:{number}: not a journal: {error}") from error
            results[record_id] = result
            whole += len(line)
    return whole
