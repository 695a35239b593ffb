"""Where weights lie that are built on this machine: which folder of the cache belongs to which delta.

A model whose manifest has a table [build] is shipped as a delta to a language model of the package index. The builder
(`weights/build.py`) writes the whole model to the folder that this module names, and the launcher serves it from there.
Neither the delta nor its base is read here but for checksums; nothing is written.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from llava_graph.manifest import MANIFEST_FILE, Build, ModelManifest

CACHE_DIR_VARIABLE = "LLAVA_GRAPH_CACHE_DIR"

WEIGHTS_FILE = "model.safetensors"

# Changes when other bytes come out of the same delta, or other files beside them.
_FORMAT = "llava-graph-built-1"

# What no built file depends on: a manifest's other tables are read where the delta lies.
_NOT_BUILT = {MANIFEST_FILE, "README.md"}


def cache_dir() -> Path:
    """The folder for what is made on this machine and can be made again: $LLAVA_GRAPH_CACHE_DIR, or `llava-graph` in
    the user's cache folder (XDG Base Directory Specification: $XDG_CACHE_HOME, else ~/.cache)."""
    if named := os.environ.get(CACHE_DIR_VARIABLE):
        return Path(named).absolute()
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The specification has a relative path ignored.
    return (home if home.is_absolute() else Path.home() / ".cache") / "llava-graph"


def is_built(folder: Path) -> bool:
    """Whether `folder` holds a model's weights, and not only a delta to them."""
    return (folder / "config.json").is_file() and (folder / WEIGHTS_FILE).is_file()


def built_dir(model_dir: Path, manifest: ModelManifest) -> Path:
    """The folder in the cache for the weights built from the delta in `model_dir`, whether they are there or not.

    Its name ends with a checksum of the recipe and of every file of the delta. Raises OSError where one is unreadable.
    """
    assert manifest.build is not None
    return cache_dir() / "models" / f"{manifest.name}-{_key(model_dir, manifest.build)}"


def _key(model_dir: Path, build: Build) -> str:
    digest = hashlib.sha256(repr((_FORMAT, build)).encode())
    for file in sorted(model_dir.iterdir()):
        if file.is_file() and file.name not in _NOT_BUILT:
            with file.open("rb") as opened:
                digest.update(f"{file.name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:16]
