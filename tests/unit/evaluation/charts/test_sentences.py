"""True sentences about a figure: what is said follows from the truth, and a misread curve makes them contradicted."""

from __future__ import annotations

import dataclasses

from evaluation.suites.charts.reading import Reading
from evaluation.suites.charts.sentences import Sentence, judged, tally, true_sentences
from evaluation.suites.charts.truth import TruthFigure, TruthPanel, TruthSeries
from llava_graph.chart import Chart
from llava_graph.curves import facts_of


def found(figure: TruthFigure, chart: Chart) -> list[Sentence]:
    return list(judged([figure], {figure.file: Reading(figure.file, chart, 0.1, 0.1, 0.1)}))


def test_a_figure_that_was_read_rightly_contradicts_no_true_sentence(
    two_curves: TruthFigure, right_chart: Chart
) -> None:
    sentences = found(two_curves, right_chart)
    assert len(sentences) >= 6
    assert not any(sentence.is_contradicted for sentence in sentences)
    assert sum(sentence.is_judged for sentence in sentences) >= 4
    assert tally(sentences).of_all.share == 0


def test_exchanged_names_make_true_sentences_contradicted(two_curves: TruthFigure, right_chart: Chart) -> None:
    (panel,) = right_chart.panels
    one, two = panel.series[:2]
    swapped = dataclasses.replace(
        panel, series=(dataclasses.replace(one, name=two.name), dataclasses.replace(two, name=one.name))
    )
    chart = Chart((dataclasses.replace(swapped, series=facts_of(swapped)),))
    wrong = [sentence for sentence in found(two_curves, chart) if sentence.is_contradicted]
    assert wrong
    assert all(sentence.instead for sentence in wrong)


def test_nothing_is_asked_of_a_figure_that_was_not_read(two_curves: TruthFigure) -> None:
    assert found(two_curves, Chart(abstained="no_axes")) == []


def test_sentences_about_bars_name_their_series_only_among_several() -> None:
    points = (("Red", 12.0), ("Green", 1234.5))
    alone = TruthFigure("a", "a.png", "t", "test", "bar", (TruthPanel("bar", series=(TruthSeries(None, points),)),))
    assert "The value for Red is 12." in list(true_sentences(alone))
    assert "The highest bar is that for Green, at 1230." in list(true_sentences(alone))
    both = TruthPanel("grouped_bar", series=(TruthSeries("North", points), TruthSeries("South", points)))
    assert "The value of North for Red is 12." in list(true_sentences(dataclasses.replace(alone, panels=(both,))))
