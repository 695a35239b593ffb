"""What most tests here share: an engine that does what a test says, served on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.gateway import serving
from tests.fakes.openai_engine import OpenAIEngine


@pytest.fixture
def engine() -> OpenAIEngine:
    return OpenAIEngine()


@pytest.fixture
async def engine_url(engine: OpenAIEngine) -> AsyncIterator[str]:
    async with serving(engine, lifespan=False) as url:
        yield url
