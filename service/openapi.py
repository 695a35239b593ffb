"""The interface's own description (/docs, /openapi.json): what FastAPI cannot see by itself.

That is the shape of every error, what the events of a stream hold, and the body that we parse ourselves.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from service.access import is_open
from service.errors import PROBLEM_JSON, OpenAIProblem, Problem
from service.events import Answer, DeltaPart, ErrorPart, FigurePart, OcrPart
from service.openai.answer import ChatCompletionChunk
from service.openai.request import ChatCompletionRequest
from service.refusal import is_openai

_REF = "#/components/schemas/{model}"
_SENT = (Problem, OpenAIProblem, FigurePart, OcrPart, DeltaPart, Answer, ErrorPart, ChatCompletionChunk)
_DESCRIBED: list[tuple[type[BaseModel], JsonSchemaMode]] = [
    (ChatCompletionRequest, "validation"),
    *((model, "serialization") for model in _SENT),
]
_RETRY_AFTER = {"description": "Seconds after which to try again", "schema": {"type": "integer", "minimum": 1}}

_CHALLENGE = {"description": "How to send a key", "schema": {"type": "string"}}
_RATE_HEADERS = {
    name: {"description": f"{words}; where the requests of this caller are limited", "schema": {"type": "integer"}}
    for name, words in (
        ("RateLimit-Limit", "Requests a minute"),
        ("RateLimit-Remaining", "How many of them are left"),
        ("RateLimit-Reset", "Seconds until all of them are there again"),
    )
}


class DescribedApp(FastAPI):
    """A FastAPI whose document describes problems and events, and no error in a shape that is never sent."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            _, definitions = models_json_schema(_DESCRIBED, ref_template=_REF)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas |= definitions["$defs"]
            document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    _drop_default_422(operation["responses"])
                    if not is_open(path):
                        _guard(path, method, operation)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
        return super().openapi()


def problem(description: str, *, retry: bool = False) -> dict[str, Any]:
    """The description of an error response; with `retry` it says when to come back."""
    return _refusal(description, PROBLEM_JSON, Problem, retry=retry)


def openai_problem(description: str, *, retry: bool = False) -> dict[str, Any]:
    """The same for a call of OpenAI's clients."""
    return _refusal(description, "application/json", OpenAIProblem, retry=retry)


def reference_to(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model that this module describes."""
    return {"$ref": _REF.format(model=model.__name__)}


def _refusal(description: str, media_type: str, model: type[BaseModel], *, retry: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"description": description, "content": {media_type: {"schema": reference_to(model)}}}
    return described | {"headers": {"Retry-After": _RETRY_AFTER}} if retry else described


def _guard(path: str, method: str, operation: dict[str, Any]) -> None:
    """What middleware adds to each call of the API: a key, where one is asked for, and the limits of its caller."""
    operation["security"] = [{"key": []}, {}]
    said = openai_problem if is_openai(path) else problem
    refusals = {
        "401": said("A key is needed") | {"headers": {"WWW-Authenticate": _CHALLENGE}},
        "429": said("This caller has asked for too much", retry=True),
    }
    if method == "post":
        refusals["411"] = said("No Content-Length, where the bytes of this caller are limited")
    operation["responses"] |= refusals
    for response in operation["responses"].values():
        response["headers"] = _RATE_HEADERS | response.get("headers", {})


def _drop_default_422(responses: dict[str, Any]) -> None:
    """FastAPI promises its own 422 wherever a path has a parameter; ours are all problems, and described as such."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
