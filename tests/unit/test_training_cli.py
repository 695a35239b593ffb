"""`llava-graph train` says what is wrong before it works for hours."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from training.cli import main
from training.stages import STAGES


def train(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.mark.parametrize("stages", ["text,visoin", "", "Text", "text,"])
def test_a_stage_that_does_not_exist_is_named_with_those_that_do(folder: Path, stages: str) -> None:
    result = train("small", "--figures", folder, "--out", folder, "--stages", stages)
    wrong = next(name for name in stages.split(",") if name not in STAGES)
    assert result.exit_code == 2
    assert f"no such stage: {wrong!r} (there are {', '.join(STAGES)})" in result.output
    assert "--stages" in result.output


def test_a_folder_without_finished_figures_is_named(folder: Path) -> None:
    result = train("small", "--figures", folder, "--out", folder)
    assert result.exit_code == 2
    assert "about.json is missing" in " ".join(result.output.split())


def test_resuming_without_a_checkpoint_is_refused(folder: Path) -> None:
    result = train("small", "--figures", folder, "--out", folder, "--stages", "vision", "--resume")
    assert result.exit_code == 2
    assert "there is no checkpoint in" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("small", "--steps", "0"),
        ("figures", "--count", "0"),
        ("figures", "--processes", "0"),
        ("figures", "--start", "-1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(folder: Path, arguments: tuple[str, ...]) -> None:
    result = train(*arguments, "--out", folder, *(("--figures", folder) if arguments[0] == "small" else ()))
    assert result.exit_code == 2
    assert arguments[1] in result.output


def test_every_option_is_explained() -> None:
    for name, command in main.commands.items():
        for parameter in command.params:
            assert parameter.param_type_name == "argument" or getattr(parameter, "help", None), (name, parameter.name)
