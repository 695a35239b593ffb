"""The texts of a drawn figure as OCR gives them: where they would stand, some missing, some with errors, others added.

    texts = Texts(rng)
    put_panel(texts, panel, "a", rng)
    found = texts.read()
    found.seen["0 legend 1"]      # (text, index of its line) as OCR read it; missing where it did not

What a chart takes its names from are these texts, so a name has the same error as its line. Nothing here knows numbers
besides those of ticks.
"""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from llava_graph.chart import Box
from llava_graph.curves import Range
from llava_graph.ocr import Line, reading_order
from training.small import paper_words
from training.small.drawn import Drawn

WIDTH, HEIGHT = 960, 640

_LETTER_WIDTH, _TEXT_HEIGHT = 7.0, 14.0

_YEARS_ALONE = 1000.0
"""Days from which on the ticks of a date axis are years."""

_MISSED = {"tick": 0.06, "label": 0.012, "legend": 0.015, "category": 0.01, "stray": 0.0}
"""Share of the texts of a role that OCR does not find."""

_WRONG = {"tick": 0.02, "label": 0.02, "legend": 0.04, "category": 0.03, "stray": 0.02}
"""Share of the texts that OCR reads with an error."""

_CONFUSED = (
    ("I", "l"), ("l", "I"), ("O", "0"), ("0", "O"), ("rn", "m"), ("ai", "al"), ("ff", "f"), ("S", "5"), ("vv", "w"),
    ("m", "rn"),
    ("ri", "n"), ("1", "l"), ("β", "B"), ("α", "a"), ("μ", "u"), ("µ", "u"), ("é", "e"), ("ö", "o"), ("e", "c"),
    ("g", "9"),
    ("cl", "d"), ("t", "f"), ("h", "n"), ("_", " "), ("-", ""), (".", ""), (",", "."), ("(", "C"), ("Z", "2"),
    ("B", "8"),
)  # fmt: skip
_MARKERS = ("•", "• ", "■ ", "— ", "-- ", "…", "△", "●", "-", "+ ", "x ", "o ", "I", "→ ", "● ")
"""What OCR makes of the stroke or marker before a name in a legend."""


@dataclass(frozen=True, slots=True)
class Found:
    """What OCR found: its lines in reading order, and by the key of each text how it was read and in which line."""

    lines: tuple[Line, ...]
    seen: dict[str, tuple[str, int]]


