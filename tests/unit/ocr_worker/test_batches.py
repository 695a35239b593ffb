"""Which crops the recogniser takes together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr_worker.engines.batches import (
    BATCH_COST,
    CROP_HEIGHT,
    MAX_COLUMNS,
    MAX_CROPS,
    MAX_WIDTH,
    Batch,
    padded_width,
    plan,
    scaled_width,
)

WIDTHS = st.lists(st.integers(1, MAX_WIDTH), max_size=60)


def cost(batches: list[Batch]) -> int:
    return sum(BATCH_COST + batch.width * len(batch.crops) for batch in batches)


@given(WIDTHS)
def test_every_crop_is_in_one_batch_that_is_wide_enough(widths: list[int]) -> None:
    batches = plan(widths)
    assert sorted(crop for batch in batches for crop in batch.crops) == list(range(len(widths)))
    assert all(widths[crop] <= batch.width for batch in batches for crop in batch.crops)


@given(WIDTHS)
def test_batches_stay_within_their_bounds(widths: list[int]) -> None:
    for batch in plan(widths):
        assert len(batch.crops) <= MAX_CROPS
        assert len(batch.crops) == 1 or batch.width * len(batch.crops) <= MAX_COLUMNS


@given(WIDTHS)
def test_plan_costs_no_more_than_crops_one_by_one(widths: list[int]) -> None:
    assert cost(plan(widths)) <= sum(BATCH_COST + padded_width(width) for width in widths)


def test_tick_labels_are_not_padded_to_the_width_of_a_title() -> None:
    batches = plan([60, 900, 58, 64])
    assert sorted(batch.crops for batch in batches) == [(1,), (2, 0, 3)]


def test_order_of_widths_does_not_change_the_cost() -> None:
    widths = [40, 700, 90, 95, 300, 64, 65, 310, 33]
    assert cost(plan(widths)) == cost(plan(sorted(widths)))


@given(st.integers(1, MAX_WIDTH))
def test_padded_width_is_kept_by_padding_again(width: int) -> None:
    padded = padded_width(width)
    assert width <= padded <= MAX_WIDTH and padded_width(padded) == padded


def test_there_are_few_widths_to_compile_for() -> None:
    assert len({padded_width(width) for width in range(1, MAX_WIDTH + 1)}) <= 25


def test_width_past_the_longest_is_refused() -> None:
    with pytest.raises(ValueError, match="3201"):
        padded_width(MAX_WIDTH + 1)


def test_crops_are_scaled_to_one_height_and_long_lines_squeezed() -> None:
    assert scaled_width(200, CROP_HEIGHT * 2) == 100
    assert scaled_width(1, 500) == 1
    assert scaled_width(9000, 10) == MAX_WIDTH
