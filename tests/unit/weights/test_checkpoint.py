"""Reading folders and files: what is accepted, and by which name each damage is reported."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.unit.weights.checkpoints import write_tensors
from weights.checkpoint import Checkpoint
from weights.errors import CheckpointError

STATE = {"a.weight": torch.arange(12.0).reshape(3, 4), "b.weight": torch.ones(5, dtype=torch.bfloat16)}


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("index", [True, False])
def test_all_forms_of_a_folder_read_the_same(tmp_path: Path, suffix: str, shards: int, index: bool) -> None:
    write_tensors(tmp_path, STATE, shards=shards, suffix=suffix)
    if not index:
        for file in tmp_path.glob("*.json"):
            file.unlink()
    with Checkpoint(tmp_path) as checkpoint:
        read = {name: tensor.collect() for name, tensor in checkpoint.tensors.items()}
    assert read.keys() == STATE.keys()
    assert all(torch.equal(read[name], STATE[name]) and read[name].dtype == STATE[name].dtype for name in STATE)


def test_views_and_shared_storages_of_a_bin_file_are_read_as_what_they_are(tmp_path: Path) -> None:
    whole = torch.arange(60.0).reshape(6, 10)
    state = {
        "whole": whole,
        "part": whole[2:4],
        "transposed": whole.t(),
        "columns": whole[:, 3:5],
        "scalar": torch.tensor(3.0),
    }
    torch.save(state, tmp_path / "pytorch_model.bin")
    with Checkpoint(tmp_path) as checkpoint:
        for name, tensor in state.items():
            assert torch.equal(checkpoint.tensors[name].collect(), tensor), name
        assert torch.equal(checkpoint.tensors["transposed"].read(3, 2), whole.t()[3:5])


def test_bin_file_in_the_format_before_pytorch_1_6_is_read(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    with Checkpoint(tmp_path) as checkpoint:
        assert all(torch.equal(checkpoint.tensors[name].collect(), STATE[name]) for name in STATE)


def test_parameters_and_ordered_dictionaries_are_read(tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    with Checkpoint(tmp_path) as checkpoint:
        assert torch.equal(checkpoint.tensors["weight"].collect(), module.weight.detach())


class Payload:
    """Creates a file when it is unpickled as code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def test_pickled_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    torch.save({"a.weight": torch.ones(2), "extra": Payload(trap)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: .*pickled code is not run"):
        Checkpoint(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(trap)))
    with pytest.raises(CheckpointError):
        Checkpoint(tmp_path)
    assert not trap.exists()


def test_bin_file_with_other_things_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.ones(2), "step": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="mapping of names to tensors"):
        Checkpoint(tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_file_that_is_cut_off_is_refused(tmp_path: Path, suffix: str) -> None:
    write_tensors(tmp_path, {"a.weight": torch.ones(100, 100)}, suffix=suffix)
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:-20_000])
    with pytest.raises(CheckpointError, match=str(file)):
        Checkpoint(tmp_path)


def header(**entry: object) -> bytes:
    text = json.dumps({"a.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} | entry}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut off in its header"),
        ((10**12).to_bytes(8, "little") + b"{}", "cut off in its header"),
        ((2).to_bytes(8, "little") + b"xx", "not JSON"),
        ((2).to_bytes(8, "little") + b"[]", "must be a JSON object"),
        (header(dtype="F7"), "not understood"),
        (header(shape=[-2, -2]), "contradicts its shape"),
        (header(shape=[3, 2]), "contradicts its shape"),
        (header(data_offsets=[0]), "not understood"),
        (header(data_offsets=[-8, 8]), "contradicts its shape"),
        (header(data_offsets=[8, 24]), "cut off"),
    ],
)
def test_header_that_lies_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        Checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "..", ""])
def test_index_that_points_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a.weight": name}}))
    with pytest.raises(CheckpointError, match="not the name of a file in this folder"):
        Checkpoint(tmp_path)


def test_index_that_names_a_missing_file_or_tensor_is_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path, STATE, shards=2)
    index = tmp_path / "model.safetensors.index.json"
    names = json.loads(index.read_text())
    names["weight_map"]["c.weight"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(names))
    with pytest.raises(CheckpointError, match=r"names c\.weight, which is in none"):
        Checkpoint(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors: No such file"):
        Checkpoint(tmp_path)


def test_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("model-1.safetensors", "model-2.safetensors"):
        save_file({"a.weight": torch.ones(2)}, tmp_path / name)
    with pytest.raises(CheckpointError, match=r"a\.weight is also in another file"):
        Checkpoint(tmp_path)


def test_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no weights"):
        Checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no such folder"):
        Checkpoint(tmp_path / "nowhere")


def test_files_are_closed_also_when_reading_fails(tmp_path: Path) -> None:
    write_tensors(tmp_path, STATE)
    (tmp_path / "model-2.safetensors").write_bytes(b"damaged")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(CheckpointError):
        Checkpoint(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
