"""A step of training from end to end on a small random model, and the delta that it leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from llava_graph.manifest import load_manifest
from tests.unit.training.small.small_models import write_base, write_tower
from training.small import examples
from training.small.attention import plain_causal
from training.small.examples import Sources
from training.small.export import export
from training.small.learner import Learner, Plan, load_learner, new_learner, run
from training.small.told import TEMPLATE

PLAN = replace(Plan(), steps=2, batch_size=2, rank=4, alpha=4, first_layer=0, save_steps=1, warmup_steps=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_base(tmp_path_factory.mktemp("base")), write_tower(tmp_path_factory.mktemp("tower"))


@pytest.fixture
def long_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer of bytes makes prompts that are four times as long."""
    monkeypatch.setattr(examples, "LENGTHS", (2048, 4096))


def test_lora_and_projector_learn_and_nothing_else(folders: tuple[Path, Path]) -> None:
    learner, _ = new_learner(*folders, PLAN)
    learned = {name for name, parameter in learner.named_parameters() if parameter.requires_grad}
    assert {"lora_" in name or "multi_modal_projector" in name for name in learned} == {True}
    assert len([name for name in learned if "lora_A" in name]) == 7 * 2


@pytest.mark.usefixtures("long_prompts")
def test_run_learns_and_its_checkpoint_goes_on(folders: tuple[Path, Path], tmp_path: Path) -> None:
    learner, tokenizer = new_learner(*folders, PLAN)
    before = _learned(learner)
    run(learner, tokenizer, Sources([], 0.0, 700_200), tmp_path / "run", PLAN)
    after = _learned(learner)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    again, _ = load_learner(*folders, tmp_path / "run", PLAN)
    assert all(torch.equal(after[name], value) for name, value in _learned(again).items())
    resumed, _ = new_learner(*folders, PLAN)
    run(resumed, tokenizer, Sources([], 0.0, 700_300), tmp_path / "run", replace(PLAN, steps=3))
    state = json.loads((tmp_path / "run" / "checkpoint-3" / "trainer_state.json").read_text())
    assert state["global_step"] == 3


def test_checkpoint_of_another_model_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match="is not of this model"):
        load_learner(*folders, tmp_path, PLAN)


def test_delta_holds_what_was_trained_and_nothing_of_the_base(folders: tuple[Path, Path], tmp_path: Path) -> None:
    learner, tokenizer = new_learner(*folders, PLAN)
    export(learner, tokenizer, tmp_path)
    factors = load_file(tmp_path / "adapter_model.safetensors")
    assert all(name.startswith("base_model.model.model.layers.") and ".lora_" in name for name in factors)
    assert len(factors) == 2 * 7 * 2
    seen = load_file(tmp_path / "vision.safetensors")
    assert seen.pop("image_token_embedding").shape == (48,)
    assert {name.split(".")[0] for name in seen} == {"vision_tower", "multi_modal_projector"}
    assert json.loads((tmp_path / "adapter_config.json").read_text())["r"] == 4
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["image_token_index"] == len(tokenizer) - 1
    assert load_manifest(tmp_path).context_template == TEMPLATE
    for name in ("processor_config.json", "tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (tmp_path / name).is_file()


@pytest.mark.usefixtures("long_prompts")
def test_training_goes_on_from_a_delta(folders: tuple[Path, Path], tmp_path: Path) -> None:
    learner, tokenizer = new_learner(*folders, PLAN)
    run(learner, tokenizer, Sources([], 0.0, 700_200), tmp_path / "run", PLAN)
    export(learner, tokenizer, tmp_path / "delta")
    again, _ = load_learner(*folders, tmp_path / "delta", PLAN)
    for name, value in _learned(learner).items():
        assert torch.equal(_learned(again)[name], value.to(torch.bfloat16).float()), name  # as deltas are kept


@pytest.mark.parametrize("repeats", [1, 3])
def test_plain_attention_is_causal_attention(repeats: int) -> None:
    torch.manual_seed(0)
    queries = torch.randn(2, 6, 40, 16)
    keys, values = torch.randn(2, 6 // repeats, 40, 16), torch.randn(2, 6 // repeats, 40, 16)
    said, _ = plain_causal(torch.nn.Identity(), queries, keys, values, None, scaling=0.25)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        queries, keys, values, is_causal=True, scale=0.25, enable_gqa=True
    )
    torch.testing.assert_close(said, wanted.transpose(1, 2))


def _learned(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in learner.named_parameters() if p.requires_grad}


@pytest.mark.usefixtures("long_prompts")
def test_rank_and_layers_are_those_of_what_was_trained(folders: tuple[Path, Path], tmp_path: Path) -> None:
    learner, tokenizer = new_learner(*folders, PLAN)
    run(learner, tokenizer, Sources([], 0.0, 700_200), tmp_path / "run", PLAN)
    export(learner, tokenizer, tmp_path / "delta")
    for folder in ("run", "run/checkpoint-2", "delta"):
        again, _ = load_learner(*folders, tmp_path / folder)
        assert (again.plan.rank, again.plan.alpha, again.plan.first_layer) == (4, 4, 0), folder
