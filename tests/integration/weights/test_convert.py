"""Converted checkpoints answer, in transformers, what the original's own forward pass answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoProcessor, LlavaForConditionalGeneration

from tests.unit.weights import checkpoints as made
from tests.unit.weights.original_llava import NEW_TOKENS, greedy, image_features
from weights.consolidate import extract_projector
from weights.convert import to_llava_hf, to_original
from weights.delta import apply_delta, make_delta
from weights.errors import MismatchError, UnsupportedError
from weights.lora import merge_lora


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    made.write_tower(folder)
    return folder


def figure() -> Image.Image:
    """Wider than high, each pixel another colour."""
    width, height = 60, 40
    return Image.frombytes("RGB", (width, height), bytes((7 * i + i // 90) % 256 for i in range(3 * width * height)))


def asked(folder: Path) -> tuple[LlavaForConditionalGeneration, Any, dict[str, torch.Tensor]]:
    """Model, processor and inputs of one question with the figure behind it."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    parts = [{"type": "text", "text": "What does the axis show?"}, {"type": "image"}]
    prompt = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
    inputs = processor(text=prompt, images=figure(), return_tensors="pt", add_special_tokens=False)
    return model, processor, dict(inputs)


def answered(folder: Path) -> list[int]:
    model, _, inputs = asked(folder)
    length = inputs["input_ids"].shape[1]
    out = model.generate(**inputs, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False)
    return [int(token) for token in out[0, length:]]


def expected(folder: Path, parts: made.Parts) -> list[int]:
    """What the original answers to the tokens and pixels that the converted folder makes of the question."""
    model, _, inputs = asked(folder)
    # generate() forbids the end token until min_new_tokens; the original's pass is held to the same.
    with torch.no_grad():
        parts.language.lm_head.weight[2] = 0
    image_id = model.config.image_token_id
    return greedy(parts, inputs["input_ids"][0].tolist(), image_id, inputs["pixel_values"])


