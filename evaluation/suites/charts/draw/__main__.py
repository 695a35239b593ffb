"""Draws the set: python -m evaluation.suites.charts.draw --out DIR [--tool gnuplot] [--seed 12]

Needs gnuplot, R with ggplot2 and jsonlite, pdflatex with pgfplots and pdftoppm (poppler), and the Python packages
vl-convert-python, plotly and kaleido (with a Chromium). A tool that is missing is an error, unless others are named.
"""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
from pathlib import Path
from typing import Protocol

import click

from evaluation.suites.charts import truth
from evaluation.suites.charts.draw.specs import COUNTS, Drawing, drawings
from llava_graph.chart import Box

DEFAULT_SEED = 12
_MODULES = {"r": "r_own", "plotly": "plotly_own"}  # plain names would be those of other things


class _Tool(Protocol):
    def draw(self, drawing: Drawing, folder: Path) -> list[Box | None]: ...


@click.command()
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option(
    "--tool", "tools", type=click.Choice(sorted(COUNTS)), multiple=True, help="Only this tool; may be repeated."
)
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True)
@click.option("--split", type=click.Choice(("dev", "test", "all")), default="all", show_default=True)
@click.option("--count", type=click.IntRange(min=1), help="Figures of each tool; the usual numbers otherwise.")
def main(folder: Path, tools: tuple[str, ...], seed: int, split: str, count: int | None) -> None:
    """Draw figures with tools that our generator does not use, and write what is known of them."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = tools or tuple(COUNTS)
    kept = [figure for figure in _known(folder) if figure.tool not in chosen]
    for name in chosen:
        tool: _Tool = importlib.import_module(f"evaluation.suites.charts.draw.{_MODULES.get(name, name)}")
        for drawing in drawings(name, seed, count):
            if split not in ("all", drawing.truth.split):
                continue
            try:
                boxes = tool.draw(drawing, folder)
            except (subprocess.CalledProcessError, OSError, ValueError) as error:
                said = getattr(error, "stderr", None) or error
                raise click.ClickException(f"{drawing.truth.id} ({drawing.truth.form}): {said}") from error
            panels = zip(drawing.truth.panels, boxes, strict=True)
            placed = tuple(dataclasses.replace(panel, area=box) for panel, box in panels)
            kept.append(dataclasses.replace(drawing.truth, panels=placed))
        truth.write(kept, folder)
        click.echo(f"{name}: {sum(figure.tool == name for figure in kept)} figures")


def _known(folder: Path) -> list[truth.TruthFigure]:
    return truth.load(folder) if (folder / truth.TRUTH_FILE).exists() else []


if __name__ == "__main__":
    main()
