"""Clients that leave and engines that die in the middle of an answer, told by vLLM's own metrics."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import httpx2
import pytest

from llava_graph import client
from llava_graph.client import Event, ExplainError
from tests.e2e.conftest import RunningStack, until_known_to_be_gone
from tests.vllm.conftest import Figure, done, engine_core, in_slices
from tests.vllm.metrics import Counts, EngineMetrics, until_gateway_rests

pytestmark = pytest.mark.timeout(300)


SETTLE_S = 0.3
"""How long the words of a slice may take to reach the client before vLLM gets another slice."""


@asynccontextmanager
async def under_way(
    gateway: httpx2.AsyncClient, figure: Figure, core: int
) -> AsyncIterator[AsyncGenerator[Event, None]]:
    """An explanation whose first words have come, and whose vLLM stands still while the context lasts."""
    events = client.explain(gateway, figure.png, figure.caption, temperature=0)
    async with in_slices(core) as let_go_for_a_slice:
        first_words = asyncio.create_task(until_words(events))
        while not first_words.done():
            await let_go_for_a_slice()
            await asyncio.wait({first_words}, timeout=SETTLE_S)
        await first_words
        yield events


async def until_words(events: AsyncGenerator[Event, None]) -> None:
    async for event in events:
        if event.name == "delta":
            return
    raise AssertionError("no word came")


async def test_a_client_that_hangs_up_aborts_its_request_in_vllm(
    stack: RunningStack, gateway: httpx2.AsyncClient, metrics: EngineMetrics, figures: Sequence[Figure]
) -> None:
    whole_answer = (await done(gateway, figures[0]))["usage"]["completion_tokens"]
    before = await metrics.at_rest()
    async with under_way(gateway, figures[0], engine_core(stack.pid("engine"))) as events:
        at_work = await metrics.read()
        assert at_work.running == 1
        assert at_work.kv_cache_used > 0
        await events.aclose()
        await until_gateway_rests(stack.url)
    after = await metrics.at_rest()
    # It runs no longer, though it came to no end of its own: vLLM 0.32 counts an abort by a client nowhere.
    assert without_aborts(after) == without_aborts(before)
    assert after.tokens_generated - before.tokens_generated < whole_answer
    assert after.kv_cache_used == 0


def without_aborts(counts: Counts) -> dict[str, float]:
    return {reason: value for reason, value in counts.finished.items() if reason != "abort"}


def kill_server(stack: RunningStack) -> None:
    """All of vLLM at once, as when its container is killed."""
    os.killpg(stack.pid("engine"), signal.SIGKILL)


def kill_core(stack: RunningStack) -> None:
    """The process with the model alone, as when the kernel runs out of memory. The server in front of it lives on."""
    os.kill(engine_core(stack.pid("engine")), signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_server, kill_core])
async def test_an_engine_killed_in_mid_stream_ends_the_answer_retryably_and_comes_back(
    stack: RunningStack,
    gateway: httpx2.AsyncClient,
    figures: Sequence[Figure],
    kill: Callable[[RunningStack], None],
) -> None:
    usual = await done(gateway, figures[0])
    async with under_way(gateway, figures[0], engine_core(stack.pid("engine"))) as events:
        kill(stack)
        with pytest.raises(ExplainError) as caught:
            async for event in events:
                assert event.name == "delta", event
    assert caught.value.retryable
    assert caught.value.code in ("engine_interrupted", "engine_error")

    await asyncio.to_thread(stack.wait_for, "; starting it again")
    await until_known_to_be_gone(gateway)
    with pytest.raises(ExplainError) as refused:
        await done(gateway, figures[0])
    assert (refused.value.status, refused.value.code, refused.value.retryable) == (503, "engine_unavailable", True)
    await asyncio.to_thread(stack.wait_for, "engine      ready after")
    assert (await done(gateway, figures[0]))["text"] == usual["text"]
