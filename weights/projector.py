"""A linear projector as transformers' two-layer projector, and back. Knows tensors; not where they come from.

transformers and vLLM build LLaVA's projector as linear_1, activation, linear_2, and know no activation that both call
"none". For gelu, its tanh form, quick_gelu, silu and relu, act(x) - act(-x) = x, so W x + b is written exactly as

    linear_1 = [I; -I; 0]  [H, V], bias 0          linear_2 = [W, -W, 0]  [H, H], bias b

which needs 2 V <= H: 2048 <= 4096 for LLaVA-7B with CLIP ViT-L/14. The result is stock and trainable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from weights.errors import UnsupportedError
from weights.layouts import LINEAR, PROJECTOR
from weights.tensors import LazyTensor, computed

_PARTS = ("linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias")


@dataclass(frozen=True, slots=True)
class ProjectorError:
    """Largest differences from the linear projector in double precision, on `samples` random inputs."""

    samples: int
    dtype: torch.dtype
    one_layer: float
    two_layers: float


def is_linear(tensors: Mapping[str, LazyTensor]) -> bool:
    """Whether a checkpoint in hub names holds the original's one-layer projector."""
    return f"{LINEAR}weight" in tensors


def two_layers(tensors: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
    """The same tensors in hub names with LINEAR turned into linear_1 and linear_2; others as they are.

    Raises UnsupportedError where the language model is less than twice as wide as the vision tower.
    """
    if not is_linear(tensors):
        return dict(tensors)
    weight = tensors[f"{LINEAR}weight"]
    bias = tensors.get(f"{LINEAR}bias")
    wide, narrow = weight.shape
    if 2 * narrow > wide:
        raise UnsupportedError(
            f"a linear projector from {narrow} to {wide} does not fit into two layers with an activation: "
            f"the output must be at least twice as wide as the input"
        )
    dtype = weight.dtype
    made = dict(
        zip(
            (PROJECTOR + part for part in _PARTS),
            (
                computed(dtype, (wide, narrow), lambda: _plus_minus(wide, narrow, dtype)),
                computed(dtype, (wide,), lambda: torch.zeros(wide)),
                computed(dtype, (wide, wide), lambda: _spread(weight.collect())),
                computed(dtype, (wide,), lambda: torch.zeros(wide) if bias is None else bias.collect()),
            ),
            strict=True,
        )
    )
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(LINEAR)} | made


def one_layer(tensors: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
    """The reverse of `two_layers`: where the projector has exactly that form, it becomes LINEAR again."""
    parts = [tensors.get(PROJECTOR + part) for part in _PARTS]
    if any(part is None for part in parts):
        return dict(tensors)
    first, first_bias, second, second_bias = (part.collect() for part in parts if part is not None)
    wide, narrow = first.shape
    if 2 * narrow > wide or not torch.equal(first, _plus_minus(wide, narrow, first.dtype)) or first_bias.any():
        return dict(tensors)
    weight = second[:, :narrow].contiguous()
    if not torch.equal(second, _spread(weight)):
        return dict(tensors)  # trained since it was converted: no longer a linear projector
    made = {
        f"{LINEAR}weight": computed(weight.dtype, (wide, narrow), lambda: weight),
        f"{LINEAR}bias": computed(weight.dtype, (wide,), lambda: second_bias),
    }
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(PROJECTOR)} | made


def check(tensors: Mapping[str, LazyTensor], dtype: torch.dtype, samples: int = 256, seed: int = 0) -> ProjectorError:
    """Runs both forms of the linear projector in `tensors` (hub names, with LINEAR) on normal random inputs."""
    weight = tensors[f"{LINEAR}weight"].collect().to(dtype)
    bias_tensor = tensors.get(f"{LINEAR}bias")
    bias = torch.zeros(len(weight), dtype=dtype) if bias_tensor is None else bias_tensor.collect().to(dtype)
    made = two_layers(tensors)
    first, first_bias, second, second_bias = (made[PROJECTOR + part].collect().to(dtype) for part in _PARTS)
    inputs = torch.randn(samples, weight.shape[1], generator=torch.Generator().manual_seed(seed)).to(dtype)
    exact = functional.linear(inputs.double(), weight.double(), bias.double())
    plain = functional.linear(inputs, weight, bias)
    hidden = functional.gelu(functional.linear(inputs, first, first_bias))
    doubled = functional.linear(hidden, second, second_bias)
    return ProjectorError(samples, dtype, _distance(plain, exact), _distance(doubled, exact))


def _distance(got: Tensor, exact: Tensor) -> float:
    return float((got.double() - exact).abs().max())


def _plus_minus(wide: int, narrow: int, dtype: torch.dtype) -> Tensor:
    """[I; -I; 0], [wide, narrow]."""
    result = torch.zeros(wide, narrow, dtype=dtype)
    result[:narrow] = torch.eye(narrow, dtype=dtype)
    result[narrow : 2 * narrow] = -torch.eye(narrow, dtype=dtype)
    return result


def _spread(weight: Tensor) -> Tensor:
    """[W, -W, 0], [wide, wide] of W [wide, narrow]."""
    wide, narrow = weight.shape
    result = torch.zeros(wide, wide, dtype=weight.dtype)
    result[:, :narrow] = weight
    result[:, narrow : 2 * narrow] = -weight
    return result
