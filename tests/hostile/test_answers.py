"""What one caller's answers may cost the others at the engine: turns, slots, and slots of clients that do not read.

The engine is a fake that tells what it was asked; callers are told apart by their keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.fakes.openai_engine import OpenAIEngine, speaks, speaks_on_command, stalls_after
from tests.harness.api_keys import ALICE, BOB, bearer, key_file
from tests.harness.gateway import Gateway, gateway, png
from tests.harness.wire import FORM, connected, form, request

PATIENT_S = 60


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return key_file(tmp_path, alice=ALICE, bob=BOB)


async def ask(service: Gateway, key: str, question: str) -> str:
    files, data = {"image": ("f", png())}, {"caption": "", "question": question, "ocr": "off", "stream": "false"}
    response = await service.http.post("/v1/explain", files=files, data=data, headers=bearer(key))
    return "answered" if response.is_success else str(response.json()["code"])


@asynccontextmanager
async def streamed(service: Gateway, key: str, question: str) -> AsyncIterator[AsyncIterator[httpx2.ServerSentEvent]]:
    files, data = {"image": ("f", png())}, {"caption": "", "question": question, "ocr": "off"}
    async with service.http.sse("/v1/explain", method="POST", files=files, data=data, headers=bearer(key)) as source:
        yield aiter(source)


def questions(engine: OpenAIEngine) -> list[str]:
    """In the order in which the engine was asked them."""
    return [part["text"].split()[-1] for asked in engine.requests for part in _texts(asked)]


def _texts(asked: dict[str, list[dict[str, list[dict[str, str]]]]]) -> list[dict[str, str]]:
    return [part for part in asked["messages"][-1]["content"] if part["type"] == "text"]


async def until_admitted(service: Gateway, answers: int) -> None:
    async with asyncio.timeout(PATIENT_S):
        while service.metric("answers", state="admitted") < answers:  # noqa: ASYNC110 - metrics send no event
            await asyncio.sleep(0.01)


async def test_next_callers_answer_is_made_after_one_of_who_asked_for_many(
    redis_url: str, engine: OpenAIEngine, engine_url: str, keys: Path
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine.behaviour = speaks_on_command(pieces)
    async with (
        gateway(redis_url, engine_url, keys_file=keys, max_answers=1, max_waiting_answers=20) as service,
        AsyncExitStack() as held,
    ):
        waiting = []
        for key, question in [*((ALICE, f"many{i}") for i in range(8)), (BOB, "one")]:
            events = await held.enter_async_context(streamed(service, key, question))
            # What comes before an answer is there: it waits for the engine.
            assert [(await anext(events)).event for _ in range(3)] == ["figure", "ocr", "chart"]
            waiting.append(events)
        for _ in waiting:
            pieces.put_nowait("Growth.")
            pieces.put_nowait(None)
        for events in waiting:
            assert [event.event async for event in events] == ["delta", "done"]
    asked = questions(engine)
    assert asked.index("one") <= 2
    assert sorted(asked) == sorted([*(f"many{i}" for i in range(8)), "one"])


async def test_one_caller_has_half_of_the_waiting_slots(
    redis_url: str, engine: OpenAIEngine, engine_url: str, keys: Path
) -> None:
    engine.behaviour = stalls_after()
    async with gateway(redis_url, engine_url, keys_file=keys, max_answers=1, max_waiting_answers=4) as service:
        waiting = []
        for i in range(3):  # one that is made, and half of the four that may wait
            waiting.append(asyncio.create_task(ask(service, ALICE, f"{i}")))
            await until_admitted(service, i + 1)
        assert await ask(service, ALICE, "past the half") == "overloaded"
        waiting.append(asyncio.create_task(ask(service, BOB, "bob")))
        await until_admitted(service, 4)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await service.until_idle()
        engine.behaviour = speaks("Growth.")
        assert await ask(service, ALICE, "again") == "answered", "what is over takes no slot"


LONG = 200
"""Pieces, together more than all that lies between the gateway and a client that does not read."""


async def test_client_that_does_not_read_holds_no_answer_of_the_engine(
    redis_url: str, engine: OpenAIEngine, engine_url: str, keys: Path
) -> None:
    engine.behaviour = speaks(*("growth " * 6_000 for _ in range(LONG)))
    async with gateway(redis_url, engine_url, keys_file=keys, max_answers=1) as service, AsyncExitStack() as held:
        wire = await held.enter_async_context(connected(service.http.base_url, receive_bytes=4096))
        headers = [("Content-Type", FORM), *bearer(ALICE).items()]
        await wire.send(request("POST", "/v1/explain", form(png(), caption="", ocr="off"), headers=headers))
        await _until_asked(engine)
        engine.behaviour = speaks("Growth.")
        async with asyncio.timeout(PATIENT_S):
            assert await ask(service, BOB, "one") == "answered"
        assert service.metric("in_flight") == 1, "the other one has not come to its end"


async def _until_asked(engine: OpenAIEngine) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not engine.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
async def _idle_engine(engine: OpenAIEngine) -> AsyncIterator[None]:
    yield
    engine.behaviour = speaks("Growth.")
