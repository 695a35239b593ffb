"""POST /v1/explain: the main job in one call, as a stream of events or as one JSON object."""

# No `from __future__ import annotations` here: FastAPI reads the bounds in these annotations, and they are not global.

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from starlette.responses import JSONResponse, Response

from llava_graph.manifest import ModelManifest
from service.errors import (
    PROBLEM_JSON,
    BodyTypeUnsupported,
    CaptionTooLong,
    FieldProblem,
    FieldsInvalid,
    Problem,
    QuestionTooLong,
)
from service.events import Explanation
from service.explain import Ask, Explainer, whole
from service.record import record_of
from service.settings import GatewaySettings
from service.sse import EventStream

_STREAM_EXAMPLE = """event: figure
data: {"id":"0b7c…","width":640,"height":480}

event: ocr
data: {"status":"ok","ms":412.0,"lines":[{"text":"accuracy","box":[12.0,180.0,30.0,260.0],"confidence":0.99}]}

event: delta
data: {"text":"The figure shows accuracy"}

event: done
data: {"text":"The figure shows accuracy","finish_reason":"stop","usage":{"prompt_tokens":310,"completion_tokens":5,\
"total_tokens":315},"timings_ms":{"decode":21.0,"ocr":412.0,"first_token":90.1,"answer":160.4,"total":596.0},\
"grounding":[{"start":17,"end":25,"line":0}]}

"""


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {PROBLEM_JSON: {"schema": Problem.model_json_schema()}}}


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Explanation,
        "description": "The explanation: events (stream=true, the default) or one object. A stream that fails after it "
        "has begun ends with an `error` event. Lines that begin with a colon are comments against silence.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE}},
    },
    400: _problem("The body could not be read"),
    413: _problem("Body or image too large"),
    415: _problem("Not multipart/form-data"),
    422: _problem("A field or the image cannot be used"),
    502: _problem("The model's server failed (only with stream=false)"),
    503: _problem("The model is not being served, or too much is asked at once; Retry-After says when to come back"),
    504: _problem("The model did not answer in time (only with stream=false)"),
}


def explain_router(explainer: Explainer, manifest: ModelManifest, settings: GatewaySettings) -> APIRouter:
    router = APIRouter(tags=["explain"])

    @router.post(
        "/v1/explain",
        summary="Explain a figure",
        responses=_RESPONSES,
        response_class=JSONResponse,
        dependencies=[Depends(_multipart_with_caption)],
        # A field may be as long as the body: the handler's own bounds answer with better words.
        form_limits={"max_files": 1, "max_fields": 32, "max_part_size": settings.max_body_bytes},
    )
    async def explain(
        request: Request,
        image: Annotated[UploadFile, File(description="PNG, JPEG, WebP, GIF (first frame) or TIFF (first page)")],
        caption: Annotated[str, Form(description="The figure's caption. Must be sent, may be empty")] = "",
        question: Annotated[str | None, Form(description="What to answer; without it the figure is explained")] = None,
        ocr: Annotated[
            Literal["auto", "off"], Form(description="Whether to read the text in the figure first")
        ] = "auto",
        max_tokens: Annotated[int | None, Form(ge=1, le=manifest.max_new_tokens, description="Longest answer")] = None,
        temperature: Annotated[float | None, Form(ge=0, le=2, description="0 is greedy; default: the model's")] = None,
        stream: Annotated[bool, Form(description="Events as they come, or one JSON object at the end")] = True,
    ) -> Response:
        """Reads the text in the figure, puts it and the caption into the model's context, and streams the answer."""
        if len(caption) > settings.max_caption_chars:
            raise CaptionTooLong(f"{len(caption)} characters; at most {settings.max_caption_chars} are accepted.")
        if question is not None and len(question) > settings.max_question_chars:
            raise QuestionTooLong(f"{len(question)} characters; at most {settings.max_question_chars} are accepted.")
        record = record_of(request.scope)
        ask = Ask(caption, question, ocr, max_tokens, temperature)
        parts = explainer.explain(await image.read(), ask, record)
        if not stream:
            return JSONResponse((await whole(parts)).model_dump())
        # The first part before the status: what fails until then gets a status of its own.
        first = await anext(parts)
        return EventStream(first, parts, record, keepalive_s=settings.keepalive_s, write_s=settings.client_write_s)

    return router


async def _multipart_with_caption(request: Request) -> None:
    """What FastAPI does not see: another kind of body reads as an empty form, an empty field as one not sent."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "multipart/form-data":
        raise BodyTypeUnsupported(f"Send multipart/form-data, not {content_type or 'a body without a content type'}.")
    if "caption" not in await request.form():
        missing = [FieldProblem(field="caption", message="Field required; it may be empty")]
        raise FieldsInvalid("caption: the field is missing; it may be empty.", missing)
