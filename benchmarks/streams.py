"""Measures how many streams one gateway process holds, and the latency that it adds to their tokens.

    python -m benchmarks.streams --streams 500

A stub engine streams stamped tokens to each of N clients, first straight, then through the gateway, in turns. Stub,
gateway and client are three processes that share the machine's cores. The delay of a token is the time from the stub's
write to the client's read; what the gateway adds is the difference of the two ways' delays. Since the time between two
tokens can grow by no more than the later one's delay, it bounds the added inter-token delay too.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.stub_stack import ENDLESS, gateway_and_stub, raw_request, streamed, supervised
from launcher.addresses import Addresses, choose_addresses
from launcher.run_folder import RunFolder
from launcher.supervisor import Change

_FIGURE = Path("examples/growth.png")
_START_DEADLINE_S = 60.0

WAYS = ("straight", "gateway")


@dataclass
class Setup:
    """What runs, and the HTTP request that a stream sends on each way, as a file."""

    addresses: Addresses
    requests: dict[str, Path]
    pids: dict[str, int] = field(default_factory=dict)

    def note(self, change: Change) -> None:
        self.pids[change.service.name] = change.pid


@asynccontextmanager
async def running(tokens_per_s: int, figure: bytes) -> AsyncIterator[Setup]:
    """Stub engine and gateway, ready."""
    addresses = choose_addresses("127.0.0.1", 0)
    with tempfile.TemporaryDirectory(prefix="llava-graph-bench-") as path, RunFolder.open(Path(path)) as folder:
        requests = {way: folder.path / f"{way}.http" for way in WAYS}
        requests["straight"].write_bytes(raw_request("/v1/chat/completions", json={"max_tokens": ENDLESS}))
        fields = {"caption": "Growth of three strains.", "ocr": "off", "max_tokens": str(ENDLESS)}
        files = {"image": ("growth.png", figure)}
        requests["gateway"].write_bytes(raw_request("/v1/explain", data=fields, files=files))
        # One gateway's worth of streams at once, and none that waits for its turn.
        parts = gateway_and_stub(addresses, folder, tokens_per_s, {"LLAVA_GRAPH_MAX_ANSWERS": "1024"})
        setup = Setup(addresses, requests)
        async with supervised(parts, folder, _START_DEADLINE_S, setup.note):
            yield setup


async def measure(setup: Setup, way: str, streams: int, seconds: float) -> dict[str, Any]:
    """What the client in a process of its own measured on one way."""
    port, server = {
        "straight": (setup.addresses.engine.port, "engine"),
        "gateway": (setup.addresses.gateway.port, "gateway"),
    }[way]
    return {"way": way, **await streamed(port, setup.requests[way], setup.pids[server], streams, seconds)}


async def rounds(count: int, streams: int, seconds: float, tokens_per_s: int, figure: bytes) -> list[dict[str, Any]]:
    """Straight and gateway in turns, so that drift of the machine meets both."""
    measured = []
    async with running(tokens_per_s, figure) as setup:
        for _ in range(count):
            for way in WAYS:
                measured.append(await measure(setup, way, streams, seconds))
                click.echo(json.dumps(measured[-1]))
    return measured


def table(measured: list[dict[str, Any]]) -> str:
    """The rounds as Markdown."""
    head = "| way | streams | tokens/s | delay p50 | p99 | longest | server CPU | server memory | a stream |"
    rows = [
        f"| {one['way']} | {one['streams']} | {one['tokens_per_s']:,.0f} | {one['delay_p50_ms']:.1f} ms "
        f"| {one['delay_p99_ms']:.1f} ms | {one['delay_max_ms']:.1f} ms | {one['server_cpu']:.2f} cores "
        f"| {one['server_rss_mib']:.0f} MiB | {one['server_grew_kib']:.0f} KiB |"
        for one in measured
    ]
    return "\n".join([head, "| --- |" + " ---: |" * 8, *rows])


@click.command()
@click.option("--streams", type=click.IntRange(1), default=500, show_default=True, help="Held at the same time.")
@click.option("--tokens-per-s", type=click.IntRange(1, 1000), default=100, show_default=True, help="Of each stream.")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="Measured in each round.")
@click.option("--rounds", "count", type=click.IntRange(1), default=2, show_default=True, help="Of both ways.")
def main(streams: int, tokens_per_s: int, seconds: float, count: int) -> None:
    """Measure how late one gateway process makes the tokens of many streams."""
    measured = asyncio.run(rounds(count, streams, seconds, tokens_per_s, _FIGURE.read_bytes()))
    click.echo(table(measured))


if __name__ == "__main__":
    main()
