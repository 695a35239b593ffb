"""What surrounds every request, as plain ASGI: its record, the client that hangs up, the bound on its body.

    tracing.TraceRequests (where traces are on) → RecordRequests → HangUp → drain.EndInTime → BoundBody
    → access.Identify → admission.Admit → rates.LimitRates → the application

No BaseHTTPMiddleware anywhere: it hides from the application that the client has left, and buffers streams. This
module knows no route and nothing of what the gateway does.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyMalformed, BodyTooLarge, GatewayError
from service.metrics import Metrics
from service.record import RequestRecord, attach, record_of
from service.refusal import refuse

REQUEST_ID = "X-Request-Id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_QUIET_ROUTES = ("/healthz", "/readyz", "/metrics")
"""Asked every few seconds by machines: logged only at debug level."""

log = structlog.stdlib.get_logger("service.request")


class RecordRequests:
    """Gives each request an id and a record; afterwards one log line and its metrics.

    The client's X-Request-Id is taken when it is well-formed, else one is made; the response names it either way.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        record = RequestRecord(given if _WELL_FORMED.fullmatch(given) else uuid.uuid4().hex)
        attach(scope, record)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = record.request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=record.request_id):
            self._metrics.in_flight.inc()
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                self._metrics.in_flight.dec()
                self._conclude(scope, record)

    def _conclude(self, scope: Scope, record: RequestRecord) -> None:
        # The template of the matched route: the path itself would make a new time series for every typing error.
        route = getattr(scope.get("route"), "path", "unmatched")
        outcome = record.final_outcome()
        if record.status is None and outcome == "failed":
            record.code = GatewayError.code  # the server answers for it, outside of this middleware
        self._metrics.requests.labels(route, outcome).inc()
        if record.code is not None:
            self._metrics.problems.labels(record.code).inc()
        say = log.debug if route in _QUIET_ROUTES else log.info
        say(
            "request",
            method=scope["method"],
            path=scope["path"],
            route=route,
            status=record.status,
            outcome=outcome,
            code=record.code,
            ms=round(record.elapsed_ms, 1),
            **record.facts,
        )


class HangUp:
    """Cancels the application's work when the client leaves, whatever it is waiting for at that moment.

    Once the body is read, the server has only one more thing to tell: that the client is gone. A task of its own
    listens for that, so that waiting for OCR, a prefill or a whole answer (stream=false) ends at once and everything
    upstream is closed on the way out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        work = asyncio.current_task()
        assert work is not None
        gone = asyncio.Event()
        listener: asyncio.Task[None] | None = None
        answered = cancelled = False

        async def listen() -> None:
            nonlocal cancelled
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()
            if not answered:
                cancelled = True
                work.cancel()

        async def receive_body() -> Message:
            nonlocal listener
            if listener is not None:
                await gone.wait()
                return {"type": "http.disconnect"}
            message = await receive()
            if message["type"] == "http.disconnect":
                record_of(scope).outcome = "client_gone"
            elif not message.get("more_body", False):
                listener = asyncio.create_task(listen(), name="hang-up")
            return message

        async def send_until_answered(message: Message) -> None:
            nonlocal answered
            # Set before sending: servers report a disconnect, too, when a response is complete.
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered = True
            await send(message)

        try:
            await self._app(scope, receive_body, send_until_answered)
        except asyncio.CancelledError:
            # Ours, unless the server cancels as well (see asyncio.Task.uncancel).
            if not cancelled or work.uncancel() > 0:
                raise
            record_of(scope).outcome = "client_gone"
        finally:
            if listener is not None:
                listener.cancel()


class BoundBody:
    """Refuses bodies past the bound of their path, `max_bytes`: at once where the length is declared, else when the
    bytes arrive, before any parser sees them."""

    def __init__(self, app: ASGIApp, max_bytes: Callable[[str], int]) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        max_bytes = self._max_bytes(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal():
            await refuse(BodyMalformed("Content-Length is not a number."), scope, receive, send)
            return
        if int(declared) > max_bytes:
            await refuse(_too_large(max_bytes), scope, receive, send)
            return
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise _too_large(max_bytes)
            return message

        await self._app(scope, receive_bounded, send)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body has more than {max_bytes} bytes.")
