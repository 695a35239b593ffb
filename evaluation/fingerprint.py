"""The fingerprint of a run: all that can change its numbers, written beside them.

Published numbers fail to come out again because the prompt, the backend, the pixels or the scorer differ without a
word. A run therefore writes a Fingerprint to `<name>.fingerprint.json` beside its rows, a run is only resumed with the
same one, and two runs are only compared by `compared`, which says in what they differ. A field that is not known is
null and counts as a difference from anything that is known. It knows no endpoint and no metric.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from evaluation.errors import InputError, MismatchError
from evaluation.rows import read_json, write_json

FORMAT = 1

LEARNT = (
    "model",
    "revision",
    "engine_version",
    "template",
    "prompts_sha256",
    "pixels_sha256",
)
"""Fields that may be null at the start of a run and are set from what the endpoint said or what was sent."""

SAME_FOR_COMPARISON = ("questions_sha256", "pixels_sha256", "scorer")
"""Where one of these differs, a difference of scores says nothing about the models: it must be allowed by name."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a run's numbers depend on.

    Hashes are SHA-256 in hexadecimal. `pixels_sha256` is over the decoded upright pixels of the images, not over files.
    `preprocessing` says what was done to the image before it was sent. `scorer` is set where the run scores or judges.
    """

    kind: str
    model: str | None = None
    revision: str | None = None
    weights_sha256: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    template: str | None = None
    context: str | None = None
    questions_sha256: str | None = None
    prompts_sha256: str | None = None
    pixels_sha256: str | None = None
    preprocessing: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    scorer: str | None = None
    software: str | None = None
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Fingerprint:
        """Raises InputError for anything but a fingerprint of this format."""
        if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("kind"), str):
            raise InputError("this is no fingerprint of a run, or one of another format")
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: part for name, part in value.items() if name in known})


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which two runs differ."""

    name: str
    left: object
    right: object

    def __str__(self) -> str:
        return f"{self.name}: {_short(self.left)} / {_short(self.right)}"


def fingerprint_path(rows: Path) -> Path:
    """Where the fingerprint of a file of rows lies: `answers.jsonl` → `answers.fingerprint.json`."""
    return rows.with_name(f"{rows.name.removesuffix('.jsonl')}.fingerprint.json")


def save(fingerprint: Fingerprint, rows: Path) -> None:
    write_json(fingerprint_path(rows), fingerprint.to_json())


def load(rows: Path) -> Fingerprint | None:
    """The fingerprint beside a file of rows; None where there is none. Raises InputError for a broken one."""
    path = fingerprint_path(rows)
    return Fingerprint.from_json(read_json(path)) if path.exists() else None


def differences(left: Fingerprint, right: Fingerprint, ignored: Collection[str] = ()) -> list[Difference]:
    """All fields in which two fingerprints differ, in the order of Fingerprint's fields."""
    a, b = left.to_json(), right.to_json()
    return [Difference(name, a[name], b[name]) for name in a if name not in ignored and a[name] != b[name]]


def resumed(rows: Path, wanted: Fingerprint) -> Fingerprint:
    """The fingerprint to go on with in `rows`: the one that is there, or `wanted`, which is then saved.

    Raises MismatchError when a run with other settings lies there. Fields of LEARNT that are still null in `wanted` are
    compared later, by `learnt`.
    """
    found = load(rows)
    if found is None:
        if rows.exists() and rows.stat().st_size:
            raise MismatchError(f"{rows} holds rows without a fingerprint: choose another file, or delete it")
        save(wanted, rows)
        return wanted
    ignored = [name for name in LEARNT if getattr(wanted, name) is None]
    if differing := differences(found, wanted, ignored):
        raise MismatchError(
            f"{rows} holds another run: choose another file, or delete it. Differing: {'; '.join(map(str, differing))}"
        )
    return found


def learnt(fingerprint: Fingerprint, **facts: str | None) -> Fingerprint:
    """With what an endpoint said of itself. Raises MismatchError when it said something else before: then the rows of
    the run would come from two different models."""
    for name, value in facts.items():
        before = getattr(fingerprint, name)
        if value is not None and before is not None and before != value:
            raise MismatchError(f"the endpoint changed during the run: {Difference(name, before, value)}")
    known: dict[str, Any] = {name: value for name, value in facts.items() if value is not None}
    return dataclasses.replace(fingerprint, **known)


def compared(
    left: Fingerprint | None, right: Fingerprint | None, allowed: Collection[str] = (), *, require: bool = True
) -> list[Difference] | None:
    """In what two runs differ: every comparison is shown together with it. None: not known.

    Raises MismatchError where a field of SAME_FOR_COMPARISON differs and is not `allowed`, and, unless `require` is
    False, where a run has no fingerprint.
    """
    if left is None or right is None:
        if require:
            raise MismatchError(
                "a run has no fingerprint, so it is not known in what the two differ: "
                "allow that with --without-fingerprint"
            )
        return None
    found = differences(left, right)
    refused = [item for item in found if item.name in SAME_FOR_COMPARISON and item.name not in allowed]
    if refused:
        raise MismatchError(
            f"the runs are not comparable: {'; '.join(map(str, refused))} "
            f"(allow it with --differing {' --differing '.join(item.name for item in refused)})"
        )
    return found


def software() -> str:
    """Our own version, as fingerprints hold it."""
    try:
        return f"llava-graph {metadata.version('llava-graph')}"
    except metadata.PackageNotFoundError:
        return "llava-graph (not installed)"


def _short(value: object) -> str:
    text = "not known" if value is None else str(value)
    return text[:12] + "…" if len(text) == 64 and text.isalnum() else text
