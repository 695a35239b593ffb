"""The gateway's Prometheus metrics, on a registry that is handed in.

Every label has a small set of values: a route's template, never a path; a code, never a message; a model and an engine
that the operator named, never what a request says.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from llava_graph.metrics_folder import gather

_NAMESPACE = "llava_graph_gateway"
_WAITS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80)
_GAPS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 5)


PID_SUFFIX = ".pid"
"""Of the files in the folder of a gateway of several processes that hold their process ids."""


class Metrics:
    """One per process. Two of them need two registries.

    `folder` is that of a gateway of several processes, where each has its values (llava_graph/metrics_folder.py): then
    what each of them exposes is the sum of all.
    """

    def __init__(self, registry: CollectorRegistry, folder: Path | None = None) -> None:
        self.registry = registry
        self._folder = folder
        self._engines: set[tuple[str, str]] = set()
        """Those of now, as model and engine."""
        PlatformCollector(registry=registry)
        if folder is None:
            ProcessCollector(registry=registry)
            GCCollector(registry=registry)
        self.requests = Counter(
            "requests",
            "Requests by route and end: ok, refused (4xx), failed (5xx, or an error in the stream), client_gone",
            ("route", "outcome"),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.in_flight = Gauge(
            "in_flight",
            "Requests being answered",
            namespace=_NAMESPACE,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.draining = Gauge(
            "draining",
            "1 from SIGTERM on: new work is refused, what is under way is finished",
            namespace=_NAMESPACE,
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.problems = Counter(
            "problems",
            "Refusals and failures by code, also within streams; the engine's begin with engine_",
            ("code",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.clients_stalled = Counter(
            "clients_stalled",
            "Connections ended because their clients did not read what they were sent",
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.first_token_s = Histogram(
            "first_token_seconds",
            "From the end of an upload to the first piece of its answer",
            namespace=_NAMESPACE,
            registry=registry,
            buckets=_WAITS_S,
        )
        self.between_tokens_s = Histogram(
            "between_tokens_seconds",
            "From one piece of an answer to the next",
            namespace=_NAMESPACE,
            registry=registry,
            buckets=_GAPS_S,
        )
        self.tokens = Counter(
            "tokens",
            "Tokens as engines count them: of prompts (in) and answers (out)",
            ("direction",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.neutralised = Counter(
            "neutralised",
            "Spots in captions, texts of figures and messages that could have been read as commands, made harmless",
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.charts = Counter(
            "charts",
            "Figures explained, by what came of their data: ok, cached, abstained, off, timeout, failed",
            ("status",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.checks = Counter(
            "checks",
            "Numbers, names, trends and comparisons in answers, by what the figure says to them: printed, read, "
            "contradicted, unsupported",
            ("verdict",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.unsupported = Counter(
            "unsupported",
            "Numbers and names in answers that stand neither in the text of the figure nor in the caption",
            ("kind",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.figures = Counter(
            "figures",
            "Figures to keep: new, known (kept for longer), and those dropped to make room for new ones",
            ("event",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.remote_images = Counter(
            "remote_images",
            "Images asked for by URL, by what came of it: fetched, or the code of the refusal",
            ("outcome",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.feedback = Counter(
            "feedback",
            "Feedback that was stored, by what it says of the answer: up, down, flag",
            ("verdict",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.feedback_bytes = Gauge(
            "feedback_bytes",
            "Bytes of feedback in its folder, images included, when this gateway last stored some",
            namespace=_NAMESPACE,
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.ocr = Counter(
            "ocr",
            "Explanations by what came of the text in their figure: ok, cached, off, timeout, failed",
            ("status",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.ocr_failures = Counter(
            "ocr_failures",
            "Figures explained without their text, by reason: deadline, expired, lost, queue_full, redis, "
            "unreadable, worker",
            ("reason",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.ocr_wait_s = Histogram(
            "ocr_wait_seconds",
            "What explanations waited for the text in their figure",
            namespace=_NAMESPACE,
            registry=registry,
            buckets=_WAITS_S,
        )
        self.answers = Gauge(
            "answers",
            "Requests for an answer by state: admitted (all of them), running (the engine is at it); the rest upload, "
            "have their figure read, or wait for their turn",
            ("state",),
            namespace=_NAMESPACE,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.admission_refused = Counter(
            "admission_refused",
            "Requests for an answer refused as overloaded: no_place (too many at once), no_turn (waited too long)",
            ("reason",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.rate_limited = Counter(
            "rate_limited",
            "Requests refused because their caller was past a limit: requests, upload_bytes, streams",
            ("limit",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.rate_limits_skipped = Counter(
            "rate_limits_skipped",
            "Requests let through without a look at their caller's limits, because Redis was away",
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.engine_up = Gauge(
            "engine_up",
            "1 while the engine answers its health checks, 0 while it does not, or has not yet",
            ("model", "engine"),
            namespace=_NAMESPACE,
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.engine_draining = Gauge(
            "engine_draining",
            "1 while the engine is given nothing new, as the engines file has it",
            ("model", "engine"),
            namespace=_NAMESPACE,
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.engine_in_flight = Gauge(
            "engine_in_flight",
            "Answers that this gateway has the engine make",
            ("model", "engine"),
            namespace=_NAMESPACE,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.engine_requests = Counter(
            "engine_requests",
            "Answers asked of the engine, by why it was this one: affinity (it comes first for the figure), load (no "
            "figure, or the first had too much in flight)",
            ("model", "engine", "chosen"),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.engine_failures = Counter(
            "engine_failures",
            "Answers that failed at the engine, by code, also those that another engine then gave",
            ("model", "engine", "code"),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.engine_replaced = Counter(
            "engine_replaced",
            "Requests that were given to another engine after this one had failed before the first token",
            ("model", "engine"),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.engines_file = Counter(
            "engines_file_reads",
            "Changed engines files by what came of them: taken, broken (the one before stays)",
            ("outcome",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.of_engines: tuple[Gauge | Counter, ...] = (
            self.engine_up,
            self.engine_draining,
            self.engine_in_flight,
            self.engine_requests,
            self.engine_failures,
            self.engine_replaced,
        )
        """Those with a series for each engine."""
        for metric, values in (
            (self.tokens, ("in", "out")),
            (self.unsupported, ("number", "name")),
            (self.figures, ("new", "known", "dropped")),
            (self.feedback, ("up", "down", "flag")),
            (self.charts, ("ok", "cached", "abstained", "off", "timeout", "failed")),
            (self.checks, ("printed", "read", "contradicted", "unsupported")),
            (self.ocr, ("ok", "cached", "off", "timeout", "failed")),
            (self.ocr_failures, ("deadline", "expired", "lost", "queue_full", "redis", "unreadable", "worker")),
            (self.answers, ("admitted", "running")),
            (self.admission_refused, ("no_place", "no_turn")),
            (self.rate_limited, ("requests", "upload_bytes", "streams")),
            (self.engines_file, ("taken", "broken")),
        ):
            for value in values:
                metric.labels(value)  # a rate needs the zero before the first one

    def exposition(self) -> bytes:
        """In Prometheus's text format: of this process, or of all of them."""
        if self._folder is None:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        PlatformCollector(registry=registry)
        registry.register(_ProcessesCollector(self._folder))
        registry.register(_OfEnginesOfNow(gather(None, self._folder), frozenset(self._engines)))
        return generate_latest(registry)

    def add_engine(self, model: str, engine: str) -> None:
        """Its series are exposed from now on."""
        self._engines.add((model, engine))

    def remove_engine(self, model: str, engine: str) -> None:
        """They are exposed no more: another engine may get its name."""
        self._engines.discard((model, engine))
        if self._folder is None:  # nothing can be removed from the files
            for metric in self.of_engines:
                metric.remove_by_labels({"model": model, "engine": engine})


