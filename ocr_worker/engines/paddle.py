"""PP-OCRv6 by PaddleOCR: on a GPU with Paddle, or on a CPU with ONNX Runtime. For an environment of its own.

PaddleOCR's text detection and text recognition modules are used one by one; what lies between them is
`ocr_worker.engines.reading`, the same as for the other engine. One engine per process, as PaddleOCR's users learned:
shared by threads it mixes up texts without an error.

The weights are downloaded by PaddleOCR, or lie in a folder that `ocr_worker.engines.paddle_weights` has made.
Knows nothing about queues or Redis.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail, Fail, InvalidArgument, RuntimeException

from llava_graph.ocr import Line
from ocr_worker.engines import Pixels
from ocr_worker.engines.reading import Quad, Reading, read_crops, read_figures
from ocr_worker.errors import OcrEngineError

# Before the import: PaddleX else asks its model hosts whether they can be reached, also when it needs none of them.
os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")

from paddleocr import TextDetection, TextRecognition

PIPELINE_VERSION = 2
"""Raised when this module or `reading` changes what it makes of the same models."""

DETECTOR, RECOGNISER = "PP-OCRv6_small_det", "PP-OCRv6_small_rec"

DETECTION_SIDE = 960
"""The longer side, in pixels, is scaled down to this for detection. Texts are cut out of the image in full size."""

MIN_SIDE = 64
"""Smaller images are padded to this: the detector works on tiles of 32 pixels."""

MAX_ASPECT = 8.0
"""Longer strips are padded before detection, which would else scale their short side to nothing."""

CROPS_A_BATCH = 8

# Paddle's errors are RuntimeErrors, and PaddleX refuses inputs with ValueErrors; the rest are ONNX Runtime's.
_ERRORS = (RuntimeError, ValueError, cv2.error, MemoryError, EPFail, Fail, InvalidArgument, RuntimeException)


class PaddleEngine:
    """Loads the models when made. For one thread at a time."""

    def __init__(self, *, device: str, threads: int, model_dir: Path | None) -> None:
        """`device`: `cpu`, `gpu` or `gpu:0`; `threads`: CPU threads for inference; `model_dir` None downloads."""
        self._models = _Models(device, threads, model_dir)
        runtime = "onnxruntime" if device == "cpu" else "paddlepaddle-gpu"
        self._revision = "/".join(
            [
                f"paddleocr-{importlib.metadata.version('paddleocr')}",
                "PP-OCRv6-small",
                f"{runtime}-{importlib.metadata.version(runtime)}",
                f"pipeline-{PIPELINE_VERSION}",
            ]
        )

    @property
    def revision(self) -> str:
        return self._revision

    def read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        """See `OcrEngine.read`."""
        found: dict[int, list[Line]] = {}
        for step in self.reading(images):
            found |= step
        return [found[index] for index in range(len(images))]

    def reading(self, images: Sequence[Pixels]) -> Iterator[dict[int, list[Line]]]:
        """See `OcrEngine.reading`."""
        try:
            yield from read_figures(self._models, images)
        except _ERRORS as error:
            raise OcrEngineError(f"{type(error).__name__}: {error}") from error

    def read_crops(self, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        """See `OcrEngine.read_crops`."""
        try:
            return read_crops(self._models, crops)
        except _ERRORS as error:
            raise OcrEngineError(f"{type(error).__name__}: {error}") from error


class _Models:
    """Detector and recogniser of PaddleOCR, as `TextModels`."""

    def __init__(self, device: str, threads: int, model_dir: Path | None) -> None:
        options: dict[str, Any] = {"device": device}
        if device == "cpu":
            options |= {"engine": "onnxruntime", "engine_config": {"intra_op_num_threads": threads}}
        self._detector: Any = TextDetection(
            model_name=DETECTOR,
            model_dir=_folder(model_dir, DETECTOR),
            limit_side_len=DETECTION_SIDE,
            limit_type="max",
            **options,
        )
        self._recogniser: Any = TextRecognition(
            model_name=RECOGNISER, model_dir=_folder(model_dir, RECOGNISER), **options
        )

    def detect(self, bgr: Pixels) -> list[Quad]:
        """See `TextModels.detect`."""
        (found,) = self._detector.predict(_padded(bgr))
        return [np.asarray(quad, np.float32) for quad in found["dt_polys"]]

    def recognise(self, crops: Sequence[Pixels]) -> list[Reading]:
        """See `TextModels.recognise`."""
        # By width: a batch is as wide as its widest crop.
        order = sorted(range(len(crops)), key=lambda i: crops[i].shape[1] / crops[i].shape[0])
        sorted_crops = [np.ascontiguousarray(crops[i]) for i in order]
        readings = [Reading("", 0.0)] * len(crops)
        found = self._recogniser.predict(sorted_crops, batch_size=CROPS_A_BATCH) if crops else []
        for i, one in zip(order, found, strict=True):
            readings[i] = Reading(str(one["rec_text"]), float(one["rec_score"]))
        return readings


def _folder(model_dir: Path | None, model_name: str) -> str | None:
    return None if model_dir is None else str(model_dir / model_name)


def _padded(image: Pixels) -> Pixels:
    """To the right and below, so that boxes stay where they are; with the colours of the border."""
    height, width = image.shape[:2]
    right = max(MIN_SIDE, int(height / MAX_ASPECT)) - width
    below = max(MIN_SIDE, int(width / MAX_ASPECT)) - height
    if right <= 0 and below <= 0:
        return image
    return np.pad(image, ((0, max(below, 0)), (0, max(right, 0)), (0, 0)), mode="edge")
