"""Composed charts hold the cases that real ones bring, and nothing that no reader would give."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from llava_graph.chart import ABSTENTION_REASONS, Chart, Panel, Series
from llava_graph.context_parts import ContextParts
from llava_graph.curves import facts_of
from training.small.composed import Composed, composed
from training.small.told import tell


@pytest.fixture(scope="module")
def figures() -> list[Composed]:
    rng = random.Random(1)
    return [composed(rng) for _ in range(600)]


def panels_of(figures: list[Composed]) -> list[Panel]:
    return [panel for figure in figures for panel in figure.reading.chart.panels]


def test_the_same_generator_gives_the_same_figure() -> None:
    first, second = composed(random.Random(7)), composed(random.Random(7))
    assert first.reading == second.reading
    assert first.caption(random.Random(1)) == second.caption(random.Random(1))


def test_names_are_those_of_their_lines(figures: list[Composed]) -> None:
    """A name has the error of the line that it was read from, so that an answer can copy it from there."""
    named = 0
    for figure in figures:
        lines = figure.reading.lines
        for panel in figure.reading.chart.panels:
            for axis in (panel.x, panel.y):
                assert axis.label is None or (axis.line is not None and lines[axis.line].text == axis.label)
            for series in panel.series:
                if series.name is not None:
                    assert series.line is not None
                    assert "".join(series.name.split()) in "".join(lines[series.line].text.split())
                    named += 1
    assert named > 500


def test_facts_are_those_of_the_points(figures: list[Composed]) -> None:
    for panel in panels_of(figures):
        if panel.kind != "scatter":  # facts of overlapping clouds come from pixels
            assert facts_of(panel) == panel.series
        for series in panel.series:
            assert not (series.abstained and (series.points or series.facts))


def test_reasons_are_known_and_of_many_kinds(figures: list[Composed]) -> None:
    charts = [figure.reading.chart for figure in figures]
    reasons = Counter(
        reason
        for chart in charts
        for reason in (chart.abstained, *(p.abstained for p in chart.panels), *(s.abstained for s in series_of(chart)))
        if reason
    )
    assert set(reasons) <= set(ABSTENTION_REASONS)
    assert len(reasons) >= 12


def series_of(chart: Chart) -> list[Series]:
    return [series for panel in chart.panels for series in panel.series]


def test_first_series_is_often_the_one_that_was_not_read(figures: list[Composed]) -> None:
    several = [panel.series for panel in panels_of(figures) if len(panel.series) > 1]
    some = [s for s in several if any(one.abstained for one in s) and not all(one.abstained for one in s)]
    assert sum(bool(series[0].abstained) for series in some) > 0.3 * len(some)
    one_reason = [s for s in some if len({one.abstained for one in s if one.abstained}) == 1]
    assert len(one_reason) > 0.6 * len(some)


def test_labels_of_axes_are_often_missing(figures: list[Composed]) -> None:
    lines = [panel for panel in panels_of(figures) if panel.kind == "line" and not panel.abstained]
    without = Counter((panel.x.label is None, panel.y.label is None) for panel in lines)
    assert min(without[True, False], without[False, True], without[True, True]) > 0.03 * len(lines)


def test_axis_without_a_label_is_not_told_by_that_of_the_other_axis(figures: list[Composed]) -> None:
    """Names are as drawn, where bars that lie have their categories upright: else x was told by the label of y."""
    checked = 0
    for figure in figures:
        told = tell(figure.reading, figure.names, "", ContextParts())
        for panel in told.panels:
            if panel.data is not None and panel.data.horizontal and panel.data.x.label is None:
                assert panel.x is None or panel.x != panel.y
                checked += 1
    assert checked > 20


def test_what_only_a_picture_shows_is_not_told_without_data(figures: list[Composed]) -> None:
    """The kind of chart, and which of the numbers in a figure are names of series."""
    for figure in figures:
        told = tell(figure.reading, figure.names, "", ContextParts(chart=False))
        for panel in told.panels:
            assert panel.kind is None
            assert all(any(char.isalpha() for char in str(name)) for name in panel.series)
    assert any(series.name == "20" for panel in panels_of(figures) for series in panel.series)


def test_bars_that_lie_hardly_ever_have_a_trend(figures: list[Composed]) -> None:
    """As in readings, where their points go by where they are drawn: along the width they have values."""
    lying = [series for panel in panels_of(figures) if panel.horizontal for series in panel.series if series.facts]
    assert len(lying) > 60
    assert sum(fact.kind == "trend" for series in lying for fact in series.facts) < 0.05 * len(lying)


def test_charts_are_of_many_sizes_and_scales(figures: list[Composed]) -> None:
    panels = panels_of(figures)
    assert {len(figure.reading.chart.panels) for figure in figures} >= {0, 1, 2, 3, 4, 6}
    assert {panel.kind for panel in panels} == {"line", "bar", "grouped_bar", "stacked_bar", "scatter", "other"}
    assert {panel.y.scale for panel in panels} >= {"linear", "log"}
    assert {panel.x.scale for panel in panels} >= {"linear", "log", "date", "category", None}
    assert max(len(panel.series) for panel in panels) >= 10
    assert max(len(panel.x.categories) for panel in panels) >= 15


def test_captions_say_nothing_little_and_much(figures: list[Composed]) -> None:
    captions = [figure.caption(random.Random(i)) for i, figure in enumerate(figures)]
    assert 0.1 * len(captions) < captions.count("") < 0.35 * len(captions)
    rich = [text for text in captions if text.count(". ") >= 1 and len(text) > 80]
    assert len(rich) > 0.15 * len(captions)
    with_names = [
        figure
        for figure, text in zip(figures, captions, strict=True)
        if any(name in text for name in figure.names[0].series if len(name) > 2)
    ]
    assert len(with_names) > 0.08 * len(captions)
