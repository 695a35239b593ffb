"""Where plot areas are: panels that share the ends of their grids, and lines that are data."""

from __future__ import annotations

import cv2
import numpy as np

from llava_graph.ocr import Line
from ocr_worker.charts import areas, picture, texts
from ocr_worker.charts.areas import Area, find_areas
from tests.unit.ocr_worker.charts.drawing import BLUE, Figure


def areas_of(figure: Figure) -> list[Area]:
    made = picture.prepare(figure.image, figure.lines)
    return find_areas(made, texts.tokens(made.lines))


def below_each_other(upper: Figure, lower: Figure) -> Figure:
    upper.image = np.minimum(upper.image, lower.image)
    upper.lines = upper.lines + lower.lines
    return upper


def test_panels_above_each_other_are_two_though_their_frames_end_alike() -> None:
    upper = Figure(height=800, area=(80, 30, 600, 330), y=(-20, 40)).frame().y_axis([-20, 0, 20, 40])
    lower = Figure(height=800, area=(80, 430, 600, 730), y=(5, 6)).frame().y_axis([5, 5.5, 6])
    for figure in (upper, lower):
        figure.x_axis([0, 3, 6, 9.9])
    found = [tuple(round(edge) for edge in area.box) for area in areas_of(below_each_other(upper, lower))]
    assert found == [(80, 30, 600, 330), (80, 430, 600, 730)]


def test_grids_of_panels_above_each_other_are_not_one() -> None:
    upper = Figure(height=800, area=(80, 30, 600, 330)).x_axis([0, 2, 4, 6, 8, 10]).y_axis([0, 25, 50, 75, 100])
    lower = Figure(height=800, area=(80, 430, 600, 730)).x_axis([0, 2, 4, 6, 8, 10]).y_axis([0, 25, 50, 75, 100])
    for figure in (upper, lower):
        figure.grid([0, 2, 4, 6, 8, 10], [0, 25, 50, 75, 100])
    assert len(areas_of(below_each_other(upper, lower))) == 2


def test_a_grid_line_past_which_the_spine_goes_on_is_no_top() -> None:
    figure = Figure(y=(0, 100)).frame("lb").x_axis([0, 5, 10]).y_axis([0, 25, 50, 75])
    figure.grid([], [25, 50, 75])
    area = areas_of(figure)[0]
    assert area.y0 <= 32
    assert not area.top


def test_an_area_may_reach_the_lowest_label_of_an_even_column_where_no_line_is_drawn() -> None:
    figure = Figure().y_axis([0, 25, 50, 75, 100])
    lines = [figure.py(value) for value in (25, 50, 75, 100)]
    found = list(areas._above_line(80, 600, lines, texts.tokens(figure.lines)))
    assert [round(y1) for *_, y1 in found] == [round(figure.py(25)), round(figure.py(0))]


def test_a_plateau_of_a_curve_is_no_axis() -> None:
    figure = Figure().frame("b")
    cv2.line(figure.image, (80, 350), (240, 350), BLUE, 3)
    plateau, spine = sorted(picture.prepare(figure.image, []).horizontals, key=lambda stroke: stroke.at)
    assert plateau.tinted
    assert not spine.tinted


def test_labels_of_four_panels_without_a_line_around_them_span_none() -> None:
    figure = Figure(width=1000, height=800, area=(80, 30, 450, 330))
    for x0 in (80, 580):
        for y0 in (30, 430):
            part = Figure(width=1000, height=800, area=(x0, y0, x0 + 370, y0 + 300))
            part.frame("lb")
            for value in (20, 40, 60, 80):  # turned numbers, as R draws them
                at = part.py(value)
                part.lines.append(Line(f"{value}", (x0 - 30.0, at - 12, x0 - 14.0, at + 12), 0.98))
            for value in (2, 4, 6, 8):
                part.text(f"{value}", part.px(value), y0 + 320)
            figure = below_each_other(figure, part)
    assert len(areas_of(figure)) == 4


def test_an_area_begins_where_its_row_of_numbers_does_and_not_at_the_first_grid_line_that_is_seen() -> None:
    figure = Figure(x=(0, 100), y=(-0.5, 2.5)).grid([40, 60, 80, 100], [])
    for index in range(3):
        figure.lying_bar(index, 30, width=0.98)
        figure.text(("Cat", "Dog", "Fox")[index], 68, figure.py(index), anchor=1.0)
    for value in (0, 20, 40, 60, 80, 100):
        figure.text(f"{value}", figure.px(value), 438)
    (area,) = areas_of(figure)
    assert abs(area.x0 - 80) <= 4


def test_a_grid_line_above_the_values_of_bars_is_not_the_bottom() -> None:
    """The column of numbers goes on below it, and the values at the bars stand in no row as tick labels do."""
    figure = Figure(x=(-0.5, 5.5)).frame("b").y_axis([0, 20, 40, 60, 80, 100]).grid([], [60, 80, 100])
    for index, (name, value) in enumerate(zip("ABCDEF", (57, 50, 54, 49, 56, 52), strict=True)):
        figure.bar(index, 0, value, 0.5, BLUE)
        figure.text(str(value), figure.px(index), figure.py(value) - 10)
        figure.text(f"Kind {name}", figure.px(index), 438)
    (area,) = areas_of(figure)
    assert round(area.y1) == 420
