"""Token ids and labels: against golden ids of LLaMA's vocabulary, and what happens to samples that do not fit."""

from __future__ import annotations

import pytest

from llava_graph.context import Turn
from tests.fakes.llama_vocabulary import CHATML_ADDED, ROWS, V0_ADDED, V1_ADDED, llama_tokenizer
from tests.unit.training.golden import CAPTION, CONVERSATION, GOLDEN, IMAGE_LAST
from training.encoding import IGNORED, Encoder
from training.errors import SampleError, TemplateError
from training.templates import FRONT, IN_PLACE, START_END, TEMPLATES, ImageFormat

TO_THE_FRONT = ImageFormat("<im_start><image><im_end>", "conversation_front")


@pytest.mark.parametrize(
    ("case", "added", "images", "turns"),
    [
        ("v0", V0_ADDED, START_END, CONVERSATION),
        ("v0, image after the question", V0_ADDED, START_END, IMAGE_LAST),
        ("v0, sep_image_conv_front", V0_ADDED, TO_THE_FRONT, IMAGE_LAST),
        ("v1", V1_ADDED, START_END, CONVERSATION),
        ("v1, image after the question", V1_ADDED, START_END, IMAGE_LAST),
        ("v1, sep_image_conv_front", V1_ADDED, TO_THE_FRONT, IMAGE_LAST),
        ("llava_v1", V1_ADDED, START_END, CONVERSATION),
        ("simple", V1_ADDED, START_END, CONVERSATION),
        ("multimodal", V1_ADDED, START_END, CONVERSATION),
        ("mpt", CHATML_ADDED, START_END, CONVERSATION),
        ("v1, as LLaVA 1.5", (), FRONT, IMAGE_LAST),
        ("llama_2", (), FRONT, IMAGE_LAST),
        ("plain", (), IN_PLACE, CAPTION),
    ],
)
def test_ids_and_labels_are_those_of_the_original(
    case: str, added: tuple[str, ...], images: ImageFormat, turns: tuple[Turn, ...]
) -> None:
    encoder = Encoder(llama_tokenizer(added), TEMPLATES[case.partition(",")[0]], 2048, images)
    sample = encoder.encode("x", turns, 2)
    ids: list[int] = []
    labels: list[int] = []
    for learned, text in GOLDEN[case]:
        stretch = [int(number) for number in text.split()]
        ids += stretch
        labels += stretch if learned else [IGNORED] * len(stretch)
    assert sample.input_ids == ids
    assert sample.labels == labels


def test_whole_text_gives_other_tokens_than_its_pieces() -> None:
    tokenizer = llama_tokenizer(V0_ADDED)
    assert tokenizer("### Human", add_special_tokens=False)["input_ids"][:1] == [835]
    sample = Encoder(tokenizer, TEMPLATES["v0"], 2048, START_END).encode("x", CONVERSATION, 2)
    assert 835 not in sample.input_ids
    assert sample.labels[-3:] == [2277, 29937, 29871]


def test_image_takes_as_many_tokens_as_it_is_said_to() -> None:
    encoder = Encoder(llama_tokenizer(V1_ADDED), TEMPLATES["v1"], 2048, START_END)
    sample = encoder.encode("x", CONVERSATION, 256)
    assert sample.input_ids.count(ROWS) == 256
    assert sample.modality == "image"
    start = sample.input_ids.index(ROWS)
    assert sample.labels[start : start + 256] == [IGNORED] * 256


def test_text_alone_has_no_image_token() -> None:
    turns = (Turn("user", "What does the axis show?"), CONVERSATION[1])
    sample = Encoder(llama_tokenizer(V1_ADDED), TEMPLATES["v1"], 2048, START_END).encode("x", turns, None)
    assert sample.modality == "text"
    assert ROWS not in sample.input_ids


@pytest.mark.parametrize(
    ("turns", "image_tokens", "kind"),
    [
        (CONVERSATION, None, "image_token_without_image"),
        (CONVERSATION[2:], 4, "image_without_image_token"),
        ((Turn("user", "<image>"), Turn("assistant", "")), 4, None),
    ],
)
def test_image_and_image_token_must_agree(turns: tuple[Turn, ...], image_tokens: int | None, kind: str | None) -> None:
    encoder = Encoder(llama_tokenizer(V1_ADDED), TEMPLATES["v1"], 2048, START_END)
    if kind is None:
        assert encoder.encode("x", turns, image_tokens).cut is None
        return
    with pytest.raises(SampleError) as caught:
        encoder.encode("x", turns, image_tokens)
    assert caught.value.kind == kind


def test_tokenizer_without_the_format_s_end_token_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"<\|im_start\|>"):
        Encoder(llama_tokenizer(V1_ADDED), TEMPLATES["mpt"], 2048)
    with pytest.raises(TemplateError, match="<im_start>"):
        Encoder(llama_tokenizer(), TEMPLATES["v1"], 2048, START_END)


# Samples that do not fit.

LONG = "the curve and the axis " * 30


def encoded(
    turns: tuple[Turn, ...], max_length: int, image_tokens: int | None = 16
) -> tuple[list[int], list[int], str | None]:
    sample = Encoder(llama_tokenizer(V1_ADDED), TEMPLATES["v1"], max_length, START_END).encode("x", turns, image_tokens)
    assert sample.length <= max_length
    return sample.input_ids, sample.labels, sample.cut


def test_end_of_a_long_answer_is_cut() -> None:
    turns = (Turn("user", "<image>\nWhat does the axis show?"), Turn("assistant", LONG))
    whole, labels, cut = encoded(turns, 2048)
    assert cut is None
    shorter, shorter_labels, cut = encoded(turns, 100)
    assert cut == "cut_at_end"
    assert (shorter, shorter_labels) == (whole[:100], labels[:100])


def test_image_behind_a_long_context_is_never_cut() -> None:
    turns = (Turn("user", f"What does the axis show? {LONG} And the curve?\n<image>"), Turn("assistant", "5 peaks."))
    whole, _, _ = encoded(turns, 2048)
    ids, labels, cut = encoded(turns, 120)
    assert cut == "cut_in_prompt"
    assert len(ids) == 120
    assert ids.count(ROWS) == 16
    # Image, template and answer are as they were, and so are the beginning and the end of the question.
    learned = [label for label in labels if label != IGNORED]
    assert learned == [29871, 29945, 1236, 10327, 29889, 2]
    assert ids[:45] == whole[:45]
    assert ids[-30:] == whole[-30:]
    end = ids.index(ROWS + 1)
    assert ids[end - 4 : end] == [1126, 278, 11672, 29973]


def test_answer_behind_a_long_question_stays() -> None:
    turns = (Turn("user", f"<image>\n{LONG}"), Turn("assistant", "5 peaks."), *CONVERSATION[2:])
    ids, labels, cut = encoded(turns, 110)
    assert cut == "cut_in_prompt"
    assert ids.count(ROWS) == 16
    assert [label for label in labels if label != IGNORED] == [29871, 29945, 1236, 10327, 29889, 2] * 2


def test_sample_whose_image_leaves_no_room_is_refused() -> None:
    with pytest.raises(SampleError) as caught:
        encoded(CONVERSATION, 60, image_tokens=64)
    assert caught.value.kind == "too_long"
