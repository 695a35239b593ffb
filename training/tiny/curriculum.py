"""Makes a training example of a figure: a context with realistic OCR errors, and a true conversation.

The OCR lines are the figure's true texts, worsened as a real OCR model worsens them; what got lost is not named in the
answers. Nothing here knows pixels or tokens: batches.py makes messages, ids and labels of an example.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from typing import Literal

from data.synthetic import words, write
from data.synthetic.spec import FigureSpec, Role, TextBox
from data.synthetic.write import Known, KnownPanel
from llava_graph.context import DEFAULT_QUESTION, FigureContext, Turn
from llava_graph.ocr import Line, reading_order
from training.tiny.data import StoredFigure

ContextMode = Literal["both", "caption", "ocr", "none"]

TEMPLATE = "located"
"""The context template (`llava_graph.context.TEMPLATES`) of the small model, in training and in its manifest."""

_MODES: tuple[ContextMode, ...] = ("both", "ocr", "caption", "none")
_MODE_WEIGHTS = (74, 12, 8, 6)

_CONFUSED = dict(zip("O0l1ISBZgceuh", "0O1ll582qecvb", strict=True))
_OPENINGS = (DEFAULT_QUESTION, DEFAULT_QUESTION, "What does this figure show?", "Describe the figure.")
_LISTING = "List the texts in the figure."
_LISTING_BACKWARDS = "List the texts in the figure from bottom to top."


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation about a figure; its turns begin with the user and alternate."""

    context: FigureContext
    turns: tuple[Turn, ...]


def _misread(text: str, rng: random.Random) -> str:
    """One slip of the kind that OCR makes: a letter mistaken, a letter lost, a space lost."""
    i = rng.randrange(len(text))
    slip = rng.random()
    if slip < 0.4 and text[i] in _CONFUSED:
        return text[:i] + _CONFUSED[text[i]] + text[i + 1 :]
    if slip < 0.6 and len(text) > 3:
        return text[:i] + text[i + 1 :]
    return text.replace(" ", "", 1)


def _pieces(text: TextBox, rng: random.Random) -> list[TextBox]:
    """A text as detectors find it: axis labels sometimes fall apart before the bracket of their unit."""
    cut = max(text.text.find(" ("), text.text.find(" ["))
    if text.role not in ("x_label", "y_label") or cut < 0 or rng.random() > 0.08:
        return [text]
    x0, y0, x1, y1 = text.box
    share = cut / len(text.text)
    if x1 - x0 > y1 - y0:
        middle = x0 + (x1 - x0) * share
        boxes = (x0, y0, middle, y1), (middle, y0, x1, y1)
    else:  # read from bottom to top
        middle = y1 - (y1 - y0) * share
        boxes = (x0, middle, x1, y1), (x0, y0, x1, middle)
    return [
        replace(text, text=part.strip(), box=box)
        for part, box in zip((text.text[:cut], text.text[cut:]), boxes, strict=True)
    ]


def _read(text: TextBox, rng: random.Random) -> Line | None:
    """A text as an OCR model might return it: sometimes not at all, the box a little too wide, the odd slip."""
    if rng.random() < (0.03 if text.role in ("x_tick", "y_tick", "annotation") else 0.012):
        return None
    x0, y0, x1, y1 = text.box
    margin = min(x1 - x0, y1 - y0) * rng.uniform(0.0, 0.2)
    box = (x0 - margin, y0 - margin, x1 + margin, y1 + margin)
    if rng.random() < 0.03:
        return Line(_misread(text.text, rng), box, rng.uniform(0.6, 0.9))
    return Line(text.text, box, rng.uniform(0.9, 1))


