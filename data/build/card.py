"""The data card: what is in a built folder, in Markdown, from its statistics.json and its first samples.

After Gebru et al., Datasheets for Datasets (2018), as far as a program can know it: composition, preparation,
licences. What only a person can know (consent, intended use beyond this project) is not made up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.errors import ShardError
from data.shards import rows_of
from data.tally import KINDS

_MAX_SHOWN_CHARS = 1200


def write_card(folder: Path) -> Path:
    """Writes card.md beside the splits and returns its path. Raises ShardError where no build has ended."""
    path = folder / "card.md"
    try:
        statistics = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ShardError(f"{folder}: no finished build here (statistics.json: {error.strerror})") from error
    path.write_text(card(statistics, _example(folder)), encoding="utf-8")
    return path


def card(statistics: Mapping[str, Any], example: Mapping[str, Any] | None) -> str:
    """The text of the card."""
    settings = statistics["settings"]
    rows = [
        "# Data card",
        "",
        f"Training conversations about figures: task `{settings['task']}`, prompt `{settings['prompt']}`, "
        f"from {statistics['records']:,} records.",
        "",
        "## Composition",
        "",
        "| split | samples | papers | questions | sources |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for name, split in statistics["splits"].items():
        sources = ", ".join(f"{source} {count:,}" for source, count in split["sources"].items()) or "none"
        total = int(split["questions"]["total"])
        rows.append(f"| {name} | {split['samples']:,} | {split['papers']:,} | {total:,} | {sources} |")
    rule = (
        f"by a hash of seed {settings['seed']} and the paper ({settings['val']:.3%} val, {settings['test']:.3%} test)"
        if settings["splits"] == "paper"
        else "as the source has them; a paper that is in two stays in the later one only"
    )
    rows += [
        "",
        f"Splits: {rule}. Checked after the build: no paper is in two splits (where it is unknown: no image).",
        "",
        f"## Lengths ({statistics['unit']} a sample, without special tokens and image tokens)",
        "",
        "| split | part | total | mean | sd | min | p50 | p90 | p99 | max |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, split in statistics["splits"].items():
        for part in ("prompt", "answer"):
            d = split[part]
            values = " | ".join(f"{d[key]:,}" for key in ("total", "mean", "sd", "min", "p50", "p90", "p99", "max"))
            rows.append(f"| {name} | {part} | {values} |")
    rows += ["", "## Irregularities", ""]
    counts = statistics["irregular"]["counts"]
    if counts:
        rows += ["| kind | count | the record is | meaning |", "| --- | ---: | --- | --- |"]
        for kind, count in sorted(counts.items(), key=lambda item: -item[1]):
            fate, meaning = _fate(kind, settings["leaks"]), KINDS[kind][1]
            rows.append(f"| {kind} | {count:,} | {fate} | {meaning} |")
    else:
        rows.append("None.")
    rows += ["", "Those of reading the sources are in the report.json of the records' folder.", "", "## Licences", ""]
    rows += [f"- {source}: {licence}" for source, licence in sorted(statistics["licences"].items())]
    rows += ["", "## Settings", "", "```json", json.dumps(settings, indent=1, ensure_ascii=False), "```"]
    if example is not None:
        rows += ["", "## One sample", "", f"`{example['id']}`", "", *_shown(example["conversations"])]
    return "\n".join(rows) + "\n"


def _fate(kind: str, leaks: str) -> str:
    if kind == "leak_whole_target":
        return "kept" if leaks == "keep" else "left out"
    if kind == "leak_sentence":
        return "left out" if leaks == "drop" else "kept"
    return KINDS[kind][0]


def _shown(conversation: list[dict[str, str]]) -> list[str]:
    """As an indented code block, which no text can end early (a fence of backticks could be)."""
    rows = []
    for turn in conversation:
        value = turn["value"]
        cut = value if len(value) <= _MAX_SHOWN_CHARS else value[:_MAX_SHOWN_CHARS] + " […]"
        rows += [f"    {turn['from']}: " + cut.replace("\n", "\n    ")]
    return rows


def _example(folder: Path) -> dict[str, Any] | None:
    for split in ("train", "val", "test"):
        for shard in sorted((folder / split).glob("*.parquet")):
            for row in rows_of(shard, columns=["id", "conversations"]):
                return row
    return None
