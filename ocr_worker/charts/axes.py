"""The scales of a plot area's axes, from the numbers beside it and the tick marks and grid lines that they stand at.

A scale is claimed when at least three labels agree on it, found by trying all pairs of labels (RANSAC with every pair
drawn), linear and logarithmic; then the labels' places are snapped to ticks and the scale is fitted again. Knows
nothing of what is drawn inside the area.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from llava_graph.chart import Axis
from ocr_worker.charts import unread
from ocr_worker.charts.areas import Area
from ocr_worker.charts.errors import AbstainError
from ocr_worker.charts.numerals import Numeral, offset, readings
from ocr_worker.charts.picture import Mask, Picture, Pixels
from ocr_worker.charts.texts import Token

Side = Literal["left", "right", "bottom", "top"]
ReadCrops = Callable[[Sequence[Pixels]], Sequence[tuple[str, float]]]
"""Reads upright RGB crops of one line of text each: text and confidence for each."""

MIN_LABELS = 3
"""Two points fit any scale; a third one that agrees by chance within the tolerance is rarer than 1 in 50."""

AGREE_SHARE = 0.7
"""Share of an axis' numbers that must lie on the scale; misread ones are seldom more than a quarter."""

SNAP = 0.55
"""A label belongs to a tick that is nearer to its centre than this times its height: OCR boxes are off by 0.3 at
most."""

MAX_MISFIT = 0.006
"""Root mean square distance of labels from the scale, as a share of the axis length. OCR boxes alone give 0.003."""

DOT = 0.09, 0.3
"""Shares of a digit's height that a decimal point is wide and high at least and at most: specks of JPEG are single
pixels."""

LOST = 0.5
"""Share of an axis' numbers without a point in which dots are seen, from which OCR lost the points of all."""

SQUARE = 0.7, 0.8
"""Height over width from which the box of a text of four and more characters, and of three, is that of a slanted one:
that of a lying one of three has up to 0.7."""

TICKS_A_LABEL = 1.6
"""Ticks for each label from which there are small ones between, that a slanted label may stand at."""

BESIDE_TICK = 0.3
"""Share of the distance between labels by which the end of a slanted label may stand off its tick."""

LEAST_DECADE = 40.0
"""Pixels of a decade from which its small ticks, the nearest a twentieth apart, are seen one by one."""

MARK = 1.6
"""Pixels by which a small tick may stand off the place that a logarithmic scale gives it."""

MOST_MARKS = 0.7
"""Share of a decade's small ticks that must be seen, and of the ticks seen that must be such: curves hide or cross
some."""

MAX_REREAD = 14
"""Crops read again for one axis: each takes some 10 ms."""


@dataclass(frozen=True, slots=True)
class Scale:
    """value = a · pixel + b, of log10(value) where `log`."""

    a: float
    b: float
    log: bool
    form: str
    unit: str | None
    labels: tuple[Token, ...]
    places: tuple[float, ...]
    start: float
    end: float
    """First and last pixel of the axis; `start` < `end`."""

    def value(self, pixel: float) -> float:
        at = self.a * pixel + self.b
        return 10.0**at if self.log else at

    def values(self, pixels: npt.ArrayLike) -> npt.NDArray[np.float64]:
        at = self.a * np.asarray(pixels, np.float64) + self.b
        return np.asarray(10.0**at if self.log else at)

    def pixel(self, value: float) -> float:
        return ((math.log10(value) if self.log else value) - self.b) / self.a

    @property
    def low(self) -> float:
        return min(self.value(self.start), self.value(self.end))

    @property
    def high(self) -> float:
        return max(self.value(self.start), self.value(self.end))


@dataclass(frozen=True, slots=True)
class Labels:
    """The texts that stand at one side of an area as tick labels do, and where the ticks and grid lines are."""

    side: Side
    tokens: tuple[Token, ...]
    ticks: tuple[float, ...]
    edge: float
    """Where the side lies across: its row, or its column."""

    @property
    def numbers(self) -> tuple[Token, ...]:
        return tuple(token for token in self.tokens if token.numerals)


