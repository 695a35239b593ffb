"""Every way in which the gateway says no: one shape, stable codes, and never a 500 or a hung stream for bad input."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import AsyncIterator

import httpx2
import pytest
from PIL import Image

from llava_graph.context import FigureContext
from tests.fakes.openai_engine import (
    OpenAIEngine,
    breaks_off_after,
    never_answers,
    sends,
    speaks,
    stalls_after,
)
from tests.harness.gateway import Gateway, closed_port_url, gateway, png, serving
from tests.harness.prompts import first_turn


@pytest.fixture
async def service(redis_url: str, engine: OpenAIEngine) -> AsyncIterator[Gateway]:
    small = {"max_image_bytes": 100_000, "engine_silence_s": 0.3}
    async with serving(engine, lifespan=False) as url, gateway(redis_url, url, **small) as running:
        yield running


def _assert_problem(response: httpx2.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) - {"fields"} == {"type", "title", "status", "detail", "instance", "code", "retryable"}
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["type"] == f"urn:llava-graph:problem:{code}"
    assert problem["instance"] == response.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    assert problem["retryable"] is ("retry-after" in response.headers)


def _png_claiming(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes whose header claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(500))) + chunk(b"IEND", b"")
    )


def _bomb() -> bytes:
    """A valid PNG whose 49 megapixels of one colour compress to some 50 kB."""
    file = io.BytesIO()
    Image.new("1", (7000, 7000)).save(file, "PNG")
    return file.getvalue()


BAD_IMAGES = {
    "zero bytes": (b"", 422, "image_empty"),
    "text": (b"this is not an image", 422, "image_undecodable"),
    "pdf": (b"%PDF-1.7\n" + bytes(200), 422, "image_undecodable"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 422, "image_undecodable"),
    "truncated": (png("cut")[:400], 422, "image_undecodable"),
    "100 megapixels claimed": (_png_claiming(10_000, 10_000), 413, "image_too_large"),
    "4 gigapixels claimed": (_png_claiming(65_535, 65_535), 413, "image_too_large"),
    "decompression bomb": (_bomb(), 413, "image_too_large"),
    "too many bytes": (png() + bytes(100_000), 413, "image_too_large"),
    "one pixel": (_png_claiming(1, 1), 422, "image_too_small"),
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
@pytest.mark.parametrize("bad", BAD_IMAGES)
async def test_bad_image_is_refused_before_anything_else(
    service: Gateway, engine: OpenAIEngine, bad: str, stream: bool
) -> None:
    image, status, code = BAD_IMAGES[bad]
    _assert_problem(await service.post(image, ocr="auto", stream=stream), status, code)
    assert engine.requests == []


async def test_empty_caption_is_none(service: Gateway, engine: OpenAIEngine) -> None:
    assert (await service.post(caption="", stream=False)).status_code == 200
    assert engine.prompt == first_turn("located", FigureContext(320, 200)).text


async def test_caption_of_50000_characters_is_refused(service: Gateway) -> None:
    _assert_problem(await service.post(caption="a" * 50_000), 422, "caption_too_long")


async def test_longest_accepted_caption_is_cut_for_the_model(service: Gateway, engine: OpenAIEngine) -> None:
    assert (await service.post(caption="ä" * 20_000, stream=False)).status_code == 200
    assert 0 < engine.prompt.count("ä") < 20_000


async def test_question_too_long_is_refused(service: Gateway) -> None:
    _assert_problem(await service.post(question="a" * 2001), 422, "question_too_long")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", "0"),
        ("max_tokens", "257"),
        ("max_tokens", "many"),
        ("temperature", "-0.1"),
        ("temperature", "2.1"),
        ("temperature", "nan"),
        ("temperature", "inf"),
        ("top_p", "0"),
        ("top_p", "1.1"),
        ("top_p", "nan"),
        ("seed", "-1"),
        ("seed", str(2**31)),
        ("seed", "0.5"),
        ("ocr", "maybe"),
        ("stream", "perhaps"),
    ],
)
async def test_wrong_field_is_named(service: Gateway, field: str, value: str) -> None:
    response = await service.post(png(), **{field: value})
    _assert_problem(response, 422, "fields_invalid")
    assert [wrong["field"] for wrong in response.json()["fields"]] == [field]


async def test_missing_caption_is_refused(service: Gateway) -> None:
    response = await service.http.post("/v1/explain", files={"image": ("figure.png", png())})
    _assert_problem(response, 422, "fields_invalid")
    assert response.json()["fields"][0]["field"] == "caption"


async def test_missing_image_is_refused(service: Gateway) -> None:
    response = await service.http.post("/v1/explain", files={"caption": (None, "Loss.")})
    _assert_problem(response, 422, "fields_invalid")
    assert response.json()["fields"][0]["field"] == "image"


async def test_image_sent_as_text_is_refused(service: Gateway) -> None:
    response = await service.http.post("/v1/explain", files={"caption": (None, "Loss."), "image": (None, "figure.png")})
    _assert_problem(response, 422, "fields_invalid")


async def test_second_image_is_refused(service: Gateway) -> None:
    files = [("image", ("a.png", png())), ("image", ("b.png", png()))]
    _assert_problem(await service.http.post("/v1/explain", files=files, data={"caption": ""}), 400, "body_malformed")


@pytest.mark.parametrize(
    "body",
    [{"json": {"caption": ""}}, {"data": {"caption": ""}}, {"content": b"x"}, {}],
    ids=["json", "urlencoded", "untyped", "nothing"],
)
async def test_other_content_types_are_refused(service: Gateway, body: dict[str, object]) -> None:
    response = await service.http.request("POST", "/v1/explain", **body)  # type: ignore[arg-type]
    _assert_problem(response, 415, "content_type_unsupported")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary in here"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nnameless\r\n--x--\r\n"),
    ],
    ids=["boundary not named", "boundary not found", "part without a name"],
)
async def test_broken_multipart_is_refused(service: Gateway, content_type: str, body: bytes) -> None:
    response = await service.http.post("/v1/explain", content=body, headers={"Content-Type": content_type})
    _assert_problem(response, 400, "body_malformed")


async def test_body_that_declares_too_many_bytes_is_refused_unread(service: Gateway) -> None:
    _assert_problem(await service.post(bytes(3_000_000)), 413, "body_too_large")


async def test_body_that_grows_too_large_is_refused_while_it_comes(service: Gateway) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        while sent < 50_000_000:
            sent += 65_536
            yield bytes(65_536)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = await service.http.post("/v1/explain", content=endless(), headers=headers)
    _assert_problem(response, 413, "body_too_large")


async def test_unknown_path_and_method_have_the_same_shape(service: Gateway) -> None:
    _assert_problem(await service.http.get("/v1/nothing"), 404, "not_found")
    response = await service.http.get("/v1/explain")
    _assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
async def test_without_an_engine_the_answer_is_503_with_retry_after(redis_url: str, stream: bool) -> None:
    async with gateway(redis_url, closed_port_url()) as service:
        response = await service.post(stream=stream)
        _assert_problem(response, 503, "engine_unavailable")
        assert int(response.headers["retry-after"]) > 0


async def test_engine_that_is_not_ready_is_unavailable(service: Gateway, engine: OpenAIEngine) -> None:
    engine.health_status = 503
    _assert_problem(await service.post(), 503, "engine_unavailable")
    engine.health_status = 404  # a server that knows no /health is there all the same
    assert (await service.post()).status_code == 200


GARBAGE = {
    "not json": b"data: {never closed\n\n",
    "a list": b"data: []\n\n",
    "no choices": b'data: {"id": 1}\n\n',
    "delta missing": b'data: {"choices": [{"finish_reason": null}]}\n\n',
    "text is a number": b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
    "usage is text": b'data: {"choices": [], "usage": "much"}\n\n',
    "not utf-8": b'data: {"choices": \xff\xfe}\n\n',
}

ENGINE_FAILURES = {
    "breaks off": (breaks_off_after("The "), 502, "engine_interrupted"),
    "ends without a reason": (
        sends(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'),
        502,
        "engine_interrupted",
    ),
    "done without a reason": (sends(b"data: [DONE]\n\n"), 502, "engine_interrupted"),
    "silent before the first token": (never_answers, 504, "engine_timeout"),
    "silent between tokens": (stalls_after("The "), 504, "engine_timeout"),
    "500": (sends(b"boom", status=500), 502, "engine_error"),
    "502": (sends(b"bad gateway", status=502), 503, "engine_unavailable"),
    "429": (sends(b"slow down", status=429), 503, "overloaded"),
    "422": (sends(b'{"detail": "Unexpected fields"}', status=422), 502, "engine_refused"),
    "401": (sends(b"{}", status=401), 502, "engine_refused"),
    "error within the stream": (sends(b'data: {"error": {"message": "CUDA"}}\n\n'), 502, "engine_error"),
    "no event stream": (sends(b"{}", content_type="application/json"), 502, "engine_garbled"),
    "context too short": (
        sends(b'{"error": {"message": "This model\'s maximum context length is 1024 tokens."}}', status=400),
        422,
        "prompt_too_long",
    ),
    **{name: (sends(line), 502, "engine_garbled") for name, line in GARBAGE.items()},
}


@pytest.mark.parametrize("failure", ENGINE_FAILURES)
async def test_engine_failure_is_a_problem_or_an_error_event_with_the_same_code(
    service: Gateway, engine: OpenAIEngine, failure: str
) -> None:
    engine.behaviour, status, code = ENGINE_FAILURES[failure]
    response = await service.post(stream=False)
    _assert_problem(response, status, code)
    events = await service.events()
    assert events[-1].name == "error"
    assert "done" not in [event.name for event in events]
    assert events[-1].data["code"] == code
    assert events[-1].data["message"]
    assert events[-1].data["retryable"] is response.json()["retryable"]
    await service.until_idle()
    assert service.metric("problems_total", code=code) == 2


async def test_text_that_came_with_a_failure_still_goes_out(service: Gateway, engine: OpenAIEngine) -> None:
    engine.behaviour = sends(b'data: {"choices": [{"delta": {"content": "The "}}]}\n\ndata: {"error": "CUDA"}\n\n')
    assert [event.data.get("text") or event.name for event in await service.events()][-2:] == ["The ", "error"]


async def test_line_without_an_end_is_not_gathered_for_ever(service: Gateway, engine: OpenAIEngine) -> None:
    engine.behaviour = sends(b"data: ", *[b"x" * 65_536] * 20)
    assert (await service.events())[-1].data["code"] == "engine_garbled"


async def test_engine_with_all_its_connections_in_use_is_overloaded(redis_url: str, engine: OpenAIEngine) -> None:
    engine.behaviour = stalls_after("The ")
    async with (
        serving(engine, lifespan=False) as url,
        gateway(redis_url, url, engine_connections=1) as service,
        service.stream() as events,
    ):
        while (await anext(events)).name != "delta":
            pass
        _assert_problem(await service.post(stream=False), 503, "overloaded")
        assert len(engine.requests) == 1


async def test_engine_that_just_failed_is_asked_again_before_the_next_stream_begins(
    redis_url: str, engine: OpenAIEngine
) -> None:
    async with serving(engine, lifespan=False) as url, gateway(redis_url, url) as service:
        engine.behaviour = breaks_off_after("The ")
        assert (await service.events())[-1].data["code"] == "engine_interrupted"
        engine.health_status = 503
        _assert_problem(await service.post(), 503, "engine_unavailable")


async def test_words_of_the_engine_stay_in_the_log(service: Gateway, engine: OpenAIEngine) -> None:
    engine.behaviour = sends(b"no such file: /secret/weights", status=500)
    assert "secret" not in (await service.post(stream=False)).text


async def test_gateway_serves_on_after_every_failure(service: Gateway, engine: OpenAIEngine) -> None:
    for behaviour, _, _ in ENGINE_FAILURES.values():
        engine.behaviour = behaviour
        await service.post()
    engine.behaviour = speaks("Fine.")
    assert (await service.post(stream=False)).json()["text"] == "Fine."


async def test_answer_past_its_deadline_ends_with_engine_timeout(redis_url: str, engine: OpenAIEngine) -> None:
    engine.behaviour = speaks(*["on and "] * 1000)
    async with (
        serving(engine, lifespan=False) as url,
        gateway(redis_url, url, answer_deadline_s=0.001) as service,
    ):
        assert (await service.events())[-1].data["code"] == "engine_timeout"
