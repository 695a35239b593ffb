"""Deltas: what a fine-tuned model adds to its base, so that the base's owner can ship none of it.

The original's arithmetic (llava/model/make_delta.py and apply_delta.py): target - base and delta + base, element by
element, in float16 unless told otherwise. And its exceptions:

- The projector is only in the target and is kept as it is. So is a vision tower, which the original dropped unsaid.
- Input and output embedding may have more rows (and columns) than the base's: what is beyond is kept as it is.
- Anything else that is on one side only, or of another shape, is refused. Buffers that the model computes
  (`rotary_emb.inv_freq`) may be on either side or on none.
- A two-layer projector in the original's layout is refused: the original's apply_delta would put a random linear layer
  in its place without a word. In transformers' layout, or with its prefix named, it is kept like a linear one.

Base and target may be in different layouts: a Llama folder is a base of a llava-hf folder.

What the original lacks: `delta.json` holds the SHA-256 of every tensor of the base and of the result. `apply_delta`
compares small tensors of the base before it writes anything, the others as they pass by, and the result at the end.
Differences are rounded, so the result equals the target to about one unit in the last place, not always bit for bit;
`delta.json` foresees the rounded result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from weights.checkpoint import Checkpoint, read_json
from weights.errors import CheckpointError, MismatchError, UnsupportedError
from weights.files import copy_beside, write_json
from weights.folder import new_folder
from weights.layouts import EMBEDDING, OUTPUT, PROJECTOR, TOWER, Prefixes, detect, is_original
from weights.projector import is_linear
from weights.tensors import LazyTensor, as_bytes
from weights.writing import DEFAULTS, WriteOptions, write_weights

DELTA_FILE = "delta.json"
DELTA_FORMAT = "llava-graph-delta-1"

SMALL_BYTES = 1 << 20
"""Norms and biases are smaller. They differ between any two bases, and all of them are read in a moment."""

_ONLY_IN_TARGET = (PROJECTOR, TOWER)
_MAY_GROW = (EMBEDDING, OUTPUT)


@dataclass(frozen=True, slots=True)
class DeltaSummary:
    """What was done with the target's tensors, by their names in the target."""

    differenced: int
    grown: tuple[str, ...]
    kept: tuple[str, ...]
    files_left: tuple[str, ...]
    exact: int | None = None
    """How many tensors apply_delta will give back bit for bit; None when applying."""
    checked: bool = True
    """False when the delta holds no checksums, so that only names and shapes could be compared."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A tensor of the target (or delta) and what stands for it in the base: None where it is kept as it is."""

    own: LazyTensor
    base: LazyTensor | None
    base_name: str = ""


def make_delta(
    base: Path,
    target: Path,
    delta: Path,
    *,
    dtype: torch.dtype | None = torch.float16,
    keep: Collection[str] = (),
    options: WriteOptions = DEFAULTS,
) -> DeltaSummary:
    """Writes to `delta` what `target` adds to `base`, both folders in Hugging Face layout.

    `dtype` None computes each tensor in the target's own type. Tensors of the target whose names begin with one of
    `keep` may be missing from the base. Raises MismatchError with the first tensor that does not fit.
    """
    with ExitStack() as opened:
        ours, theirs = opened.enter_context(Checkpoint(target)), opened.enter_context(Checkpoint(base))
        pairs = _pairs(ours, theirs, keep)
        seen = _Checksums()
        planned = {name: _difference(name, pair, dtype, seen) for name, pair in pairs.items()}
        inputs = (base, target)
        folder = opened.enter_context(new_folder(delta, overwrite=options.overwrite, inputs=inputs))
        checksums = write_weights(folder, planned, options, inputs=(ours, theirs))
        # A resumed run did not compute the shards that it found: their results are computed from the written delta.
        with Checkpoint(folder) as written:
            _recompute_missing(pairs, written, seen)
        left = copy_beside(target, folder, leave=(DELTA_FILE,))
        _write_config(ours, folder)
        write_json(
            folder / DELTA_FILE,
            {
                "format": DELTA_FORMAT,
                "base": {name: seen.base[name] for name in theirs.tensors if name in seen.base},
                "delta": checksums,
                "target": {name: seen.result[name] for name in pairs},
            },
        )
        return _summary(pairs, left, exact=sum(seen.exact.values()))


