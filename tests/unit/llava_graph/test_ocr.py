"""OCR lines: their JSON form and the order in which a person reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_graph.ocr import Box, Line, reading_order


def line(text: str, x: float, y: float, width: float = 40, height: float = 20) -> Line:
    return Line(text, (x, y, x + width, y + height))


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def boxes() -> st.SearchStrategy[Box]:
    corner, size = st.floats(0, 2000), st.floats(0.1, 500)
    return st.builds(lambda x, y, w, h: (x, y, x + w, y + h), corner, corner, size, size)


lines_of_a_figure = st.lists(st.builds(Line, st.text(max_size=8), boxes(), st.floats(0, 1)), max_size=30)


def test_rows_are_read_from_top_to_bottom_and_within_from_left_to_right() -> None:
    shuffled = [line("d", 100, 52), line("a", 0, 0), line("c", 0, 50), line("b", 100, 3)]
    assert texts(reading_order(shuffled)) == ["a", "b", "c", "d"]


def test_slightly_uneven_row_stays_one_row() -> None:
    row = [line("third", 200, 0), line("first", 0, 8), line("second", 100, 4)]
    assert texts(reading_order(row)) == ["first", "second", "third"]


def test_stairs_do_not_become_one_row() -> None:
    """Each step is within the tolerance of the one before, but not of the first."""
    stairs = [line(str(i), 100 - 10 * i, 9 * i) for i in range(5)]
    assert texts(reading_order(stairs)) == ["1", "0", "3", "2", "4"]


def test_rotated_label_takes_its_place_by_its_centre() -> None:
    label = line("label", 0, 50, width=20, height=200)
    others = [line("top", 50, 20), line("middle", 50, 140), line("bottom", 50, 270)]
    assert texts(reading_order([*others, label])) == ["top", "label", "middle", "bottom"]


def test_rotated_label_does_not_widen_the_rows() -> None:
    label = line("label", 0, 0, width=20, height=400)
    assert texts(reading_order([label, line("b", 30, 60), line("a", 90, 20)])) == ["a", "b", "label"]


def test_only_rotated_labels_have_an_order_too() -> None:
    labels = [line("right", 300, 0, 10, 90), line("left", 0, 0, 10, 90), line("above", 600, -50, 10, 90)]
    assert texts(reading_order(labels)) == ["above", "left", "right"]


def test_no_lines_are_no_lines() -> None:
    assert reading_order([]) == []


@given(lines_of_a_figure)
def test_no_line_is_lost_or_made(lines: list[Line]) -> None:
    ordered = reading_order(lines)
    assert sorted(map(repr, ordered)) == sorted(map(repr, lines))


@given(st.lists(st.builds(Line, st.text(max_size=8), boxes()), max_size=20, unique_by=lambda line: line.centre))
def test_order_does_not_depend_on_the_order_of_detection(lines: list[Line]) -> None:
    assert reading_order(lines) == reading_order(lines[::-1])


@given(lines_of_a_figure)
def test_json_keeps_text_place_to_a_tenth_of_a_pixel_and_confidence(lines: list[Line]) -> None:
    for sent in lines:
        got = Line.from_json(sent.to_json())
        assert got.text == sent.text
        assert got.box == pytest.approx(sent.box, abs=0.051)
        assert got.confidence == pytest.approx(sent.confidence, abs=0.0001)
        assert Line.from_json(got.to_json()) == got


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"text": "a", "confidence": 1},
        {"text": "a", "box": [1, 2, 3], "confidence": 1},
        {"text": "a", "box": None, "confidence": 1},
        {"text": "a", "box": ["x", 0, 0, 0], "confidence": 1},
        {"text": "a", "box": [0, 0, 0, 0], "confidence": "high"},
    ],
)
def test_what_is_no_line_is_a_plain_error(raw: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Line.from_json(raw)
