"""Clients that leave and engines that die in the middle of an answer, told by vLLM's own metrics."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager

import httpx2
import pytest

from llava_graph import client
from llava_graph.client import Event, ExplainError
from tests.e2e.conftest import RunningStack
from tests.vllm.conftest import Figure, done, engine_core
from tests.vllm.metrics import Counts, EngineMetrics, until_gateway_rests

pytestmark = pytest.mark.timeout(300)


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """The process stands still, so that an answer that has begun cannot come to its end meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def begun(gateway: httpx2.AsyncClient, figure: Figure) -> AsyncGenerator[Event, None]:
    """An explanation whose first words have come."""
    events = client.explain(gateway, figure.png, figure.caption, temperature=0)
    async for event in events:
        if event.name == "delta":
            return events
    raise AssertionError("no word came")


async def test_a_client_that_hangs_up_aborts_its_request_in_vllm(
    stack: RunningStack, gateway: httpx2.AsyncClient, metrics: EngineMetrics, figures: Sequence[Figure]
) -> None:
    whole_answer = (await done(gateway, figures[0]))["usage"]["completion_tokens"]
    before = await metrics.at_rest()
    core = engine_core(stack.pid("engine"))  # looked up before: an answer takes a fraction of a second
    events = await begun(gateway, figures[0])
    with suspended(core):
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
    core = engine_core(stack.pid("engine"))  # looked up before: an answer takes a fraction of a second
    events = await begun(gateway, figures[0])
    os.kill(core, signal.SIGSTOP)  # and never continued: the answer must not end before the kill
    kill(stack)
    with pytest.raises(ExplainError) as caught:
        async for event in events:
            assert event.name == "delta", event
    assert caught.value.retryable
    assert caught.value.code in ("engine_interrupted", "engine_error")

    await asyncio.to_thread(stack.wait_for, "; starting it again")
    with pytest.raises(ExplainError) as refused:
        await done(gateway, figures[0])
    assert (refused.value.status, refused.value.code, refused.value.retryable) == (503, "engine_unavailable", True)
    await asyncio.to_thread(stack.wait_for, "engine      ready after")
    assert (await done(gateway, figures[0]))["text"] == usual["text"]
