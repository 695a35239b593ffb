"""The support check: numbers and names of an answer that nothing told the model, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_graph.support import MAX_MARKS, unsupported


def _marked(answer: str, *sources: str) -> list[tuple[str, str]]:
    """(stretch of the answer, kind) for each mark."""
    return [(answer[mark.start : mark.end], mark.kind) for mark in unsupported(answer, sources)]


def test_what_stands_in_the_figure_or_the_caption_is_not_marked() -> None:
    answer = "ResNet-50 reaches a Top-1 accuracy of 76.1 % after 90 epochs, VGG stays below 1,000."
    sources = ["ResNet-50", "Top-1 accuracy [%]", "76.1", "VGG", "Accuracy after 90 epochs.", "1000"]
    assert _marked(answer, *sources) == []


def test_an_invented_number_and_an_invented_name_are_marked_where_they_stand() -> None:
    assert _marked("ResNet reaches 93.1, AlexNet 40.", "ResNet", "40") == [("93.1", "number"), ("AlexNet", "name")]


@pytest.mark.parametrize(
    ("answer", "marked"),
    [
        ("The curves of Mean Absolute Error fall.", "Mean Absolute Error"),
        ("It plots “foo qux” over time.", "foo qux"),
        ("It plots `loss` over time.", "loss"),
        ("Here ViT-L wins.", "ViT-L"),
        ("Here the ratio β falls.", "β"),
        ("Here x10 falls.", "x10"),
        ("Here iPhone falls.", "iPhone"),
        ("The legend holds: Vodikar.", "Vodikar"),
        ("One curve is labelled loss, and it falls.", "loss"),
        ("An axis named as the voltage is there.", "voltage"),
        ("Called foo, it falls.", "foo"),
    ],
)
def test_what_looks_like_a_name_is_one(answer: str, marked: str) -> None:
    assert _marked(answer) == [(marked, "name")]


def test_name_is_marked_where_it_begins_a_sentence_once_it_is_known_to_be_one() -> None:
    assert _marked("Vodikar rises. Growth slows. Then Vodikar falls.") == [("Vodikar", "name")] * 2


@pytest.mark.parametrize(
    "answer",
    [
        "The figure shows 3 curves. Figure 2 has 4 panels, and Fig. 5 two.",
        "1. Growth slows.\n2. Decay follows.",
        "Growth slows. Decay follows! Does it? Perhaps.",
        "## Main Findings\nGrowth slows.",
        "**Key Findings:**\n- Growth slows.",
        "The X axis and the Y axis; I think, OK.",
        "It comes 1st, doubles 2x, as in the 90s.",
        "It runs at 3 GHz and 7 °C.",
        "a plain sentence in lower case.",
        "the so-called knee, named after both, called the first.",
        "",
    ],
)
def test_prose_counts_references_and_units_are_not_marked(answer: str) -> None:
    assert _marked(answer, "3", "7") == []


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("about 0.50", ".5"),
        ("about 1000", "1,000"),
        ("about 1.5", "1,5"),
        ("about 50", "ResNet50"),
        ("from 2019 to 20", "2019/20"),
        ("about 0.4", "0.2-0.4"),
        ("about 10⁻³", "0.001"),
        ("The ResNets rise", "ResNet"),
        ("The RESNET rises", "ResNet"),
        ("The bars of Method A", "method a"),
    ],
)
def test_the_same_thing_spelled_otherwise_is_told(answer: str, source: str) -> None:
    assert _marked(answer, source) == []


@pytest.mark.parametrize(("answer", "source"), [("about 5", "15"), ("about 5", "0.5"), ("about −5", "5")])
def test_another_number_is_not_told(answer: str, source: str) -> None:
    assert [kind for _, kind in _marked(answer, source)] == ["number"]


def test_there_is_a_bound_on_marks() -> None:
    answer = " ".join(f"{i}.5" for i in range(MAX_MARKS + 50))
    assert len(unsupported(answer, [])) == MAX_MARKS


@given(st.text(max_size=400), st.lists(st.text(max_size=40), max_size=5))
def test_marks_are_in_order_and_within_the_answer(answer: str, sources: list[str]) -> None:
    end = 0
    for mark in unsupported(answer, sources):
        assert end <= mark.start < mark.end <= len(answer)
        end = mark.end


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_text_supports_itself(text: str) -> None:
    assert unsupported(text, [text]) == []


@pytest.mark.parametrize("pattern", ["“", '"a', "#", "1.", "**", "A: ", "-1", "( ", ".\n \t", "9,999"])
def test_repetition_takes_linear_work(pattern: str) -> None:
    # 200,000 characters: anything quadratic would run into the time-out of the test run.
    unsupported(pattern * (200_000 // len(pattern)), ["9"])
