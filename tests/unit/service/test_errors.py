"""The error tree: what its docstring promises is what there is."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from llava_graph.figure import FigureError
from service import errors
from service.app import create_app
from service.errors import (
    EngineError,
    FigureRefused,
    GatewayError,
    MessagesInvalid,
    Overloaded,
    RateLimited,
    Unauthorized,
    openai_response_of,
    problem_of,
)
from service.settings import GatewaySettings
from tests.harness.gateway import MANIFEST, closed_port_url


def _tree(kind: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


LEAVES = [kind for kind in _tree() if not kind.__subclasses__()]


def test_each_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in LEAVES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", [kind for kind in LEAVES if kind is not FigureRefused])
def test_each_error_stands_in_the_tree_of_the_docstring(kind: type[GatewayError]) -> None:
    assert errors.__doc__ is not None
    [line] = [line for line in errors.__doc__.splitlines() if f" {kind.__name__} " in line]
    assert kind.code in line
    assert str(kind.status) in line


@pytest.mark.parametrize("kind", LEAVES)
def test_what_can_be_tried_again_says_when(kind: type[GatewayError]) -> None:
    assert (kind.retry_after_s is not None) == (kind.status in (429, 503, 504) or kind.code in _TRANSIENT)


_TRANSIENT = ("engine_error", "engine_interrupted")


def test_problem_of_a_refusal_holds_all_its_words() -> None:
    response = problem_of(Overloaded("64 images wait."), "id-1")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert json.loads(bytes(response.body)) == {
        "type": "urn:llava-graph:problem:overloaded",
        "title": Overloaded.title,
        "status": 503,
        "detail": "64 images wait.",
        "instance": "id-1",
        "code": "overloaded",
        "retryable": True,
    }


def test_problem_of_the_framework_has_the_same_shape() -> None:
    problem = json.loads(bytes(problem_of(HTTPException(418), "id-1").body))
    assert (problem["code"], problem["status"], problem["retryable"]) == ("http_418", 418, False)


KINDS = {401: "authentication_error", 429: "rate_limit_error", 502: "server_error", 503: "server_error"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Overloaded("Words."), 503),
        (Unauthorized("Words."), 401),
        (RateLimited("Words.", retry_after_s=7), 429),
        (EngineError("Words."), 502),
        (MessagesInvalid("Words.").at("messages.1"), 400),
        (FigureRefused(FigureError("image_too_large", "Words.")), 413),
        (HTTPException(405, "Words."), 405),
    ],
    ids=lambda value: str(getattr(value, "code", value)),
)
def test_openais_clients_get_the_same_refusal_in_their_shape(error: HTTPException, status: int) -> None:
    response = openai_response_of(error)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert dict(response.headers).items() >= {k.lower(): v for k, v in (error.headers or {}).items()}.items()
    assert json.loads(bytes(response.body)) == {
        "error": {
            "message": "Words.",
            "type": KINDS.get(status, "invalid_request_error"),
            "param": getattr(error, "param", None),
            "code": json.loads(bytes(problem_of(error, "id-1").body))["code"],
        }
    }


@pytest.mark.parametrize(("code", "status"), [("image_too_large", 413), ("image_empty", 422)])
def test_figure_error_keeps_its_code(code: str, status: int) -> None:
    refused = FigureRefused(FigureError(code, "Words."))  # type: ignore[arg-type]
    assert (refused.code, refused.status_code, refused.detail) == (code, status, "Words.")


async def _unexpected(path: str) -> httpx2.Response:
    settings = GatewaySettings(redis_url=closed_port_url("redis"), engine_url=closed_port_url())
    app = create_app(settings, manifest=MANIFEST, registry=CollectorRegistry())

    @app.get(path)
    async def bug() -> None:
        raise ZeroDivisionError("a bug")

    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        response = await http.get(path, headers={"X-Request-Id": "mine"})
    assert response.status_code == 500
    assert response.headers["x-request-id"] == "mine"
    assert "a bug" not in response.text
    return response


async def test_unexpected_exception_is_a_problem_too() -> None:
    response = await _unexpected("/bug")
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.json()["code"], response.json()["instance"]) == ("internal_error", "mine")


async def test_unexpected_exception_has_openais_shape_for_its_clients() -> None:
    error = (await _unexpected("/v1/models/a/bug")).json()["error"]
    assert (error["code"], error["type"], error["param"]) == ("internal_error", "server_error", None)


async def test_openapi_describes_the_stream_and_every_problem() -> None:
    settings = GatewaySettings(redis_url=closed_port_url("redis"), engine_url=closed_port_url())
    document = create_app(settings, manifest=MANIFEST, registry=CollectorRegistry()).openapi()
    responses = document["paths"]["/v1/explain"]["post"]["responses"]
    assert {"text/event-stream", "application/json"} <= set(responses["200"]["content"])
    for status in ("400", "413", "415", "422", "502", "503", "504"):
        assert list(responses[status]["content"]) == ["application/problem+json"]
    assert {"/healthz", "/readyz", "/metrics"} <= set(document["paths"])
