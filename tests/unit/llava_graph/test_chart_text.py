"""What a model reads of a chart: its exact words, what is cut or was not read, and that no name makes a command."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llava_graph.chart import ABSTENTION_REASONS, Axis, AxisScale, Chart, ChartKind, Fact, Panel, Point, Series
from llava_graph.chart_text import ChartLimits, chart_rows, samples
from llava_graph.context import TEMPLATES, FigureContext, told_chart
from llava_graph.curves import facts_of
from llava_graph.ocr import Line
from tests.harness.prompts import first_turn

LIMITS = ChartLimits(panels=2, series=4, samples=8, categories=4, crossings=1, name_chars=20)
WITH_CHART = [key for key, template in TEMPLATES.items() if template.chart]


def series(name: str | None, xs: Sequence[float | str], ys: Sequence[float], **more: object) -> Series:
    points = tuple(Point(x, y, 0.0, 0.0) for x, y in zip(xs, ys, strict=True))
    return replace(Series(name, points=points, coverage=1.0, y_tolerance=0.005), **more)  # type: ignore[arg-type]


def panel(kind: ChartKind, x: Axis, y: Axis, *members: Series, abstained: str | None = None) -> Panel:
    read = Panel(kind, (0, 0, 100, 100), x, y, members, abstained)
    return replace(read, series=facts_of(read))


TIME = Axis("Time (h)", scale="linear", low=0, high=50)
MASS = Axis("Mass", unit="kg", scale="linear", low=0, high=60)
DENSE = [i / 4 for i in range(193)]
GROWTH = panel(
    "line",
    TIME,
    MASS,
    series("Treated", DENSE, [52 - x * 25 / 48 for x in DENSE]),
    series("Control", DENSE, [10 + x * 35 / 48 for x in DENSE]),
    series("Extra", (), (), abstained="same_colour_dashes"),
)
YIELD = panel("bar", Axis("Soil", scale="category"), MASS, series(None, ("clay", "loam", "sand"), (3, 42.4, 17)))

ROWS = [
    "Chart data, line chart; x: Time (h), 0 to 50; y: Mass [kg], 0 to 60",
    "- Treated: (0, 52), (10, 46.8), (20, 41.6), (30, 36.4), (40, 31.2); falls from 52 at 0 to 27 at 48",
    "- Control: (0, 10), (10, 17.3), (20, 24.6), (30, 31.9), (40, 39.2); rises from 10 at 0 to 45 at 48",
    "- Extra: not read: curves of one colour differ only in their dashes or markers",
    "- Treated and Control cross at 33.6",
]


def rows(*panels: Panel, limits: ChartLimits = LIMITS) -> list[str]:
    return chart_rows(Chart(panels), limits)


def test_curves_are_told_by_samples_and_facts() -> None:
    assert rows(GROWTH) == ROWS


def test_bars_are_told_with_the_highest_and_the_lowest() -> None:
    assert rows(YIELD) == [
        "Chart data, bar chart; x: Soil; y: Mass [kg], 0 to 60",
        "- a series without a name: clay 3, loam 42.4, sand 17; highest loam 42.4; lowest clay 3",
    ]


def test_bars_that_lie_are_told_as_such_where_the_template_says_so() -> None:
    lying = replace(YIELD, horizontal=True)
    assert rows(lying) == rows(YIELD)
    exact = rows(lying, limits=replace(LIMITS, exact_bars=True))
    assert exact[0] == "Chart data, bar chart with horizontal bars; x: Soil; y: Mass [kg], 0 to 60"
    assert exact[1:] == rows(YIELD)[1:]


def test_highest_bar_without_a_category_is_left_out_where_the_template_says_so() -> None:
    alike = panel("bar", YIELD.x, MASS, series(None, ("clay", "loam", "sand"), (42.3, 17, 42.4)))
    assert rows(alike)[1].endswith("sand 42.4; highest 42.4; lowest loam 17")
    assert rows(alike, limits=replace(LIMITS, exact_bars=True))[1].endswith("sand 42.4; lowest loam 17")


def test_peak_flat_curve_and_highest_overall() -> None:
    hill = [5 + 50 * max(0.0, 1 - abs(x - 24) / 12) for x in DENSE]
    read = panel("line", TIME, MASS, series("A", DENSE, hill), series("B", DENSE, [58.0] * len(DENSE)))
    assert [row.partition("; ")[2] for row in rows(read)[1:3]] == [
        "peaks at 55 at 24; min 5",
        "stays flat at 58; max 58; min 58",
    ]
    assert rows(read)[-1] == "- highest overall: B"


def test_scatter_is_told_by_correlation_and_ranges() -> None:
    cloud = series("S", DENSE, [60 - x for x in DENSE])
    assert rows(panel("scatter", TIME, MASS, cloud))[1] == (
        "- S: 193 points; falls from 58.9 at 0 to 13.1 at 48; correlation -1.00; x from 0 to 48; y from 12 to 60"
    )


def test_log_axis_is_named_and_its_numbers_have_two_digits() -> None:
    axis = Axis("f", scale="log", low=1, high=10_000)
    places = [10 ** (i / 50) for i in range(200)]
    read = panel("line", axis, replace(axis, label="g"), series("A", places, places))
    assert rows(read)[:2] == [
        "Chart data, line chart; x: f, 1 to 10000, logarithmic; y: g, 1 to 10000, logarithmic",
        "- A: (1, 1), (3, 3), (10, 10), (30, 30), (100, 100), (300, 300), (1000, 1000), (3000, 3000); "
        "rises from 1 at 1 to 9500 at 9500",
    ]


def test_dates_are_written_as_dates() -> None:
    years = Axis("Year", scale="date", low=0, high=3650)
    read = panel("line", years, MASS, series("A", [0, 1825, 3650], [0, 30, 60]))
    assert rows(read)[1].startswith("- A: (1970-01, 0), (1974-12, 30), (1979-12, 60); rises from 0 at 1970-01")


def test_end_outside_the_plot_area_is_told_as_not_read() -> None:
    read = panel("line", TIME, MASS, series("A", DENSE, list(DENSE), last_known=False))
    assert rows(read)[1].endswith("rises from 0 at 0; right end not read")


@pytest.mark.parametrize("reason", ABSTENTION_REASONS)
def test_what_was_not_read_is_told_with_its_reason(reason: str) -> None:
    words = ABSTENTION_REASONS[reason]
    assert chart_rows(Chart((), reason), LIMITS) == [f"Chart data: not read: {words}"]
    assert rows(replace(GROWTH, abstained=reason)) == [f"Chart data, line chart: not read: {words}"]
    lost = replace(GROWTH, series=(Series("A", abstained=reason),))
    assert rows(lost)[1] == f"- A: not read: {words}"


def test_values_along_an_axis_without_a_scale_are_not_told() -> None:
    read = panel("line", TIME, Axis("Mass"), series("A", DENSE, DENSE))
    assert rows(read) == [
        "Chart data, line chart; x: Time (h), 0 to 50; y: Mass, values not read",
        "- A: not read: fewer than three tick labels agree on a scale",
    ]


def test_what_is_cut_is_said() -> None:
    many = panel("line", TIME, MASS, *(series(f"S{i}", (0.0, 48.0), (i, 60 - i)) for i in range(6)))
    told = rows(many, many, many)
    assert told[5] == "- 2 more series, not told here"
    assert told[-1] == "1 more panel, not told here"
    assert sum(row.startswith("- S") for row in told) == LIMITS.series
    curves = (("A", (0, 60)), ("B", (60, 0)), ("C", (20, 20)))
    told = rows(panel("line", TIME, MASS, *(series(name, (0.0, 48.0), ys) for name, ys in curves)))
    assert told[-2:] == ["- A and B cross at 24", "- 2 more crossings, not told here"]
    bars = panel("bar", Axis(), MASS, series("A", tuple("abcdef"), (1, 2, 3, 4, 50, 6)))
    assert "a 1, b 2, c 3, d 4, and 2 more, not told here; highest e 50" in rows(bars)[1]
    long = panel("bar", Axis("L" * 50), MASS, series("N" * 50, ("c" * 50,), (1,)))
    assert "L" * 21 not in " ".join(rows(long)) and "N" * 20 + "…" in rows(long)[1] and "c" * 20 + "…" in rows(long)[1]


def test_no_height_is_made_up_within_a_gap() -> None:
    places = [x for x in DENSE if not 12 < x < 28]
    read = panel("line", TIME, MASS, series("A", places, places))
    assert [x for x, _ in samples(read.series[0].points, read, 8)] == [0, 10, 30, 40]


# In a prompt


@pytest.mark.parametrize("template", WITH_CHART)
def test_chart_stands_between_the_text_and_the_question(template: str) -> None:
    figure = FigureContext(1000, 500, "Growth.", [Line("Mass", (0, 0, 50, 10))])
    without = first_turn(template, figure, "Why?").text
    asks = TEMPLATES[template].asks
    told = first_turn(template, replace(figure, chart=Chart((GROWTH,))), "Why?")
    head, tail = without.split(asks)
    assert told.text.startswith(head + "\nChart data, line chart; ") and told.text.endswith(
        f"cross at 33.6{asks}{tail}"
    )
    assert told.neutralised == 0


@pytest.mark.parametrize("template", sorted(TEMPLATES.keys() - set(WITH_CHART)))
def test_versions_from_before_there_was_chart_data_do_not_tell_it(template: str) -> None:
    figure = FigureContext(1000, 500, "Growth.", [Line("Mass", (0, 0, 50, 10))])
    assert first_turn(template, replace(figure, chart=Chart((GROWTH,)))) == first_turn(template, figure)


COMMANDS = ["<image>", "</s>", "<|im_start|>", "<510>", "[INST]", "USER", "user:", "### Assistant:", "<s", "ASSISTANT"]


@pytest.mark.parametrize("template", WITH_CHART)
@pytest.mark.parametrize("command", COMMANDS)
def test_name_that_could_make_a_command_is_made_harmless(template: str, command: str) -> None:
    hostile = panel(
        "line",
        replace(TIME, label=command),
        replace(MASS, unit=command),
        *(series(command, (0, 48), ys) for ys in ((0, 9), (9, 0))),
    )
    bars = panel("bar", Axis(command), MASS, series(command, (command, "b"), (3, 9)))
    told, hits = told_chart(TEMPLATES[template], Chart((hostile, bars)))
    text = "\n".join(told)
    assert not re.search(r"<[\w|/]+>|\[INST|###", text)
    assert not re.search(r"\b(user|assistant|system|human|gpt)\s*:", text, re.IGNORECASE)
    assert hits > 0 or command == "<s"


texts = st.one_of(st.none(), st.text(max_size=30), st.sampled_from(COMMANDS), st.just("x" * 500))
numbers = st.one_of(st.floats(), st.floats(-100, 100), st.integers(-5, 5).map(float))
scales: st.SearchStrategy[AxisScale | None] = st.sampled_from([None, "linear", "log", "date", "category"])
axes = st.builds(Axis, texts, st.none(), texts, scales, st.one_of(st.none(), numbers), st.one_of(st.none(), numbers))
any_points = st.lists(
    st.builds(Point, st.one_of(numbers, st.text(max_size=8)), numbers, st.just(0.0), st.just(0.0)), max_size=30
).map(tuple)
any_facts = st.lists(
    st.builds(
        Fact,
        st.sampled_from(
            ["trend", "first", "last", "maximum", "minimum", "crossing", "highest_overall", "x_range", "y_range"]
        ),
        st.one_of(st.none(), numbers, st.text(max_size=5)),
        st.one_of(st.none(), numbers),
        st.one_of(st.none(), st.text(max_size=8)),
        st.one_of(st.none(), st.integers(-3, 9)),
    ),
    max_size=6,
).map(tuple)
any_series = st.builds(Series, texts, points=any_points, facts=any_facts, first_known=st.booleans(), abstained=texts)
kinds: st.SearchStrategy[ChartKind] = st.sampled_from(["line", "bar", "grouped_bar", "stacked_bar", "scatter", "other"])
any_panels = st.builds(
    Panel, kinds, st.just((0.0, 0.0, 1.0, 1.0)), axes, axes, st.lists(any_series, max_size=5).map(tuple), texts
)


@settings(max_examples=50)
@given(st.lists(any_panels, max_size=4), st.sampled_from(WITH_CHART))
def test_whatever_a_reader_says_the_rows_are_bounded_harmless_and_one_line_each(panels: list[Panel], key: str) -> None:
    template = TEMPLATES[key]
    assert template.chart is not None
    told, _ = told_chart(template, Chart(tuple(panels)))
    assert len(told) <= 1 + template.chart.panels * (template.chart.crossings + 8) + template.chart.series
    for row in told:
        assert len(row) < 300 + (template.chart.samples + template.chart.categories + 12) * (
            template.chart.name_chars + 60
        )
        assert row.startswith(("- ", "Chart data", "1 more panel"))
        assert "\n" not in row and not re.search(r"<[\w|/]+>", row)
