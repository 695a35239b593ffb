"""A gateway at the wire and the engine behind it, for the tests of the facts suite: they speak events and replies, and
stage faults.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from llava_graph import client
from tests.harness.gateway import serving
from tests.harness.plain_http import plain_client


class Wire:
    """A server of /v1/explain. `fates` says what happens to the first requests, one after the other."""

    def __init__(self, *fates: str, first_readings_are_late: bool = False, key: str | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.conversations: list[list[str]] = []
        self.says: Callable[[str], str] | None = None
        self.prompt_sha256: str | None = None
        self.engine_asked: list[dict[str, Any]] = []
        self.blindly_says = "It falls."
        self.key = key
        self.first_readings_are_late = first_readings_are_late
        self._fates = list(fates)
        self._read: set[str] = set()

    def _is_new(self, caption: str) -> bool:
        """Whether this figure was not asked to be read before."""
        new = caption not in self._read
        self._read.add(caption)
        return new

    async def explain(self, request: Request) -> Response:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return _problem(401, "unauthorized", retryable=False)
        form = await request.form()
        self.asked.append({key: value for key, value in form.items() if isinstance(value, str)})
        fate = self._fates.pop(0) if self._fates else "fine"
        if fate == "refused":
            return _problem(422, "image_undecodable", retryable=False)
        if fate == "overloaded":
            return _problem(503, "overloaded", retryable=True)
        read = form["ocr"] == "auto"
        if self.first_readings_are_late and read and self._is_new(str(form["caption"])):
            fate = "late"
        status = ("timeout" if fate == "late" else "ok") if read else "off"
        is_charted = "chart" in str(form["context"]) or form["context"] == "all"
        chart_status = ("abstained" if is_charted else "off") if status == "ok" else status
        lines = [{"text": "Rate", "box": [1, 2, 3, 4], "confidence": 0.9}] if status == "ok" else []
        return Response(
            _events(
                figure={"id": "f", "width": 10, "height": 10},
                ocr={"status": status, "ms": 1.0, "lines": lines},
                chart={"status": chart_status, "ms": 1.0, "panels": []},
                delta={"text": "It rises."},
                done={
                    "text": "It rises.",
                    "finish_reason": "stop",
                    "usage": None,
                    "timings_ms": {},
                    "grounding": [],
                    "receipt": {"prompt_sha256": self.prompt_sha256},
                },
            ),
            media_type="text/event-stream",
        )

    async def keep(self, _: Request) -> Response:
        return JSONResponse({"id": "kept"}, 201)

    async def chat(self, request: Request) -> Response:
        turns = (await request.json())["messages"]
        self.conversations.append([turn["content"] for turn in turns])
        text = "It rises." if self.says is None else self.says(turns[-1]["content"])
        done = {"text": text, "finish_reason": "stop", "usage": None, "timings_ms": {}, "grounding": []}
        return Response(_events(delta={"text": text}, done=done), media_type="text/event-stream")

    async def complete(self, request: Request) -> Response:
        """The engine's own interface."""
        self.engine_asked.append(await request.json())
        message = {"role": "assistant", "content": self.blindly_says}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse(
            {"id": "c", "object": "chat.completion", "created": 0, "model": "some-model", "choices": [choice]}
        )


def _events(**events: Mapping[str, object]) -> str:
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events.items())


def _problem(status: int, code: str, *, retryable: bool) -> Response:
    return JSONResponse(
        {"code": code, "title": code, "retryable": retryable}, status, media_type="application/problem+json"
    )


@asynccontextmanager
async def served(wire: Wire) -> AsyncIterator[httpx2.AsyncClient]:
    routes = [
        Route("/v1/explain", wire.explain, methods=["POST"]),
        Route("/v1/figures", wire.keep, methods=["POST"]),
        Route("/v1/figures/kept/chat", wire.chat, methods=["POST"]),
        Route("/v1/chat/completions", wire.complete, methods=["POST"]),
    ]
    app = Starlette(routes=routes)
    async with (
        serving(app) as url,
        plain_client(base_url=url, timeout=client.TIMEOUT) as gateway,
    ):
        yield gateway
