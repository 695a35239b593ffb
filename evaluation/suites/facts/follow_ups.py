"""Follow-up questions with one right answer each, and the judgement of an answer: pure functions, no model, no files.

    for question in questions(truth, random.Random(7), 6):
        question.is_right("About 1.45, at 48 h.")

The wordings are this file's own: no training text is made from them. A value counts within 10 % of what the panel
shows, a name letter by letter. "Why" has no answer in a figure, nor has a curve that is not there; saying so is right.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from evaluation.suites.facts.names import located, stands_in
from evaluation.suites.facts.score import NEAR, score, shown
from evaluation.suites.facts.truth import Truth
from llava_graph.chart import Chart, Panel, Series
from llava_graph.numbers import numbers_in

_DENIES = re.compile(
    r"\b(?:no|not|none|n't|cannot|unable|nothing|neither|does not|doesn't|isn't|without|unknown|unclear)\b|n't\b", re.I
)
_MADE_UP = ("Zorblatt", "Quenby", "Ardeva", "Plimsoe")
_KINDS = {
    "line": ("line", "curve"),
    "scatter": ("scatter", "points"),
    "bar": ("bar",),
    "grouped_bar": ("bar",),
    "stacked_bar": ("bar",),
}


@dataclass(frozen=True, slots=True)
class FollowUp:
    """One question. `kind` is what it asks for; `expected` says the right answer, for the report."""

    kind: str
    text: str
    expected: str
    is_right: Callable[[str], bool]


def questions(truth: Truth, rng: random.Random, count: int) -> list[FollowUp]:
    """Up to `count` questions, of as many kinds as the figure has answers to; of figures with several panels, none:
    a question would have to say which."""
    if len(truth.chart.panels) != 1:
        return []
    found = list(_possible(truth, truth.chart.panels[0], rng))
    rng.shuffle(found)
    return found[:count]


def _possible(truth: Truth, panel: Panel, rng: random.Random) -> Iterator[FollowUp]:
    names = [series.name for series in panel.series if series.name and series.name in truth.legends]
    yield _kind(panel, rng)
    yield from _axes(panel, rng)
    yield _absent(rng)
    who = rng.choice(names) if names else None
    if who:
        yield from _of_series(truth, panel, next(one for one in panel.series if one.name == who), rng)
    top = next((s.name for s in panel.series if any(fact.kind == "highest_overall" for fact in s.facts)), None)
    if top in names and len(names) == len(panel.series):
        text = rng.choice(("On the whole, who comes out on top?", "Which one has the largest values overall?"))
        yield FollowUp("highest", text, str(top), _names_alone(str(top), names))
    if len(panel.series) == 1 and panel.x.categories:
        yield from _of_bars(panel, panel.series[0], rng)


def _kind(panel: Panel, rng: random.Random) -> FollowUp:
    words = _KINDS.get(panel.kind, (panel.kind,))
    text = rng.choice(("Is this a bar chart, a line chart or a scatter plot?", "What sort of diagram am I looking at?"))
    others = [word for kind in ("line", "bar", "scatter") for word in (kind,) if word not in words]
    return FollowUp(
        "kind",
        text,
        words[0],
        lambda answer: (
            any(word in answer.casefold() for word in words)
            and not any(re.search(rf"\b{word} (?:chart|plot|graph)", answer.casefold()) for word in others)
        ),
    )


def _axes(panel: Panel, rng: random.Random) -> Iterator[FollowUp]:
    along, upright = (panel.y, panel.x) if panel.horizontal else (panel.x, panel.y)
    for axis, forms in (
        (along, ("And what runs along the bottom?", "Which quantity is plotted horizontally?")),
        (upright, ("And what is measured vertically?", "Which quantity does the upright axis give?")),
    ):
        if axis.label:
            label = axis.label
            yield FollowUp("axis", rng.choice(forms), label, lambda answer, label=label: stands_in(label, answer))  # type: ignore[misc]
    if panel.y.unit:
        unit = panel.y.unit
        text = rng.choice(("In what unit are the values given?", "What unit does the y axis use?"))
        if panel.horizontal:
            text = "In what unit are the values given?"  # which axis is y is a matter of taste there
        yield FollowUp("unit", text, unit, lambda answer: unit.casefold() in answer.casefold())


def _absent(rng: random.Random) -> FollowUp:
    name = rng.choice(_MADE_UP)
    text = rng.choice((f"And how did {name} do?", f"What can you tell me about the {name} curve?"))
    return FollowUp(
        "absent", text, "it is not there", _denies(re.compile(rf"\b(?:{name}|such|there|shown|listed)\b", re.I))
    )


def _of_series(truth: Truth, panel: Panel, series: Series, rng: random.Random) -> Iterator[FollowUp]:
    name = str(series.name)
    text = rng.choice((f"What is the reason for the course of {name}?", f"Why does {name} look like that?"))
    told = re.compile(r"\b(?:figure|chart|plot|image|tells?|says?|shows?|explains?|reason|why|cause)\b", re.I)
    yield FollowUp("why", text, "the figure does not tell", _denies(told))
    if panel.kind != "line":
        return
    trend = next((fact.text for fact in series.facts if fact.kind == "trend"), None)
    if trend:
        text = rng.choice((f"Is {name} going up or down?", f"In which direction does {name} move?"))
        yield FollowUp("trend", text, trend, _tells_trend(truth, series))
    facts = {fact.kind: fact for fact in series.facts if fact.y is not None}
    for kind, form in (
        ("last", f"Where does {name} end up?"),
        ("first", f"At what level does {name} begin?"),
        ("maximum", f"How high does {name} get at most?"),
        ("minimum", f"And the smallest value of {name}?"),
    ):
        if kind in facts:
            value = facts[kind].y
            if value is not None:
                yield FollowUp("value", form, f"{value:.4g}", _tells_value(value, panel))


def _of_bars(panel: Panel, series: Series, rng: random.Random) -> Iterator[FollowUp]:
    heights = {str(point.x): point.y for point in series.points}
    best = max(heights, key=heights.__getitem__)
    runner_up = sorted(heights.values())[-2] if len(heights) > 1 else heights[best]
    if shown(panel).share(heights[best], runner_up) > NEAR / 2:
        text = rng.choice(("Which one stands out as the largest?", "Where is the value greatest?"))
        yield FollowUp("highest", text, best, _names_alone(best, list(heights)))
    place = rng.choice(list(heights))
    text = rng.choice((f"How much is it for {place}?", f"What value does {place} have?"))
    yield FollowUp("value", text, f"{heights[place]:.4g}", _tells_value(heights[place], panel))


def _denies(what: re.Pattern[str]) -> Callable[[str], bool]:
    """Whether a sentence that speaks of `what` is a denial: "the values were not read" answers neither question."""
    return lambda answer: any(what.search(one) and _DENIES.search(one) for one in re.split(r"(?<=[.!?])\s", answer))


def _names_alone(name: str, names: list[str]) -> Callable[[str], bool]:
    """Whether the answer names it first: what follows may compare."""

    def is_right(answer: str) -> bool:
        found = located(names, answer)
        return bool(found) and found[0][2] == name

    return is_right


def _tells_value(value: float, panel: Panel) -> Callable[[str], bool]:
    """Whether the answer's first number that the panel can show is near: a place along x may stand before it."""

    def is_right(answer: str) -> bool:
        told = [number.value for number in numbers_in(answer)]
        return any(shown(panel).share(number, value) <= NEAR for number in told[:2])

    return is_right


def _tells_trend(truth: Truth, series: Series) -> Callable[[str], bool]:
    """Judged as in an explanation; an answer with "it" in place of the name speaks of the series asked about."""
    panel = truth.chart.panels[0]
    alone = Truth(Chart((_with_only(panel, series),)), truth.texts, truth.legends)

    def is_right(answer: str) -> bool:
        found = score(alone, "", answer)["trend_right"]
        return found.of > 0 and found.hits == found.of

    return is_right


def _with_only(panel: Panel, series: Series) -> Panel:
    return Panel(panel.kind, panel.area, panel.x, panel.y, (series,))
