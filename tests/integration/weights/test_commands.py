"""`llava-graph weights …` as it is typed: what it says, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from llava_graph.manifest import load_manifest
from tests.unit.weights import checkpoints as made
from tests.unit.weights.gguf_files import write as write_gguf
from weights.cli import main


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def ran(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def room(tmp_path: Path) -> Path:
    made.write_language_model(tmp_path / "llama")
    made.write_original(tmp_path / "llava", made.V1, shards=2, suffix=".bin", dtype=torch.float16)
    made.write_tower(tmp_path / "clip")
    return tmp_path


def test_delta_is_made_and_applied(room: Path) -> None:
    folders = ("--base", room / "llama", "--delta", room / "delta")
    assert "2 kept as they are" in ran("make-delta", *folders, "--target", room / "llava")
    said = ran("apply-delta", *folders, "--target", room / "again", "--shard-gb", "0.0001")
    assert "have the checksums that the delta foresees" in said
    assert len(list((room / "again").glob("*.safetensors"))) > 1


def test_convert_and_back_with_check(room: Path) -> None:
    said = ran("convert", room / "llava", room / "hf", "--to", "llava-hf", "--vision-tower", room / "clip", "--check")
    assert "largest error: one layer" in said
    assert "Projector linear, vision tower beside" in said
    assert "Projector linear" in ran("convert", room / "hf", room / "back", "--to", "original")
    after = load_file(room / "back" / "model.safetensors")
    names = [torch.load(file, weights_only=True).keys() for file in (room / "llava").glob("*.bin")]
    assert {name for part in names for name in part if "inv_freq" not in name} == after.keys()


def test_converted_model_is_exported_with_a_manifest(room: Path) -> None:
    ran("convert", room / "llava", room / "hf", "--to", "llava-hf", "--vision-tower", room / "clip")
    settings = ("--name", "small", "--revision", "1", "--context-template", "plain")
    assert "parameters" in ran("export", room / "hf", room / "served", *settings)
    assert load_manifest(room / "served").name == "small"


def test_projector_is_extracted_and_types_are_made_one(room: Path) -> None:
    assert "model.mm_projector.weight" in ran("extract-projector", room / "llava", room / "projector.safetensors")
    assert len(load_file(room / "projector.safetensors")) == 2
    ran("consolidate", room / "llava", room / "one", "--dtype", "bfloat16")
    assert {tensor.dtype for tensor in load_file(room / "one" / "model.safetensors").values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    "command",
    [
        ("make-delta", "--base", "llama", "--target", "llava", "--delta", "there"),
        ("convert", "llava", "there", "--to", "llava-hf", "--vision-tower", "clip"),
        ("consolidate", "llava", "there"),
    ],
    ids=lambda command: command[0],
)
def test_existing_target_is_refused_in_one_line_and_replaced_with_overwrite(
    room: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(room)
    (room / "there").mkdir()
    (room / "there" / "old").touch()
    result = run(*command)
    assert result.exit_code == 1
    assert result.output.strip().splitlines()[-1].startswith("Error: ")
    assert "--overwrite replaces it" in result.output
    assert (room / "there" / "old").exists()
    ran(*command, "--overwrite")
    assert not (room / "there" / "old").exists()


def test_options_of_the_other_direction_are_refused(room: Path) -> None:
    result = run("convert", room / "llava", room / "out", "--to", "original", "--check")
    assert result.exit_code == 2
    assert "belong to --to llava-hf" in result.output


def test_gguf_file_becomes_a_folder(tmp_path: Path) -> None:
    write_gguf(tmp_path / "small.gguf")
    assert "parameters" in ran("from-gguf", tmp_path / "small.gguf", tmp_path / "small", "--dtype", "float32")
    weights = load_file(tmp_path / "small" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    refused = run("from-gguf", tmp_path / "small.gguf", tmp_path / "small")
    assert refused.exit_code == 1
    assert "--overwrite" in refused.output
