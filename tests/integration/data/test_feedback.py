"""Feedback from a gateway to a data set: what people say of answers there is what training and evaluation get."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from data.cli import main
from evaluation.answers.questions import check_images, image_path, read_questions
from llava_graph.figure import open_figure
from tests.fakes.kept import chat, keep, post_feedback
from tests.fakes.openai_engine import OpenAIEngine, speaks
from tests.harness.gateway import gateway, png


async def exported(*arguments: object) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, ["feedback", *map(str, arguments)])


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def test_ratings_of_two_answers_become_a_pair_and_a_question(
    redis_url: str, engine_url: str, engine: OpenAIEngine, tmp_path: Path
) -> None:
    image, folder, out = png("Loss"), tmp_path / "feedback", tmp_path / "out"
    settings = {"feedback": "on", "feedback_dir": folder, "feedback_images": "on"}
    async with gateway(redis_url, engine_url, **settings) as service:
        kept = await keep(service, image, "Loss µ of two runs.")
        for verdict, text in (("up", "Run A, at 0.9."), ("down", "Run B."), ("flag", "Buy now!")):
            engine.behaviour = speaks(text)
            answer = await chat(service, kept["id"])
            await post_feedback(service, answer, verdict=verdict, note=f"It is {verdict}.", figure=kept["id"])
        # One who thinks again: what counts is that the answer was bad.
        first = await post_feedback(service, answer, verdict="up")
        await post_feedback(service, answer, verdict="flag", replaces=first["id"])
    done = await exported(folder, "--out", out)
    assert done.exit_code == 0, done.output

    pairs = rows(out / "preferences.jsonl")
    assert [(row["chosen"], row["rejected"]) for row in pairs] == [
        ("Run A, at 0.9.", "Buy now!"),
        ("Run A, at 0.9.", "Run B."),
    ]
    assert pairs[0]["prompt"] == [{"role": "user", "content": "Why?"}]
    assert pairs[0]["captions"] == ["Loss µ of two runs."]

    read = read_questions(out / "questions.jsonl")
    [question] = read.questions
    assert (question.text, question.caption, question.category) == ("Why?", "Loss µ of two runs.", "flagged")
    check_images(read.questions, out / "images")
    assert question.image is not None
    stored = image_path(out / "images", question.image)
    assert open_figure(stored.read_bytes()).id == open_figure(image).id == kept["pixels"]
