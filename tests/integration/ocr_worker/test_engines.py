"""The default OCR engine on figures whose texts are known, and on images that are no figures."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from data.synthetic.render import Rendered, render
from data.synthetic.sample import sample_figure
from llava_graph.ocr import Line
from ocr_worker.engines import Pixels
from ocr_worker.engines.rapid import RapidEngine
from ocr_worker.errors import OcrEngineError

SEEDS = range(900_000, 900_012)


@pytest.fixture(scope="module")
def engine() -> RapidEngine:
    return RapidEngine(threads=2)


@pytest.fixture(scope="module")
def figures() -> list[Rendered]:
    return [render(sample_figure(seed, "heldout")) for seed in SEEDS]


@pytest.fixture(scope="module")
def read(engine: RapidEngine, figures: list[Rendered]) -> list[list[Line]]:
    return engine.read([np.asarray(figure.image) for figure in figures])


def sheet_with(text: str, *, size: tuple[int, int] = (600, 80), turn: int = 0, font_px: int = 28) -> Pixels:
    sheet = Image.new("RGB", size, "white")
    ImageDraw.Draw(sheet).text((30, size[1] // 2), text, "black", ImageFont.load_default(font_px), anchor="lm")
    return np.asarray(sheet.rotate(turn, expand=True))


def words(texts: list[str]) -> Counter[str]:
    return Counter(word for text in texts for word in text.split())


def test_words_of_held_out_figures_are_read(figures: list[Rendered], read: list[list[Line]]) -> None:
    true = [words([text.text for text in figure.texts]) for figure in figures]
    found = [words([line.text for line in lines]) for lines in read]
    right = sum((a & b).total() for a, b in zip(true, found, strict=True))
    assert right / sum(count.total() for count in true) > 0.95


def test_lines_stand_where_the_figure_has_their_text(figures: list[Rendered], read: list[list[Line]]) -> None:
    checked = 0
    for figure, lines in zip(figures, read, strict=True):
        for line in lines:
            x, y = line.centre
            places = [text.box for text in figure.texts if text.text == line.text and len(text.text) > 6]
            if places:
                assert any(x0 < x < x1 and y0 < y < y1 for x0, y0, x1, y1 in places), line
                checked += 1
    assert checked > len(figures)


def test_boxes_end_at_the_border_of_the_image(figures: list[Rendered], read: list[list[Line]]) -> None:
    for figure, lines in zip(figures, read, strict=True):
        for x0, y0, x1, y1 in (line.box for line in lines):
            assert 0 <= x0 < x1 <= figure.image.width and 0 <= y0 < y1 <= figure.image.height


@pytest.mark.parametrize("turn", [0, 90, 270])
def test_text_is_read_whichever_side_it_stands_on(engine: RapidEngine, turn: int) -> None:
    [lines] = engine.read([sheet_with("Throughput (images/s)", turn=turn)])
    assert [line.text for line in lines] == ["Throughput (images/s)"]


def test_small_letters_are_read(engine: RapidEngine) -> None:
    [lines] = engine.read([sheet_with("Vodikar 0.25", size=(120, 40), font_px=11)])
    assert [line.text for line in lines] == ["Vodikar 0.25"]


def test_huge_figure_is_read(engine: RapidEngine) -> None:
    [lines] = engine.read([sheet_with("Exposure time", size=(6000, 4000), font_px=160)])
    assert [line.text for line in lines] == ["Exposure time"]


def test_line_longer_than_the_recogniser_takes_is_read_without_error(engine: RapidEngine) -> None:
    [lines] = engine.read([sheet_with("Vodikar " * 24, size=(1560, 28), font_px=16)])
    assert any("Vodikar" in line.text for line in lines)


def test_crops_of_a_batch_go_back_to_their_figures(engine: RapidEngine) -> None:
    texts = ["Alpha", "Time (s)", "A rather long title of a figure", "0.5"]
    together = engine.read([sheet_with(text) for text in texts])
    assert [[line.text for line in lines] for lines in together] == [[text] for text in texts]


@pytest.mark.parametrize("shape", [(64, 64, 4), (0, 10, 3)])
def test_pixels_that_are_no_image_are_an_engine_error(engine: RapidEngine, shape: tuple[int, ...]) -> None:
    with pytest.raises(OcrEngineError):
        engine.read([np.zeros(shape, np.uint8)])
    assert engine.read([np.full((64, 64, 3), 255, np.uint8)]) == [[]], "and the engine reads on"


def test_revision_names_what_changes_the_text(engine: RapidEngine) -> None:
    library, models, runtime, pipeline = engine.revision.split("/")
    assert library.startswith("rapidocr-") and models == "PP-OCRv6-small" and pipeline.startswith("pipeline-")
    assert runtime.startswith("openvino-") and runtime.endswith(("-bf16", "-f32"))
