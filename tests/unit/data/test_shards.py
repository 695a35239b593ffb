"""Shards: written whole or not at all, streamed in bounded memory, resumed at the very next row."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data.errors import ShardError
from data.record import FigureReference, Record
from data.shards import (
    RECORD_SCHEMA,
    Position,
    ShardStream,
    ShardWriter,
    record_of,
    record_row,
    row_count,
    rows_of,
    shard_name,
    shard_paths,
)


def record(number: int) -> Record:
    return Record(f"r{number}", "test", "none", FigureReference(f"{number}.png", f"1001.{number:04d}"))


def fill(folder: Path, shards: int, rows: int, *, image: bytes = b"png", rows_per_group: int = 4) -> Path:
    for shard in range(shards):
        path = folder / shard_name(shard)
        with ShardWriter(path, RECORD_SCHEMA, rows_per_group=rows_per_group) as writer:
            for row in range(rows):
                writer.add(record_row(record(shard * rows + row), image))
    return folder


def ids(stream: ShardStream) -> list[str]:
    return [row["id"] for _, row in stream]


def test_row_gives_back_the_record_and_the_image(tmp_path: Path) -> None:
    fill(tmp_path, 1, 3, image=b"\x89PNG")
    assert [record_of(row) for row in rows_of(tmp_path / shard_name(0))] == [
        (record(number), b"\x89PNG") for number in range(3)
    ]


def test_shard_whose_writing_fails_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        ShardWriter(tmp_path / "a.parquet", RECORD_SCHEMA, rows_per_group=1) as writer,
    ):
        writer.add(record_row(record(1), b""))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_shard_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "a.parquet", RECORD_SCHEMA, rows_per_group=1) as writer:
        writer.add(record_row(record(1), b""))
        with pytest.raises(ShardError, match="no shards"):
            shard_paths(tmp_path)
    assert row_count(tmp_path / "a.parquet") == 1


def test_damaged_shard_is_named(tmp_path: Path) -> None:
    path = fill(tmp_path, 1, 8) / shard_name(0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ShardError, match="part-000000"):
        list(rows_of(path))


def test_row_that_is_no_record_is_named() -> None:
    with pytest.raises(ShardError, match="'r1'"):
        record_of({"id": "r1", "record": '{"id": 1}', "image": None})


def test_stream_without_a_seed_has_the_order_of_the_files(tmp_path: Path) -> None:
    assert ids(ShardStream(fill(tmp_path, 3, 10))) == [f"r{number}" for number in range(30)]


def test_seed_and_epoch_decide_the_order(tmp_path: Path) -> None:
    fill(tmp_path, 3, 10)
    first = ids(ShardStream(tmp_path, seed=1))
    assert first == ids(ShardStream(tmp_path, seed=1))
    assert first != ids(ShardStream(tmp_path, seed=1, epoch=1))
    assert first != ids(ShardStream(tmp_path, seed=2))
    assert sorted(first) == sorted(f"r{number}" for number in range(30))


@pytest.mark.parametrize("seed", [None, 7])
def test_stream_resumed_after_any_row_goes_on_with_the_next(tmp_path: Path, seed: int | None) -> None:
    fill(tmp_path, 3, 10)
    stream = ShardStream(tmp_path, seed=seed, epoch=2)
    every = [(stream.state(position), row["id"]) for position, row in stream]
    for number, (state, _) in enumerate(every):
        rest = ids(ShardStream.resumed(tmp_path, state))
        assert rest == [record_id for _, record_id in every[number + 1 :]]


def test_resuming_reads_no_row_group_before_the_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 1, 40, rows_per_group=4)
    read: list[int] = []
    whole = pa.parquet.ParquetFile.read_row_group

    def counted(file: Any, group: int, **options: Any) -> Any:
        read.append(group)
        return whole(file, group, **options)

    monkeypatch.setattr(pa.parquet.ParquetFile, "read_row_group", counted)
    assert len(ids(ShardStream(tmp_path, start=Position(0, 33)))) == 7
    assert read == [8, 9]


def test_state_of_other_shards_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, 2, 10)
    stream = ShardStream(tmp_path)
    state = stream.state(Position(1, 3))
    fill(tmp_path, 3, 10)
    with pytest.raises(ShardError, match="not the shards"):
        ShardStream.resumed(tmp_path, state)


def test_ranks_share_the_rows_out(tmp_path: Path) -> None:
    fill(tmp_path, 5, 4)
    parts = [ids(ShardStream(tmp_path, seed=3, rank=rank, world=2)) for rank in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(f"r{number}" for number in range(20))
    assert [len(ShardStream(tmp_path, seed=3, rank=rank, world=2)) for rank in range(2)] == [len(p) for p in parts]


def test_more_ranks_than_shards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="2 shards do not go round 3 ranks"):
        ShardStream(fill(tmp_path, 2, 4), world=3)


def open_files() -> set[str]:
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}


def large(folder: Path) -> Iterator[None]:
    """30 MB of figures in 6 shards, written as a stage writes them."""
    for shard in range(6):
        with ShardWriter(folder / shard_name(shard), RECORD_SCHEMA) as writer:
            for row in range(100):
                # Bytes that no compression makes smaller, like those of a PNG.
                writer.add(record_row(record(shard * 100 + row), os.urandom(50_000)))
        yield


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to see which files are open")
def test_600_figures_are_written_and_streamed_with_one_file_open_and_memory_for_one_row_group(tmp_path: Path) -> None:
    default = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(default)
    before = open_files()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        for _ in large(tmp_path):
            assert not open_files() - before
        count = 0
        most = 0
        for _, row in ShardStream(tmp_path, seed=1):
            count += 1
            assert len(row["image"]["bytes"]) == 50_000
            if count % 50 == 0:
                most = max(most, len({name for name in open_files() - before if name.endswith(".parquet")}))
        _, python_peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(default)
    assert count == 600
    assert most == 1
    # A row group has 32 rows of 50 KB: 1.6 MB, in a few copies (Python's, Arrow's, the file's buffer).
    assert python_peak < 12e6
    assert 0 < pool.max_memory() < 12e6
    assert len(list(tmp_path.iterdir())) == 6
