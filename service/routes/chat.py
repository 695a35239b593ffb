"""POST /v1/figures/{id}/chat: the next answer in a conversation about a figure that is kept.

The conversation is the client's: each call brings all of it. Image and context stand in its first turn and stay the
same, so an engine with prefix and image caches computes only what is new.
"""

# No `from __future__ import annotations` here: FastAPI reads the types below.

from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from llava_graph.context import Turn
from llava_graph.context_parts import ContextParts
from service.content_type import content_type_is
from service.errors import (
    BodyMalformed,
    BodyTypeUnsupported,
    ConversationTooLong,
    FieldsInvalid,
    FiguresUnavailable,
    FigureUnknown,
    MessagesInvalid,
    ModelUnknown,
)
from service.explain import ContextChoice
from service.gateway import GatewayParts
from service.generation import (
    ContextField,
    GenerationRequest,
    MaxTokens,
    ModelField,
    OcrField,
    Seed,
    StreamField,
    Temperature,
    TopP,
    max_tokens_of,
)
from service.middleware.callers import caller_of
from service.middleware.request_context import record_of
from service.routes.answers import ANSWER_ERRORS, respond
from service.routes.figures import StoredId
from service.routes.json_bodies import Utf8Route
from service.schema.description import answer_responses, problems
from service.settings import GatewaySettings

router = APIRouter(tags=["figures"], route_class=Utf8Route)


class Message(BaseModel):
    role: Literal["user", "assistant"]
    content: str


_CONVERSATION = [
    {"role": "user", "content": "Explain this figure."},
    {"role": "assistant", "content": "The figure shows accuracy over training steps."},
    {"role": "user", "content": "Which run is best?"},
]


class ChatRequest(BaseModel):
    messages: list[Message] = Field(
        description="The conversation so far: the user's and the assistant's messages in turns, the first and the "
        "last the user's. Send earlier answers back as they came: then the engine need not read them again",
        examples=[_CONVERSATION],
        json_schema_extra={"minItems": 1},
    )
    model: ModelField = None
    context: ContextField = "all"
    ocr: OcrField = "auto"
    max_tokens: MaxTokens = None
    temperature: Temperature = None
    top_p: TopP = None
    seed: Seed = None
    stream: StreamField = True


_RESPONSES = answer_responses() | problems(
    BodyMalformed,
    BodyTypeUnsupported,
    FieldsInvalid,
    ModelUnknown,
    MessagesInvalid,
    ConversationTooLong,
    FigureUnknown,
    FiguresUnavailable,
    *ANSWER_ERRORS,
)


@router.post(
    "/v1/figures/{id}/chat",
    summary="Talk about a figure",
    operation_id="chat",
    responses=_RESPONSES,
    response_class=JSONResponse,
    dependencies=[Depends(content_type_is("application/json"))],
)
async def chat(request: Request, gateway: GatewayParts, stored_id: StoredId, asked: ChatRequest) -> Response:
    """Answers the last message of a conversation about a figure that is kept. The image is not sent again."""
    model = gateway.models.named(asked.model)
    generation = GenerationRequest(
        _turns(asked.messages, gateway.settings),
        max_tokens_of(asked.max_tokens, model.manifest),
        asked.temperature,
        asked.top_p,
        asked.seed,
    )
    record = record_of(request.scope)
    record.facts["stored_id"] = stored_id
    told, scope = ContextChoice(ContextParts.parse(asked.context), asked.ocr), caller_of(request.scope).scope
    subject = await gateway.explainer.stored(stored_id, told, scope=scope)
    parts = gateway.explainer.explain(model, [subject], generation, record)
    del subject  # it holds the image, and answers take long
    return await respond(parts, request, gateway.settings, stream=asked.stream)


def _turns(messages: Sequence[Message], settings: GatewaySettings) -> list[Turn]:
    """Raises ConversationTooLong, or MessagesInvalid for what is no conversation that waits for an answer."""
    if len(messages) > settings.max_messages:
        raise ConversationTooLong(f"{len(messages)} messages; at most {settings.max_messages} are accepted.")
    chars = sum(len(message.content) for message in messages)
    if chars > settings.max_conversation_chars:
        raise ConversationTooLong(f"{chars} characters; at most {settings.max_conversation_chars} are accepted.")
    if len(messages) % 2 == 0:
        raise MessagesInvalid(f"There are {len(messages)} messages; the first and the last must be the user's.")
    for i, message in enumerate(messages):
        expected = ("user", "assistant")[i % 2]
        if message.role != expected:
            raise MessagesInvalid(f"messages.{i} is the {message.role}'s, and should be the {expected}'s.")
        if message.role == "user" and not message.content.strip():
            raise MessagesInvalid(f"messages.{i} is empty; only answers may be.")
    return [Turn(message.role, message.content) for message in messages]
