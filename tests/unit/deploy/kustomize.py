"""The installations of deploy/kubernetes as lists of resources: as `kubectl kustomize` renders them, and as their files
have them.

Where there is no kubectl, the files alone are read: what a kustomization names, and the ConfigMaps that it has made,
but not what it patches. Both go through the same tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.paths import REPOSITORY

KUBERNETES = REPOSITORY / "deploy" / "kubernetes"
OLDEST_KUSTOMIZE = 5

Resource = dict[str, Any]
Labels = Mapping[str, str]


@cache
def can_render() -> bool:
    """Whether there is a kubectl whose kustomize knows what our files use. Debian's own is years too old."""
    if shutil.which("kubectl") is None:
        return False
    asked = subprocess.run(
        ["kubectl", "version", "--client", "--output=json"], capture_output=True, text=True, timeout=30
    )
    version = json.loads(asked.stdout).get("kustomizeVersion", "v0") if asked.returncode == 0 else "v0"
    return int(version.removeprefix("v").partition(".")[0]) >= OLDEST_KUSTOMIZE


def rendered(overlay: str, components: Sequence[str], folder: Path) -> list[Resource]:
    """What an operator's own kustomization in `folder` gives, made of an overlay and components."""

    def place(path: str) -> str:
        return os.path.relpath((KUBERNETES / path).resolve(), folder.resolve())

    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [place(f"overlays/{overlay}")],
        "components": [place(f"components/{component}") for component in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    made = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def as_files_have_them(overlay: str, components: Sequence[str]) -> list[Resource]:
    """The same without kubectl, and without what is patched."""
    config: dict[str, dict[str, str]] = {}
    resources = list(_read(KUBERNETES / "overlays" / overlay, config))
    for component in components:
        resources += _read(KUBERNETES / "components" / component, config)
    return resources + [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        for name, data in config.items()
    ]


def _read(folder: Path, config: dict[str, dict[str, str]]) -> Iterator[Resource]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    for name in kustomization.get("resources", ()):
        if (folder / name).is_dir():
            yield from _read(folder / name, config)
        else:
            yield from yaml.safe_load_all((folder / name).read_text(encoding="utf-8"))
    for made in kustomization.get("configMapGenerator", ()):
        assert (made["name"] in config) == (made.get("behavior") == "merge"), made["name"]
        data = config.setdefault(made["name"], {})
        data |= dict(literal.split("=", 1) for literal in made.get("literals", ()))
        data |= {file: (folder / file).read_text(encoding="utf-8") for file in made.get("files", ())}


def matches(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector selects what has these labels. An empty one selects everything."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(name) != value for name, value in wanted.items()):
        return False
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In", "the only operator in use"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


class Workload:
    """A pod as one of the resources describes it."""

    def __init__(self, owner: Resource, template: Mapping[str, Any], added: Labels) -> None:
        """`added` are labels that a controller gives the pod besides those of its template."""
        self.owner = owner
        self.labels: dict[str, str] = {**template["metadata"]["labels"], **added}
        self.spec: dict[str, Any] = template["spec"]
        (self.container,) = self.spec["containers"]

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    def port(self, name: str | int) -> int:
        """The number of a port that the container names. Raises LookupError."""
        return {port["name"]: int(port["containerPort"]) for port in self.container["ports"]}[str(name)]

    def __repr__(self) -> str:
        return f"{self.owner['kind']} {self.owner['metadata']['name']}"


def workloads(resources: Sequence[Resource]) -> list[Workload]:
    """Every kind of pod that the resources have run; of a LeaderWorkerSet there are two."""
    found = []
    for resource in resources:
        if resource["kind"] in ("Deployment", "StatefulSet"):
            found.append(Workload(resource, resource["spec"]["template"], {}))
        elif resource["kind"] == "LeaderWorkerSet":
            group = resource["spec"]["leaderWorkerTemplate"]
            for template, index in (("leaderTemplate", "0"), ("workerTemplate", "1")):
                found.append(Workload(resource, group[template], {"leaderworkerset.sigs.k8s.io/worker-index": index}))
    return found
