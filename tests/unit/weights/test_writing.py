"""Shards, checksums, resuming and the target's name: what is on the disk at each moment."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from weights.checkpoint import Checkpoint
from weights.errors import MismatchError, TargetError
from weights.folder import new_folder
from weights.tensors import PIECE_BYTES, LazyTensor, in_memory
from weights.writing import CHECKSUMS_FILE, INDEX_FILE, PROGRESS_FILE, WriteOptions, deal, write_weights

STATE = {f"layer.{i}.weight": torch.full((16, 8), float(i)) for i in range(6)}
SHARD = WriteOptions(shard_bytes=2 * 16 * 8 * 4)


def planned() -> dict[str, LazyTensor]:
    return {name: in_memory(tensor) for name, tensor in STATE.items()}


def counted(tensor: Tensor, reads: list[str], name: str) -> LazyTensor:
    def read(first: int, count: int) -> Tensor:
        reads.append(name)
        return tensor[first : first + count]

    return LazyTensor(tensor.dtype, tuple(tensor.shape), read)


def failing(tensor: Tensor, error: Exception) -> LazyTensor:
    def read(_: int, __: int) -> Tensor:
        raise error

    return LazyTensor(tensor.dtype, tuple(tensor.shape), read)


def test_safetensors_library_reads_what_is_written(tmp_path: Path) -> None:
    state = {
        "half": torch.randn(3, 5).half(),
        "brain": torch.randn(7).bfloat16(),
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 4),
        "count": torch.arange(5),
        "flag": torch.tensor([True, False]),
        "eight": torch.randn(4, 4).to(torch.float8_e4m3fn),
    }
    write_weights(tmp_path, {name: in_memory(tensor) for name, tensor in state.items()})
    read = load_file(tmp_path / "model.safetensors")
    assert read.keys() == state.keys()
    for name, tensor in state.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name].float(), tensor.float()), name


def test_shards_are_dealt_by_size_and_named_in_an_index(tmp_path: Path) -> None:
    write_weights(tmp_path, planned(), SHARD)
    index = json.loads((tmp_path / INDEX_FILE).read_text())
    assert sorted(set(index["weight_map"].values())) == [f"model-{i:05d}-of-00003.safetensors" for i in (1, 2, 3)]
    assert index["metadata"]["total_size"] == 6 * 16 * 8 * 4
    with Checkpoint(tmp_path) as written:
        assert all(torch.equal(written.tensors[name].collect(), tensor) for name, tensor in STATE.items())


def test_shards_are_about_equal() -> None:
    shards = deal({str(i): in_memory(torch.ones(10)) for i in range(12)}, 10 * 4 * 11)
    assert [len(shard.tensors) for shard in shards] == [6, 6]


def test_tensor_larger_than_a_shard_has_one_of_its_own() -> None:
    shards = deal({"a": in_memory(torch.ones(2)), "b": in_memory(torch.ones(100)), "c": in_memory(torch.ones(2))}, 50)
    assert [list(shard.tensors) for shard in shards] == [["a"], ["b"], ["c"]]


def test_large_tensor_is_read_in_pieces(tmp_path: Path) -> None:
    sizes: list[int] = []
    whole = torch.arange(3 * PIECE_BYTES // 4, dtype=torch.int32).reshape(-1, 1024)

    def read(first: int, count: int) -> Tensor:
        sizes.append(count * 1024 * 4)
        return whole[first : first + count]

    write_weights(tmp_path, {"large": LazyTensor(whole.dtype, tuple(whole.shape), read)})
    assert len(sizes) == 3
    assert max(sizes) <= PIECE_BYTES
    assert torch.equal(load_file(tmp_path / "model.safetensors")["large"], whole)


def test_checksums_do_not_depend_on_the_sharding(tmp_path: Path) -> None:
    for name, options in (("one", WriteOptions()), ("many", SHARD)):
        (tmp_path / name).mkdir()
        write_weights(tmp_path / name, planned(), options)
    one, many = ((tmp_path / name / CHECKSUMS_FILE).read_text() for name in ("one", "many"))
    assert json.loads(one) == json.loads(many)


def interrupted(folder: Path, kind: type[Exception] = OSError) -> None:
    """A run whose last shard fails after the first two are finished."""
    tensors = planned()
    tensors["layer.5.weight"] = failing(STATE["layer.5.weight"], kind("no space left"))
    with pytest.raises(kind, match="no space left"):
        write_weights(folder, tensors, WriteOptions(shard_bytes=SHARD.shard_bytes, workers=1))


def test_interrupted_run_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    interrupted(tmp_path)
    assert len(json.loads((tmp_path / PROGRESS_FILE).read_text())["finished"]) == 2
    reads: list[str] = []
    write_weights(tmp_path, {name: counted(tensor, reads, name) for name, tensor in STATE.items()}, SHARD)
    assert reads == ["layer.4.weight", "layer.5.weight"]
    with Checkpoint(tmp_path) as written:
        assert all(torch.equal(written.tensors[name].collect(), tensor) for name, tensor in STATE.items())
    assert (
        sorted(file.name for file in tmp_path.iterdir() if "partial" in file.name or file.name == PROGRESS_FILE) == []
    )


def test_finished_shard_that_was_damaged_since_is_written_again(tmp_path: Path) -> None:
    interrupted(tmp_path)
    shard = tmp_path / "model-00001-of-00003.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    write_weights(tmp_path, planned(), SHARD)
    assert torch.equal(load_file(shard)["layer.1.weight"], STATE["layer.1.weight"])


def test_another_plan_begins_again_and_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    interrupted(tmp_path)
    (tmp_path / "stray.txt").write_text("left by the interrupted run")
    reads: list[str] = []
    tensors = {name: counted(tensor.half(), reads, name) for name, tensor in STATE.items()}
    write_weights(tmp_path, tensors, SHARD)
    assert set(reads) == set(STATE)
    assert not (tmp_path / "stray.txt").exists()


def test_changed_input_begins_again(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "out").mkdir()
    write_weights(tmp_path / "source", planned())
    file = tmp_path / "source" / "model.safetensors"
    with Checkpoint(file) as source:
        tensors = dict(source.tensors) | {"layer.5.weight": failing(STATE["layer.5.weight"], OSError("no space left"))}
        with pytest.raises(OSError, match="no space left"):
            write_weights(tmp_path / "out", tensors, SHARD, inputs=(source,))
    os.utime(file, ns=(0, 0))
    reads: list[str] = []
    with Checkpoint(file) as source:
        tensors = {name: counted(tensor, reads, name) for name, tensor in STATE.items()}
        write_weights(tmp_path / "out", tensors, SHARD, inputs=(source,))
    assert set(reads) == set(STATE)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from weights.folder import new_folder
from weights.tensors import LazyTensor
from weights.writing import WriteOptions, write_weights

def tensor(i):
    def read(first, count):
        if i == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.full((16, 8), float(i))[first : first + count]
    return LazyTensor(torch.float32, (16, 8), read)

with new_folder(Path(sys.argv[1])) as folder:
    tensors = {f"layer.{i}.weight": tensor(i) for i in range(6)}
    write_weights(folder, tensors, WriteOptions(shard_bytes=1024, workers=1))
"""


