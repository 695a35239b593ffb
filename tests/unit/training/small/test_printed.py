"""Texts of composed figures, as OCR would give them."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from llava_graph.curves import Range
from training.small.drawn import draw
from training.small.printed import HEIGHT, WIDTH, Texts, put_beside, put_legend, put_panel

AREA = (120.0, 60.0, 760.0, 540.0)


def test_texts_stand_in_the_figure_in_reading_order() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        panel = draw(rng.choice(("line", "bar", "grouped_bar", "scatter")), ["A", "A + cache"], AREA, rng)
        texts = Texts(rng)
        put_panel(texts, panel, 0, rng)
        put_legend(texts, panel, [0], "", rng)
        put_beside(texts, [panel], rng)
        found = texts.read()
        for line in found.lines:
            x0, y0, x1, y1 = line.box
            assert -1 <= y0 < y1 <= HEIGHT + 1
            assert -1 <= x0 < x1
            assert x1 <= WIDTH + 1 or x0 <= 1
        for key, (text, index) in found.seen.items():
            if key:
                assert "".join(text.split()) in "".join(found.lines[index].text.split())


def test_names_that_stand_in_one_row_are_one_line_now_and_then() -> None:
    texts = Texts(random.Random(1))
    texts.put_in_one(["a", "b"], ["Rye", "Oats"], 300, 20)
    found = texts.read()
    assert len(found.lines) == 1
    assert found.seen == {"a": ("Rye", 0), "b": ("Oats", 0)}


def test_ocr_confuses_letters_of_some_names_and_misses_others() -> None:
    rng = random.Random(2)
    read = []
    for _ in range(1000):
        texts = Texts(rng)
        texts.put("name", "Illinois model 10", "legend", 300, 20)
        read += [text for text, _ in texts.read().seen.values()]
    assert 950 < len(read) < 1000
    assert 0.9 * len(read) < read.count("Illinois model 10") < len(read)


def test_ticks_of_days_are_dates_and_those_of_years_numbers() -> None:
    seen: dict[float, set[str]] = {100.0: set(), 9000.0: set()}
    for reach, texts_seen in seen.items():
        for seed in range(40):
            rng = random.Random(seed)
            panel = draw("line", ["A"], AREA, rng)
            texts = Texts(rng)
            put_panel(texts, replace(panel, along=Range(8000.0, 8000.0 + reach, "date")), 0, rng)
            texts_seen |= {line.text for line in texts.read().lines if line.centre[1] > 545}
    assert any(re.search(r"[A-Z][a-z]{2} \d|\d [A-Z][a-z]{2}|\d-\d\d", text) for text in seen[100.0])
    assert any(re.fullmatch(r"(19|20)\d\d", text) for text in seen[9000.0])
