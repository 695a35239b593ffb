"""The manifests of deploy/kubernetes: against Kubernetes' schemas, against each other, and against the code they run.

Every installation is an overlay with all components. No cluster is asked.
"""

from __future__ import annotations

import copy
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic_settings import BaseSettings

from docs import reference
from launcher.engine.command import HEALTH_PATH
from launcher.engine.vllm import shell_line
from llava_graph.address import Address
from llava_graph.manifest import load_manifest
from ocr_worker.__main__ import main as ocr_worker_command
from ocr_worker.settings import WorkerSettings
from service.app import create_app
from service.engine.engines_file import parse_engines_file
from service.settings import GatewaySettings
from tests.unit.deploy.compose_file import SERVICES
from tests.unit.deploy.kustomize import (
    KUBERNETES,
    Resource,
    Workload,
    as_files_have_them,
    can_render,
    matches,
    rendered,
    workloads,
)
from tests.unit.deploy.promql import REPOSITORY, VLLM_METRICS, complaints, exported

OVERLAYS = ("cpu", "gpu", "multi-node")
COMPONENTS = ("monitoring", "autoscaling", "ocr-gpu", "feedback")
WAYS = ("files", "rendered") if can_render() else ("files",)
needs_kubectl = pytest.mark.skipif(
    not can_render(),
    reason="no kubectl of 1.27 or newer on the PATH; everything was checked as its files have it, without patches",
)

OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()
"""Of Kubernetes: 1.30 is the first to know the `sleep` of a preStop hook."""

OF_OPERATORS = {
    "LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ScaledObject": "keda.sh/v1alpha1",
}
"""What Kubernetes itself has no schema of."""

SETTINGS: Mapping[str, type[BaseSettings]] = {"gateway": GatewaySettings, "ocr-worker": WorkerSettings}
OWN_FLAGS = (
    "--tensor-parallel-size",
    "--pipeline-parallel-size",
    "--distributed-executor-backend",
    "--shutdown-timeout",
)
"""What the manifests add to what `llava-graph engine --print gpu` writes of a model by itself."""

LAST_WORDS_S = 5
"""What a process may take to end once its time is over."""

MONITORING = ({"kubernetes.io/metadata.name": "monitoring"}, {})
"""Namespace and pod labels of Prometheus."""


@pytest.fixture(scope="module", params=[(overlay, way) for overlay in OVERLAYS for way in WAYS], ids="-".join)
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    overlay, way = request.param
    if way == "files":
        return as_files_have_them(overlay, COMPONENTS)
    return rendered(overlay, COMPONENTS, tmp_path_factory.mktemp(overlay))


def of_kind(resources: Sequence[Resource], kind: str) -> list[Resource]:
    return [resource for resource in resources if resource["kind"] == kind]


def of_component(resources: Sequence[Resource], component: str) -> list[Workload]:
    return [workload for workload in workloads(resources) if workload.component == component]


def config(resources: Sequence[Resource], component: str) -> dict[str, str]:
    """The environment of a component as far as it is no secret: its ConfigMap and the values in its manifest."""
    (workload,) = of_component(resources, component)
    names = {source["configMapRef"]["name"] for source in workload.container.get("envFrom", ())}
    maps = [made["data"] for made in of_kind(resources, "ConfigMap") if made["metadata"]["name"] in names]
    assert len(maps) == len(names), f"{workload} wants {names}"
    values = {entry["name"]: entry.get("value", "from-a-secret") for entry in workload.container.get("env", ())}
    return {name: value for given in (*maps, values) for name, value in given.items()}


def settings(resources: Sequence[Resource], component: str) -> BaseSettings:
    """What the process makes of its environment. Raises AssertionError for a name that it does not know,
    ValidationError for a value that it does not take."""
    cls = SETTINGS[component]
    given = {n: value for n, value in config(resources, component).items() if n.startswith("LLAVA_GRAPH_")}
    fields = {name.removeprefix("LLAVA_GRAPH_").lower(): value for name, value in given.items()}
    assert fields.keys() <= cls.model_fields.keys(), fields.keys() - cls.model_fields.keys()
    return cls(**fields)


