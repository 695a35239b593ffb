"""Which text names which series: legend entries with their handles, and names written at the curves in their colour.

A handle (line, marker or patch) stands beside its text, at the left nearly always, at the right in gnuplot's keys. One
entry alone may be a curve that passes a text; a group of aligned texts with handles on the same side is a legend. Reads
no data.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from llava_graph.ocr import Box
from ocr_worker.charts.areas import Area
from ocr_worker.charts.axes import ReadCrops
from ocr_worker.charts.numerals import readings
from ocr_worker.charts.picture import INK, Picture, mode_colour
from ocr_worker.charts.texts import Token

Colour = npt.NDArray[np.float32]

REACH = 5.0
"""A handle ends within this many text heights of its text; matplotlib's is 2 em long and 0.8 em away, R's up to 4."""

WIDEST = 4.6
"""Text heights that a handle is wide at most."""

NEXT_TO = 2.2
"""Text heights between a text and its handle at most."""

COLOURED = 40.0
"""Distance in RGB from which a handle's colour is not that of the text."""


FAINT = 34.0
"""Distance in RGB from the page below which nothing is a handle: paper grain, JPEG noise, and what keys are filled with
(#f2f2f2 on white is 23 away); pale yellows are 60 away."""

OTHER_HUE = 0.04
"""One minus the cosine of two colours' ways from the page, from which a text is not written in the curve's hue: orange
and red are 0.05 apart."""

HATCHED = 0.2
"""Share of a handle's pixels that have its colour under black hatches; JPEG tints fewer pixels of a black line."""

SAME_INK = 0.99
"""Cosine between two colours' ways from the page from which the paler one is an edge of the other."""

DRAWN_LETTERS = 4
"""The most letters that OCR makes of a jagged curve; a longer text that a curve passes may hang together with it."""

SYMBOLS = "-–—_~=•●○■□▲△▼◆◇★☆*+×口日一|. "
"""What OCR makes of handles. No name begins or ends with one of them."""

MARKERS = "●○■□▲△▼◆◇★☆•"
"""Those that no name has within it."""

INITIAL = re.compile(r"[A-Z]\.")
"""A genus or a first name cut short, as in V. cholerae."""

HANDLE_WIDE = 0.35
"""Text heights from which a coloured piece within a text is the next entry's handle: a patch is as wide as a
narrow letter."""

BELOW = 0.15
"""Text heights by which the ends of handles that stand exactly below each other differ; compression blurs them."""

INKED = 0.45
"""Share of the ink in a handle's columns that has its colour: a black outline takes half of a small patch."""

PAST_HANDLE = 4
"""Pixels that a line goes on at both ends of where handles stand if it is none."""

SWALLOWED = 0.2
"""Text heights that a handle within a text's box is wide at least: the shortest line is twice as long."""

LETTERS = 3
"""Pieces of the text's own colour, high as letters, from which they are letters: a handle is one, or has dashes."""

FRAME = 0.2
"""Text heights that the frame of a legend is thick at most."""

WRITTEN_ON = 0.4
"""Share of a text's box that has one colour from which it is what the text is written on: letters cover a third."""

NEARER = 0.35
"""Text heights by which a handle must be nearer to one of two texts to be its: OCR boxes are padded by up to 0.3."""

ADJOINING = 0.2
"""Text heights between ink and the edge of a box within which it belongs to the box's text, and how much of it is a
letter: boxes are padded."""

SAME_HANDLE = 0.3
"""Share of the narrower of two handles that both have, from which they are one."""

SHORTEST_CYCLE = 5
"""Colours from which a plotting library begins its cycle again."""

BETWEEN_NAMES = 6.0
BETWEEN_ROWS = 1.5
"""Text heights between entries of one legend at most, in a row and in a column."""

MOST_PARTS = 10
"""Names in one row of a legend, and crops that are read again for them."""

SURE = 0.6
"""Confidence of OCR from which the text of a crop is taken for a name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name and how its series is drawn. `box` holds the handle and the text; `direct`: the text itself has the
    colour."""

    name: str
    line: int
    colour: Colour
    handle: Box
    box: Box
    height: float
    direct: bool = False
    names: bool = True
    """Whether the name is that of the series; of another panel's legend only how its series are drawn is known."""

    @property
    def key(self) -> tuple[int, int]:
        """Tells entries apart: those of a row that was read as one text share its line."""
        return self.line, round(self.box[0])

    @property
    def is_patch(self) -> bool:
        """Whether the handle is as high as a filled rectangle would be."""
        return self.handle[3] - self.handle[1] >= 0.38 * self.height


def parted(picture: Picture, tokens: Sequence[Token], taken: set[int], reread: ReadCrops | None) -> list[Token]:
    """The texts, those that span several entries of a row taken apart at the handles between their names.

    The names are read again, since where a character stands in a text is not known; without `reread` such a text
    names nothing.
    """
    found: list[Token] = []
    for token in tokens:
        able = token.whole and token.upright and token.line not in taken and token.width > 3 * token.height
        between = _handles_within(picture, token) if able else []
        if not between:
            found.append(token)
            continue
        found += _names_between(picture, token, between, reread)
    return found


