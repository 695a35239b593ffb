"""The README against the code: what exists is in it, and what it names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from docs import reference
from launcher.cli import SUBCOMMANDS
from llava_graph.figure import FigureErrorCode
from llava_graph.manifest import load_manifest
from service.app import create_app
from service.errors import GatewayError
from service.settings import GatewaySettings
from tests.paths import REPOSITORY
from tests.unit.docs.commands import CODE, MAKE_TARGETS

DOCUMENTS = {
    path: path.read_text(encoding="utf-8")
    for path in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
}
README = DOCUMENTS[REPOSITORY / "README.md"]
HTTP = DOCUMENTS[REPOSITORY / "docs" / "http.md"] + DOCUMENTS[REPOSITORY / "docs" / "openai.md"]


def in_code(text: str, pattern: str) -> set[str]:
    return {name for code in CODE.findall(text) for name in re.findall(pattern, code)}


def refusals(of: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for refusal in of.__subclasses__():
        yield refusal
        yield from refusals(refusal)


def test_tables_of_settings_and_metrics_are_current() -> None:
    for document in reference.PLACES:
        assert reference.filled(document) == document.read_text(encoding="utf-8"), "make docs"


def test_every_route_is_described() -> None:
    app = create_app(GatewaySettings(), manifest=load_manifest(REPOSITORY / "model_repo" / "llava-graph-tiny"))
    routes = {*app.openapi()["paths"], "/docs"}
    assert "/v1/explain" in routes
    assert {path for path in routes if f"`{path}`" not in HTTP and f" {path}`" not in HTTP} == set()


def test_every_error_code_is_described() -> None:
    codes = {refusal.code for refusal in refusals(GatewayError)} - {"image_refused"}  # its code is the figure's
    codes |= set(get_args(FigureErrorCode))
    assert codes >= {"engine_unavailable", "image_undecodable"}
    assert {code for code in codes if f"`{code}`" not in HTTP} == set()


def test_readme_names_every_make_target_and_no_other() -> None:
    assert in_code(README, r"\bmake ([a-z-]+)") == MAKE_TARGETS


def test_readme_names_every_subcommand_and_no_other() -> None:
    assert in_code(README, r"\bllava-graph ([a-z][a-z-]*)") == set(SUBCOMMANDS)


def test_readme_is_a_door() -> None:
    """What needs more room has a page of its own."""
    assert len(README.splitlines()) <= 200
    assert len(README.encode()) <= 12 * 1024


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_targets_and_subcommands_that_exist(path: Path) -> None:
    text = DOCUMENTS[path]
    assert in_code(text, r"\bmake ([a-z-]+)") <= MAKE_TARGETS
    assert in_code(text, r"\bllava-graph ([a-z][a-z-]*)") <= set(SUBCOMMANDS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)", DOCUMENTS[path]):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target.read_text(encoding="utf-8")), link


def anchors_of(text: str) -> set[str]:
    """As the sites that show Markdown make them from headings."""
    headings = re.findall(r"^#{1,6} (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.name == "architecture.md"], ids=["architecture"])
def test_files_that_the_architecture_names_exist(path: Path) -> None:
    named = set(re.findall(r"`([a-z_]+/[\w./-]+)`", DOCUMENTS[path]))
    assert named
    assert {name for name in named if not (REPOSITORY / name).exists()} == set()
