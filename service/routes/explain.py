"""POST /v1/explain: explains an uploaded figure in one call, as a stream of events or as one JSON object."""

# No `from __future__ import annotations` here: FastAPI reads the types below.

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import JSONResponse, Response

from llava_graph.context import DEFAULT_QUESTION, Turn
from llava_graph.context_parts import ContextParts
from service.errors import (
    BodyMalformed,
    BodyTypeUnsupported,
    CaptionTooLong,
    FieldsInvalid,
    FigureRefused,
    ModelUnknown,
    QuestionTooLong,
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
from service.middleware.request_context import record_of
from service.routes.answers import ANSWER_ERRORS, respond
from service.routes.uploads import FORM_LIMITS, Caption, Image, checked, multipart_with_caption
from service.schema.description import answer_responses, problems

router = APIRouter(tags=["explain"])

_RESPONSES = answer_responses() | problems(
    BodyMalformed,
    BodyTypeUnsupported,
    FieldsInvalid,
    ModelUnknown,
    CaptionTooLong,
    QuestionTooLong,
    FigureRefused,
    *ANSWER_ERRORS,
)


@router.post(
    "/v1/explain",
    summary="Explain a figure",
    operation_id="explain",
    responses=_RESPONSES,
    response_class=JSONResponse,
    dependencies=[Depends(multipart_with_caption)],
    form_limits=FORM_LIMITS,
)
async def explain(
    request: Request,
    gateway: GatewayParts,
    image: Image,
    caption: Caption = "",
    question: Annotated[str | None, Form(description="What to answer; without it the figure is explained")] = None,
    model: Annotated[ModelField, Form()] = None,
    context: Annotated[ContextField, Form()] = "all",
    ocr: Annotated[OcrField, Form()] = "auto",
    max_tokens: Annotated[MaxTokens, Form()] = None,
    temperature: Annotated[Temperature, Form()] = None,
    top_p: Annotated[TopP, Form()] = None,
    seed: Annotated[Seed, Form()] = None,
    stream: Annotated[StreamField, Form()] = True,
) -> Response:
    """Reads text and data of the figure, puts them and the caption into the model's context, and streams the answer."""
    settings = gateway.settings
    served = gateway.models.named(model)
    caption = checked(caption, settings)
    if question is not None and len(question) > settings.max_question_chars:
        raise QuestionTooLong(f"{len(question)} characters; at most {settings.max_question_chars} are accepted.")
    asked = GenerationRequest(
        [Turn("user", question or DEFAULT_QUESTION)],
        max_tokens_of(max_tokens, served.manifest),
        temperature,
        top_p,
        seed,
    )
    subject = await gateway.explainer.opened(
        await image.read(), caption, ContextChoice(ContextParts.parse(context), ocr)
    )
    parts = gateway.explainer.explain(served, [subject], asked, record_of(request.scope))
    del subject  # it holds the image, and answers take long
    return await respond(parts, request, settings, stream=stream)
