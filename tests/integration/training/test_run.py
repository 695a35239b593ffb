"""What a recipe's settings do in a run: epochs, packing, text alone, proportions kept, two learning rates, reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.integration.training.small_llava import write_recipe
from training import recipe as recipes
from training.refusals import RecipeError
from training.run import Files, Outcome, run

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("one_thread")]

PICTURES, TEXTS = 3, 3


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA list-JSON of samples with and without images, and one that says <image> and has none."""
    folder = tmp_path_factory.mktemp("listed")
    samples = []
    for i in range(PICTURES):
        Image.new("RGB", (60 + 20 * i, 40), (40 * i, 0, 0)).save(folder / f"{i}.png")
        turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": f"A curve, number {i}."}]
        samples.append({"id": f"picture-{i}", "image": f"{i}.png", "conversations": turns})
    for i in range(TEXTS):
        turns = [{"from": "human", "value": "Say a number."}, {"from": "gpt", "value": f"{i}."}]
        samples.append({"id": f"text-{i}", "conversations": turns})
    samples.append({"id": "lost", "conversations": samples[0]["conversations"]})
    (folder / "chat.json").write_text(json.dumps(samples))
    return folder


def trained(room: Path, listed: Path, out: Path, base: str, *overrides: str) -> tuple[Outcome, list[str]]:
    recipe_file = write_recipe(out.parent / "small.yaml", base)
    said: list[str] = []
    parts = {"language_model": room / "lm", "vision_tower": room / "tower"}
    files = Files(data=listed / "chat.json", images=(listed,), out=out, **parts)
    return run(recipes.load(recipe_file, overrides), files, say=said.append), said


def test_an_epoch_is_every_sample_once_and_what_cannot_be_used_is_told(
    room: Path, listed: Path, tmp_path: Path
) -> None:
    """Batches of text alone among them: the projector, which alone learns, still takes part."""
    settings = ("batch.max_steps=null", "log.report_to=[tensorboard]")
    outcome, said = trained(room, listed, tmp_path / "run", "lightning-pretrain-v1", *settings)
    assert outcome.steps == 4  # two batches of images and two of text, the second of each filled up
    assert outcome.samples["trained"] >= PICTURES + TEXTS
    # Of what was read, the counts are those up to the last window of the stream.
    assert 1 <= outcome.samples["text_only"] <= TEXTS
    assert any("count the steps" in line for line in said)
    assert any("first: lost" in line for line in said)
    events = EventAccumulator(str(next((tmp_path / "run").rglob("events.out.*")).parent))
    events.Reload()
    assert len(events.Scalars("train/loss")) == outcome.steps
    assert {"train/samples_per_second", "train/tokens_per_second", "train/padding_waste"} <= set(
        events.Tags()["scalars"]
    )


def test_packed_rows_hold_all_samples_in_fewer_steps(room: Path, listed: Path, tmp_path: Path) -> None:
    settings = ("batch.max_steps=null", "data.packing=true", "batch.samples_per_device=1")
    outcome, _ = trained(
        room, listed, tmp_path / "run", "v1.5-finetune", *settings, "data.group_by_modality_length=false"
    )
    assert outcome.steps < PICTURES + TEXTS
    assert outcome.facts.samples == PICTURES + TEXTS


def test_images_in_their_own_proportions_are_trained_on(room: Path, listed: Path, tmp_path: Path) -> None:
    settings = ("data.image_aspect_ratio=keep", "batch.max_steps=2")
    outcome, _ = trained(room, listed, tmp_path / "run", "lightning-pretrain-v1", *settings)
    assert outcome.steps == 2


def test_projector_has_its_own_learning_rate(room: Path, listed: Path, tmp_path: Path) -> None:
    """One so small that nothing moves: after training, the projector is as it was, and the factors are not."""
    from safetensors.torch import load_file

    settings = ("optimizer.projector_learning_rate=1e-30", "batch.max_steps=2")
    outcome, _ = trained(room, listed, tmp_path / "run", "v1.5-lora", *settings, "data.group_by_modality_length=false")
    first = load_file(tmp_path / "run" / "checkpoint-2" / "trained.safetensors")
    again, _ = trained(room, listed, tmp_path / "other", "v1.5-lora", *settings, "optimizer.learning_rate=1e-30")
    second = load_file(tmp_path / "other" / "checkpoint-2" / "trained.safetensors")
    assert outcome.steps == again.steps == 2
    same = {name for name in first if first[name].equal(second[name])}
    assert {name for name in first if "multi_modal_projector" in name} <= same
    assert not any("lora_B" in name for name in same)


def test_data_that_make_no_whole_step_are_refused(room: Path, listed: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="one step takes 50"):
        trained(
            room,
            listed,
            tmp_path / "run",
            "lightning-pretrain-v1",
            "batch.max_steps=null",
            "batch.accumulation_steps=50",
        )
