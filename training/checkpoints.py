"""Checkpoints that a run may be killed beside: a folder `checkpoint-STEP` is complete from the moment it has its name.

1. Everything is written to `.partial/checkpoint-STEP`, and synced.
2. The folder is renamed to `checkpoint-STEP`, which is one step for the file system.
3. Older ones are renamed back into `.partial` before they are removed, so that a half-removed one has no such name.

What a kill leaves in `.partial` is cleared by the next run. Nothing here knows what a checkpoint holds, but for the
names of the files without which it is none.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from weights.folder import sync

PARTIAL = ".partial"
STATE_FILE = "trainer_state.json"
POSITION_FILE = "position.json"

_NAME = re.compile(r"checkpoint-(\d+)")


def complete(out: Path) -> list[Path]:
    """The complete checkpoints of a run, the oldest first."""
    found = []
    for path in out.glob("checkpoint-*"):
        match = _NAME.fullmatch(path.name)
        if match and all((path / name).is_file() for name in (STATE_FILE, POSITION_FILE)):
            found.append((int(match[1]), path))
    return [path for _, path in sorted(found)]


def finish(out: Path, name: str, keep: int) -> Path:
    """Gives `.partial/NAME` its final name, and removes older checkpoints but for the last `keep`."""
    partial, final = out / PARTIAL / name, out / name
    for path in sorted(partial.rglob("*")):
        sync(path)
    sync(partial)
    if final.exists():  # of a run that was begun anew in this folder
        _remove(out, final)
    partial.rename(final)
    sync(out)
    for old in complete(out)[:-keep]:
        _remove(out, old)
    return final


def clear(out: Path) -> None:
    """Removes what a killed run left unfinished."""
    shutil.rmtree(out / PARTIAL, ignore_errors=True)


def _remove(out: Path, checkpoint: Path) -> None:
    grave = out / PARTIAL / f"old-{checkpoint.name}"
    shutil.rmtree(grave, ignore_errors=True)
    grave.parent.mkdir(exist_ok=True)
    checkpoint.rename(grave)
    shutil.rmtree(grave)
