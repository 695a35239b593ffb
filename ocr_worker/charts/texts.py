"""The texts of a figure as pieces that may be tick labels: merged rows taken apart, each piece with its place.

A detector often sees a row of tick labels (`1000 2000 3000`) as one text. Knows no axes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from llava_graph.ocr import Box, Line
from ocr_worker.charts.numerals import Numeral, readings


@dataclass(frozen=True, slots=True)
class Token:
    """A text or a part of one. `line` is the index of the OCR line; `whole`: the token is all of that line."""

    text: str
    box: Box
    line: int
    numerals: tuple[Numeral, ...]
    whole: bool = True

    @property
    def x(self) -> float:
        return (self.box[0] + self.box[2]) / 2

    @property
    def y(self) -> float:
        return (self.box[1] + self.box[3]) / 2

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def upright(self) -> bool:
        """Whether it reads from left to right. A lone narrow letter is as well."""
        return self.height < 1.5 * self.width or len(self.text) <= 2


def tokens(lines: Iterable[Line]) -> list[Token]:
    """One token for each line that is one number or no numbers, else one for each of its words."""
    found: list[Token] = []
    for index, line in enumerate(lines):
        whole = readings(line.text)
        joined = _joined(line.text)
        if len(joined) > 1 and not whole:
            found += [Token(word, _part(line, a, b), index, readings(word), whole=False) for word, a, b in joined]
            continue
        words = [(match.group(), match.start(), match.end()) for match in re.finditer(r"\S+", line.text)]
        # `1 000 2 000` is not taken apart rightly; the axis then has too few consistent labels and is not claimed.
        if whole or len(words) < 2 or sum(bool(readings(word)) for word, _, _ in words) < 2:
            found.append(Token(line.text, line.box, index, whole))
            continue
        found += [Token(word, _part(line, a, b), index, readings(word), whole=False) for word, a, b in words]
    return found


def _joined(text: str) -> list[tuple[str, int, int]]:
    """Numbers with thousands separators that were read without the spaces between them: `4,0008,00012,000`."""
    if not re.fullmatch(r"(?:0 ?)?(?:\d{1,3}(?:,\d{3})+ ?){2,}", text):
        return []
    return [(m.group(), m.start(), m.end()) for m in re.finditer(r"\d{1,3}(?:,\d{3})+|^0(?=[1-9 ])", text)]


def words(line: Line, index: int) -> list[Token]:
    """The words of a line, each as a token at its place: for categories that a detector joined."""
    return [
        Token(match.group(), _part(line, match.start(), match.end()), index, readings(match.group()), whole=False)
        for match in re.finditer(r"\S+", line.text)
    ]


def _part(line: Line, start: int, end: int) -> Box:
    """The place of the characters `start`..`end`, all taken as equally wide."""
    x0, y0, x1, y1 = line.box
    if y1 - y0 > 1.5 * (x1 - x0):  # reads from bottom to top
        step = (y1 - y0) / len(line.text)
        return x0, y1 - end * step, x1, y1 - start * step
    step = (x1 - x0) / len(line.text)
    return x0 + start * step, y0, x0 + end * step, y1
