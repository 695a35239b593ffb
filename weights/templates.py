"""The original's conversation formats as chat templates (Jinja, for transformers and vLLM).

    v0       the format that v0 models were trained in: SYSTEM, blank line, `### Human: …`, `### Assistant: …`
    v1       vicuna_v1_1: SYSTEM USER: … ASSISTANT: …</s>
    llama_2  <s>[INST] <<SYS>>…<</SYS>> … [/INST] … </s>

Where an image stands in a turn, its block is written: the template keeps the order of the message's parts. The first
token <s> is part of the template, since engines tokenise its result without adding special tokens. v0 answers end with
`###`, which no token stands for: a request must name it as a stop text.

The loop over a message's parts is written out each time: vLLM looks for it to learn that images may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

_SYSTEM_V0 = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_SYSTEM_V1 = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
_SYSTEM_LLAMA_2 = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)


def _content(image: str) -> str:
    return (
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        "{% for part in message['content'] %}"
        "{% if part['type'] in ('image', 'image_url') %}{{ '" + image + "' }}"
        "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endif %}"
    )


def _beginning(system: str) -> str:
    """Sets `system` and `turns`: a system message of the request takes the place of the format's own."""
    return (
        "{% if messages and messages[0]['role'] == 'system' %}"
        "{% set turns = messages[1:] %}"
        "{% set system = messages[0]['content'] if messages[0]['content'] is string "
        "else messages[0]['content'] | map(attribute='text') | join %}"
        "{% else %}{% set turns = messages %}{% set system = " + repr(system) + " %}{% endif %}"
    )


def _v0(image: str) -> str:
    return (
        _beginning(_SYSTEM_V0) + "{{ '<s>' + system + '\\n\\n' }}{% for message in turns %}"
        "{{ '### Human: ' if message['role'] == 'user' else '### Assistant: ' }}" + _content(image) + "{{ '\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '### Assistant:' }}{% endif %}"
    )


def _v1(image: str) -> str:
    return (
        _beginning(_SYSTEM_V1) + "{{ '<s>' + system + ' ' }}{% for message in turns %}"
        "{{ 'USER: ' if message['role'] == 'user' else 'ASSISTANT: ' }}" + _content(image) + ""
        "{{ ' ' if message['role'] == 'user' else '</s>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    )


def _llama_2(image: str) -> str:
    return (
        _beginning(_SYSTEM_LLAMA_2) + "{% for message in turns %}{% if message['role'] == 'user' %}"
        "{{ '<s>[INST] ' }}{% if loop.first %}{{ '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' }}{% endif %}"
        + _content(image)
        + "{{ ' [/INST]' }}{% else %}{{ ' ' }}"
        + _content(image)
        + "{{ ' </s>' }}{% endif %}{% endfor %}"
    )


TEMPLATES: MappingProxyType[str, Callable[[str], str]] = MappingProxyType({"v0": _v0, "v1": _v1, "llama_2": _llama_2})
"""Name of the format to the function that gives its template, with `image` (the block of one image) written in."""
