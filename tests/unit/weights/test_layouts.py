"""Every layout leads to the hub's names and back; each is told from the others by its names."""

from __future__ import annotations

import pytest

from weights import layouts
from weights.errors import CheckpointError

HUB_NAMES = (
    "language_model.model.embed_tokens.weight",
    "language_model.model.layers.0.self_attn.q_proj.weight",
    "language_model.model.norm.weight",
    "language_model.lm_head.weight",
    "vision_tower.vision_model.embeddings.class_embedding",
    "vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",
    "multi_modal_projector.linear_1.weight",
    "multi_modal_projector.linear_2.bias",
)
WITH_TOWER = (
    layouts.HUB,
    layouts.SAVED,
    layouts.NAMESPACED,
    layouts.IN_MEMORY,
    layouts.ORIGINAL,
    layouts.ORIGINAL_V0,
)


@pytest.mark.parametrize("layout", WITH_TOWER, ids=lambda layout: layout.name)
def test_names_go_to_the_layout_and_come_back(layout: layouts.Prefixes) -> None:
    own = layout.from_hf({name: i for i, name in enumerate(HUB_NAMES)})
    assert layouts.detect(own) == layout
    assert layout.to_hf(own) == {name: i for i, name in enumerate(HUB_NAMES)}


def test_names_of_the_original_are_those_that_it_writes() -> None:
    own = layouts.ORIGINAL.from_hf(dict.fromkeys(HUB_NAMES))
    assert set(own) == {
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.norm.weight",
        "lm_head.weight",
        "model.vision_tower.vision_tower.vision_model.embeddings.class_embedding",
        "model.vision_tower.vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",
        "model.mm_projector.0.weight",
        "model.mm_projector.2.bias",
    }


def test_linear_projector_keeps_a_name_of_its_own() -> None:
    assert layouts.ORIGINAL.hf_name("model.mm_projector.weight") == "multi_modal_projector.linear.weight"
    assert layouts.ORIGINAL.own_name("multi_modal_projector.linear.bias") == "model.mm_projector.bias"


def test_layouts_without_a_tower_are_told_apart() -> None:
    assert layouts.detect(["model.norm.weight", "lm_head.weight"]) == layouts.LANGUAGE_MODEL
    assert layouts.detect(["model.norm.weight", "model.mm_projector.weight"]) == layouts.ORIGINAL
    assert layouts.detect(["language_model.model.norm.weight"]) == layouts.HUB


def test_computed_buffers_are_left_out() -> None:
    names = ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.image_newline", "model.norm.weight"]
    assert layouts.LANGUAGE_MODEL.to_hf(dict.fromkeys(names)) == {"language_model.model.norm.weight": None}


def test_unknown_names_are_refused() -> None:
    with pytest.raises(CheckpointError, match="no known layout"):
        layouts.detect(["transformer.h.0.attn.weight"])
    with pytest.raises(CheckpointError, match=r"model\.resampler\.weight is no name of the hub layout"):
        layouts.HUB.to_hf({"model.resampler.weight": None})


def test_text_side_of_a_clip_folder_is_left_out() -> None:
    names = ["vision_model.post_layernorm.weight", "text_model.final_layer_norm.weight", "logit_scale"]
    assert list(layouts.tower_names(dict.fromkeys(names))) == ["vision_tower.vision_model.post_layernorm.weight"]
    assert list(layouts.tower_names({"post_layernorm.weight": 0})) == [
        "vision_tower.vision_model.post_layernorm.weight"
    ]
