"""A run that is killed at any moment goes on as if it had not been: same losses, same weights, bit for bit."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.integration.training.small_llava import ENVIRONMENT, losses, write_recipe
from tests.paths import REPOSITORY
from training import recipe as recipes
from training.checkpoints import complete
from training.refusals import ResumeError
from training.run import Files, run

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("one_thread")]  # a machine that may be busy

STEPS = 6


@pytest.fixture(scope="module")
def model(room: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA that one step of the first stage left."""
    out = tmp_path_factory.mktemp("first") / "run"
    recipe = recipes.load(write_recipe(out.parent / "small.yaml", "lightning-pretrain-v1"), ["batch.max_steps=1"])
    parts = {"language_model": room / "lm", "vision_tower": room / "tower"}
    return run(recipe, Files(data=room / "built" / "train", out=out, **parts)).folder


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """LoRA, whose dropout draws random numbers in every step."""
    return write_recipe(tmp_path / "small.yaml", "deepspeed-lora")


def killed(when: str, recipe_file: Path, out: Path, room: Path, model: Path, *more: str) -> None:
    command = [sys.executable, "-m", "tests.integration.training.killed_run", when]
    command += [*map(str, (recipe_file, out, room, model)), *more]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=REPOSITORY, capture_output=True, timeout=500, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]


def test_run_killed_twice_ends_with_the_losses_and_weights_of_an_unbroken_one(
    recipe_file: Path, room: Path, model: Path, tmp_path: Path
) -> None:
    recipe = recipes.load(recipe_file)
    files = Files(data=room / "built" / "train", out=tmp_path / "unbroken", model=model)
    unbroken = run(recipe, files)

    out = tmp_path / "broken"
    killed("step-3", recipe_file, out, room, model)
    assert [path.name for path in complete(out)] == ["checkpoint-2"]
    killed("writing-4", recipe_file, out, room, model, "--resume")
    assert [path.name for path in complete(out)] == ["checkpoint-2"]  # the fourth has no name yet
    assert (out / ".partial" / "checkpoint-4").is_dir()
    resumed = run(recipe, Files(data=files.data, out=out, model=model), resume=True)

    assert resumed.steps == unbroken.steps == STEPS
    assert losses(out, STEPS) == losses(tmp_path / "unbroken", STEPS)
    assert len(set(losses(out, STEPS))) > STEPS / 2  # the losses tell steps apart
    assert resumed.final_loss == unbroken.final_loss
    ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (resumed.folder, unbroken.folder))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert resumed.samples == unbroken.samples
    assert not (out / ".partial").exists() or not list((out / ".partial").iterdir())
    assert [path.name for path in complete(out)] == ["checkpoint-4", "checkpoint-6"]

    with pytest.raises(ResumeError, match="was begun with another recipe"):
        run(
            recipes.load(recipe_file, ["optimizer.learning_rate=1e-3"]),
            Files(files.data, out, model=model),
            resume=True,
        )
