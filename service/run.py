"""The process that a gateway is: application, log, server and memory, put together from the settings."""

from __future__ import annotations

import gc

import click
import structlog
import uvicorn

from llava_graph.manifest import ManifestError
from llava_graph.tracing import TracesError
from service.access import AccessError
from service.app import create_app
from service.drain import Drain
from service.logs import configure_logging
from service.server import GatewayServer
from service.settings import GatewaySettings


def run(settings: GatewaySettings) -> None:
    """Serves until a signal ends it. Raises click.ClickException when it cannot start like this."""
    configure_logging(settings.log_level)
    drain = Drain()
    try:
        app = create_app(settings, drain=drain)
    except (AccessError, ManifestError, TracesError) as error:
        raise click.ClickException(str(error)) from error
    structlog.stdlib.get_logger(__name__).info("settings", **settings.for_log())
    _collect_garbage_rarely()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,  # service.middleware writes one line per request, and knows more
        server_header=False,
    )
    GatewayServer(config, drain, drain_delay_s=settings.drain_delay_s, shutdown_s=settings.shutdown_s).run()


def _collect_garbage_rarely() -> None:
    """What lives as long as the process is not searched for garbage again, and the rest more rarely: with hundreds of
    streams, whose objects are no garbage, Python's defaults stop all of them for tens of milliseconds at a time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
