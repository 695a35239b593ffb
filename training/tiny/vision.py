"""The vision tower's own stage: at each text of a figure, tell what the marks that belong to the text do.

A decoder that copies a name needs, at the same moment, what the curve of that name does. So the tower learns to gather
it where the name stands: from the patch under a legend entry one can read how its curve runs, from the patch under a
bar's category how high its bar is. That is a few dozen labels an image instead of one caption, and it teaches the one
thing that a language loss teaches slowly: to follow a colour from the legend into the plot. Nothing here knows tokens.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import linear_regression
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import cross_entropy, grid_sample, smooth_l1_loss

from data.synthetic.facts import SeriesFacts, Trend, panel_facts
from data.synthetic.spec import Axis, Kind, Panel, Role, Series, TextBox
from training.tiny.data import StoredFigure
from training.tiny.model import GRID_SIDE, sincos_grid

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
_PLACE_WIDTH = 24


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


_POWER_OF_TEN = re.compile(r"10(0|-?[1-9]\d*)")


def _tick_values(labels: Sequence[str], log: bool) -> list[float | None]:
    """The numbers that the tick labels of one axis show, None for a label that shows none.

    On a log axis "10-2" is a power of ten, its exponent beside it as OCR prints it. Only the other labels tell whether
    "100" is one too.
    """
    plain = [label.replace(",", "").replace("−", "-") for label in labels]
    all_powers = all(_POWER_OF_TEN.fullmatch(label) for label in plain)
    values: list[float | None] = []
    for label in plain:
        power = _POWER_OF_TEN.fullmatch(label) if log and (all_powers or label != "100") else None
        try:
            values.append(10.0 ** int(power[1]) if power else float(label))
        except ValueError:
            values.append(None)
    return values


def _scale(figure: StoredFigure, panel_index: int, axis: Axis, role: Role, side: int) -> tuple[float, float] | None:
    """Slope and offset from (log) values to a share of the image's width (`side` 0) or height (1), fitted to the ticks.

    None where fewer than two ticks show a number.
    """
    ticks = [text for text in figure.texts if text.role == role and text.panel == panel_index]
    points = []
    for text, value in zip(ticks, _tick_values([text.text for text in ticks], axis.log), strict=True):
        if value is not None and (value > 0 or not axis.log):
            middle = (text.box[side] + text.box[side + 2]) / 2 / (figure.width, figure.height)[side]
            points.append((math.log10(value) if axis.log else value, middle))
    if len({value for value, _ in points}) < 2:
        return None
    fit = linear_regression([value for value, _ in points], [middle for _, middle in points])
    return fit.slope, fit.intercept


def _place(scale: tuple[float, float] | None, axis: Axis, value: float) -> float:
    if scale is None or (axis.log and value <= 0):
        return math.nan
    return scale[0] * (math.log10(value) if axis.log else value) + scale[1]


def anchors(figure: StoredFigure, rng: random.Random) -> list[Anchor]:
    """One anchor a text and some on each curve, at most `_ANCHORS_AT_MOST`.

    Those on the curves, at points that `rng` picks, say the same as the one at the legend entry: they are many and
    near, and show the tower what there is to be found from afar.
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
        # Rotated text is met in its middle, other text where it begins.
        x0, y0, x1, y1 = text.box
        x, y = (x0 if x1 - x0 > y1 - y0 else (x0 + x1) / 2) / figure.width, (y0 + y1) / 2 / figure.height
        if text.role == "legend":
            x, y = legend_anchor(figure, text)
        anchor = Anchor(x, y, ROLES.index(text.role), KINDS.index(panel.kind))
        # The labels of the axes speak for a curve that is alone.
        speaks_for_all = len(panel.series) == 1 and text.role in ("x_label", "y_label")
        if text.role == "legend" or speaks_for_all:
            i = text.index if text.role == "legend" else 0
            trend = _trend_label(facts[text.panel].series[i], panel)
            anchor = replace(anchor, trend=trend, values=values[text.panel, i])
        elif text.role == "x_tick" and panel.kind == "bar" and panel.categories:
            rank = _rank(facts[text.panel].series[0], text)
            anchor = replace(anchor, rank=rank, values=_bar_values(figure, text, panel))
        found.append(anchor)
    points = [
        Anchor(x, y, IGNORED, KINDS.index(panel.kind), _trend_label(facts[p].series[i], panel), values=values[p, i])
        for p, panel in enumerate(figure.spec.panels)
        if not panel.categories
        for i, series in enumerate(panel.series)
        for x, y in _some(curve_points(figure, p, panel, series), rng)
    ]
    return (points + found)[:_ANCHORS_AT_MOST]


