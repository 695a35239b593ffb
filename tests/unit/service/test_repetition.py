"""An answer that goes in circles is noticed, wherever the engine's pieces cut it; one that does not is left alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.repetition import MAX_WORDS, Repetition


def goes_in_circles(text: str, times: int, at: Sequence[int] = ()) -> bool:
    """Whether it is noticed in the text, cut at these places."""
    repetition = Repetition(times)
    places = [0, *sorted(min(place, len(text)) for place in at), len(text)]
    for start, end in itertools.pairwise(places):
        repetition.read(text[start:end])
    return repetition.found


# Two words and short texts, so that they do repeat each other.
@given(words=st.lists(st.sampled_from("ab"), max_size=20), times=st.integers(2, 4), at=st.lists(st.integers(0, 40)))
def test_what_is_said_so_many_times_in_a_row_is_found_and_nothing_else(
    words: list[str], times: int, at: list[int]
) -> None:
    stretches = itertools.combinations(range(len(words) + 1), 2)
    expected = any(words[start:end] * times == words[start : start + (end - start) * times] for start, end in stretches)
    assert goes_in_circles("".join(f"{word} " for word in words), times, at) == expected


@given(words=st.lists(st.sampled_from("ab"), max_size=20), at=st.lists(st.integers(0, 60)))
def test_whatever_the_pieces_the_answer_ends_with_the_same_word(words: list[str], at: list[int]) -> None:
    text = "".join(f"{word}  " for word in words)
    by_character, by_piece = Repetition(3), Repetition(3)
    expected = "".join(by_character.read(char) for char in itertools.takewhile(lambda _: not by_character.found, text))
    said = ""
    for start, end in itertools.pairwise([0, *sorted(min(place, len(text)) for place in at), len(text)]):
        if not by_piece.found:
            said += by_piece.read(text[start:end])
    assert (said, by_piece.found) == (expected, by_character.found)


@pytest.mark.parametrize("length", [1, MAX_WORDS])
def test_stretches_of_every_length_are_found_at_the_last_time(length: int) -> None:
    stretch = "".join(f"word-{i} " for i in range(length))
    assert goes_in_circles(stretch * 6, 6)
    assert not goes_in_circles(stretch * 5 + stretch[:-1], 6)


def test_stretches_that_are_longer_are_left_alone() -> None:
    stretch = "".join(f"word-{i} " for i in range(MAX_WORDS + 1))
    assert not goes_in_circles(stretch * 6, 6)


def test_a_word_that_is_not_complete_is_not_counted() -> None:
    assert not goes_in_circles("rain rain rain", 3)
    assert goes_in_circles("rain rain rain\n", 3)


def test_white_space_makes_no_difference() -> None:
    assert goes_in_circles("the  rain\n\nthe rain the\nrain ", 3)


def test_without_a_bound_nothing_is_found() -> None:
    repetition = Repetition(None)
    repetition.read("rain " * 1000)
    assert not repetition.found
