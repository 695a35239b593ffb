"""Load test of a running gateway: how fast it answers, and what it refuses.

    python -m benchmarks.load http://127.0.0.1:8000 --concurrency 16
    python -m benchmarks.load http://127.0.0.1:8000 --rate 4 --known 0.8 --seconds 120 --out load.json

In a closed loop (`--concurrency`) so many clients each ask again as soon as they are answered: what the service can do
at most. In an open loop (`--rate`) figures arrive at random, so many a second on average (a Poisson process), whether
those before are answered or not: what users do, and what a service falls behind with. There times count from the
arrival.

A share of the figures (`--known`) were explained once before the measured time, so that their text is known; the others
look the same but for a few random pixels, and are new. Refused requests are not repeated.

It ends by itself: after `--count` requests or `--seconds` no new ones are begun, those under way have `--patience`, and
what is left is disconnected and counted as `cut`; ctrl-C does so at once. The key is taken from LLAVA_GRAPH_KEY. It
knows only the gateway's HTTP interface, so it can, and preferably does, run on another machine.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx2
import numpy as np
from PIL import Image

from data.synthetic import write
from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from launcher.bulk import BulkError, find_figures, read_captions
from launcher.running import gateway_client
from llava_graph import client
from llava_graph.client import ExplainError
from llava_graph.figure import FigureError, open_figure

FIRST_SEED = 3_000_000

MOST_OPEN = 2_000
"""Requests under way in an open loop, past which arrivals are not sent: this client has its bounds, too."""

PREPARED = 64
"""Uploads made ahead, so that making them is not measured."""

PREPARED_AT_ONCE = 4

BUSY_CORES = 0.8
"""This client is one process; with more of a core than that it measures itself."""

CHANCE_PIXELS = 4
"""Of three bytes each: no two figures are ever the same."""

PERCENTILES = (50, 90, 95, 99)

OK, CUT, NOT_SENT = "ok", "cut", "not_sent"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure to explain: the upload of a known one, and the source of new ones that look the same."""

    file: bytes
    image: Image.Image
    caption: str

    def unseen(self) -> bytes:
        other = self.image.copy()
        for x in range(min(CHANCE_PIXELS, other.width)):
            red, green, blue = secrets.token_bytes(3)
            other.putpixel((x, 0), (red, green, blue))
        return _png(other)


@dataclass(frozen=True, slots=True)
class Upload:
    file: bytes
    caption: str
    known: bool


