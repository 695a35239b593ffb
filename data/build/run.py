"""The build stage: shards of records in, shards of training samples for each split out, with statistics and a data
card.

    OUT/train/*.parquet, OUT/val/*.parquet, OUT/test/*.parquet    samples (shards.SAMPLE_SCHEMA)
    OUT/statistics.json, OUT/card.md                              what is in them

After the last shard it is checked that no paper is in two splits, whatever rule made them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from data.build.leaks import leak_of
from data.build.samples import NoSampleError, Wanted
from data.build.splits import (
    SPLITS,
    ByPaper,
    BySource,
    NoSplitError,
    OtherSplitError,
    Split,
    latest_splits,
    shared_groups,
)
from data.build.tokens import Lengths, TokenCount
from data.errors import BuildError
from data.record import IMAGE_TOKEN, Record
from data.shards import SAMPLE_SCHEMA, ShardWriter, record_of, rows_of, sample_row, shard_paths
from data.stage import Runner, Stage, Summary, prepare, run_stage
from data.tally import Tally

LeakRule = Literal["drop", "drop-whole", "keep"]


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """All that decides what is built. `splits` "paper" uses `val` and `test`, "source" does not."""

    task: Literal["paragraph", "conversation"]
    prompt: str
    seed: int = 1
    splits: Literal["paper", "source"] = "paper"
    val: float = 0.01
    test: float = 0.01
    leaks: LeakRule = "drop"
    tokenizer: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass
class SplitStatistics:
    """Of one split. `groups` are its papers (or images, where the paper is unknown)."""

    samples: int = 0
    prompt: Lengths = field(default_factory=Lengths)
    answer: Lengths = field(default_factory=Lengths)
    turns: Lengths = field(default_factory=Lengths)
    groups: set[str] = field(default_factory=set)
    sources: Counter[str] = field(default_factory=Counter)

    def merge(self, raw: dict[str, Any]) -> None:
        self.samples += raw["samples"]
        self.prompt.merge(Lengths.from_json(raw["prompt"]))
        self.answer.merge(Lengths.from_json(raw["answer"]))
        self.turns.merge(Lengths.from_json(raw["turns"]))
        self.groups.update(raw["groups"])
        self.sources.update(raw["sources"])

    def to_json(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "prompt": self.prompt.to_json(),
            "answer": self.answer.to_json(),
            "turns": self.turns.to_json(),
            "groups": sorted(self.groups),
            "sources": dict(self.sources),
        }

    def describe(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "papers": sum(group.startswith("paper:") for group in self.groups),
            "groups": len(self.groups),
            "prompt": self.prompt.describe(),
            "answer": self.answer.describe(),
            "questions": self.turns.describe(),
            "sources": dict(self.sources.most_common()),
        }


@dataclass(frozen=True, slots=True)
class BuildReport:
    settings: BuildSettings
    records: int
    splits: dict[str, SplitStatistics]
    tally: Tally
    licences: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return {
            "settings": self.settings.to_json(),
            "records": self.records,
            "unit": TokenCount(self.settings.tokenizer).unit,
            "splits": {name: statistics.describe() for name, statistics in self.splits.items()},
            "irregular": self.tally.to_json(),
            "licences": self.licences,
        }


def build(
    records: Path,
    folder: Path,
    settings: BuildSettings,
    runner: Runner,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> BuildReport:
    """Fills `folder` from the shards of `records`. Raises DataError."""
    shards = shard_paths(records)
    TokenCount(settings.tokenizer)("")  # a tokenizer that cannot be read is better found now
    stage = Stage("build", folder, settings.to_json())
    prepare(stage, shards, overwrite=overwrite)
    work = BuildShard(settings, _rule(settings, shards), folder)
    report = BuildReport(settings, 0, {split: SplitStatistics() for split in SPLITS}, Tally(), {})
    count = 0
    for summary in run_stage(stage, shards, work, runner, progress):
        count += summary["records"]
        report.tally.merge(Tally.from_json(summary["irregular"]))
        report.licences.update(summary["licences"])
        for split, raw in summary["splits"].items():
            report.splits[split].merge(raw)
    shared = shared_groups({split: statistics.groups for split, statistics in report.splits.items()})
    if shared:
        raise BuildError(f"{len(shared)} papers are in two splits, among them {sorted(shared)[:3]}")
    report = BuildReport(settings, count, report.splits, report.tally, report.licences)
    if not any(statistics.samples for statistics in report.splits.values()):
        raise BuildError("not one sample came of these records: " + "; ".join(report.tally.lines()))
    text = json.dumps(report.to_json(), indent=1, ensure_ascii=False)
    (folder / "statistics.json").write_text(text + "\n", encoding="utf-8")
    return report


def _rule(settings: BuildSettings, shards: Sequence[Path]) -> ByPaper | BySource:
    if settings.splits == "paper":
        return ByPaper(settings.seed, settings.val, settings.test)
    rows = (row for shard in shards for row in rows_of(shard, columns=["group", "split"]))
    return BySource(latest_splits((row["group"], row["split"]) for row in rows))


@dataclass(frozen=True, slots=True)
class BuildShard:
    """The work on one shard of records."""

    settings: BuildSettings
    rule: ByPaper | BySource
    folder: Path

    def __call__(self, shard: Path) -> Summary:
        tally = Tally()
        statistics: dict[str, SplitStatistics] = {}
        licences: dict[str, str] = {}
        wanted = Wanted(self.settings.task, self.settings.prompt, self.settings.seed)
        count = TokenCount(self.settings.tokenizer)
        records = 0
        with ExitStack() as stack:
            writers: dict[str, ShardWriter] = {}
            for row in rows_of(shard):
                records += 1
                record, image = record_of(row)
                split = self._split(record, tally)
                if split is None:
                    continue
                try:
                    worded = wanted.sample(record)
                except NoSampleError as error:
                    tally.add(error.kind, record.id)
                    continue
                if worded.neutralised:
                    tally.add("text_neutralised", record.id)
                leak = leak_of(worded.turns)
                if leak is not None:
                    tally.add("leak_whole_target" if leak == "whole" else "leak_sentence", record.id)
                    if self.settings.leaks == "drop" or (self.settings.leaks == "drop-whole" and leak == "whole"):
                        continue
                if split not in writers:
                    path = self.folder / split / shard.name
                    writers[split] = stack.enter_context(ShardWriter(path, SAMPLE_SCHEMA))
                writers[split].add(sample_row(record, image, worded.turns, self.settings.task, self.settings.prompt))
                licences[record.source] = record.licence
                entry = statistics.setdefault(split, SplitStatistics())
                entry.samples += 1
                entry.groups.add(record.group)
                entry.sources[record.source] += 1
                entry.turns.add(len(worded.turns) // 2)
                for lengths, role in ((entry.prompt, "user"), (entry.answer, "assistant")):
                    texts = (turn.text.replace(IMAGE_TOKEN, "") for turn in worded.turns if turn.role == role)
                    lengths.add(sum(count(text) for text in texts))
        return {
            "records": records,
            "splits": {split: entry.to_json() for split, entry in statistics.items()},
            "irregular": tally.to_json(),
            "licences": licences,
        }

    def _split(self, record: Record, tally: Tally) -> Split | None:
        try:
            return self.rule.split(record.group, record.split)
        except NoSplitError:
            tally.add("source_split_missing", record.id)
        except OtherSplitError:
            tally.add("paper_in_two_splits", record.id)
        return None
