"""Takes the README's pictures of the page, from the product as a user starts it: python -m tests.page.shots"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, expect

from llava_graph.manifest import DEFAULT_MODEL_DIR
from tests.e2e.conftest import REPOSITORY, RunningStack
from tests.page.browser import Visit, chromium, visiting

DOCS = REPOSITORY / "docs"
PATIENT_MS = 240_000

DESK = {"viewport": {"width": 1280, "height": 800}, "device_scale_factor": 1.5}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}


async def picture(browser: Browser, url: str, name: str, **options: Any) -> None:
    async with visiting(browser, url, **options) as visit:
        await explain_example(visit)
        await visit.page.locator(".turn").first.evaluate("(turn) => turn.scrollIntoView()")  # on a phone it lies below
        await visit.phrases.first.hover()
        await expect(visit.page.locator("rect.lit")).to_have_css("stroke-opacity", "1")
        await visit.page.screenshot(path=DOCS / name, animations="disabled")


async def explain_example(visit: Visit) -> None:
    """The first example, explained and asked about."""
    copies = visit.page.get_by_role("button", name="Copy answer")
    await visit.page.get_by_role("button", name="Optical density of three strains").click()
    await expect(copies).to_have_count(1, timeout=PATIENT_MS)
    await visit.ask("What does the horizontal axis show?")
    await expect(copies).to_have_count(2, timeout=PATIENT_MS)


async def main(run_dir: Path) -> None:
    stack = RunningStack(run_dir, "--model", str(DEFAULT_MODEL_DIR))
    try:
        async with chromium() as browser:
            await picture(browser, stack.url, "page.png", **DESK)
            await picture(browser, stack.url, "page-dark.png", color_scheme="dark", **DESK)
            await picture(browser, stack.url, "page-phone.png", **PHONE)
    finally:
        stack.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="llava-graph-shots-") as folder:
        sys.exit(asyncio.run(main(Path(folder))))
