"""Samples a random figure: panels, axes, names, and curves whose trend is unambiguous.

A curve is drawn as one of the shapes of `facts.Trend` and kept only when `facts.trend` reads the same shape from its
points, so that an explanation is seldom about a borderline case; where the visible range of a panel makes one of it
after all, `facts.panel_facts` says "unclear". Nothing here knows pixels or sentences.
"""

from __future__ import annotations

import math
import random

from data.synthetic import words
from data.synthetic.facts import Trend, trend
from data.synthetic.spec import Axis, FigureSpec, Kind, Panel, Series
from data.synthetic.words import Split

_KINDS: tuple[Kind, ...] = ("line", "scatter", "bar", "grouped_bar")
_KIND_WEIGHTS = (56, 14, 14, 16)
_TRENDS: tuple[Trend, ...] = ("rises", "rises", "rises", "falls", "falls", "falls", "flat", "peaks", "dips")
_BAR_TRENDS: tuple[Trend, ...] = ("rises", "falls")


def sample_figure(seed: int, split: Split) -> FigureSpec:
    """The figure that belongs to `seed`; figures of different splits share no word of a name (see words.py)."""
    rng = random.Random(f"{split}-{seed}")
    panel_count = 1 if rng.random() < 0.92 else 2
    panels = [_panel(rng, split, panel_count)]
    while len(panels) < panel_count:
        # The panels of one figure usually share their x axis.
        other = _panel(rng, split, panel_count, kind=panels[0].kind, x=panels[0].x if rng.random() < 0.6 else None)
        panels.append(other)
    return FigureSpec(tuple(panels), seed=rng.getrandbits(32))


def _panel(
    rng: random.Random, split: Split, panel_count: int, kind: Kind | None = None, x: Axis | None = None
) -> Panel:
    kind = kind or rng.choices(_KINDS, weights=_KIND_WEIGHTS)[0]
    has_bars = kind in ("bar", "grouped_bar")
    x = x or _axis(rng, split, log_share=0.0 if has_bars else 0.06, unit_share=0.15 if has_bars else 0.6)
    y = _axis(rng, split, log_share=0.0 if has_bars else 0.08, unit_share=0.6)
    while y.quantity.lower() == x.quantity.lower():
        y = _axis(rng, split, log_share=0.0, unit_share=0.6)
    title = words.quantity(rng, split) if rng.random() < 0.25 and panel_count == 1 else None
    if has_bars:
        return _bars(rng, split, kind, x, y, title, panel_count)
    most = 4 if panel_count == 1 else 2
    count = rng.choices(range(1, most + 1), weights=(40, 30, 18, 12)[:most])[0]
    if kind == "scatter":
        count = min(count, 3)
    names = words.names(rng, split, count)
    xs = _grid(rng, x.log, kind)
    low, high = _range(rng, y.log)
    with_errors = rng.random() < 0.2 and kind == "line"
    curves = _curves(rng, count, xs, x.log, y.log, (low, high), noisy=kind == "scatter")
    series = tuple(
        Series(name, xs, ys, _errors(rng, ys, low, high, y.log) if with_errors else None)
        for name, ys in zip(names, curves, strict=True)
    )
    return Panel(kind, x, y, series, title=title, legend=count > 1 or rng.random() < 0.35)


def _axis(rng: random.Random, split: Split, log_share: float, unit_share: float) -> Axis:
    unit = words.unit(rng) if rng.random() < unit_share else None
    brackets = "()" if rng.random() < 0.75 else "[]"
    return Axis(words.quantity(rng, split), unit, brackets, log=rng.random() < log_share)


def _range(rng: random.Random, log: bool) -> tuple[float, float]:
    """Where the values of a panel lie; the axis that matplotlib shows is a little wider."""
    if log:
        low = 10.0 ** rng.randint(-4, 2)
        return low, low * 10.0 ** rng.uniform(1.5, 4)
    scale = 10.0 ** rng.choice((-2, -1, 0, 0, 1, 1, 2, 2, 3))
    width = scale * rng.uniform(1, 9)
    start = rng.choice((0.0, 0.0, 0.0, scale * rng.uniform(0, 9), -width * rng.uniform(0.2, 0.8)))
    return start, start + width


def _grid(rng: random.Random, log: bool, kind: Kind) -> tuple[float, ...]:
    low, high = _range(rng, log)
    if not log and rng.random() < 0.7:
        low, high = max(low, 0.0), abs(high)
        low = 0.0 if rng.random() < 0.7 or low >= high else low
    count = rng.randint(20, 60) if kind == "scatter" else rng.choice((5, 6, 7, 8, 10, 12, 20, 30, 50))
    at = sorted(rng.random() for _ in range(count)) if kind == "scatter" else [i / (count - 1) for i in range(count)]
    if log:
        return tuple(low * (high / low) ** t for t in at)
    return tuple(low + (high - low) * t for t in at)


