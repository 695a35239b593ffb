"""The `context` choice of a request: which of caption, OCR text and chart data a model is told besides the pixels.

    ContextParts.parse("caption,chart"), ContextParts.parse(["ocr"]), ContextParts.parse("both"), str(parts)

The one type for this choice in requests, receipts, training and evaluation. No web framework is known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PARTS = ("caption", "ocr", "chart")

_NAMED_SETS = {"none": (), "both": ("caption", "ocr"), "all": PARTS}
"""`both` is from before there was chart data, and keeps its meaning."""


@dataclass(frozen=True, slots=True)
class ContextParts:
    """Which parts of the context a model is told."""

    caption: bool = True
    ocr: bool = True
    chart: bool = True

    @classmethod
    def parse(cls, choice: str | Iterable[str]) -> ContextParts:
        """From part names, or from text: names parted by commas, or `none`, `both`, `all`.

        Raises ValueError, fit to be shown, for a name that is none of these.
        """
        words = choice.split(",") if isinstance(choice, str) else list(choice)
        names = [str(word).strip().casefold() for word in words]
        if len(names) == 1 and names[0] in _NAMED_SETS:
            names = list(_NAMED_SETS[names[0]])
        for name in names:
            if name not in PARTS:
                known = ", ".join((*PARTS, *_NAMED_SETS))
                raise ValueError(f"{name[:40]!r} is no part of the context (known: {known})")
        return cls(*(part in names for part in PARTS))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts that are told, in the order in which a prompt shows them."""
        return tuple(part for part in PARTS if getattr(self, part))

    def __str__(self) -> str:
        """What `parse` reads: the name of the set where it has one, else its parts."""
        sets = {parts: name for name, parts in _NAMED_SETS.items()}
        return sets.get(self.names, ",".join(self.names))
