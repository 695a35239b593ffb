"""The OpenAPI document: what it promises is there, and what it points to exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.app import create_app
from service.refusal import is_openai
from service.settings import GatewaySettings
from tests.fakes.gateway import MANIFEST, closed_port_url

DOCUMENT: dict[str, Any] = create_app(
    GatewaySettings(redis_url=closed_port_url("redis"), engine_url=closed_port_url()),
    manifest=MANIFEST,
    registry=CollectorRegistry(),
).openapi()

OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    if path.startswith("/v1/")
}


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)


def test_every_reference_leads_somewhere() -> None:
    references = set(_references(DOCUMENT))
    assert "#/components/schemas/Problem" in references
    there = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert references - there == set()


def test_events_and_their_parts_are_described() -> None:
    parts = {"FigurePart", "OcrPart", "DeltaPart", "Answer", "ErrorPart"}
    assert parts <= set(DOCUMENT["components"]["schemas"])
    for operation in ("POST /v1/explain", "POST /v1/figures/{id}/chat"):
        answer = OPERATIONS[operation]["responses"]["200"]
        assert {"text/event-stream", "application/json"} <= set(answer["content"])
        assert {part for part in parts if part not in answer["description"]} == set()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_error_has_the_shape_that_its_callers_know(operation: str) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if is_openai(operation.split()[1]):
        problem = {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIProblem"}}}
    errors = {status: said for status, said in OPERATIONS[operation]["responses"].items() if int(status) >= 400}
    assert errors
    assert {status for status, said in errors.items() if said["content"] != problem} == set()
    for retryable in {"429", "503"} & set(errors):
        assert "Retry-After" in errors[retryable]["headers"]


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("POST /v1/explain", {"200", "400", "413", "415", "422", "502", "503", "504"}),
        ("POST /v1/figures", {"200", "201", "400", "413", "415", "422", "503"}),
        ("GET /v1/figures/{id}", {"200", "404", "503"}),
        ("GET /v1/figures/{id}/image", {"200", "404", "503"}),
        ("DELETE /v1/figures/{id}", {"204", "404", "503"}),
        ("POST /v1/figures/{id}/chat", {"200", "400", "404", "413", "415", "422", "502", "503", "504"}),
        ("POST /v1/chat/completions", {"200", "400", "404", "413", "415", "502", "503", "504"}),
        ("GET /v1/models", {"200"}),
        ("GET /v1/models/{id}", {"200", "404"}),
    ],
)
def test_operation_describes_every_status_it_answers_with(operation: str, statuses: set[str]) -> None:
    of_middleware = {"401", "429"} | ({"411"} if operation.startswith("POST") else set())
    assert set(OPERATIONS[operation]["responses"]) == statuses | of_middleware


def test_openais_calls_describe_body_answer_and_chunks() -> None:
    operation, schemas = OPERATIONS["POST /v1/chat/completions"], DOCUMENT["components"]["schemas"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/ChatCompletionRequest"
    }
    request = schemas["ChatCompletionRequest"]
    assert {"model", "messages", "figure", "stream", "stop", "max_completion_tokens"} <= set(request["properties"])
    assert request["required"] == ["model", "messages"]
    answer = operation["responses"]["200"]["content"]
    assert answer["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatCompletion"}
    assert "data: [DONE]" in answer["text/event-stream"]["example"]
    assert "figure" in schemas["ChatCompletionChunk"]["properties"]


def test_places_of_kept_figures_and_images_are_described() -> None:
    for status in ("200", "201"):
        assert "Location" in OPERATIONS["POST /v1/figures"]["responses"][status]["headers"]
    assert list(OPERATIONS["GET /v1/figures/{id}/image"]["responses"]["200"]["content"]) == ["image/png"]


def test_conversation_has_an_example() -> None:
    body = OPERATIONS["POST /v1/figures/{id}/chat"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/ChatRequest"}
    messages = DOCUMENT["components"]["schemas"]["ChatRequest"]["properties"]["messages"]
    assert [message["role"] for message in messages["examples"][0]] == ["user", "assistant", "user"]
