"""The learner's shortcuts change nothing: its loss is what transformers computes, its weights are the model's."""

from __future__ import annotations

import random
from typing import Any

import numpy.typing as npt
import pytest
import torch
from torch.nn.functional import pad
from transformers import PreTrainedTokenizerFast

from tests.unit.conftest import Drawn
from training.tiny.anchors import links
from training.tiny.batches import Tokenized, collate, tokenize
from training.tiny.curriculum import figure_example
from training.tiny.data import squeeze
from training.tiny.learner import Learner, padded_to_multiple
from training.tiny.model import build_model, normalised
from training.tiny.vision import IGNORED, anchor_rows


def batch_of(tokenizer: PreTrainedTokenizerFast, drawn: list[Drawn], with_image: bool) -> dict[str, torch.Tensor]:
    """Two figures with conversations of different lengths, so that one is padded."""
    examples = []
    for figure in drawn[:2]:
        rng = random.Random(figure.stored.seed)
        tokenized = tokenize(tokenizer, figure_example(figure.stored, rng), with_image)
        view: dict[str, npt.NDArray[Any]] = {
            "pixels": squeeze(figure.image),
            "anchors": anchor_rows(figure.stored, rng),
            "links": links(figure.stored),
        }
        examples.append(Tokenized(tokenized.ids, tokenized.labels, view if with_image else {}))
    return collate(tokenizer.pad_token_id)(examples)


@pytest.mark.parametrize("with_image", [True, False])
def test_the_answer_loss_is_that_of_transformers(
    learner: Learner, tokenizer: PreTrainedTokenizerFast, drawn: list[Drawn], with_image: bool
) -> None:
    batch = batch_of(tokenizer, drawn, with_image)
    with torch.no_grad():
        ours = learner(**batch)["answer_loss"]
        pixels = normalised(batch["pixels"]) if with_image else None
        theirs = learner.llava(input_ids=batch["input_ids"], pixel_values=pixels, labels=batch["labels"]).loss
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_padding_does_not_change_the_loss(
    learner: Learner, tokenizer: PreTrainedTokenizerFast, drawn: list[Drawn]
) -> None:
    batch = batch_of(tokenizer, drawn, with_image=False)
    wider = {
        "input_ids": pad(batch["input_ids"], (0, 64), value=tokenizer.pad_token_id),
        "labels": pad(batch["labels"], (0, 64), value=IGNORED),
    }
    with torch.no_grad():
        torch.testing.assert_close(learner(**wider)["loss"], learner(**batch)["loss"], atol=1e-5, rtol=0)


def test_the_answer_depends_on_the_pixels(
    learner: Learner, tokenizer: PreTrainedTokenizerFast, drawn: list[Drawn]
) -> None:
    batch = batch_of(tokenizer, drawn, with_image=True)
    with torch.no_grad():
        seen = learner(**batch)["answer_loss"]
        blind = learner(**{**batch, "pixels": torch.full_like(batch["pixels"], 255)})["answer_loss"]
    assert seen != blind


def test_figures_without_text_teach_the_tower_alone(
    learner: Learner, tokenizer: PreTrainedTokenizerFast, drawn: list[Drawn]
) -> None:
    batch = batch_of(tokenizer, drawn, with_image=True)
    losses = learner(**{name: part for name, part in batch.items() if name not in ("input_ids", "labels")})
    assert "answer_loss" not in losses and losses["loss"].isfinite()
    losses["loss"].backward()
    gradients = {name: parameter.grad is not None for name, parameter in learner.named_parameters()}
    assert gradients["reader.head.0.weight"]
    assert any(told for name, told in gradients.items() if "vision_tower" in name)
    assert not any(told for name, told in gradients.items() if "language_model" in name or "projector" in name)


def test_a_frozen_tower_is_not_asked_what_it_sees(
    learner: Learner, tokenizer: PreTrainedTokenizerFast, drawn: list[Drawn]
) -> None:
    learner.llava.model.vision_tower.requires_grad_(False)
    losses = learner(**batch_of(tokenizer, drawn, with_image=True))
    assert torch.equal(losses["loss"], losses["answer_loss"])


def test_the_state_holds_every_weight_once(learner: Learner) -> None:
    state = learner.state_dict()
    assert "llava.lm_head.weight" not in state
    assert set(state) == {name for name, _ in learner.named_parameters()}
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)


def test_a_state_that_is_loaded_again_ties_the_head(learner: Learner, tokenizer: PreTrainedTokenizerFast) -> None:
    other = Learner(build_model(tokenizer, seed=5))
    other.load_state_dict(learner.state_dict())
    head, embedding = other.llava.lm_head.weight, other.llava.model.language_model.embed_tokens.weight
    assert head.data_ptr() == embedding.data_ptr()
    assert torch.equal(head, learner.llava.lm_head.weight)


@pytest.mark.parametrize(("count", "padded"), [(0, 0), (1, 4), (4, 4), (5, 8)])
def test_indices_are_padded_to_a_multiple(count: int, padded: int) -> None:
    indices = padded_to_multiple(torch.arange(count), 4)
    assert indices.tolist() == list(range(count)) + [-1] * (padded - count)
