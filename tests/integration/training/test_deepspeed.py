"""Two processes under DeepSpeed's ZeRO, on the CPU over gloo, train as one process does that has all of the model."""

from __future__ import annotations

import importlib.util
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

pytestmark = [
    pytest.mark.timeout(3600),  # DeepSpeed compiles kernels at their first use
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(
        importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed (the extra `deepspeed`)"
    ),
]

STEPS = 2


def in_two_processes(recipe_file: Path, room: Path, out: Path, *more: str) -> None:
    """`llava-graph train` under torchrun; each process has half of a step's samples."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "launcher.cli", "train", str(recipe_file), "--data", str(room / "built" / "train")]
    command += ["--language-model", str(room / "lm"), "--vision-tower", str(room / "tower"), "--out", str(out)]
    command += ["--set", "batch.samples_per_device=1", "--set", "batch.devices=2"]
    done = subprocess.run(
        [*command, *more], env=ENVIRONMENT, cwd=REPOSITORY, capture_output=True, text=True, timeout=1700, check=False
    )
    assert done.returncode == 0, done.stderr[-6000:]


@pytest.mark.parametrize("strategy", ["zero2", "zero3"])
def test_two_processes_under_zero_train_as_one_does_and_resume(room: Path, tmp_path: Path, strategy: str) -> None:
    recipe_file = write_recipe(tmp_path / "small.yaml", "deepspeed-finetune")
    steps = f"batch.max_steps={STEPS}"
    parts = {"language_model": room / "lm", "vision_tower": room / "tower"}
    alone = tmp_path / "alone"
    run(recipes.load(recipe_file, [steps]), Files(data=room / "built" / "train", out=alone, **parts))

    shared = tmp_path / "shared"
    settings = ("--set", steps, "--set", f"compute.strategy={strategy}", "--set", "log.checkpoint_every_steps=1")
    in_two_processes(recipe_file, room, shared, *settings)
    before = losses(shared, STEPS)
    assert before == pytest.approx(losses(alone, STEPS), abs=1e-3)
    ours, theirs = (load_file(out / "model" / "model.safetensors") for out in (shared, alone))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.allclose(ours[name], tensor, atol=1e-4), name

    shutil.rmtree(shared / f"checkpoint-{STEPS}")
    in_two_processes(recipe_file, room, shared, *settings, "--resume")
    assert losses(shared, STEPS) == pytest.approx(before, abs=1e-6)


def test_factors_that_learn_under_zero3_are_those_of_one_process(room: Path, tmp_path: Path) -> None:
    recipe_file = write_recipe(tmp_path / "small.yaml", "deepspeed-lora")
    settings = [f"batch.max_steps={STEPS}", "tune.lora.dropout=0", "optimizer.learning_rate=1e-2"]
    parts = {"language_model": room / "lm", "vision_tower": room / "tower"}
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    run(recipes.load(recipe_file, settings), Files(data=room / "built" / "train", out=alone, **parts))
    more = [part for setting in (*settings, "compute.strategy=zero3") for part in ("--set", setting)]
    in_two_processes(recipe_file, room, shared, *more)
    ours, theirs = (load_file(out / "adapter" / "adapter_model.safetensors") for out in (shared, alone))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.allclose(ours[name], tensor, atol=1e-3), name
    ours, theirs = (
        torch.load(out / "adapter" / "non_lora_trainables.bin", weights_only=True) for out in (shared, alone)
    )
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.allclose(ours[name], tensor, atol=1e-3), name
