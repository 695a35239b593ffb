"""Shards: parquet files of some hundred rows each, written whole or not at all, and streamed from any row.

A row holds its image's bytes, so 400,000 figures are some hundred files instead of 400,000, and one reader has one file
open and one row group in memory. Two kinds of shards exist: records (`RECORD_SCHEMA`) and training samples
(`SAMPLE_SCHEMA`). Images are a struct of `bytes` and `path`, which Hugging Face `datasets` takes for images
(`cast_column("image", Image())`).

Parquet rather than WebDataset: row groups give an exact position to resume at without reading what lies before it, the
small columns (paper, split) can be read without the images, and Ray Data and `datasets` read it as it is.

A position is (shard, row): the next row to read. `ShardStream` yields each row with the position after it, so a reader
that stores that position resumes with exactly the next row. Nothing here knows torch; training wraps the stream.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from data import record as records
from data.errors import ShardError
from data.record import Record
from llava_graph.context import Turn

ROWS_PER_SHARD = 2048
"""A SciCap figure has some 45 KB: about 90 MB a shard, 200 shards for 400,000 figures."""

ROWS_PER_GROUP = 32
"""What is in memory at once: some 1.5 MB of SciCap figures, at most 640 MB of the largest images that are taken."""

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TURNS = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))

RECORD_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),
        ("image", _IMAGE),
        ("record", pa.large_string()),  # JSON of record.py
    ]
)
SAMPLE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("group", pa.string()),
        ("image", _IMAGE),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("conversations", _TURNS),
        ("task", pa.string()),
        ("prompt", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Position:
    """The next row to read: `row` of the `shard`-th shard in the stream's order."""

    shard: int = 0
    row: int = 0


