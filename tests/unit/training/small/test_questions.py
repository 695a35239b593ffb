"""Follow-up questions: that they are answered by what was told, and are worded as people ask."""

from __future__ import annotations

import ast
import inspect
import itertools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from evaluation.suites.facts import follow_ups
from llava_graph.chart import Axis, Chart, Panel, Point, Series
from llava_graph.context_parts import ContextParts
from llava_graph.curves import facts_of
from llava_graph.ocr import Line
from tests.harness.prompts import first_turn
from training.small.composed import composed
from training.small.paragraphs import is_grounded
from training.small.questions import (
    axes,
    bars,
    beyond,
    confirmed_by,
    curves,
    dialogue,
    kinds_of,
    legend,
    scenes_of,
    threads,
    unread,
    wording,
)
from training.small.questions.legend import strange_name
from training.small.questions.wording import Asker, misspelt
from training.small.reading import Reading
from training.small.told import TEMPLATE, Told, tell

CROPS = ("low", "mid", "top")


def told_of(*panels: Panel, texts: Sequence[str] = ()) -> Told:
    with_facts = tuple(replace(panel, series=facts_of(panel)) for panel in panels)
    printed = ["Time", "Mass", "Crop", "Yield", *texts]
    for panel in panels:
        printed += [one.name for one in panel.series if one.name]
        printed += [str(point.x) for one in panel.series for point in one.points if isinstance(point.x, str)]
    lines = tuple(Line(text, (0, 20.0 * i, 50, 20.0 * i + 12), 1.0) for i, text in enumerate(dict.fromkeys(printed)))
    return tell(Reading("", 100, 100, lines, Chart(with_facts)), (), "", ContextParts())


def line_panel(ends: Mapping[str, tuple[float, float] | None]) -> Panel:
    """Straight lines from the one value to the other; None for a curve that was not read."""
    x, y = Axis("Time", None, None, "linear", 0.0, 10.0), Axis("Mass", None, None, "linear", -1.0, 10.0)
    return Panel("line", (0, 0, 100, 100), x, y, tuple(_line(name, two) for name, two in ends.items()))


def _line(name: str, two: tuple[float, float] | None) -> Series:
    if two is None:
        return Series(name, abstained="low_coverage")
    points = tuple(Point(float(i), two[0] + (two[1] - two[0]) * i / 10, i, 0) for i in range(11))
    return Series(name, points=points, coverage=1.0, y_tolerance=0.01)


def bar_panel(heights: Mapping[str | None, Sequence[float]]) -> Panel:
    x = Axis("Crop", None, None, "category", categories=CROPS)
    y = Axis("Yield", None, None, "linear", 0.0, 10.0)
    series = tuple(
        Series(name, points=tuple(Point(c, h, 0, 0) for c, h in zip(CROPS, values, strict=False)), coverage=1.0)
        for name, values in heights.items()
    )
    return Panel("bar" if len(heights) == 1 else "grouped_bar", (0, 0, 9, 9), x, y, series)


def pairs_of(told: Told, kind: str, times: int = 60) -> list[tuple[str, str]]:
    """Questions of one kind with their answers, as far as these are confirmed."""
    rng = random.Random(1)
    found = []
    for scene in scenes_of(told, rng, "train"):
        for make in [one.make for one in kinds_of(scene) if one.name == kind]:
            found += [confirmed_by(told, scene, pair) for _ in range(times) for pair in make(scene)]
    return [pair for pair in found if pair is not None]


def answers_of(told: Told, kind: str, times: int = 60) -> set[str]:
    return {answer for _, answer in pairs_of(told, kind, times)}


# What is answered


def test_highest_of_curves_that_cross_is_the_one_that_reaches_most() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0), "Oats": (7.0, 2.0)}))
    assert answers_of(told, "highest overall") == {
        "None is the highest everywhere; Rye reaches the highest value, about 9."
    }


def test_highest_of_bars_is_told_with_its_category() -> None:
    told = told_of(bar_panel({"Rye": (1.0, 4.0, 9.0), "Oats": (5.0, 6.0, 2.0)}))
    assert answers_of(told, "highest overall") == {
        "None is the highest everywhere; Rye reaches the highest value, about 9 at top."
    }


