"""Tokenises answers and texts of figures into words, numbers and signs, everywhere in the same way, for comparison.

Grounding (what of an answer stands in the figure) and the support check (what of it stands nowhere) both speak in these
tokens. Texts are untrusted: nothing here raises, and the time is linear in their length.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

LONG_WORD = 4
"""Words from this length on are compared in any case, and are no units."""

_ACRONYM = 5
"""Capitals up to this length are an acronym, which keeps its case; more of them are a label that shouts."""

# A number is one only when it stands alone: not in "m2", "3D", "1.2.3" or "1,5". A dash before it is its sign unless
# something stands before the dash, as in "10-20". Possessive (`++`), so that nothing is tried twice.
_TOKEN = re.compile(
    r"(?P<power>(?<![^\W_])10⁻?[⁰¹²³⁴-⁹]{1,2}(?![^\W_]))"
    r"|(?P<number>(?<![^\W_])(?<!\d[.,])(?:(?<![\])%°])[-−–])?"
    r"(?:\d{1,3}+(?:,\d{3})++(?:\.\d++)?+|\d++(?:\.\d++)?+|\.\d++)(?:[eE][-−–+]?\d++)?+(?![^\W_])(?![.,]\d))"
    r"|(?P<word>[^\W_]++)"
    r"|(?P<sign>\S)"
)
_DASHES = "-‐‑‒–—−"
# The last four stand for what `context.neutralise` puts in place of signs that could make a command.
_SAME_SIGN = str.maketrans(_DASHES + "’‘“”‹⟦：", "-" * len(_DASHES) + "''\"\"<[:")
_OURS = """
    a an the and or nor but of to in on at by for from with without as than then so that this these those it its is are
    was were be been being has have had do does did not no if when where which who while into onto over under above
    below between within per via about near around against across along toward towards each every all both some any
    most more less few only also very just here there i we you he she they them their our your his her
    one two three four five six seven eight nine ten first second third last another other others same such
    figure figures fig chart charts plot plots plotted graph graphs image panel panels axis axes line lines curve curves
    bar bars point points series legend label labels title caption horizontal vertical scatter grouped
    show shows shown showing rise rises rising increase increases increasing grow grows growing climb climbs fall falls
    falling decrease decreases decreasing decline declines drop drops stay stays flat nearly constant hardly changes
    peak peaks dip dips reach reaches go goes through cross crosses highest lowest overall lies value values
"""
OUR_WORDS = frozenset(_OURS.split())
"""Words of our own sentences: a stretch made of these alone names nothing, whatever the figure says."""

_CONDITIONS = """
    low lower high higher left right up down top bottom upper inner outer small large big medium long short fast slow
    early late old new young before after north south east west male female hot cold wet dry warm mild severe
"""
EVERYDAY = OUR_WORDS | frozenset(_CONDITIONS.split())
"""And words that name curves but also occur by themselves: a name of these alone must be spelled as in the figure."""

Key = str | float


class Token(NamedTuple):
    """`key` is what tokens are compared by; a word or a sign has a text, a number its value."""

    key: Key
    start: int
    end: int
    is_word: bool


def tokens_of(text: str) -> list[Token]:
    """The text in tokens, in order; white space between them is dropped, everything else is in one of them."""
    tokens = []
    for match in _TOKEN.finditer(text):
        kind, found = match.lastgroup, match[0]
        key: Key
        if kind == "number":
            key = float(found.replace(",", "").translate(_SAME_SIGN))
        elif kind == "power":  # as log axes have them
            key = float(f"1e{unicodedata.normalize('NFKC', found[2:]).translate(_SAME_SIGN)}")
        elif kind == "word":
            key = _word_key(found)
        else:
            key = found.translate(_SAME_SIGN)
        tokens.append(Token(key, match.start(), match.end(), kind == "word"))
    return tokens


def _word_key(word: str) -> str:
    if not word.isascii():
        word = unicodedata.normalize("NFKC", word)  # the micro sign and mu, ligatures, full-width letters
    folded = word.casefold()
    is_acronym = len(word) < LONG_WORD or (len(word) <= _ACRONYM and word.isupper())
    return word if is_acronym and folded not in EVERYDAY else folded
