"""Rendezvous hashing: orders engines for a key, so that each gateway, without talking to another, finds the same one.

Each pair of key and name has a weight, and the engine with the highest weight comes first (D. Thaler, C. Ravishankar,
"Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions on Networking 6(1), 1998). When one of n
engines goes, only the keys that it came first for move, about 1/n of them, and they spread over the others. It knows no
load.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

_WEIGHT_BYTES = 8


def ranked(key: str, names: Iterable[str]) -> list[str]:
    """The names, the one for the key first. Their order in `names` makes no difference."""
    return sorted(names, key=lambda name: (_weight(key, name), name), reverse=True)


def _weight(key: str, name: str) -> bytes:
    # The length of the key keeps ("ab", "c") apart from ("a", "bc").
    return blake2b(f"{len(key)}:{key}{name}".encode(), digest_size=_WEIGHT_BYTES).digest()
