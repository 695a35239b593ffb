"""OpenTelemetry tracing over gateway, OCR worker and engine. Off unless an endpoint is set.

    traces = Traces(settings.traces_endpoint, "llava-graph-gateway")     off when the endpoint is None
    with traces.tracer.start_as_current_span("decode", …):               OpenTelemetry's own interface, on or off
    traces.close()

Spans are OpenTelemetry's, and go to a collector as OTLP over HTTP. Its interface, which by itself does nothing, is
always installed; what records and sends comes with the extra `telemetry`, and is imported only when it is wanted.

No request waits for the export: a span that has ended goes into a bounded queue, a thread sends what is in it, and what
does not fit or cannot be delivered is dropped. A span holds names, ids and numbers, never a caption, a question, a text
or an answer, nor the words of an exception, which may hold them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracer, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

NO_TRACES: Tracer = NoOpTracer()

PROPAGATOR = TraceContextTextMapPropagator()
"""Reads and writes `traceparent` and `tracestate` (W3C Trace Context). Others' baggage is not passed on."""

_QUEUE_SPANS = 4096
_BATCH_SPANS = 512
_SEND_EVERY_S = 1.0
_SEND_S = 5.0
"""For one batch to be delivered, tries included."""
_FLUSH_S = 3.0
"""For what is in the queue at the end."""


class TracesError(Exception):
    """Traces are asked for, and cannot be sent; the message says what to do."""


class Traces:
    """One per process. Raises TracesError when an endpoint is given and the extra `telemetry` is not installed.

    `endpoint` is the base URL of a collector, to which OTLP's path is added. `service` is the name of this process's
    spans. OpenTelemetry's own variables decide the rest: OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES,
    OTEL_EXPORTER_OTLP_HEADERS.
    """

    def __init__(self, endpoint: str | None, service: str) -> None:
        require_extra(endpoint)
        self._provider = None if endpoint is None else _provider(endpoint, service)
        self.tracer = NO_TRACES if self._provider is None else self._provider.get_tracer("llava_graph")

    @property
    def on(self) -> bool:
        return self._provider is not None

    def close(self) -> None:
        """Sends what has not been sent yet, for a few seconds at most; blocks for as long."""
        if self._provider is None:
            return
        # The library has a deadline of its own, of half a minute, and no way to choose another.
        closing = threading.Thread(target=self._provider.shutdown, name="traces-close", daemon=True)
        closing.start()
        closing.join(_FLUSH_S)


def require_extra(endpoint: str | None) -> None:
    """Raises TracesError where `Traces` would."""
    if endpoint is None:
        return
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace.export  # noqa: F401
    except ImportError as error:
        raise TracesError(
            "LLAVA_GRAPH_TRACES_ENDPOINT asks for traces, which need an extra: pip install 'llava-graph[telemetry]'."
        ) from error


@contextmanager
def in_span(tracer: Tracer, name: str, kind: SpanKind, attributes: Attributes) -> Iterator[Span]:
    """A span around the block, a child of the current one and not current itself: a generator may be left and entered
    within it. What is raised is noted by its stable code, or else by its kind."""
    span = tracer.start_span(name, kind=kind, attributes=attributes)
    try:
        yield span
    except Exception as error:
        span.set_attribute("error.type", str(getattr(error, "code", type(error).__name__)))
        span.set_status(StatusCode.ERROR)
        raise
    finally:
        span.end()


def traceparent(context: Context | None = None) -> str:
    """The current span, or that of `context`, as a `traceparent`; empty when there is none."""
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier, context)
    return carrier.get("traceparent", "")


def trace_id(span: Span) -> str:
    """The trace that a span belongs to, as it stands in a `traceparent`."""
    return trace.format_trace_id(span.get_span_context().trace_id)


def _provider(endpoint: str, service: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": service, "service.version": version("llava-graph")})
    # At the exit of the process the library would wait for half a minute; `close` waits for less.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/').removesuffix('/v1/traces')}/v1/traces", timeout=_SEND_S)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=_QUEUE_SPANS,
            max_export_batch_size=_BATCH_SPANS,
            schedule_delay_millis=_SEND_EVERY_S * 1000,
        )
    )
    return provider
