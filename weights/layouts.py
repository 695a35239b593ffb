"""Names of the same weights in the original LLaVA and in transformers: an adapter of two methods per layout.

The hub's llava-hf layout is the middle: `to_hf` leads there, `from_hf` back. It is the one layout that transformers and
vLLM 0.32 both load; what transformers 5 saves (`vision_tower.embeddings…`) vLLM refuses. No other module spells names.

| layout    | language model                   | vision tower                                | projector               |
| --------- | -------------------------------- | ------------------------------------------- | ----------------------- |
| hub       | language_model.model.…, .lm_head | vision_tower.vision_model.…                 | multi_modal_projector.… |
| saved     | as hub                           | vision_tower.… (transformers 5 saves this)  | as hub                  |
| in memory | model.language_model.…, lm_head  | model.vision_tower.(vision_model.)…         | model.multi_modal_…     |
| original  | model.…, lm_head                 | model.vision_tower.(vision_tower.)vision_m… | model.mm_projector.…    |

A language model without vision has the names of the original. The original's linear projector has no counterpart in
transformers: it keeps a name of its own (LINEAR), which projector.py resolves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from weights.errors import CheckpointError

T = TypeVar("T")

LM = "language_model.model."
HEAD = "language_model.lm_head."
TOWER = "vision_tower.vision_model."
PROJECTOR = "multi_modal_projector."
LINEAR = "multi_modal_projector.linear."

EMBEDDING = "language_model.model.embed_tokens.weight"
OUTPUT = "language_model.lm_head.weight"

_MLP = {"0.": "linear_1.", "2.": "linear_2."}

_COMPUTED = re.compile(r"(\.inv_freq|\.position_ids)$|^model\.image_newline$")
"""Buffers that old checkpoints hold and the model computes, and a parameter of LLaVA-NeXT that LLaVA does not use."""


class Layout(Protocol):
    """Translates a checkpoint's names. Values pass through untouched, whatever they are."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def to_hf(self, tensors: Mapping[str, T]) -> dict[str, T]:
        """The tensors under their hub names, in their order; computed buffers are left out.

        Raises CheckpointError for a name that this layout does not have.
        """
        ...

    def from_hf(self, tensors: Mapping[str, T]) -> dict[str, T]:
        """The tensors under this layout's names; raises CheckpointError for what is no hub name."""
        ...


def is_computed(name: str) -> bool:
    """Whether the model computes this buffer, so that a file may hold it or not."""
    return _COMPUTED.search(name) is not None


@dataclass(frozen=True, slots=True)
class Prefixes:
    """A layout whose names differ from the hub's by their beginnings: `pairs` of (its own, the hub's).

    The first pair that fits is taken, in either direction.
    """

    name: str
    pairs: tuple[tuple[str, str], ...]

    def to_hf(self, tensors: Mapping[str, T]) -> dict[str, T]:
        found = {self.hf_name(name): tensor for name, tensor in tensors.items() if not is_computed(name)}
        if len(found) != sum(not is_computed(name) for name in tensors):
            raise CheckpointError("two names of this checkpoint mean the same tensor")
        return found

    def from_hf(self, tensors: Mapping[str, T]) -> dict[str, T]:
        return {self.own_name(name): tensor for name, tensor in tensors.items()}

    def hf_name(self, name: str) -> str:
        """The hub's name of one tensor."""
        return _replaced(name, self.pairs, self.name)

    def own_name(self, name: str) -> str:
        """This layout's name of a tensor that has a hub name."""
        return _replaced(name, tuple((hub, own) for own, hub in self.pairs), "hub")


def _replaced(name: str, pairs: tuple[tuple[str, str], ...], layout: str) -> str:
    for old, new in pairs:
        if name.startswith(old):
            return new + name.removeprefix(old)
    raise CheckpointError(f"{name} is no name of the {layout} layout")


HUB = Prefixes("hub", ((LM, LM), (HEAD, HEAD), (TOWER, TOWER), (PROJECTOR, PROJECTOR)))
SAVED = Prefixes("saved", ((LM, LM), (HEAD, HEAD), ("vision_tower.", TOWER), (PROJECTOR, PROJECTOR)))
NAMESPACED = Prefixes(
    "in memory, with the level vision_model",
    (
        ("model.language_model.", LM),
        ("lm_head.", HEAD),
        ("model.vision_tower.vision_model.", TOWER),
        ("model.multi_modal_projector.", PROJECTOR),
    ),
)
IN_MEMORY = Prefixes(
    "in memory",
    (
        ("model.language_model.", LM),
        ("lm_head.", HEAD),
        ("model.vision_tower.", TOWER),
        ("model.multi_modal_projector.", PROJECTOR),
    ),
)


def _original(name: str, tower: str) -> Prefixes:
    projector = tuple((f"model.mm_projector.{old}", PROJECTOR + new) for old, new in _MLP.items())
    return Prefixes(
        name, (*projector, ("model.mm_projector.", LINEAR), (tower, TOWER), ("model.", LM), ("lm_head.", HEAD))
    )


ORIGINAL = _original("original", "model.vision_tower.vision_tower.vision_model.")
"""The original from its version 1.0 on, and every original checkpoint that leaves the vision tower out."""

ORIGINAL_V0 = _original("original v0", "model.vision_tower.vision_model.")
"""Before 1.0 a model trained without FSDP held its vision tower one level higher."""

LANGUAGE_MODEL = Prefixes("language model", (("model.", LM), ("lm_head.", HEAD)))


def detect(names: Iterable[str]) -> Prefixes:
    """The layout that a checkpoint's names are in; raises CheckpointError where they fit none."""
    found = [name for name in names if not is_computed(name)]

    def some(prefix: str) -> bool:
        return any(name.startswith(prefix) for name in found)

    if some("language_model.") or some("multi_modal_projector."):
        return HUB if some(TOWER) or not some("vision_tower.") else SAVED
    if some("model.language_model.") or some("model.multi_modal_projector."):
        return NAMESPACED if some("model.vision_tower.vision_model.") else IN_MEMORY
    if some("model.mm_projector.") or some("model.vision_tower."):
        return ORIGINAL_V0 if some("model.vision_tower.vision_model.") else ORIGINAL
    if some("model.") or some("lm_head."):
        return LANGUAGE_MODEL
    raise CheckpointError(f"no known layout: the first name is {found[0] if found else '(none)'}")


def is_original(layout: Prefixes) -> bool:
    """Whether the names are those of the original LLaVA."""
    return layout in (ORIGINAL, ORIGINAL_V0)


def tower_names(tensors: Mapping[str, T]) -> dict[str, T]:
    """The hub names of the weights in a CLIP folder, whole CLIP or vision model alone; the text side is left out."""
    found = {}
    vision = any(name.startswith("vision_model.") for name in tensors)
    for name, tensor in tensors.items():
        if is_computed(name) or (vision and not name.startswith("vision_model.")):
            continue
        found[TOWER + name.removeprefix("vision_model.")] = tensor
    return found
