"""Special tokens of the models that we ship, in every disguise that normalisation takes off: none gets through.

Disguises are drawn from all of Unicode: any character that NFKC turns into the one that is meant, characters without a
shape in between, white space and control characters around.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections import defaultdict
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.normalizers import NFKC

from llava_graph.context import neutralise
from tests.paths import REPOSITORY

TOKENIZERS = sorted((REPOSITORY / "model_repo").glob("*/tokenizer.json"))
OTHERS = [
    "<|reserved-special-token-1|>",
    "<|vision.pad|>",
    "<|im_start|>",
    "<unk.2>",
    "<image-patch>",
    "<fim-prefix>",
    "[INST]",
    "[/INST]",
    "[TOOL_CALLS]",
    "[control_17]",
    "[MASK]",
    "[gMASK]",
    "<<SYS>>",
    "<｜begin▁of▁sentence｜>",
    "<start_of_turn>",
]
"""Of models that we have manifests for, and of other families."""
SHAPELESS = ["", "", "", "\u200b", "\ufe0f", "\u034f", "\u00ad", "\u2060", "\U000e0101", "\u3164", "\0"]


def special_tokens() -> list[str]:
    shipped = [
        token["content"]
        for path in TOKENIZERS
        for token in json.loads(path.read_text(encoding="utf-8"))["added_tokens"]
    ]
    assert "<image>" in shipped
    return [*shipped, *OTHERS]


TOKENS = special_tokens()


@cache
def disguises() -> dict[str, list[str]]:
    """By the character that they are meant for."""
    found: dict[str, list[str]] = defaultdict(list)
    for code in range(0x80, sys.maxunicode + 1):
        normal = unicodedata.normalize("NFKC", chr(code))
        if len(normal) == 1 and normal != chr(code):
            found[normal].append(chr(code))
    return found


@st.composite
def disguised(draw: st.DrawFn) -> str:
    token = draw(st.sampled_from(TOKENS))
    chars = []
    for char in token:
        chars += [draw(st.sampled_from(SHAPELESS)), draw(st.sampled_from([char, *disguises()[char]]))]
    return draw(st.text(max_size=3)) + "".join(chars) + draw(st.text(max_size=3))


def forms(text: str) -> list[str]:
    normal = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    return [text, *normal, *(form.casefold() for form in normal)]


@settings(max_examples=1000)
@given(disguised())
def test_no_special_token_comes_through_in_any_disguise(text: str) -> None:
    told, _ = neutralise(text)
    for form in forms(told):
        assert [token for token in TOKENS if token in form or token.casefold() in form] == []


@pytest.mark.parametrize(
    "text", ["﹤image﹥", "＜image﹥", "<im\ufe0fage>", "<|im-end|>", "<a.b>", "﹤｜user｜﹥", "﹇ＩＮＳＴ﹈"]
)
def test_disguise_that_once_came_through(text: str) -> None:
    told = unicodedata.normalize("NFKC", neutralise(text)[0])
    assert not told.startswith(("<", "[INST]"))


@pytest.mark.parametrize("path", TOKENIZERS, ids=lambda path: path.parent.name)
@settings(max_examples=300)
@given(texts=st.lists(disguised(), max_size=4))
def test_shipped_tokenizers_see_no_special_token_even_when_they_normalise(path: object, texts: list[str]) -> None:
    tokenizer = Tokenizer.from_file(str(path))
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    plain = neutralise(" ".join(texts))[0]
    tokenizer.normalizer = NFKC()
    for text in (plain, unicodedata.normalize("NFKC", plain)):
        seen = set(tokenizer.encode(text, add_special_tokens=False).tokens)
        assert seen & special <= {"<unk>"}


def test_what_is_no_command_stays_as_it_is() -> None:
    for text in (
        "a < b and c > d",
        "p < 0.05 (n > 3)",
        "x² + y² ≤ 1",
        "Größe [µm]",
        "½ of ①",
        "[CO2]",
        "1:10",
        "日本語",
    ):
        assert neutralise(text) == (text, 0)


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["<", "﹤", "<a ", "a" * 99, ">", "[", "#", "USER", "⩴", "\ufe0f"]), max_size=60))
def test_neutral_text_is_neutral(pieces: list[str]) -> None:
    once, _ = neutralise("".join(pieces))
    assert neutralise(once) == (once, 0)
