"""Many figures through a gateway into a file: every figure once, also over stops, failures and busy moments."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from launcher.bulk import TRIES, AnswerFile, BulkError, Item, explain_all, find_figures, over, read_captions
from llava_graph.client import ExplainError
from tests.fakes.openai_engine import OpenAIEngine, Wire, sends, speaks
from tests.harness.gateway import Gateway, closed_port_url, gateway, png, serving

ANSWER = "The figure shows growth."


@pytest.fixture
async def service(redis_url: str, engine: OpenAIEngine) -> AsyncIterator[Gateway]:
    async with serving(engine, lifespan=False) as url, gateway(redis_url, url) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three figures in folders, a text, and captions for two of the figures."""
    (tmp_path / "deep").mkdir()
    for index, name in enumerate(["a.png", "b.PNG", "deep/c.png"]):
        (tmp_path / name).write_bytes(png(size=(200 + index, 120)))
    (tmp_path / "notes.txt").write_text("no figure")
    listed = [{"image": "a.png", "caption": "First."}, {"image": "deep/c.png", "caption": "Third.", "question": "Why?"}]
    (tmp_path / "captions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in listed))
    return tmp_path


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def _run(
    service: Gateway, items: list[Item], out: Path, pauses: list[float] | None = None
) -> list[tuple[Item, ExplainError | None]]:
    """What ended, and how; pauses between tries are noted, not waited for."""
    ended: list[tuple[Item, ExplainError | None]] = []

    async def no_sleep(pause_s: float) -> None:
        (pauses if pauses is not None else []).append(pause_s)

    answers = AnswerFile(out)
    await explain_all(
        answers.missing(items),
        answers,
        over(service.http, ocr=False),
        concurrency=2,
        ended=lambda item, error: ended.append((item, error)),
        sleep=no_sleep,
    )
    return ended


async def test_every_figure_of_a_folder_gets_a_line_with_its_caption(service: Gateway, folder: Path) -> None:
    items = find_figures([folder], read_captions(folder / "captions.jsonl"))
    await _run(service, items, folder / "answers.jsonl")
    lines = {line["image"]: line for line in _lines(folder / "answers.jsonl")}
    assert {image: (line["caption"], line["question"]) for image, line in lines.items()} == {
        str(folder / "a.png"): ("First.", None),
        str(folder / "b.PNG"): ("", None),
        str(folder / "deep/c.png"): ("Third.", "Why?"),
    }
    line = lines[str(folder / "b.PNG")]
    assert (line["text"], line["figure"]["width"], line["ocr"]["status"]) == (ANSWER, 201, "off")


async def test_second_run_asks_only_what_has_no_answer(service: Gateway, engine: OpenAIEngine, folder: Path) -> None:
    out = folder / "answers.jsonl"
    items = find_figures([folder / "a.png", folder / "b.PNG"], [])
    await _run(service, items[:1], out)
    with out.open("a") as file:
        file.write('{"image": "cut short by a cra')
    await _run(service, [*items, *items], out)
    assert len(engine.requests) == 2
    assert [line["image"] for line in _lines(out)] == [str(item.image) for item in items]


async def test_unusual_ends_of_lines_in_a_caption_end_no_line_of_the_file(
    service: Gateway, engine: OpenAIEngine, folder: Path
) -> None:
    (folder / "captions.jsonl").write_text(
        '{"image": "a.png", "caption": "Growth\u2028of\x85three."}\n', encoding="utf-8"
    )
    items = find_figures([], read_captions(folder / "captions.jsonl"))
    for _ in range(2):
        await _run(service, items, folder / "answers.jsonl")
    assert [item.caption for item in items] == ["Growth\u2028of\x85three."]
    assert len(engine.requests) == 1


async def test_figure_that_failed_has_a_line_that_says_why_and_is_asked_about_again(
    service: Gateway, engine: OpenAIEngine, folder: Path
) -> None:
    out = folder / "answers.jsonl"
    items = [Item(folder / "a.png", "First."), Item(folder / "notes.txt", ""), Item(folder / "gone.png", "")]
    ended = await _run(service, items, out)
    assert {item.image.name: error and error.code for item, error in ended} == {
        "a.png": None,
        "notes.txt": "image_undecodable",
        "gone.png": "image_unreadable",
    }
    (folder / "gone.png").write_bytes(png())
    await _run(service, items, out)
    assert len(engine.requests) == 2
    errors = [line["error"]["code"] for line in _lines(out) if "error" in line]
    assert errors == ["image_undecodable"]


async def test_busy_gateway_is_asked_again_after_the_pause_it_names(
    service: Gateway, engine: OpenAIEngine, folder: Path
) -> None:
    calls = 0

    async def busy_twice(wire: Wire) -> None:
        nonlocal calls
        calls += 1
        answer = sends(b"{}", status=503, content_type="application/json") if calls <= 2 else speaks(ANSWER)
        await answer(wire)

    engine.behaviour = busy_twice
    pauses: list[float] = []
    ended = await _run(service, [Item(folder / "a.png", "")], folder / "answers.jsonl", pauses)
    assert [error for _, error in ended] == [None]
    assert len(pauses) == 2


async def test_what_stays_unreachable_fails_after_a_bounded_number_of_tries(redis_url: str, folder: Path) -> None:
    async with gateway(redis_url, closed_port_url()) as service:
        pauses: list[float] = []
        ended = await _run(service, [Item(folder / "a.png", "")], folder / "answers.jsonl", pauses)
    assert [error.code for _, error in ended if error] == ["engine_unavailable"]
    assert pauses == [5.0] * (TRIES - 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "captions.jsonl:1: not JSON"),
        ("[]", "captions.jsonl:1: not a JSON object"),
        ('\n{"image": "a.png"}', "captions.jsonl:2: 'caption' is missing"),
        ('{"image": "a.png", "caption": 3}', "captions.jsonl:1: image, caption and question must be texts"),
    ],
)
def test_list_of_captions_that_is_wrong_names_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "captions.jsonl").write_text(text)
    with pytest.raises(BulkError, match=words):
        read_captions(tmp_path / "captions.jsonl")


def test_file_of_answers_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    out.write_text("my notes\nmore notes\n")
    with pytest.raises(BulkError, match=r"answers\.jsonl:1"):
        AnswerFile(out)
    assert out.read_text() == "my notes\nmore notes\n"


async def _command(*arguments: object) -> tuple[int, str]:
    """`llava-graph explain` in a process of its own: exit status and all output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "launcher.cli",
        "explain",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode()


async def test_command_lists_failures_at_the_end_and_exits_with_1(service: Gateway, folder: Path) -> None:
    out = folder / "answers.jsonl"
    url = ("--url", str(service.http.base_url), "--no-ocr", "--out", out)
    status, output = await _command(folder, folder / "notes.txt", "--captions", folder / "captions.jsonl", *url)
    assert status == 1
    assert "1 of 4 figures" in output
    assert "notes.txt: image_undecodable" in output.replace("\n", "")
    status, _ = await _command(folder, "--captions", folder / "captions.jsonl", *url)
    assert (status, len(_lines(out))) == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["examples"], "give the captions"),
        (["examples/growth.png", "--caption", "a", "--captions", "pyproject.toml"], "give the captions"),
        (["examples/growth.png", "--caption", "a", "--caption", "b"], "1 images need one --caption"),
        (["--caption", "a"], "there are no images"),
    ],
)
async def test_command_says_what_is_wrong_with_its_arguments(arguments: list[str], words: str) -> None:
    status, output = await _command(*arguments)
    assert status == 2
    assert words in output
