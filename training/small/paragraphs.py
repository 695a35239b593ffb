"""Writes what a scientist would say of a figure, from what was told of it: a paragraph, and its single statements.

    explanation(told, random.Random(3), "medium")

Each sentence goes by `Told` alone: names that were read, numbers as the prompt has them, trends that are facts of the
reading. What was not read is said to be unread. `grounded` then takes out every sentence that the checks of serving
cannot confirm, so that a target never teaches to say more than was told.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal

from data.synthetic.write import listing
from llava_graph.chart import ABSTENTION_REASONS, Axis, Fact, FactKind, Panel, Series
from llava_graph.chart_text import NumberWriter, samples
from llava_graph.checks import Check, checks
from llava_graph.context import TEMPLATES
from training.small.told import TEMPLATE, Told, ToldPanel

Length = Literal["short", "medium", "long"]

BARS = ("bar", "grouped_bar", "stacked_bar")
_VERBS = {
    "rises": ("rises", "increases", "grows", "climbs"),
    "falls": ("falls", "decreases", "declines", "drops"),
    "flat": ("stays nearly constant", "stays flat", "remains nearly constant"),
    "peaks": ("peaks", "reaches a peak"),
    "dips": ("reaches a minimum", "has a minimum"),
}
_NUMBER_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}
_MOST_NAMED = 8
"""Names in one sentence: as many as the prompt tells."""


def explanation(told: Told, rng: random.Random, length: Length) -> str:
    """The paragraph, every statement of it confirmed."""
    if len(told.panels) == 1:
        sentences = list(_panel(told, told.panels[0], rng, length))
    else:
        sentences = []
        for letter, panel in zip("abcdef", told.panels, strict=False):
            first, *rest = _panel(told, panel, rng, "short" if length == "short" else "medium")
            sentences += [f"In panel ({letter}), {first[0].lower()}{first[1:]}", *rest]
    if told.unread or not any(panel.data or panel.unread for panel in told.panels):
        sentences.append(_nothing_read(told, rng))
    return " ".join(grounded(told, sentences))


def _is_level(data: Panel, series: Series, level: float | None) -> bool:
    """Whether a flat curve keeps so close to a level that the level stands for all of it."""
    ys = [point.y for point in series.points]
    low, high = data.y.low, data.y.high
    if level is None or low is None or high is None or data.y.scale == "log":
        return False
    return max(abs(y - level) for y in ys) <= 0.02 * abs(high - low)


def grounded(told: Told, sentences: Sequence[str]) -> list[str]:
    """The sentences without those that hold a statement which is not read or printed. The first sentence names."""
    kept = list(sentences)
    while True:
        text = " ".join(kept)
        bad = [check for check in _checked(told, text) if check.verdict in ("contradicted", "unsupported")]
        if not bad:
            return kept
        ends, place = [], 0
        for sentence in kept:
            place += len(sentence) + 1
            ends.append(place)
        doubtful = {next(i for i, end in enumerate(ends) if check.start < end) for check in bad}
        kept = [sentence for i, sentence in enumerate(kept) if i not in doubtful]


def is_grounded(told: Told, text: str) -> bool:
    """Whether the checks of serving confirm every statement of the text."""
    return all(check.verdict in ("read", "printed") for check in _checked(told, text))


def _checked(told: Told, text: str) -> list[Check]:
    context = told.context
    return checks(text, context.lines, context.caption, context.chart)


# Panels


def _panel(told: Told, panel: ToldPanel, rng: random.Random, length: Length) -> Iterator[str]:
    yield opening(panel, rng)
    if panel.unread:
        yield _unread_panel(panel.unread, rng)
        return
    data = panel.data
    if data is None:
        if told.unread is None and told.has_text and panel.categories and length == "long":
            yield f"The categories are {listing(panel.categories)}."
        return
    if length == "long" and (axes := _units(panel, data)):
        yield axes
    if data.kind in BARS:
        yield from _bars(panel, data, rng, length)
    else:
        yield from _curves(panel, data, rng, length)
    yield from _unread(panel, data, rng)


def opening(panel: ToldPanel, rng: random.Random) -> str:
    """What is plotted, in one sentence."""
    kind = panel.kind or "figure"
    along, upright = "the horizontal axis", "the vertical axis"
    if panel.data is not None and panel.data.horizontal:
        along, upright = upright, along
    y, x = panel.y or upright, panel.x or along
    names = [name for name in panel.series if name]
    count = len(panel.series)
    whom = ""
    if names and len(names) == count and count <= _MOST_NAMED:
        whom = f" for {listing(names)}"
    elif names and len(names) <= _MOST_NAMED:
        whom = f" for {listing(names)}, among others"
    elif count > 1:
        whom = f" for {_count(count)} series"
    if not panel.x and not panel.y:
        if whom:
            return f"The {kind} shows values{whom}; the labels of its axes are not legible."
        return f"The figure is a {kind} whose labels are not legible." if panel.kind else "The figure is a chart."
    forms = (
        f"The {kind} shows {y} against {x}{whom}.",
        f"The {kind} shows {y} as a function of {x}{whom}.",
        f"This {kind} plots {y} against {x}{whom}.",
        f"The figure is a {kind} of {y} versus {x}{whom}." if panel.kind else f"The figure shows {y} over {x}{whom}.",
    )
    comparing: tuple[str, ...] = ()
    if len(names) == count and 1 < count <= _MOST_NAMED:
        comparing = (f"The {kind} compares {listing(names)}: it shows {y} against {x}.",)
    return rng.choice((*forms, *comparing))


def _units(panel: ToldPanel, data: Panel) -> str | None:
    pairs = [(panel.x, data.x.unit), (panel.y, data.y.unit)]
    told = [f"{label} is given in {unit}" for label, unit in pairs if label and unit]
    return f"{' and '.join(told)}." if told else None


def _nothing_read(told: Told, rng: random.Random) -> str:
    if told.unread:
        reason = ABSTENTION_REASONS.get(told.unread, "no reason is known")
        return rng.choice(
            (
                f"The data of the chart were not read: {reason}.",
                f"Its values were not read, since {reason}, so no numbers are given.",
            )
        )
    return rng.choice(
        (
            "The values of the chart were not read, so no numbers and no trends are given.",
            "No data were read from the chart, so nothing is said of its values.",
        )
    )


def _unread_panel(code: str, rng: random.Random) -> str:
    reason = ABSTENTION_REASONS.get(code, "no reason is known")
    return rng.choice(
        (f"Its values were not read: {reason}.", f"No values are given for it, since {reason}."),
    )


def _unread(panel: ToldPanel, data: Panel, rng: random.Random) -> Iterator[str]:
    """Series that were not read, together where the reason is one."""
    by_reason: dict[str, list[str | None]] = {}
    for name, series in zip(panel.series, data.series, strict=True):
        if series.abstained:
            by_reason.setdefault(series.abstained, []).append(name)
    for code, names in by_reason.items():
        reason = ABSTENTION_REASONS.get(code, "no reason is known")
        named = [name for name in names if name]
        if len(named) == len(names):
            who, verb = listing(named), "was" if len(names) == 1 else "were"
        else:
            who, verb = ("One series", "was") if len(names) == 1 else (f"{_count(len(names))} series", "were")
            who = f"{who} ({listing(named)} among them)" if named else who
        who = who[0].upper() + who[1:] if len(named) < len(names) else who
        yield rng.choice((f"{who} {verb} not read: {reason}.", f"{who} {verb} not read, since {reason}."))


def _count(number: int) -> str:
    return _NUMBER_WORDS.get(number, str(number))


# Curves and clouds


def _curves(panel: ToldPanel, data: Panel, rng: random.Random, length: Length) -> Iterator[str]:
    claimed = [i for i, series in enumerate(data.series) if not series.abstained and series.points]
    trends = {i: trend for i in claimed if (trend := trend_of(data.series[i]))}
    alike = set(trends.values()) if data.kind == "line" else set()
    if len(claimed) > 1 and len(trends) == len(data.series) and len(alike) == 1 and alike <= {"rises", "falls"}:
        verb = rng.choice({"rises": ("rise", "increase"), "falls": ("fall", "decrease")}[alike.pop()])
        yield f"Both curves {verb}." if len(claimed) == 2 else f"All {_count(len(claimed))} curves {verb}."
    clauses = [clause for i in claimed if (clause := course(panel, data, i, rng))]
    yield from _joined(clauses, rng)
    if data.kind == "scatter" and len(claimed) <= 4:
        for i in claimed:
            yield from cloud(panel, data, i, rng, told_with_trend(data.series[i]) is None)
    if length != "short":
        for i in claimed:
            yield from _extremes(panel, data, i, rng)
    yield from relations(panel, data, rng)
    if length == "long":
        yield from _values_between(panel, data, claimed, rng)


def _joined(clauses: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Clauses as sentences, two of them now and then in one."""
    i = 0
    while i < len(clauses):
        if i + 1 < len(clauses) and rng.random() < 0.45:
            yield f"{capital(clauses[i])}{rng.choice((', while ', ', whereas ', ', and '))}{clauses[i + 1]}."
            i += 2
        else:
            yield f"{capital(clauses[i])}."
            i += 1


