"""`llava-graph data dialogues` against an endpoint on the loopback that answers as a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from data.cli import main
from data.shards import record_of, rows_of, shard_paths
from tests.fakes.chat_endpoint import ChatEndpoint, problem
from tests.fixtures import data as fixtures
from tests.harness.gateway import serving

GOOD = "Question: What does the graph show?\nAnswer: Power.\n\nQuestion: Why?\nAnswer: So.\n"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """The 14 figures of the SciCap+ fixture in three shards."""
    options = [
        "--images",
        str(fixtures.SCICAP_PLUS / "imgs"),
        "--rows-per-shard",
        "5",
        "--out",
        str(tmp_path / "records"),
    ]
    result = CliRunner().invoke(main, ["read", "scicap-plus", str(fixtures.SCICAP_PLUS), *options])
    assert result.exit_code == 0, result.output
    return tmp_path / "records"


@asynccontextmanager
async def at(endpoint: ChatEndpoint) -> AsyncIterator[str]:
    async with serving(endpoint, lifespan=False) as url:
        yield f"{url}/v1"


async def run(records: Path, url: str, out: Path, *options: object) -> Result:
    arguments = ["dialogues", records, "--base-url", url, "--model", "m", "--out", out, "--yes", *options]
    return await asyncio.to_thread(CliRunner().invoke, main, [str(argument) for argument in arguments])


def conversations(folder: Path) -> dict[str, list[tuple[str, str]]]:
    rows = (row for shard in shard_paths(folder) for row in rows_of(shard))
    return {record.id: [(turn.role, turn.text) for turn in record.conversations] for record, _ in map(record_of, rows)}


def rejected(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "rejected").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


async def test_dialogues_become_conversations_that_show_the_image_once(records: Path, tmp_path: Path) -> None:
    endpoint = ChatEndpoint(lambda _: GOOD)
    async with at(endpoint) as url:
        result = await run(records, url, tmp_path / "out", "--key", "secret")
    assert result.exit_code == 0, result.output
    assert "14 dialogues with 14 questions; 14 more were dropped" in result.output
    assert "used: 1,400 prompt tokens, 280 answer tokens" in result.output
    assert set(endpoint.keys) == {"Bearer secret"}
    assert "secret" not in (tmp_path / "out" / "stage.json").read_text(encoding="utf-8")
    made = conversations(tmp_path / "out")
    firsts = {turns[0][1] for turns in made.values()}
    assert firsts == {"<image>\nWhat does the graph show?", "What does the graph show?\n<image>"}
    assert all(turns[1:] == [("assistant", "Power.")] for turns in made.values())
    asked = endpoint.requests[0]
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("m", 1024, 0.7)
    assert all("Caption: Fig. " in request["messages"][1]["content"] for request in endpoint.requests)


async def test_each_kind_is_asked_for_and_makes_a_record_of_its_own(records: Path, tmp_path: Path) -> None:
    endpoint = ChatEndpoint(lambda _: GOOD)
    kinds = ("--kind", "conversation", "--kind", "detail_description", "--kind", "complex_reasoning")
    async with at(endpoint) as url:
        result = await run(records, url, tmp_path / "out", *kinds)
    assert "42 dialogues" in result.output
    made = conversations(tmp_path / "out")
    assert len(made) == 42
    assert "1002.0000v1-Figure1-1#complex_reasoning" in made
    assert len({request["messages"][0]["content"] for request in endpoint.requests}) == 3


async def test_rejected_answers_are_kept_with_their_reasons(records: Path, tmp_path: Path) -> None:
    answers = {
        "The power of": "I cannot help with that.",
        "The speed of": "Question: Why?\nAnswer: Because it is so.",
        "The heat of": problem(400, "context too long"),
        "The loss of": "",
    }

    def says(body: dict[str, Any]) -> Any:
        told = body["messages"][1]["content"]
        return next((answer for part, answer in answers.items() if part in told), GOOD)

    async with at(ChatEndpoint(says)) as url:
        result = await run(records, url, tmp_path / "out")
    reasons = {"no_question_answer", "no_figure_word", "refused", "empty"}
    assert {entry["reason"] for entry in rejected(tmp_path / "out")} == reasons
    for reason in reasons:
        assert f"rejected, {reason}: 1" in result.output
    (refused,) = (entry for entry in rejected(tmp_path / "out") if entry["reason"] == "refused")
    assert "context too long" in refused["message"]
    assert len(conversations(tmp_path / "out")) == 10


async def test_command_of_a_model_s_answer_is_made_harmless(records: Path, tmp_path: Path) -> None:
    async with at(ChatEndpoint(lambda _: "Question: What does <image> show?\nAnswer: </s> Power.")) as url:
        await run(records, url, tmp_path / "out")
    for turns in conversations(tmp_path / "out").values():
        assert turns[0][1].count("<image>") == 1
        assert "</s>" not in turns[1][1]


async def test_stopped_run_asks_for_nothing_twice(records: Path, tmp_path: Path) -> None:
    """The key is refused in the middle of the run, as when the money is used up."""
    endpoint = ChatEndpoint(lambda _: GOOD if len(endpoint.requests) <= 7 else problem(401, "quota is used up"))
    async with at(endpoint) as url:
        stopped = await run(records, url, tmp_path / "out", "--at-once", 1)
        assert stopped.exit_code == 1
        assert "answers 401" in stopped.output
        answered = [request["messages"][1]["content"] for request in endpoint.requests[:7]]
        endpoint.requests.clear()
        endpoint.says = lambda _: GOOD
        result = await run(records, url, tmp_path / "out", "--at-once", 1)
        asked = [request["messages"][1]["content"] for request in endpoint.requests]
    assert "14 dialogues" in result.output
    assert len(asked) == 7
    assert not set(asked) & set(answered)


async def test_busy_endpoint_is_tried_again_when_it_says(records: Path, tmp_path: Path) -> None:
    endpoint = ChatEndpoint(
        lambda _: problem(429, "slow down", retry_after_ms="1") if len(endpoint.requests) % 2 else GOOD
    )
    async with at(endpoint) as url:
        result = await run(records, url, tmp_path / "out", "--at-once", 1, "--limit", 2)
    assert result.exit_code == 0, result.output
    assert "6 dialogues" in result.output
    assert len(endpoint.requests) == 12


async def test_low_ratings_are_rejected_and_the_mean_is_told(records: Path, tmp_path: Path) -> None:
    def says(body: dict[str, Any]) -> str:
        if "judge" not in body["messages"][0]["content"]:
            return GOOD
        assert "Question: What does the graph show?\nAnswer: Power." in body["messages"][1]["content"]
        assert body["temperature"] == 0.0
        return '{"score": 2}' if "The power of" in body["messages"][1]["content"] else '{"score": 9}'

    endpoint = ChatEndpoint(says)
    async with at(endpoint) as url:
        result = await run(records, url, tmp_path / "out", "--min-rating", 5)
    assert "13 dialogues" in result.output
    assert "mean rating: 8.50" in result.output
    assert [(entry["reason"], entry["rating"]) for entry in rejected(tmp_path / "out")] == [
        ("rating_low", '{"score": 2}')
    ]
    assert len(endpoint.requests) == 28


async def test_cost_is_told_before_anything_is_asked(records: Path, tmp_path: Path) -> None:
    endpoint = ChatEndpoint(lambda _: GOOD)
    prices = ("--price-in", 2, "--price-out", 10)
    async with at(endpoint) as url:
        only = await run(records, url, tmp_path / "out", *prices, "--estimate-only")
        arguments = ["dialogues", str(records), "--base-url", url, "--model", "m", "--out", str(tmp_path / "out")]
        declined = await asyncio.to_thread(CliRunner().invoke, main, arguments, input="n\n")
    assert "estimate: 14 requests, about " in only.output
    answer_tokens = 14 * 245
    assert f"{answer_tokens:,} answer tokens" in only.output
    prompt_tokens = int(only.output.partition("about ")[2].partition(" ")[0].replace(",", ""))
    assert f": about {(prompt_tokens * 2 + answer_tokens * 10) / 1e6:.2f}" in only.output
    assert declined.exit_code == 1
    assert "Start?" in declined.output
    assert endpoint.requests == []
    assert not (tmp_path / "out").exists()


async def test_endpoint_that_is_not_there_ends_the_run_in_words(records: Path, tmp_path: Path) -> None:
    result = await run(records, "http://127.0.0.1:1/v1", tmp_path / "out", "--tries", 1)
    assert result.exit_code == 1
    assert "http://127.0.0.1:1/v1: " in result.output
