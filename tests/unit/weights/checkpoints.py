"""Small checkpoints in the formats of LLaVA's releases: random weights, a real SentencePiece vocabulary.

Widths are small; names, config keys, added tokens and their order are those of the releases.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

WIDTH, TOWER_WIDTH, LAYERS = 64, 32, 2
SIDE, PATCH = 28, 14
WORDS = (
    "A chat between a curious human and an artificial intelligence assistant. USER: ASSISTANT: ### Human:",
    "Describe the image in detail. The curve rises from 0 to 12 µm, then falls. What does the axis show?",
)


@functools.cache
def vocabulary() -> bytes:
    """A `tokenizer.model` made as LLaMA's was: BPE, bytes for unknown characters, single digits, no normalisation."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS * 40),
        model_writer=model,
        model_type="bpe",
        vocab_size=330,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        minloglevel=2,
    )
    return model.getvalue()


def words() -> int:
    """How many tokens the vocabulary has before any is added."""
    return int(sentencepiece.SentencePieceProcessor(model_proto=vocabulary()).vocab_size())


@dataclass(frozen=True, slots=True)
class Release:
    """What tells the releases apart. `added` is in the order in which training added the tokens."""

    added: tuple[str, ...]
    start_end: bool
    config: Mapping[str, Any]
    pad: str | None = None


_WRONG_IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": -1}
_TOWER = {
    "mm_vision_tower": "openai/clip-vit-large-patch14",
    "mm_hidden_size": TOWER_WIDTH,
    "mm_vision_select_layer": -2,
}

V0 = Release(
    ("<im_patch>", "<im_start>", "<im_end>", "[PAD]"),
    True,
    {"model_type": "llava", "mm_use_im_start_end": True, **_TOWER, **_WRONG_IDS},
    pad="[PAD]",
)
V0_PAD_FIRST = Release(("[PAD]", "<im_patch>", "<im_start>", "<im_end>"), True, V0.config, pad="[PAD]")
V1 = Release(("<im_patch>", "<im_start>", "<im_end>"), True, V0.config, pad="<unk>")
V1_5 = Release(
    (),
    False,
    {
        "model_type": "llava_llama",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "mm_projector_type": "mlp2x_gelu",
        "image_aspect_ratio": "pad",
        **_TOWER,
    },
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The models that a checkpoint was written from: the original's forward pass is put together from these."""

    language: LlamaForCausalLM
    tower: CLIPVisionModel
    projector: torch.nn.Module
    state: dict[str, Tensor]


def language_model(rows: int, seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=rows,
        hidden_size=WIDTH,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        rms_norm_eps=1e-6,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model: LlamaForCausalLM = LlamaForCausalLM(config).eval()
    return model


def vision_tower(seed: int = 1) -> CLIPVisionModel:
    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=TOWER_WIDTH,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=PATCH,
    )
    model: CLIPVisionModel = CLIPVisionModel(config).eval()
    return model


def projector(kind: str, seed: int = 2) -> torch.nn.Module:
    torch.manual_seed(seed)
    if kind == "linear":
        return torch.nn.Linear(TOWER_WIDTH, WIDTH)
    return torch.nn.Sequential(torch.nn.Linear(TOWER_WIDTH, WIDTH), torch.nn.GELU(), torch.nn.Linear(WIDTH, WIDTH))


def tower_state(tower: CLIPVisionModel, prefix: str) -> dict[str, Tensor]:
    """The tower's weights as CLIP's own checkpoints name them, under `prefix`."""
    return {
        f"{prefix}vision_model.{name.removeprefix('vision_model.')}": tensor
        for name, tensor in tower.state_dict().items()
        if not name.endswith("position_ids")
    }


def write_language_model(folder: Path, seed: int = 0, *, rows: int | None = None, shards: int = 1) -> LlamaForCausalLM:
    """A plain LLaMA: what v0 deltas are made against."""
    folder.mkdir(parents=True)
    model = language_model(rows or words(), seed)
    write_tensors(folder, dict(model.state_dict()), shards=shards)
    config = {"model_type": "llama", "architectures": ["LLaMAForCausalLM"], **llama_config(model), **_WRONG_IDS}
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder, ())
    return model


