"""The set "real": figures of public repositories, labelled by hand. Their pixels are not ours and not kept here.

`real.jsonl` has one figure a line: {"repository", "commit", "path", "sha256", "truth": {…}}, where `truth` is in the
format of `truth`. The labels are ours: values were read by eye, each with its doubt as `tolerance`. `fetch` gets the
files from clones or from an address that its caller gives, and keeps one only when its hash is right.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx2

from evaluation.suites.charts import truth
from evaluation.suites.charts.truth import TruthError, TruthFigure

MANIFEST = Path(__file__).with_name("real.jsonl")


class FetchError(RuntimeError):
    """A file cannot be had from this source."""


@dataclass(frozen=True, slots=True)
class RealFigure:
    """Where a figure is, and what is true of it. `sha256` is of the file's bytes, in hexadecimal."""

    repository: str  # owner/name on GitHub
    commit: str
    path: str
    sha256: str
    truth: TruthFigure


class Source(Protocol):
    """Where files of repositories come from."""

    def get(self, repository: str, commit: str, path: str) -> bytes:
        """The file's bytes. Raises FetchError."""


@dataclass(frozen=True, slots=True)
class Clones:
    """Git repositories in a folder, as OWNER/NAME, OWNER+NAME or NAME; bare ones may lie in a folder of that name."""

    folder: Path

    def get(self, repository: str, commit: str, path: str) -> bytes:
        for place in self._places(repository):
            for revision in (commit, "HEAD"):
                shown = subprocess.run(
                    ["git", "-C", str(place), "show", f"{revision}:{path}"], capture_output=True, check=False
                )
                if shown.returncode == 0:
                    return shown.stdout
        raise FetchError(f"no clone of {repository} in {self.folder} has {path}")

    def _places(self, repository: str) -> list[Path]:
        owner, _, name = repository.partition("/")
        places = [self.folder / owner / name, self.folder / f"{owner}+{name}", self.folder / name]
        return [deep for place in places for deep in (place, place / "repo") if deep.is_dir()]


@dataclass(frozen=True, slots=True)
class Web:
    """An address with {repository}, {commit} and {path} in it, such as that of a mirror."""

    pattern: str
    timeout_s: float = 60.0

    def get(self, repository: str, commit: str, path: str) -> bytes:
        address = self.pattern.format(repository=repository, commit=commit, path=path)
        try:
            response = httpx2.get(address, timeout=self.timeout_s, follow_redirects=True)
            response.raise_for_status()
        except httpx2.HTTPError as error:
            raise FetchError(f"{address}: {error}") from error
        return response.content


def manifest(path: Path = MANIFEST) -> list[RealFigure]:
    """The figures of the set. Raises TruthError with the line's number."""
    figures = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            raw = json.loads(line)
            figure = truth.figure(raw["truth"])
            figures.append(
                RealFigure(str(raw["repository"]), str(raw["commit"]), str(raw["path"]), str(raw["sha256"]), figure)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TruthError(f"line {number}: {type(error).__name__}: {error}") from error
    return figures


def fetch(figures: Sequence[RealFigure], source: Source, folder: Path) -> dict[str, str]:
    """Put the figures that can be had, and what is true of them, into the folder; why others are missing, by id."""
    missing = {}
    had = []
    for figure in figures:
        try:
            data = source.get(figure.repository, figure.commit, figure.path)
        except FetchError as error:
            missing[figure.truth.id] = str(error)
            continue
        if hashlib.sha256(data).hexdigest() != figure.sha256:
            missing[figure.truth.id] = "the file has other bytes than the one that was labelled"
            continue
        (folder / figure.truth.file).write_bytes(data)
        had.append(figure.truth)
    truth.write(had, folder)
    return missing
