"""PP-OCRv6 (small) by RapidOCR on OpenVINO: the default on CPUs. The weights come inside the rapidocr wheel.

RapidOCR's detector and recogniser are used one by one rather than through its `RapidOCR` call, because figures differ
from the pages that call was made for:

- *Rotated axis labels.* The call turns every tall crop the same way, so that labels which read from bottom to top, as
  nearly all do, arrive upside down and come out as `To--1` for `Top-1 accuracy [%]`. Here a tall crop is read in both
  directions and the more confident reading stays. That makes the classifier for upside-down text unnecessary.
- *Broken axis labels.* The detector often splits a vertical label into pieces; they are joined before they are read.
- *Batches.* The crops of all images of a batch go through the recogniser together.

Knows nothing about queues or Redis.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rapidocr import EngineType, RapidOCR
from rapidocr.ch_ppocr_det import TextDetector
from rapidocr.ch_ppocr_det.utils import ResizeImgError
from rapidocr.ch_ppocr_rec import TextRecInput, TextRecognizer
from rapidocr.inference_engine.openvino.main import OpenVINOError

from llava_graph.ocr import Line, reading_order
from ocr_worker.engines import Pixels
from ocr_worker.errors import OcrEngineError

Quad = npt.NDArray[np.float32]
"""Corners of a text, [4, 2] in x, y: top left, top right, bottom right, bottom left of the image, not of the text."""

PIPELINE_VERSION = 1
"""Raised when this module changes what it makes of the same models."""

DETECTION_SIDE = 960
"""The longer side, in pixels, is scaled down to this for detection. On charts as accurate as RapidOCR's default of
enlarging the shorter side to 736, and faster; texts are cut out of the image in full size."""

MAX_ASPECT = 8.0
"""Longer strips are padded before detection, which would else scale their short side to nothing."""

MIN_SIDE = 64
"""Smaller images are padded to this: the detector works on whole tiles of 32 pixels."""

MIN_CONFIDENCE = 0.3
"""Below this it is strokes and markers taken for letters. Context templates draw their own, higher line."""

TALL = 1.5
"""A crop this much higher than wide holds rotated text: horizontal text of one narrow letter stays below."""


class RapidEngine:
    """Loads the models when made, which takes about a second. For one thread at a time."""

    def __init__(self, *, threads: int) -> None:
        """`threads`: CPU threads for inference; should not exceed the cores this process may use."""
        config: Any = RapidOCR(
            params={
                "Global.log_level": "warning",
                "Det.engine_type": EngineType.OPENVINO,
                "Det.limit_type": "max",
                "Det.limit_side_len": DETECTION_SIDE,
                "Rec.engine_type": EngineType.OPENVINO,
                "EngineConfig.openvino.inference_num_threads": threads,
                # Pinned threads of two workers would end up on the same cores.
                "EngineConfig.openvino.enable_cpu_pinning": "NO",
            }
        ).cfg
        for part in (config.Det, config.Rec):
            part.engine_cfg = config.EngineConfig.openvino
            part.model_root_dir = config.Global.model_root_dir
        config.Rec.font_path = config.Global.font_path
        self._detector: Any = TextDetector(config.Det)
        self._recogniser: Any = TextRecognizer(config.Rec)
        self._revision = "/".join(
            [
                f"rapidocr-{importlib.metadata.version('rapidocr')}",
                f"{config.Rec.ocr_version.value}-{config.Rec.model_type.value}",
                f"openvino-{importlib.metadata.version('openvino')}",
                f"pipeline-{PIPELINE_VERSION}",
            ]
        )

    @property
    def revision(self) -> str:
        return self._revision

    def read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        """See `OcrEngine.read`."""
        try:
            return self._read(images)
        except (OpenVINOError, ResizeImgError, cv2.error, MemoryError) as error:
            raise OcrEngineError(f"{type(error).__name__}: {error}") from error

    def _read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        crops: list[Pixels] = []
        places: list[tuple[int, Quad, int]] = []  # image, corners, number of crops: both directions for a tall one
        for i, rgb in enumerate(images):
            bgr = np.ascontiguousarray(rgb[:, :, ::-1])  # PP-OCR was trained on OpenCV's channel order
            for quad in self._detect(bgr):
                crop = _cut(bgr, quad)
                turned = [np.rot90(crop, -1), np.rot90(crop)] if crop.shape[0] >= TALL * crop.shape[1] else [crop]
                crops.extend(np.ascontiguousarray(c) for c in turned)
                places.append((i, quad, len(turned)))
        lines: list[list[Line]] = [[] for _ in images]
        readings = self._recognise(crops)
        for i, quad, count in places:
            text, confidence = max((next(readings) for _ in range(count)), key=lambda reading: reading[1])
            if text.strip() and confidence >= MIN_CONFIDENCE:
                height, width = images[i].shape[:2]
                lines[i].append(Line(text.strip(), _box(quad, width, height), min(confidence, 1.0)))
        return [reading_order(found) for found in lines]

    def _detect(self, bgr: Pixels) -> list[Quad]:
        found = self._detector(_padded(bgr))
        return [] if found.boxes is None else join_vertical([np.asarray(quad, np.float32) for quad in found.boxes])

    def _recognise(self, crops: list[Pixels]) -> Any:
        """An iterator over (text, confidence), one for each crop, in their order."""
        if not crops:
            return iter(())
        result = self._recogniser(TextRecInput(img=crops))
        return iter([(str(text), float(score)) for text, score in zip(result.txts, result.scores, strict=True)])


def join_vertical(quads: Sequence[Quad]) -> list[Quad]:
    """Joins the pieces of upright-standing labels: a tall piece and what continues it above or below.

    Pieces belong together when they stand in the same column with about the same width, and the gap between them is
    less than a quarter of it: stacked tick labels are further apart, and wider than high.
    """
    pieces = sorted((_bounds(quad), index) for index, quad in enumerate(quads))
    pieces.sort(key=lambda piece: piece[0][1])
    joined: list[tuple[tuple[float, float, float, float], list[int]]] = []
    for bounds, index in pieces:
        for j, (above, indices) in enumerate(joined):
            if _continues(above, bounds):
                union = (
                    min(above[0], bounds[0]),
                    min(above[1], bounds[1]),
                    max(above[2], bounds[2]),
                    max(above[3], bounds[3]),
                )
                joined[j] = (union, [*indices, index])
                break
        else:
            joined.append((bounds, [index]))
    return [quads[indices[0]] if len(indices) == 1 else _corners(bounds) for bounds, indices in joined]


def _continues(above: tuple[float, float, float, float], below: tuple[float, float, float, float]) -> bool:
    widths = (above[2] - above[0], below[2] - below[0])
    heights = (above[3] - above[1], below[3] - below[1])
    shared = min(above[2], below[2]) - max(above[0], below[0])
    return (
        any(h >= TALL * w for w, h in zip(widths, heights, strict=True))
        and all(h >= w for w, h in zip(widths, heights, strict=True))
        and min(widths) >= 0.6 * max(widths)
        and shared >= 0.6 * max(widths)
        and below[1] - above[3] < 0.25 * min(widths)
    )


def _bounds(quad: Quad) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _corners(bounds: tuple[float, float, float, float]) -> Quad:
    x0, y0, x1, y1 = bounds
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def _box(quad: Quad, width: int, height: int) -> tuple[float, float, float, float]:
    """The padding that detection saw lies outside the image: boxes end at its border."""
    x0, y0, x1, y1 = _bounds(quad)
    return min(x0, width), min(y0, height), min(x1, width), min(y1, height)


def _padded(image: Pixels) -> Pixels:
    """To the right and below, so that boxes stay where they are; with the colours of the border."""
    height, width = image.shape[:2]
    to_width = max(width, MIN_SIDE, int(height / MAX_ASPECT))
    to_height = max(height, MIN_SIDE, int(width / MAX_ASPECT))
    if (to_width, to_height) == (width, height):
        return image
    return np.pad(image, ((0, to_height - height), (0, to_width - width), (0, 0)), mode="edge")


def _cut(image: Pixels, quad: Quad) -> Pixels:
    """The text between four corners, straightened, [height, width, 3]."""
    across = max(np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[3] - quad[2]))
    down = max(np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[1] - quad[2]))
    width, height = max(int(across), 1), max(int(down), 1)
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad, target)
    cut = cv2.warpPerspective(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)
