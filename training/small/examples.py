"""Conversations about figures, as token ids with a mask: the loss is on the assistant's words alone.

A prompt is what `llava_graph.context` makes of the figure and the exported chat template of that, token by token as in
serving. Where a figure comes from (read for real, simulated while training runs, or composed without a picture) is
decided in `Sources`.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.utils.data import IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerFast

from data.synthetic import write
from data.synthetic.facts import panel_facts
from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from data.synthetic.spec import FigureSpec
from data.synthetic.words import Split
from llava_graph.context import FigureContext, Turn, conversation
from llava_graph.context_parts import ContextParts
from training.encoding import IGNORED, tokens_of
from training.small import figures, simulated, truth
from training.small.composed import composed
from training.small.model import IMAGE
from training.small.paragraphs import Length, explanation
from training.small.questions import EXPLAIN, Wording, dialogue, worded
from training.small.reading import Reading, readings
from training.small.told import TEMPLATE, Told, tell
from training.small.truth import FigureNames
from training.tiny.data import squeeze
from training.tiny.model import IMAGE_TOKENS

LENGTHS = (192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1152, 1280, 1408, 1536)
"""To which batches are padded: oneDNN compiles kernels for each new shape, which takes longer than a step."""

_PARTS = (
    (ContextParts(), 0.72),
    (ContextParts(caption=False), 0.06),
    (ContextParts(chart=False), 0.08),
    (ContextParts(caption=False, chart=False), 0.04),
    (ContextParts(ocr=False, chart=False), 0.05),
    (ContextParts(caption=False, ocr=False, chart=False), 0.05),
)
_LENGTH_WEIGHTS: dict[Length, float] = {"medium": 0.6, "short": 0.2, "long": 0.2}
_CROWDED_LENGTH_WEIGHTS: dict[Length, float] = {"medium": 0.6, "short": 0.4}
_FLAT_SHARE = 0.35
"""Of the simulated figures: one curve stays flat beside others. By chance one in twelve has that, and a model that saw
few gives the flat curve the numbers of its neighbour."""
_LONE_KEPT = 0.5
"""Of the figures without several named series, a third of all: they are learned long before the others."""
_CROWDED = 5
"""From so many series on, explanations are no long ones, and no more questions follow than an example has room for."""
_TOKENS_OF_A_QUESTION = 42
"""With its answer and the marks of two turns."""
_MARGIN = 60
"""Tokens left free, since lengths are estimated."""
_QUESTIONS_ALONE = 0.2
"""Share of the conversations that begin with a question rather than with an explanation."""
_CHUNK = 8

_SEEDS_OF_A_WORKER = 50_000
"""Seeds that a process has for its simulated figures before it comes to those of the next."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with what was read of it. `draw` gives its pixels, uint8 [side, side, 3]; None where it has none."""

    reading: Reading
    names: FigureNames
    caption: Callable[[random.Random], str]
    draw: Callable[[], npt.NDArray[np.uint8]] | None


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation about a figure. `pixels` is None where it is shown without its image."""

    context: FigureContext
    turns: tuple[Turn, ...]
    pixels: npt.NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class Tokenized:
    """`ids` and `labels` have one entry a token; `labels` is IGNORED where nothing is to be learned.

    `pixels` is None for an example that is shown without its image.
    """

    ids: list[int]
    labels: list[int]
    pixels: npt.NDArray[np.uint8] | None


def conversation_about(told: Told, rng: random.Random, wording: Wording = "train") -> tuple[Turn, ...]:
    """An explanation and a few follow-up questions, or now and then questions alone."""
    pairs = []
    is_crowded = sum(len(panel.series) for panel in told.panels) >= _CROWDED
    weights = _CROWDED_LENGTH_WEIGHTS if is_crowded else _LENGTH_WEIGHTS
    length = rng.choices(list(weights), weights=list(weights.values()))[0]
    room = LENGTHS[-1] - _tokens_about(_prompt(told)) - _MARGIN if is_crowded else LENGTHS[-1]
    if rng.random() >= _QUESTIONS_ALONE:
        question = EXPLAIN["medium"][0] if length == "medium" and rng.random() < 0.6 else None
        answer = explanation(told, rng, length)
        if is_crowded and length == "medium" and _tokens_about(answer) > room:
            length, question = "short", None
            answer = explanation(told, rng, length)
        if answer:
            pairs.append((question or worded(EXPLAIN[length], rng, wording), answer))
            room -= _tokens_about(answer) if is_crowded else 0
    follow_ups = rng.choice((2, 3, 4) if is_crowded else (0, 3, 4, 5, 6)) if pairs else rng.choice((4, 5, 6, 7))
    if is_crowded:
        follow_ups = max(min(follow_ups, room // _TOKENS_OF_A_QUESTION), 0 if pairs else 1)
    pairs += dialogue(told, rng, follow_ups, wording)
    turns = []
    for question, answer in pairs:
        turns += [Turn("user", question), Turn("assistant", answer)]
    return tuple(turns)


def _prompt(told: Told) -> str:
    return "\n".join(map(str, conversation(TEMPLATE, told.context, (Turn("user", ""),), {"type": "image"})[0]))


def _tokens_about(text: str) -> int:
    """About how many tokens a text has, within a tenth: each digit is one."""
    digits = sum(char.isdigit() for char in text)
    signs = sum(not char.isalnum() and not char.isspace() for char in text)
    words = len(re.findall(r"[^\W\d_]+", text))
    return round(1.15 * digits + 1.54 * words + 0.83 * signs)


def tokenize(tokenizer: PreTrainedTokenizerFast, example: Example) -> Tokenized:
    """Ids as serving makes them, with the image's tokens; labels by the offsets of the assistant's words.

    Without pixels the image's tokens are left out, a third of a short example: a slow machine reads more text.
    """
    messages, _ = conversation(TEMPLATE, example.context, example.turns, {"type": "image"})
    spans, text = [], ""
    for count in range(1, len(messages) + 1):
        whole = tokenizer.apply_chat_template(cast(Any, messages[:count]), tokenize=False)
        assert isinstance(whole, str)
        assert whole.startswith(text)
        if messages[count - 1]["role"] == "assistant":
            head = text + "<|im_start|>assistant\n"
            assert whole.startswith(head)
            spans.append((len(head), len(whole.rstrip("\n"))))  # the end token is learned, the line break after it not
        text = whole
    image = cast(int, tokenizer.convert_tokens_to_ids(IMAGE))
    tokens = tokens_of(tokenizer, text, spans).with_image(image, 0 if example.pixels is None else IMAGE_TOKENS)
    return Tokenized(tokens.ids, tokens.labels, example.pixels)


def collate(pad_token_id: int) -> Callable[[list[Tokenized]], dict[str, torch.Tensor]]:
    """Pads on the right to one of `LENGTHS`. No attention mask: a causal token never sees the padding behind it."""

    def collated(examples: list[Tokenized]) -> dict[str, torch.Tensor]:
        longest = max(len(example.ids) for example in examples)
        length = next(size for size in LENGTHS if size >= longest)
        ids = torch.full((len(examples), length), pad_token_id)
        labels = torch.full((len(examples), length), IGNORED)
        for row, example in enumerate(examples):
            ids[row, : len(example.ids)] = torch.tensor(example.ids)
            labels[row, : len(example.labels)] = torch.tensor(example.labels)
        batch = {"input_ids": ids, "labels": labels}
        shown = [example.pixels for example in examples if example.pixels is not None]
        if shown:
            batch["pixels"] = torch.from_numpy(np.stack(shown))
        return batch

    return collated


class Sources:
    """Where figures come from: `folders` with readings, taken with `read_share`, composed ones with `composed_share`,
    and simulated ones from a seed on."""

    def __init__(
        self,
        folders: Sequence[Path],
        read_share: float,
        first_seed: int,
        split: Split = "train",
        composed_share: float = 0.0,
    ) -> None:
        self.folders = folders
        self.read_share = read_share
        self.composed_share = composed_share
        self.split: Split = split
        self._first_seed = first_seed
        self._next_seed = first_seed
        self._queue: list[Figure] = []

    def begin(self, worker: int) -> None:
        """Simulates figures from the worker's own seeds on."""
        self._next_seed = self._first_seed + worker * _SEEDS_OF_A_WORKER

    def draw(self, rng: random.Random) -> Figure:
        while True:
            figure = self._next(rng)
            if sum(len(panel.series) for panel in figure.names) > 1 or rng.random() < _LONE_KEPT:
                return figure

    def _next(self, rng: random.Random) -> Figure:
        if rng.random() < self.composed_share:
            made = composed(rng)
            return Figure(made.reading, made.names, made.caption, None)
        if rng.random() < self.read_share:
            if not self._queue:
                self._queue = [figure for folder in self.folders for figure in read_figures(folder, self.split)]
                rng.shuffle(self._queue)
            if self._queue:
                return self._queue.pop()
        self._next_seed += 1
        if rng.random() < _FLAT_SHARE:
            while not has_flat_curve(sample_figure(self._next_seed, self.split)):
                self._next_seed += 1
        return simulated_figure(self._next_seed, self.split)


