"""The `llava-graph` command: its table of subcommands, and what it says where a part is not installed."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from launcher import cli
from launcher.cli import SUBCOMMANDS, Subcommand, main
from launcher.terminal import legible
from tests.paths import REPOSITORY


def test_help_lists_every_subcommand_with_what_it_does() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name, entry in SUBCOMMANDS.items():
        assert any(line.split() == [name, *entry.help.split()] for line in result.output.splitlines()), name


def test_version_is_the_package_s() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0
    assert version("llava-graph") in result.output


def test_help_loads_no_part() -> None:
    """The list must come up where only click is installed, and at once."""
    program = "import sys; from launcher.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = set(output.splitlines()[-1].split())
    assert not loaded & {
        "torch",
        "transformers",
        "fastapi",
        "redis",
        "rapidocr",
        "rich",
        "httpx2",
        "service",
        "ocr_worker",
    }


@pytest.mark.parametrize("group", ["data.cli", "evaluation.cli", "training.cli", "weights.cli"])
def test_help_of_a_group_loads_no_heavy_library(group: str) -> None:
    """What only one of its commands needs is loaded when that command runs."""
    program = f"import sys; from {group} import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = set(output.splitlines()[-1].split())
    assert not loaded & {"torch", "transformers", "peft", "scipy", "matplotlib", "pyarrow", "ray", "cv2", "openai"}


@pytest.mark.parametrize("name", ["up", "demo", "explain", "replay", "engine", "gateway", "keys", "ocr-worker"])
def test_a_subcommand_shows_its_own_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


def test_every_subcommand_names_an_extra_that_exists() -> None:
    extras = {part.split("extra ==")[1].strip(" \"'") for part in requires("llava-graph") or [] if "extra ==" in part}
    assert {entry.extra for entry in SUBCOMMANDS.values()} <= extras


def test_an_unknown_subcommand_is_refused() -> None:
    result = CliRunner().invoke(main, ["explode"])
    assert result.exit_code == 2
    assert "explode" in result.output


@pytest.fixture
def part_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lonely_part.py").write_text("import a_library_that_nobody_has\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SUBCOMMANDS, "lonely", Subcommand("lonely_part:main", "service", "A part."))
    monkeypatch.setitem(SUBCOMMANDS, "absent", Subcommand("a_part_that_is_not_here:main", "service", "No part."))


@pytest.mark.usefixtures("part_without_its_library")
def test_a_missing_library_is_answered_with_the_extra_to_install() -> None:
    result = CliRunner().invoke(main, ["lonely"])
    assert result.exit_code == 1
    assert "a_library_that_nobody_has" in result.output
    assert "pip install 'llava-graph[service]'" in result.output


@pytest.mark.usefixtures("part_without_its_library")
def test_a_missing_part_is_said_to_be_missing() -> None:
    result = CliRunner().invoke(main, ["absent"])
    assert result.exit_code == 1
    assert "not part of this installation" in result.output


def test_explain_wants_as_many_captions_as_images_or_one(tmp_path: Path) -> None:
    images = []
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"")
        images.append(str(tmp_path / name))
    result = CliRunner().invoke(main, ["explain", *images, "--caption", "one", "--caption", "two"])
    assert result.exit_code == 2
    assert "3 images" in result.output


def test_a_model_without_weights_is_refused_before_anything_starts(tmp_path: Path) -> None:
    manifest = REPOSITORY / "model_repo" / "llava-graph-tiny" / "manifest.toml"
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    (model_dir / "manifest.toml").write_bytes(manifest.read_bytes())
    command = ["up", "--model", str(model_dir), "--port", "0", "--run-dir", str(tmp_path / "run")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "config.json" in result.output


def test_loading_something_that_is_no_command_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUBCOMMANDS, "wrong", Subcommand("launcher.cli:SUBCOMMANDS", "local", "No command."))
    with pytest.raises(TypeError, match="not a click command"):
        cli.main.get_command(click.Context(cli.main), "wrong")


def test_text_from_a_figure_cannot_command_the_terminal() -> None:
    assert legible("a\x1b[2Jb\u202ec\rd\x07") == "a�[2Jb�c�d�"
    assert legible("µ ± 0.5 ×10³\nOptical density\t图") == "µ ± 0.5 ×10³\nOptical density\t图"
