"""The answer on the page: how it comes, what can be done with it, and what is said when something goes wrong."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect
from redis.asyncio import Redis

from llava_graph.figure import open_figure
from llava_graph.jobs import Outcome, Reply
from llava_graph.ocr import Line
from tests.conftest import RedisServer
from tests.fakes.kept import store_reply, store_text
from tests.fakes.openai_engine import (
    OpenAIEngine,
    breaks_off_after,
    speaks,
    speaks_on_command,
    stalls_after,
)
from tests.harness.gateway import Gateway, gateway, png, serving
from tests.page.browser import Visit, visiting
from tests.page.line import line_to

WHOLE = "The figure shows growth."


async def explained(visit: Visit, image: bytes | None = None, caption: str = "") -> None:
    """The first answer, complete."""
    await visit.explain(png() if image is None else image, caption)
    await expect(visit.page.get_by_role("button", name="Copy answer")).to_be_visible()


async def problem_is(visit: Visit, what: str, advice: str) -> None:
    await expect(visit.problem.locator(".problem-what")).to_have_text(what)
    await expect(visit.problem.locator(".problem-advice")).to_contain_text(advice)


# How it comes


async def test_each_piece_is_there_when_it_comes(visit: Visit, engine: OpenAIEngine) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine.behaviour = speaks_on_command(pieces)
    await visit.explain(png())
    await expect(visit.page.locator(".progress")).to_have_text("Waiting for the model…")
    for piece, so_far in (("The", "The"), (" figure", "The figure"), (" shows", "The figure shows")):
        pieces.put_nowait(piece)
        await expect(visit.answer).to_have_text(so_far)
    await expect(visit.page.get_by_role("button", name="Stop")).to_be_visible()
    pieces.put_nowait(None)
    await expect(visit.page.get_by_role("button", name="Ask")).to_be_visible()


async def test_listeners_hear_what_happens_and_the_answer_once_it_is_whole(
    visit: Visit, engine: OpenAIEngine, redis: Redis
) -> None:
    image = png()
    await store_text(redis, open_figure(image).id, "Growth rate", "Time")
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine.behaviour = speaks_on_command(pieces)
    status = visit.page.get_by_role("status")
    await visit.explain(image)
    await expect(status).to_have_text("2 lines of text read. The answer is being written.")
    pieces.put_nowait("Growth.")
    await expect(visit.answer).to_have_text("Growth.")
    await expect(status).to_have_text("2 lines of text read. The answer is being written.")
    pieces.put_nowait(None)
    await expect(status).to_have_text("The answer is complete. Growth.")


async def test_follow_up_sends_the_conversation_and_not_the_image(
    visit: Visit, engine: OpenAIEngine, service: Gateway
) -> None:
    await explained(visit, caption="Loss of two runs.")
    engine.behaviour = speaks("Run B.")
    await visit.ask("Which run is best?")
    await expect(visit.answer).to_have_text("Run B.")
    await expect(visit.page.locator(".question")).to_have_text(["Explain this figure.", "Which run is best?"])
    roles = [(message["role"], message["content"][-1]["text"]) for message in engine.requests[-1]["messages"]]
    assert roles[1:] == [("assistant", WHOLE), ("user", "Which run is best?")]
    await service.until_idle()
    assert service.metric("requests_total", route="/v1/figures", outcome="ok") == 1


async def test_enter_asks_and_shift_enter_begins_a_line(visit: Visit) -> None:
    await explained(visit)
    question = visit.by_id("question")
    await question.press_sequentially("Which")
    await question.press("Shift+Enter")
    await question.press_sequentially("run?")
    await question.press("Enter")
    await expect(visit.page.locator(".question").last).to_have_text("Which\nrun?")
    await expect(question).to_have_value("")


@pytest.mark.parametrize(
    ("label", "has_caption", "has_text"),
    [
        ("Everything", True, True),
        ("Caption and text", True, True),
        ("Caption", True, False),
        ("Text", False, True),
        ("Nothing", False, False),
    ],
)
async def test_context_switch_decides_what_the_model_is_told(
    visit: Visit, engine: OpenAIEngine, redis: Redis, label: str, has_caption: bool, has_text: bool
) -> None:
    image = png()
    await store_text(redis, open_figure(image).id, "Growth rate")
    await visit.page.get_by_role("radio", name=label, exact=True).check(force=True)
    await explained(visit, image, "Of three strains.")
    assert ("Of three strains." in engine.prompt) == has_caption
    assert ("Growth rate" in engine.prompt) == has_text
    await expect(visit.boxes).to_have_count(1 if has_text else 0)


async def test_figure_that_is_no_longer_kept_is_sent_again_unasked(
    visit: Visit, engine: OpenAIEngine, service: Gateway
) -> None:
    async with visit.page.expect_response("**/v1/figures") as kept:
        await explained(visit)
    figure = await (await kept.value).json()
    assert (await service.http.delete(f"/v1/figures/{figure['id']}")).status_code == 204
    engine.behaviour = speaks("Run B.")
    await visit.ask("Which run is best?")
    await expect(visit.answer).to_have_text("Run B.")


# What is marked in it


async def test_marks_count_characters_as_the_service_does(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    image = png()
    await store_text(redis, open_figure(image).id, "Growth rate")
    engine.behaviour = speaks("😀😀 The ", "Growth rate rises. 😀")
    await explained(visit, image)
    await expect(visit.phrases).to_have_text(["Growth rate"])
    await expect(visit.answer).to_have_text("😀😀 The Growth rate rises. 😀")


async def test_unsupported_mentions_are_underlined_with_the_reason(visit: Visit, engine: OpenAIEngine) -> None:
    engine.behaviour = speaks("😀 The loss of Vodira falls to 0.83 within a day.")
    await explained(visit, caption="Loss over a day.")
    marks = visit.page.locator("#turns mark.unsupported")
    await expect(marks).to_have_text(["Vodira", "0.83"])
    await expect(marks.first).to_have_css("text-decoration-style", "wavy")
    await expect(visit.page.locator(".unsupported-note")).to_contain_text("“Vodira”, “0.83”")
    for i, reason in enumerate(("This name is printed neither", "This number is printed neither")):
        await marks.nth(i).hover()
        await expect(visit.page.get_by_role("tooltip")).to_contain_text(reason)


HOSTILE = "<img src=x onerror=alert(1)><b>bold</b>"


async def test_texts_of_figure_and_model_are_never_markup(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    image = png()
    line = Line(HOSTILE, (10.0, 10.0, 90.0, 30.0), 0.9)
    await store_reply(redis, Reply(open_figure(image).id, Outcome.DONE, [line], engine="fake/1"))
    engine.behaviour = speaks(f"It says {HOSTILE} & ", "<script>alert(2)</script>")
    await visit.explain(image, HOSTILE)
    await expect(visit.answer).to_have_text(f"It says {HOSTILE} & <script>alert(2)</script>")
    await expect(visit.page.locator("#talk b, #talk img, #talk script, #lines b, #lines img")).to_have_count(0)
    await expect(visit.boxes.first).to_have_attribute("aria-label", HOSTILE)


async def test_answer_without_the_text_of_the_figure_says_so(visit: Visit, redis: Redis) -> None:
    image = png()
    await store_reply(redis, Reply(open_figure(image).id, Outcome.FAILED, engine="fake/1", reason="broken"))
    await explained(visit, image)
    await expect(visit.page.locator(".notes")).to_contain_text("could not be read")


async def test_answer_cut_at_its_length_says_so(visit: Visit, engine: OpenAIEngine) -> None:
    engine.behaviour = speaks("The", finish="length")
    await explained(visit)
    await expect(visit.page.locator(".notes")).to_contain_text("cut at its greatest length")


# What can be done with it


async def test_stop_ends_the_generation_in_the_engine_and_keeps_what_came(
    visit: Visit, engine: OpenAIEngine, service: Gateway
) -> None:
    engine.behaviour = stalls_after("The figure ")
    await visit.explain(png())
    await expect(visit.answer).to_have_text("The figure ")
    await visit.page.get_by_role("button", name="Stop").click()
    await expect(visit.page.locator(".notes")).to_have_text("Stopped: this answer is not complete.")
    await expect(visit.answer).to_have_text("The figure ")
    await expect(visit.by_id("question")).to_be_focused()
    async with asyncio.timeout(10):
        await engine.hung_up.wait()
    await service.until_idle()
    assert service.metric("in_flight") == 0
    assert service.metric("requests_total", route="/v1/figures/{id}/chat", outcome="client_gone") == 1


async def test_conversation_goes_on_after_a_stop(visit: Visit, engine: OpenAIEngine) -> None:
    engine.behaviour = stalls_after("The figure")
    await visit.explain(png())
    await expect(visit.answer).to_have_text("The figure")
    await visit.page.get_by_role("button", name="Stop").click()
    engine.behaviour = speaks("Run B.")
    await visit.ask("Which run is best?")
    await expect(visit.answer).to_have_text("Run B.")
    assert [message["role"] for message in engine.requests[-1]["messages"]] == ["user", "assistant", "user"]


async def test_another_figure_stops_the_answer_about_the_first(visit: Visit, engine: OpenAIEngine) -> None:
    engine.behaviour = stalls_after("The figure")
    await visit.explain(png())
    await expect(visit.answer).to_have_text("The figure")
    await visit.choose(png(size=(100, 100)))
    async with asyncio.timeout(10):
        await engine.hung_up.wait()
    await expect(visit.page.locator(".turn")).to_have_count(0)
    await expect(visit.by_id("intro")).to_be_visible()


async def test_answer_can_be_copied(browser: Browser, service: Gateway) -> None:
    url = str(service.http.base_url)
    async with visiting(browser, url, permissions=["clipboard-read", "clipboard-write"]) as visit:
        await explained(visit)
        await visit.page.get_by_role("button", name="Copy answer").click()
        await expect(visit.page.get_by_role("button", name="Copied")).to_be_visible()
        assert await visit.page.evaluate("navigator.clipboard.readText()") == WHOLE


async def test_answer_can_be_copied_where_browsers_give_no_clipboard(visit: Visit) -> None:
    await visit.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    await explained(visit)
    await visit.page.get_by_role("button", name="Copy answer").click()
    await expect(visit.page.get_by_role("button", name="Copied")).to_be_visible()
    await visit.by_id("question").press("Control+V")
    await expect(visit.by_id("question")).to_have_value(WHOLE)


async def test_everything_known_can_be_downloaded(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    image = png()
    await store_text(redis, open_figure(image).id, "Growth rate")
    engine.behaviour = speaks("The Growth rate rises.")
    await explained(visit, image, "Of three strains.")
    engine.behaviour = breaks_off_after("Because")
    await visit.ask("Why?")
    await expect(visit.problem).to_be_visible()
    async with visit.page.expect_download() as download:
        await visit.page.get_by_role("button", name="Download as JSON").click()
    file = await download.value
    assert file.suggested_filename == "figure-explained.json"
    record = json.loads(await asyncio.to_thread((await file.path()).read_bytes))
    assert (record["caption"], record["context"], record["file"]) == ("Of three strains.", "all", "figure.png")
    assert record["figure"]["width"] == 320
    first, second = record["answers"]
    assert (first["question"], first["state"], first["text"]) == (
        "Explain this figure.",
        "done",
        "The Growth rate rises.",
    )
    assert first["ocr"]["lines"][0]["text"] == "Growth rate"
    assert first["grounding"] == [{"start": 4, "end": 15, "line": 0}]
    assert first["timings_ms"]["total"] > 0
    assert (second["state"], second["text"], second["problem"]["code"]) == ("failed", "Because", "engine_interrupted")


# When something goes wrong


async def test_file_that_is_no_image_is_said_in_plain_words(visit: Visit) -> None:
    await visit.choose(b"Dear editor,", name="letter.txt", mime="text/plain")
    await visit.page.get_by_role("button", name="Explain").click()
    await problem_is(visit, "This file is not a picture that can be read.", "take a screenshot")
    await expect(visit.page.get_by_role("button", name="Try again")).to_be_hidden()


async def test_problem_names_the_request_for_whoever_runs_the_service(visit: Visit) -> None:
    async with visit.page.expect_response("**/v1/figures") as refused:
        await visit.explain(b"")
    request_id = (await refused.value).headers["x-request-id"]
    await expect(visit.problem.locator(".problem-reference")).to_have_text(f"image_empty · {request_id}")


async def test_answer_that_broke_off_can_be_tried_again(visit: Visit, engine: OpenAIEngine) -> None:
    engine.behaviour = breaks_off_after("The figure ")
    await visit.explain(png())
    await problem_is(visit, "The answer broke off.", "Try again")
    await expect(visit.answer).to_have_text("The figure ")
    engine.behaviour = speaks(WHOLE)
    await visit.page.get_by_role("button", name="Try again").click()
    await expect(visit.answer).to_have_text(WHOLE)
    await expect(visit.problem).to_have_count(0)
    await expect(visit.page.locator(".turn")).to_have_count(1)


async def test_model_that_is_not_running_is_said_and_waited_for(
    browser: Browser, engine: OpenAIEngine, service: Gateway
) -> None:
    engine.health_status = 503
    async with visiting(browser, str(service.http.base_url)) as visit:
        await expect(visit.by_id("service-words")).to_have_text("The model is not running")
        await visit.explain(png())
        await problem_is(visit, "The model is not running.", "may still be starting")
        engine.health_status = 200
        await visit.page.get_by_role("button", name="Try again").click()
        await expect(visit.answer).to_have_text(WHOLE)


async def test_line_that_breaks_in_mid_stream_is_told_from_a_service_that_is_gone(
    browser: Browser, engine: OpenAIEngine, service: Gateway
) -> None:
    engine.behaviour = stalls_after("The figure")
    async with line_to(str(service.http.base_url)) as line, visiting(browser, line.url) as visit:
        await visit.explain(png())
        await expect(visit.answer).to_have_text("The figure")
        line.cut()
        await problem_is(visit, "The connection was lost.", "What had arrived stays")
        await expect(visit.answer).to_have_text("The figure")
        await visit.page.get_by_role("button", name="Try again").click()
        await problem_is(visit, "The service cannot be reached.", "Check your connection")


async def test_without_redis_the_page_says_that_figures_cannot_be_kept(
    browser: Browser, engine: OpenAIEngine, own_redis: RedisServer
) -> None:
    async with serving(engine, lifespan=False) as url, gateway(own_redis.url, url) as service:
        own_redis.stop()
        async with visiting(browser, str(service.http.base_url)) as visit:
            await visit.explain(png())
            await problem_is(visit, "The service cannot keep figures at the moment.", "Try again in a few seconds")
            own_redis.start()
            # The gateway looks for Redis with growing pauses; a person presses until it is back.
            while not await visit.answer.get_by_text(WHOLE).count():
                await visit.page.get_by_role("button", name="Try again").click()
                await expect(visit.page.locator(".problem:visible, .turn-foot:visible")).to_have_count(1)


async def test_that_the_text_in_figures_is_not_read_is_said_beforehand(visit: Visit) -> None:
    await expect(visit.by_id("service-words")).to_contain_text("the text in figures is not being read")


async def test_code_that_the_page_does_not_know_is_told_in_the_service_s_words(visit: Visit) -> None:
    problem = {"code": "tea_time", "detail": "The kettle is on.", "retryable": True, "instance": "r-1"}
    await visit.page.route("**/v1/figures", _refusing(418, problem))
    await visit.explain(png())
    await problem_is(visit, "The kettle is on.", "")
    await expect(visit.page.get_by_role("button", name="Try again")).to_be_visible()


async def test_answer_of_a_proxy_is_not_taken_for_the_service_s(visit: Visit) -> None:
    async def handle(route: Route) -> None:
        await route.fulfill(status=502, content_type="text/html", body="<h1>Bad Gateway</h1>")

    await visit.page.route("**/v1/figures", handle)
    await visit.explain(png())
    await problem_is(visit, "Something other than the service answered.", "A proxy may stand in between")


async def test_key_is_asked_for_used_and_forgotten_with_the_tab(visit: Visit) -> None:
    unauthorized = {"code": "unauthorized", "title": "A key is needed", "retryable": False}
    await visit.page.route("**/v1/figures", _refusing(401, unauthorized, unless_key="right"))
    await visit.explain(png())
    key = visit.page.get_by_label("Key", exact=True)
    for given in ("wrong", "right"):
        await expect(key).to_be_focused()
        await expect(key).to_have_attribute("type", "password")
        await key.fill(given)
        await key.press("Enter")
    await expect(visit.answer).to_have_text(WHOLE)
    await expect(visit.by_id("key-dialog")).to_be_hidden()
    assert await visit.page.evaluate("localStorage.length + document.cookie.length") == 0
    assert await _keys_of_a_new_tab(visit.page) == 0


async def _keys_of_a_new_tab(page: Page) -> int:
    tab = await page.context.new_page()
    await tab.goto(page.url)
    kept: int = await tab.evaluate("sessionStorage.length")
    return kept


def _refusing(status: int, problem: dict[str, Any], *, unless_key: str | None = None) -> Callable[[Route], Any]:
    """On the wire: a gateway that refuses, or that asks for a key."""

    async def handle(route: Route) -> None:
        if unless_key and route.request.headers.get("authorization") == f"Bearer {unless_key}":
            await route.continue_()
            return
        await route.fulfill(status=status, content_type="application/problem+json", body=json.dumps(problem))

    return handle


def test_every_code_of_the_service_has_plain_words() -> None:
    errors = Path("service/errors.py").read_text(encoding="utf-8")
    words = Path("service/page/words.js").read_text(encoding="utf-8")
    known = set(re.findall(r"^  (\w+): \[", words, re.MULTILINE))
    codes = set(re.findall(r'code, title, status = "(\w+)"', errors)) - {"image_refused"}
    # What only a program can do wrong, and the page does not; then what only clients of OpenAI's interface meet.
    codes -= {"body_malformed", "content_type_unsupported", "fields_invalid", "length_required", "messages_invalid"}
    codes -= {"head_malformed", "head_too_large", "origin_not_allowed", "chart_not_read"}
    codes -= {"field_unsupported", "image_url_failed", "image_url_not_allowed", "too_many_figures"}
    assert codes - known == set()