@pytest.mark.parametrize("release", [made.V0, made.V0_PAD_FIRST, made.V1, made.V1_5], ids=["v0", "v0b", "v1", "v1.5"])
def test_converted_release_gives_the_logits_of_the_original(tmp_path: Path, tower: Path, release: made.Release) -> None:
    parts = made.write_original(tmp_path / "original", release)
    to_llava_hf(tmp_path / "original", tmp_path / "hf", tower=tower)
    model, _, inputs = asked(tmp_path / "hf")
    with torch.no_grad():
        logits = model(**inputs).logits[0]
        ids = inputs["input_ids"][0]
        places = ids == model.config.image_token_id
        assert places.sum() == (made.SIDE // made.PATCH) ** 2
        embedded = parts.language.get_input_embeddings()(ids.clamp(max=parts.language.config.vocab_size - 1))
        embedded[places] = image_features(parts, inputs["pixel_values"])
        wanted = parts.language(inputs_embeds=embedded[None]).logits[0]
    rows = wanted.shape[1]
    assert torch.allclose(logits[:, :rows], wanted, atol=2e-4)
    # Rows that were added never win: their logit is the mean of the others.
    assert int(logits.argmax(dim=-1).max()) < rows


@pytest.mark.parametrize("prefix", ["model.vision_tower.", "model.vision_tower.vision_tower."])
def test_vision_tower_inside_needs_no_folder_beside_it(tmp_path: Path, tower: Path, prefix: str) -> None:
    made.write_original(tmp_path / "original", made.V1, tower_inside=prefix)
    made.write_original(tmp_path / "without", made.V1)
    # CLIP's head count cannot be read off shapes: the folder gives the config where the tower is unusually narrow.
    summary = to_llava_hf(tmp_path / "original", tmp_path / "inside", tower=tower)
    to_llava_hf(tmp_path / "without", tmp_path / "beside", tower=tower)
    inside, beside = (load_file(tmp_path / name / "model.safetensors") for name in ("inside", "beside"))
    assert summary.tower.startswith("inside")
    assert inside.keys() == beside.keys()
    assert all(torch.equal(inside[name], beside[name]) for name in inside)


def test_missing_vision_tower_is_refused_by_the_name_of_the_one_that_is_wanted(tmp_path: Path) -> None:
    made.write_original(tmp_path / "original", made.V1)
    with pytest.raises(MismatchError, match=r"openai/clip-vit-large-patch14 with --vision-tower"):
        to_llava_hf(tmp_path / "original", tmp_path / "hf")
    assert [path.name for path in tmp_path.iterdir()] == ["original"]


def test_ids_of_special_tokens_are_those_of_the_vocabulary(tmp_path: Path, tower: Path) -> None:
    made.write_original(tmp_path / "original", made.V0_PAD_FIRST)
    to_llava_hf(tmp_path / "original", tmp_path / "hf", tower=tower)
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    generation = json.loads((tmp_path / "hf" / "generation_config.json").read_text())
    n = made.words()
    assert config["image_token_index" if "image_token_index" in config else "image_token_id"] == n + 1
    for ids in (config["text_config"], generation):
        assert (ids["bos_token_id"], ids["eos_token_id"], ids["pad_token_id"]) == (1, 2, n)
    processor = AutoProcessor.from_pretrained(tmp_path / "hf")
    assert processor.tokenizer.convert_tokens_to_ids(["[PAD]", "<image>", "<im_start>", "<im_end>"]) == [
        n,
        n + 1,
        n + 2,
        n + 3,
    ]


def test_prompt_of_a_model_with_image_borders_has_the_tokens_of_the_slow_tokenizer(tmp_path: Path, tower: Path) -> None:
    made.write_original(tmp_path / "original", made.V1)
    to_llava_hf(tmp_path / "original", tmp_path / "hf", tower=tower)
    tokenizer = AutoProcessor.from_pretrained(tmp_path / "hf").tokenizer
    pieces = sentencepiece.SentencePieceProcessor(model_proto=made.vocabulary())
    n = made.words()
    text = "The axis: \n<im_start><image><im_end>\n Describe the image.</s>USER: ok"
    # transformers 4.28, LlamaTokenizer (slow): white space beside added tokens goes, each stretch begins with a space.
    wanted = [
        *pieces.encode("The axis:"),
        n + 1,
        n,
        n + 2,
        *pieces.encode("Describe the image."),
        2,
        *pieces.encode("USER: ok"),
    ]
    assert tokenizer(text, add_special_tokens=False).input_ids == wanted


def test_prompt_of_v1_5_has_the_tokens_of_text_before_and_after_the_image_apart(tmp_path: Path, tower: Path) -> None:
    made.write_original(tmp_path / "original", made.V1_5)
    to_llava_hf(tmp_path / "original", tmp_path / "hf", tower=tower)
    processor = AutoProcessor.from_pretrained(tmp_path / "hf")
    pieces = sentencepiece.SentencePieceProcessor(model_proto=made.vocabulary())
    parts = [{"type": "image"}, {"type": "text", "text": "Describe the image."}]
    prompt = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
    before, after = prompt.removeprefix("<s>").split("<image>")
    assert after == "\nDescribe the image. ASSISTANT:"
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    wanted = [1, *pieces.encode(before), image, *pieces.encode(after)]
    assert processor.tokenizer(prompt, add_special_tokens=False).input_ids == wanted
    assert type(processor.image_processor).__name__.startswith("LlavaImageProcessor")


@pytest.mark.parametrize("release", [made.V0, made.V1_5], ids=["v0", "v1.5"])
def test_answers_are_the_same_after_convert_and_back_and_delta_and_convert(
    tmp_path: Path, tower: Path, release: made.Release
) -> None:
    """The whole round: original → llava-hf → original → delta to a base → original → llava-hf."""
    parts = made.write_original(tmp_path / "original", release, shards=2, suffix=".bin")
    made.write_language_model(tmp_path / "llama", shards=2)
    to_llava_hf(tmp_path / "original", tmp_path / "hf", tower=tower)
    to_original(tmp_path / "hf", tmp_path / "back")
    keep = ("model.mm_projector.",)
    make_delta(tmp_path / "llama", tmp_path / "back", tmp_path / "delta", dtype=torch.float32, keep=keep)
    apply_delta(tmp_path / "llama", tmp_path / "delta", tmp_path / "applied", keep=keep)
    to_llava_hf(tmp_path / "applied", tmp_path / "again", tower=tower)
    first = answered(tmp_path / "hf")
    assert len(first) == NEW_TOKENS
    assert len(set(first)) > 2
    assert answered(tmp_path / "again") == first
    assert expected(tmp_path / "hf", parts)[0] == first[0]


@pytest.mark.parametrize("release", [made.V0, made.V1, made.V1_5], ids=["v0", "v1", "v1.5"])
def test_way_back_restores_weights_config_and_tokenizer(tmp_path: Path, tower: Path, release: made.Release) -> None:
    parts = made.write_original(tmp_path / "original", release)
    to_llava_hf(tmp_path / "original", tmp_path / "hf", tower=tower)
    to_original(tmp_path / "hf", tmp_path / "back")
    weights = load_file(tmp_path / "back" / "model.safetensors")
    wanted = {name: tensor for name, tensor in parts.state.items() if not name.endswith("inv_freq")}
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)
    for name in ("tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "original" / name).read_bytes()
    before, after = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("original", "back"))
    changed = {"model_type", "architectures", "mm_projector_type"}
    assert {key: after[key] for key in before if key not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    assert after["use_mm_proj"] is True
    assert after["architectures"] == ["LlavaLlamaForCausalLM"]


def test_way_back_writes_the_vision_tower_to_a_folder_of_its_own(tmp_path: Path, tower: Path) -> None:
    made.write_original(tmp_path / "original", made.V1, tower_inside="model.vision_tower.vision_tower.")
    to_llava_hf(tmp_path / "original", tmp_path / "hf", tower=tower)
    to_original(tmp_path / "hf", tmp_path / "back", tower=tmp_path / "tower")
    assert not any("vision" in name for name in load_file(tmp_path / "back" / "model.safetensors"))
    to_llava_hf(tmp_path / "back", tmp_path / "again", tower=tmp_path / "tower")
    first, again = (load_file(tmp_path / name / "model.safetensors") for name in ("hf", "again"))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert answered(tmp_path / "again") == answered(tmp_path / "hf")


def test_adapter_with_two_embedding_rows_and_its_language_model_become_one_llava(tmp_path: Path, tower: Path) -> None:
    parts = made.write_original(tmp_path / "whole", made.V1)
    llama = made.write_language_model(tmp_path / "llama")
    adapter = {name: parts.state[name] for name in ("model.mm_projector.weight", "model.mm_projector.bias")}
    adapter["model.embed_tokens.weight"] = parts.state["model.embed_tokens.weight"][-2:].clone()
    torch.save(adapter, tmp_path / "mm_projector.bin")
    to_llava_hf(tmp_path / "mm_projector.bin", tmp_path / "hf", base=tmp_path / "llama", tower=tower)
    weights = load_file(tmp_path / "hf" / "model.safetensors")
    embedding = weights["language_model.model.embed_tokens.weight"]
    n = made.words()
    assert torch.equal(embedding[:n], llama.model.embed_tokens.weight)
    assert torch.equal(embedding[n + 1 :], adapter["model.embed_tokens.weight"])
    processor = AutoProcessor.from_pretrained(tmp_path / "hf")
    assert processor.tokenizer.convert_tokens_to_ids(["<image>", "<im_start>", "<im_end>"]) == [n, n + 1, n + 2]
    assert len(answered(tmp_path / "hf")) == NEW_TOKENS

    to_original(tmp_path / "hf", tmp_path / "back")
    names = extract_projector(tmp_path / "back", tmp_path / "again.bin")
    assert sorted(names) == [
        "model.mm_projector.bias",
        "model.mm_projector.weight",
    ]
    again = torch.load(tmp_path / "again.bin", weights_only=True)
    assert torch.equal(again["model.mm_projector.weight"], adapter["model.mm_projector.weight"])


def test_lora_folder_and_its_language_model_become_the_llava_that_merging_gives(tmp_path: Path, tower: Path) -> None:
    parts = made.write_original(tmp_path / "whole", made.V1)
    made.write_language_model(tmp_path / "llama")
    lora = tmp_path / "lora"
    lora.mkdir()
    generator = torch.Generator().manual_seed(3)
    at = "base_model.model.model.layers.1.mlp.down_proj.lora_"
    a, b = torch.randn(4, 96, generator=generator), torch.randn(64, 4, generator=generator)
    factors = {f"{at}A.weight": a, f"{at}B.weight": b}
    torch.save(factors, lora / "adapter_model.bin")
    (lora / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 2}))
    trained = ("model.mm_projector.weight", "model.mm_projector.bias", "model.embed_tokens.weight", "lm_head.weight")
    full = {f"base_model.model.{name}": parts.state[name] for name in trained}
    torch.save(full, lora / "non_lora_trainables.bin")
    (lora / "config.json").write_text((tmp_path / "whole" / "config.json").read_text())
    to_llava_hf(lora, tmp_path / "hf", base=tmp_path / "llama", tower=tower)

    merge_lora(tmp_path / "llama", lora, tmp_path / "merged")
    to_llava_hf(tmp_path / "merged", tmp_path / "hf-of-merged", tower=tower)
    direct, by_merging = (load_file(tmp_path / name / "model.safetensors") for name in ("hf", "hf-of-merged"))
    assert direct.keys() == by_merging.keys()
    assert all(torch.equal(direct[name], by_merging[name]) for name in direct)
    n = made.words()
    tokenizer = AutoProcessor.from_pretrained(tmp_path / "hf").tokenizer
    assert tokenizer.convert_tokens_to_ids(["<image>", "<im_start>", "<im_end>"]) == [n, n + 1, n + 2]
    assert answered(tmp_path / "hf") == answered(tmp_path / "hf-of-merged")

    to_original(tmp_path / "hf", tmp_path / "back")
    assert json.loads((tmp_path / "back" / "added_tokens.json").read_text())["<im_end>"] == n + 2


