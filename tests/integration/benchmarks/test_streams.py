"""The streams benchmark on a small scale: its stub engine, its client, and what the client makes of what it reads."""

from __future__ import annotations

import pytest

from benchmarks.stamps import STAMP_BYTES, stamp, stamps_ns
from benchmarks.stream_client import Run, Stream
from benchmarks.streams import WAYS, measure, running, table
from tests.harness.gateway import png


async def test_all_tokens_of_both_ways_arrive_and_none_before_it_was_sent() -> None:
    async with running(100, png()) as setup:
        measured = [await measure(setup, way, streams=4, seconds=1.0) for way in WAYS]
    for one in measured:
        assert one["broken"] == 0
        assert one["delay_p50_ms"] > 0
        assert one["tokens_per_s"] > 0
    assert [line.split("|")[1].strip() for line in table(measured).splitlines()[2:]] == list(WAYS)


@pytest.mark.parametrize("size", range(1, 2 * STAMP_BYTES))
async def test_stamp_cut_at_any_place_is_read_once(size: int) -> None:
    run = Run(b"", measuring=True)
    stream = Stream(run)
    data = b'data: {"text":"' + f"{stamp()}{stamp()} {stamp()}".encode() + b'"}\n\n'
    for start in range(0, len(data), size):
        stream.data_received(data[start : start + size])
    assert len(run.delays_ns) == 3
    assert min(run.delays_ns) > 0


def test_stamps_are_read_in_order() -> None:
    written = [stamp() for _ in range(3)]
    assert stamps_ns("".join(written).encode()) == [int(one[1:]) for one in written]


def test_every_stamp_has_the_same_length() -> None:
    assert {len(stamp()) for _ in range(100)} == {STAMP_BYTES}
