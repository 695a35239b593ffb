"""Image features of images that are not the square that the vision tower was made for (image_aspect_ratio keep).

transformers' LLaVA takes one tensor of squares. Here the tower runs once for each size that a batch has, with its
position embeddings interpolated, and the model gets the features instead of the pixels. In the original "keep" ends in
an error for all but squares: CLIP's position embeddings do not fit. This runs outside the model's forward pass, so it
is for one process or for a frozen tower and projector that no wrapper (FSDP, ZeRO-3) has split.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlavaForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling


def with_features(model: LlavaForConditionalGeneration, batch: dict[str, Any]) -> dict[str, Any]:
    """The batch of a collator with its pixels, of any sizes, replaced by their features."""
    pixels = batch.get("pixel_values")
    if pixels is None:
        return batch
    by_shape: dict[torch.Size, list[int]] = {}
    for i, image in enumerate(pixels):
        by_shape.setdefault(image.shape, []).append(i)
    features: dict[int, torch.Tensor] = {}
    for places in by_shape.values():
        stacked = torch.stack([pixels[i] for i in places])
        output = model.get_image_features(stacked, interpolate_pos_encoding=True, return_dict=True)
        features |= dict(zip(places, output.pooler_output, strict=True))
    ordered: Any = [features[i] for i in range(len(pixels))]
    rest = {name: value for name, value in batch.items() if name != "pixel_values"}
    return {**rest, "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=ordered)}}
