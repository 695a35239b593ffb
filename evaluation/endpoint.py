"""Any OpenAI-compatible chat endpoint, through OpenAI's own client.

The client's own retries are off: `pacing` makes all requests of a run wait together. No key is ever guessed: the
environment variable that holds it is named, and a missing one is an error before the first request. It knows nothing
of figures or judges.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from evaluation.errors import EndpointError, UnavailableError
from evaluation.pacing import BusyError, Pacer, retry_after_s
from evaluation.sampling import Sampling

_FILTERED = ("content_filter", "content_policy_violation")  # a refusal, though it comes as an error
_TRY_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)


@dataclass(frozen=True, slots=True)
class Reply:
    """One completion. `refusal` holds the endpoint's own words where it refused, `model` what it calls itself, which is
    empty where it did not say."""

    text: str
    finish_reason: str
    model: str
    system_fingerprint: str | None
    refusal: str | None
    usage: Mapping[str, int]


class ChatEndpoint:
    """One model behind one address."""

    def __init__(self, client: openai.AsyncOpenAI, model: str, pacer: Pacer) -> None:
        self._client = client
        self.model = model
        self.pacer = pacer

    async def complete(self, what: str, messages: Sequence[Mapping[str, Any]], sampling: Sampling) -> Reply:
        """One completion; `what` names the request in messages. Raises EndpointError."""
        return await self.pacer.call(what, lambda: self._once(what, messages, sampling))

    async def engine_version(self) -> str | None:
        """What vLLM and its like say at /version, beside /v1; None where the endpoint says nothing of the kind."""
        root = str(self._client.base_url).rstrip("/").removesuffix("/v1")
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=10.0) as http:
                response = await http.get(f"{root}/version")
                version = response.json().get("version") if response.is_success else None
        except (httpx2.HTTPError, ValueError, AttributeError):
            return None
        return version if isinstance(version, str) else None

    async def _once(self, what: str, messages: Sequence[Mapping[str, Any]], sampling: Sampling) -> Reply:
        try:
            completion = await self._client.chat.completions.create(
                model=self.model,
                messages=list(messages),  # type: ignore[arg-type]
                **sampling.given(),
            )
        except openai.APIStatusError as error:
            if error.code in _FILTERED:
                return Reply("", "content_filter", "", None, _words(error), {})
            if error.status_code in _TRY_AGAIN and not _is_used_up(error):
                pause_s = retry_after_s(error.response.headers.get("retry-after"))
                raise BusyError(f"HTTP {error.status_code}: {_words(error)}", pause_s) from error
            raise EndpointError(f"{what}: HTTP {error.status_code}: {_words(error)}") from error
        except openai.APIConnectionError as error:  # time-outs too
            raise BusyError(f"no answer from {self._client.base_url}: {error.__cause__ or error}") from error
        except (openai.APIError, ValueError) as error:
            raise BusyError(f"the response is no completion: {error}") from error
        return _reply(completion)


@asynccontextmanager
async def chat_endpoint(
    url: str, model: str, key: str | None, pacer: Pacer, *, deadline_s: float = 600.0
) -> AsyncIterator[ChatEndpoint]:
    """An endpoint at `url` (which ends in /v1 by custom) as long as the context lasts."""
    async with openai.AsyncOpenAI(
        base_url=url,
        api_key=key or "none",
        max_retries=0,
        timeout=openai.Timeout(deadline_s, connect=10.0),
    ) as client:
        yield ChatEndpoint(client, model, pacer)


def key_from(variable: str | None) -> str | None:
    """The key in an environment variable; None where none is named. Raises UnavailableError where it is empty."""
    if variable is None:
        return None
    key = os.environ.get(variable, "")
    if not key:
        raise UnavailableError(f"the environment variable {variable}, which is to hold the endpoint's key, is not set")
    return key


def _reply(completion: Any) -> Reply:
    choices = getattr(completion, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        raise BusyError("the response holds no choice")
    message, usage = choices[0].message, completion.usage
    return Reply(
        text=message.content or "",
        finish_reason=str(choices[0].finish_reason or "unknown"),
        model=str(completion.model or ""),
        system_fingerprint=completion.system_fingerprint,
        refusal=getattr(message, "refusal", None),
        usage={"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens} if usage else {},
    )


def _is_used_up(error: openai.APIStatusError) -> bool:
    """Whether the account is at its end, which OpenAI reports as 429 too: no pause mends it."""
    return error.code == "insufficient_quota"


def _words(error: openai.APIStatusError) -> str:
    return " ".join(str(error.message).split())[:300]