class ShardWriter:
    """Writes one shard under a name of its own and gives it its final name at the end, whole.

    Leaving the block by an exception leaves no shard. A shard without rows is not written at all.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, rows_per_group: int = ROWS_PER_GROUP) -> None:
        self.rows = 0
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._schema = schema
        self._rows_per_group = rows_per_group
        self._held: list[dict[str, Any]] = []
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._held:
                self._flush()
        finally:
            if self._file is not None:
                self._file.close()
        if kind is not None:
            self._partial.unlink(missing_ok=True)
        elif self._file is not None:
            self._partial.replace(self._path)

    def add(self, row: dict[str, Any]) -> None:
        self._held.append(row)
        self.rows += 1
        if len(self._held) == self._rows_per_group:
            self._flush()

    def _flush(self) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Images are compressed already; zstd is for the texts and costs little on the rest.
            self._file = pq.ParquetWriter(self._partial, self._schema, compression="zstd")
        self._file.write_table(pa.Table.from_pylist(self._held, self._schema))
        self._held = []


def shard_name(number: int) -> str:
    return f"part-{number:06d}.parquet"


def shard_paths(folder: Path) -> list[Path]:
    """The finished shards of a folder, in order. Raises ShardError where there is none."""
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise ShardError(f"{folder}: no shards (*.parquet) here")
    return paths


def row_count(path: Path) -> int:
    """Raises ShardError."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def rows_of(
    path: Path, *, columns: Sequence[str] | None = None, start: int = 0, shuffle: random.Random | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of one shard from the `start`-th on, a row group at a time. Row groups before it are not read.

    `shuffle` permutes the row groups, and the rows within each; the same generator gives the same order from any start.
    Raises ShardError for a file that is no whole parquet file.
    """
    with _opened(path) as file:
        skip = start
        groups = list(range(file.metadata.num_row_groups))
        if shuffle is not None:
            shuffle.shuffle(groups)
        for group in groups:
            count = file.metadata.row_group(group).num_rows
            order = list(range(count))
            if shuffle is not None:
                shuffle.shuffle(order)
            if skip >= count:
                skip -= count
                continue
            try:
                table = file.read_row_group(group, columns=None if columns is None else list(columns))
            except (pa.ArrowException, OSError) as error:
                raise ShardError(f"{path}: row group {group}: {error}") from error
            yield from table.take(order[skip:]).to_pylist()
            skip = 0


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path}: {error}") from error


class ShardStream:
    """The rows of a folder of shards, in an order that (seed, epoch) decides, from any position, for one of many ranks.

        stream = ShardStream(folder, seed=1, epoch=0, rank=0, world=8)
        for position, row in stream:
            ...
            state = stream.state(position)     # JSON, into the checkpoint
        stream = ShardStream.resumed(folder, state)     # goes on with the next row

    Without a seed the order is that of the names and rows. With one, the shards are permuted, the row groups within
    each, and the rows within those; nothing is held in memory for it. Rank r of w has every w-th shard from the r-th
    on. Raises ShardError where there are fewer shards than ranks, since a rank without data would stop the others.
    """

    def __init__(
        self,
        folder: Path,
        *,
        start: Position = Position(),
        seed: int | None = None,
        epoch: int = 0,
        rank: int = 0,
        world: int = 1,
        columns: Sequence[str] | None = None,
    ) -> None:
        every = shard_paths(folder)
        self._fingerprint = _fingerprint(every)
        if seed is not None:
            random.Random(f"shards-{seed}-{epoch}").shuffle(every)
        if len(every) < world:
            raise ShardError(f"{folder}: {len(every)} shards do not go round {world} ranks; build smaller shards")
        self._shards = every[rank::world]
        self._start = start
        self._columns = columns
        self._order: dict[str, Any] = {"seed": seed, "epoch": epoch, "rank": rank, "world": world}

    def __iter__(self) -> Iterator[tuple[Position, dict[str, Any]]]:
        position = self._start
        for number in range(position.shard, len(self._shards)):
            path = self._shards[number]
            seed, epoch = self._order["seed"], self._order["epoch"]
            shuffle = None if seed is None else random.Random(f"rows-{seed}-{epoch}-{path.name}")
            for row in rows_of(path, columns=self._columns, start=position.row, shuffle=shuffle):
                position = replace(position, row=position.row + 1)
                yield position, row
            position = Position(number + 1)

    def __len__(self) -> int:
        """Rows of this rank, all told."""
        return sum(row_count(path) for path in self._shards)

    def state(self, position: Position) -> dict[str, Any]:
        """All that `resumed` needs, as JSON."""
        return {"shard": position.shard, "row": position.row, "folder": self._fingerprint, **self._order}

    @classmethod
    def resumed(cls, folder: Path, state: Mapping[str, Any], *, columns: Sequence[str] | None = None) -> ShardStream:
        """The stream that goes on where `state` was taken.

        Raises ShardError when the folder does not hold the same shards: the position would mean other rows.
        """
        stream = cls(
            folder,
            start=Position(state["shard"], state["row"]),
            seed=state["seed"],
            epoch=state["epoch"],
            rank=state["rank"],
            world=state["world"],
            columns=columns,
        )
        if stream._fingerprint != state["folder"]:
            raise ShardError(f"{folder}: these are not the shards that the position was taken in")
        return stream


def _fingerprint(paths: Sequence[Path]) -> str:
    """Of names and sizes: reading 18 GB to resume would defeat the purpose."""
    names = [(path.name, path.stat().st_size) for path in paths]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]


def record_row(record: Record, image: bytes | None) -> dict[str, Any]:
    """A row of a record shard."""
    return {
        "id": record.id,
        "group": record.group,
        "split": record.split,
        "image": _image(record, image),
        "record": json.dumps(records.to_json(record), ensure_ascii=False),
    }


def record_of(row: Mapping[str, Any]) -> tuple[Record, bytes | None]:
    """The record and the image's bytes in a row of a record shard. Raises ShardError."""
    try:
        found = records.from_json(json.loads(row["record"]))
        return found, row["image"]["bytes"] if row["image"] else None
    except (KeyError, TypeError, ValueError) as error:
        raise ShardError(f"row {row.get('id')!r} is not a record: {error!r}") from error


def sample_row(record: Record, image: bytes | None, turns: tuple[Turn, ...], task: str, prompt: str) -> dict[str, Any]:
    """A row of a sample shard."""
    return {
        "id": record.id,
        "group": record.group,
        "image": _image(record, image),
        "width": record.figure.width if record.figure else 0,
        "height": record.figure.height if record.figure else 0,
        "conversations": records.turns_to_json(turns),
        "task": task,
        "prompt": prompt,
        "source": record.source,
        "licence": record.licence,
    }


def _image(record: Record, image: bytes | None) -> dict[str, Any] | None:
    return None if record.figure is None else {"bytes": image, "path": record.figure.name}
