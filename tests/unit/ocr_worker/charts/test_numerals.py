"""Tick labels as numbers and dates, with what OCR makes of them."""

from __future__ import annotations

import pytest

from llava_graph.ocr import Line
from ocr_worker.charts import texts
from ocr_worker.charts.numerals import offset, readings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5),
        ("−2.5", -2.5),
        ("-0.05", -0.05),
        ("1,200", 1200.0),
        ("1 000 000", 1e6),
        ("1,234,567", 1234567.0),
        ("0,25", 0.25),
        ("25%", 25.0),
        ("45 %", 45.0),
        ("10k", 1e4),
        ("2.5M", 2.5e6),
        ("$40", 40.0),
        ("1e-3", 1e-3),
        ("2.0 -", 2.0),
        ("O.5", 0.5),
        (".5", 0.5),
    ],
)
def test_a_number_is_read_in_its_usual_forms(text: str, value: float) -> None:
    assert value in [pytest.approx(numeral.value) for numeral in readings(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10-1", 0.1),
        ("10⁻2", 0.01),
        ("10⁻³", 1e-3),
        ("10-1.", 0.1),
        ("10^2", 100.0),
        ("2×10³", 2000.0),
        ("-10²", -100.0),
    ],
)
def test_a_power_of_ten_is_read_with_or_without_its_superscript(text: str, value: float) -> None:
    (numeral,) = readings(text)
    assert numeral.form == "power"
    assert numeral.value == pytest.approx(value)


def test_digits_whose_exponent_lost_its_height_have_two_readings() -> None:
    assert {(n.value, n.form) for n in readings("102")} == {(100.0, "power"), (102.0, "plain")}


def test_a_leading_zero_without_a_point_is_no_number() -> None:
    assert readings("02") == ()


@pytest.mark.parametrize("text", ["", "Epoch", "a1b2", "1.2.3", "12:30", "x" * 40, "n=5", "日本"])
def test_other_texts_are_no_numbers(text: str) -> None:
    assert readings(text) == ()


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("1970-01-11", 10.0),
        ("1971-01", 365.0),
        ("Jan 1971", 365.0),
        ("1971 Jan", 365.0),
        ("11 Jan 1970", 10.0),
        ("Jan 11, 1970", 10.0),
    ],
)
def test_a_date_is_days_since_1970(text: str, days: float) -> None:
    (numeral,) = readings(text)
    assert (numeral.form, numeral.value) == ("date", days)


def test_a_day_that_does_not_exist_is_no_date() -> None:
    assert readings("2020-02-31") == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [("1e6", (1e6, 0.0)), ("1e−5", (1e-5, 0.0)), ("×10³", (1e3, 0.0)), ("lc8", (1e8, 0.0)), ("+2.5e3", (1.0, 2500.0))],
)
def test_an_offset_is_a_factor_or_a_summand(text: str, found: tuple[float, float]) -> None:
    assert offset(text) == pytest.approx(found)


def test_a_title_is_no_offset() -> None:
    assert offset("Loss") is None


def test_numbers_with_separators_that_lost_the_spaces_between_them_are_taken_apart() -> None:
    found = texts.tokens([Line("4,0008,00012,000", (10.0, 5.0, 170.0, 20.0), 0.9)])
    assert [token.text for token in found] == ["4,000", "8,000", "12,000"]
    assert [token.numerals[0].value for token in found] == [4000, 8000, 12000]
    assert found[0].x < found[1].x < found[2].x