def test_highest_of_those_that_were_read_is_told_beside_those_that_were_not() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0), "Oats": (4.0, 2.0), "Maize": None}))
    assert answers_of(told, "highest overall") == {
        "Of those that were read, Rye goes highest, to about 9; Maize was not read."
    }


def test_question_for_yes_or_no_is_answered_with_it_and_what_the_curve_does() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0)}))
    said = {answer.split(",")[0]: answer for answer in answers_of(told, "yes or no: trend")}
    assert set(said) == {"Yes", "No"}
    asked = dict(pairs_of(told, "yes or no: trend", 300))
    assert asked["Is Rye rising?"].startswith("Yes, Rye ")
    assert asked["Is Rye falling?"].startswith("No, Rye ")


def test_curve_that_reaches_a_value_is_said_to_and_one_that_does_not_is_not() -> None:
    told = told_of(line_panel({"Rye": (0.0, 6.0)}))
    asked = pairs_of(told, "yes or no: reaches")
    assert len(asked) > 20
    for question, answer in asked:
        value = float(re.findall(r"-?\d+(?:\.\d+)?", question)[-1])
        assert answer.startswith("Yes" if value < 6 else "No")


def test_curves_that_rise_are_listed() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0), "Oats": (1.0, 5.0), "Maize": (8.0, 2.0)}))
    assert answers_of(told, "which rise or fall") == {"Rye and Oats rise.", "Only Maize falls."}


def test_two_curves_are_compared_at_a_place_with_both_values() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0), "Oats": (9.0, 0.0)}))
    said = answers_of(told, "higher at x")
    assert "At 10, Rye is about 9 and Oats about 0, so Rye is higher." in said
    assert "At 0, Oats is about 9 and Rye about 0, so Oats is higher." in said


def test_curves_that_are_named_by_numbers_are_compared_too() -> None:
    told = told_of(line_panel({"20": (0.0, 9.0), "50": (9.0, 0.0)}))
    assert "At 10, 20 is about 9 and 50 is about 0, so 20 is higher." in answers_of(told, "higher at x")
    assert "At 10, 20 is about 9 and 50 is about 0." in answers_of(told, "all at x")


def test_value_at_a_place_that_is_not_told_is_not_made_up() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0)}))
    said = answers_of(told, "value not told")
    assert said
    assert all(one.startswith(("No value is given there. At ", "That lies outside the plotted range.")) for one in said)


def test_wrong_presupposition_is_put_right() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0)}))
    said = dict(pairs_of(told, "why", 400))
    assert said["Why does Rye fall?"] == "Rye rises. The figure does not tell why."
    assert said["Why does Rye rise?"] == "The figure does not tell why."


def test_bars_are_ranked_and_listed() -> None:
    told = told_of(bar_panel({None: (1.0, 9.0, 5.0)}))
    assert answers_of(told, "second highest") == {"top is at about 5, the second highest."}
    assert answers_of(told, "ranking") == {"From highest to lowest: mid (about 9), top (about 5) and low (about 1)."}
    assert answers_of(told, "all values") == {"low is at about 1, mid at about 9 and top at about 5."}


def test_bars_that_are_as_high_are_both_told_and_not_ranked() -> None:
    told = told_of(bar_panel({None: (9.0, 3.0, 9.0)}))
    said = answers_of(told, "highest or lowest bar")
    assert "No single highest bar was read. low is at about 9 and top at about 9." in said
    assert not answers_of(told, "ranking")
    assert not answers_of(told, "second highest")


def test_bar_that_was_not_read_is_said_not_to_be() -> None:
    told = told_of(bar_panel({None: (1.0, 9.0)}), texts=CROPS)
    assert answers_of(told, "bar not read") == {"The bar for top was not read."}
    assert answers_of(told, "anything not read") == {"Not read: the bar for top."}
    assert not answers_of(told, "categories")
    assert not answers_of(told, "ranking")


def test_thread_goes_on_with_the_same_about_another_curve() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0), "Oats": (8.0, 3.0)}))
    switched = 0
    found = pairs_of(told, "thread", 300)
    for (_, before), (question, answer) in itertools.pairwise(found):
        if question in ("And for Rye?", "And for Oats?") and " ends at " in before:
            assert re.match(r"(Rye|Oats) ends at about", answer)
            switched += 1
    assert switched > 0


