"""From conversations to token ids, labels and pixels: the loss is on what the assistant says, and on nothing else.

Ids come from the chat template that the exported model carries, so a training prompt is letter by letter a serving prompt.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerFast

from llava_graph.context import conversation
from training.data import Figures
from training.examples import TEMPLATE, Example, copying_example, figure_example
from training.model import IMAGE_MEAN, IMAGE_STD, IMAGE_TOKENS
from training.tokenizer import ASSISTANT, IMAGE

IGNORED = -100
"""The label of a token that the loss passes over."""

_BATCHES_SORTED_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Tokenized:
    """`ids` and `labels` have one entry a token; `pixels` is uint8 [side, side, 3] or None for text alone."""

    ids: list[int]
    labels: list[int]
    pixels: npt.NDArray[np.uint8] | None


def tokenize(tokenizer: PreTrainedTokenizerFast, example: Example, pixels: npt.NDArray[np.uint8] | None) -> Tokenized:
    """Without pixels the image token is left out too: the text stage trains the decoder on its own."""
    messages, _ = conversation(TEMPLATE, example.context, example.turns, {"type": "image"})
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    text = text.replace(IMAGE, IMAGE * IMAGE_TOKENS if pixels is not None else "", 1)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    labels, speaking = [], False
    for token in ids:
        labels.append(token if speaking else IGNORED)
        if token == tokenizer.convert_tokens_to_ids(ASSISTANT):
            speaking = True
        elif token == tokenizer.eos_token_id:
            speaking = False
    return Tokenized(ids, labels, pixels)


def collate(pad_token_id: int) -> Callable[[list[Tokenized]], dict[str, torch.Tensor]]:
    """Pads on the right to a multiple of 16. No attention mask: a causal token never sees the padding behind it."""

    def collated(examples: list[Tokenized]) -> dict[str, torch.Tensor]:
        length = -(-max(len(e.ids) for e in examples) // 16) * 16
        ids = torch.full((len(examples), length), pad_token_id)
        labels = torch.full((len(examples), length), IGNORED)
        for row, example in enumerate(examples):
            ids[row, : len(example.ids)] = torch.tensor(example.ids)
            labels[row, : len(example.labels)] = torch.tensor(example.labels)
        batch = {"input_ids": ids, "labels": labels}
        if examples[0].pixels is not None:
            batch["pixel_values"] = normalised(np.stack([e.pixels for e in examples if e.pixels is not None]))
        return batch

    return collated


def normalised(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """uint8 [B, side, side, 3] to float32 [B, 3, side, side] as the exported image processor does it."""
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (scaled - torch.tensor(IMAGE_MEAN).view(3, 1, 1)) / torch.tensor(IMAGE_STD).view(3, 1, 1)


class Conversations(IterableDataset[Tokenized]):
    """An endless, seeded stream of examples; neighbours have similar lengths, so that batches hold little padding.

    With `with_pixels` each example is a figure and its conversation; without, `copying_share` of them are listing drills.
    """

    def __init__(
        self, figures: list[Figures], tokenizer: PreTrainedTokenizerFast, batch_size: int, seed: int, with_pixels: bool,
        copying_share: float = 0.5,
    ) -> None:
        self.figures = figures
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.seed = seed
        self.with_pixels = with_pixels
        self.copying_share = copying_share

    def __iter__(self) -> Iterator[Tokenized]:
        rng = random.Random(self.seed)
        order = self._shuffled(rng)
        while True:
            chunk = [self._example(order, rng) for _ in range(self.batch_size * _BATCHES_SORTED_TOGETHER)]
            chunk.sort(key=lambda example: len(example.ids))
            starts = list(range(0, len(chunk), self.batch_size))
            rng.shuffle(starts)
            for start in starts:
                yield from chunk[start : start + self.batch_size]

    def _shuffled(self, rng: random.Random) -> Iterator[tuple[Figures, int]]:
        places = [(figures, i) for figures in self.figures for i in range(len(figures))]
        while True:
            rng.shuffle(places)
            yield from places

    def _example(self, order: Iterator[tuple[Figures, int]], rng: random.Random) -> Tokenized:
        if not self.with_pixels and rng.random() < self.copying_share:
            return tokenize(self.tokenizer, copying_example(rng), None)
        figures, index = next(order)
        return tokenize(self.tokenizer, figure_example(figures[index], rng), figures.pixels[index] if self.with_pixels else None)
