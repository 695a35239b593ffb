"""Gives each request its id and its record; writes one log line and the metrics when it ends."""

from __future__ import annotations

import re
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import GatewayError
from service.metrics import Metrics
from service.middleware.request_context import RequestRecord, attach

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
