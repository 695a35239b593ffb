"""The reader end to end on drawn charts: each kind is read, each doubt is an abstention, no image breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from llava_graph.chart import ABSTENTION_REASONS, Chart, Fact, Panel, Series, from_json, to_json
from llava_graph.ocr import Line
from ocr_worker.charts import (
    REVISION,
    Deadline,
    bar_panel,
    broken_axes,
    colours,
    kinds,
    lines,
    picture,
    read_chart,
    scatter,
)
from ocr_worker.charts.areas import Area
from ocr_worker.charts.tracing import Trace
from tests.unit.ocr_worker.charts.drawing import BLACK, BLUE, GREEN, ORANGE, RED, Figure


def read(figure: Figure) -> Chart:
    return read_chart(figure.image, figure.lines, Deadline(60))


def only(chart: Chart) -> Panel:
    (panel,) = chart.panels
    return panel


def claimed(panel: Panel) -> dict[str | None, Series]:
    return {series.name: series for series in panel.series if series.abstained is None}


def fact(series: Series, kind: str) -> Fact:
    (found,) = [f for f in series.facts if f.kind == kind]
    return found


# Kinds that are read


def test_two_curves_are_read_with_their_names_and_facts() -> None:
    figure = Figure().axes().curve(lambda x: 10 + 7 * x, BLUE).curve(lambda x: 60 - 4 * x, ORANGE)
    panel = only(read(figure.legend(["Up", "Down"], [BLUE, ORANGE], x=100, y=60)))
    series = claimed(panel)
    assert panel.kind == "line"
    assert set(series) == {"Up", "Down"}
    assert fact(series["Up"], "trend").text == "rises"
    assert fact(series["Up"], "last").y == pytest.approx(80, abs=2)
    assert fact(series["Down"], "first").y == pytest.approx(60, abs=2)
    assert fact(series["Up"], "crossing").x == pytest.approx(4.5, abs=0.2)


def test_points_of_a_curve_lie_on_it_in_pixels_and_in_axis_units() -> None:
    figure = Figure().axes().curve(lambda x: 50 + 30 * np.sin(x), BLUE)
    (series,) = only(read(figure)).series
    assert len(series.points) > 30
    for point in series.points:
        assert isinstance(point.x, float)
        assert point.y == pytest.approx(50 + 30 * np.sin(point.x), abs=2)
        assert (point.px, point.py) == pytest.approx((figure.px(point.x), figure.py(point.y)), abs=1.5)


def test_a_dashed_curve_with_markers_on_a_grid_is_read() -> None:
    figure = Figure().grid([2, 4, 6, 8], [20, 40, 60, 80]).axes().curve(lambda x: 80 - 6 * x, RED, dash=8, marker=5)
    (series,) = only(read(figure)).series
    assert series.abstained is None
    assert fact(series, "trend").text == "falls"


def test_values_on_a_logarithmic_axis_are_read() -> None:
    figure = Figure(y=(1, 1000), log_y=True).frame().x_axis([0, 2, 4, 6, 8, 10]).y_axis([1, 10, 100, 1000])
    (series,) = only(read(figure.curve(lambda x: 2 * 10 ** (x / 5), BLUE))).series
    assert fact(series, "last").y == pytest.approx(200, rel=0.06)


def test_a_curve_over_categories_has_their_names_as_x() -> None:
    figure = (
        Figure(x=(-0.5, 3.5)).frame().y_axis([0, 25, 50, 75, 100]).x_axis([0, 1, 2, 3], ["Mon", "Tue", "Wed", "Thu"])
    )
    panel = only(read(figure.curve(lambda x: 20 + 20 * x, BLUE, start=0, end=3)))
    assert panel.x.scale == "category"
    assert {p.x: round(p.y) for p in panel.series[0].points} == pytest.approx(
        {"Mon": 20, "Tue": 40, "Wed": 60, "Thu": 80}, abs=2
    )


def test_two_panels_are_read_each_with_its_own_axes() -> None:
    left = Figure(width=1000, area=(80, 30, 450, 420)).axes().curve(lambda x: 10 * x, BLUE)
    right = Figure(width=1000, area=(580, 30, 950, 420), y=(0, 1)).axes().curve(lambda x: 1 - x / 10, BLUE)
    right.image = np.minimum(left.image, right.image)
    right.lines = left.lines + right.lines
    first, second = read(right).panels
    assert fact(first.series[0], "trend").text == "rises"
    assert fact(second.series[0], "first").y == pytest.approx(1, abs=0.02)


def bars(values: list[float], names: list[str]) -> Figure:
    figure = Figure(x=(-0.5, len(values) - 0.5)).frame("lb").y_axis([0, 20, 40, 60, 80, 100])
    figure.x_axis(range(len(values)), names)
    for index, value in enumerate(values):
        figure.bar(index, 0, value)
    return figure


def test_bars_are_bound_to_their_categories() -> None:
    panel = only(read(bars([30, 75, 52], ["Red", "Green", "Blue"])))
    assert panel.kind == "bar"
    assert panel.x.categories == ("Red", "Green", "Blue")
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx({"Red": 30, "Green": 75, "Blue": 52}, abs=1)


def test_names_that_ocr_joined_are_read_again_below_their_bars() -> None:
    figure = bars([30, 75, 52, 40], ["Mar", "Apr", "May", "Jun"]).frame("b")
    names = [line for line in figure.lines if line.text in ("Mar", "Apr", "May", "Jun")]
    for line in names:
        x0, y0, x1, y1 = (round(edge) for edge in line.box)
        figure.image[y0 + 3 : y1 - 3, x0 + 1 : x1 - 1 : 2] = 70
    joined = Line("MarAprMayJun", (names[0].box[0], names[0].box[1], names[-1].box[2], names[-1].box[3]), 0.97)
    figure.lines = [line for line in figure.lines if line not in names] + [joined]

    def reread(crops: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[str, float]]:
        assert all(crop.shape[1] < 60 for crop in crops)
        return [(text, 0.99) for text, _ in zip(("Mar", "Apr", "May", "Jun"), crops, strict=True)]

    panel = only(read_chart(figure.image, figure.lines, Deadline(60), reread))
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx(
        {"Mar": 30, "Apr": 75, "May": 52, "Jun": 40}, abs=1
    )
    assert nothing_claimed(read(figure)) == {"axis_not_calibrated"}
    # What is read again must be what was read before.
    unlike = read_chart(
        figure.image, figure.lines, Deadline(60), lambda crops: [(f"x{k}", 0.9) for k, _ in enumerate(crops)]
    )
    assert nothing_claimed(unlike) == {"axis_not_calibrated"}


def test_bars_that_lie_are_read_along_x() -> None:
    figure = Figure(x=(0, 100), y=(-0.5, 2.5)).frame("lb").x_axis([0, 20, 40, 60, 80, 100])
    figure.y_axis([0, 1, 2], ["Cat", "Dog", "Fox"])
    for index, value in enumerate((20, 90, 55)):
        figure.lying_bar(index, value)
    panel = only(read(figure))
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx({"Cat": 20, "Dog": 90, "Fox": 55}, abs=1)


def test_grid_lines_drawn_over_bars_do_not_cut_them() -> None:
    figure = bars([30, 75, 52, 90], ["Red", "Green", "Blue", "Grey"])
    for value in (20, 40, 60, 80):
        at = round(figure.py(value))
        figure.image[at, 82:600:3] = 240
        figure.image[at, 83:600:3] = 240
    panel = only(read(figure))
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx(
        {"Red": 30, "Green": 75, "Blue": 52, "Grey": 90}, abs=1
    )


def test_turned_names_that_ocr_read_in_pieces_are_read_again() -> None:
    figure = Figure(x=(-0.5, 2.5), height=560).frame("lb").y_axis([0, 20, 40, 60, 80, 100])
    for index, value in enumerate((30, 75, 52)):
        figure.bar(index, 0, value)
        at = round(figure.px(index))
        figure.image[430:520:2, at - 5 : at + 5] = 60
        figure.lines += [
            Line("alpha", (at - 8.0, 470.0, at + 8.0, 522.0), 0.9),
            Line("5", (at - 8.0, 428.0, at + 8.0, 444.0), 0.9),
        ]

    def reread(crops: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[str, float]]:
        assert all(crop.shape[1] > 4 * crop.shape[0] for crop in crops)  # turned to be read
        return [(f"alpha = {index}5", 0.99) for index, _ in enumerate(crops)]

    panel = only(read_chart(figure.image, figure.lines, Deadline(60), reread))
    assert panel.x.categories == ("alpha = 05", "alpha = 15", "alpha = 25")


def test_slanted_names_are_not_taken_for_joined_ones() -> None:
    figure = bars([30, 75, 52], ["", "", ""])
    figure.lines = [line for line in figure.lines if line.text]
    for index, name in enumerate(("Apples", "Pears", "Plums")):
        at = figure.px(index)
        figure.image[440:500:2, round(at) - 40 : round(at) + 5] = 60
        figure.lines.append(Line(name, (at - 230.0, 428.0, at + 5.0, 600.0), 0.9))

    def reread(crops: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[str, float]]:
        return [(f"/{index}", 0.9) for index, _ in enumerate(crops)]

    panel = only(read_chart(figure.image, figure.lines, Deadline(60), reread))
    assert not set(panel.x.categories) & {"/0", "/1", "/2"}


def test_pale_colours_of_stacked_bars_are_not_taken_for_each_other() -> None:
    grey, pale = (199, 199, 199), (174, 199, 232)
    figure = Figure(x=(-0.5, 2.5)).frame("lb").y_axis([0, 20, 40, 60, 80, 100]).x_axis([0, 1, 2], ["A1", "B2", "C3"])
    for index, (one, two) in enumerate(((60, 20), (50, 25), (45, 30))):
        figure.bar(index, 0, one, 0.6, grey).bar(index, one, one + two, 0.6, pale)
    panel = only(read(figure.legend(["Fog", "Rain"], [grey, pale], x=100, y=50, kind="patch")))
    assert [p.y for p in claimed(panel)["Fog"].points] == pytest.approx([60, 50, 45], abs=1.5)
    assert [p.y for p in claimed(panel)["Rain"].points] == pytest.approx([20, 25, 30], abs=1.5)


def test_grouped_bars_have_a_series_for_each_colour() -> None:
    figure = Figure(x=(-0.5, 2.5)).frame("lb").y_axis([0, 20, 40, 60, 80, 100]).x_axis([0, 1, 2], ["A1", "B2", "C3"])
    for index, (one, two) in enumerate(((30, 50), (60, 20), (45, 80))):
        figure.bar(index - 0.2, 0, one, 0.36, BLUE).bar(index + 0.2, 0, two, 0.36, ORANGE)
    panel = only(read(figure.legend(["One", "Two"], [BLUE, ORANGE], x=100, y=50, kind="patch")))
    assert panel.kind == "grouped_bar"
    assert [p.y for p in claimed(panel)["Two"].points] == pytest.approx([50, 20, 80], abs=1)


def test_parts_of_stacked_bars_have_their_own_heights() -> None:
    figure = Figure(x=(-0.5, 2.5)).frame("lb").y_axis([0, 20, 40, 60, 80, 100]).x_axis([0, 1, 2], ["A1", "B2", "C3"])
    for index, (one, two) in enumerate(((30, 20), (20, 40), (45, 10))):
        figure.bar(index, 0, one, 0.6, BLUE).bar(index, one, one + two, 0.6, ORANGE)
    panel = only(read(figure.legend(["One", "Two"], [BLUE, ORANGE], x=100, y=50, kind="patch")))
    assert panel.kind == "stacked_bar"
    assert [p.y for p in claimed(panel)["Two"].points] == pytest.approx([20, 40, 10], abs=1.5)


def test_printed_values_are_taken_where_they_agree_with_the_lengths() -> None:
    figure = bars([30, 75, 52], ["Red", "Green", "Blue"])
    for index, (value, text) in enumerate(((30, "30.4"), (75, "75.1"), (52, "51.8"))):
        figure.text(text, figure.px(index), figure.py(value) - 12)
    (series,) = only(read(figure)).series
    assert series.values_printed
    assert [p.y for p in series.points] == [30.4, 75.1, 51.8]


def test_bars_without_an_axis_are_read_from_their_printed_values() -> None:
    figure = Figure(x=(-0.5, 3.5)).frame("b").x_axis([0, 1, 2, 3], ["Red", "Green", "Blue", "Grey"])
    figure.y_axis([0, 50])
    for index, value in enumerate((30, 75, 52, 90)):
        figure.bar(index, 0, value)
        figure.text(str(value), figure.px(index), figure.py(value) - 12)
    panels = [panel for panel in read(figure).panels if claimed(panel)]
    for panel in panels:
        assert [p.y for p in panel.series[0].points] == [30, 75, 52, 90]


def test_points_of_a_scatter_chart_are_read_where_they_can_be_told_apart() -> None:
    rng = np.random.default_rng(4)
    xs = np.linspace(0.5, 9.5, 25)
    ys = 20 + 6 * xs + rng.normal(0, 8, 25)
    panel = only(read(Figure().axes().points(xs.tolist(), ys.tolist())))
    (series,) = panel.series
    assert panel.kind == "scatter"
    assert sorted(p.y for p in series.points) == pytest.approx(sorted(ys.tolist()), abs=1)
    assert fact(series, "correlation").y == pytest.approx(float(np.corrcoef(xs, ys)[0, 1]), abs=0.03)


def test_a_cloud_whose_points_overlap_is_told_by_its_lean_and_its_ranges() -> None:
    rng = np.random.default_rng(5)
    xs = rng.uniform(1, 9, 120)
    ys = 50 + 4 * (xs - 5) + rng.normal(0, 6, 120)
    (series,) = only(read(Figure().axes().points(xs.tolist(), ys.tolist(), radius=6))).series
    assert {f.kind for f in series.facts} == {"trend", "correlation", "x_range", "y_range"}
    assert fact(series, "trend").text == "rises"
    assert fact(series, "correlation").y == pytest.approx(float(np.corrcoef(xs, ys)[0, 1]), abs=0.1)
    assert fact(series, "x_range").x == pytest.approx(float(xs.min()), abs=0.2)


@pytest.mark.parametrize(("apart", "highest"), [(12.0, ["Up"]), (4.0, [])], ids=["far", "near"])
def test_highest_of_clouds_that_overlap_is_told_where_it_lies_clearly_above_the_other(
    apart: float, highest: list[str]
) -> None:
    rng = np.random.default_rng(6)
    figure = Figure().axes()
    for colour, middle in ((BLUE, 45.0 - apart / 2), (ORANGE, 45.0 + apart / 2)):
        xs = rng.uniform(0.5, 9.5, 90)
        figure.points(xs.tolist(), (middle + rng.normal(0, 7, 90)).tolist(), colour, radius=5)
    panel = only(read(figure.legend(["Low", "Up"], [BLUE, ORANGE], kind="marker")))
    assert {series.name for series in panel.series} == {"Low", "Up"}
    assert all(not series.abstained for series in panel.series)
    assert [s.name for s in panel.series for f in s.facts if f.kind == "highest_overall"] == highest


def test_a_cloud_of_which_few_points_stand_alone_is_told_by_its_ink() -> None:
    rng = np.random.default_rng(8)
    xs = rng.uniform(1, 9, 70)
    ys = 50 + 4 * (xs - 5) + rng.normal(0, 5, 70)
    (series,) = only(read(Figure().axes().points(xs.tolist(), ys.tolist(), radius=8))).series
    assert len(series.points) < scatter.LEAST_FOR_CLOUD
    assert fact(series, "trend").text == "rises"
    assert fact(series, "x_range").y == pytest.approx(float(xs.max()), abs=0.2)


def test_what_is_smaller_than_any_part_of_a_marker_is_no_part_of_a_cloud() -> None:
    rng = np.random.default_rng(5)
    xs = rng.uniform(3, 7, 120)
    ys = rng.uniform(30, 60, 120)
    figure = Figure().axes().points(xs.tolist(), ys.tolist(), radius=6).points([9.0], [90.0], radius=1)
    (series,) = only(read(figure)).series
    assert fact(series, "y_range").y == pytest.approx(float(ys.max()), abs=2)


def test_few_points_of_which_some_lie_in_a_heap_are_not_claimed() -> None:
    xs = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, *(8 + 0.06 * i for i in range(10))]
    ys = [20.0, 30.0, 25.0, 40.0, 35.0, 50.0, *(60 + (7 * i) % 5 for i in range(10))]
    (series,) = only(read(Figure().axes().points(xs, ys, radius=6))).series
    assert series.abstained == "points_overlap"
    assert not series.points


def test_a_cloud_without_single_points_is_no_curve() -> None:
    rng = np.random.default_rng(5)
    xs = rng.uniform(1, 9, 800)
    ys = 50 + 4 * (xs - 5) + rng.normal(0, 6, 800)
    assert nothing_claimed(read(Figure().axes().points(xs.tolist(), ys.tolist(), radius=6)))


# Reasons to abstain


def nothing_claimed(chart: Chart) -> set[str]:
    assert not chart.claims
    reasons = {
        chart.abstained,
        *(p.abstained for p in chart.panels),
        *(s.abstained for p in chart.panels for s in p.series),
    }
    found = {reason for reason in reasons if reason is not None}
    assert found <= set(ABSTENTION_REASONS)
    return found


def test_a_page_without_axes_is_abstained_from() -> None:
    figure = Figure()
    cv2.circle(figure.image, (300, 200), 120, BLUE, -1)
    assert nothing_claimed(read(figure)) == {"no_axes"}


def test_an_axis_without_three_labels_that_agree_costs_the_panel() -> None:
    figure = Figure().frame().x_axis([0, 5, 10]).y_axis([0, 100], ["low 1", "high 9"]).curve(lambda x: 9 * x, BLUE)
    assert nothing_claimed(read(figure)) == {"axis_not_calibrated"}


def test_numbers_in_order_that_no_line_and_no_logarithm_fits_are_of_another_scale() -> None:
    squares = ["0", "1", "4", "9", "16", "25"]
    figure = Figure().frame().x_axis([0, 5, 10]).y_axis([0, 20, 40, 60, 80, 100], squares)
    assert nothing_claimed(read(figure.curve(lambda x: 9 * x, BLUE))) == {"unsupported_scale"}


def test_two_value_axes_are_abstained_from() -> None:
    figure = Figure().axes().y_axis([0, 20, 40, 60, 80, 100], ["0", "1", "2", "3", "4", "5"], side="right")
    assert nothing_claimed(read(figure.curve(lambda x: 9 * x, BLUE))) == {"twin_axes"}


def test_an_interrupted_spine_is_a_broken_axis() -> None:
    figure = Figure().axes().curve(lambda x: 5 * x + 40, BLUE)
    figure.image[330:344, 76:85] = 255
    assert nothing_claimed(read(figure)) == {"broken_axis"}


def test_a_spine_that_ends_below_the_top_of_its_area_may_be_interrupted() -> None:
    figure = Figure(area=(80, 30, 600, 420)).frame("l")
    figure.image[330:344, 76:85] = 255
    seen = picture.prepare(figure.image, [])
    assert broken_axes.spine_interrupted(seen, Area(80, 16, 600, 420))
    assert not broken_axes.spine_interrupted(seen, Area(80, -40 + 30, 600, 700))  # so short a line is no spine of it


def test_an_area_with_ticks_is_believed_though_ocr_took_its_labels_for_one_text() -> None:
    figure = Figure().frame().y_axis([0, 20, 40, 60, 80, 100]).curve(lambda x: 10 + 7 * x, BLUE)
    figure.x_axis([0, 2, 4, 6, 8, 10], ["" for _ in range(6)])
    figure.lines = [line for line in figure.lines if line.text]
    figure.lines.append(Line("2018-02018-0Z018-0", (80, 430, 600, 446), 0.6))
    (series,) = only(read(figure)).series
    assert fact(series, "trend").text == "rises"
    assert fact(series, "last").y == pytest.approx(80, abs=1)


def test_a_dashed_grid_line_at_the_left_is_no_interrupted_spine() -> None:
    figure = Figure().axes().curve(lambda x: 20 + 5 * x)
    for start in range(40, 410, 18):
        figure.image[start : start + 6, 78:83] = 255
    assert not broken_axes.spine_interrupted(picture.prepare(figure.image, []), Area(80, 30, 600, 420))


def test_a_spine_that_begins_anew_above_an_area_is_a_broken_axis() -> None:
    figure = Figure().frame("b").x_axis([0, 2, 4, 6, 8, 10])
    figure.image[150:420, 80] = figure.image[30:120, 80] = 0
    seen = picture.prepare(figure.image, [])
    area = Area(80, 150, 600, 420, left=True, bottom=True)
    assert broken_axes.spine_resumed(seen, area, [])
    figure.image[120, 80:600] = 0  # the bottom of another panel
    assert not broken_axes.spine_resumed(picture.prepare(figure.image, []), area, [])


def test_areas_above_each_other_without_labels_between_are_one_broken_axis() -> None:
    upper = Figure(height=480, x=(-0.5, 2.5), y=(400, 550), area=(80, 30, 600, 200)).frame("l")
    upper.y_axis([400, 450, 500, 550])
    lower = Figure(height=480, x=(-0.5, 2.5), y=(0, 50), area=(80, 214, 600, 420)).frame("lb")
    lower.y_axis([0, 10, 20, 30, 40, 50]).x_axis([0, 1, 2], ["a1", "b2", "c3"])
    for index, value in enumerate((10, 30, 500)):
        lower.bar(index, 0, min(value, 50))
        if value > 50:
            upper.bar(index, 400, value)
        else:
            lower.text(str(value), lower.px(index), lower.py(value) - 12)
    lower.image = np.minimum(upper.image, lower.image)
    lower.lines += upper.lines
    assert nothing_claimed(read(lower)) == {"broken_axis"}


def test_each_of_two_panels_may_have_a_legend_of_its_own() -> None:
    left = Figure(width=1200, height=560, area=(80, 130, 500, 500)).axes()
    left.curve(lambda x: 10 * x, BLUE).curve(lambda x: 90 - 5 * x, ORANGE)
    left.legend(["Up", "Down"], [BLUE, ORANGE], x=200, y=60)
    right = Figure(width=1200, height=560, area=(620, 130, 1000, 500)).axes()
    right.curve(lambda x: 20 + x, BLUE).curve(lambda x: 60 - x, ORANGE).curve(lambda x: 80 + x, GREEN)
    right.legend(["One", "Two", "Three"], [BLUE, ORANGE, GREEN], x=1020, y=150)
    left.image = np.minimum(left.image, right.image)
    left.lines += right.lines
    first, second = read(left).panels
    assert set(claimed(first)) == {"Up", "Down"}
    assert set(claimed(second)) == {"One", "Two", "Three"}


def test_dashes_of_one_colour_are_not_told_apart() -> None:
    figure = Figure().axes().curve(lambda x: 9 * x, BLACK).curve(lambda x: 80 - 7 * x, BLACK, dash=8)
    figure.legend(["Solid", "Dashed"], [BLACK, BLACK], x=250, y=60)
    assert nothing_claimed(read(figure)) & {"same_colour_dashes", "same_colour_series"}


def test_two_unnamed_curves_of_one_colour_are_not_claimed() -> None:
    figure = Figure().axes().curve(lambda x: 20 + x, BLUE).curve(lambda x: 80 - x, BLUE)
    assert nothing_claimed(read(figure)) == {"same_colour_series"}


def test_more_series_than_are_read_are_abstained_from() -> None:
    figure = Figure(height=700, area=(80, 30, 600, 620)).axes()
    colours = [(int(c[0]), int(c[1]), int(c[2])) for c in np.random.default_rng(1).integers(0, 220, (12, 3))]
    for index, colour in enumerate(colours):
        figure.curve(lambda x, index=index: np.full_like(x, 5.0 + 7 * index), colour)
    figure.legend([f"run {i}" for i in range(12)], colours, x=460, y=60)
    assert nothing_claimed(read(figure)) & {"too_many_series", "unexplained_ink"}


def test_a_filled_area_is_of_no_kind_that_is_read() -> None:
    figure = Figure().axes()
    xs = np.linspace(0, 10, 80)
    top = [(figure.px(x), figure.py(50 + 20 * np.sin(x))) for x in xs]
    outline = np.array([*top, (figure.px(10), figure.py(0)), (figure.px(0), figure.py(0))]).round().astype(np.int32)
    cv2.fillPoly(figure.image, [outline], BLUE)
    assert nothing_claimed(read(figure)) <= {"kind_not_read", "kind_unknown"}


def test_boxes_that_float_are_no_bars() -> None:
    figure = Figure(x=(-0.5, 3.5)).axes()
    for index, (low, high) in enumerate(((20, 50), (33, 71), (12, 44), (60, 90))):
        figure.bar(index, low, high, 0.5)
    assert nothing_claimed(read(figure)) <= {"kind_not_read", "kind_unknown"}


def test_bars_between_the_numbers_of_an_axis_are_a_histogram() -> None:
    figure = Figure(x=(0, 10)).frame("lb").y_axis([0, 20, 40, 60, 80, 100]).x_axis([0, 2, 4, 6, 8, 10])
    for index, value in enumerate((5, 20, 45, 80, 95, 70, 40, 22, 8, 3)):
        figure.bar(index + 0.5, 0, value, 0.9)
    assert nothing_claimed(read(figure)) == {"kind_not_read"}


def test_bars_whose_printed_values_disagree_are_not_claimed() -> None:
    figure = bars([30, 75, 52, 44], ["Red", "Green", "Blue", "Grey"])
    for index, (value, text) in enumerate(((30, "30"), (75, "75"), (52, "95"), (44, "12"))):
        figure.text(text, figure.px(index), figure.py(value) - 12)
    assert nothing_claimed(read(figure)) == {"values_disagree"}


def test_a_colour_that_the_legend_does_not_name_is_not_claimed() -> None:
    figure = (
        Figure().axes().curve(lambda x: 9 * x, BLUE).curve(lambda x: 60 - 3 * x, ORANGE).curve(lambda x: 30 + x, GREEN)
    )
    panel = only(read(figure.legend(["Up", "Down"], [BLUE, ORANGE], x=100, y=50)))
    assert set(claimed(panel)) == {"Up", "Down"}
    assert [s.abstained for s in panel.series if s.name is None] == ["unnamed_series"]


@pytest.mark.parametrize("made", [(143, 123, 97), (80, 120, 143)], ids=["of two", "of one"])
def test_a_colour_that_others_make_at_their_edges_is_no_series_that_was_not_read(made: tuple[int, int, int]) -> None:
    figure = Figure().axes().curve(lambda x: 9 * x, BLUE).curve(lambda x: 60 - 3 * x, ORANGE)
    figure.curve(lambda x: 80 - x, made, start=3, end=7)
    panel = only(read(figure.legend(["Up", "Down"], [BLUE, ORANGE], x=100, y=50)))
    assert [series.name for series in panel.series] == ["Up", "Down"]
    assert not any(series.abstained for series in panel.series)


def test_a_pale_blend_is_made_of_two_colours_and_a_third_hue_of_none() -> None:
    white, blue, orange, blend, red = (
        np.array(c, np.float32) for c in ((255, 255, 255), BLUE, ORANGE, (199, 189, 176), RED)
    )
    assert colours.is_made_of(blend, [blue, orange], white)
    assert not colours.is_made_of(red, [blue, orange], white)


def test_much_ink_that_no_series_explains_costs_the_panel() -> None:
    figure = Figure().axes().curve(lambda x: 9 * x, BLUE).legend(["Up"], [BLUE], x=100, y=50)
    rng = np.random.default_rng(2)
    block = rng.integers(0, 160, (150, 250, 3)).astype(np.uint8)
    figure.image[240:390, 320:570] = block
    assert nothing_claimed(read(figure))


def test_a_curve_that_is_half_missing_is_not_claimed() -> None:
    figure = Figure().axes().curve(lambda x: 9 * x, BLUE, end=3).curve(lambda x: 9 * x, BLUE, start=7)
    assert nothing_claimed(read(figure)) == {"low_coverage"}


def test_a_curve_that_is_not_found_again_where_it_was_traced_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracing is made to go astray, since the check is there for errors of it that are not known."""
    real = lines.trace

    def astray(*arguments: Any) -> Trace:
        traced = real(*arguments)
        return replace(traced, heights=traced.heights + 12)

    figure = Figure().axes().curve(lambda x: 20 + 5 * x, BLUE)
    assert claimed(only(read(figure)))
    monkeypatch.setattr(lines, "trace", astray)
    assert nothing_claimed(read(figure)) == {"redrawing_differs"}