def capital(clause: str) -> str:
    """Names keep their letters."""
    return (
        clause[0].upper() + clause[1:]
        if clause.startswith(("the curve", "the points", "the series", "one curve"))
        else clause
    )


def who(panel: ToldPanel, data: Panel, index: int) -> str:
    """How a series is called."""
    name = panel.series[index]
    if name:
        return name
    if len(data.series) == 1:
        return "the curve" if data.kind == "line" else "the series"
    return "one curve"


def course(panel: ToldPanel, data: Panel, index: int, rng: random.Random) -> str | None:
    """What a curve does, as a clause; None where no trend was read."""
    series = data.series[index]
    trend = trend_of(series)
    if trend is None:
        return None
    write, subject = NumberWriter.of(data, series), who(panel, data, index)
    verb = rng.choice(_VERBS[trend])
    first, last = fact_of(series, "first"), fact_of(series, "last")
    unit = unit_of(data.y) if rng.random() < 0.5 else ""
    if trend in ("peaks", "dips"):
        turn = fact_of(series, "maximum" if trend == "peaks" else "minimum")
        if turn is None:
            return f"{subject} {verb}"
        link = "of" if verb == "has a minimum" else "at"
        place = f" near {write.x(turn.x)}{unit_of(data.x) if unit else ''}" if turn.x is not None else ""
        return f"{subject} {verb} {link} about {write.y(turn.y)}{unit}{place}"
    if trend == "flat":
        # Of a curve of which an end was not seen, no level can be told.
        is_level = first is not None and last is not None and _is_level(data, series, first.y)
        return f"{subject} {verb} at about {write.y(first.y)}{unit}" if first and is_level else f"{subject} {verb}"
    if first and last and first.x is not None and last.x is not None and rng.random() < 0.4:
        x_unit = unit_of(data.x) if unit else ""
        return (
            f"{subject} {verb} from about {write.y(first.y)}{unit} at {write.x(first.x)}{x_unit} "
            f"to about {write.y(last.y)}{unit} at {write.x(last.x)}{x_unit}"
        )
    start = f" from about {write.y(first.y)}{unit}" if first else ""
    end = f" to about {write.y(last.y)}{unit}" if last else ""
    return f"{subject} {verb}{start}{end}{told_with_trend(series) or ''}"


