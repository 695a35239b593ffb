"""JSONL files of the evaluation: strict reading, joining by id, and files that grow while a run goes on.

A row that cannot be read is an error that names file and line; no row is skipped. A last line that was cut off when a
run was stopped is removed for good. Nothing here knows what the rows mean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.errors import InputError, MismatchError

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """All rows of a JSONL file (UTF-8, one object a line; empty lines are allowed). Raises InputError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return _parsed(text, path)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a whole JSONL file: UTF-8, LF, final newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{_line(row)}\n" for row in rows), encoding="utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Writes one JSON document for people and programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def read_json(path: Path) -> Any:
    """The JSON document in a file. Raises InputError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def row_id(row: Mapping[str, Any], name: str = "question_id") -> str:
    """The id of a row as text: files write the same ids as numbers or as strings. Raises InputError."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise InputError(f"a row has no usable {name}: {_line(row)[:120]}")
    return str(value)


def by_id(rows: Iterable[Row], what: str, name: str = "question_id") -> dict[str, Row]:
    """Rows by their id, in their order. `what` names the file in messages. Raises InputError for an id that comes
    twice."""
    found: dict[str, Row] = {}
    for row in rows:
        key = row_id(row, name)
        if key in found:
            raise InputError(f"{what}: {name} {key} comes twice")
        found[key] = row
    return found


def joined(left: Mapping[str, Row], left_name: str, right: Mapping[str, Row], right_name: str) -> list[str]:
    """The ids that both have, in the order of `left`. Raises MismatchError unless both hold the same ids."""
    missing = [key for key in left if key not in right]
    extra = [key for key in right if key not in left]
    if missing or extra:
        parts = []
        if missing:
            parts.append(f"{len(missing)} ids of {left_name} are not in {right_name} ({_some(missing)})")
        if extra:
            parts.append(f"{len(extra)} ids of {right_name} are not in {left_name} ({_some(extra)})")
        raise MismatchError("; ".join(parts))
    if not left:
        raise InputError(f"{left_name} holds no rows")
    return list(left)


def text_of(row: Mapping[str, Any], what: str, name: str = "text") -> str:
    """A text field. Raises InputError where it is missing or no text; an empty text is a text."""
    value = row.get(name)
    if not isinstance(value, str):
        raise InputError(f"{what}: row {row.get('question_id')!r} has no {name!r}")
    return value


class RowFile:
    """A JSONL file that grows by one row at a time and survives being stopped between or within rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = self._kept()

    def add(self, row: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_line(row) + "\n")
        self.rows.append(dict(row))

    def rewrite(self, rows: Sequence[Row]) -> None:
        """Replaces all rows at once, to put them into the order of the questions when the run is complete."""
        temporary = self.path.with_name(self.path.name + ".part")
        write_rows(temporary, rows)
        temporary.replace(self.path)
        self.rows = list(rows)

    def _kept(self) -> list[Row]:
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        whole, _, torn = data.rpartition(b"\n")
        if torn:
            self.path.write_bytes(whole + b"\n" if whole else b"")
        try:
            return _parsed(whole.decode("utf-8"), self.path)
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path} cannot be read: {error}") from error


def text_sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal; lone surrogates, which JSON can carry, are kept apart."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def pairs_sha256(pairs: Iterable[tuple[str, str]]) -> str:
    """One hash over (id, hash) pairs, the same in whatever order they come."""
    digest = hashlib.sha256()
    for key, value in sorted(pairs):
        digest.update(f"{key}\t{value}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def _parsed(text: str, path: Path) -> list[Row]:
    rows = []
    # Not splitlines: U+2028 and its like are allowed within a JSON string.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: no JSON ({error})") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: {type(row).__name__} instead of an object")
        rows.append(row)
    return rows


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
