"""Makes the tensors of a batch, padded or packed, and says how much of them is padding.

    PaddingCollator   one sample a row, padded on the right
    PackingCollator   several samples a row; no sample sees another

How packed samples are kept apart: `position_ids` begin anew with each sample, there is no attention mask, and no cache.
transformers then makes a block-diagonal mask for sdpa (masking_utils.find_packed_sequence_indices) and sample
boundaries for flash attention. With a cache it does neither, hence `use_cache` in the batch: a model's own
configuration says True, and samples would see one another without a word. For flash attention all must be in one row
(`flatten`).

A batch is a dict for the model, with BatchFacts under FACTS and the position of the data under POSITION; `take` takes
both out. Nothing here knows templates or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from training.encoding import IGNORED, EncodedSample

FACTS = "facts"
POSITION = "position"


@dataclass(frozen=True, slots=True)
class Batch:
    """What one rank gets for one step. A row holds one sample, or several where they are packed.

    `position` is where the data go on after this batch (samples.SampleStream.load_state_dict), as JSON.
    """

    rows: tuple[tuple[EncodedSample, ...], ...]
    position: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """`tokens` are real ones, of which `learned` are targets; `slots` are places for tokens, padding included."""

    samples: int
    images: int
    tokens: int
    learned: int
    slots: int

    @property
    def padding_waste(self) -> float:
        """Share of the slots that hold no token."""
        return 1.0 - self.tokens / self.slots

    def __add__(self, other: BatchFacts) -> BatchFacts:
        return BatchFacts(
            self.samples + other.samples,
            self.images + other.images,
            self.tokens + other.tokens,
            self.learned + other.learned,
            self.slots + other.slots,
        )


def take(batch: dict[str, Any]) -> tuple[BatchFacts, dict[str, Any]]:
    """Facts and position of a collated batch, which afterwards holds the model's arguments alone."""
    return batch.pop(FACTS), batch.pop(POSITION)


@dataclass(frozen=True, slots=True)
class PaddingCollator:
    """Gives input_ids, labels, attention_mask [rows, length] and, with images, pixel_values [images, 3, H, W].

    `length` is that of the longest sample, rounded up to `multiple_of`. Images are in the order of the rows. Where they
    differ in size (image_aspect_ratio keep), pixel_values is a list of [3, H, W].
    """

    pad_token_id: int
    multiple_of: int = 1

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Raises ValueError for a row of several samples."""
        samples = [sample for (sample,) in batch.rows]
        length = _rounded(max(sample.length for sample in samples), self.multiple_of)
        ids = torch.full((len(samples), length), self.pad_token_id)
        labels = torch.full((len(samples), length), IGNORED)
        mask = torch.zeros((len(samples), length), dtype=torch.long)
        for row, sample in enumerate(samples):
            ids[row, : sample.length] = torch.tensor(sample.input_ids)
            labels[row, : sample.length] = torch.tensor(sample.labels)
            mask[row, : sample.length] = 1
        return _collated({"input_ids": ids, "labels": labels, "attention_mask": mask}, samples, batch)


@dataclass(frozen=True, slots=True)
class PackingCollator:
    """Gives input_ids, labels, position_ids [rows, length], use_cache and, with images, pixel_values.

    With `flatten` all samples are in one row, as flash attention wants it. Otherwise rows are as the batch has them,
    padded to the longest, rounded up to `multiple_of`; the padding has positions of its own and is another sequence. A
    sample's first label is IGNORED: it would be learned from the end of the sample before.
    """

    pad_token_id: int
    flatten: bool = False
    multiple_of: int = 1

    def __call__(self, batch: Batch) -> dict[str, Any]:
        samples = [sample for row in batch.rows for sample in row]
        rows: Sequence[Sequence[EncodedSample]] = [samples] if self.flatten else batch.rows
        length = _rounded(max(sum(sample.length for sample in row) for row in rows), self.multiple_of)
        ids = torch.full((len(rows), length), self.pad_token_id)
        labels = torch.full((len(rows), length), IGNORED)
        positions = torch.zeros((len(rows), length), dtype=torch.long)
        for i, row in enumerate(rows):
            start = 0
            for sample in row:
                end = start + sample.length
                ids[i, start:end] = torch.tensor(sample.input_ids)
                labels[i, start + 1 : end] = torch.tensor(sample.labels[1:])
                positions[i, start:end] = torch.arange(sample.length)
                start = end
            positions[i, start:] = torch.arange(length - start)
        tensors = {"input_ids": ids, "labels": labels, "position_ids": positions}
        return {**_collated(tensors, samples, batch), "use_cache": False}


def _collated(tensors: dict[str, torch.Tensor], samples: Sequence[EncodedSample], batch: Batch) -> dict[str, Any]:
    collated: dict[str, Any] = dict(tensors)
    pixels = [sample.pixels for sample in samples if sample.pixels is not None]
    if pixels:
        alike = all(image.shape == pixels[0].shape for image in pixels)
        collated["pixel_values"] = torch.stack(pixels) if alike else pixels
    collated[FACTS] = BatchFacts(
        samples=len(samples),
        images=len(pixels),
        tokens=sum(sample.length for sample in samples),
        learned=int((tensors["labels"] != IGNORED).sum()),
        slots=tensors["input_ids"].numel(),
    )
    collated[POSITION] = batch.position
    return collated


def _rounded(length: int, multiple_of: int) -> int:
    return -(-length // multiple_of) * multiple_of
