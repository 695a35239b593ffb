"""The page before its scripts have come, and when they do not come."""

from __future__ import annotations

import asyncio

from playwright.async_api import Browser, Route, expect

from tests.harness.gateway import Gateway, png
from tests.page.browser import visiting


async def test_page_without_one_of_its_scripts_cannot_be_sent_and_says_so(browser: Browser, service: Gateway) -> None:
    async with visiting(browser, "about:blank") as visit:
        await visit.page.route("**/page/tip.js", lambda route: route.abort())
        await visit.page.goto(str(service.http.base_url))
        await expect(visit.page.get_by_role("button", name="Explain")).to_be_disabled()
        await expect(visit.page.get_by_text("The page is not complete yet.")).to_be_visible()
        (complaint,) = visit.complaints
        assert "/page/tip.js did not come" in complaint


async def test_figure_that_was_chosen_before_the_scripts_came_is_explained(browser: Browser, service: Gateway) -> None:
    is_chosen = asyncio.Event()

    async def hold(route: Route) -> None:
        await is_chosen.wait()
        await route.continue_()

    async with visiting(browser, "about:blank") as visit:
        await visit.page.route("**/page/tip.js", hold)
        await visit.page.goto(str(service.http.base_url), wait_until="commit")
        await visit.choose(png())
        is_chosen.set()
        await visit.page.get_by_role("button", name="Explain").click()
        await expect(visit.answer).to_have_text("The figure shows growth.")
        await expect(visit.by_id("loading")).to_have_count(0)
        assert visit.complaints == []
