"""POST /v1/explain: the main job in one call, as a stream of events or as one JSON object."""

# No `from __future__ import annotations` here: FastAPI reads the bounds in these annotations, and they are not global.

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import JSONResponse, Response

from llava_graph.context import DEFAULT_QUESTION, Turn
from llava_graph.manifest import ModelManifest
from service.engine import MAX_SEED
from service.errors import (
    BodyMalformed,
    BodyTypeUnsupported,
    CaptionTooLong,
    FieldsInvalid,
    FigureRefused,
    QuestionTooLong,
)
from service.events import ContextParts
from service.explain import Ask, Explainer, OcrWish, Told
from service.openapi import answer_responses, problems
from service.record import record_of
from service.routes.answers import ANSWER_ERRORS, SEED, TOP_P, respond
from service.routes.uploads import Caption, Image, checked, form_limits, multipart_with_caption
from service.settings import GatewaySettings

_RESPONSES = answer_responses() | problems(
    BodyMalformed, BodyTypeUnsupported, FieldsInvalid, CaptionTooLong, QuestionTooLong, FigureRefused, *ANSWER_ERRORS
)


def explain_router(explainer: Explainer, manifest: ModelManifest, settings: GatewaySettings) -> APIRouter:
    router = APIRouter(tags=["explain"])

    @router.post(
        "/v1/explain",
        summary="Explain a figure",
        operation_id="explain",
        responses=_RESPONSES,
        response_class=JSONResponse,
        dependencies=[Depends(multipart_with_caption)],
        form_limits=form_limits(settings),
    )
    async def explain(
        request: Request,
        image: Image,
        caption: Caption = "",
        question: Annotated[str | None, Form(description="What to answer; without it the figure is explained")] = None,
        context: Annotated[ContextParts, Form(description="What the model is told besides the image")] = "both",
        ocr: Annotated[OcrWish, Form(description="Whether to read the text in the figure first")] = "auto",
        max_tokens: Annotated[int | None, Form(ge=1, le=manifest.max_new_tokens, description="Longest answer")] = None,
        temperature: Annotated[float | None, Form(ge=0, le=2, description="0 is greedy; default: the model's")] = None,
        top_p: Annotated[float | None, Form(gt=0, le=1, description=TOP_P)] = None,
        seed: Annotated[int | None, Form(ge=0, le=MAX_SEED, description=SEED)] = None,
        stream: Annotated[bool, Form(description="Events as they come, or one JSON object at the end")] = True,
    ) -> Response:
        """Reads the text in the figure, puts it and the caption into the model's context, and streams the answer."""
        caption = checked(caption, settings)
        if question is not None and len(question) > settings.max_question_chars:
            raise QuestionTooLong(f"{len(question)} characters; at most {settings.max_question_chars} are accepted.")
        turns = [Turn("user", question or DEFAULT_QUESTION)]
        ask = Ask(turns, max_tokens, temperature, top_p=top_p, seed=seed)
        record = record_of(request.scope)
        told = Told(context, ocr)
        parts = explainer.explain([await explainer.opened(await image.read(), caption, told)], ask, record)
        return await respond(parts, stream=stream, record=record, settings=settings)

    return router
