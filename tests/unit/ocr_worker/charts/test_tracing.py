"""Curves from pixels: dashes, markers, error bars, peaks, and colours that hold more than one curve."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.errors import AbstainError, DeadlineError
from ocr_worker.charts.picture import Mask
from ocr_worker.charts.tracing import BRANCHED, fill_holes, trace

COLUMNS = np.arange(20, 480)


def drawn(heights: npt.NDArray[np.float64], width: int = 3, dash: int = 0) -> Mask:
    canvas = np.zeros((300, 500), np.uint8)
    for x, a, b in zip(COLUMNS[:-1].tolist(), heights[:-1].tolist(), heights[1:].tolist(), strict=True):
        if not dash or (x // dash) % 2 == 0:
            cv2.line(canvas, (x, round(a)), (x + 1, round(b)), 1, width)
    return canvas > 0


def test_a_smooth_curve_is_traced_to_half_a_pixel() -> None:
    heights = 150 + 80 * np.sin(COLUMNS / 60)
    found = trace(drawn(heights), 0, Deadline())
    assert np.abs(found.heights - np.interp(found.columns, COLUMNS, heights)).max() < 1.5
    assert found.coverage == 1.0


def test_dashes_are_joined() -> None:
    heights = 250 - 0.4 * (COLUMNS - 20)
    found = trace(drawn(heights, dash=9), 0, Deadline())
    assert found.columns[0] < 40
    assert found.columns[-1] > 460
    assert np.abs(found.heights - np.interp(found.columns, COLUMNS, heights)).max() < 2


def test_dashes_of_a_steep_piece_are_joined() -> None:
    """At its end the dashes have few columns each, and lie further apart in rows than in columns."""
    heights = 280 - 260 * np.exp((COLUMNS - 479) / 20)
    xs, along = np.arange(20, 480, 0.02), 0.0
    rows = np.interp(xs, COLUMNS, heights)
    canvas = np.zeros((300, 500), np.uint8)
    for x, y, step in zip(xs, rows, np.hypot(0.02, np.diff(rows, append=rows[-1])), strict=True):
        along += float(step)
        if along % 20 < 12:
            canvas[round(float(y)) - 1 : round(float(y)) + 2, round(float(x)) - 1 : round(float(x)) + 2] = 1
    found = trace(canvas > 0, 0, Deadline())
    assert found.columns[0] < 40
    assert found.heights.min() < 60


def test_a_sharp_peak_keeps_its_height() -> None:
    heights = 250 - 200 * np.clip(1 - np.abs(COLUMNS - 250) / 12, 0, 1)
    assert trace(drawn(heights), 0, Deadline()).heights.min() == pytest.approx(50, abs=2)


def test_error_bars_are_no_turning_points() -> None:
    mask = drawn(np.full(len(COLUMNS), 150.0)).astype(np.uint8)
    for x in range(60, 460, 50):
        cv2.line(mask, (x, 110), (x, 190), 1, 2)
    found = trace(mask > 0, 0, Deadline())
    assert np.ptp(found.heights) < 2


def test_a_marker_at_an_end_does_not_lengthen_the_curve() -> None:
    mask = drawn(np.full(len(COLUMNS), 150.0)).astype(np.uint8)
    for x in (20, 250, 479):
        cv2.circle(mask, (x, 150), 7, 1, -1)
    found = trace(mask > 0, 15, Deadline())
    assert found.columns[0] == pytest.approx(20, abs=2)
    assert found.columns[-1] == pytest.approx(479, abs=2)


def test_hollow_markers_are_filled_and_large_holes_are_not() -> None:
    mask = np.zeros((100, 100), np.uint8)
    cv2.circle(mask, (30, 30), 6, 1, 1)
    cv2.circle(mask, (60, 60), 25, 1, 1)
    filled = fill_holes(mask > 0, 20)
    assert filled[30, 30]
    assert not filled[60, 60]


def test_two_curves_of_one_colour_are_told() -> None:
    mask = drawn(np.full(len(COLUMNS), 80.0)) | drawn(np.full(len(COLUMNS), 220.0))
    assert trace(mask, 0, Deadline()).branched > BRANCHED


def test_a_few_pixels_are_no_curve() -> None:
    mask = np.zeros((300, 500), np.bool_)
    mask[10, 10:14] = True
    with pytest.raises(AbstainError, match="low_coverage"):
        trace(mask, 0, Deadline())


def test_tracing_stops_at_the_deadline() -> None:
    ticks = iter(range(10_000))
    with pytest.raises(DeadlineError):
        trace(drawn(150 + 80 * np.sin(COLUMNS / 60)), 0, Deadline(0.5, lambda: float(next(ticks))))
