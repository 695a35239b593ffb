"""What `llava-graph replay` takes for a receipt, and of several the one it takes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from launcher.replay import ReplayError, choose, read_receipts, same_beginning
from llava_graph.context import Turn
from llava_graph.figure import open_figure
from service.events import Receipt
from tests.harness.gateway import png

IMAGE = png(size=(80, 60))
ANOTHER = png(size=(80, 61))

RECEIPT: dict[str, Any] = {
    "format": 1,
    "gateway": "0.1.0",
    "model": {"id": "m", "revision": "1", "template": "located", "template_version": 1, "engine": None},
    "figures": [
        {
            "id": open_figure(IMAGE).id,
            "width": 80,
            "height": 60,
            "turn": 0,
            "context": "both",
            "caption": "Loss.",
            "ocr": {"status": "cached", "engine": "rapid", "lines": 2, "sha256": "a" * 64},
            "chart": {"status": "cached", "sha256": "d" * 64},
        }
    ],
    "turns": [{"role": "user", "text": "Why?"}],
    "sampling": {"max_tokens": 64, "temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"], "max_repeats": None},
    "prompt_sha256": "b" * 64,
    "answer_sha256": "c" * 64,
}


def changed(**parts: object) -> dict[str, Any]:
    return copy.deepcopy(RECEIPT) | parts


def of_figure(image: bytes) -> dict[str, Any]:
    return changed(figures=[RECEIPT["figures"][0] | {"id": open_figure(image).id}])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "receipt.json"


def test_what_is_tested_here_is_what_the_gateway_sends() -> None:
    assert Receipt.model_validate(RECEIPT, strict=True).model_dump() == RECEIPT


@pytest.mark.parametrize(
    ("kept", "answer"),
    [
        (RECEIPT, None),
        ({"text": "It rises.", "grounding": [], "receipt": RECEIPT}, "It rises."),
        ({"figure": {}, "ocr": {}, "text": "It rises.", "receipt": RECEIPT}, "It rises."),
        (
            {"image": "a.png", "caption": "Loss.", "question": None, "text": "It rises.", "receipt": RECEIPT},
            "It rises.",
        ),
        ({"figure": {"receipt": RECEIPT}, "choices": [{"message": {"content": "It rises."}}]}, "It rises."),
        ({"figure": {"receipt": RECEIPT}, "choices": [{"delta": {}, "finish_reason": "stop"}]}, None),
    ],
    ids=[
        "a receipt",
        "a done event",
        "an answer as one object",
        "a line of explain --out",
        "a chat completion",
        "the last chunk of one",
    ],
)
@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "for people"])
def test_receipt_is_found_in_what_it_was_kept_in(
    file: Path, kept: dict[str, Any], answer: str | None, indent: int | None
) -> None:
    file.write_text(json.dumps(kept, indent=indent))
    [found] = read_receipts(file)
    assert (found.raw, found.answer) == (RECEIPT, answer)
    assert found.turns == [Turn("user", "Why?")]
    assert (found.caption, found.context, found.was_read) == ("Loss.", "both", True)
    assert (found.max_tokens, found.temperature, found.top_p, found.seed, found.stop) == (64, 0.5, 0.9, 7, ["END"])


def test_of_many_answers_the_one_about_the_image_is_taken(file: Path) -> None:
    answers = [{"error": {"code": "overloaded"}}, {"receipt": of_figure(ANOTHER)}, {"receipt": RECEIPT}]
    file.write_text("\n".join([*map(json.dumps, answers), '{"cut short by a cra']))
    receipts = read_receipts(file)
    assert len(receipts) == 2
    assert choose(receipts, IMAGE).raw == RECEIPT
    assert choose(receipts, ANOTHER).raw == of_figure(ANOTHER)


def test_another_image_is_refused_with_both_hashes(file: Path) -> None:
    file.write_text(json.dumps(RECEIPT))
    with pytest.raises(ReplayError, match=open_figure(ANOTHER).id) as caught:
        choose(read_receipts(file), ANOTHER)
    assert open_figure(IMAGE).id in str(caught.value)


def test_what_is_no_image_is_refused(file: Path) -> None:
    file.write_text(json.dumps(RECEIPT))
    for data in (b"", b"%PDF-1.7"):
        with pytest.raises(ReplayError, match="image cannot be used"):
            choose(read_receipts(file), data)


def test_several_answers_about_one_figure_are_too_many(file: Path) -> None:
    file.write_text(f"{json.dumps(RECEIPT)}\n{json.dumps(RECEIPT)}\n")
    with pytest.raises(ReplayError, match="2 answers"):
        choose(read_receipts(file), IMAGE)


def test_unusual_ends_of_lines_in_a_text_end_no_line_of_a_file(file: Path) -> None:
    answers = [{"text": "It\u2028rises.\x85", "receipt": of_figure(image)} for image in (IMAGE, ANOTHER)]
    file.write_text("".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers), encoding="utf-8")
    assert [found.answer for found in read_receipts(file)] == ["It\u2028rises.\x85"] * 2


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1, 2]", "no JSON", "[" * 100_000, '{"figure": {}}', '{"text": "It rises."}', '{"receipt": null}'],
)
def test_file_without_a_receipt_says_so(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ReplayError, match="holds no receipt"):
        read_receipts(file)


@pytest.mark.parametrize(
    ("receipt", "words"),
    [
        (changed(format=2), "format 2"),
        (changed(figures=[]), "0 figures"),
        (changed(figures=RECEIPT["figures"] * 2), "2 figures"),
        ({name: part for name, part in RECEIPT.items() if name != "sampling"}, "lacks 'sampling'"),
        (changed(sampling={**RECEIPT["sampling"], "top_p": "most"}), "not in the form"),
        (changed(model="llava-graph-tiny"), "not in the form"),
        (changed(turns=None), "not in the form"),
        (changed(figures=[RECEIPT["figures"][0] | {"width": 1e999}]), "not in the form"),
        (changed(figures=[RECEIPT["figures"][0] | {"turn": 2}]), "later than at the beginning"),
        (changed(figures=7), "not in the form"),
    ],
)
def test_receipt_that_cannot_be_used_says_why(file: Path, receipt: dict[str, Any], words: str) -> None:
    file.write_text(json.dumps(receipt))
    with pytest.raises(ReplayError, match=words):
        read_receipts(file)


def test_a_text_that_was_not_read_in_time_is_no_text_that_was_read(file: Path) -> None:
    ocr = {"status": "timeout", "engine": None, "lines": 0, "sha256": "a" * 64}
    file.write_text(json.dumps(changed(figures=[RECEIPT["figures"][0] | {"ocr": ocr}])))
    assert not read_receipts(file)[0].was_read


@pytest.mark.parametrize(
    ("first", "second", "same"), [("abc", "abd", 2), ("ab", "abc", 2), ("", "a", 0), ("é", "é", 1)]
)
def test_texts_are_the_same_up_to_where_they_part(first: str, second: str, same: int) -> None:
    assert same_beginning(first, second) == same
