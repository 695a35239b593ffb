"""`llava-graph train RECIPE`: trains by a recipe, a name or a YAML file; and the ways of the shipped models.

    llava-graph train list
    llava-graph train show v1.5-lora --set batch.devices=4
    llava-graph train v1.5-lora --data built/train --model runs/pretrain/model --out runs/lora
    torchrun --nproc-per-node 8 -m launcher.cli train v1.5-finetune …

The shipped models are not made by one recipe but in stages of their own: each has a group of commands.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from data.errors import DataError
from training import recipe as recipes
from training.errors import TrainingError
from training.refusals import RecipeError
from weights.errors import WeightsError

Command = TypeVar("Command", bound=Callable[..., Any])

MODELS = {"tiny": "training.tiny.cli:main", "small": "training.small.cli:small"}
"""Shipped models, and where their commands are: loaded only when they are asked for."""

_EXISTING = click.Path(exists=True, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

_SET = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Another value, as section.key=value; repeatable."
)


class _Group(click.Group):
    """The commands of this module, those of the shipped models, and one for each recipe."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *MODELS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in MODELS:
            module, _, attribute = MODELS[cmd_name].partition(":")
            found: click.Command = getattr(importlib.import_module(module), attribute)
            return found
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            return command
        try:
            recipes.path_of(cmd_name)
        except RecipeError as error:
            ctx.fail(str(error))
        return _command_of(cmd_name)


@click.group(cls=_Group, epilog="RECIPE is a name of `train list`, or a YAML file: `train RECIPE --help`.")
def main() -> None:
    """Train a model by a recipe, or a shipped model its own way."""


@main.command(name="list")
def list_command() -> None:
    """List the recipes."""
    names = recipes.names()
    width = max(map(len, names))
    for name in names:
        click.echo(f"{name:<{width}}  {recipes.load(name).summary}")
    for name in MODELS:
        click.echo(f"{name:<{width}}  the shipped llava-graph-{name}, in commands of its own: `train {name} --help`")


@main.command()
@click.argument("name", metavar="RECIPE")
@_SET
def show(name: str, overrides: tuple[str, ...]) -> None:
    """Print a recipe with every value, and the arguments that transformers' Trainer gets on an A100."""
    import yaml

    from training.effective import A100, trainer_arguments

    with _errors():
        recipe = recipes.load(name, overrides)
    plain = {"recipe": recipes.to_plain(recipe), "trainer": trainer_arguments(recipe, Path("OUT"), A100)}
    click.echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), nl=False)


def _command_of(name: str) -> click.Command:
    """The command that trains by the recipe `name`."""

    @click.command(name=name, help=f"Train by the recipe {name}.")
    @click.option("--data", type=_EXISTING, required=True, help="Folder of shards (`data build`), or LLaVA list-JSON.")
    @click.option("--images", type=_EXISTING, multiple=True, help="Of a list-JSON: folder or zip; repeatable.")
    @click.option("--model", type=_FOLDER, help="A LLaVA to go on training.")
    @click.option("--language-model", type=_FOLDER, help="Instead, with --vision-tower: a new LLaVA of these two.")
    @click.option("--vision-tower", type=_FOLDER, help="A CLIP or SigLIP folder.")
    @click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run.")
    @click.option("--resume", is_flag=True, help="Go on from the last complete checkpoint in --out.")
    @_SET
    def command(
        data: Path,
        images: tuple[Path, ...],
        model: Path | None,
        language_model: Path | None,
        vision_tower: Path | None,
        out: Path,
        resume: bool,
        overrides: tuple[str, ...],
    ) -> None:
        with _errors():
            recipe = recipes.load(name, overrides)
            parts = {"model": model, "language_model": language_model, "vision_tower": vision_tower}
            _train(recipe, parts, data, images, out, resume)

    return command


def _train(
    recipe: recipes.Recipe,
    models: dict[str, Path | None],
    data: Path,
    images: tuple[Path, ...],
    out: Path,
    resume: bool,
) -> None:
    from rich.console import Console

    from training.progress import ProgressLine
    from training.run import Files, run, sample_lines

    first = os.environ.get("RANK", "0") == "0"  # torchrun's; alone, there is one rank
    console = Console(stderr=True)
    outcome = run(
        recipe,
        Files(data, out, images, **models),
        resume=resume,
        callbacks=[ProgressLine(console)] if first else [],
        say=(lambda line: console.print(line, highlight=False)) if first else (lambda _line: None),
    )
    if first:
        click.echo(f"{outcome.folder}: {outcome.steps} steps, loss {outcome.final_loss:.4f}")
        click.echo("samples, read by all and trained on by the first process:" if outcome.ranks > 1 else "samples:")
        for line in sample_lines(outcome.samples):
            click.echo(line)


@contextmanager
def _errors() -> Iterator[None]:
    """What goes wrong before or in training, as the command's own error."""
    try:
        yield
    except (TrainingError, DataError, WeightsError) as error:
        raise click.ClickException(str(error)) from error
