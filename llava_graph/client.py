"""A small client of the gateway: one figure and its caption in, the events of the explanation out.

    async with httpx2.AsyncClient(base_url="http://127.0.0.1:8000", timeout=client.TIMEOUT) as gateway:
        async for event in client.explain(gateway, image_bytes, "Accuracy over training steps."):
            ...

        figure = await client.add_figure(gateway, image_bytes, "Accuracy over training steps.")
        async for event in client.chat(gateway, figure["id"], [Turn("user", "Which run is best?")]):
            ...

It knows HTTP and the events' names, not how a terminal looks, and nothing of what runs behind the gateway.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from llava_graph.context import Turn

TIMEOUT = httpx2.Timeout(connect=5.0, read=60.0, write=60.0, pool=5.0)
"""Seconds. While the gateway waits for OCR or engine it sends comments, so a silent minute means a dead one."""

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""A figure full of text makes one large `ocr` event; a whole explanation stands once more in `done`."""


class ExplainError(Exception):
    """The gateway refused, the stream carried an `error` event, or the connection broke: there is no complete answer.

    `code` is the gateway's own (docs/http.md, "Errors"), or one of ours: `gateway_unreachable`, `stream_broken`,
    `unexpected_response`. `retry_after_s` is set where the gateway said when to come back.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.retryable = retryable
        self.retry_after_s = retry_after_s

    def to_json(self) -> dict[str, object]:
        return {"code": self.code, "message": self.message, "retryable": self.retryable}


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event (docs/http.md): `name` is `figure`, `ocr`, `chart`, `delta` or `done`, `data` its JSON."""

    name: str
    data: dict[str, Any]


async def explain(
    gateway: httpx2.AsyncClient,
    image: bytes,
    caption: str,
    *,
    question: str | None = None,
    model: str | None = None,
    context: str | None = None,
    ocr: bool = True,
    max_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> AsyncGenerator[Event, None]:
    """The events of one explanation, as they come; the last one is `done`. None leaves a field to the gateway.

    Raises ExplainError, also when the stream ends before `done`. Leaving the iteration early (`aclose`) hangs up, which
    stops the generation in the engine.
    """
    chosen = {
        "question": question,
        "model": model,
        "context": context,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
    }
    fields = {"caption": caption, "ocr": "auto" if ocr else "off"}
    fields |= {name: str(value) for name, value in chosen.items() if value is not None}
    async with aclosing(_events(gateway, "/v1/explain", data=fields, files={"image": ("figure", image)})) as events:
        async for event in events:
            yield event


async def models(gateway: httpx2.AsyncClient) -> list[str]:
    """The models that the gateway serves; the first answers requests that name none. Raises ExplainError."""
    with _line_errors(gateway):
        response = await gateway.get("/v1/models")
    if response.is_error:
        raise _refusal(response.status_code, response.headers, response.content)
    listed = (_json_object(response.content) or {}).get("data")
    if not isinstance(listed, list):
        raise ExplainError("unexpected_response", "the list of models is none")
    return [str(model["id"]) for model in listed if isinstance(model, dict) and "id" in model]


async def add_figure(gateway: httpx2.AsyncClient, image: bytes, caption: str) -> dict[str, Any]:
    """Has the gateway keep a figure; returns its description, whose `id` is for `chat`. Raises ExplainError."""
    with _line_errors(gateway):
        response = await gateway.post("/v1/figures", data={"caption": caption}, files={"image": ("figure", image)})
    if response.is_error:
        raise _refusal(response.status_code, response.headers, response.content)
    figure = _json_object(response.content)
    if figure is None:
        raise ExplainError("unexpected_response", "the description of the figure is no JSON object")
    return figure


async def chat(
    gateway: httpx2.AsyncClient,
    kept_id: str,
    turns: Sequence[Turn],
    *,
    model: str | None = None,
    context: str | None = None,
    ocr: bool = True,
    max_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> AsyncGenerator[Event, None]:
    """The events of the next answer in a conversation about the figure that is kept as `kept_id`; otherwise as
    `explain`. `turns` is the whole conversation; its first and last are the user's."""
    asked: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": turn.text} for turn in turns],
        "model": model,
        "context": context,
        "ocr": "auto" if ocr else "off",
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    async with aclosing(_events(gateway, f"/v1/figures/{kept_id}/chat", json=asked)) as events:
        async for event in events:
            yield event


async def _events(gateway: httpx2.AsyncClient, path: str, **request: Any) -> AsyncGenerator[Event, None]:
    """The events of one answer up to `done`. Raises ExplainError."""
    with _line_errors(gateway):
        async with gateway.sse(path, method="POST", max_event_size=MAX_EVENT_BYTES, **request) as stream:
            if stream.response.is_error:
                raise _refusal(stream.response.status_code, stream.response.headers, await stream.response.aread())
            async for raw in stream:
                event = _event(raw)
                yield event
                if event.name == "done":
                    return
    raise ExplainError("stream_broken", "the stream ended before the explanation did", retryable=True)


@contextmanager
def _line_errors(gateway: httpx2.AsyncClient) -> Iterator[None]:
    """Connection errors, as an ExplainError."""
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise ExplainError(
            "gateway_unreachable", f"no gateway answers at {gateway.base_url} ({error})", retryable=True
        ) from error
    except httpx2.HTTPError as error:
        raise ExplainError("stream_broken", str(error) or type(error).__name__, retryable=True) from error


def _event(raw: httpx2.ServerSentEvent) -> Event:
    data = _json_object(raw.data)
    if data is None:
        raise ExplainError("unexpected_response", f"event {raw.event!r} holds no JSON object")
    if raw.event == "error":
        raise ExplainError(
            str(data.get("code", "unknown")), str(data.get("message", "")), retryable=bool(data.get("retryable"))
        )
    return Event(raw.event, data)


def _refusal(status: int, headers: httpx2.Headers, body: bytes) -> ExplainError:
    """An RFC 9457 problem as an exception; anything else (a proxy's page, say) becomes `unexpected_response`."""
    problem = _json_object(body)
    retry_after = headers.get("retry-after", "")
    retry_after_s = float(retry_after) if retry_after.isdecimal() else None
    if problem is None or "code" not in problem:
        return ExplainError("unexpected_response", f"HTTP {status}", status=status, retry_after_s=retry_after_s)
    words = problem.get("detail") or problem.get("title") or f"HTTP {status}"
    return ExplainError(
        str(problem["code"]),
        str(words),
        status=status,
        retryable=bool(problem.get("retryable")),
        retry_after_s=retry_after_s,
    )


def _json_object(text: str | bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
