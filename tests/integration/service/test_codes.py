"""Every code, provoked over real HTTP at every call whose description names it.

What is promised is read from the description (/openapi.json), how a code is provoked is said here, once for all calls
that have it; each test is a pair of the two. That nothing else is ever answered, tests/fakes/description.py sees to.
"""

from __future__ import annotations

import asyncio
import base64
import io
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from PIL import Image
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from structlog.testing import capture_logs

from llava_graph.api_keys import digest, new_key
from llava_graph.feedback import ENTRIES_FILE
from llava_graph.figure import FigureErrorCode
from service.errors import GatewayError
from service.figures.remote import RemoteImages
from service.metrics import Metrics
from service.middleware.drain import Drain
from service.schema.sample_objects import WHOLE as ANSWER
from tests.fakes.description import code_of
from tests.fakes.kept import feedback_on
from tests.fakes.openai_engine import (
    Behaviour,
    OpenAIEngine,
    breaks_off_after,
    never_answers,
    sends,
    stalls_after,
)
from tests.harness.gateway import DESCRIPTION, MANIFEST, Gateway, closed_port_url, gateway, png, serving
from tests.harness.wire import exchange, request

OPERATIONS: dict[str, tuple[str, str]] = {
    operation["operationId"]: (method.upper(), path)
    for path, operations in DESCRIPTION.document["paths"].items()
    for method, operation in operations.items()
    if path.startswith("/v1/")
}


def _promised() -> Iterator[tuple[str, int, str]]:
    """Operation, status and code."""
    for name, (method, path) in OPERATIONS.items():
        for status, response in DESCRIPTION.document["paths"][path][method.lower()]["responses"].items():
            if int(status) >= 400:
                [content] = response["content"].values()
                for code in content["examples"]:
                    yield name, int(status), code


def _white(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height), 1).save(file, "PNG")
    return file.getvalue()


def _data_url(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def _shows(*urls: str) -> list[dict[str, Any]]:
    """A question with images."""
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "Why?"}]}]


WHY = [{"role": "user", "content": "Why?"}]
JSON = "application/json"
FORM = "multipart/form-data; boundary=x"


@dataclass
class Call:
    """One operation of a running gateway: a request that would be answered, unless it is made otherwise."""

    service: Gateway
    operation: str
    kept_id: str

    @property
    def takes(self) -> str:
        """The type of its body; empty where it has none."""
        types = {"explain": FORM, "keep": FORM, "chat": JSON, "complete": JSON, "feedback": JSON}
        return types.get(self.operation, "")

    async def send(
        self, *, image: bytes = png(), raw: Any = None, content_type: str = "", id: str = "", **fields: Any
    ) -> httpx2.Response:
        """`raw` is sent in place of the body; `id` in place of what stands in the path."""
        method, path = OPERATIONS[self.operation]
        url = path.replace("{id}", id or (MANIFEST.name if self.operation == "model" else self.kept_id))
        if raw is not None:
            headers = {"Content-Type": content_type or self.takes} if content_type or self.takes else {}
            return await self.service.http.request(method, url, content=raw, headers=headers)
        if self.takes == FORM:
            form = {
                "caption": "",
                **({"ocr": "off", "stream": "false"} if self.operation == "explain" else {}),
                **fields,
            }
            given = {name: value for name, value in form.items() if value is not None}
            return await self.service.http.request(method, url, files={"image": ("figure.png", image)}, data=given)
        if self.operation == "chat":
            return await self.service.http.post(url, json={"messages": WHY, "ocr": "off", "stream": False, **fields})
        if self.operation == "complete":
            asked = {"model": MANIFEST.name, "messages": _shows(_data_url(image)), "figure": {"ocr": "off"}}
            return await self.service.http.post(url, json={**asked, **fields})
        if self.operation == "feedback":
            return await self.service.http.post(url, json=feedback_on(ANSWER, **fields))
        return await self.service.http.request(method, url)


@dataclass
class World:
    """What a provocation works with."""

    operation: str
    redis_url: str
    engine: OpenAIEngine
    engine_url: str
    folder: Path
    """Where feedback is stored: it is on at every gateway here."""

    @property
    def line(self) -> tuple[str, str]:
        """Method and path of the operation."""
        method, path = OPERATIONS[self.operation]
        return method, path.replace("{id}", "fig_" + "0" * 64)

    @asynccontextmanager
    async def call(self, **settings: Any) -> AsyncIterator[Call]:
        """The operation at a gateway with these settings; where it is about a kept figure, there is one."""
        url = settings.pop("redis_url", self.redis_url)
        kept_id = "fig_" + "0" * 64
        if "{id}" in OPERATIONS[self.operation][1] and url == self.redis_url:
            async with gateway(url, self.engine_url) as service:
                form = {"files": {"image": ("figure.png", png())}, "data": {"caption": ""}}
                kept_id = (await service.http.post("/v1/figures", **form)).json()["id"]
        feedback = {"feedback": "on", "feedback_dir": self.folder}
        async with gateway(url, self.engine_url, **{**feedback, **settings}) as service:
            yield Call(service, self.operation, kept_id)


