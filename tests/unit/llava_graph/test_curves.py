"""The definitions of trend, extremum, order and crossing, and what of them is claimed of a panel that was read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_graph import curves
from llava_graph.chart import Axis, AxisScale, ChartKind, Fact, Panel, Point, Series
from llava_graph.curves import Range, Trend, crossing, extrema, facts_of, order, range_of, smoothed, trend

UNIT = Range(0.0, 1.0)
heights = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=60)


def series(name: str, ys: Sequence[float], xs: Sequence[float | str] | None = None, **more: object) -> Series:
    places = xs if xs is not None else [float(i) for i in range(len(ys))]
    points = tuple(Point(x, y, 0.0, 0.0) for x, y in zip(places, ys, strict=True))
    return replace(Series(name, points=points, coverage=1.0, y_tolerance=0.01), **more)  # type: ignore[arg-type]


def panel(*members: Series, kind: ChartKind = "line", y: Axis | None = None, x: Axis | None = None) -> Panel:
    x = x or Axis("x", scale="category" if kind in ("bar", "grouped_bar") else "linear")
    return Panel(kind, (0, 0, 100, 100), x, y or Axis("y", scale="linear"), members)


def facts(read: Panel, index: int = 0) -> dict[str, Fact]:
    return {fact.kind: fact for fact in facts_of(read)[index].facts}


# Definitions


@pytest.mark.parametrize(
    ("ys", "shape"),
    [
        ((0.0, 0.3, 0.6, 1.0), "rises"),
        ((1.0, 0.6, 0.3, 0.0), "falls"),
        ((0.5, 0.52, 0.5, 0.48), "flat"),
        ((0.1, 0.9, 0.1), "peaks"),
        ((0.9, 0.1, 0.9), "dips"),
        ((0.4, 0.9, 0.1, 0.6), "unclear"),
        ((0.4, 0.55), "unclear"),
    ],
)
def test_a_curve_has_the_shape_that_the_eye_sees(ys: tuple[float, ...], shape: Trend) -> None:
    assert trend(ys, UNIT) == shape


@given(heights, st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_shape_does_not_depend_on_the_unit_of_the_axis(ys: list[float], factor: float, offset: float) -> None:
    moved = [offset + factor * y for y in ys]
    shown = Range(offset, offset + factor)
    tolerated = {trend(ys, UNIT, t) for t in (0.999, 1.0, 1.001)}  # where rounding can tip a threshold
    assert trend(moved, shown) in tolerated


@given(heights)
def test_mirrored_curve_has_the_mirrored_shape(ys: list[float]) -> None:
    mirror = {"rises": "falls", "falls": "rises", "peaks": "dips", "dips": "peaks"}
    there, back = trend(ys, UNIT), trend([1 - y for y in ys], UNIT)
    tolerated = {trend([1 - y for y in ys], UNIT, t) for t in (0.999, 1.0, 1.001)}
    assert mirror.get(there, there) in tolerated | {back}


def test_log_axis_compares_heights_as_logarithms() -> None:
    ys = (1.0, 10.0, 100.0, 1000.0)
    assert trend(ys, Range(1.0, 1000.0, "log")) == "rises"
    assert Range(1.0, 1000.0, "log").height(10.0) == pytest.approx(1 / 3)
    assert order([(1.0, 100.0), (9.0, 9.0)], Range(1.0, 100.0, "log")) == ((0, 1), False)


def test_panel_without_extent_is_flat() -> None:
    assert trend((3.0, 3.0), range_of((3.0, 3.0))) == "flat"


def test_twenty_points_are_smoothed_and_fewer_are_not() -> None:
    spike = [0.0] * 10 + [1.0] + [0.0] * 9
    assert smoothed(spike[:19]) == spike[:19]
    assert max(smoothed(spike)) == pytest.approx(1 / 3)


def test_extrema_of_a_cloud_are_those_of_its_course() -> None:
    course = [math.sin(i / 39 * math.pi) for i in range(40)]
    course[3] = 1.5
    assert extrema(course, UNIT)[0] == 3
    assert 15 <= extrema(course, UNIT, is_cloud=True)[0] <= 24


def test_clear_top_lies_more_than_an_eighth_of_the_range_above_the_next() -> None:
    assert order([(0.5, 0.5), (0.6, 0.6)], UNIT) == ((1, 0), False)
    assert order([(0.5, 0.5), (0.7, 0.7)], UNIT) == ((1, 0), True)
    assert order([(0.5, 0.5)], UNIT) == ((0,), False)


def test_crossing_lies_where_the_drawn_lines_meet() -> None:
    assert crossing((0.0, 1.0), (0.0, 1.0), (1.0, 0.0), UNIT) == pytest.approx((0.5, 0.5))
    assert crossing((1.0, 100.0), (0.0, 1.0), (1.0, 0.0), UNIT, "log") == pytest.approx((10.0, 0.5))


@pytest.mark.parametrize(
    "second",
    [(0.3, 0.6, 0.9), (0.1, 0.5, 0.0), (1.0, 0.2, 1.0)],
    ids=["never", "from nearly the same start", "twice"],
)
def test_curves_that_do_not_cross_once_far_from_their_ends_have_no_crossing(second: tuple[float, ...]) -> None:
    assert crossing((0.0, 1.0, 2.0), (0.0, 0.5, 0.8), second, UNIT) is None


# What is claimed of a panel


def test_facts_of_two_curves() -> None:
    read = panel(series("A", (0.0, 4.0, 10.0)), series("B", (9.0, 5.0, 1.0)))
    assert facts_of(read)[0].facts == (
        Fact("trend", text="rises"),
        Fact("first", 0.0, 0.0),
        Fact("last", 2.0, 10.0),
        Fact("maximum", 2.0, 10.0),
        Fact("minimum", 0.0, 0.0),
        Fact("crossing", x=1.1, y=4.6, other=1),
    )
    assert facts(read, 1)["trend"].text == "falls"
    assert "crossing" not in facts(read, 1)


def test_highest_overall_is_a_fact_of_the_series_that_stands_out() -> None:
    read = panel(series("A", (0.0, 0.1)), series("B", (0.9, 1.0)))
    assert "highest_overall" not in facts(read, 0) and "highest_overall" in facts(read, 1)


def test_crossing_is_found_between_curves_sampled_at_places_of_their_own() -> None:
    many = [i / 50 for i in range(51)]
    read = panel(series("A", [0.0, 1.0], [0.0, 1.0]), series("B", [1 - x for x in many], many))
    found = facts(read)["crossing"]
    assert found.x == pytest.approx(0.5, abs=0.02)
    assert found.y == pytest.approx(0.5, abs=0.02)


def test_value_at_an_end_that_is_not_known_is_no_fact() -> None:
    whole = panel(series("A", (0.0, 4.0, 10.0), last_known=False))
    assert facts(whole).keys() == {"trend", "first", "minimum"}
    lost = panel(series("A", (0.0, 4.0, 10.0), last_known=False, coverage=0.6))
    assert facts(lost).keys() == {"first"}


AXES = {"x": Axis("x", scale="linear", low=0.0, high=10.0), "y": Axis("y", scale="linear", low=0.0, high=10.0)}


def test_curve_tells_its_trend_while_little_of_the_axis_lies_beyond_an_end_that_is_not_known() -> None:
    def of(last: float, **more: object) -> dict[str, Fact]:
        return facts(panel(series("A", (0.0, 4.0, 9.0), (0.0, 4.0, last), last_known=False, **more), **AXES))

    assert of(7.2, coverage=0.9)["trend"].text == "rises"
    assert "trend" not in of(6.8, coverage=0.9)
    assert of(9.4, coverage=0.7)["trend"].text == "rises"
    assert "trend" not in of(9.0, coverage=0.7)
    assert "trend" not in of(9.4, coverage=0.65)
    named = panel(series("A", (0.0, 4.0, 9.0), ("u", "v", "w"), last_known=False, coverage=0.9), **AXES)
    assert "trend" not in facts(named)  # how far it would go on is not known


def test_extremum_far_above_an_end_that_is_not_known_is_told() -> None:
    peak = panel(series("A", (3.0, 9.0, 3.9), (0.0, 5.0, 9.0), last_known=False, coverage=0.9), **AXES)
    assert facts(peak)["maximum"] == Fact("maximum", 5.0, 9.0)
    assert "minimum" not in facts(peak)
    near = panel(series("A", (3.0, 9.0, 4.1), (0.0, 5.0, 9.0), last_known=False, coverage=0.9), **AXES)
    assert "maximum" not in facts(near)
    short = panel(series("A", (3.0, 9.0, 3.9), (0.0, 5.0, 8.0), last_known=False, coverage=0.9), **AXES)
    assert "maximum" not in facts(short) and facts(short)["trend"].text == "peaks"


def test_abstained_series_and_panels_have_no_facts() -> None:
    read = panel(series("A", (0.0, 10.0)), series("B", (0.0, 1.0), abstained="low_coverage"))
    assert facts(read, 1) == {} and facts(read, 0)
    assert facts(replace(read, abstained="twin_axes")) == {}
    assert facts(replace(read, kind="other")) == {}
    assert facts(replace(read, y=Axis("y"))) == {}


def test_while_a_series_is_missing_no_other_is_highest_and_trends_hold_in_the_whole_axis() -> None:
    missing = series("C", (), abstained="low_coverage")
    steep, gentle = series("A", (5.0, 9.0)), series("B", (1.0, 3.0))
    axis = Axis("y", scale="linear", low=0.0, high=20.0)
    read = panel(steep, gentle, y=axis)
    assert facts(read, 0)["trend"].text == "rises"
    assert "highest_overall" in facts(read, 0)
    partly = panel(steep, gentle, missing, y=axis)
    assert "highest_overall" not in facts(partly, 0)
    assert "trend" not in facts(partly, 0)  # 4 of 20 is no rise to speak of


def test_borderline_shape_is_no_fact() -> None:
    read = panel(series("A", (0.0, 0.26)), series("B", (0.0, 1.0)))
    assert trend((0.0, 0.26), UNIT) == "rises"
    assert "trend" not in facts(read)


def test_extremum_reached_at_places_apart_has_no_place() -> None:
    flat = facts(panel(series("A", (5.0, 5.0, 5.0)), series("B", (0.0, 9.0, 3.0))))
    assert flat["maximum"] == Fact("maximum", None, 5.0)


def test_along_an_axis_drawn_the_other_way_round_no_trend_is_claimed() -> None:
    usual = [(0.0, 1.0, 10, 90), (1.0, 9.0, 90, 10)]
    for points, has_trend in (
        (usual, True),
        ([(x, y, 100 - px, py) for x, y, px, py in usual], False),
        ([(x, y, px, 100 - py) for x, y, px, py in usual], False),
    ):
        read = panel(Series("A", points=tuple(Point(*point) for point in points), coverage=1.0))
        assert ("trend" in facts(read)) == has_trend == ("first" in facts(read))
        assert facts(read)["maximum"].y == 9.0


def test_bars_tell_highest_and_lowest_by_category() -> None:
    found = facts(panel(series("A", (3.0, 9.0, 5.0), ("u", "v", "w")), kind="bar"))
    assert found == {"maximum": Fact("maximum", "v", 9.0), "minimum": Fact("minimum", "u", 3.0)}
    row = facts(panel(series("A", (3.0, 5.0, 9.0), ("u", "v", "w")), kind="bar"))
    assert row["trend"].text == "rises"
    tied = facts(panel(series("A", (9.0, 3.0, 9.05), ("u", "v", "w")), kind="bar"))
    assert tied["maximum"] == Fact("maximum", None, 9.05)


def test_row_that_lacks_a_bar_tells_no_highest_and_no_lowest() -> None:
    """The one that was not read may be either."""
    x = Axis("x", scale="category", categories=("u", "v", "w"))
    whole, lacking = series("A", (1.0, 2.0, 3.0), ("u", "v", "w")), series("B", (9.0, 8.0), ("v", "w"))
    read = panel(whole, lacking, kind="grouped_bar", x=x)
    assert facts(read, 1) == {}
    assert facts(read, 0).keys() == {"maximum", "minimum"}
    assert facts(panel(lacking, whole, kind="grouped_bar", x=x)) == {}
    low = series("B", (0.1, 0.2), ("v", "w"))
    assert "highest_overall" not in facts(panel(whole, low, kind="grouped_bar", x=x), 0)


def test_cloud_whose_course_is_not_clear_tells_the_direction_of_a_strong_correlation() -> None:
    xs = [i / 10 for i in range(40)]
    noise = [math.sin(7.0 * i) for i in range(40)]
    outliers = [5.0 if i in (30, 31, 32) else 0.0 for i in range(40)]
    ys = [1.6 * x + 0.6 * n + o for x, n, o in zip(xs, noise, outliers, strict=True)]
    assert trend(ys, range_of(ys)) == "unclear"
    for sign, direction in ((1, "rises"), (-1, "falls")):
        found = facts(panel(series("A", [sign * y for y in ys], xs), kind="scatter"))
        assert found["trend"].text == direction
        assert "first" not in found and "last" not in found
    assert curves.trend_by(0.79) is None and curves.trend_by(None) is None


def test_scatter_tells_correlation_and_ranges() -> None:
    xs = [i / 10 for i in range(30)]
    found = facts(panel(series("A", [3 + 2 * x for x in xs], xs), kind="scatter"))
    assert found["correlation"].y == pytest.approx(1.0)
    assert (found["x_range"].x, found["x_range"].y) == (0.0, 2.9)
    assert found["y_range"].y == pytest.approx(8.8)
    assert found["trend"].text == "rises" and "maximum" not in found


@pytest.mark.parametrize(("scale", "ys"), [("log", (0.0, 10.0)), ("linear", (math.nan, 1.0)), ("log", (-1.0, 1.0))])
def test_values_that_their_axis_cannot_hold_give_no_facts(scale: AxisScale, ys: tuple[float, ...]) -> None:
    assert facts(panel(series("A", ys), y=Axis("y", scale=scale))) == {}


def test_facts_that_were_there_before_are_replaced() -> None:
    assert "correlation" not in facts(panel(series("A", (0.0, 1.0), facts=(Fact("correlation", y=1.0),))))


points = st.lists(
    st.tuples(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True)),
    max_size=30,
)


@given(
    st.lists(points, max_size=4),
    st.sampled_from(["line", "bar", "grouped_bar", "stacked_bar", "scatter", "other"]),
    st.sampled_from([None, "linear", "log", "date", "category"]),
    st.sampled_from([None, "linear", "log", "date", "category"]),
)
def test_no_points_make_it_fail(
    clouds: list[list[tuple[float, float]]], kind: ChartKind, x: AxisScale | None, y: AxisScale | None
) -> None:
    members = tuple(Series("A", points=tuple(Point(a, b, 0, 0) for a, b in cloud)) for cloud in clouds)
    read = Panel(kind, (0, 0, 1, 1), Axis(scale=x), Axis(scale=y), members)
    for one in curves.facts_of(read):
        assert all(fact.y is None or math.isfinite(fact.y) for fact in one.facts)
