"""Prometheus's rules and Grafana's dashboard against what the processes export, and against what operators read.

What promtool says of the rules is asked where promtool is; the names are looked up everywhere.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.promql import REPOSITORY, Labels, complaints, exported, labels_left, recorded, rules_in

DEPLOY = REPOSITORY / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RULES = rules_in(PROMETHEUS / "rules")
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in RULES if "record" in rule}
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "llava-graph.json").read_text(encoding="utf-8"))
OPERATIONS = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")

GRID_COLUMNS = 24

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool on the PATH (Debian: apt-get install prometheus)"
)


@pytest.fixture(scope="module")
def known() -> dict[str, Labels]:
    """All that a query may name."""
    samples = exported()
    for name in [name for name in samples if name.startswith("process_")]:
        samples[name] = {**samples[name], "process": {"0", "1"}}  # of a gateway of several processes
    alerts: Labels = {
        "alertname": set(ALERTS),
        "alertstate": {"pending", "firing"},
        "severity": {"critical", "warning"},
    }
    return {**samples, **recorded(RULES, samples), "ALERTS": alerts}


def panels() -> Iterator[dict[str, Any]]:
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def queries() -> list[tuple[str, str, str]]:
    """Title, expression and legend of every query of the dashboard, with a range that Grafana would choose."""
    found = [
        (panel["title"], target["expr"], target["legendFormat"]) for panel in panels() for target in panel["targets"]
    ]
    found += [(note["name"], note["expr"], note["titleFormat"]) for note in DASHBOARD["annotations"]["list"]]
    return [(title, expression.replace("$__rate_interval", "1m"), legend) for title, expression, legend in found]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_name_only_what_is_exported(rule: dict[str, Any], known: dict[str, Labels]) -> None:
    assert complaints(rule["expr"], known) == []


def test_every_query_of_the_dashboard_names_only_what_is_exported(known: dict[str, Labels]) -> None:
    assert len(queries()) > 50
    assert {title: wrong for title, query, _ in queries() if (wrong := complaints(query, known))} == {}


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        (
            "llava_graph_ocr_dead_letters_total",
            "llava_graph_ocr_dead_letters",
            "nobody exports llava_graph_ocr_dead_letters",
        ),
        (
            "expr: llava_graph:first_token_seconds:p95",
            "expr: llava_graph:first_token_seconds:p99",
            "nobody exports llava_graph:first_token_seconds:p99_rate5m",
        ),
        ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "nobody exports vllm:gpu_cache_usage_perc"),
        ('reason="queue_full"', 'why="queue_full"', "llava_graph_gateway_ocr_failures_total has no label why"),
        ('reason="queue_full"', 'reason="full"', "llava_graph_gateway_ocr_failures_total has no reason like full"),
        ('code=~"engine_.+"', 'code=~"vllm_.+"', "llava_graph_gateway_problems_total has no code like vllm_.+"),
        ("sum by (code)", "sum by (kind)", "nothing there has a label kind"),
        ("on (instance)", "on (host)", "nothing there has a label host"),
        ("histogram_quantile(0.95, sum", "histogram_quantile(0.95 sum", "not PromQL"),
    ],
)
def test_a_mistake_in_a_rule_is_found(
    right: str, wrong: str, complaint: str, known: dict[str, Labels], tmp_path: Path
) -> None:
    rules = shutil.copytree(PROMETHEUS / "rules", tmp_path / "rules")
    (file,) = (file for file in rules.iterdir() if right in file.read_text(encoding="utf-8"))
    file.write_text(file.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    found = [words for rule in rules_in(rules) for words in complaints(rule["expr"], known)]
    assert any(words.startswith(complaint) for words in found), found


def test_every_recorded_series_is_asked_for() -> None:
    asked = " ".join([*(rule["expr"] for rule in RULES), *(query for _, query, _ in queries())])
    assert {name for name in RECORDED if name not in asked} == set()


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description", "runbook_url"} == alert["annotations"].keys()
    assert alert["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
    runbook = re.search(rf"^### {name}\n\n\*(\w+)\.\*", OPERATIONS, re.MULTILINE)
    assert runbook is not None, f"docs/operations.md has no heading {name}, or no severity below it"
    assert runbook[1] == alert["labels"]["severity"]


def test_the_runbook_is_about_alerts_that_exist() -> None:
    assert set(re.findall(r"^### (LlavaGraph\w+)$", OPERATIONS, re.MULTILINE)) == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_shown_to_fire_and_not_to_fire(name: str) -> None:
    tests = yaml.safe_load((PROMETHEUS / "tests" / "alerts.yml").read_text(encoding="utf-8"))["tests"]
    firing = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
    cases = [case for test in tests for case in test.get("promql_expr_test", ()) if case["expr"] == firing]
    assert {bool(case["exp_samples"]) for case in cases} == {True, False}


def test_settings_that_alerts_name_exist() -> None:
    settings = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    named = {name for rule in ALERTS.values() for name in re.findall(r"LLAVA_GRAPH_\w+", str(rule["annotations"]))}
    assert named
    assert {name for name in named if f"| `{name}` |" not in settings} == set()


def test_legends_show_labels_that_the_results_have(known: dict[str, Labels]) -> None:
    shown = {
        title: (set(re.findall(r"\{\{(\w+)\}\}", legend)), labels_left(query, known))
        for title, query, legend in queries()
    }
    assert {title: missing for title, (used, there) in shown.items() if (missing := used - there)} == {}


def test_panels_lie_beside_each_other_and_say_what_they_show() -> None:
    assert [
        number for number, times in Counter(panel["id"] for panel in DASHBOARD["panels"]).items() if times > 1
    ] == []
    taken: Counter[tuple[int, int]] = Counter()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= GRID_COLUMNS, panel["title"]
        taken.update((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))
        assert panel["title"]
    assert max(taken.values()) == 1
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text(encoding="utf-8"))[
        "datasources"
    ]
    (variable,) = DASHBOARD["templating"]["list"]
    assert (source["type"], source["uid"]) == (variable["query"], variable["current"]["value"])
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "llava-graph.yml").read_text(encoding="utf-8"))[
        "providers"
    ]
    assert provider["type"] == "file"


def test_prometheus_scrapes_each_part_under_the_name_that_the_rules_use(known: dict[str, Labels]) -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    assert {scrape["job_name"] for scrape in config["scrape_configs"]} == known["up"]["job"]
    assert [path.name for pattern in config["rule_files"] for path in PROMETHEUS.glob(pattern)]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=600)


@needs_promtool
def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    checked = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
@pytest.mark.parametrize("file", ["recording.yml", "alerts.yml"])
def test_rules_do_what_their_tests_say(file: str) -> None:
    tested = promtool("test", "rules", PROMETHEUS / "tests" / file)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
def test_the_tests_of_the_rules_notice_changes(tmp_path: Path) -> None:
    copy = shutil.copytree(PROMETHEUS, tmp_path / "prometheus")
    alerts = copy / "rules" / "alerts.yml"
    text = alerts.read_text(encoding="utf-8")
    changes = {
        "LlavaGraphOverloaded": ("        for: 5m\n", ""),  # a single event fires
        "LlavaGraphRequestsFail": ("_rate5m > 0.05", "_rate5m > 0.5"),  # what is too much does not
        "LlavaGraphOcrBacklogOld": ("seconds:max > 10", "seconds:max > 8"),  # what is not too much does
        "LlavaGraphOcrWithoutWorkers": (
            "(sum(llava_graph_ocr_processes) or vector(0))",
            "sum(llava_graph_ocr_processes)",
        ),
        "LlavaGraphRedisAway": ("redis_errors_total", "redis_error_total"),
    }
    for right, wrong in changes.values():
        assert right in text
        text = text.replace(right, wrong)
    alerts.write_text(text, encoding="utf-8")
    tested = promtool("test", "rules", copy / "tests" / "alerts.yml")
    assert tested.returncode == 1
    assert {name for name in changes if name not in tested.stderr + tested.stdout} == set()


@needs_promtool
def test_promtool_reads_the_queries_of_the_dashboard_as_we_do(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, (_, query, _) in enumerate(queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr
