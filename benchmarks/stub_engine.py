"""A stub engine for benchmarks: OpenAI's protocol at a fixed token rate, without a model, with timestamps as text.

    python -m benchmarks.stub_engine --port 8001 --tokens-per-s 100

Every token's text is the time at which it was handed to the kernel (see `benchmarks.stamps`), so a reader
knows how long it was under way. One timer serves all streams; the streams are spread over its ticks, and those of one
tick share their bytes. A tick that comes late is made up for, so the pace holds over time. It reads nothing of a
request but its length and `max_tokens`.
"""

from __future__ import annotations

import asyncio
import json
import re

import click
import uvloop

from benchmarks.stamps import stamp

_TICK_S = 0.001
_CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_CHUNK = (
    '{"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1790000000,'
    '"model":"stub","choices":%s,"usage":%s}'
)
"""As vLLM writes it."""
_CHOICE = '[{"index":0,"delta":{"content":"%s"},"logprobs":null,"finish_reason":%s,"token_ids":null}]'


class Pacer:
    """Calls on every stream `tokens_per_s` times a second."""

    def __init__(self, tokens_per_s: int) -> None:
        self._phases: list[set[Stream]] = [set() for _ in range(round(1 / tokens_per_s / _TICK_S))]
        self._next_phase = 0

    def add(self, stream: Stream) -> None:
        min(self._phases, key=len).add(stream)

    def drop(self, stream: Stream) -> None:
        for phase in self._phases:
            phase.discard(stream)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            due_s += _TICK_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            self._tick()

    def _tick(self) -> None:
        phase = self._phases[self._next_phase]
        self._next_phase = (self._next_phase + 1) % len(self._phases)
        frame = _token_frame(stamp())
        for stream in tuple(phase):
            stream.send(frame)


class Stream(asyncio.Protocol):
    """One connection: answers health checks, and chat completions one after the other."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._received = bytearray()
        self._tokens_left = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._pacer.drop(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        declared = _CONTENT_LENGTH.search(self._received, 0, head_end)
        end = head_end + 4 + (int(declared[1]) if declared else 0)
        if len(self._received) < end:
            return
        body = bytes(self._received[head_end + 4 : end])
        del self._received[:end]
        if not body:
            self._transport.write(_HEALTHY)
            return
        self._tokens_left = json.loads(body)["max_tokens"]
        self._transport.write(_EVENTS)
        self._pacer.add(self)

    def send(self, frame: bytes) -> None:
        self._transport.write(frame)
        self._tokens_left -= 1
        if self._tokens_left == 0:
            self._pacer.drop(self)
            self._transport.write(_LAST)


def _frame(data: str) -> bytes:
    """An event, in a chunk of its own as uvicorn sends it."""
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


def _token_frame(text: str) -> bytes:
    return _frame(_CHUNK % (_CHOICE % (text, "null"), "null"))


_LAST = (
    _frame(_CHUNK % (_CHOICE % ("", '"length"'), "null"))
    + _frame(_CHUNK % ("[]", '{"prompt_tokens":300,"completion_tokens":100,"total_tokens":400}'))
    + _frame("[DONE]")
    + b"0\r\n\r\n"
)


async def serve(port: int, tokens_per_s: int) -> None:
    pacer = Pacer(tokens_per_s)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(pacer), "127.0.0.1", port, backlog=1024)
    async with server:
        await pacer.run()


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--tokens-per-s", type=click.IntRange(1, 1000), default=100, show_default=True, help="Of each stream.")
def main(port: int, tokens_per_s: int) -> None:
    """Serve streams of stamped tokens until killed."""
    uvloop.run(serve(port, tokens_per_s))


if __name__ == "__main__":
    main()
