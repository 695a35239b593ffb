"""Measures what it gains that requests about a figure go to the same engine, against engines that take turns.

    python -m benchmarks.dispatch

Conversations about many figures, several at a time, through a real gateway in a process of its own with a real Redis.
The engines are stubs with a simulated prefix cache (benchmarks/cached_engines.py), the same for both ways: *affinity*
lists them in the engines file, *in turn* names the port behind which they take turns, as behind a plain load balancer.
Which figures are asked about, in which order, is drawn once and the same for both. So the hits are what the two ways of
dispatching make of the same requests; the times follow from the simulated prefill, whose lengths are given, and say
nothing of a real engine. Writes a table in Markdown with the load of the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import click
import httpx2
from PIL import Image, ImageDraw

from benchmarks.stub_stack import supervised
from launcher import services
from launcher.addresses import choose_addresses
from launcher.run_folder import RunFolder
from llava_graph import client
from llava_graph.context import Turn

_MANIFEST = """
name = "stub"
revision = "1"
context_template = "located"
context_length = 1000000
max_new_tokens = 1000
"""
_START_DEADLINE_S = 120.0
_SEED = 15

WAYS = ("in turn", "affinity")


@dataclass(frozen=True, slots=True)
class Workload:
    """So many conversations, each about one of the figures and of so many turns; `at_once` of them go on together."""

    figures: int
    conversations: int
    turns: int
    at_once: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the engines are, and where they take turns."""

    engines: list[int]
    in_turn: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one way: prompts found in caches and not, and the time to each first token, seen by the client."""

    way: str
    hits: int
    misses: int
    first_token_ms: list[float]
    requests_per_engine: list[int]

    @property
    def hit_share(self) -> float:
        return self.hits / (self.hits + self.misses)

    def percentile_ms(self, percent: int) -> float:
        return statistics.quantiles(self.first_token_ms, n=100)[percent - 1]


@asynccontextmanager
async def engines(*options: str) -> AsyncIterator[Ports]:
    """The stub engines in a process of their own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.cached_engines", *options), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_DEADLINE_S):
            line = await process.stdout.readline()
        if not line:
            raise click.ClickException("the stub engines did not start")
        yield Ports(**json.loads(line))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def gateway(way: str, ports: Ports) -> AsyncIterator[httpx2.AsyncClient]:
    """A gateway that dispatches in this way, ready."""
    addresses = choose_addresses("127.0.0.1", 0)
    with tempfile.TemporaryDirectory(prefix="llava-graph-bench-") as path, RunFolder.open(Path(path)) as folder:
        (folder.path / "manifest.toml").write_text(_MANIFEST)
        service = services.gateway_service(addresses, folder.path, folder)
        if way == "affinity":
            listed = "".join(f'[[models.engines]]\nurl = "http://127.0.0.1:{port}"\n' for port in ports.engines)
            (folder.path / "engines.toml").write_text(f'[[models]]\ndir = "."\n{listed}')
            how = {"LLAVA_GRAPH_ENGINES_FILE": str(folder.path / "engines.toml")}
        else:
            how = {"LLAVA_GRAPH_ENGINE_URL": f"http://127.0.0.1:{ports.in_turn}"}
        parts = [services.redis_service(addresses, folder), replace(service, env={**service.env, **how})]
        async with (
            supervised(parts, folder, _START_DEADLINE_S),
            httpx2.AsyncClient(base_url=addresses.gateway.url, timeout=120, trust_env=False) as http,
        ):
            yield http


async def measure(way: str, ports: Ports, workload: Workload) -> Result:
    """The workload once, with caches that are empty at the beginning."""
    drawn = random.Random(_SEED)
    asked_about = [drawn.randrange(workload.figures) for _ in range(workload.conversations)]
    first_token_ms: list[float] = []
    async with (
        gateway(way, ports) as http,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{ports.in_turn}", trust_env=False) as stubs,
    ):
        kept = [str((await client.add_figure(http, _png(number), ""))["id"]) for number in range(workload.figures)]
        await stubs.post("/forget")
        waiting = iter(asked_about)

        async def talk() -> None:
            for figure in waiting:
                first_token_ms.extend(await _conversation(http, kept[figure], workload))

        await asyncio.gather(*(talk() for _ in range(workload.at_once)))
        counts = (await stubs.get("/counts")).json()
    hits, misses = ([count[kind] for count in counts] for kind in ("hits", "misses"))
    per_engine = [hit + miss for hit, miss in zip(hits, misses, strict=True)]
    return Result(way, sum(hits), sum(misses), first_token_ms, per_engine)


