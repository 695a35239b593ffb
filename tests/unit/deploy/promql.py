"""PromQL expressions against what the processes really export: names of samples, names of labels, values of labels.

A rule with a mistyped name is no error to Prometheus: it waits for a series that never comes. So every expression is
taken apart here by a parser, and each name in it looked up among the samples of the real registries; vLLM's stand in
vllm_metrics.json, as a vLLM of the version named there wrote them (tests/vllm/test_metrics.py reads them again).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import promql_parser
import yaml
from prometheus_client import CollectorRegistry

from llava_graph.figure import FigureErrorCode
from llava_graph.manifest import load_manifest
from ocr_worker.metrics import ParentMetrics, WorkerMetrics
from service.app import create_app
from service.errors import GatewayError
from service.metrics import Metrics
from service.metrics import ParentMetrics as GatewayParentMetrics
from service.middleware.request_context import Outcome
from service.settings import GatewaySettings
from tests.paths import REPOSITORY

VLLM_METRICS = Path(__file__).parent / "vllm_metrics.json"

Labels = dict[str, set[str]]
"""The labels of a sample with the values that are known; an empty set where any value may come."""

OF_TARGETS: Labels = {"job": {"gateway", "ocr-worker", "engine", "prometheus"}, "instance": set()}
"""What Prometheus adds to every sample that it scrapes."""


def exported() -> dict[str, Labels]:
    """Every sample of gateway, OCR worker and vLLM by its full name (`…_total`, `…_bucket`), and `up`."""
    samples: dict[str, Labels] = {"up": dict(OF_TARGETS)}
    for registry in (_gateway(), _ocr_worker()):
        for metric in registry.collect():
            for sample in metric.samples:
                labels = samples.setdefault(sample.name, {name: set(values) for name, values in OF_TARGETS.items()})
                for name, value in sample.labels.items():
                    labels.setdefault(name, set()).add(value)
                if sample.name.startswith("process_"):
                    labels.setdefault("process", set())  # of a gateway of several processes
    vllm = json.loads(VLLM_METRICS.read_text(encoding="utf-8"))["samples"]
    return samples | {name: {**OF_TARGETS, **{label: set() for label in labels}} for name, labels in vllm.items()}


def recorded(rules: Iterable[Mapping[str, Any]], known: Mapping[str, Labels]) -> dict[str, Labels]:
    """What recording rules add: the labels of a rule are those of what it is computed from."""
    found: dict[str, Labels] = {}
    for rule in rules:
        if "record" in rule:
            found[rule["record"]] = _labels_in(promql_parser.parse(rule["expr"]), {**known, **found})
    return found


def rules_in(folder: Path) -> list[dict[str, Any]]:
    """All rules of a folder, those that record first. Raises OSError or yaml.YAMLError."""
    files = sorted(folder.glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return sorted((rule for group in groups for rule in group["rules"]), key=lambda rule: "alert" in rule)


def complaints(expression: str, known: Mapping[str, Labels]) -> list[str]:
    """What is wrong with an expression, in words; empty when nothing is."""
    try:
        parsed = promql_parser.parse(expression)
    except ValueError as error:
        return [f"not PromQL: {error}"]
    wrong: list[str] = []
    for selector in _selectors(parsed):
        if selector.name not in known:
            wrong.append(f"nobody exports {selector.name}")
            continue
        labels = known[selector.name]
        for matcher in selector.matchers.matchers:
            if matcher.name not in labels:
                wrong.append(f"{selector.name} has no label {matcher.name}")
            elif labels[matcher.name] and not any(
                re.fullmatch(_pattern(matcher), value) for value in labels[matcher.name]
            ):
                wrong.append(f"{selector.name} has no {matcher.name} like {matcher.value}")
    for node in _nodes(parsed):
        if isinstance(node, promql_parser.AggregateExpr | promql_parser.BinaryExpr):
            wrong += [
                f"nothing there has a label {name}" for name in _grouped_by(node) - _labels_in(node, known).keys()
            ]
    return wrong


def labels_left(expression: str, known: Mapping[str, Labels]) -> set[str]:
    """The labels that a result may have: those of the outermost grouping, else all of what it is computed from."""
    parsed = promql_parser.parse(expression)
    for node in _nodes(parsed):
        if isinstance(node, promql_parser.AggregateExpr):
            return _grouped_by(node)
    return set(_labels_in(parsed, known))


def _nodes(expression: promql_parser.Expr) -> list[promql_parser.Expr]:
    """The expression and all its parts, the outer before the inner."""
    nodes: list[promql_parser.Expr] = []
    promql_parser.walk(expression, nodes.append)
    return nodes


def _selectors(expression: promql_parser.Expr) -> Iterator[promql_parser.VectorSelector]:
    for node in _nodes(expression):
        if isinstance(node, promql_parser.VectorSelector):
            yield node


def _labels_in(expression: promql_parser.Expr, known: Mapping[str, Labels]) -> Labels:
    labels: Labels = {}
    for selector in _selectors(expression):
        for name, values in known.get(selector.name or "", {}).items():
            labels[name] = labels.get(name, set()) | values
    return labels


def _grouped_by(node: promql_parser.AggregateExpr | promql_parser.BinaryExpr) -> set[str]:
    """The labels that a node names: `by (…)`, `on (…)`."""
    if node.modifier is None:
        return set()
    if isinstance(node, promql_parser.AggregateExpr):
        return set(node.modifier.labels)
    return set() if node.modifier.matching is None else set(node.modifier.matching.labels)


def _pattern(matcher: promql_parser.Matcher) -> str:
    is_pattern = matcher.op in (promql_parser.MatchOp.Re, promql_parser.MatchOp.NotRe)
    return str(matcher.value) if is_pattern else re.escape(matcher.value)


def _gateway() -> CollectorRegistry:
    """With a sample for every route and code that there can be: they are counted from their first time on. Models and
    engines are those of the settings' defaults, which have series from the start on."""
    registry = CollectorRegistry()
    manifest = load_manifest(REPOSITORY / "model_repo" / "llava-graph-tiny")
    app = create_app(GatewaySettings(), manifest=manifest, registry=registry)
    metrics: Metrics = app.state.gateway.metrics
    for route in app.openapi()["paths"]:
        for outcome in get_args(Outcome):
            metrics.requests.labels(route, outcome)
    for code in {*_codes(GatewayError), *get_args(FigureErrorCode)}:
        metrics.problems.labels(code)
        metrics.remote_images.labels(code)
    metrics.remote_images.labels("fetched")
    GatewayParentMetrics(registry)
    return registry


def _ocr_worker() -> CollectorRegistry:
    registry = CollectorRegistry()
    WorkerMetrics(registry).engine.labels("any")
    ParentMetrics(registry)
    return registry


def _codes(of: type[GatewayError]) -> Iterator[str]:
    for refusal in of.__subclasses__():
        yield refusal.code
        yield from _codes(refusal)
