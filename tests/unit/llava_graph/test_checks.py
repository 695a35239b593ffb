"""The checks of an answer: each verdict, where it points, and that nothing true is said to be contradicted.

statements.txt, held_out.txt and held_out_2.txt hold statements marked by hand.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_graph import claims
from llava_graph.chart import Axis, Chart, Panel, Point, Series
from llava_graph.checks import MAX_CHECKS, Check, Verdict, as_unsupported, checks
from llava_graph.curves import facts_of
from llava_graph.ocr import Line
from llava_graph.support import unsupported
from tests.unit.llava_graph.chart_examples import (
    CHARTS,
    HELD_OUT,
    HELD_OUT_2,
    STATEMENTS,
    Mark,
    Statement,
    lines_of,
    panel,
    series,
    statements,
)


def checked(chart: str, answer: str, caption: str = "") -> list[Check]:
    return checks(answer, lines_of(CHARTS[chart]), caption, CHARTS[chart])


def verdicts(chart: str, answer: str) -> list[tuple[str, Verdict]]:
    return [(answer[check.start : check.end], check.verdict) for check in checked(chart, answer)]


def only(chart: str, answer: str, stretch: str, caption: str = "") -> Check:
    """The check on the stretch of the answer."""
    found = [check for check in checked(chart, answer, caption) if answer[check.start : check.end] == stretch]
    assert len(found) == 1, (answer, found)
    return found[0]


# Statements marked by hand


def worst(statement: Statement, mark: Mark) -> str:
    """The verdict on a marked stretch, a contradiction before all others."""
    found = {c.verdict for c in checked(statement.chart, statement.text) if c.start < mark.end and c.end > mark.start}
    return next((v for v in ("contradicted", "read", "printed", "unsupported") if v in found), "none")


def tally(file: Path) -> Counter[tuple[str, str]]:
    return Counter((mark.truth, worst(statement, mark)) for statement in statements(file) for mark in statement.marks)


@pytest.mark.parametrize(
    "statement",
    [*statements(STATEMENTS), *statements(HELD_OUT), *statements(HELD_OUT_2)],
    ids=lambda statement: statement.text[:60],
)
def test_what_is_true_or_cannot_be_decided_is_never_contradicted(statement: Statement) -> None:
    for mark in statement.marks:
        assert mark.truth == "f" or worst(statement, mark) != "contradicted"


@pytest.mark.parametrize("file", [STATEMENTS, HELD_OUT, HELD_OUT_2], ids=lambda file: file.stem)
def test_most_of_what_is_false_is_contradicted_and_most_of_what_is_true_is_read(file: Path) -> None:
    counts = tally(file)
    false = sum(count for (truth, _), count in counts.items() if truth == "f")
    true = sum(count for (truth, _), count in counts.items() if truth == "t")
    assert false > 30 and true > 50
    assert counts["f", "contradicted"] >= 0.9 * false
    assert counts["t", "read"] + counts["t", "printed"] >= 0.85 * true


# What a check says


def test_contradicted_statement_tells_what_was_read_instead_and_where() -> None:
    check = only("growth", "Vodira falls over time.", "falls")
    assert (check.kind, check.verdict, check.instead) == ("trend", "contradicted", "rises from 0.02 to 1.45")
    assert check.reading is not None
    fact = CHARTS["growth"].panels[check.reading.panel].series[check.reading.series].facts[check.reading.fact or 0]
    assert (fact.kind, fact.text) == ("trend", "rises")


def test_number_that_agrees_points_to_its_fact_and_point() -> None:
    check = only("growth", "Kestrol B falls from 0.95 to 0.2.", "0.95")
    assert check.verdict == "read" and check.reading is not None
    series = CHARTS["growth"].panels[0].series[check.reading.series]
    assert series.name == "Kestrol B" and check.reading.point == 0
    assert series.facts[check.reading.fact or 0].kind == "first"


def test_wrong_highest_curve_is_contradicted_by_the_right_one() -> None:
    check = only("growth", "Mura-7 is the highest overall.", "highest")
    assert (check.kind, check.verdict, check.instead) == ("comparison", "contradicted", "Vodira")


def test_wrong_bar_is_contradicted_by_the_right_one() -> None:
    assert only("bars", "The highest bar is clay.", "highest").instead == "loam"


def test_printed_number_points_to_its_line() -> None:
    answer = "The axis goes up to 40 h."
    lines = [Line("Vodira", (0, 0, 1, 1)), Line("40", (0, 0, 1, 1))]
    (found,) = checks(answer, lines)
    assert (found.verdict, found.line) == ("printed", 1)


def test_number_of_the_caption_is_printed_without_a_line() -> None:
    (found,) = checks("It was grown at 37 °C.", [], "Growth at 37 °C.")
    assert (found.verdict, found.line) == ("printed", None)


def test_without_a_chart_nothing_is_read_or_contradicted() -> None:
    answer = "Vodira falls from 1.45 to 0.02 and is the highest."
    assert {check.verdict for check in checks(answer, lines_of(CHARTS["growth"]))} <= {"printed", "unsupported"}


def test_json_of_a_check_is_flat_and_complete() -> None:
    shapes = {tuple(check.to_json()) for check in checked("growth", "Vodira falls from 1.45 to 0.02. Foo 77.")}
    assert shapes == {
        ("start", "end", "kind", "verdict", "panel", "series", "point", "fact", "line", "instead"),
    }
    assert json.loads(json.dumps([check.to_json() for check in checked("growth", "Vodira falls.")]))


# What protects from a false contradiction


def test_value_printed_in_the_plot_is_not_contradicted() -> None:
    answer = "Vodira reaches a maximum of 0.6."
    assert only("growth", answer, "0.6").verdict == "contradicted"
    assert only("growth", answer, "0.6", caption="With 0.6 % agar.").verdict == "printed"
    inside = [*lines_of(CHARTS["growth"]), Line("0.6", (300, 200, 320, 210))]
    found = checks(answer, inside, "", CHARTS["growth"])
    assert [check.verdict for check in found if answer[check.start : check.end] == "0.6"] == ["printed"]


def test_statement_on_an_end_that_was_not_read_is_not_contradicted() -> None:
    read = CHARTS["growth"].panels[0]
    open_ended = tuple(replace(one, last_known=False, coverage=0.5) for one in read.series)
    chart = Chart((replace(read, series=facts_of(replace(read, series=open_ended))),))
    found = checks("Vodira falls. Vodira ends at 0.2. Vodira peaks at 0.3.", [], "", chart)
    assert all(check.verdict == "unsupported" for check in found)


@pytest.mark.parametrize("code", ["low_coverage", "same_colour_series"])
def test_series_that_was_not_read_is_never_contradicted(code: str) -> None:
    read = CHARTS["growth"].panels[0]
    lost = tuple(replace(one, abstained=code, facts=()) for one in read.series)
    found = checks("Vodira falls from 1 to 0.5. Mura-7 is the highest.", [], "", Chart((replace(read, series=lost),)))
    assert all(check.verdict == "unsupported" for check in found)


def test_longer_name_of_the_figure_is_another_name() -> None:
    lines = [*lines_of(CHARTS["growth"]), Line("Vodira mutant", (0, 0, 1, 1))]
    found = checks("Vodira mutant falls from 0.9 to 0.1.", lines, "", CHARTS["growth"])
    assert "contradicted" not in {check.verdict for check in found}


def test_bars_and_curves_of_a_series_that_was_not_read_are_not_taken_for_those_of_the_one_that_was() -> None:
    lines = [*lines_of(CHARTS["bars"]), Line("Second year", (0, 0, 1, 1)), Line("Salinity", (0, 0, 1, 1))]
    answer = "For Second year, the highest bar is clay at about 6 and the lowest is loam at about 1."
    assert "contradicted" not in {check.verdict for check in checks(answer, lines, "", CHARTS["bars"])}
    answer = "The chart shows Salinity. It rises from 5 to 20."
    assert "contradicted" not in {check.verdict for check in checks(answer, lines, "", CHARTS["single"])}


def test_panel_that_was_not_read_is_not_taken_for_one_that_was() -> None:
    for answer in (
        "In panel (c), Drug rises. In panel (a), Drug falls.",
        "In panel (a), Drug falls from 9 to 1. In panel (c), Control rises from 1 to 9.",
    ):
        assert "contradicted" not in dict(verdicts("twins", answer)).values()
    answer = "In panel (b), the curve rises from 3 to 9."
    assert "contradicted" not in dict(verdicts("single", answer)).values()
    assert only("single", "In panel (a), the curve rises.", "rises").verdict == "contradicted"


@pytest.mark.parametrize(
    "said",
    [
        "C is the highest overall",
        "C rises",
        "A and C cross near 4",
        "A is higher than C",
        "the highest bar is C at about 4",
        "C is at about 4",
        "A is higher than B in C",
    ],
)
def test_name_of_another_panel_than_the_one_spoken_of_does_no_harm(said: str) -> None:
    x, y = Axis("Time", scale="linear"), Axis("Yield", scale="linear", low=0.0, high=10.0)
    bars = Axis("Group", scale="category", categories=("C", "D"))
    one = panel(
        "line", x, y, series("A", (0.0, 1.0, 2.0), (1.0, 4.0, 8.0)), series("B", (0.0, 1.0, 2.0), (7.0, 3.0, 1.0))
    )
    two = panel("bar", bars, y, series(None, ("C", "D"), (3.0, 6.0)))
    three = panel(
        "line", x, y, series("C", (0.0, 1.0, 2.0), (1.0, 4.0, 8.0)), series("D", (0.0, 1.0, 2.0), (7.0, 3.0, 1.0))
    )
    for chart in (Chart((one, two)), Chart((one, three)), Chart((two, one))):
        for where in ("a", "b"):
            found = checks(f"In panel ({where}), {said}.", lines_of(chart), chart=chart)
            assert all(check.verdict in ("read", "printed", "unsupported", "contradicted") for check in found)


def test_name_that_only_another_panel_has_is_not_contradicted_by_it() -> None:
    alone = CHARTS["twins"].panels[1]
    chart = Chart((CHARTS["growth"].panels[0], alone))
    found = checks("In panel (b), Vodira falls from 1 to 0.1. In panel (b), Drug rises.", [], "", chart)
    assert [check.verdict for check in found if check.kind == "trend"] == ["unsupported", "contradicted"]


def test_thousands_and_percent_of_what_was_read_are_another_unit() -> None:
    assert "contradicted" not in dict(verdicts("growth", "Vodira rises from 2 to 145 %.")).values()
    assert only("bars", "The highest bar is loam at about 7400.", "7400").verdict == "unsupported"


def test_numbers_of_a_cloud_are_read_where_the_sentence_says_which_they_are() -> None:
    xs = [float(x) for x in range(12)]
    ys = [3.0, 2.0, 9.0, 5.0, 11.0, 8.0, 7.0, 14.0, 12.0, 10.0, 16.0, 13.0]
    cloud = Chart((panel("scatter", Axis("Dose", scale="linear"), Axis("Yield", scale="linear"), series("A", xs, ys)),))
    r = next(fact.y for fact in cloud.panels[0].series[0].facts if fact.kind == "correlation")
    text = f"The points of A lie between 2 and 16. Their correlation is {r:.2f}. There are 16 of {r:.2f}."
    found = [(text[c.start : c.end], c.verdict) for c in checks(text, chart=cloud) if c.kind == "number"]
    assert found == [
        ("2", "read"),
        ("16", "read"),
        (f"{r:.2f}", "read"),
        ("16", "unsupported"),
        (f"{r:.2f}", "unsupported"),
    ]
    wrong = f"Their correlation is {-r:.2f}."
    assert [c.verdict for c in checks(wrong, chart=cloud)] == ["unsupported"]


def test_name_that_is_said_not_to_be_there_is_no_unsupported_name() -> None:
    lines = [Line("Vodira", (0, 0, 10, 10), 0.99)]
    assert checks("There is no Zorbia in this figure.", lines) == []
    assert checks("There is no curve Zorbia here.", lines) == []
    (found,) = checks("There is a rise of Zorbia here.", lines)
    assert (found.kind, found.verdict) == ("name", "unsupported")


def test_numbered_name_that_is_said_not_to_be_there_claims_no_number() -> None:
    lines = [Line("Run 1", (0, 0, 10, 10), 0.99)]
    assert checks("There is no Run 17 in this figure.", lines) == []
    assert checks("There is no 0.25 in this figure.", lines) == []
    (found,) = checks("There is no Run 17 in this figure, but Run 1 reaches 42.", lines)
    assert (found.kind, found.verdict, found.start) == ("number", "unsupported", 53)


def test_no_before_a_statement_denies_the_question_alone() -> None:
    assert verdicts("growth", "No, Vodira rises from 0.02 to 1.45.") == [
        ("rises", "read"),
        ("0.02", "read"),
        ("1.45", "read"),
    ]
    assert verdicts("growth", "No, Vodira falls.") == [("falls", "contradicted")]
    assert "contradicted" not in dict(verdicts("growth", "No, Vodira never falls.")).values()
    assert "contradicted" not in dict(verdicts("growth", "No Vodira falls.")).values()


def test_each_value_of_a_list_at_one_place_is_that_of_its_curve() -> None:
    told = "At 0 h, Vodira is about 0.02, Kestrol B about 0.95 and Mura-7 about 0.1."
    assert {verdict for _, verdict in verdicts("growth", told)} == {"read"}
    swapped = "At 0 h, Vodira is about 0.02, Kestrol B about 0.1 and Mura-7 about 0.95."
    assert [stretch for stretch, verdict in verdicts("growth", swapped) if verdict == "contradicted"] == ["0.1", "0.95"]


def test_stretch_along_x_is_no_wrong_value() -> None:
    assert "contradicted" not in dict(verdicts("growth", "Kestrol B increases from 10 to 20.")).values()
    assert "contradicted" not in dict(verdicts("growth", "Vodira rises from 10 to 20 h.")).values()


def test_rises_and_later_falls_is_no_contradiction() -> None:
    for answer in (
        "Vodira falls. Then it rises.",
        "Vodira falls at first and rises later.",
        "Vodira falls, then rises.",
    ):
        assert "contradicted" not in dict(verdicts("growth", answer)).values(), answer


# The older view


def test_unsupported_view_holds_numbers_and_names_that_are_neither_printed_nor_read() -> None:
    answer = "Vodira rises from 0.02 to 1.45, and Foobar reaches 77."
    marks = [answer[mark.start : mark.end] for mark in as_unsupported(checked("growth", answer))]
    assert marks == ["Foobar", "77"]


def test_without_a_chart_the_view_is_what_the_support_check_says() -> None:
    answer = "ResNet reaches 93.1 after 40 epochs, AlexNet 12 in Figure 2."
    lines = [Line("ResNet", (0, 0, 1, 1)), Line("40", (0, 0, 1, 1))]
    assert as_unsupported(checks(answer, lines, "A caption.")) == unsupported(answer, ["ResNet", "40", "A caption."])


# Hostile answers and names

HOSTILE_NAMES = [
    "rises",
    "falls",
    "(a+)+$",
    "\\d{9999}",
    "3",
    "not",
    "the highest",
    "[^",
    "1.45",
    "A" * 500,
    "a b " * 50,
    "<image>",
    "",
    "|",
    "x|",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_name_of_a_series_does_no_harm(name: str) -> None:
    read = panel(
        "line",
        Axis(name, scale="linear", low=0, high=10),
        Axis(name, scale="linear", low=0, high=10),
        series(name, (0.0, 10.0), (0, 9)),
        series("Other", (0.0, 10.0), (9, 0)),
    )
    answer = (
        f"{name} rises from 0 to 9. Other falls from 9 to 0, and {name} and Other cross at 5. It falls from 3 to 2."
    )
    found = checks(answer, [Line(name, (0, 0, 9, 9))], name, Chart((read,)))
    assert all(0 <= check.start < check.end <= len(answer) for check in found)
    assert [answer[c.start : c.end] for c in found if c.verdict == "contradicted"] == []


UNITS = [
    "Vodira rises from 0.02 to 1.45 and ",
    "Vodira, ",
    "Vodira and ",
    "the ",
    "1.5 ",
    "1–",
    "10^",
    "rises ",
    "(((",
    "of the value of the ",
    "more than twice ",
    "Kestrol B is 0.1 at 24 h. ",
    "in panel (a) ",
    "\n",
]


def _lines_run(call: Callable[[], object]) -> int:
    """How many lines of our own Python a call runs, as a measure of time that no other load disturbs."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal count
        if "llava_graph" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("unit", UNITS)
