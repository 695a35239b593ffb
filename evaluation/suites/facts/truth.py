"""The figures that the facts suite asks about: pixels, caption, and the chart that a perfect reader would give.

From the generator's held-out seeds, or from a set drawn by other tools (`evaluation.suites.charts.draw`). Both become
`llava_graph.chart.Chart` with the facts of `llava_graph.curves`, so that one scorer judges any figure. Figures of
which the truth is known in parts only, or which a reader must abstain on, are left out.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data.synthetic import write
from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from data.synthetic.spec import FigureSpec
from evaluation.suites.charts import truth
from evaluation.suites.charts.generated import panel_of
from evaluation.suites.charts.score import value_range
from llava_graph.chart import Axis, Chart, Panel, Point, Series
from llava_graph.curves import facts_of


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a figure. `texts` are printed in it; `legends` are the names of series that stand in it."""

    chart: Chart
    texts: tuple[str, ...]
    legends: tuple[str, ...]
    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class TrueFigure:
    """A figure to ask about."""

    id: str
    png: bytes
    caption: str
    truth: Truth


class Generated:
    """The generator's held-out figures of `count` seeds from `first_seed` on."""

    def __init__(self, first_seed: int, count: int) -> None:
        self.ids = [str(seed) for seed in range(first_seed, first_seed + count)]

    def made(self, ids: Iterable[str]) -> Iterator[TrueFigure]:
        for name in ids:
            yield _drawn(name, sample_figure(int(name), "heldout"))


class DrawnByOthers:
    """`count` figures of a set's folder of which everything is known, evenly from its list, which goes tool by tool.
    They have no caption."""

    def __init__(self, folder: Path, count: int) -> None:
        """Raises TruthError or OSError for a folder that holds no set."""
        whole = [figure for figure in truth.load(folder) if all(map(_is_complete, figure.panels))]
        self._folder = folder
        taken = [whole[i * len(whole) // count] for i in range(count)] if count < len(whole) else whole
        self._figures = {figure.id: figure for figure in taken}
        self.ids = list(self._figures)

    def made(self, ids: Iterable[str]) -> Iterator[TrueFigure]:
        for name in ids:
            figure = self._figures[name]
            yield TrueFigure(figure.id, (self._folder / figure.file).read_bytes(), "", _truth_of_set(figure))


def _drawn(name: str, spec: FigureSpec) -> TrueFigure:
    file = io.BytesIO()
    render(spec).image.save(file, "PNG")
    caption = write.caption(spec, random.Random(f"caption-{name}"))
    return TrueFigure(name, file.getvalue(), caption, truth_of_spec(spec, random.Random(f"explanation-{name}")))


def truth_of_spec(spec: FigureSpec, rng: random.Random) -> Truth:
    """What is true of a figure of the generator; `rng` chooses the wording of its explanation."""
    # A curve's name stands in the figure only where there is a legend, but a caption can give it away.
    legends = tuple(series.name for panel in spec.panels if panel.legend for series in panel.series)
    texts = (
        *(axis.label for panel in spec.panels for axis in (panel.x, panel.y)),
        *(panel.title for panel in spec.panels if panel.title),
        *(category for panel in spec.panels for category in panel.categories),
        *legends,
    )
    explanation = write.explanation(spec, write.everything(spec), rng)
    return Truth(chart_of(tuple(map(panel_of, spec.panels))), texts, legends, explanation)


def _truth_of_set(figure: truth.TruthFigure) -> Truth:
    chart = chart_of(figure.panels)
    legends = tuple(dict.fromkeys(one.name for panel in figure.panels for one in panel.series if one.name))
    axes = [axis.label for panel in chart.panels for axis in (panel.x, panel.y) if axis.label]
    categories = [category for panel in chart.panels for category in panel.x.categories]
    return Truth(chart, (*axes, *categories, *legends), legends)


def chart_of(panels: Sequence[truth.TruthPanel]) -> Chart:
    """What is true of a figure as a chart without tolerances; nothing of it has a place in the pixels."""
    return Chart(tuple(map(_panel, panels)))


def _panel(panel: truth.TruthPanel) -> Panel:
    """Where bars lie, their categories become the x axis all the same, as a reader gives them."""
    shown = value_range(panel)
    of_values, other = (panel.x, panel.y) if panel.horizontal else (panel.y, panel.x)
    x = Axis(other.label, None, other.unit, other.scale, other.low, other.high, other.categories)
    y = Axis(of_values.label, None, of_values.unit, of_values.scale, shown.low, shown.high)
    series = tuple(
        Series(one.name, points=tuple(Point(place, value, 0.0, 0.0) for place, value in one.points), coverage=1.0)
        for one in panel.series
    )
    made = Panel(panel.kind, panel.area or (0.0, 0.0, 1.0, 1.0), x, y, series, horizontal=panel.horizontal)
    return replace(made, series=facts_of(made))


def _is_complete(panel: truth.TruthPanel) -> bool:
    """Of several curves without names, none can be spoken of."""
    is_nameable = len(panel.series) == 1 or all(series.name for series in panel.series)
    return (
        not panel.abstain
        and bool(panel.series)
        and is_nameable
        and all(series.complete and series.points for series in panel.series)
    )
