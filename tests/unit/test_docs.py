"""The README against the code: what exists is in it, and what it names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from docs import reference
from llava_graph.cli import SUBCOMMANDS
from llava_graph.figure import FigureErrorCode
from llava_graph.manifest import load_manifest
from service.app import create_app
from service.errors import GatewayError
from service.settings import GatewaySettings

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
"""Fenced blocks and code spans: where the README gives commands."""


def in_code(pattern: str) -> set[str]:
    return {name for code in CODE.findall(README) for name in re.findall(pattern, code)}


def refusals(of: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for refusal in of.__subclasses__():
        yield refusal
        yield from refusals(refusal)


def test_tables_of_settings_and_metrics_are_current() -> None:
    assert reference.filled(README) == README, "make docs"


def test_every_route_is_described() -> None:
    app = create_app(GatewaySettings(), manifest=load_manifest(REPOSITORY / "model_repo" / "llava-graph-tiny"))
    routes = {*app.openapi()["paths"], "/docs"}
    assert "/v1/explain" in routes
    assert {path for path in routes if f"`{path}`" not in README and f" {path}`" not in README} == set()


def test_every_error_code_is_described() -> None:
    codes = {refusal.code for refusal in refusals(GatewayError)} - {"image_refused"}  # its code is the figure's
    codes |= set(get_args(FigureErrorCode))
    assert codes >= {"engine_unavailable", "image_undecodable"}
    assert {code for code in codes if f"`{code}`" not in README} == set()


def test_make_targets_and_the_readme_name_the_same() -> None:
    assert in_code(r"\bmake ([a-z-]+)") == MAKE_TARGETS


def test_subcommands_and_the_readme_name_the_same() -> None:
    assert in_code(r"\bllava-graph ([a-z][a-z-]*)") == set(SUBCOMMANDS)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:|#)([^)#]+)", README))))
def test_every_file_that_is_linked_exists(link: str) -> None:
    assert (REPOSITORY / link).exists()