def test_an_end_is_not_claimed_where_ink_goes_on_past_the_area() -> None:
    figure = Figure(width=760).axes().curve(lambda x: 20 + 5 * x, BLUE)
    cv2.line(figure.image, (600, round(figure.py(70))), (640, round(figure.py(72))), BLUE, 2)
    (series,) = only(read(figure)).series
    assert not series.last_known
    assert "last" not in {f.kind for f in series.facts}


def test_a_thumbnail_is_too_small() -> None:
    assert nothing_claimed(read_chart(np.full((60, 90, 3), 255, np.uint8), [])) == {"low_resolution"}


def test_past_the_deadline_nothing_is_claimed() -> None:
    figure = Figure().axes().curve(lambda x: 9 * x, BLUE)
    for budget in range(0, 12, 2):
        ticks = iter(range(10_000))
        chart = read_chart(figure.image, figure.lines, Deadline(budget + 0.5, lambda ticks=ticks: float(next(ticks))))
        assert chart.abstained == "deadline" or chart.claims


def test_curves_that_were_traced_before_the_deadline_are_claimed() -> None:
    colours = [BLUE, ORANGE, GREEN, RED]
    figure = Figure().axes().legend(["one", "two", "three", "four"], colours, x=470, y=60)
    for index, colour in enumerate(colours):
        figure.curve(lambda x, index=index: 20 + 15 * index + 0 * x, colour, end=7)
    asked = 0

    def clock() -> float:
        nonlocal asked
        asked += 1
        return float(asked)

    read_chart(figure.image, figure.lines, Deadline(1e6, clock))
    some = read_chart(figure.image, figure.lines, Deadline(asked - 3, clock))
    reasons = [series.abstained for series in only(some).series]
    assert None in reasons
    assert "deadline" in reasons