def engine_words(resources: Sequence[Resource]) -> list[str]:
    """What the engine is started with, program and arguments: of a script, the words after its `exec`."""
    container = of_component(resources, "engine")[0].container
    if container.get("command", [""])[0] != "bash":
        return [*container.get("command", ()), *container["args"]]
    (script,) = container["args"]
    return shlex.split(script.partition("exec ")[2].replace("\\\n", " "))


@cache
def validate(resource: str, version: str) -> None:
    """Raises ValidationError for a resource, given as JSON, that this version of Kubernetes does not take.

    A schema is read anew for each, and most resources stand in every installation: each is looked at once.
    """
    kubernetes_validate.validate(json.loads(resource), version, strict=True)


def test_resources_are_what_kubernetes_knows(installation: list[Resource]) -> None:
    for resource in installation:
        if resource["kind"] in OF_OPERATORS:
            assert resource["apiVersion"] == OF_OPERATORS[resource["kind"]]
        else:
            for version in (OLDEST, NEWEST):
                validate(json.dumps(resource), version)
    for workload in workloads(installation):  # a LeaderWorkerSet's templates are pods, too
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "any", "labels": workload.labels},
            "spec": workload.spec,
        }
        validate(json.dumps(pod), NEWEST)


def test_a_mistyped_field_is_found() -> None:
    resources = as_files_have_them("cpu", ())
    (gateway,) = of_component(resources, "gateway")
    gateway.container["livenessProbes"] = gateway.container.pop("livenessProbe")
    with pytest.raises(kubernetes_validate.ValidationError, match="livenessProbes"):
        kubernetes_validate.validate(gateway.owner, NEWEST, strict=True)


def test_every_file_is_part_of_something() -> None:
    for kustomization in KUBERNETES.rglob("kustomization.yaml"):
        parts = yaml.safe_load(kustomization.read_text(encoding="utf-8"))
        named = {*parts.get("resources", ()), *(patch.get("path") for patch in parts.get("patches", ()))}
        files = {file.name for file in kustomization.parent.glob("*.yaml")} - {kustomization.name}
        assert files == {name for name in named if name and name.endswith(".yaml")}, kustomization


def test_what_is_merged_in_has_something_to_merge_into() -> None:
    existing = {repr(workload): workload for workload in workloads(as_files_have_them("gpu", ()))}
    merged = [KUBERNETES / "components" / "ocr-gpu" / "ocr-worker.yaml"]
    for patch in (yaml.safe_load(file.read_text(encoding="utf-8")) for file in merged):
        target = existing[f"{patch['kind']} {patch['metadata']['name']}"]
        (container,) = patch["spec"]["template"]["spec"]["containers"]
        assert container["name"] == target.container["name"]


@needs_kubectl
def test_everything_lies_in_one_namespace_when_it_is_rendered(tmp_path: Path) -> None:
    resources = rendered("gpu", COMPONENTS, tmp_path)
    assert {r["metadata"].get("namespace") for r in resources if r["kind"] != "Namespace"} == {"llava-graph"}


