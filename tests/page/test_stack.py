"""The whole job on the real thing: `llava-graph up`, the shipped model, real OCR, and a person with a browser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Browser, Response, expect

from tests.e2e.conftest import RunningStack
from tests.page.browser import Visit, visiting

PATIENT_MS = 60_000
"""The model runs on the CPU that the browser runs on."""


async def test_figure_is_explained_read_and_asked_about(browser: Browser, stack: RunningStack) -> None:
    async with visiting(browser, stack.url) as visit:
        await expect(visit.by_id("service-words")).to_have_text("llava-graph-tiny")
        async with visit.page.expect_response("**/chat") as asked:
            await visit.page.get_by_role("button", name="Optical density of three strains").click()
        await _complete(visit, answers=1)
        await expect(visit.by_id("reading-title")).to_contain_text("Text read in the figure")
        events = await _events(await asked.value)
        await _boxes_are_those_of(visit, events["ocr"]["lines"])
        await _phrases_are_those_of(visit, events["done"])
        await expect(visit.answer).to_have_text(events["done"]["text"])

        await visit.ask("What does the horizontal axis show?")
        await _complete(visit, answers=2)
        assert visit.complaints == []
        assert visit.strangers == []


async def _complete(visit: Visit, *, answers: int) -> None:
    copies = visit.page.get_by_role("button", name="Copy answer")
    await expect(copies).to_have_count(answers, timeout=PATIENT_MS)


async def _events(response: Response) -> dict[str, Any]:
    """The last event of each name in a stream."""
    events = {}
    for event in (await response.text()).strip().split("\n\n"):
        if not event.startswith(":"):
            name, _, data = event.removeprefix("event: ").partition("\ndata: ")
            events[name] = json.loads(data)
    return events


async def _boxes_are_those_of(visit: Visit, lines: list[dict[str, Any]]) -> None:
    assert len(lines) > 10
    await expect(visit.boxes).to_have_count(len(lines))
    frame = await visit.by_id("image").bounding_box()
    width = await visit.by_id("image").evaluate("(image) => image.naturalWidth")
    assert frame is not None
    scale = frame["width"] / width
    for i, line in enumerate(lines):
        box = await visit.boxes.nth(i).evaluate("(element) => element.getBoundingClientRect().toJSON()")
        shown = (
            box["left"] - frame["x"],
            box["top"] - frame["y"],
            box["right"] - frame["x"],
            box["bottom"] - frame["y"],
        )
        assert shown == pytest.approx([coordinate * scale for coordinate in line["box"]], abs=1.5)


async def _phrases_are_those_of(visit: Visit, done: dict[str, Any]) -> None:
    links = done["grounding"]
    assert links, "the shipped model names what stands in this figure"
    await expect(visit.phrases).to_have_text([done["text"][link["start"] : link["end"]] for link in links])
    for i, link in enumerate(links):
        await visit.phrases.nth(i).hover()
        await expect(visit.boxes.nth(link["line"])).to_have_attribute("aria-selected", "true")
