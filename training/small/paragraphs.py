"""Writes what a scientist would say of a figure, from what was told of it: a paragraph, and its single statements.

    explanation(told, random.Random(3), "medium")

Each sentence goes by `Told` alone: names that were read, numbers as the prompt has them, trends that are facts of the
reading. What was not read is said to be unread. `grounded` then takes out every sentence that the checks of serving
cannot confirm, so that a target never teaches to say more than was told.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
_PLURALS = {
    "rises": ("rise", "increase", "grow", "climb"),
    "falls": ("fall", "decrease", "decline", "drop"),
    "flat": ("stay nearly constant", "stay flat", "remain nearly constant"),
}
_NUMBER_WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}
_MOST_NAMED = 8
"""Names in one sentence: as many as the prompt tells."""
_MOST_UNREAD_NAMED = 5
"""Names in a sentence about series that were not read; of more, their number says as much."""
_MOST_CATEGORIES = 6
_CROWDED = 7
"""From so many read curves on, those with one trend are told together."""
_MOST_IN_A_ROW = 6
"""Names before one verb, as many as the checks follow."""
_WEAK = 0.4
"""Up to this correlation, a cloud of which no trend was read is said to show none."""


def explanation(told: Told, rng: random.Random, length: Length) -> str:
    """The paragraph, every statement of it confirmed."""
    if len(told.panels) == 1:
        sentences = list(_panel(told, told.panels[0], rng, length, 2))
    else:
        sentences = list(_panels(told, rng, length))
    if told.unread or not any(panel.data or panel.unread for panel in told.panels):
        sentences.append(_nothing_read(told, rng))
    kept = grounded(told, sentences)
    if kept[:1] != sentences[:1] and len(told.panels) == 1:
        # Without the names of the series, of which one stands nowhere.
        kept = grounded(told, [opening(replace(told.panels[0], series=()), rng), *kept])
    return " ".join(kept)


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


def _panels(told: Told, rng: random.Random, length: Length) -> Iterator[str]:
    """Panels one after the other, and at most two sentences about what was not read of them."""
    unread = [letter for letter, panel in zip("abcdef", told.panels, strict=False) if panel.unread]
    together = unread[1:] if len(told.panels) > 2 and len(unread) > 1 else []
    left = 1 if together else 2
    for number, (letter, panel) in enumerate(zip("abcdef", told.panels, strict=False)):
        # One sentence for each, so that the second panel has not lost it to the first.
        most = 0 if letter in together else max(min(left, 1), left - (len(told.panels) - 1 - number))
        first, *rest = _panel(told, panel, rng, "short" if length == "short" else "medium", most)
        if first.startswith("The figure is a "):
            yield f"Panel ({letter}) is a {first.removeprefix('The figure is a ')}"
        else:
            yield f"In panel ({letter}), {first[0].lower()}{first[1:]}"
        yield from rest
        left -= sum(_NOT_READ in sentence or _NO_VALUES in sentence for sentence in rest)
    if together:
        panels = listing([f"({letter})" for letter in together])
        yield f"Of panel{'s' if len(together) > 1 else ''} {panels}, no values were read either."


_NOT_READ, _NO_VALUES = " not read", "No values are given"


def _panel(told: Told, panel: ToldPanel, rng: random.Random, length: Length, most_unread: int) -> Iterator[str]:
    yield opening(panel, rng)
    if panel.unread:
        if most_unread:
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
    elif data.kind == "scatter":
        yield from _clouds(panel, data, rng, length)
    else:
        yield from _curves(panel, data, rng, length)
    yield from _unread(panel, data, rng, most_unread)


def opening(panel: ToldPanel, rng: random.Random) -> str:
    """What is plotted, in one sentence."""
    kind = panel.kind or "figure"
    if panel.data is not None and panel.data.horizontal and rng.random() < 0.4:
        kind += " with horizontal bars"
    names = [name for name in panel.series if name]
    count = len(panel.series)
    whom, have = "", "series"
    if names and len(names) == count and count <= _MOST_NAMED:
        whom, have = f" for {listing(names)}", listing(names)
    elif names and len(names) <= _MOST_NAMED:
        whom, have = f" for {listing(names)}, among others", f"{listing(names)}, among others,"
    elif count > 1:
        whom, have = f" for {_count(count)} series", f"{_count(count)} series"
    if panel.x and panel.y:
        return _of_both_axes(panel, kind, panel.x, panel.y, whom, rng)
    beside = _categories(panel, count if whom else 0) if rng.random() < 0.85 else ""
    if panel.y:
        lacks = f"; its {_along(panel)} axis has no legible label" if not beside and rng.random() < 0.3 else ""
        verb = rng.choice(("shows", "gives"))
        return f"{rng.choice(('The', 'This'))} {kind} {verb} {panel.y}{whom}{beside}{lacks}."
    if panel.x:
        if whom:
            return f"The {kind} shows {have} {rng.choice(('against', 'over'))} {panel.x}."
        return f"The {kind} has {panel.x} along its {_along(panel)} axis; the other axis has no legible label."
    if whom or beside:
        shown = f"shows {have}{beside}" if whom else f"shows values{beside}"
        lacks = rng.choice(("the labels of its axes are not legible", "its axes have no legible labels"))
        return f"The {kind} {shown}; {lacks}."
    return f"The figure is a {kind} whose labels are not legible." if panel.kind else "The figure is a chart."


def _of_both_axes(panel: ToldPanel, kind: str, x: str, y: str, whom: str, rng: random.Random) -> str:
    forms: tuple[str, ...]
    if _has_bars(panel):
        forms = (
            f"The {kind} shows {y} by {x}{whom}.",
            f"The {kind} shows {y} against {x}{whom}.",
            f"This {kind} compares {y} across {x}{whom}.",
            f"The figure is a {kind} of {y} by {x}{whom}.",
        )
        if not whom:
            forms = (*forms, f"This {kind} shows {y} for each {x}.")
    else:
        forms = (
            f"The {kind} shows {y} against {x}{whom}.",
            f"The {kind} shows {y} as a function of {x}{whom}.",
            f"This {kind} {'gives' if kind.endswith('plot') else 'plots'} {y} against {x}{whom}.",
            f"The figure is a {kind} of {y} versus {x}{whom}."
            if panel.kind
            else f"The figure shows {y} over {x}{whom}.",
        )
    names = [name for name in panel.series if name]
    if len(names) == len(panel.series) and 1 < len(names) <= _MOST_NAMED:
        how = "by" if _has_bars(panel) else "against"
        forms = (*forms, f"The {kind} compares {listing(names)}: it shows {y} {how} {x}.")
    return rng.choice(forms)


def _has_bars(panel: ToldPanel) -> bool:
    return "bar chart" in (panel.kind or "")


def _along(panel: ToldPanel) -> str:
    """Which axis is the one of x: where bars lie, the upright one."""
    return "vertical" if panel.data is not None and panel.data.horizontal else "horizontal"


def _categories(panel: ToldPanel, series: int) -> str:
    """The bars of a chart whose axis of categories has no label: by their names where these are few."""
    count = len(panel.categories)
    if not _has_bars(panel) or count < 2:
        return ""
    if count > _MOST_CATEGORIES:
        return f" in {_count(count)} categories"
    how = "" if series == 0 else ", with bars" if series == 1 else ", each"
    return f"{how} for {listing(panel.categories)}"


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
        (f"Its values were not read: {reason}.", f"{_NO_VALUES} for it, since {reason}."),
    )


def _unread(panel: ToldPanel, data: Panel, rng: random.Random, most: int) -> Iterator[str]:
    """Series that were not read, together where the reason is one, in at most so many sentences."""
    by_reason: dict[str, list[str | None]] = {}
    for name, series in zip(panel.series, data.series, strict=True):
        if series.abstained:
            by_reason.setdefault(series.abstained, []).append(name)
    groups = sorted(by_reason.items(), key=lambda group: -len(group[1]))
    if not groups or not most:
        return
    of_all = len(data.series)
    if len(groups) > 1 and most == 1:
        every = [name for _, names in groups for name in names]
        yield f"{_whom(every, of_all)} not read, for different reasons."
        return
    (code, names), *others = groups
    reason = ABSTENTION_REASONS.get(code, "no reason is known")
    if of_all == 1:
        yield _unread_panel(code, rng)
    else:
        yield f"{_whom(names, of_all)} not read{rng.choice((': ', ', since '))}{reason}."
    if len(others) == 1:
        reason = ABSTENTION_REASONS.get(others[0][0], "no reason is known")
        yield f"{_whom(others[0][1], of_all)} not read{rng.choice((': ', ' either, since ', ', since '))}{reason}."
    elif others:
        rest = [name for _, names in others for name in names]
        count = len(rest)
        whom = f"{_count(count).capitalize()} more were" if count > 3 or None in rest else _whom(rest, of_all)
        yield f"{whom} not read{rng.choice((' either', ', for other reasons'))}."


def _whom(names: Sequence[str | None], of_all: int) -> str:
    """Series as a subject, with its verb."""
    named = [name for name in names if name]
    if len(named) == len(names) <= _MOST_UNREAD_NAMED:
        return f"{listing(named)} {'was' if len(named) == 1 else 'were'}"
    if len(names) == of_all:
        return f"The {_count(of_all)} series were"
    return (
        "One series was"
        if len(names) == 1
        else f"{_count(len(names)).capitalize()} of the {_count(of_all)} series were"
    )


def _count(number: int) -> str:
    return _NUMBER_WORDS.get(number, str(number))


# Curves


def _curves(panel: ToldPanel, data: Panel, rng: random.Random, length: Length) -> Iterator[str]:
    claimed = [i for i, series in enumerate(data.series) if not series.abstained and series.points]
    highest, details = list(_highest(panel, data, rng)), list(_courses(panel, data, claimed, rng, length))
    crossings = list(_crossings(panel, data, rng))
    if rng.random() < 0.35:
        yield from (*highest, *details, *crossings)
    elif rng.random() < 0.15:
        yield from (*details, *crossings, *highest)
    else:
        yield from (*details, *highest, *crossings)
    if length == "long":
        yield from _values_between(panel, data, claimed, rng)


def _courses(
    panel: ToldPanel, data: Panel, claimed: Sequence[int], rng: random.Random, length: Length
) -> Iterator[str]:
    """What each curve does: those of one trend together now and then, and always where there are many."""
    by_trend: dict[str | None, list[int]] = {}
    for i in claimed:
        by_trend.setdefault(trend_of(data.series[i]), []).append(i)
    unclear = by_trend.pop(None, [])
    is_crowded = len(claimed) >= _CROWDED
    if by_trend and len(claimed) == len(data.series) > 1 and not unclear and len(by_trend) == 1:
        (trend,) = by_trend
        if trend in ("rises", "falls") and (data.kind == "line" or is_crowded):
            verb = rng.choice(_PLURALS[trend][:2])
            whom = "Both curves" if len(claimed) == 2 else f"All {_count(len(claimed))} curves"
            unit = unit_of(data.y) if rng.random() < 0.4 else ""
            parts = [part for i in claimed if (part := _with_numbers(panel, data, i, trend, unit))]
            if len(parts) == len(claimed) <= 4 and rng.random() < 0.4:
                yield f"{whom} {verb}: {listing(parts)}."
                return
            yield f"{whom} {verb}."
            if is_crowded and length == "short":
                return
    alone: list[int] = []
    for trend, members in by_trend.items():
        together = len(members) > 1 and all(panel.series[i] for i in members)
        if together and trend and (is_crowded or rng.random() < 0.35):
            yield from _together(panel, data, members, trend, rng, is_crowded and length == "short")
        else:
            alone += members
    yield from _joined([clause for i in sorted(alone) if (clause := course(panel, data, i, rng))], rng)
    yield from _without_trend(panel, data, unclear, rng, length)


def _together(
    panel: ToldPanel, data: Panel, members: Sequence[int], trend: str, rng: random.Random, is_brief: bool
) -> Iterator[str]:
    """Curves of one trend, four in a sentence at most: "A rises from about 1 to about 2, B to about 4"."""
    unit = unit_of(data.y) if rng.random() < 0.4 else ""
    parts = {i: part for i in members if (part := _with_numbers(panel, data, i, trend, unit))}
    told = list(parts) if not is_brief else []
    rows = -(-len(told) // 4)
    for row in range(rows):
        few = told[len(told) * row // rows : len(told) * (row + 1) // rows]
        verb = rng.choice([verb for verb in _VERBS[trend] if verb != "has a minimum"])
        name, rest = who(panel, data, few[0]), parts[few[0]].removeprefix(who(panel, data, few[0]))
        yield f"{name} {verb}{rest}{''.join(f', {parts[i]}' for i in few[1:-1])}" + (
            f"{rng.choice((' and ', ', and '))}{parts[few[-1]]}." if len(few) > 1 else "."
        )
    others = [who(panel, data, i) for i in members if i not in told]
    if not others:
        return
    if trend not in _PLURALS:
        yield from _joined([clause for i in members if i not in told and (clause := course(panel, data, i, rng))], rng)
    elif len(others) == 1:
        yield f"{others[0]} {rng.choice(_VERBS[trend])}."
    else:
        # The checks tell a number that is a name by what stands behind it: other numbers and a verb.
        others.sort(key=_is_digits)
        for names in [others] if len(others) <= _MOST_IN_A_ROW else [others[:4], others[4:]]:
            yield f"{listing(names)} {rng.choice(_PLURALS[trend] if len(names) > 1 else _VERBS[trend])}."


def _is_digits(name: str) -> bool:
    return not any(char.isalpha() for char in name)


def _with_numbers(panel: ToldPanel, data: Panel, index: int, trend: str, unit: str) -> str | None:
    """A curve's name with the numbers that belong to its trend, as they stand behind a verb; None without any."""
    series = data.series[index]
    write = NumberWriter.of(data, series)
    first, last = fact_of(series, "first"), fact_of(series, "last")
    if trend in ("rises", "falls"):
        start = f" from about {write.y(first.y)}{unit}" if first else ""
        end = f" to about {write.y(last.y)}{unit}" if last else ""
        return f"{who(panel, data, index)}{start}{end}" if start or end else None
    if trend == "flat":
        is_level = first is not None and last is not None and _is_level(data, series, first.y)
        return f"{who(panel, data, index)} at about {write.y(first.y)}{unit}" if first and is_level else None
    turn = fact_of(series, "maximum" if trend == "peaks" else "minimum")
    if turn is None:
        return None
    place = f" near {write.x(turn.x)}" if turn.x is not None else ""
    return f"{who(panel, data, index)} at about {write.y(turn.y)}{unit}{place}"


