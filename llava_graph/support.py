"""The support check: finds numbers and names of an answer that are printed neither in the figure nor in its caption.

    unsupported("ResNet reaches 93.1 at 40 epochs.", ["ResNet", "40", "Accuracy by epoch"])
    -> [Unsupported(15, 19, "number")]

Deterministic and without a second model. It does not judge whether a statement is true: a number read off a curve is
marked too, because it is printed nowhere, and a true name put to the wrong curve is not. So a mark means "look here".

What counts as a name, in an answer of any model in English: a word that carries a capital within a sentence, capitals
beyond its first letter, or letters and digits together; a Greek letter; every word in quotation marks or backticks, and
the one that follows "labelled", "named", "called" or "titled", save for the words that all sentences are made of. Any
other plain word in lower case is taken for prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from llava_graph.mentions import EVERYDAY, LONG_WORD, Token, tokens_of

Kind = Literal["number", "name"]


@dataclass(frozen=True, slots=True)
class Unsupported:
    """`answer[start:end]` is a number or a name that no source holds. Offsets count characters (code points)."""

    start: int
    end: int
    kind: Kind


MAX_MARKS = 200
"""Marks of one answer; one that earns more is told well enough by these."""

# Numbers as figures print them, looser than in answers: within "ResNet50", "2019/20", "1,5" and "0.2-0.4" too.
_PRINTED = re.compile(r"\d+(?:[.,]\d+)*|[.,]\d+")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_QUOTED = re.compile(r"“([^“”\n]{1,80})”|\"([^\"\n]{1,80})\"|‘([^‘’\n]{1,80})’|`([^`\n]{1,80})`")
_NAMED = re.compile(r"(?<!-)\b(?:labell?ed|named|called|titled|entitled)(?: as)?(?: the| an?)? ([^\W_]+)", re.I)
_HEADING = re.compile(r"^[ \t]*(?:#.*|(?:[-*•][ \t]+)?(?:\*\*|__)?[^\n.!?]{1,60}:(?:\*\*|__)?[ \t]*)$", re.MULTILINE)
# Where a capital says nothing: the first word of the text, of a line, a sentence, a list item.
_BEGINNING = re.compile(r"(?:[.!?][\"'”’)*_]*\s|\n)[\s\"'“‘(*_•\-\d.)#]*\Z")
_LOOK_BACK = 24
"""Characters before a word in which the beginning of its sentence is looked for."""

_COUNTED_WORDS = """
    curve curves line lines bar bars panel panels series group groups row rows column columns point points axis axes
    plot plots subplot subplots subfigure subfigures chart charts figure figures entry entries label labels tick ticks
    peak peaks category categories method methods model models condition conditions color colors colour colours marker
    markers times