def has_flat_curve(spec: FigureSpec) -> bool:
    """Whether one of several curves of a line panel stays flat."""
    panels = [panel for panel in spec.panels if panel.kind == "line" and len(panel.series) > 1]
    return any(series.trend == "flat" for panel in panels for series in panel_facts(panel).series)


def read_figures(folder: Path, split: Split) -> Iterator[Figure]:
    """The figures of a folder that were read: the generator's by their seeds, others by the folder's truth.jsonl."""
    records = {}
    if (folder / "truth.jsonl").exists():
        for line in (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines():
            raw = json.loads(line)
            records[str(raw["file"])] = raw
    for reading in readings(folder):
        draw = functools.partial(_pixels, folder / reading.file)
        if reading.file in records:
            names = truth.of_record(records[reading.file])
            yield Figure(reading, names, _caption_of(names), draw)
        else:
            spec = sample_figure(figures.seed_of(reading.file), split)
            yield Figure(reading, truth.of_spec(spec), functools.partial(write.caption, spec), draw)


def simulated_figure(seed: int, split: Split) -> Figure:
    """The figure of a seed, its reading simulated."""
    spec = sample_figure(seed, split)
    rendered = render(spec)
    reading = simulated.simulate(spec, rendered, random.Random(f"reading-{seed}"))
    return Figure(reading, truth.of_spec(spec), lambda rng: write.caption(spec, rng), lambda: squeeze(rendered.image))


def _pixels(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        return squeeze(image.convert("RGB"))


def _caption_of(names: FigureNames) -> Callable[[random.Random], str]:
    """A caption of a figure by another tool, between useless and complete."""

    def caption(rng: random.Random) -> str:
        panel = names[0]
        forms = ["", "Results.", "Overview of the measurements."]
        if panel.y:
            forms += [f"{panel.y}.", f"{panel.y} of the system."]
        if panel.x and panel.y:
            forms += [f"{panel.y} as a function of {panel.x}.", f"Measured {panel.y} at different {panel.x}."]
        index = rng.choice(("", f"Figure {rng.randint(1, 12)}: ", f"Fig. {rng.randint(1, 12)}. "))
        text = rng.choice(forms)
        return index + text if text else ""

    return caption


class Conversations(IterableDataset[Tokenized]):
    """An endless, seeded stream; neighbours have similar lengths, so that batches hold little padding. Each worker of a
    DataLoader has a stream of its own."""

    def __init__(
        self,
        sources: Sources,
        tokenizer: PreTrainedTokenizerFast,
        batch_size: int,
        seed: int,
        image_share: float = 1.0,
    ) -> None:
        self.image_share = image_share
        self.sources = sources
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.seed = seed

    def __iter__(self) -> Iterator[Tokenized]:
        worker = get_worker_info()
        number = worker.id if worker else 0
        self.sources.begin(number)
        rng = random.Random(f"{self.seed}-{number}")
        while True:
            chunk: list[Tokenized] = []
            while len(chunk) < self.batch_size * _CHUNK:
                example = self._example(rng)
                if example is not None and len(example.ids) <= LENGTHS[-1]:
                    chunk.append(example)
            # Apart, since the loss of an example without image is not propagated back through the lowest layers.
            chunk.sort(key=lambda example: (example.pixels is None, len(example.ids)))
            starts = list(range(0, len(chunk), self.batch_size))
            rng.shuffle(starts)
            for start in starts:
                yield from chunk[start : start + self.batch_size]

    def _example(self, rng: random.Random) -> Tokenized | None:
        figure = self.sources.draw(rng)
        parts = rng.choices([parts for parts, _ in _PARTS], weights=[share for _, share in _PARTS])[0]
        told = tell(figure.reading, figure.names, figure.caption(rng), parts)
        turns = conversation_about(told, rng)
        if not turns:
            return None
        pixels = figure.draw() if figure.draw and rng.random() < self.image_share else None
        return tokenize(self.tokenizer, Example(told.context, turns, pixels))
