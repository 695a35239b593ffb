"""The examples of the README for other clients, run as they stand: OpenAI's own client, and curl."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.e2e.conftest import REPOSITORY, RunningStack

DEADLINE_S = 100


def _run(*command: str) -> str:
    """What an example prints; it must end well."""
    ended = subprocess.run(
        command, cwd=REPOSITORY, timeout=DEADLINE_S, capture_output=True, text=True, env={**os.environ, "NO_PROXY": "*"}
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_openais_client_explains_the_example_and_asks_again(stack: RunningStack) -> None:
    said = _run(sys.executable, "examples/openai_client.py", stack.url)
    explanation, named, second = said.split("\n\n", 2)
    assert len(explanation.split()) > 10
    assert named.startswith("Named as the figure has it: ")
    assert "tokens read" in second
    assert len(second.partition("Which strain grows fastest?\n")[2].split()) > 3


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example is for curl, and there is none here")
def test_curl_explains_keeps_talks_and_forgets(stack: RunningStack) -> None:
    said = _run("bash", "examples/curl.sh", stack.url)
    _, explained, kept, chats, forgotten = (part.partition("\n")[2] for part in said.split("== "))
    events = [line.removeprefix("event: ") for line in explained.splitlines() if line.startswith("event: ")]
    assert events[:3] == ["figure", "ocr", "chart"]
    assert events[-1] == "done"
    assert json.loads(kept)["id"].startswith("fig_")
    first, second = (json.loads(line) for line in chats.splitlines())
    assert first["figure"]["id"] == second["figure"]["id"] == json.loads(kept)["pixels"]
    assert second["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"]
    assert forgotten == "HTTP 204\n"
