"""LoRA folders: merged into their base, row by row (Hu et al. 2021, arXiv:2106.09685; the file format of peft).

    W + scale * B A,   scale = alpha / r, or alpha / sqrt(r) with rsLoRA

computed in float32 (by assemble.py in float64) and rounded once. Reads what the original's training leaves:
`adapter_config.json`, `adapter_model.(safetensors|bin)`, and `non_lora_trainables.bin` with the projector (and
embeddings) trained in full. Base and adapter may name the same weights by different layouts. DoRA, biases and other
methods are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from weights.checkpoint import Checkpoint, read_json
from weights.errors import CheckpointError, MismatchError, UnsupportedError
from weights.files import copy_beside, write_json
from weights.folder import new_folder
from weights.layouts import EMBEDDING, LANGUAGE_MODEL, ORIGINAL, OUTPUT, PROJECTOR, Prefixes, detect
from weights.tensors import LazyTensor
from weights.tokens import TOKENIZER_FILES, has_tokenizer
from weights.writing import DEFAULTS, WriteOptions, write_weights

T = TypeVar("T")

CONFIG_FILE = "adapter_config.json"
TRAINED_IN_FULL = "non_lora_trainables.bin"

_FACTOR = re.compile(r"^(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.default)?(\.weight)?$")
_WRAPPED = re.compile(r"\.(base_layer|modules_to_save(\.default)?)(?=\.)")


@dataclass(frozen=True, slots=True)
class MergeSummary:
    """How many tensors got a LoRA product, and which were replaced whole."""

    merged: int
    replaced: tuple[str, ...]
    files_left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged tensors under hub names, and where they come from."""

    tensors: dict[str, LazyTensor]
    layout: Prefixes
    config: dict[str, Any]
    merged: int
    replaced: tuple[str, ...]
    inputs: tuple[Checkpoint, ...]


@dataclass(slots=True)
class _Factors:
    a: Tensor | None = None
    b: Tensor | None = None
    embedding: bool = False


def is_lora(folder: Path) -> bool:
    """Whether `folder` is what LoRA training leaves."""
    return (folder / CONFIG_FILE).is_file()


def merge_lora(
    base: Path,
    lora: Path,
    target: Path,
    *,
    options: WriteOptions = DEFAULTS,
) -> MergeSummary:
    """Writes the merged model to `target`, in the base's layout and types; a projector makes it the original's.

    Raises MismatchError where the adapter names a weight that the base lacks, or one of another shape.
    """
    with merged(base, lora) as result:
        planned = result.layout.from_hf(result.tensors)
        with new_folder(target, overwrite=options.overwrite, inputs=(base, lora)) as folder:
            write_weights(folder, planned, options, inputs=result.inputs)
            left = copy_beside(base, folder, leave=TOKENIZER_FILES if has_tokenizer(lora) else ())
            left += copy_beside(lora, folder, leave=(CONFIG_FILE, "README.md", "trainer_state.json"))
            write_json(folder / "config.json", result.config)
    return MergeSummary(result.merged, result.replaced, tuple(left))


@contextmanager
def merged(base: Path, lora: Path, *, arithmetic: torch.dtype = torch.float32) -> Iterator[Merged]:
    """The merged tensors, to be read while the context lasts.

    `arithmetic` float64 gives the same bytes on every machine where base and factors are in bfloat16: products of two
    such numbers have 16 significant bits, so that their sums are exact whatever the order in which a processor's
    library adds them. In float32 that order decides some last bits.
    """
    settings = _settings(lora)
    with ExitStack() as opened:
        theirs = opened.enter_context(Checkpoint(base))
        adapter = opened.enter_context(Checkpoint(lora, [_adapter_file(lora)]))
        layout = detect(theirs.tensors)
        tensors = layout.to_hf(theirs.tensors)
        factors, whole = _sorted(adapter.tensors)
        inputs = [theirs, adapter]
        if (lora / TRAINED_IN_FULL).is_file():
            full = opened.enter_context(Checkpoint(lora, [lora / TRAINED_IN_FULL]))
            inputs.append(full)
            whole |= _stripped(full.tensors)
        replaced = _in_hub_names(whole)
        for name, tensor in replaced.items():
            _check_replacement(name, tensor, tensors, base)
        # Whole tensors first: where a matrix was trained in full and has factors as well, the factors come on top.
        tensors |= {name: tensor.cast(_dtype(tensors)) for name, tensor in replaced.items()}
        products = _in_hub_names({f"{module}.weight": pair for module, pair in factors.items()})
        for name, pair in products.items():
            if name not in tensors:
                raise MismatchError(f"{lora}: has factors for {name}, which is not in the base {base}")
            tensors[name] = _with_product(name, tensors[name], pair, settings, arithmetic)
        if layout == LANGUAGE_MODEL and any(name.startswith(PROJECTOR) for name in tensors):
            layout = ORIGINAL
        yield Merged(tensors, layout, _config(theirs, lora, tensors), len(products), tuple(replaced), tuple(inputs))


