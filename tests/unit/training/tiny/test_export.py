"""An exported model is the trained one, under the names that engines look for."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, GenerationConfig, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from llava_graph.context import conversation
from tests.unit.conftest import Drawn
from training.tiny.curriculum import TEMPLATE, figure_example
from training.tiny.export import export
from training.tiny.model import build_model
from weights.errors import CheckpointError
from weights.export import llava_hf_name

PARTS_OF_LLAVA_HF = ("vision_tower.vision_model.", "multi_modal_projector.", "language_model.model.")


def test_weights_have_the_names_of_llava_hf(exported: Path) -> None:
    weights = load_file(exported / "model.safetensors")
    rest = {name for name in weights if not name.startswith(PARTS_OF_LLAVA_HF)}
    assert rest == {"language_model.lm_head.weight"}
    for part in PARTS_OF_LLAVA_HF:
        assert any(name.startswith(part) for name in weights), part
    assert "vision_tower.vision_model.embeddings.patch_embedding.weight" in weights
    assert "language_model.model.layers.0.self_attn.q_proj.weight" in weights
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}


def test_transformers_misses_no_weight_and_finds_none_too_many(exported: Path) -> None:
    loaded: Any = LlavaForConditionalGeneration.from_pretrained(exported, output_loading_info=True)
    _, info = loaded
    assert {name: problems for name, problems in info.items() if problems} == {}


def test_an_exported_model_says_what_the_trained_one_says(
    tokenizer: PreTrainedTokenizerFast, exported: Path, drawn: list[Drawn]
) -> None:
    figure = drawn[0]
    example = figure_example(figure.stored, random.Random(0), "both")
    messages, _ = conversation(TEMPLATE, example.context, example.turns[:1], {"type": "image", "image": figure.image})
    processor: Any = AutoProcessor.from_pretrained(exported)  # type: ignore[no-untyped-call]
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True, tokenize=True
    )
    loaded: Any = LlavaForConditionalGeneration.from_pretrained(exported, dtype=torch.float32)
    trained = build_model(tokenizer, seed=0)
    with torch.no_grad():
        served, before = loaded(**inputs).logits, trained(**inputs).logits
        for weight in trained.parameters():
            weight.copy_(weight.to(torch.bfloat16))
        rounded = trained(**inputs).logits
    torch.testing.assert_close(served, rounded, atol=1e-5, rtol=0)
    assert (served - before).abs().max() < 0.02 * before.abs().max()


def test_the_head_is_written_out_and_not_tied(exported: Path) -> None:
    weights = load_file(exported / "model.safetensors")
    config = json.loads((exported / "config.json").read_text())
    assert torch.equal(weights["language_model.lm_head.weight"], weights["language_model.model.embed_tokens.weight"])
    assert config["tie_word_embeddings"] is config["text_config"]["tie_word_embeddings"] is False
    assert (config["architectures"], config["dtype"]) == (["LlavaForConditionalGeneration"], "bfloat16")


def test_answers_end_with_the_turn_and_a_request_may_ask_for_a_temperature(
    tokenizer: PreTrainedTokenizerFast, exported: Path
) -> None:
    """`transformers serve` heeds a request's temperature only where sampling is the default."""
    defaults = GenerationConfig.from_pretrained(exported)
    assert (defaults.eos_token_id, defaults.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert defaults.do_sample


def test_other_files_of_the_folder_stay(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text("name = 'mine'\n")
    export(build_model(tokenizer, seed=0), tokenizer, tmp_path)
    assert (tmp_path / "manifest.toml").read_text() == "name = 'mine'\n"
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("model.vision_tower.post_layernorm.bias", "vision_tower.vision_model.post_layernorm.bias"),
        ("model.language_model.norm.weight", "language_model.model.norm.weight"),
        ("model.multi_modal_projector.linear_1.bias", "multi_modal_projector.linear_1.bias"),
        ("lm_head.weight", "language_model.lm_head.weight"),
    ],
)
def test_a_weight_is_renamed_by_its_part(ours: str, theirs: str) -> None:
    assert llava_hf_name(ours) == theirs


@pytest.mark.parametrize("name", ["model.audio_tower.weight", "reader.norm.weight", ""])
def test_a_weight_of_no_known_part_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="is no name of the"):
        llava_hf_name(name)
