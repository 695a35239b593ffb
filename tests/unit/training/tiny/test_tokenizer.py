"""The tokenizer makes copying one rule: a name is the same tokens wherever it stands, and nothing is lost in them."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from data.synthetic import words
from llava_graph.context import GRID, LOCATION_STEP
from training.tiny.tokenizer import (
    ASSISTANT,
    BOS,
    EOS,
    IMAGE,
    LOCATIONS,
    PAD,
    SPECIAL_TOKENS,
    UNK,
    USER,
    build_tokenizer,
)


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert isinstance(ids, list)
    return ids


def text_of(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    text = tokenizer.decode(ids, skip_special_tokens=False)
    assert isinstance(text, str)
    return text


def drawn_names(count: int) -> list[str]:
    """Names of axes, series and categories, of words that no model was trained on."""
    rng = random.Random(0)
    return [name for _ in range(count) for name in (words.quantity(rng, "heldout"), *words.names(rng, "heldout", 2))]


def own_words(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """The words of our sentences, which carry their trailing space."""
    return [token[:-1] for token in tokenizer.get_vocab() if token.endswith(" ") and token != " "]


def test_a_name_is_the_same_tokens_wherever_it_stands(tokenizer: PreTrainedTokenizerFast) -> None:
    names = drawn_names(300)
    for name in names:
        alone = ids_of(tokenizer, name)
        for before, after in (
            ("<100><110><120><130>", "\n"),
            ("Caption: ", "."),
            ("for ", ", "),
            ("In (", ")"),
            ("and ", " rises"),
        ):
            whole = ids_of(tokenizer, before + name + after)
            assert whole == ids_of(tokenizer, before) + alone + ids_of(tokenizer, after), (name, before, after)


def test_no_piece_of_a_name_holds_white_space(tokenizer: PreTrainedTokenizerFast) -> None:
    ours = {f"{word} " for word in own_words(tokenizer)}
    spaced = {token for token in tokenizer.get_vocab() if re.search(r"\s", token)}
    assert spaced == {" ", "\n"} | ours
    assert not {word.strip() for word in ours} & words.real_words()


def test_a_coordinate_is_one_token(tokenizer: PreTrainedTokenizerFast) -> None:
    assert text_of(tokenizer, ids_of(tokenizer, "<510>")) == "<510>"
    assert [len(ids_of(tokenizer, f"<{v}>")) for v in range(0, GRID, LOCATION_STEP)] == [1] * len(LOCATIONS)
    assert len(ids_of(tokenizer, "<515>")) > 1  # off the grid: text like any other


def test_digits_are_tokens_of_their_own(tokenizer: PreTrainedTokenizerFast) -> None:
    assert [text_of(tokenizer, [i]) for i in ids_of(tokenizer, "-1.25e3")] == list("-1.25e3")


def test_special_tokens_are_found_and_are_what_transformers_takes_them_for(tokenizer: PreTrainedTokenizerFast) -> None:
    for token in SPECIAL_TOKENS:
        assert ids_of(tokenizer, f"a{token}b")[1:-1] == [tokenizer.get_vocab()[token]], token
    assert (tokenizer.pad_token, tokenizer.bos_token, tokenizer.eos_token) == (PAD, BOS, EOS)
    assert {IMAGE, USER, ASSISTANT} <= set(tokenizer.all_special_tokens)


@pytest.mark.parametrize(
    "text",
    [
        "Größe (µm)",
        "Δλ ≈ 3.5 × 10⁻³ Å",
        "速度 と 圧力",
        "🚀 lift-off",
        "two  spaces, a\ttab\nand lines\n\n",
        " leading and trailing ",
        "<0x41> <510 > </ s> <|users|>",
        "e\u0301 is not \u00e9",
        "",
    ],
)
def test_every_text_comes_back_as_it_was(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert text_of(tokenizer, ids_of(tokenizer, text)) == text


@given(text=st.text(max_size=40))
def test_any_characters_come_back_through_bytes(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = ids_of(tokenizer, text)
    assert text_of(tokenizer, ids) == text
    assert tokenizer.get_vocab()[UNK] not in ids


def test_names_of_figures_come_back_and_need_few_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    names = drawn_names(300)
    for name in names:
        assert text_of(tokenizer, ids_of(tokenizer, name)) == name
    assert sum(len(ids_of(tokenizer, name)) for name in names) < 0.6 * sum(map(len, names))


def test_our_own_words_are_one_token_with_their_space(tokenizer: PreTrainedTokenizerFast) -> None:
    sentence = "The line chart shows 0 against 0. 0 rises from about 1 to about 5."
    pieces = {text_of(tokenizer, [i]) for i in ids_of(tokenizer, sentence)}
    assert {"The ", "chart ", "shows ", "against ", "rises ", "from ", "about ", "to "} <= pieces


def test_a_second_build_has_the_same_tokens_in_the_same_order(tokenizer: PreTrainedTokenizerFast) -> None:
    first, second = tokenizer.get_vocab(), build_tokenizer().get_vocab()
    assert second == first


def test_a_saved_tokenizer_is_the_same_tokenizer(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert loaded.chat_template == tokenizer.chat_template
    for name in drawn_names(50):
        assert ids_of(loaded, f"<10>{name} rises.</s>") == ids_of(tokenizer, f"<10>{name} rises.</s>")
