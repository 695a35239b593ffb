"""The table of the benchmark of gateways: medians of rounds, and what a way adds to the straight one."""

from __future__ import annotations

from typing import Any

from benchmarks.gateways import tables


def measured(way: str, streams: int, delay_ms: float, *, cpu: float = 0.5, saturated: bool = False) -> dict[str, Any]:
    return {
        "way": way,
        "streams": streams,
        "saturated": saturated,
        "begun": True,
        "tokens_per_s": 1000.0,
        "delay_p50_ms": delay_ms,
        "delay_p99_ms": 2 * delay_ms,
        "server_cpu": cpu,
        "server_rss_mib": 90.0,
    }


def test_added_is_the_difference_to_the_straight_way_of_the_medians() -> None:
    rows = [measured("straight", 16, delay) for delay in (1, 2, 9)] + [
        measured("gateway", 16, delay) for delay in (4, 5, 50)
    ]
    rows += [measured(way, 100, 0, cpu=0.25, saturated=True) for way in ("straight", "gateway")]
    lines = tables(rows).splitlines()
    assert "| straight | 16 | 1,000 | (2.00 ms) | (4.00 ms) | 0.50 cores | 90 MiB |" in lines
    assert "| gateway | 16 | 1,000 | 3.00 ms | 6.00 ms | 0.50 cores | 90 MiB |" in lines
    assert "| gateway | 100 | 1,000 | 0.25 cores | 4,000 | 90 MiB |" in lines


def test_way_that_cannot_begin_its_streams_is_said_to_and_measured_with_fewer() -> None:
    rows = [measured("straight", 500, 1), {**measured("litellm", 500, 0), "begun": False}]
    rows += [
        {**measured("litellm", 100, 0, saturated=True), "begun": False},
        measured("litellm", 16, 0, saturated=True),
    ]
    lines = tables([*rows, measured("straight", 100, 0, saturated=True)]).splitlines()
    assert "| litellm | 500 | did not begin | | | | |" in lines
    assert "| litellm | 16 | 1,000 | 0.50 cores | 2,000 | 90 MiB |" in lines
