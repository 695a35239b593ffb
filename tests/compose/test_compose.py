"""docker-compose.yml on a real Docker engine, with the profile for CPUs: `make test-compose`.

Where no registry can be reached, images of others are stand-ins (tests/compose/images.py) and Grafana is left out.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from typing import Any

import httpx2
import pytest

from llava_graph.client import ExplainError
from tests.compose.asking import explained
from tests.compose.conftest import OURS, Running
from tests.compose.stack import DEAD, HEALTHY, Stack, docker, now
from tests.fakes.kept import feedback_on
from tests.harness.gateway import png

pytestmark = pytest.mark.timeout(3600)

PROMETHEUS_DEADLINE_S = 90
"""Prometheus looks for targets every 15 s, and asks each every 15 s."""

GATEWAY_IMAGE_BYTES = 250_000_000


async def test_figure_is_read_and_explained_through_the_published_port(gateway: httpx2.AsyncClient) -> None:
    parts = await explained(gateway, "Optical density")
    assert parts["ocr"]["status"] == "ok"
    assert "Optical" in " ".join(line["text"] for line in parts["ocr"]["lines"])
    assert parts["done"]["text"].strip()


async def test_page_offers_the_examples_of_the_image(gateway: httpx2.AsyncClient) -> None:
    assert (await gateway.get("/")).status_code == 200
    examples = (await gateway.get("/page/examples.json")).json()
    assert {example["caption"] for example in examples}


async def test_without_the_key_nobody_gets_in(running: Running) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", trust_env=False) as stranger:
        refused = await stranger.post("/v1/explain", files={"image": png()}, data={"caption": ""})
    assert refused.status_code == 401


async def test_gateway_and_nothing_else_is_published_on_the_loopback_alone(running: Running) -> None:
    published = {}
    for service in running.services:
        ports = running.stack.facts(service)["NetworkSettings"]["Ports"]
        published[service] = [host for hosts in ports.values() for host in hosts or []]
    grafana = published.pop("grafana", [])
    assert all(host["HostIp"] == "127.0.0.1" for host in grafana)
    assert published.pop("gateway") == [{"HostIp": "127.0.0.1", "HostPort": str(running.port)}]
    assert not any(published.values()), published
    for address in own_addresses():
        with pytest.raises(OSError):
            socket.create_connection((address, running.port), timeout=2).close()


def own_addresses() -> list[str]:
    """The addresses at which other machines would reach this one."""
    return subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()


async def test_containers_have_no_root_no_capabilities_and_nothing_to_write_to(running: Running) -> None:
    for service in running.services:
        user = running.stack.run_inside(service, "id", "-u").stdout.strip()
        assert user not in ("", "0"), service
        status = running.stack.run_inside(service, "cat", "/proc/self/status").stdout
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        capabilities = {int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")}
        assert (capabilities, fields["NoNewPrivs"]) == ({0}, "1"), service
        for place in ("/", "/app", "/usr/bin", "/opt"):
            written = running.stack.run_inside(service, "touch", f"{place}/written")
            assert written.returncode != 0, f"{service}: {place}"
        assert running.stack.facts(service)["HostConfig"]["ReadonlyRootfs"] is True
        assert running.stack.facts(service)["HostConfig"]["Memory"] > 0


async def test_redis_is_out_of_reach_for_all_but_its_clients(running: Running) -> None:
    program = "import socket; socket.create_connection(('redis', 6379), timeout=3)"
    reached = {service: running.stack.run_inside(service, "python3", "-c", program).returncode == 0 for service in OURS}
    assert reached == {"gateway": True, "ocr-worker": True, "engine": False}
    names = running.stack.facts("prometheus")["NetworkSettings"]["Networks"]
    assert [name.removeprefix(f"{running.stack.project}_") for name in names] == ["inside"]


async def test_all_but_what_people_reach_is_on_networks_without_a_way_out(running: Running) -> None:
    """Neither a model nor a figure that takes over the process that reads it can call anybody."""
    for service in set(running.services) - {"gateway", "grafana"}:
        networks = json.loads(
            docker("network", "inspect", *running.stack.facts(service)["NetworkSettings"]["Networks"])
        )
        assert [network["Internal"] for network in networks] == [True] * len(networks), service


async def test_prometheus_scrapes_gateway_and_ocr_worker(stack: Stack, gateway: httpx2.AsyncClient) -> None:
    await explained(gateway, "Dry mass")
    counted = await series(stack, 'llava_graph_gateway_requests_total{route="/v1/explain",outcome="ok"} >= 1')
    assert counted[0]["metric"]["job"] == "gateway"
    assert await series(stack, "llava_graph_ocr_processes == 1")
    assert await series(stack, "llava_graph_ocr_queue_depth")


async def series(stack: Stack, query: str) -> list[dict[str, Any]]:
    """What Prometheus answers, as soon as it knows something of it."""
    url = str(httpx2.URL("http://prometheus:9090/api/v1/query", params={"query": query}))
    async with asyncio.timeout(PROMETHEUS_DEADLINE_S):
        while True:
            answer = json.loads(stack.get(url).stdout)
            if found := answer["data"]["result"]:
                return list(found)
            await asyncio.sleep(1)  # Prometheus tells nobody when it has scraped


async def test_rules_of_prometheus_are_loaded(stack: Stack) -> None:
    groups = json.loads(stack.get("http://prometheus:9090/api/v1/rules").stdout)["data"]["groups"]
    assert groups
    assert all(rule["health"] != "err" for group in groups for rule in group["rules"])


async def test_killed_ocr_worker_comes_back_and_meanwhile_figures_are_explained(
    stack: Stack, gateway: httpx2.AsyncClient
) -> None:
    killed = now()
    stack.kill_main_process("ocr-worker")
    meanwhile = await explained(gateway, "Leaf area")
    assert meanwhile["done"]["text"].strip()
    await stack.until("ocr-worker", HEALTHY, since=killed)
    assert (await explained(gateway, "Root depth"))["ocr"]["status"] == "ok"


async def test_killed_engine_is_told_from_a_fault_and_comes_back(stack: Stack, gateway: httpx2.AsyncClient) -> None:
    killed = now()
    stack.kill_main_process("engine")
    await stack.until("engine", DEAD, since=killed)
    with pytest.raises(ExplainError) as refused:
        await explained(gateway, "Stem height")
    assert (refused.value.code, refused.value.retryable) == ("engine_unavailable", True)
    await stack.until("engine", HEALTHY, since=killed)
    assert (await explained(gateway, "Stem height"))["done"]["text"].strip()


async def test_published_to_others_the_gateway_does_not_start_without_keys(stack: Stack) -> None:
    """By the very variable that publishes it."""
    options = ["-e", "LLAVA_GRAPH_PUBLISHED_HOST=0.0.0.0", "-e", "LLAVA_GRAPH_KEYS_FILE="]
    refused = stack.compose("run", "--rm", "--no-deps", "-T", *options, "gateway", check=False)
    assert refused.returncode == 1
    assert "On 0.0.0.0 others" in refused.stderr


async def test_images_hold_no_compiler_and_nothing_that_is_not_theirs(stack: Stack) -> None:
    program = (
        "import importlib.util, os, shutil\n"
        "tools = [tool for tool in ('gcc', 'cc', 'g++', 'make', 'ld') if shutil.which(tool)]\n"
        "modules = [name for name in ('pip', 'service', 'ocr_worker', 'torch', 'rapidocr', 'training')\n"
        "           if importlib.util.find_spec(name)]\n"
        "print(*tools, *modules, *sorted(os.listdir('/app')))\n"
    )
    held = {service: stack.run_inside(service, "python3", "-c", program).stdout.split() for service in OURS}
    assert held == {
        "gateway": ["service", "engines", "examples", "model_repo"],  # engines: the folder that is mounted
        "ocr-worker": ["ocr_worker", "rapidocr"],
        "engine": ["torch", "model_repo"],
    }


async def test_gateway_s_image_is_small(stack: Stack) -> None:
    image = stack.facts("gateway")["Image"]
    assert int(docker("image", "inspect", image, "--format", "{{.Size}}")) <= GATEWAY_IMAGE_BYTES


async def test_images_do_not_tell_how_they_were_built(stack: Stack) -> None:
    """Addresses of indexes may hold passwords."""
    for service in OURS:
        image = stack.facts(service)["Image"]
        told = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image) + docker("image", "inspect", image)
        assert "PIP_" not in told, service
        assert "BEGIN CERTIFICATE" not in told, service


async def test_feedback_is_there_when_the_gateway_s_container_is_another(
    stack: Stack, gateway: httpx2.AsyncClient
) -> None:
    answer = (await explained(gateway, "Leaf width"))["done"]
    sent = await gateway.post("/v1/feedback", json=feedback_on(answer))
    assert sent.status_code == 201, sent.text
    container, replaced = stack.containers("gateway"), now()
    stack.compose("up", "--detach", "--no-build", "--no-deps", "--force-recreate", "gateway")
    await stack.until("gateway", HEALTHY, since=replaced)
    assert stack.containers("gateway") != container
    kept = stack.run_inside("gateway", "cat", "/var/lib/llava-graph/feedback/feedback.jsonl").stdout
    assert sent.json()["id"] in kept


async def test_everything_stops_in_order_within_its_time(running: Running) -> None:
    """The last test: status 0 is a process that finished what it had in hand, 137 one that had to be killed."""
    running.stack.compose("stop", deadline_s=300)
    ended = {service: running.stack.facts(service)["State"]["ExitCode"] for service in running.services}
    assert set(ended.values()) == {0}, ended
