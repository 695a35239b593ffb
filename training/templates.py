"""Conversation formats: renders a conversation into one text, with the stretches of it that are learned.

    v0           SYSTEM, blank line, `### Human: …`, `### Assistant: …`, `### `: what v0 models were trained in
    v1           vicuna_v1_1: `SYSTEM USER: … ASSISTANT: …</s>`
    llava_v1     v1 with LLaVA's own system text
    bair_v1      v1 with other roles
    simple, simple_legacy, multimodal    `SYSTEM###Human: …###Assistant: …###`, with a few-shot pair before
    plain        the image, then its caption: upstream's pretraining
    llama_2      `[INST] <<SYS>> … [/INST] … </s>`, with the system text of LLaVA's Llama-2 models
    mpt, mpt_text, mpt_multimodal, chatml_direct    ChatML as MPT and Yi models have it
    chat         whatever a tokenizer's own chat template makes

The names are those of the original LLaVA-Graph (llava/conversation.py); plain, llama_2 (there: llava_llama_2) and
chatml_direct are those of LLaVA ≥ 1.0. The two projects mean different things by `llava_v1`; here it is the former.
What is learned is what the original's loaders (llava/train/train.py) leave unmasked, expressed in characters: the
answer with the space before it and the mark that ends it; under v0 every `###` as well, and the answer's header.

The first token (<s>) is no part of the text; `begins` says whether the format has one. Nothing here knows tokenizers,
but for `ChatTemplate`, which renders with one's Jinja template. `<image>` in a turn's text marks the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import jinja2

from data.record import IMAGE_TOKEN
from llava_graph.context import Turn
from training.errors import SampleError, TemplateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Span = tuple[int, int]
"""Characters [start, end) of a text."""

Placement = Literal["in_place", "turn_front", "conversation_front"]


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """How a text shows an image.

    `block` stands for `<image>`: `<im_start><image><im_end>` in the original. `placement` is where: "in_place" as the
    data have it (the original); "turn_front" before the rest of its turn, whose white space is stripped (LLaVA ≥ 1.0,
    with `<image>\\n` for a block); "conversation_front" is the original's sep_image_conv_front.
    """

    block: str = IMAGE_TOKEN
    placement: Placement = "in_place"


IN_PLACE = ImageFormat()
START_END = ImageFormat("<im_start><image><im_end>")
"""mm_use_im_start_end, as in all scripts of the original."""
FRONT = ImageFormat("<image>\n", "turn_front")
"""LLaVA 1.5."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as one text. `targets` are learned; `questions` are what the user says, which may be shortened
    where a sample is too long. Both are in order and do not overlap."""

    text: str
    targets: tuple[Span, ...]
    questions: tuple[Span, ...]


class Template(Protocol):
    """A conversation format."""

    @property
    def name(self) -> str: ...

    @property
    def begins(self) -> bool:
        """Whether the tokenizer's first token goes before the text."""
        ...

    @property
    def tokens(self) -> tuple[str, ...]:
        """What the format writes that must be one token each."""
        ...

    def render(self, turns: Sequence[Turn], images: ImageFormat) -> Rendered:
        """Turns begin with the user and alternate. Raises SampleError for a conversation the format has no form for."""
        ...


class _Text:
    """Puts a text together and notes stretches of it."""

    def __init__(self) -> None:
        self.text = ""
        self.targets: list[Span] = []
        self.questions: list[Span] = []

    def add(self, *pieces: str) -> None:
        self.text += "".join(pieces)

    def learn(self, *pieces: str) -> None:
        start = len(self.text)
        self.add(*pieces)
        if self.targets and self.targets[-1][1] == start:
            start = self.targets.pop()[0]
        self.targets.append((start, len(self.text)))

    def ask(self, question: str) -> None:
        start = len(self.text)
        self.add(question)
        self.questions.append((start, len(self.text)))

    def rendered(self) -> Rendered:
        return Rendered(self.text, tuple(self.targets), tuple(self.questions))


@dataclass(frozen=True, slots=True)
class _Format:
    """A format as data. `write` renders turns whose image is already written as its block.

    `after_front` is what sep_image_conv_front puts between image and question; None where the original's rule makes no
    sense. With `bare_image` the image stands alone: no start and end tokens, nothing of the question.
    """

    name: str
    system: str
    roles: tuple[str, str]
    separator: str
    write: Callable[[_Format, Sequence[Turn], _Text], None]
    end: str = ""
    shots: tuple[Turn, ...] = ()
    begins: bool = True
    bare_image: bool = False
    after_front: str | None = None
    tokens: tuple[str, ...] = ()

    def render(self, turns: Sequence[Turn], images: ImageFormat) -> Rendered:
        check_turns(turns)
        if self.bare_image:
            turns = _caption_turns(turns)
        else:
            turns = [replace(turn, text=self._shown(turn.text, i, images)) for i, turn in enumerate(turns)]
        text = _Text()
        self.write(self, turns, text)
        return text.rendered()

    def _shown(self, text: str, turn: int, images: ImageFormat) -> str:
        if IMAGE_TOKEN not in text:
            return text
        if images.placement == "in_place":
            return text.replace(IMAGE_TOKEN, images.block)
        asked = text.replace(IMAGE_TOKEN, "").strip()
        if images.placement == "turn_front":
            return f"{images.block}{asked}"
        if self.after_front is None:
            raise TemplateError(f"the format {self.name} has no form for an image before the conversation")
        if turn != 0:
            raise SampleError("image_token_misplaced")
        return f"{images.block}{self.after_front}{asked}"


