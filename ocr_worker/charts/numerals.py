"""What the text of a tick label may mean as a number or as a date, OCR's habits included.

A text can have several readings (`102` is one hundred and two, or ten squared whose exponent lost its height); which
one
holds is decided by the axis as a whole (`axes`). Knows no pixels.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Literal

Form = Literal["plain", "power", "percent", "date"]

_MINUS = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "﹣": "-", "‐": "-", "‑": "-", "一": "-", "～": "-", "，": ",", "。": ".", "：": ":"}
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUFFIXES = {
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "B": 1e9,
    "T": 1e12,
    "m": 1e-3,
    "µ": 1e-6,
    "μ": 1e-6,
    "u": 1e-6,
    "n": 1e-9,
    "p": 1e-12,
}
_LETTERS_FOR_DIGITS = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1", "|": "1"})
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: i + 1 for i, name in enumerate(_MONTH_NAMES)}
_EPOCH = datetime.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Numeral:
    """One reading of a text. Dates are days since 1970-01-01; `25%` has the value 25 and the form percent."""

    value: float
    form: Form = "plain"
    unit: str | None = None


def readings(text: str) -> tuple[Numeral, ...]:
    """All numbers that `text` as a whole may stand for; empty when it is no number."""
    text = text.strip().translate(_MINUS).strip("'`´\"_ ")
    text = re.sub(r"\s*([.,])\s*(?=\d)", r"\1", text)
    text = re.sub(r"(?<=[\d%kMG⁰¹²³⁴⁵⁶⁷⁸⁹])\s*[-_~]+$", "", text)  # the tick mark, read as a dash
    if not text or len(text) > 24:
        return ()
    found = _power(text) + _plain(text)
    if not found and re.search(r"\d", text) and re.fullmatch(r"[-+]?[\dOolI|.,]+%?", text):
        found = _plain(text.translate(_LETTERS_FOR_DIGITS))  # "O.5" and "l0": letters that stand where digits must
    return tuple(dict.fromkeys(found)) or _date(text)


def _plain(text: str) -> tuple[Numeral, ...]:
    form: Form = "plain"
    unit = None
    factor = 1.0
    body = text.replace(" ", "") if re.fullmatch(r"[-+]?\d{1,3}(?: \d{3})+(?:[.,]\d+)?", text) else text
    if body[:1] in "$€£":
        unit, body = body[0], body[1:].strip()
    elif body[:2] in ("-$", "-€", "-£"):
        unit, body = body[1], f"-{body[2:]}"
    if body.endswith("%"):
        form, unit, body = "percent", "%", body[:-1].strip()
    elif body.endswith("°"):
        unit, body = "°", body[:-1].strip()
    elif len(body) > 1 and body[-1] in _SUFFIXES and re.match(r"[\d.]", body[-2:-1].strip() or body[-3:-2]):
        factor, body = _SUFFIXES[body[-1]], body[:-1].strip()
    elif body.endswith("x") or body.endswith("×"):
        unit, body = "×", body[:-1].strip()
    return tuple(Numeral(value * factor, form, unit) for value in _values(body))


def _values(body: str) -> tuple[float, ...]:
    if match := re.fullmatch(r"([-+]?\d*\.?\d+)[eE]([-+]?\d{1,3})", body):
        return (_finite(f"{match[1]}e{match[2]}"),) if abs(int(match[2])) < 300 else ()
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?", body):
        thousands = float(body.replace(",", ""))
        # `0,125` has a decimal comma; `1,250` may have either.
        decimal = (float(body.replace(",", ".")),) if body.count(",") == 1 and "." not in body else ()
        return decimal if re.match(r"[-+]?0,", body) else (thousands, *decimal)
    if re.fullmatch(r"[-+]?\d{1,3}(\.\d{3}){2,}", body):
        return (float(body.replace(".", "")),)
    if re.fullmatch(r"[-+]?\d+,\d+", body):
        body = body.replace(",", ".")
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)", body):
        # A leading zero without a point is a decimal point that OCR lost.
        return () if re.match(r"[-+]?0\d", body) else (float(body),)
    return ()


def _finite(text: str) -> float:
    return float(text)


def _power(text: str) -> tuple[Numeral, ...]:
    """Powers of ten: `10⁻³`, `10^-3`, `10-3`, `103`, `2×10³`, `-10²`."""
    plain = text.translate(_SUPERSCRIPTS).replace(" ", "").replace("°", "0").replace("º", "0").rstrip(".")
    has_superscript = plain != text.replace(" ", "")
    if match := re.fullmatch(r"([-+]?\d+(?:[.,]\d+)?)[x×·*]10\^?\{?([-+]?\d{1,2})\}?", plain):
        return (Numeral(float(match[1].replace(",", ".")) * 10.0 ** int(match[2]), "power"),)
    if match := re.fullmatch(r"(-?)[1lI][0Oo](\^?)\{?([-+]?\d{1,2})\}?", plain):
        sign = -1.0 if match[1] else 1.0
        value = Numeral(sign * 10.0 ** int(match[3]), "power")
        certain = has_superscript or match[2] or match[3][0] in "+-"
        return (value,) if certain or not match[3].startswith("0") or match[3] == "0" else ()
    if plain in ('10"', "10'"):
        return ()
    return ()


def offset(text: str) -> tuple[float, float] | None:
    """The factor and the summand of a text such as `1e6`, `×10⁻³` or `+2.5e3` at the end of an axis; None: no such
    text."""
    text = text.strip().translate(_MINUS).translate(_SUPERSCRIPTS).replace(" ", "")
    if match := re.fullmatch(r"[x×X*]?[1lI]?[eEcC]([-+]?\d{1,2})", text):
        return 10.0 ** int(match[1]), 0.0
    if match := re.fullmatch(r"\(?[1lI]?[x×X·*]?[1lI][0Oo]\^?\{?([-+]?\d{1,2})\}?\)?", text):
        return (10.0 ** int(match[1]), 0.0) if not match[1].startswith("0") else None
    if match := re.fullmatch(r"\+(\d+\.?\d*(?:[eE][-+]?\d{1,2})?)", text):
        return 1.0, float(match[1])
    return None


def _date(text: str) -> tuple[Numeral, ...]:
    for pattern, order in _DATES:
        if match := re.fullmatch(pattern, text, re.IGNORECASE):
            parts = dict(zip(order, match.groups(), strict=True))
            month = parts.get("m", "1")
            number = _MONTHS.get(month[:3].lower(), 0) if not month.isdigit() else int(month)
            year = int(parts["y"]) if len(parts["y"]) == 4 else 2000 + int(parts["y"])
            try:
                day = datetime.date(year, number, int(parts.get("d", "1")))
            except ValueError:
                return ()
            return (Numeral(float((day - _EPOCH).days), "date"),)
    return ()


_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATES = (
    (r"((?:19|20)\d\d)[-/.](\d{1,2})[-/.](\d{1,2})", "ymd"),
    (r"((?:19|20)\d\d)[-/](\d{1,2})", "ym"),
    (rf"{_MONTH}[ ,'-]*((?:19|20)\d\d)", "my"),
    (rf"{_MONTH}['-](\d\d)", "my"),
    (rf"((?:19|20)\d\d)[ -]?{_MONTH}", "ym"),
    (rf"{_MONTH} ?(\d{{1,2}}),? ?((?:19|20)\d\d)", "mdy"),
    (rf"(\d{{1,2}})[ -]?{_MONTH}[ -]?((?:19|20)\d\d)", "dmy"),
)
