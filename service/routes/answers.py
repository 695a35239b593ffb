"""How an answer goes out: as events while it is written, or as one JSON object at the end. The same for every call that
has one, and so is its description."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import JSONResponse, Response

from service.events import Explanation, Part
from service.explain import whole
from service.openapi import problem
from service.record import RequestRecord
from service.settings import GatewaySettings
from service.sse import EventStream

_STREAM_EXAMPLE = """event: figure
data: {"id":"0b7c…","width":640,"height":480}

event: ocr
data: {"status":"ok","ms":412.0,"lines":[{"text":"accuracy","box":[12.0,180.0,30.0,260.0],"confidence":0.99}],\
"neutralised":0}

event: delta
data: {"text":"The figure shows accuracy"}

event: done
data: {"text":"The figure shows accuracy","finish_reason":"stop","usage":{"prompt_tokens":310,"completion_tokens":5,\
"total_tokens":315},"timings_ms":{"decode":21.0,"ocr":412.0,"first_token":90.1,"answer":160.4,"total":596.0},\
"grounding":[{"start":17,"end":25,"line":0}],"unsupported":[],"receipt":{"format":1,…}}

"""

ANSWER_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Explanation,
        "description": "The answer: events (stream=true, the default) or one object. The events are `figure` "
        "(FigurePart), `ocr` (OcrPart), any number of `delta` (DeltaPart), and `done` (Answer), or `error` (ErrorPart) "
        "when something failed after the stream had begun. Lines that begin with a colon are comments against silence.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE}},
    },
    502: problem("The model's server failed (only with stream=false)", retry=True),
    503: problem("The model is not being served, or too much is asked at once", retry=True),
    504: problem("The model did not answer in time (only with stream=false)", retry=True),
}
"""What every call that answers may respond with; what can be wrong with a request is the call's own to say."""


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