def test_a_curve_over_an_axis_that_is_not_read_is_told_by_its_heights() -> None:
    figure = Figure().frame().y_axis([0, 25, 50, 75, 100]).x_axis([2, 8], ["May 03", "Oct 9"])
    panel = only(read(figure.curve(lambda x: 20 + 6 * x, BLUE)))
    (series,) = panel.series
    assert panel.x.scale is None
    assert fact(series, "trend").text == "rises"
    assert fact(series, "last").y == pytest.approx(80, abs=1)
    assert fact(series, "last").x is None
    assert series.points[0].x == "0 % of the width"


def test_a_curve_between_the_names_of_its_axis_is_told_by_its_heights() -> None:
    figure = Figure(x=(0, 10)).frame().y_axis([0, 25, 50, 75, 100]).x_axis([2, 5, 8], ["May", "June", "July"])
    panel = only(read(figure.curve(lambda x: 90 - 6 * x, BLUE)))
    assert panel.x.scale is None
    assert fact(panel.series[0], "first").y == pytest.approx(90, abs=1)


def test_grid_lines_behind_a_legend_are_no_unexplained_ink() -> None:
    figure = Figure().axes().grid([2, 4, 6, 8], [20, 40, 60, 80], (176, 176, 176))
    figure.image[45:200, 400:575] = 255
    figure.curve(lambda x: 5 + x, BLUE).legend(["Slow"], [BLUE], x=420, y=70)
    (series,) = only(read(figure)).series
    assert fact(series, "last").y == pytest.approx(15, abs=1)