def unmatched(resources: Sequence[Resource]) -> Iterator[str]:
    """Selectors and names that lead to nothing."""
    pods = workloads(resources)
    for pod in pods:
        selector = pod.owner["spec"].get("selector", {})
        if not matches(selector, pod.labels):
            yield f"{pod} does not select its own pods"
    for service in of_kind(resources, "Service"):
        behind = [pod for pod in pods if matches({"matchLabels": service["spec"]["selector"]}, pod.labels)]
        if len(behind) != 1:
            yield f"Service {service['metadata']['name']} selects {behind}"
        for pod in behind:
            for port in service["spec"]["ports"]:
                if pod.port(port["targetPort"]) != port["port"]:
                    yield f"Service {service['metadata']['name']} is at {port['port']}, {pod} is not"
    for kind, field in (
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
        ("PodMonitor", "selector"),
    ):
        for resource in of_kind(resources, kind):
            if not any(matches(resource["spec"][field], pod.labels) for pod in pods):
                yield f"{kind} {resource['metadata']['name']} selects nothing"
    names = {(resource["kind"], resource["metadata"]["name"]) for resource in resources}
    for pod in pods:
        for volume in pod.spec["volumes"]:
            if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in names:
                yield f"{pod} mounts a ConfigMap that there is not"
    for scaled in of_kind(resources, "ScaledObject"):
        if ("Deployment", scaled["spec"]["scaleTargetRef"]["name"]) not in names:
            yield f"ScaledObject {scaled['metadata']['name']} scales nothing"


