"""What the worker counts, for Prometheus. The registry is handed in; nothing is registered at import."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


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
        self.depth = Gauge("llava_graph_ocr_queue_depth", "Jobs waiting and running, of all workers", registry=registry)