def test_killed_process_leaves_no_target_and_its_successor_goes_on(tmp_path: Path) -> None:
    target = tmp_path / "target"
    process = subprocess.run([sys.executable, "-c", KILLED, str(target)], capture_output=True, text=True, timeout=100)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".target.partial"]
    reads: list[str] = []
    with new_folder(target) as folder:
        write_weights(folder, {name: counted(tensor, reads, name) for name, tensor in STATE.items()}, SHARD)
    assert reads == ["layer.4.weight", "layer.5.weight"]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_existing_target_is_refused_and_replaced_only_when_told(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(TargetError, match="--overwrite"), new_folder(target):
        pytest.fail("must not be entered")
    assert (target / "old").exists()
    with new_folder(target, overwrite=True) as folder:
        (folder / "new").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_refusal_removes_what_was_begun_and_keeps_the_old_target(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(MismatchError), new_folder(target, overwrite=True) as folder:
        (folder / "half").write_text("half")
        raise MismatchError("does not belong")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_target_that_another_process_is_writing_is_refused(tmp_path: Path) -> None:
    partial = tmp_path / ".target.partial"
    partial.mkdir()
    other = os.open(partial, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(TargetError, match="another process"), new_folder(tmp_path / "target"):
            pytest.fail("must not be entered")
    finally:
        os.close(other)
    assert partial.exists()


def test_of_several_failures_the_first_in_order_is_raised(tmp_path: Path) -> None:
    wrong = ("layer.1.weight", "layer.5.weight")
    tensors = planned() | {name: failing(STATE[name], MismatchError(name)) for name in wrong}
    with pytest.raises(MismatchError, match=r"layer\.1\.weight"):
        write_weights(tmp_path, tensors, WriteOptions(shard_bytes=1024, workers=1))
