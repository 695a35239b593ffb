"""A browser for all tests, and for each the page before the real gateway.

Behind that gateway are a real Redis and an engine that does what the test says. `stack` is the product as a user starts
it, with the shipped model and real OCR.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.conftest import REPOSITORY, RunningStack
from tests.fakes.openai_engine import OpenAIEngine
from tests.harness.gateway import Gateway, gateway, serving
from tests.page.browser import Visit, chromium, visiting

# Playwright gives up after 5 s, which a browser beside other work can need for its first request.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
def engine() -> OpenAIEngine:
    return OpenAIEngine()


@pytest.fixture
async def service(redis_url: str, engine: OpenAIEngine) -> AsyncIterator[Gateway]:
    async with (
        serving(engine, lifespan=False) as url,
        gateway(redis_url, url, examples_dir=REPOSITORY / "examples") as running,
    ):
        yield running


@pytest.fixture
async def visit(browser: Browser, service: Gateway) -> AsyncIterator[Visit]:
    """The page, opened. Whatever a test does, nothing may be complained of, and nobody else asked for anything."""
    async with visiting(browser, str(service.http.base_url)) as opened:
        yield opened
        assert opened.complaints == []
        assert opened.strangers == []


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("stack"))
    yield running
    running.stop()
