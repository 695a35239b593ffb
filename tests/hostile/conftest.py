"""What most tests here share: an engine that does what a test says, served on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.openai_engine import OpenAIEngine
from tests.harness.gateway import serving


@pytest.fixture
def engine() -> OpenAIEngine:
    return OpenAIEngine()


@pytest.fixture
async def engine_url(engine: OpenAIEngine) -> AsyncIterator[str]:
    async with serving(engine, lifespan=False) as url:
        yield url
