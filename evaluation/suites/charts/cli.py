"""`llava-graph eval charts`: measures a chart reader with figures whose data are known.

    python -m evaluation.suites.charts.draw --out runs/charts/other
    llava-graph eval charts generate --count 300 --out runs/charts/generator
    llava-graph eval charts fetch --clones CLONES --out runs/charts/real
    llava-graph eval charts measure --set other=runs/charts/other --set real=runs/charts/real --out runs/charts
    llava-graph eval charts sentences --set other=runs/charts/other --set real=runs/charts/real --out runs/charts

Puts together what the modules beside it do; it names the reader's command and knows none of its parts.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from evaluation.suites.charts import generated, real, report, truth
from evaluation.suites.charts import sentences as sentences_
from evaluation.suites.charts.reading import READINGS_FILE, ReaderError, load, run
from evaluation.suites.charts.score import FigureScore, score

READER = f"{shlex.quote(sys.executable)} -m ocr_worker.read"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def charts() -> None:
    """Measure a chart reader: per fact right of claimed and of all, RMS-F1, false claims, time."""


@charts.command()
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--count", type=click.IntRange(min=1), default=300, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=2_000_000, show_default=True, help="The first figure's.")
def generate(folder: Path, count: int, seed: int) -> None:
    """Draw held-out figures of our own generator."""
    folder.mkdir(parents=True, exist_ok=True)
    truth.write(generated.figures(range(seed, seed + count), folder), folder)


@charts.command()
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option(
    "--clones",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of local clones, named OWNER/NAME, OWNER+NAME or NAME, bare or not; no network is used.",
)
@click.option("--url", "url_pattern", help="Address of a file; {repository}, {commit} and {path} are filled in.")
def fetch(folder: Path, clones: Path | None, url_pattern: str | None) -> None:
    """Get the pixels of the real figures, check their hashes, and write what is known of them."""
    if (clones is None) == (url_pattern is None):
        raise click.UsageError("give either --clones or --url")
    folder.mkdir(parents=True, exist_ok=True)
    source = real.Clones(clones) if clones is not None else real.Web(str(url_pattern))
    missing = real.fetch(real.manifest(), source, folder)
    for name, why in missing.items():
        click.echo(f"not fetched: {name}: {why}", err=True)
    click.echo(f"{len(truth.load(folder))} figures, {len(missing)} missing")


@charts.command()
@click.option("--set", "sets", multiple=True, required=True, metavar="NAME=FOLDER", help="A set; may be repeated.")
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--split", type=click.Choice(("test", "dev", "all")), default="test", show_default=True)
@click.option("--reader", default=READER, show_default="ocr_worker.read", help="The command that reads a folder.")
@click.option(
    "--ocr-cache",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Given to the reader: a file that keeps texts, so that only data are read again.",
)
@click.option("--again/--kept", default=True, show_default=True, help="Read again, or score what was read before.")
def measure(sets: Sequence[str], folder: Path, split: str, reader: str, ocr_cache: Path | None, again: bool) -> None:
    """Read the figures of sets and write scores.jsonl, wrong.jsonl, summary.json and table.md."""
    console = Console(stderr=True, highlight=False)
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.split(reader) + (["--ocr-cache", str(ocr_cache)] if ocr_cache is not None else [])
    try:
        scores = {}
        for named in sets:
            name, _, place = named.partition("=")
            scores[name] = _measure(console, name, Path(place), folder / name, split, command, again)
    except (ReaderError, truth.TruthError, OSError) as error:
        raise click.ClickException(str(error)) from error
    _write(scores, folder)
    click.echo((folder / "table.md").read_text(encoding="utf-8"))


@charts.command()
@click.option("--set", "sets", multiple=True, required=True, metavar="NAME=FOLDER", help="A set; may be repeated.")
@click.option(
    "--out",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The folder that `measure` wrote its readings to.",
)
@click.option("--split", type=click.Choice(("test", "dev", "all")), default="test", show_default=True)
def sentences(sets: Sequence[str], folder: Path, split: str) -> None:
    """Check true sentences about the figures that `measure` read; write those called contradicted."""
    with (folder / "contradicted.jsonl").open("w", encoding="utf-8") as file:
        for named in sets:
            name, _, place = named.partition("=")
            try:
                figures = [figure for figure in truth.load(Path(place)) if split in ("all", figure.split)]
                readings = {reading.file: reading for reading in load(folder / name / READINGS_FILE)}
                found = list(sentences_.judged(figures, readings))
            except (ReaderError, truth.TruthError, OSError, KeyError) as error:
                raise click.ClickException(f"{name}: {error}") from error
            for sentence in found:
                if sentence.is_contradicted:
                    raw = {"set": name, **dataclasses.asdict(sentence)}
                    file.write(json.dumps(raw, ensure_ascii=False) + "\n")
            counted = sentences_.tally(found)
            verdicts = ", ".join(f"{verdict} {count}" for verdict, count in counted.verdicts.items())
            click.echo(
                f"{name}: contradicted {counted.of_all} of all true sentences, {counted.of_judged} of those compared "
                f"with what was read; checks: {verdicts or 'none'}"
            )


def _measure(
    console: Console, name: str, place: Path, out: Path, split: str, reader: Sequence[str], again: bool
) -> list[FigureScore]:
    out.mkdir(parents=True, exist_ok=True)
    figures = [figure for figure in truth.load(place) if split in ("all", figure.split)]
    if again:
        with Progress(console=console) as progress:
            task = progress.add_task(f"reading {name}", total=len(figures))
            run(reader, place, [f.file for f in figures], out / READINGS_FILE, lambda _: progress.advance(task))
    readings = {reading.file: reading for reading in load(out / READINGS_FILE)}
    missing = [figure.file for figure in figures if figure.file not in readings]
    if missing:
        raise ReaderError(f"{len(missing)} figures of {name} were not read, such as {missing[0]}")
    pairs = [(figure, readings[figure.file]) for figure in figures]
    return [score(figure, reading.chart, reading.seconds, reading.cpu_seconds) for figure, reading in pairs]


def _write(scores: dict[str, list[FigureScore]], folder: Path) -> None:
    summaries = {name: report.summarise(found) for name, found in scores.items()}
    parts = ["## All sets\n", report.markdown(summaries)]
    summary: dict[str, object] = {}
    for name, found in scores.items():
        groups = {by: report.grouped(found, key) for by, key in report.GROUPINGS.items()}
        for by, group in groups.items():
            parts += [f"\n## {name}, by {by}\n", report.short_markdown(group)]
        reasons = ", ".join(f"{reason} {count}" for reason, count in summaries[name].abstained.items())
        parts.append(f"\nFigures with abstentions: {reasons or 'none'}.\n")
        summary[name] = {
            "all": report.as_json(summaries[name]),
            **{by: {key: report.as_json(one) for key, one in group.items()} for by, group in groups.items()},
        }
    (folder / "table.md").write_text("\n".join(parts), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with (
        (folder / "scores.jsonl").open("w", encoding="utf-8") as all_scores,
        (folder / "wrong.jsonl").open("w", encoding="utf-8") as wrong,
    ):
        for name, found in scores.items():
            for one in found:
                raw = dataclasses.asdict(one)
                claims = raw.pop("wrong")
                all_scores.write(json.dumps({"set": name, **raw}, ensure_ascii=False) + "\n")
                for claim in claims:
                    wrong.write(json.dumps({"set": name, **claim}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    charts()
