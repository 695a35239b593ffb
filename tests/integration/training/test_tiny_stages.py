"""The stages as they are run: on figures that the command drew, with the real model, for a few steps.

What a stage freezes stays as it was bit by bit, what it trains moves, and a run that was cut goes on as if it had not
been.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from training.tiny.data import IMAGE_SIDE, Figures, squeeze
from training.tiny.learner import Learner
from training.tiny.stages import STAGES, Stage, load_learner, new_learner, run_stage

pytestmark = pytest.mark.timeout(400)  # training steps, on a machine that may be busy

COUNT = 8
START = 40

Weights = dict[str, torch.Tensor]


def short(name: str, steps: int) -> Stage:
    return replace(STAGES[name], steps=steps, batch_size=2, warmup_steps=1)


def weights_of(learner: Learner) -> Weights:
    return {name: parameter.detach().clone() for name, parameter in learner.named_parameters()}


def changed(before: Weights, after: Weights) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


class CutAt(TrainerCallback):
    """Ends a run after `step` steps as an operator would who saves first."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,
        **kwargs: object,  # noqa: ARG002
    ) -> None:
        if state.global_step == self.step:
            control.should_save = control.should_training_stop = True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Figures as `llava-graph train tiny figures` writes them."""
    folder = tmp_path_factory.mktemp("figures")
    command = [sys.executable, "-m", "launcher.cli", "train", "tiny", "figures", "--out", str(folder)]
    command += ["--count", str(COUNT), "--start", str(START), "--processes", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{COUNT} figures in {folder}\n"
    return folder


@pytest.fixture(scope="module")
def figures(folder: Path) -> Figures:
    return Figures(folder)


@pytest.fixture(scope="module")
def untrained() -> tuple[Weights, PreTrainedTokenizerFast]:
    learner, tokenizer = new_learner(seed=0)
    return weights_of(learner), tokenizer


@pytest.fixture
def learner(untrained: tuple[Weights, PreTrainedTokenizerFast]) -> Learner:
    """The same untrained weights for every test."""
    from training.tiny.model import build_model

    weights, tokenizer = untrained
    learner = Learner(build_model(tokenizer))
    learner.load_state_dict(weights)
    return learner


@pytest.fixture(scope="module")
def tokenizer(untrained: tuple[Weights, PreTrainedTokenizerFast]) -> PreTrainedTokenizerFast:
    return untrained[1]


def test_the_command_writes_the_figures_that_training_reads(folder: Path, figures: Figures) -> None:
    assert len(figures) == COUNT
    assert json.loads((folder / "about.json").read_text()) == {"split": "train", "start": START, "count": COUNT}
    assert figures.pixels.shape == (COUNT, IMAGE_SIDE, IMAGE_SIDE, 3)
    for i in range(COUNT):
        spec = sample_figure(START + i, "train")
        rendered = render(spec)
        assert np.array_equal(figures.pixels[i], squeeze(rendered.image))
        stored = figures[i]
        assert (stored.seed, stored.spec, stored.texts) == (START + i, spec, rendered.texts)
        assert (stored.width, stored.height) == rendered.image.size


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_moves_what_it_trains_and_nothing_else(
    name: str, learner: Learner, tokenizer: PreTrainedTokenizerFast, figures: Figures, tmp_path: Path
) -> None:
    before = weights_of(learner)
    run_stage(short(name, steps=2), learner, tokenizer, [figures], tmp_path)
    moved = changed(before, weights_of(learner))
    trained = STAGES[name].trained
    assert all(any(part in weight for part in trained) for weight in moved)
    assert all(any(part in weight for weight in moved) for part in trained)
    assert all(weight.isfinite().all() for weight in learner.parameters())


def test_a_stage_s_folder_gives_back_the_learner_and_its_tokenizer(
    learner: Learner, tokenizer: PreTrainedTokenizerFast, figures: Figures, tmp_path: Path
) -> None:
    run_stage(short("pretrain", steps=1), learner, tokenizer, [figures], tmp_path)
    loaded, its_tokenizer = load_learner(tmp_path)
    assert not changed(weights_of(learner), weights_of(loaded))
    assert its_tokenizer.get_vocab() == tokenizer.get_vocab()
    assert its_tokenizer.chat_template == tokenizer.chat_template
    head, embedding = loaded.llava.lm_head.weight, loaded.llava.model.language_model.embed_tokens.weight
    assert head.data_ptr() == embedding.data_ptr()


def test_a_run_that_was_cut_goes_on_as_if_it_had_not_been(
    learner: Learner,
    untrained: tuple[Weights, PreTrainedTokenizerFast],
    figures: Figures,
    tmp_path: Path,
) -> None:
    """The weights of optimizer, schedule and data order included: four steps at once are two and two."""
    initial, tokenizer = untrained
    stage = short("vision", steps=4)
    run_stage(stage, learner, tokenizer, [figures], tmp_path / "whole")
    whole = weights_of(learner)

    learner.load_state_dict(initial)
    run_stage(stage, learner, tokenizer, [figures], tmp_path / "cut", callbacks=(CutAt(2),))
    assert (tmp_path / "cut" / "checkpoint-2").is_dir()
    halfway = weights_of(learner)
    assert changed(halfway, whole)

    # A new process begins with other weights; only what was saved may count.
    learner.load_state_dict(initial)
    run_stage(stage, learner, tokenizer, [figures], tmp_path / "cut", resume=True)
    resumed = weights_of(learner)
    assert {name for name in whole if not torch.allclose(resumed[name], whole[name], atol=1e-6, rtol=0)} == set()


def test_weights_of_another_model_are_refused(
    learner: Learner, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    tokenizer.save_pretrained(tmp_path)
    state = learner.state_dict()
    state["reader.of_another_model"] = torch.zeros(1)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match="is not of this model"):
        load_learner(tmp_path)