class Texts:
    """Collects the texts of a figure, reading each as OCR would."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._lines: list[Line] = []
        self._keys: list[tuple[str, str, Line]] = []

    def put(self, key: str, text: str, role: str, across: float, down: float, is_turned: bool = False) -> None:
        """A text with its centre. Keys of what may be asked for are single."""
        if not text or self._rng.random() < _MISSED[role]:
            return
        seen = _misread(text, self._rng) if self._rng.random() < _WRONG[role] else text
        line_text = name = seen
        if role == "legend" and self._rng.random() < 0.04:
            # The reader takes the marker from a name, but not always.
            line_text = self._rng.choice(_MARKERS) + seen
            name = seen if self._rng.random() < 0.7 else line_text
        elif role in ("category", "tick") and self._rng.random() < 0.015:
            line_text = name = seen + self._rng.choice(("-", " -", "–", "."))
        elif role == "category" and self._rng.random() < 0.02:  # a stroke or the label of the axis, taken with it
            line_text = name = self._rng.choice(("a ", "- ", "l ", "| ", "x ", "A ", ". ")) + seen
        self._keys.append((key, name, self._add(line_text, across, down, is_turned)))

    def put_in_one(self, keys: Sequence[str], texts: Sequence[str], across: float, down: float) -> None:
        """Texts in a row that OCR takes for one line, some spaces lost; the reader tells each apart."""
        gaps = [" " if self._rng.random() < 0.85 else "" for _ in texts]
        line = self._add(
            "".join(text + gap for text, gap in zip(texts, gaps, strict=True)).strip(), across, down, False
        )
        self._keys += [(key, text, line) for key, text in zip(keys, texts, strict=True)]

    def read(self) -> Found:
        lines = reading_order(self._lines)
        indices = {id(line): i for i, line in enumerate(lines)}
        return Found(tuple(lines), {key: (text, indices[id(line)]) for key, text, line in self._keys})

    def _add(self, text: str, across: float, down: float, is_turned: bool) -> Line:
        wide, high = _LETTER_WIDTH * len(text), _TEXT_HEIGHT
        if is_turned:
            wide, high = high, wide
        across = min(max(across, wide / 2), max(WIDTH - wide / 2, wide / 2))
        down = min(max(down, high / 2), max(HEIGHT - high / 2, high / 2))
        box = (across - wide / 2, down - high / 2, across + wide / 2, down + high / 2)
        line = Line(text, box, round(self._rng.uniform(0.9, 1.0), 4))
        self._lines.append(line)
        return line


def _misread(text: str, rng: random.Random) -> str:
    if " " in text and rng.random() < 0.4:
        return text.replace(" ", "", 1)
    found = [pair for pair in _CONFUSED if pair[0] in text]
    if found and len(text) > 1:
        text = text.replace(*rng.choice(found), 1)
    return text.strip() or "l"


def put_panel(texts: Texts, panel: Drawn, number: int, rng: random.Random, most_ticks: int = 6) -> None:
    """Labels, ticks, categories and values of a panel, at the places where such charts have them."""
    x0, y0, x1, y1 = panel.area
    along, upright = (panel.y, panel.x) if panel.horizontal else (panel.x, panel.y)
    key_along, key_upright = (f"{number} y", f"{number} x") if panel.horizontal else (f"{number} x", f"{number} y")
    texts.put(key_along, along, "label", (x0 + x1) / 2, y1 + 46)
    if upright and rng.random() < 0.12:  # some stand above their axis
        texts.put(key_upright, upright, "label", x0 + 20, y0 - 14)
    else:
        texts.put(key_upright, upright, "label", x0 - 52, (y0 + y1) / 2, is_turned=True)
    _put_ticks(texts, panel.upright, panel.area, not panel.horizontal, rng, most_ticks)
    if panel.categories:
        _put_categories(texts, panel, number, rng)
    elif panel.kind != "other" or rng.random() < 0.6:
        _put_ticks(texts, panel.along, panel.area, False, rng, most_ticks)
    if panel.values_printed:
        for one in panel.series:
            for point in one.points:
                shift = (18, 0) if panel.horizontal else (0, -10)
                texts.put("", f"{point.y:g}", "tick", point.px + shift[0], point.py + shift[1])


def _put_categories(texts: Texts, panel: Drawn, number: int, rng: random.Random) -> None:
    x0, y0, x1, y1 = panel.area
    keys = [f"{number} category {i}" for i in range(len(panel.categories))]
    if not panel.horizontal and len("".join(panel.categories)) > 20 and rng.random() < 0.12:
        texts.put_in_one(keys, panel.categories, (x0 + x1) / 2, y1 + 16)
        return
    for i, category in enumerate(panel.categories):
        share = (i + 0.5) / len(panel.categories)
        if panel.horizontal:
            texts.put(keys[i], category, "category", x0 - 8 - 3.5 * len(category), y0 + share * (y1 - y0))
        else:
            texts.put(keys[i], category, "category", x0 + share * (x1 - x0), y1 + 16)


def put_legend(texts: Texts, panel: Drawn, numbers: Sequence[int], title: str, rng: random.Random) -> None:
    """The names of a panel's series, for the panels of these numbers. `title` stands above them."""
    x0, y0, x1, y1 = panel.area
    names = panel.legend
    form = rng.random()
    wide = _LETTER_WIDTH * max(len(name) for name in names) / 2
    key = f"{numbers[0]} legend"
    if form < 0.12 and len("".join(names)) < 70:  # in a row
        down = y0 - 16 if rng.random() < 0.5 else min(y1 + 70, HEIGHT - 8)
        if rng.random() < 0.4:
            texts.put_in_one([f"{key} {i}" for i in range(len(names))], names, (x0 + x1) / 2, down)
            return
        for i, name in enumerate(names):
            texts.put(f"{key} {i}", name, "legend", x0 + (i + 0.5) / len(names) * (x1 - x0), down)
        return
    if form < 0.22 and panel.series and not panel.categories:  # at the ends of the curves
        for i, one in enumerate(panel.series):
            texts.put(f"{key} {i}", names[i], "legend", one.points[-1].px - wide / 2, one.points[-1].py - 12)
        return
    column = rng.choice((x1 + 20 + wide, x1 - 10 - wide, x0 + 30 + wide, (x0 + x1) / 2))
    step = min(22.0, (y1 - y0) / (len(names) + 1))
    top = y0 + 20 if rng.random() < 0.75 else y1 - 20 - step * len(names)
    texts.put(f"{key} title", title, "legend", column, top - 20)
    for i, name in enumerate(names):
        texts.put(f"{key} {i}", name, "legend", column, top + step * i)


