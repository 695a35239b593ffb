"""Error bars at the ends of curves: told from steep pieces by those that stand along the curve."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ocr_worker.charts.deadline import Deadline
from ocr_worker.charts.errorbars import with_bars_at_ends
from ocr_worker.charts.picture import Mask
from ocr_worker.charts.tracing import trace

ENDS = (20, 480)


def drawn(xs: npt.NDArray[np.int64], ys: npt.NDArray[np.int64], bars: int, caps: int = 4) -> Mask:
    """A curve with error bars of 60 rows on the first `bars` of its points, and the last and the first always."""
    canvas = np.zeros((300, 500), np.uint8)
    cv2.polylines(canvas, [np.stack([xs, ys], axis=1).astype(np.int32)], False, 1, 3)
    for at in {0, len(xs) - 1, *range(bars)}:
        x, y = int(xs[at]), int(ys[at])
        cv2.line(canvas, (x, y - 30), (x, y + 30), 1, 2)
        for end in (y - 30, y + 30):
            cv2.line(canvas, (x - caps, end), (x + caps, end), 1, 2)
    return canvas > 0


def points() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    xs = np.linspace(*ENDS, 9).round().astype(int)
    return xs, (240 - 0.4 * xs).round().astype(int)


@pytest.mark.parametrize("caps", [0, 4])
def test_a_curve_ends_in_the_middle_of_an_error_bar_like_the_others(caps: int) -> None:
    xs, ys = points()
    mask = drawn(xs, ys, len(xs), caps)
    found, has_bars = with_bars_at_ends(trace(mask, 0, Deadline()), mask, 0)
    assert has_bars == (True, True)
    assert found.columns[[0, -1]] == pytest.approx(list(ENDS), abs=2)
    assert found.heights[[0, -1]] == pytest.approx([ys[0], ys[-1]], abs=1)


def test_a_steep_end_of_a_curve_without_error_bars_stays() -> None:
    xs, ys = points()
    mask = drawn(xs, ys, 0)
    traced = trace(mask, 0, Deadline())
    assert with_bars_at_ends(traced, mask, 0) == (traced, (False, False))


def test_turns_of_a_jagged_curve_are_no_error_bars() -> None:
    xs = np.linspace(*ENDS, 40).round().astype(int)
    ys = 150 + 60 * np.where(np.arange(40) % 2, 1, -1)
    canvas = np.zeros((300, 500), np.uint8)
    cv2.polylines(canvas, [np.stack([xs, ys], axis=1).astype(np.int32)], False, 1, 2)
    mask = canvas > 0
    assert with_bars_at_ends(trace(mask, 0, Deadline()), mask, 0)[1] == (False, False)


def test_an_error_bar_that_the_border_cuts_has_no_known_middle() -> None:
    xs, ys = points()
    mask = drawn(xs, ys - ys[-1] + 20, len(xs))
    assert with_bars_at_ends(trace(mask, 0, Deadline()), mask, 0)[1] == (True, False)
