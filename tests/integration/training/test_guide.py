"""docs/training.md: every command in its boxes runs, in its order, on the fixtures; the others are accepted."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from data.cli import main as data
from launcher.commands import up
from llava_graph.manifest import load_manifest
from tests.fixtures import data as fixtures
from tests.integration.data.workers import worker
from tests.integration.training.small_llava import write_parts
from tests.paths import REPOSITORY
from training import recipe as recipes
from training.cli import main as train
from training.tiny.cli import main as tiny
from weights.cli import main as weights

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("one_thread")]

GUIDE = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL) for line in block.splitlines()]
ROOMS = {"data": data, "train": train, "weights": weights}

SMALL = (
    "data.max_tokens=512",
    "compute.read_ahead=false",
    "batch.samples_per_device=2",
    "batch.accumulation_steps=1",
    "batch.max_steps=2",
    "compute.bf16=false",
    "compute.strategy=none",
)
"""What makes a recipe one for the parts of the fixtures, on a CPU."""


async def test_every_command_of_the_guide_runs(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parts(tmp_path)
    (tmp_path / "lm").rename(tmp_path / "vicuna-7b")
    (tmp_path / "tower").rename(tmp_path / "clip-vit-large-patch14")
    (tmp_path / "SciCapPlus").symlink_to(fixtures.SCICAP_PLUS)
    monkeypatch.chdir(tmp_path)
    async with worker(redis_url):
        for command in COMMANDS:
            program, room, *arguments = shlex.split(command.replace("redis://127.0.0.1:6379/0", redis_url))
            assert program == "llava-graph"
            if room == "up":
                continue
            if room == "train":
                arguments += [part for override in SMALL for part in ("--set", override)]
            if room == "data" and arguments[0] in ("read", "build"):
                arguments += ["--processes", "1"]
            result = await asyncio.to_thread(CliRunner().invoke, ROOMS[room], arguments)
            assert result.exit_code == 0, f"{command}\n{result.output}"
    # What `up` is given is what the service reads.
    *_, last = COMMANDS
    assert up.make_context("up", shlex.split(last)[2:]).params["model_dir"] == Path("model_repo/my-llava")
    manifest = load_manifest(tmp_path / "model_repo" / "my-llava")
    assert (manifest.name, manifest.context_template) == ("my-llava", "original")


def test_guide_names_every_recipe_and_no_other() -> None:
    [table] = re.findall(r"\| recipe \| what \|\n.*?\n\n", GUIDE, re.DOTALL)
    named = {name for row in table.strip().splitlines()[2:] for name in re.findall(r"`([\w.-]+)`", row.split("|")[1])}
    assert named == set(recipes.names())


def test_guide_s_own_recipe_is_one(tmp_path: Path) -> None:
    [text] = re.findall(r"(    extends: v1\.5-lora\n(?:    .*\n)+)", GUIDE)
    (tmp_path / "own.yaml").write_text(re.sub(r"^    ", "", text, flags=re.MULTILINE))
    recipe = recipes.load(tmp_path / "own.yaml")
    assert recipe.batch.samples == 128
    assert recipe.optimizer == recipes.load("v1.5-lora").optimizer


@pytest.mark.parametrize("line", re.findall(r"^    llava-graph train tiny (.+)$", GUIDE, re.MULTILINE))
def test_command_of_the_tiny_model_is_accepted(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/figures", "runs/tiny/finetune"):
        Path(folder).mkdir(parents=True)
    name, *arguments = shlex.split(line)
    assert isinstance(tiny.commands[name].make_context(name, arguments), click.Context)
