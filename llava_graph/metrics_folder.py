"""Metrics of several processes in one scrape: prometheus_client's multiprocess mode, with names of our own.

Each process writes its values into files in a folder of its parent's, and they are added up when they are asked for.
The files are named after the process's seat, not after its process id: a successor takes the same seat, so that
counters survive it and the folder does not grow. Two processes must not have one seat at the same time.

Gateway and OCR worker both do so. This module knows no metric.
"""

from __future__ import annotations

import os
from pathlib import Path

import prometheus_client.values
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.values import MultiProcessValue

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks for the folder."""


def write_to_folder(seat: int | str) -> bool:
    """Makes this process write its metrics into the parent's folder, under its seat; False when it gave none.

    Must come before the first metric is made.
    """
    if not os.environ.get(FOLDER_VARIABLE):
        return False
    # As prometheus_client's manual has it for workers with names of their own.
    prometheus_client.values.ValueClass = MultiProcessValue(lambda: seat)  # type: ignore[no-untyped-call]
    return True


def gather(registry: CollectorRegistry | None, folder: Path) -> MultiProcessCollector:
    """What adds up all that processes write into `folder`; added to the registry, where there is one."""
    return MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]


def forget_process(seat: int | str, folder: Path) -> None:
    """Clears the gauges of a process that has ended; its counters stay."""
    mark_process_dead(seat, path=str(folder))  # type: ignore[no-untyped-call]
