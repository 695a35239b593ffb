"""`llava-graph train`: figures, stages and export of the small model, each a command of its own.

llava-graph train figures --count 24000 --out runs/figures
llava-graph train small --figures runs/figures --out runs/small
llava-graph train export runs/small/finetune model_repo/llava-graph-tiny
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click
from rich.progress import track

from training.data import Figures, write_figures
from training.export import export
from training.stages import STAGES, load_learner, new_learner, run_stage


@click.group()
def main() -> None:
    """Train a model."""


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write the figures to.")
@click.option("--count", default=24_000, show_default=True, help="How many figures.")
@click.option("--start", default=0, show_default=True, help="Seed of the first figure.")
@click.option("--processes", default=os.cpu_count() or 1, show_default="all cores")
def figures(out: Path, count: int, start: int, processes: int) -> None:
    """Render training figures (about 60 a second and core)."""
    batches = write_figures(out, "train", start, count, processes)
    seen = 0
    for done in track(batches, "Rendering", total=-(-count // 64)):
        seen = done
    click.echo(f"{seen} figures in {out}")


@main.command()
@click.option("--figures", "folders", type=click.Path(path_type=Path, exists=True), multiple=True, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="One folder a stage is made in it.")
@click.option("--stages", default="text,vision,pretrain,finetune", show_default=True)
@click.option(
    "--start-from", type=click.Path(path_type=Path, exists=True), help="A stage's folder; else untrained weights."
)
@click.option("--steps", type=int, help="Steps of each stage instead of its own number.")
@click.option("--seed", default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the first stage's last checkpoint.")
def small(
    folders: tuple[Path, ...],
    out: Path,
    stages: str,
    start_from: Path | None,
    steps: int | None,
    seed: int,
    resume: bool,
) -> None:
    """Train the small model through its stages."""
    unknown = set(stages.split(",")) - STAGES.keys()
    if unknown:
        raise click.BadParameter(f"no such stage: {', '.join(sorted(unknown))} (there are {', '.join(STAGES)})")
    learner, tokenizer = load_learner(start_from) if start_from else new_learner(seed)
    opened = [Figures(folder) for folder in folders]
    for i, name in enumerate(stages.split(",")):
        stage = replace(STAGES[name], steps=steps or STAGES[name].steps)
        click.echo(f"Stage {name}: {stage.steps} steps of {stage.batch_size}, learning {', '.join(stage.trained)}")
        run_stage(stage, learner, tokenizer, opened, out / name, seed=seed, resume=resume and i == 0)


@main.command(name="export")
@click.argument("trained", type=click.Path(path_type=Path, exists=True))
@click.argument("folder", type=click.Path(path_type=Path))
def export_command(trained: Path, folder: Path) -> None:
    """Write the model of a stage's folder TRAINED as the folder FOLDER that engines serve."""
    learner, tokenizer = load_learner(trained)
    export(learner.llava, tokenizer, folder)
    click.echo(f"{folder}: {sum(file.stat().st_size for file in folder.glob('*')) / 1e6:.1f} MB")
