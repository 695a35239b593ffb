"""Puts crops of similar width into batches for the text recogniser, at the least estimated cost.

The recogniser takes crops of one height and of any width, but of one width a batch: a tick label in a batch with a
title costs as much as the title. RapidOCR and PaddleOCR pad every crop to 320 pixels at least, three times what a tick
label needs. Here widths are rounded up to steps, and the batches are those with the least estimated cost. Few steps
also mean few shapes, for each of which the runtime builds and keeps code. Knows no model and no pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CROP_HEIGHT = 48
"""What PP-OCR's recognisers take, in pixels."""

MAX_WIDTH = 3200
"""Longer lines are squeezed to it, as in PaddleOCR."""

MAX_CROPS = 8
"""More crops in a batch gain nothing on a CPU."""

MAX_COLUMNS = 4096
"""Widths of a batch together. The recogniser's last layer makes 9 KB of every one of them: 38 MB."""

BATCH_COST = 128
"""What starting a batch costs, in columns of pixels: measured on two cores, where a column takes 15 µs."""

_STEPS = ((320, 32), (640, 64), (1280, 128), (MAX_WIDTH, 384))
"""Up to a width, the steps to which widths are rounded up: at most a fifth is padding, save for the shortest."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops to recognise together, as indices, all padded to `width`."""

    width: int
    crops: tuple[int, ...]


def scaled_width(width: int, height: int) -> int:
    """How wide a crop of `width` × `height` pixels is once it is `CROP_HEIGHT` high."""
    return min(max(math.ceil(CROP_HEIGHT * width / height), 1), MAX_WIDTH)


def padded_width(width: int) -> int:
    """The next width, at least 64, that the recogniser is run with. Raises ValueError past `MAX_WIDTH`."""
    for limit, step in _STEPS:
        if width <= limit:
            return min(max(math.ceil(width / step) * step, 64), limit)
    raise ValueError(f"width {width} is more than {MAX_WIDTH}")


def plan(widths: Sequence[int]) -> list[Batch]:
    """Puts crops of these scaled widths into batches; every crop is in one of them.

    Sorted by width, the cheapest batches are stretches of neighbours: the cheapest way to have come to each crop is
    found from the cheapest ways to the crops before it.
    """
    order = sorted(range(len(widths)), key=lambda crop: widths[crop])
    cost = [0, *([0] * len(order))]
    start = [0] * len(cost)
    for end in range(1, len(cost)):
        width = padded_width(widths[order[end - 1]])
        most = max(1, min(MAX_CROPS, MAX_COLUMNS // width))
        cost[end], start[end] = min(
            (cost[begin] + BATCH_COST + width * (end - begin), begin) for begin in range(max(0, end - most), end)
        )
    batches = []
    end = len(order)
    while end:
        crops = tuple(order[start[end] : end])
        batches.append(Batch(padded_width(widths[crops[-1]]), crops))
        end = start[end]
    return batches
