"""Sends an answer: as events while it is written, or as one JSON object at the end. Shared by all routes that answer,
with the errors that an answer can end with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.errors import (
    EngineError,
    EngineGarbled,
    EngineInterrupted,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    GatewayError,
    Overloaded,
    PromptTooLong,
)
from service.events import Explanation, Part
from service.explain import Explained, collected
from service.middleware.request_context import record_of
from service.settings import GatewaySettings
from service.sse import NAMED_EVENTS, EventStream, Wire

ANSWER_ERRORS: tuple[type[GatewayError], ...] = (
    PromptTooLong,
    Overloaded,
    EngineUnavailable,
    EngineTimeout,
    EngineRefused,
    EngineError,
    EngineGarbled,
    EngineInterrupted,
)
"""What comes of the answer itself, in every call that has one: as a response of its own, or in a stream's `error`
event. What can be wrong with a request is the call's own to say."""


def explanation_of(explained: Explained) -> Explanation:
    """An answer about one figure as one object."""
    [figure], [ocr], [chart] = explained.figures, explained.texts, explained.charts
    return Explanation(figure=figure, ocr=ocr, chart=chart, **dict(explained.answer))


async def respond(
    parts: AsyncGenerator[Part],
    request: Request,
    settings: GatewaySettings,
    *,
    stream: bool,
    wire: Wire = NAMED_EVENTS,
    whole: Callable[[Explained], BaseModel] = explanation_of,
) -> Response:
    """The response that sends an answer's parts: over `wire`, or what `whole` makes of them.

    Raises the GatewayErrors of what fails before the answer has begun.
    """
    if not stream:
        return JSONResponse(whole(await collected(parts)).model_dump())
    # The first part before the status: what fails until then gets a status of its own.
    first = await anext(parts)
    return EventStream(
        first,
        parts,
        record_of(request.scope),
        keepalive_s=settings.keepalive_s,
        write_s=settings.client_write_s,
        wire=wire,
    )
