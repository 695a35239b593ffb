"""Scores of answers about synthetic figures: true texts score full, and each kind of mistake costs what it should."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.synthetic import write
from data.synthetic.facts import panel_facts
from data.synthetic.sample import sample_figure
from data.synthetic.spec import Axis, FigureSpec, Panel, Series
from evaluation.suites.facts.names import located, named_leniently, stands_in
from evaluation.suites.facts.score import METRICS, Score, Share
from evaluation.suites.facts.score import score as score_figure
from evaluation.suites.facts.truth import truth_of_spec

_LESS_IS_BETTER = ("trend_unfounded", "hallucinated", "contradicted")

_XS = (0.0, 25.0, 50.0, 75.0, 100.0)
_CURVES = FigureSpec(
    (
        Panel(
            "line",
            Axis("Time", "s"),
            Axis("Vodikar rate", "1/s"),
            (
                Series("Kelmo", _XS, (10.0, 30.0, 50.0, 70.0, 90.0)),
                Series("Brunt-2", _XS, (80.0, 60.0, 40.0, 20.0, 0.0)),
            ),
        ),
    ),
    seed=1,
)
_TRUE = (
    "The line chart shows Vodikar rate against Time for Kelmo and Brunt-2. Kelmo rises from about 10 to about 90. "
    "Brunt-2 falls from about 80 to about 0. Kelmo and Brunt-2 cross near 44."
)
_BARS = FigureSpec(
    (
        Panel(
            "grouped_bar",
            Axis("Site"),
            Axis("Yield"),
            (
                Series("Dry", (0.0, 1.0, 2.0), (10.0, 50.0, 90.0)),
                Series("Wet", (0.0, 1.0, 2.0), (88.0, 90.0, 20.0)),
            ),
            categories=("Thorp", "Quill", "Marne"),
        ),
    ),
    seed=1,
)


def score(spec: FigureSpec, caption: str, answer: str) -> Score:
    return score_figure(truth_of_spec(spec, random.Random(0)), caption, answer)


def _of(metric: str, answer: str, spec: FigureSpec = _CURVES, caption: str = "") -> tuple[int, int]:
    share = score(spec, caption, answer)[metric]
    return share.hits, share.of


def test_true_explanations_of_heldout_figures_score_full() -> None:
    total = dict.fromkeys(METRICS, Share())
    for seed in range(60):
        spec = sample_figure(seed, "heldout")
        answer = write.explanation(spec, write.everything(spec), random.Random(seed))
        total = {metric: total[metric] + share for metric, share in score(spec, "", answer).items()}
    assert all(share.of >= 60 for share in total.values())
    missed = {metric: share.of - share.hits for metric, share in total.items() if metric not in _LESS_IS_BETTER}
    # The reader of claims passes over a sentence now and then; what it finds is true.
    assert missed.pop("trend_coverage") <= 0.02 * total["trend_coverage"].of
    assert not any(missed.values())
    assert not any(total[metric].hits for metric in _LESS_IS_BETTER)


def test_an_explanation_of_another_figure_scores_nothing() -> None:
    right, names = Share(), Share()
    for seed in range(40):
        spec, other = sample_figure(seed, "heldout"), sample_figure(seed + 1000, "heldout")
        scores = score(spec, "", write.explanation(other, write.everything(other), random.Random(seed)))
        right += scores["axis_labels"] + scores["series_named"]
        names += scores["hallucinated"]
    assert right.hits <= 0.1 * right.of
    assert names.hits >= 0.8 * names.of


def test_a_true_answer_about_curves() -> None:
    assert {metric: (share.hits, share.of) for metric, share in score(_CURVES, "", _TRUE).items()} == {
        "axis_labels": (1, 1),
        "axis_labels_lenient": (1, 1),
        "series_named": (2, 2),
        "trend_right": (2, 2),
        "trend_coverage": (2, 2),
        "trend_unfounded": (0, 2),
        "extremum_right": (0, 0),
        "numbers_near": (5, 5),
        "hallucinated": (0, 8),
        "contradicted": (0, 1),
    }


@pytest.mark.parametrize(
    ("answer", "strict", "lenient"),
    [
        ("It shows vodikar  RATE against time.", 1, 1),
        ("It shows Vodikarrate against Time.", 1, 1),
        ("It shows Vodlkar rate against Time.", 0, 1),
        ("It shows Vodkar rate against Time.", 0, 1),
        ("It shows Vodika rat against Time.", 0, 0),
        ("It shows Vodikar rate against Tine.", 0, 0),
        ("It shows Vodikar rates against Time.", 0, 1),
        ("It shows Vodikar rate.", 0, 0),
    ],
)
def test_axis_labels_count_letter_by_letter_and_with_one_slip(answer: str, strict: int, lenient: int) -> None:
    assert _of("axis_labels", answer) == (strict, 1)
    assert _of("axis_labels_lenient", answer) == (lenient, 1)


def test_a_label_within_the_other_label_is_not_named_by_it() -> None:
    panel = replace(_CURVES.panels[0], x=Axis("Rate"))
    assert _of("axis_labels", "It plots Vodikar rate.", replace(_CURVES, panels=(panel,))) == (0, 1)


def test_a_trend_is_right_of_the_series_named_in_its_clause() -> None:
    assert _of("trend_right", "Kelmo rises and Brunt-2 falls.") == (2, 2)
    assert _of("trend_right", "Kelmo falls while Brunt-2 drops.") == (1, 2)
    assert _of("trend_coverage", "Kelmo falls.") == (1, 2)


def test_a_trend_of_no_known_series_is_told_of_none() -> None:
    assert _of("trend_right", "One curve rises. Kelmoo falls. Brunt rises.") == (0, 0)
    assert _of("trend_coverage", "One curve rises. Kelmoo falls. Brunt rises.") == (0, 2)
    assert _of("hallucinated", "One curve rises. Kelmoo falls. Brunt rises.") == (2, 2)


def test_a_repeated_statement_counts_once_and_a_contradiction_twice() -> None:
    assert _of("trend_right", "Kelmo rises. Kelmo climbs. Kelmo rises.") == (1, 1)
    assert _of("trend_right", "Kelmo rises. Kelmo falls.") == (1, 2)


def test_any_subject_will_do_for_a_single_series() -> None:
    panel = _CURVES.panels[0]
    alone = replace(_CURVES, panels=(replace(panel, series=panel.series[:1]),))
    assert _of("trend_right", "Vodikar rate rises. It climbs.", alone) == (1, 1)


def test_a_trend_told_of_a_curve_without_one_is_unfounded() -> None:
    panel = _CURVES.panels[0]
    jagged = Series("Kelmo", _XS, (50.0, 90.0, 5.0, 80.0, 40.0))
    spec = replace(_CURVES, panels=(replace(panel, series=(jagged, panel.series[1])),))
    assert panel_facts(spec.panels[0]).series[0].trend == "unclear"
    assert _of("trend_unfounded", "Kelmo rises. Brunt-2 falls.", spec) == (1, 2)
    assert _of("trend_right", "Kelmo rises. Brunt-2 falls.", spec) == (1, 1)


def test_numbers_are_near_within_a_tenth_of_the_range() -> None:
    assert _of("numbers_near", "Kelmo rises from about 18 to about 82.") == (2, 2)
    assert _of("numbers_near", "Kelmo rises from about 20 to about 80.") == (0, 2)
    assert _of("numbers_near", "Kelmo and Brunt-2 cross near 60.") == (0, 1)
    assert _of("numbers_near", "Somebody rises from about 10 to about 90.") == (0, 0)


def test_numbers_on_a_log_axis_are_compared_as_logarithms() -> None:
    panel = replace(
        _CURVES.panels[0], y=Axis("Flux", log=True), series=(Series("Kelmo", _XS, (1.0, 10.0, 100.0, 1e3, 1e4)),)
    )
    spec = replace(_CURVES, panels=(panel,))
    assert _of("numbers_near", "Kelmo rises from about 2 to about 5000.", spec) == (2, 2)
    assert _of("numbers_near", "Kelmo rises from about 3 to about -5.", spec) == (0, 2)


def test_highest_and_lowest_bars_belong_to_their_series() -> None:
    answer = "For Dry, the highest bar is Marne at about 90 and the lowest is Thorp at about 10."
    assert _of("extremum_right", answer, _BARS) == (2, 2)
    assert _of("numbers_near", answer, _BARS) == (2, 2)
    assert _of("extremum_right", answer.replace("Dry", "Wet"), _BARS) == (0, 2)
    assert _of("extremum_right", "The highest bar is Marne.", _BARS) == (0, 1)


def test_bar_that_is_highest_for_all_is_so_for_each_series() -> None:
    alike = replace(
        _BARS.panels[0], series=(*_BARS.panels[0].series[:1], Series("Wet", (0.0, 1.0, 2.0), (8.0, 9.0, 80.0)))
    )
    answer = "Both are highest at Marne and lowest at Thorp."
    assert _of("extremum_right", answer, replace(_BARS, panels=(alike,))) == (2, 2)
    assert _of("extremum_right", answer) == (0, 0)
    assert _of("extremum_right", answer, _BARS) == (0, 2)


def test_bars_that_the_eye_cannot_tell_apart_are_both_the_highest() -> None:
    assert _of("extremum_right", "For Wet, the highest bar is Thorp.", _BARS) == (1, 1)


def test_the_highest_curve_is_that_with_the_highest_mean() -> None:
    assert _of("extremum_right", "Kelmo is the highest overall.") == (1, 1)
    assert _of("extremum_right", "Overall, Brunt-2 lies highest.") == (0, 1)
    assert _of("extremum_right", "Brunt-2 is the lowest overall.") == (1, 1)


@pytest.mark.parametrize(
    ("answer", "hits", "of"),
    [
        ("The line chart shows Vodikar rate against Time for Kelmo and Brunt-2.", 0, 4),
        ("The line chart shows Vodikar rate against Tempo for Kelmo and Brunt-3.", 1, 3),
        ("The line chart shows the vertical axis against Time. One curve rises.", 0, 1),
        ("Kelmoo rises.", 1, 1),
        ("Brunt rises.", 1, 1),
        ("Vodikar rises.", 0, 1),
        ("Kelmo rises with Plonk Zarg in 1990.", 1, 2),
        ("", 0, 0),
    ],
)
def test_names_that_stand_nowhere_are_hallucinated(answer: str, hits: int, of: int) -> None:
    assert _of("hallucinated", answer) == (hits, of)


def test_a_name_from_the_caption_is_none_unless_the_caption_was_not_given() -> None:
    assert _of("hallucinated", "Plonk rises.", caption="Results for Plonk.") == (0, 1)
    assert _of("hallucinated", "Plonk rises.") == (1, 1)


def test_the_name_of_a_curve_without_legend_stands_nowhere() -> None:
    panel = replace(_CURVES.panels[0], series=_CURVES.panels[0].series[:1], legend=False)
    assert _of("hallucinated", "Kelmo rises.", replace(_CURVES, panels=(panel,))) == (1, 1)


def test_sentences_are_about_the_panel_named_last() -> None:
    other = replace(_CURVES.panels[0], y=Axis("Drift"), series=(Series("Kelmo", _XS, (90.0, 70.0, 50.0, 30.0, 10.0)),))
    spec = replace(_CURVES, panels=(*_CURVES.panels, other))
    answer = "In panel (a), the line chart shows Vodikar rate against Time. Kelmo rises. In panel (b), the curve falls."
    assert _of("trend_right", answer, spec) == (2, 2)


def test_names_are_found_only_where_they_stand_free() -> None:
    assert stands_in("ABC", "So ABC, of course")
    assert not any(stands_in("ABC", text) for text in ("ABC+", "ABC-Net", "XABC", "X-ABC", "ABC*", "ABCs"))
    assert stands_in("rho = 1", "RHO=1 rises")
    assert not stands_in("rho = 1", "rho = 1.5")
    assert not stands_in("", "text")
    assert located(["Rate", "Kelmo rate"], "kelmo rate, rate") == [(0, 10, "Kelmo rate"), (12, 16, "Rate")]


@pytest.mark.parametrize("slip", ["Kelmos", "Kelmoz", "Kelmosu", "elmosu", "Kelmo su", "KELMOSUX", "Ke1mosu"])
def test_one_slip_is_forgiven_in_a_long_name(slip: str) -> None:
    assert named_leniently("Kelmosu", f"It is {slip}.") == (slip not in ("Kelmoz",))


_WORDS = (
    "The line chart shows plots against over for and , . In panel (a), the highest bar is lowest at about near cross "
    "12 -3.5 1,000 Kelmo Brunt-2 rises falls peaks stays flat from to left right \n ! and Overall, lies"
)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(_WORDS.split(" ")), max_size=60))
def test_any_answer_is_scored(words: list[str]) -> None:
    scores = score(_CURVES, "", " ".join(words))
    assert set(scores) == set(METRICS)
    assert all(0 <= share.hits <= share.of for share in scores.values())


@given(st.text(max_size=300))
def test_any_text_is_taken_apart(text: str) -> None:
    score(_BARS, text, text)
