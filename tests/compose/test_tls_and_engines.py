"""The profiles `tls` and `two-engines` of docker-compose.yml on a real Docker engine, with two gateway processes.

A stack of its own, without OCR workers. Where Caddy's image cannot be pulled, Debian's Caddy stands in for it.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator

import httpx2
import pytest

from llava_graph import client
from llava_graph.figure import open_figure
from service.engine.rendezvous import ranked
from tests.compose.asking import explained
from tests.compose.conftest import Running, started
from tests.compose.stack import HEALTHY, Stack, free_port, now
from tests.harness.gateway import png

pytestmark = pytest.mark.timeout(3600)

ENGINES = ("engine", "engine-2")
ROOT = "/data/caddy/pki/authorities/local/root.crt"


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    return {name: str(free_port()) for name in ("LLAVA_GRAPH_TLS_PUBLISHED_PORT", "LLAVA_GRAPH_TLS_REDIRECT_PORT")}


@pytest.fixture(scope="module")
async def secured(compose: list[str], image_names: dict[str, str], ports: dict[str, str]) -> AsyncIterator[Running]:
    chosen = {
        "COMPOSE_PROFILES": "cpu,two-engines,tls",
        "LLAVA_GRAPH_ENGINES_FILE": "engines/two.toml",
        "LLAVA_GRAPH_WORKERS": "2",
        **ports,
    }
    services = ["redis", *ENGINES, "gateway", "tls"]
    async with started(compose, image_names, services, built=[*ENGINES, "gateway", "tls"], **chosen) as running:
        yield running


@pytest.fixture
async def over_tls(secured: Running, ports: dict[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with the key that trusts the authority of the stack's Caddy, and no other."""
    root = secured.stack.run_inside("tls", "cat", ROOT).stdout
    async with httpx2.AsyncClient(
        base_url=f"https://localhost:{ports['LLAVA_GRAPH_TLS_PUBLISHED_PORT']}",
        verify=ssl.create_default_context(cadata=root),
        headers={"Authorization": f"Bearer {secured.key}"},
        timeout=client.TIMEOUT,
        trust_env=False,
    ) as http:
        yield http


def figure_of(engine: str) -> bytes:
    """A figure for which the engine comes first."""
    images = (png(f"Figure {number}") for number in range(100))
    return next(image for image in images if ranked(open_figure(image).id, ENGINES)[0] == engine)


def metric(stack: Stack, name: str, labels: str = "") -> float:
    """The sum of the samples whose labels contain `labels`."""
    text = stack.get("http://127.0.0.1:8000/metrics").stdout
    found = re.findall(rf"^llava_graph_gateway_{name}(?:{{([^}}]*)}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for given, value in found if labels in given)


async def test_figure_is_explained_over_tls(over_tls: httpx2.AsyncClient) -> None:
    parts = await explained(over_tls, "Optical density", ocr=False)
    assert parts["done"]["text"].strip()


async def test_pages_over_tls_have_their_headers_and_localhost_stays_free_of_hsts(over_tls: httpx2.AsyncClient) -> None:
    page = await over_tls.get("/")
    assert page.status_code == 200
    assert "content-security-policy" in page.headers
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" not in page.headers
    assert "server" not in page.headers
    assert (await over_tls.get("/healthz")).headers["referrer-policy"] == "no-referrer"


async def test_key_is_asked_for_over_tls_too(over_tls: httpx2.AsyncClient) -> None:
    refused = await over_tls.post("/v1/explain", headers={"Authorization": "Bearer lg_wrong"}, files={"image": png()})
    assert refused.status_code == 401


async def test_http_only_leads_to_https(ports: dict[str, str], secured: Running) -> None:
    assert "tls" in secured.services
    async with httpx2.AsyncClient(trust_env=False) as http:
        redirected = await http.get(f"http://localhost:{ports['LLAVA_GRAPH_TLS_REDIRECT_PORT']}/page")
    assert (redirected.status_code, redirected.headers["location"]) == (308, "https://localhost/page")


async def test_first_event_comes_over_tls_before_the_answer_has_ended(
    over_tls: httpx2.AsyncClient, secured: Running
) -> None:
    files, fields = {"image": ("figure.png", png("Yield"))}, {"caption": "", "ocr": "off", "max_tokens": "200"}
    async with over_tls.sse("/v1/explain", method="POST", files=files, data=fields) as source:
        events = aiter(source)
        assert (await anext(events)).event == "figure"
        assert metric(secured.stack, "answers", 'state="admitted"') == 1
        assert [event.event async for event in events][-1] == "done"


async def test_caddy_reaches_the_gateway_and_no_other_part(secured: Running) -> None:
    def reached(url: str) -> bool:
        return secured.stack.run_inside("tls", "wget", "-q", "-T", "3", "-O", "/dev/null", url).returncode == 0

    assert reached("http://gateway:8000/healthz")
    assert not reached("http://engine:8001/health")
    assert not reached("http://redis:6379/")
    assert list(secured.stack.facts("tls")["NetworkSettings"]["Networks"]) == [f"{secured.stack.project}_front"]


async def test_caddy_s_process_has_no_capability_and_cannot_write(secured: Running) -> None:
    status = secured.stack.run_inside("tls", "cat", "/proc/1/status").stdout
    assert set(re.findall(r"^Cap(?:Eff|Prm|Bnd):\s+(\w+)$", status, re.MULTILINE)) == {"0" * 16}
    assert secured.stack.run_inside("tls", "touch", "/etc/caddy/x").returncode != 0


async def test_published_to_others_over_tls_the_gateway_does_not_start_without_keys(secured: Running) -> None:
    options = ["-e", "LLAVA_GRAPH_PUBLISHED_HOST=127.0.0.1,0.0.0.0", "-e", "LLAVA_GRAPH_KEYS_FILE="]
    refused = secured.stack.compose("run", "--rm", "--no-deps", "-T", *options, "gateway", check=False)
    assert refused.returncode == 1
    assert "On 0.0.0.0 others" in refused.stderr


async def test_gateway_of_two_processes_is_scraped_as_one(secured: Running) -> None:
    assert metric(secured.stack, "processes") == 2


async def test_each_engine_gets_its_figures(secured: Running, over_tls: httpx2.AsyncClient) -> None:
    ready = json.loads(secured.stack.get("http://127.0.0.1:8000/readyz").stdout)
    assert [(model["engines"], model["up"]) for model in ready["models"]] == [(2, 2)]
    for engine in ENGINES:
        before = metric(secured.stack, "engine_requests_total", f'engine="{engine}"')
        await explained(over_tls, "", image=figure_of(engine), ocr=False)
        assert metric(secured.stack, "engine_requests_total", f'engine="{engine}"') == before + 1


async def test_figures_of_a_killed_engine_are_explained_by_the_other(
    secured: Running, over_tls: httpx2.AsyncClient
) -> None:
    killed = now()
    secured.stack.kill_main_process("engine-2")
    assert (await explained(over_tls, "", image=figure_of("engine-2"), ocr=False))["done"]["text"].strip()
    await secured.stack.until("engine-2", HEALTHY, since=killed)
