"""Takes apart what a detector joined: a row of tick labels that OCR read as one text.

The blanks between the labels are seen in the pixels; a label is read again where the words of the text do not say
which is which. Knows no axes: which labels make a scale, or name a bar, is decided elsewhere.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np

from llava_graph.ocr import Box
from ocr_worker.charts.axes import ReadCrops
from ocr_worker.charts.numerals import readings
from ocr_worker.charts.picture import Picture
from ocr_worker.charts.texts import Token

WORD_GAP = 0.26
"""Share of a text's height from which a blank parts two labels; between two digits `1` it is 0.2."""

MOST_PARTS = 16
"""Crops that are read again for one row: each takes some 10 ms."""

SURE = 0.6
"""Confidence of OCR from which the text of a crop is taken."""

MOVED = 0.3
"""Share of the distance between two bars by which the blank between their names may be off its middle."""

SPAN_EDGE = 0.1
"""Share of the distance between two bars, at both ends of a bar's span, in which no part of its name stands."""

LETTERS = 60.0
"""Distance in RGB from the ground from which a pixel belongs to a letter rather than to its edge."""


def apart(picture: Picture, tokens: Sequence[Token], reread: ReadCrops | None) -> list[Token]:
    """The tokens, those of a row of numbers placed where their ink is. A row whose words and pieces of ink differ in
    number is read again piece by piece; without `reread` its words stay where equally wide letters put them."""
    found: list[Token] = []
    for _, group in itertools.groupby(tokens, key=lambda token: (token.line, token.whole)):
        row = list(group)
        if row[0].whole or len(row) < 2 or not all(token.upright for token in row):
            found += row
            continue
        box = (row[0].box[0], row[0].box[1], row[-1].box[2], row[-1].box[3])
        pieces = _pieces(picture, box)
        if len(pieces) == len(row):
            found += [
                Token(t.text, (float(a), box[1], float(b), box[3]), t.line, t.numerals, whole=False)
                for t, (a, b) in zip(row, pieces, strict=True)
            ]
        elif reread is not None and len(pieces) > 1:
            # Places by equally wide letters agree with each other, and on a wrong scale, where a letter was missed. Of
            # a long row a part of the labels tells the scale.
            pieces = pieces[:: -(-len(pieces) // MOST_PARTS)]
            read = names_at(picture, pieces, (box[1], box[3]), reread)
            found += [
                Token(text, (float(a), box[1], float(b), box[3]), row[0].line, readings(text), whole=False)
                for text, (a, b) in zip(read, pieces, strict=True)
                if text
            ]
        else:
            found += row
    return found


def _pieces(picture: Picture, box: Box) -> list[tuple[int, int]]:
    """First and past the last column of the pieces of ink of a row, in pixels of the picture."""
    x0, y0, x1, y1 = (round(edge) for edge in box)
    height = y1 - y0
    # Ticks reach into the box from above.
    part = picture.distance[max(y0 + round(0.25 * height), 0) : max(y1 - round(0.15 * height), 0), max(x0, 0) : x1]
    inked = part > LETTERS
    columns = np.flatnonzero(inked.any(axis=0)) if inked.size else np.zeros(0, np.int64)
    if not len(columns):
        return []
    breaks = np.flatnonzero(np.diff(columns) > max(WORD_GAP * height, 2.0))
    starts = [int(columns[0]), *(int(columns[i + 1]) for i in breaks)]
    ends = [*(int(columns[i]) + 1 for i in breaks), int(columns[-1]) + 1]
    return [(max(x0, 0) + a, max(x0, 0) + b) for a, b in zip(starts, ends, strict=True)]


def cut_at_blanks(
    picture: Picture, spans: Sequence[tuple[float, float]], rows: tuple[float, float]
) -> list[tuple[float, float]]:
    """The spans of columns with their common edges moved to the nearest blank: names are not centred to the pixel."""
    y0, y1 = max(round(rows[0]), 0), min(round(rows[1]), picture.height)
    blank = ~np.asarray((picture.distance[y0:y1] > LETTERS).any(axis=0), np.bool_)
    moved = []
    for edge in (spans[0][0], *(b for _, b in spans)):
        reach = MOVED * (spans[0][1] - spans[0][0])
        first = max(round(edge - reach), 0)
        near = first + np.flatnonzero(blank[first : round(edge + reach) + 1])
        moved.append(float(near[np.abs(near - edge).argmin()]) if len(near) else edge)
    return list(itertools.pairwise(moved))


def names_at(
    picture: Picture,
    spans: Sequence[tuple[float, float]],
    rows: tuple[float, float],
    reread: ReadCrops,
    *,
    turned: bool = False,
) -> list[str]:
    """What stands in each of `spans` (columns) between two rows of the picture; "" where nothing sure does. `turned`:
    the texts are read from below to above."""
    y0, y1 = max(round(rows[0]), 0), min(round(rows[1]), picture.height)
    crops, places = [], []
    for index, (a, b) in enumerate(spans[:MOST_PARTS]):
        x0, x1 = max(round(a), 0), min(round(b), picture.width)
        columns = np.flatnonzero((picture.distance[y0:y1, x0:x1] > LETTERS).any(axis=0))
        if not len(columns) or y1 - y0 < 6:
            continue
        first, last = max(x0 + int(columns[0]) - 2, 0), min(x0 + int(columns[-1]) + 3, picture.width)
        crop = picture.rgb[y0:y1, first:last]
        if turned:
            inked = np.flatnonzero((picture.distance[y0:y1, first:last] > LETTERS).any(axis=1))
            crop = np.rot90(crop[max(int(inked[0]) - 2, 0) : int(inked[-1]) + 3], -1)
        crops.append(np.ascontiguousarray(crop))
        places.append(index)
    found = [""] * len(spans)
    if crops:
        for index, (text, confidence) in zip(places, reread(crops), strict=True):
            if confidence >= SURE:
                found[index] = re.sub(r"^[|'`_\s]+|[|'`_\s]+$", "", text)
    return found


def names_left_of(picture: Picture, spans: Sequence[tuple[float, float]], edge: float, reread: ReadCrops) -> list[str]:
    """What stands left of the column `edge` in each of `spans` (rows); "" where nothing sure does. A text ends where a
    blank of its height follows, before which an axis' title may stand."""
    x1 = min(max(round(edge), 0), picture.width)
    crops, places = [], []
    for index, (a, b) in enumerate(spans[:MOST_PARTS]):
        inset = SPAN_EDGE * (b - a)
        y0, y1 = max(round(a + inset), 0), min(round(b - inset), picture.height)
        inked = picture.distance[y0:y1, :x1] > LETTERS
        lines = np.flatnonzero(inked[:, max(x1 - 2 * (y1 - y0), 0) :].any(axis=1))
        if not len(lines):
            continue
        top, bottom = y0 + int(lines[0]), y0 + int(lines[-1]) + 1
        columns = np.flatnonzero(inked[top - y0 : bottom - y0].any(axis=0))
        if bottom - top < 5:  # a tick alone
            continue
        breaks = np.flatnonzero(np.diff(columns) > bottom - top)
        first = int(columns[breaks[-1] + 1]) if len(breaks) else int(columns[0])
        crop = picture.rgb[max(top - 2, 0) : bottom + 2, max(first - 2, 0) : int(columns[-1]) + 3]
        crops.append(np.ascontiguousarray(crop))
        places.append(index)
    found = [""] * len(spans)
    if crops:
        for index, (text, confidence) in zip(places, reread(crops), strict=True):
            if confidence >= SURE:
                found[index] = re.sub(r"^[|'`_\s]+|[-|'`_\s]+$", "", text)
    return found
