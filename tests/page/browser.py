"""The page in Debian's Chromium, headless: opened, watched, and closed again.

Knows no test and no gateway: what serves the page is the caller's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, async_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")

_LOCAL_SCHEMES = ("blob", "data")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium: Playwright's own is a download of its own."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise RuntimeError(f"None of {', '.join(_NAMES)} is on the PATH: make test-page says what to do.")
    # Chromium's sandbox does not work for root, as whom containers run.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=args)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visit:
    """One opened page, and what it did besides what it shows."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors in the console, uncaught exceptions, what the Content-Security-Policy refused, and scripts and styles that
    did not come."""
    strangers: list[str] = field(default_factory=list)
    """Addresses of other hosts that it asked for anything."""

    def by_id(self, name: str) -> Locator:
        return self.page.locator(f"#{name}")

    @property
    def answer(self) -> Locator:
        """The text of the last answer."""
        return self.page.locator(".answer").last

    @property
    def boxes(self) -> Locator:
        """The boxes over the figure, in the order of the OCR lines."""
        return self.page.locator("#boxes rect")

    @property
    def phrases(self) -> Locator:
        """The grounded phrases of all answers."""
        return self.page.locator("#turns .grounded")

    @property
    def problem(self) -> Locator:
        """What is said of an answer that failed: what happened, what to do, and the reference."""
        return self.page.locator(".problem:visible")

    async def choose(self, image: bytes, *, name: str = "figure.png", mime: str = "image/png") -> None:
        """Chooses a file as a person does in the dialog of the browser."""
        await self.by_id("file").set_input_files({"name": name, "mimeType": mime, "buffer": image})

    async def explain(self, image: bytes, caption: str = "") -> None:
        await self.choose(image)
        await self.by_id("caption").fill(caption)
        await self.page.get_by_role("button", name="Explain").click()

    async def ask(self, question: str) -> None:
        await self.by_id("question").fill(question)
        await self.page.get_by_role("button", name="Ask").click()


@asynccontextmanager
async def visiting(browser: Browser, url: str, **options: Any) -> AsyncIterator[Visit]:
    """The page at `url` in a context of its own; `options` are those of Browser.new_context."""
    context = await browser.new_context(**options)
    visit = Visit(await context.new_page())
    home = urlsplit(url).netloc

    def hear(message: ConsoleMessage) -> None:
        # The browser reports every response past 399 by itself; those are the tests' own business.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            visit.complaints.append(message.text)

    def note(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.netloc != home and parts.scheme not in _LOCAL_SCHEMES:
            visit.strangers.append(request.url)

    def miss(request: Request) -> None:
        if request.resource_type in ("script", "stylesheet"):
            visit.complaints.append(f"{request.url} did not come: {request.failure}")

    visit.page.on("console", hear)
    visit.page.on("requestfailed", miss)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", note)
    try:
        await visit.page.goto(url)
        yield visit
    finally:
        await context.close()
