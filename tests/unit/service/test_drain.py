"""The drain on its own, in memory: what it refuses, what it ends, and what it leaves alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from service.metrics import Metrics
from service.middleware.drain import Drain, EndInTime
from service.middleware.hang_up import HangUp
from service.middleware.request_context import record_of
from service.middleware.request_log import RecordRequests
from tests.harness.asgi_client import Client


def _within(drain: Drain, app: ASGIApp) -> ASGIApp:
    return RecordRequests(HangUp(EndInTime(app, drain)), Metrics(CollectorRegistry()))


def _problem(client: Client) -> dict[str, Any]:
    problem: dict[str, Any] = json.loads(client.received[1]["body"])
    return problem


class Waits:
    """An application that has read its request and waits for ever."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()

    async def __call__(self, _: Scope, receive: Receive, __: Send) -> None:
        await receive()
        self.waiting.set()
        await asyncio.Event().wait()


async def test_request_without_a_response_is_cut_short_with_a_problem() -> None:
    drain, app, client = Drain(), Waits(), Client(b"a")
    call = asyncio.ensure_future(client.call(_within(drain, app)))
    await app.waiting.wait()
    assert drain.cut_short() == 1
    scope = await call
    assert (client.received[0]["status"], _problem(client)["code"]) == (503, "draining")
    assert (record_of(scope).final_outcome(), record_of(scope).code) == ("failed", "draining")
    assert drain.cut_short() == 0


async def test_client_that_leaves_while_it_is_cut_short_is_gone() -> None:
    drain, app, client = Drain(), Waits(), Client(b"a")
    call = asyncio.ensure_future(client.call(_within(drain, app)))
    await app.waiting.wait()
    client.leave()
    for _ in range(3):  # HangUp hears of it, and cancels
        await asyncio.sleep(0)
        drain.cut_short()
    scope = await call
    assert record_of(scope).outcome == "client_gone"
    assert client.received == []


async def test_cancellation_from_outside_is_not_taken_for_the_drain() -> None:
    app = Waits()
    call = asyncio.ensure_future(Client(b"a").call(_within(Drain(), app)))
    await app.waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_response_that_has_begun_is_not_followed_by_a_second_one() -> None:
    begun = asyncio.Event()

    async def begins(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        await asyncio.Event().wait()

    drain, client = Drain(), Client(b"a")
    call = asyncio.ensure_future(client.call(_within(drain, begins)))
    await begun.wait()
    drain.cut_short()
    scope = await call
    assert [message["type"] for message in client.received] == ["http.response.start"]
    assert (record_of(scope).outcome, record_of(scope).code) == ("failed", "draining")


async def test_application_is_not_called_for_new_work_while_draining() -> None:
    async def never(_: Scope, __: Receive, ___: Send) -> None:
        raise AssertionError("called")

    drain, client = Drain(), Client(b"a")
    drain.begin()
    await client.call(_within(drain, never))
    assert (client.received[0]["status"], _problem(client)["code"]) == (503, "draining")
