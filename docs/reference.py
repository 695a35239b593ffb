"""Writes what stands in two places from the place where it is defined: `make docs`.

The tables of settings (docs/settings.md) and metrics (docs/operate.md) come from the code. A table stands between
`<!-- NAME -->` and `<!-- /NAME -->`; tests/unit/docs/test_docs.py fails when one is not current. Prometheus's rules are
files of deploy/prometheus; its operator on Kubernetes wants them within a resource
(tests/unit/deploy/test_kubernetes.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry
from pydantic_settings import BaseSettings

from ocr_worker.metrics import ParentMetrics, WorkerMetrics
from ocr_worker.settings import WorkerSettings
from service.metrics import Metrics
from service.metrics import ParentMetrics as GatewayParentMetrics
from service.settings import GatewaySettings

DOCS = Path(__file__).parents[1] / "docs"
PLACES = {
    DOCS / "settings.md": ("gateway-settings", "ocr-worker-settings"),
    DOCS / "operate.md": ("gateway-metrics", "ocr-worker-metrics"),
}
"""Which tables stand in which document."""
RULES = Path(__file__).parents[1] / "deploy" / "prometheus" / "rules"
PROMETHEUS_RULE = Path(__file__).parents[1] / "deploy" / "kubernetes" / "components" / "monitoring" / "rules.yaml"


def tables() -> dict[str, str]:
    """Every generated table by the name of its place."""
    gateway, worker = CollectorRegistry(), CollectorRegistry()
    Metrics(gateway)
    GatewayParentMetrics(gateway)
    WorkerMetrics(worker)
    ParentMetrics(worker)
    return {
        "gateway-settings": _settings(GatewaySettings),
        "ocr-worker-settings": _settings(WorkerSettings),
        "gateway-metrics": _metrics(gateway),
        "ocr-worker-metrics": _metrics(worker),
    }


def filled(document: Path) -> str:
    """The document's text with its tables in their places. Raises ValueError when a place is missing."""
    text = document.read_text(encoding="utf-8")
    found_tables = tables()
    for name in PLACES[document]:
        table = found_tables[name]
        place = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
        found = place.search(text)
        if found is None:
            raise ValueError(f"there is no place <!-- {name} --> … <!-- /{name} -->")
        begin, end = found.span()
        text = f"{text[:begin]}\n{table}\n\n{text[end:]}"
    return text


def prometheus_rule() -> str:
    """Prometheus's rules as the resource that its operator takes them from."""
    files = [RULES / "recording.yml", RULES / "alerts.yml"]
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "llava-graph", "labels": {"app.kubernetes.io/name": "llava-graph"}},
        "spec": {
            "groups": [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
        },
    }
    written = yaml.safe_dump(resource, sort_keys=False, allow_unicode=True, width=120)
    return f"# Written by `make docs` from deploy/prometheus/rules: change them there.\n{written}"


def _settings(settings: type[BaseSettings]) -> str:
    prefix = settings.model_config.get("env_prefix", "")
    return _table(
        ("variable", "default", "meaning"),
        (
            (
                f"`{prefix}{name.upper()}`",
                "none" if field.default is None else f"`{field.default}`",
                field.description or "",
            )
            for name, field in settings.model_fields.items()
        ),
    )


def _metrics(registry: CollectorRegistry) -> str:
    found = sorted((metric.name, metric.type, metric.documentation) for metric in registry.collect())
    return _table(("metric", "type", "meaning"), ((f"`{name}`", kind, words) for name, kind, words in found))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def main() -> None:
    for document in PLACES:
        document.write_text(filled(document), encoding="utf-8")
    PROMETHEUS_RULE.write_text(prometheus_rule(), encoding="utf-8")


if __name__ == "__main__":
    main()