def apply_delta(
    base: Path,
    delta: Path,
    target: Path,
    *,
    keep: Collection[str] = (),
    options: WriteOptions = DEFAULTS,
) -> DeltaSummary:
    """Writes `base` + `delta` to `target`, each tensor in the delta's type.

    Raises MismatchError with the first tensor of a wrong base, or of a damaged delta, where the delta has checksums;
    one made by the original's tool has none, and only names and shapes can be compared.
    """
    with ExitStack() as opened:
        ours, theirs = opened.enter_context(Checkpoint(delta)), opened.enter_context(Checkpoint(base))
        known = _read_delta_file(delta)
        pairs = _pairs(ours, theirs, keep)
        if known:
            _compare_small(pairs, known["base"])
        planned = {name: _sum(pair, known) for name, pair in pairs.items()}
        folder = opened.enter_context(new_folder(target, overwrite=options.overwrite, inputs=(base, delta)))

        def verify(name: str, digest: str) -> None:
            if known:
                _compare(f"damaged delta: {name}", known["target"].get(name), digest)

        write_weights(folder, planned, options, inputs=(ours, theirs), verify=verify)
        left = copy_beside(delta, folder, leave=(DELTA_FILE,))
        return _summary(pairs, left, checked=bool(known))


def _pairs(ours: Checkpoint, theirs: Checkpoint, keep: Collection[str]) -> dict[str, _Pair]:
    """Each tensor of the target or delta with its counterpart; raises MismatchError for the first misfit."""
    own_layout, base_layout = detect(ours.tensors), detect(theirs.tensors)
    own_names = own_layout.to_hf({name: name for name in ours.tensors})
    base_names = base_layout.to_hf({name: name for name in theirs.tensors})
    _refuse_lost_projector(own_layout, own_names, ours, keep)
    pairs = {}
    for hub_name, name in own_names.items():
        own = ours.tensors[name]
        base_name = base_names.get(hub_name) or _tied(hub_name, base_names, theirs)
        if base_name is not None:
            base = theirs.tensors[base_name]
            _compare_shapes(name, hub_name, own, base, theirs)
            pairs[name] = _Pair(own, base, base_name)
        elif hub_name.startswith(_ONLY_IN_TARGET) or name.startswith(tuple(keep)):
            pairs[name] = _Pair(own, None)
        else:
            raise MismatchError(f"{name} is in {ours.path} and not in the base {theirs.path}")
    for hub_name, name in base_names.items():
        if hub_name not in own_names and not (hub_name == OUTPUT and _is_tied(ours)):
            raise MismatchError(f"{name} is in the base {theirs.path} and not in {ours.path}")
    return pairs


def _refuse_lost_projector(
    layout: Prefixes, names: Mapping[str, str], checkpoint: Checkpoint, keep: Collection[str]
) -> None:
    if not is_original(layout) or is_linear(checkpoint.tensors) or "model.mm_projector.".startswith(tuple(keep) or "?"):
        return
    lost = next((name for hub, name in names.items() if hub.startswith(PROJECTOR + "linear_")), None)
    if lost is not None:
        raise UnsupportedError(
            f"{checkpoint.path}: {lost} belongs to a projector of several layers, in whose place the original's "
            f"apply_delta puts a random linear layer; convert to llava-hf first, or allow it with "
            f"--keep model.mm_projector."
        )


def _tied(hub_name: str, base_names: Mapping[str, str], base: Checkpoint) -> str | None:
    """A tied base holds one matrix for input and output embedding; a target may have written it out twice."""
    return base_names.get(EMBEDDING) if hub_name == OUTPUT and _is_tied(base) else None


def _is_tied(checkpoint: Checkpoint) -> bool:
    config = checkpoint.config
    return bool(config.get("tie_word_embeddings", config.get("text_config", {}).get("tie_word_embeddings", False)))


def _compare_shapes(name: str, hub_name: str, own: LazyTensor, base: LazyTensor, theirs: Checkpoint) -> None:
    if own.shape == base.shape:
        return
    grows = (
        hub_name in _MAY_GROW
        and len(own.shape) == len(base.shape) == 2
        and all(mine >= its for mine, its in zip(own.shape, base.shape, strict=True))
    )
    if not grows:
        raise MismatchError(f"{name} has the shape {list(own.shape)}, in the base {theirs.path} {list(base.shape)}")


def _base_rows(base: LazyTensor, first: int, count: int) -> Tensor:
    """The rows from `first` on that the base has: `count`, fewer, or none."""
    return base.read(first, max(0, min(base.rows - first, count)))


