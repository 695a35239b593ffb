"""PP-OCRv6 (small) with the weights in the rapidocr wheel, on OpenVINO: the default on CPUs.

`RapidOCR` itself reads pages one by one; its weights, its post-processing of detections and its characters are used
here, but the models are run directly, because that is where the time goes:

- *Detection* of a figure at about its own size, rather than with its shorter side enlarged to 736 pixels, and padded to
  whole tiles rather than distorted.
- *Recognition* in batches of similar width (`ocr_worker.engines.batches`), rather than with every crop padded to 320.
- *Pixels* go in as bytes, and what comes out is the best character of each column, not the scores of all 18,710.
- *Few shapes.* The runtime builds code for each input shape that it meets, and keeps it: sizes are rounded up, so that
  there are soon no new ones and memory stays bounded.

How fast that makes it, and how right, is measured by `make bench-ocr`.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import openvino
import rapidocr
from openvino import opset13
from openvino.preprocess import PrePostProcessor
from rapidocr.ch_ppocr_det.utils import DBPostProcess

from llava_graph.ocr import Line
from ocr_worker.engines import Pixels
from ocr_worker.engines.batches import CROP_HEIGHT, plan, scaled_width
from ocr_worker.engines.reading import Quad, Reading, read_crops, read_figures
from ocr_worker.errors import OcrEngineError

PIPELINE_VERSION = 3
"""Raised when this module or `reading` changes what it makes of the same models."""

MODELS = Path(rapidocr.__file__).parent / "models"
DETECTOR = MODELS / "PP-OCRv6_det_small.onnx"
RECOGNISER = MODELS / "PP-OCRv6_rec_small.onnx"

ENLARGED = 1.5
"""Small figures are enlarged by this for detection: letters of papers' figures are often 8 pixels high."""

ENLARGED_SIDE = 960
"""The longer side, in pixels, up to which figures are enlarged."""

DETECTION_SIDE = 2048
"""A longer side is scaled down to this for detection. Texts are cut out of the image in full size. On sheets of 2,500
pixels with many panels this finds 93 % of the words; 1,600 finds 87 %, and 960 no more than 48 %."""

TILE = 64
"""Sides are padded to multiples of this for detection, in pixels; the detector needs multiples of 32."""

_BLANK = 0
"""The recogniser's class for columns that begin no character."""

_DETECTION: dict[str, Any] = {"thresh": 0.3, "box_thresh": 0.5, "unclip_ratio": 1.6, "use_dilation": True}
"""RapidOCR's own values for this detector."""