@pytest.mark.parametrize(
    ("width", "dash", "gap"), [(6, 1, 0), (6, 18, 11), (3, 3, 5)], ids=["thick", "dashed", "dotted"]
)
def test_thick_and_interrupted_grid_lines_are_no_unexplained_ink(width: int, dash: int, gap: int) -> None:
    figure = Figure().axes()
    x0, y0, x1, y1 = figure.area
    grey = (176, 176, 176)
    for at in (round(figure.px(value)) for value in (2, 4, 6, 8)):
        for start in range(y0 + 2, y1 - dash, dash + gap):
            cv2.rectangle(figure.image, (at, start), (at + width - 1, start + dash - 1), grey, -1)
    for at in (round(figure.py(value)) for value in (20, 40, 60, 80)):
        for start in range(x0 + 2, x1 - dash, dash + gap):
            cv2.rectangle(figure.image, (start, at), (start + dash - 1, at + width - 1), grey, -1)
    (series,) = only(read(figure.curve(lambda x: 10 + 8 * x, BLUE))).series
    assert fact(series, "last").y == pytest.approx(90, abs=2)


def test_a_curve_in_a_band_of_its_own_hue_is_read() -> None:
    figure = Figure()
    corners = [(figure.px(0), figure.py(5)), (figure.px(10), figure.py(45))]
    corners += [(figure.px(10), figure.py(95)), (figure.px(0), figure.py(55))]
    cv2.fillPoly(figure.image, [np.round(corners).astype(np.int32)], (255, 229, 207))
    (series,) = only(read(figure.curve(lambda x: 30 + 4 * x, ORANGE).axes())).series
    assert fact(series, "last").y == pytest.approx(70, abs=1)