Provocation = Callable[[World], Awaitable[httpx2.Response]]
PROVOKED: dict[str, Provocation] = {}


def provokes(code: str) -> Callable[[Provocation], Provocation]:
    def register(provocation: Provocation) -> Provocation:
        PROVOKED[code] = provocation
        return provocation

    return register


def _fields(code: str, *, settings: dict[str, Any] | None = None, **by_operation: dict[str, Any]) -> None:
    """Provoked by what is sent: for each operation, arguments of `Call.send`."""

    @provokes(code)
    async def provocation(world: World) -> httpx2.Response:
        async with world.call(**(settings or {})) as call:
            return await call.send(**by_operation[world.operation])


def _engine(code: str, behaviour: Behaviour, **settings: Any) -> None:
    """Provoked by what the engine does."""

    @provokes(code)
    async def provocation(world: World) -> httpx2.Response:
        world.engine.behaviour = behaviour
        async with world.call(**settings) as call:
            return await call.send()


def _image(code: str, image: bytes, **settings: Any) -> None:
    """Provoked by an image."""

    @provokes(code)
    async def provocation(world: World) -> httpx2.Response:
        async with world.call(**settings) as call:
            return await call.send(image=image)


# What surrounds every call


async def _on_the_wire(world: World, data: bytes, **settings: Any) -> httpx2.Response:
    """The response to bytes that no client would send, as the one to a request of the operation."""
    async with world.call(**settings) as call:
        response = await exchange(call.service.http.base_url, data)
        response.request = httpx2.Request(world.line[0], call.service.http.base_url.join(world.line[1]))
        await DESCRIPTION.check(response)
        return response


@provokes("head_malformed")
async def _without_a_host(world: World) -> httpx2.Response:
    return await _on_the_wire(world, "{} {} HTTP/1.1\r\n\r\n".format(*world.line).encode())


@provokes("head_too_large")
async def _with_large_headers(world: World) -> httpx2.Response:
    return await _on_the_wire(world, request(*world.line, headers=[("X-Large", "a" * 40_000)]))


@provokes("request_too_slow")
async def _with_a_head_that_does_not_end(world: World) -> httpx2.Response:
    return await _on_the_wire(world, "{} {} HTTP/1.1\r\nHost".format(*world.line).encode(), head_s=0.2)


@provokes("host_not_allowed")
async def _under_another_name(world: World) -> httpx2.Response:
    return await _on_the_wire(world, request(*world.line, host="evil.example"))


@provokes("origin_not_allowed")
async def _from_another_page(world: World) -> httpx2.Response:
    headers = [("Origin", "https://evil.example")]
    return await _on_the_wire(world, request(*world.line, headers=headers))


@provokes("unauthorized")
async def _without_a_key(world: World) -> httpx2.Response:
    async with world.call(keys=f'keys.alice.sha256 = ["{digest(new_key().encode())}"]') as call:
        return await call.send()


@provokes("length_required")
async def _without_a_length(world: World) -> httpx2.Response:
    async def unmeasured() -> AsyncIterator[bytes]:
        yield b"a"

    async with world.call(upload_bytes_per_minute=10**9) as call:
        return await call.send(raw=unmeasured())


@provokes("rate_limited")
async def _twice_within_a_minute(world: World) -> httpx2.Response:
    async with world.call(requests_per_minute=1) as call:
        await call.send()
        return await call.send()


@provokes("body_too_large")
async def _with_a_large_body(world: World) -> httpx2.Response:
    async with world.call(max_image_bytes=1000) as call:
        return await call.send(raw=bytes(8_000_000))


class _SilentRedis:
    """Takes connections and never answers."""

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._listen, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        writer.close()


@provokes("draining")
async def _while_the_gateway_stops(world: World) -> httpx2.Response:
    """New work is refused; what is under way, here as it waits for Redis, is cut short."""
    drain = Drain()
    if OPERATIONS[world.operation][0] == "POST":
        async with world.call(drain=drain) as call:
            drain.begin()
            return await call.send()
    async with (
        _SilentRedis() as redis_url,
        world.call(drain=drain, redis_url=redis_url, requests_per_minute=1000, redis_deadline_s=30) as call,
    ):
        waiting = asyncio.ensure_future(call.send())
        await call.service.until_busy()
        drain.cut_short()
        return await waiting


