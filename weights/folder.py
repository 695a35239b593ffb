"""A target folder that appears under its name when it is complete, and not before. Knows nothing of weights.

    .NAME.partial/   beside the target while it is written; locked by the process that writes it
    NAME/            the same folder, renamed after everything in it has reached the disk

What interrupts the writing (a signal, a full disk) leaves `.NAME.partial`, which the next run may go on with. A refusal
(WeightsError) removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from weights.errors import TargetError, WeightsError


@contextmanager
def new_folder(target: Path, *, overwrite: bool = False, inputs: Sequence[Path] = ()) -> Iterator[Path]:
    """Gives the folder to write to; on leaving, it is on the disk and named `target`.

    Raises TargetError when `target` exists without `overwrite`, is or holds or lies in one of `inputs`, or is being
    written by another process.
    """
    target = target.resolve()
    _check(target, overwrite, inputs)
    partial = target.with_name(f".{target.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    lock = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TargetError(f"{target}: another process is writing it") from error
        try:
            yield partial
        except WeightsError:
            shutil.rmtree(partial)
            raise
        for file in sorted(partial.rglob("*")):
            sync(file)
        sync(partial)
        _rename(partial, target)
    finally:
        os.close(lock)


def sync(path: Path) -> None:
    """Returns when what is at `path` (a file's bytes, a folder's names) is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Writes a small file that is either whole or absent, also after a power cut."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    sync(partial)
    partial.rename(path)
    sync(path.parent)


def _check(target: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
    for given in inputs:
        other = given.resolve()
        if target == other or other in target.parents or target in other.parents:
            raise TargetError(f"{target}: is, holds or lies in the input {given}")
    if target.exists() and not overwrite:
        raise TargetError(f"{target}: exists (--overwrite replaces it)")
    if target.exists() and not target.is_dir():
        raise TargetError(f"{target}: is not a folder")


def _rename(partial: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old")
    if old.exists():
        shutil.rmtree(old)
    if target.exists():
        target.rename(old)
    partial.rename(target)
    sync(target.parent)
    if old.exists():
        shutil.rmtree(old)