def _settings(lora: Path) -> dict[str, Any]:
    settings = read_json(lora / CONFIG_FILE)
    if settings.get("peft_type") != "LORA":
        raise UnsupportedError(f"{lora}: peft_type {settings.get('peft_type')!r} is not LORA")
    for key in ("use_dora", "lora_bias", "alora_invocation_tokens"):
        if settings.get(key):
            raise UnsupportedError(f"{lora}: {key} is not supported")
    if settings.get("bias", "none") != "none":
        raise UnsupportedError(f"{lora}: trained biases ({settings['bias']!r}) are not supported")
    return settings


def _adapter_file(lora: Path) -> Path:
    for name in ("adapter_model.safetensors", "adapter_model.bin"):
        if (lora / name).is_file():
            return lora / name
    raise CheckpointError(f"{lora}: has no adapter_model.safetensors or adapter_model.bin")


def _sorted(adapter: Mapping[str, LazyTensor]) -> tuple[dict[str, _Factors], dict[str, LazyTensor]]:
    """The factors by module, and the tensors saved whole; names without peft's prefix."""
    factors: dict[str, _Factors] = {}
    whole = {}
    for name, tensor in adapter.items():
        plain = name.removeprefix("base_model.model.")
        match = _FACTOR.match(plain)
        if match is None:
            if ".lora_" in plain:
                raise UnsupportedError(f"{name}: LoRA parameters of this kind are not supported")
            whole[_WRAPPED.sub("", plain)] = tensor
            continue
        pair = factors.setdefault(_WRAPPED.sub("", match["module"]), _Factors())
        pair.embedding = match["embedding"] is not None
        setattr(pair, match["side"].lower(), tensor.collect())
    for module, pair in factors.items():
        if pair.a is None or pair.b is None:
            raise CheckpointError(f"{module}: the adapter holds only one of its two factors")
    return factors, whole


def _stripped(tensors: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
    """Names of non_lora_trainables.bin without what wrapping in peft put before them, as the original strips it."""
    names = {name: name.removeprefix("base_model.") for name in tensors}
    if any(name.startswith("model.model.") for name in names.values()):
        names = {name: short.removeprefix("model.") for name, short in names.items()}
    return {_WRAPPED.sub("", short): tensors[name] for name, short in names.items()}


def _in_hub_names(tensors: Mapping[str, T]) -> dict[str, T]:
    return detect(tensors).to_hf(tensors) if tensors else {}


def _check_replacement(name: str, tensor: LazyTensor, tensors: Mapping[str, LazyTensor], base: Path) -> None:
    old = tensors.get(name)
    if old is None and not name.startswith(PROJECTOR) and name != OUTPUT:
        raise MismatchError(f"{name} was trained in full, but is not in the base {base}")
    grows = name in (EMBEDDING, OUTPUT)
    if old is not None and old.shape != tensor.shape and not (grows and old.shape[1:] == tensor.shape[1:]):
        raise MismatchError(f"{name} has the shape {list(tensor.shape)}, in the base {base} {list(old.shape)}")


def _dtype(tensors: Mapping[str, LazyTensor]) -> torch.dtype:
    return tensors[EMBEDDING].dtype


def _with_product(
    name: str, weight: LazyTensor, pair: _Factors, settings: Mapping[str, Any], arithmetic: torch.dtype
) -> LazyTensor:
    if not weight.dtype.is_floating_point:
        raise UnsupportedError(f"{name}: the base is quantised ({weight.dtype}); merge into the base it was made from")
    assert pair.a is not None
    assert pair.b is not None
    a, b = pair.a.to(arithmetic), pair.b.to(arithmetic)
    # An embedding's product is the transpose; so is that of a layer which keeps its weight as [in, out].
    left, right = (a.T, b.T) if pair.embedding or settings.get("fan_in_fan_out") else (b, a)
    if (left.shape[0], right.shape[1]) != weight.shape:
        raise MismatchError(
            f"{name} has the shape {list(weight.shape)}, its LoRA product {[left.shape[0], right.shape[1]]}"
        )
    left = left * _scale(name, len(a), settings)

    def read(first: int, count: int) -> Tensor:
        rows = weight.read(first, count).to(arithmetic)
        return torch.addmm(rows, left[first : first + count], right).to(weight.dtype)

    return LazyTensor(weight.dtype, weight.shape, read)


def _scale(name: str, rank: int, settings: Mapping[str, Any]) -> float:
    alpha = settings.get("lora_alpha", 8)
    for pattern, value in (settings.get("alpha_pattern") or {}).items():
        if re.search(rf"(^|\.){pattern}$", name.removesuffix(".weight")):
            alpha = value
    return float(alpha / (rank**0.5 if settings.get("use_rslora") else rank))


def _config(base: Checkpoint, lora: Path, tensors: Mapping[str, LazyTensor]) -> dict[str, Any]:
    """The adapter's config where its training left one: it knows the projector; else the base's."""
    config = read_json(lora / "config.json") if (lora / "config.json").is_file() else base.config
    text = config.get("text_config", config)
    text["vocab_size"] = tensors[EMBEDDING].rows
    return config
