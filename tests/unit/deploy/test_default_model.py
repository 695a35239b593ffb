"""The default model is the same in the code, in Compose and on Kubernetes, and no file says another one."""

from __future__ import annotations

import re

import pytest

from llava_graph.manifest import DEFAULT_MODEL_DIR, load_manifest
from tests.paths import REPOSITORY


def test_default_model_is_in_the_repository() -> None:
    assert load_manifest(REPOSITORY / DEFAULT_MODEL_DIR).name == DEFAULT_MODEL_DIR.name


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (".env", r"^LLAVA_GRAPH_MODEL=(.+)$"),
        ("deploy/kubernetes/overlays/cpu/kustomization.yaml", r"LLAVA_GRAPH_MODEL_DIR=model_repo/(.+)$"),
        ("deploy/kubernetes/overlays/cpu/engine.yaml", r"--model, model_repo/([^,]+),"),
    ],
)
def test_deployments_on_cpus_have_the_default_model(path: str, form: str) -> None:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    assert re.findall(form, text, re.MULTILINE) == [DEFAULT_MODEL_DIR.name]


def test_image_builds_see_the_default_model() -> None:
    patterns = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert f"!{DEFAULT_MODEL_DIR}" in patterns