def check_turns(turns: Sequence[Turn]) -> None:
    """Raises SampleError for turns that do not alternate from the user on, have no answer, or show more than one image,
    or one in an answer."""
    if not turns or len(turns) % 2 or any(turn.role != ("user", "assistant")[i % 2] for i, turn in enumerate(turns)):
        raise SampleError("turns_irregular")
    shown = [turn.text.count(IMAGE_TOKEN) for turn in turns]
    if sum(shown) > 1 or any(shown[1::2]):
        raise SampleError("image_token_misplaced")


def _caption_turns(turns: Sequence[Turn]) -> Sequence[Turn]:
    if len(turns) != 2 or IMAGE_TOKEN not in turns[0].text:
        raise SampleError("turns_not_a_caption")
    return [replace(turns[0], text=IMAGE_TOKEN), turns[1]]


def _write_v0(form: _Format, turns: Sequence[Turn], text: _Text) -> None:
    # The mask of the original starts two tokens into each question: its "###" is learned, as the end of what was
    # before.
    text.add(form.system, "\n\n")
    for turn in turns:
        if turn.role == "user":
            text.learn("###")
            text.add(f" {form.roles[0]}: ")
            text.ask(turn.text)
            text.add("\n")
        else:
            text.learn(f"### {form.roles[1]}: {turn.text}\n")
    text.learn("### ")


def _write_two(form: _Format, turns: Sequence[Turn], text: _Text) -> None:
    text.add(form.system, form.separator)
    for turn in turns:
        if turn.role == "user":
            text.add(f"{form.roles[0]}: ")
            text.ask(turn.text)
            text.add(form.separator)
        else:
            text.add(f"{form.roles[1]}:")
            text.learn(f" {turn.text}{form.end}")


def _write_single(form: _Format, turns: Sequence[Turn], text: _Text) -> None:
    text.add(form.system, form.separator)
    for turn in form.shots:
        role = form.roles[0] if turn.role == "user" else form.roles[1]
        text.add(f"{role}: {turn.text}{form.separator}")
    for turn in turns:
        if turn.role == "user":
            text.add(f"{form.roles[0]}: ")
            text.ask(turn.text)
            text.add(form.separator)
        else:
            text.add(f"{form.roles[1]}:")
            text.learn(f" {turn.text}{form.separator}")


def _write_plain(form: _Format, turns: Sequence[Turn], text: _Text) -> None:
    text.add(turns[0].text)
    text.learn(turns[1].text, form.separator)


def _write_llama_2(form: _Format, turns: Sequence[Turn], text: _Text) -> None:
    for i, turn in enumerate(turns):
        if turn.role == "user":
            # The first <s> is the tokenizer's own.
            text.add("<s>[INST] " if i else f"[INST] <<SYS>>\n{form.system}\n<</SYS>>\n\n")
            text.ask(turn.text)
            text.add(" [/INST]")
        else:
            text.learn(f" {turn.text} {form.end}")


def _write_chatml(form: _Format, turns: Sequence[Turn], text: _Text) -> None:
    text.add("<|im_start|>system\n", form.system, form.end)
    for turn in turns:
        if turn.role == "user":
            text.add("<|im_start|>user\n")
            text.ask(turn.text)
            text.add(form.end)
        else:
            text.add("<|im_start|>assistant\n")
            text.learn(turn.text, form.end)


_CURIOUS_HUMAN = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_CURIOUS_USER = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
# The three sentences follow one another without a space in the original.
_WAIV = (
    "You are LLaVA, a large language and vision assistant trained by UW Madison WAIV Lab."
    "You are able to understand the visual content that the user provides, and assist the user with a variety of tasks "
    "using natural language."
    "Follow the instructions carefully and explain your answers in detail."
)
_WAIV_TEXT = (
    "You are LLaVA, a large language model trained by UW Madison WAIV Lab."
    "You are designed to assist human with a variety of tasks using natural language."
    "Follow the instructions carefully."
)
_LLAMA_2 = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
_MPT_VISION = (
    "- You are able to understand the visual content that the user provides, and assist the user with a variety of "
    "tasks using natural language.\n"
    "- You should follow the instructions carefully and explain your answers in detail."
)
_MPT_TEXT = (
    "- You are a helpful assistant chatbot trained by MosaicML.\n"
    "- You answer questions.\n"
    "- You are excited to be able to help the user, but will refuse to do anything that could be considered harmful to "
    "the user.\n"
    "- You are more than just an information source, you are also able to write poetry, short stories, and make jokes."
)
_HUMAN = ("Human", "Assistant")
_USER = ("USER", "ASSISTANT")
_HI = Turn("user", "Hi!")
_TWO_SPACES = Turn("assistant", "Hi there!  How can I help you today?\n")


