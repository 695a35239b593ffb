"""What OpenAI's clients are refused, by the middleware and by all that is in it: in OpenAI's shape, with our codes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from prometheus_client import CollectorRegistry

from service.app import create_app
from service.middleware.drain import Drain
from service.settings import GatewaySettings
from tests.fakes.openai_client import MODEL, answers, asks, client_of, image_part, wish
from tests.fakes.openai_engine import (
    OpenAIEngine,
    breaks_off_after,
    never_answers,
    sends,
    speaks_on_command,
    stalls_after,
)
from tests.harness.api_keys import ALICE, key_file
from tests.harness.gateway import MANIFEST, Gateway, closed_port_url, gateway, png, serving

COMPLETIONS = "/v1/chat/completions"
WHY = [asks()]


@pytest.fixture
async def service(redis_url: str, engine_url: str) -> AsyncIterator[Gateway]:
    small = {"max_image_bytes": 100_000, "engine_silence_s": 0.3}
    async with gateway(redis_url, engine_url, **small) as running:
        yield running


async def _refused(service: Gateway, key: str = "none", **asked: Any) -> openai.APIStatusError:
    """What the client raises for a completion."""
    async with client_of(service, key) as client:
        with pytest.raises(openai.APIStatusError) as refused:
            await client.chat.completions.create(**{"model": MODEL, "messages": WHY, **asked})
    _assert_openai(refused.value.response)
    return refused.value


def _assert_openai(response: httpx2.Response) -> None:
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    said = response.json()
    assert set(said) == {"error"}
    assert set(said["error"]) == {"message", "type", "param", "code"}
    assert said["error"]["message"]


async def _post(service: Gateway, content: Any, **headers: str) -> tuple[int, str]:
    """Status and code for a body that the client would not send."""
    response = await service.http.post(
        COMPLETIONS, content=content, headers={"Content-Type": "application/json", **headers}
    )
    _assert_openai(response)
    return response.status_code, response.json()["error"]["code"]


# Who asks, and how much


async def test_caller_without_a_known_key_hears_of_authentication(
    redis_url: str, engine_url: str, tmp_path: Path
) -> None:
    async with gateway(redis_url, engine_url, keys_file=key_file(tmp_path, alice=ALICE)) as service:
        error = await _refused(service, "wrong")
        assert isinstance(error, openai.AuthenticationError)
        assert (error.code, error.type, error.param) == ("unauthorized", "authentication_error", None)
        assert error.response.headers["www-authenticate"].startswith("Bearer ")
        assert error.request_id == error.response.headers["x-request-id"]
        async with client_of(service, "wrong") as client:
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()
        async with client_of(service, ALICE) as client:
            assert [model.id async for model in client.models.list()] == [MODEL]
            assert (await client.chat.completions.create(model=MODEL, messages=WHY)).choices  # type: ignore[arg-type]


async def test_caller_past_his_rate_is_told_when_to_come_back(redis_url: str, engine_url: str) -> None:
    async with gateway(redis_url, engine_url, requests_per_minute=1) as service, client_of(service) as client:
        await client.models.list()
        error = await _refused(service)
    assert isinstance(error, openai.RateLimitError)
    assert (error.code, error.type) == ("rate_limited", "rate_limit_error")
    assert int(error.response.headers["retry-after"]) >= 1
    assert error.response.headers["ratelimit-limit"] == "1"


async def test_body_of_unknown_length_is_refused_where_bytes_are_limited(redis_url: str, engine_url: str) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"{}"

    async with gateway(redis_url, engine_url, upload_bytes_per_minute=1000) as service:
        assert await _post(service, parts()) == (411, "length_required")
        assert await _post(service, b" " * 1001) == (413, "body_too_large")


async def test_answer_beyond_what_may_be_made_at_once_is_refused(
    redis_url: str, engine_url: str, engine: OpenAIEngine
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine.behaviour = speaks_on_command(pieces)
    async with (
        gateway(redis_url, engine_url, max_answers=1, max_waiting_answers=0) as service,
        client_of(service) as client,
    ):
        running = asyncio.ensure_future(client.chat.completions.create(model=MODEL, messages=WHY))  # type: ignore[arg-type]
        await engine.arrived.wait()
        error = await _refused(service)
        pieces.put_nowait(None)
        await running
    assert isinstance(error, openai.InternalServerError)
    assert (error.status_code, error.code, error.type) == (503, "overloaded", "server_error")
    assert int(error.response.headers["retry-after"]) >= 1


async def test_bodies_that_are_there_at_the_same_time_have_a_bound_together(redis_url: str, engine_url: str) -> None:
    async with gateway(redis_url, engine_url, completion_bodies_bytes=1100) as service:
        assert await _post(service, b"{" + b" " * 1100) == (503, "overloaded")
        assert await _post(service, b"{" + b" " * 900) == (400, "body_malformed")


# Models, paths, bodies


async def test_other_model_is_not_found(service: Gateway) -> None:
    error = await _refused(service, model="gpt-5")
    assert isinstance(error, openai.NotFoundError)
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
    async with client_of(service) as client:
        for other in ("gpt-5", "a/b"):
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve(other)


async def test_calls_that_do_not_exist_are_refused_in_the_same_shape(service: Gateway) -> None:
    for method, path, expected in (
        ("GET", COMPLETIONS, (405, "method_not_allowed")),
        ("DELETE", f"/v1/models/{MODEL}", (405, "method_not_allowed")),
        ("GET", "/v1/models/a/b", (404, "not_found")),
    ):
        response = await service.http.request(method, path)
        _assert_openai(response)
        assert (response.status_code, response.json()["error"]["code"]) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "body_malformed")),
        (b"{never closed", (400, "body_malformed")),
        (b"\xff\xfe", (400, "body_malformed")),
        (b"[" * 100_000, (400, "body_malformed")),
        (b"[]", (400, "fields_invalid")),
        (b"{}", (400, "fields_invalid")),
        (b'{"model": "fake-model", "messages": [{"role": "user", "content": "a"}], "temperature": NaN}', None),
        (b" " * 5_000_000, (413, "body_too_large")),
    ],
    ids=["nothing", "not closed", "not utf-8", "too deep", "a list", "no fields", "nan", "too large"],
)
async def test_body_that_is_no_request_is_refused(
    service: Gateway, body: bytes, expected: tuple[int, str] | None
) -> None:
    assert await _post(service, body) == (expected or (400, "fields_invalid"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"messages": [' + b"5," * 200_000 + b"5]}", (413, "body_too_large")),
        (b"[[" * 100_000, (413, "body_too_large")),
        (b'{"messages": [' + b"5," * 50_000 + b"5]}", (400, "conversation_too_long")),
        (b'{"model": "a", "messages": [' + b"5," * 60 + b"5]}", (400, "fields_invalid")),
    ],
    ids=["values", "brackets", "messages", "wrong messages"],
)
async def test_body_of_many_small_values_is_refused_before_each_is_looked_at(
    service: Gateway, body: bytes, expected: tuple[int, str]
) -> None:
    assert await _post(service, body) == expected


async def test_many_wrong_fields_are_not_all_named(service: Gateway) -> None:
    body = {"model": MODEL, "messages": [5] * 60}
    said = (await service.http.post(COMPLETIONS, json=body)).json()["error"]
    assert said["param"] == "messages.0"
    assert said["message"].count("messages.") == 32
    assert said["message"].endswith("And 28 more.")


async def test_body_that_grows_too_large_is_refused_while_it_comes(service: Gateway) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b" " * 65_536

    assert await _post(service, endless()) == (413, "body_too_large")


async def test_other_content_types_are_refused(service: Gateway) -> None:
    assert await _post(service, b"{}", **{"Content-Type": "text/plain"}) == (415, "content_type_unsupported")


# Fields

SYSTEM = {"role": "system", "content": "Be brief."}

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "two answers": ({"n": 2}, "fields_invalid", "n"),
    "too long an answer": ({"max_tokens": 257}, "fields_invalid", "max_tokens"),
    "too long under the newer name": ({"max_completion_tokens": 257}, "fields_invalid", "max_completion_tokens"),
    "no tokens": ({"max_tokens": 0}, "fields_invalid", "max_tokens"),
    "too hot": ({"temperature": 2.1}, "fields_invalid", "temperature"),
    "no probability": ({"top_p": 0}, "fields_invalid", "top_p"),
    "seed below 0": ({"seed": -1}, "fields_invalid", "seed"),
    "empty stop": ({"stop": ""}, "fields_invalid", "stop"),
    "empty stop in a list": ({"stop": ["a", ""]}, "fields_invalid", "stop.1"),
    "five stops": ({"stop": list("abcde")}, "fields_invalid", "stop"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "field_unsupported", "tools"),
    "JSON": ({"response_format": {"type": "json_object"}}, "field_unsupported", "response_format"),
    "logprobs": ({"logprobs": True}, "field_unsupported", "logprobs"),
    "audio": ({"modalities": ["text", "audio"]}, "field_unsupported", "modalities"),
    "a penalty": ({"frequency_penalty": 0.5}, "field_unsupported", "frequency_penalty"),
    "reasoning": ({"reasoning_effort": "high"}, "field_unsupported", "reasoning_effort"),
    "to be stored": ({"store": True}, "field_unsupported", "store"),
    "a field that nobody knows": ({"extra_body": {"top_k": 5}}, "field_unsupported", "top_k"),
    "no messages": ({"messages": []}, "messages_invalid", "messages"),
    "instructions alone": ({"messages": [SYSTEM]}, "messages_invalid", "messages.0"),
    "instructions last": ({"messages": [asks(), SYSTEM]}, "messages_invalid", "messages.1"),
    "the assistant first": ({"messages": [answers("a"), asks()]}, "messages_invalid", "messages.0"),
    "the assistant last": ({"messages": [asks(), answers("a")]}, "messages_invalid", "messages.1"),
    "an empty question": ({"messages": [asks("")]}, "messages_invalid", "messages.0"),
    "a question without content": ({"messages": [{"role": "user"}]}, "messages_invalid", "messages.0"),
    "an image of the assistant": (
        {"messages": [asks(), {"role": "assistant", "content": [image_part(png())]}, asks()]},
        "messages_invalid",
        "messages.1",
    ),
    "a tool speaks": (
        {"messages": [{"role": "tool", "content": "a", "tool_call_id": "1"}]},
        "fields_invalid",
        "messages.0.role",
    ),
    "a tool was called": (
        {"messages": [asks(), {**answers(""), "tool_calls": [{"id": "1", "type": "function"}]}, asks()]},
        "field_unsupported",
        "messages.1.tool_calls",
    ),
    "too many parts": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 65}]},
        "fields_invalid",
        "messages.0.content",
    ),
    "a sound": (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        "fields_invalid",
        "messages.0.content.0",
    ),
    "a text that is none": ({"messages": [{"role": "user", "content": 5}]}, "fields_invalid", "messages.0.content"),
    "an image without a URL": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "fields_invalid",
        "messages.0.content.0.image_url.url",
    ),
    "a URL": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.org/b"}}]}]},
        "image_url_not_allowed",
        "messages.0.content.0.image_url",
    ),
    "a file": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/a"}}]}]},
        "image_url_not_allowed",
        "messages.0.content.0.image_url",
    ),
    "a data URL without base64": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,a"}}]}]},
        "image_undecodable",
        "messages.0.content.0.image_url",
    ),
    "no image": (
        {"messages": [asks("Why?", b"no image")]},
        "image_undecodable",
        "messages.0.content.0.image_url",
    ),
    "an empty image": ({"messages": [asks("Why?", b"")]}, "image_empty", "messages.0.content.0.image_url"),
    "two figures": ({"messages": [asks("Why?", png("a"), png("b"))]}, "too_many_figures", "messages"),
    "a figure in each turn": (
        {"messages": [asks("Why?", png("a")), answers("So."), asks("And?", png("b"))]},
        "too_many_figures",
        "messages",
    ),
    "a caption without a figure": ({"extra_body": wish(caption="a")}, "fields_invalid", "figure"),
    "a mistyped caption": ({"extra_body": {"figure": {"captoin": "a"}}}, "fields_invalid", "figure.captoin"),
    "a mistyped wish in a list": ({"extra_body": {"figure": [{"ocr": "yes"}]}}, "fields_invalid", "figure.0.ocr"),
    "too long a caption": (
        {"messages": [asks("Why?", png())], "extra_body": wish(caption="a" * 20_001)},
        "caption_too_long",
        "figure",
    ),
    "too long a conversation": ({"messages": [asks("a" * 64_001)]}, "conversation_too_long", "messages"),
    "too many messages": ({"messages": [*[asks(), answers("a")] * 32, asks()]}, "conversation_too_long", "messages"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_cannot_be_answered_is_a_bad_request_that_names_the_field(
    service: Gateway, engine: OpenAIEngine, what: str
) -> None:
    asked, code, param = WRONG[what]
    error = await _refused(service, **asked)
    assert isinstance(error, openai.BadRequestError)
    assert (error.code, error.param, error.type) == (code, param, "invalid_request_error")
    assert engine.requests == []


async def test_image_that_is_too_large_is_refused(service: Gateway) -> None:
    large = png() + bytes(100_000)
    error = await _refused(service, messages=[asks("Why?", large)])
    assert (error.status_code, error.code) == (413, "image_too_large")
    assert error.param == "messages.0.content.0.image_url"


async def test_refused_conversation_neither_decodes_nor_reads(service: Gateway) -> None:
    await _refused(service, messages=[asks("Why?", png("a"), png("b"))])
    await service.until_idle()
    assert service.metric("ocr_total", status="off") == service.metric("ocr_wait_seconds_count") == 0
    assert service.metric("problems_total", code="too_many_figures") == 1
    assert service.metric("requests_total", route=COMPLETIONS, outcome="refused") == 1


# The engine

FAILURES: dict[str, tuple[Any, int, str, type[openai.APIStatusError]]] = {
    "500": (sends(b"boom", status=500), 502, "engine_error", openai.InternalServerError),
    "404": (sends(b"no such model", status=404), 502, "engine_refused", openai.InternalServerError),
    "429": (sends(b"busy", status=429), 503, "overloaded", openai.InternalServerError),
    "no stream": (sends(b"{}", content_type="application/json"), 502, "engine_garbled", openai.InternalServerError),
    "silent": (never_answers, 504, "engine_timeout", openai.InternalServerError),
    "silent in the middle": (stalls_after("The "), 504, "engine_timeout", openai.InternalServerError),
    "breaks off": (breaks_off_after("The "), 502, "engine_interrupted", openai.InternalServerError),
    "context too short": (
        sends(b'{"error": {"message": "maximum context length is 1024 tokens"}}', status=400),
        400,
        "prompt_too_long",
        openai.BadRequestError,
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_failure_of_the_engine_has_the_status_and_in_a_stream_the_code(
    service: Gateway, engine: OpenAIEngine, failure: str
) -> None:
    engine.behaviour, status, code, kind = FAILURES[failure]
    error = await _refused(service)
    assert isinstance(error, kind)
    assert (error.status_code, error.code) == (status, code)
    async with client_of(service) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=WHY, stream=True)  # type: ignore[arg-type]
        with pytest.raises(openai.APIError) as failed:
            async for chunk in stream:
                assert chunk.choices[0].finish_reason is None
    assert not isinstance(failed.value, openai.APIStatusError)
    assert (failed.value.code, failed.value.type) == (code, error.type)
    await service.until_idle()
    assert service.metric("problems_total", code=code) == 2


async def test_stream_that_fails_ends_with_the_error_and_without_done(service: Gateway, engine: OpenAIEngine) -> None:
    engine.behaviour = breaks_off_after("The ")
    response = await service.http.post(COMPLETIONS, json={"model": MODEL, "messages": WHY, "stream": True})
    *_, last, end = response.text.split("\n\n")
    assert end == ""
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_interrupted"


async def test_gateway_that_is_being_stopped_says_so_before_and_within_an_answer(
    redis_url: str, engine_url: str, engine: OpenAIEngine
) -> None:
    engine.behaviour = stalls_after("The ")
    drain = Drain()
    settings = GatewaySettings(redis_url=redis_url, engine_url=engine_url)
    app = create_app(settings, manifest=MANIFEST, registry=CollectorRegistry(), drain=drain)
    async with serving(app) as url, AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=WHY, stream=True)  # type: ignore[arg-type]
        while (await anext(stream)).choices[0].delta.content != "The ":
            pass
        drain.begin()
        with pytest.raises(openai.InternalServerError) as refused:
            await client.chat.completions.create(model=MODEL, messages=WHY)  # type: ignore[arg-type]
        drain.cut_short()
        with pytest.raises(openai.APIError) as failed:
            await anext(stream)
    assert (refused.value.status_code, refused.value.code) == (503, "draining")
    assert int(refused.value.response.headers["retry-after"]) >= 1
    assert (failed.value.code, failed.value.type) == ("draining", "server_error")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
async def test_engine_that_is_not_there_is_told_before_a_stream_begins(redis_url: str, stream: bool) -> None:
    async with gateway(redis_url, closed_port_url()) as service:
        error = await _refused(service, stream=stream, messages=[asks("Why?", png())], extra_body=wish())
    assert (error.status_code, error.code) == (503, "engine_unavailable")
    assert int(error.response.headers["retry-after"]) >= 1


async def test_client_tries_again_what_is_worth_it(service: Gateway, engine: OpenAIEngine) -> None:
    engine.behaviour = sends(b"boom", status=500)
    async with AsyncOpenAI(base_url=f"{service.http.base_url}/v1", api_key="none", max_retries=1) as client:
        patient = client.with_options(default_headers={"X-Request-Id": "twice"})
        with pytest.raises(openai.InternalServerError) as failed:
            await patient.chat.completions.create(model=MODEL, messages=WHY)  # type: ignore[arg-type]
    assert failed.value.request_id == "twice"
    assert len(engine.requests) == 2