async def _conversation(http: httpx2.AsyncClient, kept_id: str, workload: Workload) -> list[float]:
    """The time to the first token of each turn, in milliseconds."""
    turns: list[Turn] = []
    times = []
    for number in range(workload.turns):
        turns.append(Turn("user", f"Question {number + 1}?"))
        asked_s = time.perf_counter()
        text = ""
        events = client.chat(http, kept_id, turns, ocr=False, max_tokens=workload.tokens)
        async with aclosing(events):
            async for event in events:
                if event.name == "delta" and not text:
                    times.append((time.perf_counter() - asked_s) * 1000)
                if event.name == "delta":
                    text += event.data["text"]
        turns.append(Turn("assistant", text))
    return times


def _png(number: int) -> bytes:
    """A figure that no other is equal to."""
    page = Image.new("RGB", (160, 120), "white")
    ImageDraw.Draw(page).text((10, 50), f"Figure {number}", fill="black")
    file = BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def table(results: list[Result]) -> str:
    """The results as Markdown."""
    head = "| way | requests | found in caches | first token p50 | p95 | requests of each engine |"
    rows = [
        f"| {one.way} | {one.hits + one.misses} | {one.hit_share:.1%} | {one.percentile_ms(50):.0f} ms "
        f"| {one.percentile_ms(95):.0f} ms | {', '.join(map(str, one.requests_per_engine))} |"
        for one in results
    ]
    return "\n".join([head, "| --- | ---: | ---: | ---: | ---: | --- |", *rows])


async def run(stub_options: list[str], workload: Workload, rounds: int) -> list[Result]:
    """Both ways in turns, so that drift of the machine meets both."""
    results = []
    async with engines(*stub_options) as ports:
        for _ in range(rounds):
            results += [await measure(way, ports, workload) for way in WAYS]
    return results


@click.command()
@click.option("--engines", "count", type=click.IntRange(2, 64), default=3, show_default=True)
@click.option("--cached-figures", type=click.IntRange(1), default=24, show_default=True, help="Of each engine.")
@click.option("--hit-ms", type=click.FloatRange(0), default=20.0, show_default=True, help="Prefill of a known figure.")
@click.option("--miss-ms", type=click.FloatRange(0), default=300.0, show_default=True, help="Prefill of another.")
@click.option("--figures", type=click.IntRange(1), default=60, show_default=True)
@click.option("--conversations", type=click.IntRange(1), default=120, show_default=True)
@click.option("--turns", type=click.IntRange(1), default=3, show_default=True, help="Questions of each conversation.")
@click.option("--at-once", type=click.IntRange(1), default=6, show_default=True, help="Conversations.")
@click.option("--tokens", type=click.IntRange(1), default=20, show_default=True, help="Of each answer.")
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True, help="Of both ways.")
def main(
    count: int,
    cached_figures: int,
    hit_ms: float,
    miss_ms: float,
    figures: int,
    conversations: int,
    turns: int,
    at_once: int,
    tokens: int,
    rounds: int,
) -> None:
    """Measure cache hits and first tokens with affinity by figure, and with engines in turn."""
    stubs = ["--engines", count, "--cached-figures", cached_figures, "--hit-ms", hit_ms, "--miss-ms", miss_ms]
    workload = Workload(figures, conversations, turns, at_once, tokens)
    before = os.getloadavg()[0]
    results = asyncio.run(run([str(option) for option in stubs], workload, rounds))
    click.echo(table(results))
    click.echo(
        f"\nLoad of the machine: {before:.1f} before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores."
    )


if __name__ == "__main__":
    main()