def test_work_grows_with_the_length_of_the_answer_and_no_faster(unit: str) -> None:
    few, many = (
        _lines_run(lambda answer=(unit * size)[:size]: checked("growth", answer))  # type: ignore[misc]
        for size in (1_000, 4_000)
    )
    assert many <= 4.5 * few + 1_000


def test_no_pattern_of_a_statement_repeats_without_bound() -> None:
    """So that matching takes at most a constant number of steps from each place of a sentence."""
    for kind, pattern in claims._PATTERNS:
        assert not re.search(r"[*+]|,\}", pattern.pattern), kind


@pytest.mark.parametrize("unit", ["Vodira and ", "1–", "of the value of the "])
def test_answer_of_100000_characters_is_checked_and_bounded(unit: str) -> None:
    """Within the time limit of a test; a pattern that tries twice would take hours."""
    found = checked("growth", (unit * 100_000)[:100_000])
    assert len(found) <= MAX_CHECKS


WORDS = """
    Vodira Kestrol B Mura-7 rises falls from to at 0.02 1.45 20 the highest is and , . ; not while it all both curve
    stays constant peaks maximum of h then % – ( ) cross 10⁻³ twice
"""


@given(st.lists(st.sampled_from(WORDS.split()), max_size=40).map(" ".join))
def test_spans_lie_in_the_answer_and_never_overlap(answer: str) -> None:
    found = checked("growth", answer)
    assert all(0 <= check.start < check.end <= len(answer) for check in found)
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))


