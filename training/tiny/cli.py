"""`llava-graph train tiny`: figures, stages and export of llava-graph-tiny, each a command of its own.

    llava-graph train tiny figures --count 24000 --out runs/figures
    llava-graph train tiny stages --figures runs/figures --out runs/tiny
    llava-graph train tiny export runs/tiny/finetune model_repo/llava-graph-tiny

What a stage does is decided in stages.py. torch and transformers are imported when a command runs.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track


@click.group()
def main() -> None:
    """Train llava-graph-tiny, the 8M model, from nothing."""


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write the figures to.")
@click.option("--count", type=click.IntRange(min=1), default=24_000, show_default=True, help="How many figures.")
@click.option("--start", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the first figure.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default="all cores",
    help="How many draw at the same time.",
)
def figures(out: Path, count: int, start: int, processes: int) -> None:
    """Render training figures (about 60 a second and core)."""
    from training.tiny.data import FIGURES_A_TASK, write_figures

    batches = write_figures(out, "train", start, count, processes)
    for _ in track(batches, "Rendering", total=-(-count // FIGURES_A_TASK), console=Console(stderr=True)):
        pass
    click.echo(f"{count} figures in {out}")


@main.command()
@click.option(
    "--figures",
    "folders",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    required=True,
    help="A folder that `train tiny figures` wrote; may be given several times.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="One folder a stage is made in it.")
@click.option("--stages", "stage_names", help="Which stages, in this order, with commas between.  [default: all]")
@click.option(
    "--start-from", type=click.Path(path_type=Path, exists=True), help="A stage's folder; else untrained weights."
)
@click.option("--steps", type=click.IntRange(min=1), help="Steps of each stage instead of its own number.")
@click.option("--seed", default=0, show_default=True, help="Of the first weights and of the order of the examples.")
@click.option("--resume", is_flag=True, help="Go on from the first stage's last checkpoint.")
def stages(
    folders: tuple[Path, ...],
    out: Path,
    stage_names: str | None,
    start_from: Path | None,
    steps: int | None,
    seed: int,
    resume: bool,
) -> None:
    """Train the model through its stages."""
    from training.tiny.data import Figures
    from training.tiny.stages import STAGES, load_learner, new_learner, run_stage

    names = list(STAGES) if stage_names is None else stage_names.split(",")
    unknown = sorted(set(names) - STAGES.keys())
    if unknown:
        message = f"no such stage: {', '.join(map(repr, unknown))} (there are {', '.join(STAGES)})"
        raise click.BadParameter(message, param_hint="--stages")
    if resume and not any((out / names[0]).glob("checkpoint-*")):
        raise click.BadParameter(f"there is no checkpoint in {out / names[0]}", param_hint="--resume")
    try:
        opened = [Figures(folder) for folder in folders]
    except FileNotFoundError as error:
        raise click.BadParameter(f"{error.filename} is missing", param_hint="--figures") from error
    learner, tokenizer = load_learner(start_from) if start_from else new_learner(seed)
    for i, name in enumerate(names):
        stage = replace(STAGES[name], steps=steps or STAGES[name].steps)
        click.echo(f"Stage {name}: {stage.steps} steps of {stage.batch_size}, learning {', '.join(stage.trained)}")
        run_stage(stage, learner, tokenizer, opened, out / name, seed=seed, resume=resume and i == 0)


@main.command(name="export")
@click.argument("trained", type=click.Path(path_type=Path, exists=True))
@click.argument("folder", type=click.Path(path_type=Path))
def export_command(trained: Path, folder: Path) -> None:
    """Write the model of a stage's folder TRAINED as the folder FOLDER that engines serve."""
    from training.tiny.export import export
    from training.tiny.stages import load_learner

    learner, tokenizer = load_learner(trained)
    export(learner.llava, tokenizer, folder)
    click.echo(f"{folder}: {sum(file.stat().st_size for file in folder.glob('*')) / 1e6:.1f} MB")