def test_adapter_without_its_language_model_is_refused(tmp_path: Path) -> None:
    torch.save({"model.mm_projector.weight": torch.ones(4, 2)}, tmp_path / "mm_projector.bin")
    with pytest.raises(UnsupportedError, match="--base"):
        to_llava_hf(tmp_path / "mm_projector.bin", tmp_path / "hf")


def test_layout_that_transformers_saves_becomes_the_one_that_vllm_loads(tmp_path: Path, tower: Path) -> None:
    made.write_original(tmp_path / "original", made.V1)
    to_llava_hf(tmp_path / "original", tmp_path / "hf", tower=tower)
    loaded, processor, _ = asked(tmp_path / "hf")
    # A model that was loaded is saved under the names it came with; one that was built is not.
    model = LlavaForConditionalGeneration(loaded.config)
    model.load_state_dict(loaded.state_dict())
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    assert any(
        name.startswith("vision_tower.embeddings.") for name in load_file(tmp_path / "saved" / "model.safetensors")
    )
    to_llava_hf(tmp_path / "saved", tmp_path / "again")
    first, again = (load_file(tmp_path / name / "model.safetensors") for name in ("hf", "again"))
    assert first.keys() == again.keys()
    assert answered(tmp_path / "again") == answered(tmp_path / "hf")