@given(st.text(max_size=200), st.text(max_size=60), st.lists(st.text(max_size=20), max_size=4))
def test_no_text_makes_it_fail(answer: str, caption: str, names: list[str]) -> None:
    members = tuple(Series(name, points=(Point(0.0, 1.0, 0, 0), Point(1.0, 2.0, 0, 0)), coverage=1.0) for name in names)
    read = Panel("line", (0, 0, 9, 9), Axis("x", scale="linear"), Axis("y", scale="linear"), members)
    chart = Chart((replace(read, series=facts_of(read)),))
    checks(answer, [Line(name, (0, 0, 9, 9)) for name in names], caption, chart)


# What one verb says of several, and what stands at a panel


def _straight(name: str | None, first: float, last: float) -> Series:
    return series(name, [100.0 + i for i in range(11)], [first + (last - first) * i / 10 for i in range(11)])


def _curves(y: str, *members: Series) -> Panel:
    return panel(
        "line", Axis("Time (h)", unit="h", scale="linear", low=100, high=110), Axis(y, scale="linear"), *members
    )


CROPS = Chart((_curves("Mass (t)", _straight("Rye", 0, 9), _straight("Oats", 1, 6), _straight("20", 3, 8)),))
ROWS = Chart(
    (
        panel(
            "grouped_bar",
            Axis(None, scale="category", categories=("64", "128", "256")),
            Axis("Speed", scale="linear", low=0, high=10),
            series("Rye", ("64", "128", "256"), (1, 4, 9)),
            series("Oats", ("64", "128", "256"), (2, 3, 8)),
        ),
    )
)


