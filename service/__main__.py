"""Runs the gateway: `python -m service`, or `llava-graph gateway`. Everything else is set in the environment."""

from __future__ import annotations

import gc

import click
import structlog
import uvicorn
from pydantic import ValidationError

from llava_graph.manifest import ManifestError
from service.access import AccessError
from service.app import create_app
from service.drain import Drain
from service.logs import configure_logging
from service.server import GatewayServer
from service.settings import GatewaySettings


@click.command()
@click.option("--host", help="Address to listen on  [env: LLAVA_GRAPH_HOST]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one  [env: LLAVA_GRAPH_PORT]"
)
def main(host: str | None, port: int | None) -> None:
    """Run the gateway. Settings are environment variables with the prefix LLAVA_GRAPH_ (see the README)."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    try:
        settings = GatewaySettings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = [f"LLAVA_GRAPH_{str(entry['loc'][0]).upper()}: {entry['msg']}" for entry in error.errors()]
        raise click.ClickException("; ".join(wrong)) from error
    configure_logging(settings.log_level)
    drain = Drain()
    try:
        app = create_app(settings, drain=drain)
    except (AccessError, ManifestError) as error:
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


if __name__ == "__main__":
    main()