def told_with_trend(series: Series) -> str | None:
    """What is said of the correlation of a cloud behind its direction, where it has one and no ends are told."""
    r = fact_of(series, "correlation")
    has_ends = fact_of(series, "first") or fact_of(series, "last")
    if r is None or r.y is None or has_ends or trend_of(series) not in ("rises", "falls"):
        return None
    return f", with a correlation of {r.y:.2f}"


def cloud(panel: ToldPanel, data: Panel, index: int, rng: random.Random, has_correlation: bool) -> Iterator[str]:
    """How the points of a cloud lie: what they range over, and how x and y go together."""
    series = data.series[index]
    write = NumberWriter.of(data, series)
    subject = "the points" if len(data.series) == 1 else f"the points of {who(panel, data, index)}"
    reach, r = fact_of(series, "y_range"), fact_of(series, "correlation")
    if reach and not isinstance(reach.x, str):
        unit = unit_of(data.y) if rng.random() < 0.5 else ""
        verb = rng.choice(("lie between", "range between"))
        yield f"{capital(subject)} {verb} {write.y(reach.x)} and {write.y(reach.y)}{unit}."
    if r and r.y is not None and has_correlation:
        yield f"Their correlation is {r.y:.2f}."


def _extremes(panel: ToldPanel, data: Panel, index: int, rng: random.Random) -> Iterator[str]:
    """Highest and lowest value of a curve of which the trend does not tell them."""
    series = data.series[index]
    trend = trend_of(series)
    top, bottom = fact_of(series, "maximum"), fact_of(series, "minimum")
    if trend is not None or (top is None and bottom is None):
        return
    write = NumberWriter.of(data, series)
    subject = who(panel, data, index)
    parts = []
    for fact, word in ((top, "highest"), (bottom, "lowest")):
        if fact is not None:
            place = f" near {write.x(fact.x)}" if fact.x is not None else ""
            parts.append(f"the {word} value of {subject} is about {write.y(fact.y)}{place}")
    if rng.random() < 0.5 and len(parts) == 2:
        yield f"T{parts[0][1:]}, and {parts[1]}."
    else:
        for part in parts:
            yield f"T{part[1:]}."


