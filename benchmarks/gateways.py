"""Measures this gateway beside LiteLLM's proxy and nginx, all in front of one stub engine, in one run.

    python -m benchmarks.gateways --litellm .venv-litellm/bin/litellm --streams 1 --streams 16

Each way gets the same request of OpenAI's chat completions, with a figure in it, and passes on stamped tokens to N
streams: straight, through nginx as a plain pass-through (the floor: it reads no event), through this gateway, which
decodes the figure, writes a prompt and looks at each event, and through LiteLLM's proxy. Each server is one process;
they take turns, and the idle ones wait. What a way adds is the difference of its delay to that of the straight way,
each the median of the rounds. At saturation the engine offers more than Python passes on; tokens a second by core is
what came through, divided by the processor time that the server took for it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import click

from benchmarks.stub_stack import ENDLESS, gateway_and_stub, healthy, raw_request, streamed, supervised
from launcher.addresses import Addresses, choose_addresses, reserved
from launcher.run_folder import RunFolder
from launcher.supervisor import Change, Service

STRAIGHT, NGINX, GATEWAY, LITELLM = "straight", "nginx", "gateway", "litellm"

_FIGURE = Path("examples/growth.png")
_START_DEADLINE_S = 300.0
_SATURATING_STREAMS = (1, 4, 16, 100)
"""Up to the first number that a way cannot begin: one that is overwhelmed is so for a while after."""
_SATURATING_TOKENS_PER_S = 1000

# As many as there are streams at once, and none that waits for its turn; without OCR workers, and no wait for one.
_UNBOUNDED = {"LLAVA_GRAPH_MAX_ANSWERS": "1024", "LLAVA_GRAPH_OCR_DEADLINE_S": "0.01"}

_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-errors.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    client_max_body_size 32m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{engine_port};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""

_KEY = f"sk-{secrets.token_hex(32)}"
"""LiteLLM does not start without one; the others do not look at it."""

_LITELLM = """
model_list:
  - model_name: stub
    litellm_params: {{model: openai/stub, api_base: "http://127.0.0.1:{engine_port}/v1", api_key: none}}
litellm_settings: {{telemetry: false, num_retries: 0}}
"""


@dataclass
class Setup:
    """What runs: the port of each way, the process that serves it, and the request as a file."""

    ports: dict[str, int]
    request: Path
    pids: dict[str, int] = field(default_factory=dict)

    def note(self, change: Change) -> None:
        self.pids[change.service.name] = change.pid

    async def measured(self, way: str, streams: int, seconds: float) -> dict[str, Any]:
        """`begun` is False, and nothing else is known, where not all streams began in the client's time."""
        pid = self.pids["engine" if way == STRAIGHT else way]
        try:
            found = await streamed(self.ports[way], self.request, pid, streams, seconds)
        except click.ClickException:
            return {"way": way, "streams": streams, "begun": False}
        return {"way": way, "begun": True, **found}


@asynccontextmanager
async def running(tokens_per_s: int, figure: bytes, nginx: str | None, litellm: str | None) -> AsyncIterator[Setup]:
    """Stub engine, gateway, and those of the others that there are, ready."""
    addresses = choose_addresses("127.0.0.1", 0)
    with tempfile.TemporaryDirectory(prefix="llava-graph-bench-") as path, RunFolder.open(Path(path)) as folder:
        parts = gateway_and_stub(addresses, folder, tokens_per_s, _UNBOUNDED)
        ports = {STRAIGHT: addresses.engine.port, GATEWAY: addresses.gateway.port}
        if nginx is not None:
            ports[NGINX] = _free_port()
            parts.append(_nginx_service(nginx, ports[NGINX], addresses, folder))
        if litellm is not None:
            ports[LITELLM] = _free_port()
            parts.append(_litellm_service(litellm, ports[LITELLM], addresses, folder))
        setup = Setup(ports, folder.path / "request.http")
        setup.request.write_bytes(_request(figure))
        async with supervised(parts, folder, _START_DEADLINE_S, setup.note):
            yield setup


def _nginx_service(nginx: str, port: int, addresses: Addresses, folder: RunFolder) -> Service:
    config = folder.path / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder.path, port=port, engine_port=addresses.engine.port))
    return Service(
        NGINX,
        [nginx, "-p", str(folder.path), "-e", str(folder.log(NGINX)), "-c", str(config)],
        healthy(f"http://127.0.0.1:{port}"),
        log=folder.log(NGINX),
        needs=["engine"],
    )


def _litellm_service(litellm: str, port: int, addresses: Addresses, folder: RunFolder) -> Service:
    config = folder.path / "litellm.yaml"
    config.write_text(_LITELLM.format(engine_port=addresses.engine.port))
    return Service(
        LITELLM,
        [litellm, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
        healthy(f"http://127.0.0.1:{port}", "/health/liveliness"),
        # It fetches a list of prices when it starts, unless it is told to use its own.
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": _KEY},
        log=folder.log(LITELLM),
        needs=["engine"],
    )


def _request(figure: bytes) -> bytes:
    url = f"data:image/png;base64,{base64.b64encode(figure).decode()}"
    content = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "Which strain grows fastest?"},
    ]
    body = {"model": "stub", "messages": [{"role": "user", "content": content}], "max_tokens": ENDLESS, "stream": True}
    return raw_request("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {_KEY}"})


