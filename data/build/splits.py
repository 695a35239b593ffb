"""Which split a record goes to: by its paper, so that no paper is in two of them.

`by_paper` needs no list of papers: a hash of seed and paper decides, the same on every machine and for every data set,
so that SciCap's and SciGraphQA's figures of one paper meet in one split. `by_source` keeps the source's own splits,
and leaves out of the earlier ones what has its paper in a later one (train gives way to val, val to test).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class ByPaper:
    """`val` and `test` are shares of the papers, 0..1."""

    seed: int
    val: float
    test: float

    def split(self, group: str, _said: str | None) -> Split:
        digest = hashlib.sha256(f"{self.seed}:{group}".encode()).digest()
        place = int.from_bytes(digest[:8]) / 2**64
        if place < self.test:
            return "test"
        return "val" if place < self.test + self.val else "train"


class OtherSplitError(Exception):
    """The record's paper is in a later split of the source as well."""


class NoSplitError(Exception):
    """The source does not say the record's split."""


@dataclass(frozen=True, slots=True)
class BySource:
    """`latest` maps each group that is in val or test to the later of the two."""

    latest: Mapping[str, Split] = field(repr=False)

    def split(self, group: str, said: str | None) -> Split:
        """Raises NoSplitError or OtherSplitError."""
        split = next((name for name in SPLITS if name == said), None)
        if split is None:
            raise NoSplitError
        if SPLITS.index(self.latest.get(group, "train")) > SPLITS.index(split):
            raise OtherSplitError
        return split


def latest_splits(rows: Iterable[tuple[str, str | None]]) -> dict[str, Split]:
    """For `BySource`, from (group, split) of all records."""
    latest: dict[str, Split] = {}
    for group, said in rows:
        if said == "test":
            latest[group] = "test"
        elif said == "val":
            latest.setdefault(group, "val")
    return latest


def shared_groups(groups: Mapping[str, Iterable[str]]) -> set[str]:
    """The groups that are in more than one split; empty when all is well."""
    seen: dict[str, str] = {}
    return {group for split, members in groups.items() for group in members if seen.setdefault(group, split) != split}
