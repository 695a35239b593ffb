"""Numbers in running text: what is one, its value, and how exactly it is meant."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_graph.numbers import Number, numbers_in


def found(text: str) -> list[tuple[str, float]]:
    return [(text[number.start : number.end], number.value) for number in numbers_in(text)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1.2e-3", [("1.2e-3", 0.0012)]),
        ("1e+02.", [("1e+02", 100)]),
        ("10⁻³", [("10⁻³", 0.001)]),
        ("10^3 and 10^{-4}", [("10^3", 1000), ("10^{-4}", 0.0001)]),
        ("1.2×10^-3", [("1.2×10^-3", 0.0012)]),
        ("2 x 10⁻² of 3·10²", [("2 x 10⁻²", 0.02), ("3·10²", 300)]),
        ("about 1,200.", [("1,200", 1200)]),
        ("45 %, 45% and 45 percent", [("45 %", 45), ("45%", 45), ("45 percent", 45)]),
        ("−15 or -3", [("−15", -15), ("-3", -3)]),
        ("12k, 1.5M and 3 million", [("12k", 12_000), ("1.5M", 1_500_000), ("3 million", 3_000_000)]),
        ("3–5 or 0.2-0.4", [("3", 3), ("5", 5), ("0.2", 0.2), ("0.4", 0.4)]),
        ("from 3 to 5", [("3", 3), ("5", 5)]),
        (".5 and 2.", [(".5", 0.5), ("2", 2)]),
        ("1,5 kg", [("1,5", 1.5)]),
        ("m2, x10, 3D and 1.2.3", []),
        ("no number", []),
        ("", []),
        ("1e999", []),
        ("9" * 41, []),
    ],
)
def test_numbers_are_found_with_their_value(text: str, numbers: list[tuple[str, float]]) -> None:
    assert found(text) == [(spelling, pytest.approx(value)) for spelling, value in numbers]


def only(text: str) -> Number:
    (number,) = numbers_in(text)
    return number


@pytest.mark.parametrize(
    ("text", "half_step"),
    [
        ("1.45", 0.005),
        ("1.4", 0.05),
        ("52", 0.5),
        ("50", 5),
        ("5000", 50),
        ("0.10", 0.005),
        ("1.2e-3", 0.00005),
        ("3k", 500),
    ],
)
def test_number_is_as_exact_as_it_is_written(text: str, half_step: float) -> None:
    assert only(text).half_step == pytest.approx(half_step)


def test_ends_of_a_range_and_a_decimal_comma_are_vague() -> None:
    assert [number.is_range for number in numbers_in("3–5 and 7")] == [True, True, False]
    assert only("1,5").is_vague and not only("1.5").is_vague


def test_share_is_told_from_a_number() -> None:
    assert only("45 %").percent and not only("45").percent


@given(st.text(st.sampled_from("0123456789.,eE^×x10-−–⁻³ %kM{}*to "), max_size=60))
def test_any_text_has_finite_numbers_in_order(text: str) -> None:
    numbers = numbers_in(text)
    assert all(math.isfinite(number.value) and number.half_step >= 0 for number in numbers)
    assert all(before.end <= after.start for before, after in itertools.pairwise(numbers))
    assert all(text[number.start : number.end].strip() for number in numbers)


@given(st.floats(1e-6, 1e9), st.integers(0, 6))
def test_a_written_number_is_read_back_within_its_rounding(value: float, digits: int) -> None:
    number = only(f"{value:.{digits}f}")
    assert abs(number.value - value) <= 0.51 * 10.0**-digits
