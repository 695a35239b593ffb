"""Runs the gateway: `python -m service`, or `llava-graph gateway`. Everything else is set in the environment.

`--check` asks a running gateway for its state, for health checks: a new process every few seconds, which must not load
what only a gateway needs. So this module imports only the settings, and imports `service.process.run`, or `.parent`,
when it starts a gateway.
"""

from __future__ import annotations

import asyncio
import sys

import click
from pydantic import ValidationError

from llava_graph.address import Address
from service.process.check import check_gateway
from service.settings import GatewaySettings


@click.command()
@click.option("--host", help="Address to listen on  [env: LLAVA_GRAPH_HOST]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one  [env: LLAVA_GRAPH_PORT]"
)
@click.option(
    "--workers", type=click.IntRange(1, 256), help="Processes that answer at the port  [env: LLAVA_GRAPH_WORKERS]"
)
@click.option("--check", is_flag=True, help="Exit with 0 when the gateway at this address is ready, else with 1.")
def main(host: str | None, port: int | None, workers: int | None, check: bool) -> None:
    """Run the gateway. Settings are environment variables with the prefix LLAVA_GRAPH_ (see docs/settings.md)."""
    options = {"host": host, "port": port, "workers": workers}
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = GatewaySettings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = [f"LLAVA_GRAPH_{str(entry['loc'][0]).upper()}: {entry['msg']}" for entry in error.errors()]
        raise click.ClickException("; ".join(wrong)) from error
    if check:
        sys.exit(_check(settings))
    if settings.workers > 1:
        from service.process.parent import run_several

        run_several(settings)
    else:
        from service.process.run import run

        run(settings)


def _check(settings: GatewaySettings) -> int:
    """Exit status: 0 when the gateway that these settings describe is ready, else 1. Prints one line either way."""
    if settings.port == 0:
        raise click.UsageError("--check needs the port of the gateway to ask")
    found = asyncio.run(check_gateway(Address(settings.host, settings.port).url))
    click.echo(found.words, err=not found.ok)
    return 0 if found.ok else 1


if __name__ == "__main__":
    main()