def test_questions_of_several_panels_say_which_and_ask_of_each() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0)}), line_panel({"Rye": (9.0, 1.0)}))
    asked = [pair for seed in range(10) for pair in dialogue(told, random.Random(seed), 20)]
    said = [(question, answer) for question, answer in asked if "panel (b)" in question.casefold()]
    assert any(re.search("falls|decreases|declines|drops", answer) for _, answer in said)
    shown = pairs_of(told, "panel shows")
    assert all(("b)" in question or "panel b" in question) == ("(b)" in answer) for question, answer in shown)
    assert len(shown) > 60


def test_no_comparison_is_told_of_more_series_than_the_prompt_shows() -> None:
    told = told_of(line_panel({f"Crop {i}": (float(i), 9.0 - i) for i in range(10)}))
    assert len(told.panels[0].series) == 8
    assert not answers_of(told, "lowest overall")
    assert not answers_of(told, "count")


def test_every_answer_is_confirmed() -> None:
    for seed in range(25):
        figure = composed(random.Random(seed))
        told = tell(figure.reading, figure.names, figure.caption(random.Random(seed)), ContextParts())
        for _, answer in dialogue(told, random.Random(seed), 25):
            assert is_grounded(told, answer), answer


def test_every_number_of_an_answer_stands_in_the_prompt_or_the_question() -> None:
    numbers = re.compile(r"\d+(?:\.\d+)?")
    said = 0
    for seed in range(40):
        figure = composed(random.Random(seed))
        told = tell(figure.reading, figure.names, figure.caption(random.Random(seed)), ContextParts())
        prompt = set(numbers.findall(first_turn(TEMPLATE, told.context, "").text))
        for question, answer in dialogue(told, random.Random(seed), 15):
            assert set(numbers.findall(answer)) <= prompt | set(numbers.findall(question)), answer
            said += 1
    assert said > 400


def test_end_that_the_prompt_does_not_tell_is_answered_by_the_sample_beside_it() -> None:
    panel = line_panel({"Rye": (0.0, 9.0)})
    places = [0.7 + i * 0.091 for i in range(101)]
    turned = tuple(Point(x, 9.03 - (x - 6.31) ** 2 / 6, 10 * x, 0) for x in places)
    told = told_of(replace(panel, series=(replace(panel.series[0], points=turned),)))
    assert told.panels[0].data is not None
    assert [fact.text for fact in told.panels[0].data.series[0].facts if fact.kind == "trend"] == ["peaks"]
    assert answers_of(told, "end") == {"Rye starts at about 3.8.", "At 8, Rye is about 8.6."}


def test_highest_at_an_end_is_told_where_it_is_clear() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0), "Oats": (7.0, 2.0), "Maize": (1.0, 5.0)}))
    assert answers_of(told, "highest at an end") == {
        "Rye ends highest, at about 9.",
        "Oats starts highest, at about 7.",
    }


def test_lowest_is_the_one_below_all_others_or_the_one_that_goes_lowest() -> None:
    told = told_of(line_panel({"Rye": (5.0, 9.0), "Oats": (1.0, 2.0)}))
    assert answers_of(told, "lowest overall") == {"Oats is the lowest overall."}
    told = told_of(line_panel({"Rye": (0.0, 9.0), "Oats": (9.0, 2.0)}))
    assert answers_of(told, "lowest overall") == {
        "None is the lowest everywhere; Rye reaches the lowest value, about 0."
    }


def test_place_of_a_value_is_one_that_is_told() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0)}))
    for question, answer in pairs_of(told, "place of a value"):
        place, value = re.fullmatch(r"At (\S+), Rye is about (\S+)\.", answer).groups()  # type: ignore[union-attr]
        assert value in question
        assert abs(float(value) - 0.9 * float(place)) < 0.05


def test_place_on_an_axis_that_was_not_calibrated_has_no_unit() -> None:
    panel = line_panel({"Rye": (0.0, 9.0)})
    points = tuple(Point(f"{10 * i} % of the width", 0.9 * i, i, 0) for i in range(11))
    rye = replace(panel.series[0], points=points)
    told = told_of(replace(panel, x=Axis("Time (s)", None, "s"), series=(rye,)))
    (scene,) = scenes_of(told, random.Random(1), "train")
    assert curves.at_answer(scene, 0, "20 % of the width") == "At 20 % of the width, Rye is about 1.8."


