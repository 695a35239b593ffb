"""Which parts of the context a request chooses: sets, their old names, and what is none."""

from __future__ import annotations

import itertools

import pytest

from llava_graph.context_parts import PARTS, ContextParts


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("none", ()),
        ("caption", ("caption",)),
        ("ocr", ("ocr",)),
        ("both", ("caption", "ocr")),
        ("all", ("caption", "ocr", "chart")),
        ("chart, caption", ("caption", "chart")),
        ("OCR,ocr", ("ocr",)),
        (["chart"], ("chart",)),
        ([], ()),
        (["both"], ("caption", "ocr")),
    ],
)
def test_choice_names_what_is_told(choice: str | list[str], told: tuple[str, ...]) -> None:
    assert ContextParts.parse(choice).names == told


@pytest.mark.parametrize("choice", ["", "pixels", "caption,none", "both,chart", "caption,,ocr", "<image>"])
def test_name_of_no_part_is_an_error_that_lists_the_parts(choice: str) -> None:
    with pytest.raises(ValueError, match="known: caption, ocr, chart, none, both, all"):
        ContextParts.parse(choice)


def test_every_set_of_parts_is_read_back_from_its_text() -> None:
    for size in range(len(PARTS) + 1):
        for names in itertools.combinations(PARTS, size):
            parts = ContextParts.parse(names)
            assert parts.names == names
            assert ContextParts.parse(str(parts)) == parts


def test_old_names_stay_the_text_of_their_sets() -> None:
    assert [str(ContextParts.parse(name)) for name in ("none", "caption", "ocr", "both")] == [
        "none",
        "caption",
        "ocr",
        "both",
    ]


def test_everything_is_told_unless_something_is_chosen() -> None:
    assert str(ContextParts()) == "all"
