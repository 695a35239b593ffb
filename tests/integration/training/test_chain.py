"""From the files of a data set to a model that answers: every command of the offline module, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from tests.integration.training.small_llava import write_recipe
from training.cli import main as training
from weights.cli import main as weights
from weights.delta import DELTA_FILE

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("one_thread")]

QUESTION = "What does the axis show?"


def ran(command: object, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result.output


def answered(folder: Path) -> tuple[list[int], torch.Tensor]:
    """The greedy answer's tokens, and the scores of its first."""
    processor = AutoProcessor.from_pretrained(folder)
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    image = Image.linear_gradient("L").convert("RGB")
    inputs = processor(images=image, text=prompt, add_special_tokens=False, return_tensors="pt")
    made = model.generate(
        **inputs, max_new_tokens=12, do_sample=False, return_dict_in_generate=True, output_scores=True
    )
    return made.sequences[0, inputs["input_ids"].shape[1] :].tolist(), made.scores[0][0]


def test_answers_are_the_same_from_the_merged_model_to_the_applied_delta(room: Path, tmp_path: Path) -> None:
    samples = ("--data", room / "built" / "train")
    first = write_recipe(tmp_path / "first.yaml", "lightning-pretrain-v1")
    parts = ("--language-model", room / "lm", "--vision-tower", room / "tower")
    said = ran(training, first, *samples, *parts, "--out", tmp_path / "first")
    assert "6 steps" in said
    assert "trained (kept)" in said
    base = tmp_path / "first" / "model"

    second = write_recipe(tmp_path / "second.yaml", "deepspeed-lora")
    faster = ("--set", "optimizer.learning_rate=1e-2", "--set", "compute.gradient_checkpointing=true")
    ran(training, second, *samples, "--model", base, "--out", tmp_path / "second", *faster)
    lora = tmp_path / "second" / "adapter"

    merged, original, tower = tmp_path / "merged", tmp_path / "original", tmp_path / "tower"
    said = ran(weights, "merge-lora", "--base", base, "--lora", lora, "--target", merged)
    assert "14 matrices merged" in said  # seven in each of two layers
    said = ran(weights, "convert", merged, original, "--to", "original", "--vision-tower", tower)
    assert "Projector linear" in said  # as it was trained
    back = tmp_path / "back"
    ran(weights, "convert", original, back, "--to", "llava-hf", "--vision-tower", tower)
    delta, applied, served = tmp_path / "delta", tmp_path / "applied", tmp_path / "served"
    folders = ("--base", room / "lm", "--delta", delta)
    ran(weights, "make-delta", *folders, "--target", original, "--dtype", "float32")
    assert (delta / DELTA_FILE).is_file()
    ran(weights, "apply-delta", *folders, "--target", applied)
    ran(weights, "convert", applied, served, "--to", "llava-hf", "--vision-tower", tower)

    tokens, scores = answered(merged)
    assert len(set(tokens)) > 1
    for folder in (back, served):
        again, their_scores = answered(folder)
        assert again == tokens
        assert torch.allclose(their_scores, scores, atol=1e-4)
    _, untrained = answered(base)
    assert not torch.allclose(untrained, scores, atol=1e-2)  # the second stage did learn
