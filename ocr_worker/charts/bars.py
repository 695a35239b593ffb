"""Reads bar charts: upright or lying, one or several series side by side or piled up.

A bar's value is where it ends on the value axis, or the number printed at it where most of the numbers agree with the
lengths. Bars are bound to categories by place. In the result `x` is always the axis of the categories and `y` that of
the values, whichever way the bars run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llava_graph.chart import ChartKind, Point, Series
from ocr_worker.charts.axes import Scale
from ocr_worker.charts.colours import View, code
from ocr_worker.charts.errors import AbstainError
from ocr_worker.charts.kinds import Base
from ocr_worker.charts.lines import Named
from ocr_worker.charts.texts import Token

AGREE = 0.03
"""Share of the axis within which a printed number and a length are the same: rounding of labels and a pixel of
outline."""

MOST_AGREE = 0.8
"""Share of the printed numbers that must agree with their bars; one misread digit in five is usual for OCR at its
worst."""

PRINTED = 0.6
"""Share of the bars that must have a number before numbers are taken for the values."""

OFF_CENTRE = 0.38
"""A label belongs to a slot within this share of the distance between slots; at 0.5 the next one is as near."""

EVEN_STEPS = 0.85
"""The least distance of neighbouring texts over the greatest from which their steps are even, as OCR places them."""

OFF_GROUP = 0.1
"""Share of that distance by which the middle of a whole group of bars may be off its text. The numbers between the bars
of a histogram are off by half of it."""

SAME_OFFSET = 0.4
"""Share of the distance between slots by which slanted texts may differ in how far they stand from theirs."""

LEAST_BARS = 2
"""One rectangle alone is a box, a cell or a frame."""

SLIVER = 3
"""Pixels of length below which a rectangle is the rest of an outline."""

SQUARE = 0.4
SQUARE_WORD = 0.65
LONG_WORD = 6
"""Shorter over longer side of the box of a slanted text, and of one of fewer letters than LONG_WORD: a year that lies
has 0.45 to 0.6, one at 30 degrees 0.8."""

Boxes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar or a part of one in pixels of the view: its middle across, its ends along the value axis."""

    series: int
    across: float
    width: float
    near: float
    """The end at the base, or at the part below."""
    far: float


