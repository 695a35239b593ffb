"""Figures by R's own graphics; see r_own.R."""

from __future__ import annotations

from pathlib import Path

from evaluation.suites.charts.draw import r_process
from evaluation.suites.charts.draw.specs import Drawing
from llava_graph.chart import Box

_SCRIPT = Path(__file__).with_name("r_own.R")


def draw(drawing: Drawing, folder: Path) -> list[Box | None]:
    """Draw the figure into the folder; where its plot areas are. Raises subprocess.CalledProcessError, ValueError."""
    return r_process.run(_SCRIPT, drawing, folder)
