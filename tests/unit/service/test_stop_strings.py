"""An answer ends before its first stop string, wherever the engine's pieces cut it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.stop_strings import UntilStop


def read(pieces: Sequence[str], stops: Sequence[str]) -> tuple[str, bool]:
    """All that goes out for these pieces, and whether a stop string ended it."""
    until = UntilStop(stops)
    text = ""
    for piece in pieces:
        text += until.read(piece)
        if until.stopped:
            return text, True
    text += until.end()
    return text, until.stopped


def cut(text: str, at: Sequence[int]) -> list[str]:
    """The text in pieces, cut at these places."""
    places = [0, *sorted(min(place, len(text)) for place in at), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(places)]


# Two letters and short texts, so that stop strings do occur, overlap and begin each other.
@given(
    text=st.text("ab", max_size=24),
    stops=st.lists(st.text("ab", min_size=1, max_size=5), max_size=4),
    at=st.lists(st.integers(0, 24)),
)
def test_whatever_the_pieces_the_text_ends_where_the_first_stop_string_begins(
    text: str, stops: list[str], at: list[int]
) -> None:
    expected = re.split("|".join(stops), text, maxsplit=1)[0] if stops else text
    assert read(cut(text, at), stops) == (expected, any(stop in text for stop in stops))


@given(text=st.text(), stops=st.lists(st.text(min_size=1), min_size=1, max_size=3), at=st.lists(st.integers(0, 50)))
def test_any_characters_can_stop_an_answer(text: str, stops: list[str], at: list[int]) -> None:
    whole = text + stops[0] + text
    expected = re.split("|".join(map(re.escape, stops)), whole, maxsplit=1)[0]
    assert read(cut(whole, at), stops) == (expected, True)


def test_only_what_could_begin_a_stop_string_is_held_back() -> None:
    until = UntilStop(["\n\n", "END"])
    assert until.read("The figure") == "The figure"
    assert until.read(" shows EN") == " shows "
    assert until.read("ERGY.\n") == "ENERGY."
    assert until.end() == "\n"
    assert not until.stopped


def test_without_stop_strings_each_piece_goes_through() -> None:
    until = UntilStop([])
    assert (until.read("The "), until.read("figure"), until.end(), until.stopped) == ("The ", "figure", "", False)


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        UntilStop(["END", ""])
