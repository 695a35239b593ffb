"""Stub engines with a simulated prefix cache, for the dispatch benchmark: OpenAI's protocol without a model.

    python -m benchmarks.cached_engines --engines 3 --cached-figures 24

Writes the ports that it listens on as one line of JSON: one for each engine, and one that gives each request to the
next engine in turn, as a plain load balancer does (`in_turn`). `GET /counts` on any of them says how many prompts each
engine found in its cache, and sets them to zero; `POST /forget` empties the caches.

What is simulated, and what it stands for: an engine remembers the prompts of so many figures, least recently used
first to go (the KV cache's blocks, and the encoder's cache of images). A prompt of a figure that it remembers is
prefilled in `--hit-ms`, another in `--miss-ms`. An engine prefills one prompt at a time, in order; tokens of all
answers then come at a fixed rate. Nothing is computed. It reads the image and `max_tokens` of a request.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from itertools import cycle
from typing import Any

import click
import uvicorn
from starlette.types import Receive, Scope, Send

_DONE = b"data: [DONE]\n\n"


class CachedEngine:
    """One engine: its cache, and its turn for prefill."""

    def __init__(self, cached_figures: int, hit_s: float, miss_s: float) -> None:
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self._cached_figures = cached_figures
        self._hit_s = hit_s
        self._miss_s = miss_s
        self._prefill = asyncio.Lock()
        self.hits = 0
        self.misses = 0

    async def prefill(self, prompt: str) -> None:
        """Returns when the first token could come."""
        async with self._prefill:
            hit = prompt in self._remembered
            self._remembered[prompt] = None
            self._remembered.move_to_end(prompt)
            if len(self._remembered) > self._cached_figures:
                self._remembered.popitem(last=False)
            self.hits += hit
            self.misses += not hit
            await asyncio.sleep(self._hit_s if hit else self._miss_s)

    def forget(self) -> None:
        self._remembered.clear()
        self.hits = self.misses = 0


class Engines:
    """All engines behind their ports, as one ASGI application."""

    def __init__(self, engines: Sequence[CachedEngine], ports: Sequence[int], token_s: float) -> None:
        self._engines = engines
        self._by_port = dict(zip(ports, engines, strict=True))
        self._in_turn = cycle(engines)
        self._token_s = token_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["path"]:
            case "/v1/chat/completions":
                await self._complete(scope["server"][1], json.loads(await _body(receive)), send)
            case "/counts":
                counts = [{"hits": engine.hits, "misses": engine.misses} for engine in self._engines]
                for engine in self._engines:
                    engine.hits = engine.misses = 0
                await _respond(send, json.dumps(counts).encode())
            case "/forget":
                for engine in self._engines:
                    engine.forget()
                await _respond(send, b"{}")
            case "/health":
                await _respond(send, b"{}")
            case _:
                await _respond(send, b"{}", status=404)

    async def _complete(self, port: int, asked: dict[str, Any], send: Send) -> None:
        engine = self._by_port.get(port) or next(self._in_turn)
        await engine.prefill(_figure_of(asked))
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(asked["max_tokens"]):
            await asyncio.sleep(self._token_s if number else 0)
            await _chunk(send, {"index": 0, "delta": {"content": "word "}, "finish_reason": None})
        await _chunk(send, {"index": 0, "delta": {}, "finish_reason": "length"})
        await send({"type": "http.response.body", "body": _DONE})


def _figure_of(asked: dict[str, Any]) -> str:
    """A hash of the image, which stands in the first turn and stays the same."""
    parts = asked["messages"][0]["content"]
    return sha256(next(part["image_url"]["url"] for part in parts if part["type"] == "image_url").encode()).hexdigest()


async def _chunk(send: Send, choice: dict[str, Any]) -> None:
    chunk = {"object": "chat.completion.chunk", "model": "stub", "choices": [choice]}
    await send({"type": "http.response.body", "body": f"data: {json.dumps(chunk)}\n\n".encode(), "more_body": True})


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _respond(send: Send, body: bytes, *, status: int = 200) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _listener() -> socket.socket:
    # Named as TCP: else asyncio does not switch Nagle's algorithm off, and each answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


@click.command()
@click.option("--engines", type=click.IntRange(1, 64), default=3, show_default=True)
@click.option("--cached-figures", type=click.IntRange(1), default=24, show_default=True, help="Of each engine.")
@click.option("--hit-ms", type=click.FloatRange(0), default=20.0, show_default=True)
@click.option("--miss-ms", type=click.FloatRange(0), default=300.0, show_default=True)
@click.option("--token-ms", type=click.FloatRange(0), default=10.0, show_default=True, help="Between two tokens.")
def main(engines: int, cached_figures: int, hit_ms: float, miss_ms: float, token_ms: float) -> None:
    """Serve until killed."""
    made = [CachedEngine(cached_figures, hit_ms / 1000, miss_ms / 1000) for _ in range(engines)]
    listeners = [_listener() for _ in range(engines + 1)]
    *ports, in_turn = [listener.getsockname()[1] for listener in listeners]
    click.echo(json.dumps({"engines": ports, "in_turn": in_turn}))
    config = uvicorn.Config(Engines(made, ports, token_ms / 1000), log_level="warning", access_log=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=listeners))


if __name__ == "__main__":
    main()