"""
_COUNTED = frozenset(_COUNTED_WORDS.split())
_REFERENCES = frozenset(
    ["figure", "fig", "panel", "table", "equation", "eq", "section", "step", "item", "point", "note"]
)
_LARGEST_COUNT = 20

_GREEK = re.compile("[Α-Ωα-ω]")
_AFTER_DIGITS = frozenset(["st", "nd", "rd", "th", "s", "x"])
"""As in 1st, the 90s and 2x: numbers in prose."""

_WITHIN_NAMES = ("", " ", "-", "_", "/", "+")
"""What may stand between two words of one name."""

# Capitals of English and of figures in general that name nothing in a figure.
_NO_NAMES = frozenset(["i", "x", "y", "z", "ok", "english", "latin", "arabic", "roman", "greek"])


def unsupported(answer: str, sources: Iterable[str]) -> list[Unsupported]:
    """The numbers and names of `answer` that stand in none of `sources`, by `start`, never overlapping.

    `sources` is all that is printed: the texts of the OCR lines, and the caption. Names are compared word by word in
    any case, also without a plural's or a genitive's s; numbers by value. Small numbers that count ("3 curves") or
    refer ("Figure 2") are no numbers of the figure. At most MAX_MARKS are returned.
    """
    numbers, words = told(sources)
    tokens = tokens_of(answer)
    marks: list[Unsupported] = []
    for first, last, kind in _merged(answer, tokens, _missing(answer, tokens, numbers, words)):
        marks.append(Unsupported(tokens[first].start, tokens[last].end, kind))
        if len(marks) == MAX_MARKS:
            break
    return marks


def told(sources: Iterable[str]) -> tuple[set[float], set[str]]:
    """All numbers, and all words in lower case, that are printed in the sources."""
    numbers: set[float] = set()
    words: set[str] = set()
    for text in sources:
        for token in tokens_of(text):
            if isinstance(token.key, float):
                numbers.add(token.key)
            elif token.is_word:
                words.add(token.key.casefold())
        for printed in _PRINTED.findall(text):
            numbers |= _readings(printed)
    return numbers, words


def _readings(printed: str) -> set[float]:
    """What a printed number may mean: "1,500" is 1500 or 1.5, and "1.2.3" is three numbers."""
    pieces = re.split(r"[.,]", printed)
    decimal = printed.replace(",", ".")
    readings = {float(piece) for piece in (pieces if len(pieces) > 2 else [decimal])}
    if _THOUSANDS.fullmatch(printed):
        readings.add(float(printed.replace(",", "")))
    return readings


def _missing(answer: str, tokens: list[Token], numbers: set[float], words: set[str]) -> list[tuple[int, Kind]]:
    """Index and kind of each token that is a number or a word of a name, and stands in no source, in their order."""
    quoted = _covered(_QUOTED, answer)
    named = {match.start(1) for match in _NAMED.finditer(answer)}
    headings = _covered(_HEADING, answer)
    names: set[str] = set()
    doubtful: list[int] = []
    found: list[tuple[int, Kind]] = []
    for index, token in enumerate(tokens):
        if isinstance(token.key, float):
            if token.key not in numbers and not counts_or_refers(tokens, index):
                found.append((index, "number"))
        elif token.is_word and not _is_told(token.key, words):
            spelled = answer[token.start : token.end]
            is_named = bool(quoted[token.start]) or token.start in named
            in_heading = bool(headings[token.start])
            if is_named or (not _is_a_unit(tokens, index) and _looks_like_a_name(answer, token, spelled, in_heading)):
                found.append((index, "name"))
                names.add(token.key.casefold())
            elif spelled[0].isupper():
                doubtful.append(index)
    # What is a name in one place is one where it begins a sentence, too.
    found += [(index, "name") for index in doubtful if str(tokens[index].key).casefold() in names]
    return sorted(found)


def _covered(pattern: re.Pattern[str], text: str) -> bytearray:
    """For each character whether it lies in a match."""
    covered = bytearray(len(text))
    for match in pattern.finditer(text):
        covered[match.start() : match.end()] = b"\x01" * (match.end() - match.start())
    return covered


def _is_told(key: str, words: set[str]) -> bool:
    word = key.casefold()
    if word in words or word in EVERYDAY or word in _NO_NAMES:
        return True
    return len(word) >= LONG_WORD and (word.removesuffix("s") in words or word + "s" in words)


def _is_a_unit(tokens: list[Token], index: int) -> bool:
    """Whether a short word stands right after a number, as in "40 °C" and "2.4 GHz"."""
    before = tokens[index - 1].key if index else None
    is_short = tokens[index].end - tokens[index].start <= LONG_WORD
    return is_short and (isinstance(before, float) or before in ("°", "µ"))


def _looks_like_a_name(answer: str, token: Token, spelled: str, in_heading: bool) -> bool:
    if spelled[0].isdigit():
        return spelled.lstrip("0123456789").casefold() not in _AFTER_DIGITS
    if any(char.isupper() or char.isdigit() for char in spelled[1:]) or _GREEK.search(spelled):
        return True
    return spelled[0].isupper() and not in_heading and not _begins_a_sentence(answer, token.start)


def _begins_a_sentence(answer: str, start: int) -> bool:
    before = answer[max(start - _LOOK_BACK, 0) : start]
    if start <= _LOOK_BACK:
        before = "\n" + before
    return _BEGINNING.search(before) is not None


def counts_or_refers(tokens: list[Token], index: int) -> bool:
    """Whether a number counts what can be seen, refers to a figure or panel, or numbers an item of a list."""
    key = tokens[index].key
    if not isinstance(key, float) or not key.is_integer() or not 0 <= key <= _LARGEST_COUNT:
        return False
    before = [str(token.key).casefold() for token in tokens[max(index - 2, 0) : index]]
    after = [str(token.key).casefold() for token in tokens[index + 1 : index + 3]]
    refers = bool(before) and (before[-1] in _REFERENCES or (before[-1] == "." and before[0] in _REFERENCES))
    counts = any(word in _COUNTED for word in after)
    numbers_an_item = after[:1] in ([")"], ["."]) and before[-1:] in ([], ["."], [":"], [";"], ["("])
    return refers or counts or numbers_an_item


def _merged(answer: str, tokens: list[Token], missing: Iterable[tuple[int, Kind]]) -> Iterator[tuple[int, int, Kind]]:
    """First and last token of each mark: neighbouring words of one name in one."""
    run: tuple[int, int, Kind] | None = None
    for index, kind in missing:
        if run and run[2] == kind == "name" and answer[tokens[run[1]].end : tokens[index].start] in _WITHIN_NAMES:
            run = (run[0], index, kind)
            continue
        if run:
            yield run
        run = (index, index, kind)
    if run:
        yield run
