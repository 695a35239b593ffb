"""Measures speed and accuracy of OCR against the libraries with their defaults: `make bench-ocr`.

    python -m benchmarks.ocr --count 96 --paddle-python .venv-paddle/bin/python
    python -m benchmarks.ocr --figures DIR

Every way of reading has processes of its own (`benchmarks.ocr_reader`), all started before anything is measured. They
read the same figures in turns, a few figures each, so that a machine that grows slower or faster does so for all. The
figures come from our generator's held-out half, or from a folder: with the `truth.jsonl` of `llava-graph data
synthetic` beside them they are scored against it, else against what RapidOCR read. `benchmarks.ocr_words` says how.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.ocr_words import Tally
from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from ocr_worker.settings import cores_given

NAIVE = "RapidOCR as it comes"

_FIRST_SEED = 700_000
_TURN = 16
"""Figures that a way reads before it is the next one's turn."""

_WARM_UP = 8
"""Figures that every way reads first, uncounted: engines build code for the first shapes that they meet."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class Reader:
    """One `benchmarks.ocr_reader` process. Not for several threads at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.peak_mib = 0

    def wait_until_ready(self) -> None:
        """Raises ClickException when the process ends instead."""
        self._answer()

    def read(self, files: Sequence[Path], batch: int) -> tuple[float, list[list[str]]]:
        """Seconds, and the texts of each file. Raises ClickException when the process has ended."""
        assert self._process.stdin is not None
        print(
            json.dumps({"files": [str(file) for file in files], "batch": batch}), file=self._process.stdin, flush=True
        )
        answer = self._answer()
        self.peak_mib = answer["peak_mib"]
        return answer["seconds"], answer["texts"]

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise click.ClickException(f"{self._process.args!r} ended with status {self._process.wait()}")
        return json.loads(line)


@dataclass(frozen=True)
class Way:
    """A way of reading figures: by one reader, or shared out among several."""

    name: str
    readers: tuple[Reader, ...]
    batch: int

    def read(self, files: Sequence[Path]) -> tuple[float, dict[Path, list[str]]]:
        """Seconds, and the texts of each file."""
        if len(self.readers) == 1:
            seconds, texts = self.readers[0].read(files, self.batch)
            return seconds, dict(zip(files, texts, strict=True))
        parts: SimpleQueue[Sequence[Path]] = SimpleQueue()
        for i in range(0, len(files), self.batch):
            parts.put(files[i : i + self.batch])
        begin = time.perf_counter()
        with ThreadPoolExecutor(len(self.readers)) as threads:
            shares = list(threads.map(lambda reader: _drain(reader, parts, self.batch), self.readers))
        return time.perf_counter() - begin, {file: texts for share in shares for file, texts in share.items()}


def _drain(reader: Reader, parts: SimpleQueue[Sequence[Path]], batch: int) -> dict[Path, list[str]]:
    read: dict[Path, list[str]] = {}
    while True:
        try:
            files = parts.get_nowait()
        except Empty:
            return read
        read |= zip(files, reader.read(files, batch)[1], strict=True)


@dataclass
class Measured:
    """What one way did with all figures."""

    seconds: float = 0.0
    texts: dict[Path, list[str]] = field(default_factory=dict)


