"""Token statistics: counted lengths by value, so that any quantile of 400,000 samples costs a few kilobytes.

With a `tokenizer.json` (any model's, read by the `tokenizers` library) the unit is that model's token, without special
tokens and without the image's; without one it is the word between white space, and the statistics say so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from data.errors import BuildError

QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Counts a text's tokens. `tokenizer` is the path of a tokenizer.json, None counts words."""

    tokenizer: str | None = None

    @property
    def unit(self) -> str:
        return "words" if self.tokenizer is None else "tokens"

    def __call__(self, text: str) -> int:
        """Raises BuildError when the tokenizer cannot be read."""
        return len(text.split()) if self.tokenizer is None else _counter(self.tokenizer)(text)


@lru_cache(maxsize=4)
def _counter(path: str) -> Callable[[str], int]:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise BuildError("counting tokens needs the `tokenizers` library: pip install 'llava-graph[data]'") from error
    try:
        tokenizer = Tokenizer.from_str(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror or error}") from error
    except Exception as error:
        raise BuildError(f"{path}: not a tokenizer.json: {error}") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


@dataclass
class Lengths:
    """How often each length occurs."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, length: int) -> None:
        self.counts[length] += 1

    def merge(self, other: Lengths) -> None:
        self.counts.update(other.counts)

    @property
    def total(self) -> int:
        return sum(length * count for length, count in self.counts.items())

    def describe(self) -> dict[str, float]:
        """n, total, mean, sd (of the population), min, quantiles (nearest rank), max; zeros when there is none."""
        n = self.counts.total()
        if n == 0:
            return {"n": 0, "total": 0, "mean": 0.0, "sd": 0.0, "min": 0, **{_q(q): 0 for q in QUANTILES}, "max": 0}
        mean = self.total / n
        variance = sum(count * (length - mean) ** 2 for length, count in self.counts.items()) / n
        ordered = sorted(self.counts)
        quantiles = {}
        for quantile in QUANTILES:
            rank, seen = math.ceil(quantile * n), 0
            for length in ordered:
                seen += self.counts[length]
                if seen >= rank:
                    quantiles[_q(quantile)] = length
                    break
        return {
            "n": n,
            "total": self.total,
            "mean": round(mean, 2),
            "sd": round(math.sqrt(variance), 2),
            "min": ordered[0],
            **quantiles,
            "max": ordered[-1],
        }

    def to_json(self) -> dict[str, int]:
        return {str(length): count for length, count in sorted(self.counts.items())}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Lengths:
        return cls(Counter({int(length): int(count) for length, count in raw.items()}))


def _q(quantile: float) -> str:
    return f"p{round(quantile * 100)}"
