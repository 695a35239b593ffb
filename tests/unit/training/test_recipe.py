"""Recipes resolve to the arguments that the original's scripts and README give, in transformers' words of today."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from transformers import TrainingArguments

from training import recipe as recipes
from training.effective import CPU, Device, deepspeed_config, trainer_arguments
from training.refusals import RecipeError

GPU_WITHOUT_TF32 = Device(gpu=True, tf32=False)


@dataclass(frozen=True)
class Row:
    """One row of the published hyperparameters. `per_device`, `accumulation`, `devices`: 16 x 1 x 8 = 128."""

    template: str
    learning_rate: float
    epochs: float
    per_device: int
    accumulation: int
    devices: int
    total: int
    save_steps: int
    strategy: str
    language_model: bool
    projector: str = "linear"
    start_end: bool = True


_PRETRAIN = Row("v0", 2e-3, 1, 16, 1, 8, 128, 2400, "ddp", False)
_LIGHTNING_FINETUNE = replace(_PRETRAIN, learning_rate=2e-5, save_steps=5000, strategy="fsdp", language_model=True)
_ZERO = replace(_PRETRAIN, template="v1", save_steps=24000, strategy="zero3")
_ZERO_FINETUNE = Row("v1", 2e-5, 3, 4, 1, 8, 32, 50000, "zero3", True)
_V1_5 = Row("plain", 1e-3, 1, 32, 1, 8, 256, 24000, "zero2", False, "mlp2x_gelu", False)
_V1_5_FINETUNE = replace(
    _V1_5,
    template="v1",
    learning_rate=2e-5,
    per_device=16,
    total=128,
    save_steps=50000,
    strategy="zero3",
    language_model=True,
)

PUBLISHED = {
    "pretrain-13b-8gpu": _PRETRAIN,
    "pretrain-13b-1gpu": replace(_PRETRAIN, accumulation=8, devices=1, strategy="none"),
    "pretrain-7b-1gpu": replace(_PRETRAIN, accumulation=8, devices=1, strategy="none"),
    "finetune-13b": Row("v0", 2e-5, 3, 4, 1, 8, 32, 2400, "fsdp", True),
    "lightning-pretrain-v0": _PRETRAIN,
    "lightning-pretrain-v1": replace(_PRETRAIN, template="v1"),
    "lightning-finetune-v0": _LIGHTNING_FINETUNE,
    "lightning-finetune-v1": replace(_LIGHTNING_FINETUNE, template="v1"),
    "deepspeed-pretrain": _ZERO,
    "deepspeed-finetune": _ZERO_FINETUNE,
    "deepspeed-lora": replace(_ZERO_FINETUNE, learning_rate=2e-4),
    "graph": replace(_PRETRAIN, accumulation=8, devices=1, strategy="none"),
    "chart-table-lora": replace(_ZERO_FINETUNE, template="llama_2", learning_rate=5e-6, epochs=1),
    "v1.5-pretrain": _V1_5,
    "v1.5-finetune": _V1_5_FINETUNE,
    "v1.5-lora": replace(_V1_5_FINETUNE, learning_rate=2e-4),
}

LORA = {"deepspeed-lora": (64, 16, False), "chart-table-lora": (64, 16, True), "v1.5-lora": (128, 256, False)}


def test_every_recipe_has_its_published_row_and_the_other_way_round() -> None:
    assert set(recipes.names()) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipe_resolves_to_the_published_arguments(name: str, tmp_path: Path) -> None:
    row, recipe = PUBLISHED[name], recipes.load(name)
    keywords = trainer_arguments(recipe, tmp_path, CPU)
    # Without DeepSpeed, TrainingArguments takes no configuration of it: that is looked at below.
    zero = keywords.pop("deepspeed", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # an argument that transformers is about to drop
        arguments = TrainingArguments(**keywords)
    assert arguments.learning_rate == row.learning_rate
    assert arguments.num_train_epochs == row.epochs
    assert arguments.per_device_train_batch_size == row.per_device
    assert arguments.gradient_accumulation_steps == row.accumulation
    assert arguments.save_steps == row.save_steps
    assert recipe.batch.samples == row.total
    assert row.per_device * row.accumulation * row.devices == row.total
    assert (recipe.data.template, recipe.tune.language_model) == (row.template, row.language_model)
    assert (recipe.model.projector, recipe.model.image_start_end) == (row.projector, row.start_end)
    assert (zero is not None) == row.strategy.startswith("zero")
    assert bool(arguments.fsdp) == (row.strategy == "fsdp")
    if zero is not None:
        assert zero["zero_optimization"]["stage"] == int(row.strategy[-1])
    if arguments.fsdp:
        assert arguments.fsdp_plugin_args["transformer_cls_names_to_wrap"] == "LlamaDecoderLayer"
        assert arguments.fsdp_plugin_args["activation_checkpointing"] is True
        assert arguments.fsdp_plugin_args["reshard_after_forward"] is True


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipe_has_what_is_common_to_all_of_the_original_s_runs(name: str, tmp_path: Path) -> None:
    recipe = recipes.load(name)
    keywords = trainer_arguments(recipe, tmp_path, CPU)
    keywords.pop("deepspeed", None)
    arguments = TrainingArguments(**keywords)
    assert arguments.bf16 is True
    assert arguments.weight_decay == 0
    assert (arguments.adam_beta1, arguments.adam_beta2, arguments.adam_epsilon) == (0.9, 0.999, 1e-8)
    assert arguments.max_grad_norm == 1.0
    assert arguments.get_warmup_steps(1000) == 30
    assert arguments.lr_scheduler_type == "cosine"
    assert arguments.logging_steps == 1
    assert arguments.save_total_limit == 1
    assert arguments.eval_strategy == "no"
    assert recipe.compute.gradient_checkpointing
    assert arguments.activation_checkpointing != bool(arguments.fsdp)  # FSDP has its own
    assert recipe.data.max_tokens == 2048
    assert recipe.model.vision_feature_layer == -2


@pytest.mark.parametrize("name", PUBLISHED)
def test_lora_has_the_published_rank_and_is_absent_elsewhere(name: str) -> None:
    lora = recipes.load(name).tune.lora
    if name not in LORA:
        assert lora is None
        return
    assert lora is not None
    assert (lora.rank, lora.alpha, lora.projector) == LORA[name]
    assert lora.dropout == 0.05


def test_particulars_of_v1_5() -> None:
    assert recipes.load("v1.5-finetune").data.image_aspect_ratio == "pad"
    assert recipes.load("v1.5-finetune").data.group_by_modality_length
    assert recipes.load("v1.5-pretrain").data.image_aspect_ratio == "square"
    assert recipes.load("v1.5-lora").optimizer.projector_learning_rate == 2e-5


def test_tf32_is_asked_for_only_where_the_device_has_it(tmp_path: Path) -> None:
    recipe = recipes.load("pretrain-7b-1gpu")
    assert trainer_arguments(recipe, tmp_path, Device(gpu=True, tf32=True))["tf32"] is True
    assert trainer_arguments(recipe, tmp_path, GPU_WITHOUT_TF32)["tf32"] is None


def test_deepspeed_configurations_are_those_of_the_original() -> None:
    two, three, offloaded = deepspeed_config(2), deepspeed_config(3), deepspeed_config(3, offload=True)
    assert not any(key.startswith("stage3_") for key in two["zero_optimization"])
    zero = three["zero_optimization"]
    assert zero["sub_group_size"] == zero["stage3_max_live_parameters"] == zero["stage3_max_reuse_distance"] == 10**9
    assert zero["stage3_prefetch_bucket_size"] == zero["stage3_param_persistence_threshold"] == "auto"
    assert (zero["overlap_comm"], zero["contiguous_gradients"]) == (True, True)
    assert three["train_batch_size"] == three["gradient_accumulation_steps"] == "auto"
    for place in ("offload_optimizer", "offload_param"):
        assert offloaded["zero_optimization"][place] == {"device": "cpu", "pin_memory": True}
    assert offloaded["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is True
    assert offloaded["steps_per_print"] == 100_000
    assert offloaded["optimizer"]["params"]["lr"] == "auto"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.learing_rate=1e-4", "no such key: optimizer.learing_rate (did you mean learning_rate?)"),
        ("tune.lora.rnak=3", "no such key: tune.lora.rnak (did you mean rank?)"),
        ("dta.template=v1", "no such key: dta (did you mean data?)"),
        ("batch.samples_per_device=0", "batch.samples_per_device"),
        ("optimizer.learning_rate=fast", "optimizer.learning_rate"),
        ("compute.strategy=zero4", "compute.strategy"),
        ("batch=3", "batch"),
        ("batch.devices", "write section.key=value"),
        ("compute.strategy.x=1", "strategy is a value, not a section"),
    ],
)
def test_wrong_override_is_refused_with_the_key_and_the_nearest_one(override: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipes.load("deepspeed-lora", [override])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("tune.language_model=false", "tune.lora trains factors"),
        ("compute={strategy: none, offload: true}", "has no shards"),
        ("data.packing=true", ""),
    ],
)
def test_settings_that_contradict_each_other_are_refused(override: str, said: str) -> None:
    name = "v1.5-finetune" if "packing" in override else "deepspeed-lora"
    with pytest.raises(RecipeError, match=said or "group_by_modality_length"):
        recipes.load(name, [override])


def test_override_takes_numbers_as_people_write_them() -> None:
    """YAML 1.1 takes 1e-4, without a point, for a text."""
    recipe = recipes.load("deepspeed-lora", ["optimizer.learning_rate=1e-4", "log.report_to=[tensorboard, wandb]"])
    assert recipe.optimizer.learning_rate == 1e-4
    assert recipe.log.report_to == ("tensorboard", "wandb")


def test_unknown_recipe_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match=r"did you mean lightning-finetune-v1\?|did you mean lightning-finetune-v0\?"):
        recipes.load("lightning-finetune")


def test_file_may_extend_a_recipe_of_the_package_or_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text("extends: graph\nsummary: ours\nbatch: {max_steps: 7}\n")
    (tmp_path / "again.yaml").write_text("extends: ours.yaml\nseed: 3\n")
    recipe = recipes.load(tmp_path / "again.yaml")
    assert (recipe.summary, recipe.batch.max_steps, recipe.seed) == ("ours", 7, 3)
    assert recipe.optimizer == recipes.load("graph").optimizer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nseed: 2\n", "given twice"),
        ("- 1\n", "holds no keys"),
        ("seed: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("extends: self.yaml\n", "extends itself"),
        ("seed: [", "expected"),
        ("extends: nothing\n", "no such recipe"),
        ("summary: x\n", "data is missing"),
    ],
)
def test_file_that_is_no_recipe_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "self.yaml").write_text(text)
    with pytest.raises(RecipeError, match=said):
        recipes.load(tmp_path / "self.yaml")


def test_written_recipe_is_read_back_the_same(tmp_path: Path) -> None:
    import yaml

    recipe = recipes.load("v1.5-lora")
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipes.to_plain(recipe)))
    assert recipes.load(tmp_path / "r.yaml") == recipe


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipe_file_begins_with_the_command_that_runs_it(name: str) -> None:
    first = recipes.path_of(name).read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"# llava-graph train {name} --data ")
