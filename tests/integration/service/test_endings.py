"""Answers that the gateway's client of the engine ends itself: at a stop string, and when they go in circles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from service.engine.client import Engine, Finish, Sampling
from service.engine.connections import EngineConnections
from service.engine.server import EngineServer
from service.errors import EngineInterrupted
from service.settings import GatewaySettings
from tests.fakes.openai_engine import USAGE, OpenAIEngine, breaks_off_after, sends, speaks, stalls_after
from tests.harness.gateway import serving

MESSAGES = [{"role": "user", "content": "Why?"}]


@pytest.fixture
def fake() -> OpenAIEngine:
    return OpenAIEngine()


@pytest.fixture
async def engine(fake: OpenAIEngine) -> AsyncIterator[Engine]:
    async with serving(fake, lifespan=False) as url:
        connections = EngineConnections(GatewaySettings())
        async with connections.opened():
            yield Engine(GatewaySettings(), EngineServer(url, "fake-model"), connections)


async def answer(engine: Engine, *stop: str, max_repeats: int | None = None) -> tuple[list[str], Finish]:
    """The pieces of an answer and its end."""
    pieces: list[str] = []
    sampling = Sampling(64, 0.0, stop=stop, max_repeats=max_repeats)
    async with aclosing(engine.stream(MESSAGES, sampling, "request-1")) as parts:
        async for part in parts:
            if isinstance(part, Finish):
                return pieces, part
            pieces.append(part)
    raise AssertionError("the answer had no end")


async def test_answer_ends_before_a_stop_string_that_comes_in_pieces(engine: Engine, fake: OpenAIEngine) -> None:
    fake.behaviour = speaks("Growth.\n", "\nAnd ", "more.", finish="length")
    pieces, finish = await answer(engine, "\n\n", "more")
    assert ("".join(pieces), finish.reason) == ("Growth.", "stop")


async def test_stop_string_ends_the_generation_in_the_engine(engine: Engine, fake: OpenAIEngine) -> None:
    fake.behaviour = stalls_after("Growth. END of it")
    async with asyncio.timeout(10):
        pieces, finish = await answer(engine, "END")
        await fake.hung_up.wait()
    assert (pieces, finish) == (["Growth. "], Finish("stop", None))


async def test_what_was_held_back_goes_out_when_the_answer_ends(engine: Engine, fake: OpenAIEngine) -> None:
    fake.behaviour = speaks("Growth. E", "N", finish="length")
    pieces, finish = await answer(engine, "END")
    assert ("".join(pieces), finish.reason) == ("Growth. EN", "length")
    assert finish.usage is not None
    assert finish.usage.model_dump() == USAGE


async def test_trouble_behind_a_stop_string_is_none_of_the_answers(engine: Engine, fake: OpenAIEngine) -> None:
    fake.behaviour = sends(b'data: {"choices": [{"delta": {"content": "Growth. END"}}]}\n\ndata: {"error": "x"}\n\n')
    pieces, finish = await answer(engine, "END")
    assert (pieces, finish.reason) == (["Growth. "], "stop")


async def test_answer_that_breaks_off_before_its_stop_string_is_interrupted(engine: Engine, fake: OpenAIEngine) -> None:
    fake.behaviour = breaks_off_after("Growth. EN")
    with pytest.raises(EngineInterrupted):
        await answer(engine, "END")


async def test_no_engine_is_told_of_stop_strings(engine: Engine, fake: OpenAIEngine) -> None:
    """They differ in what they make of them, and one fails."""
    await answer(engine, "END")
    assert "stop" not in fake.requests[0]


async def test_answer_that_goes_in_circles_is_ended_in_the_engine(engine: Engine, fake: OpenAIEngine) -> None:
    fake.behaviour = stalls_after("Days ", *["after "] * 6)
    async with asyncio.timeout(10):
        pieces, finish = await answer(engine, max_repeats=6)
        await fake.hung_up.wait()
    assert ("".join(pieces), finish) == ("Days " + "after " * 6, Finish("repetition", None))


async def test_answer_that_goes_in_circles_ends_the_same_however_its_tokens_come(
    engine: Engine, fake: OpenAIEngine
) -> None:
    chunk = {"choices": [{"delta": {"content": "Days " + "after " * 9}, "finish_reason": "length"}]}
    fake.behaviour = sends(f"data: {json.dumps(chunk)}\n\n".encode())
    pieces, finish = await answer(engine, max_repeats=6)
    assert ("".join(pieces), finish.reason) == ("Days " + "after " * 6, "repetition")
