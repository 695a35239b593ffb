"""Batches as tensors: what padding and packing make, and that packed samples do not see one another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from tests.fakes.llama_vocabulary import V1_ADDED, llama_tokenizer
from tests.unit.training.toy_llava import IMAGE_TOKENS, SIDE, llava, turns
from training.collator import Batch, BatchFacts, PackingCollator, PaddingCollator, take
from training.encoding import IGNORED, EncodedSample, Encoder
from training.features import with_features
from training.templates import START_END, TEMPLATES

POSITION: dict[str, Any] = {"epoch": 3}


@pytest.fixture(scope="module")
def model() -> LlavaForConditionalGeneration:
    return llava()


@pytest.fixture(scope="module")
def samples() -> list[EncodedSample]:
    """With an image, of text alone, with an image, in lengths of their own."""
    encoder = Encoder(llama_tokenizer(V1_ADDED), TEMPLATES["bair_v1"], 512, START_END)
    pixels = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    first = encoder.encode("a", turns("<image>\nWhat does the axis show?", "Time in seconds."), IMAGE_TOKENS)
    text = encoder.encode("b", turns("And the curve?", "5 peaks."), None)
    last = encoder.encode("c", turns("<image>\nAnd the axis and the curve?", "Time. 5 peaks."), IMAGE_TOKENS)
    return [replace(first, pixels=pixels[0]), text, replace(last, pixels=pixels[1])]


@torch.no_grad()
def alone(model: LlavaForConditionalGeneration, sample: EncodedSample) -> torch.Tensor:
    """Logits [length, vocabulary] of one sample that nothing stands beside."""
    pixels = None if sample.pixels is None else sample.pixels[None]
    return model(input_ids=torch.tensor([sample.input_ids]), pixel_values=pixels).logits[0]


def test_padded_batch_says_what_is_padding(samples: list[EncodedSample]) -> None:
    batch = PaddingCollator(0, multiple_of=8)(Batch(tuple((sample,) for sample in samples), POSITION))
    facts, position = take(batch)
    assert position == POSITION
    lengths = [sample.length for sample in samples]
    longest = -(-max(lengths) // 8) * 8
    assert batch.keys() == {"input_ids", "labels", "attention_mask", "pixel_values"}
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape == (3, longest)
    assert batch["pixel_values"].shape == (2, 3, SIDE, SIDE)
    for row, sample in enumerate(samples):
        assert batch["input_ids"][row].tolist() == sample.input_ids + [0] * (longest - sample.length)
        assert batch["labels"][row].tolist() == sample.labels + [IGNORED] * (longest - sample.length)
        assert batch["attention_mask"][row].sum() == sample.length
    learned = sum(label != IGNORED for sample in samples for label in sample.labels)
    assert facts == BatchFacts(3, 2, sum(lengths), learned, 3 * longest)
    assert facts.padding_waste == pytest.approx(1 - sum(lengths) / (3 * longest))
    assert (facts + facts).padding_waste == facts.padding_waste


def test_batch_of_text_alone_has_no_pixels(samples: list[EncodedSample]) -> None:
    batch = PaddingCollator(0)(Batch(((samples[1],),), POSITION))
    assert "pixel_values" not in batch


def test_images_of_several_sizes_come_as_a_list(samples: list[EncodedSample]) -> None:
    other = EncodedSample("d", [1], [IGNORED], True, pixels=torch.zeros(3, SIDE, 2 * SIDE))
    batch = PaddingCollator(0)(Batch(((samples[0],), (other,)), POSITION))
    assert [image.shape[2] for image in batch["pixel_values"]] == [SIDE, 2 * SIDE]


def test_padded_samples_have_the_logits_that_they_have_alone(
    model: LlavaForConditionalGeneration, samples: list[EncodedSample]
) -> None:
    batch = PaddingCollator(0)(Batch(tuple((sample,) for sample in samples), POSITION))
    take(batch)
    with torch.no_grad():
        logits = model(**batch).logits
    for row, sample in enumerate(samples):
        torch.testing.assert_close(logits[row, : sample.length], alone(model, sample), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("rows", "flatten"),
    [
        ([[0, 1, 2]], False),
        ([[2, 0], [1]], False),  # the second row has padding, which is a sequence of its own
        ([[2, 0], [1]], True),
    ],
)
def test_packed_samples_have_the_logits_that_they_have_alone(
    samples: list[EncodedSample], rows: list[list[int]], flatten: bool, attention: str
) -> None:
    model = llava()
    model.set_attn_implementation(attention)
    assert model.config.text_config.use_cache, "the trap that `use_cache` in the batch is there for"
    packed = tuple(tuple(samples[i] for i in row) for row in rows)
    batch = PackingCollator(0, flatten=flatten)(Batch(packed, POSITION))
    facts, _ = take(batch)
    assert facts.samples == 3
    with torch.no_grad():
        logits = model(**batch).logits
    places = [packed[0] + packed[1]] if flatten else packed
    for row, placed in enumerate(places):
        start = 0
        for sample in placed:
            end = start + sample.length
            torch.testing.assert_close(logits[row, start:end], alone(model, sample), rtol=1e-4, atol=1e-5)
            start = end


def test_samples_side_by_side_without_isolation_have_other_logits(
    model: LlavaForConditionalGeneration, samples: list[EncodedSample]
) -> None:
    batch = PackingCollator(0)(Batch((tuple(samples),), POSITION))
    take(batch)
    with torch.no_grad():
        seen = model(input_ids=batch["input_ids"], pixel_values=batch["pixel_values"]).logits[0]
    last = alone(model, samples[2])
    assert (seen[-len(last) :] - last).abs().max() > 0.1


def test_packed_loss_and_gradient_are_those_of_the_samples_alone(
    model: LlavaForConditionalGeneration, samples: list[EncodedSample]
) -> None:
    def gradients(batches: list[Batch], collator: PackingCollator | PaddingCollator) -> dict[str, torch.Tensor]:
        model.zero_grad()
        for batch in batches:
            collated = collator(batch)
            take(collated)
            # The Trainer's way: the sum over tokens, divided by all tokens of the step.
            model(**collated, num_items_in_batch=torch.tensor(100)).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    packed = gradients([Batch((tuple(samples),), POSITION)], PackingCollator(0))
    single = gradients([Batch(((sample,),), POSITION) for sample in samples], PaddingCollator(0))
    assert packed.keys() == single.keys()
    for name, gradient in packed.items():
        torch.testing.assert_close(gradient, single[name], rtol=1e-3, atol=1e-5, msg=name)


def test_first_token_of_a_packed_sample_is_not_learned_from_the_one_before() -> None:
    learned = EncodedSample("a", [5, 6, 7], [5, 6, 7])
    batch = PackingCollator(0)(Batch(((learned, learned),), POSITION))
    assert batch["labels"].tolist() == [[IGNORED, 6, 7, IGNORED, 6, 7]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2]]


def test_packing_wastes_what_its_rows_do_not_hold() -> None:
    sample = EncodedSample("a", [5, 6, 7], [IGNORED, 6, 7])
    collator = PackingCollator(0, multiple_of=4)
    facts, _ = take(collator(Batch(((sample, sample), (sample,)), POSITION)))
    assert facts == BatchFacts(3, 0, 9, 6, 16)
    facts, _ = take(PackingCollator(0, flatten=True)(Batch(((sample, sample), (sample,)), POSITION)))
    assert facts.padding_waste == 0


def test_images_of_several_sizes_give_each_sample_the_logits_that_it_has_alone(
    model: LlavaForConditionalGeneration, samples: list[EncodedSample]
) -> None:
    encoder = Encoder(llama_tokenizer(V1_ADDED), TEMPLATES["bair_v1"], 512, START_END)
    wide = encoder.encode("w", turns("<image>\nAnd the axis?", "5 peaks."), 2 * IMAGE_TOKENS)
    pixels = torch.randn(3, SIDE, 2 * SIDE, generator=torch.Generator().manual_seed(6))
    wide = replace(wide, pixels=pixels)

    def logits(*chosen: EncodedSample) -> torch.Tensor:
        batch = PaddingCollator(0)(Batch(tuple((sample,) for sample in chosen), POSITION))
        take(batch)
        with torch.no_grad():
            return model(**with_features(model, batch)).logits

    together = logits(samples[0], wide, samples[2])
    for row, sample in enumerate((samples[0], wide, samples[2])):
        torch.testing.assert_close(together[row, : sample.length], logits(sample)[0], rtol=1e-4, atol=1e-5)
    # A square has the features that the model makes of it itself.
    torch.testing.assert_close(logits(samples[0])[0], alone(model, samples[0]), rtol=1e-4, atol=1e-4)
    assert (logits(replace(wide, pixels=pixels.flip(2)))[0] - logits(wide)[0]).abs().max() > 0.01