def test_pastels_of_neighbouring_hues_are_told_apart() -> None:
    one, two = (233, 196, 106), (244, 162, 97)
    figure = Figure().axes().curve(lambda x: 20 + 5 * x, one).curve(lambda x: 90 - 2 * x, two)
    found = claimed(only(read(figure.legend(["South", "Centre"], [one, two], x=100, y=340))))
    assert fact(found["South"], "last").y == pytest.approx(70, abs=1)
    assert fact(found["Centre"], "last").y == pytest.approx(70, abs=1)


def test_a_last_step_within_the_border_costs_the_end_and_the_extremes() -> None:
    figure = Figure().axes().curve(lambda x: 60 + x, BLUE)
    assert {f.kind for f in only(read(figure)).series[0].facts} >= {"last", "minimum"}
    figure.image[round(figure.py(70)) : round(figure.py(25)), 601:603] = BLUE
    (series,) = only(read(figure)).series
    assert not {f.kind for f in series.facts} & {"last", "minimum"}


def test_a_curve_that_rises_below_its_legend_has_no_known_end() -> None:
    figure = Figure().axes().curve(lambda x: 10 + 12 * np.maximum(x - 3, 0), BLUE, end=10)
    figure.image[32:210, 440:598] = 255
    figure.curve(lambda x: 5 + 0 * x, ORANGE, end=8).legend(["Up", "Flat"], [BLUE, ORANGE], x=450, y=60)
    figure.legend(["Up", "Flat", "Other"], [BLUE, ORANGE, GREEN], x=450, y=110)
    figure.lines = figure.lines[:-5] + figure.lines[-3:]
    for series in only(read(figure)).series:
        assert series.abstained or series.name != "Up" or not series.last_known


def test_a_jagged_end_costs_its_value_and_nothing_else() -> None:
    figure = Figure().axes().curve(lambda x: 30 + 5 * x, BLUE, end=9.6)
    at = round(figure.px(9.6))
    cv2.line(figure.image, (at, round(figure.py(73.5))), (at, round(figure.py(79.5))), BLUE, 2)
    (series,) = only(read(figure)).series
    assert not series.last_known
    assert fact(series, "trend").text == "rises"
    assert fact(series, "minimum").y == pytest.approx(30, abs=1)


# Hostile images


def test_the_deadline_is_asked_again_and_again_within_hostile_images() -> None:
    """Each piece of work between two questions is bounded, so the number of questions grows with the work."""
    figure = Figure(width=1600, height=1200, area=(100, 40, 1550, 1120)).axes()
    rng = np.random.default_rng(3)
    for _ in range(10_000):
        x, y = int(rng.integers(110, 1540)), int(rng.integers(50, 1110))
        figure.image[y : y + 3, x : x + 3] = BLUE
    asked = 0

    def clock() -> float:
        nonlocal asked
        asked += 1
        return 0.0

    chart = read_chart(figure.image, figure.lines, Deadline(1.0, clock))
    assert chart.revision == REVISION
    assert 5 <= asked < 5_000


