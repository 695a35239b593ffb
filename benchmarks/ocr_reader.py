"""A process of `benchmarks.ocr` that reads figures with one OCR library, as told on its standard input.

    python -m benchmarks.ocr_reader rapidocr --threads 2

It says `{"ready": …}`, then answers every line `{"files": [...], "batch": 4}` with the time that reading took and the
texts found. Decoding the files is not part of that time. One process for each library: their thread pools and their
versions of OpenCV get along with none beside them. Imports only what its library needs.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Read = Callable[[Sequence[Pixels]], list[list[str]]]
"""Texts of each of some RGB images."""


def rapidocr_as_it_comes() -> Read:
    """RapidOCR with its defaults, figure by figure, which is how its documentation shows it."""
    from rapidocr import RapidOCR

    engine: Any = RapidOCR()

    def read(images: Sequence[Pixels]) -> list[list[str]]:
        return [list(engine(image[:, :, ::-1]).txts or ()) for image in images]

    return read


def paddleocr_as_it_comes(model_dir: Path) -> Read:
    """PaddleOCR's pipeline with its defaults, on ONNX Runtime and the weights in `model_dir`.

    Without the page unwarping and orientation models, which PaddleOCR would have to download.
    """
    os.environ["PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK"] = "True"
    from paddleocr import PaddleOCR

    detector, recogniser = "PP-OCRv6_small_det", "PP-OCRv6_small_rec"
    pipeline: Any = PaddleOCR(
        engine="onnxruntime",
        device="cpu",
        text_detection_model_name=detector,
        text_detection_model_dir=str(model_dir / detector),
        text_recognition_model_name=recogniser,
        text_recognition_model_dir=str(model_dir / recogniser),
        use_doc_orientation_classify=False,
        use_doc_unwarping=False,
        use_textline_orientation=False,
    )

    def read(images: Sequence[Pixels]) -> list[list[str]]:
        found = [pipeline.predict(np.ascontiguousarray(image[:, :, ::-1]))[0] for image in images]
        return [list(page["rec_texts"]) for page in found]

    return read


def ours(threads: int) -> Read:
    """The worker's default engine."""
    from ocr_worker.engines.rapid import RapidEngine

    engine = RapidEngine(threads=threads)

    def read(images: Sequence[Pixels]) -> list[list[str]]:
        return [[line.text for line in lines] for lines in engine.read(images)]

    return read


@click.command()
@click.argument("library", type=click.Choice(("rapidocr", "paddleocr", "ours")))
@click.option("--threads", type=click.IntRange(min=1), required=True, help="For ours; the others take what they find.")
@click.option("--model-dir", type=click.Path(path_type=Path, exists=True), help="For paddleocr.")
def main(library: str, threads: int, model_dir: Path | None) -> None:
    """Read figures as told on standard input."""
    # What libraries print would mix with our answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if library == "paddleocr":
        if model_dir is None:
            raise click.UsageError("paddleocr needs --model-dir")
        read = paddleocr_as_it_comes(model_dir)
    else:
        read = ours(threads) if library == "ours" else rapidocr_as_it_comes()
    print(json.dumps({"ready": library}), file=answers, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        images = [np.asarray(Image.open(file).convert("RGB")) for file in task["files"]]
        begin = time.perf_counter()
        texts = [found for i in range(0, len(images), task["batch"]) for found in read(images[i : i + task["batch"]])]
        answer = {
            "seconds": time.perf_counter() - begin,
            "texts": texts,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