def labels_at(picture: Picture, area: Area, tokens: Sequence[Token], side: Side) -> Labels:
    """The row or column of texts nearest to the side."""
    near = sorted(_gaps(area, tokens, side), key=lambda pair: pair[0])
    ticks = tick_places(picture, area, side)
    edge = {"bottom": area.y1, "top": area.y0, "left": area.x0, "right": area.x1}[side]
    if not near:
        return Labels(side, (), ticks, edge)
    size = float(np.median([min(token.height, token.width) for _, token in near]))
    nearest = _nearest_gap([gap for gap, token in near], size)
    # Labels are aligned at the axis (or centred, then longer ones come nearer); an axis title stands a line further.
    slack = (0.7 if side in ("bottom", "top") else 2.5) * size
    chosen = [token for gap, token in near if gap <= nearest + slack]
    if side in ("left", "right") and (any(t.numerals for t in chosen) or sum(t.upright for t in chosen) >= 2):
        numbers = [token for token in chosen if token.numerals]
        before = min([token.box[0] for token in numbers], default=0.0)
        # A turned text is the axis' title, and so is a letter left of all numbers.
        chosen = [
            token
            for token in chosen
            if token.numerals or (token.upright and not (len(token.text) == 1 and token.box[2] < before))
        ]
    if side in ("bottom", "top"):
        chosen = _without_title(area, chosen, [token for _, token in near])
    return Labels(side, tuple(chosen), ticks, edge)


def _without_title(area: Area, chosen: Sequence[Token], near: Sequence[Token]) -> list[Token]:
    """The labels without the axis' title, which may stand close below a row of numbers, or alone at an axis without
    labels."""
    numbers = [token for token in chosen if token.numerals]
    if len(numbers) >= MIN_LABELS:
        row = float(np.median([token.y for token in numbers]))
        size = float(np.median([min(token.height, token.width) for token in numbers]))
        return [token for token in chosen if token.numerals or abs(token.y - row) <= 0.5 * size]
    if len(chosen) != 1 or len(near) != 1 or numbers:
        return list(chosen)
    lone = chosen[0]
    is_title = lone.upright and abs(lone.x - (area.x0 + area.x1) / 2) < IN_MIDDLE * area.width
    return [] if is_title and lone.width < NAMES * area.width else [lone]


IN_MIDDLE = 0.12
"""Share of an axis' length by which its title may stand off its middle, where it could be another text."""


NAMES = 0.4
"""Share of an axis' length from which a lone text below it is more likely a row of names that OCR joined."""


def _nearest_gap(gaps: Sequence[float], size: float) -> float:
    """The gap of the first label that is not alone: a stray text may touch the axis."""
    for gap in gaps:
        if sum(gap <= other <= gap + 2 * size for other in gaps) >= 2:
            return gap
    return gaps[0]


def _gaps(area: Area, tokens: Sequence[Token], side: Side) -> list[tuple[float, Token]]:
    x0, y0, x1, y1 = area.box
    found = []
    for token in tokens:
        thin = min(token.height, token.width)
        if side in ("left", "right"):
            gap = x0 - token.box[2] if side == "left" else token.box[0] - x1
            within = y0 - 0.6 * thin - 3 <= token.y <= y1 + 0.6 * thin + 3
            reach = 0.3 * area.width + 30
        else:
            gap = token.box[1] - y1 if side == "bottom" else y0 - token.box[3]
            within = x0 - 0.6 * token.width - 6 <= token.x <= x1 + 0.6 * token.width + 6
            reach = 0.25 * area.height + 30
            # The left axis' lowest, of which a tick may have been read as a part.
            within &= not (side == "bottom" and token.x + 0.3 * token.width <= x0 + 1 and token.box[1] <= y1)
        if within and -0.4 * thin - 4 <= gap <= reach:
            found.append((gap, token))
    return found


def tick_places(picture: Picture, area: Area, side: Side) -> tuple[float, ...]:
    """Where tick marks touch the side from outside or inside, and where grid lines end, sorted."""
    along_x = side in ("bottom", "top")
    distance = picture.distance if along_x else picture.distance.T
    edge = {"bottom": area.y1, "top": area.y0, "left": area.x0, "right": area.x1}[side]
    start, end = (area.x0, area.x1) if along_x else (area.y0, area.y1)
    outwards = 1 if side in ("bottom", "right") else -1
    found: list[float] = []
    lo, hi = max(round(start) - 4, 0), min(round(end) + 5, distance.shape[1])
    for direction in (outwards, -outwards):
        rows = [round(edge) + direction * k for k in (3, 4)]
        if all(0 <= row < distance.shape[0] for row in rows) and hi > lo:
            strip = np.minimum.reduce([distance[row, lo:hi] for row in rows])
            peaks = _peaks(strip)
            # A line that touches the axis gives a few; a filled area or a text many or wide ones.
            if len(peaks) <= 80:
                found += [lo + peak for peak in peaks]
    strokes = picture.verticals if along_x else picture.horizontals
    a, b = (area.y0, area.y1) if along_x else (area.x0, area.x1)
    found += [
        s.at for s in strokes if min(s.end, b) - max(s.start, a) >= 0.6 * (b - a) and start - 4 <= s.at <= end + 4
    ]
    merged: list[float] = []
    for place in sorted(found):
        if not merged or place - merged[-1] > 2:
            merged.append(place)
    return tuple(merged)