def put_beside(texts: Texts, panels: Sequence[Drawn], rng: random.Random) -> None:
    """Titles, letters of panels, notes, and signs that OCR takes for text."""
    several = len(panels) > 1
    form = rng.choice(("({})", "({})", "{}", "{})"))
    has_letters = rng.random() < (0.75 if several else 0.04)
    upper = rng.random() < 0.4
    for letter, panel in zip("abcdefghi", panels, strict=False):
        x0, y0, x1, y1 = panel.area
        if has_letters:
            name = form.format(letter.upper() if upper else letter)
            texts.put("", name, "stray", x0 - 20, y0 - 16)
        if rng.random() < (0.3 if several else 0.33):
            texts.put("", title_of(panel, rng), "stray", (x0 + x1) / 2, y0 - 18)
        if rng.random() < 0.15:
            for _ in range(rng.choice((1, 1, 2, 3))):
                note = rng.choice(paper_words.STRAY_TEXTS)
                texts.put("", note, "stray", rng.uniform(x0 + 20, x1 - 20), rng.uniform(y0 + 20, y1 - 20))
    if rng.random() < 0.06:
        texts.put("", title_of(panels[0], rng), "stray", WIDTH / 2, 10)
    if rng.random() < 0.05:
        source = rng.choice(("Source: {}", "Data: {}", "© {}", "Note: {}")).format(rng.choice(paper_words.LONG_PARTS))
        texts.put("", source, "stray", WIDTH / 3, HEIGHT - 8)


def title_of(panel: Drawn, rng: random.Random) -> str:
    y, x = panel.y or "Values", panel.x or "group"
    return rng.choice(paper_words.TITLES).format(y=y.split(" (")[0], x=x.split(" (")[0])


# Ticks


def _put_ticks(texts: Texts, axis: Range, area: Box, is_upright: bool, rng: random.Random, most: int) -> None:
    x0, y0, x1, y1 = area
    for text, share in _ticks(axis, rng, most):
        if is_upright:
            texts.put("", text, "tick", x0 - 22, y1 - share * (y1 - y0))
        else:
            texts.put("", text, "tick", x0 + share * (x1 - x0), y1 + 16)


def _ticks(axis: Range, rng: random.Random, most: int) -> list[tuple[str, float]]:
    """Round numbers of an axis, each with its share of it."""
    if axis.scale == "category" or not axis.extent > 0:
        return []
    if axis.scale == "log":
        form = rng.choice(("10{}", "10{}", "10^{}", "1e{}", "plain"))
        exponents = range(math.ceil(axis.level(axis.low)), math.floor(axis.level(axis.high)) + 1)
        texts = [f"{10.0**e:.10g}" if form == "plain" else form.format(e) for e in exponents]
        return [(text, axis.height(10.0**e)) for text, e in zip(texts, exponents, strict=True)]
    low, high = axis.low, axis.high
    if axis.scale == "date":
        if high - low < _YEARS_ALONE:
            return _dates(low, high, rng, most)
        low, high = 1970 + low / 365.25, 1970 + high / 365.25
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    first, last = math.ceil(low / step), math.floor(high / step)
    written = rng.choice((_plain, _plain, _plain, _grouped, _abbreviated))
    return [(written(i * step), (i * step - low) / (high - low)) for i in range(first, last + 1)]


def _dates(low: float, high: float, rng: random.Random, most: int) -> list[tuple[str, float]]:
    """Dates in words or digits; what OCR reads of them is text where they have letters."""
    forms = ("%Y-%m-%d", "%d %b", "%b %d", "%m/%d") if high - low < 200 else ("%Y-%m", "%b %Y", "%b", "%b '%y", "%m/%Y")
    form, count = rng.choice(forms), rng.randint(3, most)
    shares = [(i + 0.5) / count for i in range(count)]
    days = [datetime.date(1970, 1, 1) + datetime.timedelta(days=round(low + t * (high - low))) for t in shares]
    return [(day.strftime(form), share) for day, share in zip(days, shares, strict=True)]


def _plain(value: float) -> str:
    return f"{value:.10g}"


def _grouped(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.10g}"


def _abbreviated(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if abs(value) >= 10_000 else f"{value:.10g}"
