"""How fast a run is: samples, tokens and padding a second, and model FLOPs utilisation (MFU).

MFU is the share of a device's peak that the model's own arithmetic takes: what a step must compute, without what
gradient checkpointing computes again. Chowdhery et al. 2022 (PaLM, arXiv:2204.02311, appendix B) count 6 N + 12 L H Q T
FLOPs a token for a model that learns whole. Parts of a LLaVA are frozen, so their sum is taken apart:

                          a parameter    attention: a layer, channel and token of context
    forward                    2                          4      always
    gradient of inputs         2                          8      where it learns, or something before it does
    gradient of weights        2                          0      where it learns

An embedding is a look-up and counts nothing. Only real tokens count: padding is waste.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from training.collator import BatchFacts

PEAK_FLOPS = {
    # Dense bfloat16, from NVIDIA's data sheets.
    "A100": 312e12,
    "A800": 312e12,
    "H100": 989e12,
    "H200": 989e12,
    "H800": 989e12,
    "L40S": 362e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
}
"""FLOPs a second of a device whose name contains the key."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack of transformer layers: `weights` are the parameters of its matrices in one pass of one token."""

    layers: int
    width: int
    weights: int
    learns: bool
    """Whether its weights learn."""
    passes_gradient: bool
    """Whether something before it learns, so that gradients go through it."""

    def flops(self, tokens: int, length: float) -> float:
        """Of `tokens` tokens in sequences of `length`, forward and backward."""
        attention = 4 * self.layers * self.width * length
        forward = 2 * self.weights + attention
        inputs = (2 * self.weights + 2 * attention) if self.passes_gradient or self.learns else 0
        weights = 2 * self.weights if self.learns else 0
        return tokens * (forward + inputs + weights)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a LLaVA computes. `patches` are a tower's positions for one image, `image_tokens` what is shown of them."""

    tower: Stack
    patches: int
    projector: Stack
    image_tokens: int
    language: Stack
    output: Stack

    def flops(self, facts: BatchFacts) -> float:
        """Of one batch of one rank, forward and backward.

        Sequences are taken to be of the batch's mean length, which counts a little less attention than there is.
        """
        length = facts.tokens / max(facts.samples, 1)
        return (
            self.tower.flops(facts.images * self.patches, self.patches)
            + self.projector.flops(facts.images * self.image_tokens, 0)
            + self.language.flops(facts.tokens, length)
            + self.output.flops(facts.tokens, 0)
        )


def shape_of(model: Any) -> Shape:
    """The shape of a LlavaForConditionalGeneration, or of one that peft wrapped. Frozen parts are told by
    `requires_grad`; low-rank factors count as part of the frozen matrices' gradients of inputs, themselves not.
    """
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = bare.config
    vision, text = config.vision_config, config.text_config
    layer = config.vision_feature_layer
    # Layers behind the one that is shown are computed, but nothing needs them.
    depth = vision.num_hidden_layers
    used = depth + 1 + layer if layer < 0 else layer
    projector_learns = _learns(bare.model.multi_modal_projector)
    language_learns = _learns(bare.model.language_model)
    factors = model is not bare
    grid = (vision.image_size // vision.patch_size) ** 2
    tower_weights = _matrices(bare.model.vision_tower)
    language_weights = _matrices(bare.model.language_model)
    return Shape(
        tower=Stack(used, vision.hidden_size, round(tower_weights * used / depth), False, False),
        patches=grid + 1,
        projector=Stack(0, 0, _matrices(bare.model.multi_modal_projector), projector_learns, False),
        image_tokens=grid,
        language=Stack(
            text.num_hidden_layers,
            text.hidden_size,
            language_weights,
            language_learns and not factors,
            projector_learns or language_learns,
        ),
        output=Stack(
            0,
            0,
            bare.lm_head.weight.numel(),
            bare.lm_head.weight.requires_grad,
            projector_learns or language_learns,
        ),
    )


def _learns(module: Any) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _matrices(module: Any) -> int:
    """Parameters that are multiplied with each token: matrices, but neither embeddings nor low-rank factors."""
    return sum(
        parameter.numel()
        for name, parameter in module.named_parameters()
        if parameter.ndim == 2 and "embed" not in name and ".lora_" not in name
    )


def peak_flops() -> float | None:
    """Of this process's device; None where it is not in the table (a CPU, for one): no MFU is told then."""
    import torch

    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((peak for key, peak in PEAK_FLOPS.items() if key in name), None)


class Meter:
    """Adds up batches and gives rates since it was last asked. One a rank; rates are of all ranks."""

    def __init__(self, shape: Shape, *, peak: float | None, ranks: int = 1) -> None:
        self._shape = shape
        self._peak = peak
        self._ranks = ranks
        self._facts = BatchFacts(0, 0, 0, 0, 0)
        self._flops = 0.0
        self._since_s = time.perf_counter()
        self.total = BatchFacts(0, 0, 0, 0, 0)
        """Of this rank since the run began."""

    def add(self, facts: BatchFacts) -> None:
        """Counts a batch of this rank."""
        self._facts += facts
        self.total += facts
        self._flops += self._shape.flops(facts)

    def rates(self) -> dict[str, float]:
        """Since the last call. Other ranks are taken to be as fast as this one: they wait for each other."""
        now_s = time.perf_counter()
        elapsed_s = now_s - self._since_s
        facts, flops = self._facts, self._flops
        self._facts, self._flops, self._since_s = BatchFacts(0, 0, 0, 0, 0), 0.0, now_s
        if facts.slots == 0 or elapsed_s <= 0:
            return {}
        rates = {
            "samples_per_second": facts.samples * self._ranks / elapsed_s,
            "tokens_per_second": facts.tokens * self._ranks / elapsed_s,
            "padding_waste": facts.padding_waste,
        }
        if self._peak is not None:
            rates["mfu"] = flops / elapsed_s / self._peak
        return rates
