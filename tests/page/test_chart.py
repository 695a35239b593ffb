"""The data of a figure on the page: drawn over it, tied to the answer, as a table and a file, and what was not read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, expect
from redis.asyncio import Redis

from llava_graph.chart import ABSTENTION_REASONS, Axis, Chart, Panel, Point, Series
from llava_graph.chart_csv import chart_csv
from tests.fakes.openai_engine import OpenAIEngine, speaks
from tests.harness.gateway import Gateway
from tests.page.browser import Visit, visiting
from tests.page.charts import AREA, NAMES, SAMPLES, SIZE, Drawn, growth, unread, yields

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}

TRUE_AND_FALSE = (
    "😀 It shows growth. Vodira rises from 0.02 to 1.45. Kestrol rises over time. A Zumba strain reaches 7.7."
)


async def explained(
    visit: Visit, engine: OpenAIEngine, redis: Redis, drawn: Drawn, says: str = "It shows data."
) -> None:
    await drawn.store(redis)
    engine.behaviour = speaks(says)
    await visit.explain(drawn.image)
    await expect(visit.page.get_by_role("button", name="Copy answer")).to_be_visible()


def curves(visit: Visit) -> Locator:
    return visit.page.locator("#traces .trace")


def marks(visit: Visit) -> Locator:
    return visit.page.locator("#traces .mark")


def phrase(visit: Visit, words: str) -> Locator:
    return visit.page.locator("#turns a.read").get_by_text(words, exact=True)


# Over the figure


async def test_curves_are_drawn_over_the_figure_on_demand_with_their_names(
    visit: Visit, engine: OpenAIEngine, redis: Redis
) -> None:
    await explained(visit, engine, redis, growth())
    await expect(curves(visit)).to_have_count(2)
    names = visit.page.locator("#trace-names span")
    await visit.by_id("caption").hover()
    for drawn in (curves(visit).nth(0), names.nth(0)):
        await expect(drawn).to_have_css("opacity", "0")
    await visit.page.get_by_label("Show the data that was read").check()
    await visit.by_id("caption").hover()
    for drawn in (curves(visit).nth(0), names.nth(0)):
        await expect(drawn).to_have_css("opacity", "1")
    await expect(names).to_have_text(NAMES)
    await expect(curves(visit).nth(0)).to_have_accessible_name(f"Vodira · {SAMPLES} points read")
    await expect(curves(visit).nth(1).locator(".core")).to_have_attribute("stroke", "#ff7f0e")


async def test_points_of_a_curve_lie_where_they_were_read(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis, growth())
    frame = await visit.by_id("image").bounding_box()
    assert frame is not None
    scale = frame["width"] / SIZE[0]
    core = curves(visit).nth(0).locator(".core")
    box = await core.evaluate(
        """(path) => { const { x, y, width, height } = path.getBBox();
           return [[x, y + height], [x + width, y]].map(([a, b]) => {
             const at = new DOMPoint(a, b).matrixTransform(path.getScreenCTM()); return [at.x, at.y]; }).flat(); }"""
    )
    points = growth().chart.panels[0].series[0].points
    ends = [(frame["x"] + point.px * scale, frame["y"] + point.py * scale) for point in (points[0], points[-1])]
    assert box == pytest.approx([coordinate for end in ends for coordinate in end], abs=1.5)


async def test_bars_are_marked_where_they_end(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    drawn = yields()
    await explained(visit, engine, redis, drawn)
    await expect(marks(visit)).to_have_count(3)
    await expect(curves(visit)).to_have_count(0)
    for i, point in enumerate(drawn.chart.panels[0].series[0].points):
        core = marks(visit).nth(i).locator(".core")
        assert float(await core.get_attribute("cx") or "") == pytest.approx(point.px)
        assert float(await core.get_attribute("cy") or "") == pytest.approx(point.py)
    await expect(marks(visit).nth(1)).to_have_accessible_name("@yield · B, plain: 1.25")


async def test_arrows_go_from_curve_to_point(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis, growth(), TRUE_AND_FALSE)
    options = visit.page.locator("#traces [role=option]")
    await expect(options).to_have_count(4)  # two curves, and the two points of which the answer speaks
    await options.nth(0).focus()
    for key, place in (("ArrowRight", 1), ("End", 3), ("ArrowDown", 3), ("ArrowLeft", 2), ("Home", 0)):
        await visit.page.keyboard.press(key)
        await expect(options.nth(place)).to_be_focused()
        await expect(options.nth(place)).to_have_attribute("aria-selected", "true")


# Figure and answer


async def test_number_that_was_read_lights_its_point(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    drawn = growth()
    await explained(visit, engine, redis, drawn, TRUE_AND_FALSE)
    await expect(visit.page.locator("#turns a.read")).to_have_text(["rises", "0.02", "1.45"])
    await expect(marks(visit)).to_have_count(2)
    dot = visit.page.locator("#traces .dot")
    await expect(dot).to_be_hidden()
    points = drawn.chart.panels[0].series[0].points
    for i, (words, point) in enumerate((("0.02", points[0]), ("1.45", points[-1]))):
        await phrase(visit, words).hover()
        await expect(marks(visit).nth(i)).to_have_attribute("aria-selected", "true")
        await expect(marks(visit).nth(1 - i)).to_have_attribute("aria-selected", "false")
        assert float(await dot.get_attribute("cx") or "") == pytest.approx(point.px)
        await expect(curves(visit).nth(0)).to_have_class("trace lit")
        await expect(curves(visit).nth(1)).to_have_class("trace")
    await visit.by_id("question").hover()
    await expect(dot).to_be_hidden()
    await phrase(visit, "0.02").focus()
    await expect(marks(visit).nth(0)).to_have_attribute("aria-selected", "true")


async def test_point_and_curve_light_what_the_answer_says_of_them(
    visit: Visit, engine: OpenAIEngine, redis: Redis
) -> None:
    await explained(visit, engine, redis, growth(), TRUE_AND_FALSE)
    await visit.page.get_by_label("Show the data that was read").check()
    lit = visit.page.locator("#turns a.lit")
    await marks(visit).nth(1).hover()
    await expect(lit).to_have_text(["1.45"])
    await expect(visit.page.get_by_role("tooltip")).to_have_text("Vodira · 48: 1.45")
    await curves(visit).nth(0).focus()
    await expect(lit).to_have_text(["rises", "0.02", "1.45"])
    await curves(visit).nth(1).focus()
    await expect(lit).to_contain_text(["rises"])
    await expect(lit).to_have_class("contradicted lit")


async def test_number_and_point_lead_to_each_other(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis, growth(), TRUE_AND_FALSE)
    await phrase(visit, "1.45").press("Enter")
    await expect(marks(visit).nth(1)).to_be_focused()
    await visit.page.keyboard.press("ArrowLeft")
    await visit.page.keyboard.press("Enter")
    await expect(phrase(visit, "0.02")).to_be_focused()
    await phrase(visit, "rises").press("Enter")
    await expect(curves(visit).nth(0)).to_be_focused()


async def test_contradicted_statement_is_told_from_an_unsupported_one_with_what_was_read(
    visit: Visit, engine: OpenAIEngine, redis: Redis
) -> None:
    await explained(visit, engine, redis, growth(), TRUE_AND_FALSE)
    contradicted = visit.page.locator("#turns .contradicted")
    instead = "The data read in the figure says otherwise: falls from 0.95 to 0.2"
    note = "Contradicted by the data read in the figure: “rises”, where it has: falls from 0.95 to 0.2."
    await expect(contradicted).to_have_text("rises")
    await expect(contradicted).to_have_accessible_description(note)
    await expect(visit.answer).to_have_text(TRUE_AND_FALSE)
    await expect(contradicted).to_have_css("text-decoration-style", "double")
    sign = await contradicted.evaluate("(element) => getComputedStyle(element, '::before').content")
    assert "≠" in sign
    await contradicted.hover()
    await expect(visit.page.get_by_role("tooltip")).to_have_text(instead)
    await expect(curves(visit).nth(1)).to_have_attribute("aria-selected", "true")
    await contradicted.focus()
    await expect(visit.page.get_by_role("tooltip")).to_have_text(instead)
    unsupported = visit.page.locator("#turns .unsupported")
    await expect(unsupported).to_have_text(["Zumba", "7.7"])
    await expect(unsupported.first).to_have_css("text-decoration-style", "wavy")
    await expect(visit.page.locator(".contradicted-note")).to_have_text(note)
    await expect(visit.page.get_by_role("status")).to_contain_text("The data contradicts 1 statement of it.")


async def test_of_marks_that_overlap_the_one_that_warns_stays(visit: Visit) -> None:
    def check(start: int, end: int, verdict: str) -> dict[str, object]:
        return {"start": start, "end": end, "kind": "number", "verdict": verdict}

    checks = [check(7, 12, "contradicted"), check(20, 24, "unsupported"), check(30, 34, "read"), check(40, 99, "read")]
    grounding = [{"start": 0, "end": 9, "line": 0}, {"start": 22, "end": 32, "line": 1}]
    shown = await visit.page.evaluate(
        """async ([text, grounding, checks]) => {
          const { passages } = await import("/page/passages.js");
          return passages(text, grounding, checks).map(({ start, end, mark }) => [start, end, mark.kind]);
        }""",
        ["x" * 50, grounding, checks],
    )
    assert shown == [[7, 12, "contradicted"], [22, 32, "grounded"]]


# The data itself


async def test_data_is_a_table_that_is_closed_at_first(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis, yields())
    table = visit.page.locator("#data table")
    await expect(table).to_be_hidden()
    await visit.page.get_by_text("Data read in the figure: 1 series, 3 points").click()
    await expect(table.locator("th")).to_have_text(["Series", "Plot", "Optical density"])
    rows = table.locator("tbody tr")
    await expect(rows.locator("td")).to_have_text(
        [
            "@yield",
            "=SUM(1)",
            "0.5000 ± 0.0075",
            "@yield",
            "B, plain",
            "1.2500 ± 0.0075",
            "@yield",
            "C",
            "0.7500 ± 0.0075",
        ]
    )
    await rows.nth(2).hover()
    await expect(marks(visit).nth(2)).to_have_attribute("aria-selected", "true")


async def test_long_table_is_cut_and_says_so(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    drawn = growth()
    [panel] = drawn.chart.panels
    dense = replace(panel, series=tuple(replace(one, points=one.points * 6) for one in panel.series))
    await explained(visit, engine, redis, replace(drawn, chart=Chart((dense,))))
    await visit.by_id("data-title").click()
    await expect(visit.page.locator("#data tbody tr")).to_have_count(500)
    await expect(visit.by_id("data-cut")).to_have_text(f"The first 500 of {12 * SAMPLES} points; the file has all.")


def awkward() -> Drawn:
    """Numbers and texts that are written in different ways in different languages and formats."""
    values = (0.0, 1.0, -1e-5, 1.5e-7, 123456789.0, 1e16, 1e22, 0.1 + 0.2, -2.5, 100.0)
    points = tuple(Point(value, -value, 60.0 + i, 100.0) for i, value in enumerate(values))
    texts = ("+1", "-2", "=A1", "@x", "\tTab", 'a "quoted" one', "two\nlines", "plain, comma")
    bars = tuple(Point(text, 0.25, 60.0 + i, 100.0) for i, text in enumerate(texts))
    linear = Axis(scale="linear", low=0.0, high=123456.0)
    log = Axis(scale="log", low=0.01, high=1000.0)
    panels = (
        Panel("line", AREA, linear, log, (Series(None, points=points, y_tolerance=0.012, x_tolerance=0.0034),)),
        Panel("line", AREA, abstained="twin_axes"),
        Panel(
            "bar",
            AREA,
            Axis(scale="category", categories=texts),
            Axis(scale="linear"),
            (Series("no", abstained="low_coverage"), Series('-"all"', points=bars), Series(None, points=bars)),
        ),
    )
    return replace(growth(), chart=Chart(panels, revision="fake/1"))


@pytest.mark.parametrize("make", [growth, yields, unread, awkward])
async def test_downloaded_file_is_the_one_that_the_service_writes(
    visit: Visit, engine: OpenAIEngine, redis: Redis, make: Callable[[], Drawn]
) -> None:
    drawn = make()
    await explained(visit, engine, redis, drawn)
    await visit.by_id("data-title").click()
    async with visit.page.expect_download() as download:
        await visit.page.get_by_role("button", name="Download as CSV").click()
    file = await download.value
    assert file.suggested_filename == "figure-data.csv"
    written = await asyncio.to_thread((await file.path()).read_bytes)
    assert written.decode() == chart_csv(drawn.chart)


async def test_data_can_be_copied(browser: Browser, service: Gateway, engine: OpenAIEngine, redis: Redis) -> None:
    url = str(service.http.base_url)
    drawn = yields()
    async with visiting(browser, url, permissions=["clipboard-read", "clipboard-write"]) as visit:
        await explained(visit, engine, redis, drawn)
        await visit.by_id("data-title").click()
        await visit.page.get_by_role("button", name="Copy as CSV").click()
        await expect(visit.page.get_by_role("button", name="Copied")).to_be_visible()
        copied = await visit.page.evaluate("navigator.clipboard.readText()")
        assert copied.splitlines() == chart_csv(drawn.chart).splitlines()
        assert "'=SUM(1)" in copied


# What was not read


@pytest.mark.parametrize(
    ("drawn", "line"),
    [
        (yields(), "Not read: “Kestrol” (too little of the series could be traced)."),
        (unread(), "Not read: panel 2 (there are two different value axes)."),
        (
            replace(growth(), chart=Chart(abstained="no_axes", revision="fake/1")),
            "The data of this figure was not read: no plot area with axes was found.",
        ),
        (
            replace(growth(), chart=Chart(abstained="from_the_future", revision="fake/1")),
            "The data of this figure was not read: from the future.",
        ),
    ],
)
async def test_what_was_not_read_is_said_in_one_line(
    visit: Visit, engine: OpenAIEngine, redis: Redis, drawn: Drawn, line: str
) -> None:
    await explained(visit, engine, redis, drawn)
    await expect(visit.by_id("not-read")).to_have_text(line)
    await expect(visit.by_id("not-read")).to_be_visible()
    claims = drawn.chart.claims
    await expect(visit.by_id("data")).to_be_visible(visible=claims)
    await expect(visit.by_id("show-data-label")).to_be_visible(visible=claims)


async def test_figure_without_data_shows_nothing_of_it(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis, replace(growth(), chart=Chart(revision="fake/1")))
    for part in ("not-read", "data", "show-data-label", "traces"):
        await expect(visit.by_id(part)).to_be_hidden()


async def test_data_of_one_figure_is_gone_with_the_next(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis, yields())
    await expect(marks(visit)).to_have_count(3)
    await visit.choose(growth().image)
    await expect(marks(visit)).to_have_count(0)
    for part in ("not-read", "data", "show-data-label"):
        await expect(visit.by_id(part)).to_be_hidden()


async def test_data_is_shown_only_where_the_model_is_told_it(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    for choice, shown in (("Caption and text", 0), ("Everything", 2), ("Text", 0), ("Nothing", 0)):
        await visit.page.get_by_role("radio", name=choice, exact=True).check(force=True)
        await explained(visit, engine, redis, growth())
        await expect(curves(visit)).to_have_count(shown)


def test_page_has_the_reasons_of_the_reader_word_for_word() -> None:
    words = Path("service/page/words.js").read_text(encoding="utf-8")
    [table] = re.findall(r"const ABSTENTIONS = \{\n(.*?)\n\};", words, re.DOTALL)
    assert dict(re.findall(r'^  (\w+): "(.*)",$', table, re.MULTILINE)) == dict(ABSTENTION_REASONS)


# For everyone


HOSTILE = "<img src=x onerror=alert(1)><b>bold</b>"


async def test_names_of_series_are_never_markup(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    drawn = growth()
    [panel] = drawn.chart.panels
    series = tuple(replace(one, name=HOSTILE, colour='red" onload="alert(2)') for one in panel.series)
    labelled = replace(panel, series=series, x=replace(panel.x, label=HOSTILE))
    await explained(visit, engine, redis, replace(drawn, chart=replace(drawn.chart, panels=(labelled,))))
    await visit.by_id("data-title").click()
    await expect(visit.page.locator("#trace-names span")).to_have_text([HOSTILE, HOSTILE])
    await expect(visit.page.locator("#data td").first).to_have_text(HOSTILE)
    await expect(visit.page.locator("#data b, #data img, #trace-names b, #traces [onload]")).to_have_count(0)


async def test_nothing_of_the_data_is_wider_than_a_phone(
    browser: Browser, service: Gateway, engine: OpenAIEngine, redis: Redis
) -> None:
    drawn = unread()
    panel = drawn.chart.panels[0]
    long = replace(panel, series=(replace(panel.series[0], name="Averyveryverylongname" * 5), *panel.series[1:]))
    async with visiting(browser, str(service.http.base_url), **PHONE) as visit:
        await explained(
            visit, engine, redis, replace(drawn, chart=Chart((long, *drawn.chart.panels[1:]))), TRUE_AND_FALSE
        )
        await visit.page.get_by_label("Show the data that was read").check()
        await visit.by_id("data-title").click()
        await visit.page.locator("#turns .contradicted").focus()
        wider = await visit.page.locator("html").evaluate("(element) => element.scrollWidth - element.clientWidth")
        assert wider == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_checker_of_accessibility_finds_nothing_in_the_data(
    browser: Browser, service: Gateway, engine: OpenAIEngine, redis: Redis, scheme: str
) -> None:
    async with visiting(browser, str(service.http.base_url), color_scheme=scheme, reduced_motion="reduce") as visit:
        await explained(visit, engine, redis, unread(), TRUE_AND_FALSE)
        await visit.page.get_by_label("Show the data that was read").check()
        await visit.by_id("data-title").click()
        await visit.page.locator("#turns .contradicted").focus()
        results = await Axe().run(visit.page)
        found = [
            f"{violation['id']}: {node['html']} {node['failureSummary']}"
            for violation in results.response["violations"]
            for node in violation["nodes"]
        ]
        assert found == []
