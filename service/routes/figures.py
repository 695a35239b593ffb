"""/v1/figures: a figure sent once, then read, asked about as often as one likes, and forgotten.

    POST   /v1/figures             keep a figure; the reading of its text begins
    GET    /v1/figures/{id}        what is known of it
    GET    /v1/figures/{id}/image  its pixels, as engines get them
    DELETE /v1/figures/{id}        forget it

Conversations about it are in service.routes.chat.
"""

# No `from __future__ import annotations` here: FastAPI reads the types below.

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from service.callers import caller_of
from service.errors import (
    BodyMalformed,
    BodyTypeUnsupported,
    CaptionTooLong,
    FieldsInvalid,
    FigureRefused,
    FiguresUnavailable,
    FigureUnknown,
    Overloaded,
)
from service.events import OcrLine
from service.figure_store import FigureAbout, FigureStore
from service.figures import FigureOpener
from service.ocr_client import OcrClient, Reading, ReadingState
from service.openapi import problems
from service.record import record_of
from service.routes.uploads import Caption, Image, checked, form_limits, multipart_with_caption
from service.settings import GatewaySettings

_IMAGE_HEADERS = {"Cache-Control": "private, max-age=3600, immutable"}
"""The bytes under an id never change."""

StoredId = Annotated[
    str, Path(alias="id", description="As POST /v1/figures gave it", examples=["fig_" + "0123456789abcdef" * 4])
]


class FigureText(BaseModel):
    """How the reading of a figure's text stands."""

    status: ReadingState = Field(
        description="pending: it waits for an OCR worker or is being read. ok: read. failed: it could not be read. "
        "unread: nobody reads it (too much was waiting, or it waited too long); the next chat has it tried again"
    )
    lines: list[OcrLine] = Field(description="In reading order; empty unless the status is ok")


class KeptFigure(BaseModel):
    """A figure that is kept."""

    id: str = Field(description="Names this figure with this caption", examples=["fig_" + "0123456789abcdef" * 4])
    pixels: str = Field(description="Hash of the upright pixels alone: the `id` in the `figure` event of an answer")
    width: int = Field(description="Pixels of the upright image", examples=[640])
    height: int = Field(description="Pixels of the upright image", examples=[480])
    caption: str
    ocr: FigureText


_KEPT_ERRORS = problems(FigureUnknown, FiguresUnavailable)
_LOCATION = {"Location": {"description": "Where the figure is", "schema": {"type": "string"}}}
_LINKS = {
    operation: {"operationId": operation, "parameters": {"id": "$response.body#/id"}}
    for operation in ("describe", "image", "chat", "forget")
}
"""What one can go on to with the id."""


def figures_router(opener: FigureOpener, store: FigureStore, reader: OcrClient, settings: GatewaySettings) -> APIRouter:
    router = APIRouter(tags=["figures"])

    @router.post(
        "/v1/figures",
        summary="Keep a figure",
        operation_id="keep",
        status_code=201,
        response_model=KeptFigure,
        responses={
            200: {
                "model": KeptFigure,
                "description": "It was kept already, and is for longer now",
                "headers": _LOCATION,
                "links": _LINKS,
            },
            201: {"description": "It is kept from now on", "headers": _LOCATION, "links": _LINKS},
            **problems(
                BodyMalformed,
                BodyTypeUnsupported,
                FieldsInvalid,
                CaptionTooLong,
                FigureRefused,
                Overloaded,
                FiguresUnavailable,
            ),
        },
        dependencies=[Depends(multipart_with_caption)],
        form_limits=form_limits(settings),
    )
    async def keep(request: Request, image: Image, caption: Caption = "") -> JSONResponse:
        """Keeps a figure for conversations about it, and has the text in it read. Does not wait for the text.

        The same figure with the same caption gets the same id. It is kept for a time after its last use, and no longer
        than there is room: those used longest ago go first."""
        caption = checked(caption, settings)
        record = record_of(request.scope)
        figure = await opener.open(await image.read())
        kept = await store.keep(figure, caption, scope=caller_of(request.scope).scope)
        record.facts |= {"figure_id": figure.figure_id, "stored_id": kept.stored_id}
        reading = await reader.begin(figure, deadline_s=settings.ocr_upload_deadline_s, request_id=record.request_id)
        about = FigureAbout(kept.stored_id, figure.figure_id, figure.width, figure.height, caption)
        return JSONResponse(
            _described(about, reading).model_dump(),
            201 if kept.new else 200,
            {"Location": f"/v1/figures/{kept.stored_id}"},
        )

    @router.get(
        "/v1/figures/{id}", summary="What is known of a figure", operation_id="describe", responses=_KEPT_ERRORS
    )
    async def describe(request: Request, stored_id: StoredId) -> KeptFigure:
        """Its size and caption, and its text as far as it is read. Asking counts as a use."""
        about = await store.about(stored_id, scope=caller_of(request.scope).scope)
        return _described(about, await reader.progress(about.figure_id))

    @router.get(
        "/v1/figures/{id}/image",
        summary="The image of a figure",
        operation_id="image",
        response_class=Response,
        responses={
            200: {
                "description": "A PNG of the upright pixels, byte for byte what the model's server gets",
                "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
            },
            **_KEPT_ERRORS,
        },
    )
    async def image(request: Request, stored_id: StoredId) -> Response:
        stored = await store.load(stored_id, scope=caller_of(request.scope).scope)
        return Response(stored.figure.png, media_type="image/png", headers=_IMAGE_HEADERS)

    @router.delete(
        "/v1/figures/{id}",
        summary="Forget a figure",
        status_code=204,
        operation_id="forget",
        responses=_KEPT_ERRORS,
    )
    async def forget(request: Request, stored_id: StoredId) -> Response:
        """Forgets image and caption. The text that was read stays cached for its time, under the hash of the pixels."""
        await store.forget(stored_id, scope=caller_of(request.scope).scope)
        return Response(status_code=204)

    return router


def _described(about: FigureAbout, reading: Reading) -> KeptFigure:
    lines = [OcrLine.model_validate(line.to_json()) for line in reading.lines]
    return KeptFigure(
        id=about.stored_id,
        pixels=about.figure_id,
        width=about.width,
        height=about.height,
        caption=about.caption,
        ocr=FigureText(status=reading.state, lines=lines),
    )