def _free_port() -> int:
    with reserved("127.0.0.1", 0) as address:
        return address.port


async def rounds(
    count: int, streams: Sequence[int], seconds: float, figure: bytes, nginx: str | None, litellm: str | None
) -> list[dict[str, Any]]:
    """All ways in turns at each number of streams, so that drift of the machine meets all; then at saturation."""
    measured: list[dict[str, Any]] = []
    beaten: dict[str, int] = {}  # the fewest streams that a way could not begin: more are not tried, nor these again

    async def paced(setup: Setup, way: str, number: int) -> dict[str, Any]:
        if number >= beaten.get(way, number + 1):
            return {"way": way, "streams": number, "begun": False}
        one = await setup.measured(way, number, seconds)
        if not one["begun"]:
            beaten[way] = number
        return one

    def note(one: dict[str, Any], *, saturated: bool) -> None:
        measured.append({**one, "saturated": saturated})
        click.echo(json.dumps(measured[-1]), err=True)

    async with running(100, figure, nginx, litellm) as setup:
        for number in streams:
            for _ in range(count):
                for way in setup.ports:
                    note(await paced(setup, way, number), saturated=False)
    async with running(_SATURATING_TOKENS_PER_S, figure, nginx, litellm) as setup:
        for _ in range(count):
            for way in setup.ports:
                for number in _SATURATING_STREAMS:
                    one = await paced(setup, way, number)
                    note(one, saturated=True)
                    if not one["begun"]:
                        break
    return measured


def tables(measured: Sequence[dict[str, Any]]) -> str:
    """Medians of the rounds, as Markdown: what each way adds, then what passes at saturation."""
    ways = list(dict.fromkeys(one["way"] for one in measured))
    numbers = list(dict.fromkeys(one["streams"] for one in measured if not one["saturated"]))
    lines = [
        "| way | streams | tokens/s | added p50 | added p99 | CPU | memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for number in numbers:
        straight = _median(measured, STRAIGHT, number)
        lines += [_row(way, number, _median(measured, way, number), straight) for way in ways]
    lines += ["", f"At saturation ({_SATURATING_TOKENS_PER_S} tokens/s offered to each stream):", ""]
    lines += [
        "| way | streams | tokens/s | CPU | tokens/s by core | memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way in ways:
        begun = [one["streams"] for one in measured if one["way"] == way and one["saturated"] and one["begun"]]
        number = max(begun, default=_SATURATING_STREAMS[0])
        one = _median(measured, way, number, saturated=True)
        by_core = one and f"{one['tokens_per_s'] / max(one['server_cpu'], 0.01):,.0f}"
        lines.append(
            f"| {way} | {number} | {one['tokens_per_s']:,.0f} | {one['server_cpu']:.2f} cores | {by_core} "
            f"| {one['server_rss_mib']:.0f} MiB |"
            if one
            else f"| {way} | {number} | did not begin | | | |"
        )
    return "\n".join(lines)


def _row(way: str, number: int, one: dict[str, float] | None, straight: dict[str, float] | None) -> str:
    if one is None or straight is None:
        return f"| {way} | {number} | did not begin | | | | |"
    keys = ("delay_p50_ms", "delay_p99_ms")
    if way == STRAIGHT:
        added = [f"({straight[key]:.2f} ms)" for key in keys]
    else:
        added = [f"{one[key] - straight[key]:.2f} ms" for key in keys]
    return (
        f"| {way} | {number} | {one['tokens_per_s']:,.0f} | {added[0]} | {added[1]} "
        f"| {one['server_cpu']:.2f} cores | {one['server_rss_mib']:.0f} MiB |"
    )


def _median(
    measured: Sequence[dict[str, Any]], way: str, streams: int, *, saturated: bool = False
) -> dict[str, float] | None:
    """Of each figure over the rounds; None where the streams of one did not begin."""
    those = [one for one in measured if (one["way"], one["streams"], one["saturated"]) == (way, streams, saturated)]
    if not those or not all(one["begun"] for one in those):
        return None
    keys = ("tokens_per_s", "delay_p50_ms", "delay_p99_ms", "server_cpu", "server_rss_mib")
    return {key: median(float(one[key]) for one in those) for key in keys}


@click.command()
@click.option("--streams", type=click.IntRange(1), multiple=True, default=(1, 16, 100, 500), show_default=True)
@click.option("--seconds", type=float, default=10.0, show_default=True, help="Measured each time.")
@click.option("--rounds", "count", type=click.IntRange(1), default=3, show_default=True, help="Of all ways.")
@click.option("--litellm", help="LiteLLM's command, in an environment of its own; without it, it is left out.")
@click.option("--nginx", help="nginx's program; else the one on the PATH, or it is left out.")
def main(streams: tuple[int, ...], seconds: float, count: int, litellm: str | None, nginx: str | None) -> None:
    """Measure what gateways add to the tokens of one engine, side by side."""
    nginx = nginx or shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    for name, command in ((NGINX, nginx), (LITELLM, litellm)):
        if command is None:
            click.echo(f"{name} is left out: there is none.", err=True)
    click.echo(f"Load of the machine at the beginning: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    measured = asyncio.run(rounds(count, streams, seconds, _FIGURE.read_bytes(), nginx, litellm))
    click.echo(tables(measured))
    click.echo(f"Load at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
