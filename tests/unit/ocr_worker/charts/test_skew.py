"""Crooked figures: when they are turned back, and that positions come back to the pixels that were given."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from llava_graph.chart import Axis, Chart, Panel, Point, Series
from llava_graph.ocr import Line
from ocr_worker.charts import skew

PAGE = np.full((400, 600, 3), 255, np.uint8)


def row(slope: float, count: int = 7, y: float = 350.0) -> list[Line]:
    """A row of numbers that falls by `slope` rows a column."""
    return [
        Line(str(i), (60 + 80 * i, y + slope * 80 * i - 8, 76 + 80 * i, y + slope * 80 * i + 8), 1.0)
        for i in range(count)
    ]


def test_a_straight_figure_is_not_turned() -> None:
    assert skew.turn_of(PAGE, row(0.0)) is None


def test_the_slope_of_a_row_of_labels_is_that_of_the_figure() -> None:
    assert skew.slope_of(row(-0.02), 600) == pytest.approx(-0.02, abs=0.001)


def test_few_labels_or_a_steep_row_turn_nothing() -> None:
    assert skew.turn_of(PAGE, row(0.02, count=4)) is None
    assert skew.turn_of(PAGE, row(0.2)) is None


def test_numbers_printed_along_a_rising_curve_do_not_turn_a_figure_with_straight_labels() -> None:
    assert skew.turn_of(PAGE, [*row(0.0), *row(-0.03, y=200.0)]) is None


def test_labels_of_a_straightened_figure_stand_in_a_row() -> None:
    lines = row(0.03)
    turn = skew.turn_of(PAGE, lines)
    assert turn is not None
    _, moved = skew.straightened(PAGE, lines, turn)
    middles = [(line.box[1] + line.box[3]) / 2 for line in moved]
    assert max(middles) - min(middles) < 1


def test_a_dot_is_straightened_to_where_its_position_comes_back_from() -> None:
    image = PAGE.copy()
    cv2.circle(image, (500, 100), 3, (0, 0, 0), -1)
    turn = skew.turn_of(image, row(0.03))
    assert turn is not None
    straight, _ = skew.straightened(image, [], turn)
    ys, xs = np.nonzero(straight[:, :, 0] < 128)
    at = Point(1.0, 2.0, float(xs.mean()), float(ys.mean()))
    panel = Panel("line", (50.0, 50.0, 550.0, 350.0), Axis(), Axis(), (Series("a", None, None, (at,)),))
    (back,) = skew.moved_back(Chart((panel,)), turn).panels[0].series[0].points
    assert (back.px, back.py) == pytest.approx((500, 100), abs=1)
    assert (back.x, back.y) == (1.0, 2.0)
    assert math.hypot(xs.mean() - 500, ys.mean() - 100) > 2
