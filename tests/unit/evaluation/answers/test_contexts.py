"""Contexts: each holds what it says and nothing else, and is refused where something of it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.answers.contexts import (
    BARE,
    CONTEXTS,
    ContextName,
    Reading,
    check_context,
    check_template,
    messages_for,
    read_readings,
)
from evaluation.answers.questions import Question
from evaluation.errors import InputError
from llava_graph.chart import Axis, Chart, Panel, Point, Series
from llava_graph.ocr import Line
from tests.fakes.evaluation_files import FIGURE, lines

QUESTION = Question("1", "Which is best?", FIGURE, caption="Growth of groups.", written_id=1)
IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}

CHART = Chart(
    (
        Panel(
            "line",
            (10.0, 10.0, 150.0, 110.0),
            Axis("time", scale="linear", low=0.0, high=4.0),
            Axis("growth", scale="linear", low=0.0, high=90.0),
            (Series("Vodira", points=(Point(0.0, 12.0, 10.0, 100.0), Point(4.0, 77.0, 150.0, 20.0)), coverage=1.0),),
        ),
    )
)
READING = Reading((Line("Printed words", (1.0, 2.0, 30.0, 12.0), 0.9),), CHART, "reader 1")

HOLDS = {
    "none": (False, False, False),
    "caption": (True, False, False),
    "ocr": (False, True, False),
    "chart": (False, False, True),
    "all": (True, True, True),
}


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_context_holds_its_parts_alone(context: ContextName) -> None:
    _, prompt = messages_for(QUESTION, context, "plain@2", READING, (160, 120), IMAGE)
    assert (QUESTION.caption in prompt, "Printed words" in prompt, "Vodira" in prompt) == HOLDS[context]
    assert prompt.endswith(QUESTION.text)


def test_bare_template_is_the_question_beside_the_image() -> None:
    messages, prompt = messages_for(QUESTION, "none", BARE, None, (160, 120), IMAGE)
    assert prompt == QUESTION.text
    assert messages == [{"role": "user", "content": [IMAGE, {"type": "text", "text": QUESTION.text}]}]
    with pytest.raises(InputError, match="context can only be none"):
        check_template(BARE, "caption")


def test_template_that_tells_no_charts_is_refused_for_them() -> None:
    check_template("plain", "ocr")
    with pytest.raises(InputError, match="plain v1 tells no chart data"):
        check_template("plain", "all")
    with pytest.raises(InputError, match="there is no template 'plane'"):
        check_template("plane", "none")


@pytest.mark.parametrize(
    ("context", "question", "readings", "words"),
    [
        ("caption", Question("1", "Why?", FIGURE), None, "1 questions have no caption"),
        ("ocr", QUESTION, None, "needs readings"),
        ("ocr", QUESTION, {}, "1 figures have no reading"),
        ("chart", QUESTION, {FIGURE: Reading()}, "read without a chart reader"),
        ("caption", Question("1", "Why?", caption="x"), None, "have no figure"),
    ],
)
def test_missing_parts_are_found_before_anything_is_asked(
    context: ContextName, question: Question, readings: dict[str, Reading] | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        check_context([question], context, readings, live=False)


def test_readings_survive_their_file(tmp_path: Path) -> None:
    path = lines(tmp_path / "readings.jsonl", [{"image": FIGURE, **READING.to_json()}])
    found = read_readings(path)[FIGURE]
    assert found.lines[0].text == "Printed words"
    assert found.chart == CHART


def test_broken_readings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has another shape"):
        read_readings(lines(tmp_path / "r.jsonl", [{"image": FIGURE, "lines": [{"text": "x", "box": [1, 2]}]}]))
