"""The record: JSON and back, and what keeps records together in one split."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.record import FigureReference, Record, from_json, to_json, turns_from_json
from llava_graph.chart import Axis, Chart, Panel, Point, Series
from llava_graph.context import Turn
from llava_graph.ocr import Line

text = st.text(max_size=20)
figures = st.none() | st.builds(
    FigureReference, text, st.none() | text, st.none() | text, st.integers(0, 9999), st.integers(0, 9999)
)
charts = st.none() | st.just(
    Chart(
        (
            Panel(
                "line", (0.0, 0.0, 9.0, 9.0), Axis("x"), Axis("y"), (Series("a", points=(Point(1.0, 2.0, 3.0, 4.0),)),)
            ),
        )
    )
)
records = st.builds(
    Record,
    id=text,
    source=text,
    licence=text,
    figure=figures,
    caption=text,
    lines=st.lists(st.builds(Line, text, st.just((1.0, 2.0, 3.5, 4.0)), st.just(0.5)), max_size=3).map(tuple),
    texts=st.lists(text, max_size=3).map(tuple),
    chart=charts,
    mentions=st.lists(st.lists(text, max_size=2).map(tuple), max_size=2).map(tuple),
    paragraphs=st.lists(text, max_size=2).map(tuple),
    conversations=st.lists(st.builds(Turn, st.sampled_from(("user", "assistant")), text), max_size=3).map(tuple),
    title=text,
    abstract=text,
    figure_type=text,
    split=st.none() | st.sampled_from(("train", "val", "test")),
)


@given(records)
def test_record_comes_back_from_json_as_it_was(record: Record) -> None:
    assert from_json(json.loads(json.dumps(to_json(record)))) == record


def test_figures_of_one_paper_belong_together_whatever_their_source() -> None:
    first = Record("a", "scicap", "", FigureReference("1001.0001v1-Figure1-1.png", "1001.0001"))
    second = Record("b", "scigraphqa", "", FigureReference("1001.0001v2-Figure2-1.png", "1001.0001"))
    assert first.group == second.group


def test_image_or_record_stands_for_a_paper_that_is_unknown() -> None:
    assert Record("a", "cc3m", "", FigureReference("1.jpg")).group == "image:cc3m:1.jpg"
    assert Record("a", "cc3m", "", None).group == "id:cc3m:a"


@pytest.mark.parametrize("raw", [[{"from": "system", "value": "x"}], [{"from": "human", "value": 1}]])
def test_turns_of_another_form_are_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="a turn is from"):
        turns_from_json(raw)