@pytest.mark.parametrize(
    ("answer", "stretch", "verdict"),
    [
        ("Rye rises from about 0 to about 9, Oats from about 1 to about 6.", "Oats", "read"),
        ("Rye rises from about 0 to about 9 and Oats from about 1 to about 6.", "6", "read"),
        ("Rye rises from about 0 to about 9, Oats from about 1 to about 9.", "9.", "contradicted"),
        ("Rye rises to about 9, Oats to about 6, and 20 from about 3 to about 8.", "20", "read"),
        (
            "All three curves rise: Rye from about 0 to about 9, Oats to about 2 and 20 to about 8.",
            "2 and",
            "contradicted",
        ),
        ("Rye ends at about 9, Oats at about 6.", "6", "read"),
        ("Rye ends at about 9, Oats at about 2.", "2", "contradicted"),
        ("Rye and 20 rise.", "rise", "read"),
    ],
)
def test_verb_of_one_curve_is_that_of_the_next(answer: str, stretch: str, verdict: Verdict) -> None:
    start = answer.rindex(stretch)
    found = [check for check in checks(answer, lines_of(CROPS), "", CROPS) if check.start == start]
    assert [check.verdict for check in found] == [verdict]


@pytest.mark.parametrize(
    "answer",
    [
        "Rye rises from 0 to 9, Oats from 6 to 1.",
        "Rye rises from 0 to 9 and ends at 9, Oats at 1.",
        "Rye is 9, Oats 2.",
    ],
)
def test_verb_is_not_carried_on_where_numbers_or_verbs_differ(answer: str) -> None:
    assert not [check for check in checks(answer, lines_of(CROPS), "", CROPS) if check.verdict == "contradicted"]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Both are highest at 256 and lowest at 64.", ["read", "read"]),
        ("Both are highest at 128.", ["contradicted"]),
        ("All three are highest at 256.", ["read"]),
        ("All are highest at 256, Rye at about 9 and Oats at about 8.", ["read", "read", "read"]),
        ("All are highest at 256, Rye at about 9 and Oats at about 3.", ["read", "read", "contradicted"]),
    ],
)
def test_all_rows_of_bars_are_told_together(answer: str, found: list[Verdict]) -> None:
    assert [check.verdict for check in checks(answer, lines_of(ROWS), "", ROWS)] == found


