"""Kept figures as a client and as the OCR workers see them, and what a client says of answers about them."""

from __future__ import annotations

from typing import Any

import httpx2
from redis.asyncio import Redis

from llava_graph.jobs import Keys, Outcome, Reply
from llava_graph.ocr import Line
from service.events import Answer
from tests.harness.gateway import Gateway, png

WHY = [{"role": "user", "content": "Why?"}]


def problem(response: httpx2.Response) -> tuple[int, str]:
    """Status and code of a response that must be a problem."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


async def post_figure(service: Gateway, image: bytes | None = None, caption: str = "A caption.") -> httpx2.Response:
    files = {"image": ("figure.png", png() if image is None else image)}
    return await service.http.post("/v1/figures", files=files, data={"caption": caption})


async def keep(service: Gateway, image: bytes | None = None, caption: str = "A caption.") -> dict[str, Any]:
    """Keeps a figure; its description."""
    response = await post_figure(service, image, caption)
    assert response.status_code in (200, 201), response.text
    figure: dict[str, Any] = response.json()
    return figure


async def post_chat(service: Gateway, kept_id: str, **asked: object) -> httpx2.Response:
    """One chat, answered in full; a single question without OCR unless `asked` says otherwise."""
    return await service.http.post(f"/v1/figures/{kept_id}/chat", json={"messages": WHY, "ocr": "off", **asked})


async def chat(service: Gateway, kept_id: str, **asked: object) -> dict[str, Any]:
    """One whole answer that must come."""
    response = await post_chat(service, kept_id, stream=False, **asked)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def feedback_on(answer: dict[str, Any] | Answer, /, **fields: object) -> dict[str, Any]:
    """The body of POST /v1/feedback about an answer: thumbs up unless the fields say otherwise."""
    told = answer.model_dump() if isinstance(answer, Answer) else answer
    return {"verdict": "up", "answer": told["text"], "receipt": told["receipt"], **fields}


async def post_feedback(service: Gateway, answer: dict[str, Any], /, **fields: object) -> dict[str, Any]:
    """Feedback that must be stored; what the gateway says of it."""
    response = await service.http.post("/v1/feedback", json=feedback_on(answer, **fields))
    assert response.status_code == 201, response.text
    stored: dict[str, Any] = response.json()
    return stored


async def store_text(redis: Redis, figure_id: str, *words: str) -> list[Line]:
    """As if an OCR worker had read these words in the figure."""
    lines = [Line(word, (10.0, 20.0 * i, 90.0, 20.0 * i + 15), 0.987) for i, word in enumerate(words)]
    await store_reply(redis, Reply(figure_id, Outcome.DONE, lines, engine="fake/1"))
    return lines


async def store_reply(redis: Redis, reply: Reply) -> None:
    keys = Keys()
    await redis.set(keys.engine, "fake/1")
    await redis.set(keys.result("fake/1", reply.figure_id), reply.to_json())
    await redis.delete(keys.pending(reply.figure_id))
