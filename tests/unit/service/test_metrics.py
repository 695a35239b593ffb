"""What one process of several exposes of all of them."""

from __future__ import annotations

import os
from pathlib import Path

import prometheus_client.values
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from llava_graph.metrics_folder import FOLDER_VARIABLE, forget_process, write_to_folder
from service.metrics import PID_SUFFIX, Metrics


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where metrics that are made now are written."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(prometheus_client.values, "ValueClass", prometheus_client.values.ValueClass)
    return tmp_path


def in_seat(seat: int, folder: Path) -> Metrics:
    write_to_folder(seat)
    return Metrics(CollectorRegistry(), folder)


def exposed(metrics: Metrics, name: str) -> dict[frozenset[str], float]:
    """The values of a sample by those of its labels."""
    return {
        frozenset(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
        if sample.name == name
    }


def test_each_process_exposes_the_sum_of_all(folder: Path) -> None:
    one, other = in_seat(0, folder), in_seat(1, folder)
    one.in_flight.inc(2)
    other.in_flight.inc()
    other.draining.set(1)
    one.requests.labels("/v1/explain", "ok").inc()
    other.requests.labels("/v1/explain", "ok").inc()
    for metrics in (one, other):
        assert exposed(metrics, "llava_graph_gateway_in_flight") == {frozenset(): 3}
        assert exposed(metrics, "llava_graph_gateway_draining") == {frozenset(): 1}
        assert exposed(metrics, "llava_graph_gateway_requests_total") == {frozenset({"/v1/explain", "ok"}): 2}


def test_counters_outlive_a_process_and_gauges_do_not(folder: Path) -> None:
    one, other = in_seat(0, folder), in_seat(1, folder)
    other.in_flight.inc()
    other.clients_stalled.inc()
    forget_process(1, folder)
    assert exposed(one, "llava_graph_gateway_in_flight") == {frozenset(): 0}
    in_seat(1, folder).clients_stalled.inc()
    assert exposed(one, "llava_graph_gateway_clients_stalled_total") == {frozenset(): 2}


def test_engine_that_was_removed_is_exposed_no_more_though_the_files_have_it(folder: Path) -> None:
    metrics = in_seat(0, folder)
    for engine in ("a", "b"):
        metrics.add_engine("model", engine)
        metrics.engine_up.labels("model", engine).set(1)
    metrics.remove_engine("model", "a")
    assert exposed(metrics, "llava_graph_gateway_engine_up") == {frozenset({"model", "b"}): 1}


def test_processes_are_told_apart_by_their_seats(folder: Path) -> None:
    metrics = in_seat(0, folder)
    for name, pid in (("0", os.getpid()), ("parent", os.getppid()), ("1", 2**22 + 1)):
        (folder / f"{name}{PID_SUFFIX}").write_text(str(pid))
    found = exposed(metrics, "process_resident_memory_bytes")
    assert set(found) == {frozenset({"0"}), frozenset({"parent"})}, "a process that has gone has no memory"
    assert all(found.values())
