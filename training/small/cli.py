"""`llava-graph train small`: the steps that make llava-graph-small, each resumable.

llava-graph train small figures --out runs/small/figures --count 1000
llava-graph train small read runs/small/figures --processes 2
llava-graph train small train --base runs/smollm2 --figures runs/small/figures --out runs/small/model
llava-graph train small export --base runs/smollm2 runs/small/model model_repo/llava-graph-small
"""

from __future__ import annotations

import math
from pathlib import Path

import click

_FOLDER = click.Path(file_okay=False, path_type=Path)
_THERE = click.Path(exists=True, file_okay=False, path_type=Path)
_TOWER = Path("model_repo/llava-graph-tiny")
_FIRST_SIMULATED = 2_000_000
_SEEDS_OF_A_RUN = 1_000_000
"""Seed of the first simulated figure, beyond those of evaluation; runs with other seeds have figures of their own."""


@click.group()
def small() -> None:
    """Make llava-graph-small: SmolLM2-135M taught to say what was read of a figure."""


@small.command()
@click.option("--out", type=_FOLDER, required=True, help="Folder for the images.")
@click.option("--count", type=click.IntRange(min=1), default=1000, show_default=True, help="How many figures.")
@click.option("--start", type=click.IntRange(min=0), help="Seed of the first figure; 100,000 otherwise.")
def figures(out: Path, count: int, start: int | None) -> None:
    """Draw figures, those that are missing."""
    from training.small.figures import FIRST_SEED, draw

    first = FIRST_SEED if start is None else start
    click.echo(f"{draw(range(first, first + count), out)} figures drawn in {out}")


@small.command()
@click.argument("folder", type=_THERE)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="How many read at once.")
def read(folder: Path, processes: int) -> None:
    """Read the figures of FOLDER with the worker's OCR and chart reader, those that were not read yet."""
    from training.small.reading import ReadingError
    from training.small.reading import read as read_folder

    try:
        click.echo(f"{read_folder(folder, processes)} figures read")
    except ReadingError as error:
        raise click.ClickException(str(error)) from error


@small.command()
@click.option("--base", type=_THERE, required=True, help="SmolLM2 as `weights from-gguf` leaves it.")
@click.option("--tower", type=_THERE, default=_TOWER, show_default=True, help="Model whose vision tower is taken.")
@click.option("--figures", "folders", type=_THERE, multiple=True, help="Folder of read figures; may be repeated.")
@click.option("--out", type=_FOLDER, required=True, help="Folder for checkpoints; a run that was stopped goes on.")
@click.option(
    "--plan", "name", type=click.Choice(["cpu", "gpu"]), help="Hyperparameters for a machine; otherwise for this one."
)
@click.option("--workers", type=click.IntRange(min=1), help="How many processes make examples.")
@click.option("--steps", type=click.IntRange(min=1), help="How many steps.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Ends the run by the clock.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Highest learning rate.")
@click.option("--start-from", type=_THERE, help="Folder of an earlier run or a delta, whose weights are taken.")
@click.option(
    "--composed-share",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    help="Of charts without a picture.",
)
@click.option(
    "--read-share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Of read figures, among the others.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def train(
    base: Path,
    tower: Path,
    folders: tuple[Path, ...],
    out: Path,
    name: str | None,
    workers: int | None,
    steps: int | None,
    hours: float | None,
    lr: float | None,
    start_from: Path | None,
    composed_share: float,
    read_share: float,
    seed: int,
) -> None:
    """Train; figures that were not read come with simulated readings."""
    from dataclasses import replace

    import torch

    from training.small.examples import Sources
    from training.small.learner import PLANS, load_learner, new_learner, run

    plan = PLANS[name or ("gpu" if torch.cuda.is_available() else "cpu")]
    plan = replace(
        plan,
        budget_s=hours * 3600 if hours else math.inf,
        steps=steps or plan.steps,
        lr=lr or plan.lr,
        workers=workers or plan.workers,
    )
    if start_from:
        learner, tokenizer = load_learner(base, tower, start_from, plan)
    else:
        learner, tokenizer = new_learner(base, tower, plan, seed)
    first_seed = _FIRST_SIMULATED + _SEEDS_OF_A_RUN * seed
    sources = Sources(folders, read_share if folders else 0.0, first_seed, composed_share=composed_share)
    run(learner, tokenizer, sources, out, plan, seed=seed)


@small.command()
@click.option("--base", type=_THERE, required=True, help="The base that was trained on.")
@click.option("--tower", type=_THERE, default=_TOWER, show_default=True, help="The tower that was trained on.")
@click.argument("trained", type=_THERE)
@click.argument("folder", type=_FOLDER)
def export(base: Path, tower: Path, trained: Path, folder: Path) -> None:
    """Write what TRAINED holds, a run's folder or a checkpoint, as the delta FOLDER."""
    from training.small.export import export as write
    from training.small.learner import load_learner

    learner, tokenizer = load_learner(base, tower, trained)
    write(learner, tokenizer, folder)
    click.echo(f"{folder}: {sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) / 1e6:.1f} MB")