def relations(panel: ToldPanel, data: Panel, rng: random.Random) -> Iterator[str]:
    """Which series lies highest and which cross where."""
    for index, series in enumerate(data.series):
        if fact_of(series, "highest_overall") and panel.series[index]:
            name = who(panel, data, index)
            yield rng.choice((f"{name} is the highest overall.", f"Overall, {name} lies highest."))
    for index, fact in crossings_told(panel, data):
        first, second = panel.series[index], panel.series[fact.other or 0]
        if first and second:
            unit = unit_of(data.x) if rng.random() < 0.4 else ""
            yield f"{first} and {second} cross near {NumberWriter.of(data, data.series[index]).x(fact.x)}{unit}."


def crossings_told(panel: ToldPanel, data: Panel) -> list[tuple[int, Fact]]:
    """The crossings that the prompt tells, each with the index of its first series."""
    limits = TEMPLATES[TEMPLATE].chart
    assert limits is not None
    found = [
        (index, fact)
        for index, series in enumerate(data.series)
        for fact in series.facts
        if fact.kind == "crossing" and fact.other is not None and fact.other < len(panel.series)
    ]
    return [(index, fact) for index, fact in found[: limits.crossings] if fact.x is not None]


def _values_between(panel: ToldPanel, data: Panel, claimed: Sequence[int], rng: random.Random) -> Iterator[str]:
    if data.kind != "line" or not claimed or len(claimed) > 3:
        return
    shown = [samples_told(data, data.series[i]) for i in claimed]
    common = [x for x in shown[0] if all(x in others for others in shown)]
    if len(common) < 3:
        return
    for i, pairs in zip(claimed, shown, strict=True):
        at = rng.choice(common[1:-1])
        yield f"At {at}{unit_of(data.x)}, {who(panel, data, i)} is about {pairs[at]}{unit_of(data.y)}."


def samples_told(data: Panel, series: Series) -> dict[str, str]:
    """The samples that the prompt tells, as it writes them."""
    limits = TEMPLATES[TEMPLATE].chart
    assert limits is not None
    write = NumberWriter.of(data, series)
    return {write.x(x): write.y(y) for x, y in samples(series.points, data, limits.samples)}


# Bars


def _bars(panel: ToldPanel, data: Panel, rng: random.Random, length: Length) -> Iterator[str]:
    claimed = [i for i, series in enumerate(data.series) if not series.abstained and series.points]
    for i in claimed:
        series = data.series[i]
        write = NumberWriter.of(data, series)
        unit = unit_of(data.y) if rng.random() < 0.4 else ""
        top, bottom = fact_of(series, "maximum"), fact_of(series, "minimum")
        of = f"For {panel.series[i]}, the" if panel.series[i] and len(data.series) > 1 else "The"
        if len(data.series) > 1 and not panel.series[i]:
            continue
        clauses = []
        if top and top.x:
            clauses.append(f"highest bar is {write.x(top.x)} at about {write.y(top.y)}{unit}")
        if bottom and bottom.x and (len(claimed) < 4 or length == "long"):
            clauses.append(
                f"lowest {'is' if clauses else 'bar is'} {write.x(bottom.x)} at about {write.y(bottom.y)}{unit}"
            )
        if clauses:
            yield f"{of} {' and the '.join(clauses)}."
        trend = trend_of(series)
        if trend in ("rises", "falls") and panel.y and len(data.series) == 1:
            yield f"{panel.y} {rng.choice(_VERBS[trend])} from left to right."
        elif trend in ("rises", "falls") and panel.series[i] and length != "short":
            yield f"{panel.series[i]} {rng.choice(_VERBS[trend])} from left to right."
    if length == "long" and len(claimed) == len(data.series) == 1 and len(data.series[0].points) <= 8:
        write = NumberWriter.of(data, data.series[0])
        rest = [f"{write.x(p.x)} is at about {write.y(p.y)}" for p in data.series[0].points]
        yield f"{listing(rest)}."
    for i in claimed:
        if fact_of(data.series[i], "highest_overall") and panel.series[i] and len(data.series) > 1:
            yield rng.choice(
                (f"{panel.series[i]} is the highest overall.", f"Overall, {panel.series[i]} lies highest.")
            )


# Parts


def trend_of(series: Series) -> str | None:
    fact = fact_of(series, "trend")
    return fact.text if fact and fact.text in _VERBS else None


def fact_of(series: Series, kind: FactKind) -> Fact | None:
    return next((fact for fact in series.facts if fact.kind == kind), None)


def unit_of(axis: Axis) -> str:
    return f" {axis.unit}" if axis.unit and axis.label and axis.unit in axis.label else ""
