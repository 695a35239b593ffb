"""Finds names in a text: exact letters, ignoring case and white space.

A name counts only where it stands free: "ABC" is not found in "ABC+" or "ABC-Net", "rho = 1" not in "rho = 1.5".
Pure functions over strings; what the names mean is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

LENIENT_FROM = 6
"""Names with at least so many letters may have one slip and still count for `named_leniently`."""

_WORD = re.compile(r"\S+")
_PUNCTUATION = ".,;:!?()[]\"'“”"


def squeezed(text: str) -> str:
    """The letters alone: neither case nor white space."""
    return "".join(text.split()).casefold()


@lru_cache(maxsize=4096)
def _pattern(name: str) -> re.Pattern[str]:
    letters = r"\s*".join(re.escape(char) for char in "".join(name.split()))
    return re.compile(
        rf"(?<![^\W_])(?<![^\W_][-‐‑])(?<!\d[.,]){letters}(?![^\W_])(?![-‐‑][^\W_])(?![+*])(?![.,]\d)", re.IGNORECASE
    )


def stands_in(name: str, text: str) -> bool:
    """Whether `name` stands free somewhere in `text`. An empty name stands nowhere."""
    return bool(name.strip()) and _pattern(name).search(text) is not None


def located(names: Iterable[str], text: str) -> list[tuple[int, int, str]]:
    """Where names stand in a text, as (start, end, name) in order of place. Longer names win over those within them."""
    taken = bytearray(len(text))
    found = []
    for name in sorted({name for name in names if name.strip()}, key=lambda name: (-len(squeezed(name)), name)):
        for match in _pattern(name).finditer(text):
            start, end = match.span()
            if not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                found.append((start, end, name))
    return sorted(found)


def named_leniently(name: str, text: str) -> bool:
    """Whether some stretch of the text is the name with at most one letter wrong, missing or too many."""
    if stands_in(name, text):
        return True
    wanted = squeezed(name)
    if len(wanted) < LENIENT_FROM:
        return False
    words = [word.strip(_PUNCTUATION) for word in _WORD.findall(text)]
    usual = len(name.split())
    for count in {max(usual - 1, 1), usual, usual + 1}:  # a slip can also be a space lost or won
        for i in range(len(words) - count + 1):
            if _one_slip(squeezed("".join(words[i : i + count])), wanted):
                return True
    return False


def _one_slip(a: str, b: str) -> bool:
    """Whether at most one insertion, deletion or substitution makes `b` of `a`."""
    if abs(len(a) - len(b)) > 1:
        return False
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[same + 1 :] == b[same + 1 :] or a[same:] == b[same + 1 :] or a[same + 1 :] == b[same:]