class ParentMetrics:
    """What the parent of a gateway's processes counts itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.processes = Gauge(
            "processes",
            "Processes of a gateway of several (LLAVA_GRAPH_WORKERS) that take connections",
            namespace=_NAMESPACE,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.deaths = Counter(
            "process_deaths",
            "Of these, those that ended by themselves: crashed, stuck (their event loop stood still)",
            ("reason",),
            namespace=_NAMESPACE,
            registry=registry,
        )
        for reason in ("crashed", "stuck"):
            self.deaths.labels(reason)


class _OfEnginesOfNow(Collector):
    """The metrics of all processes, without what their files hold of engines that are there no more."""

    def __init__(self, all_of_them: Collector, engines: frozenset[tuple[str, str]]) -> None:
        self._all_of_them = all_of_them
        self._engines = engines

    def collect(self) -> Iterable[Metric]:
        for metric in self._all_of_them.collect():
            metric.samples = [
                sample
                for sample in metric.samples
                if "engine" not in sample.labels or (sample.labels["model"], sample.labels["engine"]) in self._engines
            ]
            yield metric


class _ProcessesCollector(Collector):
    """ProcessCollector's metrics of every process, with the label `process`: a seat, or `parent`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for file in sorted(self._folder.glob(f"*{PID_SUFFIX}")):
            try:
                pid = file.read_text(encoding="ascii")
            except FileNotFoundError:  # it has ended in this moment
                continue
            for found in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                for sample in found.samples:
                    family.add_sample(sample.name, {"process": file.stem}, sample.value)
        return families.values()
