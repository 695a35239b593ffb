"""docs/operations.md against the code: the settings, metrics, codes, commands and headings that it names exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from llava_graph.cli import SUBCOMMANDS
from ocr_worker.settings import WorkerSettings
from service.settings import GatewaySettings
from tests.unit.promql import REPOSITORY, exported
from tests.unit.test_docs import CODE, MAKE_TARGETS

DOCUMENTS = {
    path: (REPOSITORY / path).read_text(encoding="utf-8")
    for path in ("docs/operations.md", "deploy/kubernetes/README.md")
}
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
OPERATIONS = DOCUMENTS["docs/operations.md"]
OF_THE_CLIENT = {"LLAVA_GRAPH_KEY"}
"""Read by commands, not by a process with settings."""


def in_code(pattern: str) -> set[str]:
    found = (re.findall(pattern, code) for text in DOCUMENTS.values() for code in CODE.findall(text))
    return {name for names in found for name in names}


def test_settings_exist() -> None:
    fields = {*GatewaySettings.model_fields, *WorkerSettings.model_fields}
    named = in_code(r"\bLLAVA_GRAPH_[A-Z_]+")
    assert "LLAVA_GRAPH_SHUTDOWN_S" in named
    assert named - OF_THE_CLIENT <= {f"LLAVA_GRAPH_{field.upper()}" for field in fields}


def test_metrics_exist() -> None:
    samples = set(exported())
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples}
    named = in_code(r"\b((?:llava_graph_(?:gateway|ocr)_|vllm:|process_)[a-z_:]+)")
    assert "vllm:num_requests_waiting" in named
    assert named - samples - families == set()


def test_commands_exist() -> None:
    assert in_code(r"\bllava-graph ([a-z][a-z-]*)") <= set(SUBCOMMANDS)
    assert in_code(r"\bmake ([a-z-]+)") <= MAKE_TARGETS


def test_error_codes_are_in_the_readme() -> None:
    spoken = set(re.findall(r"\b[45]\d\d `(\w+)`", OPERATIONS)) | set(
        re.findall(r"^\| `(\w+)` \|", OPERATIONS, re.MULTILINE)
    )
    assert {"overloaded", "engine_garbled"} <= spoken
    assert {code for code in spoken if f"`{code}`" not in README} == set()


def anchors(text: str) -> set[str]:
    """What a heading can be linked by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> Iterator[tuple[str, str]]:
    for path, text in DOCUMENTS.items():
        yield from ((path, link) for link in sorted(set(re.findall(r"\]\((?!https?:)([^)]+)\)", text))))


@pytest.mark.parametrize(("path", "link"), list(links()))
def test_links_lead_somewhere(path: str, link: str) -> None:
    file, _, anchor = link.partition("#")
    target = (REPOSITORY / path).parent / file if file else REPOSITORY / path
    assert target.exists()
    assert not anchor or anchor in anchors(target.read_text(encoding="utf-8"))


def test_the_readme_leads_here() -> None:
    assert all(f"]({path})" in README for path in DOCUMENTS)
