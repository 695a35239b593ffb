"""Rates and model FLOPs: against the published formula, and against what PyTorch counts in real passes."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from training import recipe as recipes
from training.adapters import tuned
from training.collator import BatchFacts
from training.models import Llava
from training.recipe import Recipe
from training.throughput import Meter, Shape, Stack, shape_of

ROWS, TEXT_TOKENS = 2, 60


@pytest.fixture
def model() -> LlavaForConditionalGeneration:
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
    )
    text = LlamaConfig(
        vocab_size=300, hidden_size=128, intermediate_size=352, num_hidden_layers=3, num_attention_heads=4
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=299, vision_feature_layer=-2)
    # PyTorch counts no FLOPs of its fused attention on CPUs.
    return LlavaForConditionalGeneration._from_config(config, attn_implementation="eager")


def counted(model: LlavaForConditionalGeneration) -> tuple[int, BatchFacts]:
    """FLOPs of forward and backward as PyTorch counts them, and the batch they were for."""
    ids = torch.randint(0, 299, (ROWS, 16 + TEXT_TOKENS))
    ids[:, :16] = 299
    with FlopCounterMode(display=False) as counter:
        output = model(input_ids=ids, labels=ids, pixel_values=torch.randn(ROWS, 3, 56, 56), use_cache=False)
        output.loss.backward()
    return counter.get_total_flops(), BatchFacts(ROWS, ROWS, ids.numel(), ids.numel(), ids.numel())


def recipe_of(name: str) -> Recipe:
    return recipes.load(name, ["compute.bf16=false", "model.image_start_end=false"])


def test_stack_that_learns_whole_counts_as_in_the_palm_paper() -> None:
    """6 N + 12 L H Q T a token, with H Q the width and T the context."""
    layers, width, weights, length = 32, 4096, 6_000_000_000, 2048
    stack = Stack(layers, width, weights, learns=True, passes_gradient=True)
    assert stack.flops(1, length) == 6 * weights + 12 * layers * width * length


@pytest.mark.parametrize("name", ["v1.5-pretrain", "v1.5-finetune"])
def test_flops_are_those_that_pytorch_counts(name: str, model: LlavaForConditionalGeneration) -> None:
    trained = tuned(Llava(model, processor=None), recipe_of(name))  # type: ignore[arg-type]  # no image is prepared
    total, facts = counted(model)
    # PyTorch counts two things more: the tower's unused last layer and patch embedding; both are small here. In the
    # first stage the first layer's inputs include the projector's outputs, so gradients go through all of it.
    assert shape_of(trained).flops(facts) == pytest.approx(total, rel=0.1)


def test_first_stage_computes_less_than_the_second(model: LlavaForConditionalGeneration) -> None:
    facts = BatchFacts(1, 1, 76, 30, 76)
    counts = []
    for name in ("v1.5-pretrain", "v1.5-finetune"):
        trained = tuned(Llava(model, processor=None), recipe_of(name))  # type: ignore[arg-type]
        counts.append(shape_of(trained).flops(facts))
    assert counts[0] < counts[1]


def test_padding_costs_rate_and_utilisation() -> None:
    nothing = Stack(0, 0, 0, False, False)
    shape = Shape(nothing, 0, nothing, 0, Stack(0, 0, 1000, True, True), nothing)
    meter = Meter(shape, peak=1e12, ranks=2)
    assert meter.rates() == {}
    meter.add(BatchFacts(samples=2, images=2, tokens=60, learned=20, slots=80))
    meter.add(BatchFacts(samples=2, images=0, tokens=20, learned=20, slots=80))
    rates = meter.rates()
    assert rates["padding_waste"] == 0.5
    assert rates["tokens_per_second"] == pytest.approx(rates["samples_per_second"] * 20)
    # Two ranks: 160 tokens in the same time, of which one rank's 80 x 6000 FLOPs were on this device.
    assert rates["mfu"] == pytest.approx(rates["tokens_per_second"] / 2 * 6000 / 1e12)
    assert meter.total.samples == 4
    assert meter.rates() == {}
