"""The explanations that llava-graph-small is taught: complete, without repetition, and in good English."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from llava_graph.chart import Axis, Chart, ChartKind, Panel, Point, Series
from llava_graph.context_parts import ContextParts
from llava_graph.curves import facts_of
from llava_graph.ocr import Line
from training.small.composed import composed
from training.small.paragraphs import Length, explanation, opening
from training.small.reading import Reading
from training.small.told import Told, ToldPanel, tell
from training.small.truth import PanelNames

SEEDS = range(40)
LENGTHS: tuple[Length, ...] = ("short", "medium", "long")


def curve(name: str | None, first: float, last: float) -> Series:
    heights = [first + (last - first) * i / 20 for i in range(21)]
    points = tuple(Point(i / 2, y, i, 100 - y) for i, y in enumerate(heights))
    return Series(name, points=points, coverage=1.0, y_tolerance=0.01)


def row(name: str | None, **bars: float) -> Series:
    return Series(name, points=tuple(Point(x, y, i, 100 - y) for i, (x, y) in enumerate(bars.items())), coverage=1.0)


def unread(name: str | None, reason: str) -> Series:
    return Series(name, abstained=reason)


def panel(kind: ChartKind, y: str | None, *members: Series, x: str | None = "Time") -> Panel:
    categories = tuple(dict.fromkeys(str(p.x) for one in members for p in one.points if isinstance(p.x, str)))
    along = (
        Axis(x, None, None, "category", categories=categories) if categories else Axis(x, None, None, "linear", 0, 10)
    )
    read = Panel(kind, (0, 0, 100, 100), along, Axis(y, None, None, "linear", -1, 10), members)
    return replace(read, series=facts_of(read))


def told_of(*panels: Panel, texts: Sequence[str] = ()) -> Told:
    labels = [axis.label for one in panels for axis in (one.x, one.y) if axis.label]
    names = [series.name for one in panels for series in one.series if series.name]
    bars = [category for one in panels for category in one.x.categories]
    lines = tuple(
        Line(text, (0, 20 * i, 60, 20 * i + 12), 1.0) for i, text in enumerate((*labels, *names, *bars, *texts))
    )
    reading = Reading("", 1000, 2000, lines, Chart(panels))
    return tell(reading, tuple(PanelNames(None, None, None) for _ in panels), "", ContextParts())


def texts_of(told: Told, length: Length = "medium") -> list[str]:
    return [explanation(told, random.Random(seed), length) for seed in SEEDS]


@pytest.mark.parametrize("length", LENGTHS)
def test_lone_curve_without_a_name_is_told_by_its_axis_in_each_panel(length: Length) -> None:
    told = told_of(
        panel("line", "Gain", curve(None, 0, 9)), panel("line", "Loss", curve(None, 8, 1)), texts=("(a)", "b)")
    )
    for text in texts_of(told, length):
        assert re.search(r"Gain \w+ from about 0", text), text
        assert re.search(r"Loss \w+ from about 8", text), text


def test_what_was_not_read_takes_two_sentences_at_most() -> None:
    reasons = ("low_coverage", "same_colour_series", "redrawing_differs")
    many = [unread(f"Crop {i}", reasons[i % 3]) for i in range(9)]
    for told in (
        told_of(panel("line", "Gain", curve("Rye", 0, 9), *many)),
        told_of(panel("line", "Gain", *many[:2]), panel("line", "Gain", curve("Rye", 0, 9), *many[3:5])),
    ):
        for text in texts_of(told):
            assert 1 <= text.count("not read") <= 2, text
            assert len(re.findall(r"Crop \d", text.split(".", 1)[1])) <= 9, text


def test_panels_that_were_not_read_are_told_together_where_there_are_many() -> None:
    blank = Panel("line", (0, 0, 9, 9), abstained="low_resolution")
    for text in texts_of(told_of(blank, blank, blank)):
        assert text.endswith("Of panels (b) and (c), no values were read either."), text


def test_series_of_one_reason_are_listed_in_one_sentence() -> None:
    told = told_of(
        panel("line", "Gain", curve("Rye", 0, 9), *(unread(name, "low_coverage") for name in ("Oats", "20")))
    )
    for text in texts_of(told):
        assert re.search(r"Oats and 20 were not read(:|, since) too little of the series could be traced\.$", text), (
            text
        )


def test_correlation_of_a_cloud_is_told_once_and_beside_its_name() -> None:
    rng = random.Random(1)
    clouds = []
    for name, slope in (("Rye", 0.8), ("Oats", 0.0)):
        points = tuple(Point(x, 4 + slope * (x - 5) + rng.gauss(0, 1), x, 0) for x in (i / 4 for i in range(40)))
        clouds.append(Series(name, points=points, coverage=1.0, y_tolerance=0.01))
    told = told_of(panel("scatter", "Gain", *clouds))
    for text in texts_of(told):
        assert text.count("correlation") == 2
        assert "Their" not in text
        assert re.search(r"Oats show no clear trend, with a correlation of -?0\.", text), text


def test_every_curve_that_was_read_is_told() -> None:
    for seed in range(60):
        figure = composed(random.Random(seed))
        told = tell(figure.reading, figure.names, "", ContextParts())
        if len(told.panels) > 1:
            continue
        text = explanation(told, random.Random(seed), "medium").split(". ", 1)[-1]
        data = told.panels[0].data
        for name, series in zip(told.panels[0].series, data.series if data else (), strict=False):
            if name and series.facts and len(told.panels[0].series) > 1:
                assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text), (name, text)


def test_joined_clauses_tell_numbers_of_both_or_of_neither() -> None:
    told = told_of(
        panel("line", "Gain", curve("Rye", 0, 9), replace(curve("Oats", 8, 1), first_known=False, last_known=False))
    )
    for text in texts_of(told):
        for sentence in text.split(". "):
            if "Rye" in sentence and "Oats" in sentence and "whereas" in sentence:
                assert sentence.count("about") >= 2, sentence


def test_curves_of_one_trend_are_told_together() -> None:
    names = ("Rye", "Oats", "Bran", "20", "50", "Corn", "Rice")
    told = told_of(panel("line", "Gain", *(curve(name, i, 9 - i) for i, name in enumerate(names))))
    assert told.panels[0].data is not None
    for text in texts_of(told):
        assert re.search(r"Rye \w+ from about 0 to about 9, Oats from about 1 to about 8", text), text
        assert text.count(".") < 9, text


def test_category_that_is_highest_for_all_is_told_once() -> None:
    told = told_of(panel("grouped_bar", "Gain", row("Rye", a1=2, b1=9, c1=4), row("Oats", a1=1, b1=8, c1=3)))
    assert any("Both are highest at b1 and lowest at a1." in text for text in texts_of(told))
    for text in texts_of(told):
        assert re.search(r"For Rye, the \w+ bar is b1 at about 9 and the \w+ is a1 at about 2\.", text), text


@pytest.mark.parametrize("kind", ["line chart", "bar chart", "grouped bar chart", "scatter plot", None])
@pytest.mark.parametrize("x", ["Time", None])
@pytest.mark.parametrize("y", ["Gain", None])
@pytest.mark.parametrize("series", [(), (None,), ("Rye", "Oats"), ("Rye", None)])
def test_opening_says_what_is_known_and_no_more(
    kind: str | None, x: str | None, y: str | None, series: tuple[str | None, ...]
) -> None:
    categories = ("clay", "sand") if kind and "bar" in kind else ()
    for seed in range(20):
        text = opening(ToldPanel(kind, x, y, series, categories), random.Random(seed))
        assert "the horizontal axis" not in text
        assert "None" not in text
        assert "plot plots" not in text
        assert all(name in text for name in (x, y, *series) if name), text
        assert text.endswith(".")
        assert text.count(".") == 1


def test_bars_without_labels_of_series_and_axis_are_named() -> None:
    texts = {opening(ToldPanel("bar chart", None, "Gain", (None,), ("clay", "sand")), random.Random(s)) for s in SEEDS}
    assert "The bar chart shows Gain for clay and sand." in texts
    texts = {opening(ToldPanel("bar chart", None, "Gain", ("Rye",), ("clay", "sand")), random.Random(s)) for s in SEEDS}
    assert "The bar chart shows Gain for Rye, with bars for clay and sand." in texts
    both = ToldPanel("grouped bar chart", None, "Gain", ("Rye", "Oats"), ("clay", "sand"))
    texts = {opening(both, random.Random(seed)) for seed in SEEDS}
    assert "The grouped bar chart shows Gain for Rye and Oats, each for clay and sand." in texts


def test_unit_with_a_full_stop_ends_no_sentence() -> None:
    read = panel("line", "Gain (a.u.)", curve("Rye", 0, 9), curve("Oats", 9, 1))
    read = replace(read, y=replace(read.y, unit="a.u."))
    for text in texts_of(told_of(read)):
        assert ".." not in text
        assert "a.u." not in text


def test_label_that_an_axis_has_is_not_given_to_the_other() -> None:
    read = replace(panel("bar", "Gain", row(None, clay=2, sand=9), x=None), horizontal=True)
    lines = tuple(Line(text, (0, 20 * i, 60, 20 * i + 12), 1.0) for i, text in enumerate(("Gain", "clay", "sand")))
    told = tell(
        Reading("", 100, 100, lines, Chart((read,))),
        (PanelNames("bar chart", None, "Gain", (), ("clay", "sand")),),
        "",
        ContextParts(),
    )
    assert (told.panels[0].x, told.panels[0].y) == (None, "Gain")
