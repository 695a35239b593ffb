"""A refusal from within the middleware: outside of the application, whose handlers give others their shape."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import Message, Receive, Scope, Send

from service.errors import GatewayError, problem_of
from service.record import record_of

_LINGER_S = 5.0
"""How long a client that is refused for good may go on sending what nobody wants."""


async def refuse(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request with a refusal, and notes its code. The body of the request is left unread."""
    record = record_of(scope)
    record.code = error.code
    await problem_of(error, record.request_id)(scope, receive, send)


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
