"""Collates conversations to token ids, labels and pixels: the loss is on the assistant's tokens only.

Ids come from the chat template that the exported model carries, so a training prompt is letter by letter a serving
prompt. Nothing here knows how an example was made or what learns from it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerFast

from llava_graph.context import conversation
from training.encoding import tokens_of
from training.tiny.anchors import links
from training.tiny.curriculum import TEMPLATE, Example, copying_example, figure_example
from training.tiny.data import Figures
from training.tiny.model import IMAGE_TOKENS
from training.tiny.tokenizer import ASSISTANT, EOS, IMAGE
from training.tiny.vision import IGNORED, anchor_rows

_SAID = re.compile(rf"{re.escape(ASSISTANT)}(.*?{re.escape(EOS)})", re.DOTALL)
"""What the assistant says, with the end of its turn. Neither token can stand in a text of others (context.harmless)."""

_BATCHES_SORTED_TOGETHER = 8
_LENGTH_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Tokenized:
    """`ids` and `labels` have one entry a token, `labels` IGNORED where nothing is to be learned.

    `view` is what the tower learns from, see `view_of`; empty for text alone.
    """

    ids: list[int]
    labels: list[int]
    view: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


def view_of(figures: Figures, index: int, rng: random.Random) -> dict[str, npt.NDArray[Any]]:
    """Pixels (uint8 [side, side, 3]), anchors (vision.anchor_rows) and links (matching.links) of a figure.

    Colours are swapped at random: no text names one, and a curve keeps the colour of its legend entry.
    """
    figure = figures[index]
    pixels = figures.pixels[index][..., rng.sample(range(3), 3)]
    return {"pixels": pixels, "anchors": anchor_rows(figure, rng), "links": links(figure)}


def tokenize(tokenizer: PreTrainedTokenizerFast, example: Example, with_image: bool) -> Tokenized:
    """Ids and labels; without the image its token is left out too: the text stage trains the decoder on its own."""
    messages, _ = conversation(TEMPLATE, example.context, example.turns, {"type": "image"})
    text = tokenizer.apply_chat_template(cast(Any, messages), tokenize=False)
    assert isinstance(text, str)
    spans = [match.span(1) for match in _SAID.finditer(text)]
    image = cast(int, tokenizer.convert_tokens_to_ids(IMAGE))
    tokens = tokens_of(tokenizer, text, spans).with_image(image, IMAGE_TOKENS if with_image else 0)
    return Tokenized(tokens.ids, tokens.labels)


def collate(pad_token_id: int) -> Callable[[list[Tokenized]], dict[str, torch.Tensor]]:
    """Pads on the right to a multiple of `_LENGTH_BLOCK`, so that few shapes occur (see learner._ANSWER_BLOCK).

    No attention mask: a causal token never sees the padding behind it.
    """

    def collated(examples: list[Tokenized]) -> dict[str, torch.Tensor]:
        length = -(-max(len(e.ids) for e in examples) // _LENGTH_BLOCK) * _LENGTH_BLOCK
        ids = torch.full((len(examples), length), pad_token_id)
        labels = torch.full((len(examples), length), IGNORED)
        for row, example in enumerate(examples):
            ids[row, : len(example.ids)] = torch.tensor(example.ids)
            labels[row, : len(example.labels)] = torch.tensor(example.labels)
        batch = {"input_ids": ids, "labels": labels}
        for name in examples[0].view:
            batch[name] = torch.from_numpy(np.stack([e.view[name] for e in examples]))
        return batch

    return collated


class Conversations(IterableDataset[Tokenized]):
    """An endless, seeded stream of examples; neighbours have similar lengths, so that batches hold little padding.

    With `with_pixels` each example is a figure and its conversation; without, `copying_share` of them are listing
    drills.
    """

    def __init__(
        self,
        figures: list[Figures],
        tokenizer: PreTrainedTokenizerFast,
        batch_size: int,
        seed: int,
        with_pixels: bool,
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
            return tokenize(self.tokenizer, copying_example(rng), with_image=False)
        figures, index = next(order)
        tokenized = tokenize(self.tokenizer, figure_example(figures[index], rng), self.with_pixels)
        return replace(tokenized, view=view_of(figures, index, rng)) if self.with_pixels else tokenized


class AnchoredFigures(IterableDataset[dict[str, torch.Tensor]]):
    """An endless, seeded stream of views: figures for the tower alone."""

    def __init__(self, figures: list[Figures], seed: int) -> None:
        self.figures = figures
        self.seed = seed

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        rng = random.Random(self.seed)
        places = [(figures, i) for figures in self.figures for i in range(len(figures))]
        while True:
            rng.shuffle(places)
            for figures, i in places:
                yield {name: torch.from_numpy(part) for name, part in view_of(figures, i, rng).items()}