def _without_trend(
    panel: ToldPanel, data: Panel, unclear: Sequence[int], rng: random.Random, length: Length
) -> Iterator[str]:
    """Curves of which no trend was read: between which values they lie, or that no trend is clear."""
    untold = []
    for i in unclear:
        told = _extremes(panel, data, i, rng) if len(unclear) <= (1 if length == "short" else 4) else None
        if told:
            yield told
        elif data.series[i].facts and panel.series[i]:
            untold.append(who(panel, data, i))
        elif len(data.series) == 1:
            yield from _values_between(panel, data, [i], rng)
    if untold:
        verb = "shows" if len(untold) == 1 else "show"
        yield f"{listing(untold)} {verb} no clear trend."


def _joined(clauses: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Clauses as sentences, two of them now and then in one: only where both tell numbers or neither does."""
    i = 0
    while i < len(clauses):
        pair = clauses[i : i + 2]
        if len(pair) == 2 and _has_numbers(pair[0]) == _has_numbers(pair[1]) and rng.random() < 0.5:
            yield f"{capital(pair[0])}{rng.choice((', while ', ', whereas ', ', and '))}{pair[1]}."
            i += 2
        else:
            yield f"{capital(clauses[i])}."
            i += 1


def _has_numbers(clause: str) -> bool:
    return " about " in clause or " correlation " in clause


def capital(clause: str) -> str:
    """Names keep their letters."""
    return (
        clause[0].upper() + clause[1:]
        if clause.startswith(("the curve", "the points", "the series", "one curve"))
        else clause
    )


def who(panel: ToldPanel, data: Panel, index: int) -> str:
    """How a series is called: a lone one without a name by what it shows, the label of its y axis."""
    name = panel.series[index]
    if name:
        return name
    if len(data.series) == 1:
        # Only of a label that was read as one is it known to the checks what it is.
        return panel.y if panel.y and data.y.label else "the curve" if data.kind == "line" else "the series"
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
        place = f" near {write.x(turn.x)}{_unit_along(data) if unit else ''}" if turn.x is not None else ""
        return f"{subject} {verb} {link} about {write.y(turn.y)}{unit}{place}"
    if trend == "flat":
        # Of a curve of which an end was not seen, no level can be told.
        is_level = first is not None and last is not None and _is_level(data, series, first.y)
        return f"{subject} {verb} at about {write.y(first.y)}{unit}" if first and is_level else f"{subject} {verb}"
    if first and last and first.x is not None and last.x is not None and rng.random() < 0.4:
        x_unit = _unit_along(data) if unit else ""
        return (
            f"{subject} {verb} from about {write.y(first.y)}{unit} at {write.x(first.x)}{x_unit} "
            f"to about {write.y(last.y)}{unit} at {write.x(last.x)}{x_unit}"
        )
    start = f" from about {write.y(first.y)}{unit}" if first else ""
    end = f" to about {write.y(last.y)}{unit}" if last else ""
    told = start + end or told_with_trend(series) or _told_without_ends(series, write, unit)
    return f"{subject} {verb}{told}"


def _told_without_ends(series: Series, write: NumberWriter, unit: str) -> str:
    """What is said of a curve that rises or falls where neither end was seen: its highest or its lowest value."""
    for kind, word in (("maximum", "highest"), ("minimum", "lowest")):
        fact = fact_of(series, kind)  # type: ignore[arg-type]
        if fact is not None:
            return f", with a {word} value of about {write.y(fact.y)}{unit}"
    return ""


def told_with_trend(series: Series) -> str | None:
    """What is said of the correlation of a cloud behind its direction, where it has one and no ends are told."""
    r = fact_of(series, "correlation")
    has_ends = fact_of(series, "first") or fact_of(series, "last")
    if r is None or r.y is None or has_ends or trend_of(series) not in ("rises", "falls"):
        return None
    return f", with a correlation of {r.y:.2f}"


def _extremes(panel: ToldPanel, data: Panel, index: int, rng: random.Random) -> str | None:
    """Highest and lowest value of a curve of which the trend does not tell them, in one sentence."""
    series = data.series[index]
    top, bottom = fact_of(series, "maximum"), fact_of(series, "minimum")
    if top is None and bottom is None:
        return None
    write, subject = NumberWriter.of(data, series), who(panel, data, index)
    unit = unit_of(data.y) if rng.random() < 0.4 else ""
    if top and bottom and rng.random() < 0.6:
        low, high = write.y(bottom.y), write.y(top.y)
        return rng.choice(
            (
                f"{capital(subject)} varies between about {low} and about {high}{unit}.",
                f"{capital(subject)} shows no single direction; it lies between about {low} and about {high}{unit}.",
                f"{capital(subject)} goes up and down, between about {low} and about {high}{unit}.",
            )
        )
    parts = []
    for fact, word in ((top, "highest"), (bottom, "lowest")):
        if fact is not None:
            place = f" near {write.x(fact.x)}" if fact.x is not None else ""
            parts.append(f"the {word} value of {subject} is about {write.y(fact.y)}{unit}{place}")
    return f"T{', and '.join(parts)[1:]}."


def relations(panel: ToldPanel, data: Panel, rng: random.Random) -> Iterator[str]:
    """Which series lies highest and which cross where."""
    yield from _highest(panel, data, rng)
    yield from _crossings(panel, data, rng)


def _highest(panel: ToldPanel, data: Panel, rng: random.Random) -> Iterator[str]:
    for index, series in enumerate(data.series):
        name = panel.series[index]
        if len(data.series) > 1 and name and fact_of(series, "highest_overall"):
            other = panel.series[1 - index] if len(data.series) == 2 else None
            if other and rng.random() < 0.4 and _lies_above(data, index, 1 - index):
                verb = rng.choice(("lies above", "is higher than"))
                yield f"{name} {verb} {other}{rng.choice((' everywhere', ''))}."
                return
            yield rng.choice(
                (
                    f"{name} is the highest overall.",
                    f"Overall, {name} lies highest.",
                    f"On average, {name} is the highest.",
                    f"{name} has the highest values overall.",
                )
            )


def _lies_above(data: Panel, index: int, other: int) -> bool:
    """Whether a curve lies clearly above another wherever the prompt tells both."""
    low, high = data.y.low, data.y.high
    crosses = any(fact.kind == "crossing" for series in data.series for fact in series.facts)
    if data.kind != "line" or crosses or data.y.scale != "linear" or low is None or high is None:
        return False
    one, two = (dict(_samples(data, data.series[i])) for i in (index, other))
    common = one.keys() & two.keys()
    return len(common) > 2 and all(one[x] - two[x] > 0.06 * abs(high - low) for x in common)


def _crossings(panel: ToldPanel, data: Panel, rng: random.Random) -> Iterator[str]:
    unit = _unit_along(data) if rng.random() < 0.4 else ""
    clauses = []
    for index, fact in crossings_told(panel, data):
        first, second = panel.series[index], panel.series[fact.other or 0]
        if first and second:
            place = NumberWriter.of(data, data.series[index]).x(fact.x)
            clauses.append(f"{first} and {second} cross near {place}{unit}")
    yield from _joined_pairs(clauses, rng)


def _joined_pairs(clauses: Sequence[str], rng: random.Random) -> Iterator[str]:
    i = 0
    while i < len(clauses):
        if i + 1 < len(clauses) and rng.random() < 0.4:
            yield f"{clauses[i]}, and {clauses[i + 1]}."
            i += 2
        else:
            yield f"{clauses[i]}."
            i += 1


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
    if data.kind != "line" or data.x.scale is None or not claimed or len(claimed) > 3:
        return
    shown = [samples_told(data, data.series[i]) for i in claimed]
    common = [x for x in shown[0] if all(x in others for others in shown)]
    if len(common) < 3:
        return
    is_one_place, at = rng.random() < 0.7, rng.choice(common[1:-1])
    for i, pairs in zip(claimed, shown, strict=True):
        at = at if is_one_place else rng.choice(common[1:-1])
        yield f"At {at}{_unit_along(data)}, {who(panel, data, i)} is about {pairs[at]}{unit_of(data.y)}."


def samples_told(data: Panel, series: Series) -> dict[str, str]:
    """The samples that the prompt tells, as it writes them."""
    write = NumberWriter.of(data, series)
    return {write.x(x): write.y(y) for x, y in _samples(data, series)}


def _samples(data: Panel, series: Series) -> list[tuple[float | str, float]]:
    limits = TEMPLATES[TEMPLATE].chart
    assert limits is not None
    return samples(series.points, data, limits.samples)


# Clouds


def _clouds(panel: ToldPanel, data: Panel, rng: random.Random, length: Length) -> Iterator[str]:
    """Clouds of points: what each does, and over which values it reaches where they are few."""
    claimed = [i for i, series in enumerate(data.series) if not series.abstained and series.points]
    highest = list(_highest(panel, data, rng))
    is_first = rng.random() < 0.35
    if is_first:
        yield from highest
    with_range = len(claimed) <= (2 if length == "short" else 4)
    shapeless = [i for i in claimed if _is_shapeless(data.series[i])]
    if with_range:
        for i in claimed:
            if clause := course(panel, data, i, rng):
                yield f"{capital(clause)}."
            yield from cloud(panel, data, i, rng, told_with_trend(data.series[i]) is None)
    else:
        yield from _courses(panel, data, [i for i in claimed if trend_of(data.series[i])], rng, length)
        for i in claimed:
            r = fact_of(data.series[i], "correlation")
            if i in shapeless or trend_of(data.series[i]) is not None or not panel.series[i]:
                continue
            if r is not None and r.y is not None:
                yield f"The points of {panel.series[i]} have a correlation of {r.y:.2f}."
            else:
                yield from cloud(panel, data, i, rng, True)
        names = [who(panel, data, i) for i in shapeless if panel.series[i]]
        if names:
            yield f"{listing(names)} {'shows' if len(names) == 1 else 'show'} no clear trend."
    if not is_first:
        yield from highest


def _is_shapeless(series: Series) -> bool:
    r = fact_of(series, "correlation")
    return trend_of(series) is None and r is not None and r.y is not None and abs(r.y) <= _WEAK


def cloud(panel: ToldPanel, data: Panel, index: int, rng: random.Random, has_correlation: bool) -> Iterator[str]:
    """How the points of a cloud lie: what they range over, and how x and y go together."""
    series = data.series[index]
    write = NumberWriter.of(data, series)
    points = "the points" if len(data.series) == 1 else f"the points of {who(panel, data, index)}"
    reach, r = fact_of(series, "y_range"), fact_of(series, "correlation")
    shown = r.y if r is not None and has_correlation else None
    related = "" if shown is None else f"with a correlation of {shown:.2f}"
    between = ""
    if reach and not isinstance(reach.x, str):
        unit = unit_of(data.y) if rng.random() < 0.5 else ""
        between = f"between {write.y(reach.x)} and {write.y(reach.y)}{unit}"
    if _is_shapeless(series) and related:
        lie = f"; they lie {between}" if between else ""
        yield f"{capital(points)} show no clear trend, {related}{lie}."
    elif between:
        yield f"{capital(points)} {rng.choice(('lie', 'range'))} {between}{', ' + related if related else ''}."
    elif shown is not None:
        yield f"{capital(points)} have a correlation of {shown:.2f}."


# Bars


def _bars(panel: ToldPanel, data: Panel, rng: random.Random, length: Length) -> Iterator[str]:
    claimed = [i for i, series in enumerate(data.series) if not series.abstained and series.points]
    if len(data.series) > 1:
        claimed = [i for i in claimed if panel.series[i]]
        highest = list(_highest(panel, data, rng))
        details = list(_rows_of_bars(panel, data, claimed, rng, length))
        yield from (*highest, *details) if rng.random() < 0.4 else (*details, *highest)
        return
    for i in claimed:
        yield from _lone_row(panel, data, i, rng, length)


def _lone_row(panel: ToldPanel, data: Panel, index: int, rng: random.Random, length: Length) -> Iterator[str]:
    """The bars of a chart that has one series."""
    series = data.series[index]
    write, unit = NumberWriter.of(data, series), unit_of(data.y) if rng.random() < 0.4 else ""
    top, bottom = fact_of(series, "maximum"), fact_of(series, "minimum")
    trend = trend_of(series)
    # Of bars that lie, what is left and what is right is not known.
    course_told = []
    if trend in ("rises", "falls") and panel.y and not data.horizontal:
        course_told.append(f"{panel.y} {rng.choice(_VERBS[trend])} from left to right.")
    if rng.random() < 0.3:
        yield from course_told
        course_told = []
    if top and top.x and bottom and bottom.x and rng.random() < 0.3:
        yield (
            f"{write.x(top.x)} has the highest value, at about {write.y(top.y)}{unit}, "
            f"and {write.x(bottom.x)} has the lowest, at about {write.y(bottom.y)}{unit}."
        )
    elif clauses := _highest_and_lowest(data, series, unit, True, rng):
        yield f"The {clauses}."
    yield from course_told
    points = series.points if length == "long" and len(series.points) <= 8 else ()
    if not points and not (top and top.x) and not (bottom and bottom.x):
        points = series.points if len(series.points) <= 5 else (series.points[0], series.points[-1])
    if points:
        yield f"{listing([f'{write.x(p.x)} is at about {write.y(p.y)}' for p in points])}."


def _highest_and_lowest(data: Panel, series: Series, unit: str, has_lowest: bool, rng: random.Random) -> str:
    """ "highest bar is A at about 3 and the lowest is B at about 1", as far as they are known."""
    write = NumberWriter.of(data, series)
    top, bottom = fact_of(series, "maximum"), fact_of(series, "minimum")
    words = rng.choice((("highest", "lowest"), ("highest", "lowest"), ("tallest", "shortest"), ("largest", "smallest")))
    if data.horizontal and words[0] == "tallest":
        words = ("highest", "lowest")
    clauses = []
    if top and top.x:
        clauses.append(f"{words[0]} bar is {write.x(top.x)} at about {write.y(top.y)}{unit}")
    if bottom and bottom.x and (has_lowest or not clauses):
        what = "is" if clauses else "bar is"
        clauses.append(f"{words[1]} {what} {write.x(bottom.x)} at about {write.y(bottom.y)}{unit}")
    return " and the ".join(clauses)


def _rows_of_bars(
    panel: ToldPanel, data: Panel, claimed: Sequence[int], rng: random.Random, length: Length
) -> Iterator[str]:
    """The bars of several series, each row by itself; what holds for all of them once."""
    rows = [data.series[i] for i in claimed]
    shared: dict[str, str] = {}
    if len(rows) == len(data.series):
        for kind in ("maximum", "minimum"):
            facts = [fact_of(row, kind) for row in rows]
            places = {fact.x for fact in facts if fact is not None}
            if None not in facts and len(places) == 1 and isinstance(place := places.pop(), str):
                shared[kind] = place
    has_lowest = len(claimed) < (4 if length == "short" else 5) or length == "long"
    are_all = "Both are" if len(rows) == 2 else f"All {_count(len(rows))} are"
    if "maximum" in shared and rng.random() < 0.7:
        lowest = f" and lowest at {shared['minimum']}" if "minimum" in shared else ""
        yield f"{are_all} highest at {shared['maximum']}{lowest}."
    elif "minimum" in shared and rng.random() < 0.4:
        yield f"{are_all} lowest at {shared['minimum']}."
    for i, series in zip(claimed, rows, strict=True):
        unit = unit_of(data.y) if rng.random() < 0.4 else ""
        if clauses := _highest_and_lowest(data, series, unit, has_lowest, rng):
            yield f"For {panel.series[i]}, the {clauses}."
        elif (length != "short" or i == claimed[0]) and trend_of(series) is None:
            point = rng.choice(series.points)
            write = NumberWriter.of(data, series)
            yield f"For {write.x(point.x)}, {panel.series[i]} is at about {write.y(point.y)}{unit}."
    yield from _rows_with_trend(panel, data, claimed, rng, length)


def _rows_with_trend(
    panel: ToldPanel, data: Panel, claimed: Sequence[int], rng: random.Random, length: Length
) -> Iterator[str]:
    """Rows of bars that go up or down, told together."""
    if data.horizontal:
        return
    for trend in ("rises", "falls"):
        names = [panel.series[i] for i in claimed if trend_of(data.series[i]) == trend]
        named = [name for name in names if name]
        if len(named) == len(data.series) and len(named) > 1:
            whom = "Both" if len(named) == 2 else f"All {_count(len(named))} series"
            yield f"{whom} {rng.choice(_PLURALS[trend][:2])} from left to right."
        elif len(named) > 1:
            yield f"{listing(named)} {rng.choice(_PLURALS[trend])} from left to right."
        elif named and length != "short":
            yield f"{named[0]} {rng.choice(_VERBS[trend])} from left to right."


# Parts


def trend_of(series: Series) -> str | None:
    fact = fact_of(series, "trend")
    return fact.text if fact and fact.text in _VERBS else None


def fact_of(series: Series, kind: FactKind) -> Fact | None:
    return next((fact for fact in series.facts if fact.kind == kind), None)


def _unit_along(data: Panel) -> str:
    """The unit of the x axis behind a number, where it tells the axes apart."""
    return unit_of(data.x) if unit_of(data.x) != unit_of(data.y) else ""


def unit_of(axis: Axis) -> str:
    """The unit behind a number, where the label has it; none that ends in a full stop, which would end the sentence."""
    is_told = axis.unit and axis.label and axis.unit in axis.label and not axis.unit.endswith(".")
    return f" {axis.unit}" if is_told else ""
