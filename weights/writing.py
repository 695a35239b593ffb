"""Writes planned tensors as safetensors shards. Knows names, shapes and rows; not what the tensors mean.

1. The tensors are dealt to shards in their order, by bytes, so headers are known before any row is computed.
2. Shards are written by threads side by side: reading, arithmetic on large tensors, hashing and writing all
   release Python's lock.
3. A finished shard is synced, renamed from `.partial`, and entered in `progress.json` with the SHA-256 of each
   tensor. A run that starts again with the same plan and the same inputs reads finished shards again, compares
   the checksums, and writes only what is missing or differs.
4. `checksums.json` (tensor name to SHA-256, whatever the shards) stays beside the weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any

from weights.checkpoint import DTYPES, Checkpoint
from weights.errors import CheckpointError, WeightsError
from weights.folder import sync, write_file
from weights.tensors import LazyTensor, as_bytes

CHECKSUMS_FILE = "checksums.json"
PROGRESS_FILE = "progress.json"
INDEX_FILE = "model.safetensors.index.json"

DEFAULT_SHARD_BYTES = 5_000_000_000
"""The size that transformers' own shards had when these checkpoints were made."""

_DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

Verify = Callable[[str, str], None]

Progress = Callable[[int], None]
"""Called with the number of bytes written since the last call, from several threads."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a folder of weights is written: what every command that writes one offers. `workers` None: all cores."""

    overwrite: bool = False
    shard_bytes: int = DEFAULT_SHARD_BYTES
    workers: int | None = None
    progress: Progress = lambda _: None


DEFAULTS = WriteOptions()


@dataclass(frozen=True, slots=True)
class Shard:
    """One file to write: its name, and its tensors in the order of their bytes."""

    file: str
    tensors: Mapping[str, LazyTensor]


class _StoppedError(Exception):
    """Another shard failed; this one is given up."""


def deal(tensors: Mapping[str, LazyTensor], shard_bytes: int, stem: str = "model") -> list[Shard]:
    """The tensors in their order, in shards of at most `shard_bytes`; a tensor that is larger has its own.

    Shards are made about equal, since they are written side by side.
    """
    total_bytes = sum(tensor.nbytes for tensor in tensors.values())
    share = total_bytes / max(1, math.ceil(total_bytes / shard_bytes))
    groups: list[dict[str, LazyTensor]] = [{}]
    filled = 0
    for name, tensor in tensors.items():
        if groups[-1] and (filled >= share or filled + tensor.nbytes > shard_bytes):
            groups.append({})
            filled = 0
        groups[-1][name] = tensor
        filled += tensor.nbytes
    if len(groups) == 1:
        return [Shard(f"{stem}.safetensors", groups[0])]
    total = len(groups)
    return [Shard(f"{stem}-{i:05d}-of-{total:05d}.safetensors", group) for i, group in enumerate(groups, 1)]


def write_weights(
    folder: Path,
    tensors: Mapping[str, LazyTensor],
    options: WriteOptions = DEFAULTS,
    *,
    inputs: Iterable[Checkpoint] = (),
    verify: Verify = lambda _name, _digest: None,
) -> dict[str, str]:
    """Writes `tensors` to `folder`, with an index where there are several shards; gives each tensor's SHA-256.

    `verify` gets name and SHA-256 of each tensor when it is written, and may raise.

    Goes on with what an interrupted call with the same plan and unchanged `inputs` left in `folder`, and clears it of
    all else: write other files afterwards. The first shard that fails stops the others; of several failures, that of
    the first shard in order is raised.
    """
    shards = deal(tensors, options.shard_bytes)
    journal = _Journal.open(folder, _plan(shards, inputs))
    stop = Event()
    with ThreadPoolExecutor(options.workers or min(len(shards), os.cpu_count() or 1)) as pool:
        futures = [pool.submit(_shard, folder, shard, journal, stop, options.progress, verify) for shard in shards]
    failures = [error for future in futures if (error := future.exception()) and not isinstance(error, _StoppedError)]
    if failures:
        raise failures[0]
    checksums = {name: digest for shard in shards for name, digest in journal.finished[shard.file].items()}
    if len(shards) > 1:
        _write_json(folder / INDEX_FILE, _index(shards))
    _write_json(folder / CHECKSUMS_FILE, {"algorithm": "sha256", "tensors": checksums})
    journal.remove()
    return checksums


