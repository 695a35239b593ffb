"""Measures apply-delta on a checkpoint of real size: peak memory, and speed against `cat` and other tools.

    python -m benchmarks.weights --folder /large/disk --layers 19

Writes random float16 weights of LLaMA-7B's widths (19 layers: 8.2 GB a checkpoint) and a delta beside them in --folder,
which needs three times that, and deletes everything at the end. Each way runs in a process of its own, after the pages
of its inputs were given back to the kernel, and its peak resident memory is what the kernel counted. Every second round
goes through the ways backwards, so that none always has the disk that another left:

    cat       reads base and delta, writes one checkpoint: what the disk allows
    ours      `llava-graph weights apply-delta`, checksums included
    shards    one shard of the delta and of the base in memory at a time, as FastChat's low-memory script does it
    mergekit  its LazyTensorLoader and TensorWriter, where mergekit can be imported (by --mergekit-python, if given)
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

WIDTH, INNER, ROWS = 4096, 11008, 32000
ADDED_ROWS = 3
TOWER_WIDTH = 1024
SHARD_BYTES = 2_000_000_000
BLOCK_ELEMENTS = 1 << 24
WAYS = ("cat", "ours", "shards", "mergekit")

SHARDS_SCRIPT = """
import gc, json, sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
base, delta, out = map(Path, sys.argv[1:])
out.mkdir()
for file in sorted(delta.glob("*.safetensors")):
    state = load_file(file)
    for base_file in sorted(base.glob("*.safetensors")):
        part = load_file(base_file)
        for name in part.keys() & state.keys():
            tensor = state[name]
            tensor[: part[name].shape[0]] += part[name]
        del part
        gc.collect()
    save_file(state, out / file.name, metadata={"format": "pt"})
"""

MERGEKIT_SCRIPT = """
import sys
from pathlib import Path
from mergekit.io import LazyTensorLoader, TensorWriter
base, delta, out = sys.argv[1:]
theirs = LazyTensorLoader.from_disk(base)
ours = LazyTensorLoader.from_disk(delta)
writer = TensorWriter(out, max_shard_size=2_000_000_000)
for name in ours.index.tensor_paths:
    tensor = ours.get_tensor(name).clone()
    if name in theirs.index.tensor_paths:
        other = theirs.get_tensor(name)
        tensor[: other.shape[0]] += other
    writer.save_tensor(name, tensor)
writer.finalize()
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One way's figures. `moved_gb` is what it reads and writes together."""

    name: str
    wall_s: float
    cpu_s: float
    peak_gb: float
    moved_gb: float


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, exists=True), required=True, help="Where there is room.")
@click.option("--layers", type=click.IntRange(min=1), default=19, show_default=True, help="Of LLaMA-7B's 32.")
@click.option("--workers", type=click.IntRange(min=1), default=os.cpu_count(), show_default="all cores")
@click.option("--rounds", type=click.IntRange(min=1), default=2, show_default=True, help="How often each way runs.")
@click.option(
    "--way", "chosen", type=click.Choice(WAYS), multiple=True, help="Only this one; may be repeated.  [default: all]"
)
@click.option(
    "--mergekit-python", default=sys.executable, help="An interpreter that has mergekit.  [default: this one]"
)
def main(folder: Path, layers: int, workers: int, rounds: int, chosen: tuple[str, ...], mergekit_python: str) -> None:
    """Apply a delta to LLaMA-7B's first layers in several ways."""
    with _scratch(folder) as scratch:
        base, delta, out = scratch / "base", scratch / "delta", scratch / "out"
        click.echo(f"Writing {layers} layers")
        _in_another_process(base, layers, ROWS, 0, False)
        target = scratch / "target"
        _in_another_process(target, layers, ROWS + ADDED_ROWS, 1, True)
        made = _run("make-delta", _command("make-delta", base, target, delta, workers), _bytes(base, target, target))
        shutil.rmtree(target)
        ways = {
            "cat": ["sh", "-c", f"cat {base}/*.safetensors > /dev/null; cat {delta}/*.safetensors > {out}; sync {out}"],
            "ours": _command("apply-delta", base, out, delta, workers),
            "shards": [sys.executable, "-c", SHARDS_SCRIPT, str(base), str(delta), str(out)],
            "mergekit": [mergekit_python, "-c", MERGEKIT_SCRIPT, str(base), str(delta), str(out)],
        }
        names = [name for name in WAYS if name in (chosen or WAYS)]
        if "mergekit" in names and not _imports(mergekit_python, "mergekit"):
            click.echo("mergekit is not installed: left out")
            names.remove("mergekit")
        runs = [made]
        for number in range(rounds):
            for name in names if number % 2 == 0 else reversed(names):
                _forget_pages(base, delta)
                runs.append(_run(name, ways[name], _bytes(base, delta, delta)))
                shutil.rmtree(out) if out.is_dir() else out.unlink()
        click.echo(json.dumps({"layers": layers, "checkpoint_gb": _bytes(base) / 1e9, "workers": workers}))
        click.echo("| way | wall s | CPU s | peak resident GB | GB/s moved |\n| --- | --- | --- | --- | --- |")
        for name in ("make-delta", *names):
            click.echo(_row([run for run in runs if run.name == name]))


