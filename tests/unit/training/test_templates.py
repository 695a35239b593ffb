"""The formats as texts: against the original's, against the chat templates of converted models, and what is learned."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from llava_graph.context import Turn
from tests.fakes.llama_vocabulary import V1_ADDED, llama_tokenizer
from tests.unit.training.golden import CAPTION, CONVERSATION, IMAGE_LAST
from training.encoding import Encoder
from training.errors import SampleError, TemplateError
from training.templates import FRONT, IN_PLACE, START_END, TEMPLATES, ChatTemplate, ImageFormat, message_of
from weights.templates import TEMPLATES as SERVED

CURIOUS_HUMAN = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
CURIOUS_USER = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
LLAVA = (
    "You are LLaVA, a large language and vision assistant trained by UW Madison WAIV Lab."
    "You are able to understand the visual content that the user provides, and assist the user with a variety of tasks "
    "using natural language."
    "Follow the instructions carefully and explain your answers in detail."
)
LLAMA_2 = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
MPT = (
    "- You are a helpful language and vision assistant.\n"
    "- You are able to understand the visual content that the user provides, and assist the user with a variety of "
    "tasks using natural language.\n"
    "- You should follow the instructions carefully and explain your answers in detail."
)
ASKED = "<image>\nWhat does the axis show?"
WHY = "And the curve?"

# Text apart from what is learned, which stands between ‹ and ›.
TEXTS = {
    "v0": f"{CURIOUS_HUMAN}\n\n‹###› Human: {ASKED}\n‹### Assistant: Time in seconds.\n###› Human: {WHY}\n"
    "‹### Assistant: 5 peaks.\n### ›",
    "v1": f"{CURIOUS_USER} USER: {ASKED} ASSISTANT:‹ Time in seconds.</s>›USER: {WHY} ASSISTANT:‹ 5 peaks.</s>›",
    "llava_v1": f"{LLAVA} USER: {ASKED} ASSISTANT:‹ Time in seconds.</s>›USER: {WHY} ASSISTANT:‹ 5 peaks.</s>›",
    "bair_v1": f"BEGINNING OF CONVERSATION: USER: {ASKED} GPT:‹ Time in seconds.</s>›USER: {WHY} GPT:‹ 5 peaks.</s>›",
    "simple": f"{CURIOUS_HUMAN}###Human: Hi!###Assistant: Hi there! How can I help you today?###Human: {ASKED}###"
    f"Assistant:‹ Time in seconds.###›Human: {WHY}###Assistant:‹ 5 peaks.###›",
    "multimodal": f"{LLAVA}###Human: Hi!###Assistant: Hi there!  How can I help you today?\n###Human: {ASKED}###"
    f"Assistant:‹ Time in seconds.###›Human: {WHY}###Assistant:‹ 5 peaks.###›",
    "llama_2": f"[INST] <<SYS>>\n{LLAMA_2}\n<</SYS>>\n\n{ASKED} [/INST]‹ Time in seconds. </s>›<s>[INST] {WHY} "
    "[/INST]‹ 5 peaks. </s>›",
    "mpt": f"<|im_start|>system\n{MPT}<|im_end|><|im_start|>user\n{ASKED}<|im_end|><|im_start|>assistant\n"
    f"‹Time in seconds.<|im_end|>›<|im_start|>user\n{WHY}<|im_end|><|im_start|>assistant\n‹5 peaks.<|im_end|>›",
}


def marked(text: str, spans: tuple[tuple[int, int], ...]) -> str:
    for start, end in reversed(spans):
        text = f"{text[:start]}‹{text[start:end]}›{text[end:]}"
    return text


@pytest.mark.parametrize("name", TEXTS)
def test_conversation_is_written_and_learned_as_the_original_does(name: str) -> None:
    rendered = TEMPLATES[name].render(CONVERSATION, IN_PLACE)
    assert marked(rendered.text, rendered.targets) == TEXTS[name]


def test_plain_keeps_of_the_question_only_the_image() -> None:
    rendered = TEMPLATES["plain"].render(CAPTION, START_END)
    assert marked(rendered.text, rendered.targets) == "<image>‹A rising curve.\n›"


def test_v1_and_vicuna_v1_1_are_one_format() -> None:
    assert TEMPLATES["v1"].render(CONVERSATION, START_END) == TEMPLATES["vicuna_v1_1"].render(CONVERSATION, START_END)


def test_questions_are_what_the_user_says() -> None:
    for name in TEXTS:
        rendered = TEMPLATES[name].render(CONVERSATION, IN_PLACE)
        assert [rendered.text[start:end] for start, end in rendered.questions] == [ASKED, "And the curve?"]


@pytest.mark.parametrize(
    ("images", "wanted"),
    [
        (IN_PLACE, "USER: What does the axis show?\n<image> ASSISTANT:"),
        (START_END, "USER: What does the axis show?\n<im_start><image><im_end> ASSISTANT:"),
        (FRONT, "USER: <image>\nWhat does the axis show? ASSISTANT:"),
        (ImageFormat("<image>", "conversation_front"), "USER: <image> USER: What does the axis show? ASSISTANT:"),
    ],
)
def test_image_stands_where_the_image_format_says(images: ImageFormat, wanted: str) -> None:
    assert wanted in TEMPLATES["v1"].render(IMAGE_LAST, images).text


def test_image_in_front_of_a_v0_conversation_has_the_separator_after_it() -> None:
    text = TEMPLATES["v0"].render(IMAGE_LAST, ImageFormat("<image>", "conversation_front")).text
    assert "### Human: <image>###Human: What does the axis show?\n### Assistant:" in text


def test_image_in_front_is_refused_where_the_original_s_rule_makes_no_sense() -> None:
    with pytest.raises(TemplateError, match="mpt"):
        TEMPLATES["mpt"].render(IMAGE_LAST, ImageFormat("<image>", "conversation_front"))


@pytest.mark.parametrize(
    ("turns", "kind"),
    [
        ((), "turns_irregular"),
        (CONVERSATION[:1], "turns_irregular"),
        (CONVERSATION[1:3], "turns_irregular"),
        ((Turn("user", "<image><image>"), CONVERSATION[1]), "image_token_misplaced"),
        ((Turn("user", "Look"), Turn("assistant", "<image>")), "image_token_misplaced"),
    ],
)
@pytest.mark.parametrize("name", ["v0", "v1", "plain", "mpt"])
def test_irregular_conversation_is_refused_by_its_kind(name: str, turns: tuple[Turn, ...], kind: str) -> None:
    with pytest.raises(SampleError) as caught:
        TEMPLATES[name].render(turns, IN_PLACE)
    assert caught.value.kind == kind


@pytest.mark.parametrize("turns", [CONVERSATION, (Turn("user", "Describe."), CAPTION[1])])
def test_plain_takes_one_caption_of_one_image(turns: tuple[Turn, ...]) -> None:
    with pytest.raises(SampleError) as caught:
        TEMPLATES["plain"].render(turns, IN_PLACE)
    assert caught.value.kind == "turns_not_a_caption"


def served_text(name: str, turns: tuple[Turn, ...], *, prompt: bool) -> str:
    texts, _ = render_jinja_template(
        conversations=[[message_of(turn) for turn in turns]],
        chat_template=SERVED[name]("<im_start><image><im_end>"),
        add_generation_prompt=prompt,
    )
    return cast(str, texts[0])


@pytest.mark.parametrize("turns", [CONVERSATION, IMAGE_LAST])
@pytest.mark.parametrize("name", SERVED)
def test_training_begins_with_the_tokens_of_the_prompt_that_serving_sends(name: str, turns: tuple[Turn, ...]) -> None:
    tokenizer = llama_tokenizer(V1_ADDED)
    sample = Encoder(tokenizer, TEMPLATES[name], 512, START_END).encode("x", turns, 1)
    for asked in (1, 3):
        served = tokenizer(served_text(name, turns[:asked], prompt=True), add_special_tokens=False)["input_ids"]
        assert sample.input_ids[: len(served)] == served
        following = sample.labels[len(served)]
        assert following == sample.input_ids[len(served)], "the first token of the answer is learned"


@pytest.mark.parametrize("name", ["v1", "llama_2"])
def test_tokenizer_s_chat_template_gives_the_same_sample_as_the_format(name: str) -> None:
    tokenizer = copy.copy(llama_tokenizer(V1_ADDED))
    tokenizer.chat_template = SERVED[name]("<im_start><image><im_end>")
    by_format = Encoder(tokenizer, TEMPLATES[name], 512, START_END).encode("x", CONVERSATION, 3)
    assert Encoder(tokenizer, ChatTemplate(tokenizer), 512).encode("x", CONVERSATION, 3) == by_format


def test_chat_template_that_rewrites_what_it_wrote_is_refused() -> None:
    tokenizer = copy.copy(llama_tokenizer())
    # As templates do that keep the last answer's reasoning only.
    tokenizer.chat_template = "{% for m in messages %}{{ loop.index0 if loop.last else 'old' }}{% endfor %}"
    with pytest.raises(TemplateError, match="changes what it wrote"):
        ChatTemplate(tokenizer).render(CONVERSATION, IN_PLACE)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}", "text and image parts"),
        (
            "{% for m in messages %}{% for p in m['content'] if p['type'] == 'text' %}{{ p['text'] }}{% endfor %}"
            "{% endfor %}",
            "<image> 0 times",
        ),
    ],
)
def test_language_model_s_chat_template_that_shows_no_image_is_refused(template: str, reason: str) -> None:
    tokenizer = copy.copy(llama_tokenizer())
    tokenizer.chat_template = template
    with pytest.raises(TemplateError, match=reason):
        Encoder(tokenizer, ChatTemplate(tokenizer), 512)


def test_tokenizer_without_a_chat_template_is_refused() -> None:
    tokenizer: Any = copy.copy(llama_tokenizer())
    tokenizer.chat_template = None
    with pytest.raises(TemplateError, match="no chat template"):
        ChatTemplate(tokenizer)
