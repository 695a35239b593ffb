"""POST /v1/feedback: what a person thinks of an answer, stored with the receipt of the answer.

Off unless the operator turns it on. Nothing is stored but what is sent; the image of a figure only where the operator
has images stored, too, and the figure is kept.
"""

# No `from __future__ import annotations` here: FastAPI reads the types below.

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from llava_graph.feedback import FeedbackEntry, Verdict, answer_sha256
from service.content_type import content_type_is
from service.errors import (
    BodyMalformed,
    BodyTypeUnsupported,
    FeedbackFull,
    FeedbackOff,
    FeedbackUnavailable,
    FieldProblem,
    FieldsInvalid,
    FiguresUnavailable,
    FigureUnknown,
    Overloaded,
    ReceiptMismatch,
)
from service.events import Receipt
from service.feedback import FigureImage
from service.gateway import Gateway, GatewayParts
from service.middleware.callers import caller_of
from service.middleware.request_context import record_of
from service.receipt import FORMAT
from service.routes.json_bodies import Utf8Route
from service.schema.description import problems

router = APIRouter(tags=["feedback"], route_class=Utf8Route)


class FeedbackRequest(BaseModel):
    verdict: Verdict = Field(description="up or down: good or bad; flag: wrong or harmful")
    note: str = Field("", description="In the sender's own words; may be empty")
    answer: str = Field(description="The text of the answer, as it came")
    receipt: Receipt = Field(description="The receipt of that answer, as it came")
    figure: str | None = Field(
        None,
        description="The id of the kept figure that the answer is about: its image is stored where the operator has "
        "images stored, and no other",
        examples=["fig_" + "0123456789abcdef" * 4],
    )
    replaces: str | None = Field(
        None,
        description="The id of earlier feedback on the same answer that this takes the place of",
        pattern="^[0-9a-f]{32}$",
    )


class FeedbackStored(BaseModel):
    """Feedback that is stored."""

    id: str = Field(description="Names it, for `replaces`", examples=["5f0c1d9e8b7a46c3a2d1e0f9b8c7d6a5"])
    image: bool = Field(description="Whether the image of the figure is stored, too")


async def _feedback_is_on(gateway: GatewayParts) -> None:
    gateway.feedback.check()


@router.post(
    "/v1/feedback",
    summary="Say what an answer is worth",
    operation_id="feedback",
    status_code=201,
    responses=problems(
        FeedbackOff,
        BodyMalformed,
        BodyTypeUnsupported,
        FieldsInvalid,
        ReceiptMismatch,
        FeedbackFull,
        FeedbackUnavailable,
    ),
    dependencies=[Depends(_feedback_is_on), Depends(content_type_is("application/json"))],
)
async def feedback(request: Request, gateway: GatewayParts, given: FeedbackRequest) -> FeedbackStored:
    """Stores a verdict on an answer with the answer and its receipt, which holds caption and conversation. What is
    stored is never changed; feedback that `replaces` other feedback counts in its place.

    The gateway keeps no answers, so it takes the word of the caller for what the answer was; only that answer and
    receipt belong together is checked."""
    _check(given, gateway.settings.max_note_chars)
    caller = caller_of(request.scope)
    image = await _image(gateway, given, scope=caller.scope)
    stored = await gateway.feedback.add(
        FeedbackEntry(
            entry_id="",
            time="",
            verdict=given.verdict,
            note=given.note,
            answer=given.answer,
            receipt=given.receipt.model_dump(),
            caller=caller.name,
            replaces=given.replaces,
        ),
        image,
    )
    record_of(request.scope).facts |= {"feedback_id": stored.entry_id, "verdict": stored.verdict}
    return FeedbackStored(id=stored.entry_id, image=image is not None)


def _check(given: FeedbackRequest, max_note_chars: int) -> None:
    """Raises FieldsInvalid for a note that is too long, ReceiptMismatch for a receipt that is not of the answer."""
    if len(given.note) > max_note_chars:
        words = f"{len(given.note)} characters; at most {max_note_chars} are accepted"
        raise FieldsInvalid(f"note: {words}.", [FieldProblem(field="note", message=words)])
    if given.receipt.format != FORMAT:
        raise ReceiptMismatch(f"The receipt has format {given.receipt.format}; this gateway reads {FORMAT}.")
    if given.receipt.answer_sha256 != answer_sha256(given.answer):
        raise ReceiptMismatch("The receipt is of another answer: send both as they came.")


async def _image(gateway: Gateway, given: FeedbackRequest, *, scope: str) -> FigureImage | None:
    """The image to store, if any: a figure that cannot be had now costs its image, not the feedback. Raises
    ReceiptMismatch for a figure that the receipt does not have."""
    if gateway.settings.feedback_images == "off" or given.figure is None:
        return None
    try:
        async with gateway.figure_loads:
            stored = await gateway.store.load(given.figure, scope=scope)
    except (FigureUnknown, FiguresUnavailable, Overloaded):
        return None
    if stored.about.figure_id not in {figure.id for figure in given.receipt.figures}:
        raise ReceiptMismatch("The receipt is about another figure.")
    return FigureImage(stored.about.figure_id, stored.figure.png)
