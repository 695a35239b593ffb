"""Prometheus metrics of worker processes and their parent. Registries are handed in; none is global.

All processes of one parent are scraped at one port: each writes its values into the parent's folder, and the parent
adds them up when it is asked (llava_graph/metrics_folder.py). A process's seat is a small number that its successor's
successor takes again, so that counters survive recycling.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from llava_graph.chart import Chart

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
        self.chart_run = Histogram(
            "llava_graph_chart_run_seconds",
            "Time in the chart reader, for one figure",
            buckets=_SECONDS,
            registry=registry,
        )
        self.chart_series = Counter(
            "llava_graph_chart_series",
            "Series of charts by kind: claimed, or the reason why nothing of them is",
            ["kind", "outcome"],
            registry=registry,
        )
        self.charts = Counter(
            "llava_graph_charts",
            "Figures by what the chart reader made of them: claimed, or the reason why nothing is",
            ["outcome"],
            registry=registry,
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

    def observe_chart(self, chart: Chart, run_s: float) -> None:
        """Counts what was read of one figure."""
        self.chart_run.observe(run_s)
        for panel in chart.panels:
            if panel.abstained is not None:
                self.chart_series.labels(panel.kind, panel.abstained).inc()
            for series in panel.series:
                self.chart_series.labels(panel.kind, series.abstained or "claimed").inc()
        reasons = [panel.abstained for panel in chart.panels if panel.abstained is not None]
        reason = chart.abstained or (reasons[0] if reasons else "no_series")
        self.charts.labels("claimed" if chart.claims else reason).inc()


class ParentMetrics:
    """What the parent of worker processes counts itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.processes = Gauge("llava_graph_ocr_processes", "Worker processes that are ready", registry=registry)
        self.recycles = Counter(
            "llava_graph_ocr_recycles",
            "Worker processes recycled, by reason: jobs, memory",
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
