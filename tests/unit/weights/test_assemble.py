"""A shipped model put together from a random base and a random delta."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

from tests.unit.weights import gguf_files, shipped
from weights.assemble import assemble, write_base_checksums
from weights.errors import CheckpointError, MismatchError, TargetError, UnsupportedError
from weights.gguf import from_gguf
from weights.layouts import EMBEDDING, OUTPUT


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    gguf_files.write(folder / "base.gguf", tied=True)
    from_gguf(folder / "base.gguf", folder / "hf")
    return folder / "hf"


@pytest.fixture(scope="module")
def shipped_delta(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    folder = tmp_path_factory.mktemp("delta") / "shipped"
    wanted = shipped.write_delta(folder, base)
    write_base_checksums(base, folder)
    return folder, wanted


@pytest.fixture
def delta(shipped_delta: tuple[Path, object], tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(shipped_delta[0], tmp_path / "delta"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_assembled_model_has_peft_s_weights_and_loads_with_nothing_missing(
    base: Path, shipped_delta: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    delta, wanted = shipped_delta
    summary = assemble(base, delta, tmp_path / "whole")
    weights = load_file(tmp_path / "whole" / "model.safetensors")
    assert weights.keys() == wanted.keys() - {OUTPUT}, "tied: the output embedding is not written"
    for name, tensor in wanted.items():
        if name != OUTPUT:
            assert torch.allclose(weights[name].float(), tensor.float(), rtol=2**-7, atol=2**-9), name
    assert torch.equal(weights[EMBEDDING], wanted[EMBEDDING]), "the base's rows, and the one for <image>"
    assert (summary.merged, summary.added_rows, summary.checked) == (7, 1, True)

    model, report = LlavaForConditionalGeneration.from_pretrained(tmp_path / "whole", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    assert "manifest.toml" in names(tmp_path / "whole")
    assert not {"adapter_config.json", "vision.safetensors", "base_checksums.json"} & set(names(tmp_path / "whole"))


def test_same_bytes_come_out_each_time_whatever_the_order_in_the_base_s_file(
    base: Path, delta: Path, tmp_path: Path
) -> None:
    first = assemble(base, delta, tmp_path / "first")
    turned = Path(shutil.copytree(base, tmp_path / "turned"))
    tensors = load_file(base / "model.safetensors")
    for i, name in enumerate(tensors):
        save_file({name: tensors[name]}, turned / f"model-{len(tensors) - i:05d}.safetensors")
    (turned / "model.safetensors").unlink()
    second = assemble(turned, delta, tmp_path / "second", expected_sha256=first.sha256)
    assert second.sha256 == first.sha256


def test_wrong_base_is_refused_by_its_first_tensor_and_nothing_is_written(
    base: Path, delta: Path, tmp_path: Path
) -> None:
    wrong = Path(shutil.copytree(base, tmp_path / "wrong"))
    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"][3] += 1
    save_file(tensors, wrong / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MismatchError, match=r"^wrong base: model\.norm\.weight in "):
        assemble(wrong, delta, tmp_path / "whole")
    assert names(tmp_path) == ["delta", "wrong"]


def test_base_of_another_shape_is_refused_where_there_are_no_checksums(base: Path, delta: Path, tmp_path: Path) -> None:
    (delta / "base_checksums.json").unlink()
    other = Path(shutil.copytree(base, tmp_path / "other"))
    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"] = torch.ones(48, dtype=torch.bfloat16)
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MismatchError, match=r"norm\.weight has the shape \[48\]; .*config\.json says \[32\]"):
        assemble(other, delta, tmp_path / "whole")
    assert not assemble(base, delta, tmp_path / "whole").checked


def test_result_that_is_not_the_expected_one_gets_no_name(base: Path, delta: Path, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match=r"model\.safetensors has the SHA-256 [0-9a-f]{64}, not 000"):
        assemble(base, delta, tmp_path / "whole", expected_sha256="0" * 64)
    assert names(tmp_path) == ["delta"]


def test_existing_target_is_refused_and_kept(base: Path, delta: Path, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "mine.txt").write_text("kept")
    with pytest.raises(TargetError, match="--overwrite"):
        assemble(base, delta, tmp_path / "whole")
    assert names(tmp_path / "whole") == ["mine.txt"]


def test_delta_that_lacks_a_part_of_the_tower_is_refused_by_name(base: Path, delta: Path, tmp_path: Path) -> None:
    tensors = load_file(delta / "vision.safetensors")
    del tensors["multi_modal_projector.linear_2.bias"]
    save_file(tensors, delta / "vision.safetensors")
    with pytest.raises(MismatchError, match=r"^multi_modal_projector\.linear_2\.bias is neither in the base"):
        assemble(base, delta, tmp_path / "whole")


def test_row_of_another_width_is_refused(base: Path, delta: Path, tmp_path: Path) -> None:
    tensors = load_file(delta / "vision.safetensors")
    save_file({**tensors, "image_token_embedding": torch.ones(31)}, delta / "vision.safetensors")
    with pytest.raises(MismatchError, match=r"image_token_embedding has the shape \[31\].*32 wide"):
        assemble(base, delta, tmp_path / "whole")


def test_image_token_beyond_the_vocabulary_is_refused(base: Path, delta: Path, tmp_path: Path) -> None:
    config = json.loads((delta / "config.json").read_text())
    for key in {"image_token_index", "image_token_id"} & config.keys():
        config[key] = 10
    (delta / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="image token 10 is beyond the vocabulary"):
        assemble(base, delta, tmp_path / "whole")


def test_config_of_another_model_is_refused(base: Path, delta: Path, tmp_path: Path) -> None:
    (delta / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UnsupportedError, match="'llama' is not llava"):
        assemble(base, delta, tmp_path / "whole")
