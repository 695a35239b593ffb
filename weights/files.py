"""The files beside the weights: which are taken along to a new folder, and which are left and named.

Taken: texts that describe model, tokenizer and processor. Left: pickles (training state), code, caches.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from weights.checkpoint import INDEX_FILES
from weights.writing import CHECKSUMS_FILE, PROGRESS_FILE

_KEPT_SUFFIXES = {".json", ".jinja", ".txt", ".model", ".md", ".toml"}
_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".pth", ".pt"}
ORIGINAL_FOLDER = "original"
"""Where a converted checkpoint keeps config and tokenizer files as they were before."""

_OWN = {*INDEX_FILES, CHECKSUMS_FILE, PROGRESS_FILE}


def copy_beside(source: Path, folder: Path, leave: Collection[str] = ()) -> list[str]:
    """Copies the describing files of `source` to `folder`, except those named in `leave`; gives what was left behind.

    Files that hold weights or belong to their sharding are neither copied nor mentioned. The folder that a conversion
    keeps for the way back (ORIGINAL_FOLDER) goes along.
    """
    left = []
    for file in sorted(source.iterdir()):
        if file.name in _OWN or file.name in leave or (file.suffix in _WEIGHT_SUFFIXES and _is_weights(file)):
            continue
        if file.name == ORIGINAL_FOLDER and file.is_dir():
            (folder / file.name).mkdir()
            left += copy_beside(file, folder / file.name)
        elif file.is_file() and (file.suffix in _KEPT_SUFFIXES or file.name.startswith(("LICENSE", "NOTICE"))):
            shutil.copyfile(file, folder / file.name)
        else:
            left.append(file.name)
    return left


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """An object as people like to read it; keys keep their order."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_weights(file: Path) -> bool:
    stems = ("pytorch_model", "model", "mm_projector", "consolidated")
    return file.suffix == ".safetensors" or file.name.startswith(stems)