@pytest.mark.parametrize(
    "name", ["noise", "lines", "one pixel", "black", "stripes", "flat grey", "wrong shape", "checks"]
)
def test_no_image_makes_the_reader_raise_or_claim(name: str) -> None:
    rng = np.random.default_rng(0)
    image = np.full((300, 400, 3), 255, np.uint8)
    if name == "noise":
        image = rng.integers(0, 256, (300, 400, 3)).astype(np.uint8)
    elif name == "lines":
        image[::3] = 0
        image[:, ::3] = 0
    elif name == "one pixel":
        image = np.zeros((1, 1, 3), np.uint8)
    elif name == "black":
        image[:] = 0
    elif name == "stripes":
        image[:, ::2] = (255, 0, 0)
    elif name == "flat grey":
        image[:] = 128
    elif name == "wrong shape":
        image = np.zeros((300, 400, 4), np.uint8)
    else:
        image[(np.indices((300, 400)).sum(axis=0) // 4) % 2 == 0] = (0, 0, 255)
    numbers = [Line(str(10 * k), (5, 20 + 40 * k, 40, 34 + 40 * k)) for k in range(6)]
    numbers += [Line(str(k), (60 + 50 * k, 270, 70 + 50 * k, 284)) for k in range(6)]
    numbers += [Line("nan inf \x00 1e999", (0, 0, 400, 300)), Line("", (5, 5, 5, 5)), Line("7", (-50, -50, 900, 900))]
    chart = read_chart(image, numbers, Deadline(60))
    assert not chart.claims
    assert chart.abstained != "reader_failed"


def test_a_chart_goes_over_the_wire_and_comes_back_the_same() -> None:
    figure = Figure().axes().curve(lambda x: 9 * x, BLUE)
    chart = read(figure)
    assert chart.claims
    assert from_json(to_json(chart)) == chart


def test_a_large_figure_is_read_with_positions_in_its_own_pixels() -> None:
    figure = Figure(width=2400, height=1800, area=(300, 100, 2300, 1600)).axes().curve(lambda x: 9 * x, BLUE, width=6)
    (series,) = only(read(figure)).series
    end = series.points[-1]
    assert (end.px, end.py) == pytest.approx((2300, figure.py(90)), abs=6)


# What was claimed wrongly before


def test_a_number_upon_a_bar_is_no_power_of_ten() -> None:
    figure = Figure(x=(-0.5, 3.5), y=(0, 150)).frame("lb").y_axis([0, 50, 100, 150])
    figure.x_axis(range(4), ["Ash", "Elm", "Fir", "Oak"])
    for index, value in enumerate((107, 63, 104, 120)):
        figure.bar(index, 0, value)
        figure.text(str(value), figure.px(index), figure.py(value) - 11)
    panel = only(read(figure))
    assert {p.x: p.y for p in panel.series[0].points} == {"Ash": 107, "Elm": 63, "Fir": 104, "Oak": 120}


def test_gaps_between_lying_bars_are_no_broken_axis() -> None:
    area = Area(80.0, 30.0, 600.0, 420.0)
    figure = Figure()
    for y0 in range(30, 420, 65):
        cv2.rectangle(figure.image, (80, y0), (300, y0 + 54 if y0 < 355 else 420), BLUE, -1)
    assert not broken_axes.spine_interrupted(picture.prepare(figure.image, []), area)
    broken_spine = Figure().frame("l")
    broken_spine.image[220:230, 75:85] = 255
    assert broken_axes.spine_interrupted(picture.prepare(broken_spine.image, []), area)


def lying_without_names() -> Figure:
    figure = Figure(x=(0, 100), y=(-0.5, 2.5)).frame().x_axis([0, 20, 40, 60, 80, 100])
    for index, value in enumerate((20, 90, 55)):
        figure.lying_bar(index, value)
        at = round(figure.py(index))
        figure.image[at - 6 : at + 6, 46:70:2] = 40
    return figure


def test_names_that_ocr_missed_are_read_left_of_lying_bars() -> None:
    figure = lying_without_names()

    def reread(crops: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[str, float]]:
        assert all(crop.shape[0] < 25 and crop.shape[1] < 40 for crop in crops)
        return [(text, 0.99) for text, _ in zip(("Fox", "Dog", "Cat"), crops, strict=True)]

    panel = only(read_chart(figure.image, figure.lines, Deadline(60), reread))
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx({"Cat": 20, "Dog": 90, "Fox": 55}, abs=1)
    assert nothing_claimed(read(figure)) == {"axis_not_calibrated"}
    unsure = read_chart(figure.image, figure.lines, Deadline(60), lambda crops: [("Fox", 0.2) for _ in crops])
    assert nothing_claimed(unsure) == {"axis_not_calibrated"}


@pytest.mark.parametrize("begin", [80, 40])
def test_lying_bars_that_begin_before_the_area_are_seen_to_be_cut(begin: int) -> None:
    figure = Figure(x=(0, 100), y=(-0.5, 2.5)).frame("lb")
    for index, value in enumerate((40, 90, 55)):
        figure.lying_bar(index, value)
        y0, y1 = round(figure.py(index + 0.3)), round(figure.py(index - 0.3))
        figure.image[y0 : y1 + 1, begin : 80 if begin < 80 else 82] = BLUE
    made = picture.prepare(figure.image, [])
    view = colours.view(made, Area(80.0, 30.0, 600.0, 420.0, left=True, bottom=True), [])
    layers = colours.nearest(view, [np.array(BLUE, np.float32)])
    boxes = kinds.rectangles(layers[0].mask)
    base = kinds.common_base(boxes)
    assert base is not None
    assert bar_panel.continues(made, view, layers, [boxes], base) == (begin < 80)


def test_candlesticks_are_no_curve() -> None:
    mask = np.zeros((300, 500), np.uint8)
    sizes = np.random.default_rng(3).uniform(9, 60, 24).round().astype(int).tolist()
    for index, size in enumerate(sizes):
        x, middle = 10 + 19 * index, round(150 + 40 * np.sin(index / 4))
        cv2.line(mask, (x + 5, middle - size // 2 - 14), (x + 5, middle + size // 2 + 14), 1, 1)
        filled = 1 if index % 3 == 0 else 0
        cv2.rectangle(mask, (x, middle - size // 2), (x + 10, middle + size // 2), filled, -1)
        cv2.rectangle(mask, (x, middle - size // 2), (x + 10, middle + size // 2), 1, 1)
    drawn = mask > 0
    assert kinds.shapes(colours.Layer(np.array(BLUE, np.float32), drawn, drawn.astype(np.float32))).form == "fill"


def test_one_name_for_several_colours_of_bars_names_none() -> None:
    figure = Figure(x=(-0.5, 2.5)).frame("lb").y_axis([0, 20, 40, 60, 80, 100])
    figure.x_axis(range(3), ["Ash", "Elm", "Fir"])
    for index in range(3):
        figure.bar(index - 0.25, 0, 40 + 10 * index, 0.25, BLUE).bar(index, 0, 70 - 10 * index, 0.25, ORANGE)
    figure.legend(["Alone"], [BLUE], x=470, y=60, kind="patch")
    assert nothing_claimed(read(figure)) == {"unnamed_series"}


def test_a_grey_without_a_name_is_left_out_where_names_stand_at_the_curves() -> None:
    """Faded ink beside two curves whose names are written in their colours was told as a third series."""
    figure = Figure().axes()
    for name, colour, slope, y in (("Shaded plot", BLUE, 3, 62), ("Open field", RED, -2, 22)):
        figure.curve(lambda x, slope=slope: 40 + slope * x, colour)  # type: ignore[misc]
        figure.text(name, figure.px(5), figure.py(y), height=18)
        x0, y0, x1, y1 = (round(edge) for edge in figure.lines[-1].box)
        for left in range(x0, x1 - 6, 10):
            figure.image[y0 + 2 : y1 - 2, left : left + 6] = colour
    figure.curve(lambda x: 90 + 0 * x, (84, 84, 90), start=2, end=3.2)
    assert {series.name for series in only(read(figure)).series} == {"Shaded plot", "Open field"}


def test_a_panel_with_texts_of_its_own_does_not_take_the_legend_of_another() -> None:
    left = Figure(width=1000, height=520, area=(80, 30, 450, 400)).axes()
    right = Figure(width=1000, height=520, area=(580, 30, 950, 400)).axes()
    for panel in (left, right):
        panel.curve(lambda x: 10 + 7 * x, BLUE).curve(lambda x: 70 - 4 * x, ORANGE)
    left.legend(["Up", "Down"], [BLUE, ORANGE], x=120, y=50)
    for y, name in ((60, "Wide"), (85, "Narrow")):  # its handles were not seen
        right.text(name, 760, y)
    left.image = np.minimum(left.image, right.image)
    left.lines = left.lines + right.lines
    first, second = read(left).panels
    assert set(claimed(first)) == {"Up", "Down"}
    assert not claimed(second)


@pytest.mark.parametrize(("height", "keeps_trend"), [(95, True), (5, False)])
def test_a_last_piece_that_was_not_joined_costs_the_end(height: float, keeps_trend: bool) -> None:
    """Far up it goes on with the rise; far down the curve would have another trend, and another minimum."""
    figure = Figure().axes().curve(lambda x: 20 + 4 * x, BLUE, end=8.6)
    (series,) = only(read(figure.curve(lambda x: height + 0 * x, BLUE, start=9.3, end=9.9))).series
    told = {f.kind for f in series.facts}
    assert "first" in told and not {"last", "maximum"} & told
    assert ("trend" in told) == keeps_trend
    assert keeps_trend or "minimum" not in told


def test_ink_beside_another_curve_is_the_edge_of_that() -> None:
    curve = Trace(np.arange(50), np.full(50, 100.0), 4.0, 1.0, 0.0, 1)
    rows = np.array([60, 91, 100, 109, 140])
    drawn = [lines._Drawn(curve, 4.0)]
    assert lines._on_curves(rows, 48.0, drawn).tolist() == [False, True, True, True, False]
    assert not lines._on_curves(rows, 90.0, drawn).any()
    with_markers = [lines._Drawn(curve, 70.0)]
    assert lines._on_curves(rows, 48.0, with_markers).all()


def test_the_edge_of_a_spine_is_no_last_step() -> None:
    figure = Figure().axes().curve(lambda x: 50 + 2 * x, BLUE, start=0.5, end=9.5)
    for y in (415, 416, 417):
        cv2.line(figure.image, (105, y), (110, y), (120, 165, 205), 1)
    (series,) = only(read(figure)).series
    assert fact(series, "first").y == pytest.approx(51, abs=2)


def test_a_panel_without_all_colours_of_the_legend_of_another_has_other_names() -> None:
    left = Figure(width=1000, height=520, area=(80, 30, 450, 400)).axes()
    right = Figure(width=1000, height=520, area=(580, 30, 950, 400)).axes()
    for panel in (left, right):
        panel.curve(lambda x: 10 + 7 * x, BLUE).curve(lambda x: 70 - 4 * x, ORANGE)
    left.curve(lambda x: 95 - x, GREEN).legend(["Up", "Down", "Top"], [BLUE, ORANGE, GREEN], x=300, y=320)
    left.image = np.minimum(left.image, right.image)
    left.lines = left.lines + right.lines
    first, second = read(left).panels
    assert set(claimed(first)) == {"Up", "Down", "Top"}
    assert not claimed(second)
    assert {series.abstained for series in second.series} == {"unnamed_series"}


def test_a_lone_curve_is_drawn_as_the_legend_of_another_panel_shows() -> None:
    left = Figure(width=1000, height=520, area=(80, 30, 450, 400)).axes()
    right = Figure(width=1000, height=520, area=(580, 30, 950, 400)).axes()
    left.curve(lambda x: 10 + 7 * x, BLUE, marker=7).curve(lambda x: 70 - 4 * x, ORANGE, marker=7)
    left.legend(["Up", "Down"], [BLUE, ORANGE], x=120, y=50)
    right.curve(lambda x: 90 - 60 * np.tanh(x / 2), BLUE, start=1, end=9, marker=7)
    left.image = np.minimum(left.image, right.image)
    left.lines = left.lines + right.lines
    _, second = read(left).panels
    (series,) = second.series
    assert (series.name, series.line, series.abstained) == (None, None, None)


def test_a_legend_below_two_panels_is_of_both() -> None:
    left = Figure(width=1000, height=520, area=(80, 30, 450, 400)).axes()
    right = Figure(width=1000, height=520, area=(580, 30, 950, 400)).axes()
    for panel in (left, right):
        panel.curve(lambda x: 10 + 7 * x, BLUE).curve(lambda x: 70 - 4 * x, ORANGE)
    left.legend(["Up"], [BLUE], x=430, y=480).legend(["Down"], [ORANGE], x=520, y=480)
    left.image = np.minimum(left.image, right.image)
    left.lines = left.lines + right.lines
    first, second = read(left).panels
    assert set(claimed(first)) == set(claimed(second)) == {"Up", "Down"}


def test_a_last_point_that_was_not_joined_costs_the_end_and_the_extremes() -> None:
    figure = Figure().axes().curve(lambda x: 30 + 0 * x, BLUE, end=8.8)
    cv2.circle(figure.image, (round(figure.px(8.85)), round(figure.py(70))), 5, BLUE, -1)
    (series,) = only(read(figure)).series
    assert {f.kind for f in series.facts} & {"last", "maximum", "trend"} == set()


def test_ends_are_known_where_ticks_of_the_same_colour_stand_inside() -> None:
    figure = Figure().axes().curve(lambda x: 70 - 5 * x, BLACK, start=0.15, end=9.85, width=4)
    for value in range(5, 100, 10):
        for edge, end in ((figure.px(0), figure.px(0.2)), (figure.px(10), figure.px(9.8))):
            at = round(figure.py(value))
            cv2.line(figure.image, (round(edge), at), (round(end), at), BLACK, 2)
    (series,) = only(read(figure)).series
    assert {f.kind for f in series.facts} >= {"trend", "first", "last"}


def test_a_stray_last_step_that_keeps_the_trend_costs_the_end_alone() -> None:
    figure = Figure().axes().curve(lambda x: 95 - 5 * x, BLUE, end=8.8)
    cv2.circle(figure.image, (round(figure.px(8.85)), round(figure.py(8))), 5, BLUE, -1)
    (series,) = only(read(figure)).series
    assert fact(series, "trend").text == "falls"
    assert "last" not in {f.kind for f in series.facts}


def test_a_colour_like_the_ground_does_not_hang_the_reader() -> None:
    """It has no hue, and once made a family of colours without a member, for ever."""
    figure = Figure().axes().curve(lambda x: 10 + 7 * x, BLUE)
    view = colours.view(picture.prepare(figure.image, figure.lines), Area(80, 30, 600, 420), [])
    layers = colours.separate(view, [np.asarray(colour, np.float32) for colour in ((255, 255, 255), BLUE)])
    assert [bool(layer.mask.any()) for layer in layers] == [False, True]


def test_an_error_bar_at_an_end_does_not_cost_it() -> None:
    figure = Figure().axes().curve(lambda x: 30 + 2 * x, BLUE, start=1, end=9, marker=4)
    for x in (1.0, 3.0, 5.0, 7.0, 9.0):
        at = round(figure.px(x))
        cv2.line(
            figure.image, (at, round(figure.py(20 + 2 * x))), (at, round(figure.py(40 + 2 * x))), BLUE, 1, cv2.LINE_AA
        )
    (series,) = only(read(figure)).series
    assert fact(series, "last").y == pytest.approx(48, abs=3)


def test_curves_that_a_legend_cuts_together_have_no_known_ends() -> None:
    figure = Figure().axes().curve(lambda x: 70 + 0.5 * x, BLUE).curve(lambda x: 80 + 0.3 * x, ORANGE)
    figure.curve(lambda x: 10 + x, GREEN)
    figure.image[40:190, 462:600] = 255
    figure.legend(["Up", "Top", "Low"], [BLUE, ORANGE, GREEN], x=470, y=70)
    figure.frame()
    series = claimed(only(read(figure)))
    assert fact(series["Low"], "last").y == pytest.approx(20, abs=2)
    for name in ("Up", "Top"):
        assert "last" not in {f.kind for f in series[name].facts}


def test_ticks_that_point_inwards_are_no_part_of_a_black_curve() -> None:
    figure = Figure().axes().curve(lambda x: 40 + 3 * x, BLACK).curve(lambda x: 80 - 4 * x, ORANGE)
    for k in range(1, 50):
        at = round(figure.px(k / 5))
        for y0, y1 in ((30, 38), (412, 420)):
            cv2.line(figure.image, (at, y0), (at, y1), BLACK, 1)
    figure.legend(["Black", "Orange"], [BLACK, ORANGE], x=100, y=60)
    series = claimed(only(read(figure)))
    assert fact(series["Black"], "last").y == pytest.approx(70, abs=2)
    assert fact(series["Black"], "maximum").y == pytest.approx(70, abs=2)


def test_gaps_of_dashes_above_another_curve_are_no_missing_ink() -> None:
    figure = Figure().axes().curve(lambda x: 60 + 3 * x, BLUE, dash=20).curve(lambda x: 20 + x, ORANGE)
    figure.legend(["Dashed", "Solid"], [BLUE, ORANGE], x=100, y=60)
    assert fact(claimed(only(read(figure)))["Dashed"], "trend").text == "rises"


def test_a_faint_last_step_costs_the_end() -> None:
    figure = Figure().axes().curve(lambda x: 30 + 0 * x, BLUE, end=8.8)
    pale = tuple(round(255 - 0.38 * (255 - channel)) for channel in BLUE)
    at = round(figure.px(8.8))
    cv2.rectangle(figure.image, (at, round(figure.py(60))), (at + 1, round(figure.py(30))), pale, -1)
    (series,) = only(read(figure)).series
    assert "last" not in {f.kind for f in series.facts}


SHADES = ((0, 0, 0), (80, 80, 80), (150, 150, 150), (200, 200, 200))


def test_thick_curves_in_shades_of_one_hue_are_told_apart() -> None:
    figure = Figure().axes()
    for index, shade in enumerate(SHADES):
        figure.curve(lambda x, index=index: 15 + 18 * index + (index - 1.5) * x, shade, width=5)  # type: ignore[misc]
    figure.legend(["Jet", "Iron", "Ash", "Fog"], SHADES, x=100, y=50, kind="patch")
    series = claimed(only(read(figure)))
    assert {name: round(fact(one, "first").y or 0) for name, one in series.items()} == pytest.approx(
        {"Jet": 15, "Iron": 33, "Ash": 51, "Fog": 69}, abs=2
    )


def test_thin_curves_in_shades_of_one_hue_are_not() -> None:
    figure = (
        Figure().axes().curve(lambda x: 20 + 3 * x, SHADES[0], width=1).curve(lambda x: 80 - 4 * x, SHADES[1], width=1)
    )
    chart = read(figure.legend(["Jet", "Iron"], SHADES[:2], x=100, y=50))
    assert nothing_claimed(chart) == {"same_colour_series"}


def test_an_edge_in_a_hue_of_its_own_is_no_second_curve() -> None:
    """As a JPEG with less colour than light leaves it."""
    figure = Figure().axes().curve(lambda x: 20 + 5 * x, BLUE, width=4)
    ink = np.abs(figure.image.astype(int) - BLUE).sum(axis=2) < 60
    edge = (cv2.dilate(ink.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~ink
    edge[:, :82] = edge[:, 598:] = False
    figure.image[edge] = (190, 240, 190)
    (series,) = only(read(figure)).series
    assert fact(series, "last").y == pytest.approx(70, abs=2)


def course_of_points(count: int = 60) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(7)
    xs = np.sort(rng.uniform(0.5, 9.5, count))
    return xs.tolist(), (85 - 0.7 * xs**2 + rng.normal(0, 2, count)).tolist()


def test_a_cloud_along_a_course_is_a_cloud_where_the_legend_shows_a_marker_alone() -> None:
    xs, ys = course_of_points()
    figure = Figure().axes().points(xs, ys, radius=5).legend(["Yield"], [BLUE], x=100, y=380, kind="marker")
    panel = only(read(figure))
    assert panel.kind == "scatter"


def test_markers_of_a_curve_are_no_cloud_where_the_legend_shows_a_line() -> None:
    figure = Figure().axes().curve(lambda x: 80 - 6 * x, BLUE, width=1, marker=6)
    for at in np.linspace(0, 10, 11)[:-1]:  # what JPEG leaves of a thin line
        left, right = round(figure.px(at)) + 8, round(figure.px(at + 1)) - 8
        figure.image[31:419, left:right] = 255
    figure.legend(["Yield"], [BLUE], x=400, y=60)
    assert only(read(figure)).kind != "scatter"


def test_dashes_are_no_cloud_where_the_keys_of_the_legend_have_a_filling() -> None:
    """As ggplot2 draws them: a key is nearly a square, and the dashes in it are low."""
    figure = Figure(width=760).axes()
    for index, colour in enumerate((BLUE, ORANGE)):
        figure.curve(lambda x, up=1 - 2 * index: 50 + up * 4 * x, colour, dash=9, width=3)  # type: ignore[misc]
        at = 160 + 24 * index
        cv2.rectangle(figure.image, (640, at - 9), (662, at + 9), (238, 238, 238), -1)
        cv2.line(figure.image, (642, at), (649, at), colour, 3)
        cv2.line(figure.image, (654, at), (660, at), colour, 3)
        figure.text(("Up", "Down")[index], 672, at, anchor=0.0)
    panel = only(read(figure))
    assert panel.kind == "line"
    assert set(claimed(panel)) == {"Up", "Down"}


def test_black_bars_are_no_part_of_the_thick_spine_they_stand_on() -> None:
    figure = bars([30, 75, 52], ["Red", "Green", "Blue"])
    for index, value in enumerate((30, 75, 52)):
        figure.bar(index, 0, value, colour=BLACK)
    x0, _, x1, y1 = figure.area
    cv2.line(figure.image, (x0, y1), (x1, y1), BLACK, 9)
    panel = only(read(figure))
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx({"Red": 30, "Green": 75, "Blue": 52}, abs=1.5)


def test_black_bars_beside_hatched_black_ones_are_not_claimed() -> None:
    figure = Figure(x=(-0.5, 2.5)).frame("lb").y_axis([0, 20, 40, 60, 80, 100]).x_axis(range(3), ["One", "Two", "Six"])
    for index, (first, second) in enumerate(((30, 60), (75, 50), (52, 20))):
        figure.bar(index - 0.2, 0, first, width=0.36, colour=BLACK).bar(
            index + 0.2, 0, second, width=0.36, colour=BLACK
        )
    figure.legend(["Full", "Hatched"], [BLACK, BLACK], x=100, y=50, kind="patch")
    assert nothing_claimed(read(figure)) == {"same_colour_series"}


def test_words_of_names_that_ocr_read_as_one_line_go_to_their_bars() -> None:
    figure = bars([30, 75, 52, 40], ["Plot D", "Plot C", "Plot H", "Plot 7"]).frame()
    names = [line for line in figure.lines if line.text.startswith("Plot")]
    joined = Line(
        " ".join(line.text for line in names),
        (names[0].box[0], names[0].box[1], names[-1].box[2], names[-1].box[3]),
        0.97,
    )
    figure.lines = [line for line in figure.lines if line not in names] + [joined]
    panel = only(read(figure))
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx(
        {"Plot D": 30, "Plot C": 75, "Plot H": 52, "Plot 7": 40}, abs=1
    )


def test_bars_apart_from_their_group_are_not_claimed() -> None:
    figure = Figure(x=(-0.5, 2.5)).frame("lb").y_axis([0, 20, 40, 60, 80, 100]).x_axis(range(3), ["One", "Two", "Six"])
    for index, (first, second) in enumerate(((30, 60), (75, 50), (52, 20))):
        shift = 0.35 if index < 2 else 0.18
        figure.bar(index - shift, 0, first, width=0.3).bar(index + 0.12, 0, second, width=0.3, colour=ORANGE)
    figure.legend(["First", "Second"], [BLUE, ORANGE], x=100, y=50, kind="patch")
    assert nothing_claimed(read(figure)) == {"axis_not_calibrated"}


def test_outlines_and_hatches_of_bars_are_no_second_series() -> None:
    figure = bars([30, 75, 52], ["Red", "Green", "Blue"])
    for index, value in enumerate((30, 75, 52)):
        x0, x1 = round(figure.px(index - 0.3)), round(figure.px(index + 0.3))
        y0, y1 = round(figure.py(value)), figure.area[3]
        for row in range(y0 + 12, y1, 12):
            cv2.line(figure.image, (x0, row), (x1, row - 12), BLACK, 4)
        cv2.rectangle(figure.image, (x0, y0), (x1, y1), BLACK, 4)
    panel = only(read(figure))
    assert panel.kind == "bar"
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx({"Red": 30, "Green": 75, "Blue": 52}, abs=1.5)


def test_ticks_that_point_into_bars_are_no_second_series() -> None:
    figure = bars([30, 75, 52], ["Red", "Green", "Blue"])
    for index in range(3):
        at = round(figure.px(index))
        cv2.line(figure.image, (at, figure.area[3] - 10), (at, figure.area[3]), BLACK, 6)
    panel = only(read(figure))
    assert panel.kind == "bar"
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx({"Red": 30, "Green": 75, "Blue": 52}, abs=1)


def test_numbers_below_groups_of_bars_with_gaps_name_them() -> None:
    figure = Figure(x=(-0.5, 2.5)).frame("lb").y_axis([0, 20, 40, 60, 80, 100])
    figure.x_axis(range(3), ["2019", "2020", "2021"])
    for index, (one, two) in enumerate(((30, 50), (60, 20), (45, 80))):
        figure.bar(index - 0.2, 0, one, 0.2, BLUE).bar(index + 0.2, 0, two, 0.2, ORANGE)
    panel = only(read(figure.legend(["One", "Two"], [BLUE, ORANGE], x=100, y=50, kind="patch")))
    assert panel.kind == "grouped_bar"
    assert {p.x: p.y for p in claimed(panel)["Two"].points} == pytest.approx(
        {"2019": 50, "2020": 20, "2021": 80}, abs=1
    )


def test_a_key_that_is_mostly_outline_has_the_colour_of_its_bars() -> None:
    figure = Figure(x=(-0.5, 2.5)).frame("lb").y_axis([0, 20, 40, 60, 80, 100])
    figure.x_axis(range(3), ["Ash", "Elm", "Fir"])
    for index, (one, two) in enumerate(((30, 50), (60, 20), (45, 80))):
        figure.bar(index - 0.2, 0, one, 0.36, BLUE).bar(index + 0.2, 0, two, 0.36, ORANGE)
    figure.legend(["One", "Two"], [BLUE, ORANGE], x=100, y=50, kind="patch")
    cv2.rectangle(figure.image, (100, 68), (128, 80), BLACK, 5)
    panel = only(read(figure))
    assert [p.y for p in claimed(panel)["One"].points] == pytest.approx([30, 60, 45], abs=1)
    assert [p.y for p in claimed(panel)["Two"].points] == pytest.approx([50, 20, 80], abs=1)


def test_a_legend_that_reaches_beyond_an_area_without_a_top_is_taken_whole() -> None:
    figure = Figure(x=(-0.5, 2.5), y=(0, 80), area=(80, 110, 600, 420)).frame("b").y_axis([0, 20, 40, 60, 80])
    figure.grid([], [20, 40, 60, 80]).x_axis(range(3), ["Ash", "Elm", "Fir"])
    for index, (one, two) in enumerate(((30, 50), (60, 20), (45, 70))):
        figure.bar(index - 0.2, 0, one, 0.36, BLUE).bar(index + 0.2, 0, two, 0.36, ORANGE)
    figure.legend(["One", "Two"], [BLUE, ORANGE], x=400, y=100, kind="patch")
    assert set(claimed(only(read(figure)))) == {"One", "Two"}


def test_the_title_of_an_axis_is_no_part_of_the_name_above_it() -> None:
    figure = bars([30, 75, 52], ["2019", "2020", "2021"])
    figure.text("the wonderful yearly rainfall in the mountains", figure.px(1), figure.area[3] + 29)
    panel = only(read(figure))
    assert [p.x for p in panel.series[0].points] == ["2019", "2020", "2021"]


def test_a_wide_grey_bar_is_no_panel() -> None:
    figure = Figure(x=(-0.5, 1.5)).frame().y_axis([0, 20, 40, 60, 80, 100]).x_axis(range(2), ["Ash", "Elm"])
    for index, value in enumerate((40, 95)):
        figure.bar(index, 0, value, 0.9, (165, 165, 165))
    panel = only(read(figure))
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx({"Ash": 40, "Elm": 95}, abs=1)