@contextmanager
def started(command: Sequence[str]) -> Iterator[Reader]:
    """A reader that ends with the block."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Reader(process)
    finally:
        process.kill()
        process.communicate()


def draw(count: int, folder: Path) -> dict[Path, list[str]]:
    """Figures whose names and words no training has seen: files, with their true texts."""
    truth = {}
    for seed in range(_FIRST_SEED, _FIRST_SEED + count):
        drawn = render(sample_figure(seed, "heldout"))
        file = folder / f"{seed}.png"
        drawn.image.save(file)
        truth[file] = [text.text for text in drawn.texts]
    return truth


def in_folder(folder: Path) -> tuple[list[Path], dict[Path, list[str]]]:
    """The figures of a folder, and the true texts of those that its `truth.jsonl` names."""
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)
    try:
        lines = (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return files, {}
    records = [json.loads(line) for line in lines]
    return files, {folder / record["file"]: [text["text"] for text in record["texts"]] for record in records}


def measure(ways: Sequence[Way], files: Sequence[Path]) -> dict[str, Measured]:
    """Lets all ways read all files, in turns; who begins changes from turn to turn."""
    for way in ways:
        way.read(files[:_WARM_UP])
    measured = {way.name: Measured() for way in ways}
    turns = [files[i : i + _TURN] for i in range(0, len(files), _TURN)]
    for number, part in enumerate(track(turns, "reading", console=Console(stderr=True))):
        first = number % len(ways)
        for way in [*ways[first:], *ways[:first]]:
            seconds, texts = way.read(part)
            measured[way.name].seconds += seconds
            measured[way.name].texts |= texts
    return measured


def report(ways: Sequence[Way], measured: dict[str, Measured], truth: dict[Path, list[str]]) -> list[dict[str, Any]]:
    """A row for each way. Shares are of the words in `truth`."""
    rows = []
    for way in ways:
        tally = Tally()
        for file, texts in truth.items():
            tally.add(texts, measured[way.name].texts[file])
        rows.append(
            {
                "way": way.name,
                "figures_per_s": len(measured[way.name].texts) / measured[way.name].seconds,
                "ratio": measured[NAIVE].seconds / measured[way.name].seconds,
                "recall": tally.recall,
                "precision": tally.precision,
                "characters": tally.characters,
                "peak_mib": sum(reader.peak_mib for reader in way.readers),
            }
        )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| | figures/s | against RapidOCR | words read | words right | characters read | memory |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        shares = " | ".join(f"{row[share]:.1%}" for share in ("recall", "precision", "characters"))
        speed = f"{row['figures_per_s']:.1f} | {row['ratio']:.1f} ×"
        lines.append(f"| {row['way']} | {speed} | {shares} | {row['peak_mib']} MiB |")
    return "\n".join(lines)


def chart_cost(files: Sequence[Path]) -> dict[str, float]:
    """What reading the data costs per figure, after OCR: processor seconds of `ocr_worker.read` with one thread.

    Raises ClickException when the reader fails or read no figure.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as listed:
        listed.write("\n".join(file.name for file in files))
        listed.flush()
        command = [sys.executable, "-m", "ocr_worker.read", str(files[0].parent), "--only", listed.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"the chart reader ended with status {done.returncode}")
    read = [row for row in map(json.loads, done.stdout.splitlines()) if "chart_cpu_s" in row]
    if not read:
        raise click.ClickException("the chart reader read no figure")
    seconds = np.array([row["chart_cpu_s"] for row in read])
    ocr = np.array([row["ocr_s"] for row in read])
    return {
        "figures": len(read),
        "median_s": float(np.median(seconds)),
        "p95_s": float(np.percentile(seconds, 95)),
        "max_s": float(seconds.max()),
        "ocr_median_s": float(np.median(ocr)),
    }


def cost_line(cost: dict[str, float]) -> str:
    return (
        f"Data of charts, per figure ({cost['figures']:.0f} figures, 1 thread, processor seconds): median "
        f"{cost['median_s']:.2f} s, p95 {cost['p95_s']:.2f} s, most {cost['max_s']:.2f} s; "
        f"OCR of the same, by the clock: median {cost['ocr_median_s']:.2f} s."
    )


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=96, show_default=True, help="How many figures to draw.")
@click.option("--figures", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Read these instead.")
@click.option("--paddle-python", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Also PaddleOCR's.")
@click.option("--threads", type=click.IntRange(min=1), default=cores_given, show_default="the cores given")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/bench-ocr"), show_default=True
)
def main(count: int, figures: Path | None, paddle_python: Path | None, threads: int, out: Path) -> None:
    """Measure ways of reading figures; write report.json and table.md."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-ocr-")))
        if figures is None:
            truth = draw(count, work)
            files = list(truth)
        else:
            files, truth = in_folder(figures)
            if not files:
                raise click.ClickException(f"no figures in {figures}")

        def reader(library: str, threads: int, python: str = sys.executable, *options: str) -> Reader:
            command = [python, "-m", "benchmarks.ocr_reader", library, "--threads", str(threads), *options]
            started_reader = stack.enter_context(started(command))
            started_reader.wait_until_ready()
            return started_reader

        ways = [Way(NAIVE, (reader("rapidocr", threads),), 1)]
        if paddle_python is not None:
            weights = work / "weights"
            subprocess.run([paddle_python, "-m", "ocr_worker.engines.paddle_weights", weights], check=True, stdout=2)
            paddle = reader("paddleocr", threads, str(paddle_python), "--model-dir", str(weights))
            ways.append(Way("PaddleOCR as it comes", (paddle,), 1))
        whole = reader("ours", threads)
        ways += [Way(f"this worker, batches of {batch}", (whole,), batch) for batch in (1, 2, 4, 8)]
        if threads > 1:
            single = tuple(reader("ours", 1) for _ in range(threads))
            ways.append(Way(f"this worker, {threads} processes of 1 thread, batches of 4", single, 4))
        measured = measure(ways, files)
        cost = chart_cost(files)
    rows = report(ways, measured, truth or measured[NAIVE].texts)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(
        json.dumps({"figures": len(files), "threads": threads, "ways": rows, "charts": cost}, indent=1)
    )
    text = f"{table(rows)}\n\n{cost_line(cost)}\n"
    (out / "table.md").write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
