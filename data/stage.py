"""A stage: the same work on every shard of a folder, done once for each, and gone on with after whatever stopped it.

    summaries = run_stage(Stage("build", folder, settings), shards, work, runner, progress)

`work` is called with a shard's path, writes its results whole (see shards.ShardWriter) and returns a summary as JSON.
The summary is then kept under `.done/`, and a shard that has one is not worked on again. What was under way in a crash
is done again from its beginning, or from the work's own journal. `stage.json` remembers the settings and the input: a
folder that other settings filled is refused, so that no run mixes two kinds of data.

How the shards go round (processes of this machine, or Ray) is the runner's affair: see scale.py.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from data.errors import StageError

Summary = dict[str, Any]
Work = Callable[[Path], Summary]
"""Picklable: runners send it to other processes."""


class Runner(Protocol):
    """Calls the work for each shard, in any order, and yields each summary as soon as it is there.

    An exception of the work comes out of the iteration; shards that ended before it were yielded.
    """

    def run(self, work: Work, shards: Sequence[Path]) -> Iterator[tuple[Path, Summary]]: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """`settings` are all that decides what the work writes, as JSON."""

    name: str
    folder: Path
    settings: Mapping[str, Any]


def prepare(stage: Stage, shards: Sequence[Path], *, overwrite: bool = False) -> None:
    """Makes the stage's folder, or finds it as an earlier run of the same stage left it. Raises StageError."""
    mark = stage.folder / "stage.json"
    settings = json.loads(json.dumps(dict(stage.settings)))
    wanted = {"stage": stage.name, "settings": settings, "input": _input(shards)}
    if overwrite and mark.exists():
        shutil.rmtree(stage.folder)
    if not mark.exists():
        if stage.folder.exists() and any(stage.folder.iterdir()):
            raise StageError(f"{stage.folder} is not empty and was not made by this command; choose another folder")
        stage.folder.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps(wanted, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    found = json.loads(mark.read_text(encoding="utf-8"))
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        what = ", ".join(_differences(found, wanted, differing))
        raise StageError(f"{stage.folder} holds the work of another run ({what}); --overwrite begins anew")


def run_stage(
    stage: Stage,
    shards: Sequence[Path],
    work: Work,
    runner: Runner,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Summary]:
    """The summaries of all shards, in the order of `shards`, from this run and earlier ones. `prepare` comes first.

    `progress` is told how many shards are done, of how many. Raises StageError when the work on a shard failed.
    """
    kept = stage.folder / ".done"
    kept.mkdir(exist_ok=True)
    waiting = [shard for shard in shards if not _mark(kept, shard).exists()]
    done = len(shards) - len(waiting)
    progress(done, len(shards))
    for shard, summary in runner.run(work, waiting):
        mark = _mark(kept, shard)
        partial = mark.with_suffix(".partial")
        partial.write_text(json.dumps(summary, ensure_ascii=False), encoding="utf-8")
        partial.replace(mark)
        done += 1
        progress(done, len(shards))
    return [json.loads(_mark(kept, shard).read_text(encoding="utf-8")) for shard in shards]


def _mark(kept: Path, shard: Path) -> Path:
    return kept / f"{shard.stem}.json"


def _input(shards: Sequence[Path]) -> str:
    names = [(shard.name, shard.stat().st_size) for shard in shards]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any], keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        if key != "settings" or not isinstance(found.get(key), dict):
            yield key
            continue
        before, now = found[key], wanted[key]
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                yield f"{name}: {before.get(name)!r} then, {now.get(name)!r} now"
