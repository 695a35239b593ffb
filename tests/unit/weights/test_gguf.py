"""A quantised GGUF file, written here by the gguf package, as a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.unit.weights.gguf_files import TEMPLATE, write
from weights.errors import CheckpointError, UnsupportedError
from weights.gguf import from_gguf


def test_quantised_file_becomes_a_folder_that_loads_and_answers(tmp_path: Path) -> None:
    expanded = write(tmp_path / "small.gguf")
    parameters = from_gguf(tmp_path / "small.gguf", tmp_path / "out", dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert sum(tensor.numel() for tensor in model.parameters()) == parameters
    assert not hasattr(model.config, "quantization_config")
    state = model.state_dict()
    for ours, theirs in (("embed_tokens", "token_embd"), ("layers.0.mlp.down_proj", "blk.0.ffn_down")):
        assert torch.equal(state[f"model.{ours}.weight"], torch.from_numpy(expanded[theirs])), ours
    assert model.generate(torch.tensor([[1, 3]]), max_new_tokens=2, do_sample=False).shape[1] > 2

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.chat_template == TEMPLATE
    assert tokenizer("ab a", add_special_tokens=False).input_ids == [5, 7]


def test_weights_are_written_in_the_type_that_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "small.gguf")
    from_gguf(tmp_path / "small.gguf", tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(b"not a model")
    with pytest.raises(CheckpointError, match="not a GGUF file"):
        from_gguf(tmp_path / "other.gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_architecture_that_transformers_does_not_read_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    write(tmp_path / "small.gguf", architecture="unheard-of")
    with pytest.raises(UnsupportedError, match="transformers cannot read it"):
        from_gguf(tmp_path / "small.gguf", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["small.gguf"]
