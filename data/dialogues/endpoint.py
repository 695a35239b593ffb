"""Asks an OpenAI-compatible endpoint (a hosted model, vLLM, the engine of this project) through the `openai` library.

The library tries again, with the pauses that the endpoint asks for, what is worth trying again. What remains is told
apart: `RefusedError` is about one request, and DialogueError about all of them, so that a run stops when the key is
wrong or the endpoint is gone instead of rejecting 400,000 figures.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from data.errors import DialogueError


class RefusedError(Exception):
    """The endpoint refuses this one request."""


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Picklable: each process opens clients of its own. `base_url` ends with `/v1` as a rule."""

    base_url: str
    model: str
    api_key: str = field(default="none", repr=False)
    max_tokens: int = 1024
    temperature: float = 0.7
    timeout_s: float = 120.0
    tries: int = 6

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Client]:
        try:
            from openai import AsyncOpenAI
        except ImportError as error:
            raise DialogueError("dialogues need the `openai` library: pip install 'llava-graph[data]'") from error
        async with AsyncOpenAI(
            base_url=self.base_url, api_key=self.api_key, timeout=self.timeout_s, max_retries=self.tries - 1
        ) as client:
            yield Client(client, self)


class Client:
    """An open connection to the endpoint."""

    def __init__(self, client: Any, endpoint: Endpoint) -> None:
        self._client = client
        self._endpoint = endpoint

    async def ask(self, messages: list[dict[str, str]], *, temperature: float | None = None) -> Answer:
        """Raises RefusedError or DialogueError."""
        import openai

        try:
            completion = await self._client.chat.completions.create(
                model=self._endpoint.model,
                messages=messages,
                max_tokens=self._endpoint.max_tokens,
                temperature=self._endpoint.temperature if temperature is None else temperature,
            )
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            raise RefusedError(str(error)) from error
        except openai.APIStatusError as error:
            if error.status_code == 413:
                raise RefusedError(str(error)) from error
            raise DialogueError(f"{self._endpoint.base_url} answers {error.status_code}: {error.message}") from error
        except openai.OpenAIError as error:
            raise DialogueError(f"{self._endpoint.base_url}: {error}") from error
        if not completion.choices:
            return Answer("", None, 0, 0)
        choice, usage = completion.choices[0], completion.usage
        return Answer(
            choice.message.content or "",
            choice.finish_reason,
            usage.prompt_tokens if usage else 0,
            usage.completion_tokens if usage else 0,
        )
