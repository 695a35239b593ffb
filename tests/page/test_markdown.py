"""Markdown and formulas of an answer on the page: set as what they are, marked in their places, and never markup."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, Locator, expect
from redis.asyncio import Redis

from llava_graph.figure import open_figure
from tests.fakes.kept import store_text
from tests.fakes.openai_engine import OpenAIEngine, speaks, speaks_on_command
from tests.harness.gateway import Gateway, png
from tests.page.browser import Visit, visiting
from tests.page.charts import growth

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


async def answered(visit: Visit, engine: OpenAIEngine, text: str, caption: str = "") -> Locator:
    """The answer, complete."""
    engine.behaviour = speaks(text)
    await visit.explain(png(), caption)
    await expect(visit.page.get_by_role("button", name="Copy answer")).to_be_visible()
    return visit.answer


async def test_markdown_is_set_as_what_it_is(visit: Visit, engine: OpenAIEngine) -> None:
    answer = await answered(
        visit,
        engine,
        "# Growth\n\nIt *rises* **fast**, as `od` says.\n\n- one\n- two\n\n3. three\n\n> quoted\n\n```\na = 1\n```\n\n"
        "---\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
    )
    for selector, text in (
        ("h3", "Growth"),
        ("em", "rises"),
        ("strong", "fast"),
        ("p > code", "od"),
        ("ol[start='3'] > li", "three"),
        ("blockquote", "quoted"),
        ("pre > code", "a = 1"),
        ("thead th:first-child", "a"),
        ("tbody td:last-child", "2"),
    ):
        await expect(answer.locator(selector)).to_have_text(text)
    await expect(answer.locator("ul > li")).to_have_text(["one", "two"])
    await expect(answer.locator("hr")).to_have_count(1)


async def test_markdown_is_set_while_it_comes(visit: Visit, engine: OpenAIEngine) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    engine.behaviour = speaks_on_command(pieces)
    await visit.explain(png())
    for piece, so_far in (("It is **ve", "It is **ve"), ("ry** clear", "It is very clear")):
        pieces.put_nowait(piece)
        await expect(visit.answer).to_have_text(so_far)
    await expect(visit.answer.locator("strong")).to_have_text("very")
    pieces.put_nowait(None)


@pytest.mark.parametrize(
    ("text", "displayed"),
    [
        ("It is $\\frac{a}{b}$ high.", False),
        ("It is \\(\\frac{a}{b}\\) high.", False),
        ("It is\n\n$$\n\\frac{a}{b}\n$$\n", True),
        ("It is\n\n\\[\n\\frac{a}{b}\n\\]\n", True),
        ("It is \\[ \\frac{a}{b} \\] high.", True),
    ],
)
async def test_formulas_are_mathml(visit: Visit, engine: OpenAIEngine, text: str, displayed: bool) -> None:
    answer = await answered(visit, engine, text)
    await expect(answer.locator("math mfrac")).to_have_text("ab")
    await expect(answer.locator(".formula.displayed")).to_have_count(int(displayed))
    await expect(answer.locator("math[display='block']")).to_have_count(int(displayed))


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $10 a day.",
        "A formula that is none: $\\frac{a$ and more.",
        "Never ends: $$x",
        "\\(a$b\\)",
    ],
)
async def test_what_is_no_formula_stays_the_text_that_it_is(visit: Visit, engine: OpenAIEngine, text: str) -> None:
    answer = await answered(visit, engine, text)
    await expect(answer.locator("math")).to_have_count(0)
    await expect(answer).to_have_text(text.replace("\\(", "(").replace("\\)", ")"))


async def test_marks_are_in_their_places_within_markdown(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    image = png()
    await store_text(redis, open_figure(image).id, "Growth rate", "Time")
    engine.behaviour = speaks(
        "😀 The **Growth rate** &amp; \\* more:\n\n- of\n  *Time* is 0.83\n- and **Gro", "wth** rate"
    )
    await visit.explain(image)
    await expect(visit.page.get_by_role("button", name="Copy answer")).to_be_visible()
    await expect(visit.answer.locator("strong > .grounded").first).to_have_text("Growth rate")
    await expect(visit.answer.locator("em > .grounded")).to_have_text("Time")
    await expect(visit.answer.locator("mark.unsupported")).to_have_text("0.83")
    await visit.answer.locator("em > .grounded").hover()
    await expect(visit.boxes.nth(1)).to_have_attribute("aria-selected", "true")


async def test_number_within_a_formula_marks_the_formula(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    drawn = growth()
    await drawn.store(redis)
    engine.behaviour = speaks("A Zumba strain reaches $7.7$ at last.")
    await visit.explain(drawn.image)
    await expect(visit.answer.locator("mark.unsupported math")).to_have_text("7.7")


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)> <b>bold</b>",
        "<script>document.title = 'intruded'</script>",
        "[here](javascript:alert(1)) and ![there](https://evil.example/x.png)",
        "<https://evil.example/> [a]\n\n[a]: https://evil.example/",
        "$\\href{javascript:alert(1)}{x}$ $\\includegraphics{https://evil.example/x.png}$ $\\class{a}{x}$",
        "$\\def\\a{\\a\\a}\\a$ $\\rule{9999em}{9999em}$",
        "| <b>x</b> |\n|---|\n| [x](data:text/html,y) |",
        "&lt;b&gt;bold&lt;/b&gt;",
    ],
)
async def test_nothing_that_a_model_writes_becomes_markup_or_a_link(
    visit: Visit, engine: OpenAIEngine, text: str
) -> None:
    answer = await answered(visit, engine, text)
    bad = "a, b, img, script, iframe, [href], [src], [onerror], [id], .a"
    await expect(answer.locator(bad)).to_have_count(0)
    await expect(visit.page).to_have_title("LLaVA-Graph")


async def test_link_is_words_with_its_address_behind_them(visit: Visit, engine: OpenAIEngine) -> None:
    answer = await answered(visit, engine, "See [the paper](https://example.org/a) and ![a plot](b.png).")
    await expect(answer).to_have_text("See the paper (https://example.org/a) and a plot (b.png).")


async def test_copy_is_what_the_model_wrote_and_listeners_hear_words(
    browser: Browser, service: Gateway, engine: OpenAIEngine
) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    async with visiting(browser, str(service.http.base_url), permissions=permissions) as visit:
        await answered(visit, engine, "It *rises*.")
        await expect(visit.page.get_by_role("status")).to_have_text("The answer is complete. It rises.")
        await visit.page.get_by_role("button", name="Copy answer").click()
        await expect(visit.page.get_by_role("button", name="Copied")).to_be_visible()
        assert await visit.page.evaluate("navigator.clipboard.readText()") == "It *rises*."


async def test_wide_tables_code_and_formulas_fit_a_phone(
    browser: Browser, service: Gateway, engine: OpenAIEngine
) -> None:
    wide = " | ".join(["averylongwordinacell"] * 9)
    text = (
        f"| {wide} |\n|{'---|' * 9}\n| {wide} |\n\n```\n{'code' * 60}\n```\n\n"
        f"$$\n{' + '.join(f'x_{{{i}}}' for i in range(60))}\n$$\n\nAnd $ {'y' * 9} $ or ${'+'.join('z' * 60)}$."
    )
    async with visiting(browser, str(service.http.base_url), **PHONE) as visit:
        answer = await answered(visit, engine, text)
        await expect(answer.locator("math").first).to_be_attached()
        root = visit.page.locator("html")
        assert await root.evaluate("(element) => element.scrollWidth - element.clientWidth") == 0
        assert visit.complaints == []
