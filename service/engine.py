"""The gateway's only way to a model: OpenAI chat completions over HTTP, always streamed.

Works with every server that speaks the protocol; written against vLLM and `transformers serve`, and sending only
OpenAI's own fields, because the latter refuses others. Whatever goes wrong on the way comes out as one of the
EngineFailures of service.errors. This module knows nothing of figures, captions or OCR: messages come in ready.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import structlog
from pydantic import ValidationError

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

_IDLE_S = 2.0
"""Idle connections are dropped after this: uvicorn, which most engines run on, closes its own after 5 s, and a request
sent on a connection that is just being closed fails."""

_MAX_ERROR_BYTES = 64 * 1024

# How vLLM, SGLang, llama.cpp and OpenAI word that prompt and answer do not fit.
_TOO_LONG = re.compile(
    r"context.?length|maximum.{0,20}length|exceeds?.{0,40}(context|tokens|length)|too many tokens", re.I
)

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to generate: `temperature` 0 is greedy; at most `max_tokens` new tokens."""

    max_tokens: int
    temperature: float
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer: why it ended, and the tokens as the engine counted them, if it did."""

    reason: str
    usage: Usage | None


class Engine:
    """A client of one engine. `model` is the id under which the engine serves the model. The HTTP client is handed in
    (see `connect`), with the engine as its base URL and deadlines set, and stays the caller's to close."""

    def __init__(self, http: httpx2.AsyncClient, model: str, *, probe_s: float, answer_deadline_s: float) -> None:
        self._http = http
        self.model = model
        self._probe_s = probe_s
        self._answer_deadline_s = answer_deadline_s
        self._probe: asyncio.Task[str | None] | None = None

    async def check(self) -> None:
        """Returns when the engine answers, or has at least taken the connection: one that is busy may answer late.

        Raises EngineUnavailable when it does not. Requests that check at the same time share one probe.
        """
        if self._probe is None:
            self._probe = asyncio.create_task(self._ask_health(), name="engine-probe")
            self._probe.add_done_callback(self._probe_done)
        trouble = await asyncio.shield(self._probe)
        if trouble is not None:
            raise EngineUnavailable(trouble)

    async def stream(
        self, messages: Sequence[dict[str, object]], sampling: Sampling, request_id: str
    ) -> AsyncGenerator[str | Finish]:
        """The answer in pieces as they come, then one Finish. Closing the generator closes the engine's connection,
        which stops the generation.

        Raises an EngineFailure, PromptTooLong when the engine says so, or Overloaded when it says that.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._answer_deadline_s
        reason: str | None = None
        usage: Usage | None = None
        try:
            async with self._http.sse(
                "/v1/chat/completions",
                method="POST",
                json=self._body(messages, sampling),
                headers={"X-Request-Id": request_id},
            ) as source:
                if source.response.status_code != 200:
                    raise await _refusal(source.response)
                async for event in source:
                    if event.data == "[DONE]":
                        break
                    chunk = _chunk(event.data)
                    text, ended, counted = _read(chunk)
                    reason = ended or reason
                    usage = counted or usage
                    if text:
                        yield text
                    if loop.time() > deadline:
                        raise EngineTimeout(f"The answer was not complete after {self._answer_deadline_s:g} s.")
        except httpx2.HTTPError as error:
            # A line that breaks after the last token has cost nothing but the usage.
            if reason is None:
                raise _failure(error) from error
        if reason is None:
            raise EngineInterrupted("The model's server ended the stream before the answer was complete.")
        yield Finish(reason, usage)

    def _body(self, messages: Sequence[dict[str, object]], sampling: Sampling) -> dict[str, object]:
        body: dict[str, object] = {
            "model": self.model,
            "messages": messages,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        # Greedy decoding has no use for it, and engines warn about it.
        if sampling.temperature > 0 and sampling.top_p < 1:
            body["top_p"] = sampling.top_p
        return body

    async def _ask_health(self) -> str | None:
        """What is wrong, or None. The engines we know answer /health; one that knows no such path is there all the
        same, and so is one whose connections are all in use."""
        try:
            async with self._http.stream("GET", "/health", timeout=self._probe_s) as response:
                if response.status_code < 500:
                    return None
                return f"The model's server says that it is not ready (HTTP {response.status_code})."
        except (httpx2.ReadTimeout, httpx2.PoolTimeout):
            return None
        except httpx2.HTTPError as error:
            log.warning("engine_unavailable", detail=f"{type(error).__name__}: {error}")
            return "The model's server does not answer."

    def _probe_done(self, _: asyncio.Task[str | None]) -> None:
        self._probe = None


def connect(settings: GatewaySettings) -> httpx2.AsyncClient:
    """An HTTP client for the engine on which everything has a deadline. Close it with `aclose()`."""
    key = settings.engine_api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    return httpx2.AsyncClient(
        base_url=settings.engine_url,
        headers=headers,
        timeout=httpx2.Timeout(
            connect=settings.engine_connect_s,
            write=settings.engine_write_s,
            read=settings.engine_silence_s,
            pool=settings.engine_connect_s,
        ),
        limits=httpx2.Limits(max_connections=settings.engine_connections, keepalive_expiry=_IDLE_S),
        trust_env=False,  # The engine is a neighbour: a proxy for the outside world is not for it.
    )


def _chunk(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except ValueError as error:
        log.warning("engine_garbled", data=data[:500])
        raise EngineGarbled("The model's server sent a line that is not JSON.") from error
    if not isinstance(chunk, dict):
        raise EngineGarbled("The model's server sent something else than a chunk of a chat completion.")
    if "error" in chunk:
        log.warning("engine_error", said=str(chunk["error"])[:500])
        raise EngineError("The model's server reported an error while answering.")
    return chunk


def _read(chunk: dict[str, Any]) -> tuple[str, str | None, Usage | None]:
    """Text, finish reason and usage of a chunk; each may be missing."""
    text, reason, usage = "", None, None
    try:
        if chunk["choices"]:
            choice = chunk["choices"][0]
            text = choice["delta"].get("content") or ""
            reason = choice.get("finish_reason")
        if chunk.get("usage"):
            usage = Usage.model_validate(chunk["usage"])
        if not text.isascii():
            # JSON can spell half a character (a lone surrogate), which nothing after this could encode.
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    except (KeyError, IndexError, TypeError, AttributeError, ValidationError) as error:
        log.warning("engine_garbled", data=repr(chunk)[:500])
        raise EngineGarbled("The model's server sent something else than a chunk of a chat completion.") from error
    return text, reason, usage


async def _refusal(response: httpx2.Response) -> EngineFailure | RequestError | Overloaded:
    """What an answer other than 200 means. The engine's words go to the log: they may name its files and addresses."""
    status = response.status_code
    words = b""
    async for part in response.aiter_bytes():
        words += part
        if len(words) >= _MAX_ERROR_BYTES:
            break
    said = words[:_MAX_ERROR_BYTES].decode("utf-8", "replace")
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


def _failure(error: httpx2.HTTPError) -> EngineFailure | Overloaded:
    match error:
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return EngineUnavailable("The model's server does not answer.")
        case httpx2.PoolTimeout():
            return Overloaded("All connections to the model's server are in use.")
        case httpx2.TimeoutException():
            return EngineTimeout("The model's server was silent for too long.")
        case httpx2.SSEError() | httpx2.DecodingError():
            return EngineGarbled("The model's server did not send an event stream.")
        case _:
            return EngineInterrupted("The connection to the model's server broke.")
