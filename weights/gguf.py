"""A GGUF language model as a Hugging Face folder, through transformers' own reader (it needs the `gguf` package).

Quantised weights are expanded, so the folder is several times the size of the file, and the whole model is in memory
once in float32. Two traps: transformers keeps a `quantization_config` that says GGUF, with which the saved folder does
not load; and the loaded model carries what the reader put into it, so its weights are put into a fresh model, which is
saved.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from weights.errors import CheckpointError, UnsupportedError
from weights.folder import new_folder

_MAGIC = b"GGUF"


def from_gguf(file: Path, target: Path, *, dtype: torch.dtype = torch.bfloat16, overwrite: bool = False) -> int:
    """Writes the model in `file` to `target` with tokenizer and chat template; gives the number of parameters.

    Raises UnsupportedError where `gguf` is not installed or transformers cannot read the architecture.
    """
    if importlib.util.find_spec("gguf") is None:
        raise UnsupportedError("reading GGUF needs the package gguf: pip install 'llava-graph[weights]'")
    _check(file)
    with new_folder(target, overwrite=overwrite, inputs=(file,)) as folder:
        _clear(folder)
        # transformers looks for the file in a folder, and would search that folder for other files as well.
        with tempfile.TemporaryDirectory() as alone:
            (Path(alone) / file.name).symlink_to(file.resolve())
            try:
                loaded = AutoModelForCausalLM.from_pretrained(alone, gguf_file=file.name, dtype=torch.float32)
                tokenizer = AutoTokenizer.from_pretrained(alone, gguf_file=file.name)
            except (ValueError, KeyError, NotImplementedError) as error:
                raise UnsupportedError(f"{file}: transformers cannot read it: {error}") from error
        config = loaded.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        config.dtype = dtype
        config.name_or_path = ""  # what the GGUF's author called the run
        fresh = type(loaded)._from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
        fresh.load_state_dict(loaded.state_dict())
        fresh.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        fresh.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return sum(parameter.numel() for parameter in fresh.parameters())


def _check(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            magic = opened.read(len(_MAGIC))
    except OSError as error:
        raise CheckpointError(f"{file}: {error.strerror}") from error
    if magic != _MAGIC:
        raise CheckpointError(f"{file}: not a GGUF file")


def _clear(folder: Path) -> None:
    """What an interrupted run left: this conversion starts again."""
    for stale in folder.iterdir():
        shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
