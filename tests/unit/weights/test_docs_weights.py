"""docs/weights.md: every command stands there, and every command line in it is one that the command accepts."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from weights.cli import main

PAGE = (Path(__file__).parents[3] / "docs" / "weights.md").read_text(encoding="utf-8")
LINES = re.findall(r"^    llava-graph weights (.+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_command_line_of_the_page_is_accepted(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, *arguments = shlex.split(line)
    for argument in arguments:
        if not argument.startswith("-"):
            Path(argument).mkdir(parents=True, exist_ok=True)
    command = main.commands[name]
    context = command.make_context(name, arguments)
    assert isinstance(context, click.Context)


def test_every_command_stands_on_the_page() -> None:
    assert {shlex.split(line)[0] for line in LINES} == set(main.commands)


def test_options_that_the_page_names_exist() -> None:
    known = {option for command in main.commands.values() for p in command.params for option in p.opts}
    # Of the original's training, of the benchmark, of pip, and of `up`.
    foreign = {"--pretrain_mm_mlp_adapter", "--folder", "--rounds", "--no-deps", "--model"}
    assert set(re.findall(r"--[a-z][a-z_-]+", PAGE)) - foreign <= known
