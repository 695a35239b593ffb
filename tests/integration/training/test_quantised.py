"""QLoRA: the language model in four bits, low-rank factors and projector learn, and the adapter is merged."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.integration.training.small_llava import losses, write_recipe
from training import recipe as recipes
from training.run import Files, run

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(
        importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed (the extra `qlora`)"
    ),
]

STEPS = 2


@pytest.mark.parametrize("bits", [4, 8])
def test_factors_learn_beside_a_quantised_language_model(room: Path, tmp_path: Path, bits: int) -> None:
    recipe_file = write_recipe(tmp_path / "small.yaml", "deepspeed-lora")
    settings = [f"batch.max_steps={STEPS}", f"tune.quantised_bits={bits}", "log.checkpoint_every_steps=1"]
    parts = {"language_model": room / "lm", "vision_tower": room / "tower"}
    out = tmp_path / "run"
    outcome = run(recipes.load(recipe_file, settings), Files(data=room / "built" / "train", out=out, **parts))
    assert outcome.steps == STEPS
    assert all(math.isfinite(loss) for loss in losses(out, STEPS))
    first, second = (load_file(out / f"checkpoint-{step}" / "trained.safetensors") for step in (1, 2))
    moved = {name for name in first if not first[name].equal(second[name])}
    assert any("lora_B" in name for name in moved)
    assert any("multi_modal_projector" in name for name in moved)
    assert not any("base_layer" in name for name in first)
