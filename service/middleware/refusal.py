"""Sends an error response in the form that the path's clients expect, and notes its code for log and metrics.

The middleware refuses outside of the application (`refuse`), whose handlers give other refusals their shape.
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from service.errors import GatewayError, code_of, openai_response_of, problem_of
from service.middleware.request_context import record_of

_OPENAI = ("/v1/chat/completions", "/v1/models")
_OPENAI_FOLDER = "/v1/models/"

_LINGER_S = 5.0
"""How long a refused client may go on sending a body that is thrown away."""


def is_openai(path: str) -> bool:
    """Whether the calls of a path are OpenAI's, made by clients that know errors in OpenAI's shape alone."""
    return path in _OPENAI or path.startswith(_OPENAI_FOLDER)


def response_of(error: HTTPException, scope: Scope) -> JSONResponse:
    """The response for a refusal of ours or of the framework."""
    record = record_of(scope)
    record.code = code_of(error)
    return openai_response_of(error) if is_openai(scope["path"]) else problem_of(error, record.request_id)


async def refuse(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request with a refusal. The body of the request is left unread."""
    await response_of(error, scope)(scope, receive, send)


async def refuse_and_close(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    """The same for an error that closes the connection, before anything of the body was read.

    A connection that is closed while its client still sends is reset, and the answer lost with it. So what comes is
    read and thrown away until the client is done, once it has all of the answer.
    """

    async def send_and_linger(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    while (await receive()).get("more_body", False):
                        pass
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    await refuse(error, scope, receive, send_and_linger)