class RapidEngine:
    """Loads the models when made, which takes about a second. For one thread at a time."""

    def __init__(self, *, threads: int) -> None:
        """`threads`: CPU threads for inference; should not exceed the cores this process may use."""
        self._models = _Models(threads)
        self._revision = "/".join(
            [
                f"rapidocr-{importlib.metadata.version('rapidocr')}",
                "PP-OCRv6-small",
                f"openvino-{importlib.metadata.version('openvino')}-{self._models.precision}",
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
        except (RuntimeError, cv2.error, MemoryError) as error:  # OpenVINO's errors are bare RuntimeErrors
            raise OcrEngineError(f"{type(error).__name__}: {error}") from error

    def read_crops(self, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        """See `OcrEngine.read_crops`."""
        try:
            return read_crops(self._models, crops)
        except (RuntimeError, cv2.error, MemoryError) as error:
            raise OcrEngineError(f"{type(error).__name__}: {error}") from error


@functools.cache
def _core() -> Any:
    """OpenVINO, once for the process and never given up.

    Each of its CPU plugins gives the thread that makes it a stack for signals, and when it goes, gives back the one
    that was there before. Two that go in another order than they came leave the thread a stack that is no longer
    mapped, and the next signal ends the process with a segmentation fault.
    """
    return openvino.Core()


class _Models:
    """Detector and recogniser on OpenVINO, as `TextModels`."""

    def __init__(self, threads: int) -> None:
        core = _core()
        # Pinned threads of two workers would end up on the same cores.
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        detector = core.compile_model(_taking_bytes(core.read_model(DETECTOR)), "CPU", options)
        recogniser = _taking_bytes(core.read_model(RECOGNISER))
        characters = recogniser.get_rt_info(["framework", "character"]).astype(str).splitlines()
        self._characters = ["", *characters, " "]
        self._detector = detector.create_infer_request()
        self._recogniser = core.compile_model(_giving_best(recogniser), "CPU", options).create_infer_request()
        self._boxes_of = DBPostProcess(**_DETECTION)
        precision = detector.get_property("INFERENCE_PRECISION_HINT")
        self.precision = {"bfloat16": "bf16", "float": "f32"}.get(precision.type_name, precision.type_name)
        """What the runtime computes in: bfloat16 where the CPU can. It changes a character here and there."""

    def detect(self, bgr: Pixels) -> list[Quad]:
        """See `TextModels.detect`."""
        sheet, (x_scale, y_scale) = _for_detection(bgr)
        self._detector.infer([sheet[None]])
        height, width = sheet.shape[:2]
        boxes, _ = self._boxes_of(  # [1, 1, height, width]
            self._detector.get_output_tensor().data, (round(height / y_scale), round(width / x_scale))
        )
        return [np.asarray(box, np.float32) for box in boxes]

    def recognise(self, crops: Sequence[Pixels]) -> list[Reading]:
        """See `TextModels.recognise`."""
        widths = [scaled_width(crop.shape[1], crop.shape[0]) for crop in crops]
        readings = [Reading("", 0.0)] * len(crops)
        for batch in plan(widths):
            pixels = np.full((len(batch.crops), CROP_HEIGHT, batch.width, 3), 127, np.uint8)  # grey is the models' zero
            for row, crop in zip(pixels, batch.crops, strict=True):
                row[:, : widths[crop]] = cv2.resize(np.ascontiguousarray(crops[crop]), (widths[crop], CROP_HEIGHT))
            self._recogniser.infer([pixels])
            scores = self._recogniser.get_output_tensor(0).data[..., 0]  # [crops, columns]
            classes = self._recogniser.get_output_tensor(1).data[..., 0]
            for i, crop in enumerate(batch.crops):
                readings[crop] = self._decoded(classes[i], scores[i])
        return readings

    def _decoded(self, classes: npt.NDArray[np.int32], scores: npt.NDArray[np.float32]) -> Reading:
        """CTC: a character begins where a class does, and blanks part equal characters."""
        begins = classes != _BLANK
        begins[1:] &= classes[1:] != classes[:-1]
        if not begins.any():
            return Reading("", 0.0)
        return Reading("".join(self._characters[c] for c in classes[begins]), float(scores[begins].mean()))


def _taking_bytes(model: Any) -> Any:
    """The model with [batch, height, width, 3] bytes as its input; it scales them to -1..1 itself."""
    steps = PrePostProcessor(model)
    image = steps.input()
    image.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    image.preprocess().convert_element_type(openvino.Type.f32).mean(127.5).scale(127.5)
    image.model().set_layout(openvino.Layout("NCHW"))
    return steps.build()


def _giving_best(recogniser: Any) -> Any:
    """The recogniser with two outputs, [batch, columns, 1]: score and number of the best class of each column."""
    scores = recogniser.output(0).get_node().input_value(0)  # [batch, columns, classes]
    best = opset13.topk(scores, opset13.constant(1, np.int64), axis=2, mode="max", sort="none")
    results = [opset13.result(best.output(0)), opset13.result(best.output(1))]
    return openvino.Model(results, recogniser.get_parameters(), "recogniser")


def _for_detection(image: Pixels) -> tuple[Pixels, tuple[float, float]]:
    """The image as the detector sees it, scaled and padded, and its scales in x and y.

    The padding is to the right and below, so that texts stay where they are, with the colours of the border.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    scale = min(DETECTION_SIDE / longer, max(1.0, min(ENLARGED, ENLARGED_SIDE / longer)))
    to_width, to_height = max(round(width * scale), 1), max(round(height * scale), 1)
    if scale != 1:
        shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (to_width, to_height), interpolation=shrinking), np.uint8)
    sheet = cv2.copyMakeBorder(image, 0, -to_height % TILE, 0, -to_width % TILE, cv2.BORDER_REPLICATE)
    return np.asarray(sheet, np.uint8), (to_width / width, to_height / height)
