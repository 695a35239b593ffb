"""The chart reader behind the worker's OCR engine: figures drawn by matplotlib, read from their pixels alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from llava_graph.chart import Panel
from ocr_worker.charts import Deadline, read_chart
from ocr_worker.engines import Pixels

rapid = pytest.importorskip("ocr_worker.engines.rapid", reason="RapidOCR is not installed")


@pytest.fixture(scope="module")
def read() -> Callable[[Pixels], Panel]:
    """Reads a figure that has one panel."""
    engine = rapid.RapidEngine(threads=1)

    def reread(crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        found = engine._models.recognise([np.ascontiguousarray(crop[:, :, ::-1]) for crop in crops])
        return [(reading.text, reading.confidence) for reading in found]

    def one(image: Pixels) -> Panel:
        (panel,) = read_chart(image, engine.read([image])[0], Deadline(60), reread).panels
        return panel

    return one


def drawn(draw: Callable[[Axes], None]) -> Pixels:
    figure, axes = plt.subplots(figsize=(6, 4), dpi=120)
    draw(axes)
    file = io.BytesIO()
    figure.savefig(file)
    plt.close(figure)
    return np.asarray(Image.open(file).convert("RGB"))


def test_curves_of_a_printed_legend_are_read(read: Callable[[Pixels], Panel]) -> None:
    x = np.linspace(0, 20, 60)

    def draw(axes: Axes) -> None:
        axes.plot(x, 5 + 40 * (1 - np.exp(-x / 5)), label="Treated")
        axes.plot(x, 30 - x, "--", label="Control")
        axes.set(xlabel="Time (h)", ylabel="Mass (g)")
        axes.legend()

    panel = read(drawn(draw))
    series = {s.name: {f.kind: f for f in s.facts} for s in panel.series}
    assert panel.x.label == "Time (h)"
    assert panel.y.unit == "g"
    assert series["Treated"]["trend"].text == "rises"
    assert series["Control"]["last"].y == pytest.approx(10, abs=1)
    assert series["Treated"]["maximum"].y == pytest.approx(44.3, abs=1)


def test_bars_with_names_are_read(read: Callable[[Pixels], Panel]) -> None:
    panel = read(drawn(lambda axes: axes.bar(["Oats", "Wheat", "Barley"], [12, 31, 22])))
    assert panel.kind == "bar"
    assert {p.x: p.y for p in panel.series[0].points} == pytest.approx({"Oats": 12, "Wheat": 31, "Barley": 22}, abs=0.5)


def test_a_pie_and_a_heat_map_are_not_claimed() -> None:
    engine = rapid.RapidEngine(threads=1)
    rng = np.random.default_rng(0)
    for draw in (
        lambda axes: axes.pie([3, 4, 5], labels=["Oats", "Wheat", "Barley"]),
        lambda axes: axes.imshow(rng.normal(size=(8, 10)), aspect="auto"),
    ):
        image = drawn(draw)
        assert not read_chart(image, engine.read([image])[0], Deadline(60)).claims
