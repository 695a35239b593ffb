"""Writes what training made as a delta, a folder of `model_repo/` that holds nothing of the base.

    adapter_config.json, adapter_model.safetensors   LoRA of the language model, in peft's format, bfloat16
    vision.safetensors     vision_tower.…, multi_modal_projector.… in llava-hf's names, and image_token_embedding
    config.json, generation_config.json, processor, tokenizer, chat template

Base and delta together make the served folder (`weights.assemble`). Manifest and model card are put there where they
are missing; those that are there stay.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import GenerationConfig, PreTrainedTokenizerFast

from llava_graph.manifest import MANIFEST_FILE
from training.small.learner import ADAPTER_FILE, LINEAR_LAYERS, VISION_FILE, Learner
from training.small.model import processor_of
from weights.export import llava_hf_name

BASE = "SmolLM2-135M-Instruct"
_WRITTEN_BY_HAND = {MANIFEST_FILE: MANIFEST_FILE, "README.md": "model_card.md"}
"""What goes along with the delta, by its name there, and the file beside this module that it is made from."""

_PARTS = ("model.vision_tower.", "model.multi_modal_projector.")
_WRAPPED = "base_model.model."


def export(learner: Learner, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Leaves the delta in `folder`; other files stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in _WRITTEN_BY_HAND.items():
        if not (folder / name).exists():
            shutil.copyfile(Path(__file__).with_name(source), folder / name)
    factors = {
        # The base is a causal language model, of which the wrapped module is the inner one.
        f"{_WRAPPED}model.{name.removeprefix(_WRAPPED)}": tensor.to(torch.bfloat16).contiguous()
        for name, tensor in get_peft_model_state_dict(learner.language).items()
    }
    save_file(factors, folder / ADAPTER_FILE, metadata={"format": "pt"})
    LoraConfig(
        r=learner.plan.rank,
        lora_alpha=learner.plan.alpha,
        lora_dropout=0.0,
        target_modules=sorted(LINEAR_LAYERS),
        layers_to_transform=list(learner.layers),
        bias="none",
        task_type="CAUSAL_LM",
        base_model_name_or_path=BASE,
        inference_mode=True,
    ).save_pretrained(str(folder))
    llava = learner.llava
    seen = {
        llava_hf_name(name): tensor.to(torch.bfloat16).contiguous()
        for name, tensor in llava.state_dict().items()
        if name.startswith(_PARTS) and not name.endswith("position_ids")
    }
    row = llava.model.get_input_embeddings().weight[llava.config.image_token_id]
    seen["image_token_embedding"] = row.detach().to(torch.bfloat16).clone()
    save_file(seen, folder / VISION_FILE, metadata={"format": "pt"})
    described = llava.config.to_dict() | {"dtype": "bfloat16", "architectures": ["LlavaForConditionalGeneration"]}
    for part in ("text_config", "vision_config"):
        described[part].pop("dtype", None)
    type(llava.config).from_dict(described).save_pretrained(folder)
    processor_of(tokenizer).save_pretrained(folder)
    GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    ).save_pretrained(folder)
