"""The rules by which a language model's answer becomes a dialogue, or is rejected with a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data.dialogues.parse import REASONS, RejectedError, parse, parse_rating
from data.dialogues.prompts import KINDS, has_context, known, messages
from data.record import FigureReference, Record
from llava_graph.chart import Axis, Chart, Panel, Point, Series
from llava_graph.ocr import Line

TWO = (
    "Question: What does the graph show?\nAnswer: Power.\n\n"
    "Question: Which curve of the plot is highest?\nAnswer: The red one.\n\n"
)


def rejected(response: str, finish_reason: str | None = "stop") -> str:
    with pytest.raises(RejectedError) as caught:
        parse(response, finish_reason)
    assert caught.value.reason in REASONS
    return caught.value.reason


def test_questions_and_answers_are_paired_in_order() -> None:
    assert parse(TWO, "stop").pairs == [
        ("What does the graph show?", "Power."),
        ("Which curve of the plot is highest?", "The red one."),
    ]


def test_pair_whose_question_does_not_speak_of_the_figure_is_dropped_and_counted() -> None:
    dialogue = parse(TWO + "Question: Why is this so?\nAnswer: Because.\n", "stop")
    assert (len(dialogue.pairs), dialogue.dropped) == (2, 1)


@pytest.mark.parametrize("word", ["GRAPH", "Axis", "illustration", "visually", "tables", "Diagram"])
def test_figure_words_count_in_any_case_and_within_words(word: str) -> None:
    assert len(parse(f"Question: What of the {word}?\nAnswer: This one.", "stop").pairs) == 1


def test_pieces_of_three_characters_or_fewer_are_no_questions() -> None:
    assert parse("Question: Q?\nQuestion: What is in the figure?\nAnswer: Power.", "stop").pairs == [
        ("What is in the figure?", "Power.")
    ]


def test_question_without_an_answer_at_the_end_goes() -> None:
    assert len(parse(TWO + "Question: And what of this figure?", "stop").pairs) == 2


def test_answer_cut_off_at_the_limit_goes_with_its_question() -> None:
    dialogue = parse(TWO[:-4], "length")
    assert [question for question, _ in dialogue.pairs] == ["What does the graph show?"]
    assert dialogue.dropped == 1


@pytest.mark.parametrize(
    ("response", "finish_reason", "reason"),
    [
        ("", "stop", "empty"),
        ("I cannot see any figure.", "stop", "no_question_answer"),
        ("This answer holds no question of the kind.", "stop", "no_pairs"),
        ("Question: Why?\nAnswer: Because it is so.", "stop", "no_figure_word"),
        ("Question: What does the graph show?\nAnswer: Pow", "length", "cut_off"),
        (TWO, "content_filter", "filtered"),
    ],
)
def test_response_without_a_dialogue_is_rejected_with_its_reason(
    response: str, finish_reason: str, reason: str
) -> None:
    assert rejected(response, finish_reason) == reason


@pytest.mark.parametrize(
    ("response", "score"),
    [('{"score": 8.5}', 8.5), ('```json\n{"score": 10}\n```', 10.0), ("7", 7.0), ('{"score": "3"}', 3.0)],
)
def test_rating_is_read(response: str, score: float) -> None:
    assert parse_rating(response) == score


@pytest.mark.parametrize("response", ["", "good", '{"score": 11}', '{"score": null}', '{"points": 3}', "-1", "nan"])
def test_rating_that_is_no_number_from_0_to_10_is_rejected(response: str) -> None:
    with pytest.raises(RejectedError) as caught:
        parse_rating(response)
    assert caught.value.reason == "rating_unreadable"


RECORD = Record(
    "r",
    "test",
    "none",
    FigureReference("r.png"),
    caption="Fig. 1. Power.",
    lines=(Line("time (s)", (0, 0, 9, 9)),),
    chart=Chart((Panel("line", (0, 0, 9, 9), Axis("t"), Axis("P"), (Series("A", points=(Point(1.0, 2.0, 0, 0),)),)),)),
    paragraphs=("Figure 1 shows power.", "Another."),
    title="On power",
    abstract="We measure.",
)


def test_model_is_told_all_that_is_known_and_asked_for_each_kind_in_other_words() -> None:
    asked = {messages(kind, RECORD)[0]["content"] for kind in KINDS}
    assert len(asked) == 3
    told = messages("conversation", RECORD)[1]["content"]
    for part in ("On power", "We measure.", "Fig. 1. Power.", "Figure 1 shows power.", "time (s)", "t | A", "1 | 2"):
        assert part in told
    assert "Another." not in told


def test_parts_that_are_not_known_are_not_told() -> None:
    assert (
        known(replace(RECORD, title="", abstract="", lines=(), chart=None, paragraphs=())) == "Caption: Fig. 1. Power."
    )


def test_record_without_caption_and_paragraph_has_no_context() -> None:
    assert has_context(RECORD)
    assert not has_context(replace(RECORD, caption=" ", paragraphs=("",)))
