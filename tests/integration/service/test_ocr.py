"""The text of a figure on its way into the explanation, with real Redis, the real worker and real PP-OCR.

Above all: whatever happens to OCR, the explanation comes, and says what happened.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from redis.asyncio import Redis

from llava_graph.figure import open_figure
from llava_graph.jobs import Job, Keys, connect
from ocr_worker.engines.rapid import RapidEngine
from tests.conftest import RedisServer
from tests.fakes.openai_engine import OpenAIEngine, never_answers, speaks
from tests.harness.gateway import Gateway, closed_port_url, gateway, png
from tests.harness.ocr_worker import PATIENT_S, working


@pytest.fixture(scope="module")
def rapid() -> RapidEngine:
    return RapidEngine(threads=1)


async def _ask(service: Gateway, image: bytes | None = None, **fields: object) -> dict[str, Any]:
    """One whole explanation that must come, with OCR."""
    response = await service.post(image, ocr="auto", stream=False, **fields)
    assert response.status_code == 200, response.text
    whole: dict[str, Any] = response.json()
    assert whole["text"] == "The figure shows growth."
    return whole


async def test_text_is_read_then_served_from_the_cache(
    redis_url: str, engine_url: str, engine: OpenAIEngine, rapid: RapidEngine
) -> None:
    async with working(redis_url, rapid), gateway(redis_url, engine_url, ocr_deadline_s=PATIENT_S) as service:
        first = (await _ask(service, png("Vodikar"), caption="Loss."))["ocr"]
        second = (await _ask(service, png("Vodikar")))["ocr"]
        assert (first["status"], second["status"]) == ("ok", "cached")
        assert first["lines"] == second["lines"]
        assert [line["text"] for line in first["lines"]] == ["Vodikar"]
        x0, y0, x1, y1 = first["lines"][0]["box"]
        assert 0 <= x0 < x1 <= 320
        assert 0 <= y0 < y1 <= 200
        assert "Vodikar" in engine.prompt
        await service.until_idle()
        assert service.metric("ocr_total", status="ok") == 1
        assert service.metric("ocr_total", status="cached") == 1
        assert service.metric("ocr_wait_seconds_count") == 2


async def test_mentions_in_the_answer_are_grounded_on_ocr_lines(
    redis_url: str, engine_url: str, engine: OpenAIEngine, rapid: RapidEngine
) -> None:
    engine.behaviour = speaks("The series ", "Vodi", "kar rises.")
    async with working(redis_url, rapid), gateway(redis_url, engine_url, ocr_deadline_s=PATIENT_S) as service:
        whole = (await service.post(png("Vodikar"), ocr="auto", stream=False)).json()
    assert [whole["text"][link["start"] : link["end"]] for link in whole["grounding"]] == ["Vodikar"]
    assert whole["ocr"]["lines"][whole["grounding"][0]["line"]]["text"] == "Vodikar"


async def test_twenty_who_ask_for_one_figure_are_one_job(
    redis_url: str, engine_url: str, rapid: RapidEngine, redis: Redis
) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=PATIENT_S) as service:
        asking = [asyncio.create_task(_ask(service, png("Vodikar"))) for _ in range(20)]
        await redis.xread({Keys().jobs: "0"}, block=5000)
        assert await redis.xlen(Keys().jobs) == 1
        async with working(redis_url, rapid):
            answers = await asyncio.gather(*asking)
    assert {answer["ocr"]["lines"][0]["text"] for answer in answers} == {"Vodikar"}


async def test_job_carries_figure_deadline_and_request_id(redis_url: str, engine_url: str, redis: Redis) -> None:
    figure = open_figure(png())
    async with gateway(redis_url, engine_url) as service:
        files, data = {"image": ("figure.png", png())}, {"caption": "", "ocr": "auto"}
        await service.http.post("/v1/explain", files=files, data=data, headers={"X-Request-Id": "from-the-client"})
    entries: Any = await redis.xrange(Keys().jobs)
    [job] = [Job.from_fields(fields) for _, fields in entries]
    assert (job.figure_id, job.request_id) == (figure.id, "from-the-client")
    assert job.deadline_ms - job.enqueued_at_ms == 300


async def test_without_a_worker_the_deadline_passes_and_the_answer_comes(redis_url: str, engine_url: str) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=0.05) as service:
        ocr = (await _ask(service))["ocr"]
        assert (ocr["status"], ocr["lines"]) == ("timeout", [])
        assert ocr["ms"] >= 50
        await service.until_idle()
        assert service.metric("ocr_failures_total", reason="deadline") == 1


async def test_comments_break_the_silence_while_the_figure_is_read(redis_url: str, engine_url: str) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=PATIENT_S, keepalive_s=0.02) as service:
        files, data = {"image": ("figure.png", png())}, {"caption": "", "ocr": "auto"}
        async with service.http.stream("POST", "/v1/explain", files=files, data=data) as response:
            text = ""
            async for part in response.aiter_text():
                text += part
                if ": keep-alive" in text:
                    break
    assert text.startswith("event: figure\n")
    assert "event: ocr" not in text


async def test_ocr_off_asks_nobody(redis_url: str, engine_url: str, redis: Redis) -> None:
    async with gateway(redis_url, engine_url) as service:
        whole = (await service.post(ocr="off", stream=False)).json()
    assert whole["ocr"] == {"status": "off", "ms": 0.0, "lines": [], "neutralised": 0}
    assert await redis.xlen(Keys().jobs) == 0


async def test_full_queue_is_no_reason_not_to_explain(redis_url: str, engine_url: str) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=0.05, ocr_max_depth=1) as service:
        assert (await _ask(service, png("first")))["ocr"]["status"] == "timeout"
        assert (await _ask(service, png("second")))["ocr"]["status"] == "failed"
        await service.until_idle()
        assert service.metric("ocr_failures_total", reason="queue_full") == 1


async def test_without_redis_the_answer_comes_at_once(engine_url: str) -> None:
    async with gateway(closed_port_url("redis"), engine_url, ocr_deadline_s=PATIENT_S) as service:
        assert (await _ask(service))["ocr"]["status"] == "failed"
        await service.until_idle()
        assert service.metric("ocr_failures_total", reason="redis") == 1


async def test_requests_do_not_pile_up_on_a_redis_that_does_not_answer(engine_url: str) -> None:
    connections = 0

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, gateway(url, engine_url, ocr_deadline_s=PATIENT_S, redis_deadline_s=0.2) as service:
        assert (await _ask(service))["ocr"]["status"] == "failed"
        before = connections
        answers = await asyncio.gather(*(_ask(service) for _ in range(30)))
        assert {answer["ocr"]["status"] for answer in answers} == {"failed"}
        assert connections - before <= 1  # the reader of replies may have tried again


async def test_who_waits_when_redis_goes_away_goes_on_without_the_text(own_redis: RedisServer, engine_url: str) -> None:
    redis = connect(own_redis.url)
    async with gateway(own_redis.url, engine_url, ocr_deadline_s=PATIENT_S) as service:
        asking = asyncio.create_task(_ask(service))
        await redis.xread({Keys().jobs: "0"}, block=5000)
        own_redis.stop()
        assert (await asking)["ocr"]["status"] == "failed"
    await redis.aclose()


async def test_who_waits_when_redis_forgets_everything_goes_on_without_the_text(
    redis_url: str, engine_url: str, redis: Redis
) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=PATIENT_S) as service:
        asking = asyncio.create_task(_ask(service))
        await redis.xread({Keys().jobs: "0"}, block=5000)
        await redis.flushall()
        assert (await asking)["ocr"]["status"] == "failed"
        await service.until_idle()
        assert service.metric("ocr_failures_total", reason="lost") == 1


async def test_text_is_read_again_after_a_redis_restart_that_lost_everything(
    own_redis: RedisServer, engine_url: str, rapid: RapidEngine
) -> None:
    async with gateway(own_redis.url, engine_url, ocr_deadline_s=PATIENT_S) as service:
        own_redis.stop()
        assert (await _ask(service, png("Vodikar")))["ocr"]["status"] == "failed"
        own_redis.start()
        async with working(own_redis.url, rapid), asyncio.timeout(30):
            while (ocr := (await _ask(service, png("Vodikar")))["ocr"])["status"] == "failed":
                pass
    assert (ocr["status"], ocr["lines"][0]["text"]) == ("ok", "Vodikar")


async def test_reply_that_cannot_be_read_costs_only_its_own_waiter(
    redis_url: str, engine_url: str, redis: Redis, rapid: RapidEngine
) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=PATIENT_S) as service:
        asking = asyncio.create_task(_ask(service, png("Vodikar")))
        await redis.xread({Keys().jobs: "0"}, block=5000)
        [reply_list] = await redis.smembers(Keys().waiters(open_figure(png("Vodikar")).id))
        await redis.rpush(reply_list, b"garbage", json.dumps({"v": 99}))
        async with working(redis_url, rapid):
            assert (await asking)["ocr"]["status"] == "ok"


async def test_readiness_tells_what_is_there(
    redis_url: str, engine_url: str, engine: OpenAIEngine, rapid: RapidEngine
) -> None:
    async with gateway(redis_url, engine_url) as service:
        await service.post()  # an engine that has answered is up, whether or not its first check has ended
        response = await service.http.get("/readyz")
        assert response.status_code == 200
        assert response.json() == {
            "status": "degraded",
            "engine": {"state": "ok", "model": "fake-model"},
            "redis": {"state": "ok"},
            "ocr": {"state": "down", "workers": 0, "engines": []},
            "models": [{"model": "fake-model", "state": "ok", "engines": 1, "up": 1, "draining": 0}],
        }
        async with working(redis_url, rapid):
            ready = (await service.http.get("/readyz")).json()
            assert ready["status"] == "ready"
            assert ready["ocr"] == {"state": "ok", "workers": 1, "engines": [rapid.revision]}
        engine.health_status = 503
        response = await service.http.get("/readyz")
        assert (response.status_code, response.json()["status"]) == (503, "unavailable")


async def test_without_redis_the_gateway_is_degraded_and_alive(engine_url: str) -> None:
    async with gateway(closed_port_url("redis"), engine_url) as service:
        response = await service.http.get("/readyz")
        assert (response.status_code, response.json()["status"]) == (200, "degraded")
        assert response.json()["redis"] == {"state": "down"}
        assert (await service.http.get("/healthz")).json() == {"status": "ok"}


async def test_without_an_engine_nobody_is_made_to_wait_for_ocr(redis_url: str, redis: Redis) -> None:
    async with gateway(redis_url, closed_port_url(), ocr_deadline_s=PATIENT_S) as service:
        assert (await service.post(ocr="auto")).status_code == 503
    assert await redis.xlen(Keys().jobs) == 0


async def test_ocr_goes_out_before_the_engine_has_begun(
    redis_url: str, engine_url: str, engine: OpenAIEngine, rapid: RapidEngine
) -> None:
    engine.behaviour = never_answers
    async with (
        working(redis_url, rapid),
        gateway(redis_url, engine_url, ocr_deadline_s=PATIENT_S) as service,
        service.stream(png("Vodikar"), ocr="auto") as events,
    ):
        assert [(await anext(events)).name for _ in range(3)] == ["figure", "ocr", "chart"]
