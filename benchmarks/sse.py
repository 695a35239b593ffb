"""Measures three ways to send server-sent events in turns: service/sse.py, sse-starlette and FastAPI's own.

    python -m benchmarks.sse            # sse-starlette is left out where it is not installed

Each sends the same `delta` events through an ASGI `send` that takes them at once, in one process, in turns. What is
printed is processor time for each event, the median of the rounds, and the ratio to the first. It tells what the way of
sending costs the gateway for each token, and nothing of networks.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from fastapi import FastAPI
from fastapi.sse import EventSourceResponse as FastapiEvents
from fastapi.sse import ServerSentEvent as FastapiEvent
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table
from starlette.types import Message, Scope

from service.events import DeltaPart, Part
from service.middleware.request_context import RequestRecord, attach
from service.sse import EventStream

Application = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

TEXT = " curve"


async def _parts(count: int) -> AsyncGenerator[Part]:
    for _ in range(count):
        yield DeltaPart(text=TEXT)
        await asyncio.sleep(0)  # the engine's stream lets the loop turn, too


def ours(count: int) -> Application:
    async def app(scope: Scope, receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
        record = RequestRecord("benchmark")
        attach(scope, record)
        response = EventStream(DeltaPart(text=TEXT), _parts(count), record, keepalive_s=10, write_s=60)
        await response(scope, receive, send)  # type: ignore[arg-type]

    return app


def sse_starlette(count: int) -> Application | None:
    try:
        from sse_starlette.sse import EventSourceResponse, ServerSentEvent
    except ModuleNotFoundError:
        return None

    async def events() -> AsyncIterator[object]:
        async for part in _parts(count):
            assert isinstance(part, DeltaPart)
            yield ServerSentEvent(to_json({"text": part.text}).decode(), event="delta")

    async def app(scope: Scope, receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
        await EventSourceResponse(events(), ping=10, send_timeout=60)(scope, receive, send)

    return app


def fastapi(count: int) -> Application:
    app = FastAPI()

    @app.get("/", response_class=FastapiEvents)
    async def events() -> AsyncIterator[FastapiEvent]:
        async for part in _parts(count):
            yield FastapiEvent(data=part, event="delta")

    return app  # type: ignore[return-value]


async def seconds_for(app: Application) -> tuple[float, int]:
    """Processor time of one stream, and how many of its messages held an event."""
    events = 0
    never = asyncio.Event()

    async def receive() -> Message:
        await never.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal events
        events += message.get("body", b"").count(b"event: delta")

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    started_s = time.process_time()
    await app(scope, receive, send)
    return time.process_time() - started_s, events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ways = {"service/sse.py": ours, "sse-starlette": sse_starlette, "fastapi.sse": fastapi}
    spent_us: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, make in ways.items():
            app = make(options.events)
            if app is None:
                continue
            gc.collect()
            spent_s, events = asyncio.run(seconds_for(app))
            if events < options.events:
                raise SystemExit(f"{name} sent {events} of {options.events} events")
            spent_us.setdefault(name, []).append(spent_s / events * 1e6)
    medians = {name: statistics.median(values) for name, values in spent_us.items()}
    table = Table("way", "us per event", "ratio")
    for name, median in medians.items():
        table.add_row(name, f"{median:.1f}", f"{median / medians['service/sse.py']:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
