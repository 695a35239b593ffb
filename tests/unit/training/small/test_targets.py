"""What llava-graph-small is taught to say: nothing that it was not told."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from data.synthetic import write
from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from llava_graph.chart import ABSTENTION_REASONS, Axis, Chart, Panel, Point, Series
from llava_graph.checks import checks
from llava_graph.context_parts import ContextParts
from llava_graph.curves import facts_of
from llava_graph.ocr import Line
from tests.harness.prompts import first_turn
from training.small.composed import composed
from training.small.examples import conversation_about
from training.small.paragraphs import explanation, is_grounded
from training.small.questions import EXPLAIN, dialogue, worded
from training.small.reading import Reading
from training.small.simulated import simulate
from training.small.told import TEMPLATE, Told, tell
from training.small.truth import PanelNames, of_spec

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


def test_every_statement_about_a_composed_chart_is_read_or_printed() -> None:
    names = 0
    for seed in range(40):
        figure = composed(random.Random(seed))
        told = tell(figure.reading, figure.names, figure.caption(random.Random(seed)), ContextParts())
        for turn in conversation_about(told, random.Random(seed)):
            if turn.role == "assistant":
                assert is_grounded(told, turn.text), turn.text
                names += sum(str(name) in turn.text for panel in told.panels for name in panel.series if name)
    assert names > 100


def test_series_with_a_number_as_its_name_is_told_by_its_name() -> None:
    chart = curves({"20": (0.0, 9.0), "50": (9.0, 1.0)})
    lines = tuple(Line(name, (0, i * 20, 20, i * 20 + 12), 1.0) for i, name in enumerate(("20", "50")))
    names = (PanelNames("line chart", None, None, ("20", "50")),)
    told = tell(Reading("", 100, 100, lines, chart), names, "", ContextParts())
    text = explanation(told, random.Random(1), "medium")
    assert re.search(r"\b20 \w+ from about 0", text)
    assert re.search(r"\b50 \w+ from about 9", text)
    assert [check.verdict for check in checks(text.replace("50", "20"), lines, "", chart)].count("contradicted") > 0


def test_bars_that_lie_have_their_values_along_the_bottom() -> None:
    panel = Panel(
        "bar",
        (0, 0, 100, 100),
        Axis("Crop", None, None, "category", categories=("rye", "oats")),
        Axis("Yield", None, None, "linear", 0.0, 9.0),
        (Series(None, points=(Point("rye", 3.0, 0, 0), Point("oats", 8.0, 0, 0)), coverage=1.0),),
        horizontal=True,
    )
    lines = (Line("Crop", (0, 0, 9, 40), 1.0), Line("Yield", (40, 90, 70, 99), 1.0))
    names = (PanelNames("bar chart", "Yield", "Crop", (), ("rye", "oats")),)
    told = tell(Reading("", 100, 100, lines, Chart((panel,))), names, "", ContextParts())
    assert "bar chart with horizontal bars" in first_turn(TEMPLATE, told.context, "").text
    asked = [pair for seed in range(20) for pair in dialogue(told, random.Random(seed), 9)]
    assert {answer for _, answer in asked if re.match("The (horizontal|vertical) axis shows", answer)} == {
        "The horizontal axis shows Yield.",
        "The vertical axis shows Crop.",
    }


def test_what_is_highest_is_not_known_where_only_one_series_was_read() -> None:
    chart = curves({"Rye": (0.0, 9.0), "Oats": None})
    told = tell(Reading("", 100, 100, (), chart), (), "", ContextParts())
    answers = [answer for seed in range(30) for _, answer in dialogue(told, random.Random(seed), 9)]
    assert "Not all of them were read, so which one is the highest is not known." in answers
    assert not any("highest overall" in answer for answer in answers)


@pytest.mark.parametrize("heights", [(8.0, 3.0, 8.0), (8.0, 3.0)], ids=["two as high", "one not read"])
def test_no_highest_bar_is_told_where_none_is_known(heights: tuple[float, ...]) -> None:
    crops = ("rye", "oats", "wheat")
    points = tuple(Point(crop, y, 0, 0) for crop, y in zip(crops, heights, strict=False))
    x = Axis("Crop", None, None, "category", categories=crops)
    panel = Panel("bar", (0, 0, 9, 9), x, Axis("Yield", scale="linear", low=0, high=9), (Series(points=points),))
    panel = replace(panel, series=facts_of(panel))
    told = tell(Reading("", 9, 9, (), Chart((panel,))), (), "", ContextParts())
    answers = [answer for seed in range(30) for _, answer in dialogue(told, random.Random(seed), 9)]
    assert any(answer.startswith("No single highest bar was read.") for answer in answers)
    assert not any(answer.startswith("The highest bar is") for answer in answers)


def test_end_that_was_not_seen_is_said_not_to_be_read() -> None:
    lines = (Line("Rye", (80, 20, 99, 32), 1.0),)
    told = tell(Reading("", 100, 100, lines, curves({"Rye": (0.0, 9.0)}, last_known=False)), (), "", ContextParts())
    answers = [answer for seed in range(30) for _, answer in dialogue(told, random.Random(seed), 9)]
    assert "The right end of Rye was not read." in answers
    assert not any("ends at" in answer for answer in answers)


def curves(ends: dict[str, tuple[float, float] | None], last_known: bool = True) -> Chart:
    """Straight lines from the one value to the other; None for a curve that was not read."""
    x, y = Axis("Time", None, None, "linear", 0.0, 10.0), Axis("Mass", None, None, "linear", -1.0, 10.0)
    series = tuple(
        Series(name, abstained="low_coverage")
        if two is None
        else Series(
            name,
            points=tuple(Point(float(i), two[0] + (two[1] - two[0]) * i / 10, i, 0) for i in range(11)),
            coverage=1.0,
            y_tolerance=0.01,
            last_known=last_known,
        )
        for name, two in ends.items()
    )
    panel = Panel("line", (0, 0, 100, 100), x, y, series)
    return Chart((replace(panel, series=facts_of(panel)),))


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
                    assert text.count(f"with a correlation of {fact.y:.2f}") > 0
                    told_clouds += 1
    assert told_clouds > 2


def test_conversation_about_many_series_has_follow_ups_or_questions_alone() -> None:
    asked, alone = 0, 0
    for seed in range(150):
        figure = composed(random.Random(seed))
        told = tell(figure.reading, figure.names, figure.caption(random.Random(seed)), ContextParts())
        if sum(len(panel.series) for panel in told.panels) < 6:
            continue
        turns = conversation_about(told, random.Random(seed))
        alone += turns[0].text not in EXPLAINING
        asked += len(turns) > 2
    assert asked > 8
    assert alone > 0


EXPLAINING = {form for forms in EXPLAIN.values() for form in forms}
