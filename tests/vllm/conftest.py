"""The product on a real vLLM: `llava-graph up --backend vllm` in a process of its own, on a CPU, the shipped model.

vLLM lives in an environment of its own, whose interpreter is named with --vllm-python (`make test-vllm` does both).
Without that option nothing in this folder is collected.

The small model's manifest has vLLM compute in float32, so answers are compared letter by letter: how vLLM batches
changes the order of additions, which in float32 is by far too little to change which token comes first.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from data.synthetic import write
from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from llava_graph import client
from tests.e2e.conftest import RunningStack, processes_of
from tests.vllm.metrics import EngineMetrics

OCR_DEADLINE_S = "120"
"""Every figure's text must be read, also when sixteen wait for one worker: prompts are compared with each other."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vllm-python", help="Interpreter of an environment that has vLLM.")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if config.getoption("vllm_python", default=None) else True


@dataclass(frozen=True, slots=True)
class Figure:
    png: bytes
    caption: str


def drawn_figure(seed: int) -> Figure:
    """A held-out figure that no other seed gives."""
    spec = sample_figure(seed, "heldout")
    with io.BytesIO() as file:
        render(spec).image.save(file, "PNG")
        return Figure(file.getvalue(), write.caption(spec, random.Random(f"caption-{seed}")))


@pytest.fixture(scope="session")
def vllm_python(request: pytest.FixtureRequest) -> str:
    python: str = request.config.getoption("vllm_python")
    return python


@pytest.fixture(scope="session")
def stack(vllm_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One stack for all tests. Who breaks a part of it waits until it is mended."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LLAVA_GRAPH_OCR_DEADLINE_S", OCR_DEADLINE_S)
        running = RunningStack(tmp_path_factory.mktemp("stack"), "--backend", "vllm", "--python", vllm_python)
    group = running.pid("engine")
    yield running
    assert running.stop() == 0, "\n".join(running.output)
    assert processes_of(group) == {}


@pytest.fixture
async def gateway(stack: RunningStack) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=stack.url, timeout=client.TIMEOUT, trust_env=False) as http:
        yield http


@pytest.fixture
async def metrics(stack: RunningStack) -> EngineMetrics:
    """vLLM's metrics, with nothing under way."""
    metrics = EngineMetrics(stack.state["engine_url"])
    await metrics.at_rest()
    return metrics


@pytest.fixture(scope="session")
def figures() -> Sequence[Figure]:
    return [drawn_figure(seed) for seed in range(2_000_000, 2_000_016)]


async def done(
    gateway: httpx2.AsyncClient, figure: Figure, *, temperature: float = 0, seed: int | None = None
) -> dict[str, Any]:
    """What the last event of an explanation holds; a greedy one unless asked otherwise."""
    data: dict[str, Any] = {}
    async for event in client.explain(gateway, figure.png, figure.caption, temperature=temperature, seed=seed):
        data = event.data
    return data


SLICE_S = 0.02
"""How long vLLM may compute in one go: a few tokens."""


@asynccontextmanager
async def in_slices(core: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """vLLM stands still while the context lasts, but for a slice of time whenever the function is called.

    The small model may have ended an answer before anybody hears the first word of it: on two cores its computing
    leaves the server in front of it little time. What is to be seen in the middle of an answer is seen like this.
    """

    async def let_go_for_a_slice() -> None:
        os.kill(core, signal.SIGCONT)
        await asyncio.sleep(SLICE_S)
        os.kill(core, signal.SIGSTOP)

    os.kill(core, signal.SIGSTOP)
    try:
        with run_at_once():
            yield let_go_for_a_slice
    finally:
        with suppress(ProcessLookupError):  # who asked for the context may have killed it
            os.kill(core, signal.SIGCONT)


@contextmanager
def run_at_once() -> Iterator[None]:
    """This thread gets a core as soon as it wants one, where that is allowed (to root, as a rule).

    Some kernels let a busy process keep its core for a tenth of a second while others wait: a slice would be an answer.
    """
    usual, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.sched_setscheduler(0, usual, parameters)


def engine_core(group: int) -> int:
    """The process of vLLM that schedules and computes, or has it computed; the server in front of it is another."""
    (core,) = [pid for pid, name in processes_of(group).items() if name.startswith("VLLM::EngineCore")]
    return core
