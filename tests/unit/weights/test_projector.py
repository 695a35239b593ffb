"""The linear projector in two layers: exact to rounding at real widths, undone exactly, refused where too narrow."""

from __future__ import annotations

import pytest
import torch

from weights.errors import UnsupportedError
from weights.layouts import LINEAR, PROJECTOR
from weights.projector import check, is_linear, one_layer, two_layers
from weights.tensors import LazyTensor, in_memory


def linear(wide: int, narrow: int, dtype: torch.dtype = torch.float32) -> dict[str, LazyTensor]:
    torch.manual_seed(0)
    weight, bias = torch.randn(wide, narrow) / narrow**0.5, torch.randn(wide)
    return {f"{LINEAR}weight": in_memory(weight.to(dtype)), f"{LINEAR}bias": in_memory(bias.to(dtype))}


@pytest.mark.parametrize(("wide", "narrow"), [(4096, 1024), (5120, 1024)], ids=["7B", "13B"])
def test_error_at_real_widths_is_that_of_one_layer(wide: int, narrow: int) -> None:
    error = check(linear(wide, narrow), torch.float32, samples=16)
    assert 0 < error.two_layers < 2 * error.one_layer < 2e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_loses_no_more_than_one_layer_does(dtype: torch.dtype) -> None:
    error = check(linear(512, 128, dtype), dtype)
    assert error.two_layers < 2 * error.one_layer


def test_two_layers_are_undone_exactly() -> None:
    before = linear(64, 32, torch.float16)
    made = two_layers(before)
    assert not is_linear(made)
    assert {name: made[name].shape for name in made} == {
        f"{PROJECTOR}linear_1.weight": (64, 32),
        f"{PROJECTOR}linear_1.bias": (64,),
        f"{PROJECTOR}linear_2.weight": (64, 64),
        f"{PROJECTOR}linear_2.bias": (64,),
    }
    after = one_layer(made)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name].collect(), before[name].collect()) for name in before)


def test_projector_that_was_trained_since_keeps_its_two_layers() -> None:
    made = two_layers(linear(64, 32))
    for part in ("linear_1.weight", "linear_2.weight", "linear_1.bias"):
        changed = made[PROJECTOR + part].collect()
        changed.view(-1)[-1] += 0.5
        trained = {**made, PROJECTOR + part: in_memory(changed)}
        assert one_layer(trained).keys() == made.keys(), part


def test_output_less_than_twice_as_wide_as_the_input_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="from 32 to 63"):
        two_layers(linear(63, 32))