class _FaultyRedis(Redis):
    """Has a bug."""

    async def execute_command(self, *args: Any, **_: Any) -> Any:
        if args[0] == "BLPOP":  # what goes on beside requests
            await asyncio.Event().wait()
        raise ZeroDivisionError("a bug")


@provokes("internal_error")
async def _with_a_bug(world: World) -> httpx2.Response:
    """In what asks Redis for the text of a figure, for a kept figure or, where there is neither, for a caller's limits.
    Not for limits where there is a body: it would be left unread, and then the server closes the connection."""
    auto: dict[str, Any] = {
        "explain": {"ocr": "auto"},
        "complete": {"figure": {"ocr": "auto"}},
        "feedback": {"figure": "fig_" + "0" * 64},
    }.get(world.operation, {})
    limit = 0 if OPERATIONS[world.operation][0] == "POST" else 1000
    with capture_logs() as logs:  # which have the traceback, and take seconds to draw it in colour
        async with world.call(redis=_FaultyRedis(), requests_per_minute=limit, feedback_images="on") as call:
            response = await call.send(**auto)
    assert "unhandled_exception" in [entry["event"] for entry in logs]
    return response


# What can be wrong with a body

_fields(
    "body_malformed",
    explain={"raw": b"no boundary in here"},
    keep={"raw": b"no boundary in here"},
    chat={"raw": b"{never closed"},
    complete={"raw": b"{never closed"},
    feedback={"raw": b"{never closed"},
)
_fields(
    "content_type_unsupported",
    **{
        name: {"raw": b"text", "content_type": "text/plain"}
        for name in ("explain", "keep", "chat", "complete", "feedback")
    },
)
_fields(
    "fields_invalid",
    explain={"max_tokens": "0"},
    keep={"caption": None},
    chat={"max_tokens": 0},
    complete={"max_tokens": 0},
    feedback={"note": "a" * 2001},
)
_fields("receipt_mismatch", feedback={"answer": "Another answer."})
_fields("feedback_off", settings={"feedback": "off"}, feedback={})
_fields("feedback_full", settings={"feedback_bytes": 100}, feedback={})
_fields("field_unsupported", complete={"tools": [{"type": "function"}]})
_fields(
    "model_not_found",
    explain={"model": "another"},
    chat={"model": "another"},
    complete={"model": "another"},
    model={"id": "another"},
)
_fields(
    "caption_too_long",
    settings={"max_caption_chars": 5},
    explain={"caption": "Growth"},
    keep={"caption": "Growth"},
    complete={"figure": {"caption": "Growth"}},
)
_fields("question_too_long", settings={"max_question_chars": 5}, explain={"question": "Why so?"})
_fields(
    "messages_invalid",
    chat={"messages": [*WHY, *WHY]},
    complete={"messages": [{"role": "assistant", "content": "Hm."}], "figure": None},
)
_fields(
    "conversation_too_long",
    settings={"max_conversation_chars": 5},
    chat={"messages": [{"role": "user", "content": "Why so?"}]},
    complete={"messages": [{"role": "user", "content": "Why so?"}], "figure": None},
)
_fields("too_many_figures", complete={"messages": _shows(*[_data_url(png())] * 2), "figure": None})
_fields("image_url_not_allowed", complete={"messages": _shows("https://images.test/a.png")})
_image("image_empty", b"")
_image("image_undecodable", b"this is not an image")
_image("image_too_large", png() + bytes(100_000), max_image_bytes=100_000)
_image("image_too_small", _white(4, 4))


class _ToHere(AbstractResolver):
    """Has every name lead to this machine, where nobody listens on port 443."""

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        here = ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)
        return [here]

    async def close(self) -> None:
        pass


@provokes("image_url_failed")
async def _at_a_host_that_does_not_answer(world: World) -> httpx2.Response:
    remote = RemoteImages(
        ["images.test"],
        Metrics(CollectorRegistry()),
        max_bytes=1000,
        deadline_s=5,
        permits=lambda _: True,
        resolver=_ToHere(),
    )
    async with world.call(remote=remote) as call:
        return await call.send(messages=_shows("https://images.test/a.png"))


# What is kept


@provokes("figure_unknown")
async def _about_no_figure(world: World) -> httpx2.Response:
    async with world.call() as call:
        return await call.send(id="fig_" + "f" * 64)


@provokes("chart_not_read")
async def _where_no_worker_reads(world: World) -> httpx2.Response:
    async with world.call() as call:
        return await call.send()


@provokes("figures_unavailable")
async def _without_redis(world: World) -> httpx2.Response:
    async with world.call(redis_url=closed_port_url("redis")) as call:
        return await call.send()


# What there is no room for


