"""The span of a request: the middleware that begins it, continues the caller's trace, and says how it ended.

Only there when traces are on. The spans of what a request waits for begin where that is done: an image decoded
(service/figures/decode.py), its text read (service/figures/ocr_client.py), an answer made (service/engine/client.py).
"""

from __future__ import annotations

import structlog
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, use_span
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from llava_graph.tracing import PROPAGATOR, trace_id
from service.middleware.authentication import is_open
from service.middleware.request_context import record_of

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})

_FACTS = ("figure_id", "stored_id", "ocr_status", "caller")
"""Of a request's record, those that a span gets too."""


class TraceRequests:
    """Around RecordRequests, whose record tells what became of the request. Log lines get the `trace_id`.

    Probes, metrics and the files of the page are not traced.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        # An unknown method is named `_OTHER`, as OpenTelemetry has it, to keep the set of span names small.
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        span = self._tracer.start_span(
            method,
            PROPAGATOR.extract(Headers(scope=scope)),
            SpanKind.SERVER,
            {"http.request.method": method, "url.scheme": scope.get("scheme", "http"), "url.path": scope["path"]},
        )
        try:
            with (
                use_span(span, record_exception=False, set_status_on_exception=False),
                structlog.contextvars.bound_contextvars(trace_id=trace_id(span)),
            ):
                await self._app(scope, receive, send)
        finally:
            _conclude(span, method, scope)
            span.end()


def _conclude(span: Span, method: str, scope: Scope) -> None:
    record = record_of(scope)
    outcome = record.final_outcome()
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    if record.status is not None:
        span.set_attribute("http.response.status_code", record.status)
    if record.code is not None:
        span.set_attribute("llava_graph.code", record.code)
    if outcome == "failed":
        span.set_attribute("error.type", record.code or "500")
        span.set_status(StatusCode.ERROR)
    span.set_attribute("llava_graph.outcome", outcome)
    span.set_attribute("llava_graph.request_id", record.request_id)
    for name in _FACTS:
        if name in record.facts:
            span.set_attribute(f"llava_graph.{name}", str(record.facts[name]))
