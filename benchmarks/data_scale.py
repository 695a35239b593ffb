"""Measures the stages of `llava-graph data` on processes of this machine against Ray Data on this machine.

    python -m benchmarks.data_scale --figures 4000 --ocr-figures 60

Each run is the command itself, start-up included, in a new process on fresh folders: reading a data set into shards,
building samples, and reading figures with RapidOCR in the process. The figures are synthetic, some distinct ones under
many names. Reported are wall seconds, figures a second, processor seconds (which say more on a machine that others
use, too; of the last 0.2 s before a process ends they miss some), and the largest sum of resident memory of the
command and its children (shared pages count once a process, so Ray's object store counts more than once).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from data.synthetic.render import render
from data.synthetic.sample import sample_figure

_DISTINCT = 100
_COMMAND = (sys.executable, "-c", "from data.cli import main; main()")
_RUNNERS = {
    "plain, 1 process": ("--runner", "plain", "--processes", "1"),
    "plain, all cores": ("--runner", "plain"),
    "Ray Data": ("--runner", "ray"),
}


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    cpu_seconds: float
    peak_mb: float


def run(arguments: list[str]) -> Run:
    """Raises CalledProcessError when the command fails."""
    began = time.perf_counter()
    process = subprocess.Popen([*_COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    watched = psutil.Process(process.pid)
    peak = 0
    cpu_by_pid: dict[int, float] = {}
    while process.poll() is None:
        peak = max(peak, _look(watched, cpu_by_pid))
        time.sleep(0.2)
    seconds = time.perf_counter() - began
    assert process.stderr is not None
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments, stderr=process.stderr.read())
    return Run(seconds, sum(cpu_by_pid.values()), peak / 1e6)


def _look(process: psutil.Process, cpu_by_pid: dict[int, float]) -> int:
    """Resident bytes of the process and its descendants, and their processor seconds so far."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            try:
                total += one.memory_info().rss
                times = one.cpu_times()
                cpu_by_pid[one.pid] = times.user + times.system
            except psutil.NoSuchProcess:
                continue
    except psutil.NoSuchProcess:
        pass
    return total


def make_data_set(folder: Path, count: int) -> None:
    """SciCap+'s layout: `count` figures of a few hundred papers, each with a paragraph."""
    images = []
    for seed in range(min(_DISTINCT, count)):
        path = folder / f"{seed}.png"
        render(sample_figure(seed, "train")).image.save(path)
        images.append(path)
    for part in ("captions", "imgs", "mentions_paragraph"):
        (folder / part / "train").mkdir(parents=True)
    for number in range(count):
        name = f"1801.{number // 3:05d}v1-Figure{number % 3 + 1}-1"
        row = {"figure-ID": f"{name}.png", "figure-type": "Graph Plot", "Img-text": ["power", "time"]}
        row["0-originally-extracted"] = f"Figure {number % 3 + 1}: Power over time in experiment {number}."
        (folder / "captions" / "train" / f"{name}.json").write_text(json.dumps(row), encoding="utf-8")
        paragraph = f"The figure shows that power rises with time in experiment {number}, " * 8
        (folder / "mentions_paragraph" / "train" / f"{name}.json").write_text(json.dumps([paragraph]), encoding="utf-8")
        os.link(images[number % len(images)], folder / "imgs" / "train" / f"{name}.png")


@click.command()
@click.option("--figures", type=click.IntRange(10), default=4000, show_default=True, help="To read and build.")
@click.option("--ocr-figures", type=click.IntRange(2), default=60, show_default=True, help="For OCR.")
@click.option(
    "--rows-per-shard", type=click.IntRange(1), default=256, show_default=True, help="For reading and building."
)
def main(figures: int, ocr_figures: int, rows_per_shard: int) -> None:
    """Compare the runners, stage by stage."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "raw").mkdir()
        make_data_set(root / "raw", figures)
        size = sum(path.stat().st_size for path in (root / "raw" / "imgs" / "train").iterdir())
        click.echo(f"{figures} figures of {size / figures / 1e3:.0f} KB on {os.cpu_count()} cores")
        source = ["scicap-plus", str(root / "raw"), "--images", str(root / "raw" / "imgs")]
        reading = ["read", *source, "--rows-per-shard", str(rows_per_shard)]
        _compare(root, "read", figures, reading)
        run([*reading, "--out", str(root / "records")])
        tokenizer = ["--tokenizer", "model_repo/llava-graph-tiny/tokenizer.json"]
        building = ["build", str(root / "records"), "--task", "paragraph", "--prompt", "llava-graph", *tokenizer]
        _compare(root, "build", figures, building)
        few = ["read", *source, "--limit", str(ocr_figures), "--rows-per-shard", str(max(1, ocr_figures // 8))]
        run([*few, "--out", str(root / "few")])
        _compare(
            root, "ocr", ocr_figures, ["ocr", str(root / "few"), "--reader", "benchmarks.data_reader:rapid_reader"]
        )


def _compare(root: Path, stage: str, figures: int, arguments: list[str]) -> None:
    for name, options in _RUNNERS.items():
        out = root / "out"
        chosen = ("--runner", "plain", "--processes", str(os.cpu_count())) if name == "plain, all cores" else options
        measured = run([*arguments, *chosen, "--out", str(out)])
        shutil.rmtree(out)
        speed = figures / measured.seconds
        click.echo(
            f"{stage:6} {name:18} {measured.seconds:7.1f} s {speed:8.1f} figures/s "
            f"{measured.cpu_seconds:7.1f} s CPU {measured.peak_mb:7.0f} MB"
        )


if __name__ == "__main__":
    main()