def header_of(tensors: Mapping[str, LazyTensor]) -> bytes:
    """A safetensors header: offsets in the order of `tensors`, padded so that data begin at a multiple of eight."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPE_NAMES:
            raise CheckpointError(f"{name}: safetensors has no type for {tensor.dtype}")
        end = offset + tensor.nbytes
        entries[name] = {
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write_file_of_tensors(path: Path, tensors: Mapping[str, LazyTensor]) -> None:
    """One safetensors file, whole or absent."""
    partial = path.with_name(f".{path.name}.partial")
    _write(partial, tensors, Event(), lambda _: None, lambda _name, _digest: None)
    partial.rename(path)


def _shard(folder: Path, shard: Shard, journal: _Journal, stop: Event, progress: Progress, verify: Verify) -> None:
    path = folder / shard.file
    try:
        if journal.holds(shard.file) and _intact(path, journal.finished[shard.file]):
            progress(sum(tensor.nbytes for tensor in shard.tensors.values()))
            return
        partial = folder / f"{shard.file}.partial"
        checksums = _write(partial, shard.tensors, stop, progress, verify)
        partial.rename(path)
        sync(folder)
        journal.enter(shard.file, checksums)
    except BaseException:
        stop.set()
        raise


def _write(
    path: Path, tensors: Mapping[str, LazyTensor], stop: Event, progress: Progress, verify: Verify
) -> dict[str, str]:
    checksums = {}
    with path.open("wb", buffering=0) as file:
        _write_all(file.fileno(), memoryview(header_of(tensors)))
        for name, tensor in tensors.items():
            digest = hashlib.sha256()
            for piece in tensor.pieces():
                if stop.is_set():
                    raise _StoppedError
                data = as_bytes(piece)
                digest.update(data)
                _write_all(file.fileno(), data)
                progress(len(data))
            checksums[name] = digest.hexdigest()
            verify(name, checksums[name])
        os.fsync(file.fileno())
    return checksums


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _intact(path: Path, checksums: Mapping[str, str]) -> bool:
    try:
        with Checkpoint(path) as written:
            return {name: tensor.sha256() for name, tensor in written.tensors.items()} == dict(checksums)
    except WeightsError:
        return False


def _index(shards: Sequence[Shard]) -> dict[str, Any]:
    total = sum(tensor.nbytes for shard in shards for tensor in shard.tensors.values())
    return {
        "metadata": {"total_size": total},
        "weight_map": {name: shard.file for shard in shards for name in shard.tensors},
    }


def _plan(shards: Sequence[Shard], inputs: Iterable[Checkpoint]) -> str:
    described = {
        "shards": [
            [shard.file, [[name, str(t.dtype), list(t.shape)] for name, t in shard.tensors.items()]] for shard in shards
        ],
        "inputs": [checkpoint.fingerprint() for checkpoint in inputs],
    }
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _write_json(path: Path, value: Any) -> None:
    write_file(path, (json.dumps(value, indent=2) + "\n").encode())


class _Journal:
    """`progress.json`: the plan it belongs to, and per finished shard the checksums of its tensors."""

    def __init__(self, path: Path, plan: str, finished: dict[str, dict[str, str]]) -> None:
        self._path = path
        self._plan = plan
        self._lock = Lock()
        self.finished = finished

    @classmethod
    def open(cls, folder: Path, plan: str) -> _Journal:
        """What an earlier run entered, where its plan is the same one; the folder is cleared of all else."""
        path = folder / PROGRESS_FILE
        try:
            entered = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            entered = {}
        finished = entered["finished"] if entered.get("plan") == plan else {}
        for stale in folder.iterdir():
            if stale.name not in finished:
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        return cls(path, plan, finished)

    def holds(self, file: str) -> bool:
        return file in self.finished

    def enter(self, file: str, checksums: dict[str, str]) -> None:
        with self._lock:
            self.finished[file] = checksums
            _write_json(self._path, {"plan": self._plan, "finished": self.finished})

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
