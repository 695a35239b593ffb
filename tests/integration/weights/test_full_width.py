"""A checkpoint of LLaVA-7B's real widths and vocabulary, one layer of each model, within a fixed amount of memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import torch

from tests.unit.weights import checkpoints as made
from weights.checkpoint import Checkpoint
from weights.tensors import LazyTensor
from weights.writing import header_of

WIDTH, INNER, ROWS = 4096, 11008, 32003
TOWER_WIDTH, TOWER_INNER, PATCHES = 1024, 4096, 256

LIMIT_BYTES = 900_000_000
"""The checkpoint itself has 1.0 GB; Python, torch and transformers alone take 0.5."""

CONVERT = """
import resource, sys
from pathlib import Path
from weights.convert import to_llava_hf
to_llava_hf(Path(sys.argv[1]), Path(sys.argv[2]), checked=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def language_shapes() -> dict[str, tuple[int, ...]]:
    at = "model.layers.0."
    return {
        "model.embed_tokens.weight": (ROWS, WIDTH),
        **{f"{at}self_attn.{part}_proj.weight": (WIDTH, WIDTH) for part in "qkvo"},
        **{f"{at}mlp.{part}_proj.weight": (INNER, WIDTH) for part in ("gate", "up")},
        f"{at}mlp.down_proj.weight": (WIDTH, INNER),
        **{f"{at}{part}_layernorm.weight": (WIDTH,) for part in ("input", "post_attention")},
        "model.norm.weight": (WIDTH,),
        "lm_head.weight": (ROWS, WIDTH),
        "model.mm_projector.weight": (WIDTH, TOWER_WIDTH),
        "model.mm_projector.bias": (WIDTH,),
    }


def tower_shapes() -> dict[str, tuple[int, ...]]:
    at = "encoder.layers.0."
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.class_embedding": (TOWER_WIDTH,),
        "embeddings.patch_embedding.weight": (TOWER_WIDTH, 3, 14, 14),
        "embeddings.position_embedding.weight": (PATCHES + 1, TOWER_WIDTH),
        f"{at}mlp.fc1.weight": (TOWER_INNER, TOWER_WIDTH),
        f"{at}mlp.fc1.bias": (TOWER_INNER,),
        f"{at}mlp.fc2.weight": (TOWER_WIDTH, TOWER_INNER),
        f"{at}mlp.fc2.bias": (TOWER_WIDTH,),
    }
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        shapes |= {
            f"{at}self_attn.{part}.weight": (TOWER_WIDTH, TOWER_WIDTH),
            f"{at}self_attn.{part}.bias": (TOWER_WIDTH,),
        }
    for norm in ("pre_layrnorm", "post_layernorm", f"{at}layer_norm1", f"{at}layer_norm2"):
        shapes |= {f"{norm}.weight": (TOWER_WIDTH,), f"{norm}.bias": (TOWER_WIDTH,)}
    return {f"model.vision_tower.vision_tower.vision_model.{name}": shape for name, shape in shapes.items()}


def write_sparse(file: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A float16 checkpoint of zeros that takes no room on the disk."""

    def unread(_: int, __: int) -> torch.Tensor:
        raise AssertionError("only the header is written")

    tensors = {name: LazyTensor(torch.float16, shape, unread) for name, shape in shapes.items()}
    header = header_of(tensors)
    with file.open("wb") as opened:
        opened.write(header)
        opened.truncate(len(header) + sum(tensor.nbytes for tensor in tensors.values()))


def test_real_widths_are_converted_within_900_mb(tmp_path: Path) -> None:
    source = tmp_path / "original"
    source.mkdir()
    write_sparse(source / "model.safetensors", language_shapes() | tower_shapes())
    config = {
        **made.V1.config,
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": 1,
        "num_attention_heads": 32,
        "vocab_size": ROWS,
        "mm_hidden_size": TOWER_WIDTH,
    }
    (source / "config.json").write_text(json.dumps(config))
    made.write_tokenizer(source, made.V1.added, made.V1.pad)
    command = [sys.executable, "-c", CONVERT, str(source), str(tmp_path / "hf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    # A child begins with what the kernel has counted for its parent at the moment of the fork.
    parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert int(done.stdout) < max(LIMIT_BYTES, parent + 1)
    with Checkpoint(tmp_path / "hf") as written:
        shapes = {name: tensor.shape for name, tensor in written.tensors.items()}
    assert shapes["multi_modal_projector.linear_1.weight"] == (WIDTH, TOWER_WIDTH)
    assert shapes["multi_modal_projector.linear_2.weight"] == (WIDTH, WIDTH)
    assert shapes["language_model.model.embed_tokens.weight"] == (ROWS, WIDTH)
    vision = json.loads((tmp_path / "hf" / "config.json").read_text())["vision_config"]
    found = [vision[key] for key in ("image_size", "patch_size", "num_attention_heads", "num_hidden_layers")]
    assert found == [224, 14, 16, 1]