def test_lone_curve_is_called_by_the_label_of_its_axis() -> None:
    chart = Chart((_curves("Mass (t)", _straight(None, 0, 9)), _curves("Gain", _straight(None, 8, 2))))
    lines = [*lines_of(chart), Line("(a)", (0, 0, 9, 9)), Line("b)", (0, 0, 9, 9))]
    answer = (
        "In panel (a), the line chart shows Mass. Mass rises from about 0 to about 9. In panel (b), the line chart "
        "shows Gain. The curve falls from about 8 to about 2. The highest value of Gain is about 8 near 100. "
    )
    assert {check.verdict for check in checks(answer, lines, "", chart)} == {"read"}
    wrong = checks(
        answer.replace("Gain. The curve falls from about 8", "Gain. Gain rises from about 5"), lines, "", chart
    )
    assert [check.kind for check in wrong if check.verdict == "contradicted"] == ["trend", "number"]


def test_label_of_one_panel_alone_says_which_panel_is_spoken_of() -> None:
    chart = Chart((_curves("Mass (t)", _straight(None, 0, 9)), _curves("Gain", _straight(None, 8, 2))))
    found = checks("Gain falls to about 2. Mass falls.", lines_of(chart), "", chart)
    assert [check.verdict for check in found] == ["read", "read", "contradicted"]
    alike = Chart((_curves("Gain", _straight(None, 0, 9)), _curves("Gain", _straight(None, 8, 2))))
    assert [c.verdict for c in checks("Gain falls to about 2.", lines_of(alike), "", alike)] != ["contradicted"]