def _on_overlap(own: Tensor, other: Tensor, operate: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """operate(own, other) where `other` has the element, `own` elsewhere."""
    if own.shape == other.shape:
        return operate(own, other)
    result = own.clone()
    overlap = (slice(other.shape[0]), slice(other.shape[1]))
    result[overlap] = operate(own[overlap], other)
    return result


def _added(delta: LazyTensor, base: LazyTensor | None) -> LazyTensor:
    """delta + base where the base has the element, in the delta's type."""
    if base is None:
        return delta
    other = base.cast(delta.dtype)

    def read(first: int, count: int) -> Tensor:
        return _on_overlap(delta.read(first, count), _base_rows(other, first, count), torch.add)

    return LazyTensor(delta.dtype, delta.shape, read)


@dataclass(slots=True)
class _Checksums:
    """What make_delta learns while the rows pass by, from several threads: one entry per tensor, each set once."""

    base: dict[str, str] = field(default_factory=dict)
    result: dict[str, str] = field(default_factory=dict)
    exact: dict[str, bool] = field(default_factory=dict)


def _difference(name: str, pair: _Pair, dtype: torch.dtype | None, seen: _Checksums) -> LazyTensor:
    """own - base in `dtype`; what apply_delta will make of it is computed and hashed on the way."""
    if not pair.own.dtype.is_floating_point:
        raise UnsupportedError(f"{name} holds {pair.own.dtype}: a delta of quantised weights is not defined")
    own = pair.own.cast(dtype or pair.own.dtype)
    seen.exact[name] = own.dtype == pair.own.dtype
    learn = partial(seen.result.__setitem__, name)
    if pair.base is None:
        return own.checked(learn)
    base = pair.base.checked(partial(seen.base.__setitem__, pair.base_name)).cast(own.dtype)
    digest = hashlib.sha256()

    def read(first: int, count: int) -> Tensor:
        nonlocal digest
        if first == 0:
            digest = hashlib.sha256()
        mine, other = own.read(first, count), _base_rows(base, first, count)
        difference = _on_overlap(mine, other, torch.sub)
        if not torch.isfinite(difference).all() and torch.isfinite(mine).all():
            raise UnsupportedError(f"{name}: the difference does not fit into {own.dtype}; choose another --dtype")
        restored = _on_overlap(difference, other, torch.add)
        seen.exact[name] = seen.exact[name] and torch.equal(restored, mine)
        digest.update(as_bytes(restored))
        if first + count == own.rows:
            learn(digest.hexdigest())
        return difference

    return LazyTensor(own.dtype, own.shape, read)


def _recompute_missing(pairs: Mapping[str, _Pair], written: Checkpoint, seen: _Checksums) -> None:
    for name, pair in pairs.items():
        if name in seen.result:
            continue
        restored = _added(written.tensors[name], pair.base)
        seen.result[name] = restored.sha256()
        seen.exact[name] = seen.result[name] == pair.own.sha256()
        if pair.base is not None and pair.base_name not in seen.base:
            seen.base[pair.base_name] = pair.base.sha256()


def _sum(pair: _Pair, known: Mapping[str, Any]) -> LazyTensor:
    base = pair.base
    if known and base is not None:
        base = base.checked(partial(_compare, f"wrong base: {pair.base_name}", known["base"].get(pair.base_name)))
    return _added(pair.own, base)


def _compare_small(pairs: Mapping[str, _Pair], expected: Mapping[str, str]) -> None:
    for pair in pairs.values():
        if pair.base is not None and pair.base.nbytes <= SMALL_BYTES:
            _compare(f"wrong base: {pair.base_name}", expected.get(pair.base_name), pair.base.sha256())


def _compare(what: str, expected: str | None, got: str) -> None:
    if expected is None:
        raise MismatchError(f"{what} has no checksum in {DELTA_FILE}: the base has other names than when it was made")
    if got != expected:
        raise MismatchError(
            f"{what} is not the one that the delta was made with (SHA-256 {got[:12]}…, not {expected[:12]}…)"
        )


def _read_delta_file(delta: Path) -> dict[str, Any]:
    """`delta.json`; empty where there is none, as beside deltas of the original's tool."""
    path = delta / DELTA_FILE
    if not path.exists():
        return {}
    known = read_json(path)
    if known.get("format") != DELTA_FORMAT or not all(isinstance(known.get(k), dict) for k in ("base", "target")):
        raise CheckpointError(f"{path}: not of the format {DELTA_FORMAT}")
    return known


def _write_config(target: Checkpoint, folder: Path) -> None:
    """The target's config; in the original's layout it must say that there is a projector, or the original loses it."""
    config = target.config
    if is_original(detect(target.tensors)) and any("mm_projector" in name for name in target.tensors):
        config |= {"use_mm_proj": True, "architectures": ["LlavaLlamaForCausalLM"]}
        if config.get("model_type") == "llama":
            config["model_type"] = "llava"
    write_json(folder / "config.json", config)


def _summary(
    pairs: Mapping[str, _Pair], left: list[str], *, exact: int | None = None, checked: bool = True
) -> DeltaSummary:
    return DeltaSummary(
        differenced=sum(pair.base is not None for pair in pairs.values()),
        grown=tuple(name for name, pair in pairs.items() if pair.base and pair.base.shape != pair.own.shape),
        kept=tuple(name for name, pair in pairs.items() if pair.base is None),
        files_left=tuple(left),
        exact=exact,
        checked=checked,
    )
