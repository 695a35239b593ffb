"""`llava-graph data`: from the files of a data set to shards that training streams, one stage a command.

    llava-graph data read scicap-plus SciCapPlus --images SciCapPlus/imgs --out records
    llava-graph data ocr records --redis-url redis://127.0.0.1 --out read
    llava-graph data build read --task paragraph --prompt llava-graph --out built
    llava-graph data export built/train --out train.json --images train-images.zip
    llava-graph data feedback feedback --out from-people

Each stage goes on where it was stopped. Nothing is imported before the command that needs it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from data.errors import DataError
from data.stage import Runner

Command = TypeVar("Command", bound=Callable[..., Any])

_FOLDER = click.Path(file_okay=False, path_type=Path)
_RECORDS = click.argument("records", type=click.Path(exists=True, file_okay=False, path_type=Path))
_OUT = click.option("--out", type=_FOLDER, required=True, help="Folder to write to.")
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Begin anew where --out holds an earlier run.")


def _scaled(command: Command) -> Command:
    """The options that say where the work runs."""
    for option in (
        click.option("--ray-address", help="A Ray cluster to join; by default Ray starts on this machine."),
        click.option("--processes", type=click.IntRange(1, 512), help="Of this machine; by default one a core."),
        click.option(
            "--runner", type=click.Choice(("plain", "ray")), default="plain", show_default=True, help="What runs it."
        ),
    ):
        command = option(command)
    return command


def _runner(runner: str, processes: int | None, ray_address: str | None) -> Runner:
    from data.scale import cores, runner_of

    return runner_of(runner, processes=processes or cores(), address=ray_address)


@contextmanager
def _errors() -> Iterator[None]:
    """What goes wrong with the data, as the command's own error."""
    try:
        yield
    except DataError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar for each step, on stderr; and `_errors`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with _errors(), Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, every: int | None) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=every)
            bars.update(tasks[step], completed=done, total=every)

        yield show


class _Group(click.Group):
    """The commands of this module, and `synthetic`, whose drawing library is loaded only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "synthetic"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "synthetic":
            from data.synthetic.cli import synthetic

            return synthetic
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Make training data: read data sets, read figures, make dialogues, build, export, draw."""


@main.command()
def formats() -> None:
    """List the formats that `read` takes, with their licences."""
    from data.readers import READERS

    for reader in READERS.values():
        click.echo(f"{reader.name}: {reader.reads}\n    licence: {reader.licence}")


@main.command()
@click.argument("format_name", metavar="FORMAT")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--images", type=click.Path(exists=True, path_type=Path), multiple=True, help="Folder or zip; may be repeated."
)
@click.option(
    "--metadata", type=click.Path(exists=True, path_type=Path), help="The format's second file, where it has one."
)
@click.option(
    "--arxiv-metadata", type=click.Path(exists=True, path_type=Path), help="arXiv's snapshot, for titles, abstracts."
)
@click.option("--split", type=click.Choice(("train", "val", "test")), help="Of all records, where the format has none.")
@click.option("--rows-per-shard", type=click.IntRange(1), help="By default 2,048.")
@click.option("--limit", type=click.IntRange(1), help="End after so many records.")
@_OUT
@_OVERWRITE
@_scaled
def read(
    format_name: str,
    source: Path,
    images: tuple[Path, ...],
    metadata: Path | None,
    arxiv_metadata: Path | None,
    split: str | None,
    rows_per_shard: int | None,
    limit: int | None,
    out: Path,
    overwrite: bool,
    runner: str,
    processes: int | None,
    ray_address: str | None,
) -> None:
    """Read SOURCE (a file or folder in FORMAT, see `formats`) into shards of records with their images."""
    from data import read as reading
    from data.readers import READERS, Source
    from data.shards import ROWS_PER_SHARD

    if format_name not in READERS:
        raise click.BadParameter(f"{format_name!r} is none of {', '.join(READERS)}", param_hint="FORMAT")
    with _progress() as show:
        report = reading.read(
            READERS[format_name],
            Source(source, metadata, split),
            images,
            out,
            _runner(runner, processes, ray_address),
            rows_per_shard=rows_per_shard or ROWS_PER_SHARD,
            limit=limit,
            arxiv_metadata=arxiv_metadata,
            overwrite=overwrite,
            progress=show,
        )
    click.echo(f"{report.kept:,} of {report.listed:,} records in {out}")
    _tell(report.tally.lines())
    if report.kept == 0:
        raise click.ClickException("no record was kept")


