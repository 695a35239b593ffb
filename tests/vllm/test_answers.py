"""What vLLM answers through the gateway: the same whichever way it is asked, and quicker where it knows the figure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx2
import pytest

from llava_graph import client
from llava_graph.client import Event
from llava_graph.context import Turn
from tests.e2e.conftest import RunningStack
from tests.vllm.conftest import Figure, done, drawn_figure, engine_core, in_slices
from tests.vllm.metrics import Counts, EngineMetrics

pytestmark = pytest.mark.timeout(300)

BLOCK_TOKENS = 128
"""vLLM's prefix cache works in blocks of so many tokens on a CPU."""


async def test_a_stream_says_what_one_object_says(gateway: httpx2.AsyncClient, figures: Sequence[Figure]) -> None:
    figure = figures[0]
    pieces, end = [], None
    async for event in client.explain(gateway, figure.png, figure.caption, temperature=0):
        if event.name == "delta":
            pieces.append(event.data["text"])
        end = event
    assert end is not None
    assert end.name == "done"

    fields = {"caption": figure.caption, "temperature": "0", "stream": "false"}
    whole = (await gateway.post("/v1/explain", data=fields, files={"image": figure.png})).raise_for_status().json()
    assert whole["text"] == end.data["text"] == "".join(pieces)
    assert (whole["finish_reason"], whole["usage"]) == (end.data["finish_reason"], end.data["usage"])
    assert whole["usage"]["completion_tokens"] > 10


async def test_sixteen_at_once_get_the_answers_that_each_gets_alone(
    stack: RunningStack, gateway: httpx2.AsyncClient, metrics: EngineMetrics, figures: Sequence[Figure]
) -> None:
    alone = [await done(gateway, figure) for figure in figures]
    async with in_slices(engine_core(stack.pid("engine"))) as let_go_for_a_slice:
        together = asyncio.gather(*(done(gateway, figure) for figure in figures))
        while (await metrics.read()).running < len(figures) / 2:
            assert not together.done()
            await let_go_for_a_slice()
    assert [answer["text"] for answer in await together] == [answer["text"] for answer in alone]
    assert len({answer["text"] for answer in alone}) > len(figures) / 2


async def test_answers_drawn_with_a_seed_are_the_same_alone_and_among_others(
    gateway: httpx2.AsyncClient, figures: Sequence[Figure]
) -> None:
    asked, others = figures[:4], figures[4:8]
    alone = [await done(gateway, figure, temperature=1, seed=7) for figure in asked]
    together = await asyncio.gather(
        *(done(gateway, figure, temperature=1, seed=7) for figure in asked),
        *(done(gateway, figure, temperature=1) for figure in others),
    )
    assert [answer["text"] for answer in together[: len(asked)]] == [answer["text"] for answer in alone]
    another = [await done(gateway, figure, temperature=1, seed=8) for figure in asked]
    assert [answer["text"] for answer in another] != [answer["text"] for answer in alone]


async def test_follow_up_questions_find_image_and_context_in_vllm_s_caches(
    gateway: httpx2.AsyncClient, metrics: EngineMetrics
) -> None:
    figure = drawn_figure(2_000_100)
    kept = await client.add_figure(gateway, figure.png, figure.caption)
    turns = [Turn("user", "Explain this figure.")]
    before = await metrics.read()
    first = await answered(gateway, kept["id"], turns)
    after_first = await metrics.at_rest()
    assert hits(before, after_first) == (0, 0)

    for question in ("What does the vertical axis show?", "Which series are there?"):
        turns += [Turn("assistant", first.data["text"]), Turn("user", question)]
        before = await metrics.read()
        second = await answered(gateway, kept["id"], turns)
        tokens, images = hits(before, await metrics.at_rest())
        # All of the earlier prompt is known, in whole blocks; what may be known besides is the answer to it.
        known_tokens = first.data["usage"]["prompt_tokens"] // BLOCK_TOKENS * BLOCK_TOKENS
        assert known_tokens <= tokens < second.data["usage"]["prompt_tokens"]
        assert known_tokens > 0
        assert images == 1
        assert second.data["usage"]["prompt_tokens"] > first.data["usage"]["prompt_tokens"]
        assert second.data["text"].strip()
        first = second


async def answered(gateway: httpx2.AsyncClient, kept_id: str, turns: list[Turn]) -> Event:
    """The end of the next answer, whose prompt held the figure's text."""
    events = [event async for event in client.chat(gateway, kept_id, turns, temperature=0)]
    parts = {event.name: event for event in events}
    assert parts["ocr"].data["status"] in ("ok", "cached")
    return parts["done"]


def hits(before: Counts, after: Counts) -> tuple[float, float]:
    """Tokens found in the prefix cache and images found in the image cache, from one reading to the next."""
    return after.prefix_tokens_hit - before.prefix_tokens_hit, after.images_hit - before.images_hit
