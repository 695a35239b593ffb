"""Client of the engine: sends OpenAI chat completions over HTTP, always streamed. The gateway's only way to a model.

Works with every server that speaks the protocol; written against vLLM and `transformers serve`, and sending only
OpenAI's own fields, because the latter refuses others. Every error is raised as one of the EngineFailures of
service.errors. This module knows nothing of figures, captions or OCR: it is given complete messages.

Every token of every answer passes through here, so what is done for each is little: bytes are taken from the socket as
many as there are, and tokens that arrived together leave together.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import structlog
from opentelemetry.trace import Span, SpanKind, Tracer, set_span_in_context
from pydantic import ValidationError

from llava_graph.tracing import NO_TRACES, PROPAGATOR, in_span
from service.engine.connections import EngineConnections
from service.engine.repetition import Repetition
from service.engine.server import EngineServer
from service.engine.stop_strings import UntilStop
from service.errors import (
    EngineError,
    EngineFailure,
    EngineGarbled,
    EngineInterrupted,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    Overloaded,
    PromptTooLong,
    RequestError,
)
from service.events import Usage
from service.settings import GatewaySettings

MAX_SEED = 2**31 - 1
"""The largest seed that is sent: every engine takes it, and it fits a signed 32-bit integer."""

_FRESH_S = 1.0
"""An engine that sent something within this time counts as available, unless a call has failed since."""

_MAX_LINE_BYTES = 1024 * 1024
_MAX_SAID_BYTES = 64 * 1024

# Of what engines say of themselves: it stands in receipts and logs.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")

# How vLLM, SGLang, llama.cpp and OpenAI word that prompt and answer do not fit.
_TOO_LONG = re.compile(
    r"context.?length|maximum.{0,20}length|exceeds?.{0,40}(context|tokens|length)|too many tokens", re.I
)

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to generate: at most `max_tokens` new tokens, and none from the first of the `stop` strings on, none of which
    is empty. `temperature` 0 is greedy; otherwise tokens are drawn from the likeliest that make up `top_p` of the
    probability, with `seed` so that they can be drawn again. An answer that says the same words `max_repeats` times in
    a row is ended (see service.engine.repetition)."""

    max_tokens: int
    temperature: float
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_repeats: int | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer: the finish reason, the token counts if the engine reported them, and which engine it was,
    such as `vllm 0.32.0`, where that is known."""

    reason: str
    usage: Usage | None
    engine: str | None = None


class Engine:
    """A client of one model on one engine. Connects to nothing before it is asked."""

    def __init__(
        self,
        settings: GatewaySettings,
        server: EngineServer,
        connections: EngineConnections,
        tracer: Tracer = NO_TRACES,
    ) -> None:
        self._settings = settings
        self.server = server
        self._connections = connections
        self._tracer = tracer
        self._streams = 0
        self._probe: asyncio.Task[str | None] | None = None
        self._heard_s = float("-inf")

    async def check(self) -> None:
        """Returns when the engine answers, or has at least accepted the connection: a busy engine may answer late.

        An engine that was heard within the last second, in any stream or check, is not asked again, unless something
        failed since. Raises EngineUnavailable. Requests that check at the same time share one probe.
        """
        if asyncio.get_running_loop().time() - self._heard_s < _FRESH_S:
            return
        if self._probe is None:
            self._probe = asyncio.create_task(self._ask_health(), name="engine-probe")
            self._probe.add_done_callback(self._probe_done)
        trouble = await asyncio.shield(self._probe)
        if trouble is not None:
            raise EngineUnavailable(trouble)

    async def answers(self, deadline_s: float) -> bool:
        """Whether the engine answers a health check completely within the deadline, or has sent tokens within that
        time. Unlike `check`, an engine that accepts connections and says nothing does not pass."""
        if asyncio.get_running_loop().time() - self._heard_s < min(deadline_s, _FRESH_S):
            return True
        try:
            async with asyncio.timeout(deadline_s), self._get("/health") as response:
                await response.read()
                ok = response.status < 500
        except (aiohttp.ClientError, TimeoutError):
            return False
        if ok:
            self._heard_s = asyncio.get_running_loop().time()
        return ok

    async def identity(self, deadline_s: float) -> str | None:
        """Name and version, such as `vllm 0.32.0`, by `GET /version` and the owner that `GET /v1/models` names, as vLLM
        and its like have them; None where the engine says nothing of the kind."""
        version = _word(await self._json("/version", deadline_s), "version")
        if version is None:
            return None
        models = await self._json("/v1/models", deadline_s)
        listed = models.get("data") if isinstance(models, dict) else None
        owner = _word(listed[0], "owned_by") if isinstance(listed, list) and listed else None
        return f"{owner or 'engine'} {version}"

    async def stream(
        self, messages: Sequence[dict[str, object]], sampling: Sampling, request_id: str
    ) -> AsyncGenerator[str | Finish]:
        """The answer in pieces as they come, then one Finish. Tokens that arrive together are one piece. Closing the
        generator closes the engine's connection, which stops the generation; a stop string and a repetition do so, too.

        Raises an EngineFailure, PromptTooLong when the engine says so, or Overloaded when it says that or when as many
        answers are being streamed as the settings allow.
        """
        if self._streams >= self._settings.engine_connections:
            raise Overloaded("All connections to the model's server are in use.")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.answer_deadline_s
        answer = _Answer()
        until = UntilStop(sampling.stop)
        repetition = Repetition(sampling.max_repeats)
        begun = False
        self._streams += 1
        try:
            async with self._post(self._body(messages, sampling), request_id) as (response, span):
                del messages  # it holds the figure, and answers take long
                while not answer.complete and (data := await response.content.readany()):
                    self._heard_s = loop.time()
                    if text := repetition.read(until.read(answer.read(data))):
                        if not begun:
                            begun = True
                            span.add_event("first_token")
                        yield text
                    if until.stopped or repetition.found:
                        break
                    if answer.trouble is not None:
                        raise answer.trouble
                    if self._heard_s > deadline:
                        raise EngineTimeout(
                            f"The answer was not complete after {self._settings.answer_deadline_s:g} s."
                        )
                _note_usage(span, answer.usage)
        except aiohttp.ClientError as error:
            self._heard_s = float("-inf")
            # A line that breaks after the last token has cost nothing but the usage.
            if answer.reason is None:
                raise _failure(error) from error
        finally:
            self._streams -= 1
        if not (until.stopped or repetition.found):
            if answer.reason is None:
                raise EngineInterrupted("The model's server ended the stream before the answer was complete.")
            if text := repetition.read(until.end()):
                yield text
        # By what was said, not by what the engine had time to say of its end: the same answer ends in the same way.
        reason = "repetition" if repetition.found else "stop" if until.stopped else str(answer.reason)
        yield Finish(reason, answer.usage)

    @asynccontextmanager
    async def _post(self, body: bytes, request_id: str) -> AsyncIterator[tuple[aiohttp.ClientResponse, Span]]:
        """The response, known to be an event stream, and the span of the call, which the engine may continue."""
        # Compressing a stream of tokens costs both sides time and saves little on a local network.
        headers = {
            **self._authorization,
            "Content-Type": "application/json",
            "X-Request-Id": request_id,
            "Accept-Encoding": "identity",
        }
        about = {"gen_ai.operation.name": "chat", "gen_ai.request.model": self.server.model}
        with in_span(self._tracer, f"chat {self.server.model}", SpanKind.CLIENT, about) as span:
            PROPAGATOR.inject(headers, set_span_in_context(span))
            async with self._connections.http.post(
                f"{self.server.url}/v1/chat/completions", data=body, headers=headers, allow_redirects=False
            ) as response:
                del body
                span.set_attribute("http.response.status_code", response.status)
                if response.status != 200:
                    raise await _refusal(response)
                if response.content_type != "text/event-stream":
                    raise EngineGarbled("The model's server did not send an event stream.")
                yield response, span

    def _body(self, messages: Sequence[dict[str, object]], sampling: Sampling) -> bytes:
        body: dict[str, object] = {
            "model": self.server.model,
            "messages": messages,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        # Greedy decoding has no use for it, and engines warn about it. Sent even when it is 1: what an engine does
        # without it may stand in the weights' own generation_config.json.
        if sampling.temperature > 0:
            body["top_p"] = sampling.top_p
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        return json.dumps(body).encode()

    async def _ask_health(self) -> str | None:
        """The error, or None. The engines we know answer /health; one without that path (404) counts as available."""
        probe_s = self._settings.engine_probe_s
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=probe_s, sock_read=probe_s)
        try:
            async with self._get("/health", timeout) as response:
                if response.status < 500:
                    self._heard_s = asyncio.get_running_loop().time()
                    return None
                return f"The model's server says that it is not ready (HTTP {response.status})."
        except aiohttp.SocketTimeoutError:
            return None
        except aiohttp.ClientError as error:
            log.warning("engine_unavailable", engine=self.server.address, detail=f"{type(error).__name__}: {error}")
            return "The model's server does not answer."

    def _probe_done(self, _: asyncio.Task[str | None]) -> None:
        self._probe = None

    def _get(
        self, path: str, timeout: aiohttp.ClientTimeout | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._connections.http.get(
            f"{self.server.url}{path}",
            headers=self._authorization,
            timeout=timeout or aiohttp.ClientTimeout(total=None),
            allow_redirects=False,
        )

    async def _json(self, path: str, deadline_s: float) -> object:
        """What the engine says there; None for what is no JSON, too long, late, or not there."""
        try:
            async with asyncio.timeout(deadline_s), self._get(path) as response:
                return json.loads(await _beginning(response)) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError):
            return None

    @property
    def _authorization(self) -> Mapping[str, str]:
        key = self.server.api_key
        return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}


class _Answer:
    """A stream of chat completion chunks as far as it has been read. `trouble` is set when it must not be read on;
    whatever text came before that is still returned.

    Of server-sent events it reads what OpenAI's protocol uses: one `data:` line an event.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.usage: Usage | None = None
        self.complete = False
        self.trouble: EngineFailure | None = None
        self._rest = b""

    def read(self, data: bytes) -> str:
        """The text in the lines that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        text = ""
        try:
            if len(self._rest) > _MAX_LINE_BYTES:
                raise EngineGarbled("The model's server sent a line without an end.")
            for line in lines:
                if line.startswith(b"data:"):
                    text += self._event(line[5:].strip())
        except EngineFailure as failure:
            self.trouble = failure
        return text

    def _event(self, data: bytes) -> str:
        if self.complete or data == b"[DONE]":
            self.complete = True
            return ""
        chunk = _chunk(data)
        if chunk.usage:
            self.usage = _usage(chunk.usage)
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self.reason = choice.finish_reason or self.reason
        text = choice.delta.content or ""
        # JSON can spell half a character (a lone surrogate), which nothing after this could encode.
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    """What is read of a chat completion chunk, or of the error in its place; all else is passed over."""

    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode
"""Takes a third of the time in which a dictionary of everything in a chunk could be made."""


def _chunk(data: bytes) -> _Chunk:
    try:
        chunk = _decoded(data)
    except ValueError as error:
        raise _garbled(data) from error
    if chunk.error is not None:
        log.warning("engine_error", said=str(chunk.error)[:500])
        raise EngineError("The model's server reported an error while answering.")
    if chunk.choices is None:
        raise _garbled(data)
    return chunk


def _decoded(data: bytes) -> _Chunk:
    try:
        return _decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # The standard library's parser takes lone surrogates, and three times as long.
        return msgspec.convert(json.loads(data), _Chunk)


def _word(said: object, name: str) -> str | None:
    value = said.get(name) if isinstance(said, dict) else None
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _usage(told: dict[str, Any]) -> Usage:
    try:
        return Usage.model_validate(told)
    except ValidationError as error:
        raise _garbled(json.dumps(told).encode()) from error


def _garbled(data: bytes) -> EngineGarbled:
    log.warning("engine_garbled", data=data[:500].decode("utf-8", "replace"))
    return EngineGarbled("The model's server sent something else than a chunk of a chat completion.")


def _note_usage(span: Span, usage: Usage | None) -> None:
    if usage is not None:
        span.set_attribute("gen_ai.usage.input_tokens", usage.prompt_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", usage.completion_tokens)


async def _refusal(response: aiohttp.ClientResponse) -> EngineFailure | RequestError | Overloaded:
    """The error for a status other than 200. The engine's message goes only to the log: it may name files or hosts."""
    status = response.status
    said = (await _beginning(response)).decode("utf-8", "replace")
    log.warning("engine_refused", status=status, said=said[:1000])
    if status in (400, 413, 422) and _TOO_LONG.search(said):
        return PromptTooLong("The model's context is too short for this figure's text, caption and answer together.")
    if status == 429:
        return Overloaded("The model's server has more to do than it can.")
    if status in (502, 503, 504):
        return EngineUnavailable(f"The model's server is not ready (HTTP {status}).")
    if status >= 500:
        return EngineError(f"The model's server failed (HTTP {status}).")
    return EngineRefused(f"The model's server did not accept the request (HTTP {status}).")


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The body, up to a bound."""
    body = b""
    async for part in response.content.iter_any():
        body += part
        if len(body) >= _MAX_SAID_BYTES:
            break
    return body[:_MAX_SAID_BYTES]


def _failure(error: aiohttp.ClientError) -> EngineFailure:
    match error:
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return EngineUnavailable("The model's server does not answer.")
        case aiohttp.ServerTimeoutError():
            return EngineTimeout("The model's server was silent for too long.")
        case aiohttp.ClientResponseError():
            return EngineGarbled("The model's server did not answer in HTTP.")
        case _:
            return EngineInterrupted("The connection to the model's server broke.")
