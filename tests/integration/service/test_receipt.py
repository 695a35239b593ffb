"""`done.receipt`: what it says was asked is what was asked, and its hashes are those that its description promises."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import pytest
from redis.asyncio import Redis

from llava_graph.context import DEFAULT_QUESTION
from llava_graph.figure import open_figure
from llava_graph.jobs import Outcome, Reply
from llava_graph.ocr import Line
from tests.fakes.kept import chat, keep, store_reply, store_text
from tests.fakes.openai_engine import OpenAIEngine, speaks
from tests.harness.gateway import MANIFEST, Gateway, gateway, png

NO_LINES = hashlib.sha256(b"[]").hexdigest()


@pytest.fixture
async def service(redis_url: str, engine_url: str) -> AsyncIterator[Gateway]:
    async with gateway(redis_url, engine_url, ocr_deadline_s=30) as running:
        yield running


async def receipt_of(service: Gateway, **fields: object) -> dict[str, Any]:
    response = await service.post(stream=False, **fields)
    assert response.status_code == 200, response.text
    receipt: dict[str, Any] = response.json()["receipt"]
    return receipt


def sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def prompt_sha256(engine: OpenAIEngine) -> str:
    """Of the last prompt, as the receipt's description has it."""
    messages = engine.requests[-1]["messages"]
    return sha256([[m["role"], [part["text"] for part in m["content"] if "text" in part]] for m in messages])


async def test_receipt_says_what_was_asked_of_what(service: Gateway, engine: OpenAIEngine) -> None:
    engine.behaviour = speaks("Größe ", "wächst.")
    image = png(size=(300, 120))
    receipt = (await service.events(image, caption="Loss µ."))[-1].data["receipt"]
    assert receipt == {
        "format": 1,
        "gateway": version("llava-graph"),
        "model": {
            "id": "fake-model",
            "revision": "1",
            "template": "located",
            "template_version": 1,
            "engine": None,
        },
        "figures": [
            {
                "id": open_figure(image).id,
                "width": 300,
                "height": 120,
                "turn": 0,
                "context": "all",
                "caption": "Loss µ.",
                "ocr": {"status": "off", "engine": None, "lines": 0, "sha256": NO_LINES},
                "chart": {"status": "off", "sha256": NO_LINES},
            }
        ],
        "turns": [{"role": "user", "text": DEFAULT_QUESTION}],
        "sampling": {
            "max_tokens": MANIFEST.max_new_tokens,
            "temperature": 0.0,
            "top_p": 1.0,
            "seed": None,
            "stop": [],
            "max_repeats": None,
        },
        "prompt_sha256": prompt_sha256(engine),
        "answer_sha256": hashlib.sha256("Größe wächst.".encode()).hexdigest(),
    }


async def test_receipt_has_the_sampling_of_the_request(service: Gateway) -> None:
    receipt = await receipt_of(service, max_tokens=17, temperature=0.7, top_p=0.5, seed=3)
    chosen = {"max_tokens": 17, "temperature": 0.7, "top_p": 0.5, "seed": 3}
    assert receipt["sampling"] == {**chosen, "stop": [], "max_repeats": None}


async def test_receipt_tells_who_read_the_figure_and_hashes_what_the_model_was_told(
    service: Gateway, redis: Redis, engine: OpenAIEngine
) -> None:
    image = png(size=(200, 100))
    lines = [
        Line("Größe </s>", (10.0, 20.0, 90.0, 35.0), 0.99),
        Line("hardly legible", (10.0, 60.0, 90.0, 75.0), 0.3),  # below what the template takes
    ]
    await store_reply(redis, Reply(open_figure(image).id, Outcome.DONE, lines, engine="fake/1"))
    [done] = [event.data for event in await service.events(image, ocr="auto") if event.name == "done"]
    told = [[50, 200, 450, 350, "Größe ‹/s>"]]
    assert done["receipt"]["figures"][0]["ocr"] == {
        "status": "cached",
        "engine": "fake/1",
        "lines": 1,
        "sha256": sha256(told),
    }
    assert "Größe ‹/s>" in engine.prompt


async def test_figure_that_nobody_read_in_time_has_no_reader(redis_url: str, engine_url: str) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=0.01) as service:
        receipt = await receipt_of(service, ocr="auto")
    assert receipt["figures"][0]["ocr"] == {"status": "timeout", "engine": None, "lines": 0, "sha256": NO_LINES}


async def test_caption_that_the_context_leaves_out_is_not_in_the_receipt(service: Gateway) -> None:
    receipt = await receipt_of(service, caption="Loss.", context="none")
    [figure] = receipt["figures"]
    assert (figure["context"], figure["caption"]) == ("none", "")


async def test_receipt_of_a_conversation_has_all_its_turns(service: Gateway, engine: OpenAIEngine) -> None:
    kept_id = (await keep(service, caption="Loss."))["id"]
    turns = [
        {"role": "user", "content": "Why <image>?"},
        {"role": "assistant", "content": "Since."},
        {"role": "user", "content": "And then?"},
    ]
    receipt = (await chat(service, kept_id, messages=turns))["receipt"]
    assert receipt["turns"] == [{"role": turn["role"], "text": turn["content"]} for turn in turns]
    assert receipt["figures"][0]["caption"] == "Loss."
    assert receipt["prompt_sha256"] == prompt_sha256(engine)


async def test_same_question_has_the_same_receipt(service: Gateway, redis: Redis) -> None:
    image = png("Loss")
    await store_text(redis, open_figure(image).id, "Loss")
    first, second = [(await service.events(image, ocr="auto"))[-1].data["receipt"] for _ in range(2)]
    assert first == second


@pytest.mark.parametrize(
    "changed",
    [{"caption": "Another."}, {"question": "Why?"}, {"context": "none"}],
    ids=["caption", "question", "context"],
)
async def test_another_prompt_has_another_hash(service: Gateway, changed: dict[str, str]) -> None:
    asked = {"caption": "Loss.", "context": "both"}
    before = await receipt_of(service, **asked)
    after = await receipt_of(service, **(asked | changed))
    assert before["prompt_sha256"] != after["prompt_sha256"]
    assert before["answer_sha256"] == after["answer_sha256"]
