"""The main job on the real thing: figure and caption in; figure, text, answer, usage and grounding out."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from llava_graph import client
from llava_graph.client import ExplainError
from llava_graph.example_figures import Example
from tests.e2e.conftest import LLAVA_GRAPH, REPOSITORY, RunningStack
from tests.e2e.explaining import SHORT, explained

WORDS = {"growth.png": {"Optical density", "Time (h)"}, "soil.png": {"Moisture (%)", "Days after rain", "Open field"}}
"""Some of what a person reads in the examples, both rotated and upright."""


@pytest.fixture(params=[0, 1], ids=["plotted", "drawn by hand"])
def example(request: pytest.FixtureRequest, examples: list[Example]) -> Example:
    chosen: Example = examples[request.param]
    return chosen


async def test_parts_of_an_explanation_come_in_order_and_fit_together(stack: RunningStack, example: Example) -> None:
    events = await explained(stack.url, example.image.read_bytes(), example.caption)

    names = [event.name for event in events]
    assert names == ["figure", "ocr", "chart", *["delta"] * (len(events) - 4), "done"]
    figure, ocr, done = events[0].data, events[1].data, events[-1].data
    assert figure["width"] > 300
    assert len(figure["id"]) == 64

    assert ocr["status"] in ("ok", "cached")
    assert WORDS[example.image.name] <= {line["text"] for line in ocr["lines"]}
    for line in ocr["lines"]:
        x0, y0, x1, y1 = line["box"]
        assert 0 <= x0 < x1 <= figure["width"]
        assert 0 <= y0 < y1 <= figure["height"]
        assert 0 < line["confidence"] <= 1

    assert "".join(event.data["text"] for event in events if event.name == "delta") == done["text"]
    assert done["finish_reason"] in ("stop", "length")
    assert done["usage"]["prompt_tokens"] > 0
    assert done["usage"]["total_tokens"] == done["usage"]["prompt_tokens"] + done["usage"]["completion_tokens"]
    assert done["timings_ms"]["total"] >= done["timings_ms"]["answer"] > 0
    for link in done["grounding"]:
        assert done["text"][link["start"] : link["end"]].strip()
        assert 0 <= link["line"] < len(ocr["lines"])


async def test_one_object_holds_what_the_stream_holds(stack: RunningStack, example: Example) -> None:
    image = example.image.read_bytes()
    streamed = await explained(stack.url, image, example.caption)
    async with httpx2.AsyncClient(base_url=stack.url, timeout=client.TIMEOUT) as gateway:
        fields = {"caption": example.caption, "stream": "false", "max_tokens": str(SHORT)}
        response = await gateway.post("/v1/explain", data=fields, files={"image": image})
    assert response.status_code == 200
    whole: dict[str, Any] = response.json()
    assert whole["figure"] == streamed[0].data
    assert whole["ocr"]["status"] == "cached"
    assert whole["ocr"]["lines"] == streamed[1].data["lines"]
    # The shipped model is greedy, so that the same question gets the same answer.
    assert (whole["text"], whole["grounding"]) == (streamed[-1].data["text"], streamed[-1].data["grounding"])


async def test_a_figure_is_read_once_however_often_it_is_explained(stack: RunningStack, example: Example) -> None:
    image = example.image.read_bytes()
    await explained(stack.url, image, example.caption)
    assert (await explained(stack.url, image, "Another caption."))[1].data["status"] == "cached"


async def test_everything_is_ready(stack: RunningStack) -> None:
    async with httpx2.AsyncClient(base_url=stack.url) as gateway:
        assert (await gateway.get("/healthz")).status_code == 200
        ready = await gateway.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        metrics = (await gateway.get("/metrics")).text
        assert "llava_graph" in metrics
        assert (await gateway.get("/docs")).status_code == 200


async def test_something_that_is_no_image_is_refused_by_its_code(stack: RunningStack) -> None:
    with pytest.raises(ExplainError) as caught:
        await explained(stack.url, b"%PDF-1.7 not a figure", "A caption.")
    assert caught.value.code == "image_undecodable"
    assert caught.value.status in (415, 422)
    assert not caught.value.retryable


def explain_command(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return llava_graph("explain", *arguments, "--url", stack.url, "--max-tokens", str(SHORT))


def llava_graph(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LLAVA_GRAPH, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_the_command_explains_in_the_terminal(stack: RunningStack, example: Example) -> None:
    result = explain_command(stack, str(example.image), "--caption", example.caption)
    assert result.returncode == 0, result.stdout + result.stderr
    for words in WORDS[example.image.name]:
        assert words in result.stdout
    last = result.stdout.splitlines()[-1]
    assert "tokens" in last
    assert " ms" in last


def test_the_command_prints_one_json_object_a_line(stack: RunningStack, examples: list[Example]) -> None:
    captions = [part for example in examples for part in ("--caption", example.caption)]
    images = [str(example.image) for example in examples]
    result = explain_command(stack, *images, *captions, "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [found["image"] for found in objects] == images
    for found in objects:
        assert {"figure", "ocr", "text", "finish_reason", "usage", "timings_ms", "grounding"} <= found.keys()


def test_the_command_does_without_ocr_when_told(stack: RunningStack, example: Example) -> None:
    result = explain_command(stack, str(example.image), "--caption", "", "--no-ocr", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads(result.stdout)["ocr"] | {"ms": 0} == {"status": "off", "lines": [], "ms": 0, "neutralised": 0}


def test_the_command_fails_with_the_code_and_goes_on_to_the_next_image(
    stack: RunningStack, example: Example, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(example.image.read_bytes()[:1000])
    images = [str(broken), str(example.image)]
    result = explain_command(stack, *images, "--caption", "A caption.", "--json")
    assert result.returncode == 1
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first["error"]["code"] == "image_undecodable"
    assert second["text"] is not None

    shown = explain_command(stack, str(broken), "--caption", "A caption.")
    assert shown.returncode == 1
    assert "image_undecodable" in shown.stdout


def test_the_command_says_so_when_no_gateway_answers(example: Example) -> None:
    nobody = "http://127.0.0.1:9"  # the discard port: nobody listens on it
    result = llava_graph("explain", str(example.image), "--caption", "A caption.", "--url", nobody)
    assert result.returncode == 1
    assert "gateway_unreachable" in result.stdout


def test_the_demo_explains_every_example_and_leaves_nothing_behind(examples: list[Example], tmp_path: Path) -> None:
    before = _engine_processes()
    result = llava_graph("demo", "--run-dir", str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    for example in examples:
        assert example.caption in " ".join(result.stdout.split())
        for words in WORDS[example.image.name]:
            assert words in result.stdout
    assert Counter(result.stdout.split())["OCR"] >= len(examples)
    assert _engine_processes() == before
    assert not (tmp_path / "run.json").exists()


def _engine_processes() -> list[bytes]:
    """Command lines of this checkout's engines: not of those in containers, which come and go beside the tests."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # it ended since it was listed
            continue
        if b"\0serve\0" in command and str(REPOSITORY).encode() in command:
            found.append(command)
    return sorted(found)
