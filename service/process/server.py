"""uvicorn's server with a graceful shutdown of our own: it listens on for a moment and lets streams end properly.

    SIGTERM, ctrl-C        the drain begins: /readyz is red, new work is refused
    `drain_delay_s` later  it listens no more, and idle connections are closed; load balancers have looked elsewhere
    nothing under way      it ends, with status 0; so it does too when, `shutdown_s` after the signal, the rest was cut
    a second signal        ends the process at once, whatever it does

This module knows when, not how: that is service/middleware/drain.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import socket
from collections.abc import Generator
from functools import partial

import structlog
import uvicorn
from starlette.types import ASGIApp

from service.metrics import Metrics
from service.middleware.drain import Drain
from service.process.http import BoundedProtocol, ConnectionBounds
from service.settings import GatewaySettings

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_LAST_WORDS_S = 2.0
"""Time for requests that were cut short to send their error. Then uvicorn cancels them for good."""

log = structlog.stdlib.get_logger(__name__)


def server_config(app: ASGIApp, settings: GatewaySettings, metrics: Metrics) -> uvicorn.Config:
    """How uvicorn is to serve the gateway."""
    protocol = partial(BoundedProtocol, bounds=ConnectionBounds.of(settings), metrics=metrics)
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=protocol,  # type: ignore[arg-type]  # uvicorn calls it, no more
        ws="none",
        log_config=None,
        access_log=False,  # service/middleware/request_log.py writes one line per request, and knows more
        server_header=False,
    )


class GatewayServer(uvicorn.Server):
    """Runs the application that `drain` belongs to."""

    def __init__(self, config: uvicorn.Config, drain: Drain, *, drain_delay_s: float, shutdown_s: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_delay_s = drain_delay_s
        self._shutdown_s = shutdown_s
        self._cut_at_s = 0.0

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._begin_drain, number)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        left_s = self._cut_at_s - asyncio.get_running_loop().time()
        self.config.timeout_graceful_shutdown = math.ceil(max(left_s, 0) + _LAST_WORDS_S)
        await super().shutdown(sockets)

    def _begin_drain(self, number: signal.Signals) -> None:
        loop = asyncio.get_running_loop()
        for handled in _SIGNALS:
            loop.remove_signal_handler(handled)
            signal.signal(handled, signal.SIG_DFL)  # not Python's: a second ctrl-C would unwind, and wait
        self._drain.begin()
        self._cut_at_s = loop.time() + self._shutdown_s
        loop.call_later(self._drain_delay_s, self._stop_listening)
        loop.call_later(self._shutdown_s, self._cut_short)
        log.info("draining", signal=number.name, delay_s=self._drain_delay_s, shutdown_s=self._shutdown_s)

    def _stop_listening(self) -> None:
        self.should_exit = True

    def _cut_short(self) -> None:
        if requests := self._drain.cut_short():
            log.warning("cut_short", requests=requests, after_s=self._shutdown_s)