def _some(places: list[tuple[float, float]], rng: random.Random) -> list[tuple[float, float]]:
    return rng.sample(places, min(_POINTS_A_SERIES, len(places)))


def curve_points(figure: StoredFigure, p: int, panel: Panel, series: Series) -> list[tuple[float, float]]:
    """Where the points of a series stand in the image, as shares of its sides; none without ticks that can be read."""
    x_scale = _scale(figure, p, panel.x, "x_tick", 0)
    y_scale = _scale(figure, p, panel.y, "y_tick", 1)
    places = [
        (_place(x_scale, panel.x, x), _place(y_scale, panel.y, y)) for x, y in zip(series.x, series.y, strict=True)
    ]
    return [place for place in places if not (math.isnan(place[0]) or math.isnan(place[1]))]


def legend_anchor(figure: StoredFigure, text: TextBox) -> tuple[float, float]:
    """The swatch of a legend entry: left of its text, about one line height away. Shares of the image's sides."""
    x0, y0, _, y1 = text.box
    return max(x0 - (y1 - y0), 0.0) / figure.width, (y0 + y1) / 2 / figure.height


def _trend_label(series: SeriesFacts, panel: Panel) -> int:
    return IGNORED if series.trend == "unclear" and not panel.categories else TRENDS.index(series.trend)


def _rank(series: SeriesFacts, text: TextBox) -> int:
    """Index into `RANKS` of the bar above a category."""
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


class AnchorReader(nn.Module):
    """Reads from the tower's patch features what is true at each anchor. It only teaches: no engine ever sees it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.outputs = (len(ROLES), len(KINDS), len(TRENDS), len(RANKS), len(VALUES))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Sequential(
            nn.Linear(width + 2 * _PLACE_WIDTH, 2 * width), nn.GELU(), nn.Linear(2 * width, sum(self.outputs))
        )

    def forward(self, states: torch.Tensor, anchors: torch.Tensor) -> dict[str, torch.Tensor]:
        """Returns the loss, the share of trends read right, and the mean error of places as a share of the side.

        `states` [B, patches, width] without the class token, `anchors` [B, A, 2 + 4 + values] as `anchor_rows` makes
        them. The loss of a batch without a single anchor is 0; the two measures are NaN where nothing was asked.
        """
        batch, _, width = states.shape
        grid = states.transpose(1, 2).reshape(batch, width, GRID_SIDE, GRID_SIDE).float()
        real = ~anchors[:, :, 0].isnan()
        where = (anchors[:, :, None, :2] * 2 - 1).nan_to_num(0.0)  # [B, A, 1, 2] in -1..1
        sampled = grid_sample(grid, where, align_corners=False, padding_mode="border")  # [B, width, A, 1]
        # Two legend entries often share a patch: only the exact place tells which of them is meant.
        place = sincos_grid(_PLACE_WIDTH, anchors[:, :, :2].nan_to_num(0.0).flatten()).view(batch, -1, 2 * _PLACE_WIDTH)
        features = torch.cat([self.norm(sampled[..., 0].transpose(1, 2)), place], dim=-1)  # [B, A, width + 2 places]
        # The head reads the empty rows too: a shape that never changes costs less than they do.
        role, kind, trend, rank, values = self.head(features)[real].float().split(self.outputs, dim=-1)
        truth = anchors[real]
        labels = truth[:, 2:6].long()
        told = ~truth[:, 6:].isnan()
        # A mean over nothing is NaN, and one such batch would spoil every weight.
        loss = values.sum() * 0.0
        if told.any():
            loss = loss + _LOCATION_WEIGHT * smooth_l1_loss(values[told], truth[:, 6:][told], beta=0.05)
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
