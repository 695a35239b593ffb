"""vLLM serves what training makes: LoRA on the shipped model, merged, exported, once through every form of weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import agreement
from llava_graph.manifest import DEFAULT_MODEL_DIR, load_manifest
from tests.e2e.conftest import REPOSITORY
from tests.integration.training.small_llava import write_recipe, write_samples
from tests.unit.weights.rounds import whole_round
from training import recipe as recipes
from training.run import Files, run
from weights.build import build
from weights.export import Card, export_folder
from weights.lora import merge_lora

pytestmark = pytest.mark.timeout(900)

SHIPPED = REPOSITORY / DEFAULT_MODEL_DIR


async def test_vllm_answers_with_the_trained_model_as_with_its_original_layout_and_delta(
    vllm_python: str, tmp_path: Path
) -> None:
    manifest = load_manifest(SHIPPED)
    model = build(SHIPPED)
    write_samples(tmp_path, manifest.context_template)
    # The format in which the service asks this model: its own chat template.
    settings = ("data.template=chat", "data.max_tokens=1024", "optimizer.learning_rate=1e-3")
    recipe = recipes.load(write_recipe(tmp_path / "small.yaml", "deepspeed-lora"), settings)
    files = Files(data=tmp_path / "built" / "train", out=tmp_path / "run", model=model)
    adapter = run(recipe, files).folder
    merge_lora(model, adapter, tmp_path / "merged")
    card = Card("trained", "1", manifest.context_template, manifest.max_new_tokens, manifest.context_length)
    export_folder(tmp_path / "merged", tmp_path / "served", card)
    # Without a bound vLLM wants most of the machine's memory for its KV cache, of which this process has a part.
    with (tmp_path / "served" / "manifest.toml").open("a", encoding="utf-8") as file:
        file.write('\n[engine.vllm-cpu]\nkv_cache_memory_bytes = "1G"\n')
    (tmp_path / "round").mkdir()
    figures = agreement.asked_figures(4)
    texts = []
    for folder in (tmp_path / "served", whole_round(tmp_path / "served", tmp_path / "round")):
        async with agreement.engine(folder, "vllm", vllm_python, "float32") as url:
            texts.append([answer.text for answer in await agreement.answers(url, load_manifest(folder), figures)])
    before, after = texts
    assert after == before
    assert len(set(before)) > 1
