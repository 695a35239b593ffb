"""The OpenAPI document: what it promises is there, and what it points to exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from prometheus_client import CollectorRegistry

from service.app import create_app
from service.errors import PROBLEM_JSON, GatewayError, OpenAIProblem, Problem
from service.events import Explanation, Part, event_name
from service.middleware.refusal import is_openai
from service.openai.answer import ChatCompletion
from service.schema.sample_objects import EVENTS, examples_of
from service.settings import GatewaySettings
from tests.harness.gateway import MANIFEST, closed_port_url

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


def _tree(kind: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


def test_every_reference_leads_somewhere() -> None:
    references = set(_references(DOCUMENT))
    assert "#/components/schemas/Problem" in references
    there = {f"#/components/{kind}/{name}" for kind, those in DOCUMENT["components"].items() for name in those}
    assert references - there == set()


def test_links_of_a_kept_figure_lead_to_calls_about_it() -> None:
    about = {operation["operationId"] for name, operation in OPERATIONS.items() if "/figures/{id}" in name}
    for status in ("200", "201"):
        links = OPERATIONS["POST /v1/figures"]["responses"][status]["links"]
        assert {link["operationId"] for link in links.values()} == about


@pytest.mark.parametrize("operation", ["POST /v1/explain", "POST /v1/figures/{id}/chat"])
def test_events_are_described_each_with_an_example_of_its_own_kind(operation: str) -> None:
    answer = OPERATIONS[operation]["responses"]["200"]
    models = {event_name(example): type(example) for example in EVENTS}
    assert set(models.values()) == set(get_args(Part))
    described = answer["content"]["text/event-stream"]["itemSchema"]["oneOf"]
    assert [event["properties"]["event"]["const"] for event in described] == list(models)
    for event in described:
        model = models[event["properties"]["event"]["const"]]
        assert event["properties"]["data"]["contentSchema"] == {"$ref": f"#/components/schemas/{model.__name__}"}
        assert model.__name__ in answer["description"]
        [example] = event["examples"]
        model.model_validate_json(example["data"])
    Explanation.model_validate(answer["content"]["application/json"]["example"])


def test_streams_that_are_shown_end_as_streams_do() -> None:
    examples = OPERATIONS["POST /v1/explain"]["responses"]["200"]["content"]["text/event-stream"]["examples"]
    names = {name: re.findall(r"^event: (\w+)$", shown["value"], re.MULTILINE) for name, shown in examples.items()}
    assert names == {
        "done": ["figure", "ocr", "chart", "delta", "delta", "done"],
        "error": ["figure", "ocr", "chart", "delta", "error"],
    }
    examples = OPERATIONS["POST /v1/chat/completions"]["responses"]["200"]["content"]["text/event-stream"]["examples"]
    assert examples["done"]["value"].endswith("\n\ndata: [DONE]\n\n")
    *_, failure, _ = examples["error"]["value"].split("\n\n")
    OpenAIProblem.model_validate_json(failure.removeprefix("data: "))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_error_has_the_shape_that_its_callers_know(operation: str) -> None:
    media_type, model = PROBLEM_JSON, Problem
    if is_openai(operation.split()[1]):
        media_type, model = "application/json", OpenAIProblem
    errors = {status: said for status, said in OPERATIONS[operation]["responses"].items() if int(status) >= 400}
    assert {"401", "413", "429", "500", "503"} <= set(errors)
    for status, said in errors.items():
        assert list(said["content"]) == [media_type]
        schema, examples = said["content"][media_type]["schema"], said["content"][media_type]["examples"]
        assert schema["$ref"] == f"#/components/schemas/{model.__name__}"
        codes = schema["properties"].get("code") or schema["properties"]["error"]["properties"]["code"]
        assert list(examples) == codes["enum"]
        for code, example in examples.items():
            shown = model.model_validate(example["value"]).model_dump()
            assert shown.get("error", shown)["code"] == code
            assert shown.get("status", int(status)) == int(status)
    for retryable in {"429", "503"} & set(errors):
        assert "Retry-After" in errors[retryable]["headers"]
    assert "WWW-Authenticate" in errors["401"]["headers"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_response_tells_the_request_and_how_its_caller_stands(operation: str) -> None:
    for response in OPERATIONS[operation]["responses"].values():
        expected = {"X-Request-Id", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
        assert expected <= set(response["headers"])


def test_every_error_has_an_example() -> None:
    without = {kind.__name__ for kind in _tree() if not kind.__subclasses__() and not list(examples_of(kind))}
    assert without == set()


def test_no_two_models_have_the_same_name() -> None:
    message = DOCUMENT["components"]["schemas"]["Message"]  # of a conversation about a kept figure
    assert message["properties"]["role"]["enum"] == ["user", "assistant"]
    theirs = DOCUMENT["components"]["schemas"]["ChatCompletionRequest"]["properties"]["messages"]["items"]
    assert theirs == {"$ref": "#/components/schemas/ChatMessage"}


def test_form_fields_are_described_as_they_can_be_sent() -> None:
    for name in ("Body_explain", "Body_keep"):
        form = DOCUMENT["components"]["schemas"][name]
        assert {"image", "caption"} <= set(form["required"])
        assert all("type" in field and field["type"] != "null" for field in form["properties"].values())
    encoding = OPERATIONS["POST /v1/explain"]["requestBody"]["content"]["multipart/form-data"]["encoding"]
    assert "image/webp" in encoding["image"]["contentType"]


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("POST /v1/explain", {"200", "400", "404", "413", "415", "422", "502", "503", "504"}),
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
    always = {"400", "401", "408", "411", "413", "421", "429", "431", "500", "503"}
    changes = set() if operation.startswith("GET") else {"403"}
    assert set(OPERATIONS[operation]["responses"]) == statuses | always | changes


def test_openais_calls_describe_body_answer_and_chunks() -> None:
    operation, schemas = OPERATIONS["POST /v1/chat/completions"], DOCUMENT["components"]["schemas"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"] == "#/components/schemas/ChatCompletionRequest"
    fields = schemas["ChatCompletionRequest"]["properties"]
    assert fields["model"]["const"] == MANIFEST.name
    request = schemas["ChatCompletionRequest"]
    assert {"model", "messages", "figure", "stream", "stop", "max_completion_tokens"} <= set(request["properties"])
    assert request["required"] == ["model", "messages"]
    answer = operation["responses"]["200"]["content"]
    assert answer["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatCompletion"}
    assert "ChatCompletionChunk" in str(answer["text/event-stream"]["itemSchema"])
    ChatCompletion.model_validate(answer["application/json"]["example"])
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
