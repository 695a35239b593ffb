"""Curves that end under others: followed where these leave them one way, and not else."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.hidden import followed
from ocr_worker.charts.picture import Mask
from ocr_worker.charts.tracing import trace
from tests.unit.ocr_worker.charts.drawing import BLUE, GREEN, ORANGE, Figure
from tests.unit.ocr_worker.charts.test_reader import claimed, fact, only, read

LAST = 480


def drawn(xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]) -> Mask:
    canvas = np.zeros((300, 500), np.uint8)
    cv2.polylines(canvas, [np.stack([xs, ys], axis=1).round().astype(np.int32)], False, 1, 3)
    return canvas > 0


XS = np.arange(20.0, LAST + 1)
UPPER = drawn(XS, 40 + 100 * np.exp(-XS / 60))
JOINING = drawn(XS[:200], 40 + 100 * np.exp(-XS / 60)[:200] + 60 * (1 - np.arange(200) / 200))


def test_a_curve_is_followed_under_another_as_far_as_that_goes() -> None:
    found = followed(trace(JOINING & ~UPPER, 0, Deadline()), UPPER, LAST, 1)
    assert found is not None
    assert found.columns[-1] == LAST
    assert found.heights[-1] == pytest.approx(40, abs=2)


def test_a_curve_is_not_followed_where_those_above_it_part() -> None:
    falling = drawn(XS[150:], 40 + 100 * np.exp(-XS / 60)[150:] + np.maximum(XS[150:] - 300, 0))
    assert followed(trace(JOINING & ~UPPER, 0, Deadline()), UPPER | falling, LAST, 1) is None


def test_a_curve_is_not_followed_where_the_other_ends_before() -> None:
    shorter = UPPER.copy()
    shorter[:, 300:] = False
    assert followed(trace(JOINING & ~UPPER, 0, Deadline()), shorter, LAST, 1) is None


@pytest.mark.parametrize(("rise", "is_followed"), [(0.1, True), (2.0, False)])
def test_a_curve_that_comes_flatly_to_the_border_goes_on_below_the_spine(rise: float, is_followed: bool) -> None:
    """The other one hides its way there alone."""
    own = drawn(XS[200:], np.minimum(298 - rise * (XS[200:] - 220), 298))
    other = drawn(XS[100:200], np.full(100, 297.0))
    found = followed(trace(own, 0, Deadline()), other, 60, 0)
    assert (found is not None) == is_followed


def test_the_end_of_a_curve_under_others_is_claimed() -> None:
    figure = Figure().axes().curve(lambda x: np.minimum(20 + 12 * x, 80), BLUE)
    figure.curve(lambda x: np.minimum(50 + 5 * x, 80), ORANGE).curve(lambda x: 10 + x, GREEN)
    figure.legend(["Below", "Above", "Low"], [BLUE, ORANGE, GREEN], x=400, y=300).frame()
    series = claimed(only(read(figure)))
    for kind in ("last", "maximum"):
        assert fact(series["Below"], kind).y == pytest.approx(80, abs=2)
