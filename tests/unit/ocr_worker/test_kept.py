"""OCR results that are kept: found by pixels and revision, by nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llava_graph.ocr import Line
from ocr_worker.engines import OcrEngine, Pixels
from ocr_worker.engines.kept import KeptReadings

FIGURE = np.full((40, 60, 3), 255, np.uint8)
OTHER = np.zeros((40, 60, 3), np.uint8)


@dataclass
class Counting(OcrEngine):
    """An engine that counts what it is asked."""

    revision: str = "one"
    figures: int = 0
    crops: int = 0
    texts: list[str] = field(default_factory=lambda: ["Zinc µ", "12"])

    def read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        self.figures += len(images)
        return [[Line(self.texts[0], (1.0, 2.0, 30.0, 12.0), 0.9)] for _ in images]

    def read_crops(self, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        self.crops += len(crops)
        return [(self.texts[1], 0.75) for _ in crops]


def test_a_figure_is_read_once_and_then_kept_for_other_processes(tmp_path: Path) -> None:
    engine = Counting()
    with KeptReadings(engine, tmp_path / "ocr.sqlite") as first:
        lines = first.read([FIGURE])
    with KeptReadings(engine, tmp_path / "ocr.sqlite") as second:
        assert second.read([FIGURE]) == lines
    assert engine.figures == 1


def test_another_figure_or_another_revision_is_read(tmp_path: Path) -> None:
    engine, newer = Counting(), Counting("two")
    with KeptReadings(engine, tmp_path / "ocr.sqlite") as kept:
        kept.read([FIGURE, OTHER])
        kept.read([FIGURE[:, :30]])
    with KeptReadings(newer, tmp_path / "ocr.sqlite") as kept:
        kept.read([FIGURE])
    assert (engine.figures, newer.figures) == (3, 1)


def test_crops_are_kept_apart_from_figures(tmp_path: Path) -> None:
    engine = Counting()
    with KeptReadings(engine, tmp_path / "ocr.sqlite") as kept:
        kept.read([FIGURE])
        assert kept.read_crops([FIGURE]) == kept.read_crops([FIGURE]) == [("12", 0.75)]
    assert (engine.figures, engine.crops) == (1, 1)
