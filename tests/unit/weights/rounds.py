"""A served model taken through every change of weights, back to a folder that serves: the answers must not change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from tests.unit.weights.checkpoints import write_tensors
from weights.checkpoint import Checkpoint
from weights.convert import to_llava_hf, to_original
from weights.delta import apply_delta, make_delta
from weights.layouts import EMBEDDING, HUB, LANGUAGE_MODEL, LM


def whole_round(model_dir: Path, folder: Path) -> Path:
    """llava-hf → original, tower apart → delta to a base → original → llava-hf; gives the last folder."""
    to_original(model_dir, folder / "original", tower=folder / "tower")
    write_base(model_dir, folder / "base")
    keep = ("model.mm_projector.",)
    make_delta(folder / "base", folder / "original", folder / "delta", dtype=torch.float32, keep=keep)
    apply_delta(folder / "base", folder / "delta", folder / "applied", keep=keep)
    to_llava_hf(folder / "applied", folder / "served", tower=folder / "tower", dtype=torch.bfloat16)
    shutil.copyfile(model_dir / "manifest.toml", folder / "served" / "manifest.toml")
    return folder / "served"


def write_base(model_dir: Path, folder: Path) -> None:
    """A language model that `model_dir`'s could have been fine-tuned from: near to it, tied, with one token less."""
    folder.mkdir()
    torch.manual_seed(0)
    with Checkpoint(model_dir) as served:
        language = {name: t.collect() for name, t in HUB.to_hf(served.tensors).items() if name.startswith(LM)}
    state = {name: tensor + 0.05 * torch.randn_like(tensor) for name, tensor in language.items()}
    state[EMBEDDING] = state[EMBEDDING][:-1]
    write_tensors(folder, LANGUAGE_MODEL.from_hf(state))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": True}))
