"""docs/data.md: every command on it runs, in its order, on the fixtures."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from data.cli import main
from data.readers import READERS
from data.shards import row_count, shard_paths
from tests.fakes.chat_endpoint import ChatEndpoint
from tests.fixtures import data as fixtures
from tests.harness.gateway import serving
from tests.integration.data.workers import worker
from tests.paths import REPOSITORY

GUIDE = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL) for line in block.splitlines()]


def says(body: dict[str, Any]) -> str:
    if "judge" in body["messages"][0]["content"]:
        return '{"score": 9}'
    return "Question: What does the graph show?\nAnswer: How a quantity of the machine settles."


async def test_every_command_of_the_guide_runs(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "SciCapPlus").symlink_to(fixtures.SCICAP_PLUS)
    (tmp_path / "arxiv-metadata.json").symlink_to(fixtures.ARXIV)
    monkeypatch.chdir(tmp_path)
    async with worker(redis_url), serving(ChatEndpoint(says), lifespan=False) as url:
        for command in COMMANDS:
            here = command.replace("redis://127.0.0.1:6379/0", redis_url).replace("http://127.0.0.1:8001", url)
            program, room, *arguments = shlex.split(here)
            assert (program, room) == ("llava-graph", "data")
            result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
            assert result.exit_code == 0, f"{command}\n{result.output}"
    assert sum(row_count(shard) for shard in shard_paths(tmp_path / "read")) == 14
    assert sum(row_count(shard) for shard in shard_paths(tmp_path / "dialogues")) == 28
    assert (tmp_path / "train.json").stat().st_size > 1000
    assert (tmp_path / "built-qa" / "card.md").exists()


def test_guide_names_every_stage_prompt_and_format() -> None:
    assert len(COMMANDS) >= 7
    for name in ("read", "ocr", "dialogues", "build", "export"):
        assert f"| `{name}` |" in GUIDE
    for name in READERS:
        assert name in GUIDE


def test_guide_names_every_prompt() -> None:
    from data.build.prompts import PROMPTS

    for name in PROMPTS:
        assert f"`{name}`" in GUIDE
