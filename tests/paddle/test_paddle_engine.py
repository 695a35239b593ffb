"""PaddleOCR as the worker's engine, for real: the PP-OCRv6 weights of the rapidocr wheel on ONNX Runtime."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from redis.asyncio import Redis

from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from llava_graph.figure import open_figure
from llava_graph.jobs import JobProducer, Keys, Outcome, QueueAnswer, Reply, live_workers
from llava_graph.ocr import Line
from ocr_worker.engines import Pixels, paddle_weights
from ocr_worker.engines.paddle import PaddleEngine
from ocr_worker.errors import OcrEngineError
from tests.paths import REPOSITORY

GROWTH = REPOSITORY / "examples" / "growth.png"


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    made = CliRunner().invoke(paddle_weights.main, [str(folder)], catch_exceptions=False)
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture(scope="session")
def engine(model_dir: Path) -> PaddleEngine:
    return PaddleEngine(device="cpu", threads=len(os.sched_getaffinity(0)), model_dir=model_dir)


def _pixels(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _words(lines: Sequence[Line]) -> Counter[str]:
    return Counter(word for line in lines for word in line.text.split())


def test_example_is_read_in_reading_order_with_its_upright_label(engine: PaddleEngine) -> None:
    pixels = _pixels(GROWTH)
    (lines,) = engine.read([pixels])
    texts = [line.text for line in lines]
    assert texts[-1] == "Time (h)"
    assert {"Optical density", "Vodira", "Kestrol B", "Mura-7", "0.00", "1.50", "40"} <= set(texts)
    height, width = pixels.shape[:2]
    for line in lines:
        x0, y0, x1, y1 = line.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert 0.3 <= line.confidence <= 1
    upright = next(line for line in lines if line.text == "Optical density")
    assert upright.box[3] - upright.box[1] > 3 * (upright.box[2] - upright.box[0])


def test_boxes_stand_where_the_figure_has_its_texts(engine: PaddleEngine) -> None:
    rendered = render(sample_figure(2, "heldout"))
    (lines,) = engine.read([np.asarray(rendered.image.convert("RGB"))])
    found = {line.text: line.centre for line in lines}
    placed = [text for text in rendered.texts if text.text in found]
    assert len(placed) >= len(rendered.texts) // 2
    once = [text for text in placed if sum(other.text == text.text for other in rendered.texts) == 1]
    for text in once:
        x0, y0, x1, y1 = text.box
        x, y = found[text.text]
        assert x0 <= x <= x1, text.text
        assert y0 <= y <= y1, text.text


def test_nearly_all_words_of_generated_figures_are_read(engine: PaddleEngine) -> None:
    true, read = 0, 0
    for seed in range(6):
        rendered = render(sample_figure(seed, "heldout"))
        (lines,) = engine.read([np.asarray(rendered.image.convert("RGB"))])
        words = Counter(word for text in rendered.texts for word in text.text.split())
        true += words.total()
        read += (words & _words(lines)).total()
    assert read >= 0.85 * true


def test_batch_gives_each_figure_its_own_lines(engine: PaddleEngine) -> None:
    figures = [_pixels(GROWTH), np.full((80, 120, 3), 255, np.uint8), _pixels(REPOSITORY / "examples" / "soil.png")]
    together = engine.read(figures)
    assert [[line.text for line in lines] for lines in together] == [
        [line.text for line in engine.read([figure])[0]] for figure in figures
    ]
    assert together[1] == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (12, 3000, 3), (3000, 10, 3), (33, 31, 3)])
def test_figure_of_any_shape_is_taken(engine: PaddleEngine, shape: tuple[int, int, int]) -> None:
    assert engine.read([np.full(shape, 255, np.uint8)]) == [[]]


def test_what_the_library_refuses_is_an_engine_error(engine: PaddleEngine) -> None:
    with pytest.raises(OcrEngineError):
        engine.read([np.zeros((40, 40), np.float64)[:, :, None].repeat(2, axis=2)])  # type: ignore[list-item]


def test_revision_names_library_models_and_runtime(engine: PaddleEngine) -> None:
    library, models, runtime, pipeline = engine.revision.split("/")
    assert library.startswith("paddleocr-3.")
    assert models == "PP-OCRv6-small"
    assert runtime.startswith("onnxruntime-1.")
    assert pipeline.startswith("pipeline-")


async def test_worker_process_with_paddle_answers_a_job(redis: Redis, redis_url: str, model_dir: Path) -> None:
    keys = Keys()
    figure = open_figure(GROWTH.read_bytes())
    environment = {
        "LLAVA_GRAPH_REDIS_URL": redis_url,
        "LLAVA_GRAPH_OCR_ENGINE": "paddle",
        "LLAVA_GRAPH_OCR_MODEL_DIR": str(model_dir),
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ocr_worker", cwd=REPOSITORY, env={**os.environ, **environment}
    )
    try:
        producer = JobProducer(redis, keys, "gateway")
        asked = await producer.look_up(figure.id, 60_000)
        assert asked.admission is QueueAnswer.UNKNOWN
        await producer.submit(figure.id, figure.png(), job_id="job", wait_ms=60_000, request_id="request")
        async with asyncio.timeout(60):
            while not (raw := await producer.replies()):
                assert worker.returncode is None
        reply = Reply.from_json(raw[0])
        assert (reply.outcome, reply.figure_id) == (Outcome.DONE, figure.id)
        assert "Optical density" in [line.text for line in reply.lines]
        (alive,) = await live_workers(redis, keys)
        assert alive.engine.startswith("paddleocr-")
    finally:
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(worker.wait(), 30) == 0