def _row(runs: Sequence[Run]) -> str:
    """A way's line: every round's wall time, and the means of the others; of memory the highest."""
    walls = [run.wall_s for run in runs]
    cpu_s, peak_gb = sum(run.cpu_s for run in runs) / len(runs), max(run.peak_gb for run in runs)
    speed = sum(run.moved_gb for run in runs) / sum(walls)
    told = ", ".join(f"{wall:.0f}" for wall in walls)
    return f"| {runs[0].name} | {told} | {cpu_s:.0f} | {peak_gb:.2f} | {speed:.2f} |"


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = folder / "llava-graph-weights-benchmark"
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


def _command(verb: str, base: Path, target: Path, delta: Path, workers: int) -> list[str]:
    code = "from weights.cli import main; main()"
    folders = ["--base", str(base), "--target", str(target), "--delta", str(delta)]
    return [sys.executable, "-c", code, verb, *folders, "--workers", str(workers)]


def _run(name: str, command: list[str], moved_bytes: int) -> Run:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{name} ended with {process.returncode}")
    wall_s = time.perf_counter() - started
    run = Run(name, wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9, moved_bytes / 1e9)
    click.echo(str(run))
    return run


def _in_another_process(folder: Path, layers: int, rows: int, seed: int, projector: bool) -> None:
    """Calls `_write`. The kernel counts what this process holds to the peak of each that it starts: hold little."""
    process = multiprocessing.get_context("spawn").Process(target=_write, args=(folder, layers, rows, seed, projector))
    process.start()
    process.join()
    if process.exitcode:
        raise click.ClickException(f"writing {folder} ended with {process.exitcode}")


def _write(folder: Path, layers: int, rows: int, seed: int, projector: bool) -> None:
    """Random weights, from one block of random numbers that is read from another place for each tensor."""
    import torch

    from weights.tensors import LazyTensor
    from weights.writing import WriteOptions, write_weights

    block = torch.randn(2 * BLOCK_ELEMENTS, generator=torch.Generator().manual_seed(seed)).mul_(0.02).half()

    def tensor(number: int, *shape: int) -> LazyTensor:
        width = shape[1] if len(shape) > 1 else 1

        def read(first: int, count: int) -> torch.Tensor:
            start = (7919 * number + 104_729 * first) % BLOCK_ELEMENTS
            return block[start : start + count * width].reshape(count, *shape[1:])

        return LazyTensor(torch.float16, shape, read)

    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (rows, WIDTH)}
    for i in range(layers):
        at = f"model.layers.{i}."
        shapes |= {f"{at}self_attn.{part}_proj.weight": (WIDTH, WIDTH) for part in "qkvo"}
        shapes |= {f"{at}mlp.{part}_proj.weight": (INNER, WIDTH) for part in ("gate", "up")}
        shapes |= {f"{at}mlp.down_proj.weight": (WIDTH, INNER)}
        shapes |= {f"{at}{part}_layernorm.weight": (WIDTH,) for part in ("input", "post_attention")}
    shapes |= {"model.norm.weight": (WIDTH,), "lm_head.weight": (rows, WIDTH)}
    if projector:
        shapes |= {"model.mm_projector.weight": (WIDTH, TOWER_WIDTH), "model.mm_projector.bias": (WIDTH,)}
    folder.mkdir()
    planned = {name: tensor(i, *shape) for i, (name, shape) in enumerate(shapes.items())}
    write_weights(folder, planned, WriteOptions(shard_bytes=SHARD_BYTES))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": False}))


def _bytes(*folders: Path) -> int:
    return sum(file.stat().st_size for folder in folders for file in folder.glob("*.safetensors"))


def _forget_pages(*folders: Path) -> None:
    """Gives the files' cached pages back to the kernel, so that each way reads from the disk."""
    os.sync()
    for folder in folders:
        for file in folder.iterdir():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def _imports(python: str, module: str) -> bool:
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0


if __name__ == "__main__":
    main()
