"""Traces over all processes: a real gateway, a real OCR worker with its processes, a real Redis, and a collector that
reads OTLP. The engine and what the worker reads are the tests' own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llava_graph.jobs import JobProducer, Keys
from tests.fakes.collector import Collector
from tests.fakes.ocr_worker import figure, text_of
from tests.fakes.openai_engine import OpenAIEngine, never_answers, sends
from tests.harness.gateway import Gateway, closed_port_url, gateway, png, serving
from tests.harness.gateway_process import started
from tests.harness.ocr_worker_process import worker

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5

CAPTION, QUESTION, ANSWER = "A caption of mine.", "A question of mine?", "An answer of its."


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
async def endpoint(collector: Collector) -> AsyncIterator[str]:
    async with serving(collector, lifespan=False) as url:
        yield url


@pytest.fixture
async def service(redis_url: str, engine: OpenAIEngine, endpoint: str) -> AsyncIterator[Gateway]:
    async with serving(engine, lifespan=False) as url, gateway(redis_url, url, traces_endpoint=endpoint) as running:
        yield running


async def test_one_trace_leads_from_the_caller_through_gateway_and_worker_to_the_engine(
    tmp_path: Path, redis_url: str, collector: Collector, endpoint: str
) -> None:
    engine = OpenAIEngine()
    engine.behaviour = sends(
        f'data: {{"choices": [{{"delta": {{"content": "{ANSWER}"}}, "finish_reason": "stop"}}]}}\n\n'.encode(),
        b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}\n\n',
    )
    form = {"files": {"image": ("a.png", figure(7).png())}, "data": {"caption": CAPTION, "question": QUESTION}}
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "baggage": "mine=1"}
    async with (
        serving(engine, lifespan=False) as engine_url,
        worker(redis_url, traces_endpoint=endpoint) as reader,
        started(tmp_path, redis_url=redis_url, engine_url=engine_url, traces_endpoint=endpoint) as (process, http),
    ):
        response = await http.post("/v1/explain", **form, headers=headers)
        assert text_of(7) in response.text
        assert (await process.until_logged("request"))["trace_id"] == TRACE
        [ended] = await reader.logged("job_ended")
        assert ended["trace_id"] == TRACE
        process.process.terminate()  # both send at once what they have
        assert await reader.end() == 0
        assert await process.process.wait() == 0

    spans = await collector.until("POST /v1/explain", "decode", "ocr", "ocr job", "chat fake-model")
    assert {span.trace_id for span in spans.values()} == {TRACE}
    request, ocr, job, chat = (spans[name] for name in ("POST /v1/explain", "ocr", "ocr job", "chat fake-model"))
    assert (request.kind, request.parent_id, request.service) == (SERVER, CALLER, "llava-graph-gateway")
    assert (ocr.kind, ocr.parent_id) == (PRODUCER, request.span_id)
    assert (job.kind, job.parent_id, job.service) == (CONSUMER, ocr.span_id, "llava-graph-ocr-worker")
    assert (chat.kind, chat.parent_id) == (CLIENT, request.span_id)
    assert spans["decode"].parent_id == request.span_id
    assert ocr.started_ns <= job.started_ns <= job.ended_ns <= request.ended_ns
    assert not any(span.failed for span in spans.values())

    [sent] = engine.headers
    assert sent["traceparent"] == f"00-{TRACE}-{chat.span_id}-01"
    assert "baggage" not in sent
    assert chat.events == ["first_token"]
    assert (chat.attributes["gen_ai.usage.input_tokens"], chat.attributes["gen_ai.usage.output_tokens"]) == (3, 4)
    assert request.attributes["http.route"] == "/v1/explain"
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["llava_graph.figure_id"] == job.attributes["llava_graph.figure_id"] == figure(7).id
    assert request.attributes["llava_graph.request_id"] == response.headers["x-request-id"]
    assert ocr.attributes["llava_graph.ocr_status"] == "ok"
    for text in (CAPTION, QUESTION, ANSWER, text_of(7)):
        assert text.encode() not in collector.raw


async def test_reading_of_a_kept_figure_belongs_to_the_request_that_sent_it(
    service: Gateway, redis: Redis, collector: Collector
) -> None:
    await service.http.post("/v1/figures", files={"image": ("a.png", png())}, data={"caption": ""})
    [(_, job)] = await redis.xrange(Keys().jobs)
    span = (await collector.until("POST /v1/figures"))["POST /v1/figures"]
    assert job[b"traceparent"].decode().split("-")[1:3] == [span.trace_id, span.span_id]
    assert span.parent_id == ""


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-{CALLER}-01", f"ff-{TRACE}-{CALLER}-01"])
async def test_trace_that_cannot_be_continued_is_begun_anew(
    service: Gateway, collector: Collector, header: str
) -> None:
    assert (await service.http.get("/v1/nothing", headers={"traceparent": header})).status_code == 404
    span = (await collector.until("GET"))["GET"]
    assert span.trace_id != TRACE
    assert span.parent_id == ""
    assert not span.failed  # the caller's own mistake
    assert span.attributes["llava_graph.outcome"] == "refused"


async def test_failure_is_told_by_its_code_and_not_by_its_words(
    service: Gateway, engine: OpenAIEngine, collector: Collector
) -> None:
    engine.behaviour = sends(b"no such file: secret", status=500)
    assert (await service.events())[-1].data["code"] == "engine_error"
    spans = await collector.until("POST /v1/explain", "chat fake-model")
    for span in spans["POST /v1/explain"], spans["chat fake-model"]:
        assert span.failed
        assert span.attributes["error.type"] == "engine_error"
    assert spans["POST /v1/explain"].attributes["http.response.status_code"] == 200
    assert b"secret" not in collector.raw


async def test_client_that_hangs_up_is_seen_in_its_trace(
    service: Gateway, engine: OpenAIEngine, collector: Collector
) -> None:
    engine.behaviour = never_answers
    waiting = asyncio.ensure_future(service.post())
    await engine.arrived.wait()
    waiting.cancel()
    spans = await collector.until("POST /v1/explain", "chat fake-model")
    assert spans["POST /v1/explain"].attributes["llava_graph.outcome"] == "client_gone"


async def test_probes_and_page_leave_no_spans(service: Gateway, collector: Collector) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/", "/page/app.js", "/docs"):
        assert (await service.http.get(path)).status_code == 200
    await service.http.get("/v1/figures/fig_1")
    assert list(await collector.until("GET /v1/figures/{id}")) == ["GET /v1/figures/{id}"]


async def test_without_an_endpoint_nothing_is_traced_nor_passed_on(
    redis_url: str, redis: Redis, engine: OpenAIEngine
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    async with serving(engine, lifespan=False) as url, gateway(redis_url, url) as service:
        service.http.headers.update(headers)
        assert (await service.post(ocr="auto", stream=False)).status_code == 200
    assert "traceparent" not in engine.headers[0]
    [(_, job)] = await redis.xrange(Keys().jobs)
    assert b"traceparent" not in job


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A collector that takes everything and never answers."""
    while await reader.read(65_536):
        pass
    writer.close()


