"""An endpoint that judges or answers as a test says, on a real socket, and a way to run commands beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from click.testing import CliRunner, Result

from evaluation.cli import main
from tests.fakes.judge import FakeJudge
from tests.harness.gateway import serving

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
def judge() -> FakeJudge:
    return FakeJudge()


@pytest.fixture
async def judge_url(judge: FakeJudge) -> AsyncIterator[str]:
    async with serving(judge, lifespan=False) as url:
        yield f"{url}/v1"


@pytest.fixture
def run_eval() -> Command:
    """Runs `llava-graph eval …` in a thread: the command has an event loop of its own, beside the endpoint's."""

    async def run(*arguments: object) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, [str(argument) for argument in arguments])

    return run
