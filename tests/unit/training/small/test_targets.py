"""What llava-graph-small is taught to say: nothing that it was not told."""

from __future__ import annotations

import random

import pytest

from data.synthetic import write
from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from llava_graph.chart import ABSTENTION_REASONS, Chart
from llava_graph.checks import checks
from llava_graph.context_parts import ContextParts
from training.small.examples import conversation_about
from training.small.paragraphs import explanation
from training.small.questions import EXPLAIN, dialogue, worded
from training.small.reading import Reading
from training.small.simulated import simulate
from training.small.told import Told, tell
from training.small.truth import of_spec

SEEDS = range(700_000, 700_012)
PARTS = (
    ContextParts(),
    ContextParts(chart=False),
    ContextParts(ocr=False, chart=False),
    ContextParts(False, False, False),
)


def told_of(seed: int, parts: ContextParts) -> Told:
    spec = sample_figure(seed, "train")
    rng = random.Random(seed)
    return tell(simulate(spec, render(spec), rng), of_spec(spec), write.caption(spec, rng), parts)


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_every_statement_of_a_target_is_read_or_printed(parts: ContextParts) -> None:
    said = 0
    for seed in SEEDS:
        told = told_of(seed, parts)
        context = told.context
        for turn in conversation_about(told, random.Random(seed)):
            if turn.role == "assistant":
                found = checks(turn.text, context.lines, context.caption, context.chart)
                assert [check for check in found if check.verdict in ("contradicted", "unsupported")] == [], turn.text
                said += len(turn.text)
    assert said > 0


def test_without_context_no_name_and_no_number_is_said() -> None:
    for seed in SEEDS:
        text = explanation(told_of(seed, ContextParts(False, False, False)), random.Random(seed), "medium")
        spec = sample_figure(seed, "train")
        assert not any(char.isdigit() for char in text)
        assert not any(panel.x.quantity in text or panel.y.quantity in text for panel in spec.panels)


def test_series_that_was_not_read_is_said_to_be_unread() -> None:
    told_unread = 0
    for seed in range(700_000, 700_060):
        told = told_of(seed, ContextParts())
        for panel in told.panels:
            for name, series in zip(panel.series, panel.data.series if panel.data else (), strict=False):
                if name and series.abstained:
                    text = explanation(told, random.Random(seed), "medium")
                    assert ABSTENTION_REASONS[series.abstained] in text
                    told_unread += 1
    assert told_unread > 2


def test_chart_that_was_not_read_gets_no_numbers() -> None:
    spec = sample_figure(700_001, "train")
    simulated = simulate(spec, render(spec), random.Random(1))
    reading = Reading("", simulated.width, simulated.height, simulated.lines, Chart(abstained="no_axes"))
    told = tell(reading, of_spec(spec), "", ContextParts())
    assert "no plot area with axes was found" in explanation(told, random.Random(1), "medium")


def test_wording_kept_for_evaluation_never_occurs_in_training() -> None:
    kept = {worded(forms, random.Random(0), "heldout") for forms in EXPLAIN.values()}
    for seed in range(200):
        assert not kept & {worded(forms, random.Random(seed), "train") for forms in EXPLAIN.values()}


def test_no_question_is_asked_twice_in_a_dialogue() -> None:
    for seed in SEEDS:
        questions = [question for question, _ in dialogue(told_of(seed, ContextParts()), random.Random(seed), 8)]
        assert len(set(questions)) == len(questions)


def test_name_that_stands_nowhere_is_said_not_to_be_there() -> None:
    told_absent = 0
    for seed in range(700_000, 700_020):
        told = told_of(seed, ContextParts())
        texts = " ".join(line.text for line in told.context.lines) + told.context.caption
        for question, answer in dialogue(told, random.Random(seed), 40):
            if answer.startswith("There is no "):
                name = answer.removeprefix("There is no ").removesuffix(" in this figure.")
                assert name in question
                assert name.casefold() not in texts.casefold()
                told_absent += 1
    assert told_absent > 10


def test_cloud_is_told_by_its_range_and_correlation() -> None:
    told_clouds = 0
    for seed in range(700_000, 700_060):
        told = told_of(seed, ContextParts())
        data = told.panels[0].data if len(told.panels) == 1 else None
        if data is None or data.kind != "scatter" or len(data.series) > 4:
            continue
        text = explanation(told, random.Random(seed), "medium")
        for series in data.series:
            for fact in series.facts:
                if fact.kind == "correlation":
                    assert f"correlation is {fact.y:.2f}" in text
                    told_clouds += 1
    assert told_clouds > 2