def _peaks(profile: npt.NDArray[np.float32], widest: int = 6) -> list[float]:
    """Centres of the stretches of ink that are narrow enough for a tick, to a fraction of a pixel."""
    ink = np.concatenate([[False], profile > 40, [False]])
    edges = np.flatnonzero(np.diff(ink.astype(np.int8)))
    return [
        float(np.average(np.arange(a, b), weights=profile[a:b]))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
        if b - a <= widest
    ]


LEAST_IN_ORDER = 5
"""Numbers in the order of their values from which an axis without a fit is of another scale: four that OCR misread
stand in an order by chance once in twelve times, five once in sixty."""


def calibrate(picture: Picture, area: Area, labels: Labels, extra: Sequence[Token], reread: ReadCrops | None) -> Scale:
    """The scale of one side. `extra`: all texts, among them an offset at the axis' end. Raises AbstainError."""
    numbers = list(labels.numbers)
    scale = _fit(area, labels, numbers, picture)
    if reread is not None and (scale is None or len(scale.labels) < 4):
        again = _read_again(picture, area, labels, extra, reread)
        if again:
            numbers = [token for token in numbers if not _is_among(token, again)] + again
            scale = _fit(area, labels, numbers, picture) or scale
    scale = scale or _fit(area, labels, _with_signs(picture, numbers), picture)
    if scale is None and reread is not None and len({token.text for token in labels.numbers}) > 1:
        others = _read_again(picture, area, labels, extra, reread, all_again=True)
        scale = _fit(area, labels, others, picture)
    scale = scale or _decades(picture, area, labels, numbers, extra)
    if scale is None or _points_lost(picture, scale.labels):
        raise AbstainError("axis_not_calibrated")
    return _with_offset(area, labels, scale, extra)


def _with_signs(picture: Picture, numbers: Sequence[Token]) -> list[Token]:
    """The labels, those before which a minus stands that OCR did not read as the negative numbers that they are; empty
    where there are none."""
    signed = [
        replace(token, numerals=tuple(replace(n, value=-n.value) for n in token.numerals))
        if re.fullmatch(r"[\d.,]+%?", token.text.strip()) and token.upright and unread.has_minus(picture, token)
        else token
        for token in numbers
    ]
    return signed if any(a is not b for a, b in zip(signed, numbers, strict=True)) else []


def _is_among(token: Token, others: Sequence[Token]) -> bool:
    """Whether a text was read again, as one of the others: then its first reading holds a tick."""
    return any(o.box[1] < token.y < o.box[3] and o.box[0] < token.x < o.box[2] for o in others)


def is_of_other_scale(labels: Labels) -> bool:
    """Whether the numbers at a side stand in the order of their values, many enough to be believed, and so on a scale
    that `calibrate`, which found none, does not know: symmetric logarithms, logits, roots."""
    plain = {
        round(_along(token, labels.side)): [n.value for n in token.numerals if n.form == "plain"]
        for token in labels.numbers
    }
    if len(plain) < LEAST_IN_ORDER or any(len(values) != 1 for values in plain.values()):
        return False
    values = [plain[place][0] for place in sorted(plain)]
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())


TURNED = 1.15
"""Height over width from which two digits and more read from below: side by side they are wider than high."""


def _points_lost(picture: Picture, labels: Sequence[Token]) -> bool:
    """Whether most numbers hold a dot that OCR did not read: `2.5` as `25`, on all of an axis, is a scale as well."""
    plain = [t for t in labels if re.fullmatch(r"-?\d{2,}", t.text.strip())]
    return len(plain) >= MIN_LABELS and sum(_has_dot(picture, t) for t in plain) > LOST * len(plain)


def _has_dot(picture: Picture, token: Token) -> bool:
    """Whether a piece of ink far smaller than the digits stands between two of them at their foot. A turned label reads
    from below."""
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    ink = (picture.distance[max(y0, 0) : y1, max(x0, 0) : x1] > 60).astype(np.uint8)
    if ink.size == 0:
        return False
    if token.height > TURNED * token.width:
        ink = np.ascontiguousarray(np.rot90(ink, k=-1))
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    pieces = stats[1:]
    if len(pieces) < 3:
        return False
    tallest = pieces[pieces[:, 3].argmax()]
    height, foot = int(tallest[3]), int(tallest[1] + tallest[3])
    digits = pieces[pieces[:, 3] >= 0.7 * height]
    return any(
        DOT[0] * height <= min(w, h)
        and max(w, h) <= DOT[1] * height
        and abs(y + h - foot) <= 0.15 * height + 1
        and digits[:, 0].min() < x < digits[:, 0].max()
        # It stands between two digits, specks below or above one.
        and not ((digits[:, 0] + 1 < x + w / 2) & (x + w / 2 < digits[:, 0] + digits[:, 2] - 1)).any()
        for x, y, w, h, _ in pieces.tolist()
    )


