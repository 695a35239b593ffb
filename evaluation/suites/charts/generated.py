"""The set "generator": held-out figures of `data.synthetic`, with its specifications turned into the truth format.

A reader that was tuned on the generator looks better here than it is; the other sets say by how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from data.synthetic.render import Rendered, render
from data.synthetic.sample import sample_figure
from data.synthetic.spec import Axis, FigureSpec, Panel
from evaluation.suites.charts.truth import TruthAxis, TruthFigure, TruthPanel, TruthSeries
from llava_graph.chart import Box


def figures(seeds: Iterable[int], folder: Path) -> Iterator[TruthFigure]:
    """Draw the held-out figure of each seed into the folder; what is true of it."""
    for seed in seeds:
        spec = sample_figure(seed, "heldout")
        drawn = render(spec)
        name = f"generator-{seed:07d}"
        drawn.image.save(folder / f"{name}.png")
        yield truth_of(name, spec, drawn)


def truth_of(name: str, spec: FigureSpec, drawn: Rendered) -> TruthFigure:
    """All figures are of the split "test": nothing of the reader may be tuned on held-out figures."""
    panels = tuple(panel_of(panel, area) for panel, area in zip(spec.panels, drawn.axes_boxes, strict=True))
    form = panels[0].kind if len(panels) == 1 else f"{panels[0].kind}_panels"
    return TruthFigure(name, f"{name}.png", "generator", "test", form, panels)


def panel_of(panel: Panel, area: Box | None = None) -> TruthPanel:
    if panel.categories:
        x = TruthAxis(panel.x.quantity, panel.x.unit, "category", categories=panel.categories)
        series = tuple(TruthSeries(one.name, tuple(zip(panel.categories, one.y, strict=True))) for one in panel.series)
    else:
        x = _axis(panel.x)
        series = tuple(TruthSeries(one.name, tuple(zip(one.x, one.y, strict=True))) for one in panel.series)
    return TruthPanel(panel.kind, x, _axis(panel.y), series, area)


def _axis(axis: Axis) -> TruthAxis:
    """The renderer does not tell where its axes end, so calibration is not scored."""
    return TruthAxis(axis.quantity, axis.unit, "log" if axis.log else "linear")
