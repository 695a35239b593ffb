"""POST /v1/figures/{id}/chat: the next answer in a conversation about a figure that is kept.

The conversation is the client's: each call brings all of it. Image and context stand in its first turn and stay the
same, so an engine with prefix and image caches computes only what is new.
"""

# No `from __future__ import annotations` here: FastAPI reads the bounds in these annotations, and they are not global.

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response
from starlette.types import Message as AsgiMessage

from llava_graph.context import Turn
from llava_graph.manifest import ModelManifest
from service.callers import caller_of
from service.engine import MAX_SEED
from service.errors import (
    BodyMalformed,
    BodyTooLarge,
    BodyTypeUnsupported,
    ConversationTooLong,
    FieldsInvalid,
    FiguresUnavailable,
    FigureUnknown,
    MessagesInvalid,
)
from service.events import ContextParts
from service.explain import Ask, Explainer, OcrWish, Told
from service.openapi import answer_responses, problems
from service.record import record_of
from service.routes.answers import ANSWER_ERRORS, SEED, TOP_P, respond
from service.routes.figures import StoredId
from service.settings import GatewaySettings


class Message(BaseModel):
    role: Literal["user", "assistant"]
    content: str


_CONVERSATION = [
    {"role": "user", "content": "Explain this figure."},
    {"role": "assistant", "content": "The figure shows accuracy over training steps."},
    {"role": "user", "content": "Which run is best?"},
]

_RESPONSES = answer_responses() | problems(
    BodyMalformed,
    BodyTypeUnsupported,
    FieldsInvalid,
    MessagesInvalid,
    ConversationTooLong,
    FigureUnknown,
    FiguresUnavailable,
    *ANSWER_ERRORS,
)


def chat_router(explainer: Explainer, manifest: ModelManifest, settings: GatewaySettings) -> APIRouter:
    router = APIRouter(tags=["figures"], route_class=_bounded_route(settings.max_chat_bytes))

    class ChatRequest(BaseModel):
        messages: list[Message] = Field(
            description="The conversation so far: the user's and the assistant's messages in turns, the first and the "
            "last the user's. Send earlier answers back as they came: then the engine need not read them again",
            examples=[_CONVERSATION],
            json_schema_extra={"minItems": 1, "maxItems": settings.max_messages},
        )
        context: ContextParts = Field("both", description="What the model is told besides the image")
        ocr: OcrWish = Field("auto", description="Whether the model is given the text in the figure")
        max_tokens: int | None = Field(None, ge=1, le=manifest.max_new_tokens, description="Longest answer")
        temperature: float | None = Field(None, ge=0, le=2, description="0 is greedy; default: the model's")
        top_p: float | None = Field(None, gt=0, le=1, description=TOP_P)
        seed: int | None = Field(None, ge=0, le=MAX_SEED, description=SEED)
        stream: bool = Field(True, description="Events as they come, or one JSON object at the end")

    @router.post(
        "/v1/figures/{id}/chat",
        summary="Talk about a figure",
        operation_id="chat",
        responses=_RESPONSES,
        response_class=JSONResponse,
        dependencies=[Depends(_json)],
    )
    async def chat(request: Request, stored_id: StoredId, asked: ChatRequest) -> Response:
        """Answers the last message of a conversation about a figure that is kept. The image is not sent again."""
        ask = Ask(
            _turns(asked.messages, settings),
            asked.max_tokens,
            asked.temperature,
            top_p=asked.top_p,
            seed=asked.seed,
        )
        record = record_of(request.scope)
        record.facts["stored_id"] = stored_id
        told, scope = Told(asked.context, asked.ocr), caller_of(request.scope).scope
        parts = explainer.explain([await explainer.stored(stored_id, told, scope=scope)], ask, record)
        return await respond(parts, stream=asked.stream, record=record, settings=settings)

    return router


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


async def _json(request: Request) -> None:
    """FastAPI takes another kind of body for a wrong value."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise BodyTypeUnsupported(f"Send application/json, not {content_type or 'a body without a content type'}.")


def _bounded_route(max_bytes: int) -> type[APIRoute]:
    """Routes whose bodies are parsed in one piece, and may therefore not be as large as an image."""

    class BoundedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def bounded(request: Request) -> Response:
                received = 0

                async def receive() -> AsgiMessage:
                    nonlocal received
                    message = await request.receive()
                    received += len(message.get("body", b""))
                    if received > max_bytes:
                        raise BodyTooLarge(f"The body has more than {max_bytes} bytes.")
                    return message

                return await handle(Request(request.scope, receive))

            return bounded

    return BoundedRoute
