"""Writes a trained model as the folder that engines serve: llava-hf's weight layout, processor, chat template.

transformers 5 names the vision tower's weights without the level `vision_model`, which vLLM 0.32 refuses; the layout of
the llava-hf checkpoints is read by both. The output embedding is written out although it equals the input embedding: a
tied head is one thing more that engines could read differently. The folder's manifest is written by hand.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from training.model import build_processor

_RENAMED = {
    "model.language_model.": "language_model.model.",
    "model.vision_tower.": "vision_tower.vision_model.",
    "model.multi_modal_projector.": "multi_modal_projector.",
    "lm_head.": "language_model.lm_head.",
}


def llava_hf_name(name: str) -> str:
    """The llava-hf name of a parameter of `LlavaForConditionalGeneration`; raises KeyError for one of no known part."""
    for prefix, replacement in _RENAMED.items():
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    raise KeyError(f"{name} belongs to no part of LLaVA")


def export(model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Leaves config, weights (bfloat16), processor, tokenizer and generation defaults in `folder`; other files stay."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        llava_hf_name(name): tensor.to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()
    }
    weights["language_model.lm_head.weight"] = weights["language_model.model.embed_tokens.weight"].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict()
    config |= {"tie_word_embeddings": False, "dtype": "bfloat16", "architectures": ["LlavaForConditionalGeneration"]}
    config["text_config"]["tie_word_embeddings"] = False
    type(model.config).from_dict(config).save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    ).save_pretrained(folder)
