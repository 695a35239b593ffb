"""Pixels: training's are those of the processor that serving loads, and of the original's way to make them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessor, LlavaProcessor

from tests.fakes.llama_vocabulary import V1_ADDED, llama_tokenizer
from tests.unit.training.golden import CONVERSATION
from tests.unit.training.toy_llava import PATCH, SIDE, png, processor
from training.encoding import Encoder
from training.errors import TrainingError
from training.images import ASPECT_RATIOS, AspectRatio, Images
from training.templates import ChatTemplate, message_of

TINY = Path(__file__).parents[3] / "model_repo" / "llava-graph-tiny"
WIDE, TALL = (90, 40), (40, 90)


@pytest.fixture(scope="module")
def small() -> LlavaProcessor:
    return processor(llama_tokenizer(V1_ADDED))


@pytest.mark.parametrize("aspect_ratio", ["square", "pad", "squash"])
@pytest.mark.parametrize("size", [WIDE, TALL, (50, 50)])
def test_pixels_are_those_of_the_saved_processor(
    small: LlavaProcessor, tmp_path: Path, aspect_ratio: AspectRatio, size: tuple[int, int]
) -> None:
    images = Images.of(small, aspect_ratio)
    images.processor.save_pretrained(tmp_path)
    serving = LlavaProcessor.from_pretrained(tmp_path)
    data = png(*size)
    with Image.open(io.BytesIO(data)) as image:
        served = serving(text="<image>", images=image, return_tensors="pt")
    assert torch.equal(images.pixels(data), served["pixel_values"][0])
    assert served["input_ids"][0].tolist().count(serving.image_token_id) == images.tokens(size)


def test_pad_is_the_original_s_square_of_the_mean_colour(small: LlavaProcessor) -> None:
    data = png(*WIDE)
    with Image.open(io.BytesIO(data)) as image:
        square = Image.new("RGB", (90, 90), (122, 116, 104))
        square.paste(image, (0, (90 - 40) // 2))
    wanted = small.image_processor(square, return_tensors="pt")["pixel_values"][0]
    assert torch.equal(Images.of(small, "pad").pixels(data), wanted)


def test_square_loses_the_sides_of_a_wide_image_and_pad_does_not(small: LlavaProcessor) -> None:
    image = Image.new("RGB", (112, 28), "white")
    image.paste("black", (0, 0, 10, 28))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    assert Images.of(small, "square").pixels(buffer.getvalue()).std(dim=(1, 2)).max() < 1e-6
    assert Images.of(small, "pad").pixels(buffer.getvalue()).std(dim=(1, 2)).min() > 0.1
    assert Images.of(small, "squash").pixels(buffer.getvalue()).std(dim=(1, 2)).min() > 0.1


def test_squash_is_what_a_manifest_has_vllm_do(small: LlavaProcessor) -> None:
    """The options of llava-1.5's manifests: `mm_processor_kwargs`."""
    data = png(*WIDE)
    with Image.open(io.BytesIO(data)) as image:
        options = {"do_center_crop": False, "size": {"height": SIDE, "width": SIDE}}
        wanted = small.image_processor(image, return_tensors="pt", **options)["pixel_values"][0]
    assert torch.equal(Images.of(small, "squash").pixels(data), wanted)


@pytest.mark.parametrize("size", [WIDE, TALL, (50, 50), (300, 100), (31, 77)])
@pytest.mark.parametrize("aspect_ratio", ASPECT_RATIOS)
def test_shape_and_tokens_are_known_before_the_pixels(
    small: LlavaProcessor, aspect_ratio: AspectRatio, size: tuple[int, int]
) -> None:
    images = Images.of(small, aspect_ratio)
    pixels = images.pixels(png(*size))
    assert tuple(pixels.shape[1:]) == images.shape(size)
    assert images.tokens(size) == (pixels.shape[1] // PATCH) * (pixels.shape[2] // PATCH)
    assert images.nothing(size).shape == pixels.shape
    assert images.size(png(*size)) == (size if aspect_ratio == "keep" else (SIDE, SIDE))


def test_keep_keeps_proportions_within_twice_the_square(small: LlavaProcessor) -> None:
    images = Images.of(small, "keep")
    # The original: shortest edge = int(min(448 / aspect, 224)) for a square of 224.
    assert images.shape((100, 50)) == (28, 56)
    assert images.shape((300, 100)) == (18, 54)
    assert images.shape((100, 300)) == (54, 18)


def test_model_s_processor_stays_as_it_is(small: LlavaProcessor) -> None:
    before = small.image_processor.to_dict()
    Images.of(small, "pad")
    assert small.image_processor.to_dict() == before


def test_square_undoes_a_processor_that_pads(small: LlavaProcessor) -> None:
    padding = Images.of(small, "pad").processor
    data = png(*WIDE)
    assert torch.equal(Images.of(padding, "square").pixels(data), Images.of(small, "square").pixels(data))
    assert torch.equal(Images.of(padding, "pad").pixels(data), Images.of(small, "pad").pixels(data))


def test_processor_that_makes_no_squares_is_refused(small: LlavaProcessor) -> None:
    kept = LlavaProcessor(CLIPImageProcessor(do_center_crop=False), small.tokenizer, PATCH, "default")
    with pytest.raises(TrainingError, match="no square"):
        Images.of(kept)


def test_training_sample_of_the_shipped_model_begins_with_its_serving_prompt() -> None:
    serving = LlavaProcessor.from_pretrained(TINY)
    data = png(300, 200)
    images = Images.of(serving)
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    encoder = Encoder(tokenizer, ChatTemplate(tokenizer), 2048)
    sample = encoder.encode("x", CONVERSATION, images.tokens((300, 200)))
    for asked in (1, 3):
        messages = [message_of(turn) for turn in CONVERSATION[:asked]]
        text = serving.apply_chat_template(messages, add_generation_prompt=True)
        with Image.open(io.BytesIO(data)) as image:
            served = serving(text=text, images=image, return_tensors="pt", add_special_tokens=False)
        ids = served["input_ids"][0].tolist()
        assert sample.input_ids[: len(ids)] == ids
        assert torch.equal(images.pixels(data), served["pixel_values"][0])
