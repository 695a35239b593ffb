"""Simulated readings err as the readers do."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from llava_graph.chart import Axis, Panel, Point, Series
from llava_graph.curves import facts_of
from training.small.partly_read import overlapping, traced, unread
from training.small.simulated import simulate


def test_names_have_the_errors_of_their_lines() -> None:
    wrong = 0
    for seed in range(720_000, 720_040):
        spec = sample_figure(seed, "train")
        rendered = render(spec)
        drawn = {text.text for text in rendered.texts}
        for attempt in range(6):
            reading = simulate(spec, rendered, random.Random(f"{seed}-{attempt}"))
            for panel in reading.chart.panels:
                for series in panel.series:
                    if series.name is not None and series.line is not None:
                        assert reading.lines[series.line].text == series.name
                        wrong += series.name not in drawn
    assert wrong > 0


def test_one_of_several_series_without_a_name_is_not_read() -> None:
    named = [Series("A"), Series(None), Series("B")]
    for seed in range(50):
        reasons = unread("line", named, 0.0, 0.0, random.Random(seed))
        assert reasons[1] in ("unnamed_series", "same_colour_series")
        assert reasons[0] is reasons[2] is None
    assert unread("line", [Series(None)], 0.0, 0.0, random.Random(1)) == [None]


def test_reasons_fit_the_kind_of_chart() -> None:
    found = Counter(
        reason
        for seed in range(300)
        for reason in unread("grouped_bar", [Series("A"), Series("B"), Series("C")], 1.0, 0.0, random.Random(seed))
    )
    assert set(found) == {None, "same_colour_series", "low_coverage"}
    lone = {unread("line", [Series("A")], 0.0, 1.0, random.Random(seed))[0] for seed in range(100)}
    assert lone == {"low_coverage", "redrawing_differs"}  # nothing else has its colour


def test_an_end_that_was_not_traced_is_not_known() -> None:
    points = tuple(Point(float(i), float(i), i, 100 - i) for i in range(41))
    shapes: Counter[tuple[float, bool, bool]] = Counter()
    for seed in range(400):
        one = traced(Series("A", points=points), random.Random(seed))
        assert one.points
        if one.points[0] != points[0]:
            assert not one.first_known
        if one.points[-1] != points[-1]:
            assert not one.last_known
        shapes[one.coverage, one.first_known, one.last_known] += 1
    assert len(shapes) >= 8


def test_overlapping_clouds_have_no_ends() -> None:
    rng = random.Random(3)
    points = tuple(Point(float(i), i + rng.gauss(0, 2), i, 100 - i) for i in range(40))
    x, y = Axis("x", None, None, "linear", 0.0, 40.0), Axis("y", None, None, "linear", -5.0, 45.0)
    panel = Panel("scatter", (0, 0, 40, 100), x, y, (Series("A", points=points, coverage=1.0),))
    panel = replace(panel, series=facts_of(panel))
    seen = [overlapping(panel, random.Random(seed)).series[0] for seed in range(60)]
    fewer = [one for one in seen if len(one.points) < len(points)]
    assert 5 < len(fewer) < 50
    assert all({fact.kind for fact in one.facts} == {"trend", "correlation", "x_range", "y_range"} for one in fewer)
