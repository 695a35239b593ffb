"""Measures the gateway's cost: the same prompts straight to the engine and through the gateway, in turns.

    python -m benchmarks.serving --vllm-python .venv-vllm/bin/python

The real stack (Redis, OCR worker, engine, gateway) serves the shipped model. First every figure is explained once,
which fills the OCR cache and tells what the gateway's prompt for it is; that prompt is what the engine gets straight.
Then, for each number of requests under way, rounds of the ways follow each other, so that drift of the machine meets
all of them:

    engine    straight to its API, streamed
    gateway   POST /v1/explain, streamed, the figure's text in the cache
    new       the same with figures never seen before: OCR reads each, and the engine's image cache knows none

All answers are greedy and cut at the same number of tokens. The client is this process, the same for all ways.

vLLM's processes wait for each other without sleeping, so on two cores they take both, and each process more that a
token passes through waits for its turn. Engines that have a GPU, or cores to themselves, do not do that to their
neighbours. So the engine gets one half of the cores here and all else the other, on all ways; `--together` lets all
run everywhere.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import click
import numpy as np
from PIL import Image

from data.synthetic import write
from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from launcher.engine.command import EngineChoice
from launcher.stack import running_stack
from llava_graph.context import DEFAULT_QUESTION, FigureContext, Turn, conversation
from llava_graph.figure import open_figure
from llava_graph.manifest import load_manifest
from llava_graph.ocr import Line
from service.figures.decode import EncodedFigure

FIRST_SEED = 2_000_000
START_DEADLINE_S = 300.0
REQUEST_DEADLINE_S = 300.0
WAYS = ("engine", "gateway", "new")

REQUESTS = {1: 16, 4: 32, 16: 96, 64: 128}
"""In one round, by the number under way."""

ENGINES = ("vllm", "transformers")

SLOW = 0.25
"""What `new`, which waits for OCR, and `transformers serve`, which answers one request at a time, get of them."""

LIGHT_LEVELS = (1, 4, 16)
"""For `transformers serve`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. Seconds; `gaps_s` are the times between two arrivals of text."""

    first_token_s: float
    gaps_s: list[float]
    tokens: int


@dataclass
class Figure:
    """A figure to explain. `body` is the request that the gateway makes of it, once it is known."""

    image: Image.Image
    caption: str
    png: bytes
    body: bytes = b""

    def unseen(self, number: int) -> bytes:
        """The PNG of a new figure that looks the same: one corner pixel counts."""
        other = self.image.copy()
        other.putpixel((0, 0), ((number >> 16) & 255, (number >> 8) & 255, number & 255))
        return _png(other)


@dataclass
class Round:
    """All requests of one way at one level, over all rounds; `wall_s` is their time together."""

    way: str
    level: int
    samples: list[Sample] = field(default_factory=list)
    wall_s: float = 0.0
    failures: int = 0

    def summary(self) -> dict[str, Any]:
        gaps_ms = [gap * 1000 for sample in self.samples for gap in sample.gaps_s]
        first_ms = [sample.first_token_s * 1000 for sample in self.samples]
        return {
            "way": self.way,
            "concurrency": self.level,
            "requests": len(self.samples),
            "failures": self.failures,
            "requests_per_s": len(self.samples) / self.wall_s,
            "tokens_per_s": sum(sample.tokens for sample in self.samples) / self.wall_s,
            "first_token_p50_ms": float(np.percentile(first_ms, 50)),
            "first_token_p95_ms": float(np.percentile(first_ms, 95)),
            "between_tokens_p95_ms": float(np.percentile(gaps_ms, 95)),
        }


Asking = Callable[[aiohttp.ClientSession, Figure], Awaitable[Sample]]


class Bench:
    """One running stack, asked on all ways."""

    def __init__(self, gateway_url: str, engine_url: str, figures: Sequence[Figure], max_tokens: int) -> None:
        self._gateway_url = gateway_url
        self._engine_url = engine_url
        self._figures = figures
        self._max_tokens = max_tokens
        self._unseen = 0

    async def prepare(self, model_dir: Path) -> None:
        """Has every figure read, makes the prompt of each, and warms the engine up on all ways."""
        manifest = load_manifest(model_dir)
        async with session() as http:
            for figure in self._figures:
                lines = await self._read(http, figure)
                opened = open_figure(figure.png)
                context = FigureContext(opened.width, opened.height, figure.caption, lines)
                image_part = EncodedFigure(opened.id, opened.width, opened.height, opened.png()).image_part()
                turns = [Turn("user", DEFAULT_QUESTION)]
                messages, _ = conversation(manifest.context_template, context, turns, image_part)
                figure.body = json.dumps(
                    {
                        "model": manifest.name,
                        "messages": messages,
                        "max_tokens": self._max_tokens,
                        "temperature": 0,
                        "stream": True,
                        "stream_options": {"include_usage": True},
                    }
                ).encode()
                await self._straight(http, figure)

    async def measure(self, levels: Sequence[int], rounds: int, scale: float, ways: Sequence[str]) -> list[Round]:
        results = [Round(way, level) for level in levels for way in ways]
        for result_level in levels:
            for _ in range(rounds):
                for result in (result for result in results if result.level == result_level):
                    share = scale * (SLOW if result.way == "new" else 1)
                    await self._round(result, max(result_level, round(REQUESTS[result_level] * share)))
        return results

    async def _round(self, result: Round, count: int) -> None:
        ask: Asking = {"engine": self._straight, "gateway": self._explained, "new": self._explained_unseen}[result.way]
        waiting: Iterator[Figure] = iter([self._figures[i % len(self._figures)] for i in range(count)])

        async def client(http: aiohttp.ClientSession) -> None:
            for figure in waiting:
                try:
                    result.samples.append(await ask(http, figure))
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    result.failures += 1
                    click.echo(f"{result.way} at {result.level}: {type(error).__name__}: {error}", err=True)

        async with session() as http:
            started = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(result.level):
                    group.create_task(client(http))
            result.wall_s += time.perf_counter() - started

    async def _straight(self, http: aiohttp.ClientSession, figure: Figure) -> Sample:
        request = http.post(
            f"{self._engine_url}/v1/chat/completions",
            data=figure.body,
            headers={"Content-Type": "application/json"},
        )

        def piece(_: str, data: bytes) -> tuple[bool, int | None]:
            if data == b"[DONE]":
                return False, None
            chunk = json.loads(data)
            usage = chunk.get("usage")
            text = chunk["choices"][0]["delta"].get("content") if chunk["choices"] else None
            return bool(text), usage["completion_tokens"] if usage else None

        return await _timed(request, piece)

    async def _explained(self, http: aiohttp.ClientSession, figure: Figure) -> Sample:
        return await self.explain(http, figure.png, figure.caption)

    async def _explained_unseen(self, http: aiohttp.ClientSession, figure: Figure) -> Sample:
        self._unseen += 1
        return await self.explain(http, figure.unseen(self._unseen), figure.caption)

    async def explain(self, http: aiohttp.ClientSession, png: bytes, caption: str) -> Sample:
        def piece(event: str, data: bytes) -> tuple[bool, int | None]:
            if event == "error":
                raise ValueError(data.decode())
            return event == "delta", json.loads(data)["usage"]["completion_tokens"] if event == "done" else None

        return await _timed(self._post(http, png, caption), piece)

    async def _read(self, http: aiohttp.ClientSession, figure: Figure) -> list[Line]:
        """The figure's text, as the gateway tells it."""
        async with self._post(http, figure.png, figure.caption) as response:
            async for event, data in _events(response):
                if event == "ocr":
                    found = json.loads(data)
                    if found["status"] not in ("ok", "cached"):
                        raise click.ClickException(f"a figure's text was not read: {found['status']}")
                    lines = [Line.from_json(line) for line in found["lines"]]
        return lines

    def _post(self, http: aiohttp.ClientSession, png: bytes, caption: str) -> Any:
        form = aiohttp.FormData()
        form.add_field("image", png, filename="figure.png", content_type="image/png")
        form.add_field("caption", caption)
        form.add_field("max_tokens", str(self._max_tokens))
        form.add_field("temperature", "0")
        return http.post(f"{self._gateway_url}/v1/explain", data=form)


