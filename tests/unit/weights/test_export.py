"""Exported folders: what engines, the service and people find in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, LlavaForConditionalGeneration

from llava_graph.manifest import load_manifest
from tests.unit.weights import checkpoints as made
from weights.convert import to_llava_hf
from weights.errors import CheckpointError, UnsupportedError
from weights.export import Card, export, export_folder, llava_hf_name

CARD = Card(name="small", revision="2026-11-25", context_template="plain", license="Apache-2.0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training run leaves: transformers' own saving, tied embeddings, float32."""
    folder = tmp_path_factory.mktemp("trained")
    made.write_original(folder / "original", made.V1)
    made.write_tower(folder / "clip")
    to_llava_hf(folder / "original", folder / "hf", tower=folder / "clip")
    model = LlavaForConditionalGeneration.from_pretrained(folder / "hf")
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = True
    model.lm_head.weight = model.get_input_embeddings().weight
    model.save_pretrained(folder / "trained")
    AutoProcessor.from_pretrained(folder / "hf").save_pretrained(folder / "trained")
    return folder / "trained"


def test_model_in_memory_and_model_on_the_disk_give_the_same_weights(tmp_path: Path, trained: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(trained)
    export(model, AutoProcessor.from_pretrained(trained), tmp_path / "memory")
    export_folder(trained, tmp_path / "disk", CARD)
    memory, disk = (load_file(tmp_path / name / "model.safetensors") for name in ("memory", "disk"))
    assert memory.keys() == disk.keys()
    assert all(torch.equal(memory[name], disk[name]) for name in memory)
    assert {tensor.dtype for tensor in memory.values()} == {torch.bfloat16}


def test_tied_output_is_written_out_and_the_layout_is_the_hub_s(tmp_path: Path, trained: Path) -> None:
    export_folder(trained, tmp_path / "out", CARD)
    weights = load_file(tmp_path / "out" / "model.safetensors")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    embedding = weights["language_model.model.embed_tokens.weight"]
    assert torch.equal(weights["language_model.lm_head.weight"], embedding)
    assert any(name.startswith("vision_tower.vision_model.") for name in weights)
    assert config["tie_word_embeddings"] is config["text_config"]["tie_word_embeddings"] is False


def test_exported_model_computes_what_the_trained_one_does(tmp_path: Path, trained: Path) -> None:
    export_folder(trained, tmp_path / "out", CARD, dtype=torch.float32)
    ids = torch.tensor([[1, 40, 50, 60]])
    with torch.no_grad():
        before, after = (
            LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)(input_ids=ids).logits
            for folder in (trained, tmp_path / "out")
        )
    assert torch.equal(before, after)


def test_manifest_is_one_that_the_service_accepts(tmp_path: Path, trained: Path) -> None:
    export_folder(trained, tmp_path / "out", CARD)
    manifest = load_manifest(tmp_path / "out")
    assert (manifest.name, manifest.context_template, manifest.context_length) == ("small", "plain", 512)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Apache-2.0" in card
    assert "bfloat16" in card


def test_manifest_that_would_not_be_valid_is_refused_and_nothing_is_left(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"context_template.*nonsense"):
        export_folder(trained, tmp_path / "out", Card("small", "1", "nonsense"))
    assert list(tmp_path.iterdir()) == []


def test_original_layout_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    made.write_original(tmp_path / "original", made.V1)
    with pytest.raises(UnsupportedError, match="convert --to llava-hf"):
        export_folder(tmp_path / "original", tmp_path / "out", CARD)


def test_other_files_of_the_folder_stay(tmp_path: Path, trained: Path) -> None:
    (tmp_path / "manifest.toml").write_text("mine")
    model = LlavaForConditionalGeneration.from_pretrained(trained)
    export(model, AutoProcessor.from_pretrained(trained), tmp_path)
    assert (tmp_path / "manifest.toml").read_text() == "mine"


def test_name_of_no_part_of_llava_is_refused() -> None:
    assert llava_hf_name("model.vision_tower.pre_layrnorm.bias") == "vision_tower.vision_model.pre_layrnorm.bias"
    with pytest.raises(CheckpointError):
        llava_hf_name("model.resampler.weight")
