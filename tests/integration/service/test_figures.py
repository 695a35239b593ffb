"""Figures that stay: kept, described, given back, forgotten, and bounded in time and room. With real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from llava_graph import client
from llava_graph.figure import open_figure
from llava_graph.jobs import Job, Keys, Outcome, Reply
from ocr_worker.engines.rapid import RapidEngine
from tests.conftest import RedisServer
from tests.fakes.kept import chat, keep, post_chat, post_figure, problem, store_reply, store_text
from tests.fakes.openai_engine import OpenAIEngine
from tests.harness.gateway import Gateway, closed_port_url, gateway, png
from tests.harness.ocr_worker import PATIENT_S, working

UNKNOWN_ID = "fig_" + "0" * 64


@pytest.fixture
async def service(redis_url: str, engine_url: str) -> AsyncIterator[Gateway]:
    async with gateway(redis_url, engine_url) as running:
        yield running


def _key(kept_id: str) -> str:
    return f"lg:figures:1:{kept_id}"


# Keeping


async def test_kept_figure_is_described_and_its_place_named(service: Gateway) -> None:
    response = await post_figure(service, png(size=(300, 120)), "Größe über Zeit.")
    assert response.status_code == 201
    figure = response.json()
    assert figure == {
        "id": figure["id"],
        "pixels": open_figure(png(size=(300, 120))).id,
        "width": 300,
        "height": 120,
        "caption": "Größe über Zeit.",
        "ocr": {"status": "pending", "lines": []},
        "chart": None,
    }
    assert response.headers["location"] == f"/v1/figures/{figure['id']}"
    again = await service.http.get(response.headers["location"])
    assert (again.status_code, again.json()) == (200, figure)


async def test_same_figure_with_the_same_caption_is_kept_once(service: Gateway, redis: Redis) -> None:
    first = await post_figure(service)
    await redis.pexpire(_key(first.json()["id"]), 1000)
    second = await post_figure(service)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.headers["location"] == second.headers["location"]
    assert await redis.pttl(_key(first.json()["id"])) > 86_000_000


async def test_another_caption_or_another_pixel_is_another_figure(service: Gateway) -> None:
    figures = [
        await keep(service, png("a"), "One."),
        await keep(service, png("a"), "Two."),
        await keep(service, png("b"), "One."),
    ]
    assert len({figure["id"] for figure in figures}) == 3
    assert len({figure["pixels"] for figure in figures}) == 2


async def test_upload_has_the_figure_read_and_does_not_wait_for_it(service: Gateway, redis: Redis) -> None:
    files, data = {"image": ("figure.png", png())}, {"caption": ""}
    await service.http.post("/v1/figures", files=files, data=data, headers={"X-Request-Id": "from-the-client"})
    entries: Any = await redis.xrange(Keys().jobs)
    [job] = [Job.from_fields(fields) for _, fields in entries]
    assert (job.figure_id, job.request_id) == (open_figure(png()).id, "from-the-client")
    assert job.deadline_ms - job.enqueued_at_ms == 60_000


async def test_twenty_uploads_of_one_figure_are_one_job(service: Gateway, redis: Redis) -> None:
    responses = await asyncio.gather(*(post_figure(service) for _ in range(20)))
    assert sorted(response.status_code for response in responses) == [200] * 19 + [201]
    assert await redis.xlen(Keys().jobs) == 1


async def test_full_ocr_queue_is_no_reason_not_to_keep(redis_url: str, engine_url: str) -> None:
    async with gateway(redis_url, engine_url, ocr_max_depth=1) as service:
        assert (await keep(service, png("first")))["ocr"]["status"] == "pending"
        figure = await keep(service, png("second"))
        assert figure["ocr"] == {"status": "unread", "lines": []}
        assert (await service.http.get(f"/v1/figures/{figure['id']}")).json() == figure


@pytest.mark.parametrize(
    ("image", "caption", "expected"),
    [
        (b"", "", (422, "image_empty")),
        (b"no image", "", (422, "image_undecodable")),
        (png() + bytes(100_000), "", (413, "image_too_large")),
        (png(), "a" * 20_001, (422, "caption_too_long")),
    ],
    ids=["empty", "text", "large", "caption"],
)
async def test_what_explain_refuses_is_not_kept(
    redis_url: str, engine_url: str, redis: Redis, image: bytes, caption: str, expected: tuple[int, str]
) -> None:
    async with gateway(redis_url, engine_url, max_image_bytes=100_000) as service:
        assert problem(await post_figure(service, image, caption)) == expected
    assert await redis.keys("*") == []


@pytest.mark.parametrize(
    "charset", ["utf-7", "punycode", "idna", "undefined", "unicode_escape", "utf-16", "x" * 5000, ""]
)
async def test_fields_of_a_form_are_utf8_whatever_charset_it_names(service: Gateway, charset: str) -> None:
    fields = b'--x\r\nContent-Disposition: form-data; name="caption"\r\n\r\n' + "A+2AA-ü\\u00e4".encode() + b"\r\n"
    fields += b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + png() + b"\r\n--x--\r\n"
    headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    response = await service.http.post("/v1/figures", content=fields, headers=headers)
    if len(charset) < 1000:
        assert (response.status_code, response.json()["caption"]) == (201, "A+2AA-ü\\u00e4")
    else:
        assert problem(response) == (400, "body_malformed")


async def test_missing_fields_and_other_bodies_are_refused(service: Gateway) -> None:
    image, caption = {"image": ("figure.png", png())}, {"caption": (None, "")}
    assert problem(await service.http.post("/v1/figures", files=image)) == (422, "fields_invalid")
    assert problem(await service.http.post("/v1/figures", files=caption)) == (422, "fields_invalid")
    assert problem(await service.http.post("/v1/figures", json={})) == (415, "content_type_unsupported")


async def test_keeping_needs_no_engine(redis_url: str) -> None:
    async with gateway(redis_url, closed_port_url()) as service:
        figure = await keep(service)
        assert problem(await post_chat(service, figure["id"])) == (503, "engine_unavailable")


# Describing


async def test_description_has_the_text_once_it_is_read(service: Gateway, redis: Redis) -> None:
    figure = await keep(service)
    await store_text(redis, figure["pixels"], "Vodikar", "Malo")
    ocr = (await service.http.get(f"/v1/figures/{figure['id']}")).json()["ocr"]
    assert (ocr["status"], [line["text"] for line in ocr["lines"]]) == ("ok", ["Vodikar", "Malo"])
    assert ocr["lines"][1] == {"text": "Malo", "box": [10.0, 20.0, 90.0, 35.0], "confidence": 0.987}


async def test_figure_that_was_read_before_has_its_text_at_once(service: Gateway, redis: Redis) -> None:
    await store_text(redis, open_figure(png()).id, "Vodikar")
    ocr = (await keep(service))["ocr"]
    assert (ocr["status"], ocr["lines"][0]["text"]) == ("ok", "Vodikar")
    assert await redis.xlen(Keys().jobs) == 0


async def test_figure_whose_reading_failed_says_so(service: Gateway, redis: Redis) -> None:
    figure = await keep(service)
    await store_reply(redis, Reply(figure["pixels"], Outcome.FAILED, reason="it crashes"))
    assert (await service.http.get(f"/v1/figures/{figure['id']}")).json()["ocr"] == {"status": "failed", "lines": []}


async def test_figure_that_nobody_reads_any_more_says_so(service: Gateway, redis: Redis) -> None:
    figure = await keep(service)
    await redis.delete(Keys().pending(figure["pixels"]))
    assert (await service.http.get(f"/v1/figures/{figure['id']}")).json()["ocr"] == {"status": "unread", "lines": []}


async def test_reply_of_another_version_is_no_reason_not_to_describe(service: Gateway, redis: Redis) -> None:
    figure = await keep(service)
    await redis.set(Keys().engine, "fake/1")
    await redis.set(Keys().result("fake/1", figure["pixels"]), b'{"v": 99}')
    assert (await service.http.get(f"/v1/figures/{figure['id']}")).json()["ocr"]["status"] == "unread"


async def test_text_is_read_by_a_worker_between_upload_and_first_question(
    redis_url: str, engine_url: str, engine: OpenAIEngine
) -> None:
    async with (
        working(redis_url, RapidEngine(threads=1)),
        gateway(redis_url, engine_url, ocr_deadline_s=PATIENT_S) as service,
    ):
        figure = await keep(service, png("Vodikar"))
        async with asyncio.timeout(PATIENT_S):
            while figure["ocr"]["status"] == "pending":
                figure = (await service.http.get(f"/v1/figures/{figure['id']}")).json()
        answer = await chat(service, figure["id"], ocr="auto")
    assert figure["ocr"]["status"] == "ok"
    assert [line["text"] for line in figure["ocr"]["lines"]] == ["Vodikar"]
    assert (answer["ocr"]["status"], answer["ocr"]["lines"]) == ("cached", figure["ocr"]["lines"])
    assert "Vodikar" in engine.prompt


async def test_image_comes_back_with_the_same_pixels(service: Gateway) -> None:
    figure = await keep(service, png("Vodikar"))
    response = await service.http.get(f"/v1/figures/{figure['id']}/image")
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    assert "private" in response.headers["cache-control"]
    assert open_figure(response.content).id == figure["pixels"]


# Forgetting, in every way


async def _asked_in_every_way(service: Gateway, kept_id: str) -> list[httpx2.Response]:
    place = f"/v1/figures/{kept_id}"
    return [
        await service.http.get(place),
        await service.http.get(f"{place}/image"),
        await post_chat(service, kept_id),
        await service.http.delete(place),
    ]


async def test_forgotten_figure_is_unknown(service: Gateway, redis: Redis) -> None:
    figure, other = await keep(service, png("a")), await keep(service, png("b"))
    response = await service.http.delete(f"/v1/figures/{figure['id']}")
    assert (response.status_code, response.content) == (204, b"")
    for response in await _asked_in_every_way(service, figure["id"]):
        assert problem(response) == (404, "figure_unknown")
    assert (await service.http.get(f"/v1/figures/{other['id']}")).status_code == 200
    assert not await redis.exists(_key(figure["id"]))
    assert await redis.zrange("lg:figures:1:used", 0, -1) == [other["id"].encode()]
    assert (await post_figure(service, png("a"))).status_code == 201


@pytest.mark.parametrize(
    "kept_id", [UNKNOWN_ID, "fig_1", "used", "sizes", "x" * 5000, "%00", "fig_" + "0" * 64 + "%0A"]
)
async def test_figure_that_was_never_kept_is_unknown(service: Gateway, kept_id: str) -> None:
    await keep(service)
    for response in await _asked_in_every_way(service, kept_id):
        assert problem(response) == (404, "figure_unknown")


async def test_figure_that_expired_or_was_evicted_is_unknown_and_leaves_the_index(
    service: Gateway, redis: Redis
) -> None:
    figure = await keep(service)
    await redis.delete(_key(figure["id"]))
    for response in await _asked_in_every_way(service, figure["id"]):
        assert problem(response) == (404, "figure_unknown")
    assert await redis.zcard("lg:figures:1:used") == 0
    assert await redis.hgetall("lg:figures:1:sizes") == {b"total": b"0"}


# Bounds


async def test_every_use_renews_the_time_to_live(redis_url: str, engine_url: str, redis: Redis) -> None:
    async with gateway(redis_url, engine_url, figure_ttl_s=500) as service:
        figure = await keep(service)
        place = f"/v1/figures/{figure['id']}"
        assert 490_000 < await redis.pttl(_key(figure["id"])) <= 500_000
        for use in (service.http.get(place), service.http.get(f"{place}/image"), post_chat(service, figure["id"])):
            await redis.pexpire(_key(figure["id"]), 1000)
            assert (await use).status_code == 200
            assert await redis.pttl(_key(figure["id"])) > 490_000


async def test_figures_used_longest_ago_make_room_for_new_ones(redis_url: str, engine_url: str, redis: Redis) -> None:
    names = ["a", "b", "c", "d"]
    async with gateway(redis_url, engine_url) as service:
        largest = max([await _bytes_of(service, redis, png(name)) for name in names])
    await redis.flushall()
    async with gateway(redis_url, engine_url, figure_store_bytes=3 * largest) as service:
        a, b, c = [await keep(service, png(name)) for name in names[:3]]
        assert (await service.http.get(f"/v1/figures/{a['id']}")).status_code == 200
        d = await keep(service, png("d"))
        there = [(await service.http.get(f"/v1/figures/{figure['id']}")).status_code for figure in (a, b, c, d)]
        await keep(service, png("d"))
        counted = {event: service.metric("figures_total", event=event) for event in ("new", "known", "dropped")}
    assert there == [200, 404, 200, 200]
    assert counted == {"new": 4, "known": 1, "dropped": 1}


async def _bytes_of(service: Gateway, redis: Redis, image: bytes) -> int:
    figure = await keep(service, image)
    size = await redis.hget("lg:figures:1:sizes", figure["id"])
    assert size is not None
    return int(size)


async def test_many_figures_at_once_stay_within_the_room(redis_url: str, engine_url: str, redis: Redis) -> None:
    room = 30_000
    async with gateway(redis_url, engine_url, figure_store_bytes=room) as service:
        await asyncio.gather(*(keep(service, png(f"figure {i}")) for i in range(30)))
    kept = {key.removeprefix(_key("").encode()) for key in await redis.keys(_key("fig_*"))}
    sizes: dict[bytes, bytes] = await redis.hgetall("lg:figures:1:sizes")
    total = int(sizes.pop(b"total"))
    assert 2 <= len(kept) < 30
    assert set(sizes) == kept == set(await redis.zrange("lg:figures:1:used", 0, -1))
    assert sum(int(size) for size in sizes.values()) == total <= room
    assert sum([await redis.hstrlen(_key(kept_id.decode()), "png") for kept_id in kept]) < total


async def test_figures_whose_time_has_passed_no_longer_count(redis_url: str, engine_url: str, redis: Redis) -> None:
    async with gateway(redis_url, engine_url, figure_ttl_s=500) as service:
        old, young = await keep(service, png("old")), await keep(service, png("young"))
        await redis.delete(_key(old["id"]))
        await redis.zincrby("lg:figures:1:used", -501_000, old["id"])
        new = await keep(service, png("new"))
    assert set(await redis.hkeys("lg:figures:1:sizes")) == {b"total", young["id"].encode(), new["id"].encode()}


async def test_figure_larger_than_all_room_is_refused_and_drops_nobody(redis_url: str, engine_url: str) -> None:
    async with gateway(redis_url, engine_url, figure_store_bytes=8_000) as service:
        small = await keep(service, png(size=(40, 40)))
        assert problem(await post_figure(service, png("large", size=(3000, 3000)))) == (413, "image_too_large")
        assert (await service.http.get(f"/v1/figures/{small['id']}")).status_code == 200


# Without Redis


async def test_without_redis_nothing_is_kept_and_explain_works(engine_url: str) -> None:
    async with gateway(closed_port_url("redis"), engine_url) as service:
        for response in [await post_figure(service), *await _asked_in_every_way(service, UNKNOWN_ID)]:
            assert problem(response) == (503, "figures_unavailable")
            assert int(response.headers["retry-after"]) > 0
        assert (await service.post(ocr="auto", stream=False)).status_code == 200
        await service.until_idle()
        assert service.metric("problems_total", code="figures_unavailable") == 5


async def test_redis_that_does_not_answer_is_waited_for_until_the_deadline(engine_url: str) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, gateway(url, engine_url, redis_deadline_s=0.1) as service:
        responses = await asyncio.gather(*(post_chat(service, UNKNOWN_ID) for _ in range(30)))
        assert {problem(response) for response in responses} == {(503, "figures_unavailable")}


async def test_figures_are_kept_again_after_a_redis_restart_that_lost_them(
    own_redis: RedisServer, engine_url: str
) -> None:
    async with gateway(own_redis.url, engine_url) as service:
        figure = await keep(service)
        own_redis.stop()
        assert problem(await post_chat(service, figure["id"])) == (503, "figures_unavailable")
        own_redis.start()
        assert problem(await post_chat(service, figure["id"])) == (404, "figure_unknown")
        assert (await keep(service))["id"] == figure["id"]
        assert (await post_chat(service, figure["id"])).status_code == 200


# What surrounds them


async def test_routes_are_counted_under_their_templates(service: Gateway) -> None:
    figure = await keep(service)
    await _asked_in_every_way(service, figure["id"])
    await _asked_in_every_way(service, UNKNOWN_ID)
    await service.until_idle()
    counted = {
        (route, outcome): service.metric("requests_total", route=route, outcome=outcome)
        for route in ("/v1/figures/{id}", "/v1/figures/{id}/image", "/v1/figures/{id}/chat")
        for outcome in ("ok", "refused")
    }
    assert counted == {
        ("/v1/figures/{id}", "ok"): 2,
        ("/v1/figures/{id}", "refused"): 2,
        ("/v1/figures/{id}/image", "ok"): 1,
        ("/v1/figures/{id}/image", "refused"): 1,
        ("/v1/figures/{id}/chat", "ok"): 1,
        ("/v1/figures/{id}/chat", "refused"): 1,
    }
    assert "fig_" not in (await service.http.get("/metrics")).text


async def test_client_keeps_a_figure_and_hears_why_not(service: Gateway) -> None:
    figure = await client.add_figure(service.http, png(), "A caption.")
    assert figure == await keep(service)
    with pytest.raises(client.ExplainError) as refused:
        await client.add_figure(service.http, b"no image", "A caption.")
    assert (refused.value.code, refused.value.status) == ("image_undecodable", 422)


async def test_client_says_when_no_gateway_is_there() -> None:
    async with httpx2.AsyncClient(base_url=closed_port_url(), trust_env=False) as nobody:
        with pytest.raises(client.ExplainError) as refused:
            await client.add_figure(nobody, png(), "A caption.")
    assert (refused.value.code, refused.value.retryable) == ("gateway_unreachable", True)