def test_reading_is_repeated_to_somebody_who_doubts_it() -> None:
    told = told_of(line_panel({"Rye": (0.0, 9.0)}))
    pairs = [pair for seed in range(60) for pair in dialogue(told, random.Random(seed), 12)]
    doubted = [at for at, (_, answer) in enumerate(pairs) if answer.startswith("That is what was read. ")]
    assert len(doubted) > 5
    assert all(pairs[at][1] == f"That is what was read. {pairs[at - 1][1]}" for at in doubted)


# Names that stand nowhere


def test_strange_name_is_often_nearly_one_that_is_there() -> None:
    told = told_of(line_panel({"Run 1": (0.0, 9.0), "Run 2": (3.0, 4.0)}), texts=("Run 1", "Run 2"))
    found = [strange_name(told, ["Run 1", "Run 2"], random.Random(seed)) for seed in range(100)]
    assert not {"Run 1", "Run 2"} & set(found)
    assert sum(bool(name and name.startswith("Run ")) for name in found) > 15


def test_number_that_is_no_series_is_said_not_to_be_there() -> None:
    told = told_of(line_panel({"20": (0.0, 9.0), "50": (3.0, 4.0)}), texts=("20", "50"))
    said = answers_of(told, "name that stands nowhere", 100)
    assert any(re.fullmatch(r"There is no \d+ in this figure\.", answer) for answer in said)


# Wordings


def forms() -> Iterator[str]:
    """All wordings that training questions are made of."""
    for module in (axes, bars, beyond, curves, legend, threads, unread, wording):
        for value in vars(module).values():
            yield from _texts(value)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(tuple(value.values()))
    elif isinstance(value, tuple):
        for one in value:
            yield from _texts(one)


def _plain(text: str) -> str:
    return re.sub(r"[^a-z{} ]", "", re.sub(r"\{[^}]*\}", "{}", text).casefold()).strip()


def test_no_wording_of_the_evaluation_is_trained_on() -> None:
    kept = set()
    for node in ast.walk(ast.parse(inspect.getsource(follow_ups))):
        if isinstance(node, ast.JoinedStr):
            parts = [str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values]
            kept.add(_plain("".join(parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith("?"):
            kept.add(_plain(node.value))
    assert len(kept) > 20
    assert not (kept - {"", "{}"}) & {_plain(form) for form in forms()}


def test_what_is_kept_for_evaluation_is_asked_there_alone() -> None:
    asker, keeper = (Asker(random.Random(1), kind) for kind in ("train", "heldout"))
    asked = {asker(("First {s}?", "Second {s}?", "Third {s}?"), s="Rye").casefold() for _ in range(300)}
    assert not any("third" in question for question in asked)
    assert {keeper(("First {s}?", "Second {s}?", "Third {s}?"), s="Rye") for _ in range(20)} == {"Third Rye?"}


def test_questions_come_carelessly_typed_and_politely_framed() -> None:
    asker = Asker(random.Random(3), "train")
    asked = [asker(("What is the highest value of {s}?", "Max of {s}?", "?"), s="ResNet") for _ in range(600)]
    assert any(not question.endswith("?") for question in asked)
    assert any(question[0].islower() for question in asked)
    assert any("please" in question.casefold() for question in asked)
    assert len(set(asked)) > 60


@pytest.mark.parametrize("seed", range(20))
def test_names_are_never_misspelt(seed: int) -> None:
    form = misspelt("What is the highest value of {s} and {other}?", random.Random(seed))
    assert "{s}" in form
    assert "{other}" in form
    assert form != "What is the highest value of {s} and {other}?"


def test_nothing_is_asked_of_series_that_have_no_name_among_others() -> None:
    """Which "one curve" is meant could not be said."""
    panel = line_panel({"A": None, "B": (1.0, 4.0)})
    unnamed = replace(panel, series=(panel.series[0], replace(panel.series[1], name=None)))
    for seed in range(60):
        dialogue(told_of(unnamed), random.Random(seed), 6)
    assert not {kind.name for kind in kinds_of(scenes_of(told_of(unnamed), random.Random(0), "train")[0])} & {"trend"}
