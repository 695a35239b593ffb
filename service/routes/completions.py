"""POST /v1/chat/completions and GET /v1/models: OpenAI's interface, for the clients there are.

Images come in the messages themselves, so a conversation brings them again with each call; what is the same file again
is not decoded again (service/figures.py). What the interface has no words for travels in the field `figure`.
"""

# No `from __future__ import annotations` here: FastAPI reads the types below.

import time
import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import JSONResponse, Response

from llava_graph.figure import FigureError
from llava_graph.manifest import ModelManifest
from service.bodies import BodyRoom
from service.errors import (
    BodyMalformed,
    BodyTypeUnsupported,
    CaptionTooLong,
    ConversationTooLong,
    FieldsInvalid,
    FieldUnsupported,
    FigureRefused,
    ImageUrlFailed,
    ImageUrlNotAllowed,
    MessagesInvalid,
    ModelUnknown,
    RequestError,
    TooManyFigures,
    fields_invalid,
)
from service.explain import Explainer, Stopwatch, Subject
from service.openai.answer import Chunks, Head, completion
from service.openai.request import Asked, ChatCompletionRequest, Picture, conversation_of
from service.openapi import completion_responses, openai_problems, reference
from service.record import record_of
from service.remote import RemoteImages
from service.routes.answers import ANSWER_ERRORS
from service.settings import GatewaySettings
from service.sse import EventStream
from service.together import together


class Model(BaseModel):
    """The model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Seconds since 1970 at which this gateway began to serve it")
    owned_by: str = "llava-graph"
    revision: str
    context_length: int = Field(description="Tokens of images, prompt and answer together")
    max_tokens: int = Field(description="Longest answer")
    max_images: int = Field(description="Images in one conversation")


ModelId = Annotated[str, Path(alias="id", description="The `id` in /v1/models")]


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


def completions_router(
    explainer: Explainer, remote: RemoteImages, manifest: ModelManifest, settings: GatewaySettings
) -> APIRouter:
    router = APIRouter(tags=["openai"])
    room = BodyRoom(settings.completion_bodies_bytes, settings.max_completion_values)
    of_this_model = {
        "model": {"const": manifest.name},
        **{name: {"maximum": manifest.max_new_tokens} for name in ("max_tokens", "max_completion_tokens")},
    }
    body = {**reference("schemas", ChatCompletionRequest.__name__), "properties": of_this_model}
    model = Model(
        id=manifest.name,
        created=int(time.time()),
        revision=manifest.revision,
        context_length=manifest.context_length,
        max_tokens=manifest.max_new_tokens,
        max_images=manifest.max_images,
    )

    @router.post(
        "/v1/chat/completions",
        summary="Answer as OpenAI's chat completions do",
        response_class=JSONResponse,
        operation_id="complete",
        responses=completion_responses()
        | openai_problems(
            BodyMalformed,
            BodyTypeUnsupported,
            FieldsInvalid,
            FieldUnsupported,
            ModelUnknown,
            CaptionTooLong,
            MessagesInvalid,
            ConversationTooLong,
            TooManyFigures,
            ImageUrlNotAllowed,
            ImageUrlFailed,
            FigureRefused,
            *ANSWER_ERRORS,
        ),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": body}},
            }
        },
    )
    async def complete(request: Request) -> Response:
        """Answers the last message of a conversation, which may show figures, or none.

        The caption of a figure, and what the model is told of it, are in `figure`, and so is what is known of the
        answer: the text that was read, and what of the answer stands on it."""
        record = record_of(request.scope)
        subjects, asked = await read(request)
        parts = explainer.explain(subjects, asked.ask, record)
        del subjects  # they hold the images, and answers take long
        head = Head(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), manifest.name, manifest.revision)
        record.facts["completion_id"] = head.id
        if not asked.stream:
            return JSONResponse((await completion(parts, head)).model_dump())
        # The first part before the status: what fails until then gets a status of its own.
        first = await anext(parts)
        wire = Chunks(head, include_usage=asked.include_usage)
        return EventStream(
            first, parts, record, keepalive_s=settings.keepalive_s, write_s=settings.client_write_s, wire=wire
        )

    async def read(request: Request) -> tuple[list[Subject], Asked]:
        """The figures that a request shows, at hand, and what it asks about them. Raises what refuses it."""
        async with room.json_of(request) as said:
            clock = Stopwatch()
            conversation = conversation_of(_checked(said, settings), manifest, settings)
            subjects = await together(opened(picture, clock) for picture in conversation.pictures)
            return subjects, conversation.asked

    async def opened(picture: Picture, clock: Stopwatch) -> Subject:
        try:
            image = _base64_of(picture.url) if picture.url.startswith("data:") else await remote.fetch(picture.url)
            return await explainer.opened(image, picture.caption, picture.told, turn=picture.turn, clock=clock)
        except RequestError as error:
            raise error.at(picture.param) from error.__cause__

    @router.get("/v1/models", summary="The models that are served", operation_id="models", responses=openai_problems())
    async def models() -> ModelList:
        """One: a gateway serves one model."""
        return ModelList(data=[model])

    @router.get(
        "/v1/models/{id}",
        summary="A model that is served",
        operation_id="model",
        responses=openai_problems(ModelUnknown),
    )
    async def one_model(model_id: ModelId) -> Model:
        if model_id != model.id:
            raise ModelUnknown(f"There is no model {model_id[:100]!r} here; it is {model.id!r}.").at("model")
        return model

    return router


def _checked(said: object, settings: GatewaySettings) -> ChatCompletionRequest:
    """Raises FieldsInvalid, or ConversationTooLong before it looks at each of the messages."""
    messages = said.get("messages") if isinstance(said, dict) else None
    if isinstance(messages, list) and len(messages) > settings.max_messages:
        words = f"{len(messages)} messages; at most {settings.max_messages} are accepted."
        raise ConversationTooLong(words).at("messages")
    try:
        return ChatCompletionRequest.model_validate(said)
    except ValidationError as error:
        raise fields_invalid(error.errors(include_url=False, include_context=False, include_input=False)) from error


def _base64_of(url: str) -> str:
    """The base64 of a data: URL. What type it says that it has is not asked: the image itself tells. Raises
    FigureRefused."""
    head, comma, encoded = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise FigureRefused(FigureError("image_undecodable", "The data: URL of the image is not base64."))
    return encoded
