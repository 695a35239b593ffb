"""A small LLaVA and data for it: random weights, LLaMA's vocabulary, images of 28 × 28 pixels that take four tokens."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from data.record import FigureReference, Record
from data.shards import SAMPLE_SCHEMA, ShardWriter, sample_row, shard_name
from llava_graph.context import Turn
from tests.fakes.llama_vocabulary import ROWS, V1_ADDED

SIDE, PATCH, IMAGE_TOKENS = 28, 14, 4


def processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """As LLaVA's: shortest side to SIDE, centre cropped."""
    images = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def llava(seed: int = 0) -> LlavaForConditionalGeneration:
    torch.manual_seed(seed)
    text = LlamaConfig(
        vocab_size=ROWS + len(V1_ADDED),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.5,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=PATCH,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=ROWS, image_seq_length=IMAGE_TOKENS)
    model: LlavaForConditionalGeneration = LlavaForConditionalGeneration(config).eval()
    return model


def png(width: int, height: int, seed: int = 0) -> bytes:
    """A figure of random pixels."""
    pixels = torch.randint(256, (height, width, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def turns(question: str, answer: str) -> tuple[Turn, ...]:
    return Turn("user", question), Turn("assistant", answer)


def write_shards(
    folder: Path, samples: Sequence[tuple[str, tuple[Turn, ...], bytes | None]], *, shards: int = 2
) -> None:
    """Samples (id, turns, image) as `llava-graph data build` writes them."""
    for number in range(shards):
        with ShardWriter(folder / shard_name(number), SAMPLE_SCHEMA, rows_per_group=4) as writer:
            for sample_id, said, image in samples[number::shards]:
                figure = None if image is None else FigureReference(f"{sample_id}.png", width=40, height=30)
                record = Record(sample_id, "test", "none", figure)
                writer.add(sample_row(record, image, said, "conversation", "as-read"))


def write_list_json(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.write_text(json.dumps(rows), encoding="utf-8")


def row(sample_id: str, question: str, answer: str, **image: str) -> dict[str, object]:
    said = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": sample_id, **image, "conversations": said}
