"""The chat completion request: its body, and the conversation with figures that it is turned into.

    messages    of system, developer, user and assistant, with texts and images
    → turns     of user and assistant, the first and the last the user's
    + pictures  in their order, each with the turn that shows it, its caption, and what the model is told of it

Instructions (of system and developer) go before the question of the turn that follows them: not every model knows a
third side, and the chat template of llava-graph-tiny would take it for the assistant. Messages of the same side that
follow each other are one turn.

What would change the answer and cannot be done is refused; what changes nothing is accepted and ignored. This module
opens no image and fetches none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from llava_graph.context import DEFAULT_QUESTION, Role, Turn
from llava_graph.context_parts import ContextParts
from llava_graph.manifest import ModelManifest
from service.errors import (
    CaptionTooLong,
    ConversationTooLong,
    FieldProblem,
    FieldsInvalid,
    FieldUnsupported,
    MessagesInvalid,
    TooManyFigures,
)
from service.explain import ContextChoice
from service.generation import (
    ContextField,
    GenerationRequest,
    MaxTokens,
    OcrField,
    Seed,
    Temperature,
    TopP,
    max_tokens_of,
)
from service.settings import GatewaySettings

MAX_STOPS = 4
"""As OpenAI has it."""
MAX_STOP_CHARS = 256
MAX_PARTS = 64
"""Parts of one message: a text or an image each."""

# Fields that change nothing of an answer, whatever stands in them. `name` tells speakers of one side apart, which no
# template of ours does; `annotations` come back to us in earlier answers.
_IGNORED = frozenset(
    [
        "annotations",
        "metadata",
        "name",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "user",
    ]
)
# What asks for nothing but what is done anyway, beside null, false, 0 and what is empty.
_NO_WISH: Mapping[str, Sequence[object]] = {
    "function_call": ("auto", "none"),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto", "none"),
    "verbosity": ("medium",),
}


class _Open(BaseModel):
    """A model that keeps the fields it does not know, so that they can be refused in words of their own."""

    model_config = ConfigDict(extra="allow")


class TextPart(_Open):
    type: Literal["text"]
    text: str


class ImageUrl(BaseModel):
    url: str = Field(description="The image as a data: URL in base64; https: from the hosts that the operator listed")
    detail: str | None = Field(None, description="Ignored: a figure is always seen as the model sees best")


class ImagePart(_Open):
    type: Literal["image_url"]
    image_url: ImageUrl


def _kind_of_part(part: object) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
    return {"text": "@text", "image_url": "@image"}.get(kind) if isinstance(kind, str) else None


def _one_or_list(value: object) -> str:
    return "@list" if isinstance(value, list) else "@one"


_Stop = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARS)]

# Tags begin with @ so that the path of a wrong field can do without them: they stand in no request.
ContentPart = Annotated[
    Annotated[TextPart, Tag("@text")] | Annotated[ImagePart, Tag("@image")],
    Discriminator(
        _kind_of_part,
        custom_error_type="part_unsupported",
        custom_error_message="Parts of type text and image_url are known here",
    ),
]


class ChatMessage(_Open):
    role: Literal["system", "developer", "user", "assistant"]
    content: (
        Annotated[
            Annotated[str, Tag("@one")] | Annotated[list[ContentPart], Field(max_length=MAX_PARTS), Tag("@list")],
            Discriminator(_one_or_list),
        ]
        | None
    ) = Field(None, description="A text, or texts and images in parts; images are the user's")


class FigureOptions(BaseModel):
    """What goes with an image."""

    model_config = ConfigDict(extra="forbid")

    caption: str = Field("", description="The figure's caption")
    ocr: OcrField = "auto"
    context: ContextField = "all"


class StreamOptions(BaseModel):
    include_usage: bool | None = Field(None, description="Whether a last chunk, without choices, tells the tokens")


_CONVERSATION = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Explain this figure."},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo…"}},
        ],
    },
]


class ChatCompletionRequest(_Open):
    """OpenAI's own fields, and `figure`. Those that would change the answer and are not listed are refused."""

    model: str = Field(description="One of the models in /v1/models")
    messages: list[ChatMessage] = Field(
        description="The conversation so far, the last message the user's",
        examples=[_CONVERSATION],
        json_schema_extra={"minItems": 1},
    )
    figure: (
        Annotated[
            Annotated[FigureOptions, Tag("@one")]
            | Annotated[list[FigureOptions], Field(max_length=MAX_PARTS), Tag("@list")],
            Discriminator(_one_or_list),
        ]
        | None
    ) = Field(None, description="Our own field: captions and wishes, one for each image, in the order of the images")
    max_completion_tokens: MaxTokens = None
    max_tokens: MaxTokens = Field(None, description="The same under its older name")
    temperature: Temperature = None
    top_p: TopP = None
    seed: Seed = None
    stop: (
        Annotated[
            Annotated[_Stop, Tag("@one")] | Annotated[list[_Stop], Field(max_length=MAX_STOPS), Tag("@list")],
            Discriminator(_one_or_list),
        ]
        | None
    ) = Field(None, description="The answer ends before the first of these")
    n: Literal[1] | None = Field(None, description="One answer is made")
    stream: bool | None = Field(None, description="Chunks as they come, or one JSON object at the end")
    stream_options: StreamOptions | None = None


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image that a conversation shows: where it is, and what goes with it."""

    url: str
    turn: int
    caption: str
    told: ContextChoice
    param: str
    """Where it stands in the request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked about the pictures, and how the answer is to come."""

    generation: GenerationRequest
    stream: bool
    include_usage: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    asked: Asked
    pictures: Sequence[ImageReference]


def conversation_of(request: ChatCompletionRequest, manifest: ModelManifest, settings: GatewaySettings) -> Conversation:
    """What is asked of the model with this manifest. Raises the RequestErrors of what cannot be answered."""
    _refuse_wishes(request)
    max_tokens = _max_tokens(request, manifest)
    _refuse_length(request.messages, settings)
    drafts = _drafts(request.messages)
    shown = [(turn, *place) for turn, draft in enumerate(drafts) for place in draft.images]
    if len(shown) > manifest.max_images:
        words = f"There are {len(shown)} images; the model takes {manifest.max_images} in a conversation."
        raise TooManyFigures(words).at("messages")
    wishes = _figure_wishes(request, len(shown), settings)
    pictures = [
        ImageReference(
            image.image_url.url, turn, wish.caption, ContextChoice(ContextParts.parse(wish.context), wish.ocr), param
        )
        for (turn, param, image), wish in zip(shown, wishes, strict=True)
    ]
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    generation = GenerationRequest(
        [Turn(draft.role, draft.text) for draft in drafts],
        max_tokens,
        request.temperature,
        request.top_p,
        request.seed,
        tuple(stop),
    )
    include_usage = request.stream_options is not None and request.stream_options.include_usage is True
    return Conversation(Asked(generation, request.stream is True, include_usage), pictures)


def _refuse_wishes(request: ChatCompletionRequest) -> None:
    """Raises FieldUnsupported for a wish among the fields that are not known here."""
    _refuse_unknown(request.model_extra, "")
    for i, message in enumerate(request.messages):
        where = f"messages.{i}."
        _refuse_unknown(message.model_extra, where)
        for j, part in enumerate(_parts(message)):
            _refuse_unknown(part.model_extra, f"{where}content.{j}.")


def _refuse_unknown(fields: Mapping[str, Any] | None, where: str) -> None:
    for name, value in (fields or {}).items():
        if not value or name in _IGNORED or value in _NO_WISH.get(name, ()):
            continue
        raise FieldUnsupported(f"{where}{name[:100]} is not supported here.").at(where + name[:100])


def _max_tokens(request: ChatCompletionRequest, manifest: ModelManifest) -> int | None:
    given = (
        max_tokens_of(request.max_completion_tokens, manifest, field="max_completion_tokens"),
        max_tokens_of(request.max_tokens, manifest),
    )
    return min((value for value in given if value is not None), default=None)


def _refuse_length(messages: Sequence[ChatMessage], settings: GatewaySettings) -> None:
    chars = sum(len(text) for message in messages for text in _texts(message))
    if chars > settings.max_conversation_chars:
        words = f"{chars} characters; at most {settings.max_conversation_chars} are accepted."
        raise ConversationTooLong(words).at("messages")


@dataclass(slots=True)
class _Draft:
    """A turn while its messages are gathered. `images` are those of its parts, each with its place in the request."""

    role: Role
    instructions: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    images: list[tuple[str, ImagePart]] = field(default_factory=list)

    @property
    def text(self) -> str:
        said = "\n".join(self.texts)
        if self.images and not said.strip():
            said = DEFAULT_QUESTION
        return "\n".join([*self.instructions, said])


def _drafts(messages: Sequence[ChatMessage]) -> list[_Draft]:
    """The turns. Raises MessagesInvalid for what is no conversation that waits for an answer."""
    drafts: list[_Draft] = []
    instructions: list[str] = []  # for the turn of the user that follows them
    for i, message in enumerate(messages):
        images = [
            (f"messages.{i}.content.{j}.image_url", part)
            for j, part in enumerate(_parts(message))
            if isinstance(part, ImagePart)
        ]
        if images and message.role != "user":
            raise _invalid(i, f"An image of the {message.role}; only the user shows images.")
        if message.role in ("system", "developer"):
            instructions += _texts(message)
            continue
        role: Role = "user" if message.role == "user" else "assistant"
        if not drafts and role != "user":
            raise _invalid(i, "The assistant speaks first; the user should.")
        if role == "user" and not images and not any(text.strip() for text in _texts(message)):
            raise _invalid(i, "Neither a text nor an image; only answers may be empty.")
        if not drafts or drafts[-1].role != role:
            drafts.append(_Draft(role))
        draft = drafts[-1]
        draft.texts += _texts(message)
        draft.images += images
        if role == "user":
            draft.instructions += instructions
            instructions = []
    if not messages:
        raise MessagesInvalid("There are no messages.").at("messages")
    if messages[-1].role != "user":
        raise _invalid(len(messages) - 1, "The last message must be the user's.")
    return drafts


def _invalid(index: int, words: str) -> MessagesInvalid:
    return MessagesInvalid(f"messages.{index}: {words}").at(f"messages.{index}")


def _parts(message: ChatMessage) -> Sequence[TextPart | ImagePart]:
    return message.content if isinstance(message.content, list) else ()


def _texts(message: ChatMessage) -> list[str]:
    if isinstance(message.content, str):
        return [message.content]
    return [part.text for part in _parts(message) if isinstance(part, TextPart)]


def _figure_wishes(request: ChatCompletionRequest, images: int, settings: GatewaySettings) -> Sequence[FigureOptions]:
    """One for each image."""
    if request.figure is None:
        return [FigureOptions.model_validate({})] * images
    wishes = request.figure if isinstance(request.figure, list) else [request.figure]
    if len(wishes) != images:
        words = f"{len(wishes)} given, and {images} images in the messages"
        raise FieldsInvalid(f"figure: {words}.", [FieldProblem(field="figure", message=words)])
    for wish in wishes:
        if len(wish.caption) > settings.max_caption_chars:
            words = f"{len(wish.caption)} characters; at most {settings.max_caption_chars} are accepted."
            raise CaptionTooLong(words).at("figure")
    return wishes
