"""Auxiliary attention loss: supervises attention from a legend entry to its curve.

The tower's features on a curve soon tell how the curve runs, but the step from the legend to the curve of the same
colour was not learned from 120,000 images. Where to look is known, so the attention of two heads in the last layers is
supervised: the loss is on the share of it that falls on the curve's patches. Two heads, because two
entries often share a patch: the first head serves the entry in a patch's upper half, the second the one in its lower
half. Nothing here knows what is true of a curve.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers.models.clip.modeling_clip import CLIPEncoder, CLIPEncoderLayer

from training.tiny.data import StoredFigure
from training.tiny.model import GRID_SIDE, IMAGE_TOKENS
from training.tiny.vision import curve_points, legend_anchor

LAYERS = (4, 5)
"""Layers of the tower whose heads 0 and 1 are taught; those before them find out what is to be seen on a curve."""

_ENTRIES_AT_MOST = 4
_PIECES_A_PATCH = 3
_NOWHERE = -1e4
"""Score of a patch off the curve: finite, so that rows without an entry have a gradient of zero and not of NaN."""


def links(figure: StoredFigure) -> npt.NDArray[np.float32]:
    """For each legend entry of a line or scatter panel where it stands and which patches its curve crosses.

    float32 [_ENTRIES_AT_MOST, 2 + patches]: x and y (0..1) of the entry's swatch, then 1 or 0 a patch; rows of NaN
    behind.
    """
    rows = np.full((_ENTRIES_AT_MOST, 2 + IMAGE_TOKENS), np.nan, dtype=np.float32)
    entries = [t for t in figure.texts if t.role == "legend" and not figure.spec.panels[t.panel].categories]
    for row, text in enumerate(entries[:_ENTRIES_AT_MOST]):
        panel = figure.spec.panels[text.panel]
        points = curve_points(figure, text.panel, panel, panel.series[text.index])
        crossed = np.zeros(IMAGE_TOKENS, dtype=np.float32)
        dense = points if panel.kind == "scatter" else _along(points)
        for x, y in dense:
            if 0 <= x < 1 and 0 <= y < 1:
                crossed[int(y * GRID_SIDE) * GRID_SIDE + int(x * GRID_SIDE)] = 1
        if crossed.any():
            rows[row] = (*legend_anchor(figure, text), *crossed)
    return rows


def _along(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points on the straight lines between `points`, so dense that a patch is passed over at a corner at most."""
    between = []
    for (x0, y0), (x1, y1) in pairwise(points):
        pieces = math.ceil(max(abs(x1 - x0), abs(y1 - y0)) * GRID_SIDE * _PIECES_A_PATCH) or 1
        between += [(x0 + (x1 - x0) * i / pieces, y0 + (y1 - y0) * i / pieces) for i in range(pieces)]
    return [*between, *points[-1:]]


def matching_loss(tower: nn.Module, hidden_states: tuple[torch.Tensor, ...], links: torch.Tensor) -> torch.Tensor:
    """Minus the log of the attention that a legend entry's patch pays to its curve, mean over entries and `LAYERS`.

    `hidden_states` are the inputs of the tower's layers, [B, 1 + patches, width] each; `links` [B, entries, 2 +
    patches]. 0 for a batch without a legend.
    """
    real = ~links[:, :, 0].isnan()
    told = links.nan_to_num(0.0)  # rows without an entry are computed too: a shape that never changes costs less
    column, row = (told[:, :, i] * GRID_SIDE for i in (0, 1))  # [B, E]
    patch = row.long().clamp(0, GRID_SIDE - 1) * GRID_SIDE + column.long().clamp(0, GRID_SIDE - 1)
    head = (row % 1 >= 0.5).long()
    batch = torch.arange(len(links), device=links.device)[:, None]  # [B, 1]
    encoder = cast(CLIPEncoder, tower.encoder)
    loss = links.new_zeros(())
    for layer in LAYERS:
        block = cast(CLIPEncoderLayer, encoder.layers[layer])
        attention = block.self_attn
        normed = block.layer_norm1(hidden_states[layer])
        d = attention.head_dim
        shape = (*normed.shape[:2], -1, d)
        keys = attention.k_proj(normed).view(shape)[:, :, :2].float()  # [B, 1 + patches, 2, d]
        queries = attention.q_proj(normed).view(shape)[batch, patch + 1, head].float()  # [B, E, d]
        scores = torch.einsum("bed,bphd->behp", queries, keys) / math.sqrt(d)
        chosen = head[:, :, None, None].expand(-1, -1, 1, scores.shape[-1])
        scores = scores.gather(2, chosen)[:, :, 0]  # [B, E, 1 + patches]
        on_curve = scores[:, :, 1:].masked_fill(told[:, :, 2:] == 0, _NOWHERE).logsumexp(-1)
        missed = scores.logsumexp(-1) - on_curve  # [B, E]
        loss = loss + torch.where(real, missed, 0.0).sum() / real.sum().clamp(min=1)
    return loss / len(LAYERS)