@pytest.mark.parametrize("there", [True, False], ids=["silent", "away"])
async def test_answers_and_the_end_do_not_wait_for_a_collector_that_is(
    there: bool, tmp_path: Path, redis_url: str, engine: OpenAIEngine
) -> None:
    server = await asyncio.start_server(_silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}" if there else closed_port_url()
    files = {"image": ("figure.png", png())}
    async with (
        server,
        serving(engine, lifespan=False) as engine_url,
        started(tmp_path, redis_url=redis_url, engine_url=engine_url, traces_endpoint=endpoint) as (process, http),
    ):
        for _ in range(3):
            response = await http.post("/v1/explain", files=files, data={"caption": "", "ocr": "off"})
            assert "event: done" in response.text
        process.process.terminate()
        await process.until_logged("gateway_stops")
        async with asyncio.timeout(15):  # the library by itself would wait for 30 s
            assert await process.process.wait() == 0


async def test_worker_without_a_collector_reads_on_and_complains_in_its_log_alone(redis: Redis, redis_url: str) -> None:
    producer = JobProducer(redis, Keys(), "gw")
    opened, waiting = figure(7), {"job_id": "job-1", "wait_ms": 60_000, "traceparent": f"00-{TRACE}-{CALLER}-01"}
    async with worker(redis_url, traces_endpoint=closed_port_url()) as reader:
        await producer.submit(opened.id, opened.png(), **waiting)  # type: ignore[arg-type]
        [ended] = await reader.logged("job_ended")
        assert (ended["outcome"], ended["trace_id"]) == ("done", TRACE)
        [complaint, *_] = await reader.logged("traces")
        assert complaint["level"] == "warning"
        assert await reader.end() == 0


@pytest.mark.parametrize("module", ["service.__main__", "ocr_worker.__main__"])
async def test_missing_extra_is_named_and_nothing_starts(module: str) -> None:
    without = f"import sys; sys.modules['opentelemetry.sdk'] = None; from {module} import main; main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", without),
        env={**os.environ, "LLAVA_GRAPH_TRACES_ENDPOINT": "http://127.0.0.1:4318"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"pip install 'llava-graph[telemetry]'" in errors
    assert b"Traceback" not in errors