@dataclass(slots=True)
class Sample:
    """One request. `code` is ok, the gateway's or the client's own, `cut` or `not_sent`. Seconds since the arrival."""

    known: bool
    code: str = CUT
    status: int | None = None
    ocr: str | None = None
    first_token_s: float | None = None
    total_s: float = 0.0
    tokens: int = 0
    gaps_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a load ends."""

    count: int
    seconds: float
    patience_s: float


class Load:
    """Requests for explanations against one gateway, until the bounds are reached; then `samples` holds them all."""

    def __init__(
        self,
        gateway: httpx2.AsyncClient,
        figures: Sequence[Figure],
        *,
        known_share: float,
        bounds: Bounds,
        max_tokens: int | None,
    ) -> None:
        self._gateway = gateway
        self._figures = figures
        self._known_share = known_share
        self._bounds = bounds
        self._max_tokens = max_tokens
        self._uploads: asyncio.Queue[Upload] = asyncio.Queue(PREPARED)
        self._chance = random.Random()
        self._begun = 0
        self._last_begin_s = 0.0
        self._end: asyncio.Timeout | None = None
        self.samples: list[Sample] = []
        self.wall_s = 0.0
        self.client_cores = 0.0

    async def make_known(self) -> int:
        """Has every figure explained once, for its text; returns how many stayed without. Raises ExplainError."""
        if self._known_share == 0:
            return 0
        waiting, unread = iter(self._figures), 0

        async def prepare() -> None:
            nonlocal unread
            for figure in waiting:
                async for event in client.explain(self._gateway, figure.file, figure.caption, max_tokens=1):
                    if event.name == "ocr":
                        unread += event.data["status"] not in ("ok", "cached")

        await asyncio.gather(*(prepare() for _ in range(PREPARED_AT_ONCE)))
        return unread

    async def closed(self, clients: int) -> None:
        """`clients` of them ask one figure after the other."""

        async def ask_on() -> None:
            while self._may_begin(time.perf_counter()):
                upload = await self._uploads.get()
                await self._ask(upload, time.perf_counter())

        async def begin(group: asyncio.TaskGroup) -> None:
            for _ in range(clients):
                group.create_task(ask_on())

        await self._run(begin)

    async def open(self, rate: float) -> None:
        """`rate` figures a second arrive on average, the first at once."""

        async def begin(group: asyncio.TaskGroup) -> None:
            arrives = time.perf_counter()
            under_way: set[asyncio.Task[None]] = set()
            while self._may_begin(arrives):
                upload = await self._uploads.get()
                await asyncio.sleep(arrives - time.perf_counter())
                if len(under_way) < MOST_OPEN:
                    task = group.create_task(self._ask(upload, arrives))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                else:
                    self.samples.append(Sample(upload.known, NOT_SENT))
                arrives += self._chance.expovariate(rate)

        await self._run(begin)

    def stop(self) -> None:
        """Ends the load now, if it has not ended."""
        if self._end is not None and not self._end.expired():
            self._end.reschedule(asyncio.get_running_loop().time())

    async def _run(self, begin: Callable[[asyncio.TaskGroup], Coroutine[Any, Any, None]]) -> None:
        async with self._uploads_made():
            started_s, cpu_s = time.perf_counter(), time.process_time()
            self._last_begin_s = started_s + self._bounds.seconds
            with suppress(TimeoutError):
                async with asyncio.timeout(self._bounds.seconds + self._bounds.patience_s) as self._end:
                    async with asyncio.TaskGroup() as group:
                        await begin(group)
            self._end = None
            self.wall_s = time.perf_counter() - started_s
            self.client_cores = (time.process_time() - cpu_s) / self.wall_s

    def _may_begin(self, at_s: float) -> bool:
        """Whether a request may begin at that time; if so, it counts."""
        if self._begun >= self._bounds.count or at_s >= self._last_begin_s:
            return False
        self._begun += 1
        return True

    async def _ask(self, upload: Upload, arrived_s: float) -> None:
        sample = Sample(upload.known)
        self.samples.append(sample)
        last_s: float | None = None
        try:
            async for event in client.explain(self._gateway, upload.file, upload.caption, max_tokens=self._max_tokens):
                now_s = time.perf_counter()
                if event.name == "ocr":
                    sample.ocr = event.data["status"]
                elif event.name == "delta":
                    if last_s is None:
                        sample.first_token_s = now_s - arrived_s
                    else:
                        sample.gaps_s.append(now_s - last_s)
                    last_s = now_s
                elif event.name == "done":
                    sample.tokens = (event.data["usage"] or {}).get("completion_tokens", 0)
                    sample.code = OK
        except ExplainError as error:
            sample.code, sample.status = error.code, error.status
        finally:
            sample.total_s = time.perf_counter() - arrived_s

    @asynccontextmanager
    async def _uploads_made(self) -> AsyncIterator[None]:
        """Keeps uploads ready, in an order of chance; the first ones are when the block begins."""
        for _ in range(min(PREPARED, self._bounds.count)):
            self._uploads.put_nowait(await self._upload())
        maker = asyncio.create_task(self._make_uploads(), name="uploads")
        try:
            yield
        finally:
            maker.cancel()
            await asyncio.wait({maker})

    async def _make_uploads(self) -> None:
        while True:
            await self._uploads.put(await self._upload())

    async def _upload(self) -> Upload:
        figure, known = self._chance.choice(self._figures), self._chance.random() < self._known_share
        file = figure.file if known else await asyncio.to_thread(figure.unseen)
        return Upload(file, figure.caption, known)


def summary(samples: Sequence[Sample], wall_s: float) -> dict[str, Any]:
    """Outcomes, rates, and percentiles in milliseconds of what was answered, together and by whether it was known."""
    answered = [sample for sample in samples if sample.code == OK]
    kinds = {
        "all": answered,
        "known": [sample for sample in answered if sample.known],
        "new": [sample for sample in answered if not sample.known],
    }
    return {
        "seconds": wall_s,
        "requests": len(samples),
        "outcomes": dict(Counter(_outcome(sample) for sample in samples).most_common()),
        "ocr": dict(Counter(sample.ocr for sample in answered if sample.ocr is not None).most_common()),
        "answered_per_s": len(answered) / wall_s,
        "tokens_per_s": sum(sample.tokens for sample in answered) / wall_s,
        "answered": {kind: _times(of_kind) for kind, of_kind in kinds.items() if of_kind},
    }


def _outcome(sample: Sample) -> str:
    return sample.code if sample.status is None else f"{sample.code} ({sample.status})"


def _times(samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "requests": len(samples),
        "first_token_ms": _percentiles(sample.first_token_s for sample in samples if sample.first_token_s is not None),
        "total_ms": _percentiles(sample.total_s for sample in samples),
        "between_tokens_ms": _percentiles(gap for sample in samples for gap in sample.gaps_s),
    }


def _percentiles(seconds: Iterable[float]) -> dict[str, float] | None:
    """None of nothing: an answer may be one piece."""
    values = [second * 1000 for second in seconds]
    if not values:
        return None
    found = np.percentile(values, PERCENTILES)
    return {**{f"p{p}": float(value) for p, value in zip(PERCENTILES, found, strict=True)}, "max": max(values)}


def table(found: dict[str, Any]) -> str:
    """What people read of a summary."""
    outcomes = ", ".join(f"{outcome}: {number}" for outcome, number in found["outcomes"].items())
    texts = ", ".join(f"{status}: {number}" for status, number in found["ocr"].items())
    head = " / ".join([*(f"p{p}" for p in PERCENTILES), "max"])
    rates = f"{found['answered_per_s']:.2f} answers/s, {found['tokens_per_s']:.0f} tokens/s"
    lines = [
        f"{found['requests']} requests in {found['seconds']:.1f} s: {outcomes}",
        f"{rates}; text of the figures answered about: {texts or '–'}",
        "",
        f"| figures | answered | first token {head}, ms | whole answer, ms | between tokens, ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind, times in found["answered"].items():
        cells = [_cell(times[name]) for name in ("first_token_ms", "total_ms", "between_tokens_ms")]
        lines.append(f"| {kind} | {times['requests']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(percentiles: dict[str, float] | None) -> str:
    return "–" if percentiles is None else " / ".join(f"{value:.1f}" for value in percentiles.values())


def drawn(count: int) -> list[Figure]:
    """Held-out figures of the generator with their captions."""
    figures = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        spec = sample_figure(seed, "heldout")
        image = render(spec).image.convert("RGB")
        figures.append(Figure(_png(image), image, write.caption(spec, random.Random(f"caption-{seed}"))))
    return figures


def found_in(folder: Path, captions: Path | None, count: int) -> list[Figure]:
    """The first figures of a folder, as PNG; without captions where none are listed. Raises click.ClickException."""
    try:
        items = find_figures([folder], [] if captions is None else read_captions(captions))[:count]
        opened = [(item, open_figure(item.image.read_bytes())) for item in items]
    except (BulkError, FigureError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if not opened:
        raise click.ClickException(f"{folder} holds no figures")
    figures = []
    for item, figure in opened:
        with Image.open(io.BytesIO(figure.png())) as image:
            rgb = image.convert("RGB")
        figures.append(Figure(_png(rgb), rgb, item.caption))
    return figures


def _png(image: Image.Image) -> bytes:
    with io.BytesIO() as file:
        image.save(file, "PNG", compress_level=1)
        return file.getvalue()


async def run(
    url: str,
    figures: Sequence[Figure],
    *,
    concurrency: int | None,
    rate: float | None,
    known_share: float,
    bounds: Bounds,
    max_tokens: int | None,
) -> dict[str, Any]:
    """One load in an open loop where there is a rate, else in a closed one. Raises ExplainError when the figures that
    are to be known cannot be explained."""
    async with gateway_client(url) as gateway:
        load = Load(gateway, figures, known_share=known_share, bounds=bounds, max_tokens=max_tokens)
        unread = await load.make_known()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, load.stop)
        await (load.closed(concurrency or 1) if rate is None else load.open(rate))
        return {**summary(load.samples, load.wall_s), "unread": unread, "client_cores": load.client_cores}


@click.command()
@click.argument("url")
@click.option("--concurrency", type=click.IntRange(1, MOST_OPEN), help="Closed loop of so many clients.  [default: 8]")
@click.option("--rate", type=click.FloatRange(min=0.001), help="Open loop of so many figures a second.")
@click.option(
    "--known", "known_share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share of them."
)
@click.option("--count", type=click.IntRange(1), default=1000, show_default=True, help="Most requests.")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=60, show_default=True, help="No new ones after them."
)
@click.option(
    "--patience", "patience_s", type=click.FloatRange(0, 3600), default=60, show_default=True, help="Seconds."
)
@click.option("--max-tokens", type=click.IntRange(1), help="Longest answer; default: the model's.")
@click.option("--figures", "folder", type=click.Path(exists=True, path_type=Path), help="Folder; else they are drawn.")
@click.option("--captions", type=click.Path(exists=True, path_type=Path), help="JSON lines with image and caption.")
@click.option("--different", type=click.IntRange(1), default=16, show_default=True, help="Figures to begin with.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File for the result as JSON.")
def main(
    url: str,
    concurrency: int | None,
    rate: float | None,
    known_share: float,
    count: int,
    seconds: float,
    patience_s: float,
    max_tokens: int | None,
    folder: Path | None,
    captions: Path | None,
    different: int,
    out: Path | None,
) -> None:
    """Put load on the gateway at URL, and report times and outcomes. Exits with 1 when nothing was answered."""
    if rate is not None and concurrency is not None:
        raise click.UsageError("give --concurrency for a closed loop or --rate for an open one, not both")
    if rate is None and concurrency is None:
        concurrency = 8
    figures = drawn(different) if folder is None else found_in(folder, captions, different)
    bounds = Bounds(count, seconds, patience_s)
    asked: dict[str, Any] = {
        "concurrency": concurrency,
        "rate": rate,
        "known_share": known_share,
        "max_tokens": max_tokens,
    }
    try:
        found = asyncio.run(run(url, figures, bounds=bounds, **asked))
    except ExplainError as error:
        raise click.ClickException(f"the figures that are to be known cannot be explained: {error}") from error
    click.echo(table(found))
    if found["unread"]:
        click.echo(f"The text of {found['unread']} of {len(figures)} figures was not read beforehand.", err=True)
    if found["client_cores"] > BUSY_CORES:
        click.echo(
            f"This client used {found['client_cores']:.2f} of a core: its own slowness is in the times.", err=True
        )
    if out is not None:
        out.write_text(json.dumps({**asked, **found}, indent=2) + "\n", encoding="utf-8")
    if not found["answered"]:
        raise click.ClickException("nothing was answered")


if __name__ == "__main__":
    main()
