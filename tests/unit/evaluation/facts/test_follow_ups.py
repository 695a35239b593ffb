"""Follow-up questions: each has a right answer that counts and a wrong one that does not."""

from __future__ import annotations

import random

import pytest

from data.synthetic.sample import sample_figure
from data.synthetic.spec import Axis, FigureSpec, Panel, Series
from evaluation.suites.charts.truth import TruthAxis, TruthPanel, TruthSeries
from evaluation.suites.facts.follow_ups import FollowUp, questions
from evaluation.suites.facts.score import Truth
from evaluation.suites.facts.truth import chart_of, truth_of_spec

_XS = (0.0, 25.0, 50.0, 75.0, 100.0)
_CURVES = (
    Series("Kelmo", _XS, (10.0, 30.0, 50.0, 70.0, 90.0)),
    Series("Brunt-2", _XS, (8.0, 7.0, 6.0, 5.0, 4.0)),
)
_PANEL = Panel("line", Axis("Time", "s"), Axis("Vodikar rate", "mol"), _CURVES)
_RIGHT = {
    "kind": "It is a line chart.",
    "axis": "The axes show Time and Vodikar rate.",
    "unit": "They are in mol.",
    "absent": "There is no such curve in the figure.",
    "why": "The figure does not tell why.",
    "highest": "Kelmo is the highest overall, above Brunt-2.",
}
_WRONG = {
    "kind": "It is a bar chart.",
    "axis": "The axes show Tempo and Vodlkar rate.",
    "unit": "They are in kg.",
    "absent": "Kelmo rises. Its values were not read.",
    "why": "Because it is heated, and not cooled.",
    "highest": "Brunt-2 is the highest.",
    "value": "About 61.",
    "trend": "It falls.",
}


def _asked(spec: FigureSpec) -> list[FollowUp]:
    truth = truth_of_spec(spec, random.Random(0))
    return [question for seed in range(30) for question in questions(truth, random.Random(seed), 100)]


def test_each_kind_of_question_has_a_right_answer_and_a_wrong_one() -> None:
    asked = _asked(FigureSpec((_PANEL,), seed=1))
    assert {question.kind for question in asked} == {*_RIGHT, "value", "trend"}
    for question in asked:
        right = (
            _RIGHT.get(question.kind)
            or {
                "value": f"About {question.expected}, I think.",
                "trend": "It stays constant." if question.expected == "flat" else f"It {question.expected}.",
            }[question.kind]
        )
        assert question.is_right(right), (question.text, right)
        assert not question.is_right(_WRONG[question.kind]), question.text
        assert not question.is_right("")


def test_bars_are_asked_for_the_highest_and_for_values() -> None:
    bars = Panel(
        "bar", Axis("Site"), Axis("Yield"), (Series("y", (0.0, 1.0), (10.0, 50.0)),), categories=("Thorp", "Quill")
    )
    asked = _asked(FigureSpec((bars,), seed=1))
    [highest] = {question.expected for question in asked if question.kind == "highest"}
    assert highest == "Quill"
    for question in asked:
        if question.kind == "highest":
            assert question.is_right("It is Quill, at 50, while Thorp has 10.")
            assert not question.is_right("Thorp, not Quill.")
        if question.kind == "value":
            assert question.is_right(f"It is {question.expected}.")
            assert not question.is_right("It is 30.")


def test_bars_that_lie_are_asked_for_their_values_along_the_bottom() -> None:
    x = TruthAxis("Yield", "t", "linear", 0.0, 50.0)
    y = TruthAxis("Site", scale="category", categories=("Thorp", "Quill"))
    lying = TruthPanel("bar", x, y, (TruthSeries(None, (("Thorp", 10.0), ("Quill", 50.0))),), horizontal=True)
    truth = Truth(chart_of((lying,)), ("Yield", "Site"), ())
    asked = [question for seed in range(30) for question in questions(truth, random.Random(seed), 100)]
    along = {question.expected for question in asked if "bottom" in question.text or "horizontally" in question.text}
    upright = {question.expected for question in asked if "vertically" in question.text or "upright" in question.text}
    assert (along, upright) == ({"Yield"}, {"Site"})
    assert {question.text for question in asked if question.kind == "unit"} == {"In what unit are the values given?"}


@pytest.mark.parametrize("seed", range(6))
def test_questions_are_the_same_for_the_same_seed(seed: int) -> None:
    truth = truth_of_spec(sample_figure(seed, "heldout"), random.Random(0))
    first, again = (questions(truth, random.Random(seed), 4) for _ in range(2))
    assert [(q.kind, q.text, q.expected) for q in first] == [(q.kind, q.text, q.expected) for q in again]
    assert len(first) <= 4
