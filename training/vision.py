"""The vision tower's own stage: at each text of a figure, tell what the marks that belong to the text do.

A decoder that copies a name needs, at the same moment, what the curve of that name does. So the tower learns to gather it
where the name stands: from the patch under a legend entry one can read how its curve runs, from the patch under a bar's
category how high its bar is. That is a few dozen labels an image instead of one caption, and it teaches the one thing that
a language loss teaches slowly: to follow a colour from the legend into the plot.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import cross_entropy, grid_sample, smooth_l1_loss
from torch.utils.data import IterableDataset

from synthetic.facts import SeriesFacts, Trend, panel_facts
from synthetic.spec import Axis, Kind, Panel, Role, Series, TextBox
from training.data import Figures, StoredFigure
from training.model import GRID_SIDE

ROLES: tuple[Role, ...] = get_args(Role)
KINDS: tuple[Kind, ...] = get_args(Kind)
TRENDS: tuple[Trend, ...] = get_args(Trend)
IGNORED = -100
"""The label of what a loss passes over."""

RANKS = ("between", "highest", "lowest")

VALUES = ("start_y", "end_y", "highest_y", "highest_x", "lowest_y", "lowest_x")
"""Places of a series in the image, as shares of its width or height."""

_ANCHORS_AT_MOST = 64
_POINTS_A_SERIES = 6
_LOCATION_WEIGHT = 20.0


@dataclass(frozen=True, slots=True)
class Anchor:
    """What is true at one text: `x` and `y` (0..1) say where, IGNORED and NaN stand for what does not apply."""

    x: float
    y: float
    role: int
    kind: int
    trend: int = IGNORED
    rank: int = IGNORED
    values: tuple[float, ...] = (math.nan,) * len(VALUES)


def _tick_value(text: str, axis: Axis) -> float | None:
    """The number that a tick label shows; "10-2" on a log axis is a power as OCR prints it."""
    power = re.fullmatch(r"10([-−]?\d+)", text) if axis.log else None
    if power:
        return float(10 ** int(power[1].replace("−", "-")))
    try:
        return float(text.replace(",", "").replace("−", "-"))
    except ValueError:
        return None


def _scale(figure: StoredFigure, panel_index: int, axis: Axis, role: Role, side: int) -> tuple[float, float] | None:
    """Slope and offset from (log) values to a share of the image's width (`side` 0) or height (1), fitted to the ticks."""
    points = []
    for text in figure.texts:
        if text.role == role and text.panel == panel_index:
            value = _tick_value(text.text, axis)
            if value is not None and (value > 0 or not axis.log):
                middle = (text.box[side] + text.box[side + 2]) / 2 / (figure.width, figure.height)[side]
                points.append((math.log10(value) if axis.log else value, middle))
    if len({value for value, _ in points}) < 2:
        return None
    slope, offset = np.polyfit([p[0] for p in points], [p[1] for p in points], 1)
    return float(slope), float(offset)


def _place(scale: tuple[float, float] | None, axis: Axis, value: float) -> float:
    if scale is None or (axis.log and value <= 0):
        return math.nan
    return scale[0] * (math.log10(value) if axis.log else value) + scale[1]


def anchors(figure: StoredFigure, rng: random.Random) -> list[Anchor]:
    """One anchor a text and some on each curve, at most `_ANCHORS_AT_MOST`.

    Those on the curves, at points that `rng` picks, say the same as the one at the legend entry: they are many and near, and
    show the tower what there is to be found from afar.
    """
    facts = [panel_facts(panel) for panel in figure.spec.panels]
    values = {
        (p, i): _series_values(figure, p, panel, series, panel.series[i].x)
        for p, panel in enumerate(figure.spec.panels)
        for i, series in enumerate(facts[p].series)
    }
    found = []
    for text in figure.texts:
        panel = figure.spec.panels[text.panel]
        # Left of a horizontal text stands its legend entry's swatch; rotated text is met in its middle.
        x0, y0, x1, y1 = text.box
        x = x0 if x1 - x0 > y1 - y0 else (x0 + x1) / 2
        place = {
            "x": x / figure.width,
            "y": (y0 + y1) / 2 / figure.height,
            "role": ROLES.index(text.role),
            "kind": KINDS.index(panel.kind),
        }
        series_index = (
            text.index
            if text.role == "legend"
            else 0
            if len(panel.series) == 1 and text.role in ("y_label", "x_label")
            else None
        )
        if series_index is not None:
            trend = _trend_label(facts[text.panel].series[series_index], panel)
            found.append(Anchor(**place, trend=trend, values=values[text.panel, series_index]))
        elif text.role == "x_tick" and panel.kind == "bar" and panel.categories:
            found.append(
                Anchor(**place, rank=_rank(facts[text.panel].series[0], text), values=_bar_values(figure, text, panel))
            )
        else:
            found.append(Anchor(**place))
    points = [
        Anchor(x, y, IGNORED, KINDS.index(panel.kind), _trend_label(facts[p].series[i], panel), values=values[p, i])
        for p, panel in enumerate(figure.spec.panels)
        if not panel.categories
        for i, series in enumerate(panel.series)
        for x, y in _curve_places(figure, p, panel, series, rng)
    ]
    return (points + found)[:_ANCHORS_AT_MOST]


