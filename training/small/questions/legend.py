"""Questions about which series there are, how many, which lies highest, and about names that stand nowhere."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Literal

from data.synthetic import words
from data.synthetic.write import listing
from llava_graph.chart import Fact
from training.small import paper_names, paper_words
from training.small.paragraphs import BARS, samples_told
from training.small.questions.scene import Kind, Pair, Scene, apart
from training.small.told import Told

_LISTED = (
    "Which series are shown?",
    "What is compared?",
    "What does the legend list?",
    "Name the curves, please.",
    "What is in the legend?",
    "legend?",
    "List all series.",
    "Which names does the legend have?",
    "What are the names of the series?",
    "Which methods or groups are compared?",
    "Read me the legend.",
    "Who is compared with whom?",
    "Which lines or bars are in the plot?",
    "What are the entries of the legend?",
    "List the legend entries.",
    "Give me the names of everything that is plotted.",
    "Which data sets are plotted?",
    "Which groups are there?",
)
_COUNTED = (
    "How many {things} are there?",
    "How many {things} are shown?",
    "Number of {things}?",
    "Count the {things}.",
    "how many {things}",
    "How many {things} can be seen?",
    "How many {things} does the figure have?",
    "Can you count the {things}?",
    "How many different {things} are plotted?",
    "What is the number of {things} in the plot?",
    "How many {things} are compared?",
)
_COLOURED = (
    "What does the {colour} line show?",
    "Which series is {colour}?",
    "What is the {colour} curve?",
    "Does the {colour} one rise?",
    "Where does the {colour} curve end?",
    "And the {colour} one?",
    "What is drawn in {colour}?",
    "Which colour does {s} have?",
    "Is {s} the {colour} one?",
    "What colour is {s}?",
    "Tell me about the {colour} line.",
    "Which method is plotted in {colour}?",
    "Is the {colour} curve above the others?",
    "highest value of the {colour} line?",
    "What do the {colour} bars stand for?",
    "Which one is drawn in {colour}?",
)
_COLOURS = ("red", "blue", "green", "orange", "black", "dashed", "purple", "grey", "dotted", "light blue", "brown")
_HIGHEST = (
    "Which series is the highest overall?",
    "Which curve lies on top?",
    "Which one is largest?",
    "Which series is above the others?",
    "Which of them leads?",
    "Who is ahead, all in all?",
    "Which one wins?",
    "Which is the largest, on average?",
    "Which is highest?",
    "highest overall?",
    "Who has the highest values?",
    "Which one is on top most of the time?",
    "Which of the series is the highest?",
    "Which series has the largest values?",
    "Is there one that lies above all the others?",
    "Which one dominates?",
    "Overall, which one is the highest?",
    "Name the highest one.",
    "Which of these comes first?",
    "top series?",
    "Which method gives the largest values?",
    "Which one is ahead in general?",
    "Does one of them stand above the rest?",
    "What has the highest values?",
)
_LOWEST = (
    "Which series is the lowest overall?",
    "Which curve lies lowest?",
    "Which one is smallest?",
    "Which of them is at the bottom?",
    "Who has the lowest values?",
    "lowest overall?",
    "Which series is below the others?",
    "Which one is last?",
    "Is there one that lies below all the others?",
    "Which of the series is the lowest?",
    "Overall, which one is the lowest?",
    "Name the lowest one.",
    "Which one stays below the rest?",
)
ExtremeKind = Literal["maximum", "minimum"]
_COUNT_WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}
_CLEAR = 0.04
"""Share of the axis by which a value must lie above another to be called the higher one."""


def listed(scene: Scene) -> Sequence[Pair]:
    panel, names = scene.panel, scene.names
    question = scene.ask(_LISTED)
    if names and len(names) == len(panel.series):
        return [(question, f"The figure shows {listing(names) if len(names) > 1 else f'{names[0]} alone'}.")]
    if not names and scene.told.has_text and len(panel.series) <= 1:
        alone = "There is one series, and no name is given for it."
        return [(question, alone if panel.data else "No names of series are given.")]
    return [] if names else [(question, "The names of the series are not legible.")]


def counted(scene: Scene) -> Sequence[Pair]:
    panel, names = scene.panel, scene.names
    if panel.data is None or not scene.is_told_whole or not 1 <= len(panel.series) <= 8:
        return []
    bars = panel.data.kind in BARS
    if bars and len(panel.series) == 1:
        count = len(panel.data.series[0].points)
        if not 2 <= count <= 8 or panel.data.series[0].abstained or count < len(panel.data.x.categories):
            return []
        return [(scene.ask(_COUNTED, things="bars"), f"There are {_COUNT_WORDS[count]} bars.")]
    things = "series" if bars or panel.data.kind != "line" else scene.rng.choice(("curves", "series", "lines"))
    count = len(panel.series)
    one = "There is one series." if things == "series" else f"There is one {things[:-1]}."
    answer = one if count == 1 else f"There are {_COUNT_WORDS[count]} {things}."
    if count > 1 and len(names) == count:
        answer = f"{answer[:-1]}: {listing(names)}."
    return [(scene.ask(_COUNTED, things=things), answer)]


def coloured(scene: Scene) -> Sequence[Pair]:
    names = scene.names
    if not scene.told.has_text or (names and len(names) < len(scene.panel.series)):
        return []
    asked = [form for form in _COLOURED if names or "{s}" not in form]
    question = scene.ask(asked, colour=scene.rng.choice(_COLOURS), s=scene.rng.choice(names) if names else "")
    if not names:
        return [(question, "Colours and styles of lines are not read.")]
    verb = "names are" if len(names) > 1 else "name is"
    return [(question, f"Colours and styles of lines are not read; the {verb} {listing(names)}.")]


def highest(scene: Scene) -> Sequence[Pair]:
    """Of several series; where one was not read, it may be that one."""
    data = scene.data
    if len(data.series) < 2 or not scene.claimed_names:
        return []
    question = scene.ask(_HIGHEST)
    for i in scene.claimed:
        if scene.fact(i, "highest_overall"):
            return [(question, f"{scene.name(i)} is the highest overall.")]
    if not scene.is_told_whole:
        return []
    if partly := _of_those_read(scene, "maximum"):
        return [(question, partly)]
    if data.kind == "stacked_bar":
        largest = [scene.name(i) for i in scene.claimed if _is_largest_everywhere(scene, i)]
        if largest:
            return [(question, f"{largest[0]} has the largest part everywhere.")]
    best = _best(scene, "maximum")
    if best is None:
        return [(question, "None of them is clearly the highest overall.")]
    said = f"reaches the highest value, about {scene.y(best[0], best[1].y)}"
    at = f" at {best[1].x}" if data.kind in BARS and isinstance(best[1].x, str) else ""
    if data.kind == "stacked_bar":
        said = f"the largest part is that of {scene.name(best[0])}{at}"
        return [(question, f"No series is the highest everywhere; {said}.")]
    return [(question, f"None is the highest everywhere; {scene.name(best[0])} {said}{at}.")]


def _is_largest_everywhere(scene: Scene, i: int) -> bool:
    courses = [heights_told(scene, k) for k in scene.claimed if k != i]
    own = heights_told(scene, i)
    return all(x in own and own[x] > y for course in courses for x, y in course.items())


def _of_those_read(scene: Scene, kind: ExtremeKind) -> str | None:
    """What is known of the highest, or lowest, where a series was not read; None where all were."""
    word = "highest" if kind == "maximum" else "lowest"
    both = zip(scene.panel.series, scene.data.series, strict=True)
    unread = [name for name, series in both if series.abstained or not series.points]
    if not unread:
        return None
    best = _best(scene, kind)
    if best is None or len(unread) > len(_COUNT_WORDS) or len(scene.claimed) < 2:
        return f"Not all of them were read, so which one is the {word} is not known."
    said = f"Of those that were read, {scene.name(best[0])} goes {word}, to about {scene.y(best[0], best[1].y)}"
    others = f"{_COUNT_WORDS[len(unread)]} series"
    if all(unread) and len(unread) <= 3:
        others = listing([str(name) for name in unread])
    return f"{said}; {others} {'was' if len(unread) == 1 else 'were'} not read."


def _best(scene: Scene, kind: ExtremeKind) -> tuple[int, Fact] | None:
    """The series that goes highest, or lowest, and to where, if that is told and clear.

    A curve of which an end was not seen is compared by the samples that are told of it.
    """
    sign = 1 if kind == "maximum" else -1
    known: list[tuple[float, int, Fact | None]] = []
    for i, series in enumerate(scene.data.series):
        if series.abstained or not series.points:
            continue
        fact = scene.told_fact(i, kind)
        heights = [sign * height for height in heights_told(scene, i).values()]
        if fact is not None and fact.y is not None:
            heights = [sign * fact.y]
        if not heights:
            return None
        known.append((max(heights), i, fact))
    known.sort(key=lambda one: -one[0])
    high, best, fact = known[0]
    if fact is None or not scene.panel.series[best]:
        return None
    if len(known) > 1 and apart(scene.data.y, sign * known[1][0], sign * high) <= _CLEAR:
        return None
    return best, fact


def lowest(scene: Scene) -> Sequence[Pair]:
    """The series that lies below all others at every place that is told."""
    data = scene.data
    if len(data.series) < 2 or not scene.claimed_names or data.kind == "scatter" or not scene.is_told_whole:
        return []
    question = scene.ask(_LOWEST)
    if partly := _of_those_read(scene, "minimum"):
        return [(question, partly)]
    if len(scene.claimed) < len(data.series):
        return []
    courses = [heights_told(scene, i) for i in scene.claimed]
    common = set.intersection(*(set(course) for course in courses))
    if len(common) < 2 or data.kind == "stacked_bar":
        return []
    for i, course in zip(scene.claimed, courses, strict=True):
        others = [other for other in courses if other is not course]
        if all(course[x] < min(other[x] for other in others) for x in common):
            return [(question, f"{scene.name(i)} is the lowest overall.")]
    best = _best(scene, "minimum")
    if best is None:
        return [(question, "None of them is clearly the lowest overall.")]
    said = f"reaches the lowest value, about {scene.y(best[0], best[1].y)}"
    return [(question, f"None is the lowest everywhere; {scene.name(best[0])} {said}.")]


def heights_told(scene: Scene, i: int) -> dict[str, float]:
    """The values of a series at the places that the prompt tells, by place."""
    series = scene.series(i)
    if scene.data.kind in BARS:
        return {str(point.x): point.y for point in series.points}
    found = {}
    for place, text in samples_told(scene.data, series).items():
        try:
            found[place] = float(text)
        except ValueError:
            continue
    return found


# Names that stand nowhere

_STRANGE = (
    "How does {s} behave?",
    "What about {s}?",
    "Tell me about {s}.",
    "What can be said about the line of {s}?",
    "What does the figure say of {s}?",
    "How well does {s} do?",
    "Where is the {s} curve?",
    "What is the highest value of {s}?",
    "Describe the curve of {s}.",
    "Where does {s} end?",
    "Is {s} rising?",
    "What is the value of {s}?",
    "Does {s} reach its maximum early?",
    "How high is {s}?",
    "{s}?",
    "max of {s}",
    "Is {s} better than the others?",
    "Where does {s} start?",
    "What is the lowest value of {s}?",
    "Which trend does {s} have?",
    "Why does {s} fall?",
    "Can you describe {s}, please?",
    "What do we see for {s}?",
    "How does {s} compare with the rest?",
    "Give me the numbers of {s}.",
    "In this figure, what is {s}?",
    "final value of {s}?",
    "At which point does {s} peak?",
    "Does {s} go up or down?",
    "Explain the results of {s}.",
    "And {s}?",
)


def stranger(scene: Scene) -> Sequence[Pair]:
    """A name that stands nowhere, asked after as one asks after a curve that is there, so that the name decides."""
    if not scene.told.context.lines:
        return []
    name = strange_name(scene.told, scene.names, scene.rng)
    if name is None:
        return []
    question = scene.ask(_STRANGE, s=name)
    typed = name if name in question else name.lower()
    return [(question, f"There is no {typed} in this figure.")]


def strange_name(told: Told, names: Sequence[str], rng: random.Random) -> str | None:
    """A name of the kind that figures have, often of this figure's own kind, that none of its texts holds."""
    known = " ".join([told.context.caption, *(line.text for line in told.context.lines), *names]).casefold()
    for _ in range(4):
        name = _candidate(names, rng)
        if name and name.casefold() not in known and " ".join(name.split()) == name:
            return name
    return None