async def _timed(request: Any, piece: Callable[[str, bytes], tuple[bool, int | None]]) -> Sample:
    """Sends a request; `piece` says of each event whether it brings text, and how many tokens there were, if known."""
    clock = time.perf_counter
    asked = last = clock()
    first: float | None = None
    gaps: list[float] = []
    tokens = 0
    async with request as response:
        if response.status != 200:
            raise ValueError(f"HTTP {response.status}: {(await response.text())[:200]}")
        async for event, data in _events(response):
            brings_text, counted = piece(event, data)
            tokens = counted or tokens
            if brings_text:
                now = clock()
                if first is None:
                    first = now - asked
                else:
                    gaps.append(now - last)
                last = now
    if first is None:
        raise ValueError("the answer is empty")
    return Sample(first, gaps, tokens)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, bytes]]:
    """Name and data of each server-sent event; the name is empty where none is given."""
    event = ""
    async for line in response.content:
        if line.startswith(b"event:"):
            event = line[6:].strip().decode()
        elif line.startswith(b"data:"):
            yield event, line[5:].strip()
        elif not line.strip():
            event = ""


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=REQUEST_DEADLINE_S)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=0), read_bufsize=4 * 1024 * 1024
    ) as http:
        yield http


def figures(count: int) -> list[Figure]:
    """Held-out figures of the generator with their captions."""
    drawn = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        spec = sample_figure(seed, "heldout")
        image = render(spec).image.convert("RGB")
        drawn.append(Figure(image, write.caption(spec, random.Random(f"caption-{seed}")), _png(image)))
    return drawn


def _png(image: Image.Image) -> bytes:
    with io.BytesIO() as file:
        image.save(file, "PNG")
        return file.getvalue()


