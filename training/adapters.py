"""What learns: whole parts of a model, or low-rank factors in them (Hu et al. 2021, arXiv:2106.09685; peft).

    tuned()         the model with `requires_grad` as the recipe says, wrapped by peft where it has `tune.lora`
    save_adapter()  the folder that `llava-graph weights merge-lora` takes

As in the original, the language model's linear layers get factors and the output embedding none, and the projector is
beside them trained in full. What is trained in full goes to `non_lora_trainables.bin`, under the original's names.

What learns is held in float32, whatever the rest is held in: steps of 2e-5 vanish when bfloat16 rounds them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import LlavaForConditionalGeneration

from training.models import Llava, save_beside
from training.recipe import Lora, Recipe
from training.refusals import ModelError
from weights.folder import new_folder
from weights.layouts import IN_MEMORY
from weights.lora import TRAINED_IN_FULL
from weights.projector import two_layers
from weights.tensors import in_memory
from weights.tokens import END, START

_PEFT = "base_model.model."
_FACTOR = re.compile(r"\.lora_(A|B|embedding_A|embedding_B)\.")


def tuned(llava: Llava, recipe: Recipe) -> nn.Module:
    """The model to train. `llava.model` is changed: what the recipe does not name is frozen."""
    model = llava.model
    model.requires_grad_(False)
    trained: nn.Module = model
    if recipe.tune.lora is not None:
        trained = _with_factors(model, recipe)
    elif recipe.tune.language_model:
        model.model.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
    if recipe.tune.projector and not (recipe.tune.lora and recipe.tune.lora.projector):
        model.model.multi_modal_projector.requires_grad_(True)
    if not recipe.tune.language_model and recipe.tune.projector:
        _train_border_rows(llava, recipe)
    for parameter in trained.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return trained


def trained_names(model: nn.Module) -> list[str]:
    """Names of what learns."""
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def save_adapter(
    llava: Llava, trained: Any, state: Mapping[str, torch.Tensor], folder: Path, dtype: torch.dtype
) -> None:
    """Writes factors and what was trained in full, whole or not at all; a folder that exists is replaced.

    `state` holds at least all that learned, under the names of the model wrapped by peft.
    """
    factors = {name: tensor for name, tensor in state.items() if _FACTOR.search(name)}
    learned = set(trained_names(trained))
    full = {name: tensor for name, tensor in state.items() if name in learned and name not in factors}
    with new_folder(folder, overwrite=True) as partial:
        trained.save_pretrained(partial, state_dict=factors)
        torch.save(_in_full(full), partial / TRAINED_IN_FULL)
        save_beside(llava, partial, dtype)
        (partial / "README.md").unlink(missing_ok=True)  # peft's form, not filled in


def _in_full(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Under the original's names, which have peft's prefix; a linear projector in the two layers of the base."""
    hub = IN_MEMORY.to_hf({name.removeprefix(_PEFT): in_memory(tensor) for name, tensor in state.items()})
    tensors = {name: tensor.collect().cpu().clone() for name, tensor in two_layers(hub).items()}
    return {_PEFT + name: tensor for name, tensor in IN_MEMORY.from_hf(tensors).items()}


def _with_factors(model: LlavaForConditionalGeneration, recipe: Recipe) -> nn.Module:
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    lora = recipe.tune.lora
    assert lora is not None
    prepared: Any = model
    if recipe.tune.quantised_bits is not None:
        prepared = prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]
            model, use_gradient_checkpointing=False
        )
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        bias="none",
        target_modules=_targets(model, lora),
        task_type="CAUSAL_LM",
    )
    wrapped: nn.Module = get_peft_model(prepared, config)
    return wrapped


def _targets(model: LlavaForConditionalGeneration, lora: Lora) -> str:
    """A pattern for the full names of all linear layers that get factors."""
    names = {
        name.rpartition(".")[2]
        for name, module in model.model.language_model.named_modules()
        if isinstance(module, nn.Linear)
    }
    if not names:
        raise ModelError("the language model has no linear layers that LoRA knows")
    pattern = rf".*language_model\..*\.({'|'.join(sorted(names))})"
    return rf"({pattern}|.*multi_modal_projector\.linear_[12])" if lora.projector else pattern


def _train_border_rows(llava: Llava, recipe: Recipe) -> None:
    """In the first stage the rows of <im_start> and <im_end>, and no others, learn where prompts have them."""
    if not recipe.model.image_start_end:
        return
    vocabulary = llava.tokenizer.get_vocab()
    if not {START, END} <= vocabulary.keys():
        raise ModelError(f"model.image_start_end is true, but the tokenizer lacks {START} and {END}")
    if recipe.optimizer.weight_decay != 0:
        raise ModelError("model.image_start_end: weight decay would shrink the rows that do not learn; set it to 0")
    embedding: Any = llava.model.get_input_embeddings()
    if llava.model.config.tie_word_embeddings:
        raise ModelError(
            "model.image_start_end: the output embedding is the input embedding, so its rows would learn as outputs, "
            "too; use --set model.image_start_end=false"
        )
    borders = torch.tensor([vocabulary[START], vocabulary[END]])

    def detached(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        learns = torch.isin(inputs[0], borders.to(output.device))[..., None]  # [B, T, 1]
        return torch.where(learns, output, output.detach())

    # In the forward pass, as the original does it: a hook on gradients is lost where FSDP or ZeRO-3 shards the weight.
    embedding.weight.requires_grad_(True)
    embedding.register_forward_hook(detached)
