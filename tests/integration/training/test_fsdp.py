"""Two processes that share a model under PyTorch's FSDP train as one process does that has all of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.integration.training.small_llava import ENVIRONMENT, losses, write_recipe
from tests.paths import REPOSITORY
from training import recipe as recipes
from training.run import Files, run

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("one_thread")]

STEPS = 4


def in_two_processes(recipe_file: Path, room: Path, out: Path, *more: str) -> str:
    """`llava-graph train` under torchrun, over gloo; each process has half of a step's samples."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "launcher.cli", "train", str(recipe_file), "--data", str(room / "built" / "train")]
    command += ["--language-model", str(room / "lm"), "--vision-tower", str(room / "tower"), "--out", str(out)]
    command += ["--set", "compute.strategy=fsdp", "--set", "batch.samples_per_device=1", "--set", "batch.devices=2"]
    command += ["--set", "compute.gradient_checkpointing=true"]
    done = subprocess.run(
        [*command, *more], env=ENVIRONMENT, cwd=REPOSITORY, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_two_processes_under_fsdp_train_as_one_does_and_resume(room: Path, tmp_path: Path) -> None:
    recipe_file = write_recipe(tmp_path / "small.yaml", "lightning-finetune-v1")
    steps = f"batch.max_steps={STEPS}"
    parts = {"language_model": room / "lm", "vision_tower": room / "tower"}
    alone = tmp_path / "alone"
    run(recipes.load(recipe_file, [steps]), Files(data=room / "built" / "train", out=alone, **parts))

    shared = tmp_path / "shared"
    said = in_two_processes(recipe_file, room, shared, "--set", steps)
    assert f"{STEPS} steps" in said
    shards = list((shared / f"checkpoint-{STEPS}").glob("pytorch_model_fsdp_0/*.distcp"))
    assert len(shards) == 2  # each process wrote its own
    assert losses(shared, STEPS) == pytest.approx(losses(alone, STEPS), abs=1e-3)
    ours, theirs = (load_file(out / "model" / "model.safetensors") for out in (shared, alone))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.allclose(ours[name], tensor, atol=1e-4), name

    before = losses(shared, STEPS)
    shutil.rmtree(shared / f"checkpoint-{STEPS}")
    in_two_processes(recipe_file, room, shared, "--set", steps, "--resume")
    assert losses(shared, STEPS) == pytest.approx(before, abs=1e-6)