def _curve_places(
    figure: StoredFigure, p: int, panel: Panel, series: Series, rng: random.Random
) -> list[tuple[float, float]]:
    x_scale = _scale(figure, p, panel.x, "x_tick", 0)
    y_scale = _scale(figure, p, panel.y, "y_tick", 1)
    picked = rng.sample(range(len(series.x)), min(_POINTS_A_SERIES, len(series.x)))
    places = [(_place(x_scale, panel.x, series.x[i]), _place(y_scale, panel.y, series.y[i])) for i in picked]
    return [place for place in places if not (math.isnan(place[0]) or math.isnan(place[1]))]


def _trend_label(series: SeriesFacts, panel: Panel) -> int:
    return IGNORED if series.trend == "unclear" and not panel.categories else TRENDS.index(series.trend)


def _rank(series: SeriesFacts, text: TextBox) -> int:
    return 1 if text.index == series.peak_at else 2 if text.index == series.low_at else 0


def _series_values(
    figure: StoredFigure, p: int, panel: Panel, series: SeriesFacts, xs: tuple[float, ...]
) -> tuple[float, ...]:
    y_scale = _scale(figure, p, panel.y, "y_tick", 1)
    y = [_place(y_scale, panel.y, v) for v in (series.start, series.end, series.highest, series.lowest)]
    if panel.categories:
        centres = {
            t.index: (t.box[0] + t.box[2]) / 2 / figure.width
            for t in figure.texts
            if t.role == "x_tick" and t.panel == p
        }
        high_x, low_x = centres.get(series.peak_at, math.nan), centres.get(series.low_at, math.nan)
    else:
        x_scale = _scale(figure, p, panel.x, "x_tick", 0)
        high_x, low_x = (_place(x_scale, panel.x, xs[i]) for i in (series.peak_at, series.low_at))
    return y[0], y[1], y[2], high_x, y[3], low_x


def _bar_values(figure: StoredFigure, text: TextBox, panel: Panel) -> tuple[float, ...]:
    top = _place(_scale(figure, text.panel, panel.y, "y_tick", 1), panel.y, panel.series[0].y[text.index])
    return (top,) + (math.nan,) * (len(VALUES) - 1)


def anchor_rows(figure: StoredFigure, rng: random.Random) -> npt.NDArray[np.float32]:
    """The anchors as numbers, float32 [_ANCHORS_AT_MOST, 2 + 4 + values], with rows of NaN behind the last one."""
    rows = np.full((_ANCHORS_AT_MOST, 2 + 4 + len(VALUES)), np.nan, dtype=np.float32)
    for i, a in enumerate(anchors(figure, rng)):
        rows[i] = (a.x, a.y, a.role, a.kind, a.trend, a.rank, *a.values)
    return rows


class AnchoredFigures(IterableDataset[dict[str, torch.Tensor]]):
    """An endless, seeded stream of images with their anchors, colours swapped at random: names of colours mean nothing here."""

    def __init__(self, figures: list[Figures], seed: int) -> None:
        self.figures = figures
        self.seed = seed

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        rng = random.Random(self.seed)
        places = [(figures, i) for figures in self.figures for i in range(len(figures))]
        while True:
            rng.shuffle(places)
            for figures, i in places:
                pixels = figures.pixels[i][..., rng.sample(range(3), 3)]
                yield {"pixels": torch.from_numpy(pixels), "anchors": torch.from_numpy(anchor_rows(figures[i], rng))}


class AnchorReader(nn.Module):
    """Reads from the tower's patch features what is true at each anchor. It only teaches: no engine ever sees it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.outputs = (len(ROLES), len(KINDS), len(TRENDS), len(RANKS), len(VALUES))
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, sum(self.outputs))
        )

    def forward(self, states: torch.Tensor, anchors: torch.Tensor) -> dict[str, torch.Tensor]:
        """`states` [B, patches, width] without the class token, `anchors` [B, A, 2 + 4 + values] as `anchor_rows` makes them.

        Returns the loss, the share of trends read right, and the mean error of places as a share of the image's side.
        """
        batch, _, width = states.shape
        grid = states.transpose(1, 2).reshape(batch, width, GRID_SIDE, GRID_SIDE).float()
        real = ~anchors[:, :, 0].isnan()
        where = (anchors[:, :, None, :2] * 2 - 1).nan_to_num(0.0)  # [B, A, 1, 2] in -1..1
        sampled = grid_sample(grid, where, align_corners=False, padding_mode="border")[..., 0].transpose(
            1, 2
        )  # [B, A, width]
        # The head reads the empty rows too: a shape that never changes costs less than they do.
        role, kind, trend, rank, values = self.head(sampled)[real].float().split(self.outputs, dim=-1)
        truth = anchors[real]
        labels = truth[:, 2:6].long()
        told = ~truth[:, 6:].isnan()
        loss = _LOCATION_WEIGHT * smooth_l1_loss(values[told], truth[:, 6:][told], beta=0.05)
        for column, (logits, weight) in enumerate(((role, 1.0), (kind, 1.0), (trend, 2.0), (rank, 1.0))):
            if (labels[:, column] != IGNORED).any():
                loss = loss + weight * cross_entropy(logits, labels[:, column], ignore_index=IGNORED)
        # How well it reads is told of the texts alone: on the curve itself the answer is easy.
        at_text = labels[:, 0] != IGNORED
        with_trend = (labels[:, 2] != IGNORED) & at_text
        told_at_text = told & at_text[:, None]
        return {
            "loss": loss,
            "trend_accuracy": (trend.argmax(-1) == labels[:, 2])[with_trend].float().mean().detach(),
            "place_error": (values - truth[:, 6:]).abs()[told_at_text].mean().detach(),
        }
