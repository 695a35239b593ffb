"""What `llava-graph ocr-worker --check` makes of the workers that have announced themselves."""

from __future__ import annotations

from llava_graph.jobs import WorkerRecord
from ocr_worker.health import judge

NOW_MS = 1_000_000


def process(consumer: str, *, silent_ms: int = 0, pool: str = "p") -> WorkerRecord:
    return WorkerRecord(consumer, "rapid/1", "here", 0, pool, 2, NOW_MS - silent_ms, progress_within_ms=46_000)


def test_one_process_at_work_is_enough_and_the_missing_one_is_told() -> None:
    health = judge([process("a")], NOW_MS)
    assert health.ok
    assert health.in_words("here") == "here: 1 of 2 OCR worker processes at work rapid/1"


def test_process_that_lives_and_makes_no_progress_is_stuck() -> None:
    health = judge([process("a", silent_ms=46_001), process("b", silent_ms=46_000)], NOW_MS)
    assert health.ok
    assert health.in_words("here") == "here: 1 of 2 OCR worker processes at work, 1 stuck rapid/1"
    assert not judge([process("a", silent_ms=46_001)], NOW_MS).ok


def test_pools_on_one_host_are_added_up() -> None:
    assert judge([process("a"), process("b", pool="q")], NOW_MS).wanted == 4


def test_nobody_is_not_healthy() -> None:
    assert not judge([], NOW_MS).ok