def read_bars(
    area: View,
    series: Sequence[Named],
    boxes: Sequence[Boxes],
    base: Base,
    labels: Sequence[Token],
    numeric_axis: bool,
    y: Scale | None,
    printed: Sequence[Token],
    scale_px: float,
    names_again: Callable[[Sequence[tuple[float, float]]], list[str] | None] | None = None,
) -> tuple[ChartKind, tuple[str, ...], list[Series]]:
    """The kind, the categories in order, and the series. `boxes`: each series' rectangles in the view. `labels`: the
    texts
    at the axis of the categories; `numeric_axis`: they are the numbers of a scale. `printed`: numbers inside the area.
    `names_again` reads what stands at spans of the category axis, in pixels of the picture; None where the labels are
    as good, or where it cannot.

    Raises AbstainError for charts whose bars have no categories or values.
    """
    bars = [
        bar
        for index, found in enumerate(boxes)
        for box in found.tolist()
        if (bar := _bar(area, index, box, base)) is not None
    ]
    if len(bars) < LEAST_BARS:
        raise AbstainError("kind_unknown")
    stacked = _stacked(bars)
    slots = _slots(bars, labels, area, base)
    if names_again is not None and len(slots) > 1:
        slots = _named_again(slots, area, base, names_again)
    if numeric_axis and not _labels_fit(labels, slots, area, base):
        raise AbstainError("kind_not_read")  # a histogram: its bars stand between the numbers
    if y is not None:
        _check_base(bars, base, y, area)
    names = [None if n.entry is None else n.entry.name for n in series]
    single = _one_each(bars, slots, len(series))
    kind: ChartKind = (
        "bar" if single or len({bar.series for bar in bars}) == 1 else "stacked_bar" if stacked else "grouped_bar"
    )
    categories = tuple(text for _, text in slots)
    if any(not text for text in categories):
        if single and all(names):
            by_slot = {_slot_of(bar, slots): names[bar.series] or "" for bar in bars}
            categories = tuple(by_slot.get(index, "") for index in range(len(slots)))
        if sum(bool(text) for text in categories) < 0.6 * len(categories) or _are_parted(bars, slots):
            raise AbstainError("axis_not_calibrated")
    covered = [_covered(area, bar, base) or _goes_on(area, bar, bars, base) for bar in bars]
    values, prints = _values(bars, base, y, printed, area, stacked)
    result = []
    for index, named in enumerate(series):
        own = [
            (bar, None if hidden and not prints else value)
            for bar, value, hidden in zip(bars, values, covered, strict=True)
            if (0 if single else bar.series) == index
        ]
        if not own:
            continue
        points = {}
        for bar, value in own:
            slot = _slot_of(bar, slots)
            if slot is None or not categories[slot] or value is None:
                continue
            if slot in points:
                raise AbstainError("kind_unknown")  # two bars of one series at one category
            points[slot] = _point(categories[slot], value, bar, base, area, scale_px)
        result.append(
            Series(
                None if single or named.entry is None else named.entry.name,
                None if single or named.entry is None else named.entry.line,
                None if single else code(named.layer.colour),
                tuple(points[slot] for slot in sorted(points)),
                coverage=round(len(points) / len(slots), 4),
                y_tolerance=0.015,
                values_printed=prints,
            )
            if points
            else Series(named.entry.name if named.entry else None, abstained="low_coverage")
        )
    if kind != "bar" and sum(s.name is None for s in result) > 0 and len(result) > 1:
        # A legend with one name only was not read as a whole: whose colour its handle is, is a guess.
        alone = sum(s.name is not None for s in result) == 1
        result = [
            s if s.name is not None and not alone else Series(None, None, s.colour, abstained="unnamed_series")
            for s in result
        ]
    return kind, categories, result


def _bar(area: View, series: int, box: Sequence[int], base: Base) -> Bar | None:
    x, y, w, h = box[:4]
    start, size, across, width = (y, h, x, w) if base.upright else (x, w, y, h)
    if size < SLIVER:
        return None
    low, high = _outline(area, box, base.upright)
    first, last = start - 0.5 - low, start + size - 0.5 + high
    # What reaches across the base by an outline still stands on it.
    ends = (last, first) if abs(last - base.at) <= abs(first - base.at) else (first, last)
    return Bar(series, across + (width - 1) / 2, float(width), *ends)


def _covered(area: View, bar: Bar, base: Base) -> bool:
    """Whether a legend or a text stands where the bar seems to end, so that it may go on beneath."""
    free = area.free if base.upright else area.free.T
    step = -1 if bar.far < bar.near else 1
    row, column = round(bar.far) + 3 * step, round(bar.across)
    lo, hi = max(round(column - 0.3 * bar.width), 0), round(column + 0.3 * bar.width) + 1
    edge = 0 if step < 0 else free.shape[0] - 1
    if abs(round(bar.far) - edge) <= 1:
        return True  # the bar leaves the plot area, or the area was found too small
    return (
        0 <= row < free.shape[0]
        and not bool(free[row, lo:hi].all())
        and not bool(free[row + 6 * step if 0 <= row + 6 * step < free.shape[0] else row, lo:hi].all())
    )


def _goes_on(area: View, bar: Bar, bars: Sequence[Bar], base: Base) -> bool:
    """Whether ink that is no bar follows beyond the end, as where hatches or texts hide most of a bar."""
    step = -1 if bar.far < bar.near else 1
    at = bar.far + 9 * step  # past an outline and half of the next
    for other in bars:
        low, high = sorted((other.near, other.far))
        if other is not bar and low - 3 <= at <= high + 3 and abs(other.across - bar.across) < 0.5 * bar.width:
            return False  # the next part of a pile
    distance = area.distance if base.upright else area.distance.T
    row, lo = round(at), max(round(bar.across - 0.3 * bar.width), 0)
    if not 0 <= row < distance.shape[0]:
        return False
    strip = distance[max(row - 1, 0) : row + 2, lo : round(bar.across + 0.3 * bar.width) + 1] > 60
    third = strip.shape[1] // 3
    # Of a narrow bar an error bar takes the middle.
    return bool(
        strip.size
        and strip.mean() > 0.6
        and (not third or min(strip[:, :third].mean(), strip[:, -third:].mean()) > 0.4)
    )


