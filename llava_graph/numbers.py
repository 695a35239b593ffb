"""Finds numbers in running text: the position, value and precision of each, as people and models write them.

    numbers_in("from about 1,200 to 3.5×10⁻³") -> [Number(11, 16, 1200.0, …), Number(20, 28, 0.0035, …)]

Which number belongs to what is not known here. Texts are untrusted: nothing here raises, and the time is linear in
their length.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Number:
    """`text[start:end]` is a number with this value.

    `half_step` is half a unit of the last digit that is written: "1.4" may stand for anything from 1.35 to 1.45.
    `magnitude` is 1000 for "3k" and "3 thousand", which `value` includes. An `is_vague` number can be read in two ways
    ("1,5") or is part of a range or an inequality, so that no other number contradicts it.
    """

    start: int
    end: int
    value: float
    half_step: float
    percent: bool = False
    magnitude: float = 1.0
    is_vague: bool = False
    is_range: bool = False
    is_date: bool = False  # in days since 1970; found by `llava_graph.claims`, where an axis has dates


# Possessive throughout (`++`), so that nothing is tried twice. More than 40 digits are no number that a chart shows.
_DASH = r"[-−–‐‑⁻]"
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_NUMBER = re.compile(
    rf"(?<![^\W_])(?<!\d[.,])(?P<sign>(?<![\])%°])[-−–])?+"
    rf"(?:(?P<digits>\d{{1,3}}+(?:,\d{{3}})++(?:\.\d++)?+|\d++(?:\.\d++)?+|\.\d++)"
    rf"(?:[eE](?P<e>[-−–+]?\d{{1,3}}+)(?!\w)"
    rf"|[ \u00a0]?[×·x*⋅][ \u00a0]?10(?:\^|\*\*)?\{{?(?P<ten>{_DASH}?\+?[\d{_SUPERSCRIPTS}]{{1,3}}+)\}}?)?+"
    rf"(?P<suffix>[kKMB](?![\w]))?+"
    rf"(?P<tail>[ \u00a0]?(?:%|percent\b|per cent\b)|[ \u00a0](?:thousand|million|billion)\b)?+)"
    rf"(?![^\W_])(?![.,]\d)",
    re.IGNORECASE,
)
_POWER = re.compile(
    rf"(?<![^\W_])(?<![.,])10(?:\^|\*\*)?\{{?(?P<ten>{_DASH}?[{_SUPERSCRIPTS}]{{1,3}}+|(?<=[\^{{*]){_DASH}?\d{{1,3}}+)\}}?(?![^\W_])"
)
_DECIMAL_COMMA = re.compile(r"(?<![^\W_])(?<!\d[.,])[-−–]?(?P<digits>\d++,\d++)(?![^\W_])(?![.,]\d)")
_RANGE = re.compile(rf"{_DASH}|—|\.\.\.?|…|[ \u00a0](?:{_DASH}|—|…)[ \u00a0]")
_MAGNITUDES = {"k": 1e3, "m": 1e6, "b": 1e9, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_MOST_DIGITS = 40


def numbers_in(text: str) -> list[Number]:
    """The numbers of a text in their order. Digits within words ("m2", "B-7"), dates and versions are none."""
    candidates = [*_decimal_commas(text), *_powers(text)]
    candidates += [number for match in _NUMBER.finditer(text) if (number := _number(match)) is not None]
    found: list[Number] = []
    for number in sorted(candidates, key=lambda number: (number.start, -number.end)):
        if not found or number.start >= found[-1].end:
            found.append(number)
    return _ranges(text, found)


def _decimal_commas(text: str) -> Iterator[Number]:
    for match in _DECIMAL_COMMA.finditer(text):
        digits = match["digits"]
        if len(digits) > _MOST_DIGITS or re.fullmatch(r"\d{1,3},\d{3}", digits):
            continue
        value = float(digits.replace(",", ".")) * (-1 if text[match.start()] in "-−–" else 1)
        yield Number(match.start(), match.end(), value, _half_step(digits, 0), is_vague=True)


def _powers(text: str) -> Iterator[Number]:
    for match in _POWER.finditer(text):
        value = _value("1", _exponent(match["ten"]))
        if value is not None:
            yield Number(match.start(), match.end(), value, value * 0.25)


def _number(match: re.Match[str]) -> Number | None:
    digits = match["digits"].replace(",", "")
    if len(digits) > _MOST_DIGITS:
        return None
    exponent = _exponent(match["e"] or match["ten"] or "0")
    value = _value(digits, exponent)
    if value is None:
        return None
    tail = (match["tail"] or "").strip().casefold()
    magnitude = _MAGNITUDES.get((match["suffix"] or tail).casefold(), 1.0)
    percent = tail in ("%", "percent", "per cent")
    half_step = _half_step(digits, exponent) * magnitude
    sign = -1 if match["sign"] else 1
    return Number(match.start(), match.end(), sign * value * magnitude, half_step, percent, magnitude)


def _exponent(written: str) -> int:
    plain = unicodedata.normalize("NFKC", written)
    negative = plain[0] in "-−–‐‑⁻"
    digits = plain.lstrip("-−–‐‑⁻+")
    return (-1 if negative else 1) * int(digits) if digits.isdecimal() else 0


def _value(digits: str, exponent: int) -> float | None:
    value = float(f"{digits}e{exponent}")
    return value if math.isfinite(value) else None


def _half_step(digits: str, exponent: int) -> float:
    """Half a unit of the last digit written; trailing zeros of a whole number count as rounded ones, at most two."""
    _, _, decimals = digits.replace(",", ".").partition(".")
    zeros = min(len(digits) - len(digits.rstrip("0")), 2, len(digits) - 1)
    place = -len(decimals) if decimals else zeros
    return 0.5 * 10.0 ** max(min(place + exponent, 300), -300)


def _ranges(text: str, numbers: list[Number]) -> list[Number]:
    """Marks the two ends of "3–5": the dash is no sign there, and each end alone is not what is meant."""
    marked: list[Number] = []
    for number in numbers:
        before = marked[-1] if marked else None
        signed = text[number.start] in "-−–"
        if before is not None and _RANGE.fullmatch(text, before.end, number.start + signed):
            marked[-1] = replace(before, is_vague=True, is_range=True)
            value = abs(number.value) if signed else number.value
            number = replace(number, start=number.start + signed, value=value, is_vague=True, is_range=True)
        marked.append(number)
    return marked
