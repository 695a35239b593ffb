"""A conversation about a kept figure on the real thing: one upload, the text read beside it, answers turn by turn."""

from __future__ import annotations

import httpx2

from llava_graph import client
from llava_graph.client import Event
from llava_graph.context import DEFAULT_QUESTION, Turn
from llava_graph.example_figures import Example
from tests.e2e.conftest import RunningStack
from tests.e2e.explaining import SHORT, explained


async def test_conversation_begins_like_an_explanation_and_goes_on_from_there(
    stack: RunningStack, examples: list[Example]
) -> None:
    image, caption = examples[0].image.read_bytes(), examples[0].caption
    alone = (await explained(stack.url, image, caption))[-1].data
    async with httpx2.AsyncClient(base_url=stack.url, timeout=client.TIMEOUT) as gateway:
        kept_id = (await client.add_figure(gateway, image, caption))["id"]

        async def answer_to(turns: list[Turn]) -> list[Event]:
            return [event async for event in client.chat(gateway, kept_id, turns, max_tokens=SHORT)]

        turns = [Turn("user", DEFAULT_QUESTION)]
        first = (await answer_to(turns))[-1].data
        turns += [Turn("assistant", first["text"]), Turn("user", "Which curve is highest?")]
        figure, ocr, *_, second = await answer_to(turns)

    assert first["text"] == alone["text"]
    assert first["usage"]["prompt_tokens"] == alone["usage"]["prompt_tokens"]
    assert figure.data["width"] > 300
    assert (ocr.data["status"], bool(ocr.data["lines"])) == ("cached", True)
    assert second.data["finish_reason"] in ("stop", "length")
    spoken = first["usage"]["prompt_tokens"] + first["usage"]["completion_tokens"]
    assert second.data["usage"]["prompt_tokens"] > spoken