def _along(token: Token, side: Side) -> float:
    return token.x if side in ("bottom", "top") else token.y


def _fit(area: Area, labels: Labels, numbers: Sequence[Token], picture: Picture) -> Scale | None:
    if len(numbers) < MIN_LABELS:
        return None
    start, end = (area.x0, area.x1) if labels.side in ("bottom", "top") else (area.y0, area.y1)
    size = float(np.median([min(token.height, token.width) for token in numbers]))
    raw = np.array([_along(token, labels.side) for token in numbers])
    snapped = np.array([_snap(place, labels.ticks, size) for place in raw.tolist()])
    if labels.side == "bottom" and _are_slanted(numbers):
        own = _ticks_of_slanted(numbers, labels.ticks)
        if own is None:
            return None
        raw = snapped = own
    powers = _powers(picture, numbers)
    if not powers and all(re.fullmatch(r"10\d", token.text.strip()) for token in numbers):
        return None  # 100, 101, 102: powers of ten far more often than a hundred and a bit, whatever the ink says
    numbers = _with_thousands(numbers)
    best: tuple[float, Scale] | None = None
    # Labels are taken where they stand as well: a line near one may be no tick.
    for places, form, log in itertools.product((snapped, raw), ("plain", "power", "percent", "date"), (False, True)):
        if (form == "power") != powers and form in ("plain", "power") and not _mixed(numbers, powers):
            continue
        if log and form in ("percent", "date"):
            continue
        scale = _consensus(numbers, places, form, log, (start, end), size)
        if scale is not None:
            score = len(scale.labels) - 0.2 * log - _misfit(scale) / 3 - 0.1 * (places is raw)
            if best is None or score > best[0]:
                best = score, scale
    if best is None:
        return None
    scale = best[1]
    distinct = len({round(_along(token, labels.side) / max(size, 1)) for token in numbers})
    if len(scale.labels) < MIN_LABELS or len(scale.labels) < AGREE_SHARE * distinct:
        return None
    if _misfit(scale) > max(1.2, MAX_MISFIT * (end - start)):
        return None
    span = max(scale.places) - min(scale.places)
    if span < 0.3 * (end - start):  # a scale from one corner of an axis is not known at its other end
        return None
    upwards = scale.a > 0 if labels.side in ("bottom", "top") else scale.a < 0
    # Negative numbers that lost their signs look like an axis that runs backwards; real ones are rare.
    if (
        not upwards
        and (len(scale.labels) < 4 or all(scale.value(p) > 0 for p in scale.places))
        and labels.side != "bottom"
    ):
        return None
    if not upwards and len(scale.labels) < 4:
        return None
    return scale


def _with_thousands(numbers: Sequence[Token]) -> list[Token]:
    """The labels with `9,200` read as thousands alone, unless another label shows that the axis has decimal commas:
    both readings lie on a line."""
    commas = [token.text for token in numbers if "," in token.text]
    if not all(re.fullmatch(r"\D*[1-9]\d{0,2}(,\d{3})+\D*", text.strip()) for text in commas):
        return list(numbers)
    return [
        replace(token, numerals=(max(token.numerals, key=lambda n: abs(n.value)),)) if "," in token.text else token
        for token in numbers
    ]


def _are_slanted(numbers: Sequence[Token]) -> bool:
    """Whether labels neither lie nor stand: the boxes of their longer texts are nearly square."""
    square = [
        SQUARE[len(token.text) == 3] <= token.height / max(token.width, 1.0) <= 1 / SQUARE[len(token.text) == 3]
        for token in numbers
        if len(token.text) >= 3 and token.whole
    ]
    return len(square) >= 2 and sum(square) > 0.6 * len(square)


def _ticks_of_slanted(numbers: Sequence[Token], ticks: Sequence[float]) -> npt.NDArray[np.float64] | None:
    """The tick of each slanted label, by the end or the middle of its box that lies nearest to ticks; None where that
    is not clear: the middle of such a box may lie half a step beside its tick, and then all of them do."""
    if not ticks or len(ticks) > TICKS_A_LABEL * len(numbers):
        return None
    at = np.asarray(ticks)
    best: tuple[float, npt.NDArray[np.float64]] | None = None
    for share in (0.0, 0.5, 1.0):
        places = np.array([t.box[0] + share * t.width for t in numbers])
        nearest = at[np.abs(places[:, None] - at[None]).argmin(axis=1)]
        step = float(np.median(np.diff(np.unique(places)))) if len(places) > 1 else 0.0
        off = np.abs(places - nearest)
        fits = len(set(nearest.tolist())) == len(numbers) and float(off.max()) <= BESIDE_TICK * step
        if fits and (best is None or float(off.sum()) < best[0]):
            best = float(off.sum()), nearest
    return best[1] if best else None


