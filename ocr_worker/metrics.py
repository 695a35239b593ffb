"""What workers and their parent count, for Prometheus. Registries are handed in; nothing is registered at import.

All processes of one parent are scraped at one port. Each writes its values into files in the parent's folder
(prometheus_client's multiprocess mode), and the parent adds them up when it is asked. The files are named after the
process's seat, a small number that its successor's successor takes again, so that counters survive recycling and the
folder does not grow.
"""

from __future__ import annotations

import os
from pathlib import Path

import prometheus_client.values
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.values import MultiProcessValue

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks for the folder."""


class WorkerMetrics:
    """All metrics of one worker process; names begin with `llava_graph_ocr_`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.jobs = Counter(
            "llava_graph_ocr_jobs",
            "Jobs ended: done, known (another worker had finished the figure), failed, expired, unreadable",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("done", "known", "failed", "expired", "unreadable"):
            self.jobs.labels(outcome)  # a rate needs the zero before the first one
        self.dead_letters = Counter(
            "llava_graph_ocr_dead_letters", "Jobs given up, with a dead letter", registry=registry
        )
        self.taken_over = Counter("llava_graph_ocr_taken_over", "Jobs of dead workers taken over", registry=registry)
        self.lines = Counter("llava_graph_ocr_lines", "Lines of text read", registry=registry)
        self.redis_errors = Counter("llava_graph_ocr_redis_errors", "Failed calls to Redis", registry=registry)
        self.wait = Histogram(
            "llava_graph_ocr_wait_seconds",
            "From a gateway's submission to a worker's first look",
            buckets=_SECONDS,
            registry=registry,
        )
        self.run = Histogram(
            "llava_graph_ocr_run_seconds", "Time in the OCR engine, for one batch", buckets=_SECONDS, registry=registry
        )
        self.batch = Histogram(
            "llava_graph_ocr_batch_figures", "Figures in a batch", buckets=(1, 2, 4, 8, 16, 32), registry=registry
        )
        self.depth = Gauge(
            "llava_graph_ocr_queue_depth",
            "Jobs waiting and running, of all workers",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.oldest_age = Gauge(
            "llava_graph_ocr_queue_oldest_age_seconds",
            "Since the submission of the oldest job that has not ended, of all workers; 0 without jobs",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.resident = Gauge(
            "llava_graph_ocr_resident_bytes",
            "Resident memory of each worker process (pid is its seat, not its process id)",
            registry=registry,
            multiprocess_mode="liveall",
        )
        self.engine = Gauge(
            "llava_graph_ocr_engine_info",
            "Worker processes by the revision of their OCR engine",
            ["revision"],
            registry=registry,
            multiprocess_mode="livesum",
        )


class ParentMetrics:
    """What the parent of worker processes counts itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.processes = Gauge("llava_graph_ocr_processes", "Worker processes that are ready", registry=registry)
        self.recycles = Counter(
            "llava_graph_ocr_recycles",
            "Worker processes replaced because they were worn, by what wore them: jobs, memory",
            ["reason"],
            registry=registry,
        )
        self.deaths = Counter(
            "llava_graph_ocr_process_deaths",
            "Worker processes that ended by themselves: crashed, stuck (the engine hung)",
            ["reason"],
            registry=registry,
        )
        for reason in ("jobs", "memory"):
            self.recycles.labels(reason)
        for reason in ("crashed", "stuck"):
            self.deaths.labels(reason)


def write_to_folder(seat: int) -> bool:
    """Makes this process write its metrics into the parent's folder, under its seat; False when it gave none.

    Must come before the first metric is made.
    """
    if not os.environ.get(FOLDER_VARIABLE):
        return False
    # As prometheus_client's manual has it for workers with names of their own.
    prometheus_client.values.ValueClass = MultiProcessValue(lambda: seat)  # type: ignore[no-untyped-call]
    return True


def gather(registry: CollectorRegistry, folder: Path) -> None:
    """Adds what all processes write into `folder` to the registry."""
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]


def forget_process(seat: int, folder: Path) -> None:
    """Clears the gauges of a process that has ended; its counters stay."""
    mark_process_dead(seat, path=str(folder))  # type: ignore[no-untyped-call]
