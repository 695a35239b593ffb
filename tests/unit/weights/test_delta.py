"""make-delta and apply-delta against the original's arithmetic, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.unit.weights.checkpoints import write_tensors
from weights.checkpoint import Checkpoint
from weights.delta import DELTA_FILE, apply_delta, make_delta
from weights.errors import CheckpointError, MismatchError, TargetError, UnsupportedError
from weights.writing import WriteOptions

WIDTH = 24
REAL_ROWS = {"LLaMA": 32000, "v1": 32003, "v0": 32004}


def llama(seed: int, rows: int = 40, width: int = WIDTH, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    return {
        "model.embed_tokens.weight": random(rows, width),
        "model.layers.0.self_attn.q_proj.weight": random(width, width),
        "model.layers.0.input_layernorm.weight": random(width),
        "model.norm.weight": random(width),
        "lm_head.weight": random(rows, width),
    }


def llava(seed: int, rows: int = 43, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed + 1000)
    return llama(seed, rows, dtype=dtype) | {
        "model.mm_projector.weight": torch.randn(WIDTH, 8, generator=generator).to(dtype),
        "model.mm_projector.bias": torch.randn(WIDTH, generator=generator).to(dtype),
    }


def write(
    folder: Path, state: Mapping[str, Tensor], *, shards: int = 1, suffix: str = ".safetensors", **config: object
) -> Path:
    folder.mkdir()
    write_tensors(folder, state, shards=shards, suffix=suffix)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    return folder


def read(folder: Path) -> dict[str, Tensor]:
    with Checkpoint(folder) as checkpoint:
        return {name: tensor.collect() for name, tensor in checkpoint.tensors.items()}


def original_make(base: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """llava/model/make_delta.py on state dicts."""
    delta = {name: tensor.clone() for name, tensor in target.items()}
    for name, param in delta.items():
        if name not in base:
            assert name in ("model.mm_projector.weight", "model.mm_projector.bias")
            continue
        rows, columns = base[name].shape[0], base[name].shape[-1]
        if param.shape == base[name].shape:
            param -= base[name]
        else:
            param[:rows, :columns] -= base[name]
    return delta


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("shards", [1, 3])
def test_delta_and_result_are_bit_for_bit_those_of_the_original(tmp_path: Path, suffix: str, shards: int) -> None:
    base, target = llama(0), llava(1)
    write(tmp_path / "base", base, shards=shards, suffix=suffix)
    write(tmp_path / "target", target, shards=shards, suffix=suffix)
    summary = make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "delta")
    wanted = original_make(base, target)
    delta = read(tmp_path / "delta")
    assert delta.keys() == wanted.keys()
    assert all(torch.equal(delta[name], wanted[name]) for name in wanted)
    assert set(summary.grown) == {"model.embed_tokens.weight", "lm_head.weight"}
    assert set(summary.kept) == {"model.mm_projector.weight", "model.mm_projector.bias"}

    apply_delta(tmp_path / "base", tmp_path / "delta", tmp_path / "result")
    result = read(tmp_path / "result")
    restored = {name: tensor.clone() for name, tensor in wanted.items()}
    for name, tensor in base.items():
        restored[name][: tensor.shape[0]] += tensor
    assert all(torch.equal(result[name], restored[name]) for name in restored)
    exact = [name for name in target if torch.equal(result[name], target[name])]
    assert summary.exact == len(exact)
    for name in target:
        bound = torch.maximum(target[name].abs().max(), base.get(name, target[name]).abs().max()).float() * 2**-10
        assert (result[name].float() - target[name].float()).abs().max() <= bound


def test_rows_of_added_tokens_are_kept_raw_with_the_real_vocabularies(tmp_path: Path) -> None:
    base, target = llama(0, REAL_ROWS["LLaMA"]), llava(1, REAL_ROWS["v0"])
    write(tmp_path / "base", base)
    write(tmp_path / "target", target)
    make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "delta")
    rows = read(tmp_path / "delta")["model.embed_tokens.weight"]
    assert rows.shape == (32004, WIDTH)
    assert torch.equal(rows[32000:], target["model.embed_tokens.weight"][32000:])
    assert torch.equal(rows[:32000], target["model.embed_tokens.weight"][:32000] - base["model.embed_tokens.weight"])


def test_delta_in_the_target_s_own_type_keeps_that_type(tmp_path: Path) -> None:
    base, target = llama(0, dtype=torch.bfloat16), llava(1, dtype=torch.bfloat16)
    make_delta(write(tmp_path / "base", base), write(tmp_path / "target", target), tmp_path / "delta", dtype=None)
    apply_delta(tmp_path / "base", tmp_path / "delta", tmp_path / "result")
    assert {tensor.dtype for tensor in read(tmp_path / "result").values()} == {torch.bfloat16}


def test_difference_that_does_not_fit_into_float16_is_refused(tmp_path: Path) -> None:
    base, target = llama(0, dtype=torch.float32), llama(0, dtype=torch.float32)
    base["model.norm.weight"][0], target["model.norm.weight"][0] = -60000.0, 60000.0
    with pytest.raises(UnsupportedError, match=r"model\.norm\.weight.*float16.*--dtype"):
        make_delta(write(tmp_path / "base", base), write(tmp_path / "target", target), tmp_path / "delta")
    assert not (tmp_path / "delta").exists()


def test_base_with_another_value_is_refused_by_the_name_of_the_tensor(tmp_path: Path) -> None:
    base = llama(0, rows=30000)
    make_delta(write(tmp_path / "base", base), write(tmp_path / "target", llava(1, 30003)), tmp_path / "delta")
    base["lm_head.weight"][29999, 3] += 1
    write(tmp_path / "wrong", base)
    with pytest.raises(MismatchError, match=r"wrong base: lm_head\.weight is not the one"):
        apply_delta(tmp_path / "wrong", tmp_path / "delta", tmp_path / "result")
    assert not list(tmp_path.glob("*result*"))


def test_wrong_base_is_noticed_in_its_small_tensors_before_anything_is_written(tmp_path: Path) -> None:
    make_delta(write(tmp_path / "base", llama(0)), write(tmp_path / "target", llava(1)), tmp_path / "delta")
    written: list[int] = []
    write(tmp_path / "wrong", llama(2))
    options = WriteOptions(progress=written.append)
    with pytest.raises(MismatchError, match="wrong base"):
        apply_delta(tmp_path / "wrong", tmp_path / "delta", tmp_path / "result", options=options)
    assert written == []


def test_damaged_delta_is_refused(tmp_path: Path) -> None:
    make_delta(write(tmp_path / "base", llama(0)), write(tmp_path / "target", llava(1)), tmp_path / "delta")
    state = load_file(tmp_path / "delta" / "model.safetensors")
    state["lm_head.weight"][0, 0] += 1
    save_file(state, tmp_path / "delta" / "model.safetensors")
    with pytest.raises(MismatchError, match=r"damaged delta: lm_head\.weight"):
        apply_delta(tmp_path / "base", tmp_path / "delta", tmp_path / "result")


def test_delta_of_the_original_s_tool_is_applied_without_checksums(tmp_path: Path) -> None:
    base, target = llama(0), llava(1)
    write(tmp_path / "base", base)
    write(tmp_path / "delta", original_make(base, target), shards=2, suffix=".bin")
    summary = apply_delta(tmp_path / "base", tmp_path / "delta", tmp_path / "result")
    assert not summary.checked
    result = read(tmp_path / "result")
    assert all((result[name].float() - target[name].float()).abs().max() < 0.01 for name in target)


@pytest.mark.parametrize("side", ["base", "target"])
def test_computed_buffer_on_one_side_only_does_no_harm(tmp_path: Path, side: str) -> None:
    states = {"base": llama(0), "target": llava(1)}
    states[side]["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    write(tmp_path / "base", states["base"])
    write(tmp_path / "target", states["target"])
    make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "delta")
    assert not any("inv_freq" in name for name in read(tmp_path / "delta"))


def test_tensor_that_only_the_target_has_is_refused_and_can_be_kept(tmp_path: Path) -> None:
    target = llava(1) | {"model.extra.weight": torch.ones(3, dtype=torch.float16)}
    write(tmp_path / "base", llama(0))
    write(tmp_path / "target", target)
    with pytest.raises(MismatchError, match=r"model\.extra\.weight is in .*target and not in the base"):
        make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "delta")
    make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "delta", keep=["model.extra."])
    assert torch.equal(read(tmp_path / "delta")["model.extra.weight"], target["model.extra.weight"])


def test_tensor_that_only_the_base_has_is_refused(tmp_path: Path) -> None:
    target = llava(1)
    del target["model.norm.weight"]
    write(tmp_path / "base", llama(0))
    with pytest.raises(MismatchError, match=r"model\.norm\.weight is in the base .* and not in"):
        make_delta(tmp_path / "base", write(tmp_path / "target", target), tmp_path / "delta")


@pytest.mark.parametrize("name", ["model.layers.0.self_attn.q_proj.weight", "model.norm.weight"])
def test_other_shape_is_refused_except_for_embeddings(tmp_path: Path, name: str) -> None:
    target = llava(1)
    target[name] = torch.ones(*(n + 1 for n in target[name].shape), dtype=torch.float16)
    with pytest.raises(MismatchError, match=rf"{name} has the shape"):
        make_delta(write(tmp_path / "base", llama(0)), write(tmp_path / "target", target), tmp_path / "delta")


def test_embedding_smaller_than_the_base_s_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match=r"has the shape \[39, 24\], in the base .* \[40, 24\]"):
        make_delta(write(tmp_path / "base", llama(0)), write(tmp_path / "target", llava(1, 39)), tmp_path / "delta")


def test_projector_of_two_layers_is_refused_in_the_original_s_layout(tmp_path: Path) -> None:
    target = llama(1) | {f"model.mm_projector.{i}.weight": torch.ones(4, 4, dtype=torch.float16) for i in (0, 2)}
    write(tmp_path / "base", llama(0))
    write(tmp_path / "target", target)
    with pytest.raises(UnsupportedError, match="random linear layer"):
        make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "delta")
    summary = make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "delta", keep=["model.mm_projector."])
    assert len(summary.kept) == 2


def test_vision_tower_in_the_target_is_kept(tmp_path: Path) -> None:
    name = "model.vision_tower.vision_tower.vision_model.post_layernorm.weight"
    target = llava(1) | {name: torch.ones(8, dtype=torch.float16)}
    make_delta(write(tmp_path / "base", llama(0)), write(tmp_path / "target", target), tmp_path / "delta")
    assert torch.equal(read(tmp_path / "delta")[name], target[name])


def test_tied_llama_is_a_base_of_a_llava_hf_folder_that_has_its_output_written_out(tmp_path: Path) -> None:
    base = llama(0)
    del base["lm_head.weight"]
    target = {f"language_model.{name}": tensor for name, tensor in llama(1, 43).items()}
    target["multi_modal_projector.linear_1.weight"] = torch.ones(WIDTH, 8, dtype=torch.float16)
    target["vision_tower.vision_model.post_layernorm.weight"] = torch.ones(8, dtype=torch.float16)
    write(tmp_path / "base", base, tie_word_embeddings=True)
    write(tmp_path / "target", target, text_config={})
    make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "delta")
    delta = read(tmp_path / "delta")
    wanted = target["language_model.lm_head.weight"][:40] - base["model.embed_tokens.weight"]
    assert torch.equal(delta["language_model.lm_head.weight"][:40], wanted)
    apply_delta(tmp_path / "base", tmp_path / "delta", tmp_path / "result")
    result = read(tmp_path / "result")
    assert all((result[name].float() - target[name].float()).abs().max() < 0.01 for name in target)


def test_delta_says_that_there_is_a_projector_where_v0_configs_do_not(tmp_path: Path) -> None:
    make_delta(write(tmp_path / "base", llama(0)), write(tmp_path / "target", llava(1)), tmp_path / "delta")
    config = json.loads((tmp_path / "delta" / "config.json").read_text())
    assert (config["use_mm_proj"], config["model_type"]) == (True, "llava")


def test_tokenizer_comes_from_the_target_and_pickles_and_code_stay_behind(tmp_path: Path) -> None:
    write(tmp_path / "base", llama(0))
    target = write(tmp_path / "target", llava(1))
    (target / "tokenizer.model").write_bytes(b"vocabulary")
    (target / "training_args.bin").write_bytes(b"pickle")
    (target / "modeling.py").write_text("code")
    summary = make_delta(tmp_path / "base", target, tmp_path / "delta")
    assert (tmp_path / "delta" / "tokenizer.model").read_bytes() == b"vocabulary"
    assert summary.files_left == ("modeling.py", "training_args.bin")
    apply_delta(tmp_path / "base", tmp_path / "delta", tmp_path / "result")
    assert not (tmp_path / "result" / DELTA_FILE).exists()
    assert (tmp_path / "result" / "tokenizer.model").read_bytes() == b"vocabulary"


def test_delta_file_of_another_format_is_refused(tmp_path: Path) -> None:
    make_delta(write(tmp_path / "base", llama(0)), write(tmp_path / "target", llava(1)), tmp_path / "delta")
    (tmp_path / "delta" / DELTA_FILE).write_text('{"format": "another"}')
    with pytest.raises(CheckpointError, match="not of the format"):
        apply_delta(tmp_path / "base", tmp_path / "delta", tmp_path / "result")


@pytest.mark.parametrize("place", ["base", "target", "base/below"])
def test_target_that_is_an_input_or_lies_in_one_is_refused(tmp_path: Path, place: str) -> None:
    write(tmp_path / "base", llama(0))
    write(tmp_path / "target", llava(1))
    with pytest.raises(TargetError, match="is, holds or lies in the input"):
        make_delta(tmp_path / "base", tmp_path / "target", tmp_path / place)


def test_interrupted_delta_that_goes_on_is_that_of_a_run_without_interruption(tmp_path: Path) -> None:
    write(tmp_path / "base", llama(0))
    write(tmp_path / "target", llava(1))
    small = 3000
    make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "whole", options=WriteOptions(shard_bytes=small))
    done: list[int] = []

    def disk_full(count: int) -> None:
        done.append(count)
        if sum(done) > small:
            raise OSError("no space left")

    options = WriteOptions(shard_bytes=small, workers=1, progress=disk_full)
    with pytest.raises(OSError, match="no space left"):
        make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "delta", options=options)
    assert not (tmp_path / "delta").exists()
    assert list((tmp_path / ".delta.partial").glob("*.safetensors"))
    resumed: list[int] = []
    options = WriteOptions(shard_bytes=small, progress=resumed.append)
    make_delta(tmp_path / "base", tmp_path / "target", tmp_path / "delta", options=options)
    whole, delta = (json.loads((tmp_path / name / DELTA_FILE).read_text()) for name in ("whole", "delta"))
    assert delta == whole
    apply_delta(tmp_path / "base", tmp_path / "delta", tmp_path / "result")
