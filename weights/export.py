"""A trained model as the folder that engines serve: llava-hf's weight layout, processor, chat template, manifest.

Is handed model and processor, and imports no model of ours. transformers 5 names the vision tower's weights without the
level `vision_model`, which vLLM 0.32 refuses; the layout of the llava-hf checkpoints is read by both. A tied output
embedding is written out: it is one thing more that engines could read differently.

    export()         a model in memory, at the end of its training; the folder's other files stay
    export_folder()  what a training run left on the disk, streamed, with manifest and model card
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoProcessor,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PretrainedConfig,
)

from llava_graph.manifest import MANIFEST_FILE, ManifestError, load_manifest
from weights.checkpoint import Checkpoint
from weights.errors import UnsupportedError
from weights.folder import new_folder
from weights.layouts import EMBEDDING, IN_MEMORY, LANGUAGE_MODEL, OUTPUT, detect, is_original
from weights.tensors import LazyTensor, in_memory
from weights.writing import DEFAULTS, WriteOptions, write_file_of_tensors, write_weights

WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Card:
    """What manifest and model card say besides what the files say; see llava_graph/manifest.py for the keys."""

    name: str
    revision: str
    context_template: str
    max_new_tokens: int = 256
    context_length: int | None = None
    """None: the language model's longest input."""
    license: str | None = None


def llava_hf_name(name: str) -> str:
    """The llava-hf name of a parameter of `LlavaForConditionalGeneration`; CheckpointError for one of no known part."""
    return IN_MEMORY.hf_name(name)


def export(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    folder: Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    do_sample: bool = True,
) -> None:
    """Leaves config, weights in `dtype`, processor, tokenizer and generation defaults in `folder`; other files stay."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = IN_MEMORY.to_hf({name: in_memory(tensor) for name, tensor in model.state_dict().items()})
    tensors = {name: tensor.cast(dtype) for name, tensor in _untied(tensors).items()}
    write_file_of_tensors(folder / WEIGHTS_FILE, tensors)
    _save_config(model.config, dtype, folder)
    processor.save_pretrained(folder)
    _save_generation(processor.tokenizer, folder, do_sample=do_sample)


def export_folder(
    trained: Path,
    target: Path,
    card: Card,
    *,
    dtype: torch.dtype | None = torch.bfloat16,
    options: WriteOptions = DEFAULTS,
) -> int:
    """Writes the LLaVA in `trained`, in any layout of transformers, to `target`; gives the number of parameters.

    Raises UnsupportedError for the original's layout (convert it first) and for a manifest that would not be valid.
    """
    with Checkpoint(trained) as ours, ExitStack() as opened:
        layout = detect(ours.tensors)
        if is_original(layout) or layout == LANGUAGE_MODEL:
            raise UnsupportedError(f"{trained}: is in the {layout.name} layout; run `convert --to llava-hf` first")
        processor = AutoProcessor.from_pretrained(trained)  # type: ignore[no-untyped-call]
        tensors = _untied(layout.to_hf(ours.tensors))
        kept = dtype or tensors[EMBEDDING].dtype
        tensors = {name: tensor.cast(kept) for name, tensor in tensors.items()}
        folder = opened.enter_context(new_folder(target, overwrite=options.overwrite, inputs=(trained,)))
        write_weights(folder, tensors, options, inputs=(ours,))
        config = LlavaConfig.from_dict(ours.config)
        _save_config(config, kept, folder)
        processor.save_pretrained(folder)
        _save_generation(processor.tokenizer, folder, do_sample=False)
        parameters = sum(tensor.elements for tensor in tensors.values())
        _write_manifest(folder, card, config)
        _write_card(folder, card, config, parameters, kept)
        return parameters


def _untied(tensors: dict[str, LazyTensor]) -> dict[str, LazyTensor]:
    """The same tensors, with the input embedding also as the output embedding where there is none of its own."""
    return tensors if OUTPUT in tensors else {**tensors, OUTPUT: tensors[EMBEDDING]}


def _save_config(config: PretrainedConfig, dtype: torch.dtype, folder: Path) -> None:
    name = str(dtype).removeprefix("torch.")
    described = config.to_dict()
    described |= {"tie_word_embeddings": False, "dtype": name, "architectures": ["LlavaForConditionalGeneration"]}
    for part in ("text_config", "vision_config"):
        if described[part].get("dtype") is not None:
            described[part]["dtype"] = name
    described["text_config"]["tie_word_embeddings"] = False
    type(config).from_dict(described).save_pretrained(folder)


def _save_generation(tokenizer: Any, folder: Path, *, do_sample: bool) -> None:
    GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=do_sample,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    ).save_pretrained(folder)


def _write_manifest(folder: Path, card: Card, config: Any) -> None:
    length = card.context_length or config.text_config.max_position_embeddings
    lines = [
        "# What the service must know about this model; see llava_graph/manifest.py for the meaning of each key.",
        f"name = {json.dumps(card.name)}",
        f"revision = {json.dumps(card.revision)}",
        "",
        f"context_template = {json.dumps(card.context_template)}",
        f"context_length = {length} # tokens of image, prompt and answer together",
        f"max_new_tokens = {card.max_new_tokens}",
        "max_images = 1",
    ]
    (folder / MANIFEST_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        load_manifest(folder)
    except ManifestError as error:
        raise UnsupportedError(f"the manifest would not be valid: {error}") from error


def _write_card(folder: Path, card: Card, config: Any, parameters: int, dtype: torch.dtype) -> None:
    """Only what the files say: quality is for the evaluation to add."""
    vision, text = config.vision_config, config.text_config
    rows = [
        (
            "vision tower",
            f"{vision.model_type}, {vision.num_hidden_layers} layers of width {vision.hidden_size}, "
            f"{vision.image_size} × {vision.image_size} pixels in patches of {vision.patch_size}",
        ),
        (
            "language model",
            f"{text.model_type}, {text.num_hidden_layers} layers of width {text.hidden_size}, "
            f"{text.vocab_size:,} tokens",
        ),
        ("weights", f"{parameters:,} parameters, {str(dtype).removeprefix('torch.')}, llava-hf's layout"),
        ("context template", f"`{card.context_template}` of `llava_graph/context.py`"),
        ("licence", card.license or "not stated"),
    ]
    lines = [
        f"# {card.name}",
        "",
        f"Revision {card.revision}. SHA-256 of each tensor: `checksums.json`.",
        "",
        "| part | |",
    ]
    lines += ["| --- | --- |", *(f"| {part} | {what} |" for part, what in rows)]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
