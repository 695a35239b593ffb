"""/v1/figures: a figure sent once, then read, asked about as often as one likes, and forgotten.

    POST   /v1/figures             keep a figure; the reading of its text begins
    GET    /v1/figures/{id}        what is known of it
    GET    /v1/figures/{id}/image  its pixels, as engines get them
    GET    /v1/figures/{id}/chart.csv  the data read from it
    DELETE /v1/figures/{id}        forget it

Conversations about it are in service.routes.chat.
"""

# No `from __future__ import annotations` here: FastAPI reads the types below.

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from llava_graph.chart import Chart
from llava_graph.chart_csv import chart_csv
from service.errors import (
    BodyMalformed,
    BodyTypeUnsupported,
    CaptionTooLong,
    ChartNotRead,
    FieldsInvalid,
    FigureRefused,
    FiguresUnavailable,
    FigureUnknown,
    Overloaded,
)
from service.events import ChartPart, OcrLine
from service.figures.chart import chart_part
from service.figures.ocr_client import Reading, ReadingState
from service.figures.store import FigureAbout
from service.gateway import GatewayParts
from service.middleware.callers import caller_of
from service.middleware.request_context import record_of
from service.routes.uploads import FORM_LIMITS, Caption, Image, checked, multipart_with_caption
from service.schema.description import problems

_IMAGE_HEADERS = {"Cache-Control": "private, max-age=3600, immutable"}
"""The bytes under an id never change."""

StoredId = Annotated[
    str, Path(alias="id", description="As POST /v1/figures gave it", examples=["fig_" + "0123456789abcdef" * 4])
]


_CSV_EXAMPLE = "panel,series,x,y,x_tolerance,y_tolerance\r\n1,Treated,0.0,52.1,0.1,0.3\r\n"


class FigureText(BaseModel):
    """How the reading of a figure's text stands."""

    status: ReadingState = Field(
        description="pending: it waits for an OCR worker or is being read. ok: read. failed: it could not be read. "
        "unread: not read (the queue was full, or it waited too long); the next chat has it tried again"
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
    chart: ChartPart | None = Field(description="The data; null until the text is read, and where no worker reads data")


router = APIRouter(tags=["figures"])

_KEPT_ERRORS = problems(FigureUnknown, FiguresUnavailable)
_LOCATION = {"Location": {"description": "Where the figure is", "schema": {"type": "string"}}}
_LINKS = {
    operation: {"operationId": operation, "parameters": {"id": "$response.body#/id"}}
    for operation in ("describe", "image", "chart_csv", "chat", "forget")
}
"""What one can go on to with the id."""


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
    form_limits=FORM_LIMITS,
)
async def keep(request: Request, gateway: GatewayParts, image: Image, caption: Caption = "") -> JSONResponse:
    """Keeps a figure for conversations about it, and has the text in it read. Does not wait for the text.

    The same figure with the same caption gets the same id. It is kept for a time after its last use, and no longer
    than there is room: those used longest ago go first."""
    caption = checked(caption, gateway.settings)
    record = record_of(request.scope)
    figure = await gateway.figures.open(await image.read())
    kept = await gateway.store.keep(figure, caption, scope=caller_of(request.scope).scope)
    record.facts |= {"figure_id": figure.figure_id, "stored_id": kept.stored_id}
    reading = await gateway.ocr.begin(
        figure, deadline_s=gateway.settings.ocr_upload_deadline_s, request_id=record.request_id
    )
    about = FigureAbout(kept.stored_id, figure.figure_id, figure.width, figure.height, caption)
    return JSONResponse(
        _described(about, reading).model_dump(),
        201 if kept.new else 200,
        {"Location": f"/v1/figures/{kept.stored_id}"},
    )


@router.get("/v1/figures/{id}", summary="What is known of a figure", operation_id="describe", responses=_KEPT_ERRORS)
async def describe(request: Request, gateway: GatewayParts, stored_id: StoredId) -> KeptFigure:
    """Its size and caption, and its text as far as it is read. Asking counts as a use."""
    about = await gateway.store.about(stored_id, scope=caller_of(request.scope).scope)
    return _described(about, await gateway.ocr.progress(about.figure_id))


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
        **problems(FigureUnknown, FiguresUnavailable, Overloaded),
    },
)
async def image(request: Request, gateway: GatewayParts, stored_id: StoredId) -> Response:
    async with gateway.figure_loads:
        stored = await gateway.store.load(stored_id, scope=caller_of(request.scope).scope)
    return Response(stored.figure.png, media_type="image/png", headers=_IMAGE_HEADERS)


@router.get(
    "/v1/figures/{id}/chart.csv",
    summary="The data of a figure as CSV",
    operation_id="chart_csv",
    response_class=Response,
    responses={
        200: {
            "description": "A row a point, in UTF-8: panel and series (their names, or numbers from 1), x, y, and the "
            "tolerance of each in units of its axis, empty on axes that are not linear. Only the header where no data "
            "was read",
            "content": {"text/csv": {"schema": {"type": "string"}, "example": _CSV_EXAMPLE}},
        },
        **problems(FigureUnknown, FiguresUnavailable, ChartNotRead),
    },
)
async def chart_file(request: Request, gateway: GatewayParts, stored_id: StoredId) -> Response:
    """The points that are claimed. Refused with `chart_not_read` while the figure waits to be read, or when it could
    not be."""
    about = await gateway.store.about(stored_id, scope=caller_of(request.scope).scope)
    reading = await gateway.ocr.progress(about.figure_id)
    if reading.state != "ok":
        raise ChartNotRead(f"The reading of the figure is {reading.state}.", is_pending=reading.state == "pending")
    headers = {"Content-Disposition": 'attachment; filename="chart.csv"', "X-Content-Type-Options": "nosniff"}
    return Response(chart_csv(reading.chart or Chart()), media_type="text/csv; charset=utf-8", headers=headers)


@router.delete(
    "/v1/figures/{id}",
    summary="Forget a figure",
    status_code=204,
    operation_id="forget",
    responses=_KEPT_ERRORS,
)
async def forget(request: Request, gateway: GatewayParts, stored_id: StoredId) -> Response:
    """Forgets image and caption. The text that was read stays cached for its time, under the hash of the pixels."""
    await gateway.store.forget(stored_id, scope=caller_of(request.scope).scope)
    return Response(status_code=204)


def _chart_part(reading: Reading) -> ChartPart | None:
    if reading.chart is None:
        return None
    return chart_part(reading.chart, "ok" if reading.chart.claims else "abstained")


def _described(about: FigureAbout, reading: Reading) -> KeptFigure:
    lines = [OcrLine.model_validate(line.to_json()) for line in reading.lines]
    return KeptFigure(
        id=about.stored_id,
        pixels=about.figure_id,
        width=about.width,
        height=about.height,
        caption=about.caption,
        ocr=FigureText(status=reading.state, lines=lines),
        chart=_chart_part(reading),
    )
