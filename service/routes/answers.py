"""How an answer goes out: as events while it is written, or as one JSON object at the end. The same for every call that
has one, and so is what may go wrong with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

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
from service.events import Part
from service.explain import whole
from service.record import RequestRecord
from service.settings import GatewaySettings
from service.sse import EventStream

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

TOP_P = "Draw only from the likeliest tokens that make up this share of the probability; default: the model's"
SEED = "Has the same tokens drawn again when the same is asked; without it others are drawn each time"


async def respond(
    parts: AsyncGenerator[Part], *, stream: bool, record: RequestRecord, settings: GatewaySettings
) -> Response:
    """The response that sends an answer's parts. Raises the GatewayErrors of what fails before the answer has begun."""
    if not stream:
        return JSONResponse((await whole(parts)).model_dump())
    # The first part before the status: what fails until then gets a status of its own.
    first = await anext(parts)
    return EventStream(first, parts, record, keepalive_s=settings.keepalive_s, write_s=settings.client_write_s)
