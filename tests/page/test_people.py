"""What people can decide on the page: how answers are drawn and by which model, another answer, a rating."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, expect

from llava_graph.feedback import ENTRIES_FILE, FIGURES_FOLDER, FeedbackEntry
from tests.fakes.openai_engine import OpenAIEngine, breaks_off_after, speaks, stalls_after
from tests.harness.engines import Fleet, fleet
from tests.harness.gateway import closed_port_url, gateway, png, serving
from tests.page.browser import Visit, visiting

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


async def explained(visit: Visit) -> None:
    """The first answer, complete."""
    await visit.explain(png(), "Loss.")
    await expect(visit.page.get_by_role("button", name="Copy answer")).to_be_visible()


def button(visit: Visit, name: str) -> Locator:
    return visit.page.get_by_role("button", name=name)


async def overflow(visit: Visit) -> int:
    wider: int = await visit.page.locator("html").evaluate("(element) => element.scrollWidth - element.clientWidth")
    return wider


async def violations(visit: Visit) -> list[str]:
    results = await Axe().run(visit.page)
    return [f"{one['id']}: {node['html']}" for one in results.response["violations"] for node in one["nodes"]]


# How answers are drawn


async def test_settings_are_the_models_unless_they_are_set(visit: Visit, engine: OpenAIEngine) -> None:
    await explained(visit)
    asked = engine.requests[-1]
    assert (asked["temperature"], asked["max_tokens"], asked.get("seed")) == (0.0, 256, None)
    await visit.page.get_by_text("Settings", exact=True).click()
    await visit.page.get_by_label("Temperature").fill("0.5")
    await visit.page.get_by_label("Top-p").fill("0.9")
    await visit.page.get_by_label("Longest answer in tokens").fill("17")
    engine.behaviour = speaks("Since.")
    await visit.ask("Why?")
    await expect(visit.answer).to_have_text("Since.")
    asked = engine.requests[-1]
    assert (asked["temperature"], asked["top_p"], asked["max_tokens"]) == (0.5, 0.9, 17)


@pytest.mark.parametrize(
    ("label", "value"), [("Temperature", "2.5"), ("Top-p", "0"), ("Longest answer in tokens", "257")]
)
async def test_setting_that_cannot_be_is_shown_and_nothing_is_asked(
    visit: Visit, engine: OpenAIEngine, label: str, value: str
) -> None:
    await expect(visit.by_id("max-tokens")).to_have_attribute("max", "256")
    await visit.page.get_by_text("Settings", exact=True).click()
    await visit.page.get_by_label(label).fill(value)
    await visit.page.get_by_text("Settings", exact=True).click()
    await visit.explain(png())
    await expect(visit.page.get_by_label(label)).to_be_focused()
    await expect(visit.page.locator(".turn")).to_have_count(0)
    assert engine.requests == []


# Which model


@asynccontextmanager
async def two_models(redis_url: str, folder: Path) -> AsyncIterator[tuple[Fleet, str]]:
    async with fleet(folder, "a", "b") as engines:
        engines.engines["a"].behaviour = speaks("The first.")
        engines.engines["b"].behaviour = speaks("The second.")
        engines.write({"first": ["a"], "second": ["b"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as running:
            yield engines, str(running.http.base_url)


async def test_model_can_be_chosen_where_there_are_several(browser: Browser, redis_url: str, tmp_path: Path) -> None:
    async with two_models(redis_url, tmp_path) as (_, url), visiting(browser, url) as visit:
        await visit.page.get_by_text("Settings", exact=True).click()
        model = visit.page.get_by_label("Model", exact=True)
        await expect(model).to_have_value("first")
        await explained(visit)
        await expect(visit.answer).to_have_text("The first.")
        await model.select_option("second")
        await expect(visit.by_id("max-tokens")).to_have_attribute("max", "64")
        await visit.ask("Why?")
        await expect(visit.answer).to_have_text("The second.")
        await expect(visit.page.locator(".timings").last).to_contain_text("second")
        assert visit.complaints == []


async def test_single_model_is_not_offered(visit: Visit) -> None:
    await expect(visit.by_id("max-tokens")).to_have_attribute("max", "256")
    await expect(visit.by_id("model-field")).to_be_hidden()


async def test_model_that_is_gone_is_said_in_plain_words(browser: Browser, redis_url: str, tmp_path: Path) -> None:
    async with two_models(redis_url, tmp_path) as (_, url), visiting(browser, url) as visit:
        await visit.page.get_by_text("Settings", exact=True).click()
        await visit.page.get_by_label("Model", exact=True).select_option("second")
        await visit.by_id("model").evaluate("(select) => (select.options[1].value = 'third')")
        await visit.explain(png())
        await expect(visit.problem).to_contain_text("The service no longer has this model.")


# Another answer


async def test_another_answer_is_drawn_with_another_seed_and_takes_the_place(
    visit: Visit, engine: OpenAIEngine
) -> None:
    await explained(visit)
    seeds = []
    for text in ("Another.", "A third."):
        engine.behaviour = speaks(text)
        await button(visit, "Another answer").click()
        await expect(visit.answer).to_have_text(text)
        asked = engine.requests[-1]
        assert asked["temperature"] > 0  # a greedy answer would be the same again
        seeds.append(asked["seed"])
        assert [message["role"] for message in asked["messages"]] == ["user"]
    assert seeds[0] != seeds[1]
    await expect(visit.page.locator(".turn")).to_have_count(1)


async def test_another_answer_keeps_the_temperature_that_was_chosen(visit: Visit, engine: OpenAIEngine) -> None:
    await explained(visit)
    await visit.page.get_by_text("Settings", exact=True).click()
    await visit.page.get_by_label("Temperature").fill("1.25")
    engine.behaviour = speaks("Another.")
    await button(visit, "Another answer").click()
    await expect(visit.answer).to_have_text("Another.")
    assert engine.requests[-1]["temperature"] == 1.25


async def test_another_answer_is_had_only_to_the_last_question_and_goes_into_the_conversation(
    visit: Visit, engine: OpenAIEngine
) -> None:
    await explained(visit)
    engine.behaviour = speaks("Another.")
    await button(visit, "Another answer").click()
    await expect(visit.answer).to_have_text("Another.")
    engine.behaviour = speaks("Since.")
    await visit.ask("Why?")
    await expect(visit.answer).to_have_text("Since.")
    said = [message["content"][-1]["text"] for message in engine.requests[-1]["messages"] if message["role"] != "user"]
    assert said == ["Another."]
    await expect(button(visit, "Another answer")).to_have_count(1)
    await expect(visit.page.locator(".turn").last.get_by_role("button", name="Another answer")).to_be_visible()


async def test_another_answer_that_fails_can_be_tried_again(visit: Visit, engine: OpenAIEngine) -> None:
    await explained(visit)
    engine.behaviour = breaks_off_after("Ano")
    await button(visit, "Another answer").click()
    await expect(visit.problem).to_be_visible()
    engine.behaviour = speaks("Another.")
    await button(visit, "Try again").click()
    await expect(visit.answer).to_have_text("Another.")


# A new beginning


async def test_clearing_forgets_the_conversation_and_keeps_figure_and_caption(
    visit: Visit, engine: OpenAIEngine
) -> None:
    await explained(visit)
    await button(visit, "Clear conversation").click()
    await expect(visit.page.locator(".turn")).to_have_count(0)
    await expect(visit.by_id("intro")).to_be_visible()
    await expect(visit.by_id("ask")).to_be_hidden()
    await expect(visit.by_id("caption")).to_have_value("Loss.")
    await expect(visit.by_id("caption")).to_be_focused()
    await expect(visit.page.get_by_role("status")).to_have_text("The conversation is cleared.")
    engine.behaviour = speaks("Anew.")
    await button(visit, "Explain").click()
    await expect(visit.answer).to_have_text("Anew.")
    assert [message["role"] for message in engine.requests[-1]["messages"]] == ["user"]


async def test_clearing_stops_the_answer_that_is_coming(visit: Visit, engine: OpenAIEngine) -> None:
    engine.behaviour = stalls_after("The figure")
    await visit.explain(png())
    await expect(visit.answer).to_have_text("The figure")
    await button(visit, "Clear conversation").click()
    async with asyncio.timeout(10):
        await engine.hung_up.wait()
    await expect(visit.page.locator(".turn")).to_have_count(0)


# A rating


@asynccontextmanager
async def rated(
    browser: Browser, redis_url: str, engine: OpenAIEngine, folder: Path, settings: dict[str, Any], **options: Any
) -> AsyncIterator[Visit]:
    """The page before a gateway that takes feedback."""
    async with (
        serving(engine, lifespan=False) as url,
        gateway(redis_url, url, feedback="on", feedback_dir=folder, **settings) as running,
        visiting(browser, str(running.http.base_url), **options) as visit,
    ):
        yield visit
        assert visit.complaints == []
        assert visit.strangers == []


def stored(folder: Path) -> list[FeedbackEntry]:
    return [FeedbackEntry.from_line(line) for line in (folder / ENTRIES_FILE).read_bytes().splitlines()]


async def test_nothing_can_be_rated_where_feedback_is_off(visit: Visit) -> None:
    await explained(visit)
    await expect(button(visit, "Good answer")).to_be_hidden()
    await expect(visit.by_id("feedback-told")).to_be_hidden()


async def test_page_says_beforehand_what_becomes_of_a_rating(
    browser: Browser, redis_url: str, engine: OpenAIEngine, tmp_path: Path
) -> None:
    for settings, said in (({}, "not the figure"), ({"feedback_images": "on"}, "with the answer, the figure,")):
        async with rated(browser, redis_url, engine, tmp_path, settings) as visit:
            await expect(visit.by_id("feedback-told")).to_contain_text("If you rate an answer, the service stores")
            await expect(visit.by_id("feedback-told")).to_contain_text(said)
            assert stored(tmp_path) == []


async def test_rating_is_stored_with_receipt_and_note_and_can_be_changed(
    browser: Browser, redis_url: str, engine: OpenAIEngine, tmp_path: Path
) -> None:
    async with rated(browser, redis_url, engine, tmp_path, {}) as visit:
        await explained(visit)
        await button(visit, "Good answer").click()
        await expect(visit.page.locator(".feedback-state")).to_have_text("Thank you.")
        await expect(button(visit, "Good answer")).to_have_attribute("aria-pressed", "true")
        await button(visit, "Bad answer").click()
        await expect(button(visit, "Bad answer")).to_have_attribute("aria-pressed", "true")
        await expect(button(visit, "Good answer")).to_have_attribute("aria-pressed", "false")
        await visit.page.get_by_label("What is right or wrong about it?").fill("It falls.")
        await button(visit, "Add note").click()
        await expect(visit.page.locator(".feedback-state")).to_contain_text("Your note is stored, too.")
    entries = stored(tmp_path)
    assert [(entry.verdict, entry.note) for entry in entries] == [("up", ""), ("down", ""), ("down", "It falls.")]
    assert [entry.replaces for entry in entries] == [None, entries[0].entry_id, entries[1].entry_id]
    assert entries[0].answer == "The figure shows growth."
    assert entries[0].receipt["figures"][0]["caption"] == "Loss."
    assert list((tmp_path / FIGURES_FOLDER).iterdir()) == []


async def test_another_answer_is_rated_by_itself(
    browser: Browser, redis_url: str, engine: OpenAIEngine, tmp_path: Path
) -> None:
    async with rated(browser, redis_url, engine, tmp_path, {"feedback_images": "on"}) as visit:
        await explained(visit)
        await button(visit, "Good answer").click()
        await expect(button(visit, "Good answer")).to_have_attribute("aria-pressed", "true")
        engine.behaviour = speaks("Buy now!")
        await button(visit, "Another answer").click()
        await expect(visit.answer).to_have_text("Buy now!")
        await expect(button(visit, "Good answer")).to_have_attribute("aria-pressed", "false")
        await button(visit, "Flag as wrong or harmful").click()
        await expect(visit.page.locator(".feedback-state")).to_have_text("Thank you. It is flagged.")
    first, second = stored(tmp_path)
    assert [(entry.verdict, entry.answer) for entry in (first, second)] == [
        ("up", "The figure shows growth."),
        ("flag", "Buy now!"),
    ]
    assert second.replaces is None
    [image] = (tmp_path / FIGURES_FOLDER).iterdir()
    assert image.stem == first.receipt["figures"][0]["id"]


async def test_rating_that_cannot_be_stored_says_so(
    browser: Browser, redis_url: str, engine: OpenAIEngine, tmp_path: Path
) -> None:
    async with rated(browser, redis_url, engine, tmp_path, {"feedback_bytes": 10}) as visit:
        await explained(visit)
        await button(visit, "Good answer").click()
        await expect(visit.page.locator(".feedback-state")).to_contain_text("no room for more feedback")
        await expect(button(visit, "Good answer")).to_have_attribute("aria-pressed", "false")
    assert stored(tmp_path) == []


# For everyone


async def test_rating_works_with_the_keyboard_alone(
    browser: Browser, redis_url: str, engine: OpenAIEngine, tmp_path: Path
) -> None:
    async with rated(browser, redis_url, engine, tmp_path, {}) as visit:
        await explained(visit)
        press = visit.page.keyboard.press
        await button(visit, "Copy answer").focus()
        for name in ("Another answer", "Good answer", "Bad answer"):
            await press("Tab")
            await expect(button(visit, name)).to_be_focused()
        await press("Enter")
        await expect(button(visit, "Bad answer")).to_have_attribute("aria-pressed", "true")
        await press("Tab")
        await press("Tab")
        await visit.page.keyboard.type("It falls.")
        await press("Tab")
        await press("Enter")
        await expect(visit.page.locator(".feedback-state")).to_contain_text("Your note is stored, too.")
    assert stored(tmp_path)[-1].note == "It falls."


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_checker_of_accessibility_finds_nothing_in_the_new_parts(
    browser: Browser, redis_url: str, engine: OpenAIEngine, tmp_path: Path, scheme: str
) -> None:
    looks = {"color_scheme": scheme, "reduced_motion": "reduce"}
    engine.behaviour = speaks("# A\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- `x` is $y^2$\n\n$$\n\\frac{a}{b}\n$$\n")
    async with rated(browser, redis_url, engine, tmp_path, {}, **looks) as visit:
        await explained(visit)
        await visit.page.get_by_text("Settings", exact=True).click()
        await button(visit, "Bad answer").click()
        await expect(visit.page.get_by_label("What is right or wrong about it?")).to_be_visible()
        assert await violations(visit) == []


async def test_new_parts_fit_a_phone(browser: Browser, redis_url: str, engine: OpenAIEngine, tmp_path: Path) -> None:
    async with rated(browser, redis_url, engine, tmp_path, {}, **PHONE) as visit:
        await visit.page.get_by_text("Settings", exact=True).click()
        assert await overflow(visit) == 0
        await explained(visit)
        await button(visit, "Flag as wrong or harmful").click()
        await expect(visit.page.get_by_label("What is right or wrong about it?")).to_be_visible()
        assert await overflow(visit) == 0


def test_library_names_its_packages_and_their_licence_and_the_notice_names_it() -> None:
    head = Path("service/page/markdown-library.js").read_text(encoding="utf-8").split("*/")[0]
    assert "Permission is hereby granted" in head
    notice = Path("NOTICE").read_text(encoding="utf-8")
    for name, _ in re.findall(r"^  ([\w-]+) \d[\d.]+  (Copyright.*)$", head, re.MULTILINE):
        assert name.split("-")[0] in notice, name
