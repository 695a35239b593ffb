"""A collector of traces: takes OTLP over HTTP as an ASGI app, to be served on a real socket, and keeps every span."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    kind: int
    """As in opentelemetry.proto.trace.v1.Span: 1 internal, 2 server, 3 client, 4 producer, 5 consumer."""
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, object]
    events: list[str]
    failed: bool
    started_ns: int
    ended_ns: int


@dataclass
class Collector:
    spans: dict[str, Span] = field(default_factory=dict)
    """By name; where several have one, the last that came."""
    raw: bytes = b""
    """Everything that was sent."""
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, *names: str) -> dict[str, Span]:
        """All spans, once those of these names have come."""
        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(lambda: set(names) <= set(self.spans))
        return self.spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        assert (request.method, request.url.path) == ("POST", "/v1/traces")
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        async with self._more:
            self.raw += body
            self._keep(ExportTraceServiceRequest.FromString(body))
            self._more.notify_all()
        await Response(b"", media_type="application/x-protobuf")(scope, receive, send)

    def _keep(self, sent: ExportTraceServiceRequest) -> None:
        for resource in sent.resource_spans:
            service = str(_plain(resource.resource.attributes)["service.name"])
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                self.spans[span.name] = Span(
                    service,
                    span.name,
                    int(span.kind),
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    _plain(span.attributes),
                    [event.name for event in span.events],
                    span.status.code == span.status.STATUS_CODE_ERROR,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                )


def _plain(attributes: list[KeyValue]) -> dict[str, object]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in attributes}
