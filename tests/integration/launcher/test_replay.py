"""`llava-graph replay` against a real gateway: the same is asked again, and every difference is named."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llava_graph.figure import open_figure
from llava_graph.jobs import Keys, Outcome, Reply
from llava_graph.ocr import Line
from tests.fakes.kept import chat, keep, store_text
from tests.fakes.openai_engine import OpenAIEngine, speaks
from tests.harness.engines import fleet
from tests.harness.gateway import Gateway, closed_port_url, gateway, png

IMAGE = png(size=(200, 100))


@pytest.fixture
async def service(redis_url: str, engine_url: str) -> AsyncIterator[Gateway]:
    async with gateway(redis_url, engine_url, ocr_deadline_s=30) as running:
        yield running


async def answered(service: Gateway, **fields: object) -> dict[str, Any]:
    """One answer about IMAGE as one object."""
    response = await service.post(IMAGE, stream=False, **fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def replayed(service: Gateway, folder: Path, kept: object, image: bytes = IMAGE) -> tuple[int, list[str]]:
    """`llava-graph replay` in a process of its own: exit status and output, without what pads its columns."""
    (folder / "receipt.json").write_text(json.dumps(kept))
    (folder / "figure.png").write_bytes(image)
    command = [sys.executable, "-m", "launcher.cli", "replay", str(folder / "receipt.json")]
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--image", str(folder / "figure.png"), "--url", str(service.http.base_url)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, [" ".join(line.split()) for line in output.decode().splitlines()]


def differing(lines: list[str]) -> list[str]:
    return [line.removeprefix("differs ") for line in lines if line.startswith("differs")]


async def test_same_question_to_the_same_model_is_the_same_in_all(
    service: Gateway, engine: OpenAIEngine, redis: Redis, tmp_path: Path
) -> None:
    await store_text(redis, open_figure(IMAGE).id, "Loss", "Steps")
    asked = {"ocr": "auto", "caption": "Loss.", "question": "Why?", "temperature": 0.7, "top_p": 0.5, "seed": 3}
    answer = await answered(service, max_tokens=17, context="both", **asked)
    status, lines = await replayed(service, tmp_path, answer)
    assert (status, differing(lines)) == (0, [])
    assert engine.requests[1] == engine.requests[0]
    assert "same model fake-model, revision 1" in lines
    assert lines[-1] == "The answer is the same, letter by letter."


async def test_model_of_the_receipt_is_asked_again_and_another_version_of_its_engine_is_named(
    redis_url: str, tmp_path: Path
) -> None:
    async with fleet(tmp_path, "a", "b") as engines:
        engines.write({"first": ["a"], "second": ["b"]})
        async with gateway(redis_url, closed_port_url(), engines_file=engines.path) as service:
            answer = await answered(service, model="second")
            answer["receipt"]["model"]["engine"] = "vllm 0.31.0"
            status, lines = await replayed(service, tmp_path, answer)
        assert (status, differing(lines)) == (0, ["engine vllm 0.31.0 then; not named now"])
        assert "same model second, revision 1" in lines
        assert engines.with_requests() == {"b"}


@pytest.mark.parametrize("context", ["caption", "ocr", "none"])
async def test_what_the_model_was_told_is_told_again(
    service: Gateway, engine: OpenAIEngine, redis: Redis, tmp_path: Path, context: str
) -> None:
    await store_text(redis, open_figure(IMAGE).id, "Loss")
    answer = await answered(service, ocr="auto", caption="Loss.", context=context)
    status, lines = await replayed(service, tmp_path, answer["receipt"])
    assert (status, differing(lines)) == (0, [])
    assert engine.requests[1] == engine.requests[0]


async def test_text_that_was_read_too_late_is_not_told_in_a_replay(
    service: Gateway, redis_url: str, engine_url: str, engine: OpenAIEngine, redis: Redis, tmp_path: Path
) -> None:
    async with gateway(redis_url, engine_url, ocr_deadline_s=0.01) as hasty:
        answer = await answered(hasty, ocr="auto")
    assert answer["ocr"]["status"] == "timeout"
    await store_text(redis, open_figure(IMAGE).id, "Loss")
    status, lines = await replayed(service, tmp_path, answer)
    assert (status, differing(lines)) == (0, [])
    assert engine.requests[1] == engine.requests[0]


async def test_conversation_is_asked_again_with_all_its_turns(
    service: Gateway, engine: OpenAIEngine, tmp_path: Path
) -> None:
    kept_id = (await keep(service, IMAGE, "Loss."))["id"]
    turns = [("user", "Why?"), ("assistant", "Since."), ("user", "And then?")]
    messages = [{"role": role, "content": text} for role, text in turns]
    answer = await chat(service, kept_id, messages=messages)
    status, lines = await replayed(service, tmp_path, answer)
    assert (status, differing(lines)) == (0, [])
    assert engine.requests[1] == engine.requests[0]


async def test_message_too_long_for_a_question_is_asked_again_as_the_message_it_was(
    service: Gateway, engine: OpenAIEngine, tmp_path: Path
) -> None:
    kept_id = (await keep(service, IMAGE, "Loss."))["id"]
    answer = await chat(service, kept_id, messages=[{"role": "user", "content": "Why? " * 500}])
    status, lines = await replayed(service, tmp_path, answer)
    assert (status, differing(lines)) == (0, [])
    assert engine.requests[1] == engine.requests[0]


async def test_another_answer_is_shown_from_where_the_two_part(
    service: Gateway, engine: OpenAIEngine, tmp_path: Path
) -> None:
    answer = await answered(service)
    engine.behaviour = speaks("The figure shows ", "decay.\x1b[31m")
    status, lines = await replayed(service, tmp_path, answer)
    assert status == 1
    assert [line.split()[0] for line in differing(lines)] == ["answer"]
    assert "The answer is another." in lines
    assert lines[-1] == "After 17 same characters it said “growth.” then, and “decay.�[31m” now."


async def test_every_thing_that_an_answer_depends_on_is_named_when_it_differs(
    service: Gateway, redis: Redis, tmp_path: Path
) -> None:
    figure_id = open_figure(IMAGE).id
    await store_text(redis, figure_id, "Loss")
    receipt = (await answered(service, ocr="auto"))["receipt"]
    receipt["model"] |= {"revision": "0", "template_version": 0}
    receipt["gateway"] = "0.0.1"
    reread = Reply(figure_id, Outcome.DONE, [Line("Less", (10.0, 0.0, 90.0, 15.0), 0.9)], engine="fake/2")
    await redis.set(Keys().engine, "fake/2")
    await redis.set(Keys().result("fake/2", figure_id), reread.to_json())
    status, lines = await replayed(service, tmp_path, receipt)
    found = differing(lines)
    assert status == 0  # the fake engine says the same whatever it is asked
    assert found[:2] == [
        f"gateway version 0.0.1 then; version {version('llava-graph')} now",
        "model fake-model, revision 0 then; fake-model, revision 1 now",
    ]
    assert found[2:4] == [
        "template located, version 0 then; located, version 1 now",
        "OCR engine fake/1 then; fake/2 now",
    ]
    assert [line.split()[0] for line in found[4:]] == ["figure's", "prompt"]


async def test_caption_that_was_changed_in_the_receipt_is_noticed(service: Gateway, tmp_path: Path) -> None:
    receipt = (await answered(service, caption="Loss."))["receipt"]
    receipt["figures"][0]["caption"] = "Gain."
    _, lines = await replayed(service, tmp_path, receipt)
    assert [line.split()[0] for line in differing(lines)] == ["prompt"]


async def test_another_image_is_refused_before_anything_is_asked(
    service: Gateway, engine: OpenAIEngine, tmp_path: Path
) -> None:
    answer = await answered(service)
    status, lines = await replayed(service, tmp_path, answer, png(size=(200, 101)))
    assert status == 1
    assert "this image is another figure" in lines[0]
    assert len(engine.requests) == 1


async def test_answer_that_was_drawn_without_a_seed_says_so_when_another_comes(
    service: Gateway, engine: OpenAIEngine, tmp_path: Path
) -> None:
    answer = await answered(service, temperature=0.7)
    engine.behaviour = speaks("It falls.")
    status, lines = await replayed(service, tmp_path, answer["receipt"])
    assert (status, lines[-1]) == (1, "It was drawn without a seed, so that another was to be expected.")


async def test_answer_that_ended_at_a_stop_string_is_compared_up_to_there(
    service: Gateway, engine: OpenAIEngine, tmp_path: Path
) -> None:
    engine.behaviour = speaks("Growth. ")
    receipt = (await answered(service))["receipt"]
    receipt["sampling"]["stop"] = ["END", "\n"]
    engine.behaviour = speaks("Growth. EN", "D of it")
    status, lines = await replayed(service, tmp_path, receipt)
    assert (status, differing(lines)) == (0, [])


async def test_chat_completion_of_openais_interface_is_asked_again(
    service: Gateway, engine: OpenAIEngine, tmp_path: Path
) -> None:
    engine.behaviour = speaks("It grows. END of it")
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [image, {"type": "text", "text": "Why?"}]},
    ]
    asked = {"messages": messages, "stop": ["END"], "figure": {"caption": "Loss.", "ocr": "off"}}
    response = await service.http.post("/v1/chat/completions", json={"model": "fake-model", **asked})
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == "It grows. "
    status, lines = await replayed(service, tmp_path, response.json())
    assert (status, differing(lines)) == (0, [])
    assert engine.requests[1] == engine.requests[0]


async def test_refusal_of_the_gateway_is_told_with_its_code(service: Gateway, tmp_path: Path) -> None:
    receipt = (await answered(service))["receipt"]
    receipt["sampling"]["max_tokens"] = 100_000
    status, lines = await replayed(service, tmp_path, receipt)
    assert status == 1
    assert "fields_invalid" in lines[0]