def _decades(
    picture: Picture, area: Area, labels: Labels, numbers: Sequence[Token], texts: Sequence[Token]
) -> Scale | None:
    """A logarithmic scale of two labels, where what stands between them says that it is one.

    Small ticks that stand as those of decades do are witnesses enough for any two numbers. Without them two powers of
    ten one after the other, alone at their side, are on no even axis: its numbers are not nine steps apart.
    """
    start, end = (area.x0, area.x1) if labels.side in ("bottom", "top") else (area.y0, area.y1)
    able = sorted(
        (
            (_along(token, labels.side), numeral.value, token)
            for token in numbers
            for numeral in token.numerals
            if numeral.value > 0 and _is_as_written(picture, token, numeral)
        ),
        key=lambda entry: entry[:2],
    )[:MAX_ABLE]
    found: list[tuple[int, int, Scale]] = []
    for one, other in itertools.combinations(able, 2):
        size = min(one[2].height, one[2].width)
        near = [_ticks_near(place, labels.ticks, size) for place, *_ in (one, other)]
        logs = [math.log10(value) for _, value, _ in (one, other)]
        for number, places in enumerate(itertools.product(*near)):
            if abs(logs[0] - logs[1]) < 0.1 or places[1] - places[0] < LEAST_DECADE * abs(logs[1] - logs[0]):
                continue
            a = (logs[1] - logs[0]) / (places[1] - places[0])
            scale = Scale(
                a, logs[0] - a * places[0], True, "power", None, (one[2], other[2]), (places[0], places[1]), start, end
            )
            if (a > 0) == (labels.side in ("bottom", "top")):
                agreeing = {round(p) for p, value, _ in able if abs(scale.pixel(value) - p) <= max(2.0, 0.35 * size)}
                found.append((len(agreeing), -number, scale))
    for count, _, scale in sorted(found, key=lambda entry: entry[:2], reverse=True):
        if _is_marked(scale, labels.ticks) and 2 * count > len({round(_along(t, labels.side)) for t in numbers}):
            return scale
    nearest = [scale for _, number, scale in found if number == 0]
    are_alone = len(nearest) == 1 and len(numbers) == 2
    if are_alone and _is_one_decade(picture, area, labels, numbers, texts, nearest[0]):
        return nearest[0]
    return None


def _ticks_near(place: float, ticks: Sequence[float], size: float) -> list[float]:
    """The ticks that a label may belong to, the nearest first; where it stands itself comes last, or alone."""
    near = [tick for tick in ticks if abs(tick - place) <= max(2.5, SNAP * size)]
    return [*sorted(near, key=lambda tick: abs(tick - place))[:MAX_NEAR], place]


MAX_NEAR = 3
"""Ticks that one label may belong to: among small ones the nearest is not always its own."""

MAX_ABLE = 12
"""Numbers of which all pairs are tried."""


def _is_as_written(picture: Picture, token: Token, numeral: Numeral) -> bool:
    """Whether a label is a power of ten, or twice or five times one, as read: `102` only by where its last digit is."""
    if numeral.form not in ("plain", "power"):
        return False
    text = token.text.strip()
    if numeral.form == "plain" and _may_be_power(token) and text != "100":
        return False
    if numeral.form == "plain" and len(text) > 1 and exponent_raised(picture, token):
        return False
    if numeral.form == "power" and re.fullmatch(r"1[0Oo]\d", text):
        return exponent_raised(picture, token)
    mantissa = numeral.value / 10.0 ** math.floor(math.log10(numeral.value) + 1e-9)
    return any(abs(mantissa - round_one) < 1e-6 for round_one in (1, 2, 5))


def _is_marked(scale: Scale, ticks: Sequence[float]) -> bool:
    """Whether the ticks stand as those of decades do: between the two labels, or along all of the axis."""
    for first, last in (scale.places[:: len(scale.places) - 1], (scale.start, scale.end)):
        inner = [tick for tick in ticks if first + 2 < tick < last - 2]
        low, high = sorted(math.log10(scale.value(place)) for place in (first, last))
        marks = [
            scale.pixel(k * 10.0**power)
            for power in range(math.floor(low), math.ceil(high))
            for k in range(1, 10)
            if first + 2 < scale.pixel(k * 10.0**power) < last - 2
        ]
        seen = sum(any(abs(tick - mark) <= MARK for tick in inner) for mark in marks)
        known = sum(any(abs(tick - mark) <= MARK for mark in marks) for tick in inner)
        if seen >= max(LEAST_MARKS, MOST_MARKS * len(marks)) and known >= MOST_MARKS * len(inner):
            return True
    return False


