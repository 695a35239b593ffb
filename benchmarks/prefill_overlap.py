"""Measures what it would gain to prefill image and caption while OCR still reads the figure.

    python -m benchmarks.prefill_overlap --vllm-python .venv-vllm/bin/python

The prompt begins with image and caption, and vLLM keeps the prefill of what prompts begin with. So an engine that is
sent both alone, at the moment when the figure comes, could have that part ready when its text is there. Two ways, in
turns, on figures that neither gateway nor engine has seen:

    now        POST /v1/explain
    overlap    the same; at the same moment image and caption alone go to the engine, for one token

The time is that to the first token of the explanation. The real stack serves the model, on the cores that
`benchmarks.serving` gives each part; `--gap` leaves the machine alone between two figures.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click
import numpy as np

from benchmarks.serving import START_DEADLINE_S, Bench, Figure, figures, kept_apart, session
from launcher.engine.command import EngineChoice
from launcher.stack import running_stack
from llava_graph.context import FigureContext, Turn, conversation
from llava_graph.figure import open_figure
from llava_graph.manifest import load_manifest
from service.figures.decode import EncodedFigure

WAYS = ("now", "overlap")
_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Measured:
    """Times of one figure: to the first token, and how long image and caption alone took; 0 if they were not sent."""

    way: str
    first_token_ms: float
    prefix_ms: float


async def measure(model_dir: Path, choice: EngineChoice, count: int, rounds: int, gap_s: float) -> list[Measured]:
    """Starts the stack and asks about each figure in each way, `rounds` times, as a figure that looks new each time."""
    drawn = figures(count)
    measured = []
    with tempfile.TemporaryDirectory(prefix="llava-graph-bench-") as folder:
        run_dir = Path(folder)
        async with running_stack(model_dir, choice, "127.0.0.1", 0, run_dir, START_DEADLINE_S, lambda _: None) as stack:
            state = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
            with kept_apart(state["parts"]):
                bench = Bench(stack.url, state["engine_url"], drawn, _TOKENS)
                await bench.prepare(model_dir)
                async with session() as http:
                    for number in range(count * rounds):
                        # The order changes from figure to figure, so that drift meets both ways alike.
                        for way in WAYS if number % 2 else WAYS[::-1]:
                            figure = drawn[number % count]
                            png = figure.unseen(2 * number + WAYS.index(way) + 1_000_000)
                            measured.append(await _one(bench, http, state["engine_url"], model_dir, figure, png, way))
                            await asyncio.sleep(gap_s)
    return measured


async def _one(
    bench: Bench,
    http: aiohttp.ClientSession,
    engine_url: str,
    model_dir: Path,
    figure: Figure,
    png: bytes,
    way: str,
) -> Measured:
    ahead = asyncio.create_task(_prefix(http, engine_url, model_dir, figure.caption, png)) if way == "overlap" else None
    sample = await bench.explain(http, png, figure.caption)
    prefix_s = await ahead if ahead else 0.0
    return Measured(way, sample.first_token_s * 1000, prefix_s * 1000)


async def _prefix(http: aiohttp.ClientSession, engine_url: str, model_dir: Path, caption: str, png: bytes) -> float:
    """Has the engine prefill what the gateway's prompt will begin with; seconds until it had."""
    manifest = load_manifest(model_dir)
    opened = open_figure(png)
    context = FigureContext(opened.width, opened.height, caption, ())
    image_part = EncodedFigure(opened.id, opened.width, opened.height, opened.png()).image_part()
    messages, _ = conversation(manifest.context_template, context, [Turn("user", "")], image_part)
    body: dict[str, Any] = {"model": manifest.name, "messages": messages, "max_tokens": 1, "temperature": 0}
    begun_s = asyncio.get_running_loop().time()
    async with http.post(f"{engine_url}/v1/chat/completions", json=body) as response:
        if response.status != 200:
            raise click.ClickException(f"the engine answered {response.status}: {(await response.text())[:200]}")
        await response.read()
    return asyncio.get_running_loop().time() - begun_s


def table(measured: list[Measured]) -> str:
    """Median and quartiles of each way, and what the second gains."""
    rows = [
        "| way | figures | first token p50, ms | quartiles, ms | image and caption alone p50, ms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    medians = {}
    for way in WAYS:
        firsts = [one.first_token_ms for one in measured if one.way == way]
        alone = [one.prefix_ms for one in measured if one.way == way and one.prefix_ms]
        low, medians[way], high = np.percentile(firsts, (25, 50, 75))
        prefix = f"{np.median(alone):.0f}" if alone else "–"
        rows.append(f"| {way} | {len(firsts)} | {medians[way]:.0f} | {low:.0f} to {high:.0f} | {prefix} |")
    gain = 1 - medians["overlap"] / medians["now"]
    return "\n".join(rows) + f"\n\nOverlap: first token {gain:+.1%} earlier at the median"


@click.command()
@click.option("--model", "model_dir", type=click.Path(path_type=Path), default=Path("model_repo/llava-graph-tiny"))
@click.option("--vllm-python", default=".venv-vllm/bin/python", show_default=True, help="Interpreter that has vLLM.")
@click.option("--figures", "count", type=click.IntRange(min=1), default=12, show_default=True, help="Different ones.")
@click.option("--rounds", type=click.IntRange(min=1), default=2, show_default=True, help="Of each figure and way.")
@click.option("--gap", "gap_s", type=click.FloatRange(min=0), default=0.2, show_default=True, help="Seconds between.")
def main(model_dir: Path, vllm_python: str, count: int, rounds: int, gap_s: float) -> None:
    """Measure the first token with and without the prefill of image and caption beside OCR."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))
    measured = asyncio.run(measure(model_dir, EngineChoice("vllm", vllm_python), count, rounds, gap_s))
    click.echo(table(measured))


if __name__ == "__main__":
    main()
