"""Reads folders and files of weights without loading them: headers first, rows when they are asked for.

Rows are read with `pread` into fresh memory rather than mapped: pages of a mapped 10 GB shard count as resident memory
of the process until the kernel takes them back.

safetensors (https://huggingface.co/docs/safetensors): eight bytes with the header's length, the header in JSON, data.
`.bin` and `.pth`: PyTorch's zip format. `torch.load(weights_only=True)` under FakeTensorMode unpickles names, shapes
and the place of every storage in the file, runs no pickled code and reads no data
(https://docs.pytorch.org/docs/stable/notes/serialization.html).
"""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from weights.errors import CheckpointError
from weights.tensors import LazyTensor, as_bytes, in_memory

INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
"""In the order in which they are looked for, as transformers does it."""

MAX_HEADER_BYTES = 100_000_000
"""The bound that the safetensors library sets."""

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class Checkpoint:
    """The tensors of a folder in Hugging Face layout (sharded or not, with an index or not), or of one file.

    `tensors` keeps the order of the files. The files stay open until `close`; use it in a `with` statement.
    Raises CheckpointError where the folder, an index or a header is missing, cut off or contradicts itself.
    """

    def __init__(self, path: Path, files: Iterable[Path] | None = None) -> None:
        self.path = path
        self.files = tuple(weight_files(path) if files is None else files)
        self.tensors: dict[str, LazyTensor] = {}
        self._descriptors: list[int] = []
        try:
            for file in self.files:
                self._add(file)
            self._check_index()
        except BaseException:
            self.close()
            raise

    @property
    def config(self) -> dict[str, Any]:
        """`config.json` as plain JSON: transformers would read the original's model type "llava" as its own."""
        return read_json(self.path / "config.json")

    def fingerprint(self) -> list[tuple[str, int, int]]:
        """Name, size and time of change of each file: what tells that an interrupted run may go on.

        Configs belong to it: a LoRA folder's says how its factors are scaled.
        """
        files = (*self.files, *(sorted(self.path.glob("*.json")) if self.path.is_dir() else ()))
        return [(file.name, (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _add(self, file: Path) -> None:
        try:
            descriptor = os.open(file, os.O_RDONLY)
        except OSError as error:
            raise CheckpointError(f"{file}: {error.strerror}") from error
        self._descriptors.append(descriptor)
        found = _safetensors(file, descriptor) if file.suffix == ".safetensors" else _torch_file(file, descriptor)
        twice = found.keys() & self.tensors.keys()
        if twice:
            raise CheckpointError(f"{file}: {min(twice)} is also in another file of this checkpoint")
        self.tensors |= found

    def _check_index(self) -> None:
        index = _index(self.path)
        if index is None or index.name not in INDEX_FILES:
            return
        missing = [name for name in weight_map(index) if name not in self.tensors]
        if missing:
            raise CheckpointError(f"{index}: names {missing[0]}, which is in none of the files")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises CheckpointError where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: must be a JSON object")
    return value


def weight_files(path: Path) -> list[Path]:
    """The files of weights in `path`, in the order of their names; `path` itself where it is a file."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such folder")
    index = _index(path)
    if index is not None:
        return [path / name for name in sorted(set(weight_map(index).values()))]
    for patterns in (("model*.safetensors",), ("pytorch_model*.bin",), ("*.safetensors",), ("*.pth",)):
        files = sorted(file for pattern in patterns for file in path.glob(pattern) if "adapter" not in file.name)
        if files:
            return files
    raise CheckpointError(f"{path}: holds no weights (model*.safetensors or pytorch_model*.bin)")


def weight_map(index: Path) -> dict[str, str]:
    """Tensor name to file name, as an index has it; file names outside the folder are refused."""
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise CheckpointError(f"{index}: has no weight_map")
    for file in names.values():
        if not isinstance(file, str) or Path(file).name != file or file in ("", ".", ".."):
            raise CheckpointError(f"{index}: {file!r} is not the name of a file in this folder")
    return names


def _index(path: Path) -> Path | None:
    return next((path / name for name in INDEX_FILES if (path / name).is_file()), None)


def _safetensors(file: Path, descriptor: int) -> dict[str, LazyTensor]:
    size = os.fstat(descriptor).st_size
    length = int.from_bytes(os.pread(descriptor, 8, 0), "little")
    if size < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        raise CheckpointError(f"{file}: not a safetensors file, or cut off in its header")
    try:
        header = json.loads(os.pread(descriptor, length, 8))
    except ValueError as error:
        raise CheckpointError(f"{file}: header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{file}: header must be a JSON object")
    start = 8 + length
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            dtype, shape = DTYPES[entry["dtype"]], tuple(int(n) for n in entry["shape"])
            first, end = (int(n) for n in entry["data_offsets"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{file}: header entry of {name} is not understood: {entry!r:.200}") from error
        if min(shape, default=0) < 0 or first < 0 or end - first != math.prod(shape) * dtype.itemsize:
            raise CheckpointError(f"{file}: {name} has a size that contradicts its shape")
        if start + end > size:
            raise CheckpointError(f"{file}: cut off: {name} ends at byte {start + end}, the file at {size}")
        found[name] = _stored(file, descriptor, name, dtype, shape, start + first)
    return found


def _torch_file(file: Path, descriptor: int) -> dict[str, LazyTensor]:
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with FakeTensorMode():
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{file}: holds more than tensors, or is damaged; pickled code is not run ({_first_line(error)})"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise CheckpointError(f"{file}: not a file of tensors that PyTorch can read ({_first_line(error)})") from error
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise CheckpointError(f"{file}: must hold a mapping of names to tensors")
    if any(_place(tensor) is None for tensor in state.values()):
        # PyTorch's format before 1.6 is one pickle after another: its places are not known without reading it all.
        return {str(k): in_memory(v) for k, v in torch.load(file, map_location="cpu", weights_only=True).items()}
    found = {}
    size = os.fstat(descriptor).st_size
    for name, tensor in state.items():
        place = _place(tensor)
        assert place is not None
        if place + tensor.untyped_storage().nbytes() > size:
            raise CheckpointError(f"{file}: cut off within {name}")
        shape = tuple(tensor.shape)
        if tensor.is_contiguous():
            offset = place + tensor.storage_offset() * tensor.dtype.itemsize
            found[str(name)] = _stored(file, descriptor, str(name), tensor.dtype, shape, offset)
        else:
            found[str(name)] = _strided(file, descriptor, str(name), tensor, place)
    return found


def _place(tensor: Tensor) -> int | None:
    place: int | None = getattr(tensor.untyped_storage(), "_checkpoint_offset", None)
    return place


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _stored(
    file: Path, descriptor: int, name: str, dtype: torch.dtype, shape: tuple[int, ...], offset: int
) -> LazyTensor:
    row_elements = math.prod(shape[1:])

    def read(first: int, count: int) -> Tensor:
        flat = torch.empty(count * row_elements, dtype=dtype)
        _fill(flat, file, descriptor, name, offset + first * row_elements * dtype.itemsize)
        return flat.reshape(count, *shape[1:])

    return LazyTensor(dtype, shape, read)


def _strided(file: Path, descriptor: int, name: str, tensor: Tensor, place: int) -> LazyTensor:
    """A view that was saved as such, for instance a transpose: its storage is read whole for each piece."""
    elements = tensor.untyped_storage().nbytes() // tensor.dtype.itemsize
    dtype, shape, stride, start = tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.storage_offset()

    def read(first: int, count: int) -> Tensor:
        flat = torch.empty(elements, dtype=dtype)
        _fill(flat, file, descriptor, name, place)
        return flat.as_strided(shape, stride, start)[first : first + count].contiguous()

    return LazyTensor(dtype, shape, read)


def _fill(flat: Tensor, file: Path, descriptor: int, name: str, offset: int) -> None:
    rest = as_bytes(flat)
    while rest:
        got = os.preadv(descriptor, [rest], offset)
        if not got:
            raise CheckpointError(f"{file}: cut off within {name}")
        rest, offset = rest[got:], offset + got
