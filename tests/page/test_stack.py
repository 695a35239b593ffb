"""The whole job on the real thing: `llava-graph up`, the shipped model, real OCR, and a person with a browser."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from playwright.async_api import Browser, expect

from tests.e2e.conftest import RunningStack
from tests.page.browser import Visit, visiting

PATIENT_MS = 60_000
"""The model runs on the CPU that the browser runs on."""


@pytest.mark.timeout(300)  # two answers of a model on the CPU
async def test_figure_is_explained_read_and_asked_about(browser: Browser, stack: RunningStack) -> None:
    async with visiting(browser, stack.url) as visit:
        await expect(visit.by_id("service-words")).to_have_text("llava-graph-tiny")
        async with visit.page.expect_response("**/v1/figures") as kept:
            await visit.page.get_by_role("button", name="Optical density of three strains").click()
        figure = await (await kept.value).json()
        await _complete(visit, answers=1)
        answer = await _asked_again(stack.url, figure["id"])
        await expect(visit.answer).to_have_text(answer["text"])
        await _boxes_are_those_of(visit, answer["ocr"]["lines"])
        await _phrases_are_those_of(visit, answer)

        await visit.ask("What does the horizontal axis show?")
        await _complete(visit, answers=2)
        assert visit.complaints == []
        assert visit.strangers == []


async def _asked_again(url: str, figure_id: str) -> dict[str, Any]:
    """The same answer without the page: the shipped model is greedy."""
    messages = [{"role": "user", "content": "Explain this figure."}]
    async with httpx2.AsyncClient(base_url=url, timeout=PATIENT_MS / 1000) as gateway:
        response = await gateway.post(f"/v1/figures/{figure_id}/chat", json={"messages": messages, "stream": False})
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer


async def _complete(visit: Visit, *, answers: int) -> None:
    copies = visit.page.get_by_role("button", name="Copy answer")
    await expect(copies).to_have_count(answers, timeout=PATIENT_MS)


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


async def _phrases_are_those_of(visit: Visit, answer: dict[str, Any]) -> None:
    links = answer["grounding"]
    assert links, "the shipped model names what stands in this figure"
    await expect(visit.phrases).to_have_text([answer["text"][link["start"] : link["end"]] for link in links])
    for i, link in enumerate(links):
        await visit.phrases.nth(i).hover()
        await expect(visit.boxes.nth(link["line"])).to_have_attribute("aria-selected", "true")