def _outline(area: View, box: Sequence[int], upright: bool) -> tuple[float, float]:
    """Half the width of a dark outline before the start and after the end of a bar, 0 without one."""
    x, y, w, h = box[:4]
    rgb = area.rgb if upright else area.rgb.transpose(1, 0, 2)
    if not upright:
        x, y, w, h = y, x, h, w
    column = x + w // 4
    if not (0 <= column < rgb.shape[1] and h > 4):
        return 0.0, 0.0
    colour = rgb[y + h // 2, column]
    found = []
    for edge, step in ((y - 1, -1), (y + h, 1)):
        count = 0
        while count < 5 and 0 <= edge + step * count < rgb.shape[0]:
            pixel = rgb[edge + step * count, column]
            if float(np.linalg.norm(pixel - area.ground)) < 60 or float(np.linalg.norm(pixel - colour)) < 42:
                break
            count += 1
        found.append(count / 2 if count < 5 else 0.0)
    return found[0], found[1]


def _stacked(bars: Sequence[Bar]) -> bool:
    """Whether bars of different series share their place across: piled up rather than side by side."""
    together = 0
    for bar in bars:
        for other in bars:
            if other.series != bar.series and abs(other.across - bar.across) < 0.3 * bar.width:
                together += 1
                break
    return together > 0.4 * len(bars)


def _slots(bars: Sequence[Bar], labels: Sequence[Token], area: View, base: Base) -> list[tuple[float, str]]:
    """The places of the categories across, each with its text ("" where none was read)."""
    singles = sorted(bar.across for bar in bars)
    own = _assigned(singles, labels, area, base) if len(labels) == len(singles) else {}
    # Bars that each have a text of their own are no groups, however close they stand.
    if len(own) == len(singles) and len(singles) > 1:
        places = singles
    else:
        places = _groups_at(bars, labels, area, base) or _groups(bars)
    named = _assigned(places, labels, area, base)
    return [(place, named.get(index, "")) for index, place in enumerate(places)]


def _are_parted(bars: Sequence[Bar], slots: Sequence[tuple[float, str]]) -> bool:
    """Whether bars that stand beside a name without one of their own seem to be the rest of that name's group: they
    are of fewer series than the others'."""
    series: dict[int, set[int]] = {}
    for bar in bars:
        if (slot := _slot_of(bar, slots)) is not None:
            series.setdefault(slot, set()).add(bar.series)
    most = max((len(members) for members in series.values()), default=0)
    return any(not slots[index][1] and len(members) < most for index, members in series.items())


def _named_again(
    slots: list[tuple[float, str]],
    area: View,
    base: Base,
    names_again: Callable[[Sequence[tuple[float, float]]], list[str] | None],
) -> list[tuple[float, str]]:
    """The slots with what stands at each of them; as they were where not all can be read."""
    half = float(np.median(np.diff([place for place, _ in slots]))) / 2
    origin = area.x if base.upright else area.y
    found = names_again([(place - half + origin, place + half + origin) for place, _ in slots])
    if found is None or not all(found) or len(set(found)) < len(found):
        return slots
    return [(place, text) for (place, _), text in zip(slots, found, strict=True)]


def _groups_at(bars: Sequence[Bar], labels: Sequence[Token], area: View, base: Base) -> list[float]:
    """The places of texts that stand in even steps, each below the middle of its group of bars; empty where they do
    not. Bars that outlines keep apart, and groups that lack a bar, are no hindrance then."""
    origin = area.x if base.upright else area.y
    places = sorted(_anchor(token, 0.5, base.upright) - origin for token in labels)
    series = {bar.series for bar in bars}
    steps = np.diff(places)
    if len(places) < 2 or len(series) < 2 or steps.min() < EVEN_STEPS * steps.max():
        return []
    step = float(np.median(steps))
    groups: dict[int, list[Bar]] = {}
    for bar in bars:
        nearest = int(np.argmin([abs(place - bar.across) for place in places]))
        if abs(places[nearest] - bar.across) + 0.5 * bar.width > 0.55 * step:
            return []
        groups.setdefault(nearest, []).append(bar)
    off = []
    for at, group in groups.items():
        if len({bar.series for bar in group}) < len(group):
            return []
        if len(group) == len(series):
            middle = (min(b.across - b.width / 2 for b in group) + max(b.across + b.width / 2 for b in group)) / 2
            off.append(abs(middle - places[at]))
    if len(off) < max(2, 0.5 * len(groups)) or max(off) > OFF_GROUP * step:
        return []
    return [places[at] for at in sorted(groups)]


def _groups(bars: Sequence[Bar]) -> list[float]:
    """Middles of the groups of bars: within a group they nearly touch, between groups there is a gap."""
    order = sorted(bars, key=lambda bar: bar.across)
    count = len({bar.series for bar in bars})
    width = float(np.median([bar.width for bar in bars]))
    groups: list[list[Bar]] = [[order[0]]]
    for bar in order[1:]:
        same = {b.series for b in groups[-1]}
        gap = (bar.across - bar.width / 2) - max(b.across + b.width / 2 for b in groups[-1])
        piled = abs(bar.across - groups[-1][-1].across) < 0.3 * width
        if piled or (count > 1 and gap < 0.3 * width and bar.series not in same):
            groups[-1].append(bar)
        else:
            groups.append([bar])
    return [
        (min(b.across - b.width / 2 for b in group) + max(b.across + b.width / 2 for b in group)) / 2
        for group in groups
    ]


def _assigned(places: Sequence[float], labels: Sequence[Token], area: View, base: Base) -> dict[int, str]:
    """Which text stands at which place. Turned labels may end at their place rather than being centred on it."""
    if not labels:
        return {}
    step = float(np.median(np.diff(places))) if len(places) > 1 else float(area.width if base.upright else area.height)
    if base.upright and _slanted(labels):
        # Where a slanted text is tied to its place is not known: only a text for each, in order, tells.
        return _in_order(places, labels, area, step)
    origin = area.x if base.upright else area.y
    best: tuple[float, dict[int, list[Token]]] = (-1.0, {})
    for anchor in (0.5, 1.0, 0.0):
        found: dict[int, list[Token]] = {}
        for token in labels:
            at = _anchor(token, anchor, base.upright) - origin
            found.setdefault(int(np.argmin([abs(place - at) for place in places])), []).append(token)
        # The words of a name are centred together; where a place has none, each must stand at its own.
        together = len(found) == len(places)
        off = 0.0
        for nearest, tokens in list(found.items()):
            groups = [_one_name(tokens, step, base)] if together else [[token] for token in tokens]
            groups = [group for group in groups if group]
            aways = [abs(places[nearest] - _anchor_of(group, anchor, base.upright) + origin) for group in groups]
            kept = [group for group, away in zip(groups, aways, strict=True) if away <= OFF_CENTRE * step]
            off += sum(away / step * len(g) for g, away in zip(groups, aways, strict=True) if away <= OFF_CENTRE * step)
            found[nearest] = [token for group in kept for token in group]
        found = {at: tokens for at, tokens in found.items() if tokens}
        score = len(found) - off / max(len(labels), 1) - (0.3 if anchor != 0.5 else 0.0)
        if score > best[0]:
            best = score, found
    return {
        index: " ".join(token.text for token in sorted(tokens, key=lambda t: (round(t.y / max(t.height, 1)), t.x)))
        for index, tokens in best[1].items()
    }


def _one_name(tokens: Sequence[Token], step: float, base: Base) -> list[Token]:
    """The texts at one place that may be the words of its name: wider than the place is none, and the title of the axis
    or the name of the next place is among them; then the one alone that stands nearest to the axis."""
    if len(tokens) == 1 or not base.upright or _anchor_of(tokens, 1.0, True) - _anchor_of(tokens, 0.0, True) <= step:
        return list(tokens)
    top = min(t.y for t in tokens)
    first = [t for t in tokens if t.y - top < 0.5 * t.height]
    fits = _anchor_of(first, 1.0, True) - _anchor_of(first, 0.0, True) <= step
    return first if fits else first[:1] if len(first) == 1 else []


def _slanted(labels: Sequence[Token]) -> bool:
    """Whether most texts neither lie nor stand: their boxes are nearly square, and longer than a few letters."""
    # A word of a line that was read as one stands in it.
    long = [t for t in labels if len(t.text) >= 4 and t.whole]
    square = [
        min(t.height, t.width) >= (SQUARE_WORD if len(t.text) < LONG_WORD else SQUARE) * max(t.height, t.width, 1.0)
        for t in long
    ]
    return len(square) >= 2 and sum(square) > 0.6 * len(square)


def _in_order(places: Sequence[float], labels: Sequence[Token], area: View, step: float) -> dict[int, str]:
    """The texts one by one from the left, where there are as many as places, all at nearly the same distance."""
    if len(labels) != len(places):
        return {}
    for share in (1.0, 0.0, 0.5):
        order = sorted(labels, key=lambda t: _anchor(t, share, True))
        off = np.array([_anchor(t, share, True) - area.x - at for t, at in zip(order, places, strict=True)])
        if float(np.ptp(off)) <= SAME_OFFSET * step and abs(float(np.median(off))) <= 0.75 * step:
            return {index: token.text for index, token in enumerate(order)}
    return {}


def _anchor_of(tokens: Sequence[Token], share: float, upright: bool) -> float:
    starts = [_anchor(token, 0.0, upright) for token in tokens]
    ends = [_anchor(token, 1.0, upright) for token in tokens]
    return min(starts) + share * (max(ends) - min(starts))


def _anchor(token: Token, share: float, upright: bool) -> float:
    x0, y0, x1, y1 = token.box
    return x0 + share * (x1 - x0) if upright else y0 + share * (y1 - y0)


def _labels_fit(labels: Sequence[Token], slots: Sequence[tuple[float, str]], area: View, base: Base) -> bool:
    """Whether numbers at the axis name the bars one by one, as years do."""
    texts = [text for _, text in slots if text]
    labels = [token for token in labels if token.numerals]
    if len(texts) < 0.8 * len(slots) or len(labels) > len(slots) or not labels:
        return False
    origin = area.x if base.upright else area.y
    at = np.array([(token.x if base.upright else token.y) - origin for token in labels])
    places = np.array([place for place, _ in slots])
    if len(places) < 2:
        return True
    step = float(np.median(np.diff(places)))
    return bool(np.abs(places[:, None] - at[None]).min(axis=0).max() <= 0.2 * step)


def _slot_of(bar: Bar, slots: Sequence[tuple[float, str]]) -> int | None:
    places = np.array([place for place, _ in slots])
    nearest = int(np.abs(places - bar.across).argmin())
    step = float(np.median(np.diff(places))) if len(places) > 1 else float("inf")
    return nearest if abs(places[nearest] - bar.across) <= 0.5 * step else None


def _one_each(bars: Sequence[Bar], slots: Sequence[tuple[float, str]], count: int) -> bool:
    """Whether each bar merely has a colour of its own: as many colours as bars nearly, each slot one bar."""
    owners = [_slot_of(bar, slots) for bar in bars]
    colours = len({bar.series for bar in bars})
    return count > 1 and len(set(owners)) == len(bars) and colours >= 0.75 * len(bars) and len(slots) == len(bars)


def _check_base(bars: Sequence[Bar], base: Base, y: Scale, area: View) -> None:
    """Bars stand on zero or on the axis' end; anything else is a floating bar. Raises AbstainError."""
    origin = area.y if base.upright else area.x
    at = base.at + origin - 0.5
    length = y.end - y.start
    at_edge = min(abs(at - y.start), abs(at - y.end)) <= 0.02 * length + 4
    if y.log:
        if not at_edge:
            raise AbstainError("kind_unknown")
        return
    if not at_edge and abs(y.value(at)) > 0.025 * (y.high - y.low):
        raise AbstainError("kind_unknown")
    del bars


def _values(
    bars: Sequence[Bar], base: Base, y: Scale | None, printed: Sequence[Token], area: View, stacked: bool
) -> tuple[list[float | None], bool]:
    """One value a bar, and whether they are the printed numbers. Raises AbstainError where the two disagree."""
    origin = area.y if base.upright else area.x
    lengths: list[float | None] = []
    if y is not None:
        for bar in bars:
            far = y.value(bar.far + origin)
            lengths.append(far - y.value(bar.near + origin) if stacked and not y.log else far)
    bound = _bound(bars, base, printed, area, stacked)
    pairs = [(i, number) for i, number in enumerate(bound) if number is not None]
    enough = len(pairs) >= max(2, PRINTED * len(bars))
    if y is None:
        if not enough or len(pairs) < 3:
            raise AbstainError("axis_not_calibrated")
        sizes = np.array([abs(bars[i].far - bars[i].near) for i, _ in pairs])
        numbers = np.array([number for _, number in pairs])
        ratio = float(np.median(np.abs(numbers) / sizes))
        agree = np.abs(np.abs(numbers) - ratio * sizes) <= AGREE * np.abs(numbers).max() + ratio
        if agree.mean() < MOST_AGREE:
            raise AbstainError("values_disagree")
        kept = {i for (i, _), good in zip(pairs, agree.tolist(), strict=True) if good}
        return [bound[i] if i in kept else None for i in range(len(bars))], True
    if not pairs or not enough:
        return [None if v is None else _rounded(v) for v in lengths], False
    span = y.high - y.low
    good = {
        i for i, number in pairs if lengths[i] is not None and abs(number - float(lengths[i] or 0.0)) <= AGREE * span
    }
    if len(good) < MOST_AGREE * len(pairs):
        if y.form == "percent" or len(good) > 0.3 * len(pairs):
            raise AbstainError("values_disagree")
        return [None if v is None else _rounded(v) for v in lengths], False  # the numbers are of something else
    values = [bound[i] if i in good else None if v is None else _rounded(v) for i, v in enumerate(lengths)]
    return values, len(good) == len(bars)


def _bound(bars: Sequence[Bar], base: Base, printed: Sequence[Token], area: View, stacked: bool) -> list[float | None]:
    """The number that is printed at or in each bar."""
    found: list[float | None] = []
    for bar in bars:
        best: tuple[float, float] | None = None
        for token in printed:
            across = (token.x - area.x) if base.upright else (token.y - area.y)
            lo, hi = (
                (token.box[1] - area.y, token.box[3] - area.y)
                if base.upright
                else (token.box[0] - area.x, token.box[2] - area.x)
            )
            size = token.height
            if abs(across - bar.across) > max(0.5 * bar.width, 0.5 * size):
                continue
            inside = min(bar.near, bar.far) - 2 <= (lo + hi) / 2 <= max(bar.near, bar.far) + 2
            # From the bar's end outwards: upwards for an upright bar above its base.
            outwards = (bar.far - hi) if bar.far < bar.near else (lo - bar.far)
            beyond = -0.6 * size <= outwards <= 1.3 * size
            if stacked and not inside:
                continue
            if inside or beyond:
                away = abs(outwards) + abs(across - bar.across)
                if best is None or away < best[0]:
                    best = away, _printed_value(token)
        found.append(None if best is None else best[1])
    return found


def _printed_value(token: Token) -> float:
    """The number that a text upon a bar stands for: `107` is no power of ten there."""
    plain = [numeral.value for numeral in token.numerals if numeral.form != "power"]
    return plain[0] if plain else token.numerals[0].value


def _point(category: str, value: float, bar: Bar, base: Base, area: View, scale_px: float) -> Point:
    across, along = bar.across, bar.far
    px, py = (across + area.x, along + area.y) if base.upright else (along + area.x, across + area.y)
    return Point(category, value, round(px / scale_px, 1), round(py / scale_px, 1))


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