def write_original(
    folder: Path,
    release: Release,
    *,
    tower_inside: str | None = None,
    shards: int = 1,
    suffix: str = ".safetensors",
    seed: int = 10,
    dtype: torch.dtype = torch.float32,
) -> Parts:
    """A checkpoint as `release` left it; `tower_inside` is the prefix under which it holds its vision tower."""
    folder.mkdir(parents=True)
    language = language_model(words() + len(release.added), seed)
    tower = vision_tower()
    kind = release.config.get("mm_projector_type", "linear")
    module = projector(str(kind))
    state = {name: tensor.to(dtype) for name, tensor in language.state_dict().items()}
    state |= {f"model.mm_projector.{name}": tensor.to(dtype) for name, tensor in module.state_dict().items()}
    # Old files hold this buffer, which the model computes.
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    if tower_inside is not None:
        state |= tower_state(tower, tower_inside)
    write_tensors(folder, state, shards=shards, suffix=suffix)
    config = {
        **llama_config(language),
        **release.config,
        "use_mm_proj": True,
        "vocab_size": words() + len(release.added),
    }
    (folder / "config.json").write_text(json.dumps({**config, "torch_dtype": "float16"}))
    write_tokenizer(folder, release.added, release.pad)
    return Parts(language, tower, module, state)


def write_tower(folder: Path, *, whole_clip: bool = True) -> CLIPVisionModel:
    """A CLIP folder; with `whole_clip`, as the hub's: text side, temperature and position ids beside the tower."""
    folder.mkdir(parents=True)
    tower = vision_tower()
    state = tower_state(tower, "")
    config: dict[str, Any] = {**tower.config.to_dict(), "model_type": "clip_vision_model"}
    if whole_clip:
        state |= {
            "text_model.final_layer_norm.weight": torch.ones(8),
            "visual_projection.weight": torch.ones(8, TOWER_WIDTH),
            "logit_scale": torch.tensor(4.6),
            "vision_model.embeddings.position_ids": torch.arange(5)[None],
        }
        config = {"model_type": "clip", "vision_config": config}
    write_tensors(folder, state)
    (folder / "config.json").write_text(json.dumps(config))
    images = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    images.save_pretrained(folder)
    return tower


def write_tensors(folder: Path, state: Mapping[str, Tensor], *, shards: int = 1, suffix: str = ".safetensors") -> None:
    """Weights in `shards` files, with an index where there are several."""
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    names = list(state)
    per_shard = -(-len(names) // shards)
    weight_map = {}
    for i in range(shards):
        part = {name: state[name].contiguous() for name in names[i * per_shard : (i + 1) * per_shard]}
        file = f"{stem}{suffix}" if shards == 1 else f"{stem}-{i + 1:05d}-of-{shards:05d}{suffix}"
        if suffix == ".safetensors":
            save_file({name: tensor.clone() for name, tensor in part.items()}, folder / file, metadata={"format": "pt"})
        else:
            torch.save(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    if shards > 1:
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        (folder / f"{stem}{suffix}.index.json").write_text(json.dumps(index))


def write_tokenizer(folder: Path, added: tuple[str, ...], pad: str | None = None) -> None:
    """The slow tokenizer's files; special tokens are empty texts, as in the first conversions of LLaMA."""
    (folder / "tokenizer.model").write_bytes(vocabulary())
    settings = {"tokenizer_class": "LLaMATokenizer", "model_max_length": 512, "bos_token": "", "eos_token": ""}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    special = {"bos_token": "", "eos_token": "", "unk_token": ""}
    (folder / "special_tokens_map.json").write_text(json.dumps(special | ({"pad_token": pad} if pad else {})))
    if added:
        ids = {token: words() + i for i, token in enumerate(added)}
        (folder / "added_tokens.json").write_text(json.dumps(ids))


def llama_config(model: LlamaForCausalLM) -> dict[str, Any]:
    """The keys that LLaMA's config files had."""
    c: Any = model.config
    return {
        "hidden_size": c.hidden_size,
        "intermediate_size": c.intermediate_size,
        "num_hidden_layers": c.num_hidden_layers,
        "num_attention_heads": c.num_attention_heads,
        "hidden_act": "silu",
        "max_sequence_length": 512,
        "rms_norm_eps": c.rms_norm_eps,
        "vocab_size": c.vocab_size,
        "tie_word_embeddings": False,
    }
