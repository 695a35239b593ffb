"""Reads the figures of a folder without a queue: python -m ocr_worker.read FOLDER

Writes one JSON line for each image, in the order of their names: {"file", "width", "height", "lines", "ocr_s",
"chart", "chart_s", "chart_cpu_s"}, or {"file", "error"} for an image that cannot be read. For
measuring and for looking at what the worker reads; text and data are read one figure after the other, by the engine and
the reader that the worker has.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from llava_graph import chart
from llava_graph.figure import FigureError, open_figure
from llava_graph.ocr import Line
from ocr_worker.charts import Deadline, read_chart
from ocr_worker.engines import OcrEngine
from ocr_worker.engines.kept import KeptReadings
from ocr_worker.engines.rapid import RapidEngine
from ocr_worker.errors import OcrEngineError

IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"))


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="For OCR and OpenCV.")
@click.option(
    "--lines", "known", type=click.File(encoding="utf-8"), help="What this command printed before; its text is taken."
)
@click.option(
    "--only", type=click.File(encoding="utf-8"), help="A list of file names, one a line, instead of all images."
)
@click.option(
    "--ocr-cache",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file in which texts are kept by image and OCR revision; made if it is not there.",
)
def main(folder: Path, threads: int, known: Any, only: Any, ocr_cache: Path | None) -> None:
    """Print what is read of each image of FOLDER, a JSON line each.

    With --lines or --ocr-cache, the text of images that were read before is not read again, only their data.
    """
    cv2.setNumThreads(threads)
    texts = {raw["file"]: raw for raw in map(json.loads, known or ()) if "lines" in raw}
    names = [line.strip() for line in only] if only else sorted(p.name for p in folder.iterdir())
    with contextlib.ExitStack() as stack:
        engine: OcrEngine = RapidEngine(threads=threads)
        if ocr_cache is not None:
            try:
                engine = stack.enter_context(KeptReadings(engine, ocr_cache))
            except sqlite3.Error as error:
                raise click.ClickException(f"{ocr_cache}: {error}") from error
        for name in names:
            if Path(name).suffix.lower() in IMAGE_SUFFIXES:
                sys.stdout.write(json.dumps(read(folder / name, engine, texts.get(name)), ensure_ascii=False) + "\n")
                sys.stdout.flush()


def read(path: Path, engine: OcrEngine, known: Mapping[str, Any] | None = None) -> dict[str, object]:
    """Text and data of one figure as JSON objects, with the seconds that each took. `known` is an earlier result."""
    try:
        image = np.asarray(open_figure(path.read_bytes()).image)
        begun = time.perf_counter()
        if known is None:
            lines = engine.read([image])[0]
            ocr_s = time.perf_counter() - begun
        else:
            lines, ocr_s = [Line.from_json(line) for line in known["lines"]], float(known["ocr_s"])
    except (FigureError, OcrEngineError, OSError) as error:
        return {"file": path.name, "error": f"{type(error).__name__}: {error}"}
    begun, begun_cpu = time.perf_counter(), time.process_time()
    # On a busy machine the clock would end what a free core finishes; one thread's CPU seconds are what it takes there.
    deadline = Deadline(clock=time.process_time)
    found = read_chart(image, lines, deadline, engine.read_crops)
    chart_s, chart_cpu_s = time.perf_counter() - begun, time.process_time() - begun_cpu
    return {
        "file": path.name,
        "width": image.shape[1],
        "height": image.shape[0],
        "lines": [line.to_json() for line in lines],
        "ocr_s": round(ocr_s, 4),
        "chart": chart.to_json(found),
        "chart_s": round(chart_s, 4),
        "chart_cpu_s": round(chart_cpu_s, 4),
    }


if __name__ == "__main__":
    main()