def _candidate(names: Sequence[str], rng: random.Random) -> str | None:
    chance = rng.random()
    own = rng.choice(names) if names else None
    if own and chance < 0.35:
        return _nearly(own, rng)
    if own and chance < 0.5:
        rows = [row for row in (*paper_words.LEGENDS, *paper_words.CATEGORIES) if own in row]
        return rng.choice(rng.choice(rows)) if rows else None
    if chance < 0.65:
        return paper_names.legend(1, rng)[0]
    return words.names(rng, "train", 1)[0]


def _nearly(name: str, rng: random.Random) -> str | None:
    """The name with another number, or with another last word."""
    numbers = list(re.finditer(r"\d+", name))
    if numbers:
        found = rng.choice(numbers)
        value = int(found[0]) if len(found[0]) < 9 else 1
        other = rng.choice((value + 1, value + rng.randint(2, 9), value * 2, max(value - 1, 0), value * 10))
        return f"{name[: found.start()]}{other}{name[found.end() :]}"
    pieces = name.split(" ")
    word = rng.choice(rng.choice(paper_words.LEGENDS)) if rng.random() < 0.4 else None
    word = word or words.invented_word(rng, "train")
    if len(pieces) > 1:
        return " ".join([*pieces[:-1], word])
    return rng.choice((f"{name} {rng.randint(2, 9)}", f"{name}-{rng.randint(2, 30)}", f"{name} {word}"))


KINDS = (
    Kind("legend", 0.6, listed),
    Kind("count", 0.5, counted),
    Kind("colour", 0.2, coloured),
)
OF_DATA = (
    Kind("highest overall", 1.2, highest),
    Kind("lowest overall", 0.4, lowest),
)
STRANGER = Kind("name that stands nowhere", 1.4, stranger)
