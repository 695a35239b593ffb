"""Rows of labels that OCR read as one text: taken apart where there is no ink, read again where words do not fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from llava_graph.ocr import Line
from ocr_worker.charts import areas, picture, rows, texts

PLACES = ((100, 118), (200, 240), (300, 340), (345, 385))
"""Columns of four labels, such as `0`, `100`, `200` and `300`."""


def drawn(text: str) -> picture.Picture:
    image = np.full((200, 500, 3), 255, np.uint8)
    for a, b in PLACES:
        image[104:116, a:b] = 40
    return picture.prepare(image, [Line(text, (97.0, 100.0, 388.0, 120.0), 0.98)])


def test_words_of_a_joined_row_stand_where_their_ink_is() -> None:
    figure = drawn("0 100 200 300")
    apart = rows.apart(figure, texts.tokens(figure.lines), None)
    assert [token.text for token in apart] == ["0", "100", "200", "300"]
    assert [(token.box[0], token.box[2]) for token in apart] == [(float(a), float(b)) for a, b in PLACES]


def test_a_row_of_which_two_words_became_one_is_read_again() -> None:
    figure = drawn("0 100 200300")
    asked: list[int] = []

    def reread(crops: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[str, float]]:
        asked.extend(crop.shape[1] for crop in crops)
        return [("0", 0.9), ("100", 0.9), ("200", 0.9), ("300", 0.2)]

    apart = rows.apart(figure, texts.tokens(figure.lines), reread)
    assert [token.text for token in apart] == ["0", "100", "200"]
    assert len(asked) == len(PLACES)


def test_cuts_between_names_lie_in_blanks() -> None:
    figure = drawn("a b c d")
    spans = [(60.0, 160.0), (160.0, 260.0), (235.0, 335.0)]
    moved = rows.cut_at_blanks(figure, spans, (104.0, 116.0))
    assert moved[0] == (60.0, 160.0)
    assert all(not any(a < edge < b for a, b in PLACES) for pair in moved for edge in pair)


def test_a_label_at_the_end_of_a_spine_does_not_make_it_longer() -> None:
    image = np.full((300, 400, 3), 255, np.uint8)
    image[40:221, 80] = 0
    image[220, 80:361] = 0
    image[228:240, 76:84] = 0  # a 0 below the corner
    image[214:226, 66:74] = 0  # and one left of it
    lines = [Line("0", (74.0, 226.0, 86.0, 242.0), 0.9), Line("0", (64.0, 212.0, 76.0, 228.0), 0.9)]
    lines += [Line(text, (46.0, y - 8.0, 74.0, y + 8.0), 0.9) for text, y in (("100", 40.0), ("50", 130.0))]
    figure = picture.prepare(image, lines)
    assert max(stroke.end for stroke in figure.verticals) <= 222
    assert min(stroke.start for stroke in figure.horizontals) >= 78
    (area,) = areas.find_areas(figure, texts.tokens(figure.lines))
    assert np.allclose((area.x0, area.x1, area.y1), (80, 360, 220), atol=2)


def test_words_placed_by_their_letters_are_no_labels_where_they_can_be_read_again() -> None:
    figure = drawn("0 100 150 200 250 300")  # more words than pieces of ink
    apart = rows.apart(figure, texts.tokens(figure.lines), lambda crops: [("", 0.0) for _ in crops])
    assert apart == []


def test_of_a_row_of_many_labels_a_part_is_read() -> None:
    image = np.full((200, 1200, 3), 255, np.uint8)
    for k in range(26):
        image[104:116, 40 + 44 * k : 60 + 44 * k] = 40
    joined = " ".join(f"{k}" for k in range(26)).replace("0 1", "01", 1)
    figure = picture.prepare(image, [Line(joined, (37.0, 100.0, 1165.0, 120.0), 0.98)])
    asked: list[int] = []

    def reread(crops: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[str, float]]:
        asked.append(len(crops))
        return [(str(2 * k), 0.9) for k, _ in enumerate(crops)]

    apart = rows.apart(figure, texts.tokens(figure.lines), reread)
    assert asked == [13]
    assert [round(token.x) for token in apart] == [50 + 88 * k for k in range(13)]