def test_sentence_ends_behind_a_unit_of_minutes() -> None:
    chart = Chart((_curves("Delay (min)", _straight("Rye", 0, 9), _straight("Oats", 9, 1)),))
    answer = "Rye rises to about 9 min. Oats falls from about 9 to about 1. Delay is given in min. Rye rises."
    found = checks(answer, lines_of(chart), "", chart)
    assert [check.kind for check in found if check.verdict == "read"].count("trend") == 3


def test_share_of_the_x_axis_is_a_place() -> None:
    read = panel(
        "line",
        Axis("Load (%)", unit="%", scale="linear", low=100, high=110),
        Axis("Cost (EUR)", unit="EUR", scale="linear"),
        _straight("Rye", 0, 900),
        _straight("Oats", 900, 0),
    )
    chart = Chart((read,))
    assert [c.verdict for c in checks("Rye and Oats cross near 105 %.", lines_of(chart), "", chart)] == ["read"]


def test_name_that_the_reader_joined_is_read() -> None:
    chart = Chart((_curves("Mass", _straight("Batch Q", 0, 9)),))
    lines = [Line("Batch", (0, 0, 9, 9)), Line("Mass", (0, 0, 9, 9))]
    assert [c.verdict for c in checks("Batch Q rises to about 9.", lines, "", chart)] == ["read", "read"]


