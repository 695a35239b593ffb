"""Questions about bars: which is highest, how high one is, which of two is higher, all of them, their order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

from data.synthetic.write import listing
from llava_graph.chart import Point
from llava_graph.context import TEMPLATES
from training.small.paragraphs import trend_of
from training.small.questions.scene import Kind, Pair, Scene, apart, link
from training.small.told import TEMPLATE

ExtremeKind = Literal["maximum", "minimum"]

_EXTREME = (
    "Which bar{of} is the {word}?",
    "Which one is {word}{of_in}?",
    "What has the {size} value{of}?",
    "Where is the {size} value{of}?",
    "Which one is the {size}{of}?",
    "What is the {word} bar{of}?",
    "Which category has the {word} value{of}?",
    "{word} bar{of}?",
    "{kind}{of}?",
    "Name the {word} bar{of}.",
    "Which category is {word}{of_in}?",
    "Where is the {kind}{of}?",
    "Which bar{of} is the {tall}?",
    "What is the {kind}{of}?",
    "Tell me the {word} one{of_in}.",
    "Which of the bars{of} is {word}?",
    "Who has the {size} value{of_in}?",
    "For which category is the value{of} {size}?",
    "Which category comes out {word}{of_in}?",
    "Find the {word} bar{of}.",
    "What is the {size} bar{of} and how high is it?",
    "Which item has the {size} number{of_in}?",
    "Where do we see the {word} bar{of}?",
    "What is the category of the {word} bar{of}?",
)
_VALUE = (
    "What is the value{of} for {c}?",
    "Which number belongs to {c}{in}?",
    "Tell me the value of {c}{of_in}.",
    "What does {c} reach{in}?",
    "Read off {c}{of_in}, please.",
    "How high is the bar of {c}{of_in}?",
    "And {c}{in}?",
    "At what level is {c}{in}?",
    "{c}{in}?",
    "value of {c}{of_in}",
    "How high is {c}{in}?",
    "What is {c}{in}?",
    "What do you read for {c}{in}?",
    "Value for {c}{in}, please.",
    "Give me the number for {c}{of_in}.",
    "How tall is the bar at {c}{of_in}?",
    "What is the height of {c}{in}?",
    "What about {c}{in}?",
    "How big is {c}{in}?",
    "What value has {c}{in}?",
    "Look up {c}{of_in}.",
    "According to the chart, how large is {c}{of_in}?",
    "How much does {c} have{in}?",
    "How large is {c}{of_in}?",
)
_IS_HIGHER = (
    "Is {c} higher than {d}{in}?",
    "Is {c} larger than {d}{in}?",
    "Is the bar of {c} taller than that of {d}{of_in}?",
    "Does {c} exceed {d}{in}?",
    "Is {c} above {d}{in}?",
    "Does {c} beat {d}{in}?",
    "{c} is higher than {d}{in}, right?",
    "Is {c} > {d}{in}?",
    "Does {c} have a higher bar than {d}{in}?",
)
_COMPARED = (
    "Which is higher{of_in}, {c} or {d}?",
    "{c} or {d}: which is larger{of_in}?",
    "Compare {c} and {d}{in}.",
    "How do {c} and {d} compare{of_in}?",
    "{c} vs {d}{in}?",
    "Which of {c} and {d} has the larger value{of}?",
    "What is the difference between {c} and {d}{in}?",
    "How much higher is {c} than {d}{in}?",
    "By how much do {c} and {d} differ{in}?",
    "How far apart are {c} and {d}{of_in}?",
)
_SERIES_AT = (
    "Which is higher for {c}, {s} or {t}?",
    "For {c}, is {s} higher than {t}?",
    "Is {s} above {t} at {c}?",
    "At {c}, which of {s} and {t} is larger?",
    "Compare {s} and {t} for {c}.",
    "{s} or {t} at {c}?",
    "How do {s} and {t} compare for {c}?",
    "What is the difference between {s} and {t} for {c}?",
    "In {c}, is {s} larger than {t}?",
)
_ALL_AT = (
    "What are the values for {c}?",
    "Compare them for {c}.",
    "Give me all values at {c}.",
    "List the bars of {c}.",
    "Which values does {c} have?",
    "all bars at {c}?",
    "What do the bars at {c} show?",
    "For {c}, what is the value of each?",
    "How do they compare at {c}?",
)
_ALL = (
    "List all values{of}.",
    "What are the values of all bars{of}?",
    "Give me the value of each bar{of}.",
    "all values{of}?",
    "Read off every bar{of}, please.",
    "Which value does each category have{in}?",
    "Can you list the numbers{of}?",
    "What are the numbers{of}?",
    "Make a list of the values{of}.",
    "Tell me the heights of all bars{of}.",
    "Every value{of}, please.",
    "How high are the bars{of}?",
)
_SECOND = (
    "Which bar{of} is the second highest?",
    "What comes second{in}?",
    "second highest{of_in}?",
    "Which one is in second place{of_in}?",
    "What is the second largest value{of}?",
    "Which category has the second highest value{of}?",
    "Who is the runner-up{of_in}?",
    "And the second highest{of_in}?",
    "After the highest bar{of}, which one follows?",
)
_RANKED = (
    "Rank the bars{of}.",
    "Sort the categories by value{of_in}.",
    "ranking{of_in}?",
    "What is the order of the bars{of}, from the highest to the lowest?",
    "Order the bars{of} by height.",
    "List the bars{of} from highest to lowest.",
    "Which are the top three{of_in}?",
    "Give the ranking{of_in}.",
    "What does the ranking look like{of_in}?",
)
_TIMES = (
    "How many times as high as {d} is {c}{in}?",
    "What is the ratio of {c} to {d}{in}?",
    "Is {c} twice as high as {d}{in}?",
    "{c} relative to {d}{in}?",
    "How does {c} relate to {d}{in}?",
    "By which factor do {c} and {d} differ{in}?",
    "ratio {c} / {d}{in}?",
)
_TREND = (
    "Is there a trend{of_in}?",
    "How do the values{of} change?",
    "Do the bars{of} grow?",
    "Do the values{of} rise or fall?",
    "trend{of_in}?",
    "Do the bars{of} get higher from left to right?",
    "How do the bars{of} develop?",
    "Is there an increase{of_in}?",
    "Which way do the bars{of} go?",
)
_IS_ABOVE = (
    "Is {s} higher than {t}?",
    "Is {s} always above {t}?",
    "Does {s} beat {t} everywhere?",
    "Are the bars of {s} higher than those of {t}?",
    "Is {s} larger than {t} in every category?",
    "{s} is always higher than {t}, right?",
    "Is {s} above {t} for all categories?",
    "Does {s} exceed {t}?",
    "Is {s} better than {t}?",
)
_WHICH_ABOVE = (
    "Which is higher, {s} or {t}?",
    "{s} or {t}: which has the higher bars?",
    "Compare {s} and {t}.",
    "How do {s} and {t} compare?",
    "{s} vs {t}?",
    "What is the difference between {s} and {t}?",
    "Which of {s} and {t} has the larger values?",
    "How does {s} differ from {t}?",
    "Where is {s} higher than {t}?",
)
_SAME = 0.02


def _limits() -> int:
    limits = TEMPLATES[TEMPLATE].chart
    assert limits is not None
    return limits.categories


def points_told(scene: Scene, i: int) -> tuple[Point, ...]:
    """The bars of a series that the prompt tells, as far as their categories have names."""
    return tuple(point for point in scene.series(i).points[: _limits()] if point.x and isinstance(point.x, str))


def _words(scene: Scene, i: int) -> dict[str, str]:
    """What goes into the gaps of a question for the series that is spoken of: nothing where there is one alone."""
    if len(scene.data.series) == 1:
        return {"of": "", "in": "", "of_in": ""}
    name = scene.name(i)
    inside = scene.rng.choice((" in {}", " for {}", " with {}")).format(name)
    return {"of": f" of {name}", "in": inside, "of_in": f" for {name}"}


def _ask(scene: Scene, forms: Sequence[str], i: int, **names: str) -> str:
    return scene.ask(forms, **_words(scene, i), **names)


def _lead(scene: Scene, i: int) -> str:
    return f"For {scene.panel.series[i]}: " if len(scene.data.series) > 1 else ""


# Answers, which threads of questions use too


def extreme_answer(scene: Scene, i: int, kind: ExtremeKind) -> str:
    word = "highest" if kind == "maximum" else "lowest"
    fact = scene.fact(i, kind)
    of = f" of {scene.panel.series[i]}" if len(scene.data.series) > 1 else ""
    if fact is None or not fact.x:  # two are as high, or one was not read
        return f"No single {word} bar{of} was read.{_rivals(scene, i, kind)}"
    lead = f"For {scene.panel.series[i]}, the" if of else "The"
    return f"{lead} {word} bar is {scene.x(i, fact.x)} at about {scene.y(i, fact.y)}."


def _rivals(scene: Scene, i: int, kind: ExtremeKind) -> str:
    """The two bars of which one is the highest, or lowest, with their values, where all bars are told."""
    points = points_told(scene, i)
    if not 2 <= len(points) == len(scene.series(i).points) or len(points) < len(scene.data.x.categories):
        return ""
    one, other = sorted(points, key=lambda point: point.y, reverse=kind == "maximum")[:2]
    values = f"{one.x} is at about {scene.y(i, one.y)} and {other.x} at about {scene.y(i, other.y)}"
    return f" {_lead(scene, i)}{values}."


def value_answer(scene: Scene, i: int, point: Point) -> str:
    return f"{_lead(scene, i)}{point.x} is at about {scene.y(i, point.y)}."


# Questions


def extreme(scene: Scene) -> Sequence[Pair]:
    kind = scene.rng.choices(("maximum", "minimum"), (3, 2))[0]
    return [extreme_of(scene, scene.pick(), kind)]  # type: ignore[arg-type]  # one of the two


def extreme_of(scene: Scene, i: int, kind: ExtremeKind) -> Pair:
    high = kind == "maximum"
    question = _ask(
        scene,
        _EXTREME,
        i,
        word="highest" if high else "lowest",
        size="largest" if high else "smallest",
        tall="tallest" if high else "shortest",
        kind=kind,
    )
    return question, extreme_answer(scene, i, kind)


def value(scene: Scene) -> Sequence[Pair]:
    i = scene.pick()
    points = points_told(scene, i)
    if not points:
        return []
    point = scene.rng.choice(points)
    return [value_of(scene, i, point)]


def value_of(scene: Scene, i: int, point: Point) -> Pair:
    return _ask(scene, _VALUE, i, c=str(point.x)), value_answer(scene, i, point)


def value_unread(scene: Scene) -> Sequence[Pair]:
    """The value of a category whose bar was not read."""
    i = scene.pick()
    known = {point.x for point in scene.series(i).points}
    missing = [name for name in (*scene.data.x.categories, *scene.panel.categories) if name and name not in known]
    if not missing or len(known) >= _limits():
        return []
    name = scene.rng.choice(missing)
    of = f" of {scene.panel.series[i]}" if len(scene.data.series) > 1 else ""
    return [(_ask(scene, _VALUE, i, c=name), f"The bar{of} for {name} was not read.")]


def compared(scene: Scene) -> Sequence[Pair]:
    """Which of two bars of one series is higher, with both values."""
    i = scene.pick()
    points = points_told(scene, i)
    if len(points) < 2:
        return []
    one, other = scene.rng.sample(points, 2)
    says_yes_or_no = scene.rng.random() < 0.45
    question = _ask(scene, _IS_HIGHER if says_yes_or_no else _COMPARED, i, c=str(one.x), d=str(other.x))
    gap = apart(scene.data.y, one.y, other.y)
    if 0 < gap <= _SAME:
        return []
    lead = _lead(scene, i)
    values = f"{lead}{one.x} is at about {scene.y(i, one.y)} and {other.x} at about {scene.y(i, other.y)}."
    if gap == 0:
        return [(question, f"They are equally high: {values}")]
    if not says_yes_or_no:
        return [(question, values)]
    return [(question, f"{'Yes' if one.y > other.y else 'No'}. {values}")]


def series_at(scene: Scene) -> Sequence[Pair]:
    """Which of two series is higher at a category."""
    two = scene.two()
    if two is None or scene.data.kind == "stacked_bar":
        return []
    at = [{str(point.x): point.y for point in points_told(scene, i)} for i in two]
    common = [x for x in at[0] if x in at[1]]
    if not common:
        return []
    place = scene.rng.choice(common)
    s, t = scene.name(two[0]), scene.name(two[1])
    a, b = at[0][place], at[1][place]
    said = f"For {place}, {s} is at about {scene.y(two[0], a)} and {t} {link(t)}at about {scene.y(two[1], b)}"
    end = "." if apart(scene.data.y, a, b) <= _SAME else f", so {s if a > b else t} is higher."
    return [(scene.ask(_SERIES_AT, s=s, t=t, c=place), said + end)]


def all_at(scene: Scene) -> Sequence[Pair]:
    """The values of all series at a category."""
    if not 2 <= len(scene.claimed) <= 4 or len(scene.claimed) < len(scene.data.series):
        return []
    at = [{str(point.x): point.y for point in points_told(scene, i)} for i in scene.claimed]
    common = [x for x in at[0] if all(x in one for one in at)]
    if not common:
        return []
    place = scene.rng.choice(common)
    values = [
        f"{scene.name(i)} {'is ' if i == scene.claimed[0] else link(scene.name(i))}at about {scene.y(i, one[place])}"
        for i, one in zip(scene.claimed, at, strict=True)
    ]
    return [(scene.ask(_ALL_AT, c=place), f"For {place}, {listing(values)}.")]


def all_values(scene: Scene) -> Sequence[Pair]:
    i = scene.pick()
    points = points_told(scene, i)
    if not 2 <= len(points) == len(scene.series(i).points):
        return []
    values = [f"{point.x} {'is ' if k == 0 else ''}at about {scene.y(i, point.y)}" for k, point in enumerate(points)]
    return [(_ask(scene, _ALL, i), f"{_lead(scene, i)}{listing(values)}.")]


def _ranking(scene: Scene, i: int) -> list[Point] | None:
    """The bars from the highest on, where all are told and no two are as high."""
    points = points_told(scene, i)
    if not 3 <= len(points) == len(scene.series(i).points) or len(points) < len(scene.data.x.categories):
        return None
    ranked = sorted(points, key=lambda point: -point.y)
    read_to = max(_SAME, 2 * scene.series(i).y_tolerance)
    top = scene.fact(i, "maximum")
    if top is None or not top.x or any(apart(scene.data.y, a.y, b.y) <= read_to for a, b in itertools.pairwise(ranked)):
        return None
    return ranked


def second(scene: Scene) -> Sequence[Pair]:
    i = scene.pick()
    ranked = _ranking(scene, i)
    if ranked is None:
        return []
    said = f"{_lead(scene, i)}{ranked[1].x} is at about {scene.y(i, ranked[1].y)}, the second highest."
    return [(_ask(scene, _SECOND, i), said)]


def ranking(scene: Scene) -> Sequence[Pair]:
    i = scene.pick()
    ranked = _ranking(scene, i)
    if ranked is None:
        return []
    question = _ask(scene, _RANKED, i)
    if "three" in question:
        ranked = ranked[:3]
    values = [f"{point.x} (about {scene.y(i, point.y)})" for point in ranked]
    lead = f"For {scene.panel.series[i]}, from" if len(scene.data.series) > 1 else "From"
    return [(question, f"{lead} highest to lowest: {listing(values)}.")]


def times(scene: Scene) -> Sequence[Pair]:
    """How many times as high one bar is as another, where it is about two, three or four."""
    if len(scene.data.series) > 1 or scene.data.y.scale == "log":
        return []
    points = points_told(scene, scene.claimed[0])
    pairs = [(one, other) for one in points for other in points if other.y > 0 and one.y > other.y]
    fits = [
        (one, other, word)
        for one, other in pairs
        for factor, word in ((2, "twice"), (3, "three times"), (4, "four times"))
        if abs(one.y / other.y - factor) <= 0.07 * factor
    ]
    if not fits:
        return []
    one, other, word = scene.rng.choice(fits)
    question = _ask(scene, _TIMES, scene.claimed[0], c=str(one.x), d=str(other.x))
    return [(question, f"{one.x} is about {word} as high as {other.x}.")]


def trend(scene: Scene) -> Sequence[Pair]:
    i = scene.pick()
    shape = trend_of(scene.series(i))
    if shape not in ("rises", "falls"):
        return []
    name = scene.panel.series[i] if len(scene.data.series) > 1 else scene.panel.y
    if not name:
        return []
    return [(_ask(scene, _TREND, i), f"{name} {shape} from left to right.")]


def above(scene: Scene) -> Sequence[Pair]:
    """Which of two series has the higher bars, by every category that is told."""
    two = scene.two()
    if two is None or scene.data.kind == "stacked_bar":
        return []
    at = [{str(point.x): point.y for point in points_told(scene, i)} for i in two]
    gaps = {x: at[0][x] - at[1][x] for x in at[0] if x in at[1]}
    if len(gaps) < 2:
        return []
    s, t = scene.name(two[0]), scene.name(two[1])
    says_yes_or_no = scene.rng.random() < 0.5
    question = scene.ask(_IS_ABOVE if says_yes_or_no else _WHICH_ABOVE, s=s, t=t)
    if all(gap > 0 for gap in gaps.values()):
        return [(question, f"{'Yes, ' if says_yes_or_no else ''}{s} is higher than {t} everywhere.")]
    if all(gap < 0 for gap in gaps.values()):
        return [(question, f"{'No, ' if says_yes_or_no else ''}{t} is higher than {s} everywhere.")]
    higher = [x for x, gap in gaps.items() if gap > 0]
    lower = [x for x, gap in gaps.items() if gap < 0]
    if len(higher) + len(lower) < len(gaps) or len(gaps) > 6:
        return []
    return [(question, f"{s} is the higher one for {listing(higher)}, and {t} for {listing(lower)}.")]


BARS = (
    Kind("highest or lowest bar", 3.6, extreme),
    Kind("value of a bar", 3.6, value),
    Kind("bar not read", 0.8, value_unread),
    Kind("compare two bars", 1.2, compared),
    Kind("higher at a category", 1.0, series_at),
    Kind("all at a category", 0.9, all_at),
    Kind("all values", 0.9, all_values),
    Kind("second highest", 0.7, second),
    Kind("ranking", 0.5, ranking),
    Kind("times", 0.5, times),
    Kind("trend of bars", 0.7, trend),
    Kind("which has the higher bars", 0.8, above),
)
