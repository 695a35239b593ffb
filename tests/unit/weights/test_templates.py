"""The chat templates, rendered by transformers' own Jinja, against the formats as the original writes them."""

from __future__ import annotations

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from weights.templates import TEMPLATES

V0 = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
V1 = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
LLAMA_2 = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
FIRST = {
    "role": "user",
    "content": [{"type": "text", "text": "Look: "}, {"type": "image_url", "image_url": {"url": "x"}}],
}
MESSAGES = [FIRST, {"role": "assistant", "content": "A curve."}, {"role": "user", "content": "Why?"}]


def rendered(name: str, messages: list[dict[str, object]], *, generate: bool = True) -> str:
    texts, _ = render_jinja_template(
        conversations=[messages], chat_template=TEMPLATES[name]("<IMG>"), add_generation_prompt=generate
    )
    text: str = texts[0]
    return text


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("v0", f"<s>{V0}\n\n### Human: Look: <IMG>\n### Assistant: A curve.\n### Human: Why?\n### Assistant:"),
        ("v1", f"<s>{V1} USER: Look: <IMG> ASSISTANT: A curve.</s>USER: Why? ASSISTANT:"),
        (
            "llama_2",
            f"<s>[INST] <<SYS>>\n{LLAMA_2}\n<</SYS>>\n\nLook: <IMG> [/INST] A curve. </s><s>[INST] Why? [/INST]",
        ),
    ],
)
def test_conversation_is_rendered_as_the_original_does(name: str, wanted: str) -> None:
    assert rendered(name, MESSAGES) == wanted


@pytest.mark.parametrize("name", TEMPLATES)
def test_system_message_of_a_request_takes_the_place_of_the_format_s_own(name: str) -> None:
    plain, parts = "Be brief.", [{"type": "text", "text": "Be brief."}]
    for content in (plain, parts):
        text = rendered(name, [{"role": "system", "content": content}, FIRST])
        assert "Be brief." in text
        assert "curious" not in text
        assert "helpful language" not in text
