"""A stage goes on where it was stopped, and refuses a folder of other settings; a journal survives a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from data.errors import StageError
from data.journal import Journal
from data.scale import Processes
from data.stage import Stage, Summary, Work, prepare, run_stage
from data.window import HELD, in_order

SETTINGS = {"seed": 1, "nested": (1, 2)}


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"part-{number}.parquet" for number in range(4)]
    for path in paths:
        path.write_bytes(b"x")
    return paths


def size_of(shard: Path) -> Summary:
    """Module-level, for other processes to find it."""
    return {"name": shard.name, "size": shard.stat().st_size}


class StoppedError(Exception):
    pass


class StopsAfter:
    """A runner that is stopped after so many shards."""

    def __init__(self, count: int) -> None:
        self._count = count

    def run(self, work: Work, shards: Sequence[Path]) -> Iterator[tuple[Path, Summary]]:
        for number, shard in enumerate(shards):
            if number == self._count:
                raise StoppedError
            yield shard, work(shard)


def test_stopped_stage_goes_on_with_the_shards_that_are_missing(tmp_path: Path, shards: list[Path]) -> None:
    stage = Stage("test", tmp_path / "out", SETTINGS)
    worked: list[str] = []

    def work(shard: Path) -> Summary:
        worked.append(shard.name)
        return size_of(shard)

    prepare(stage, shards)
    with pytest.raises(StoppedError):
        run_stage(stage, shards, work, StopsAfter(2))
    prepare(stage, shards)
    seen: list[tuple[int, int]] = []
    summaries = run_stage(stage, shards, work, Processes(1), lambda done, every: seen.append((done, every)))
    assert worked == [shard.name for shard in shards]
    assert [summary["name"] for summary in summaries] == worked
    assert seen == [(2, 4), (3, 4), (4, 4)]


def test_several_processes_do_what_one_does(tmp_path: Path, shards: list[Path]) -> None:
    results = []
    for count in (1, 2):
        stage = Stage("test", tmp_path / f"out{count}", {})
        prepare(stage, shards)
        results.append(run_stage(stage, shards, size_of, Processes(count)))
    assert results[0] == results[1]


def test_folder_of_other_settings_is_refused_by_name(tmp_path: Path, shards: list[Path]) -> None:
    prepare(Stage("test", tmp_path / "out", SETTINGS), shards)
    with pytest.raises(StageError, match="seed: 1 then, 2 now"):
        prepare(Stage("test", tmp_path / "out", {**SETTINGS, "seed": 2}), shards)
    shards[0].write_bytes(b"longer")
    with pytest.raises(StageError, match="input"):
        prepare(Stage("test", tmp_path / "out", SETTINGS), shards)
    (tmp_path / "out" / "old").write_text("", encoding="utf-8")
    prepare(Stage("test", tmp_path / "out", {"seed": 2}), shards, overwrite=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["stage.json"]


def test_folder_of_somebody_else_is_neither_used_nor_overwritten(tmp_path: Path, shards: list[Path]) -> None:
    for overwrite in (False, True):
        with pytest.raises(StageError, match="was not made by this command"):
            prepare(Stage("test", tmp_path, {}), shards, overwrite=overwrite)
    assert shards[0].exists()


def test_journal_gives_back_what_was_added_and_drops_a_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "a" / "journal.jsonl"
    with Journal(path) as journal:
        journal.add("a", {"x": 1})
        journal.add("b\n", [" "])
    path.write_bytes(path.read_bytes() + b'["c", {"x"')
    with Journal(path) as journal:
        assert (journal.get("a"), journal.get("b\n"), journal.get("c")) == ({"x": 1}, [" "], None)
        journal.add("c", 3)
    with Journal(path) as journal:
        assert journal.get("c") == 3
        journal.remove()
    assert not path.exists()


def test_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("hello\n", encoding="utf-8")
    with pytest.raises(StageError, match=r"journal\.jsonl:1"):
        Journal(path)


async def test_window_answers_in_order_with_bounded_work() -> None:
    running = most = taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield number

    async def ask(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5 - number % 5):  # the later ones are done first
            await asyncio.sleep(0)
        running -= 1
        return number * number

    answered = 0
    async with aclosing(in_order(items(), ask, 3)) as answers:
        async for number, answer in answers:
            assert answer == number * number
            assert number == answered
            answered += 1
            assert taken - answered <= 3 * HELD
    assert answered == 50
    assert most == 3


async def test_window_stops_what_is_under_way_when_an_answer_fails() -> None:
    cancelled = 0

    async def ask(number: int) -> int:
        nonlocal cancelled
        if number == 0:
            raise StoppedError
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return number

    with pytest.raises(StoppedError):
        async with aclosing(in_order(range(100), ask, 2)) as answers:
            async for _ in answers:
                pytest.fail("nothing was answered")
    assert cancelled == 2
