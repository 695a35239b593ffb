"""Plots as SVG text, by matplotlib without its global state. They know no run: they are given names and numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from evaluation.report.parts import Plot

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette, which people with colour vision deficiencies can tell apart."""

Value = tuple[float, float | None, float | None]
"""A value with the bounds of its interval, where there is one."""


def bars(title: str, axis: str, groups: Sequence[str], series: Mapping[str, Sequence[Value | None]]) -> Plot:
    """Bars side by side: a group for each of `groups`, in it a bar with its interval for each series. None: no bar."""
    figure = Figure(figsize=(max(5.0, 1.0 + 0.45 * len(groups) * max(1, len(series))), 3.4), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / max(1, len(series))
    for index, (name, values) in enumerate(series.items()):
        known = [(place, value) for place, value in enumerate(values) if value is not None]
        places = [place - 0.4 + width * (index + 0.5) for place, _ in known]
        axes.bar(
            places,
            [value[0] for _, value in known],
            width,
            yerr=_errors([value for _, value in known]),
            label=name,
            color=COLOURS[index % len(COLOURS)],
            ecolor="#444444",
            capsize=2,
        )
    axes.set_xticks(range(len(groups)), groups, rotation=20 if max(map(len, groups), default=0) > 12 else 0)
    axes.axhline(0, color="#444444", linewidth=0.8)
    axes.set_ylabel(axis)
    axes.set_title(title, fontsize=10)
    if len(series) > 1:
        axes.legend(fontsize=8)
    return Plot(f"{title}: bars of {axis} for {', '.join(groups)}", _svg(figure))


def points(title: str, axis: str, values: Mapping[str, Value], neutral: float | None) -> Plot:
    """A dot with its interval for each name, one below the other; a line at `neutral`."""
    figure = Figure(figsize=(6.0, 0.9 + 0.4 * len(values)), layout="constrained")
    axes = figure.add_subplot()
    for place, (_, value) in enumerate(values.items()):
        axes.errorbar([value[0]], [place], xerr=_errors([value]), fmt="o", color=COLOURS[0], capsize=3)
    if neutral is not None:
        axes.axvline(neutral, color="#444444", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(values)), list(values))
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlabel(axis)
    axes.set_title(title, fontsize=10)
    return Plot(f"{title}: {axis} of {', '.join(values)}", _svg(figure))


def said_and_true(title: str, pairs: Mapping[str, Sequence[tuple[float, float]]]) -> Plot:
    """Numbers as they were said (vertical) against what was read off the figure (horizontal), one colour a run.

    Both are shares of an axis; what lies further off is drawn at the edge.
    """
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    low, high = -0.25, 1.25
    for index, (name, found) in enumerate(pairs.items()):
        axes.scatter(
            [min(max(read, low), high) for _, read in found],
            [min(max(said, low), high) for said, _ in found],
            s=14,
            alpha=0.7,
            label=f"{name} (n = {len(found)})",
            color=COLOURS[index % len(COLOURS)],
            clip_on=False,
        )
    axes.plot([low, high], [low, high], color="#444444", linewidth=0.8, linestyle="--")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_xlabel("read off the figure, share of the axis")
    axes.set_ylabel("said in the answer, share of the axis")
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)
    return Plot(f"{title}: numbers said against numbers read, for {', '.join(pairs)}", _svg(figure))


def _errors(values: Sequence[Value]) -> list[list[float]] | None:
    """Matplotlib's distances below and above; 0 where there is no interval."""
    if not values or all(low is None or high is None for _, low, high in values):
        return None
    below = [max(0.0, value - low) if low is not None else 0.0 for value, low, _ in values]
    above = [max(0.0, high - value) if high is not None else 0.0 for value, _, high in values]
    return [below, above]


def _svg(figure: Any) -> str:
    """The figure as SVG, the same bytes for the same numbers."""
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "llava-graph", "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
