"""Several models and engines behind one gateway: who answers, and what comes of engines that fail, drain and go."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from llava_graph.figure import open_figure
from service.engine.rendezvous import ranked
from tests.fakes.openai_engine import (
    Behaviour,
    breaks_off_after,
    never_answers,
    sends,
    speaks,
    speaks_on_command,
    stalls_after,
)
from tests.harness.engines import fleet, until
from tests.harness.gateway import Gateway, closed_port_url, gateway, png

THREE = ("a", "b", "c")


def figures(count: int) -> list[bytes]:
    return [png(f"Figure {number}") for number in range(count)]


def home(image: bytes, engines: tuple[str, ...] = THREE) -> str:
    """The engine that comes first for a figure."""
    return ranked(open_figure(image).id, engines)[0]


def figure_of(engine: str, engines: tuple[str, ...] = THREE) -> bytes:
    """A figure for which the engine comes first."""
    return next(image for image in figures(100) if home(image, engines) == engine)


def body_of(model: str) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(png('x')).decode()}"
    parts = [{"type": "text", "text": "Why?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"model": model, "messages": [{"role": "user", "content": parts}], "figure": {"ocr": "off"}}


# Models


async def test_each_model_answers_with_its_own_engines_and_limits(redis_url: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, "a", "b") as engines:
        engines.write({"first": ["a"], "second": ["b"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            listed = (await service.http.get("/v1/models")).json()["data"]
            assert [(model["id"], model["max_tokens"]) for model in listed] == [("first", 256), ("second", 64)]
            assert (await service.http.get("/v1/models/second")).json()["id"] == "second"

            assert (await service.post(stream=False)).json()["receipt"]["model"]["id"] == "first"
            answer = await service.post(stream=False, model="second")
            assert answer.json()["receipt"]["model"]["id"] == "second"
            completion = await service.http.post("/v1/chat/completions", json=body_of("second"))
            assert completion.json()["model"] == "second"
            too_long = await service.post(model="second", max_tokens=65)
            assert too_long.json()["code"] == "fields_invalid"
        assert [request["model"] for request in engines.engines["a"].requests] == ["first"]
        asked = [(request["model"], request["max_tokens"]) for request in engines.engines["b"].requests]
        assert asked == [("second", 64), ("second", 64)]


async def test_model_that_is_not_served_is_unknown_to_every_call(redis_url: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, "a") as engines:
        engines.write({"first": ["a"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            kept = (await service.http.post("/v1/figures", data={"caption": ""}, files={"image": png("x")})).json()
            chat = {"model": "third", "messages": [{"role": "user", "content": "Why?"}]}
            responses = [
                await service.post(model="third"),
                await service.http.post(f"/v1/figures/{kept['id']}/chat", json=chat),
                await service.http.post("/v1/chat/completions", json=body_of("third")),
                await service.http.get("/v1/models/third"),
            ]
        assert [response.status_code for response in responses] == [404] * 4
        for response in responses:
            assert "model_not_found" in response.text
            assert "'first'" in response.text
        assert engines.with_requests() == set()


async def test_conversation_about_a_kept_figure_goes_on_with_another_model(redis_url: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, "a", "b") as engines:
        engines.write({"first": ["a"], "second": ["b"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            kept = (await service.http.post("/v1/figures", data={"caption": "x"}, files={"image": png("x")})).json()
            chat = {"messages": [{"role": "user", "content": "Why?"}], "stream": False, "ocr": "off"}
            answers = [
                (await service.http.post(f"/v1/figures/{kept['id']}/chat", json=chat | {"model": model})).json()
                for model in ("first", "second", "first")
            ]
        assert [answer["receipt"]["model"]["id"] for answer in answers] == ["first", "second", "first"]
        assert [len(engines.engines[name].requests) for name in ("a", "b")] == [2, 1]


async def test_description_names_the_models_that_are_served_now(redis_url: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, "a") as engines:
        engines.write({"first": ["a"], "second": ["a"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            assert await described_models(service) == {"type": "string", "enum": ["first", "second"]}
            engines.write({"second": ["a"]})
            await service.take_over_engines()
            assert await described_models(service) == {"type": "string", "const": "second"}


async def described_models(service: Gateway) -> dict[str, Any]:
    document = (await service.http.get("/openapi.json")).json()
    field = document["components"]["schemas"]["ChatCompletionRequest"]["properties"]["model"]
    return {name: value for name, value in field.items() if name in ("type", "enum", "const")}


async def test_receipts_and_models_tell_what_the_engine_says_that_it_is(redis_url: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, "a", "b") as engines:
        engines.engines["a"].version = "0.32.0"
        engines.write({"first": ["a"], "second": ["b"]})
        async with gateway(
            redis_url, closed_port_url(), engines_file=engines.path, engine_health_interval_s=0.02
        ) as service:
            up = {"model": "first", "engine": "a"}
            await until(lambda: service.metric("engine_up", **up) == 1, engines.engines["b"])
            listed = (await service.http.get("/v1/models")).json()["data"]
            assert [model["engines"] for model in listed] == [["vllm 0.32.0"], []]
            for model, engine in (("first", "vllm 0.32.0"), ("second", None)):
                answer = (await service.post(stream=False, model=model)).json()
                assert answer["receipt"]["model"]["engine"] == engine


# Which engine


async def test_same_figure_goes_to_the_same_engine(redis_url: str, tmp_path: Path) -> None:
    images = figures(6)
    async with fleet(tmp_path, *THREE) as engines:
        engines.write({"first": THREE})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            for image in images * 3:
                assert (await service.post(image, stream=False)).status_code == 200
            by_affinity = [
                service.metric("engine_requests_total", model="first", engine=name, chosen="affinity") for name in THREE
            ]
        expected = [3 * sum(home(image) == name for image in images) for name in THREE]
        assert [len(engines.engines[name].requests) for name in THREE] == expected == by_affinity


async def test_engine_with_too_much_in_flight_is_passed_over(redis_url: str, tmp_path: Path) -> None:
    image = figure_of("a")
    async with fleet(tmp_path, *THREE) as engines:
        engines.engines["a"].behaviour = stalls_after("Busy ")
        engines.write({"first": THREE})
        settings: dict[str, Any] = {"engines_file": engines.path, "engine_imbalance": 1, "engine_imbalance_from": 1}
        async with gateway(redis_url, closed_port_url(), **settings) as service:
            async with service.stream(image) as events:
                async for event in events:
                    if event.name == "delta":
                        break
                answer = await service.post(image, stream=False)
                assert answer.json()["text"] == "The figure shows growth."
            second = ranked(open_figure(image).id, THREE)[1]
            assert service.metric("engine_requests_total", model="first", engine=second, chosen="load") == 1
        assert engines.with_requests() == {"a", second}


async def test_client_that_leaves_leaves_nothing_in_flight(redis_url: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, "a") as engines:
        engines.engines["a"].behaviour = stalls_after("One ")
        engines.write({"first": ["a"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            async with service.stream() as events:
                async for event in events:
                    if event.name == "delta":
                        break
                assert service.metric("engine_in_flight", model="first", engine="a") == 1
            await service.until_idle()
            assert service.metric("engine_in_flight", model="first", engine="a") == 0
            assert service.metric("engine_failures_total", model="first", engine="a", code="engine_interrupted") == 0


# Engines that fail

BEFORE_THE_FIRST_TOKEN: dict[str, Behaviour] = {
    "not ready": sends(b"", status=503, content_type="text/plain"),
    "failing": sends(b"", status=500, content_type="text/plain"),
    "too busy": sends(b"", status=429, content_type="text/plain"),
    "without the model": sends(b"", status=404, content_type="text/plain"),
    "another kind of server": sends(b"<html>", content_type="text/html"),
    "dying": breaks_off_after(""),
    "reporting an error": sends(b'data: {"error": "out of memory"}\n\n'),
}


@pytest.mark.parametrize("failing", BEFORE_THE_FIRST_TOKEN)
async def test_engine_that_fails_before_the_first_token_is_replaced(
    failing: str, redis_url: str, tmp_path: Path
) -> None:
    image = figure_of("a", ("a", "b"))
    async with fleet(tmp_path, "a", "b") as engines:
        engines.engines["a"].behaviour = BEFORE_THE_FIRST_TOKEN[failing]
        engines.write({"first": ["a", "b"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            events = await service.events(image)
            assert [event.name for event in events] == ["figure", "ocr", "chart", "delta", "done"]
            assert events[-1].data["text"] == "The figure shows growth."
            assert service.metric("engine_replaced_total", model="first", engine="a") == 1
        assert engines.with_requests() == {"a", "b"}


async def test_engine_that_accepts_no_connection_gets_no_request(redis_url: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, "b", a=closed_port_url()) as engines:
        engines.write({"first": ["a", "b"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            for image in figures(4):
                assert (await service.post(image, stream=False)).status_code == 200
            assert service.metric("engine_up", model="first", engine="a") == 0
            assert (await service.http.get("/readyz")).json()["models"] == [
                {"model": "first", "state": "ok", "engines": 2, "up": 1, "draining": 0}
            ]


async def test_answer_that_has_begun_ends_with_a_retryable_error(redis_url: str, tmp_path: Path) -> None:
    image = figure_of("a", ("a", "b"))
    async with fleet(tmp_path, "a", "b") as engines:
        engines.engines["a"].behaviour = breaks_off_after("The figure ")
        engines.write({"first": ["a", "b"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            events = await service.events(image)
            assert events[-1].name == "error"
            assert (events[-1].data["code"], events[-1].data["retryable"]) == ("engine_interrupted", True)
            assert service.metric("engine_replaced_total", model="first", engine="a") == 0
            assert service.metric("engine_failures_total", model="first", engine="a", code="engine_interrupted") == 1
        assert engines.with_requests() == {"a"}


async def test_request_that_brings_engines_down_is_given_to_so_many_and_no_more(redis_url: str, tmp_path: Path) -> None:
    names = ("a", "b", "c", "d")
    async with fleet(tmp_path, *names) as engines:
        for engine in engines.engines.values():
            engine.behaviour = breaks_off_after("")
        engines.write({"first": names})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path, engine_deliveries=2) as service:
            assert (await service.events())[-1].data["code"] == "engine_interrupted"
        assert sum(len(engine.requests) for engine in engines.engines.values()) == 2


async def test_engine_that_is_silent_to_the_deadline_is_not_replaced(redis_url: str, tmp_path: Path) -> None:
    image = figure_of("a", ("a", "b"))
    async with fleet(tmp_path, "a", "b") as engines:
        engines.engines["a"].behaviour = never_answers
        engines.write({"first": ["a", "b"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path, engine_silence_s=0.3) as service:
            assert (await service.events(image))[-1].data["code"] == "engine_timeout"
        assert engines.with_requests() == {"a"}


async def test_engine_that_fails_its_health_checks_gets_nothing_until_it_is_well(
    redis_url: str, tmp_path: Path
) -> None:
    image = figure_of("a", ("a", "b"))
    async with fleet(tmp_path, "a", "b") as engines:
        sick = engines.engines["a"]
        engines.write({"first": ["a", "b"]})
        settings: dict[str, Any] = {"engines_file": engines.path, "engine_health_interval_s": 0.02}
        async with gateway(redis_url, closed_port_url(), **settings) as service:

            def is_up() -> bool:
                return service.metric("engine_up", model="first", engine="a") == 1

            await until(is_up, sick)
            sick.health_status = 500
            await until(lambda: not is_up(), sick)
            assert (await service.post(image, stream=False)).status_code == 200
            assert engines.with_requests() == {"b"}
            sick.health_status = 200
            await until(is_up, sick)
            assert (await service.post(image, stream=False)).status_code == 200
        assert engines.with_requests() == {"a", "b"}


async def test_gateway_is_degraded_while_one_model_has_no_engine_and_unavailable_without_any(
    redis_url: str, tmp_path: Path
) -> None:
    async with fleet(tmp_path, "a", gone=closed_port_url()) as engines:
        engines.write({"first": ["gone"], "second": ["a"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            ready = await service.http.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert [model["state"] for model in ready.json()["models"]] == ["down", "ok"]
            assert (await service.post(stream=False)).json()["code"] == "engine_unavailable"
            engines.write({"first": ["gone"]})
            await service.take_over_engines()
            ready = await service.http.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")


# The file changes


@pytest.mark.parametrize("removed", [False, True], ids=["drained", "removed"])
async def test_engine_that_goes_finishes_what_it_has_and_gets_nothing_new(
    removed: bool, redis_url: str, tmp_path: Path
) -> None:
    image = figure_of("a", ("a", "b"))
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    async with fleet(tmp_path, "a", "b") as engines:
        engines.engines["a"].behaviour = speaks_on_command(pieces)
        engines.write({"first": ["a", "b"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            text = ""
            async with service.stream(image) as events:
                pieces.put_nowait("Growth ")
                async for event in events:
                    if event.name == "delta" and not text:
                        text = event.data["text"]
                        if removed:
                            engines.write({"first": ["b"]})
                        else:
                            engines.write({"first": ["a", "b"]}, drain=["a"])
                        await service.take_over_engines()
                        assert (await service.post(image, stream=False)).json()["text"] == "The figure shows growth."
                        for piece in ("goes on.", None):
                            pieces.put_nowait(piece)
                last = event
            assert (last.name, last.data["text"]) == ("done", "Growth goes on.")
            series = service.registry.get_sample_value(
                "llava_graph_gateway_engine_in_flight", {"model": "first", "engine": "a"}
            )
            assert series == (None if removed else 0)
        assert [len(engines.engines[name].requests) for name in ("a", "b")] == [1, 1]


async def test_model_without_an_engine_that_takes_anything_is_unavailable(redis_url: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, "a") as engines:
        engines.write({"first": ["a"]}, drain=["a"])
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            response = await service.post(stream=False)
            assert (response.status_code, response.json()["code"]) == (503, "engine_unavailable")
        assert engines.with_requests() == set()


BROKEN = {
    "not TOML": "[[models",
    "unknown key": '[[models]]\ndir = "first"\nweight = 1\nengines = [{ url = "http://127.0.0.1:1" }]',
    "no manifest": '[[models]]\ndir = "nowhere"\nengines = [{ url = "http://127.0.0.1:1" }]',
    "two models of one name": '[[models]]\ndir = "first"\nengines = [{ url = "http://127.0.0.1:1" }]\n' * 2,
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_broken_file_changes_nothing_and_is_counted_once(broken: str, redis_url: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, "a", "b") as engines:
        engines.write({"first": ["a"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            engines.path.write_text(BROKEN[broken])
            await service.take_over_engines()
            await service.take_over_engines()
            assert service.metric("engines_file_reads_total", outcome="broken") == 1
            assert (await service.post(stream=False)).status_code == 200
            assert engines.with_requests() == {"a"}
            engines.write({"second": ["b"]})
            await service.take_over_engines()
            assert service.metric("engines_file_reads_total", outcome="taken") == 1
            assert (await service.post(stream=False)).json()["receipt"]["model"]["id"] == "second"
        assert engines.with_requests() == {"a", "b"}


async def test_manifest_that_changed_counts_when_the_file_is_read_again(redis_url: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, "a") as engines:
        engines.write({"first": ["a"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            manifest = tmp_path / "first" / "manifest.toml"
            manifest.write_text(manifest.read_text().replace("256", "128"))
            engines.path.write_text(engines.path.read_text() + "\n# read again\n")
            await service.take_over_engines()
            assert [model["max_tokens"] for model in (await service.http.get("/v1/models")).json()["data"]] == [128]
            await service.post(stream=False)
        assert engines.engines["a"].requests[0]["max_tokens"] == 128


async def test_requests_go_on_while_engines_come_and_go(redis_url: str, tmp_path: Path) -> None:
    """Two models, three engines each: drained, removed and brought back one after the other under load."""
    names = ("a", "b", "c", "d", "e", "f")
    groups = {"first": names[:3], "second": names[3:]}
    async with fleet(tmp_path, *names) as engines:
        for engine in engines.engines.values():
            engine.behaviour = speaks("The figure ", "shows growth.")
        engines.write(groups)
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:

            async def asked(number: int) -> str:
                answer = await service.post(png(f"{number % 7}"), stream=False, model=("first", "second")[number % 2])
                return str(answer.json().get("text", answer.text))

            async def changing() -> None:
                for gone in range(3):
                    left = {model: [n for i, n in enumerate(those) if i != gone] for model, those in groups.items()}
                    engines.write(groups, drain=[groups["first"][gone], groups["second"][gone]])
                    await service.take_over_engines()
                    engines.write(left)
                    await service.take_over_engines()
                engines.write(groups)
                await service.take_over_engines()

            texts, _ = await asyncio.gather(asyncio.gather(*(asked(number) for number in range(60))), changing())
            assert set(texts) == {"The figure shows growth."}
            assert service.metric("engines_file_reads_total", outcome="taken") == 7
            for model, those in groups.items():
                assert all(service.metric("engine_in_flight", model=model, engine=name) == 0 for name in those)
