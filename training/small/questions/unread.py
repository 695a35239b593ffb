"""Questions about what was not read: a series, several, or the data of the whole chart."""

from __future__ import annotations

from collections.abc import Sequence

from data.synthetic.write import listing
from llava_graph.chart import ABSTENTION_REASONS
from training.small.questions.scene import Kind, Pair, Scene

_OF_SERIES = (
    "What does {s} do?",
    "How does {s} behave?",
    "What is the highest value of {s}?",
    "And {s}?",
    "Where does {s} end?",
    "Is {s} rising?",
    "What is the lowest value of {s}?",
    "max of {s}?",
    "Describe {s}.",
    "{s}?",
    "What happens to {s}?",
    "How high does {s} go?",
    "Where does {s} start?",
    "Does {s} go up or down?",
    "Tell me about {s}.",
    "What is the trend of {s}?",
    "Final value of {s}?",
    "Is {s} higher than the others?",
    "Which values does {s} have?",
    "Why does {s} rise?",
    "What did you read of {s}?",
    "Why is nothing said about {s}?",
    "What is wrong with {s}?",
    "Does {s} reach a maximum?",
    "How large is {s}?",
    "Could you read {s}?",
    "What about {s}?",
)
_ANYTHING = (
    "Was anything not read?",
    "Is something missing from your reading?",
    "What could you not read?",
    "Did you read all of it?",
    "Which curves were not read?",
    "Is anything unread?",
    "Are there series that you could not read?",
    "What is missing?",
    "Were all of them read?",
    "Is your reading complete?",
    "Did you get all the data?",
    "unread series?",
    "Which of them could not be read?",
    "Did you read every curve?",
)
_OF_CHART = (
    "What is the highest value of {s}?",
    "How high does {s} go?",
    "Which value does {s} have in the middle?",
    "How does {s} behave?",
    "Is {s} increasing?",
    "Does {s} rise or fall?",
    "Which way does {s} go?",
    "Where does {s} end?",
    "At what value does {s} start?",
    "max of {s}?",
    "trend of {s}?",
    "Is there a maximum of {s}?",
    "Give me the values of {s}.",
    "How large is {s} at the end?",
    "What are the numbers for {s}?",
    "Is {s} flat?",
    "Read off {s}, please.",
    "What can you say about the values of {s}?",
    "What is the lowest value of {s}?",
)
_OF_CHART_ALL = (
    "Which one is the highest?",
    "Which curve lies on top?",
    "Which one wins?",
    "Do the curves cross?",
    "What are the values?",
    "Give me some numbers.",
    "Which of them rise?",
    "Can you compare them?",
    "Which bar is the highest?",
    "Rank them.",
    "Which of them has the largest values?",
)


def series(scene: Scene) -> Sequence[Pair]:
    unread = [(name, one.abstained) for name, one in zip(scene.panel.series, scene.data.series, strict=True)]
    named = [(name, code) for name, code in unread if name and code]
    if not named:
        return []
    name, code = scene.rng.choice(named)
    reason = ABSTENTION_REASONS.get(code, "no reason is known")
    return [(scene.ask(_OF_SERIES, s=name), f"{name} was not read: {reason}.")]


def anything(scene: Scene) -> Sequence[Pair]:
    unread = [name for name, one in zip(scene.panel.series, scene.data.series, strict=True) if one.abstained]
    if not unread:
        return [(scene.ask(_ANYTHING), _all_but_parts(scene))] if scene.is_told_whole else []
    if not all(unread):
        return []
    return [(scene.ask(_ANYTHING), f"Not read: {listing([str(name) for name in unread])}.")]


def _all_but_parts(scene: Scene) -> str:
    """That all series were read, with the bars and the ends of curves that were not."""
    data = scene.data
    missing = []
    for name, series in zip(scene.panel.series, data.series, strict=True):
        of = f" of {name}" if name and len(data.series) > 1 else ""
        known = {point.x for point in series.points}
        missing += [f"the bar{of} for {category}" for category in data.x.categories if category not in known]
        ends = (("left", series.first_known), ("right", series.last_known)) if data.kind == "line" else ()
        missing += [f"the {side} end of {name or 'the curve'}" for side, is_known in ends if not is_known]
    if not missing:
        return "All series of the chart were read."
    return f"Not read: {listing(missing)}." if len(missing) <= 4 else "All series were read, but some only in part."


def chart(scene: Scene) -> Sequence[Pair]:
    """Of a chart or panel of which no data were read."""
    code = scene.panel.unread or scene.told.unread
    reason = f", since {ABSTENTION_REASONS.get(code, 'no reason is known')}" if code else ""
    names = scene.names
    subject = scene.rng.choice(names) if names else scene.panel.y or "the curve"
    if len(names) > 1 and scene.rng.random() < 0.3:
        question = scene.ask(_OF_CHART_ALL)
    else:
        question = scene.ask(_OF_CHART, s=subject)
    return [(question, f"The values of the chart were not read{reason}.")]


KINDS = (Kind("series not read", 3.0, series), Kind("anything not read", 0.4, anything))
OF_NOTHING = (Kind("chart not read", 4.0, chart),)
