"""Grounding: names of an answer on the OCR lines they stand on, and nothing on lines they do not stand on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_graph.grounding import MAX_NAME_TOKENS, ground
from llava_graph.ocr import Line

BOX = (0.0, 0.0, 10.0, 10.0)


def _linked(answer: str, *texts: str) -> list[tuple[str, str]]:
    """(stretch of the answer, text of its line) for each link."""
    links = ground(answer, [Line(text, BOX) for text in texts])
    return [(answer[link.start : link.end], texts[link.line]) for link in links]


def test_names_and_numbers_are_linked_in_the_order_of_the_answer() -> None:
    answer = "Vodikar rises from about 0.5 to about 1000 over Time."
    assert _linked(answer, "1,000", "Time (s)", "Vodikar", "0.50") == [
        ("Vodikar", "Vodikar"),
        ("0.5", "0.50"),
        ("1000", "1,000"),
        ("Time", "Time (s)"),
    ]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("It rates low.", "a"),
        ("about 10 and 0.1 and 1.5 and 1,5", "1"),
        ("The areas", "area"),
        ("m2 and 2nd and 1.2.3", "2"),
        ("ABC+ and ABC*", "ABC"),
        ("Vodikar-7 rises", "Vodikar"),
        ("a rate of 3 m/s", "s"),
        ("it can't", "t"),
        ("about 5", "-5"),
        ("about -5", "5"),
        ("in non-linear runs", "linear"),
    ],
)
def test_a_part_of_a_longer_token_is_not_a_mention(answer: str, text: str) -> None:
    assert _linked(answer, text) == []


@pytest.mark.parametrize("text", ["the", "a", "A", "rises", "The curves", "--", "", "  ", "…", "()", "%"])
def test_common_words_and_bare_signs_are_never_linked(text: str) -> None:
    assert _linked("The curves: a line rises -- () % … A", text) == []


def test_long_words_match_in_any_case_short_ones_and_acronyms_as_they_are() -> None:
    assert _linked("growth rate, GROWTHRATES", "Growth Rate", "growthrates") == [
        ("growth rate", "Growth Rate"),
        ("GROWTHRATES", "growthrates"),
    ]
    assert _linked("lstm and ph and no", "LSTM", "pH", "NO") == []
    assert _linked("LSTM and pH and NOx", "LSTM", "pH", "NOx") == [("LSTM", "LSTM"), ("pH", "pH"), ("NOx", "NOx")]


def test_everyday_words_must_be_spelled_as_in_the_figure() -> None:
    assert _linked("Low is highest before noon; low doses", "Low", "Before") == [("Low", "Low")]
    assert _linked("With low dose it rises", "Low dose") == [("low dose", "Low dose")]


@pytest.mark.parametrize(
    "text",
    [
        "Growth rate (1/s)",
        "Growth rate [1/s]",
        "Growth rate(1/s)",
        "Growth rate (1/s",
        "Growth rate / h",
        "Growth rate, h",
    ],
)
def test_an_axis_label_is_linked_without_its_unit(text: str) -> None:
    assert _linked("The growth rate peaks.", text) == [("growth rate", text)]


def test_an_axis_label_with_its_unit_is_linked_whole() -> None:
    assert _linked("Time (s) runs on.", "Time (s)") == [("Time (s)", "Time (s)")]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("0.50", "0.5"),
        ("1,000", "1000"),
        ("1000", "1,000"),
        ("−5", "-5"),
        ("-5", "–5"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("50", "50 %"),
    ],
)
def test_numbers_match_by_value(answer: str, text: str) -> None:
    assert _linked(f"It ends at {answer}.", text) == [(answer, text)]


def test_powers_of_ten_match_by_value() -> None:
    assert _linked("from 0.001 to 1000 and 10²", "10⁻³", "10³", "100") == [
        ("0.001", "10⁻³"),
        ("1000", "10³"),
        ("10²", "100"),
    ]


def test_a_range_is_two_numbers_and_not_a_negative_one() -> None:
    assert _linked("in 10-20 and 10–20", "10", "20", "-20") == [("10", "10"), ("20", "20"), ("10", "10"), ("20", "20")]


def test_a_row_of_ticks_read_as_one_line_is_linked_by_each_number() -> None:
    assert _linked("from 2 to 6", "0 2 4 6") == [("2", "0 2 4 6"), ("6", "0 2 4 6")]


def test_the_longest_name_wins_and_links_do_not_overlap() -> None:
    texts = ["Thermal", "Thermal flux", "flux density map"]
    assert _linked("Thermal flux density map", *texts) == [
        ("Thermal", "Thermal"),
        ("flux density map", "flux density map"),
    ]
    assert _linked("Thermal flux density", *texts) == [("Thermal flux", "Thermal flux")]


def test_of_lines_with_one_name_the_most_confident_is_taken_then_the_first() -> None:
    def line(confidences: list[float]) -> int:
        return ground("Vodikar", [Line("Vodikar", BOX, confidence) for confidence in confidences])[0].line

    assert line([0.7, 0.9, 0.9]) == 1
    assert line([0.9, 0.9, 0.7]) == 0


def test_a_whole_line_wins_over_a_line_with_a_unit() -> None:
    links = ground("Time", [Line("Time (s)", BOX, 0.99), Line("Time", BOX, 0.6)])
    assert [link.line for link in links] == [1]


def test_panel_letters_in_brackets_are_linked() -> None:
    assert _linked("In panel (a), a curve", "(a)") == [("(a)", "(a)")]


def test_emphasis_around_a_name_does_not_hide_it() -> None:
    assert _linked("**Vodikar** and _Kelmo_", "Vodikar", "Kelmo") == [("Vodikar", "Vodikar"), ("Kelmo", "Kelmo")]


def test_typographic_variants_of_signs_and_letters_match() -> None:
    assert _linked("μ = 0.5, Fe‑3", "µ=0.50", "Fe-3") == [("μ = 0.5", "µ=0.50"), ("Fe‑3", "Fe-3")]


def test_text_that_the_prompt_made_harmless_is_still_found() -> None:
    assert _linked("It says ‹kelmo> here", "<kelmo>") == [("‹kelmo>", "<kelmo>")]


def test_capitals_make_a_name_of_our_own_words_where_they_are_spelled_alike() -> None:
    assert _linked("AT rises, as Line A falls at the line.", "AT", "Line A", "A") == [
        ("AT", "AT"),
        ("Line A", "Line A"),
    ]
    assert _linked("A line rises at a point.", "AT", "Line A", "A") == []


def test_running_text_is_not_a_name() -> None:
    text = " ".join(["word"] * (MAX_NAME_TOKENS + 1))
    assert _linked(text, text) == []


_NASTY = st.text(st.sampled_from("aA1,.-−eE+(/[]) _*'µ³½\ud800\n") | st.characters(), max_size=200)


@given(answer=_NASTY, texts=st.lists(_NASTY, max_size=6), confidence=st.floats())
def test_any_text_is_taken_and_links_are_sorted_apart_and_inside(
    answer: str, texts: list[str], confidence: float
) -> None:
    links = ground(answer, [Line(text, BOX, confidence) for text in texts])
    edges = [edge for link in links for edge in (link.start, link.end)]
    assert edges == sorted(edges)
    assert all(0 <= link.start < link.end <= len(answer) and 0 <= link.line < len(texts) for link in links)


@given(st.lists(st.sampled_from(["Vodikar", "Kelmo rate", "LSTM", "0.5", "rises", "to", "1,000"]), max_size=30))
def test_every_free_standing_name_is_found(words: list[str]) -> None:
    names = {"Vodikar", "Kelmo rate", "LSTM", "0.5", "1,000"}
    found = [stretch for stretch, _ in _linked(" ; ".join(words), *sorted(names))]
    assert found == [word for word in words if word in names]


@pytest.mark.parametrize("piece", ["1", "1,", "111,", "1.", "-", "a", "a'", "1e", "(", "1a,", " -1"])
def test_no_repetition_makes_the_search_slow(piece: str) -> None:
    # Were any of them quadratic, this would run for minutes and into the timeout.
    text = piece * 50_000
    ground(text, [Line(text, BOX), Line(piece * 20, BOX)])