def _chatml(name: str, system: str) -> _Format:
    tokens = ("<|im_start|>", "<|im_end|>")
    return _Format(name, system, _HUMAN, "", _write_chatml, end="<|im_end|>", begins=False, tokens=tokens)


_V1 = _Format("v1", _CURIOUS_USER, _USER, " ", _write_two, end="</s>", after_front=" USER: ", tokens=("</s>",))
_SINGLE = _Format("simple", _CURIOUS_HUMAN, _HUMAN, "###", _write_single, after_front="###Human: ")

TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        form.name: form
        for form in (
            replace(_SINGLE, name="v0", write=_write_v0),
            _V1,
            replace(_V1, name="vicuna_v1_1"),
            replace(_V1, name="llava_v1", system=_WAIV),
            replace(_V1, name="bair_v1", system="BEGINNING OF CONVERSATION:", roles=("USER", "GPT")),
            replace(_SINGLE, shots=(_HI, Turn("assistant", "Hi there! How can I help you today?"))),
            replace(
                _SINGLE,
                name="simple_legacy",
                system=_WAIV_TEXT,
                shots=(Turn("user", "Hi!\n\n### Response:"), _TWO_SPACES),
            ),
            replace(_SINGLE, name="multimodal", system=_WAIV, shots=(_HI, _TWO_SPACES)),
            _Format("plain", "", ("", ""), "\n", _write_plain, bare_image=True),
            _Format("llama_2", _LLAMA_2, _USER, "", _write_llama_2, end="</s>", tokens=("<s>", "</s>")),
            _chatml("mpt", f"- You are a helpful language and vision assistant.\n{_MPT_VISION}"),
            _chatml("mpt_text", _MPT_TEXT),
            _chatml(
                "mpt_multimodal",
                "- You are LLaVA, a large language and vision assistant trained by UW Madison WAIV Lab.\n"
                + _MPT_VISION,
            ),
            _chatml("chatml_direct", "Answer the questions."),
        )
    }
)
"""The formats by name."""


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The format of a tokenizer's own chat template, so that any model is trained in what it is served in.

    Learned is what an answer adds to the prompt that asks for it. The template writes the image its own way: `images`
    is not asked.
    """

    tokenizer: PreTrainedTokenizerBase
    name: str = "chat"
    begins: bool = False
    tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises TemplateError where the tokenizer has no chat template."""
        if not self.tokenizer.chat_template:
            raise TemplateError("the tokenizer has no chat template; name a format instead")

    def render(self, turns: Sequence[Turn], images: ImageFormat) -> Rendered:  # noqa: ARG002 - the protocol's
        """Raises TemplateError where the text of a conversation does not begin with the prompt that asks for its
        answer: what is learned could not be told from what is given."""
        check_turns(turns)
        messages = [message_of(turn) for turn in turns]
        targets: list[Span] = []
        questions: list[Span] = []
        text = ""
        for end in range(1, len(turns), 2):
            prompt = self._text(messages[:end], prompt=True)
            longer = self._text(messages[: end + 1], prompt=False)
            if not prompt.startswith(text) or not longer.startswith(prompt):
                raise TemplateError("the chat template changes what it wrote when a conversation goes on")
            questions += _found(prompt, len(text), turns[end - 1].text)
            targets.append((len(prompt), len(longer)))
            text = longer
        return Rendered(text, tuple(targets), tuple(questions))

    def _text(self, messages: Sequence[Mapping[str, Any]], *, prompt: bool) -> str:
        try:
            text = self.tokenizer.apply_chat_template(
                cast(Any, list(messages)), tokenize=False, add_generation_prompt=prompt
            )
        except (jinja2.TemplateError, TypeError) as error:
            raise TemplateError(f"the chat template cannot write a message of text and image parts: {error}") from error
        assert isinstance(text, str)
        return text


def message_of(turn: Turn) -> dict[str, Any]:
    """The turn as a chat message: parts of text and an image part for each `<image>`."""
    content: list[dict[str, str]] = []
    for i, text in enumerate(turn.text.split(IMAGE_TOKEN)):
        if i:
            content.append({"type": "image"})
        if text:
            content.append({"type": "text", "text": text})
    return {"role": turn.role, "content": content}


def _found(text: str, start: int, question: str) -> list[Span]:
    """Where the parts of a question stand in the text from `start` on; a part that the template changed is left out."""
    spans = []
    for part in question.split(IMAGE_TOKEN):
        place = text.find(part, start) if part else -1
        if place >= 0:
            start = place + len(part)
            spans.append((place, start))
    return spans