def _known(spec: FigureSpec, read: dict[tuple[Role, int, int], str], caption: str) -> Known:
    """What a reader of these lines and this caption can name, spelled as the OCR spelled it."""

    def name(role: Role, panel: int, index: int, true_name: str, axis: bool = False) -> str | None:
        text = read.get((role, panel, index))
        if text is not None:
            return write.spoken(text) if axis else text
        # Whole: "alpha = 9" does not stand in "alpha = 96".
        return true_name if re.search(rf"(?<!\w){re.escape(true_name)}(?!\w)", caption) else None

    known = []
    for p, panel in enumerate(spec.panels):
        series = tuple(name("legend", p, i, s.name) for i, s in enumerate(panel.series))
        categories = tuple(name("x_tick", p, i, c) for i, c in enumerate(panel.categories))
        x = name("x_label", p, 0, panel.x.quantity, axis=True)
        y = name("y_label", p, 0, panel.y.quantity, axis=True)
        known.append(KnownPanel(x, y, series, categories))
    return tuple(known)


def _as_listed(spec: FigureSpec, known: Known, texts: list[str]) -> tuple[FigureSpec, Known]:
    """The same figure with each panel's series in the order in which a reader of `texts` meets their names."""

    def place(name: str | None) -> int:
        return texts.index(name) if name in texts else len(texts)

    panels, names = [], []
    for panel, knows in zip(spec.panels, known, strict=True):
        order = sorted(range(len(panel.series)), key=lambda i: place(knows.series[i]))
        panels.append(replace(panel, series=tuple(panel.series[i] for i in order)))
        names.append(replace(knows, series=tuple(knows.series[i] for i in order)))
    return replace(spec, panels=tuple(panels)), tuple(names)


def figure_example(figure: StoredFigure, rng: random.Random, mode: ContextMode | None = None) -> Example:
    """A conversation of one to four questions; `mode` says which context the reader has, by default mostly both."""
    mode = mode or rng.choices(_MODES, weights=_MODE_WEIGHTS)[0]
    spec = figure.spec
    caption = write.caption(spec, rng) if mode in ("both", "caption") else ""
    lines: list[Line] = []
    read: dict[tuple[Role, int, int], str] = {}
    if mode in ("both", "ocr"):
        for text in figure.texts:
            pieces = [_read(piece, rng) for piece in _pieces(text, rng)]
            lines += [piece for piece in pieces if piece]
            # Where a label fell apart, its name is the first piece; a unit alone names nothing.
            if pieces[0]:
                read[text.role, text.panel, text.index] = pieces[0].text
    lines = reading_order(lines)
    known = _known(spec, read, caption)
    spec, known = _as_listed(spec, known, [line.text for line in lines])
    pairs = write.dialogue(spec, known, rng, rng.choice((1, 2, 3)))
    if rng.random() < 0.85:
        opening = rng.choice(_OPENINGS)
        pairs.insert(0, (opening, write.explanation(spec, known, rng)))
    turns = [turn for question, answer in pairs for turn in (Turn("user", question), Turn("assistant", answer))]
    return Example(FigureContext(figure.width, figure.height, caption, lines), tuple(turns))


def copying_example(rng: random.Random) -> Example:
    """Lines at random places, to be listed again: the densest lesson in copying, without any pixels."""
    texts: list[str] = []
    for _ in range(rng.randint(3, 10)):
        kind = rng.random()
        if kind < 0.4:
            texts.append(words.quantity(rng, "train"))
        elif kind < 0.8:
            texts.append(words.names(rng, "train", 1)[0])
        else:
            texts.append(write.number(rng.choice((1, 10, 1000)) * rng.random()))
    lines = []
    for text in texts:
        x, y = rng.uniform(0, 900), rng.uniform(0, 950)
        lines.append(Line(text, (x, y, x + 12 * len(text), y + 25)))
    lines = reading_order(lines)
    backwards = rng.random() < 0.3
    listed = [line.text for line in (reversed(lines) if backwards else lines)]
    turns = (Turn("user", _LISTING_BACKWARDS if backwards else _LISTING), Turn("assistant", ", ".join(listed) + "."))
    return Example(FigureContext(1000, 1000, "", lines), turns)
