"""docs/evaluation.md, docs/facts.md: every command that they show exists and takes what it is shown with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from data.cli import main as data
from evaluation.cli import main as evaluation
from tests.paths import REPOSITORY

ROOMS = {"eval": evaluation, "data": data}

FOLDERS = (
    "figures",
    "runs/my-model/none",
    "runs/my-model/all",
    "runs/a",
    "runs/b",
    "runs/other",
    "other",
    "model_repo",
)
FILES = (
    "questions.jsonl",
    "references.jsonl",
    "readings.jsonl",
    "contexts.jsonl",
    "runs/a/answers.jsonl",
    "runs/b/answers.jsonl",
    "runs/a/reviews.jsonl",
)


def shown(page: str) -> list[str]:
    """The commands in a page's boxes and indented lines, each on one line."""
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(r"^(?:    )?llava-graph ((?:eval|data) .+)$", text, re.MULTILINE)


COMMANDS = [(page, command) for page in ("evaluation.md", "facts.md") for command in shown(page)]


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[command for _, command in COMMANDS])
def test_command_of_the_guide_is_accepted(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for file in FILES:
        (tmp_path / file).touch()
    for model in (REPOSITORY / "model_repo").iterdir():
        (tmp_path / "model_repo" / model.name).symlink_to(model)
    room, name, *arguments = shlex.split(command)
    group: click.Group = ROOMS[room]
    found = group.get_command(click.Context(group), name)
    assert found is not None, f"{page}: {command}"
    assert isinstance(found.make_context(name, arguments), click.Context)


def test_five_minutes_of_the_guide_are_more_than_one_command() -> None:
    assert len([command for page, command in COMMANDS if page == "evaluation.md"]) >= 6
