"""Splits, leaks and token statistics."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.build.leaks import leak_of
from data.build.splits import ByPaper, BySource, NoSplitError, OtherSplitError, latest_splits, shared_groups
from data.build.tokens import Lengths, TokenCount
from data.errors import BuildError
from llava_graph.context import Turn
from tests.paths import MODEL_REPO


def conversation(*texts: str) -> list[Turn]:
    return [Turn("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)]


@given(st.text(), st.integers())
def test_all_figures_of_a_paper_go_to_one_split(group: str, seed: int) -> None:
    rule = ByPaper(seed, 0.2, 0.2)
    assert rule.split(group, None) == rule.split(group, "test")


def test_shares_of_the_papers_are_about_those_asked_for() -> None:
    rule = ByPaper(1, val=0.1, test=0.2)
    splits = [rule.split(f"paper:{number}", None) for number in range(5000)]
    assert 400 < splits.count("val") < 600
    assert 850 < splits.count("test") < 1150


def test_seed_decides_who_is_tested() -> None:
    papers = [f"paper:{number}" for number in range(200)]
    chosen = [{paper for paper in papers if ByPaper(seed, 0.0, 0.1).split(paper, None) == "test"} for seed in (1, 2)]
    assert chosen[0] != chosen[1]


def test_source_s_splits_give_way_to_the_later_one_where_they_share_a_paper() -> None:
    rows = [("a", "train"), ("a", "test"), ("b", "train"), ("b", "val"), ("c", "val"), ("c", "test"), ("d", "train")]
    rule = BySource(latest_splits(rows))
    kept: dict[str, list[str]] = {}
    for group, said in rows:
        try:
            kept.setdefault(rule.split(group, said), []).append(group)
        except OtherSplitError:
            continue
    assert kept == {"test": ["a", "c"], "val": ["b"], "train": ["d"]}
    assert shared_groups(kept) == set()


@pytest.mark.parametrize("said", [None, "dev"])
def test_record_without_a_split_of_its_source_is_told_apart(said: str | None) -> None:
    with pytest.raises(NoSplitError):
        BySource({}).split("a", said)


def test_paper_in_two_splits_is_found() -> None:
    assert shared_groups({"train": ["a", "b"], "val": ["c"], "test": ["b", "c"]}) == {"b", "c"}


def test_answer_that_stands_in_its_context_leaks_whole() -> None:
    turns = conversation("Caption: Power rises, over TIME, quickly!\nExplain.", "Power rises over time quickly.")
    assert leak_of(turns) == "whole"


def test_long_sentence_of_the_context_leaks() -> None:
    repeated = "The power of the whole machine rises quickly over time."
    assert leak_of(conversation(f"Caption: {repeated} Explain.", f"We see growth. {repeated}")) == "sentence"


def test_answer_leaks_from_an_earlier_turn() -> None:
    assert (
        leak_of(conversation("What?", "The red curve is the highest.", "Sure?", "The red curve is the highest."))
        == "whole"
    )


@pytest.mark.parametrize(
    "turns",
    [
        conversation("OCR: power, time. Explain.", "The power grows with the time that passes."),
        conversation("Legend: red, blue. Which is higher?", "Blue."),
        conversation("Caption: Empowerment rises over time quickly.", "power rises over time quickly"),
    ],
)
def test_answer_in_words_of_its_own_is_no_leak(turns: list[Turn]) -> None:
    assert leak_of(turns) is None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60))
def test_lengths_describe_what_was_added(values: list[int]) -> None:
    lengths = Lengths()
    for value in values:
        lengths.add(value)
    described = Lengths.from_json(lengths.to_json()).describe()
    assert described["n"] == len(values)
    assert described["total"] == sum(values)
    assert described["mean"] == pytest.approx(statistics.fmean(values), abs=0.006)
    assert described["sd"] == pytest.approx(statistics.pstdev(values), abs=0.006)
    assert (described["min"], described["max"]) == (min(values), max(values))
    assert described["p50"] == sorted(values)[(len(values) + 1) // 2 - 1]


def test_lengths_of_nothing_are_zeros() -> None:
    assert set(Lengths().describe().values()) == {0}


def test_tokens_are_those_of_the_tokenizer_and_words_without_one() -> None:
    text = "The power of the machine rises."
    assert TokenCount()(text) == 6
    count = TokenCount(str(MODEL_REPO / "llava-graph-tiny" / "tokenizer.json"))
    assert (count.unit, TokenCount().unit) == ("tokens", "words")
    assert count("") == 0
    assert count(text) > 6
    # No special tokens around it: two texts have as many as their parts.
    assert count(text + text) <= 2 * count(text)


def test_file_that_is_no_tokenizer_is_named() -> None:
    path = str(MODEL_REPO / "llava-graph-tiny" / "config.json")
    with pytest.raises(BuildError, match=r"config\.json"):
        TokenCount(path)("x")
