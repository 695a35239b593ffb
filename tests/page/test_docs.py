"""The interface's description in a browser: it shows everything, tries what one asks for, and asks nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.harness.gateway import Gateway, png
from tests.page.browser import Visit, visiting


@pytest.fixture
async def docs(browser: Browser, service: Gateway) -> AsyncIterator[Visit]:
    async with visiting(browser, str(service.http.base_url.join("/docs"))) as opened:
        yield opened
        assert opened.complaints == []
        assert opened.strangers == []


def _operation(docs: Visit, method: str, path: str) -> Locator:
    return docs.page.locator(f'.opblock-{method}:has([data-path="{path}"])')


async def test_every_operation_is_shown_and_opens(docs: Visit, service: Gateway) -> None:
    paths = (await service.http.get("/openapi.json")).json()["paths"]
    operations = [(method, path) for path, methods in paths.items() for method in methods]
    await expect(docs.page.locator(".opblock")).to_have_count(len(operations))
    for method, path in operations:
        await _operation(docs, method, path).locator(".opblock-summary-control").click()
    await expect(docs.page.locator(".responses-table")).to_have_count(len(operations))
    await expect(docs.page.locator(".errors-wrapper")).to_have_count(0)


async def test_figure_is_explained_from_the_description(docs: Visit) -> None:
    explain = _operation(docs, "post", "/v1/explain")
    await explain.locator(".opblock-summary-control").click()
    await explain.get_by_role("button", name="Try it out").click()
    figure = {"name": "figure.png", "mimeType": "image/png", "buffer": png()}
    await explain.locator('[data-property-name="image"] input[type=file]').set_input_files([figure])  # type: ignore[list-item]
    await explain.get_by_role("textbox", name="caption").fill("Growth.")
    await explain.get_by_role("button", name="Execute").click()
    await expect(explain.locator(".live-responses-table")).to_contain_text("event: done")