def test_selectors_and_names_lead_somewhere(installation: list[Resource]) -> None:
    assert list(unmatched(installation)) == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Service", ("selector", "app.kubernetes.io/component"), "gateways"),
        ("Service", ("ports", 0, "port"), 80),
        ("PodDisruptionBudget", ("selector", "matchLabels", "app.kubernetes.io/component"), "gateways"),
        ("Deployment", ("selector", "matchLabels", "app.kubernetes.io/component"), "gateways"),
        ("ScaledObject", ("scaleTargetRef", "name"), "gateways"),
    ],
)
def test_a_wrong_selector_or_name_is_found(kind: str, path: tuple[str | int, ...], value: str | int) -> None:
    resources = copy.deepcopy(as_files_have_them("gpu", COMPONENTS))
    (resource,) = (r for r in of_kind(resources, kind) if r["metadata"]["name"] == "gateway")
    place: Any = resource["spec"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert len(list(unmatched(resources))) == 1


@pytest.mark.parametrize("component", SETTINGS)
def test_processes_accept_their_settings(component: str, installation: list[Resource]) -> None:
    settings(installation, component)


def test_a_setting_that_does_not_exist_is_found() -> None:
    resources = as_files_have_them("cpu", ())
    (made,) = (r for r in of_kind(resources, "ConfigMap") if r["metadata"]["name"] == "llava-graph-gateway")
    made["data"]["LLAVA_GRAPH_MAX_ANSWER"] = "4"
    with pytest.raises(AssertionError, match="max_answer"):
        settings(resources, "gateway")


def test_secrets_and_claims_are_those_that_the_guide_has_made(installation: list[Resource]) -> None:
    guide = (KUBERNETES / "README.md").read_text(encoding="utf-8")
    text = json.dumps(installation)
    wanted = set(
        re.findall(r'"secretKeyRef": {"key": "[\w-]+", "name": "([\w-]+)"', json.dumps(installation, sort_keys=True))
    )
    wanted |= set(re.findall(r'"secretName": "([\w-]+)"', text))
    assert wanted == {"llava-graph-keys", "llava-graph-redis", "llava-graph-engine"}
    assert {name for name in wanted if f"create secret generic {name} " not in guide} == set()
    assert {name for name in re.findall(r'"claimName": "([\w-]+)"', text) if f"`{name}`" not in guide} == set()


def test_parts_find_each_other(installation: list[Resource]) -> None:
    ports = {r["metadata"]["name"]: r["spec"]["ports"][0]["port"] for r in of_kind(installation, "Service")}
    gateway, worker = settings(installation, "gateway"), settings(installation, "ocr-worker")
    assert isinstance(gateway, GatewaySettings)
    assert isinstance(worker, WorkerSettings)
    assert gateway.engine_url == f"http://engine:{ports['engine']}"
    assert gateway.redis_url == worker.redis_url
    assert gateway.redis_url.endswith(f"@redis:{ports['redis']}/0")
    assert of_component(installation, "gateway")[0].port("http") == gateway.port == ports["gateway"]
    assert of_component(installation, "ocr-worker")[0].port("metrics") == worker.ocr_metrics_port
    words = engine_words(installation)
    assert words[words.index("--port") + 1] == str(ports["engine"])
    (conf,) = (r["data"]["redis.conf"] for r in of_kind(installation, "ConfigMap") if "redis.conf" in r["data"])
    assert f"port {ports['redis']}\n" in conf


def test_prometheus_finds_the_same_ports_in_containers_and_pods(installation: list[Resource]) -> None:
    config = yaml.safe_load((REPOSITORY / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    scraped = {
        job["job_name"]: job["dns_sd_configs"][0]["port"] for job in config["scrape_configs"] if "dns_sd_configs" in job
    }
    found = {}
    for monitor in of_kind(installation, "PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        for workload in workloads(installation):
            has_port = endpoint["port"] in {port["name"] for port in workload.container.get("ports", ())}
            if matches(monitor["spec"]["selector"], workload.labels) and has_port:
                found[workload.labels[monitor["spec"]["jobLabel"]]] = workload.port(endpoint["port"])
    assert found == scraped


def feedback_folder_of_image() -> PurePosixPath:
    dockerfile = (REPOSITORY / "deploy" / "gateway.Dockerfile").read_text(encoding="utf-8")
    return PurePosixPath(re.findall(r"\bLLAVA_GRAPH_FEEDBACK_DIR=(\S+)", dockerfile)[0])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_feedback_is_off_without_its_component(overlay: str) -> None:
    gateway = settings(as_files_have_them(overlay, [c for c in COMPONENTS if c != "feedback"]), "gateway")
    assert isinstance(gateway, GatewaySettings)
    assert gateway.feedback == "off"


@needs_kubectl
def test_each_gateway_keeps_feedback_in_a_folder_of_its_own_on_a_volume_that_all_may_write(tmp_path: Path) -> None:
    resources = rendered("gpu", ["feedback"], tmp_path)
    [gateway] = of_component(resources, "gateway")
    given = settings(resources, "gateway")
    assert isinstance(given, GatewaySettings)
    assert given.feedback == "on"
    [mount] = [mount for mount in gateway.container["volumeMounts"] if mount["name"] == "feedback"]
    assert PurePosixPath(mount["mountPath"]) == feedback_folder_of_image()
    assert not mount.get("readOnly")
    assert given.feedback_dir.as_posix() == f"{mount['mountPath']}/$(POD_NAME)"
    names = [entry["name"] for entry in gateway.container["env"]]
    assert names.index("POD_NAME") < names.index("LLAVA_GRAPH_FEEDBACK_DIR"), "Kubernetes expands what stands before"
    [pod_name] = [entry for entry in gateway.container["env"] if entry["name"] == "POD_NAME"]
    assert pod_name["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    [volume] = [volume for volume in gateway.spec["volumes"] if volume["name"] == "feedback"]
    [claim] = of_kind(resources, "PersistentVolumeClaim")
    assert volume["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert gateway.spec["securityContext"]["fsGroup"] == gateway.spec["securityContext"]["runAsGroup"]


def test_gateway_and_engine_serve_the_same_model(installation: list[Resource]) -> None:
    gateway = settings(installation, "gateway")
    assert isinstance(gateway, GatewaySettings)
    manifest = load_manifest(REPOSITORY / gateway.model_dir)
    container = of_component(installation, "engine")[0].container
    if "command" not in container:
        assert container["args"][container["args"].index("--model") + 1] == str(gateway.model_dir)
        return
    words = engine_words(installation)
    own = words[min(words.index(flag) for flag in OWN_FLAGS if flag in words) :]
    line = shlex.split(shell_line("gpu", manifest, gateway.model_dir, Path(words[2]), Address("0.0.0.0", 8001), own))
    start = line.index("vllm")
    assert words == line[start:]
    given = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert dict(word.split("=", 1) for word in line[1:start]).items() <= given.items()


def test_a_spread_model_has_the_gpus_that_it_is_spread_over() -> None:
    resources = as_files_have_them("multi-node", ())
    words = engine_words(resources)
    for workload in of_component(resources, "engine"):
        assert (
            workload.container["resources"]["limits"]["nvidia.com/gpu"]
            == words[words.index("--tensor-parallel-size") + 1]
        )
        size = workload.owner["spec"]["leaderWorkerTemplate"]["size"]
        assert str(size) == words[words.index("--pipeline-parallel-size") + 1]


def test_images_are_of_this_version_and_of_the_vllm_that_we_know(installation: list[Resource]) -> None:
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    (ours,) = re.findall(r'^version = "(.*)"$', project, re.MULTILINE)
    vllm = json.loads(VLLM_METRICS.read_text(encoding="utf-8"))["vllm"]
    versions = {"llava-graph/engine-ray": vllm, "vllm/vllm-openai": f"v{vllm}"}
    for workload in workloads(installation):
        name, _, version = workload.container["image"].partition(":")
        assert version, f"{workload} takes whatever there is of {name}"
        if name.startswith("llava-graph/") or name in versions:
            assert version == versions.get(name, ours), name


def test_images_are_those_of_the_containers_on_one_machine(installation: list[Resource]) -> None:
    images = {workload.container["image"] for workload in workloads(installation)}
    known = {service["image"] for service in SERVICES.values()}
    assert {image for image in images - known if not image.startswith("llava-graph/engine-ray:")} == set()


def test_the_image_with_ray_is_the_engine_of_the_containers_and_ray() -> None:
    folder = KUBERNETES / "overlays" / "multi-node"
    dockerfile = (folder / "engine-ray.Dockerfile").read_text(encoding="utf-8")
    (tag,) = re.findall(r"--tag (\S+)", dockerfile)
    assert {
        workload.container["image"] for workload in of_component(as_files_have_them("multi-node", ()), "engine")
    } == {tag}
    (base,) = re.findall(r"^ARG VLLM_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    assert base == SERVICES["engine-gpu"]["image"]


def test_probes_ask_what_is_there(installation: list[Resource]) -> None:
    gateway = create_app(GatewaySettings(), manifest=load_manifest(REPOSITORY / "model_repo" / "llava-graph-tiny"))
    paths = {
        "gateway": set(gateway.openapi()["paths"]),
        "engine": {HEALTH_PATH},
        "ocr-worker": {"/metrics"},
    }
    for workload in workloads(installation):
        probes = [workload.container.get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness")]
        if workload.labels.get("leaderworkerset.sigs.k8s.io/worker-index") == "1":
            assert probes == [None] * 3  # a worker of a group serves nothing: the leader's probes are the group's
            continue
        for probe in probes:
            if "httpGet" in probe:
                workload.port(probe["httpGet"]["port"])
                assert probe["httpGet"]["path"] in paths[workload.component]
            elif workload.component == "ocr-worker":
                program, subcommand, option = probe["exec"]["command"]
                assert (program, subcommand) == ("llava-graph", ocr_worker_command.name)
                assert option in {flag for parameter in ocr_worker_command.params for flag in parameter.opts}


def test_pods_have_time_to_drain(installation: list[Resource]) -> None:
    gateway, worker = settings(installation, "gateway"), settings(installation, "ocr-worker")
    assert isinstance(gateway, GatewaySettings)
    assert isinstance(worker, WorkerSettings)
    assert gateway.drain_delay_s < gateway.shutdown_s
    assert gateway.shutdown_s >= gateway.answer_deadline_s
    needed_s = {"gateway": gateway.shutdown_s, "ocr-worker": 2 * worker.ocr_drain_s, "redis": 0.0, "engine": 0.0}
    words = engine_words(installation)
    if "--shutdown-timeout" in words:  # vLLM's; `transformers serve` has none
        needed_s["engine"] = float(words[words.index("--shutdown-timeout") + 1])
        assert needed_s["engine"] >= gateway.answer_deadline_s
    for workload in workloads(installation):
        asleep_s = workload.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        grace_s = workload.spec["terminationGracePeriodSeconds"]
        assert asleep_s + needed_s[workload.component] + LAST_WORDS_S <= grace_s, workload


def test_pods_may_do_nothing_that_they_need_not(installation: list[Resource]) -> None:
    for workload in workloads(installation):
        pod, container = workload.spec["securityContext"], workload.container["securityContext"]
        assert pod["runAsNonRoot"], workload
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert workload.spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & workload.spec.keys()
        assert not any("hostPath" in volume for volume in workload.spec["volumes"])


def test_pods_say_what_they_need_and_are_bounded(installation: list[Resource]) -> None:
    for workload in workloads(installation):
        resources = workload.container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys(), workload
        assert "memory" in resources["limits"], workload
        assert all("sizeLimit" in volume["emptyDir"] for volume in workload.spec["volumes"] if "emptyDir" in volume)
    (namespace,) = of_kind(installation, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


End = tuple[Mapping[str, str] | None, Mapping[str, str]]
"""Labels of a namespace, None for our own, and of a pod in it."""


def allowed(policies: Sequence[Resource], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Whether our NetworkPolicies let a connection through. What lies in another namespace has none of its own here."""
    way = {"port": port, "protocol": protocol}
    specs = [policy["spec"] for policy in policies]
    return _passes(specs, source, target, way, "Egress", "to") and _passes(
        specs, target, source, way, "Ingress", "from"
    )


def _passes(
    specs: Sequence[Mapping[str, Any]], pod: End, other: End, way: Mapping[str, Any], direction: str, peers: str
) -> bool:
    """One end's say: without a policy that selects it everything passes, else what one of their rules lets through."""
    namespace, labels = pod
    if namespace is not None:
        return True
    selecting = [spec for spec in specs if direction in spec["policyTypes"] and matches(spec["podSelector"], labels)]
    rules = [rule for spec in selecting for rule in spec.get(direction.lower(), ())]
    return not selecting or any(
        way in rule.get("ports", [way]) and (peers not in rule or any(_is_peer(peer, other) for peer in rule[peers]))
        for rule in rules
    )


def _is_peer(peer: Mapping[str, Any], other: End) -> bool:
    """A peer without a selector of namespaces is one of our own."""
    namespace, labels = other
    if "namespaceSelector" not in peer:
        return namespace is None and matches(peer["podSelector"], labels)
    return matches(peer["namespaceSelector"], namespace or {}) and matches(peer.get("podSelector", {}), labels)


def ends(resources: Sequence[Resource]) -> dict[str, End]:
    elsewhere: dict[str, End] = {
        "client": ({"kubernetes.io/metadata.name": "ingress"}, {}),
        "prometheus": MONITORING,
        "names": ({"kubernetes.io/metadata.name": "kube-system"}, {}),
    }
    return elsewhere | {workload.component: (None, workload.labels) for workload in workloads(resources)}


NEEDED = [
    ("client", "gateway", 8000),
    ("gateway", "redis", 6379),
    ("gateway", "engine", 8001),
    ("ocr-worker", "redis", 6379),
    ("prometheus", "gateway", 8000),
    ("prometheus", "ocr-worker", 9101),
    ("prometheus", "engine", 8001),
]
FORBIDDEN = [
    ("client", "redis", 6379),
    ("client", "engine", 8001),
    ("client", "ocr-worker", 9101),
    ("prometheus", "redis", 6379),
    ("ocr-worker", "engine", 8001),
    ("ocr-worker", "gateway", 8000),
    ("engine", "redis", 6379),
    ("engine", "gateway", 8000),
    ("gateway", "client", 443),
    ("engine", "client", 443),
    ("redis", "client", 443),
    ("ocr-worker", "client", 443),
]


def test_network_policies_let_through_what_is_needed_and_nothing_else(installation: list[Resource]) -> None:
    policies, at = of_kind(installation, "NetworkPolicy"), ends(installation)
    assert [way for way in NEEDED if not allowed(policies, at[way[0]], at[way[1]], way[2])] == []
    assert [way for way in FORBIDDEN if allowed(policies, at[way[0]], at[way[1]], way[2])] == []
    for component in ("gateway", "ocr-worker", "engine"):
        assert allowed(policies, at[component], at["names"], 53, "UDP")


def test_pods_of_one_spread_model_reach_each_other_and_no_others() -> None:
    resources = as_files_have_them("multi-node", ())
    policies, at = of_kind(resources, "NetworkPolicy"), ends(resources)
    assert allowed(policies, at["engine"], at["engine"], 6379)
    assert not allowed(policies, at["gateway"], at["engine"], 6379)


def test_engines_file_of_the_guide_names_the_pods_of_its_stateful_set(tmp_path: Path) -> None:
    guide = (KUBERNETES / "README.md").read_text(encoding="utf-8").partition("## Several engines")[2]
    kustomization, service = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL))
    changed = {
        (patch["target"]["name"], change["path"]): change.get("value")
        for patch in kustomization["patches"]
        for change in yaml.safe_load(patch["patch"])
    }
    assert changed["engine", "/kind"] == "StatefulSet"
    assert changed["engine", "/spec/serviceName"] == service["metadata"]["name"]
    [engines] = of_component(as_files_have_them("gpu", ()), "engine")
    assert service["spec"]["selector"] == engines.labels
    [count] = [entry["count"] for entry in kustomization["replicas"] if entry["name"] == "engine"]
    [toml] = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    [model] = parse_engines_file(tmp_path / "engines.toml", toml, {}, None)
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert [engine.url for engine in model.engines] == [f"http://engine-{pod}.{host}:8001" for pod in range(count)]
    mount = changed["gateway", "/spec/template/spec/containers/0/volumeMounts/-"]
    [literals] = [made["literals"] for made in kustomization["configMapGenerator"] if "literals" in made]
    assert literals == [f"LLAVA_GRAPH_ENGINES_FILE={mount['mountPath']}/engines.toml"]


@pytest.mark.parametrize("name", ["gateway", "ocr-worker", "redis", "engine"])
def test_no_network_policy_is_without_use(name: str) -> None:
    resources = as_files_have_them("gpu", ())
    policies = [policy for policy in of_kind(resources, "NetworkPolicy") if policy["metadata"]["name"] != name]
    at = ends(resources)
    assert [way for way in NEEDED if not allowed(policies, at[way[0]], at[way[1]], way[2])]


def test_scaling_goes_by_metrics_that_are_exported(installation: list[Resource]) -> None:
    known = exported()
    scaled = of_kind(installation, "ScaledObject")
    assert {resource["spec"]["scaleTargetRef"]["name"] for resource in scaled} == {"gateway", "ocr-worker"}
    for resource in scaled:
        spec = resource["spec"]
        assert 2 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
        assert "AverageValue" in {trigger["metricType"] for trigger in spec["triggers"]}  # else there is no fallback
        for trigger in spec["triggers"]:
            assert trigger["type"] == "prometheus"
            assert complaints(trigger["metadata"]["query"], known) == []
            assert float(trigger["metadata"]["threshold"]) > 0


@needs_kubectl
def test_scaled_deployments_leave_their_number_to_keda(tmp_path: Path) -> None:
    deployments = {
        r["metadata"]["name"]: r["spec"] for r in of_kind(rendered("gpu", ["autoscaling"], tmp_path), "Deployment")
    }
    assert {name for name, spec in deployments.items() if "replicas" in spec} == {"engine"}


def test_rules_for_the_operator_are_those_of_prometheus() -> None:
    assert reference.PROMETHEUS_RULE.read_text(encoding="utf-8") == reference.prometheus_rule(), "make docs"
