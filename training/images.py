"""Makes the vision tower's pixels of an image file, with the model's own processor, so that training sees what serving
sees.

    square   as the processor is: CLIP's resizes the shortest side and crops the centre, so a wide figure loses its
    sides pad      first padded to a square of the processor's mean colour (transformers' LlavaImageProcessor, `do_pad`)
    squash   squeezed into the square, whatever its proportions: nothing is lost, and shapes are not kept
    keep     resized in its proportions, not cropped: the number of tokens follows from the size (the original's "keep";
             engines do not serve it)

`Images.processor` is the one to save with the model. Files are opened as the gateway opens uploads: upright, RGB, on
white, within its limits. Nothing here knows conversations.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

import torch
from PIL import Image
from transformers import LlavaImageProcessor, LlavaProcessor

from llava_graph.figure import FigureError, FigureLimits, open_figure
from training.errors import TrainingError

AspectRatio = Literal["square", "pad", "squash", "keep"]
ASPECT_RATIOS: tuple[AspectRatio, ...] = get_args(AspectRatio)

_KEPT_LONGEST, _KEPT_SHORTEST = 2, 1
"""Sides of a kept image, in sides of the square: the original's 448 and 224."""


@dataclass(frozen=True, slots=True)
class Images:
    """How one model sees images. `side` is that of the square in pixels. Made by `of`."""

    processor: LlavaProcessor
    aspect_ratio: AspectRatio
    side: int
    limits: FigureLimits = field(default_factory=FigureLimits)

    @classmethod
    def of(cls, processor: LlavaProcessor, aspect_ratio: AspectRatio = "square") -> Self:
        """For a model's processor, which stays as it is. Raises TrainingError for one that makes no squares."""
        processor = copy.copy(processor)
        given = processor.image_processor
        if aspect_ratio == "pad" and not getattr(given, "do_pad", False):
            settings = {name: value for name, value in given.to_dict().items() if name != "image_processor_type"}
            processor.image_processor = LlavaImageProcessor(**{**settings, "do_pad": True})
        elif aspect_ratio != "pad" and getattr(given, "do_pad", False):
            processor.image_processor = copy.deepcopy(given)
            processor.image_processor.do_pad = False
        if aspect_ratio == "squash":
            processor.image_processor = _squashing(processor.image_processor)
        # A wide image tells a processor that crops from one that keeps proportions.
        height, width = _pixels(processor.image_processor, Image.new("RGB", (64, 32))).shape[1:]
        if height != width:
            raise TrainingError(f"the image processor makes {width} × {height} pixels of a wide image, and no square")
        return cls(processor, aspect_ratio, height)

    def shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width in pixels of an image of `size` (width, height) for the vision tower."""
        if self.aspect_ratio != "keep":
            return self.side, self.side
        width, height = size
        short, long = min(size), max(size)
        edge = self._edge(size)
        longest = int(edge * long / short)
        return (edge, longest) if height <= width else (longest, edge)

    def tokens(self, size: tuple[int, int]) -> int:
        """Image tokens of an image of `size` (width, height), as LlavaProcessor counts them."""
        height, width = self.shape(size)
        patch: int = self.processor.patch_size
        count: int = (height // patch) * (width // patch) + self.processor.num_additional_image_tokens
        return count - 1 if self.processor.vision_feature_select_strategy == "default" else count

    def pixels(self, data: bytes) -> torch.Tensor:
        """Float [3, H, W] of an image file. Raises FigureError."""
        image = open_figure(data, self.limits).image
        if self.aspect_ratio != "keep":
            return _pixels(self.processor.image_processor, image)
        return _pixels(
            self.processor.image_processor,
            image,
            do_center_crop=False,
            do_resize=True,
            size={"shortest_edge": self._edge(image.size)},
        )

    def nothing(self, size: tuple[int, int]) -> torch.Tensor:
        """Zeros in place of an image of `size` that cannot be decoded."""
        return torch.zeros(3, *self.shape(size))

    def size(self, data: bytes) -> tuple[int, int]:
        """Width and height of the upright image; a square where it cannot be decoded."""
        if self.aspect_ratio != "keep":
            return self.side, self.side
        try:
            return open_figure(data, self.limits).image.size
        except FigureError:
            return self.side, self.side

    def _edge(self, size: tuple[int, int]) -> int:
        aspect = max(size) / min(size)
        return int(min(_KEPT_LONGEST * self.side / aspect, _KEPT_SHORTEST * self.side))


def _squashing(image_processor: Any) -> Any:
    """One that makes squares of the same side, and cuts nothing."""
    side = int(_pixels(image_processor, Image.new("RGB", (32, 32))).shape[1])
    settings = {name: value for name, value in image_processor.to_dict().items() if name != "image_processor_type"}
    return type(image_processor)(**{**settings, "do_center_crop": False, "size": {"height": side, "width": side}})


def _pixels(image_processor: Any, image: Image.Image, **settings: Any) -> torch.Tensor:
    pixels: torch.Tensor = image_processor(image, return_tensors="pt", **settings)["pixel_values"][0]
    return pixels
