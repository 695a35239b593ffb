"""The figures of `llava-graph demo`, read with real OCR and compared with the data that they were drawn from."""

from __future__ import annotations

import functools
import re
import runpy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data.synthetic.spec import FigureSpec
from llava_graph.chart import Chart, Panel, Series
from llava_graph.checks import checks
from llava_graph.figure import open_figure
from ocr_worker.charts import Deadline, read_chart

rapid = pytest.importorskip("ocr_worker.engines.rapid", reason="RapidOCR is not installed")

EXAMPLES = Path(__file__).parents[4] / "examples"

WITHIN = 0.02
"""Share of the value axis."""


@functools.cache
def read(name: str) -> Chart:
    engine = rapid.RapidEngine(threads=1)
    image = np.asarray(open_figure((EXAMPLES / name).read_bytes()).image)
    return read_chart(image, engine.read([image])[0], Deadline(60), engine.read_crops)


def only(chart: Chart) -> Panel:
    (panel,) = chart.panels
    return panel


def claimed(panel: Panel) -> dict[str | None, Series]:
    return {series.name: series for series in panel.series if series.abstained is None}


def off_by(series: Series, panel: Panel, xs: Sequence[float], ys: Sequence[float]) -> float:
    """The greatest distance of the read curve from the true points, as a share of the value axis."""
    points = sorted((float(p.x), p.y) for p in series.points)
    read_ys = np.interp(xs, [x for x, _ in points], [y for _, y in points])
    assert panel.y.low is not None
    assert panel.y.high is not None
    return float(np.abs(read_ys - np.asarray(ys)).max() / (panel.y.high - panel.y.low))


def told(series: Series, kind: str) -> str | float | None:
    (fact,) = [fact for fact in series.facts if fact.kind == kind]
    return fact.text or fact.y


def test_each_curve_of_growth_lies_within_two_percent_of_its_data() -> None:
    spec: FigureSpec = runpy.run_path(str(EXAMPLES / "growth.py"))["SPEC"]
    panel = only(read("growth.png"))
    series = claimed(panel)
    (drawn,) = spec.panels
    assert set(series) == {one.name for one in drawn.series}
    for one in drawn.series:
        xs = [float(x) for x in one.x]
        assert off_by(series[one.name], panel, xs, one.y) <= WITHIN, one.name
    assert told(series["Vodira"], "trend") == "rises"
    assert told(series["Kestrol B"], "trend") == "falls"
    assert told(series["Mura-7"], "trend") == "flat"


def test_each_curve_of_the_crooked_soil_figure_lies_within_two_percent_of_its_data() -> None:
    # The drawing's own units: 56 a day from 120, 10 a percent upwards from 532.
    paths = re.findall(r'<path d="(M 120 1[\d LM]+)" stroke="#', (EXAMPLES / "soil.svg").read_text(encoding="utf-8"))
    shaded, field = ([tuple(map(float, pair)) for pair in re.findall(r"(\d+) (\d+)", path)] for path in paths)
    panel = only(read("soil.png"))
    series = claimed(panel)
    assert set(series) == {"Shaded plot", "Open field"}
    assert panel.x.label == "Days after rain"
    for name, drawn in (("Shaded plot", shaded), ("Open field", field)):
        xs, ys = [(x - 120) / 56 for x, _ in drawn], [(532 - y) / 10 for _, y in drawn]
        assert len(xs) == 7
        assert off_by(series[name], panel, xs, ys) <= WITHIN, name
        assert told(series[name], "trend") == "falls"


def test_positions_of_the_crooked_figure_are_those_of_the_given_pixels() -> None:
    first = claimed(only(read("soil.png")))["Shaded plot"].points[0]
    assert (first.px, first.py) == pytest.approx((116, 154), abs=8)


GROWTH = (
    "Vodira starts near zero and climbs to about 1.45 by the end.",
    "The optical density of Kestrol B drops from 0.95 to 0.2 over 48 h.",
    "Mura-7 stays flat at roughly 0.11 throughout.",
    "Of the three strains, Vodira ends highest.",
    "Vodira overtakes Kestrol B at about 18 h.",
    "At 20 h, Vodira has reached 0.87, whereas Kestrol B is at 0.64.",
    "Initially Kestrol B has the highest density, 0.95.",
    "Vodira crosses Mura-7 at around 5.5 h.",
    "By 28 h Vodira has levelled off near 1.3.",
)
SOIL = (
    "Moisture falls in both places over the 12 days.",
    "In the shaded plot, moisture decreases from 38 % to 22 %.",
    "The open field begins at 36.6 % and ends at 8.4 %.",
    "After 4 days the open field holds about 20 % moisture.",
    "The shaded plot is always wetter than the open field.",
    "By day 2 the open field has dropped to 27.6 %.",
)


@pytest.mark.parametrize(("name", "sentences"), [("growth.png", GROWTH), ("soil.png", SOIL)])
def test_true_sentences_about_the_examples_are_not_contradicted_and_false_ones_are(
    name: str, sentences: Sequence[str]
) -> None:
    chart = read(name)
    for sentence in sentences:
        assert "contradicted" not in {check.verdict for check in checks(sentence, chart=chart)}, sentence
    wrong = "Vodira falls from 1.4 to 0.1." if name == "growth.png" else "Open field rises from 8 to 36."
    assert "contradicted" in {check.verdict for check in checks(wrong, chart=chart)}