@main.command()
@_RECORDS
@click.option("--redis-url", envvar="LLAVA_GRAPH_REDIS_URL", help="The Redis behind which OCR workers live.")
@click.option(
    "--prefix", envvar="LLAVA_GRAPH_KEY_PREFIX", default="lg:", show_default=True, help="Of the queue's keys in Redis."
)
@click.option("--reader", help="Read in this process instead: module:factory of a callable (files' bytes → readings).")
@click.option(
    "--at-once", type=click.IntRange(1, 4096), default=32, show_default=True, help="Figures in the queue, a process."
)
@click.option(
    "--wait", "wait_s", type=click.FloatRange(1), default=600.0, show_default=True, help="Seconds for a figure."
)
@click.option("--again", is_flag=True, help="Read also the figures that have lines already.")
@_OUT
@_OVERWRITE
@_scaled
def ocr(
    records: Path,
    redis_url: str | None,
    prefix: str,
    reader: str | None,
    at_once: int,
    wait_s: float,
    again: bool,
    out: Path,
    overwrite: bool,
    runner: str,
    processes: int | None,
    ray_address: str | None,
) -> None:
    """Have the figures of RECORDS read by OCR workers (a running service's), or by a callable."""
    from data.ocr.readers import ByCallable, OverQueue, ReaderFactory
    from data.ocr.run import read_figures

    if (redis_url is None) == (reader is None):
        raise click.UsageError("give either --redis-url or --reader")
    factory: ReaderFactory = (
        ByCallable(reader) if reader is not None else OverQueue(str(redis_url), prefix, at_once=at_once, wait_s=wait_s)
    )
    # Asking a queue takes no cores; more processes than one only keep more figures waiting in it.
    chosen = _runner(runner, processes or (1 if reader is None else None), ray_address)
    with _progress() as show:
        report = read_figures(
            records,
            out,
            factory,
            chosen,
            again=again,
            overwrite=overwrite,
            progress=lambda done, every: show("shards read", done, every),
        )
    failed = report.tally.counts.get("ocr_failed", 0)
    click.echo(f"{report.asked - failed:,} of {report.asked:,} figures read; {report.kept_lines:,} had lines already")
    _tell(report.tally.lines())


@main.command()
@_RECORDS
@click.option(
    "--task", type=click.Choice(("paragraph", "conversation")), required=True, help="What is trained towards."
)
@click.option("--prompt", required=True, help="llava-graph, scigraphqa, deplot, as-read, or a template of the gateway.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides splits, instructions, the image's side.")
@click.option(
    "--splits", type=click.Choice(("paper", "source")), default="paper", show_default=True, help="Who decides them."
)
@click.option("--val", type=click.FloatRange(0, 0.5), default=0.01, show_default=True, help="Share of the papers.")
@click.option("--test", type=click.FloatRange(0, 0.5), default=0.01, show_default=True, help="Share of the papers.")
@click.option(
    "--leaks",
    type=click.Choice(("drop", "drop-whole", "keep")),
    default="drop",
    show_default=True,
    help="Answers that stand in their context.",
)
@click.option(
    "--tokenizer", type=click.Path(exists=True, dir_okay=False), help="A tokenizer.json to count with; else words."
)
@_OUT
@_OVERWRITE
@_scaled
def build(
    records: Path,
    task: str,
    prompt: str,
    seed: int,
    splits: str,
    val: float,
    test: float,
    leaks: str,
    tokenizer: str | None,
    out: Path,
    overwrite: bool,
    runner: str,
    processes: int | None,
    ray_address: str | None,
) -> None:
    """Build training samples from RECORDS: conversations, splits by paper, statistics, data card."""
    from data.build import run
    from data.build.card import write_card
    from data.build.prompts import PROMPTS

    if prompt not in PROMPTS:
        raise click.BadParameter(f"{prompt!r} is none of {', '.join(PROMPTS)}", param_hint="--prompt")
    settings = run.BuildSettings(
        cast(Any, task), prompt, seed, cast(Any, splits), val, test, cast(Any, leaks), tokenizer
    )
    with _progress() as show:
        report = run.build(
            records,
            out,
            settings,
            _runner(runner, processes, ray_address),
            overwrite=overwrite,
            progress=lambda done, every: show("shards built", done, every),
        )
        card = write_card(out)
    for name, statistics in report.splits.items():
        click.echo(f"{name}: {statistics.samples:,} samples of {len(statistics.groups):,} papers or images")
    _tell(report.tally.lines())
    click.echo(f"card: {card}")


