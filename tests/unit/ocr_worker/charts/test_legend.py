"""Rows of a legend that OCR read as one text, and texts that are none."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from llava_graph.ocr import Line
from ocr_worker.charts import legend, picture, texts
from ocr_worker.charts.areas import Area
from ocr_worker.charts.legend import Entry
from ocr_worker.charts.picture import Picture, Pixels
from tests.unit.ocr_worker.charts.drawing import BLUE, GREEN, ORANGE

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


def written(page: Pixels, text: str, x: int, y: int) -> Line:
    """Writes a name and gives the line that OCR makes of it."""
    cv2.putText(page, text, (x, y + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, GREY, 1, cv2.LINE_AA)
    width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)[0][0]
    return Line(text, (x - 2.0, y - 10.0, x + width + 2.0, y + 10.0), 0.98)


def found_in(page: Pixels, lines: Sequence[Line]) -> dict[str, Entry]:
    figure = picture.prepare(page, lines)
    return {entry.name: entry for entry in legend.find_entries(figure, texts.tokens(figure.lines), set())}


def test_a_handle_between_two_names_is_the_nearer_ones() -> None:
    page = np.full((120, 600, 3), 255, np.uint8)
    lines = [written(page, "Sorghum", 60, 50), written(page, "Rice", 210, 50)]
    cv2.line(page, (136, 50), (172, 50), BLUE, 3)  # behind the first name, as gnuplot has it
    cv2.line(page, (250, 50), (262, 50), ORANGE, 3)
    assert np.abs(found_in(page, lines)["Sorghum"].colour - np.array(BLUE)).max() < 12
    assert "Rice" not in found_in(page, lines) or np.abs(found_in(page, lines)["Rice"].colour - BLUE).max() > 60


def test_letters_of_a_name_beside_are_no_handle() -> None:
    page = np.full((120, 600, 3), 255, np.uint8)
    lines = [written(page, "Apples", 60, 50), written(page, "Cherries", 300, 50)]
    for x in (140, 380):
        for index, letter in enumerate("Pear"):  # not read
            cv2.putText(page, letter, (x + 12 * index, 55), cv2.FONT_HERSHEY_SIMPLEX, 0.5, GREY, 1, cv2.LINE_AA)
    assert found_in(page, lines) == {}


def test_tinted_edges_of_letters_do_not_hide_a_handle_within_the_box() -> None:
    page = np.full((160, 400, 3), 255, np.uint8)
    lines = []
    for y, name, colour in ((50, "shadow", BLUE), (74, "validation", ORANGE)):
        cv2.line(page, (40, y), (52, y), colour, 2)
        line = written(page, name, 56, y)
        lines.append(Line(f"-{name}", (36.0, *line.box[1:]), 0.97))
        page[y - 2 : y + 2, 72] = (150, 60, 60)  # what subpixel rendering leaves at a letter
    assert set(found_in(page, lines)) == {"shadow", "validation"}


def test_two_names_with_a_marker_between_them_are_no_name() -> None:
    page = np.full((120, 600, 3), 255, np.uint8)
    cv2.circle(page, (48, 50), 4, BLUE, -1)
    line = written(page, "M. luteus  E. coli", 60, 50)
    assert found_in(page, [Line("M. luteus • E. coli", line.box, 0.9)]) == {}


def cut_names(reread: Sequence[tuple[str, float]] | None) -> list[str]:
    page = np.full((160, 400, 3), 255, np.uint8)
    lines = []
    for y, name, colour in ((50, "Rice", BLUE), (74, "Wheat", ORANGE)):
        cv2.line(page, (20, y), (50, y), colour, 3)
        lines.append(written(page, name, 62, y))
    x0, y0, x1, y1 = lines[1].box
    lines[1] = Line("eat", (x0 + 23, y0, x1, y1), 0.95)
    figure = picture.prepare(page, lines)
    again = None if reread is None else (lambda _: list(reread))
    return [entry.name for entry in legend.find_entries(figure, texts.tokens(figure.lines), set(), again)]


def test_a_name_whose_first_letters_ocr_left_out_is_read_again() -> None:
    assert cut_names([("Wheat", 0.99)]) == ["Rice", "Wheat"]


def test_a_name_that_was_cut_off_names_nothing_where_it_cannot_be_read_again() -> None:
    assert "eat" not in cut_names(None)


def test_a_handle_within_the_box_of_its_name_keeps_the_name_before_it_out() -> None:
    page = np.full((120, 600, 3), 255, np.uint8)
    lines = [written(page, "DuckDB", 100, 50)]
    cv2.line(page, (60, 50), (90, 50), BLUE, 4)
    cv2.line(page, (160, 50), (190, 50), ORANGE, 4)
    second = written(page, "PostgreSQL", 198, 50)
    lines.append(Line("PostgreSQL", (lines[0].box[2] - 4.0, *second.box[1:]), 0.98))
    figure = picture.prepare(page, lines)
    found = legend.find_entries(
        figure, texts.tokens(figure.lines), set(), lambda crops: [("DuckDB  PostgreSQL", 0.99) for _ in crops]
    )
    assert [entry.name for entry in found] == ["DuckDB", "PostgreSQL"]


def test_a_row_of_names_with_dashes_for_its_handles_is_no_name() -> None:
    page = np.full((120, 600, 3), 255, np.uint8)
    line = written(page, "Norway       France", 60, 50)
    cv2.line(page, (40, 50), (52, 50), BLUE, 2)
    cv2.line(page, (132, 50), (144, 50), ORANGE, 2)
    assert found_in(page, [Line("Norway - France", line.box, 0.9)]) == {}


def test_a_name_with_a_dash_is_a_name() -> None:
    page = np.full((120, 600, 3), 255, np.uint8)
    cv2.line(page, (30, 50), (52, 50), BLUE, 2)
    assert set(found_in(page, [written(page, "Norway - north", 60, 50)])) == {"Norway - north"}


def test_two_rows_of_names_are_two_legends() -> None:
    page = np.full((200, 600, 3), 255, np.uint8)
    lines = []
    for y, x, names in ((40, 60, ("North", "East")), (150, 90, ("Slow", "Fast", "Idle"))):
        for index, (name, colour) in enumerate(zip(names, (BLUE, ORANGE, GREEN), strict=False)):
            at = x + 140 * index
            cv2.line(page, (at, y), (at + 28, y), colour, 3)
            lines.append(written(page, name, at + 38, y))
    assert set(found_in(page, lines)) == {"North", "East", "Slow", "Fast", "Idle"}


def test_the_corner_of_a_frame_is_no_part_of_a_handle() -> None:
    page = np.full((160, 400, 3), 255, np.uint8)
    cv2.rectangle(page, (34, 43), (160, 89), (180, 180, 180), 2)
    lines = []
    for y, name, colour in ((54, "Rice", BLUE), (78, "Wheat", ORANGE)):
        cv2.line(page, (46, y), (76, y), colour, 3)
        lines.append(written(page, name, 88, y))
    assert min(entry.handle[0] for entry in found_in(page, lines).values()) >= 44


def test_names_on_a_filling_of_their_own_have_their_handles() -> None:
    page = np.full((300, 500, 3), 255, np.uint8)
    page[20:280, 60:480] = (229, 236, 246)
    page[40:100, 300:440] = (247, 249, 252)
    lines = []
    for y, name, colour in ((56, "Rice", BLUE), (82, "Wheat", ORANGE)):
        cv2.line(page, (308, y), (338, y), colour, 3)
        lines.append(written(page, name, 350, y))
    found = found_in(page, lines)
    assert set(found) == {"Rice", "Wheat"}
    assert max(entry.handle[3] - entry.handle[1] for entry in found.values()) < 8


def test_a_curve_further_away_does_not_hide_a_handle_in_the_colour_of_the_text() -> None:
    page = np.full((160, 400, 3), 255, np.uint8)
    lines = []
    for y, name, colour in ((50, "Rice", GREY), (74, "Wheat", ORANGE)):
        cv2.line(page, (100, y), (130, y), colour, 3)
        lines.append(written(page, name, 140, y))
    cv2.line(page, (56, 40), (70, 60), ORANGE, 2)
    assert set(found_in(page, lines)) == {"Rice", "Wheat"}


def test_a_title_below_a_legend_is_no_name() -> None:
    page = np.full((160, 500, 3), 255, np.uint8)
    lines = []
    for x, name, colour in ((40, "Kenya", BLUE), (180, "Japan", ORANGE)):
        cv2.line(page, (x, 60), (x + 40, 60), colour, 1)
        lines.append(written(page, name, x + 52, 60))
    cv2.rectangle(page, (24, 44), (300, 76), (0, 0, 0), 1)
    lines.append(written(page, "Year", 214, 38))
    assert set(found_in(page, lines)) == {"Kenya", "Japan"}


def entry_at(x0: float, y0: float, x1: float, y1: float) -> Entry:
    return Entry("Name", 0, np.zeros(3, np.float32), (x0, y0, x0 + 20, y1), (x0, y0, x1, y1), y1 - y0)


def test_legends_that_meet_at_a_corner_are_two() -> None:
    beside, above = entry_at(440, 150, 570, 185), entry_at(690, 110, 960, 140)
    assert len(legend.grouped_apart([beside, above])) == 2
    assert len(legend.grouped_apart([beside, entry_at(600, 150, 740, 185)])) == 1


UPPER, LOWER = Area(80, 30, 400, 200), Area(80, 300, 400, 470)


def test_legends_below_panels_are_of_those_though_the_next_panel_is_nearer() -> None:
    first, second = [entry_at(100, 260, 300, 280)], [entry_at(100, 530, 300, 550)]
    assert legend.nearest(first, [UPPER, LOWER]) is LOWER
    assert legend.homes([first, second], [UPPER, LOWER]) == [UPPER, LOWER]


def test_a_legend_between_two_panels_is_of_neither_surely() -> None:
    assert legend.homes([[entry_at(100, 260, 300, 280)]], [UPPER, LOWER]) == [None]


def test_legends_at_different_sides_are_of_the_nearest_panels() -> None:
    legends = [[entry_at(420, 40, 520, 60)], [entry_at(100, 260, 300, 280)]]
    assert legend.homes(legends, [UPPER, LOWER]) == [UPPER, LOWER]


def test_a_grid_behind_a_legend_is_no_handle() -> None:
    ink = np.zeros((20, 120), np.bool_)
    ink[10:12, 94:104] = True  # within the box of the text, which begins at 90
    coloured = ink.copy()
    ink[:, 60] = ink[2, 55:90] = True
    found = legend._handle(ink, coloured, 90, -1, 18.0)
    assert found is not None
    assert found[:4] == (94, 10, 104, 12)


def test_a_grid_that_crosses_a_grey_handle_leaves_its_halves() -> None:
    page = np.full((200, 400, 3), 255, np.uint8)
    lines = []
    for y, name, colour in ((56, "Rice", BLUE), (80, "Wheat", (150, 150, 150))):
        cv2.line(page, (90, y), (130, y), colour, 3)
        lines.append(written(page, name, 142, y))
    page[:, 116:118] = (200, 200, 200)
    assert [round(entry.handle[0] / 10) for entry in found_in(page, lines).values()] == [9, 9]


def test_the_filling_of_a_key_is_no_handle() -> None:
    page = np.full((200, 400, 3), 255, np.uint8)
    page[44:92, 96:120] = (242, 242, 242)
    lines = []
    for y, name, colour in ((56, "Rice", BLUE), (80, "Wheat", ORANGE)):
        cv2.line(page, (98, y), (118, y), colour, 3)
        lines.append(written(page, name, 128, y))
    found = found_in(page, lines)
    assert max(entry.handle[3] - entry.handle[1] for entry in found.values()) < 8


def test_the_end_of_a_name_in_the_colour_of_its_curve_is_no_handle_of_the_next() -> None:
    page = np.full((120, 700, 3), 255, np.uint8)
    lines = []
    for x, name, colour in ((40, "first rotary model", BLUE), (228, "other rotary model", ORANGE)):
        cv2.line(page, (x, 50), (x + 20, 50), colour, 3)
        blank = np.full_like(page, 255)
        lines.append(written(blank, name, x + 30, 50))
        page[(blank < 200).any(axis=2)] = colour
    found = found_in(page, lines)
    assert [round(entry.handle[0] / 10) for entry in found.values()][-1] == 23


def test_an_initial_is_no_letter_made_of_a_handle() -> None:
    assert legend._without_symbol("V. cholerae", -1) == "V. cholerae"
    assert legend._without_symbol("I cholerae", -1) == "cholerae"


def test_numbers_name_the_curves_of_a_cycle_of_colours() -> None:
    cycle = [BLUE, ORANGE, GREEN, (214, 39, 40), (120, 80, 150)]
    page = np.full((300, 400, 3), 255, np.uint8)
    lines = []
    for index in range(7):
        y = 40 + 24 * index
        cv2.line(page, (40, y), (70, y), cycle[index % 5], 3)
        lines.append(written(page, str(5 * index + 5), 82, y))
    assert set(found_in(page, lines)) == {"5", "10", "15", "20", "25", "30", "35"}
