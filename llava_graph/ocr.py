"""OCR lines: the text of a figure, where it stands, and the order in which a person reads it.

Everything that reads or shows the text of a figure speaks in `Line`s: the worker's adapters make them, the queue
carries them, the context prompt prints them, the grounding points at them. This module knows no OCR library.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the upright image; x grows to the right, y downwards; x0 <= x1 and y0 <= y1."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text as an OCR model read it; `confidence` lies in 0..1."""

    text: str
    box: Box
    confidence: float = 1.0

    @property
    def centre(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2

    def to_json(self) -> dict[str, object]:
        return {
            "text": self.text,
            "box": [round(v, 1) for v in self.box],
            "confidence": round(self.confidence, 4),
        }

    @classmethod
    def from_json(cls, raw: dict[str, object]) -> Line:
        """The inverse of `to_json`; raises KeyError, TypeError or ValueError on anything else."""
        x0, y0, x1, y1 = (float(v) for v in raw["box"])  # type: ignore[attr-defined]
        return cls(str(raw["text"]), (x0, y0, x1, y1), float(raw["confidence"]))  # type: ignore[arg-type]


def reading_order(lines: Iterable[Line]) -> list[Line]:
    """Rows from top to bottom, within a row from left to right.

    Two lines share a row when their centres are closer than half the usual line height. Rotated text (taller than
    wide) does not count for that height, and takes its place by its centre like any other line.
    """
    remaining = sorted(lines, key=lambda line: (line.centre[1], line.centre[0]))
    if not remaining:
        return []
    heights = [y1 - y0 for x0, y0, x1, y1 in (line.box for line in remaining) if x1 - x0 >= y1 - y0]
    tolerance = 0.5 * median(heights) if heights else 0.0
    rows: list[list[Line]] = [[remaining[0]]]
    for line in remaining[1:]:
        if line.centre[1] - rows[-1][0].centre[1] <= tolerance:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.centre[0])]
