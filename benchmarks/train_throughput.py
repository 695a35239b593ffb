"""How fast the trainer trains: samples, tokens and MFU on this machine's device, beside the original's published times.

    python -m benchmarks.train_throughput --shape 7b --stage pretrain
    python -m benchmarks.train_throughput --shape 13b --stage lora --samples-per-device 4
    python -m benchmarks.train_throughput --shape tiny --steps 3        # runs on a CPU, in a minute

Weights and samples are random: speed depends on shapes alone. Samples have the lengths of the original's data, with
image tokens, all alike, so there is no padding. Reading and decoding are not measured here; the trainer reads ahead.
The first steps, in which kernels are chosen and memory is taken, are left out.

Published, per A100 of 80 GB, on 595,000 pairs of CC3M: 13B on eight in about 4 hours, which is 5.2 samples a second; 7B
on one in about 19 hours, 8.7 a second. Of the second stage no time with its number of samples is published.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torch.utils.data import IterableDataset
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PrinterCallback,
    TrainingArguments,
)

from training import recipe as recipes
from training.adapters import tuned
from training.collator import Batch, PaddingCollator
from training.effective import this_device, trainer_arguments
from training.encoding import IGNORED, EncodedSample
from training.models import LinearProjector, Llava, storage_dtype
from training.recipe import Recipe
from training.throughput import Meter, peak_flops, shape_of
from training.trainer import LlavaTrainer

PUBLISHED = {("13b", "pretrain"): 595_000 / 4 / 3600 / 8, ("7b", "pretrain"): 595_000 / 19 / 3600}
"""Samples a second and A100."""


@dataclass(frozen=True, slots=True)
class Size:
    """Widths of language model and vision tower; the towers are CLIP's ViT-L/14 and a small one."""

    width: int
    inner: int
    layers: int
    heads: int
    tower: CLIPVisionConfig


_CLIP_L = CLIPVisionConfig(
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=24,
    num_attention_heads=16,
    image_size=224,
    patch_size=14,
)
_CLIP_SMALL = CLIPVisionConfig(
    hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=2, image_size=224, patch_size=28
)
SIZES = {
    "7b": Size(4096, 11008, 32, 32, _CLIP_L),
    "13b": Size(5120, 13824, 40, 40, _CLIP_L),
    "tiny": Size(128, 352, 4, 4, _CLIP_SMALL),
}
VOCABULARY = 32_003

STAGES = {
    # recipe, and tokens of a sample without its image: a caption in a chat format, a conversation
    "pretrain": ("lightning-pretrain-v1", 100),
    "lora": ("deepspeed-lora", 512),
    "finetune": ("lightning-finetune-v1", 512),
}


class RandomSamples(IterableDataset[Batch]):
    """Batches of one rank without end: samples of one length, the second half of their text to be learned."""

    def __init__(self, samples: int, text_tokens: int, image_tokens: int, image_id: int, side: int) -> None:
        generator = torch.Generator().manual_seed(0)
        text = torch.randint(3, image_id, (text_tokens,), generator=generator).tolist()
        ids = [*text[:10], *[image_id] * image_tokens, *text[10:]]
        learned = text_tokens // 2
        labels = [IGNORED] * (len(ids) - learned) + ids[-learned:]
        pixels = torch.randn(3, side, side, generator=generator)
        sample = EncodedSample("random", ids, labels, True, pixels=pixels)
        self._batch = Batch(tuple((sample,) for _ in range(samples)), {"epoch": 0})

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self._batch


def random_llava(size: Size, recipe: Recipe, device: torch.device) -> LlavaForConditionalGeneration:
    """Weights are drawn where they will be used: 13B drawn on a CPU takes minutes."""
    text = LlamaConfig(
        vocab_size=VOCABULARY + 1,
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=2048,
    )
    config = LlavaConfig(
        vision_config=size.tower,
        text_config=text,
        image_token_index=VOCABULARY,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    config._attn_implementation = recipe.compute.attention
    before = torch.get_default_dtype()
    torch.set_default_dtype(storage_dtype(recipe))
    try:
        with device:
            model = LlavaForConditionalGeneration(config)
            if recipe.model.projector == "linear":
                model.model.multi_modal_projector = LinearProjector(size.tower.hidden_size, size.width)
    finally:
        torch.set_default_dtype(before)
    return model


@click.command()
@click.option("--shape", type=click.Choice(list(SIZES)), default="tiny", show_default=True, help="Of the model.")
@click.option("--stage", type=click.Choice(list(STAGES)), default="pretrain", show_default=True, help="What learns.")
@click.option("--samples-per-device", type=click.IntRange(1), help="Of one pass.  [default: the recipe's]")
@click.option("--text-tokens", type=click.IntRange(20), help="Of a sample, without its image.")
@click.option("--steps", type=click.IntRange(2), default=20, show_default=True, help="To measure, after three more.")
@click.option("--set", "overrides", multiple=True, help="Another value of the recipe; repeatable.")
def main(
    shape: str,
    stage: str,
    samples_per_device: int | None,
    text_tokens: int | None,
    steps: int,
    overrides: tuple[str, ...],
) -> None:
    """Measure training on this device with random weights of the original's shapes."""
    name, usual_tokens = STAGES[stage]
    size = SIZES[shape]
    settings = ["compute.strategy=none", "batch.accumulation_steps=1", "model.image_start_end=false", *overrides]
    if samples_per_device is not None:
        settings.append(f"batch.samples_per_device={samples_per_device}")
    recipe = recipes.load(name, settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = random_llava(size, recipe, device)
    # Neither tokenizer nor images are asked for: the samples are made already.
    trained = tuned(Llava(model, processor=None), recipe)  # type: ignore[arg-type]
    grid = (size.tower.image_size // size.tower.patch_size) ** 2
    tokens = text_tokens or usual_tokens
    samples = RandomSamples(recipe.batch.samples_per_device, tokens, grid, VOCABULARY, size.tower.image_size)
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            **{**trainer_arguments(recipe, Path(out), this_device(), max_steps=steps + 3), "save_strategy": "no"}
        )
        meter = Meter(shape_of(trained), peak=peak_flops(), ranks=arguments.world_size)
        trainer: Any = LlavaTrainer(
            model=trained, args=arguments, train_dataset=samples, data_collator=PaddingCollator(0), meter=meter
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    measured = [entry for entry in trainer.state.log_history if "samples_per_second" in entry][3:]
    _tell(shape, stage, recipe, tokens + grid, device, measured)


def _tell(
    shape: str, stage: str, recipe: Recipe, length: int, device: torch.device, measured: list[dict[str, float]]
) -> None:
    def middle(name: str) -> float:
        return statistics.median(entry[name] for entry in measured)

    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    click.echo(f"{shape}, {stage}, {recipe.batch.samples_per_device} samples of {length} tokens a pass, on {where}")
    click.echo(f"median of {len(measured)} steps: {middle('samples_per_second'):.2f} samples/s")
    click.echo(f"{middle('tokens_per_second'):,.0f} tokens/s, padding {middle('padding_waste'):.1%}")
    if "mfu" in measured[0]:
        click.echo(f"MFU {middle('mfu'):.1%}")
    if device.type == "cuda":
        click.echo(f"peak memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
    published = PUBLISHED.get((shape, stage))
    if published is not None:
        click.echo(f"published for the original: {published:.1f} samples/s per A100 80 GB")
    if device.type != "cuda":
        click.echo("A CPU: this says that the benchmark runs, and nothing about training on a GPU.")


if __name__ == "__main__":
    main()
