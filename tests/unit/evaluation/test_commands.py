"""The commands as a table: all are there, each explains itself, and none loads what it may not need."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from evaluation.cli import COMMANDS, main

HEAVY = ("openai", "scipy", "sacrebleu", "jinja2", "torch", "cv2")


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


def test_listing_the_commands_loads_no_library_of_theirs() -> None:
    code = f"import sys, evaluation.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
