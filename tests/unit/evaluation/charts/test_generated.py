"""Figures of our own generator come out as truth in the format of all sets."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from evaluation.suites.charts import generated, truth


def test_generated_figures_are_drawn_and_described(tmp_path: Path) -> None:
    truth.write(generated.figures(range(2_000_000, 2_000_006), tmp_path), tmp_path)
    figures = truth.load(tmp_path)
    assert [figure.id for figure in figures] == [f"generator-{seed}" for seed in range(2_000_000, 2_000_006)]
    for figure in figures:
        with Image.open(tmp_path / figure.file) as image:
            width, height = image.size
        for panel in figure.panels:
            assert panel.area is not None
            assert 0 <= panel.area[0] < panel.area[2] <= width
            assert 0 <= panel.area[1] < panel.area[3] <= height
            assert all(series.points and series.complete for series in panel.series)
            if panel.x.scale == "category":
                assert [category for category, _ in panel.series[0].points] == list(panel.x.categories)
