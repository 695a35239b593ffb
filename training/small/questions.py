"""Follow-up questions about a figure, each with an answer that goes by what was told of it.

    dialogue(told, random.Random(3), count=3)

Questions come in many wordings, a share of which is kept for evaluation (`Wording`). What was not read is answered with
"was not read", what the figure cannot tell ("why") with that; other languages are answered in English.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from data.synthetic import words
from data.synthetic.write import listing
from llava_graph.chart import ABSTENTION_REASONS, Axis, Panel
from llava_graph.chart_text import NumberWriter
from training.small import paragraphs
from training.small.paragraphs import BARS, course, fact_of, samples_told, trend_of, unit_of, who
from training.small.told import Told, ToldPanel

Wording = Literal["train", "heldout"]
Pair = tuple[str, str]
Ask = Callable[..., str]

EXPLAIN = {
    "medium": (
        "Explain this figure.",
        "What does this figure show?",
        "Describe the figure.",
        "Can you explain the chart?",
        "Tell me what is going on in this plot.",
        "What can be seen here?",
        "Please interpret this graph.",
    ),
    "short": (
        "Summarise the figure in a sentence or two.",
        "What is the main message?",
        "Briefly, what does the chart show?",
        "Give me a short summary.",
        "TL;DR?",
    ),
    "long": (
        "Explain this figure in detail.",
        "Describe the chart with all its numbers.",
        "Give a thorough description of the figure.",
        "Write a detailed paragraph about this plot.",
    ),
}
"""Wordings of the first question by the length of the answer; the last of each is kept for evaluation."""


def worded(forms: Sequence[str], rng: random.Random, wording: Wording) -> str:
    """One of the forms; the last of three or more is kept for evaluation."""
    if len(forms) < 3:
        return rng.choice(forms)
    return forms[-1] if wording == "heldout" else rng.choice(forms[:-1])


def dialogue(told: Told, rng: random.Random, count: int, wording: Wording = "train") -> list[Pair]:
    """Up to `count` questions with their answers, no two alike."""
    pairs = list(_pairs(told, rng, wording))
    # Drawn by weight: what is asked of the data counts more than what stands beside the axes.
    pairs.sort(key=lambda pair: -(rng.random() ** (2.0 if _is_plain(pair) else 1.0)))
    return [pair for pair in pairs if paragraphs.is_grounded(told, pair[1])][:count]


_PLAIN = ("The horizontal axis", "The vertical axis", "The label of", "No unit", "It is a ", "All series")


def _is_plain(pair: Pair) -> bool:
    return pair[1].startswith(_PLAIN) or " is given in " in pair[1] or " are given in " in pair[1]


def _pairs(told: Told, rng: random.Random, wording: Wording) -> Iterator[Pair]:
    panel = told.panels[0] if told.panels else None
    if panel is None:
        return
    several = len(told.panels) > 1

    def ask(*forms: str) -> str:
        question = worded(forms, rng, wording)
        return f"In panel (a): {question[0].lower()}{question[1:]}" if several and rng.random() < 0.8 else question

    yield from _axes(panel, rng, ask)
    yield from _legend(panel, told, ask)
    if panel.data is not None:
        data = panel.data
        if data.kind in BARS:
            yield from _about_bars(panel, data, rng, ask)
        else:
            yield from _about_curves(panel, data, rng, ask)
        yield from _about_unread(panel, data, ask)
    else:
        yield from _about_nothing(told, panel, rng, ask)
    yield from _unanswerable(told, panel, rng, wording)
    yield rng.choice(list(_beyond(told, panel, rng, wording)))


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


def _axes(panel: ToldPanel, rng: random.Random, ask: Ask) -> Iterator[Pair]:
    if panel.data is not None and panel.data.horizontal:
        # Some call the axis of the categories x and some the one along the bottom, so nobody asks by the letter.
        yield from _about_axis(panel.y, panel.data.y, replace(_ALONG, letters=()), True, rng, ask)
        yield from _about_axis(panel.x, panel.data.x, replace(_UPRIGHT, letters=()), False, rng, ask)
    else:
        yield from _about_axis(panel.x, panel.data.x if panel.data else None, _ALONG, False, rng, ask)
        yield from _about_axis(panel.y, panel.data.y if panel.data else None, _UPRIGHT, True, rng, ask)
    kind = panel.kind
    if kind:
        yield (
            ask(
                "What kind of chart is this?",
                "Which type of figure is it?",
                "Is this a bar chart?",
                "Are these lines, bars or points?",
                "Which kind of diagram is shown?",
                "Line chart or bar chart?",
                "What sort of plot is that?",
            ),
            f"It is a {kind}.",
        )


def _about_axis(
    name: str | None, axis: Axis | None, side: _Side, has_values: bool, rng: random.Random, ask: Ask
) -> Iterator[Pair]:
    edge = rng.choice(side.edges)
    by_letter = [
        form
        for letter in side.letters
        for form in (
            f"What is on the {letter}-axis?",
            f"What is plotted along {letter}?",
            f"Label of the {letter} axis?",
            f"And what does {letter} stand for?",
        )
    ]
    question = ask(
        *by_letter,
        f"What does the {side.where} axis show?",
        f"What is shown {side.where}ly?",
        f"Which quantity is drawn {side.direction}?",
        f"What is written {side.beside}?",
        f"Which quantity do the ticks {edge} belong to?",
        f"What does one read off {edge}?",
        f"And {edge}, what is that?",
        f"What do the numbers {side.beside} stand for?",
        f"Which quantity is on the {side.where} axis?",
    )
    if name:
        yield question, f"The {side.where} axis shows {name}."
    else:
        yield question, f"The label of the {side.where} axis is not legible."
    if axis is None or not name:
        return
    of_name = ask(f"In which unit is {name} given?", f"What is the unit of {name}?", f"Which units does {name} have?")
    letters = [
        form
        for letter in side.letters
        for form in (
            f"In which unit is {letter} measured?",
            f"Unit of {letter}?",
            f"Which unit is used on the {letter}-axis?",
        )
    ]
    of_axis = ask(
        f"What is the unit of the {side.where} axis?",
        f"In which unit is the {side.where} axis?",
        f"Which unit do the numbers {side.beside} have?",
        *letters,
    )
    of_values = ask("What is the unit?", "Which unit do the values have?", "What are the values measured in?")
    if axis.unit and axis.label and axis.unit in axis.label:
        forms = [
            (of_name, f"{name} is given in {axis.unit}."),
            (of_axis, f"The {side.where} axis is given in {axis.unit}."),
        ]
        if has_values:
            forms.append((of_values, f"The values are given in {axis.unit}."))
    else:
        forms = [
            (of_name, f"No unit is given for {name}."),
            (of_axis, f"No unit is given for the {side.where} axis."),
        ]
    yield rng.choice(forms)


def _legend(panel: ToldPanel, told: Told, ask: Ask) -> Iterator[Pair]:
    names = [name for name in panel.series if name]
    question = ask(
        "Which series are shown?",
        "What is compared?",
        "What does the legend list?",
        "Name the curves, please.",
        "Which groups are there?",
    )
    if names and len(names) == len(panel.series):
        yield (
            question,
            f"The figure shows {listing(names)}." if len(names) > 1 else f"The figure shows {names[0]} alone.",
        )
    elif not names and told.has_text and len(panel.series) <= 1:
        yield (
            question,
            "There is one series, and no name is given for it." if panel.data else "No names of series are given.",
        )
    elif not names:
        yield question, "The names of the series are not legible."


def _about_curves(panel: ToldPanel, data: Panel, rng: random.Random, ask: Ask) -> Iterator[Pair]:
    claimed = [i for i, series in enumerate(data.series) if not series.abstained and series.points]
    for i in rng.sample(claimed, min(2, len(claimed))):
        series, subject = data.series[i], who(panel, data, i)
        write = NumberWriter.of(data, series)
        clause = course(panel, data, i, rng)
        question = ask(
            f"How does {subject} behave?",
            f"What does {subject} do?",
            f"Tell me about {subject}.",
            f"What can be said about the line of {subject}?",
            f"How well does {subject} do?",
            f"Does {subject} go up or down?",
            f"Describe the trend of {subject}.",
            f"Is {subject} rising?",
            f"And {subject}?",
            f"Which way does {subject} go?",
            f"Does {subject} increase or decrease?",
            f"Upwards or downwards: where does {subject} head?",
            f"Say in one sentence what {subject} does.",
            f"How does {subject} develop?",
            f"What is the course of {subject}?",
        )
        if clause:
            yield question, f"{paragraphs.capital(clause)}."
        else:
            top, bottom = fact_of(series, "maximum"), fact_of(series, "minimum")
            if top and bottom:
                yield (
                    question,
                    (
                        f"{paragraphs.capital(subject)} has no single direction; its highest value is about "
                        f"{write.y(top.y)} and its lowest about {write.y(bottom.y)}."
                    ),
                )
        for kind, word, size, far in (
            ("maximum", "highest", "largest", "high"),
            ("minimum", "lowest", "smallest", "low"),
        ):
            fact = fact_of(series, kind)  # type: ignore[arg-type]
            if fact is not None:
                place = f" near {write.x(fact.x)}{unit_of(data.x)}" if fact.x is not None else ""
                yield (
                    ask(
                        f"What is the {word} value of {subject}?",
                        f"Where is {subject} {word}?",
                        f"What is the {kind} of {subject}?",
                        f"How {far} does {subject} go?",
                        f"What is the {size} value that {subject} takes?",
                        f"What is the {word} level that {subject} gets to?",
                        f"At which point is {subject} at its {kind}?",
                    ),
                    f"The {word} value of {subject} is about {write.y(fact.y)}{unit_of(data.y)}{place}.",
                )
            elif data.kind == "line" and panel.series[i]:
                yield (
                    ask(
                        f"What is the {word} value of {subject}?",
                        f"How {far} does {subject} go?",
                        f"What is the {size} value that {subject} takes?",
                    ),
                    f"The {word} value of {subject} was not read.",
                )
        for kind, word, verb, phrase in (("first", "start", "starts", "set out"), ("last", "end", "ends", "finish")):
            fact = fact_of(series, kind)  # type: ignore[arg-type]
            if fact is not None and data.kind == "line":
                yield (
                    ask(
                        f"Where does {subject} {word}?",
                        f"At what value does {subject} {word}?",
                        f"What is the {kind} value of {subject}?",
                        f"How large is {subject} at the {word}?",
                        f"Where does {subject} {phrase}?",
                        f"Which level does {subject} have at the {word}?",
                        f"With which value does {subject} {word}?",
                    ),
                    f"{paragraphs.capital(subject)} {verb} at about {write.y(fact.y)}{unit_of(data.y)}.",
                )
            elif fact is None and data.kind == "line" and panel.series[i]:
                yield (
                    ask(
                        f"Where does {subject} {word}?",
                        f"At what value does {subject} {word}?",
                        f"What is the {kind} value of {subject}?",
                    ),
                    f"The {'left' if kind == 'first' else 'right'} end of {subject} was not read.",
                )
        if data.kind == "scatter" and (described := " ".join(paragraphs.cloud(panel, data, i, rng, True))):
            yield (
                ask(
                    f"Over which range do the points of {subject} lie?",
                    f"How do the points of {subject} lie?",
                    f"Is there a correlation in {subject}?",
                    f"How are x and y related for {subject}?",
                ),
                described,
            )
        if data.kind == "line":
            shown = samples_told(data, series)
            if shown:
                at = rng.choice(list(shown))
                yield (
                    ask(
                        f"What is the value of {subject} at {at}?",
                        f"How large is {subject} at {at}{unit_of(data.x)}?",
                        f"Read {subject} at {at}, please.",
                        f"Which value does {subject} have at {at}?",
                    ),
                    f"At {at}{unit_of(data.x)}, {subject} is about {shown[at]}{unit_of(data.y)}.",
                )
    if len(data.series) > 1 and any(panel.series):
        yield _highest_overall(panel, data, ask)
    if len(claimed) > 1 and len(claimed) == len(data.series) and all(panel.series):
        crossings = paragraphs.crossings_told(panel, data)
        if len(claimed) == 2 or crossings:
            question = ask(
                "Do the curves cross?",
                "Where do they intersect?",
                "Is there a crossing?",
                "At which point do the lines meet?",
            )
            if crossings:
                i, fact = rng.choice(crossings)
                place = NumberWriter.of(data, data.series[i]).x(fact.x)
                other = panel.series[fact.other or 0]
                yield question, f"{panel.series[i]} and {other} cross near {place}{unit_of(data.x)}."
            else:
                yield question, "No single crossing was read."
        a, b = rng.sample(claimed, 2)
        one, two = course(panel, data, a, rng), course(panel, data, b, rng)
        if one and two:
            yield (
                ask(
                    f"Compare {panel.series[a]} and {panel.series[b]}.",
                    f"How do {panel.series[a]} and {panel.series[b]} differ?",
                    f"What distinguishes {panel.series[a]} from {panel.series[b]}?",
                ),
                f"{one}, {rng.choice(('while', 'whereas'))} {two}.",
            )


def _highest_overall(panel: ToldPanel, data: Panel, ask: Ask) -> Pair:
    """Of several series; where one was not read, it may be that one."""
    question = ask(
        "Which series is the highest overall?",
        "Which curve lies on top?",
        "Which one is largest?",
        "Which series is above the others?",
        "Which of them leads?",
        "Who is ahead, all in all?",
        "Which one wins?",
        "Which is the largest, on average?",
        "What has the highest values?",
    )
    for name, series in zip(panel.series, data.series, strict=True):
        if name and fact_of(series, "highest_overall"):
            return question, f"{name} is the highest overall."
    if any(series.abstained or not series.points for series in data.series):
        return question, "Not all of them were read, so which one is the highest is not known."
    return question, "None of them is clearly the highest overall."


def _about_bars(panel: ToldPanel, data: Panel, rng: random.Random, ask: Ask) -> Iterator[Pair]:
    claimed = [
        i
        for i, series in enumerate(data.series)
        if not series.abstained and series.points and (panel.series[i] or len(data.series) == 1)
    ]
    for i in rng.sample(claimed, min(2, len(claimed))):
        series = data.series[i]
        write = NumberWriter.of(data, series)
        several = len(data.series) > 1
        of, lead = (f" of {panel.series[i]}", f"For {panel.series[i]}, the") if several else ("", "The")
        for kind, word, size in (("maximum", "highest", "largest"), ("minimum", "lowest", "smallest")):
            fact = fact_of(series, kind)  # type: ignore[arg-type]
            question = ask(
                f"Which bar{of} is the {word}?",
                f"Which one is {word}{' for ' + str(panel.series[i]) if several else ''}?",
                f"What has the {size} value{of}?",
                f"Where is the {size} value{of}?",
                f"Which one is the {size}{of}?",
                f"Where is the {word}?" if not of else f"For which category is {panel.series[i]} {word}?",
                f"What is the {word} bar{of}?",
                f"Which category has the {word} value{of}?",
            )
            if fact is not None and fact.x:
                at = f"{write.x(fact.x)} at about {write.y(fact.y)}{unit_of(data.y)}"
                yield question, f"{lead} {word} bar is {at}."
            else:  # two are as high, or one was not read
                yield question, f"No single {word} bar{of} was read."
        for point in rng.sample(series.points, min(2, len(series.points))):
            place = write.x(point.x)
            if not place:
                continue
            lead_value = f"For {panel.series[i]}: {place}" if several else place
            yield (
                ask(
                    f"What is the value{of} for {place}?",
                    f"Which number belongs to {place}{' in ' + str(panel.series[i]) if several else ''}?",
                    f"Tell me the value of {place}{' for ' + str(panel.series[i]) if several else ''}.",
                    f"What does {place} reach{' in ' + str(panel.series[i]) if several else ''}?",
                    f"Read off {place}{' for ' + str(panel.series[i]) if several else ''}, please.",
                    f"How high is the bar of {place}{' for ' + str(panel.series[i]) if several else ''}?",
                    f"And {place}{' in ' + str(panel.series[i]) if several else ''}?",
                    f"At what level is {place}{' in ' + str(panel.series[i]) if several else ''}?",
                    f"How large is {place}{' for ' + str(panel.series[i]) if several else ''}?",
                ),
                f"{lead_value} is at about {write.y(point.y)}{unit_of(data.y)}.",
            )
        if trend_of(series) in ("rises", "falls") and several:
            verb = "rises" if trend_of(series) == "rises" else "falls"
            yield (
                ask(
                    f"Is there a trend in {panel.series[i]}?",
                    f"How does {panel.series[i]} change?",
                    f"Does {panel.series[i]} grow?",
                ),
                (f"{panel.series[i]} {verb} from left to right."),
            )

    if len(data.series) > 1 and any(panel.series):
        yield _highest_overall(panel, data, ask)


def _about_unread(panel: ToldPanel, data: Panel, ask: Ask) -> Iterator[Pair]:
    unread = [
        (name, series.abstained) for name, series in zip(panel.series, data.series, strict=True) if series.abstained
    ]
    for name, code in unread:
        if name:
            reason = ABSTENTION_REASONS.get(code or "", "no reason is known")
            yield (
                ask(
                    f"What does {name} do?",
                    f"How does {name} behave?",
                    f"What is the highest value of {name}?",
                    f"And {name}?",
                    f"Where does {name} end?",
                    f"Is {name} rising?",
                    f"What is the lowest value of {name}?",
                    f"What about {name}?",
                ),
                f"{name} was not read: {reason}.",
            )
    question = ask(
        "Was anything not read?",
        "Is something missing from your reading?",
        "What could you not read?",
        "Did you read every curve?",
    )
    if not unread:
        yield question, "All series of the chart were read."
    elif all(name for name, _ in unread):
        yield question, f"Not read: {listing([str(name) for name, _ in unread])}."


def _about_nothing(told: Told, panel: ToldPanel, rng: random.Random, ask: Ask) -> Iterator[Pair]:
    code = panel.unread or told.unread
    reason = f", since {ABSTENTION_REASONS.get(code, 'no reason is known')}" if code else ""
    names = [name for name in panel.series if name]
    for forms in (
        ("What is the highest value of {}?", "How high does {} go?", "Which value does {} have in the middle?"),
        ("How does {} behave?", "Is {} increasing?", "Does {} rise or fall?", "Which way does {} go?"),
        ("Where does {} end?", "At what value does {} start?", "What is the lowest value of {}?"),
    ):
        subject = rng.choice(names) if names else panel.y or "the curve"
        yield (
            ask(*(form.format(subject) for form in forms)),
            f"The values of the chart were not read{reason}.",
        )
    if len(names) > 1:
        question = ask("Which one is the highest?", "Which curve lies on top?", "Which of them has the largest values?")
        yield question, f"The values of the chart were not read{reason}."


_WHY = (
    "Why does it behave like that?",
    "What is the reason for this?",
    "Why is that so?",
    "What causes the difference?",
    "How can this be explained physically?",
)
_GREETINGS = (
    (("Hello!", "Hi", "Good morning!", "Hey there"), "Hello! Ask me anything about this figure."),
    (("Thanks!", "Thank you very much.", "Great, thanks.", "Cheers!"), "You are welcome."),
    (("Who are you?", "What can you do?", "What are you?"), "I explain scientific figures from their text and data."),
    (
        ("How are you?", "How is it going?", "Are you well?"),
        "Fine, thank you. What would you like to know about the figure?",
    ),
)
_ABSENT = (
    "a control group",
    "error bars for the background",
    "a third panel",
    "the baseline",
    "a p-value",
    "the sample size",
)


def _unanswerable(told: Told, panel: ToldPanel, rng: random.Random, wording: Wording) -> Iterator[Pair]:
    """Reasons, which no figure tells, and names that stand nowhere."""
    name = next((name for name in panel.series if name), None)
    forms = _WHY
    if name and rng.random() < 0.6:
        forms = (
            f"Why does {name} behave like this?",
            f"What causes the shape of {name}?",
            f"What is behind the course of {name}?",
            f"Why is {name} so high?",
            f"How do you explain {name}?",
        )
    yield worded(forms, rng, wording), "The figure does not tell why."
    stranger = words.names(rng, "train", 1)[0]
    texts = " ".join([told.context.caption, *(line.text for line in told.context.lines)]).casefold()
    if told.context.lines and stranger.casefold() not in texts:
        # Asked as one asks after a curve that is there, so that the name decides.
        asked = (
            f"How does {stranger} behave?",
            f"What about {stranger}?",
            f"Tell me about {stranger}.",
            f"What can be said about the line of {stranger}?",
            f"What does the figure say of {stranger}?",
            f"How well does {stranger} do?",
            f"Where is the {stranger} curve?",
            f"What is the highest value of {stranger}?",
            f"Describe the curve of {stranger}.",
            f"Where does {stranger} end?",
            f"Is {stranger} rising?",
            f"And {stranger}?",
        )
        yield worded(asked, rng, wording), f"There is no {stranger} in this figure."


def _beyond(told: Told, panel: ToldPanel, rng: random.Random, wording: Wording) -> Iterator[Pair]:
    forms, answer = rng.choice(_GREETINGS)
    yield worded(forms, rng, wording), answer
    if told.has_text:
        thing = rng.choice(_ABSENT)
        texts = " ".join([told.context.caption, *(line.text for line in told.context.lines)]).casefold()
        if not any(word in texts for word in thing.split()[-1:]):
            yield f"What does the figure say about {thing}?", f"Nothing in the figure speaks of {thing}."
    shown = f"{panel.y} against {panel.x}" if panel.x and panel.y else panel.y or panel.x
    if shown:
        foreign = (
            "Was zeigt die Abbildung?",
            "Que montre cette figure ?",
            "¿Qué muestra la figura?",
            "图中显示了什么?",
            "Cosa mostra il grafico?",
        )
        yield worded(foreign, rng, wording), f"I answer in English: the figure shows {shown}."
    yield (
        worded(
            (
                "Will this continue in the future?",
                "What happens beyond the plotted range?",
                "Can you predict the next value?",
            ),
            rng,
            wording,
        ),
        "The figure does not show that.",
    )
    yield (
        worded(("Who made this figure?", "Which paper is this from?", "When was this published?"), rng, wording),
        "The figure does not say that.",
    )
