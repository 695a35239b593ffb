"""A shipped LLaVA from its base and its delta: language model + LoRA, vision tower, projector, one row for `<image>`.

The delta is a folder of `model_repo/` that holds what training made, and nothing of the base:

    adapter_config.json, adapter_model.safetensors   LoRA of the language model, as peft saves it
    vision.safetensors         vision_tower.…, multi_modal_projector.…, and image_token_embedding: the rows to append
    base_checksums.json        SHA-256 of every tensor of the base; without it only names and shapes are compared
    config.json, tokenizer, processor, chat template, manifest, model card    go along as they are

The result is one llava-hf folder, as transformers and vLLM load it. Its bytes are the same on every machine: tensors in
the order of their names, and LoRA's products summed in float64 (see `weights.lora.merged`). Knows no package index and
no cache: that is build.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration

from weights.checkpoint import Checkpoint, read_json
from weights.errors import CheckpointError, MismatchError, UnsupportedError
from weights.files import copy_beside, write_json
from weights.folder import new_folder
from weights.layouts import EMBEDDING, IN_MEMORY, OUTPUT, detect
from weights.lora import CONFIG_FILE, merged
from weights.tensors import LazyTensor, with_rows_appended, with_rows_replaced
from weights.writing import DEFAULTS, WriteOptions, write_weights

VISION_FILE = "vision.safetensors"
BASE_CHECKSUMS_FILE = "base_checksums.json"
ADDED_ROWS = "image_token_embedding"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class AssembleSummary:
    """What the result is made of. `checked`: the delta knew its base by checksums. `sha256`: None for several files."""

    parameters: int
    merged: int
    added_rows: int
    checked: bool
    sha256: str | None


def assemble(
    base: Path, delta: Path, target: Path, *, expected_sha256: str | None = None, options: WriteOptions = DEFAULTS
) -> AssembleSummary:
    """Writes base and delta together to `target`.

    Raises MismatchError with the first tensor of a wrong base, or where model.safetensors has not `expected_sha256`;
    `target` is then left as it was.
    """
    config = _config(delta)
    with ExitStack() as opened:
        theirs = opened.enter_context(Checkpoint(base))
        checked = _check_base(theirs, delta)
        language = opened.enter_context(merged(base, delta, arithmetic=torch.float64))
        vision = opened.enter_context(Checkpoint(delta, [delta / VISION_FILE]))
        tensors, added = _together(language.tensors, vision)
        _check_whole(tensors, config, base, delta)
        planned = {name: tensors[name] for name in sorted(tensors)}
        folder = opened.enter_context(new_folder(target, overwrite=options.overwrite, inputs=(base, delta)))
        write_weights(folder, planned, options, inputs=(*language.inputs, vision))
        copy_beside(delta, folder, leave=(CONFIG_FILE, BASE_CHECKSUMS_FILE))
        sha256 = _sha256(folder / WEIGHTS_FILE)
        if expected_sha256 is not None and sha256 != expected_sha256:
            raise MismatchError(f"{target}: {WEIGHTS_FILE} has the SHA-256 {sha256}, not {expected_sha256}")
    parameters = sum(tensor.elements for tensor in planned.values())
    return AssembleSummary(parameters, language.merged, added, checked, sha256)


def write_base_checksums(base: Path, delta: Path) -> int:
    """Leaves in `delta` by which checksums its base is known; gives the number of tensors."""
    with Checkpoint(base) as theirs:
        checksums = {name: theirs.tensors[name].sha256() for name in sorted(theirs.tensors)}
    write_json(delta / BASE_CHECKSUMS_FILE, {"algorithm": "sha256", "tensors": checksums})
    return len(checksums)


def _config(delta: Path) -> LlavaConfig:
    described = read_json(delta / "config.json")
    if described.get("model_type") != "llava":
        raise UnsupportedError(f"{delta / 'config.json'}: model_type {described.get('model_type')!r} is not llava")
    config: LlavaConfig = LlavaConfig.from_dict(described)
    return config


def _check_base(base: Checkpoint, delta: Path) -> bool:
    """Compares every tensor before anything is written; False where the delta does not say what its base is."""
    path = delta / BASE_CHECKSUMS_FILE
    if not path.is_file():
        return False
    expected = read_json(path).get("tensors")
    if not isinstance(expected, dict) or not expected:
        raise CheckpointError(f"{path}: holds no checksums of tensors")
    for name in expected:
        if name not in base.tensors:
            raise MismatchError(f"wrong base: {base.path} has no {name}")
    for name, tensor in base.tensors.items():
        if name not in expected:
            raise MismatchError(f"wrong base: {base.path} has {name}, which the delta's base has not")
        digest = tensor.sha256()
        if digest != expected[name]:
            raise MismatchError(
                f"wrong base: {name} in {base.path} is not the one that {delta} was trained on "
                f"(SHA-256 {digest[:12]}…, not {str(expected[name])[:12]}…)"
            )
    return True


def _together(language: Mapping[str, LazyTensor], vision: Checkpoint) -> tuple[dict[str, LazyTensor], int]:
    """All tensors under hub names in the language model's type, and how many rows its embeddings gained."""
    parts = {name: tensor for name, tensor in vision.tensors.items() if name != ADDED_ROWS}
    if not parts:
        raise CheckpointError(f"{vision.path / VISION_FILE}: holds no vision tower and no projector")
    dtype = language[EMBEDDING].dtype
    tensors = dict(language)
    for name, tensor in detect(parts).to_hf(parts).items():
        if name in tensors:
            raise CheckpointError(f"{vision.path / VISION_FILE}: {name} belongs to the language model")
        tensors[name] = tensor.cast(dtype)
    if ADDED_ROWS not in vision.tensors:
        return tensors, 0
    old, width = tensors[EMBEDDING].shape
    added = vision.tensors[ADDED_ROWS].collect()
    if added.dim() not in (1, 2) or added.shape[-1] != width:
        raise MismatchError(f"{ADDED_ROWS} has the shape {list(added.shape)}; the base's embedding is {width} wide")
    rows = added.reshape(-1, width)
    tensors[EMBEDDING] = with_rows_replaced(with_rows_appended(tensors[EMBEDDING], old + len(rows)), old, rows)
    if OUTPUT in tensors:
        tensors[OUTPUT] = with_rows_appended(tensors[OUTPUT], old + len(rows))
    return tensors, len(rows)


def _check_whole(tensors: Mapping[str, LazyTensor], config: LlavaConfig, base: Path, delta: Path) -> None:
    """Raises MismatchError for the first tensor that the config's model has and these have not, or the reverse."""
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(config)
    wanted = IN_MEMORY.to_hf({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})
    if config.tie_word_embeddings and OUTPUT not in tensors:
        del wanted[OUTPUT]
    for name, shape in wanted.items():
        if name not in tensors:
            raise MismatchError(f"{name} is neither in the base {base} nor in the delta {delta}")
        if tensors[name].shape != shape:
            raise MismatchError(
                f"{name} has the shape {list(tensors[name].shape)}; {delta / 'config.json'} says {list(shape)}"
            )
    for name in tensors:
        if name not in wanted:
            raise MismatchError(f"{name} is no tensor of the model that {delta / 'config.json'} describes")
    if config.image_token_id >= wanted[EMBEDDING][0]:
        raise CheckpointError(
            f"{delta / 'config.json'}: the image token {config.image_token_id} is beyond the vocabulary"
        )


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
