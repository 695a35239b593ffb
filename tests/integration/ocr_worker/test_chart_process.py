"""The process of the chart reader: a crash or a hang of the reader costs a figure its data and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest

from llava_graph.chart import Chart
from llava_graph.ocr import Line
from ocr_worker.charts.process import ChartProcess, ReadChart, ReadCrops
from ocr_worker.engines import Pixels
from ocr_worker.errors import OcrEngineError
from tests.fakes import chart_readers
from tests.fakes.chart_readers import CRASHES, HANGS, RAISES

LINES = [Line("Loss", (0.0, 0.0, 10.0, 10.0), 0.9)]
READ = 100


def image(does: int) -> Pixels:
    return np.full((20, 30, 3), does, np.uint8)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def process(
    read: ReadChart = chart_readers.misbehaving, *, deadline_s: float = 30.0, read_crops: ReadCrops | None = None
) -> Iterator[ChartProcess]:
    reader = ChartProcess("charts/1", deadline_s=deadline_s, read=read, read_crops=read_crops)
    try:
        yield reader
    finally:
        reader.close()


def test_figures_are_read_one_after_the_other_in_the_same_process() -> None:
    with process() as reader:
        first, second = reader.read(image(READ), LINES), reader.read(image(READ), LINES)
    assert first.panels[0].area == (0.0, 0.0, 30.0, 1.0)
    assert first.revision == second.revision


@pytest.mark.parametrize("does", [CRASHES, RAISES])
def test_reader_that_dies_costs_its_figure_the_data_and_the_next_one_nothing(does: int) -> None:
    with process() as reader:
        assert reader.read(image(does), LINES) == Chart(abstained="reader_failed", revision="charts/1")
        assert reader.read(image(READ), LINES).panels


def test_reader_that_hangs_is_killed_and_the_next_figure_is_read() -> None:
    with process(deadline_s=0.5) as reader:
        hung_pid = int(reader.read(image(READ), LINES).revision)
        assert reader.read(image(HANGS), LINES) == Chart(abstained="deadline", revision="charts/1")
        assert not is_running(hung_pid)
        assert reader.read(image(READ), LINES).panels


def test_crops_are_read_on_the_side_of_the_ocr_models() -> None:
    def read_crops(crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        return [(str(crop.shape), 0.5) for crop in crops]

    with process(chart_readers.rereading, read_crops=read_crops) as reader:
        assert reader.read(image(READ), LINES).revision == "(20, 30, 3) 0.5"


def test_reader_that_never_has_enough_crops_is_ended() -> None:
    with process(chart_readers.insatiable, read_crops=lambda crops: [("", 0.0) for _ in crops]) as reader:
        assert reader.read(image(READ), LINES).abstained == "deadline"


def test_crops_that_cannot_be_read_cost_the_figure_its_data() -> None:
    def read_crops(_: Sequence[Pixels]) -> list[tuple[str, float]]:
        raise OcrEngineError("the models are gone")

    with process(chart_readers.rereading, read_crops=read_crops) as reader:
        assert reader.read(image(READ), LINES).abstained == "reader_failed"


def test_process_ends_with_the_reader_that_is_closed() -> None:
    with process() as reader:
        pid = int(reader.read(image(READ), LINES).revision)
        assert is_running(pid)
    assert not is_running(pid)