def _handles_within(picture: Picture, token: Token) -> list[tuple[int, int]]:
    """First and last column of each handle that stands within a text with names on both of its sides."""
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    y0, x0 = max(y0, 0), max(x0, 0)
    part = picture.rgb[y0:y1, x0:x1].astype(np.float32)
    distance = picture.distance[y0:y1, x0:x1]
    if part.shape[0] < 5 or part.shape[1] < 12:
        return []
    ink = distance > INK
    own = _written_colour(part, distance, picture.page)
    coloured = ink & (np.linalg.norm(part - own, axis=2) > COLOURED) & _off_ray(part, own, picture)
    middle = slice(part.shape[0] // 4, part.shape[0] - part.shape[0] // 4)
    closed = cv2.morphologyEx(coloured.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((1, 5), np.uint8))
    # A line has no letters above and below it: its columns hold nothing else.
    _, _, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    height = token.height
    spans = [
        (int(x), int(x + w - 1))
        for x, y, w, h, size in stats[1:40]
        if w >= max(HANDLE_WIDE * height, 5)
        and w <= WIDEST * height
        and size >= 8
        and coloured[middle, x : x + w].any()
        and float(coloured[:, x : x + w].sum() / max(int(ink[:, x : x + w].sum()), 1)) > INKED
    ]
    merged: list[tuple[int, int]] = []
    for a, b in sorted(spans):
        if merged and a - merged[-1][1] <= 0.5 * height:  # a marker in front of its line, dashes
            merged[-1] = merged[-1][0], max(b, merged[-1][1])
        else:
            merged.append((a, b))
    inner = [(a + x0, b + x0) for a, b in merged]
    bounds = [x0, *(edge for pair in inner for edge in pair), x1]
    names = [bounds[i + 1] - bounds[i] >= 0.8 * height for i in range(0, len(bounds), 2)]
    return inner if sum(names) >= 2 else []


def _written_colour(part: npt.NDArray[np.float32], distance: npt.NDArray[np.float32], page: Colour) -> Colour:
    """What a text is written in: of the two colours that most of its strong ink has, the one in more columns. A thick
    handle has more pixels than thin letters, but is not as wide as the names. The paler of two shades of one hue is
    that of the letters' edges."""
    strong = distance >= 0.6 * float(distance.max())
    first = mode_colour(part[strong].astype(np.uint8))
    near = strong & (np.linalg.norm(part - first, axis=2) <= COLOURED)
    rest = strong & ~near
    if not rest.any():
        return first
    second = mode_colour(part[rest].astype(np.uint8))
    if _cosine(first - page, second - page) > SAME_INK:
        return max(first, second, key=lambda colour: float(np.linalg.norm(colour - page)))
    other = rest & (np.linalg.norm(part - second, axis=2) <= COLOURED)
    return second if other.any(axis=0).sum() > near.any(axis=0).sum() else first


def _names_between(
    picture: Picture, token: Token, handles: Sequence[tuple[int, int]], reread: ReadCrops | None
) -> list[Token]:
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    bounds = [x0, *(edge for pair in handles for edge in pair), x1]
    gaps = [(bounds[i] + 1, bounds[i + 1]) for i in range(0, len(bounds), 2)]
    boxes = []
    for a, b in gaps[:MOST_PARTS]:
        columns = np.flatnonzero((picture.distance[max(y0, 0) : y1, max(a, 0) : b] > 60).any(axis=0))
        if b - a >= 0.5 * token.height and len(columns) >= 3:
            boxes.append((max(a, 0) + int(columns[0]), y0, max(a, 0) + int(columns[-1]) + 1, y1))
    if reread is None or len(boxes) < 2:
        return []
    pad = max(round(0.15 * token.height), 2)
    crops = [
        np.ascontiguousarray(picture.rgb[max(b, 0) : d, max(a - pad, 0) : min(c + pad, picture.width)])
        for a, b, c, d in boxes
    ]
    found = []
    for (a, b, c, d), (text, confidence) in zip(boxes, reread(crops), strict=True):
        name = text.strip(SYMBOLS)
        if confidence >= SURE and name:
            found.append(Token(name, (float(a), float(b), float(c), float(d)), token.line, readings(name)))
    return found


def find_entries(
    picture: Picture, tokens: Sequence[Token], taken: set[int], reread: ReadCrops | None = None
) -> list[Entry]:
    """The legend entries; `taken` are lines that are tick labels, titles and axis labels. `reread` reads names again
    of which OCR cut off the first letters."""
    able = [t for t in tokens if t.whole and t.upright and t.line not in taken and could_name(t)]
    words = [t for t in able if not t.numerals and not is_marker(picture, t)]
    at_left, at_right = (_entries_at(picture, words, side) for side in (-1, 1))
    left = _grouped([entry for token, entry in at_left if not _is_of_other(token, entry, at_right, -1)])
    right = _grouped([entry for token, entry in at_right if not _is_of_other(token, entry, at_left, 1)])
    entries = left if len(left) >= len(right) else right
    entries = _completed(picture, entries, at_left if entries is left else at_right, reread)
    if len(entries) <= 1:  # names that are numbers, such as the orders of polynomials
        numbers = [t for t in able if t.numerals and not is_marker(picture, t)]
        numeric = _grouped([entry for token in numbers if (entry := _entry(picture, token, -1)) is not None])
        numeric = _of_one_width(picture, numeric, numbers)
        if len(numeric) >= 2 and _is_column(numeric):
            return sorted(numeric, key=lambda e: e.box[1])
    return _with_members(picture, entries, able, -1 if len(left) >= len(right) else 1)


def _entries_at(picture: Picture, words: Sequence[Token], side: int) -> list[tuple[Token, Entry]]:
    """Each text that has a handle at its left (-1) or right (1), with the entry that the two make."""
    found = []
    for token in words:
        if _is_joined(picture, token):
            continue
        beside = [t for t in words if t is not token and abs(t.y - token.y) < 0.5 * token.height and _is_word(t)]
        entry = _entry(picture, token, side, beside)
        if entry is not None:
            found.append((token, entry))
    return found


def _is_joined(picture: Picture, token: Token) -> bool:
    """Whether a text with a dash between its words holds the handle that the dash was: several names in one, which
    were not taken apart."""
    if not re.search(r"\S\s*[-–—_~=]\s*\S", token.text[1:]):
        return False
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    start = max(x0 + round(token.height), 0)
    part = picture.rgb[max(y0, 0) : y1, start:x1].astype(np.float32)
    if not part.size:
        return False
    own = _text_colour(picture, token)
    ink = picture.distance[max(y0, 0) : y1, start:x1] > 2 * COLOURED
    tinted = ink & (np.ptp(part, axis=2) > 2 * COLOURED) & (np.linalg.norm(part - own, axis=2) > 2 * COLOURED)
    long = cv2.morphologyEx(
        tinted.astype(np.uint8), cv2.MORPH_OPEN, np.ones((1, max(round(HANDLE_WIDE * token.height), 3)), np.uint8)
    )
    return bool(long.any())


def _is_word(token: Token) -> bool:
    return sum(character.isalnum() for character in token.text) >= 2


def _is_of_other(token: Token, entry: Entry, others: Sequence[tuple[Token, Entry]], side: int) -> bool:
    """Whether the handle stands clearly nearer to another text, on its other side. In a row of names each handle but
    the outermost stands between two. `side`: of the handle from `token`."""
    away = _gap(token, entry, side)
    for other, same in others:
        shared = min(entry.handle[2], same.handle[2]) - max(entry.handle[0], same.handle[0])
        narrow = min(entry.handle[2] - entry.handle[0], same.handle[2] - same.handle[0])
        level = abs(_middle(entry) - _middle(same)) < 0.5 * entry.height
        farther = away > _gap(other, same, -side) + NEARER * entry.height
        if other is not token and level and shared > SAME_HANDLE * narrow and farther:
            return True
    return False


def _gap(token: Token, entry: Entry, side: int) -> float:
    """Pixels between a text and its handle; 0 where the box of the text holds it."""
    return max(token.box[0] - entry.handle[2] if side < 0 else entry.handle[0] - token.box[2], 0.0)


def _completed(
    picture: Picture, entries: list[Entry], found: Sequence[tuple[Token, Entry]], reread: ReadCrops | None
) -> list[Entry]:
    """The entries, names that OCR cut off at an end read again; without `reread` such an entry is left out: a wrong
    name makes all that is said of its curve wrong."""
    tokens = {entry.key: token for token, entry in found}
    kept: list[Entry] = []
    for entry in entries:
        span = _cut_off(picture, tokens[entry.key], entry)
        if span is None:
            kept.append(entry)
            continue
        _, y0, _, y1 = (round(edge) for edge in tokens[entry.key].box)
        crop = np.ascontiguousarray(picture.rgb[max(y0, 0) : y1, max(span[0] - 2, 0) : span[1] + 2])
        able = reread is not None and len(entries) > 1 and crop.size > 0
        text, confidence = reread([crop])[0] if reread is not None and able else ("", 0.0)
        name = text.strip(SYMBOLS)
        if confidence >= SURE and name:
            kept.append(replace(entry, name=name if len(name) > len(entry.name) else entry.name))
    return kept


def _cut_off(picture: Picture, token: Token, entry: Entry) -> tuple[int, int] | None:
    """The columns from which to which a name goes whose box holds a part of it; None where the box holds all."""
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    pad = round(0.15 * token.height)
    rows = slice(max(y0 + pad, 0), max(y1 - pad, 0))
    low, high = 0, picture.width
    if entry.handle[0] + entry.handle[2] < x0 + x1:  # at the left; within the box there is nothing to add before it
        low = round(entry.handle[2]) + 2 if entry.handle[2] <= x0 + 1 else x0
    else:
        high = round(entry.handle[0]) - 2 if entry.handle[0] >= x1 - 1 else x1
    own = _text_colour(picture, token)
    part = picture.rgb[rows].astype(np.float32)
    inked = (picture.distance[rows] > 60) & (np.linalg.norm(part - own, axis=2) <= 2 * COLOURED)
    full = inked.mean(axis=0) > 0.9  # a frame
    columns = inked.any(axis=0) & ~full
    reach = max(round(ADJOINING * token.height), 2)
    start, end = max(x0, 0), min(x1, picture.width)
    while (near := np.flatnonzero(columns[max(start - reach, low) : start])).size and start > low:
        start = max(start - reach, low) + int(near[0])
    while (near := np.flatnonzero(columns[end : min(end + reach, high)])).size and end < high:
        end += int(near[-1]) + 1
    least = max(ADJOINING * token.height, 3)
    return (start, end) if x0 - start >= least or end - x1 >= least else None


def could_name(token: Token) -> bool:
    # A handle between words stands between two names that were not taken apart.
    joined = any(symbol in token.text.strip(SYMBOLS) for symbol in MARKERS)
    return any(c.isalnum() for c in token.text) and token.height >= 5 and len(token.text) <= 60 and not joined


def is_marker(picture: Picture, token: Token) -> bool:
    """Whether a lone letter is a marker: those are coloured, letters of legends nearly always black or grey."""
    if len(token.text) > 2:
        return False
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    part = picture.rgb[max(y0, 0) : y1, max(x0, 0) : x1].reshape(-1, 3)
    return not len(part) or not token.text.isascii() or bool((np.ptp(part.astype(np.int32), axis=1) > 60).mean() > 0.1)


def is_drawn(picture: Picture, token: Token) -> bool:
    """Whether what OCR read is a stretch of a curve: nearly all of its ink goes on beyond its box as one piece."""
    if len(token.text) > DRAWN_LETTERS:
        return False
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    pad = max(round(token.height), 6)
    a, b = max(x0 - pad, 0), max(y0 - pad, 0)
    distance = picture.distance[b : y1 + pad, a : x1 + pad]
    inside = distance[y0 - b : y1 - b, x0 - a : x1 - a]
    if not inside.size or inside.max() <= INK:
        return False
    strong = distance > max(INK, 0.45 * float(inside.max()))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(strong.astype(np.uint8), connectivity=8)
    own = np.bincount(labels[y0 - b : y1 - b, x0 - a : x1 - a].ravel(), minlength=count)
    own[0] = 0
    # Letters end within their box, to within what OCR cuts off.
    outside = (stats[:, 4] - own > 0.25 * own) & (stats[:, 2] > 0.5 * token.width)
    return bool(own[outside].sum() > 0.85 * max(own.sum(), 1))


def _entry(picture: Picture, token: Token, side: int, beside: Sequence[Token] = ()) -> Entry | None:
    """The text with the handle at its left (-1) or right (1), None where none stands there. `beside`: other texts of
    the row, whose letters are no handle."""
    x0, y0, x1, y1 = token.box
    height = min(token.height, 40.0)
    middle = token.y
    own = _text_colour(picture, token)
    # The box may begin at the handle, when OCR took it for a letter.
    inner = min(2.2 * height, 0.6 * token.width)
    a, b = (x0 - REACH * height, x0 + inner) if side < 0 else (x1 - inner, x1 + REACH * height)
    top, bottom = round(middle - 0.55 * height), round(middle + 0.55 * height)
    lo, hi = max(round(a), 0), min(round(b), picture.width)
    top, bottom = max(top, 0), min(bottom, picture.height)
    if hi - lo < 3 or bottom - top < 3:
        return None
    pixels = picture.rgb[top:bottom, lo:hi].astype(np.float32)
    distance = _off_ground(picture, token, (slice(top, bottom), slice(lo, hi)))
    ink = distance > FAINT
    edge = round(x0) - lo if side < 0 else round(x1) - lo
    coloured = ink & (np.linalg.norm(pixels - own, axis=2) > COLOURED) & _off_ray(pixels, own, picture)
    if side < 0:
        ink[:, max(edge - 1, 0) :] &= coloured[:, max(edge - 1, 0) :]
    else:
        ink[:, : edge + 1] &= coloured[:, : edge + 1]
    for other in beside:
        a, b = max(round(other.box[0]) - lo, 0), max(round(other.box[2]) - lo, 0)
        ink[:, a:b] &= coloured[:, a:b]
        if other.width > WIDEST * height:  # else it may be the handle, read as letters
            ink[:, a:b] &= _off_ray(pixels[:, a:b], _text_colour(picture, other), picture)
    found = _handle(ink, coloured, edge, side, height)
    if found is None:
        return None
    h0, v0, h1, v1, mask = found
    if float(np.percentile(distance[mask], 95)) < FAINT:  # paper, or noise of a compressed image
        return None
    colour = _handle_colour(picture.rgb[top:bottom, lo:hi][mask], distance[mask])
    if v1 - v0 >= bottom - top and _goes_on(picture, colour, lo + (h0 + h1) // 2, (top, bottom), height):
        return None
    handle = (float(lo + h0), float(top + v0), float(lo + h1), float(top + v1))
    name = token.text.lstrip(SYMBOLS) or token.text
    if (side < 0 and handle[2] > x0 + 0.3 * height) or (side > 0 and handle[0] < x1 - 0.3 * height):
        name = _without_symbol(name, side)
    box = (min(handle[0], x0), min(y0, handle[1]), max(handle[2], x1), max(y1, handle[3]))
    return Entry(name, token.line, colour, handle, box, height)


def _off_ground(picture: Picture, token: Token, part: tuple[slice, slice]) -> npt.NDArray[np.float32]:
    """The distance of a part of the picture from its ground and from what a text is written on, whichever is nearer: a
    legend may have a filling of its own, which is ink on the ground of its panel."""
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    box = slice(max(y0, 0), y1), slice(max(x0, 0), x1)
    written = picture.rgb[box].reshape(-1, 3)
    if not len(written):
        return picture.distance[part]
    ground = mode_colour(written)
    on_ground = np.linalg.norm(written.astype(np.float32) - ground, axis=1) <= INK / 2
    is_ink = float(np.median(picture.distance[box].ravel()[on_ground])) > INK
    if not is_ink or on_ground.mean() < WRITTEN_ON:
        return picture.distance[part]
    # Keys may be filled with the ground of the panel, or with a shade between the two.
    filled = np.linalg.norm(picture.rgb[part].astype(np.float32) - ground, axis=2)
    return np.asarray(np.minimum(filled, picture.distance[part]), np.float32)


def _goes_on(picture: Picture, colour: Colour, column: int, rows: tuple[int, int], height: float) -> bool:
    """Whether a piece as high as a line of text goes on above or below it: a spine, a frame or a bar, no handle."""
    for row in (round(rows[0] - 0.5 * height), round(rows[1] + 0.5 * height)):
        if not 0 <= row < picture.height:
            continue
        between = picture.rgb[min(row, rows[0]) : max(row + 1, rows[1]), column].astype(np.float32)
        if bool((np.linalg.norm(between - colour, axis=1) <= COLOURED).all()):
            return True
    return False


def _text_colour(picture: Picture, token: Token) -> Colour:
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    x0 += round(0.3 * (x1 - x0))  # past what may be a handle
    part = picture.rgb[max(y0, 0) : y1, max(x0, 0) : x1].reshape(-1, 3)
    distance = picture.distance[max(y0, 0) : y1, max(x0, 0) : x1].ravel()
    if not len(distance) or distance.max() <= INK:
        return np.zeros(3, np.float32)
    return np.asarray(np.median(part[distance >= 0.75 * distance.max()], axis=0), np.float32)


def text_colour(picture: Picture, token: Token) -> Colour:
    """The colour that a text is written in, [3]."""
    return _text_colour(picture, token)


def _off_ray(pixels: npt.NDArray[np.float32], own: Colour, picture: Picture) -> npt.NDArray[np.bool_]:
    """Pixels that are no mixture of the text's colour and the page."""
    ray = own - picture.page
    length = float(ray @ ray)
    if length < 1:
        return np.ones(pixels.shape[:2], np.bool_)
    share = np.clip((pixels - picture.page) @ ray / length, 0, 1.1)
    rest = pixels - picture.page - share[..., None] * ray
    return np.asarray(np.linalg.norm(rest, axis=2) > 30)


def _handle(
    ink: npt.NDArray[np.bool_],
    coloured: npt.NDArray[np.bool_],
    edge: int,
    side: int,
    height: float,
) -> tuple[int, int, int, int, npt.NDArray[np.bool_]] | None:
    """The box and pixels of the handle within a strip; `edge` is where the text begins in it."""
    rows, columns = ink.shape
    upright = _upright(ink, max(3, round(FRAME * height)))
    _, whole = cv2.connectedComponents(ink.astype(np.uint8), connectivity=8)
    crossed = set(whole[0, upright].tolist())
    count, labels, stats, _ = cv2.connectedComponentsWithStats((ink & ~upright).astype(np.uint8), connectivity=8)
    origins: dict[int, int] = {}
    pieces = []
    for index in range(1, min(count, 60)):
        x, y, w, h, size = (int(v) for v in stats[index])
        gap = edge - (x + w) if side < 0 else x - edge
        piece = labels[y : y + h, x : x + w] == index
        if gap < -2.3 * height or size < 3 or (x == 0 and side < 0) or (x + w == columns and side > 0):
            continue
        if y + h < rows * 0.3 or y > rows * 0.7:  # what stands above or below the middle is of another line
            continue
        share = float(coloured[y : y + h, x : x + w][piece].mean())
        if share < 0.3 and gap < 0.25 * height and h >= 0.45 * rows and w < 0.8 * height:
            continue  # the text's first letter, outside of its box
        pieces.append((gap, x, y, w, h, index, share))
        origins[index] = int(whole[y : y + h, x : x + w][piece][0])
    outside = [piece for piece in pieces if piece[0] >= -0.3 * height]
    # A letter's tinted edge is narrower than any handle.
    inside = [p for p in pieces if p[0] < -0.3 * height and p[6] > 0.5 and p[3] >= SWALLOWED * height]
    # Within the text only where OCR took the handle for a letter: then what stands far outside is data.
    pieces = inside if inside and min((p[0] for p in outside), default=height) > 0.9 * height else outside or pieces
    if any(piece[6] > 0.5 and piece[0] <= NEXT_TO * height for piece in pieces):  # what is further away may be data
        pieces = [piece for piece in pieces if piece[6] > 0.3]
    if not pieces:
        return None
    pieces.sort()
    nearest = pieces[0]
    if nearest[0] > NEXT_TO * height:
        return None
    chosen = [nearest]
    for piece in pieces[1:]:  # dashes, and a marker in front of a line
        reach = max(p[1] + p[3] for p in chosen) if side > 0 else min(p[1] for p in chosen)
        space = reach - (piece[1] + piece[3]) if side < 0 else piece[1] - reach
        is_data = piece[4] >= rows > nearest[4]  # a bar or a curve beside the legend goes on above and below
        # What hangs on to a frame or a spine beside the handle: its corner, ticks.
        is_frame = origins[piece[5]] in crossed and origins[piece[5]] != origins[nearest[5]]
        if space <= 0.75 * height and not is_data and not is_frame:
            chosen.append(piece)
    if origins[nearest[5]] in crossed and len(chosen) == 1 and nearest[6] <= 0.5:
        return None  # a corner of a frame: a line that a grid crosses goes on behind it
    if sum(p[4] > 0.35 * height for p in chosen if p[6] <= 0.5) >= LETTERS and not any(p[6] > 0.5 for p in chosen):
        return None  # letters of a text that was not read
    x0, y0 = min(p[1] for p in chosen), min(p[2] for p in chosen)
    x1, y1 = max(p[1] + p[3] for p in chosen), max(p[2] + p[4] for p in chosen)
    if x1 - x0 < max(3, 0.15 * height) or x1 - x0 > WIDEST * height:
        return None
    mask = np.isin(labels, [p[5] for p in chosen])
    return x0, y0, x1, y1, mask


def _upright(ink: npt.NDArray[np.bool_], most: int) -> npt.NDArray[np.bool_]:
    """The columns, [width], of lines as high as the strip and at most so many pixels wide: frames, spines, grids."""
    full = np.asarray(ink.all(axis=0), np.uint8)
    wide = cv2.morphologyEx(full[None], cv2.MORPH_OPEN, np.ones((1, most + 1), np.uint8))[0]
    return np.asarray((full > 0) & (wide == 0), np.bool_)


def _handle_colour(pixels: npt.NDArray[np.uint8], distance: npt.NDArray[np.float32]) -> Colour:
    """What the handle is mostly drawn in; of thin lines, whose pixels are half ground, the fullest."""
    strong = pixels[distance >= 0.6 * np.percentile(distance, 95)]
    saturation = np.ptp(strong.astype(np.int32), axis=1)
    # Black edges of coloured markers and patches are not their colour.
    coloured = strong[saturation > 40]
    if len(coloured) >= 0.3 * len(strong):
        return mode_colour(coloured)
    # Black hatches and outlines leave little of a patch, and are further from the page than its colour.
    weak = pixels[(distance > 2 * INK) & (np.ptp(pixels.astype(np.int32), axis=1) > 40)]
    return mode_colour(weak if len(weak) >= HATCHED * len(pixels) else strong)


def _without_symbol(name: str, side: int) -> str:
    """The text without the letter that OCR made of the handle."""
    parts = name.split()
    if side < 0:
        if len(parts) > 1 and len(parts[0]) <= 2 and not parts[0].isdigit() and not INITIAL.fullmatch(parts[0]):
            return " ".join(parts[1:])
        if len(name) > 3 and name[0] in "Il|1" and name[1].isupper() and name[2].islower():  # a patch as a letter
            return name[1:]
        return name.lstrip(SYMBOLS) or name
    if len(parts) > 1 and (len(parts[-1]) <= 2 and not parts[-1].isdigit()):
        return " ".join(parts[:-1])
    return name.rstrip(SYMBOLS) or name


def _grouped(entries: list[Entry]) -> list[Entry]:
    """The largest set of entries whose handles stand in columns or rows, and further columns of handles of one size,
    as each panel of a figure may have a legend; a single one only if it is clearly a handle."""
    if len(entries) <= 1:
        return entries
    best: list[Entry] = []
    for first in entries:
        group = [e for e in entries if _aligned(first, e)]
        # Entries of further columns stand in the rows of the first.
        rows = [e for e in entries if any(abs(_middle(e) - _middle(g)) < 0.4 * g.height for g in group)]
        keys = {e.key for e in group}
        group += [e for e in rows if e.key not in keys and _like(first, e)]
        if len(group) > len(best):
            best = group
    if len(best) < 2:
        return entries[:1]
    found = list(best)
    for first in entries:
        keys = {e.key for e in found}
        if first.key not in keys:
            rest = [e for e in entries if e.key not in keys]
            column = [e for e in rest if _is_below(first, e)]
            row = [e for e in rest if _is_beside(first, e) and any(_like(e, other) for other in best)]
            found += column if len(column) >= 2 and _is_column(column) else row if _is_row(row) else []
    return found


def _is_below(a: Entry, b: Entry) -> bool:
    """Whether two handles of one size stand exactly below each other in lines that follow."""
    same = abs(a.handle[0] - b.handle[0]) <= 2 and abs(a.handle[2] - b.handle[2]) <= 2
    return same and abs(_middle(a) - _middle(b)) <= 2.6 * max(a.height, b.height)


def _is_column(entries: Sequence[Entry]) -> bool:
    """Whether handles of different colours stand exactly below each other, as numbers at bars and points do not."""
    starts, ends = [e.handle[0] for e in entries], [e.handle[2] for e in entries]
    slack = max(3.0, BELOW * min(e.height for e in entries))
    return max(starts) - min(starts) <= slack and max(ends) - min(ends) <= slack and _differ(entries)


def _differ(entries: Sequence[Entry]) -> bool:
    """Whether handles have different colours. A cycle of colours begins again behind its last one."""
    known: list[Colour] = []
    for entry in entries:
        if all(float(np.linalg.norm(entry.colour - colour)) > COLOURED for colour in known):
            known.append(entry.colour)
    return len(known) == len(entries) or len(known) >= SHORTEST_CYCLE


def _is_beside(a: Entry, b: Entry) -> bool:
    """Whether two handles of one size stand in one row."""
    wide, other = a.handle[2] - a.handle[0], b.handle[2] - b.handle[0]
    return abs(wide - other) <= 2 and abs(_middle(a) - _middle(b)) <= BELOW * min(a.height, b.height)


def _is_row(entries: Sequence[Entry]) -> bool:
    """Whether entries in one row follow each other as those of a legend do."""
    if len(entries) < 2:
        return False
    ordered = sorted(entries, key=lambda e: e.box[0])
    gaps = [b.box[0] - a.box[2] for a, b in itertools.pairwise(ordered)]
    return max(gaps) <= BETWEEN_NAMES * min(e.height for e in entries) and _differ(entries)


def _aligned(a: Entry, b: Entry) -> bool:
    slack = 0.5 * min(a.height, b.height) + 2
    return abs(a.handle[0] - b.handle[0]) <= slack or abs(a.handle[2] - b.handle[2]) <= slack


def _like(a: Entry, b: Entry) -> bool:
    wide, other = a.handle[2] - a.handle[0], b.handle[2] - b.handle[0]
    return abs(wide - other) <= 0.8 * a.height and 0.6 <= a.height / max(b.height, 1) <= 1.7


def _middle(entry: Entry) -> float:
    return (entry.handle[1] + entry.handle[3]) / 2


def _of_one_width(picture: Picture, entries: Sequence[Entry], able: Sequence[Token]) -> list[Entry]:
    """The entries, those whose handle took in something beside it (a curve, an error bar) seen where others have
    theirs."""
    if len(entries) < 3:
        return list(entries)
    typical = float(np.median([e.handle[2] - e.handle[0] for e in entries]))
    models = [e for e in entries if abs(e.handle[2] - e.handle[0] - typical) <= 3]
    tokens = {token.line: token for token in able}
    found = []
    for entry in entries:
        wide = entry.handle[2] - entry.handle[0] > typical + 0.3 * entry.height
        model = next((m for m in models if abs(m.handle[2] - entry.handle[2]) <= 3), None)
        again = (
            _entry_at(picture, tokens[entry.line], model)
            if wide and model is not None and entry.line in tokens
            else None
        )
        found.append(again or entry)
    return found


def _with_members(picture: Picture, entries: list[Entry], able: Sequence[Token], side: int) -> list[Entry]:
    """Texts in the columns of a legend whose handles were missed are looked at again where the others have theirs."""
    entries = _of_one_width(picture, entries, able)
    if len(entries) < 2 or side > 0:
        return sorted(entries, key=lambda e: (round(e.box[0] / 40), e.box[1]))
    height = float(np.median([e.height for e in entries]))
    known = {e.line for e in entries}
    for token in able:
        if token.line in known or token.numerals or not 0.6 <= token.height / height <= 1.7:
            continue
        for other in entries:
            text_start = other.box[0] if other.handle[2] < other.box[0] + 1 else other.handle[2] + 0.3 * height
            text_start = max(text_start, other.handle[2])
            steps = abs(token.y - _middle(other)) / height
            if abs(token.box[0] - text_start) <= 1.3 * height and steps <= 2.6:
                entry = _entry_at(picture, token, other)
                if entry is not None:
                    entries.append(entry)
                    known.add(token.line)
                break
    return sorted(entries, key=lambda e: (round(e.box[0] / 40), e.box[1]))


def _entry_at(picture: Picture, token: Token, model: Entry) -> Entry | None:
    """The entry of a text whose handle stands right above or below that of `model`."""
    lo, hi = max(round(model.handle[0]), 0), round(model.handle[2])
    top, bottom = max(round(token.y - 0.4 * token.height), 0), round(token.y + 0.4 * token.height)
    distance = picture.distance[top:bottom, lo:hi]
    ink = distance > INK
    around = picture.distance[top:bottom, max(lo - PAST_HANDLE, 0) : hi + PAST_HANDLE] > INK
    ink = ink & ~np.asarray(around.all(axis=1))[:, None]  # a legend's frame, or a grid line
    if not ink.size or ink.sum() < 3 or ink.any(axis=0).mean() < 0.3:
        return None
    if not ink[:, : ink.shape[1] // 2 + 1].any():  # the first letter of a text that begins there
        return None
    rows = np.flatnonzero(ink.any(axis=1))
    colour = _handle_colour(picture.rgb[top:bottom, lo:hi][ink], distance[ink])
    handle = (float(lo), float(top + rows[0]), float(hi), float(top + rows[-1] + 1))
    name = _without_symbol(token.text, -1) if token.box[0] < model.handle[2] else token.text
    box = (min(handle[0], token.box[0]), token.box[1], token.box[2], token.box[3])
    return Entry(name, token.line, colour, handle, box, token.height)


def grouped_apart(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The entries as legends: those of one stand close to each other, however many panels they lie beside."""
    groups: list[list[Entry]] = []
    for entry in entries:
        near = [g for g in groups if any(_are_close(entry, other) for other in g)]
        groups = [g for g in groups if g not in near] + [[entry, *(e for g in near for e in g)]]
    return groups


def _are_close(a: Entry, b: Entry) -> bool:
    height = max(a.height, b.height)
    across = max(a.box[0] - b.box[2], b.box[0] - a.box[2])
    down = max(a.box[1] - b.box[3], b.box[1] - a.box[3])
    # Legends of two panels may meet at a corner.
    return across <= BETWEEN_NAMES * height and down <= BETWEEN_ROWS * height and min(across, down) < 0


def homes(groups: Sequence[Sequence[Entry]], areas: Sequence[Area]) -> list[Area | None]:
    """The panel that each legend stands at: all at the same side of theirs, or each nearest to another one. None where
    that is not sure, as between two panels with no other legend."""
    boxes = [_around(group) for group in groups]
    found: list[list[Area]] = []
    for side in ("left", "above", "right", "below"):
        at = [min(_at_side(box, side, areas), default=None, key=partial(_away, box)) for box in boxes]
        known = [area for area in at if area is not None]
        if len({area.box for area in known}) == len(groups):
            found.append(known)
    if not found and len(groups) == len(areas):
        closest = [nearest(group, areas) for group in groups]
        found += [closest] if len({area.box for area in closest}) == len(groups) else []
    if not found or any(a is not b for other in found[1:] for a, b in zip(found[0], other, strict=True)):
        return [None] * len(groups)
    return list(found[0])


def nearest(entries: Sequence[Entry], areas: Sequence[Area]) -> Area:
    """The panel that a legend stands nearest to."""
    return min(areas, key=lambda area: min(_away(entry.box, area) for entry in entries))


def _around(entries: Sequence[Entry]) -> Box:
    boxes = [entry.box for entry in entries]
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def _away(box: Box, area: Area) -> float:
    """How far a box lies outside of an area, in pixels."""
    x0, y0, x1, y1 = box
    return float(max(area.x0 - x1, x0 - area.x1, 0.0) + max(area.y0 - y1, y0 - area.y1, 0.0))


def _at_side(box: Box, side: str, areas: Sequence[Area]) -> list[Area]:
    """The areas at which a box stands, for the most part not past their ends."""
    x0, y0, x1, y1 = box
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    if side in ("left", "right"):
        level = [a for a in areas if min(y1, a.y1) - max(y0, a.y0) > 0.5 * (y1 - y0)]
        return [a for a in level if (x < a.x0 if side == "left" else x > a.x1)]
    aligned = [a for a in areas if min(x1, a.x1) - max(x0, a.x0) > 0.5 * (x1 - x0)]
    return [a for a in aligned if (y < a.y0 if side == "above" else y > a.y1)]


def direct_labels(
    picture: Picture, tokens: Sequence[Token], taken: set[int], colours: Sequence[Colour]
) -> dict[int, Entry]:
    """Names written in the colour of their curve: index of the colour → entry. A colour with two texts has none."""
    found: dict[int, list[Entry]] = {}
    for token in tokens:
        if token.line in taken or not token.whole or not token.upright or token.numerals or not could_name(token):
            continue
        if len(token.text) <= 2:  # most likely a marker that OCR took for a letter
            continue
        own = _text_colour(picture, token)
        if np.ptp(own) < 50:  # black and grey texts name nothing by their colour
            continue
        near = [float(np.linalg.norm(own - colour)) for colour in colours]
        unlike = [1 - _cosine(own - picture.page, colour - picture.page) for colour in colours]
        if near and min(near) >= 60:  # in another light, or half-transparent: the hue stays
            near = [60 * share / OTHER_HUE for share in unlike]
        if near and min(near) < 60 and sorted(near)[:2][-1] - min(near) > (25 if len(near) > 1 else -1):
            entry = Entry(token.text, token.line, own, token.box, token.box, token.height, direct=True)
            found.setdefault(int(np.argmin(near)), []).append(entry)
    return {index: entries[0] for index, entries in found.items() if len(entries) == 1}


def _cosine(a: Colour, b: Colour) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6))


def region(entries: Sequence[Entry]) -> list[Box]:
    """The boxes that legends take: nothing in them is data. Direct labels take their own boxes only."""
    grouped = [e for e in entries if not e.direct]
    boxes = [e.box for e in entries if e.direct]
    if grouped:
        pad = 0.45 * max(e.height for e in grouped)
        boxes.append(
            (
                min(e.box[0] for e in grouped) - pad,
                min(e.box[1] for e in grouped) - pad,
                max(e.box[2] for e in grouped) + pad,
                max(e.box[3] for e in grouped) + pad,
            )
        )
    return boxes
