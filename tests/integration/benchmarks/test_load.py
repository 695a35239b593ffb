"""The operator's load test against a real gateway: real Redis, a real OCR worker with an engine that reads numbers, and
an engine that does as it is told."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import structlog
from PIL import Image
from prometheus_client import CollectorRegistry

from benchmarks.load import Bounds, Figure, Load, Sample, drawn, found_in, summary, table
from llava_graph.api_keys import digest
from llava_graph.figure import open_figure
from llava_graph.jobs import Keys, connect
from ocr_worker import Worker
from ocr_worker.metrics import WorkerMetrics
from tests.fakes.ocr_worker import Numbers
from tests.fakes.openai_engine import OpenAIEngine, never_answers, stalls_after
from tests.harness.gateway import Gateway, closed_port_url, gateway, png

PATIENT_S = 100
PATIENT = Bounds(count=12, seconds=PATIENT_S, patience_s=PATIENT_S)
KEY = "lg_a-key-of-the-tests"


@pytest.fixture(scope="module")
def figures() -> list[Figure]:
    return drawn(3)


@asynccontextmanager
async def working(redis_url: str) -> AsyncIterator[None]:
    """A real OCR worker beside the test."""
    redis = connect(redis_url)
    metrics, log = WorkerMetrics(CollectorRegistry()), structlog.get_logger()
    worker = Worker(redis, Numbers(), keys=Keys(), consumer="beside", host="here", metrics=metrics, log=log)
    running = asyncio.create_task(worker.run())
    await worker.wait_until_announced()
    try:
        yield
    finally:
        worker.stop()
        await running
        await redis.aclose()


def load_on(service: Gateway, figures: list[Figure], *, known_share: float = 0.0, bounds: Bounds = PATIENT) -> Load:
    return Load(service.http, figures, known_share=known_share, bounds=bounds, max_tokens=16)


def outcomes(load: Load) -> dict[str, int]:
    found: dict[str, int] = summary(load.samples, load.wall_s)["outcomes"]
    return found


async def test_clients_ask_until_the_count_is_reached(
    redis_url: str, engine_url: str, engine: OpenAIEngine, figures: list[Figure]
) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=PATIENT_S) as service, working(redis_url):
        load = load_on(service, figures, known_share=0.5)
        assert await load.make_known() == 0
        await load.closed(4)
    assert outcomes(load) == {"ok": 12}
    assert len(engine.requests) == 12 + len(figures)
    assert {sample.ocr for sample in load.samples if sample.known} <= {"cached"}
    assert {sample.ocr for sample in load.samples if not sample.known} <= {"ok"}
    for sample in load.samples:
        assert sample.first_token_s is not None
        assert 0 < sample.first_token_s <= sample.total_s
        assert sample.tokens == 7
        assert all(gap_s > 0 for gap_s in sample.gaps_s)  # pieces that come together are one


@pytest.mark.parametrize(("known_share", "statuses"), [(1.0, {"cached"}), (0.0, {"ok"})])
async def test_known_figures_are_in_the_cache_and_new_ones_never_are(
    known_share: float, statuses: set[str], redis_url: str, engine_url: str, figures: list[Figure]
) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=PATIENT_S) as service, working(redis_url):
        load = load_on(service, figures, known_share=known_share)
        await load.make_known()
        await load.closed(2)
    assert {sample.ocr for sample in load.samples} == statuses


async def test_figures_that_arrive_do_not_wait_for_those_before(
    redis_url: str, engine_url: str, engine: OpenAIEngine, figures: list[Figure]
) -> None:
    engine.behaviour = stalls_after("The figure")
    async with gateway(redis_url, engine_url, ocr_deadline_s=0.01) as service:
        load = load_on(service, figures, bounds=Bounds(5, PATIENT_S, PATIENT_S))
        running = asyncio.create_task(load.open(1000))
        async with asyncio.timeout(PATIENT_S):
            while service.metric("answers", state="running") < 5:  # noqa: ASYNC110 - gauges tell nobody
                await asyncio.sleep(0.01)
        load.stop()
        await running
        await service.until_idle()
    assert outcomes(load) == {"cut": 5}
    assert engine.hung_up.is_set()


async def test_an_arrival_past_the_end_is_not_waited_for(
    redis_url: str, engine_url: str, figures: list[Figure]
) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=0.01) as service:
        load = load_on(service, figures, bounds=Bounds(5, 0.1, 10 * PATIENT_S))
        await load.open(1e-9)
    assert outcomes(load) == {"ok": 1}


async def test_refusals_are_outcomes_and_nothing_is_tried_again(
    redis_url: str, engine_url: str, engine: OpenAIEngine, figures: list[Figure]
) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=0.01, requests_per_minute=3) as service:
        load = load_on(service, figures)
        await load.closed(1)
    found = outcomes(load)
    # A quota grows back while the test runs.
    assert found.keys() == {"ok", "rate_limited (429)"}
    assert len(engine.requests) == found["ok"] >= 3
    assert sum(found.values()) == 12


async def test_overload_is_told_from_an_engine_that_is_late(
    redis_url: str, engine_url: str, engine: OpenAIEngine, figures: list[Figure]
) -> None:
    engine.behaviour = never_answers
    settings = {"max_answers": 1, "max_waiting_answers": 0, "engine_silence_s": 0.5, "ocr_deadline_s": 0.01}
    async with gateway(redis_url, engine_url, **settings) as service:
        load = load_on(service, figures)
        await load.closed(4)
    found = outcomes(load)
    assert found.keys() == {"overloaded (503)", "engine_timeout"}  # the stream had begun
    assert sum(found.values()) == 12


async def command(*arguments: str | Path, key: str = "") -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), "LLAVA_GRAPH_KEY": key},
    )


async def said(process: asyncio.subprocess.Process) -> str:
    output, _ = await process.communicate()
    return output.decode()


async def test_command_reports_with_the_key_of_the_environment(redis_url: str, engine_url: str, tmp_path: Path) -> None:
    keys = f'keys.load.sha256 = ["{digest(KEY.encode())}"]'
    out, few = tmp_path / "load.json", ("--count", "6", "--different", "2")
    async with (
        gateway(redis_url, engine_url, keys=keys, ocr_deadline_s=PATIENT_S) as service,
        working(redis_url),
    ):
        url = str(service.http.base_url)
        process = await command(url, "--rate", "200", *few, "--known", "1", "--out", out, key=KEY)
        words = await said(process)
        assert process.returncode == 0, words
        refused = await command(url, *few, "--known", "0", key="lg_another")
        assert "6 requests in" in (denied := await said(refused))
        assert "unauthorized (401): 6" in denied
        assert refused.returncode == 1
    assert "| known | 6 |" in words
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert (found["rate"], found["requests"], found["outcomes"], found["ocr"]) == (200, 6, {"ok": 6}, {"cached": 6})
    assert found["answered"]["known"]["first_token_ms"]["p50"] > 0
    assert found["unread"] == 0


async def test_command_ends_at_ctrl_c_with_what_it_has(redis_url: str, engine_url: str, engine: OpenAIEngine) -> None:
    engine.behaviour = stalls_after("The figure")
    async with gateway(redis_url, engine_url, ocr_deadline_s=0.01) as service:
        process = await command(str(service.http.base_url), "--concurrency", "2", "--known", "0", "--different", "1")
        async with asyncio.timeout(PATIENT_S):
            await engine.arrived.wait()
        process.send_signal(signal.SIGINT)
        words = await said(process)
    assert "cut: 2" in words
    assert process.returncode == 1


async def test_command_without_a_gateway_says_so() -> None:
    process = await command(closed_port_url(), "--different", "1")
    assert "gateway_unreachable" in await said(process)
    assert process.returncode == 1


def test_no_two_new_figures_are_the_same(figures: list[Figure]) -> None:
    ids = [open_figure(figures[0].unseen()).id for _ in range(3)] + [open_figure(figures[0].file).id]
    assert len(set(ids)) == 4


def test_figures_of_a_folder_come_with_the_captions_that_are_listed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png("a"))
    Image.new("L", (40, 30)).save(tmp_path / "b.jpg")
    listed = tmp_path / "captions.jsonl"
    listed.write_text('{"image": "a.png", "caption": "Caption."}\n', encoding="utf-8")
    found = found_in(tmp_path, listed, count=10)
    assert [(figure.caption, figure.image.size) for figure in found] == [("Caption.", (320, 200)), ("", (40, 30))]
    assert len(found_in(tmp_path, None, count=1)) == 1


def test_a_folder_without_figures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="holds no figures"):
        found_in(tmp_path, None, count=1)


def test_percentiles_are_of_answers_alone() -> None:
    samples = [
        *(Sample(True, "ok", None, "cached", s / 100, s / 10, 10, [0.01, 0.03]) for s in range(1, 101)),
        Sample(False, "ok", None, "ok", 5.0, 9.0, 10, []),
        Sample(False, "overloaded", 503, total_s=0.001),
        Sample(False, "not_sent"),
    ]
    found = summary(samples, wall_s=10.0)
    assert found["outcomes"] == {"ok": 101, "overloaded (503)": 1, "not_sent": 1}
    assert (found["answered_per_s"], found["tokens_per_s"]) == (10.1, 101.0)
    known = found["answered"]["known"]
    assert known["requests"] == 100
    assert known["first_token_ms"]["p50"] == pytest.approx(505)
    assert known["total_ms"]["max"] == pytest.approx(10_000)
    assert known["between_tokens_ms"]["p90"] == pytest.approx(30)
    assert found["answered"]["new"]["between_tokens_ms"] is None
    assert [line.split("|")[1:3] for line in table(found).splitlines()[5:]] == [
        [" all ", " 101 "],
        [" known ", " 100 "],
        [" new ", " 1 "],
    ]
