"""What counts as right, as claimed and as possible: readings of a small figure, judged by hand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest

from evaluation.suites.charts.score import Count, FigureScore, match_series, resampled, score, true_trends
from evaluation.suites.charts.truth import TruthAxis, TruthFact, TruthFigure, TruthPanel, TruthSeries
from llava_graph.chart import Axis, Chart, Fact, Panel, Point, Series

LINE_FACTS = ("trend", "first", "last", "maximum", "minimum")


def changed(chart: Chart, index: int, **fields: object) -> Chart:
    """The chart with fields of one series of its first panel replaced."""
    panel = chart.panels[0]
    series = list(panel.series)
    series[index] = dataclasses.replace(series[index], **fields)  # type: ignore[arg-type]
    return Chart((dataclasses.replace(panel, series=tuple(series)), *chart.panels[1:]))


def with_fact(chart: Chart, index: int, fact: Fact) -> Chart:
    facts = tuple(fact if one.kind == fact.kind else one for one in chart.panels[0].series[index].facts)
    return changed(chart, index, facts=facts)


def lines_of(judged: FigureScore) -> Count:
    whole = Count()
    for kind in LINE_FACTS:
        whole.add(judged.counts.get(f"line.{kind}", Count()))
    return whole


def test_right_chart_is_right_in_everything(two_curves: TruthFigure, right_chart: Chart) -> None:
    judged = score(two_curves, right_chart, 0.2)
    assert lines_of(judged) == Count(right=10, claimed=10, found=10, all=10)
    assert judged.counts["series"] == Count(2, 2, 2, 2)
    assert judged.counts["kind"] == Count(1, 1, 1, 1)
    assert judged.counts["axis"] == Count(2, 2, 2, 2)
    assert judged.rms_f1 == pytest.approx(1.0)
    assert judged.wrong == ()


def test_order_of_series_does_not_matter(two_curves: TruthFigure, right_chart: Chart) -> None:
    panel = right_chart.panels[0]
    turned = Chart((dataclasses.replace(panel, series=panel.series[::-1]),))
    assert score(two_curves, turned, 0).counts == score(two_curves, right_chart, 0).counts


def test_nothing_claimed_is_nothing_wrong_and_nothing_found(two_curves: TruthFigure) -> None:
    judged = score(two_curves, Chart(abstained="no_axes"), 0)
    assert lines_of(judged) == Count(right=0, claimed=0, found=0, all=10)
    assert judged.rms_f1 == 0.0
    assert judged.abstained == ("no_axes",)
    assert not judged.claims


def test_abstained_series_is_no_claim(two_curves: TruthFigure, right_chart: Chart) -> None:
    judged = score(two_curves, changed(right_chart, 1, abstained="low_coverage"), 0)
    assert lines_of(judged) == Count(right=5, claimed=5, found=5, all=10)
    assert judged.abstained == ("low_coverage",)


def test_abstained_panel_is_no_claim(two_curves: TruthFigure, right_chart: Chart) -> None:
    panel = dataclasses.replace(right_chart.panels[0], abstained="twin_axes")
    assert lines_of(score(two_curves, Chart((panel,)), 0)).claimed == 0


@pytest.mark.parametrize(("value", "right"), [(10.0 + 4.9, True), (10.0 + 5.1, False), (10.0 - 5.1, False)])
def test_value_is_right_within_a_twentieth_of_the_axis(
    two_curves: TruthFigure, right_chart: Chart, value: float, right: bool
) -> None:
    judged = score(two_curves, with_fact(right_chart, 0, Fact("first", x=0.0, y=value)), 0)
    assert judged.counts["line.first"] == Count(1 + right, 2, 1 + right, 2)
    assert bool(judged.wrong) != right


def test_exchanged_names_make_both_series_wrong(
    two_curves: TruthFigure, right_chart: Chart, read_panel: Callable[..., Panel]
) -> None:
    alpha, omega = right_chart.panels[0].series
    exchanged = read_panel(dataclasses.replace(alpha, name="Omega"), dataclasses.replace(omega, name="Alpha"))
    judged = score(two_curves, Chart((exchanged,)), 0)
    assert judged.counts["line.trend"] == Count(0, 2, 0, 2)
    assert judged.counts["line.first"] == Count(0, 2, 0, 2)


def test_name_with_an_ocr_error_is_the_same_name(two_curves: TruthFigure, right_chart: Chart) -> None:
    judged = score(two_curves, changed(right_chart, 0, name="A1pha"), 0)
    assert judged.counts["series"] == Count(2, 2, 2, 2)


def test_each_fact_of_an_invented_series_is_wrong(
    two_curves: TruthFigure, right_chart: Chart, curve: Callable[..., Series], read_panel: Callable[..., Panel]
) -> None:
    invented = curve("Nothing like it", tuple((x, 50.0) for x in range(11)), "flat")
    judged = score(two_curves, Chart((read_panel(*right_chart.panels[0].series, invented),)), 0)
    assert lines_of(judged) == Count(right=10, claimed=15, found=10, all=10)
    assert judged.counts["series"] == Count(2, 3, 2, 2)
    assert judged.rms_f1 is not None and judged.rms_f1 < 0.9


def test_claims_of_the_wrong_kind_are_wrong(two_curves: TruthFigure, read_panel: Callable[..., Panel]) -> None:
    bars = Series("Alpha", points=(Point("a", 5.0, 0, 0), Point("b", 6.0, 0, 0)))
    judged = score(two_curves, Chart((read_panel(bars, kind="bar"),)), 0)
    assert judged.counts["kind"] == Count(0, 1, 0, 1)
    assert judged.counts["bar.value"] == Count(right=0, claimed=2)
    assert lines_of(judged).found == 0


def test_claim_on_a_figure_that_must_be_abstained_from_is_counted(right_chart: Chart) -> None:
    pie = TruthFigure("pie", "pie.png", "tool", "test", "pie", (TruthPanel("other", abstain="pie"),))
    assert score(pie, right_chart, 0).counts == {"unread": Count(right=0, claimed=1, found=0, all=1)}
    assert score(pie, Chart(abstained="kind_not_read"), 0).counts == {"unread": Count(found=1, all=1)}


def test_panel_that_is_not_there_is_wrong(two_curves: TruthFigure, right_chart: Chart) -> None:
    elsewhere = dataclasses.replace(right_chart.panels[0], area=(600.0, 50.0, 900.0, 350.0))
    judged = score(two_curves, Chart((*right_chart.panels, elsewhere)), 0)
    assert lines_of(judged) == Count(right=10, claimed=20, found=10, all=10)


def test_panels_are_matched_by_their_place(two_curves: TruthFigure, right_chart: Chart) -> None:
    true = two_curves.panels[0]
    second = dataclasses.replace(true, area=(600.0, 50.0, 900.0, 350.0))
    figure = dataclasses.replace(two_curves, panels=(true, second))
    read = right_chart.panels[0]
    moved = dataclasses.replace(read, area=(600.0, 50.0, 900.0, 350.0))
    assert lines_of(score(figure, Chart((moved, read)), 0)) == Count(20, 20, 20, 20)


def test_axis_that_is_off_by_more_than_a_hundredth_is_not_calibrated(
    two_curves: TruthFigure, right_chart: Chart
) -> None:
    panel = right_chart.panels[0]
    for high, right in ((100.9, 2), (101.1, 1)):
        off = dataclasses.replace(panel, y=dataclasses.replace(panel.y, high=high))
        assert score(two_curves, Chart((off,)), 0).counts["axis"] == Count(right, 2, right, 2)


def test_axis_may_be_told_for_a_larger_area_than_the_true_one(two_curves: TruthFigure, right_chart: Chart) -> None:
    panel = right_chart.panels[0]
    wider = dataclasses.replace(
        panel, area=(60.0, 50.0, 500.0, 350.0), x=dataclasses.replace(panel.x, low=-1.0, high=10.0)
    )
    assert score(two_curves, Chart((wider,)), 0).counts["axis"] == Count(2, 2, 2, 2)


def test_axis_read_as_linear_that_is_logarithmic_is_wrong(two_curves: TruthFigure, right_chart: Chart) -> None:
    true = two_curves.panels[0]
    axis = TruthAxis("Level", None, "log", 1, 100)
    figure = dataclasses.replace(two_curves, panels=(dataclasses.replace(true, y=axis),))
    assert score(figure, right_chart, 0).counts["axis"].right == 1


def test_values_on_a_log_axis_are_compared_as_logarithms(
    curve: Callable[..., Series], read_panel: Callable[..., Panel]
) -> None:
    points = tuple((float(x), 10.0**x) for x in range(5))
    panel = TruthPanel(
        "line",
        TruthAxis("x", None, "linear", 0, 4),
        TruthAxis("y", None, "log", 1, 10_000),
        (TruthSeries(None, points),),
    )
    figure = TruthFigure("log", "log.png", "tool", "test", "line_log_y", (panel,))
    read = read_panel(curve(None, points, "rises"))
    read = dataclasses.replace(read, y=Axis("y", None, None, "log", 1.0, 10_000.0))
    # A twentieth of four decades is a factor of 1.58.
    for value, right in ((1.5, True), (1.7, False), (-1.0, False)):
        judged = score(figure, with_fact(Chart((read,)), 0, Fact("minimum", y=value)), 0)
        assert judged.counts["line.minimum"].right == right


def test_trend_of_a_wave_is_not_asked_for_and_claiming_one_is_wrong(
    curve: Callable[..., Series], read_panel: Callable[..., Panel]
) -> None:
    points = tuple((x / 4, 50 + 40 * math.sin(math.pi * x / 10)) for x in range(41))
    panel = TruthPanel("line", TruthAxis(), TruthAxis(None, None, "linear", 0, 100), (TruthSeries(None, points),))
    figure = TruthFigure("wave", "wave.png", "tool", "test", "line", (panel,))
    assert true_trends(panel, panel.series[0]) == (frozenset({"unclear"}), False)
    claiming = score(figure, Chart((read_panel(curve("Wave", points, "rises")),)), 0)
    assert claiming.counts["line.trend"] == Count(right=0, claimed=1)
    silent = score(figure, Chart((read_panel(curve("Wave", points, "unclear")),)), 0)
    assert "line.trend" not in silent.counts


def test_single_curve_needs_no_name(
    curve: Callable[..., Series], read_panel: Callable[..., Panel], two_curves: TruthFigure
) -> None:
    true = dataclasses.replace(two_curves.panels[0], series=two_curves.panels[0].series[:1])
    figure = dataclasses.replace(two_curves, panels=(true,))
    judged = score(figure, Chart((read_panel(curve(None, true.series[0].points, "rises")),)), 0)
    assert lines_of(judged) == Count(5, 5, 5, 5)
    assert judged.rms_f1 == pytest.approx(1.0)


def test_labelled_facts_are_scored_with_their_doubt_and_others_are_not(
    curve: Callable[..., Series], read_panel: Callable[..., Panel]
) -> None:
    facts = (TruthFact("trend", text="falls", also=("unclear",)), TruthFact("last", y=20.0, tolerance=0.02))
    panel = TruthPanel(
        "line", TruthAxis(), TruthAxis(None, None, "linear", 0, 100), (TruthSeries(None, (), facts, complete=False),)
    )
    figure = TruthFigure("real", "real.png", "tool", "test", "line", (panel,))
    judged = score(figure, Chart((read_panel(curve(None, ((0.0, 90.0), (1.0, 26.5)), "falls")),)), 0)
    assert judged.counts["line.last"] == Count(1, 1, 1, 1)  # 6.5 off: within 5 and 2 of 100
    assert judged.counts["line.trend"] == Count(right=1, claimed=1)
    assert "line.first" not in judged.counts
    assert judged.rms_f1 is None


def bars(horizontal: bool = False) -> TruthFigure:
    categories = TruthAxis(None, None, "category", categories=("Mon", "Tue", "Wed"))
    values = TruthAxis("Yield", "kg", "linear", 0, 10)
    series = (TruthSeries(None, (("Mon", 2.0), ("Tue", 4.0), ("Wed", 9.0))),)
    x, y = (values, categories) if horizontal else (categories, values)
    panel = TruthPanel("bar", x, y, series, horizontal=horizontal)
    return TruthFigure("bars", "bars.png", "tool", "test", "bar", (panel,))


def bar_chart(**values: float) -> Chart:
    points = tuple(Point(category, value, 0.0, 0.0) for category, value in values.items())
    return Chart((Panel("bar", (0, 0, 1, 1), series=(Series(points=points),)),))


@pytest.mark.parametrize("horizontal", [False, True])
def test_bar_is_right_within_three_hundredths_of_the_axis(horizontal: bool) -> None:
    judged = score(bars(horizontal), bar_chart(Mon=2.29, Tue=4.31, Wed=9.0), 0)
    assert judged.counts["bar.value"] == Count(right=2, claimed=3, found=2, all=3)
    assert [claim.claimed for claim in judged.wrong] == ["Tue: 4.31"]


def test_bar_that_was_not_read_is_missing_and_one_that_is_not_there_is_wrong() -> None:
    judged = score(bars(), bar_chart(Mon=2.0, Tue=4.0, Sunday=1.0), 0)
    assert judged.counts["bar.value"] == Count(right=2, claimed=3, found=2, all=3)
    assert judged.rms_f1 is not None and 0.6 < judged.rms_f1 < 0.7


def test_values_at_exchanged_categories_are_wrong() -> None:
    assert score(bars(), bar_chart(Mon=9.0, Tue=4.0, Wed=2.0), 0).counts["bar.value"].right == 1


def test_bars_of_neighbouring_years_are_not_taken_for_one_another() -> None:
    figure = bars()
    years = (TruthSeries(None, (("2016", 2.0), ("2017", 4.0), ("2018", 9.0))),)
    figure = dataclasses.replace(figure, panels=(dataclasses.replace(figure.panels[0], series=years),))
    judged = score(figure, bar_chart(**{"2017": 4.0, "2018": 9.0}), 0)
    assert judged.counts["bar.value"] == Count(right=2, claimed=2, found=2, all=3)


def cloud() -> TruthFigure:
    points = tuple((float(i), float((i * 7) % 10)) for i in range(10))
    panel = TruthPanel(
        "scatter",
        TruthAxis("x", None, "linear", 0, 10),
        TruthAxis("y", None, "linear", 0, 10),
        (TruthSeries(None, points),),
    )
    return TruthFigure("cloud", "cloud.png", "tool", "test", "scatter", (panel,))


def test_points_of_a_cloud_are_matched_one_to_one() -> None:
    points = [Point(0.0, 0.0, 0, 0), Point(0.1, 0.1, 0, 0), Point(1.0, 7.1, 0, 0), Point(2.0, 9.0, 0, 0)]
    chart = Chart((Panel("scatter", (0, 0, 1, 1), series=(Series(points=tuple(points)),)),))
    # Two lie at the first true point, one at the second, and none is at (2, 9).
    assert score(cloud(), chart, 0).counts["scatter.points"] == Count(right=2, claimed=4, found=2, all=10)


def test_facts_of_a_cloud() -> None:
    facts = (Fact("correlation", y=0.9), Fact("x_range", x=0.2, y=9.1), Fact("y_range", x=0.0, y=7.0))
    series = Series(points=(Point(0.0, 0.0, 0, 0),), facts=facts)
    counts = score(cloud(), Chart((Panel("scatter", (0, 0, 1, 1), series=(series,)),)), 0).counts
    assert counts["scatter.x_range"] == Count(1, 1, 1, 1)
    assert counts["scatter.y_range"] == Count(0, 1, 0, 1)
    assert counts["scatter.correlation"] == Count(0, 1, 0, 1)


def test_series_are_matched_at_the_best_names_overall() -> None:
    true = [TruthSeries(name, ((0.0, 1.0),)) for name in ("Site A", "Site B")]
    read = [Series("Site B"), Series("Site A"), Series("Total")]
    pairs, invented = match_series(true, read)
    assert [found.name if found else None for _, found in pairs] == ["Site A", "Site B"]
    assert [series.name for series in invented] == ["Total"]


def test_curve_is_resampled_straight_between_its_points_on_a_log_axis_too() -> None:
    assert resampled([(0.0, 1.0), (1.0, 100.0)], False, True, 3) == pytest.approx([1.0, 10.0, 100.0])
    assert resampled([(1.0, 0.0), (100.0, 2.0)], True, False, 3) == pytest.approx([0.0, 1.0, 2.0])
