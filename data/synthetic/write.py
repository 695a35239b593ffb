"""Writes a figure's truth as text: captions as poor as real ones, explanations, questions and answers.

An explanation only names what its reader could have read: `Known` says which labels the OCR lines or the caption gave
away, and everything else is spoken of without a name ("one curve", "the vertical axis"). A model trained on these texts
learns to copy names and never to make one up. `TREND_WORDS` is also what the evaluation reads trend statements by.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from data.synthetic.facts import PanelFacts, SeriesFacts, Trend, panel_facts
from data.synthetic.spec import FigureSpec, Kind, Panel

KIND_WORDS: dict[Kind, tuple[str, ...]] = {
    "line": ("line chart", "line plot"),
    "scatter": ("scatter plot",),
    "bar": ("bar chart",),
    "grouped_bar": ("grouped bar chart",),
}

TREND_WORDS: dict[Trend, tuple[str, ...]] = {
    "rises": ("rises", "increases", "grows", "climbs"),
    "falls": ("falls", "decreases", "declines", "drops"),
    "flat": ("stays flat", "stays nearly constant", "hardly changes"),
    "peaks": ("peaks", "reaches a peak", "goes through a maximum"),
    "dips": ("dips", "has a dip", "goes through a minimum"),
}


@dataclass(frozen=True, slots=True)
class KnownPanel:
    """The names of one panel as a reader has them; None stands for a name that the context does not give."""

    x: str | None
    y: str | None
    series: tuple[str | None, ...]
    categories: tuple[str | None, ...] = ()


Known = tuple[KnownPanel, ...]


def spoken(label: str) -> str:
    """An axis label as it is named in a sentence: without its unit in brackets."""
    return re.sub(r"\s*[(\[][^()\[\]]*[)\]]?\s*$", "", label) or label


def everything(spec: FigureSpec) -> Known:
    """What a reader knows to whom every text of the figure is legible."""
    return tuple(
        KnownPanel(panel.x.quantity, panel.y.quantity, tuple(s.name for s in panel.series), panel.categories)
        for panel in spec.panels
    )


def number(value: float) -> str:
    """Two significant digits without an exponent: readers say "about 120", not 1.2e+02."""
    if value == 0 or not math.isfinite(value):
        return "0"
    digits = 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, digits):.{max(digits, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def listing(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# Captions


def caption(spec: FigureSpec, rng: random.Random) -> str:
    """A caption between useless and complete. A label that it names stands in it letter by letter, without unit."""
    panel = spec.panels[0]
    x, y = panel.x.quantity, panel.y.quantity
    names = [s.name for s in panel.series]
    index = rng.choice(("", "", f"Figure {rng.randint(1, 12)}: ", f"Fig. {rng.randint(1, 12)}. "))
    if rng.random() < 0.08:
        return ""
    poor = (
        "Results of the experiment.",
        "Overview of the measurements.",
        f"Results for {names[0]}.",
        f"{y} of the system.",
        "Comparison of all runs. Bars and lines show means.",
        f"Dependence on {x}.",
    )
    fair = (
        f"{y} as a function of {x}.",
        f"{y} versus {x}.",
        f"{y} for different values of {x}.",
        f"{y} of {listing(names)}.",
        f"Comparison of {listing(names)}.",
    )
    rich = (
        f"{y} as a function of {x} for {listing(names)}.",
        f"{y} against {x}. Shown are {listing(names)}.",
        f"Measured {y} for {listing(names)} at different {x}. Error bars show one standard deviation.",
    )
    text = rng.choice(rng.choices((poor, fair, rich), weights=(40, 35, 25))[0])
    if len(spec.panels) > 1 and rng.random() < 0.5:
        text = "(a) " + text + " (b) " + f"{spec.panels[1].y.quantity}."
    return index + text


# Explanations


def explanation(spec: FigureSpec, known: Known, rng: random.Random) -> str:
    """One paragraph that says what is plotted and what the curves or bars do, each statement true by construction."""
    if len(spec.panels) == 1:
        return " ".join(_panel_sentences(spec.panels[0], known[0], rng))
    parts = []
    for i, (panel, names) in enumerate(zip(spec.panels, known, strict=True)):
        first, *rest = _panel_sentences(panel, names, rng, brief=True)
        parts.append(" ".join([f"In panel ({'abc'[i]}), {first[0].lower()}{first[1:]}", *rest]))
    return " ".join(parts)


def _panel_sentences(panel: Panel, known: KnownPanel, rng: random.Random, brief: bool = False) -> list[str]:
    facts = panel_facts(panel)
    sentences = [_subject(panel, known, rng)]
    if panel.categories:
        return sentences + _bar_sentences(panel, facts, known, rng)
    for i, series in enumerate(facts.series):
        if series.trend != "unclear":
            sentences.append(_sentence(trend_clause(panel, series, _series_name(panel, known, i), rng)))
    if not brief:
        sentences += _comparison(facts, known, rng)
    return sentences


def _subject(panel: Panel, known: KnownPanel, rng: random.Random) -> str:
    kind = rng.choice(KIND_WORDS[panel.kind])
    x, y = known.x or "the horizontal axis", known.y or "the vertical axis"
    names = [name for name in known.series if name]
    # Names are listed only when each of them is known: half a list would be a wrong list.
    tail = f" for {listing(names)}" if len(names) == len(panel.series) and panel.legend else ""
    if known.x is None and known.y is None:
        return f"The {kind} shows {'one series' if len(panel.series) == 1 else f'{len(panel.series)} series'}{tail}."
    return rng.choice(
        (
            f"The {kind} shows {y} against {x}{tail}.",
            f"The {kind} shows {y} as a function of {x}{tail}.",
            f"This {kind} plots {y} over {x}{tail}.",
            f"The figure is a {kind} of {y} against {x}{tail}.",
        )
    )


_ORDINALS = ("one curve", "another curve", "a third curve", "a fourth curve")


def _series_name(panel: Panel, known: KnownPanel, index: int) -> str:
    """How a sentence calls a series: by its name, as "it" when it is alone, else as one of several."""
    name = known.series[index]
    if len(panel.series) == 1 and not (panel.legend and name):
        return known.y or ("the curve" if panel.kind == "line" else "the series")
    return name or _ORDINALS[index]


def trend_clause(panel: Panel, series: SeriesFacts, name: str, rng: random.Random) -> str:
    """What one curve does, with its numbers; raises KeyError for the trend "unclear"."""
    verb = rng.choice(TREND_WORDS[series.trend])
    if series.trend in ("rises", "falls"):
        numbers = f" from about {number(series.start)} to about {number(series.end)}"
    elif series.trend == "flat":
        numbers = f" at about {number(series.start)}"
    else:
        at = series.peak_at if series.trend == "peaks" else series.low_at
        value = series.highest if series.trend == "peaks" else series.lowest
        x = next(s for s in panel.series if s.name == series.name).x[at]
        numbers = f" at about {number(value)} near {number(x)}"
    return f"{name} {verb}{numbers}"


def _comparison(facts: PanelFacts, known: KnownPanel, rng: random.Random) -> list[str]:
    sentences = []
    top = known.series[facts.order[0]]
    if facts.clear_top and top:
        sentences.append(rng.choice((f"{top} is the highest overall.", f"Overall, {top} lies highest.")))
    if facts.crossing:
        first, second, x = facts.crossing
        a, b = known.series[first], known.series[second]
        if a and b:
            sentences.append(f"{a} and {b} cross near {number(x)}.")
    return sentences


def _bar_sentences(panel: Panel, facts: PanelFacts, known: KnownPanel, rng: random.Random) -> list[str]:
    sentences = []
    for i, series in enumerate(facts.series):
        high, low = known.categories[series.peak_at], known.categories[series.low_at]
        who = f"For {known.series[i]}, the" if len(facts.series) > 1 and known.series[i] else "The"
        if len(facts.series) > 1 and not known.series[i]:
            continue
        clauses = []
        if high:
            clauses.append(f"highest bar is {high} at about {number(series.highest)}")
        if low and len(facts.series) < 3:
            clauses.append(f"lowest is {low} at about {number(series.lowest)}")
        if clauses:
            joined = f"{clauses[0]} and the {clauses[1]}" if len(clauses) == 2 else clauses[0]
            sentences.append(f"{who} {joined}.")
        if panel.x.quantity and series.trend in ("rises", "falls") and len(facts.series) == 1:
            verb = rng.choice(TREND_WORDS[series.trend])
            sentences.append(f"{known.y or 'The series'} {verb} from left to right.")
    return [_sentence(s) for s in sentences]


def _sentence(clause: str) -> str:
    """A clause as a sentence. Names keep their letters; only our own words ("one curve") get a capital."""
    own_words = clause.startswith((*_ORDINALS, "the curve", "the series"))
    text = clause[0].upper() + clause[1:] if own_words else clause
    return text if text.endswith(".") else text + "."


# Questions and answers


def dialogue(spec: FigureSpec, known: Known, rng: random.Random, count: int) -> list[tuple[str, str]]:
    """Up to `count` different questions about the first panel, each with its true answer."""
    panel, names = spec.panels[0], known[0]
    facts = panel_facts(panel)
    kind = f"It is a {KIND_WORDS[panel.kind][0]}."
    x = f"The horizontal axis shows {names.x}." if names.x else "The label of the horizontal axis is not legible."
    y = f"The vertical axis shows {names.y}." if names.y else "The label of the vertical axis is not legible."
    pairs = [
        (rng.choice(("What kind of chart is this?", "Which type of figure is it?")), kind),
        (rng.choice(("What does the horizontal axis show?", "What is on the x-axis?")), x),
        (rng.choice(("What does the vertical axis show?", "What is on the y-axis?")), y),
    ]
    listed = [name for name in names.series if name]
    if panel.legend and len(listed) == len(panel.series):
        question = rng.choice(("Which series are shown?", "What does the legend list?"))
        pairs.append((question, f"The legend lists {listing(listed)}."))
        if facts.clear_top:
            pairs.append(("Which series is the highest overall?", f"{listed[facts.order[0]]} is the highest overall."))
        if not panel.categories:
            i = rng.randrange(len(listed))
            if facts.series[i].trend != "unclear":
                question = rng.choice((f"How does {listed[i]} behave?", f"What does {listed[i]} do?"))
                pairs.append((question, _sentence(trend_clause(panel, facts.series[i], listed[i], rng))))
    if panel.categories and len(panel.series) == 1:
        series = facts.series[0]
        high, low = names.categories[series.peak_at], names.categories[series.low_at]
        if high:
            pairs.append(("Which bar is the highest?", f"The highest bar is {high} at about {number(series.highest)}."))
        if low:
            pairs.append(("Which bar is the lowest?", f"The lowest bar is {low} at about {number(series.lowest)}."))
    rng.shuffle(pairs)
    return pairs[:count]
