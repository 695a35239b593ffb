"""The first stage: a source in the format of others becomes shards of records with their images.

In two steps, so that the slow one goes round many processes: a reader lists the records, one after the other, into
shards without images (`.listing/`); then each of these shards gets its images, checked and measured (`AttachImages`).
Both steps go on where they were stopped. What is irregular is counted; report.json and the command's output say it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.arxiv import look_up, make_table
from data.errors import FormatError
from data.images import ImageMissingError, ImagePlaces, UnsafeNameError
from data.readers.base import Reader, Source
from data.record import Record, to_json
from data.shards import (
    RECORD_SCHEMA,
    ROWS_PER_SHARD,
    ShardWriter,
    record_of,
    record_row,
    rows_of,
    shard_name,
    shard_paths,
)
from data.stage import Runner, Stage, Summary, prepare, run_stage
from data.tally import Tally
from llava_graph.figure import FigureError, FigureLimits, open_figure


@dataclass(frozen=True, slots=True)
class ReadReport:
    """`listed` records came from the reader, `kept` are in the shards."""

    listed: int
    kept: int
    tally: Tally

    def to_json(self) -> dict[str, Any]:
        return {"listed": self.listed, "kept": self.kept, "irregular": self.tally.to_json()}


def read(
    reader: Reader,
    source: Source,
    places: Sequence[Path],
    folder: Path,
    runner: Runner,
    *,
    rows_per_shard: int = ROWS_PER_SHARD,
    limit: int | None = None,
    arxiv_metadata: Path | None = None,
    overwrite: bool = False,
    progress: Callable[[str, int, int | None], None] = lambda _step, _done, _all: None,
) -> ReadReport:
    """Fills `folder` with shards of records. Raises DataError.

    `limit` ends after so many records of the source. `arxiv_metadata` is arXiv's snapshot, for titles and abstracts
    where the source has none. `progress` is told the step, what is done, and of how many.
    """
    images = ImagePlaces(places)
    settings = {
        "format": reader.name,
        "source": str(source.path),
        "metadata": None if source.metadata is None else str(source.metadata),
        "split": source.split,
        "images": [str(place) for place in places],
        "rows_per_shard": rows_per_shard,
        "limit": limit,
        "arxiv_metadata": None if arxiv_metadata is None else str(arxiv_metadata),
    }
    if not source.path.exists():
        raise FormatError(f"{source.path}: no such file or folder")
    stage = Stage("read", folder, settings)
    prepare(stage, [], overwrite=overwrite)
    listing = folder / ".listing"
    tally = list_records(reader, source, listing, rows_per_shard, limit, lambda done: progress("records", done, None))
    listed = shard_paths(listing)
    titles = None
    if arxiv_metadata is not None:
        titles = folder / ".arxiv.sqlite"
        if not titles.exists():
            papers = {paper for shard in listed for paper in _papers(shard)}
            make_table(arxiv_metadata, papers, titles, lambda done: progress("arXiv's metadata", done, None))
    work = AttachImages(images, folder, titles)
    summaries = run_stage(stage, listed, work, runner, lambda done, every: progress("shards with images", done, every))
    for summary in summaries:
        tally.merge(Tally.from_json(summary["irregular"]))
    report = ReadReport(sum(s["listed"] for s in summaries), sum(s["kept"] for s in summaries), tally)
    text = json.dumps({"settings": settings, **report.to_json()}, indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    return report


def list_records(
    reader: Reader,
    source: Source,
    listing: Path,
    rows_per_shard: int,
    limit: int | None,
    progress: Callable[[int], None],
) -> Tally:
    """The source's records in shards without images; nothing is done where an earlier run listed them all.

    A listing that was stopped is begun again: reading on needs what lies before, and takes minutes, not hours.
    """
    complete = listing / "complete.json"
    if complete.exists():
        return Tally.from_json(json.loads(complete.read_text(encoding="utf-8")))
    shutil.rmtree(listing, ignore_errors=True)
    listing.mkdir(parents=True)
    tally = Tally()
    known = _Known()
    records = reader.records(source, tally)
    number = listed = 0
    ended = False
    while not ended:
        with ShardWriter(listing / shard_name(number), RECORD_SCHEMA, rows_per_group=rows_per_shard) as writer:
            ended = True
            for record in records:
                named = known.named(record, tally)
                if named is None:
                    continue
                writer.add(record_row(named, None))
                listed += 1
                if listed % 1000 == 0:
                    progress(listed)
                if listed == limit:
                    break
                if writer.rows == rows_per_shard:
                    ended = False
                    break
        number += 1
    progress(listed)
    if not listed:
        raise FormatError(f"{source.path}: no usable record; " + "; ".join(tally.lines()))
    complete.write_text(json.dumps(tally.to_json()), encoding="utf-8")
    return tally


class _Known:
    """The records so far, by id. Later stages need ids that are unique.

    Instruct-150K has a description, a conversation and a reasoning question about one image, all under the image's id.
    Some 150 bytes a record: 90 MB for CC3M-595K.
    """

    def __init__(self) -> None:
        self._digests: dict[str, tuple[bytes, ...]] = {}

    def named(self, record: Record, tally: Tally) -> Record | None:
        """The record, its id numbered where another record has it; None for the same record again."""
        digest = hashlib.blake2b(json.dumps(to_json(record)).encode(), digest_size=8).digest()
        before = self._digests.get(record.id, ())
        if digest in before:
            tally.add("record_repeated", record.id)
            return None
        self._digests[record.id] = (*before, digest)
        if not before:
            return record
        tally.add("id_repeated", record.id)
        return dataclasses.replace(record, id=f"{record.id}~{len(before) + 1}")


@dataclass(frozen=True, slots=True)
class AttachImages:
    """The work on one shard of the listing: find each image, open it once to check and measure it, and store its bytes.

    The bytes are kept as they are: decoding and encoding again would change JPEGs and take most of the time.
    """

    images: ImagePlaces
    folder: Path
    titles: Path | None = None
    limits: FigureLimits = field(default_factory=FigureLimits)

    def __call__(self, shard: Path) -> Summary:
        tally = Tally()
        listed = 0
        titles = (
            nullcontext() if self.titles is None else closing(sqlite3.connect(f"file:{self.titles}?mode=ro", uri=True))
        )
        with titles as table, ShardWriter(self.folder / shard.name, RECORD_SCHEMA) as writer:
            for row in rows_of(shard):
                listed += 1
                record = _with_title(record_of(row)[0], table, tally)
                if record.figure is None:
                    writer.add(record_row(record, None))
                    continue
                found = self._with_image(record, tally)
                if found is not None:
                    writer.add(record_row(*found))
        return {"listed": listed, "kept": writer.rows, "irregular": tally.to_json()}

    def _with_image(self, record: Record, tally: Tally) -> tuple[Record, bytes] | None:
        assert record.figure is not None
        try:
            image = self.images.read(record.figure.name)
            opened = open_figure(image, self.limits)
        except ImageMissingError:
            tally.add("image_missing", record.id)
        except UnsafeNameError:
            tally.add("image_name_unsafe", record.id)
        except FigureError as error:
            tally.add(error.code, record.id)
        except OSError:
            tally.add("image_undecodable", record.id)
        else:
            figure = dataclasses.replace(record.figure, width=opened.width, height=opened.height)
            return dataclasses.replace(record, figure=figure), image
        return None


def _papers(shard: Path) -> set[str]:
    groups = (row["group"] for row in rows_of(shard, columns=["group"]))
    return {group.removeprefix("paper:") for group in groups if group.startswith("paper:")}


def _with_title(record: Record, table: sqlite3.Connection | None, tally: Tally) -> Record:
    if table is None or record.title or record.paper is None:
        return record
    found = look_up(table, record.paper)
    if found is None:
        tally.add("title_unknown", record.id)
        return record
    return dataclasses.replace(record, title=found[0], abstract=record.abstract or found[1])