@provokes("feedback_unavailable")
async def _where_something_else_is_in_the_place_of_the_file(world: World) -> httpx2.Response:
    async with world.call() as call:
        (world.folder / ENTRIES_FILE).unlink()
        (world.folder / ENTRIES_FILE).mkdir()
        return await call.send()


@provokes("overloaded")
async def _with_too_much_at_once(world: World) -> httpx2.Response:
    """A second answer while one is made; of figures to keep, a second one while one is decoded; an image that is larger
    than all that may be sent."""
    if world.operation == "image":
        async with world.call(sending_bytes=1000) as call:
            pixels = Image.frombytes("L", (300, 300), random.Random(1).randbytes(90_000))
            file = io.BytesIO()
            pixels.save(file, "PNG")
            form = {"files": {"image": ("figure.png", file.getvalue())}, "data": {"caption": ""}}
            return await call.send(id=(await call.service.http.post("/v1/figures", **form)).json()["id"])
    if world.operation == "keep":
        async with world.call(decode_processes=1, decode_queue=0) as call:
            slow = [_white(6000, height) for height in (6000, 6001)]  # some kilobytes that take a moment to decode
            responses = await asyncio.gather(*(call.send(image=image) for image in slow))
            [refused] = [response for response in responses if response.status_code == 503]
            return refused
    world.engine.behaviour = stalls_after("The ")
    async with world.call(max_answers=1, max_waiting_answers=0) as call, call.service.stream() as events:
        assert (await anext(events)).name == "figure"
        return await call.send()


# What the engine does


@provokes("engine_unavailable")
async def _without_an_engine(world: World) -> httpx2.Response:
    world.engine.health_status = 503
    async with world.call() as call:
        return await call.send()


_TOO_LONG = b'{"error": {"message": "This model\'s maximum context length is 1024 tokens."}}'

_engine("prompt_too_long", sends(_TOO_LONG, status=400))
_engine("engine_timeout", never_answers, engine_silence_s=0.3)
_engine("engine_refused", sends(b"{}", status=401))
_engine("engine_error", sends(b"boom", status=500))
_engine("engine_garbled", sends(b"data: {never closed\n\n"))
_engine("engine_interrupted", breaks_off_after("The "))


@pytest.fixture
async def engine() -> AsyncIterator[tuple[OpenAIEngine, str]]:
    running = OpenAIEngine()
    async with serving(running, lifespan=False) as url:
        yield running, url


@pytest.mark.parametrize(("operation", "status", "code"), list(_promised()))
async def test_promised_code_is_answered(
    operation: str, status: int, code: str, redis_url: str, engine: tuple[OpenAIEngine, str], tmp_path: Path
) -> None:
    response = await PROVOKED[code](World(operation, redis_url, *engine, tmp_path))
    assert (response.status_code, code_of(response)) == (status, code)
    described = DESCRIPTION.operation(*_where(response))
    assert described is not None
    headers = {name.lower() for name in described["responses"][str(status)]["headers"]}
    for name in ("retry-after", "www-authenticate", "ratelimit-limit"):
        assert name in headers or name not in response.headers
    if code in ("rate_limited", "draining", "overloaded", "engine_unavailable"):
        assert int(response.headers["retry-after"]) > 0


def _where(response: httpx2.Response) -> tuple[str, str]:
    return response.request.method, response.url.path


def test_every_code_there_is_can_be_provoked() -> None:
    assert set(PROVOKED) == {code for kind in _leaves(GatewayError) for code in _codes(kind)} | {GatewayError.code}


def test_every_code_there_is_is_promised_somewhere() -> None:
    assert {code for _, _, code in _promised()} == set(PROVOKED)


def _leaves(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    children = kind.__subclasses__()
    if not children:
        yield kind
    for child in children:
        yield from _leaves(child)


def _codes(kind: type[GatewayError]) -> tuple[str, ...]:
    """A refused figure has the code of what is wrong with it."""
    return get_args(FigureErrorCode) if kind.code == "image_refused" else (kind.code,)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/v1/nothing", "not_found"), ("PUT", "/v1/models", "method_not_allowed")],
)
async def test_what_is_no_call_at_all_has_a_code_too(method: str, path: str, code: str, redis_url: str) -> None:
    async with gateway(redis_url, closed_port_url()) as service:
        assert code_of(await service.http.request(method, path)) == code


async def test_method_that_a_path_does_not_have_is_told_those_it_has(redis_url: str) -> None:
    async with gateway(redis_url, closed_port_url()) as service:
        response = await service.http.put("/v1/figures/fig_1")
        assert (response.status_code, response.headers["allow"]) == (405, "DELETE, GET")
        assert (await service.http.post("/page/app.js")).headers["allow"] == "GET, HEAD"