LEAST_MARKS = 5
"""Small ticks that must stand as those of a decade do: five at places ever closer to each other are no even ones."""


def _is_one_decade(
    picture: Picture, area: Area, labels: Labels, numbers: Sequence[Token], texts: Sequence[Token], scale: Scale
) -> bool:
    """Whether the two labels are powers of ten one after the other, with few ticks between them and no other label
    drawn at the side, which OCR may have missed."""
    first, last = scale.places
    ends = sorted(math.log10(scale.value(place)) for place in scale.places)
    inner = [tick for tick in labels.ticks if first + 2 < tick < last - 2]
    are_powers = all(abs(exponent - round(exponent)) < 1e-6 for exponent in ends) and round(ends[1] - ends[0]) == 1
    # Curves end in ticks as well, and 10² and 10³ are no numbers of an even axis whatever stands between them.
    written_as_powers = all(n.form == "power" for t in scale.labels for n in t.numerals)
    if not are_powers or (len(inner) >= MIN_LABELS and not written_as_powers):
        return False
    boxes = unread.boxes(picture, area, labels.side, labels.tokens, texts)
    return all(any(a < t.x < c and b < t.y < d for t in numbers) for a, b, c, d in boxes)


def _mixed(numbers: Sequence[Token], powers: bool) -> bool:
    """Whether the labels have both forms, such as `0`, `10²` and `−10²`; `1` among powers is one of them."""
    return powers and any(all(n.form != "power" for n in token.numerals) for token in numbers)


def _powers(picture: Picture, numbers: Sequence[Token]) -> bool:
    """Whether texts such as `102` are powers of ten. Each on its own may be either."""
    able = [token for token in numbers if any(n.form == "power" for n in token.numerals)]
    if len(able) < 2:
        return False
    if any(all(n.form == "power" for n in token.numerals) for token in able):
        return True
    raised = sum(exponent_raised(picture, token) for token in able)
    return raised > 0.5 * len(able)


def exponent_raised(picture: Picture, token: Token) -> bool:
    """Whether the last glyph of a text ends clearly above the others' foot, or begins clearly above their head."""
    x0, y0, x1, y1 = (round(edge) for edge in token.box)
    ink = picture.ink[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1]
    if ink.size == 0:
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    if _ends_raised(picture.distance[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] > unread.INK):
        return True
    glyphs = [
        (int(x), int(y), int(w), int(h))
        for x, y, w, h, _ in stats[1:40]
        # A spine runs through the box, a tick or a grid line ends in it: both are no glyphs.
        if not (h >= ink.shape[0] - 1 and w <= 4) and h >= 4 and w < 0.8 * ink.shape[1]
    ]
    # A thick spine or tick reaches the box's edge, which letters do not.
    apart = [glyph for glyph in glyphs if glyph[0] > 0 and glyph[0] + glyph[2] < ink.shape[1]]
    glyphs = apart if len(apart) > 1 else glyphs
    if len(glyphs) < 2:
        return False
    first, last = min(glyphs), max(glyphs, key=lambda glyph: glyph[0] + glyph[2])
    height = max(h for _, _, _, h in glyphs)
    least = max(2, 0.18 * height)
    # An exponent that touches the zero before it is one glyph with it, which begins above the one.
    return first[1] + first[3] - (last[1] + last[3]) >= least or first[1] - last[1] >= least


def _ends_raised(ink: Mask) -> bool:
    """Whether the last columns of ink end clearly above the foot of the first ones. Small letters run into each other,
    and are no pieces of their own."""
    _, numbered, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    inside = (stats[:, 0] > 0) & (stats[:, 0] + stats[:, 2] < ink.shape[1]) & (stats[:, 4] > SPECK)
    inside[0] = False
    letters = inside[numbered]  # no spine, no letter of a title beside it
    columns = np.flatnonzero(letters.any(axis=0))
    if len(columns) < 4:
        return False
    first, last, width = int(columns[0]), int(columns[-1]) + 1, int(columns[-1] - columns[0]) + 1
    one = np.flatnonzero(letters[:, first : first + max(round(0.3 * width), 1)].any(axis=1))
    end = np.flatnonzero(letters[:, last - max(round(0.2 * width), 1) : last].any(axis=1))
    height = int(np.ptp(one)) + 1
    return bool(one[-1] - end[-1] >= max(2, 0.18 * height) and np.ptp(end) + 1 >= max(3, 0.35 * height))


SPECK = 2
"""Pixels of a piece of ink up to which it is noise."""


def _snap(place: float, ticks: Sequence[float], size: float) -> float:
    if not ticks:
        return place
    nearest = min(ticks, key=lambda tick: abs(tick - place))
    return nearest if abs(nearest - place) <= max(2.5, SNAP * size) else place


