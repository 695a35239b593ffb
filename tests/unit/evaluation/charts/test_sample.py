"""The small sample of drawn charts that is kept here is whole, and small."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import evaluation.suites.charts
from evaluation.suites.charts import truth

SAMPLE = Path(evaluation.suites.charts.__file__).parent / "sample"


def test_each_figure_of_the_sample_is_there_with_its_plot_areas() -> None:
    figures = truth.load(SAMPLE)
    assert {path.name for path in SAMPLE.glob("*.png")} == {figure.file for figure in figures}
    for figure in figures:
        with Image.open(SAMPLE / figure.file) as image:
            width, height = image.size
        for panel in figure.panels:
            assert (panel.area is None) == (panel.abstain is not None)
            if panel.area is not None:
                x0, y0, x1, y1 = panel.area
                assert 0 <= x0 < x1 <= width
                assert 0 <= y0 < y1 <= height


def test_sample_is_of_several_tools_and_kinds_and_small() -> None:
    figures = truth.load(SAMPLE)
    assert len({figure.tool for figure in figures}) >= 5
    assert {"line", "grouped_bar", "stacked_bar", "scatter", "other"} <= {figure.panels[0].kind for figure in figures}
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 500_000
