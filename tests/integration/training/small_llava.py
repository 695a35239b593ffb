"""A small random LLaVA's parts, and samples of the SciCap+ fixture, for runs of seconds."""

from __future__ import annotations

import json
import os
from pathlib import Path

from click.testing import CliRunner

from data.cli import main as data
from tests.fixtures import data as fixtures
from tests.unit.weights import checkpoints as made

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""For processes beside each other: more threads than cores wait for one another."""

RECIPE = """\
extends: {base}
summary: small enough for a test
data: {{max_tokens: 512}}
batch: {{samples_per_device: 2, accumulation_steps: 1, devices: 1, max_steps: 6}}
compute: {{bf16: false, read_ahead: false, strategy: none, gradient_checkpointing: false}}
log: {{checkpoint_every_steps: 2, checkpoints_kept: 2}}
"""


def write_recipe(file: Path, base: str) -> Path:
    file.write_text(RECIPE.format(base=base), encoding="utf-8")
    return file


def write_parts(folder: Path) -> None:
    """`lm`, a LLaMA with a real SentencePiece vocabulary, and `tower`, a CLIP."""
    made.write_language_model(folder / "lm")
    made.write_tower(folder / "tower")


def write_samples(folder: Path, prompt: str = "llava-graph") -> None:
    """`built`, by the commands of docs/data.md."""
    read = ("read", "scicap-plus", fixtures.SCICAP_PLUS, "--images", fixtures.SCICAP_PLUS / "imgs")
    run(*read, "--processes", 1, "--out", folder / "records")
    build = ("build", folder / "records", "--task", "paragraph", "--prompt", prompt, "--val", 0, "--test", 0)
    run(*build, "--processes", 1, "--out", folder / "built")


def run(*arguments: object) -> None:
    result = CliRunner().invoke(data, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def losses(out: Path, step: int) -> list[float]:
    """Of each step up to the checkpoint of `step`."""
    state = json.loads((out / f"checkpoint-{step}" / "trainer_state.json").read_text(encoding="utf-8"))
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]