def _consensus(
    numbers: Sequence[Token],
    places: npt.NDArray[np.float64],
    form: str,
    log: bool,
    ends: tuple[float, float],
    size: float,
) -> Scale | None:
    """The line through two labels that most others lie on."""
    entries: list[tuple[int, float, Numeral]] = []
    for index, token in enumerate(numbers):
        for numeral in token.numerals:
            # Among powers of ten `104` is one of them; `1` and `0` have no other reading.
            fits = numeral.form == form or (form == "power" and numeral.form == "plain" and not _may_be_power(token))
            if fits and (not log or numeral.value > 0):
                entries.append((index, math.log10(numeral.value) if log else numeral.value, numeral))
    if len(entries) < MIN_LABELS or len(entries) > 80:
        return None
    at = np.array([places[index] for index, _, _ in entries])
    height = np.array([value for _, value, _ in entries])
    owner = np.array([index for index, _, _ in entries])
    tolerance = max(2.0, 0.35 * size)
    best: npt.NDArray[np.bool_] | None = None
    most = (0, 0.0)
    for i, j in itertools.combinations(range(len(entries)), 2):
        if owner[i] == owner[j] or abs(at[i] - at[j]) < 1.2 * size or height[i] == height[j]:
            continue
        slope = (height[j] - height[i]) / (at[j] - at[i])
        off = np.abs((height - height[i]) / slope - (at - at[i]))
        inside = off <= tolerance
        count = len(set(owner[inside].tolist()))
        closeness = -float(off[inside].sum())
        if (count, closeness) > most:
            most, best = (count, closeness), inside
    if best is None or most[0] < MIN_LABELS:
        return None
    chosen = np.flatnonzero(best)
    # One place has one label: of two readings of a token, or two tokens at a tick, the closer stays.
    a, b = np.polyfit(at[chosen], height[chosen], 1)
    kept: dict[int, int] = {}
    for index in sorted(chosen.tolist(), key=lambda k: float(abs(a * at[k] + b - height[k]))):
        key = round(float(at[index]) / max(size * 0.8, 1))
        if key not in kept and owner[index] not in [owner[k] for k in kept.values()]:
            kept[key] = index
    order = sorted(kept.values(), key=lambda k: at[k])
    if len(order) < MIN_LABELS:
        return None
    a, b = np.polyfit(at[order], height[order], 1)
    if a == 0 or not np.isfinite([a, b]).all():
        return None
    units = {entries[k][2].unit for k in order} - {None}
    return Scale(
        float(a), float(b), log, form, units.pop() if len(units) == 1 else None,
        tuple(numbers[owner[k]] for k in order), tuple(float(at[k]) for k in order), *ends,
    )  # fmt: skip


def _may_be_power(token: Token) -> bool:
    return any(numeral.form == "power" for numeral in token.numerals)


def _misfit(scale: Scale) -> float:
    """Root mean square distance of the labels' places from where the scale has their values, in pixels."""
    heights = []
    for token, place in zip(scale.labels, scale.places, strict=True):
        values = [n.value for n in token.numerals if not scale.log or n.value > 0]
        transformed = [math.log10(v) if scale.log else v for v in values]
        heights.append(min(abs((v - scale.b) / scale.a - place) for v in transformed))
    return math.sqrt(sum(h * h for h in heights) / len(heights))


def _read_again(
    picture: Picture,
    area: Area,
    labels: Labels,
    texts: Sequence[Token],
    reread: ReadCrops,
    *,
    all_again: bool = False,
) -> list[Token]:
    """Reads what is drawn where labels stand and was not read, or all of it."""
    boxes = unread.boxes(picture, area, labels.side, labels.tokens, texts, all_again=all_again)[:MAX_REREAD]
    if not boxes:
        return []
    crops = [np.ascontiguousarray(picture.rgb[y0:y1, x0:x1]) for x0, y0, x1, y1 in boxes]
    found = []
    for (x0, y0, x1, y1), (text, confidence) in zip(boxes, reread(crops), strict=True):
        text = LONE.get(text.strip(), text)
        if confidence >= CONFIDENT and readings(text):
            found.append(Token(text, (float(x0), float(y0), float(x1), float(y1)), -1, readings(text)))
    return found


CONFIDENT = 0.6
"""Confidence of OCR from which what it read again is believed, as far as the others agree with it."""

LONE = {"O": "0", "o": "0", "l": "1", "I": "1", "|": "1"}
"""Digits that OCR takes for letters where they stand alone."""


