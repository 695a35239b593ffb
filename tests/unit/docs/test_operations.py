"""docs/operations.md against the code: the settings, metrics, codes, commands and headings that it names exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from launcher.cli import SUBCOMMANDS
from ocr_worker.settings import WorkerSettings
from service.settings import GatewaySettings
from tests.unit.deploy.promql import REPOSITORY, exported
from tests.unit.docs.commands import CODE, MAKE_TARGETS

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


def test_bounds_are_named_with_their_settings_and_defaults() -> None:
    [table] = re.findall(r"\*\*What each bound is set by\*\*\n\n(.*?)\n\n", OPERATIONS, re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert len(rows) >= 19
    for _, settings, defaults, _ in rows:
        fields = [name.removeprefix("LLAVA_GRAPH_").lower() for name in re.findall(r"`(\w+)`", settings)]
        known = [GatewaySettings.model_fields[field].default for field in fields]
        assert defaults == ", ".join("none" if value is None else f"`{value}`" for value in known), settings


def test_bounds_on_one_request_are_named_with_their_defaults() -> None:
    """Wherever the threat model names a setting with a value in brackets, of the gateway or of the worker."""
    [model] = re.findall(r"## Threat model\n(.*?)\*\*What each bound is set by", OPERATIONS, re.DOTALL)
    defaults = {
        name.upper(): field.default
        for settings in (GatewaySettings, WorkerSettings)
        for name, field in settings.model_fields.items()
    }
    named = re.findall(r"`LLAVA_GRAPH_(\w+)` \((\d+)(?: (s|MiB))?\b", model)
    table = model[model.index("**What one request may cost**") :]
    assert {name for name, _, _ in named} == set(re.findall(r"`LLAVA_GRAPH_(\w+)`", table)), "each with its default"
    assert len(named) >= 10
    for name, number, unit in named:
        assert int(number) * {"MiB": 1024 * 1024}.get(unit, 1) == defaults[name], name


def test_metrics_exist() -> None:
    samples = set(exported())
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples}
    # `process_died` is a line of the log.
    named = in_code(r"\b((?:llava_graph_(?:gateway|ocr)_|vllm:|process_(?!died))[a-z_:]+)")
    assert "vllm:num_requests_waiting" in named
    assert named - samples - families == set()


def test_commands_exist() -> None:
    assert in_code(r"\bllava-graph ([a-z][a-z-]*)") <= set(SUBCOMMANDS)
    assert in_code(r"\bmake ([a-z-]+)") <= MAKE_TARGETS


def test_error_codes_are_described() -> None:
    spoken = set(re.findall(r"\b[45]\d\d `(\w+)`", OPERATIONS)) | set(
        re.findall(r"^\| `(\w+)` \|", OPERATIONS, re.MULTILINE)
    )
    assert {"overloaded", "engine_garbled"} <= spoken
    described = (REPOSITORY / "docs" / "http.md").read_text(encoding="utf-8")
    assert {code for code in spoken if f"`{code}`" not in described} == set()


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


def test_how_to_report_is_said_and_leads_to_the_threat_model() -> None:
    security = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    assert "(docs/operations.md#threat-model)" in security
    assert "threat-model" in anchors(OPERATIONS)


def test_the_readme_leads_here() -> None:
    assert all(f"]({path})" in README for path in DOCUMENTS)
