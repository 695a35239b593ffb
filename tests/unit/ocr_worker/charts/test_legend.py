"""Rows of a legend that OCR read as one text, and texts that are none."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from llava_graph.ocr import Line
from ocr_worker.charts import legend, picture, texts
from ocr_worker.charts.legend import Entry
from ocr_worker.charts.picture import Picture, Pixels
from tests.unit.ocr_worker.charts.drawing import BLUE, ORANGE

GREY = (60, 60, 60)


def row(names: Sequence[str]) -> tuple[Picture, list[texts.Token]]:
    """A page with a legend in one row, each name behind a line of its colour, all read as one text."""
    page = np.full((200, 600, 3), 255, np.uint8)
    x = 40
    for name, colour in zip(names, (BLUE, ORANGE), strict=True):
        cv2.line(page, (x, 50), (x + 30, 50), colour, 3)
        cv2.putText(page, name, (x + 38, 56), cv2.FONT_HERSHEY_SIMPLEX, 0.5, GREY, 1, cv2.LINE_AA)
        x += 38 + cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)[0][0] + 12
    line = Line("".join(names), (76.0, 40.0, float(x - 10), 62.0), 0.9)
    figure = picture.prepare(page, [line])
    return figure, texts.tokens(figure.lines)


def entries(names: Sequence[str], answers: Sequence[tuple[str, float]] | None) -> list[Entry]:
    figure, tokens = row(names)
    asked: list[int] = []

    def reread(crops: Sequence[Pixels]) -> Sequence[tuple[str, float]]:
        asked.append(len(crops))
        return list(answers or ())

    found = legend.find_entries(
        figure, legend.parted(figure, tokens, set(), reread if answers is not None else None), set()
    )
    assert asked == ([] if answers is None else [2])
    return found


def test_names_read_as_one_text_are_taken_apart_at_the_handle_between_them() -> None:
    found = entries(["North", "East"], [("North", 0.99), ("- East", 0.98)])
    assert [entry.name for entry in found] == ["North", "East"]
    for entry, colour in zip(found, (BLUE, ORANGE), strict=True):
        assert np.abs(entry.colour - np.array(colour)).max() < 12
    assert len({entry.key for entry in found}) == 2


def test_names_read_as_one_text_name_nothing_where_they_cannot_be_read_again() -> None:
    assert entries(["North", "East"], None) == []


def test_a_name_that_is_not_read_surely_is_left_out() -> None:
    assert [entry.name for entry in entries(["North", "East"], [("North", 0.99), ("Fa", 0.3)])] == ["North"]


def test_a_jagged_curve_that_was_read_as_letters_is_no_text() -> None:
    page = np.full((200, 600, 3), 255, np.uint8)
    corners = [(x, 100 + (25 if i % 2 else -25)) for i, x in enumerate(range(20, 580, 12))]
    cv2.polylines(page, [np.array(corners, np.int32)], False, BLUE, 2)
    cv2.putText(page, "Mill", (250, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.5, GREY, 1, cv2.LINE_AA)
    figure = picture.prepare(page, [Line("wM", (200, 70, 250, 130), 0.8), Line("Mill", (246, 26, 286, 46), 0.9)])
    curve, text = texts.tokens(figure.lines)
    assert legend.is_drawn(figure, curve)
    assert not legend.is_drawn(figure, text)


def test_a_thick_spine_beside_names_is_no_handle() -> None:
    page = np.full((300, 400, 3), 255, np.uint8)
    page[20:280, 300:306] = 0
    lines = []
    for y in (60, 84, 108):
        cv2.putText(page, "Method", (232, y + 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, GREY, 1, cv2.LINE_AA)
        lines.append(Line("Method", (230.0, y - 9.0, 290.0, y + 11.0), 0.99))
    figure = picture.prepare(page, lines)
    assert legend.find_entries(figure, texts.tokens(figure.lines), set()) == []
