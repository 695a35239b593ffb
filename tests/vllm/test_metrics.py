"""What Prometheus's rules and Grafana's dashboard expect of vLLM, against a real one."""

from __future__ import annotations

import json

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import RunningStack
from tests.unit.deploy.promql import VLLM_METRICS


async def test_this_vllm_exports_what_the_checked_in_list_says(stack: RunningStack) -> None:
    async with httpx2.AsyncClient(base_url=stack.state["engine_url"], trust_env=False) as engine:
        version = (await engine.get("/version")).raise_for_status().json()["version"]
        page = (await engine.get("/metrics")).raise_for_status().text
    found = {
        sample.name: sorted(sample.labels)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    listed = json.loads(VLLM_METRICS.read_text(encoding="utf-8"))
    assert listed["vllm"] == version
    assert {name: labels for name, labels in listed["samples"].items() if found.get(name) != labels} == {}
