"""The middleware on its own, in memory."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from service.metrics import Metrics
from service.middleware.body_bound import BoundBody
from service.middleware.hang_up import HangUp
from service.middleware.request_context import record_of
from service.middleware.request_log import RecordRequests
from tests.harness.asgi_client import Client


def _recorded(app: ASGIApp) -> ASGIApp:
    return RecordRequests(app, Metrics(CollectorRegistry()))


async def _read_all(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def _answer(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


async def test_work_is_cancelled_when_the_client_leaves() -> None:
    client = Client(b"a", b"b")
    ended_by: list[BaseException] = []

    async def works(_: Scope, receive: Receive, __: Send) -> None:
        assert await _read_all(receive) == b"ab"
        client.leave()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            ended_by.append(error)
            raise

    scope = await client.call(_recorded(HangUp(works)))
    assert len(ended_by) == 1
    assert record_of(scope).outcome == "client_gone"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_follows_a_complete_response_is_not_cancelled() -> None:
    finished = False

    async def works(_: Scope, receive: Receive, send: Send) -> None:
        nonlocal finished
        await _read_all(receive)
        await _answer(send)
        for _turn in range(5):
            await asyncio.sleep(0)
        finished = True

    scope = await Client(b"a").call(_recorded(HangUp(works)))
    assert finished
    assert record_of(scope).final_outcome() == "ok"


async def test_cancellation_from_outside_is_not_swallowed() -> None:
    waiting = asyncio.Event()

    async def works(_: Scope, receive: Receive, __: Send) -> None:
        await _read_all(receive)
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(Client(b"a").call(_recorded(HangUp(works))))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_later_receives_tell_of_the_disconnect() -> None:
    client = Client(b"a")
    told: list[str] = []

    async def works(_: Scope, receive: Receive, send: Send) -> None:
        await _read_all(receive)
        await _answer(send)
        told.append((await receive())["type"])

    await client.call(_recorded(HangUp(works)))
    assert told == ["http.disconnect"]


async def test_body_within_the_bound_passes_whole() -> None:
    bodies: list[bytes] = []

    async def reads(_: Scope, receive: Receive, send: Send) -> None:
        bodies.append(await _read_all(receive))
        await _answer(send)

    await Client(b"12345", b"67890").call(_recorded(BoundBody(reads, lambda _: 10)))
    assert bodies == [b"1234567890"]


@pytest.mark.parametrize(("declared", "status"), [("11", 413), ("-1", 400), ("ten", 400)])
async def test_declared_length_is_checked_before_the_application_is_called(declared: str, status: int) -> None:
    async def never(_: Scope, __: Receive, ___: Send) -> None:
        raise AssertionError("called")

    client = Client(b"", headers={"Content-Length": declared})
    await client.call(_recorded(BoundBody(never, lambda _: 10)))
    assert client.received[0]["status"] == status


async def test_failure_of_the_application_is_counted_and_passed_on() -> None:
    registry = CollectorRegistry()

    async def fails(_: Scope, __: Receive, ___: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Client().call(RecordRequests(fails, Metrics(registry)))
    failed = {"route": "unmatched", "outcome": "failed"}
    assert registry.get_sample_value("llava_graph_gateway_requests_total", failed) == 1
    assert registry.get_sample_value("llava_graph_gateway_problems_total", {"code": "internal_error"}) == 1
    assert registry.get_sample_value("llava_graph_gateway_in_flight") == 0
