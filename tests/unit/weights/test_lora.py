"""Merged LoRA folders against peft's own merge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from tests.unit.weights import checkpoints as made
from weights.errors import MismatchError, UnsupportedError
from weights.lora import merge_lora


@pytest.fixture
def base(tmp_path: Path) -> Path:
    made.write_language_model(tmp_path / "base", shards=2)
    return tmp_path / "base"


def lora_on(base: Path, folder: Path, **settings: object) -> LlamaForCausalLM:
    """Trained-looking factors on the model in `base`, saved by peft to `folder`; gives what peft merges."""
    config = LoraConfig(**{"r": 4, "lora_alpha": 16, "target_modules": ["q_proj", "down_proj"]} | settings)
    model: PeftModel = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    torch.manual_seed(5)
    for name, parameter in model.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    merged: LlamaForCausalLM = model.merge_and_unload()
    return merged


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"layers.1.self_attn.q_proj": 8}, "alpha_pattern": {"layers.1.self_attn.q_proj": 3}},
        {"target_modules": ["embed_tokens", "v_proj", "lm_head"]},
        {"modules_to_save": ["lm_head"]},
    ],
    ids=["plain", "rslora", "patterns", "embedding", "modules_to_save"],
)
def test_merged_weights_are_those_of_peft(tmp_path: Path, base: Path, settings: dict[str, object]) -> None:
    wanted = lora_on(base, tmp_path / "lora", **settings).state_dict()
    summary = merge_lora(base, tmp_path / "lora", tmp_path / "merged")
    weights = load_file(tmp_path / "merged" / "model.safetensors")
    assert weights.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.allclose(weights[name], tensor, atol=1e-5), name
    assert summary.merged > 0


def test_folder_of_the_original_s_training_becomes_a_llava(tmp_path: Path, base: Path) -> None:
    """Factors in adapter_model.bin; projector and grown embeddings, trained in full, in non_lora_trainables.bin."""
    lora = tmp_path / "lora"
    merged = lora_on(base, lora)
    torch.save(load_file(lora / "adapter_model.safetensors"), lora / "adapter_model.bin")
    (lora / "adapter_model.safetensors").unlink()
    rows = made.words() + 3
    full = {
        "model.mm_projector.weight": torch.randn(made.WIDTH, made.TOWER_WIDTH),
        "model.mm_projector.bias": torch.randn(made.WIDTH),
        "model.embed_tokens.weight": torch.randn(rows, made.WIDTH),
        "lm_head.weight": torch.randn(rows, made.WIDTH),
    }
    torch.save({f"base_model.model.{name}": tensor for name, tensor in full.items()}, lora / "non_lora_trainables.bin")
    (lora / "config.json").write_text(json.dumps({**made.llama_config(merged), **made.V1.config}))
    summary = merge_lora(base, lora, tmp_path / "merged")
    weights = load_file(tmp_path / "merged" / "model.safetensors")
    assert all(torch.equal(weights[name], tensor) for name, tensor in full.items())
    name = "model.layers.0.self_attn.q_proj.weight"
    assert torch.allclose(weights[name], merged.state_dict()[name], atol=1e-5)
    assert len(summary.replaced) == 4
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert (config["vocab_size"], config["mm_use_im_start_end"]) == (rows, True)
    assert (tmp_path / "merged" / "tokenizer.model").exists()
    assert not (tmp_path / "merged" / "adapter_config.json").exists()


def test_adapter_of_a_llava_in_memory_fits_its_llava_hf_folder(tmp_path: Path) -> None:
    """peft names modules as transformers holds them; the folder has the hub's names."""
    weight = torch.randn(6, 5)
    hub = "language_model.model.layers.0.self_attn.q_proj.weight"
    (tmp_path / "base").mkdir()
    state = {hub: weight, "language_model.model.embed_tokens.weight": torch.randn(7, 5)}
    made.write_tensors(tmp_path / "base", state)
    (tmp_path / "base" / "config.json").write_text('{"model_type": "llava", "text_config": {}}')
    (tmp_path / "lora").mkdir()
    a, b = torch.randn(2, 5), torch.randn(6, 2)
    prefix = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_"
    save_file({f"{prefix}A.weight": a, f"{prefix}B.weight": b}, tmp_path / "lora" / "adapter_model.safetensors")
    (tmp_path / "lora" / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 4, "r": 2}')
    merge_lora(tmp_path / "base", tmp_path / "lora", tmp_path / "merged")
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert torch.allclose(merged[hub], weight + 2 * b @ a, atol=1e-5)


def test_half_precision_is_rounded_once(tmp_path: Path) -> None:
    weight = torch.randn(64, 48).half()
    (tmp_path / "base").mkdir()
    state = {"model.layers.0.q_proj.weight": weight, "model.embed_tokens.weight": torch.randn(3, 48).half()}
    made.write_tensors(tmp_path / "base", state)
    (tmp_path / "base" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "lora").mkdir()
    a, b = torch.randn(8, 48), torch.randn(64, 8)
    prefix = "base_model.model.model.layers.0.q_proj.lora_"
    save_file({f"{prefix}A.weight": a, f"{prefix}B.weight": b}, tmp_path / "lora" / "adapter_model.safetensors")
    (tmp_path / "lora" / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 8, "r": 8}')
    merge_lora(tmp_path / "base", tmp_path / "lora", tmp_path / "merged")
    merged = load_file(tmp_path / "merged" / "model.safetensors")["model.layers.0.q_proj.weight"]
    exact = weight.double() + b.double() @ a.double()
    assert merged.dtype == torch.float16
    # Half a unit in the last place of float16, and what float32 adds to it.
    assert ((merged.double() - exact).abs() <= exact.abs() * 2**-11 * 1.01 + 1e-5).all()


@pytest.mark.parametrize(
    ("key", "value"), [("use_dora", True), ("bias", "all"), ("peft_type", "LOHA"), ("lora_bias", True)]
)
def test_other_methods_are_refused_by_name(tmp_path: Path, base: Path, key: str, value: object) -> None:
    lora_on(base, tmp_path / "lora")
    file = tmp_path / "lora" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(UnsupportedError, match="LOHA" if key == "peft_type" else key):
        merge_lora(base, tmp_path / "lora", tmp_path / "merged")


def test_adapter_of_another_model_is_refused_by_the_first_weight(tmp_path: Path, base: Path) -> None:
    lora_on(base, tmp_path / "lora")
    narrow = tmp_path / "narrow"
    narrow.mkdir()
    state = load_file(base / "model-00001-of-00002.safetensors") | load_file(base / "model-00002-of-00002.safetensors")
    made.write_tensors(narrow, {name: t for name, t in state.items() if "layers.1." not in name})
    (narrow / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(MismatchError, match=r"factors for language_model\.model\.layers\.1\..*not in the base"):
        merge_lora(narrow, tmp_path / "lora", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
