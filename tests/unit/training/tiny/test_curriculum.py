"""What examples teach: an answer names only what stands in its context, as it stands there and in its order."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import get_args

import pytest

from data.synthetic.sample import sample_figure
from data.synthetic.spec import FigureSpec
from data.synthetic.write import Known, KnownPanel, dialogue, explanation, listing
from llava_graph.context import DEFAULT_QUESTION, TEMPLATES
from llava_graph.ocr import reading_order
from tests.unit.conftest import Drawn
from training.tiny.curriculum import TEMPLATE, ContextMode, Example, copying_example, figure_example

MODES: tuple[ContextMode, ...] = get_args(ContextMode)
EXAMPLES_A_FIGURE = 20


def examples_of(drawn: list[Drawn], mode: ContextMode | None = None) -> list[Example]:
    return [
        figure_example(figure.stored, random.Random(f"{figure.stored.seed}-{i}"), mode)
        for figure in drawn
        for i in range(EXAMPLES_A_FIGURE)
    ]


def words_of(text: str) -> set[str]:
    """Words and numbers, the punctuation between them left out."""
    return set(re.findall(r"[^\s.,;:()\[\]]+", text))


def answers_of(example: Example) -> list[str]:
    return [turn.text for turn in example.turns if turn.role == "assistant"]


def context_of(example: Example) -> str:
    return "\n".join([example.context.caption, *(line.text for line in example.context.lines)])


@pytest.fixture(scope="module")
def own_words() -> set[str]:
    """The words that sentences are made of besides names and numbers, gathered from sentences whose names are "0"."""

    def zeros(spec: FigureSpec, name: str | None) -> Known:
        panels = spec.panels
        return tuple(KnownPanel(name, name, (name,) * len(p.series), (name,) * len(p.categories)) for p in panels)

    found = set()
    for seed in range(400):
        spec = sample_figure(seed, "train")
        for name in ("0", None):
            rng = random.Random(seed)
            texts = [explanation(spec, zeros(spec, name), rng)]
            texts += [answer for _, answer in dialogue(spec, zeros(spec, name), rng, 99)]
            found |= {word for text in texts for word in words_of(text) if not re.fullmatch(r"-?[\d.]+", word)}
    return found


@pytest.mark.parametrize("mode", MODES)
def test_every_word_of_an_answer_is_ours_or_stands_in_the_context(
    drawn: list[Drawn], own_words: set[str], mode: ContextMode
) -> None:
    for example in examples_of(drawn, mode):
        context = words_of(context_of(example))
        for answer in answers_of(example):
            for word in words_of(answer) - own_words:
                is_value = re.fullmatch(r"-?\d+(?:\.\d+)?", word) is not None
                assert is_value or word in context, (word, answer, context_of(example))


def test_only_the_mode_decides_what_the_reader_has(drawn: list[Drawn]) -> None:
    for mode in MODES:
        examples = examples_of(drawn, mode)
        assert any(example.context.caption for example in examples) == (mode in ("both", "caption"))
        assert any(example.context.lines for example in examples) == (mode in ("both", "ocr"))


def test_all_modes_occur_by_default(drawn: list[Drawn]) -> None:
    examples = examples_of(drawn)
    has = [(bool(example.context.lines), bool(example.context.caption)) for example in examples]
    assert set(has) == {(True, True), (True, False), (False, True), (False, False)}
    assert has.count((True, True)) > len(examples) / 2


def test_with_everything_to_read_axes_and_series_are_named(drawn: list[Drawn]) -> None:
    for figure in drawn:
        named = 0
        for example in [figure_example(figure.stored, random.Random(i), "ocr") for i in range(EXAMPLES_A_FIGURE)]:
            opening = answers_of(example)[0]
            named += figure.stored.spec.panels[0].y.quantity in opening
        assert named > EXAMPLES_A_FIGURE / 2, figure.stored.seed


def test_series_are_listed_in_the_order_in_which_they_are_read(drawn: list[Drawn]) -> None:
    checked = 0
    for example in examples_of(drawn, "ocr"):
        read = [line.text for line in example.context.lines]
        for answer in answers_of(example):
            if match := re.fullmatch(r"The legend lists (.+)\.", answer):
                listed = re.split(r", | and ", match[1])
                assert listed == sorted(listed, key=read.index), (listed, read)
                checked += len(listed) > 1
    assert checked > 20


def test_a_legend_that_stands_upside_down_is_listed_as_it_stands(drawn: list[Drawn]) -> None:
    """The generator draws legends in the order of its series; real ones come in any order."""
    checked = 0
    for stored in (figure.stored for figure in drawn):
        legend = [text for text in stored.texts if text.role == "legend" and text.panel == 0]
        swapped = dict(zip(legend, [text.box for text in reversed(legend)], strict=True))
        texts = tuple(replace(text, box=swapped.get(text, text.box)) for text in stored.texts)
        names = [series.name for series in reversed(stored.spec.panels[0].series)]
        for i in range(EXAMPLES_A_FIGURE):
            for answer in answers_of(figure_example(replace(stored, texts=texts), random.Random(i), "ocr")):
                if len(legend) > 1 and answer.startswith("The legend lists") and all(name in answer for name in names):
                    assert answer == f"The legend lists {listing(names)}."
                    checked += 1
    assert checked > 10


def test_lines_come_in_reading_order_and_hold_the_texts_of_the_figure(drawn: list[Drawn]) -> None:
    for figure, example in zip(drawn, examples_of(drawn, "ocr")[::EXAMPLES_A_FIGURE], strict=True):
        lines = list(example.context.lines)
        assert lines == reading_order(lines)
        assert (example.context.width, example.context.height) == figure.image.size
        true_texts = {text.text for text in figure.stored.texts}
        assert sum(line.text in true_texts for line in lines) > 0.8 * len(lines)


def test_ocr_errs_as_real_ocr_does_but_seldom(drawn: list[Drawn]) -> None:
    """Texts get lost, letters get mixed up with less confidence, boxes are a little too wide, labels fall apart."""
    lost = misread = apart = total = 0
    for figure, i in ((figure, i) for figure in drawn for i in range(EXAMPLES_A_FIGURE)):
        example = figure_example(figure.stored, random.Random(i), "ocr")
        texts = figure.stored.texts
        total += len(texts)
        true_texts = {text.text for text in texts}
        whole = [line for line in example.context.lines if line.text in true_texts]
        apart += any(line.text.startswith(("(", "[")) for line in example.context.lines)
        misread += len(example.context.lines) - len(whole)
        lost += max(0, len(texts) - len(example.context.lines))
        for line in whole:
            assert 0.6 <= line.confidence <= 1
            x0, y0, x1, y1 = line.box
            assert any(
                x0 <= t.box[0] + 1e-6 and y0 <= t.box[1] + 1e-6 and x1 >= t.box[2] - 1e-6 and y1 >= t.box[3] - 1e-6
                for t in texts
                if t.text == line.text
            ), line
    assert 0.005 < lost / total < 0.05
    assert 0.005 < misread / total < 0.08
    assert apart > 5


def test_a_text_that_was_misread_is_named_as_it_was_read(drawn: list[Drawn]) -> None:
    """A model must copy what stands in its context, also where a letter of it is wrong."""
    copied = 0
    for example in examples_of(drawn, "ocr"):
        for line in example.context.lines:
            if line.confidence < 0.9 and len(line.text) > 5:
                copied += any(line.text in answer for answer in answers_of(example))
    assert copied > 3


def test_a_unit_whose_name_was_not_read_names_no_axis(drawn: list[Drawn]) -> None:
    for figure in drawn:
        for i in range(500):
            example = figure_example(figure.stored, random.Random(i), "ocr")
            assert not any(
                re.search(r"shows [(\[]|(?:against|over|of) [(\[]", answer) for answer in answers_of(example)
            )


def test_turns_alternate_and_most_conversations_begin_with_an_explanation(drawn: list[Drawn]) -> None:
    examples = examples_of(drawn)
    for example in examples:
        assert [turn.role for turn in example.turns] == ["user", "assistant"] * (len(example.turns) // 2)
        assert 2 <= len(example.turns) <= 8
        assert all(turn.text for turn in example.turns)
    assert sum(example.turns[0].text == DEFAULT_QUESTION for example in examples) > len(examples) / 4


def test_the_same_seed_gives_the_same_example(drawn: list[Drawn]) -> None:
    assert examples_of(drawn) == examples_of(drawn)


def test_two_panels_are_told_apart(drawn: list[Drawn]) -> None:
    first, second = (figure.stored for figure in drawn[:2])
    texts = (*first.texts, *(replace(text, panel=1) for text in second.texts))
    spec = FigureSpec((first.spec.panels[0], second.spec.panels[0]), seed=0)
    openings = [
        answers_of(figure_example(replace(first, spec=spec, texts=texts), random.Random(i), "ocr"))[0]
        for i in range(EXAMPLES_A_FIGURE)
    ]
    explanations = [opening for opening in openings if opening.startswith("In panel (a), ")]
    assert len(explanations) > EXAMPLES_A_FIGURE / 2
    assert all(text.count(" In panel (b), ") == 1 for text in explanations)


def test_a_copying_drill_lists_its_lines_in_order_or_backwards() -> None:
    directions = set()
    for seed in range(100):
        example = copying_example(random.Random(seed))
        question, answer = (turn.text for turn in example.turns)
        texts = [line.text for line in example.context.lines]
        backwards = "bottom to top" in question
        directions.add(backwards)
        assert answer == ", ".join(reversed(texts) if backwards else texts) + "."
        assert list(example.context.lines) == reading_order(example.context.lines)
    assert directions == {True, False}


def test_no_example_is_cut_by_its_template(drawn: list[Drawn]) -> None:
    template = TEMPLATES[TEMPLATE]
    for example in [*examples_of(drawn), *(copying_example(random.Random(seed)) for seed in range(100))]:
        assert len(example.context.lines) <= template.max_lines
        assert len(example.context.caption) <= template.max_caption_chars
        assert all(len(line.text) <= template.max_line_chars for line in example.context.lines)
