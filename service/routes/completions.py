"""POST /v1/chat/completions and GET /v1/models: OpenAI's interface, for the clients there are.

Images come in the messages themselves, so a conversation brings them again with each call; what is the same file again
is not decoded again (service/figures/decode.py). What the interface has no words for travels in the field `figure`.
"""

# No `from __future__ import annotations` here: FastAPI reads the types below.

import time
import uuid
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import JSONResponse, Response

from llava_graph.figure import FigureError
from service.engine.models import ServedModel
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
from service.explain import RequestedFigure, Stopwatch
from service.gateway import Gateway, GatewayParts
from service.gather_all import gather_all
from service.middleware.request_context import record_of
from service.openai.answer import Chunks, Head, completion_of
from service.openai.request import Asked, ChatCompletionRequest, ImageReference, conversation_of
from service.routes.answers import ANSWER_ERRORS, respond
from service.schema.description import completion_responses, openai_problems, reference
from service.settings import GatewaySettings


class Model(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Seconds since 1970 at which this gateway began to serve it")
    owned_by: str = "llava-graph"
    revision: str
    context_length: int = Field(description="Tokens of images, prompt and answer together")
    max_tokens: int = Field(description="Longest answer")
    max_images: int = Field(description="Images in one conversation")
    engines: list[str] = Field(
        description="What its engines say that they are, each once; empty where they say nothing",
        examples=[["vllm 0.32.0"]],
    )


ModelId = Annotated[str, Path(alias="id", description="The `id` in /v1/models")]


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


router = APIRouter(tags=["openai"])


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
            "content": {"application/json": {"schema": reference("schemas", ChatCompletionRequest.__name__)}},
        }
    },
)
async def complete(request: Request, gateway: GatewayParts) -> Response:
    """Answers the last message of a conversation, which may show figures, or none.

    The caption of a figure, and what the model is told of it, are in `figure`, and so is what is known of the
    answer: the text that was read, and what of the answer stands on it."""
    record = record_of(request.scope)
    model, subjects, asked = await _read(request, gateway)
    parts = gateway.explainer.explain(model, subjects, asked.generation, record)
    del subjects  # they hold the images, and answers take long
    manifest = model.manifest
    head = Head(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), manifest.name, manifest.revision)
    record.facts["completion_id"] = head.id
    return await respond(
        parts,
        request,
        gateway.settings,
        stream=asked.stream,
        wire=Chunks(head, include_usage=asked.include_usage),
        whole=partial(completion_of, head=head),
    )


@router.get("/v1/models", summary="The models that are served", operation_id="models", responses=openai_problems())
async def models(gateway: GatewayParts) -> ModelList:
    """The first of them answers requests that name none."""
    return ModelList(data=[_described(model, gateway) for model in gateway.models.all])


@router.get(
    "/v1/models/{id}",
    summary="A model that is served",
    operation_id="model",
    responses=openai_problems(ModelUnknown),
)
async def one_model(model_id: ModelId, gateway: GatewayParts) -> Model:
    return _described(gateway.models.named(model_id), gateway)


def _described(model: ServedModel, gateway: Gateway) -> Model:
    manifest = model.manifest
    return Model(
        id=manifest.name,
        created=gateway.created_s,
        revision=manifest.revision,
        context_length=manifest.context_length,
        max_tokens=manifest.max_new_tokens,
        max_images=manifest.max_images,
        engines=model.engines,
    )


async def _read(request: Request, gateway: Gateway) -> tuple[ServedModel, list[RequestedFigure], Asked]:
    """The model that a request is for, the figures that it shows, at hand, and what it asks about them. Raises what
    refuses it."""
    settings = gateway.settings
    async with gateway.completion_bodies.json_of(request) as said:
        clock = Stopwatch()
        checked = _checked(said, settings)
        model = gateway.models.named(checked.model)
        conversation = conversation_of(checked, model.manifest, settings)
        subjects = await gather_all(_opened(picture, clock, gateway) for picture in conversation.pictures)
        return model, subjects, conversation.asked


async def _opened(picture: ImageReference, clock: Stopwatch, gateway: Gateway) -> RequestedFigure:
    """The figure of a picture, decoded. Raises the RequestErrors of what is none, naming the field at fault."""
    try:
        url = picture.url
        image = _base64_of(url) if url.startswith("data:") else await gateway.remote.fetch(url)
        return await gateway.explainer.opened(image, picture.caption, picture.told, turn=picture.turn, clock=clock)
    except RequestError as error:
        raise error.at(picture.param) from error.__cause__


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
