"""The page for everyone: narrow screens, keyboards, screen readers, the dark; and nobody's code but its own."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Route, expect
from redis.asyncio import Redis

from llava_graph.figure import open_figure
from tests.fakes.kept import store_text
from tests.fakes.openai_engine import OpenAIEngine, breaks_off_after, speaks
from tests.harness.gateway import Gateway, png
from tests.page.browser import Visit, visiting

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}

MOST_TABS = 40
"""Past which a keyboard's way is taken for lost."""


async def explained(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    """An answer with one phrase of the figure, and one that has failed."""
    image = png()
    await store_text(redis, open_figure(image).id, "Growth rate", "Averyveryverylongwordwithoutanyplacetobreakit" * 3)
    engine.behaviour = speaks("The Growth rate of " + "pneumonoultramicroscopic" * 4 + " rises.")
    await visit.explain(image, "Of three strains.")
    await expect(visit.phrases).to_have_text(["Growth rate"])
    engine.behaviour = breaks_off_after("Because")
    await visit.ask("Why?")
    await expect(visit.problem).to_be_visible()


async def test_nothing_is_wider_than_a_phone(browser: Browser, service: Gateway) -> None:
    async with visiting(browser, str(service.http.base_url), **PHONE) as visit:
        await expect(visit.by_id("example-list").get_by_role("button")).to_have_count(2)
        assert await _overflow(visit) == 0
        assert visit.complaints == []


async def test_nothing_of_an_answer_is_wider_than_a_phone(
    browser: Browser, service: Gateway, engine: OpenAIEngine, redis: Redis
) -> None:
    async with visiting(browser, str(service.http.base_url), **PHONE) as visit:
        await explained(visit, engine, redis)
        await visit.by_id("reading-title").click()
        assert await _overflow(visit) == 0


async def _overflow(visit: Visit) -> int:
    """Pixels by which the page is wider than its window."""
    root = visit.page.locator("html")
    wider: int = await root.evaluate("(element) => element.scrollWidth - element.clientWidth")
    return wider


async def test_answer_comes_into_sight_on_a_phone(browser: Browser, service: Gateway) -> None:
    async with visiting(browser, str(service.http.base_url), **PHONE) as visit:
        await visit.explain(png())
        await expect(visit.page.locator(".question")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_checker_of_accessibility_finds_nothing(
    browser: Browser, service: Gateway, engine: OpenAIEngine, redis: Redis, scheme: str
) -> None:
    async with visiting(browser, str(service.http.base_url), color_scheme=scheme, reduced_motion="reduce") as visit:
        await expect(visit.by_id("example-list").get_by_role("button")).to_have_count(2)
        assert await _violations(visit) == []
        await explained(visit, engine, redis)
        await visit.by_id("reading-title").click()
        await visit.phrases.first.hover()
        assert await _violations(visit) == []
        await visit.by_id("key-dialog").evaluate("(dialog) => dialog.showModal()")
        assert await _violations(visit) == []


async def _violations(visit: Visit) -> list[str]:
    results = await Axe().run(visit.page)
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in results.response["violations"]
        for node in violation["nodes"]
    ]


async def test_dark_is_dark_and_light_is_light(browser: Browser, service: Gateway) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        async with visiting(browser, str(service.http.base_url), color_scheme=scheme) as visit:
            colour = await visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
            shades[scheme] = [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    assert min(shades["light"]) > 200
    assert max(shades["dark"]) < 60


async def test_whole_job_by_keyboard_alone(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    image = png()
    await store_text(redis, open_figure(image).id, "Growth rate", "Time")
    engine.behaviour = speaks("The Growth rate rises over Time.")
    press = visit.page.keyboard.press

    # Chromium is told to hand over its dialog by a message that nobody waits for: it must have come before the key.
    async with visit.page.expect_file_chooser() as chooser:
        await _tab_to(visit, visit.by_id("file"))
        await press("Space")
    await (await chooser.value).set_files({"name": "figure.png", "mimeType": "image/png", "buffer": image})
    await expect(visit.by_id("caption")).to_be_focused()
    await visit.page.keyboard.type("Of three strains.")
    await press("Tab")
    await expect(visit.page.get_by_label("Everything")).to_be_focused()
    await _tab_to(visit, visit.page.get_by_role("button", name="Explain"))
    await press("Enter")
    await expect(visit.phrases).to_have_text(["Growth rate", "Time"])

    await _tab_to(visit, visit.phrases.nth(1))
    await expect(visit.boxes.nth(1)).to_have_attribute("aria-selected", "true")
    await press("Enter")
    await expect(visit.boxes.nth(1)).to_be_focused()
    await press("ArrowLeft")
    await press("Enter")
    await expect(visit.phrases.nth(0)).to_be_focused()

    engine.behaviour = speaks("After a day.")
    await _tab_to(visit, visit.by_id("question"))
    await visit.page.keyboard.type("When?")
    await press("Enter")
    await expect(visit.answer).to_have_text("After a day.")


_IS_COVERED = """
() => {
  const focused = document.activeElement;
  if (focused === document.body || focused.id === "file") return null; // the chooser's label shows the focus of "file"
  const { left, top, width, height } = focused.getClientRects()[0];
  const seen = document.elementFromPoint(left + width / 2, top + height / 2);
  return focused.contains(seen) || seen.contains(focused) ? null : focused.outerHTML;
}
"""


async def test_nothing_that_has_the_focus_is_behind_the_figure(
    visit: Visit, engine: OpenAIEngine, redis: Redis
) -> None:
    await visit.page.set_viewport_size({"width": 1100, "height": 500})
    await explained(visit, engine, redis)
    await visit.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    await visit.by_id("file").focus()
    await _tab_to(visit, visit.page.get_by_role("button", name="Download as JSON"))


async def _tab_to(visit: Visit, target: Locator) -> None:
    """Presses Tab until the target has the focus, which must be in sight on every stop of the way."""
    for _ in range(MOST_TABS):
        await visit.page.keyboard.press("Tab")
        assert await visit.page.evaluate(_IS_COVERED) is None
        if await target.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"{target} was not reached with the Tab key")


async def test_scripts_within_the_page_do_not_run(visit: Visit) -> None:
    async def intrude(route: Route) -> None:
        """On the wire, as if someone had found a way to write into the page."""
        response = await route.fetch()
        page = (await response.text()).replace("<main>", "<main><script>document.title = 'intruded'</script>")
        assert "intruded" in page
        await route.fulfill(response=response, body=page)

    await visit.page.route(visit.page.url, intrude)
    await visit.page.reload()
    await expect(visit.page.locator("main > script")).to_have_count(1)
    await expect(visit.page).to_have_title("LLaVA-Graph")
    [complaint] = visit.complaints
    assert "script-src 'self'" in complaint
    visit.complaints.clear()


async def test_markup_cannot_be_made_out_of_text_at_all(visit: Visit) -> None:
    refused = await visit.page.evaluate("""() => {
        try { document.body.innerHTML = "<p>"; } catch (error) { return error.name; }
    }""")
    assert refused == "TypeError"
    visit.complaints.clear()
