"""What an answer states: its sentences taken apart into names and claims, without asking whether they are true.

The grammar is that of `synthetic.write`: an opening sentence with the axes and series, a clause for each curve with a
verb of `TREND_WORDS` and its numbers, comparisons, the highest and lowest bars. What does not fit comes back as
`leftovers`. Answers come from models: any text is taken, and a figure's truth is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from synthetic.facts import Trend
from synthetic.write import KIND_WORDS, TREND_WORDS

Extreme = Literal["highest", "lowest"]


@dataclass(frozen=True, slots=True)
class TrendClaim:
    """What one curve is said to do. Numbers are as written: `start` and `end`, or `level` and its place `at`.

    `panel` is the panel that the sentence is about, None where the answer does not say. `subject` is empty where the
    clause has none.
    """

    panel: int | None
    subject: str
    trend: Trend
    start: str | None = None
    end: str | None = None
    level: str | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class SeriesExtreme:
    """`subject` is said to lie highest or lowest of all curves."""

    panel: int | None
    subject: str
    which: Extreme


@dataclass(frozen=True, slots=True)
class BarExtreme:
    """`category` is said to be the highest or lowest bar, of `series` where several stand side by side."""

    panel: int | None
    series: str | None
    category: str
    which: Extreme
    level: str | None


@dataclass(frozen=True, slots=True)
class CrossingClaim:
    panel: int | None
    names: tuple[str, str]
    at: str


@dataclass(slots=True)
class Statements:
    """An answer taken apart. `slots` are all names in it, at the places where the grammar wants a name."""

    slots: list[str] = field(default_factory=list)
    trends: list[TrendClaim] = field(default_factory=list)
    series_extremes: list[SeriesExtreme] = field(default_factory=list)
    bar_extremes: list[BarExtreme] = field(default_factory=list)
    crossings: list[CrossingClaim] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


_NUMBER = r"[-−]?\d[\d,]*(?:\.\d+)?"
_KINDS = "|".join(sorted((words for kinds in KIND_WORDS.values() for words in kinds), key=len, reverse=True))
_VERBS = {words: trend for trend, verbs in TREND_WORDS.items() for words in verbs}

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_PANEL = re.compile(r"in panel \(?([a-c])\)?\s*,?\s*", re.IGNORECASE)
_OPENING = re.compile(rf"(?:the|this) (?:{_KINDS}|figure|chart|plot) (?:shows|plots) (?P<what>.+)", re.IGNORECASE)
_OPENING_OF = re.compile(rf"(?:the|this) figure is an? (?:{_KINDS}) of (?P<what>.+)", re.IGNORECASE)
_AXES = re.compile(r"(?P<y>.+?) (?:against|as a function of|over|versus) (?P<x>.+)", re.IGNORECASE)
_COUNT = re.compile(r"(?:one|\d+) series", re.IGNORECASE)
_SERIES_EXTREME = re.compile(
    r"(?:overall, )?(?P<subject>.+?) (?:is the (?P<is>highest|lowest)(?: overall)?|lies (?P<lies>highest|lowest))",
    re.IGNORECASE,
)
_CROSSING = re.compile(rf"(?P<a>.+?) and (?P<b>.+?) cross near (?P<at>{_NUMBER})", re.IGNORECASE)
_OF_SERIES = re.compile(r"for (?P<series>.+?), (?=the (?:highest|lowest))", re.IGNORECASE)
_BAR_EXTREME = re.compile(
    rf"the (?P<which>highest|lowest)(?: bar)? is (?P<category>.+?)(?: at about (?P<level>{_NUMBER}))?"
    r"(?:$| and (?=the (?:highest|lowest)))",
    re.IGNORECASE,
)
_VERB = re.compile(rf"\b(?:{'|'.join(sorted(_VERBS, key=len, reverse=True))})\b", re.IGNORECASE)
_FROM_TO = re.compile(rf"\s+from about (?P<start>{_NUMBER})(?: to about (?P<end>{_NUMBER}))?", re.IGNORECASE)
_AT_NEAR = re.compile(rf"\s+at about (?P<level>{_NUMBER})(?:,? near (?P<at>{_NUMBER}))?", re.IGNORECASE)
_LEFT_TO_RIGHT = re.compile(r"\s+from left to right", re.IGNORECASE)
_CONNECTOR = re.compile(r"(?:[,;]|(?:and|but|while|whereas|then|overall)\b)\s*", re.IGNORECASE)
_GENERIC = re.compile(
    r"(?:(?:the|one|another|a third|a fourth|each|this|that)\s+)?(?:curve|series|line|bar)"
    r"|(?:the )?(?:horizontal|vertical) axis|it|they",
    re.IGNORECASE,
)


def parse(answer: str) -> Statements:
    """Takes an answer apart, sentence by sentence."""
    statements = Statements()
    panel: int | None = None
    for sentence in _SENTENCE_END.split(answer.strip()):
        text = sentence.removesuffix(".").strip()
        if opening := _PANEL.match(text):
            panel = "abc".index(opening[1].lower())
            text = text[opening.end() :]
        if text:
            _sentence(statements, panel, text)
    return statements


def _sentence(statements: Statements, panel: int | None, text: str) -> None:
    if match := _OPENING.fullmatch(text) or _OPENING_OF.fullmatch(text):
        what, _, names = match["what"].partition(" for ")
        axes = _AXES.fullmatch(what)
        _add_slots(statements, *((axes["y"], axes["x"]) if axes else (what,)), *_listed(names))
    elif match := _CROSSING.fullmatch(text):
        statements.crossings.append(CrossingClaim(panel, (match["a"], match["b"]), match["at"]))
        _add_slots(statements, match["a"], match["b"])
    elif _bars(statements, panel, text):
        pass
    elif match := _SERIES_EXTREME.fullmatch(text):
        which: Extreme = "highest" if (match["is"] or match["lies"]).lower() == "highest" else "lowest"
        statements.series_extremes.append(SeriesExtreme(panel, match["subject"], which))
        _add_slots(statements, match["subject"])
    else:
        _trends(statements, panel, text)


def _bars(statements: Statements, panel: int | None, text: str) -> bool:
    """Reads a sentence about the highest and lowest bars; False when it is none."""
    of_series = _OF_SERIES.match(text)
    place = of_series.end() if of_series else 0
    claims = []
    while match := _BAR_EXTREME.match(text, place):
        claims.append(match)
        place = match.end()
    if not claims or place < len(text):
        return False
    series = of_series["series"] if of_series else None
    for match in claims:
        which: Extreme = "highest" if match["which"].lower() == "highest" else "lowest"
        statements.bar_extremes.append(BarExtreme(panel, series, match["category"], which, match["level"]))
    _add_slots(statements, series or "", *(match["category"] for match in claims))
    return True


def _trends(statements: Statements, panel: int | None, text: str) -> None:
    """Clauses with a verb of `TREND_WORDS`; a clause without a subject of its own has that of the clause before."""
    place, subject = 0, ""
    for verb in _VERB.finditer(text):
        if verb.start() < place:
            continue
        own = _without_connectors(text[place : verb.start()])
        if own:
            subject = own
            _add_slots(statements, own)
        place = verb.end()
        numbers: dict[str, str | None] = {}
        for tail in (_FROM_TO, _AT_NEAR, _LEFT_TO_RIGHT):
            if match := tail.match(text, place):
                numbers |= match.groupdict()
                place = match.end()
        statements.trends.append(TrendClaim(panel, subject, _VERBS[verb[0].lower()], **numbers))
    rest = _without_connectors(text[place:])
    if rest:
        statements.leftovers.append(rest)


def _without_connectors(text: str) -> str:
    text = text.strip()
    while match := _CONNECTOR.match(text):
        text = text[match.end() :]
    return text.strip(" ,;")


def _listed(names: str) -> Iterator[str]:
    """The names of "A, B and C"."""
    for part in names.split(", "):
        yield from part.split(" and ")


def _add_slots(statements: Statements, *names: str) -> None:
    """Notes names; "the curve" or "the vertical axis" stand where a name would, and are none."""
    for name in names:
        clean = name.strip(" ,;:")
        if clean and not _GENERIC.fullmatch(clean) and not _COUNT.fullmatch(clean):
            statements.slots.append(clean)