def _with_offset(area: Area, labels: Labels, scale: Scale, tokens: Sequence[Token]) -> Scale:
    """The scale times what stands at the axis' end, such as `1e6`. Raises AbstainError for one that cannot be read."""
    if scale.log or scale.form in ("power", "date"):
        return scale
    height = float(np.median([min(t.height, t.width) for t in scale.labels]))
    x0, y0, x1, y1 = area.box
    if labels.side in ("left", "right"):
        edge = x0 if labels.side == "left" else x1
        corner = (edge - 2.5 * height, y0 - 2.6 * height, edge + 5 * height, y0 - 0.15 * height)
    else:
        corner = (x1 - 6 * height, y1 + 0.8 * height, x1 + 2.5 * height, y1 + 4.5 * height)
    for token in tokens:
        inside = corner[0] <= token.x <= corner[2] and corner[1] <= token.y <= corner[3]
        if inside and token not in scale.labels:
            found = offset(token.text)
            if found is not None:
                factor, summand = found
                return replace(scale, a=scale.a * factor, b=scale.b * factor + summand)
            is_short = len(token.text) <= 8 and not re.search(r"[A-Za-z]{3}", token.text)  # no `Figure 3`
            if is_short and any(c.isdigit() for c in token.text) and not token.numerals:
                raise AbstainError("axis_not_calibrated")  # most likely an offset that OCR misread
    return scale


BRACKETED = re.compile(r"[(\[][^()\[\]]*[)\]]")
"""The letter of a panel, or a unit whose quantity OCR did not read: no label of an axis."""

LEAST_LETTERS = 4
"""Of a label above an axis: `(a)` names the panel."""

ABOVE = 2.0
"""Heights of its text that such a label stands above the area at most."""


def axis_of(scale: Scale | None, title: Token | None, categories: Sequence[str] = ()) -> Axis:
    """The axis as the chart's data model has it; `title` is its label."""
    text = title.text if title else None
    unit = None
    if text and text[-1:] in ")]":
        opening = max(text.rfind("("), text.rfind("["))
        unit = text[opening + 1 : -1].strip() or None if opening > 0 else None
    line = title.line if title else None
    if categories:
        return Axis(text, line, unit, "category", categories=tuple(categories))
    if scale is None:
        return Axis(text, line, unit)
    kind: Literal["date", "log", "linear"] = "date" if scale.form == "date" else "log" if scale.log else "linear"
    return Axis(text, line, unit or scale.unit, kind, scale.low, scale.high)


def title_of(area: Area, labels: Labels, tokens: Sequence[Token], taken: Sequence[Token]) -> Token | None:
    """The axis' label: the text beyond the tick labels that lies nearest to the middle of the side."""
    used = {token.line for token in (*labels.tokens, *taken)}
    best: tuple[float, Token] | None = None
    for token in tokens:
        text = token.text.strip()
        is_letter = len(text) == 1 and text.isalpha()
        if token.line in used or token.numerals or (len(text) < 2 and not is_letter) or BRACKETED.fullmatch(text):
            continue
        if labels.side == "bottom":
            beyond = token.y > max([area.y1, *(t.y for t in labels.tokens)])
            fits = beyond and token.box[1] - area.y1 < 0.45 * area.height + 60 and area.x0 < token.x < area.x1
            aside = abs(token.x - (area.x0 + area.x1) / 2) / area.width
            off = aside + (token.y - area.y1) / area.height
        else:
            fits = token.box[2] < area.x0 + 3 and token.box[3] > area.y0 and token.box[1] < area.y1
            fits &= not token.upright or is_letter
            fits &= not is_letter or token.box[2] < min([area.x0, *(t.box[0] for t in labels.tokens)])
            aside = abs(token.y - (area.y0 + area.y1) / 2) / area.height
            off = abs(token.y - (area.y0 + area.y1) / 2) / area.height + (area.x0 - token.x) / area.width
        if fits and (aside < IN_MIDDLE or not is_letter) and (best is None or off < best[0]):
            best = off, token
    if best is None and labels.side == "left":
        return _title_above(area, [token for token in tokens if token.line not in used])
    return best[1] if best else None


def _title_above(area: Area, tokens: Sequence[Token]) -> Token | None:
    """The label of a y axis that stands above it: it begins left of the axis, as titles of figures seldom do."""
    fitting = [
        token
        for token in tokens
        if not token.numerals
        and token.upright
        and sum(letter.isalpha() for letter in token.text) >= LEAST_LETTERS
        and token.y < area.y0
        and area.y0 - token.box[3] < ABOVE * token.height
        and token.box[0] < area.x0 - 0.3 * token.height
        and token.box[2] > area.x0 - token.height
        and token.x < area.x0 + area.width / 3
    ]
    return max(fitting, key=lambda token: token.y, default=None)


__all__ = [
    "Labels",
    "ReadCrops",
    "Scale",
    "axis_of",
    "calibrate",
    "labels_at",
    "tick_places",
    "title_of",
]
