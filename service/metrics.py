"""What the gateway counts, on a Prometheus registry that is handed in.

Every label has a fixed, small set of values: a route's template, never a path; a code, never a message.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_NAMESPACE = "llava_graph_gateway"
_WAITS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80)
_GAPS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 5)


class Metrics:
    """One per process. Two of them need two registries."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.requests = Counter(
            "requests",
            "Requests by route and end: ok, refused (4xx), failed (5xx, or an error in the stream), client_gone",
            ("route", "outcome"),
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.in_flight = Gauge("in_flight", "Requests being answered", namespace=_NAMESPACE, registry=registry)
        self.draining = Gauge(
            "draining",
            "1 from SIGTERM on: new work is refused, what is under way is finished",
            namespace=_NAMESPACE,
            registry=registry,
        )
        self.problems = Counter(
            "problems",
            "Refusals and failures by code, also within streams; the engine's begin with engine_",
            ("code",),
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
        for metric, values in (
            (self.tokens, ("in", "out")),
            (self.unsupported, ("number", "name")),
            (self.figures, ("new", "known", "dropped")),
            (self.ocr, ("ok", "cached", "off", "timeout", "failed")),
            (self.ocr_failures, ("deadline", "expired", "lost", "queue_full", "redis", "unreadable", "worker")),
            (self.answers, ("admitted", "running")),
            (self.admission_refused, ("no_place", "no_turn")),
            (self.rate_limited, ("requests", "upload_bytes", "streams")),
        ):
            for value in values:
                metric.labels(value)  # a rate needs the zero before the first one
