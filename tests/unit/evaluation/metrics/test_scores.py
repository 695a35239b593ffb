"""BLEU, ROUGE-L and CIDEr are pycocoevalcap's, to 1e-6."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.metrics.scores import METRICS, longest_common_subsequence, parts_of, rouge_l
from tests.fakes.evaluation_files import ANSWERS_A, ANSWERS_B, REFERENCES

# What pycocoevalcap 1.2 gives for these answers and references, in the order of METRICS.
BY_PYCOCOEVALCAP = {
    "a": (
        0.5937499999814454,
        0.4829688691373478,
        0.3877865676527038,
        0.305821057713481,
        0.6293304822104816,
        3.426990514475622,
    ),
    "b": (
        0.09767014677062227,
        0.06361637057753605,
        5.895961370695747e-07,
        1.8485688505516445e-09,
        0.08681214421252373,
        0.20321479126497305,
    ),
}


def _scores(answers: list[str], references: list[str]) -> list[float]:
    parts = parts_of(answers, references)
    everything = np.arange(parts.items)
    return [float(parts.statistic(metric)(everything)) for metric in METRICS]


@pytest.mark.parametrize("name", ["a", "b"])
def test_scores_are_those_that_pycocoevalcap_gave(name: str) -> None:
    answers = [row["text"] for row in (ANSWERS_A if name == "a" else ANSWERS_B)]
    found = _scores(answers, [row["text"] for row in REFERENCES])
    assert found == pytest.approx(BY_PYCOCOEVALCAP[name], abs=1e-6)


def test_scores_are_pycocoevalcaps_on_random_texts_with_line_breaks_and_empty_answers() -> None:
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu", reason="pycocoevalcap is not installed")
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    draw = random.Random(7)
    words = [f"w{number}" for number in range(40)]

    def text(least: int) -> str:
        return draw.choice([" ", "\n", "  "]).join(draw.choices(words, k=draw.randint(least, 60)))

    answers, references = [text(0) for _ in range(150)], [text(1) for _ in range(150)]
    answers[0], answers[1] = references[0], ""
    true = {index: [value] for index, value in enumerate(references)}
    answered = {index: [value] for index, value in enumerate(answers)}
    theirs = [*bleu.Bleu(4).compute_score(true, answered, verbose=0)[0]]
    theirs += [Rouge().compute_score(true, answered)[0], Cider().compute_score(true, answered)[0]]
    assert _scores(answers, references) == pytest.approx([float(value) for value in theirs], abs=1e-6)


def test_identical_answers_have_cider_10_and_all_else_1() -> None:
    texts = ["one two three four five", "six seven eight nine ten"]
    assert _scores(texts, texts) == pytest.approx([1, 1, 1, 1, 1, 10], abs=1e-6)


def test_line_break_glues_two_words_for_rouge_and_parts_them_for_bleu() -> None:
    assert rouge_l("alpha\nbeta", "alpha beta") == 0.0
    assert _scores(["alpha\nbeta"], ["alpha beta"])[0] == pytest.approx(1.0)


def test_case_and_punctuation_count_in_raw_strings() -> None:
    assert _scores(["Growth."], ["growth"])[0] < 1e-6


def test_short_answers_pay_the_brevity_penalty_over_the_whole_corpus() -> None:
    # Four of eight words in all, each of them right: exp(1 − 8/4).
    assert _scores(["a b c d", ""], ["a b c d", "e f g h"])[0] == pytest.approx(np.exp(-1), abs=1e-6)


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.lists(st.sampled_from("abcd"), max_size=12))
def test_longest_common_subsequence_is_that_of_the_textbook(left: list[str], right: list[str]) -> None:
    lengths = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, one in enumerate(left, 1):
        for j, other in enumerate(right, 1):
            lengths[i][j] = lengths[i - 1][j - 1] + 1 if one == other else max(lengths[i - 1][j], lengths[i][j - 1])
    assert longest_common_subsequence(left, right) == lengths[-1][-1]


def test_different_numbers_of_answers_and_references_are_refused() -> None:
    with pytest.raises(ValueError, match="1 answers for 2 references"):
        parts_of(["a"], ["a", "b"])
