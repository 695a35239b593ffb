"""uvicorn's HTTP/1.1 protocol with bounds that it lacks: on what a connection may cost before there is a request.

    request line and headers   bytes, number of headers, and the time until they are complete   431, 408
    trailers, chunk extensions bytes, as of a head                                              400
    Host                       one with HTTP/1.1, at most one with HTTP/1.0                     400
    Upgrade                    read as if it were not there: RFC 9110, section 7.8, has it optional for a server
    HTTP/1.0                   no chunked response (RFC 9112, section 7.1): its end is the connection's
    a client that reads not    the connection is aborted after a time without progress
    what is left of a body     when its request is answered: thrown away, for a short time

The middleware bounds what a request may cost. This module knows no route.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.errors import GatewayError, HeadMalformed, HeadTooLarge, RequestTooSlow, openai_response_of, problem_of
from service.metrics import Metrics
from service.middleware.refusal import is_openai
from service.middleware.request_log import REQUEST_ID
from service.settings import GatewaySettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

_LINGER_S = 5.0
"""How long a client whose request is answered may go on sending it. To close at once would reset the connection, and
the answer could be lost with it."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """What one connection may cost. `head` is a request line with its headers."""

    head_bytes: int
    head_fields: int
    head_s: float
    write_s: float
    """How long a client may take to make room for what it is sent."""

    @classmethod
    def of(cls, settings: GatewaySettings) -> ConnectionBounds:
        return cls(settings.max_head_bytes, settings.max_headers, settings.head_s, settings.client_write_s)


class BoundedProtocol(HttpToolsProtocol):
    """One per connection. `bounds` and `metrics` are handed in with functools.partial: uvicorn gives the rest."""

    def __init__(self, *args: Any, bounds: ConnectionBounds, metrics: Metrics, **more: Any) -> None:
        super().__init__(*args, **more)
        self._bounds = bounds
        self._metrics = metrics
        self._in_head = True
        """A head is expected or being read, rather than a body."""
        self._pending_bytes = 0
        """Fed to the parser since it last came to the end of a head, a piece of a body, or a message: what it keeps."""
        self._moved = False
        self._upgrade_asked = False
        self._refusal: GatewayError | None = None
        self._deaf = False
        """What else comes is thrown away."""
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self.url = b""

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._read_within(self._bounds.head_s, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._read_in_time()
        self._written_in_time()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal or HeadMalformed("This is not HTTP/1.1."))
            return
        if self._pending_bytes > self._bounds.head_bytes:
            self._refuse(self._too_large() if self._in_head else HeadMalformed("Chunks hold more than their data."))
        elif self._reading is None and (self.cycle is None or self.cycle.response_complete):
            if self._in_head:
                self._read_within(self._bounds.head_s, self._head_is_late)
            else:
                self._read_within(_LINGER_S, self.transport.close)

    def _feed(self, data: bytes) -> None:
        """Raises HttpParserError."""
        self._moved = False
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._upgrade_asked:
                    raise
                # The parser has taken what follows the head for another protocol's; a new one reads it as a body.
                head = self._without_upgrade()
                data = head + data[upgrade.args[0] :]
                self._new_parser()
            else:
                break
        self._pending_bytes = 0 if self._moved else self._pending_bytes + len(data)

    def _new_parser(self) -> None:
        self._upgrade_asked = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it

    def _without_upgrade(self) -> bytes:
        """The head once more, without its wish to change the protocol."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"upgrade":
                continue
            if name == b"connection":
                others = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                lines += [b"connection:" + b",".join(others)] if others else []
            else:
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    # What the parser finds

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else a trailer: the application has begun, and shall not see its headers change
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._moved = True
        head_bytes, hosts = len(self.url), 0
        for name, value in self.headers:
            head_bytes += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
        if head_bytes > self._bounds.head_bytes:
            raise self._refused(self._too_large())
        if len(self.headers) > self._bounds.head_fields:
            raise self._refused(HeadTooLarge(f"There are more than {self._bounds.head_fields} headers."))
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise self._refused(HeadMalformed("This is no proxy."))
            self._upgrade_asked = True
            return
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            raise self._refused(HeadMalformed(f"There are {hosts} Host headers; there must be one."))
        self._in_head = False
        self._read_in_time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrade_asked:
            return
        self._moved = self._in_head = True
        self._read_in_time()
        super().on_message_complete()

    # What the application sends

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._bound_closing()
        elif not self._in_head and self.cycle.response_complete:
            self._read_within(_LINGER_S, self.transport.close)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        until_close = cycle.scope["http_version"] == "1.0"

        async def bounded(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            try:
                await app(scope, receive, _until_close(cycle, send) if until_close else send)
            finally:
                if not cycle.response_complete:  # then uvicorn closes the connection, next
                    self.loop.call_soon(self._bound_closing)

        super()._start_asgi_task(cycle, bounded)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_within()

    def resume_writing(self) -> None:
        self._written_in_time()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._bound_closing()

    def shutdown(self) -> None:
        super().shutdown()
        self._bound_closing()

    def _bound_closing(self) -> None:
        """A transport that is closed waits, for as long as it takes, until the client has read what is left."""
        if self.transport.is_closing() and self._writing is None and self.transport.get_write_buffer_size() > 0:
            self._write_within()

    # Refusals and time

    def _too_large(self) -> HeadTooLarge:
        return HeadTooLarge(f"Request line and headers have more than {self._bounds.head_bytes} bytes.")

    def _refused(self, error: GatewayError) -> GatewayError:
        """To be raised in what the parser calls: it comes out as an HttpParserError of its own."""
        self._refusal = error
        return error

    def _refuse(self, error: GatewayError) -> None:
        """Answers what is no request, unless another answer would be cut; then that one is the last."""
        self._deaf = True
        self._read_in_time()
        self._metrics.problems.labels(error.code).inc()
        log.info("connection_refused", code=error.code, detail=error.detail, client=self.client and self.client[0])
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and self._in_head:
            self.cycle.keep_alive = False
            return
        if answering:  # its body is broken
            if self.cycle.response_started or self.pipeline:
                self.transport.close()
                self._bound_closing()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_response(error, self.url))
        self.transport.write_eof()
        self._read_within(_LINGER_S, self.transport.abort)

    def _head_is_late(self) -> None:
        if self._pending_bytes == 0:  # nothing was asked, so nothing is to be answered
            self.transport.close()
            return
        self._refuse(RequestTooSlow(f"Request line and headers took longer than {self._bounds.head_s:g} s."))

    def _read_within(self, seconds: float, otherwise: Callable[[], None]) -> None:
        self._read_in_time()
        self._reading = self.loop.call_later(seconds, otherwise)

    def _read_in_time(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _write_within(self) -> None:
        if self._writing is None:
            self._writing = self.loop.call_later(self._bounds.write_s, self._client_stalls)

    def _written_in_time(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _client_stalls(self) -> None:
        self._metrics.clients_stalled.inc()
        log.info("client_stalled", after_s=self._bounds.write_s, client=self.client and self.client[0])
        self.transport.abort()


def _until_close(cycle: RequestResponseCycle, send: ASGISendCallable) -> ASGISendCallable:
    """Sends a response of unknown length up to the end of the connection, where uvicorn would send it in chunks."""

    async def sent(message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            if not any(name.lower() == b"content-length" for name, _ in message.get("headers", [])):
                cycle.chunked_encoding, cycle.expected_content_length = False, math.inf  # type: ignore[assignment]
        elif (
            message["type"] == "http.response.body"
            and not message.get("more_body", False)
            and cycle.expected_content_length == math.inf
        ):
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    return sent


def _response(error: GatewayError, url: bytes) -> bytes:
    """In the shape that callers of the URL know, as far as there is one."""
    request_id = uuid.uuid4().hex
    path = url.partition(b"?")[0].decode("latin-1")
    problem = openai_response_of(error) if is_openai(path) else problem_of(error, request_id)
    headers = [*problem.raw_headers, (REQUEST_ID.encode(), request_id.encode()), (b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"%b%b\r\n%b" % (STATUS_LINE[problem.status_code], lines, bytes(problem.body))
