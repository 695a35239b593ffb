"""A refusal from within the middleware: outside of the application, whose handlers give others their shape."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from service.errors import GatewayError, problem_of
from service.record import record_of


async def refuse(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request with a refusal, and notes its code. The body of the request is left unread."""
    record = record_of(scope)
    record.code = error.code
    await problem_of(error, record.request_id)(scope, receive, send)
