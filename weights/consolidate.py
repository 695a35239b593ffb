"""Two small tools of the original's box: one type and one sharding for a checkpoint, and its projector alone."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import torch

from weights.checkpoint import Checkpoint
from weights.errors import CheckpointError, TargetError
from weights.files import copy_beside, write_json
from weights.folder import new_folder
from weights.layouts import PROJECTOR, detect
from weights.writing import DEFAULTS, WriteOptions, write_file_of_tensors, write_weights


def consolidate(
    source: Path,
    target: Path,
    *,
    dtype: torch.dtype | None = torch.float16,
    options: WriteOptions = DEFAULTS,
) -> list[str]:
    """Writes the weights of `source`, whatever their files and types, as safetensors of `dtype`; names stay.

    `dtype` None keeps each tensor's own. Gives the names of files that were left behind.
    """
    with Checkpoint(source) as ours, new_folder(target, overwrite=options.overwrite, inputs=(source,)) as folder:
        planned = {name: tensor if dtype is None else tensor.cast(dtype) for name, tensor in ours.tensors.items()}
        write_weights(folder, planned, options, inputs=(ours,))
        left = copy_beside(source, folder) if source.is_dir() else []
        config = ours.config if (source / "config.json").is_file() else {}
        if config and dtype is not None:
            # transformers 5 writes `dtype`, and reads `torch_dtype` of older files as well.
            name = str(dtype).removeprefix("torch.")
            config |= {key: name for key in ("dtype", "torch_dtype") if key in config}
            write_json(folder / "config.json", config)
    return left


def extract_projector(source: Path, file: Path, *, overwrite: bool = False) -> list[str]:
    """Writes the projector of a checkpoint in any layout to `file` under the names that it has there; gives the names.

    A `.bin` is what the original's `--pretrain_mm_mlp_adapter` reads; anything else must be `.safetensors`.
    """
    if file.suffix not in (".bin", ".safetensors"):
        raise TargetError(f"{file}: must end in .bin or .safetensors")
    if file.exists() and not overwrite:
        raise TargetError(f"{file}: exists (--overwrite replaces it)")
    with ExitStack() as opened:
        ours = opened.enter_context(Checkpoint(source))
        hub_names = detect(ours.tensors).to_hf({name: name for name in ours.tensors})
        names = [name for hub_name, name in hub_names.items() if hub_name.startswith(PROJECTOR)]
        if not names:
            raise CheckpointError(f"{source}: has no projector")
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".safetensors":
            write_file_of_tensors(file, {name: ours.tensors[name] for name in names})
        else:
            partial = file.with_name(f".{file.name}.partial")
            torch.save({name: ours.tensors[name].collect() for name in names}, partial)
            partial.rename(file)
    return names