# Truth told in other words: whatever the chart, a true sentence is not contradicted

TEMPLATES: list[Callable[[str, float, float], str]] = [
    lambda name, a, b: f"{name} {'rises' if b > a else 'falls'} from {a:.3g} to {b:.3g}.",
    lambda name, a, b: f"The {name} curve {'increases' if b > a else 'decreases'} from about {a:.2g} to about {b:.2g}.",
    lambda name, a, b: f"{name} starts at {a:.3g} and ends at {b:.3g}.",
    lambda name, a, b: f"Over time, {name} shows a clear {'upward' if b > a else 'downward'} trend.",
    lambda name, a, b: f"{name} does not {'fall' if b > a else 'rise'}; it reaches {max(a, b):.3g}.",
]


@given(
    st.floats(-1000, 1000),
    st.floats(-1000, 1000),
    st.sampled_from(TEMPLATES),
    st.sampled_from(["Alpha", "Group 7", "k = 3", "Treated (n=5)", "β-Net"]),
    st.randoms(use_true_random=False),
)
def test_true_sentence_about_a_straight_curve_is_not_contradicted(
    start: float, end: float, tell: Callable[[str, float, float], str], name: str, rng: random.Random
) -> None:
    low, high = min(start, end), max(start, end)
    if high - low < 1:
        return
    noise = [rng.uniform(-0.004, 0.004) * (high - low) for _ in range(50)]
    ys = [start + (end - start) * i / 49 + noise[i] for i in range(50)]
    axis = Axis("y", scale="linear", low=low - 0.1 * (high - low), high=high + 0.1 * (high - low))
    read = panel(
        "line", Axis("Days", scale="linear", low=0, high=49), axis, series(name, [float(i) for i in range(50)], ys)
    )
    answer = tell(name, start, end)
    found = checks(answer, [Line(name, (0, 0, 9, 9))], "", Chart((read,)))
    assert [answer[c.start : c.end] for c in found if c.verdict == "contradicted"] == []
