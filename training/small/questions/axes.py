"""Questions about what a chart is and what its axes show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.synthetic.write import listing
from llava_graph.chart import Axis
from llava_graph.chart_text import NumberWriter
from training.small.questions.scene import Kind, Pair, Scene


@dataclass(frozen=True, slots=True)
class _Side:
    """How one asks after an axis by where it is drawn. `letters`: what it may be called besides."""

    where: str
    direction: str
    beside: str
    edges: tuple[str, ...]
    letters: tuple[str, ...]


_ALONG = _Side(
    "horizontal",
    "to the right",
    "below the chart",
    ("at the bottom", "along the lower edge", "underneath", "at the foot of the chart"),
    ("x",),
)
_UPRIGHT = _Side(
    "vertical",
    "upwards",
    "at the side",
    ("at the left", "along the left edge", "on the upright axis", "at the side", "going up the side"),
    ("y",),
)
_LETTERED = (
    "What is on the {letter}-axis?",
    "What is plotted along {letter}?",
    "Label of the {letter} axis?",
    "And what does {letter} stand for?",
    "{letter} axis?",
    "{letter}-axis label",
    "What is {letter}?",
    "What does the {letter} axis mean?",
    "Name the {letter} axis.",
    "Please read the label of the {letter}-axis.",
)
_BY_PLACE = (
    "What does the {where} axis show?",
    "What is shown {where}ly?",
    "Which quantity is drawn {direction}?",
    "What is written {beside}?",
    "Which quantity do the ticks {edge} belong to?",
    "What does one read off {edge}?",
    "And {edge}, what is that?",
    "What do the numbers {beside} stand for?",
    "What is the label of the {where} axis?",
    "{where} axis?",
    "What is the {where} axis about?",
    "Read the {where} axis label for me.",
    "What is measured {edge}?",
    "Which variable is {edge}?",
    "What is the title of the {where} axis?",
    "I cannot read the {where} axis. What does it say?",
    "What does the {where} direction mean?",
    "According to the label, what is plotted {direction}?",
    "Which quantity is on the {where} axis?",
)
_UNIT_OF_NAME = (
    "In which unit is {name} given?",
    "What is the unit of {name}?",
    "unit of {name}?",
    "{name}: which unit?",
    "What are the units for {name}?",
    "How is {name} measured?",
    "In what is {name} measured?",
    "Does {name} have a unit?",
    "What unit is used for {name}?",
    "Which units does {name} have?",
)
_UNIT_OF_LETTER = (
    "In which unit is {letter} measured?",
    "Unit of {letter}?",
    "{letter} axis unit?",
    "What is the unit on the {letter}-axis?",
    "Units of {letter}?",
    "Which unit is used on the {letter}-axis?",
)
_UNIT_OF_AXIS = (
    "What is the unit of the {where} axis?",
    "In which unit is the {where} axis?",
    "Units on the {where} axis?",
    "Does the {where} axis have a unit?",
    "What unit stands {beside}?",
    "Which unit do the numbers {beside} have?",
)
_UNIT_OF_VALUES = (
    "What is the unit?",
    "Which unit do the values have?",
    "Unit?",
    "units of the values",
    "In which unit?",
    "What do the numbers mean, in which unit?",
    "Which unit is that in?",
    "What are the values measured in?",
)
_KIND = (
    "What kind of chart is this?",
    "Which type of figure is it?",
    "Are these lines, bars or points?",
    "Which kind of diagram is shown?",
    "Line chart or bar chart?",
    "Chart type?",
    "type of plot",
    "What type of graph do we have here?",
    "How are the data drawn?",
    "What do you call such a chart?",
    "Name the kind of chart.",
    "Bars, lines or dots?",
    "Is it a histogram, a line plot or something else?",
    "What sort of plot is that?",
)
_IS_KIND = (
    "Is this a {kind}?",
    "Is it a {kind}?",
    "This is a {kind}, right?",
    "{kind}?",
    "Would you call this a {kind}?",
    "Am I looking at a {kind}?",
    "Is that a {kind}?",
)
_ASKED_KINDS = ("bar chart", "line chart", "scatter plot", "line chart", "bar chart", "histogram", "pie chart")
_RANGE_FORMS = (
    "What range does the {where} axis cover?",
    "From where to where does the {where} axis go?",
    "What are the limits of the {where} axis?",
    "Where does the {where} axis begin and end?",
    "range of the {where} axis?",
    "{where} axis limits?",
    "How far does the {where} axis go?",
    "What are the first and the last value on the {where} axis?",
    "Over which range is the {where} axis drawn?",
    "Which interval is shown on the {where} axis?",
    "Smallest and largest value on the {where} axis?",
    "What is the span of the {where} axis?",
)
_SCALE_FORMS = (
    "Is the {where} axis logarithmic?",
    "Is the scale of the {where} axis linear or logarithmic?",
    "What scale does the {where} axis have?",
    "Log scale on the {where} axis?",
    "Is it a log plot, along the {where} axis?",
    "Is the {where} axis on a log scale?",
    "{where} axis: linear or log?",
    "How is the {where} axis scaled?",
    "Which kind of scale is the {where} axis?",
    "Are the ticks of the {where} axis evenly spaced values?",
)
_CATEGORY_FORMS = (
    "Which categories are there?",
    "List the categories.",
    "categories?",
    "Name the categories on the axis.",
    "What are the groups along the axis?",
    "Which bars are there?",
    "What labels stand under the bars?",
    "Which items are compared?",
    "What is listed along the axis?",
    "Please list the categories shown.",
    "Give me the names of the categories.",
)


def _sides(scene: Scene) -> tuple[tuple[_Side, str | None, Axis | None, bool], ...]:
    """Each axis by where it is drawn: its name, its data, and whether it is the one of the values."""
    panel, data = scene.panel, scene.panel.data
    x, y = (panel.x, data.x if data else None, False), (panel.y, data.y if data else None, True)
    if data is not None and data.horizontal:
        # Some call the axis of the categories x and some the one along the bottom, so nobody asks by the letter.
        return (
            (_Side("horizontal", _ALONG.direction, _ALONG.beside, _ALONG.edges, ()), *y),
            (_Side("vertical", _UPRIGHT.direction, _UPRIGHT.beside, _UPRIGHT.edges, ()), *x),
        )
    return (_ALONG, *x), (_UPRIGHT, *y)


def label(scene: Scene) -> Sequence[Pair]:
    side, name, _, _ = scene.rng.choice(_sides(scene))
    by_letter = [form.replace("{letter}", letter) for letter in side.letters for form in _LETTERED]
    question = scene.ask(
        (*by_letter, *_BY_PLACE),
        where=side.where,
        direction=side.direction,
        beside=side.beside,
        edge=scene.rng.choice(side.edges),
    )
    return [
        (
            question,
            f"The {side.where} axis shows {name}." if name else f"The label of the {side.where} axis is not legible.",
        )
    ]


def unit(scene: Scene) -> Sequence[Pair]:
    side, name, axis, has_values = scene.rng.choice(_sides(scene))
    if axis is None or not name:
        return []
    has_unit = bool(axis.unit and axis.label and axis.unit in axis.label)
    of_letters = [form.replace("{letter}", letter) for letter in side.letters for form in _UNIT_OF_LETTER]
    forms = [
        (_UNIT_OF_NAME, f"{name} is given in {axis.unit}." if has_unit else f"No unit is given for {name}."),
        (
            (*of_letters, *_UNIT_OF_AXIS),
            f"The {side.where} axis is given in {axis.unit}."
            if has_unit
            else f"No unit is given for the {side.where} axis.",
        ),
    ]
    if has_values and has_unit:
        forms.append((_UNIT_OF_VALUES, f"The values are given in {axis.unit}."))
    asked, answer = scene.rng.choice(forms)
    return [(scene.ask(asked, name=name, where=side.where, beside=side.beside), answer)]


def kind(scene: Scene) -> Sequence[Pair]:
    if not scene.panel.kind:
        return []
    if scene.rng.random() < 0.35:
        asked = scene.rng.choice(_ASKED_KINDS)
        said = "Yes" if scene.panel.kind.endswith(asked) else "No"
        return [(scene.ask(_IS_KIND, kind=asked), f"{said}, it is a {scene.panel.kind}.")]
    return [(scene.ask(_KIND), f"It is a {scene.panel.kind}.")]


def reach(scene: Scene) -> Sequence[Pair]:
    """From where to where an axis goes."""
    side, _, axis, has_values = scene.rng.choice(_sides(scene))
    if axis is None or axis.low is None or axis.high is None or axis.scale in (None, "category") or not scene.claimed:
        return []
    write = NumberWriter.of(scene.data, scene.series(scene.claimed[0]))
    low, high = (write.y(axis.low), write.y(axis.high)) if has_values else (write.x(axis.low), write.x(axis.high))
    return [(scene.ask(_RANGE_FORMS, where=side.where), f"The {side.where} axis goes from {low} to {high}.")]


def scale(scene: Scene) -> Sequence[Pair]:
    side, _, axis, _ = scene.rng.choice(_sides(scene))
    if axis is None:
        return []
    words = {
        "log": "is logarithmic",
        "linear": "is linear",
        "date": "shows dates",
        "category": "has categories",
        None: "was not read",
    }
    said = words[axis.scale]
    answer = f"The scale of the {side.where} axis {said}." if axis.scale is None else f"The {side.where} axis {said}."
    return [(scene.ask(_SCALE_FORMS, where=side.where), answer)]


def categories(scene: Scene) -> Sequence[Pair]:
    shown, data = scene.panel.categories, scene.panel.data
    if not 1 < len(shown) <= 10 or (data is not None and not set(data.x.categories) <= set(shown)):
        return []
    return [(scene.ask(_CATEGORY_FORMS), f"The categories are {listing(scene.panel.categories)}.")]


KINDS = (
    Kind("axis label", 1.4, label),
    Kind("unit", 1.0, unit),
    Kind("chart kind", 0.5, kind),
    Kind("axis range", 0.3, reach),
    Kind("axis scale", 0.3, scale),
    Kind("categories", 0.3, categories),
)