@main.command()
@_RECORDS
@click.option("--base-url", required=True, help="Of an OpenAI-compatible endpoint, with its /v1.")
@click.option("--model", required=True, help="The model's name there.")
@click.option(
    "--key", envvar="LLAVA_GRAPH_DIALOGUE_KEY", default="none", help="API key; better from LLAVA_GRAPH_DIALOGUE_KEY."
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(("conversation", "detail_description", "complex_reasoning")),
    multiple=True,
    default=("conversation",),
    show_default=True,
    help="May be repeated; each figure is asked for each kind.",
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="Decides on which side of a question the image stands."
)
@click.option(
    "--at-once", type=click.IntRange(1, 1024), default=8, show_default=True, help="Requests under way, a process."
)
@click.option("--max-tokens", type=click.IntRange(16), default=1024, show_default=True, help="Of one answer.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.7, show_default=True, help="Of the dialogues.")
@click.option("--tries", type=click.IntRange(1, 20), default=6, show_default=True, help="Of a request worth repeating.")
@click.option("--min-rating", type=click.FloatRange(0, 10), help="Have each dialogue rated, and reject those below.")
@click.option("--limit", type=click.IntRange(1), help="Of records in each shard, for a trial.")
@click.option("--price-in", type=click.FloatRange(0), help="Of a million prompt tokens.")
@click.option("--price-out", type=click.FloatRange(0), help="Of a million answer tokens.")
@click.option(
    "--tokenizer", type=click.Path(exists=True, dir_okay=False), help="The model's tokenizer.json, for the estimate."
)
@click.option("--yes", is_flag=True, help="Start without asking.")
@click.option("--estimate-only", is_flag=True, help="Say what it would cost, and end.")
@_OUT
@_OVERWRITE
@_scaled
def dialogues(
    records: Path,
    base_url: str,
    model: str,
    key: str,
    kinds: tuple[str, ...],
    seed: int,
    at_once: int,
    max_tokens: int,
    temperature: float,
    tries: int,
    min_rating: float | None,
    limit: int | None,
    price_in: float | None,
    price_out: float | None,
    tokenizer: str | None,
    yes: bool,
    estimate_only: bool,
    out: Path,
    overwrite: bool,
    runner: str,
    processes: int | None,
    ray_address: str | None,
) -> None:
    """Have a language model make questions and answers about the figures of RECORDS."""
    from data.dialogues.endpoint import Endpoint
    from data.dialogues.estimate import estimate
    from data.dialogues.run import DialogueSettings, make_dialogues
    from data.shards import shard_paths

    chosen = cast(Any, kinds)
    with _errors():
        expected = estimate(
            shard_paths(records),
            chosen,
            rate=min_rating is not None,
            tokenizer=tokenizer,
            price_in=price_in,
            price_out=price_out,
            limit=limit,
        )
    click.echo(f"estimate: {expected}")
    if estimate_only:
        return
    if not yes:
        click.confirm("Start?", abort=True)
    endpoint = Endpoint(base_url, model, key, max_tokens=max_tokens, temperature=temperature, tries=tries)
    settings = DialogueSettings(chosen, seed, at_once, min_rating, limit)
    with _progress() as show:
        report = make_dialogues(
            records,
            out,
            endpoint,
            settings,
            _runner(runner, processes or 1, ray_address),
            overwrite=overwrite,
            progress=lambda done, every: show("shards asked", done, every),
        )
    click.echo(f"{report.made:,} dialogues with {report.pairs:,} questions; {report.pairs_dropped:,} more were dropped")
    click.echo(f"used: {report.prompt_tokens:,} prompt tokens, {report.completion_tokens:,} answer tokens")
    if report.mean_rating is not None:
        click.echo(f"mean rating: {report.mean_rating:.2f}")
    for reason, count in report.rejected.most_common():
        click.echo(f"rejected, {reason}: {count:,}")


@main.command()
@click.argument("samples", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The JSON file.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder, or FILE.zip, for the images.")
def export(samples: Path, out: Path, images: Path | None) -> None:
    """Write the SAMPLES of one split as LLaVA's list-JSON, and their images."""
    from data.export import export_llava_json

    with _progress() as show:
        count = export_llava_json(samples, out, images, lambda done: show("samples", done, None))
    click.echo(f"{count:,} samples in {out}")


@main.command()
@click.argument(
    "folders",
    metavar="FOLDER...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--pairs-per-question", type=click.IntRange(1), default=4, show_default=True, help="Most preference pairs of one."
)
@_OUT
@_OVERWRITE
def feedback(folders: tuple[Path, ...], pairs_per_question: int, out: Path, overwrite: bool) -> None:
    """Make preference pairs and evaluation questions of the feedback in FOLDER (LLAVA_GRAPH_FEEDBACK_DIR)."""
    from data.feedback import export_feedback

    with _errors():
        report = export_feedback(folders, out, pairs_per_question=pairs_per_question, overwrite=overwrite)
    click.echo(f"{report.entries:,} entries: {report.pairs:,} preference pairs, {report.questions:,} questions")
    click.echo(f"{report.images:,} images of their figures were stored")
    for reason, count in sorted(report.left_out.items()):
        if count:
            click.echo(f"left out, {reason}: {count:,}")


@main.command()
@click.argument("built", type=click.Path(exists=True, file_okay=False, path_type=Path))
def card(built: Path) -> None:
    """Write the data card of BUILT anew, and print it."""
    from data.build.card import write_card

    with _errors():
        path = write_card(built)
    click.echo(path.read_text(encoding="utf-8"), nl=False)


def _tell(lines: list[str]) -> None:
    if lines:
        click.echo("irregular:")
    for line in lines:
        click.echo(line)
