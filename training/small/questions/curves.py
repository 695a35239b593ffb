"""Questions about curves and clouds of points: where they go, how high, what they are at a place, which lies above."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from data.synthetic.write import listing
from llava_graph.chart import Fact
from training.small import paragraphs
from training.small.paragraphs import course, samples_told, trend_of, unit_of
from training.small.questions.legend import heights_told
from training.small.questions.scene import Kind, Pair, Scene, apart, capital, link

_TREND = (
    "How does {s} behave?",
    "What does {s} do?",
    "Tell me about {s}.",
    "What can be said about the line of {s}?",
    "How well does {s} do?",
    "Does {s} go up or down?",
    "Describe the trend of {s}.",
    "Which way does {s} go?",
    "Does {s} increase or decrease?",
    "Upwards or downwards: where does {s} head?",
    "Say in one sentence what {s} does.",
    "How does {s} develop?",
    "trend of {s}?",
    "{s}: up or down?",
    "{s}",
    "Describe {s}.",
    "How does the curve labelled {s} go?",
    "What happens to {s}?",
    "How does {s} change?",
    "Does {s} grow or shrink?",
    "What shape does {s} have?",
    "Explain the curve of {s}.",
    "What is the trend in {s}?",
    "Could you describe the {s} curve?",
    "Is there a trend for {s}?",
    "How does {s} evolve along the axis?",
    "And how does {s} go on from left to right?",
    "What do we see for {s}?",
    "What is the behaviour of {s}?",
    "Look at {s}: what does it do?",
    "Does {s} rise or fall?",
    "By how much does {s} change?",
    "From what to what does {s} go?",
    "What is the course of {s}?",
)
_RISES = (
    "Is {s} rising?",
    "Does {s} rise?",
    "Does {s} increase?",
    "Is {s} increasing?",
    "Does {s} go up?",
    "Does {s} get larger?",
    "Is {s} growing?",
    "{s} rises, right?",
    "Would you say that {s} increases?",
    "Is there an increase in {s}?",
    "Does the curve of {s} climb?",
    "Am I right that {s} goes up?",
    "So {s} increases?",
)
_FALLS = (
    "Is {s} falling?",
    "Does {s} fall?",
    "Does {s} decrease?",
    "Is {s} decreasing?",
    "Does {s} go down?",
    "Does {s} get smaller?",
    "Is {s} declining?",
    "{s} falls, right?",
    "Would you say that {s} decreases?",
    "Is there a decrease in {s}?",
    "Does the curve of {s} drop?",
    "Am I right that {s} goes down?",
    "So {s} decreases?",
)
_STAYS = (
    "Is {s} constant?",
    "Does {s} stay flat?",
    "Does {s} change at all?",
    "Is {s} flat?",
    "Does {s} remain at one level?",
    "Is {s} stable?",
    "Does {s} hardly change?",
)
_EXTREME = {
    "maximum": (
        "What is the highest value of {s}?",
        "Where is {s} highest?",
        "What is the maximum of {s}?",
        "How high does {s} go?",
        "What is the largest value that {s} takes?",
        "What is the highest level that {s} gets to?",
        "max of {s}?",
        "{s} maximum?",
        "Maximum value of {s}, please.",
        "peak of {s}",
        "Highest point of {s}?",
        "What is the peak value of {s}?",
        "Which maximum does {s} reach?",
        "Tell me the highest value of {s}.",
        "Read off the maximum of {s}.",
        "What does {s} reach at most?",
        "At what value does {s} top out?",
        "How large does {s} become?",
        "What is the top value for {s}?",
        "Give the maximum of the curve labelled {s}.",
        "What is the greatest value of {s}?",
        "Where does {s} have its maximum?",
        "Where is the peak of {s}?",
        "For {s}, what is the highest value?",
        "At which point is {s} at its maximum?",
    ),
    "minimum": (
        "What is the lowest value of {s}?",
        "Where is {s} lowest?",
        "What is the minimum of {s}?",
        "How low does {s} go?",
        "What is the least value that {s} takes?",
        "What is the lowest level that {s} gets to?",
        "min of {s}?",
        "{s} minimum?",
        "Minimum value of {s}, please.",
        "Lowest point of {s}?",
        "Which minimum does {s} reach?",
        "Tell me the lowest value of {s}.",
        "Read off the minimum of {s}.",
        "What does {s} fall to at least?",
        "At what value does {s} bottom out?",
        "How small does {s} become?",
        "What is the bottom value for {s}?",
        "Give the minimum of the curve labelled {s}.",
        "Where does {s} have its minimum?",
        "For {s}, what is the lowest value?",
        "At which point is {s} at its minimum?",
    ),
}
_END = {
    "first": (
        "Where does {s} start?",
        "At what value does {s} start?",
        "What is the first value of {s}?",
        "How large is {s} at the start?",
        "Where does {s} set out?",
        "Which level does {s} have at the start?",
        "start of {s}?",
        "Initial value of {s}?",
        "What is the initial value of {s}?",
        "What is {s} at the left end?",
        "{s} at the beginning?",
        "What value does {s} begin with?",
        "Starting value of {s}, please.",
        "From which value does {s} come?",
        "How high is {s} on the left?",
        "What is the leftmost value of {s}?",
        "Tell me where {s} starts.",
        "With which value does {s} start?",
    ),
    "last": (
        "Where does {s} end?",
        "At what value does {s} end?",
        "What is the last value of {s}?",
        "How large is {s} at the end?",
        "Where does {s} finish?",
        "Which level does {s} have at the end?",
        "end of {s}?",
        "Final value of {s}?",
        "What is the final value of {s}?",
        "What is {s} at the right end?",
        "{s} at the end?",
        "What value does {s} finish with?",
        "Final value of {s}, please.",
        "To which value does {s} go in the end?",
        "How high is {s} on the right?",
        "What is the rightmost value of {s}?",
        "Tell me where {s} ends.",
        "What does {s} arrive at?",
        "With which value does {s} end?",
    ),
}
AT = (
    "What is the value of {s} at {at}?",
    "How large is {s} at {at}?",
    "Read {s} at {at}, please.",
    "What is {s} at {at}?",
    "{s} at {at}?",
    "value of {s} at {at}",
    "How high is {s} at {at}?",
    "At {at}, what is {s}?",
    "What does {s} have at {at}?",
    "Tell me {s} at {at}.",
    "Where is {s} at {at}?",
    "Which level has {s} at {at}?",
    "What do you read for {s} at {at}?",
    "Give me the value for {s} at {at}.",
    "At {at}, how large is {s}?",
    "What is the height of {s} at {at}?",
    "What value is plotted for {s} at {at}?",
    "Please give me {s} at {at}.",
    "What would you read for {s} at {at}?",
    "How much is {s} at {at}?",
    "Can you read {s} at {at}?",
    "I need the value of {s} at {at}.",
    "Which value does {s} have at {at}?",
)
_COMPARED = (
    "Compare {s} and {t}.",
    "How do {s} and {t} differ?",
    "What is the difference between {s} and {t}?",
    "{s} vs {t}?",
    "{s} versus {t}",
    "How does {s} compare with {t}?",
    "Contrast {s} with {t}.",
    "Do {s} and {t} behave alike?",
    "In which way are {s} and {t} different?",
    "Please compare the curves of {s} and {t}.",
    "Do {s} and {t} go the same way?",
    "What distinguishes {s} from {t}?",
)
_WHICH_ABOVE = (
    "Which is higher, {s} or {t}?",
    "{s} or {t}: which one is higher?",
    "Which one lies above, {s} or {t}?",
    "Which of {s} and {t} is larger?",
    "Of {s} and {t}, which is the higher one?",
    "{s} or {t}?",
    "Who is ahead, {s} or {t}?",
    "Which lies higher: {s} or {t}?",
)
_IS_ABOVE = (
    "Is {s} higher than {t}?",
    "Does {s} lie above {t}?",
    "Is {s} always above {t}?",
    "Is {s} larger than {t}?",
    "Is {s} better than {t}?",
    "Does {s} beat {t}?",
    "{s} is above {t}, right?",
    "Is the line of {s} over that of {t}?",
    "Is {s} > {t}?",
    "Does {s} exceed {t}?",
    "Is {s} over {t} everywhere?",
)
_HIGHER_AT = (
    "Which is higher at {at}, {s} or {t}?",
    "At {at}, is {s} higher than {t}?",
    "Is {s} above {t} at {at}?",
    "{s} or {t} at {at}: which one is larger?",
    "At {at}, which of {s} and {t} is higher?",
    "How do {s} and {t} compare at {at}?",
    "What is the difference between {s} and {t} at {at}?",
    "Compare {s} and {t} at {at}.",
    "Is {s} ahead of {t} at {at}?",
    "How far are {s} and {t} apart at {at}?",
)
_HIGHER_END = (
    "Which ends higher, {s} or {t}?",
    "At the end, is {s} higher than {t}?",
    "Which one finishes higher: {s} or {t}?",
    "Is {s} above {t} at the end?",
    "Which of {s} and {t} is larger in the end?",
    "Who is ahead at the end, {s} or {t}?",
    "Does {s} finish above {t}?",
    "How do {s} and {t} compare at the right end?",
    "Final values of {s} and {t}?",
)
_END_HIGHEST = {
    "last": (
        "Which one ends highest?",
        "Who is ahead at the end?",
        "Which curve finishes on top?",
        "Which of them is the highest at the right end?",
        "Which has the largest final value?",
        "highest at the end?",
        "Which curve is on top in the end?",
        "At the end, which one leads?",
        "Which one has the highest last value?",
    ),
    "first": (
        "Which one starts highest?",
        "Who is ahead at the start?",
        "Which curve starts on top?",
        "Which of them is the highest at the left end?",
        "Which has the largest initial value?",
        "highest at the start?",
        "At the beginning, which one leads?",
        "Which one has the highest first value?",
    ),
}
_WHERE_IS = (
    "Where is {s} about {value}?",
    "At which point does {s} reach {value}?",
    "When does {s} reach {value}?",
    "When is {s} at {value}?",
    "At what place is {s} about {value}?",
    "Where does {s} come to {value}?",
    "For which x is {s} about {value}?",
    "Where along the axis is {s} at {value}?",
    "At which value of x does {s} equal {value}?",
    "Where does {s} pass {value}?",
)
_ALL_AT = (
    "Compare them at {at}.",
    "What are the values at {at}?",
    "Give me all values at {at}.",
    "Values of all curves at {at}?",
    "How do they compare at {at}?",
    "all at {at}",
    "What does each curve have at {at}?",
    "Read off every curve at {at}.",
    "At {at}, what are the values of the curves?",
    "Which values do they have at {at}?",
)
_WHICH_RISE = (
    "Which ones rise?",
    "Which curves increase?",
    "Which of them go up?",
    "Which series grow?",
    "What is rising here?",
    "Who goes up?",
    "rising ones?",
    "List the curves that rise.",
    "Are there any that increase?",
    "Does anything increase?",
    "Which of the curves are rising?",
)
_WHICH_FALL = (
    "Which ones fall?",
    "Which curves decrease?",
    "Which of them go down?",
    "Which series shrink?",
    "What is falling here?",
    "Who goes down?",
    "falling ones?",
    "List the curves that fall.",
    "Are there any that decrease?",
    "Does anything decrease?",
    "Which of the curves are falling?",
)
_CROSS = (
    "Do the curves cross?",
    "Where do they intersect?",
    "Is there a crossing?",
    "crossings?",
    "Do any of the lines cross?",
    "Where do the curves meet?",
    "Is there a point where the lines cross?",
    "Where is the intersection?",
    "At which place do two of them cross?",
    "At which point do the lines meet?",
)
_CROSS_TWO = (
    "Do {s} and {t} cross?",
    "Where does {s} cross {t}?",
    "Where do {s} and {t} intersect?",
    "At what point does {s} overtake {t}?",
    "crossing of {s} and {t}?",
    "Do {s} and {t} ever meet?",
    "When does {s} pass {t}?",
    "Is there an intersection of {s} and {t}?",
    "At which place do {s} and {t} meet?",
    "Where do the lines of {s} and {t} cross?",
)
_REACHES = (
    "Does {s} reach {value}?",
    "Does {s} get to {value}?",
    "Does {s} ever exceed {value}?",
    "Is {s} ever above {value}?",
    "Does {s} go beyond {value}?",
    "Does {s} get as high as {value}?",
    "Is {value} reached by {s}?",
    "{s} above {value}?",
    "Does {s} come up to {value}?",
    "Does {s} pass {value}?",
)
_CLOUD = (
    "Over which range do the points of {s} lie?",
    "How do the points of {s} lie?",
    "Is there a correlation in {s}?",
    "What is the correlation of {s}?",
    "Are x and y correlated for {s}?",
    "Describe the points of {s}.",
    "Where are the points of {s}?",
    "correlation of {s}?",
    "range of {s}?",
    "Which values do the points of {s} take?",
    "How strongly are the two quantities related for {s}?",
    "Is there a relation between x and y in {s}?",
    "What do the points of {s} tell?",
    "How scattered is {s}?",
    "Between which values does {s} lie?",
    "How are x and y related for {s}?",
)
_CLEAR = 0.06
"""Share of the axis by which a height must differ from another to be called higher or lower than it."""

FORMS = {"trend": _TREND, **_EXTREME, **_END}
"""The wordings by what is asked for."""

EndKind = Literal["first", "last"]
ExtremeKind = Literal["maximum", "minimum"]


# Answers, which threads of questions use too


def trend_answer(scene: Scene, i: int) -> str | None:
    clause = course(scene.panel, scene.data, i, scene.rng)
    if clause:
        return f"{capital(clause)}."
    top, bottom = scene.told_fact(i, "maximum"), scene.told_fact(i, "minimum")
    if not top or not bottom:
        return None
    return (
        f"{capital(scene.name(i))} has no single direction; its highest value is about "
        f"{scene.y(i, top.y)} and its lowest about {scene.y(i, bottom.y)}."
    )


def extreme_answer(scene: Scene, i: int, kind: ExtremeKind) -> str | None:
    word = "highest" if kind == "maximum" else "lowest"
    fact = scene.told_fact(i, kind)
    if fact is not None:
        place = f" near {scene.x(i, fact.x)}{scene.x_unit}" if fact.x is not None else ""
        return f"The {word} value of {scene.name(i)} is about {scene.y(i, fact.y)}{place}."
    if scene.fact(i, kind) is None and scene.data.kind == "line" and scene.panel.series[i]:
        return f"The {word} value of {scene.name(i)} was not read."
    return None


def end_answer(scene: Scene, i: int, kind: EndKind) -> str | None:
    if scene.data.kind != "line":
        return None
    fact = scene.told_fact(i, kind)
    if fact is not None:
        verb = "starts" if kind == "first" else "ends"
        return f"{capital(scene.name(i))} {verb} at about {scene.y(i, fact.y)}."
    if scene.fact(i, kind) is not None:
        # Of a curve that turns the prompt tells no ends, only the samples that are next to them.
        shown = list(samples_told(scene.data, scene.series(i)))
        return at_answer(scene, i, shown[0 if kind == "first" else -1]) if shown else None
    if scene.panel.series[i]:
        return f"The {'left' if kind == 'first' else 'right'} end of {scene.name(i)} was not read."
    return None


def at_answer(scene: Scene, i: int, at: str) -> str | None:
    value = samples_told(scene.data, scene.series(i)).get(at) if scene.data.kind == "line" else None
    if value is None:
        return None
    return f"At {at}{scene.x_unit}, {scene.name(i)} is about {value}{unit_of(scene.data.y)}."


def place_of(scene: Scene, i: int) -> str | None:
    """A place at which the prompt tells the height of a curve."""
    shown = samples_told(scene.data, scene.series(i)) if scene.data.kind == "line" else {}
    return scene.rng.choice(list(shown)) if shown else None


# Questions


def trend(scene: Scene) -> Sequence[Pair]:
    i = scene.pick()
    answer = trend_answer(scene, i)
    return [(scene.ask(_TREND, s=scene.name(i)), answer)] if answer else []


def is_so(scene: Scene) -> Sequence[Pair]:
    """A question for yes or no about the direction of a curve, answered with what it does."""
    i = scene.pick()
    shape, answer = trend_of(scene.series(i)), trend_answer(scene, i)
    if shape is None or answer is None:
        return []
    asked, wanted = scene.rng.choice(((_RISES, "rises"), (_FALLS, "falls"), (_STAYS, "flat")))
    if asked is _STAYS and shape not in ("rises", "falls", "flat"):
        return []
    if shape not in ("rises", "falls", "flat"):
        return [(scene.ask(asked, s=scene.name(i)), f"In part: {small_clause(answer)}")]
    if wanted == "flat" and scene.rng.random() < 0.3:
        return []
    # "Does it change at all?" is answered the other way round.
    question = scene.ask(asked, s=scene.name(i))
    yes = shape == wanted
    if "change at all" in question.lower():
        yes = not yes
    return [(question, f"{'Yes' if yes else 'No'}, {small_clause(answer)}")]


def small_clause(answer: str) -> str:
    """The answer with a small first letter, unless it begins with a name."""
    begins = ("The ", "For ", "At ", "No ", "None ", "From ", "Only ", "Of those ")
    return answer[0].lower() + answer[1:] if answer.startswith(begins) else answer


def extreme(scene: Scene) -> Sequence[Pair]:
    i, kind = scene.pick(), scene.rng.choices(("maximum", "minimum"), (4, 3))[0]
    answer = extreme_answer(scene, i, kind)  # type: ignore[arg-type]  # one of the two
    return [(scene.ask(_EXTREME[kind], s=scene.name(i)), answer)] if answer else []


def end(scene: Scene) -> Sequence[Pair]:
    i, kind = scene.pick(), scene.rng.choice(("first", "last"))
    answer = end_answer(scene, i, kind)  # type: ignore[arg-type]  # one of the two
    return [(scene.ask(_END[kind], s=scene.name(i)), answer)] if answer else []


def value_at(scene: Scene) -> Sequence[Pair]:
    i = scene.pick()
    at = place_of(scene, i)
    answer = at_answer(scene, i, at) if at else None
    if not at or not answer:
        return []
    return [(scene.ask(AT, s=scene.name(i), at=f"{at}{_unit_now_and_then(scene)}"), answer)]


def _unit_now_and_then(scene: Scene) -> str:
    return scene.x_unit if scene.rng.random() < 0.4 else ""


def value_not_told(scene: Scene) -> Sequence[Pair]:
    """The value at a place between two that are told, or beyond the end of the curve: the nearest that is told."""
    data, i = scene.data, scene.pick()
    series = scene.series(i)
    if data.kind != "line" or data.x.scale != "linear" or len(series.points) < 2:
        return []
    shown = samples_told(data, series)
    places = sorted((float(place), place) for place in shown if _is_number(place))
    if len(places) < 2:
        return []
    if scene.rng.random() < 0.35:
        fact = scene.told_fact(i, "last")
        if fact is None:
            return []
        beyond = places[-1][0] + (places[-1][0] - places[0][0]) * scene.rng.choice((0.5, 1.0, 2.0))
        high = data.x.high if data.x.high is not None else places[-1][0]
        if beyond <= high * (1.1 if high > 0 else 0.9):
            return []
        question = scene.ask(AT, s=scene.name(i), at=scene.x(i, beyond))
        return [(question, f"That lies outside the plotted range. {end_answer(scene, i, 'last')}")]
    k = scene.rng.randrange(len(places) - 1)
    (low, before), (high_x, after) = places[k], places[k + 1]
    share = scene.rng.choice((0.1, 0.2, 0.3, 0.7, 0.8, 0.9))
    at = scene.x(i, low + share * (high_x - low))
    if at in shown:
        return []
    answer = at_answer(scene, i, before if share < 0.5 else after)
    return [(scene.ask(AT, s=scene.name(i), at=at), f"No value is given there. {answer}")]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def compared(scene: Scene) -> Sequence[Pair]:
    two = scene.two()
    if two is None:
        return []
    one, other = (course(scene.panel, scene.data, i, scene.rng) for i in two)
    if not one or not other:
        return []
    question = scene.ask(_COMPARED, s=scene.name(two[0]), t=scene.name(two[1]))
    return [(question, f"{one}, {scene.rng.choice(('while', 'whereas'))} {other}.")]


def above(scene: Scene) -> Sequence[Pair]:
    """Which of two lies above the other, by the places that are told."""
    two = scene.two()
    if two is None or scene.data.kind != "line":
        return []
    first, second = (heights_told(scene, i) for i in two)
    gaps = [first[x] - second[x] for x in first if x in second]
    if len(gaps) < 3:
        return []
    s, t = scene.name(two[0]), scene.name(two[1])
    says_yes_or_no = scene.rng.random() < 0.6
    question = scene.ask(_IS_ABOVE if says_yes_or_no else _WHICH_ABOVE, s=s, t=t)
    if all(gap > 0 for gap in gaps):
        return [(question, f"Yes, {s} lies above {t}." if says_yes_or_no else f"{s} lies above {t}.")]
    if all(gap < 0 for gap in gaps):
        return [(question, f"No, {s} lies below {t}." if says_yes_or_no else f"{t} lies above {s}.")]
    crossing = _crossing(scene, *two)
    if crossing is not None:
        return [(question, f"Only on one side: {_crosses(scene, crossing)}")]
    extent = abs((scene.data.y.high or 0.0) - (scene.data.y.low or 0.0))
    if min(max(gaps), -min(gaps)) <= 0.03 * extent:
        return []
    return [(question, "Neither lies above the other everywhere.")]


def _crossing(scene: Scene, a: int, b: int) -> tuple[int, Fact] | None:
    return next(
        ((i, fact) for i, fact in paragraphs.crossings_told(scene.panel, scene.data) if {i, fact.other} == {a, b}),
        None,
    )


def _crosses(scene: Scene, crossing: tuple[int, Fact]) -> str:
    i, fact = crossing
    other = scene.panel.series[fact.other or 0]
    return f"{scene.panel.series[i]} and {other} cross near {scene.x(i, fact.x)}{scene.x_unit}."


def higher_at(scene: Scene) -> Sequence[Pair]:
    two = scene.two()
    if two is None or scene.data.kind != "line":
        return []
    first, second = (samples_told(scene.data, scene.series(i)) for i in two)
    common = [x for x in first if x in second and _is_number(first[x]) and _is_number(second[x])]
    if not common:
        return []
    at = scene.rng.choice(common)
    s, t = scene.name(two[0]), scene.name(two[1])
    a, b = float(first[at]), float(second[at])
    unit = unit_of(scene.data.y)
    said = f"At {at}{scene.x_unit}, {s} is about {first[at]}{unit} and {t} {link(t)}about {second[at]}{unit}"
    end = "." if apart(scene.data.y, a, b) <= 0.02 else f", so {s if a > b else t} is higher."
    return [(scene.ask(_HIGHER_AT, s=s, t=t, at=at), said + end)]


def higher_end(scene: Scene) -> Sequence[Pair]:
    two = scene.two()
    if two is None or scene.data.kind != "line":
        return []
    facts = [scene.told_fact(i, "last") for i in two]
    if facts[0] is None or facts[1] is None or facts[0].y is None or facts[1].y is None:
        return []
    s, t = scene.name(two[0]), scene.name(two[1])
    said = f"{s} ends at about {scene.y(two[0], facts[0].y)}, and {t} ends at about {scene.y(two[1], facts[1].y)}."
    gap = apart(scene.data.y, facts[0].y, facts[1].y)
    lead = f"{s if facts[0].y > facts[1].y else t} ends higher: " if gap > 0.02 else ""
    return [(scene.ask(_HIGHER_END, s=s, t=t), lead + said)]


def all_at(scene: Scene) -> Sequence[Pair]:
    data = scene.data
    if data.kind != "line" or not 2 <= len(scene.claimed) <= 4 or len(scene.claimed) < len(data.series):
        return []
    shown = [samples_told(data, scene.series(i)) for i in scene.claimed]
    common = [x for x in shown[0] if all(x in others for others in shown)]
    if not common or len(scene.claimed_names) < len(scene.claimed):
        return []
    at = scene.rng.choice(common)
    unit = unit_of(data.y)
    values = [
        f"{scene.name(i)} {'is ' if i == scene.claimed[0] else link(scene.name(i))}about {one[at]}{unit}"
        for i, one in zip(scene.claimed, shown, strict=True)
    ]
    return [(scene.ask(_ALL_AT, at=at), f"At {at}{scene.x_unit}, {listing(values)}.")]


def end_highest(scene: Scene) -> Sequence[Pair]:
    """Which of all curves is the highest at an end, where all ends are told and it is clear."""
    data = scene.data
    if data.kind != "line" or len(data.series) < 3 or len(scene.claimed_names) < len(data.series):
        return []
    kind: EndKind = scene.rng.choice(("first", "last"))
    ends = [(i, fact.y) for i in scene.claimed if (fact := scene.told_fact(i, kind)) and fact.y is not None]
    if len(ends) < len(data.series) or not scene.is_told_whole:
        return []
    (best, high), (_, second) = sorted(ends, key=lambda end: -end[1])[:2]
    if apart(data.y, second, high) <= _CLEAR / 2:
        return []
    verb = "starts" if kind == "first" else "ends"
    return [(scene.ask(_END_HIGHEST[kind]), f"{scene.name(best)} {verb} highest, at about {scene.y(best, high)}.")]


def place_of_value(scene: Scene) -> Sequence[Pair]:
    """Where a curve that rises or falls has one of the values that are told."""
    i = scene.pick()
    if scene.data.kind != "line" or trend_of(scene.series(i)) not in ("rises", "falls"):
        return []
    shown = samples_told(scene.data, scene.series(i))
    lone = [at for at, value in shown.items() if list(shown.values()).count(value) == 1]
    if not lone:
        return []
    at = scene.rng.choice(lone)
    answer = at_answer(scene, i, at)
    return [(scene.ask(_WHERE_IS, s=scene.name(i), value=shown[at]), answer)] if answer else []


def which(scene: Scene) -> Sequence[Pair]:
    """Which of the curves rise, or fall."""
    data = scene.data
    if data.kind != "line" or len(data.series) < 2 or len(scene.claimed_names) < len(scene.claimed):
        return []
    asked, wanted = scene.rng.choice(((_WHICH_RISE, "rises"), (_WHICH_FALL, "falls")))
    found = [scene.name(i) for i in scene.claimed if trend_of(scene.series(i)) == wanted]
    verb = wanted if len(found) == 1 else wanted.removesuffix("s")
    question = scene.ask(asked)
    if len(scene.claimed) < len(data.series):
        if not found:
            return [(question, f"None of those that were read {wanted}.")]
        return [(question, f"Of those that were read, {listing(found)} {verb}.")]
    if not found:
        return [(question, f"None of the curves {wanted}.")]
    return [(question, f"Only {found[0]} {wanted}." if len(found) == 1 else f"{listing(found)} {verb}.")]


def crossing(scene: Scene) -> Sequence[Pair]:
    if len(scene.claimed_names) < len(scene.data.series) or len(scene.claimed) < 2 or scene.data.kind != "line":
        return []
    crossings = paragraphs.crossings_told(scene.panel, scene.data)
    if len(scene.claimed) == 2 or crossings:
        answer = _crosses(scene, scene.rng.choice(crossings)) if crossings else "No single crossing was read."
        return [(scene.ask(_CROSS), answer)]
    return []


def crossing_of_two(scene: Scene) -> Sequence[Pair]:
    two = scene.two()
    if two is None or scene.data.kind != "line":
        return []
    a, b = two
    question = scene.ask(_CROSS_TWO, s=scene.name(a), t=scene.name(b))
    found = _crossing(scene, a, b)
    if found is not None:
        return [(question, _crosses(scene, found))]
    is_known = any(fact.kind == "crossing" and {i, fact.other} == {a, b} for i in two for fact in scene.series(i).facts)
    return [] if is_known else [(question, f"No crossing of {scene.name(a)} and {scene.name(b)} was read.")]


def reaches(scene: Scene) -> Sequence[Pair]:
    """Whether a curve gets as high as a round number that is clearly above or below its highest value."""
    i = scene.pick()
    fact, axis = scene.told_fact(i, "maximum"), scene.data.y
    if fact is None or fact.y is None or axis.low is None or axis.high is None or axis.scale != "linear":
        return []
    value = axis.low + scene.rng.uniform(0.05, 1.0) * (axis.high - axis.low)
    step = 10.0 ** math.floor(math.log10(abs(axis.high - axis.low) / 5)) if axis.high != axis.low else 1.0
    value = round(value / step) * step
    if apart(axis, value, fact.y) <= _CLEAR:
        return []
    answer = extreme_answer(scene, i, "maximum")
    if answer is None:
        return []
    said = "Yes" if fact.y > value else "No"
    return [(scene.ask(_REACHES, s=scene.name(i), value=f"{value:.10g}"), f"{said}, {small_clause(answer)}")]


def cloud(scene: Scene) -> Sequence[Pair]:
    i = scene.pick()
    described = " ".join(paragraphs.cloud(scene.panel, scene.data, i, scene.rng, True))
    return [(scene.ask(_CLOUD, s=scene.name(i)), described)] if described else []


LINES = (
    Kind("trend", 2.9, trend),
    Kind("yes or no: trend", 0.9, is_so),
    Kind("extreme", 3.6, extreme),
    Kind("end", 3.1, end),
    Kind("value at x", 1.6, value_at),
    Kind("value not told", 0.7, value_not_told),
    Kind("compare two", 0.8, compared),
    Kind("yes or no: above", 0.9, above),
    Kind("higher at x", 0.8, higher_at),
    Kind("higher at the end", 0.7, higher_end),
    Kind("highest at an end", 1.2, end_highest),
    Kind("place of a value", 0.5, place_of_value),
    Kind("all at x", 1.1, all_at),
    Kind("which rise or fall", 0.8, which),
    Kind("crossing", 0.5, crossing),
    Kind("crossing of two", 0.7, crossing_of_two),
    Kind("yes or no: reaches", 0.7, reaches),
)
CLOUDS = (
    Kind("trend", 2.0, trend),
    Kind("yes or no: trend", 0.7, is_so),
    Kind("extreme", 1.6, extreme),
    Kind("cloud", 3.2, cloud),
    Kind("yes or no: reaches", 0.4, reaches),
)
