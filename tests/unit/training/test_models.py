"""Vision tower and language model become a LLaVA, and what learns is what the recipe says, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlavaForConditionalGeneration

from tests.unit.weights import checkpoints as made
from training import models
from training import recipe as recipes
from training.adapters import trained_names, tuned
from training.models import LinearProjector
from training.recipe import Recipe
from training.refusals import ModelError


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("room")
    made.write_language_model(folder / "lm")
    made.write_tower(folder / "tower")
    return folder


def recipe_of(name: str, *overrides: str) -> Recipe:
    return recipes.load(name, ["compute.bf16=false", *overrides])


def joined(room: Path, recipe: Recipe) -> models.Llava:
    return models.join(room / "lm", room / "tower", recipe)


def test_new_llava_has_the_parts_it_was_joined_of(room: Path) -> None:
    llava = joined(room, recipe_of("lightning-pretrain-v1"))
    state = llava.model.state_dict()
    language = load_file(room / "lm" / "model.safetensors")
    tower = load_file(room / "tower" / "model.safetensors")
    n = made.words()
    assert torch.equal(state["model.language_model.embed_tokens.weight"][:n], language["model.embed_tokens.weight"])
    assert torch.equal(state["lm_head.weight"][:n], language["lm_head.weight"])
    name = "layers.1.mlp.down_proj.weight"
    assert torch.equal(state[f"model.language_model.{name}"], language[f"model.{name}"])
    name = "encoder.layers.2.mlp.fc1.weight"
    assert torch.equal(state[f"model.vision_tower.{name}"], tower[f"vision_model.{name}"])
    assert isinstance(llava.model.model.multi_modal_projector, LinearProjector)


def test_new_tokens_begin_as_the_mean_of_the_others_and_the_image_has_one(room: Path) -> None:
    llava = joined(room, recipe_of("lightning-pretrain-v1"))
    tokens = llava.tokenizer.convert_tokens_to_ids(["<image>", "<im_start>", "<im_end>"])
    n = made.words()
    assert tokens == [n, n + 1, n + 2]
    assert llava.model.config.image_token_id == n
    embedding = llava.model.get_input_embeddings().weight
    assert torch.allclose(embedding[n + 1], embedding[:n].mean(dim=0), atol=1e-6)
    assert (llava.model.config.text_config.bos_token_id, llava.model.config.text_config.eos_token_id) == (1, 2)


@pytest.mark.parametrize(
    ("name", "learns", "rests"),
    [
        ("lightning-pretrain-v1", {"multi_modal_projector", "embed_tokens"}, {"layers", "vision_tower", "lm_head"}),
        ("v1.5-pretrain", {"multi_modal_projector"}, {"language_model", "vision_tower", "lm_head"}),
        ("v1.5-finetune", {"multi_modal_projector", "language_model", "lm_head"}, {"vision_tower"}),
        ("deepspeed-lora", {"multi_modal_projector.linear", "lora_A", "lora_B"}, {"vision_tower", "lm_head", "embed"}),
        ("chart-table-lora", {"multi_modal_projector.linear_1.lora_A"}, {"vision_tower", "base_layer", "embed"}),
    ],
)
def test_recipe_decides_what_learns(name: str, learns: set[str], rests: set[str], room: Path, tmp_path: Path) -> None:
    recipe = recipe_of(name)
    llava = joined(room, recipe)
    if name == "chart-table-lora":  # goes on from a LLaVA
        models.save(llava, llava.model.state_dict(), tmp_path / "llava", torch.float32)
        llava = models.load(tmp_path / "llava", recipe)
    names = trained_names(tuned(llava, recipe))
    assert all(any(part in name for name in names) for part in learns)
    assert not any(part in name for name in names for part in rests)


def test_first_stage_moves_only_the_rows_of_the_image_s_borders(room: Path) -> None:
    recipe = recipe_of("lightning-pretrain-v1")
    llava = joined(room, recipe)
    model = tuned(llava, recipe)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    n = made.words()
    ids = torch.tensor([[1, n + 1, n, n, n, n, n + 2, 5, 6, 7]])
    labels = torch.where(ids < n, ids, -100)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.0)
    for _ in range(2):
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels, pixel_values=torch.randn(1, 3, made.SIDE, made.SIDE)).loss.backward()
        optimizer.step()
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    embedding = "model.language_model.embed_tokens.weight"
    projector = "model.multi_modal_projector.linear"
    assert changed == {embedding, f"{projector}.weight", f"{projector}.bias"}
    rows = (llava.model.get_input_embeddings().weight != before[embedding]).any(dim=1).nonzero().flatten().tolist()
    assert rows == [n + 1, n + 2]


def test_linear_projector_is_written_in_two_layers_and_read_again_as_one(room: Path, tmp_path: Path) -> None:
    recipe = recipe_of("lightning-pretrain-v1")
    llava = joined(room, recipe)
    models.save(llava, llava.model.state_dict(), tmp_path / "llava", torch.float32)
    names = load_file(tmp_path / "llava" / "model.safetensors").keys()
    assert {"multi_modal_projector.linear_1.weight", "multi_modal_projector.linear_2.weight"} <= names
    pixels = torch.randn(1, 3, made.SIDE, made.SIDE)
    wanted = llava.model.get_image_features(pixels, return_dict=True).pooler_output[0]
    stock = LlavaForConditionalGeneration.from_pretrained(tmp_path / "llava", dtype=torch.float32)
    assert torch.allclose(stock.get_image_features(pixels, return_dict=True).pooler_output[0], wanted, atol=1e-5)
    again = models.load(tmp_path / "llava", recipe)
    assert isinstance(again.model.model.multi_modal_projector, LinearProjector)
    assert torch.equal(again.model.get_image_features(pixels, return_dict=True).pooler_output[0], wanted)
    assert again.processor.chat_template == llava.processor.chat_template


def test_linear_projector_that_has_no_two_layer_form_is_refused(room: Path, tmp_path: Path) -> None:
    (tmp_path / "tower").mkdir()
    config = json.loads((room / "tower" / "config.json").read_text())
    config["vision_config"]["hidden_size"] = 40
    (tmp_path / "tower" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"from 40 to 64 .*model\.projector=mlp2x_gelu"):
        models.join(room / "lm", tmp_path / "tower", recipe_of("lightning-pretrain-v1"))


def test_folder_of_another_kind_is_refused(room: Path) -> None:
    with pytest.raises(ModelError, match="is no vision tower"):
        models.join(room / "lm", room / "lm", recipe_of("lightning-pretrain-v1"))
    with pytest.raises(ModelError, match="is no language model"):
        models.join(room / "tower", room / "tower", recipe_of("lightning-pretrain-v1"))
    with pytest.raises(ModelError, match=r"config\.json"):
        models.load(room, recipe_of("graph"))


def test_what_learns_is_held_in_float32_and_what_rests_in_bfloat16(room: Path) -> None:
    recipe = recipes.load("v1.5-pretrain")
    model = tuned(joined(room, recipe), recipe)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == (torch.float32 if "multi_modal_projector" in name else torch.bfloat16), name