def _shape(rng: random.Random, wanted: Trend) -> tuple[float, float, float, float]:
    """Start, end, height at the turn, place of the turn (0..1); heights are shares of the panel's range."""
    if wanted == "rises":
        start = rng.uniform(0.0, 0.55)
        return start, rng.uniform(start + 0.35, 1.0), 0.0, 0.0
    if wanted == "falls":
        end = rng.uniform(0.0, 0.55)
        return rng.uniform(end + 0.35, 1.0), end, 0.0, 0.0
    if wanted == "flat":
        level = rng.uniform(0.05, 0.95)
        return level, level + rng.uniform(-0.02, 0.02), 0.0, 0.0
    turn = rng.uniform(0.3, 0.7)
    if wanted == "peaks":
        ends = rng.uniform(0.0, 0.5)
        return ends, min(max(ends + rng.uniform(-0.1, 0.1), 0.0), 1.0), rng.uniform(ends + 0.4, 1.0), turn
    ends = rng.uniform(0.5, 1.0)
    return ends, min(max(ends + rng.uniform(-0.1, 0.1), 0.0), 1.0), rng.uniform(0.0, ends - 0.4), turn


def _curve(rng: random.Random, wanted: Trend, at: list[float]) -> list[float]:
    """Heights in 0..1 at the places `at` in 0..1."""
    start, end, extreme, turn = _shape(rng, wanted)
    if wanted in ("peaks", "dips"):
        width = rng.uniform(0.12, 0.25)
        bell = [math.exp(-(((t - turn) / width) ** 2)) for t in at]
        base = [start + (end - start) * t for t in at]
        return [b + (extreme - b) * g for b, g in zip(base, bell, strict=True)]
    bend = rng.choice(("linear", "linear", "saturating", "accelerating", "sigmoid"))
    steepness = rng.uniform(2.0, 4.0)

    def progress(t: float) -> float:
        if bend == "saturating":
            return (1 - math.exp(-steepness * t)) / (1 - math.exp(-steepness))
        if bend == "accelerating":
            return math.expm1(steepness * t) / math.expm1(steepness)
        if bend == "sigmoid":
            return (math.tanh(steepness * (t - 0.5)) / math.tanh(steepness * 0.5) + 1) / 2
        return t

    return [start + (end - start) * progress(t) for t in at]


def _curves(
    rng: random.Random,
    count: int,
    xs: tuple[float, ...],
    x_log: bool,
    y_log: bool,
    y_range: tuple[float, float],
    noisy: bool,
) -> list[tuple[float, ...]]:
    """One tuple of y values a series, each of a shape that `facts.trend` recognises.

    Curves that would lie on top of each other are drawn again: a reader could not tell them apart in the figure either.
    """
    low, high = y_range
    place = [math.log(x / xs[0]) if x_log else x - xs[0] for x in xs]
    at = [p / place[-1] for p in place]
    noise = rng.uniform(0.02, 0.06) if noisy else rng.choice((0.0, 0.0, 0.005, 0.015))
    kept: list[list[float]] = []
    for _ in range(200):
        wanted = rng.choice(_TRENDS)
        curve = [min(max(h + rng.gauss(0, noise), 0.0), 1.0) for h in _curve(rng, wanted, at)]
        apart = all(sum(abs(a - b) for a, b in zip(curve, other, strict=True)) / len(at) > 0.08 for other in kept)
        if apart and trend(curve, 0.0, 1.0) == wanted:
            kept.append(curve)
        if len(kept) == count:
            break
    else:
        raise RuntimeError(f"no {count} distinct curves in 200 draws")
    if y_log:
        return [tuple(_rounded(low * (high / low) ** h) for h in curve) for curve in kept]
    return [tuple(_rounded(low + (high - low) * h) for h in curve) for curve in kept]


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _errors(rng: random.Random, ys: tuple[float, ...], low: float, high: float, log: bool) -> tuple[float, ...]:
    share = rng.uniform(0.02, 0.06)
    return tuple(abs(y) * share * 2 if log else (high - low) * share for y in ys)


def _bars(rng: random.Random, split: Split, kind: Kind, x: Axis, y: Axis, title: str | None, panel_count: int) -> Panel:
    count = rng.randint(3, 5) if panel_count > 1 or kind == "grouped_bar" else rng.randint(3, 7)
    names = words.categories(rng, split, count)
    top = 10.0 ** rng.choice((-1, 0, 1, 1, 2, 3)) * rng.uniform(1, 9)
    series_count = 1 if kind == "bar" else rng.choice((2, 2, 3))
    at = [i / (count - 1) for i in range(count)]
    series = []
    for name in words.names(rng, split, series_count):
        for _ in range(200):
            if rng.random() < 0.4:
                heights = _curve(rng, rng.choice(_BAR_TRENDS), at)
            else:
                heights = [rng.uniform(0.1, 1) for _ in at]
            ordered = sorted(heights)
            # The highest and the lowest bar of a series must stand out from their neighbours.
            if ordered[-1] - ordered[-2] > 0.06 and ordered[1] - ordered[0] > 0.06 and ordered[0] >= 0.0:
                break
        else:
            raise RuntimeError("no highest and lowest bar that stand out in 200 draws")
        values = tuple(_rounded(top * (0.08 + 0.92 * h)) for h in heights)
        errors = tuple(top * rng.uniform(0.02, 0.05) for _ in at) if rng.random() < 0.15 else None
        series.append(Series(name, tuple(float(i) for i in range(count)), values, errors))
    return Panel(kind, x, y, tuple(series), categories=names, title=title, legend=kind == "grouped_bar")
