"""Limits of callers, kept in a real Redis and shared by gateways; and the bound on answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from llava_graph.api_keys import digest
from service.errors import RateLimited
from service.metrics import Metrics
from service.middleware.callers import Limits, named
from service.middleware.rate_limits import RateLimits, Wanted
from tests.conftest import RedisServer
from tests.fakes.openai_engine import OpenAIEngine, speaks, speaks_on_command, stalls_after
from tests.harness.gateway import closed_port_url, gateway, png

NOWHERE = "/v1/figures/fig_1"
"""A call that costs nothing but the request."""


def _assert_limited(response: httpx2.Response) -> None:
    assert response.status_code == 429
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["code"], problem["retryable"]) == ("rate_limited", True)
    assert problem["instance"] == response.headers["x-request-id"]
    assert int(response.headers["retry-after"]) >= 1


async def _first_delta(events: AsyncIterator[Any]) -> None:
    async for event in events:
        if event.name == "delta":
            return


# Requests


async def test_caller_past_his_requests_is_told_when_to_come_back(redis_url: str) -> None:
    async with gateway(redis_url, closed_port_url(), requests_per_minute=3) as service:
        answers = [await service.http.get(NOWHERE) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
        _assert_limited(answers[3])
        assert 1 <= int(answers[3].headers["retry-after"]) <= 20
        assert [answer.headers["ratelimit-limit"] for answer in answers] == ["3"] * 4
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert [0 < int(answer.headers["ratelimit-reset"]) <= 60 for answer in answers] == [True] * 4
        await service.until_idle()
        assert service.metric("rate_limited_total", limit="requests") == 1
        assert service.metric("problems_total", code="rate_limited") == 1


async def test_two_gateways_on_one_redis_count_together(redis_url: str) -> None:
    async with (
        gateway(redis_url, closed_port_url(), requests_per_minute=4) as one,
        gateway(redis_url, closed_port_url(), requests_per_minute=4) as other,
    ):
        answers = [await service.http.get(NOWHERE) for service in (one, other, one, other, one, other)]
        assert [answer.status_code for answer in answers] == [404] * 4 + [429] * 2
        assert answers[3].headers["ratelimit-remaining"] == "0"


async def test_each_key_has_limits_of_its_own(redis_url: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(
        f'[keys.alice]\nsha256 = ["{digest(b"a")}"]\nrequests_per_minute = 1\n[keys.bob]\nsha256 = ["{digest(b"b")}"]\n'
    )
    async with gateway(redis_url, closed_port_url(), keys_file=path, requests_per_minute=2) as service:

        async def statuses(key: str) -> list[int]:
            headers = {"Authorization": f"Bearer {key}"}
            return [(await service.http.get(NOWHERE, headers=headers)).status_code for _ in range(3)]

        assert await statuses("a") == [404, 429, 429]
        assert await statuses("b") == [404, 404, 429]
        assert await statuses("unknown") == [401] * 3


async def test_what_is_no_call_of_the_api_is_not_counted(redis_url: str) -> None:
    async with gateway(redis_url, closed_port_url(), requests_per_minute=1) as service:
        for path in ("/healthz", "/metrics", "/"):
            response = await service.http.get(path)
            assert response.status_code == 200
            assert "ratelimit-limit" not in response.headers
        assert (await service.http.get(NOWHERE)).status_code == 404


async def test_without_limits_redis_is_not_asked(redis_url: str, redis: Redis) -> None:
    async with gateway(redis_url, closed_port_url()) as service:
        assert "ratelimit-limit" not in (await service.http.get("/v1/nothing")).headers
    assert await redis.keys("lg:rates*") == []


# Bytes


async def test_caller_past_his_bytes_is_refused_before_they_are_read(redis_url: str, engine_url: str) -> None:
    async with gateway(redis_url, engine_url, upload_bytes_per_minute=10_000) as service:
        image = png() + bytes(6_000)
        assert (await service.post(image, stream=False)).status_code == 200
        response = await service.post(image, stream=False)
        _assert_limited(response)
        assert 1 <= int(response.headers["retry-after"]) <= 60
        assert service.metric("rate_limited_total", limit="upload_bytes") == 1
        assert (await service.http.get(NOWHERE)).status_code == 404


async def test_body_that_no_minute_has_room_for_is_too_large(redis_url: str) -> None:
    async with gateway(redis_url, closed_port_url(), upload_bytes_per_minute=1_000) as service:
        response = await service.post(bytes(2_000))
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
        assert "retry-after" not in response.headers


async def test_body_of_untold_length_is_refused_where_bytes_are_limited(redis_url: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"--x--"

    async with gateway(redis_url, closed_port_url(), upload_bytes_per_minute=1_000) as service:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        response = await service.http.post("/v1/explain", content=body(), headers=headers)
        assert (response.status_code, response.json()["code"]) == (411, "length_required")


# Streams


async def test_answers_at_once_are_counted_over_gateways_and_given_back(
    redis_url: str, engine: OpenAIEngine, engine_url: str
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine.behaviour = speaks_on_command(pieces)
    async with (
        gateway(redis_url, engine_url, concurrent_streams=1) as one,
        gateway(redis_url, engine_url, concurrent_streams=1) as other,
    ):
        async with one.stream() as events:
            pieces.put_nowait("Growth.")
            await _first_delta(events)
            _assert_limited(await one.post())
            _assert_limited(await other.post())
            assert (await other.http.get(NOWHERE)).status_code == 404
            pieces.put_nowait(None)
            assert [event.name async for event in events] == ["done"]
        await one.until_idle()
        engine.behaviour = speaks("Fine.")
        assert (await other.post(stream=False)).status_code == 200
        assert other.metric("rate_limited_total", limit="streams") == 1


async def test_client_that_hangs_up_gives_its_stream_back(
    redis_url: str, engine: OpenAIEngine, engine_url: str
) -> None:
    engine.behaviour = stalls_after("The ")
    async with gateway(redis_url, engine_url, concurrent_streams=1) as service:
        async with service.stream() as events:
            await _first_delta(events)
        await service.until_idle()
        engine.behaviour = speaks("Fine.")
        assert (await service.post(stream=False)).status_code == 200


async def test_failed_answer_gives_its_stream_back(redis_url: str) -> None:
    async with gateway(redis_url, closed_port_url(), concurrent_streams=1) as service:
        codes = []
        for _ in range(3):
            codes.append((await service.post(stream=False)).json()["code"])
            await service.until_idle()
        assert codes == ["engine_unavailable"] * 3


async def test_stream_of_a_gateway_that_died_runs_out(redis: Redis) -> None:
    def rates() -> RateLimits:
        return RateLimits(redis, "lg:", Metrics(CollectorRegistry()), deadline_s=5)

    caller = named("alice", Limits(concurrent_streams=1))
    dead, alive = rates(), rates()
    await dead.use(caller, Wanted(0, "one"))
    with pytest.raises(RateLimited):
        await alive.use(caller, Wanted(0, "two"))
    [key] = await redis.keys("lg:rates:streams:*")
    assert 0 < await redis.pttl(key) <= 30_000
    # As if the lease's time had passed.
    await redis.zadd(key, {"one": 1})
    await alive.use(caller, Wanted(0, "two"))
    assert await redis.zrange(key, 0, -1) == [b"two"]


async def test_lease_of_a_running_stream_is_renewed_and_one_given_back_is_not(redis: Redis) -> None:
    rates = RateLimits(redis, "lg:", Metrics(CollectorRegistry()), deadline_s=5)
    caller = named("alice", Limits(concurrent_streams=2))
    kept, ended = Wanted(0, "kept"), Wanted(0, "ended")
    await rates.use(caller, kept)
    await rates.use(caller, ended)
    [key] = await redis.keys("lg:rates:streams:*")
    before_ms = await redis.zscore(key, "kept")
    await redis.zadd(key, {"kept": 1})
    await rates.give_back(caller, ended)
    await rates.renew()
    assert await redis.zrange(key, 0, -1) == [b"kept"]
    assert await redis.zscore(key, "kept") >= before_ms


# Redis away


async def test_without_redis_nobody_is_limited_and_that_is_counted(engine_url: str) -> None:
    limits = {"requests_per_minute": 1, "upload_bytes_per_minute": 10_000, "concurrent_streams": 1}
    async with gateway(closed_port_url("redis"), engine_url, **limits) as service:
        for _ in range(3):
            response = await service.post(stream=False)
            assert response.status_code == 200
            assert "ratelimit-limit" not in response.headers
        await service.until_idle()
        assert service.metric("rate_limits_skipped_total") == 3


async def test_redis_that_comes_back_limits_again(own_redis: RedisServer) -> None:
    async with gateway(own_redis.url, closed_port_url(), requests_per_minute=1) as service:
        assert (await service.http.get("/v1/nothing")).status_code == 404
        assert (await service.http.get("/v1/nothing")).status_code == 429
        own_redis.stop()
        assert (await service.http.get("/v1/nothing")).status_code == 404
        own_redis.start()
        async with asyncio.timeout(10):
            while (await service.http.get("/v1/nothing")).status_code != 429:
                pass


# Admission


async def test_answers_past_all_places_are_refused_before_their_body_is_read(
    redis_url: str, engine: OpenAIEngine, engine_url: str
) -> None:
    engine.behaviour = stalls_after("The ")
    async with gateway(redis_url, engine_url, max_answers=1, max_waiting_answers=0) as service:
        async with service.stream() as events:
            await _first_delta(events)
            assert service.metric("answers", state="running") == 1
            sent = 0

            async def endless() -> AsyncIterator[bytes]:
                nonlocal sent
                while sent < 10_000_000:
                    sent += 65_536
                    yield bytes(65_536)

            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            response = await service.http.post("/v1/explain", content=endless(), headers=headers)
            assert (response.status_code, response.json()["code"]) == (503, "overloaded")
            assert int(response.headers["retry-after"]) > 0
            assert (await service.http.get(NOWHERE)).status_code == 404
        await service.until_idle()
        assert service.metric("admission_refused_total", reason="no_place") == 1
        assert service.metric("answers", state="admitted") == 0
        engine.behaviour = speaks("Fine.")
        assert (await service.post(stream=False)).status_code == 200


async def test_answer_waits_for_its_turn_with_the_engine(redis_url: str, engine: OpenAIEngine, engine_url: str) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine.behaviour = speaks_on_command(pieces)
    async with gateway(redis_url, engine_url, max_answers=1, max_waiting_answers=1) as service:
        async with service.stream() as first, service.stream() as second:
            pieces.put_nowait("One.")
            await _first_delta(first)
            assert [(await anext(second)).name for _ in range(3)] == ["figure", "ocr", "chart"]
            assert service.metric("answers", state="admitted") == 2
            assert len(engine.requests) == 1
            pieces.put_nowait(None)
            assert [event.name async for event in first] == ["done"]
            pieces.put_nowait("Two.")
            pieces.put_nowait(None)
            assert [event.name async for event in second] == ["delta", "done"]
        await service.until_idle()
        assert service.metric("answers", state="running") == 0


async def test_answer_whose_turn_does_not_come_is_overloaded(
    redis_url: str, engine: OpenAIEngine, engine_url: str
) -> None:
    engine.behaviour = stalls_after("The ")
    async with (
        gateway(redis_url, engine_url, max_answers=1, max_waiting_answers=2, answer_wait_s=0.05) as service,
        service.stream() as events,
    ):
        await _first_delta(events)
        response = await service.post(stream=False)
        assert (response.status_code, response.json()["code"]) == (503, "overloaded")
        late = await service.events()
        assert (late[-1].name, late[-1].data["code"], late[-1].data["retryable"]) == ("error", "overloaded", True)
        assert service.metric("admission_refused_total", reason="no_turn") == 2
        assert len(engine.requests) == 1
