"""Answers through any OpenAI endpoint: complete, resumable, and never to something else than was asked."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from evaluation.fingerprint import load
from evaluation.rows import read_json, read_rows
from llava_graph.figure import open_figure
from tests.fakes import evaluation_files as files
from tests.fakes.judge import FakeJudge, Reply, fails, prompt_of, rate_limited, says

Command = Callable[..., Awaitable[Result]]

CAPTIONED = [{**row, "caption": f"Caption of {row['question_id']}."} for row in files.QUESTIONS]


class Bench:
    def __init__(self, folder: Path, url: str, run_eval: Command) -> None:
        self.folder, self.url, self._run_eval = folder, url, run_eval
        self.questions = files.lines(folder / "q.jsonl", CAPTIONED)
        self.images = files.images(folder / "images")
        self.out = folder / "run" / "answers.jsonl"

    async def answer(self, *more: object, context: str = "caption") -> Result:
        return await self._run_eval(
            "answer", "--questions", self.questions, "--images", self.images, "--endpoint", self.url, "--model", "m",
            "--context", context, "--concurrency", 2, "--out", self.out, *more,
        )  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path, judge_url: str, run_eval: Command) -> Bench:
    return Bench(tmp_path, judge_url, run_eval)


def echoes(request: dict[str, Any]) -> Reply:
    return says(f"Echo: {prompt_of(request)[-20:]}", model="served-model")


async def test_rows_have_the_originals_fields_in_the_questions_order(bench: Bench, judge: FakeJudge) -> None:
    judge.otherwise = echoes
    result = await bench.answer()
    assert result.exit_code == 0, result.output
    rows = read_rows(bench.out)
    assert [row["question_id"] for row in rows] == [0, 1, 2, 3]
    for row in rows:
        assert list(row) == ["question_id", "prompt", "text", "answer_id", "model_id", "metadata"]
    assert rows[0]["prompt"] == "Which run is best in the graph?"
    assert rows[0]["text"].endswith("best in the graph?")
    assert len({row["answer_id"] for row in rows}) == 4
    assert rows[0]["metadata"]["category"] == "conv"
    assert rows[0]["metadata"]["finish_reason"] == "stop"


async def test_endpoint_gets_the_upright_pixels_the_context_and_the_sampling(bench: Bench, judge: FakeJudge) -> None:
    await bench.answer("--temperature", 0.5, "--seed", 7, "--max-tokens", 33)
    request = next(r for r in judge.requests if "Caption of 0." in prompt_of(r))
    (message,) = request["messages"]
    image, text = message["content"]
    sent = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert open_figure(sent).id == open_figure((bench.images / files.FIGURE).read_bytes()).id
    assert text["text"] == "Caption of the figure: Caption of 0.\n\nWhich run is best in the graph?"
    assert (request["temperature"], request["seed"], request["max_tokens"]) == (0.5, 7, 33)
    assert "authorization" not in judge.headers[0] or judge.headers[0]["authorization"] == "Bearer none"


async def test_fingerprint_says_what_was_measured(bench: Bench, judge: FakeJudge) -> None:
    judge.otherwise = echoes
    assert (await bench.answer("--revision", "abc")).exit_code == 0
    first = load(bench.out)
    assert first is not None
    assert (first.model, first.revision, first.template, first.context) == (
        "served-model",
        "abc",
        "plain v2",
        "caption",
    )
    assert "version 0.0.1" in str(first.engine)
    assert first.sampling == {"temperature": 0.0, "top_p": None, "max_tokens": 1024, "seed": None}
    # Another file with the same pixels is the same run; other pixels are another.
    path = bench.images / files.FIGURE
    with Image.open(path) as image:
        image.save(path, "PNG", compress_level=0)
    bench.out = bench.folder / "again" / "answers.jsonl"
    assert (await bench.answer("--revision", "abc")).exit_code == 0
    assert load(bench.out) == first
    buffer = io.BytesIO()
    Image.new("RGB", (160, 120), "red").save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    bench.out = bench.folder / "other" / "answers.jsonl"
    assert (await bench.answer("--revision", "abc")).exit_code == 0
    other = load(bench.out)
    assert other is not None
    assert other.pixels_sha256 != first.pixels_sha256
    assert other.prompts_sha256 == first.prompts_sha256


async def test_a_stopped_run_goes_on_and_answers_nothing_twice(bench: Bench, judge: FakeJudge) -> None:
    judge.replies = [says("One."), says("Two."), fails(400, "No.")]
    assert (await bench.answer("--concurrency", 1)).exit_code == 1
    assert len(read_rows(bench.out)) == 2
    with bench.out.open("a") as file:
        file.write('{"question_id": 2, "text": "to')  # stopped in the middle of a row
    result = await bench.answer()
    assert result.exit_code == 0, result.output
    assert [row["text"] for row in read_rows(bench.out)[:2]] == ["One.", "Two."]
    assert len(judge.requests) == 3 + 2


@pytest.mark.parametrize("more", [("--temperature", 1), ("--template", "plain"), ("--revision", "other")])
async def test_a_run_is_not_resumed_with_other_settings(
    bench: Bench, judge: FakeJudge, more: tuple[object, ...]
) -> None:
    assert (await bench.answer()).exit_code == 0
    result = await bench.answer(*more)
    assert result.exit_code == 1
    assert "holds another run" in result.output
    assert len(judge.requests) == 4


async def test_rate_limits_are_waited_for(bench: Bench, judge: FakeJudge) -> None:
    judge.replies = [rate_limited("0"), rate_limited("0")]
    assert (await bench.answer()).exit_code == 0
    assert len(judge.requests) == 6


async def test_a_missing_image_fails_before_the_first_request(bench: Bench, judge: FakeJudge) -> None:
    (bench.images / files.OTHER_FIGURE).unlink()
    result = await bench.answer()
    assert result.exit_code == 1
    assert "2 of 4 images are missing" in result.output
    assert judge.requests == []


async def test_a_broken_image_ends_the_run_and_is_named(bench: Bench) -> None:
    (bench.images / files.OTHER_FIGURE).write_bytes(b"no image")
    result = await bench.answer()
    assert result.exit_code == 1
    assert files.OTHER_FIGURE in result.output


async def test_a_missing_key_fails_before_the_first_request(
    bench: Bench, judge: FakeJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODEL_KEY", raising=False)
    result = await bench.answer("--key-env", "MODEL_KEY")
    assert result.exit_code == 1
    assert "MODEL_KEY" in result.output
    assert judge.requests == []


async def test_an_endpoint_that_becomes_another_model_ends_the_run(bench: Bench, judge: FakeJudge) -> None:
    judge.replies = [says("One.", model="m1"), says("Two.", model="m2")]
    result = await bench.answer("--concurrency", 1)
    assert result.exit_code == 1
    assert "model: m1 / m2" in result.output


async def test_questions_without_a_figure_are_asked_as_text(bench: Bench, judge: FakeJudge) -> None:
    files.lines(bench.questions, [{"question_id": 1, "text": "What is a median?", "category": "knowledge"}])
    assert (await bench.answer(context="none")).exit_code == 0
    assert judge.requests[0]["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "What is a median?"}]}
    ]


def names_what_it_is_told(request: dict[str, Any]) -> Reply:
    prompt = prompt_of(request)
    marks = {"Caption": "Caption of 0.", "Printed": "Printed", "Vodira": "Vodira"}
    words = [word for word, mark in marks.items() if mark in re.sub(r"Caption of \d", "Caption of 0", prompt)]
    return says("The figure shows " + " ".join(words or ["nothing"]))


async def test_context_command_measures_what_each_context_is_worth(
    bench: Bench, judge: FakeJudge, run_eval: Command
) -> None:
    judge.otherwise = names_what_it_is_told
    points = [{"x": 0, "y": 1, "px": 10, "py": 100}, {"x": 1, "y": 9, "px": 150, "py": 20}]
    series = {"name": "Vodira", "points": points, "coverage": 1.0}
    axes = {"x": {"scale": "linear", "low": 0, "high": 1}, "y": {"scale": "linear", "low": 0, "high": 10}}
    panel = {"kind": "line", "area": [10, 10, 150, 110], **axes, "series": [series]}
    line = {"text": "Printed", "box": [1, 2, 30, 12], "confidence": 0.9}
    readings = files.lines(
        bench.folder / "readings.jsonl",
        [
            {"image": image, "lines": [line], "chart": {"panels": [panel]}}
            for image in (files.FIGURE, files.OTHER_FIGURE)
        ],
    )
    rows = [{**row, "reference": "The figure shows Caption Printed Vodira"} for row in CAPTIONED]
    files.lines(bench.questions, rows)
    out = bench.folder / "context"
    result = await run_eval(
        "context", "--questions", bench.questions, "--images", bench.images, "--endpoint", bench.url, "--model", "m",
        "--readings", readings, "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    document = read_json(out / "context.json")
    assert list(document["contexts"]) == ["none", "caption", "ocr", "chart", "all"]
    assert document["contexts"]["all"]["ROUGE-L"]["value"] == pytest.approx(1.0)
    assert document["differences"]["all"]["ROUGE-L"]["value"] > document["differences"]["ocr"]["ROUGE-L"]["value"] > 0
    assert document["also_differing"] == {}
    assert "| less none |" in (out / "context.md").read_text()
    texts = {name: read_rows(out / name / "answers.jsonl")[0]["text"] for name in document["contexts"]}
    assert texts["none"] == "The figure shows nothing"
    assert texts["ocr"] == "The figure shows Printed"
    assert json.loads((out / "chart" / "answers.fingerprint.json").read_text())["context"] == "chart"


async def test_context_is_refused_before_the_first_request_where_readings_are_missing(
    bench: Bench, judge: FakeJudge, run_eval: Command
) -> None:
    files.lines(bench.questions, [{**row, "reference": "x"} for row in CAPTIONED])
    result = await run_eval(
        "context", "--questions", bench.questions, "--images", bench.images, "--endpoint", bench.url, "--model", "m",
        "--out", bench.folder / "context",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "needs readings" in result.output
    assert judge.requests == []
