"""The OCR stage: shards of records in, the same shards with the figures' lines and charts out.

Each shard keeps a journal, so a stopped run asks again only about the figures that were under way. A figure that was
not read stays, without lines, and is counted (`ocr_failed`): the model meets such figures in service, too.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.journal import Journal
from data.ocr.readers import FigureReader, NotReadError, ReaderFactory, Reading
from data.record import Record
from data.shards import RECORD_SCHEMA, ShardWriter, record_of, record_row, rows_of, shard_paths
from data.stage import Runner, Stage, Summary, prepare, run_stage
from data.tally import Tally
from data.window import in_order
from llava_graph import chart as charts
from llava_graph.ocr import Line


@dataclass(frozen=True, slots=True)
class OcrReport:
    """`asked` figures were read in this run or an earlier one; `kept_lines` had lines already and were not asked
    about."""

    asked: int
    kept_lines: int
    tally: Tally


def read_figures(
    records: Path,
    folder: Path,
    factory: ReaderFactory,
    runner: Runner,
    *,
    again: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> OcrReport:
    """Fills `folder` from the shards of `records`. `again` reads also the figures that have lines. Raises DataError."""
    shards = shard_paths(records)
    stage = Stage("ocr", folder, {"again": again})
    prepare(stage, shards, overwrite=overwrite)
    summaries = run_stage(stage, shards, ReadShard(factory, folder, again), runner, progress)
    tally = Tally()
    for summary in summaries:
        tally.merge(Tally.from_json(summary["irregular"]))
    return OcrReport(sum(s["asked"] for s in summaries), sum(s["kept_lines"] for s in summaries), tally)


@dataclass(frozen=True, slots=True)
class ReadShard:
    """The work on one shard of records."""

    factory: ReaderFactory
    folder: Path
    again: bool = False

    def __call__(self, shard: Path) -> Summary:
        return asyncio.run(self._read(shard))

    async def _read(self, shard: Path) -> Summary:
        tally = Tally()
        asked = kept_lines = 0
        with Journal(self.folder / ".journal" / f"{shard.stem}.jsonl") as journal:
            async with self.factory.open() as reader:

                async def ask(item: tuple[Record, bytes | None]) -> Any:
                    record, image = item
                    wanted = image is not None and (self.again or not record.lines)
                    return await _result(reader, record.id, image, journal) if image is not None and wanted else None

                rows = (record_of(row) for row in rows_of(shard))
                with ShardWriter(self.folder / shard.name, RECORD_SCHEMA) as writer:
                    async with aclosing(in_order(rows, ask, self.factory.at_once)) as answers:
                        async for (record, image), result in answers:
                            asked += result is not None
                            kept_lines += result is None and bool(record.lines)
                            found = record if result is None else _with_reading(record, result, tally)
                            writer.add(record_row(found, image))
            journal.remove()
        return {"asked": asked, "kept_lines": kept_lines, "irregular": tally.to_json()}


async def _result(reader: FigureReader, record_id: str, image: bytes, journal: Journal) -> Any:
    """What the journal has or, else, what it now gets: a reading as JSON, or the reason why there is none."""
    known = journal.get(record_id)
    if known is not None:
        return known
    try:
        reading = await reader.read(image)
        result = _to_json(reading)
    except NotReadError as error:
        result = {"reason": str(error)}
    journal.add(record_id, result)
    return result


def _to_json(reading: Reading) -> dict[str, Any]:
    return {
        "lines": [line.to_json() for line in reading.lines],
        "chart": None if reading.chart is None else charts.to_json(reading.chart),
    }


def _with_reading(record: Record, result: dict[str, Any], tally: Tally) -> Record:
    if "reason" in result:
        tally.add("ocr_failed", f"{record.id}: {result['reason']}")
        return record
    lines = tuple(Line.from_json(line) for line in result["lines"])
    chart = record.chart if result["chart"] is None else charts.from_json(result["chart"])
    return dataclasses.replace(record, lines=lines, chart=chart)
