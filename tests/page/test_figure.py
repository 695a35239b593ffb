"""The figure on the page: how it gets there, and the boxes over what was read in it."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image
from playwright.async_api import expect
from redis.asyncio import Redis

from llava_graph.figure import open_figure
from tests.fakes.kept import store_text
from tests.fakes.openai_engine import OpenAIEngine, speaks
from tests.harness.gateway import png
from tests.page.browser import Visit

_FILE_OF = """
(encoded) => {
  const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "figure.png", { type: "image/png" }));
  return transfer;
}
"""


async def transfer(visit: Visit, image: bytes) -> object:
    """What the browser hands over when a file is dropped or pasted."""
    return await visit.page.evaluate_handle(_FILE_OF, base64.b64encode(image).decode())


async def is_shown(visit: Visit, size: tuple[int, int]) -> None:
    image = visit.by_id("image")
    await expect(image).to_be_visible()
    await expect(image).to_have_js_property("naturalWidth", size[0])
    await expect(image).to_have_js_property("naturalHeight", size[1])


async def test_chosen_figure_is_shown_before_it_is_sent_and_the_caption_is_next(visit: Visit) -> None:
    await visit.choose(png(size=(300, 120)))
    await is_shown(visit, (300, 120))
    await expect(visit.by_id("caption")).to_be_focused()


async def test_dropped_figure_is_shown(visit: Visit) -> None:
    data = await transfer(visit, png(size=(240, 180)))
    await visit.page.dispatch_event("main", "dragover", {"dataTransfer": data})
    await expect(visit.by_id("drop-veil")).to_be_visible()
    await visit.page.dispatch_event("main", "drop", {"dataTransfer": data})
    await expect(visit.by_id("drop-veil")).to_be_hidden()
    await is_shown(visit, (240, 180))


async def test_pasted_figure_is_shown(visit: Visit) -> None:
    data = await transfer(visit, png(size=(200, 200)))
    await visit.page.evaluate(
        "(data) => document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))", data
    )
    await is_shown(visit, (200, 200))


async def test_picture_that_comes_with_a_copied_text_is_not_taken_for_a_figure(visit: Visit) -> None:
    data = await transfer(visit, png())
    is_left_to_the_browser = await visit.by_id("caption").evaluate(
        """(caption, data) => {
          data.setData("text/plain", "Growth of three strains.");
          return caption.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
        }""",
        data,
    )
    assert is_left_to_the_browser
    await expect(visit.by_id("image")).to_be_hidden()


async def test_caption_written_first_stays_and_goes_with_its_figure(visit: Visit) -> None:
    await visit.by_id("caption").fill("Of the first figure.")
    await visit.choose(png())
    await expect(visit.by_id("caption")).to_have_value("Of the first figure.")
    await visit.choose(png(size=(100, 100)))
    await expect(visit.by_id("caption")).to_have_value("")


async def test_explain_without_a_figure_says_what_is_wanting(visit: Visit) -> None:
    await visit.page.get_by_role("button", name="Explain").click()
    await expect(visit.page.get_by_role("alert")).to_have_text("Choose a figure first.")
    await expect(visit.by_id("file")).to_be_focused()


async def test_format_that_browsers_do_not_show_appears_once_it_was_sent(visit: Visit) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(png(size=(260, 140)))).save(file, "TIFF")
    await visit.choose(file.getvalue(), name="figure.tiff", mime="image/tiff")
    await expect(visit.by_id("no-preview")).to_be_visible()
    await visit.page.get_by_role("button", name="Explain").click()
    await is_shown(visit, (260, 140))
    await expect(visit.by_id("no-preview")).to_be_hidden()


async def test_figure_lying_on_its_side_is_shown_as_the_model_sees_it(visit: Visit) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.open(io.BytesIO(png(size=(300, 100)))).save(file, "JPEG", exif=exif)
    await visit.choose(file.getvalue(), name="figure.jpg", mime="image/jpeg")
    await visit.page.get_by_role("button", name="Explain").click()
    await expect(visit.answer).to_have_text("The figure shows growth.")
    await is_shown(visit, (100, 300))


@pytest.mark.parametrize("width", [1280, 360])
async def test_boxes_stand_where_the_text_is(visit: Visit, redis: Redis, width: int) -> None:
    await visit.page.set_viewport_size({"width": width, "height": 800})
    image = png(size=(1000, 400))
    lines = await store_text(redis, open_figure(image).id, "Growth rate", "Time", "Control")
    await visit.explain(image)
    await expect(visit.boxes).to_have_count(3)
    frame = await visit.by_id("image").bounding_box()
    assert frame is not None
    scale = frame["width"] / 1000
    assert frame["height"] / 400 == pytest.approx(scale, rel=0.01)
    for i, line in enumerate(lines):
        box = await visit.boxes.nth(i).evaluate("(element) => element.getBoundingClientRect().toJSON()")
        x0, y0, x1, y1 = (coordinate * scale for coordinate in line.box)
        # The stroke counts into the rectangle that the browser tells: half of 1 px on each side, at any scale.
        assert box["left"] == pytest.approx(frame["x"] + x0, abs=1.5)
        assert box["top"] == pytest.approx(frame["y"] + y0, abs=1.5)
        assert box["right"] == pytest.approx(frame["x"] + x1, abs=1.5)
        assert box["bottom"] == pytest.approx(frame["y"] + y1, abs=1.5)


async def explained(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    """An answer whose first phrase stands on line 1 and whose second stands on line 0; line 2 it does not name."""
    image = png()
    await store_text(redis, open_figure(image).id, "Growth rate", "Temperature", "Control")
    engine.behaviour = speaks("😀 With Temperature the ", "Growth rate rises.")
    await visit.explain(image)
    await expect(visit.phrases).to_have_text(["Temperature", "Growth rate"])


async def lit_boxes(visit: Visit, *lines: int) -> None:
    for i in range(3):
        await expect(visit.boxes.nth(i)).to_have_attribute("aria-selected", "true" if i in lines else "false")


async def test_pointing_at_a_phrase_lights_its_box(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis)
    await visit.phrases.nth(0).hover()
    await lit_boxes(visit, 1)
    await visit.phrases.nth(1).hover()
    await lit_boxes(visit, 0)
    await visit.by_id("question").hover()
    await lit_boxes(visit)


async def test_pointing_at_a_box_lights_its_phrases_and_tells_its_text(
    visit: Visit, engine: OpenAIEngine, redis: Redis
) -> None:
    await explained(visit, engine, redis)
    await visit.boxes.nth(0).hover()
    await expect(visit.page.locator(".grounded.lit")).to_have_text(["Growth rate"])
    await expect(visit.page.get_by_role("tooltip")).to_have_text("Growth rate · read with 99 % confidence")
    await visit.page.keyboard.press("Escape")
    await expect(visit.page.get_by_role("tooltip")).to_be_hidden()
    await visit.boxes.nth(2).hover()
    await expect(visit.page.locator(".grounded.lit")).to_have_count(0)


async def test_phrase_and_box_lead_to_each_other(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis)
    await visit.phrases.nth(0).click()
    await expect(visit.boxes.nth(1)).to_be_focused()
    await lit_boxes(visit, 1)
    await visit.boxes.nth(0).click()
    await expect(visit.phrases.nth(1)).to_be_focused()
    await lit_boxes(visit, 0)


async def test_arrows_go_from_box_to_box(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis)
    await visit.boxes.nth(0).focus()
    for key, line in (("ArrowRight", 1), ("End", 2), ("ArrowDown", 2), ("ArrowLeft", 1), ("Home", 0)):
        await visit.page.keyboard.press(key)
        await expect(visit.boxes.nth(line)).to_be_focused()
        await lit_boxes(visit, line)


async def test_boxes_can_be_put_to_rest_until_one_is_lit(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis)
    await visit.page.get_by_label("Show where text was read").uncheck()
    await visit.by_id("question").hover()
    await expect(visit.boxes.nth(1)).to_have_css("stroke-opacity", "0")
    await visit.phrases.nth(0).hover()
    await expect(visit.boxes.nth(1)).to_have_css("stroke-opacity", "1")


async def test_text_that_was_read_can_be_read_as_a_list(visit: Visit, engine: OpenAIEngine, redis: Redis) -> None:
    await explained(visit, engine, redis)
    await visit.page.get_by_text("Text read in the figure: 3 lines").click()
    await expect(visit.by_id("lines").get_by_role("listitem")).to_have_text(
        ["Growth rate99 %", "Temperature99 %", "Control99 %"]
    )
    await visit.by_id("lines").get_by_text("Temperature").hover()
    await lit_boxes(visit, 1)


async def test_examples_are_explained_by_one_click(visit: Visit, engine: OpenAIEngine) -> None:
    await visit.page.get_by_role("button", name="Optical density of three strains").click()
    await expect(visit.answer).to_have_text("The figure shows growth.")
    await is_shown(visit, (559, 462))
    await expect(visit.by_id("caption")).to_have_value("Optical density of three strains over 48 hours.")
    assert "Optical density of three strains over 48 hours." in engine.prompt
