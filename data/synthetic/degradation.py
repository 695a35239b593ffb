"""Degrades a rendered figure as publishing does: JPEG compression, scaling, blur, scanning noise.

It knows nothing of what the image shows; boxes in it must be scaled by the factors that `degrade` returns.
"""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageFilter

_RESAMPLINGS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def degrade(image: Image.Image, rng: random.Random, min_scale: float) -> tuple[Image.Image, float, float]:
    """The degraded RGB image, and the factor of its width and height, which is at least `min_scale` or 1.

    Most figures of papers are clean, so most come back as they are.
    """
    x_scale = y_scale = 1.0
    if rng.random() < 0.12:
        scale = min(max(rng.uniform(0.75, 1.0), min_scale), 1.0)
        size = round(image.width * scale), round(image.height * scale)
        x_scale, y_scale = size[0] / image.width, size[1] / image.height
        image = image.resize(size, rng.choice(_RESAMPLINGS))
    if rng.random() < 0.05:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.7)))
    if rng.random() < 0.05:
        image = _scanned(image, rng)
    if rng.random() < 0.25:
        image = _resaved(image, quality=rng.randint(40, 92))
    return image, x_scale, y_scale


def _scanned(image: Image.Image, rng: random.Random) -> Image.Image:
    """Grain, and paper that is not quite white."""
    noise = np.random.default_rng(rng.getrandbits(32))
    strength = rng.uniform(2.0, 7.0)
    # One tile of grain, repeated: drawing noise for the whole sheet would cost more than the figure.
    tile = noise.normal(0.0, strength, (128, 128, 1)).astype(np.int16)
    repeats = image.height // 128 + 1, image.width // 128 + 1, 1
    grain = np.tile(tile, repeats)[: image.height, : image.width]
    paper = np.array([rng.randint(0, 8), rng.randint(0, 8), rng.randint(0, 14)], dtype=np.int16)
    return Image.fromarray(np.clip(np.asarray(image, dtype=np.int16) + grain - paper, 0, 255).astype(np.uint8))


def _resaved(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")
