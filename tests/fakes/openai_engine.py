"""A fake engine with scripted behaviour: OpenAI's protocol on an ASGI app, to be served on a real socket.

    engine = OpenAIEngine()
    engine.behaviour = speaks("The figure ", "shows growth.")

It keeps what it was sent, and says when a request arrived and when its client hung up. It holds no model.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

USAGE = {"prompt_tokens": 321, "completion_tokens": 7, "total_tokens": 328}


@dataclass
class Wire:
    """The engine's end of one response."""

    _send: Send
    status: int | None = None

    async def start(self, status: int = 200, content_type: str = "text/event-stream") -> None:
        self.status = status
        headers = [(b"content-type", content_type.encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, data: bytes) -> None:
        if self.status is None:
            await self.start()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def chunk(self, text: str | None = None, *, finish: str | None = None, usage: Any = None) -> None:
        """One chat.completion.chunk as vLLM and `transformers serve` write it."""
        body = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "fake",
            "choices": [{"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}],
            "usage": usage,
        }
        await self.send(f"data: {json.dumps(body)}\n\n".encode())

    async def end(self) -> None:
        if self.status is None:
            await self.start()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


Behaviour = Callable[[Wire], Awaitable[None]]


def speaks(*pieces: str, finish: str = "stop", usage: Any = USAGE) -> Behaviour:
    """Answers like `transformers serve`: usage with the last chunk, no [DONE]."""

    async def behaviour(wire: Wire) -> None:
        await wire.chunk("")
        for piece in pieces:
            await wire.chunk(piece)
        await wire.chunk(finish=finish, usage=usage)
        await wire.end()

    return behaviour


def speaks_like_vllm(*pieces: str) -> Behaviour:
    """Usage in a chunk of its own without choices, then [DONE]."""

    async def behaviour(wire: Wire) -> None:
        for piece in pieces:
            await wire.chunk(piece)
        await wire.chunk(finish="stop")
        await wire.send(b'data: {"choices": [], "usage": ' + json.dumps(USAGE).encode() + b"}\n\n")
        await wire.send(b"data: [DONE]\n\n")
        await wire.end()

    return behaviour


def speaks_on_command(pieces: asyncio.Queue[str | None]) -> Behaviour:
    """Sends each piece when it is put into the queue; None ends the answer."""

    async def behaviour(wire: Wire) -> None:
        await wire.start()
        while (piece := await pieces.get()) is not None:
            await wire.chunk(piece)
        await wire.chunk(finish="stop", usage=USAGE)
        await wire.end()

    return behaviour


def stalls_after(*pieces: str) -> Behaviour:
    """Sends the pieces, if any, and then nothing more, ever."""

    async def behaviour(wire: Wire) -> None:
        await wire.start()
        for piece in pieces:
            await wire.chunk(piece)
        await asyncio.Event().wait()

    return behaviour


async def never_answers(_: Wire) -> None:
    """Does not even send a status line."""
    await asyncio.Event().wait()


def sends(*data: bytes, status: int = 200, content_type: str = "text/event-stream") -> Behaviour:
    """Exactly these bytes, then a proper end."""

    async def behaviour(wire: Wire) -> None:
        await wire.start(status, content_type)
        for part in data:
            await wire.send(part)
        await wire.end()

    return behaviour


def breaks_off_after(*pieces: str) -> Behaviour:
    """Drops the connection in the middle of the response."""

    async def behaviour(wire: Wire) -> None:
        for piece in pieces:
            await wire.chunk(piece)

    return behaviour


@dataclass
class OpenAIEngine:
    behaviour: Behaviour = field(default_factory=lambda: speaks("The figure ", "shows growth."))
    health_status: int = 200
    version: str | None = None
    """What it says at /version, as vLLM does; None where there is nothing at that path."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the chat completions asked for."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Their headers."""
    asked_health: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client left before its response was complete."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/health":
            self.asked_health.set()
            await Wire(send).start(self.health_status, "text/plain")
            await send({"type": "http.response.body", "body": b""})
            return
        if scope["method"] == "GET":
            await sends(*self._about(scope["path"]), status=404 if self.version is None else 200)(Wire(send))
            return
        assert (scope["method"], scope["path"]) == ("POST", "/v1/chat/completions")
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.requests.append(json.loads(body))
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        self.arrived.set()
        answer = asyncio.ensure_future(self.behaviour(Wire(send)))
        leaving = asyncio.ensure_future(receive())
        await asyncio.wait({answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            self.hung_up.set()
        answer.cancel()
        leaving.cancel()

    def _about(self, path: str) -> list[bytes]:
        if path == "/version":
            return [json.dumps({"version": self.version}).encode()]
        return [json.dumps({"object": "list", "data": [{"id": "fake", "owned_by": "vllm"}]}).encode()]

    @property
    def prompt(self) -> str:
        """The text beside the image in the first turn of the last request."""
        text: str = self.requests[-1]["messages"][0]["content"][1]["text"]
        return text