async def run(
    model_dir: Path,
    *,
    choice: EngineChoice,
    levels: Sequence[int],
    count: int,
    rounds: int,
    scale: float,
    max_tokens: int,
    ways: Sequence[str],
    together: bool,
) -> list[dict[str, Any]]:
    """Starts the stack with this engine and measures all ways at all levels."""
    drawn = figures(count)
    with tempfile.TemporaryDirectory(prefix="llava-graph-bench-") as folder:
        run_dir = Path(folder)
        async with running_stack(model_dir, choice, "127.0.0.1", 0, run_dir, START_DEADLINE_S, lambda _: None) as stack:
            state = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
            with nullcontext() if together else kept_apart(state["parts"]):
                bench = Bench(stack.url, state["engine_url"], drawn, max_tokens)
                await bench.prepare(model_dir)
                return [result.summary() for result in await bench.measure(levels, rounds, scale, ways)]


@contextmanager
def kept_apart(parts: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Gives the engine the first half of the cores, and the other parts and this process the second; this process
    gets all of them back in the end, for what it starts afterwards."""
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    if half == 0:
        raise click.ClickException("there is only one core: nothing can be kept apart (--together)")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            group = os.getpgid(int(process.name))
            owner = next((name for name, part in parts.items() if part["pid"] == group), None)
            if owner is not None:
                for thread in (process / "task").iterdir():
                    os.sched_setaffinity(int(thread.name), cores[:half] if owner == "engine" else cores[half:])
        except (ProcessLookupError, FileNotFoundError):
            continue  # it ended meanwhile
    os.sched_setaffinity(0, cores[half:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def table(results: Sequence[dict[str, Any]]) -> str:
    """One row a level and way; in brackets what the way is of the engine's own figure."""
    rows = [
        "| concurrency | way | requests/s | tokens/s | first token p50 / p95, ms | between tokens p95, ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    straight = {result["concurrency"]: result for result in results if result["way"] == "engine"}
    for result in results:
        level = result["concurrency"]
        of_engine = f" ({result['tokens_per_s'] / straight[level]['tokens_per_s']:.3f})" if level in straight else ""
        rows.append(
            f"| {level} | {result['way']} | {result['requests_per_s']:.2f} | {result['tokens_per_s']:.0f}{of_engine} | "
            f"{result['first_token_p50_ms']:.1f} / {result['first_token_p95_ms']:.1f} | "
            f"{result['between_tokens_p95_ms']:.1f} |"
        )
    return "\n".join(rows)


@click.command()
@click.option("--model", "model_dir", type=click.Path(path_type=Path), default=Path("model_repo/llava-graph-tiny"))
@click.option("--vllm-python", default=".venv-vllm/bin/python", show_default=True, help="Interpreter that has vLLM.")
@click.option("--levels", default="1,4,16,64", show_default=True, help="Requests under way, of vLLM.")
@click.option("--figures", "count", type=click.IntRange(min=1), default=16, show_default=True, help="Different ones.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Of every way and level.")
@click.option("--scale", type=click.FloatRange(min=0.01), default=1.0, show_default=True, help="Requests of a round.")
@click.option("--max-tokens", type=click.IntRange(min=2), default=64, show_default=True, help="Longest answer.")
@click.option("--engine", "engines", multiple=True, type=click.Choice(ENGINES), help="One of them only.")
@click.option("--together", is_flag=True, help="Let the engine share all cores with the others.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File for the result as JSON.")
def main(
    model_dir: Path,
    vllm_python: str,
    levels: str,
    count: int,
    rounds: int,
    scale: float,
    max_tokens: int,
    engines: tuple[str, ...],
    together: bool,
    out: Path | None,
) -> None:
    """Measure what the gateway costs, and what vLLM gains over transformers' own server."""
    wanted = [int(level) for level in levels.split(",")]
    if unknown := set(wanted) - REQUESTS.keys():
        raise click.UsageError(f"levels are of {', '.join(map(str, REQUESTS))}; not {unknown.pop()}")
    plans: dict[str, dict[str, Any]] = {
        "vllm": {
            "choice": EngineChoice("vllm", vllm_python),
            "levels": wanted,
            "rounds": rounds,
            "scale": scale,
            "ways": WAYS,
        },
        "transformers": {
            "choice": EngineChoice("transformers", sys.executable),
            "levels": [level for level in wanted if level in LIGHT_LEVELS],
            "rounds": 1,
            "scale": scale * SLOW,
            "ways": ("engine", "gateway"),
        },
    }
    # vLLM's OpenMP threads spin on every core that they may use, and its API server then hands over whole answers at
    # once, to the gateway or not: with a core left to the others the first token can be timed.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))
    results = {}
    for engine in engines or ENGINES:
        plan = plans[engine]
        results[engine] = asyncio.run(run(model_dir, count=count, max_tokens=max_tokens, together=together, **plan))
        click.echo(f"{engine}\n\n{table(results[engine])}\n")
    if out is not None:
        out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if any(result["failures"] for engine in results.values() for result in engine):
        raise click.ClickException("some requests failed")


if __name__ == "__main__":
    main()
