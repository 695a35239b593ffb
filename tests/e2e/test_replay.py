"""Receipts on the real thing: an answer of the shipped model can be had again, and what was changed is noticed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from launcher.bulk import collected
from llava_graph import client
from llava_graph.context import Turn
from llava_graph.example_figures import Example
from tests.e2e.conftest import LLAVA_GRAPH, REPOSITORY, RunningStack

SHORT = "32"
"""Tokens."""

SAME = "The answer is the same, letter by letter."


def llava_graph(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*LLAVA_GRAPH, *arguments, "--url", stack.url]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def explained(stack: RunningStack, example: Example, file: Path, *options: str) -> dict[str, Any]:
    """One line of `explain --json`, kept in a file."""
    arguments = ("explain", str(example.image), "--caption", example.caption, "--max-tokens", SHORT, "--json", *options)
    result = llava_graph(stack, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    file.write_text(result.stdout, encoding="utf-8")
    line: dict[str, Any] = json.loads(result.stdout)
    return line


def replayed(stack: RunningStack, file: Path, image: Path) -> tuple[int, list[str]]:
    """Exit status and lines of `replay`."""
    result = llava_graph(stack, "replay", str(file), "--image", str(image))
    return result.returncode, result.stdout.splitlines()


@pytest.mark.parametrize(
    "options",
    [("--temperature", "0"), ("--temperature", "1", "--seed", "7"), ("--temperature", "0", "--no-ocr")],
    ids=["greedy", "drawn with a seed", "without the text"],
)
def test_replay_of_an_explanation_gives_the_same_answer(
    stack: RunningStack, examples: list[Example], tmp_path: Path, options: tuple[str, ...]
) -> None:
    answer = explained(stack, examples[0], tmp_path / "answer.json", *options)
    assert (answer["receipt"]["figures"][0]["ocr"]["engine"] is None) == ("--no-ocr" in options)
    status, lines = replayed(stack, tmp_path / "answer.json", examples[0].image)
    assert (status, lines[-1]) == (0, SAME), "\n".join(lines)
    assert not [line for line in lines if line.startswith("differs")]


def test_file_of_explain_out_is_replayed_by_the_image(
    stack: RunningStack, examples: list[Example], tmp_path: Path
) -> None:
    captions = [{"image": str(example.image.resolve()), "caption": example.caption} for example in examples]
    (tmp_path / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in captions))
    out = tmp_path / "answers.jsonl"
    listed = ("--captions", str(tmp_path / "captions.jsonl"), "--out", str(out), "--max-tokens", SHORT)
    assert llava_graph(stack, "explain", *listed).returncode == 0
    for example in examples:
        status, lines = replayed(stack, out, example.image)
        assert (status, lines[-1]) == (0, SAME), "\n".join(lines)


async def test_replay_of_a_conversation_gives_the_same_answer(
    stack: RunningStack, examples: list[Example], tmp_path: Path
) -> None:
    async with httpx2.AsyncClient(base_url=stack.url, timeout=client.TIMEOUT) as gateway:
        image = examples[0].image.read_bytes()
        kept_id = (await client.add_figure(gateway, image, examples[0].caption))["id"]
        turns = [Turn("user", "Explain this figure."), Turn("assistant", "It shows growth."), Turn("user", "Of what?")]
        done = await collected(client.chat(gateway, kept_id, turns, max_tokens=int(SHORT), temperature=0))
    (tmp_path / "answer.json").write_text(json.dumps(done))
    status, lines = replayed(stack, tmp_path / "answer.json", examples[0].image)
    assert (status, lines[-1]) == (0, SAME), "\n".join(lines)


def test_image_with_one_other_pixel_is_refused(stack: RunningStack, examples: list[Example], tmp_path: Path) -> None:
    answer = explained(stack, examples[0], tmp_path / "answer.json")
    with Image.open(examples[0].image) as image:
        changed = image.convert("RGB")
    changed.putpixel((3, 3), (1, 2, 3))
    changed.save(tmp_path / "changed.png")
    status, lines = replayed(stack, tmp_path / "answer.json", tmp_path / "changed.png")
    assert status == 1
    assert "another figure" in lines[0]
    assert answer["figure"]["id"] in lines[0]


def test_caption_that_was_changed_in_the_receipt_is_noticed(
    stack: RunningStack, examples: list[Example], tmp_path: Path
) -> None:
    # Without the text of the figure, so that what the answer names comes from the caption.
    answer = explained(stack, examples[0], tmp_path / "answer.json", "--temperature", "0", "--no-ocr")
    receipt = answer["receipt"]
    receipt["figures"][0]["caption"] = "Voltage of four cells over temperature."
    (tmp_path / "changed.json").write_text(json.dumps(receipt))
    status, lines = replayed(stack, tmp_path / "changed.json", examples[0].image)
    assert [line.split()[1] for line in lines if line.startswith("differs")] == ["prompt", "answer"]
    assert (status, lines[-1]) == (1, "The answer is another.")
