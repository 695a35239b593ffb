"""Grounding: links stretches of an answer to the OCR lines that they name.

    ground("Growth rate rises to 1,000.", lines) -> [Link(0, 11, line=3), Link(21, 26, line=7)]

Answer and OCR lines are cut into tokens (words, numbers, single signs) in the same way, and a stretch of the answer is
linked when its tokens are those of a line, or of a line without its unit. So "a" is not found inside "rates", nor "1"
inside "10" or "0.1". Both texts are untrusted: nothing here raises, and the time is linear in their lengths.

It knows no model and no prompt, and does not judge whether what the answer says of a name is true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from llava_graph.mentions import EVERYDAY, LONG_WORD, OUR_WORDS, Key, Token, tokens_of
from llava_graph.ocr import Line


@dataclass(frozen=True, slots=True)
class Link:
    """`answer[start:end]` names the text of `lines[line]`. Offsets count characters (code points)."""

    start: int
    end: int
    line: int


MAX_NAME_TOKENS = 32
"""A line longer than this is running text that no sentence quotes whole. The bound keeps the search linear."""

_OPENING, _CLOSING = "([{", ")]}"
_EDGE_SIGNS = ".,;:!?•·|-'\"=~_"

# What stands directly before or after a name and makes another name of it, unless it is emphasis: "*name*", "_name_".
_GLUE = "_+*^#@"


@dataclass(slots=True)
class _Node:
    """A place in the tree of names. `ends` maps the spelling asked for (None: any) to the best line that ends here."""

    children: dict[Key, _Node] = field(default_factory=dict)
    ends: dict[str | None, tuple[bool, float, int]] = field(default_factory=dict)


def ground(answer: str, lines: Sequence[Line]) -> list[Link]:
    """Links each stretch of `answer` that names a text of the figure to the line it stands on.

    Longer names win over shorter ones, links never overlap and are sorted by `start`. Words of four and more letters
    match in any case, shorter ones and acronyms only as they are; numbers match by value ("0.50" is "0.5"); an axis
    label also matches without its unit. Of several lines with one name the most confident is taken, then the first.
    """
    tree = _tree(lines)
    tokens = tokens_of(answer)
    found: list[tuple[int, int, int]] = []  # first token, token past the last, line
    for first in range(len(tokens)):
        node: _Node | None = tree
        for past in range(first + 1, min(first + MAX_NAME_TOKENS, len(tokens)) + 1):
            node = node.children.get(tokens[past - 1].key) if node else None
            if node is None:
                break
            if node.ends and (line := _line(answer, tokens[first], tokens[past - 1], node)) is not None:
                found.append((first, past, line))
    found.sort(key=lambda hit: (tokens[hit[0]].start - tokens[hit[1] - 1].end, hit[0]))
    taken = bytearray(len(tokens))
    links = []
    for first, past, line in found:
        if not any(taken[first:past]):
            taken[first:past] = b"\x01" * (past - first)
            links.append(Link(tokens[first].start, tokens[past - 1].end, line))
    return sorted(links, key=lambda link: link.start)


def _line(answer: str, first: Token, last: Token, node: _Node) -> int | None:
    """The line that the stretch from `first` to `last` names, if it ends as a name at this node and stands free."""
    stretch = answer[first.start : last.end]
    end = node.ends.get(stretch) or node.ends.get(None)
    return end[2] if end and not _glued(answer, first, last) else None


def _glued(answer: str, first: Token, last: Token) -> bool:
    """Whether the stretch is only a part of a longer name: `ABC` of "ABC+", `Beta` of "Beta-2", `s` of "1/s"."""
    start, end = first.start, last.end
    before, after = answer[start - 1 : start], answer[end : end + 1]
    two_before, two_after = answer[max(start - 2, 0) : max(start - 1, 0)], answer[end + 1 : end + 2]
    if before != after and ((before and before in _GLUE) or (after and after in _GLUE)):
        return True
    if before and two_before.isalnum() and first.is_word and before in "-‐‑'’":
        return True
    if after and last.is_word and after in "-‐‑." and (two_after.isdigit() or (after != "." and two_after.isupper())):
        return True
    # A slash parts words that stand beside each other ("loss/accuracy"), but short ones are units.
    is_short = end - start < LONG_WORD
    return is_short and ((before == "/" and two_before.isalnum()) or (after == "/" and two_after.isalnum()))


def _tree(lines: Sequence[Line]) -> _Node:
    root = _Node()
    for index, line in enumerate(lines):
        for tokens, is_part in _names(line.text):
            node = root
            for token in tokens:
                child = node.children.get(token.key)
                if child is None:
                    child = node.children[token.key] = _Node()
                node = child
            spelling = line.text[tokens[0].start : tokens[-1].end] if _is_everyday(tokens) else None
            rank = (is_part, -line.confidence, index)
            node.ends[spelling] = min(node.ends.get(spelling, rank), rank)
    return root


def _names(text: str) -> Iterator[tuple[list[Token], bool]]:
    """The token sequences that name a line, and whether each is only a part of it."""
    tokens = tokens_of(text)
    if len(tokens) > MAX_NAME_TOKENS:
        return
    whole = _without_edge_signs(tokens)
    variants = [(tokens, False), (_without_edge_signs(_without_unit(text, whole)), True)]
    if len(whole) < len(tokens):
        variants.append((whole, False))
    if len(tokens) > 1 and all(isinstance(token.key, float) for token in tokens):
        variants += [([token], True) for token in tokens]  # a row of tick labels that the OCR took for one line
    for variant, is_part in variants:
        if _is_name(variant) or _is_spelled_as_a_name(text, variant):
            yield variant, is_part


def _without_edge_signs(tokens: list[Token]) -> list[Token]:
    first, past = 0, len(tokens)
    while first < past and str(tokens[first].key) in _EDGE_SIGNS:
        first += 1
    while past > first and str(tokens[past - 1].key) in _EDGE_SIGNS:
        past -= 1
    return tokens[first:past]


def _without_unit(text: str, tokens: list[Token]) -> list[Token]:
    """The tokens before a unit: "Time (s)", "Time [s" with the bracket lost, "Time / s", "Time, s", "50 %"."""
    keys = [token.key for token in tokens]
    if len(tokens) == 2 and isinstance(keys[0], float) and keys[1] in ("%", "°"):
        return tokens[:1]
    for i in range(len(tokens) - 1, 0, -1):
        rest = keys[i + 1 :]
        if str(keys[i]) in _OPENING:
            closed = [j for j, key in enumerate(rest) if str(key) in _CLOSING]
            return tokens[:i] if not closed or closed[0] == len(rest) - 1 else []
        is_slash = keys[i] == "/" and text[tokens[i].start - 1].isspace()
        is_comma = keys[i] == "," and len(rest) == 1
        if (is_slash or is_comma) and rest and len(text) - tokens[i].end <= 8:
            return tokens[:i]
    return []


def _is_name(tokens: list[Token]) -> bool:
    """Whether the tokens say something that is not said anyway: not "the", "rises", "--", but "(a)" for a panel."""
    if any(isinstance(token.key, float) or (token.is_word and token.key not in OUR_WORDS) for token in tokens):
        return True
    keys = [token.key for token in tokens]
    return len(keys) == 3 and keys[0] == "(" and keys[2] == ")" and tokens[1].end - tokens[1].start == 1


def _is_spelled_as_a_name(text: str, tokens: list[Token]) -> bool:
    """Whether capitals make a name of our own words: "AT", "Line A". A lone "A" is none.

    Of such a name the spelling must be the same, see `_is_everyday`.
    """
    words = [text[token.start : token.end] for token in tokens if token.is_word]
    return any(word.isupper() and (len(word) > 1 or len(words) > 1) for word in words)


def _is_everyday(tokens: list[Token]) -> bool:
    return all(token.is_word and str(token.key).casefold() in EVERYDAY for token in tokens)
