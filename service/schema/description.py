"""The OpenAPI description (/docs, /openapi.json): adds what FastAPI cannot derive by itself.

That is each error with an example, the events of a stream, the headers, and the body that we parse ourselves.

What FastAPI 0.165 does of this, and why it is not enough here (fastapi/openapi/utils.py):

    itemSchema of event streams   only for routes that are generators (service/sse.py says why ours are not), with one
                                  type of data and no names of events; and it still calls the document 3.1
    its 422                       left out where a route declares 422, else added to every route with a parameter
    nulls in examples             removed with all other nulls of the document
    security schemes              from dependencies of routes; here the middleware asks for keys
    forms                         described with null and defaults, which a form cannot send
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, get_args

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.responses import JSONResponse

from llava_graph.figure import MIME_TYPES
from llava_graph.manifest import ModelManifest
from service.errors import (
    BodyTooLarge,
    Draining,
    GatewayError,
    HeadMalformed,
    HeadTooLarge,
    HostNotAllowed,
    LengthRequired,
    OpenAIProblem,
    OriginNotAllowed,
    Problem,
    RateLimited,
    RequestTooSlow,
    Unauthorized,
    openai_response_of,
    problem_of,
)
from service.events import Explanation, Part, event_name
from service.middleware.authentication import is_open
from service.openai.answer import ChatCompletion, ChatCompletionChunk, Chunks
from service.openai.request import ChatCompletionRequest
from service.schema.sample_objects import (
    ANSWERED,
    BROKEN_OFF,
    COMPLETION,
    COMPLETION_HEAD,
    EVENTS,
    REQUEST_ID,
    UNFINISHED,
    WHOLE,
    examples_of,
)
from service.sse import NAMED_EVENTS, Wire

_SENT = (Problem, OpenAIProblem, *get_args(Part), ChatCompletionChunk)
_DESCRIBED: list[tuple[type[BaseModel], JsonSchemaMode]] = [
    (ChatCompletionRequest, "validation"),
    *((model, "serialization") for model in _SENT),
]
_REQUESTS = ("ChatRequest", ChatCompletionRequest.__name__)
_ALWAYS = (
    HeadMalformed,
    HeadTooLarge,
    RequestTooSlow,
    HostNotAllowed,
    OriginNotAllowed,
    Unauthorized,
    LengthRequired,
    RateLimited,
    BodyTooLarge,
    Draining,
    GatewayError,
)

_COUNT = {"type": "integer", "minimum": 0}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "Names this request, here and in the logs: as the client named it, or newly made",
        "schema": {"type": "string"},
        "example": REQUEST_ID,
    },
    "Retry-After": {
        "description": "Seconds after which to try again",
        "schema": {"type": "integer", "minimum": 1},
        "example": 5,
    },
    "RateLimit-Limit": {
        "description": "Requests a minute, where those of this caller are limited",
        "schema": _COUNT,
        "example": 60,
    },
    "RateLimit-Remaining": {"description": "How many of them are left", "schema": _COUNT, "example": 59},
    "RateLimit-Reset": {
        "description": "Seconds until all of them are there again",
        "schema": _COUNT,
        "example": 1,
    },
    "WWW-Authenticate": {
        "description": "How to send a key (RFC 6750)",
        "schema": {"type": "string"},
        "example": 'Bearer realm="llava-graph"',
    },
}
_RATE_HEADERS = [name for name in _HEADERS if name.startswith("RateLimit-")]

_REQUEST_ID_PARAMETER = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "Names the request: letters, digits and `._:-`, 128 at most. Anything else is passed over",
    "schema": {"type": "string"},
    "example": REQUEST_ID,
}


class DescribedApp(FastAPI):
    """A FastAPI whose document describes everything that is sent, and nothing that never is."""

    def __init__(
        self,
        *,
        asks_for_keys: bool,
        most_messages: int,
        models: Callable[[], tuple[ModelManifest, ...]],
        **options: Any,
    ) -> None:
        """`asks_for_keys`: whether callers need one. `most_messages`, and `models`, those that are served now, are what
        this gateway takes; the types of the fields do not know them."""
        super().__init__(**options)
        self._most_messages = most_messages
        self._models = models
        self._described: tuple[ModelManifest, ...] = ()
        self.openapi_version = "3.2.0"  # the first that knows streams of events
        self._security: list[dict[str, list[str]]] = [{"key": []}] if asks_for_keys else [{"key": []}, {}]

    def openapi(self) -> dict[str, Any]:
        models = self._models()
        if models != self._described:
            self.openapi_schema, self._described = None, models
        if self.openapi_schema is None:
            bounds = _bounds(models, self._most_messages)
            document = super().openapi()
            components = document.setdefault("components", {})
            _, definitions = models_json_schema(_DESCRIBED, ref_template="#/components/schemas/{model}")
            components["schemas"] = components.get("schemas", {}) | definitions["$defs"]
            components["headers"] = _HEADERS
            components["parameters"] = {"X-Request-Id": _REQUEST_ID_PARAMETER}
            components["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "description": "A key that the operator gave you"}
            }
            for name, schema in components["schemas"].items():
                if name.startswith("Body_"):  # what FastAPI calls forms
                    _correct_form(schema)
                if name.startswith("Body_") or name in _REQUESTS:
                    _bound(schema, bounds)
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    if method == "get":  # changes nothing, so a page of another site may have a browser send it
                        operation["responses"].pop(str(OriginNotAllowed.status), None)
                    _complete(operation, self._security, is_open=is_open(path))
            for unused in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(unused, None)
        return super().openapi()


def problems(*kinds: type[GatewayError]) -> dict[int | str, dict[str, Any]]:
    """The responses for these errors and for those that any call of the API may be refused with: by status, each with
    its codes and an example of every one."""
    return _by_status(kinds, lambda error: problem_of(error, REQUEST_ID), _problem_schema)


def openai_problems(*kinds: type[GatewayError]) -> dict[int | str, dict[str, Any]]:
    """The same for a call of OpenAI's clients."""
    return _by_status(kinds, openai_response_of, _openai_schema)


def completion_responses() -> dict[int | str, dict[str, Any]]:
    """The response that holds an answer for OpenAI's clients, in chunks or in one piece."""
    chunk, failure = (
        _json_event(reference("schemas", model.__name__)) for model in (ChatCompletionChunk, OpenAIProblem)
    )
    return {
        200: {
            "model": ChatCompletion,
            "description": "The answer: one object or, with stream=true, chunks (ChatCompletionChunk), one in each "
            "`data:` line, and `[DONE]` after the last. A stream that fails after it had begun ends with an "
            "OpenAIProblem instead. Lines that begin with a colon are comments against silence.",
            "content": {
                "text/event-stream": {
                    # Any of them: a validator need not look into the data.
                    "itemSchema": {"anyOf": [chunk, failure, _event({"const": "[DONE]"})]},
                    "examples": _streams(lambda: Chunks(COMPLETION_HEAD, include_usage=False)),
                },
                "application/json": {"example": COMPLETION.model_dump(mode="json")},
            },
        }
    }


def answer_responses() -> dict[int | str, dict[str, Any]]:
    """The response that holds an answer, as events or as one object."""
    return {
        200: {
            "description": "The answer: events (stream=true, the default) or one object. The events are `figure` "
            "(FigurePart), `ocr` (OcrPart), `chart` (ChartPart), any number of `delta` (DeltaPart), and `done` "
            "(Answer), or `error` (ErrorPart) when something failed after the stream had begun. Lines that begin with "
            "a colon are comments against silence.",
            "content": {
                "text/event-stream": {
                    "itemSchema": {"oneOf": [_named_event(example) for example in EVENTS]},
                    "examples": _streams(lambda: NAMED_EVENTS),
                },
                "application/json": {"example": WHOLE.model_dump(mode="json")},
            },
            "model": Explanation,
        }
    }


def reference(component: str, name: str) -> dict[str, str]:
    """Points to a component of the document."""
    return {"$ref": f"#/components/{component}/{name}"}


def _by_status(
    kinds: Sequence[type[GatewayError]],
    respond: Callable[[GatewayError], JSONResponse],
    schema_of: Callable[[int, list[str]], dict[str, Any]],
) -> dict[int | str, dict[str, Any]]:
    sent: dict[int, list[tuple[GatewayError, JSONResponse]]] = defaultdict(list)
    for kind in (*kinds, *_ALWAYS):
        for error in examples_of(kind):
            response = respond(error)
            sent[response.status_code].append((error, response))
    return {status: _refusal(status, sent[status], schema_of) for status in sorted(sent)}


def _refusal(
    status: int,
    sent: Sequence[tuple[GatewayError, JSONResponse]],
    schema_of: Callable[[int, list[str]], dict[str, Any]],
) -> dict[str, Any]:
    codes = [error.code for error, _ in sent]
    names = {name for _, response in sent for name in _HEADERS if name in response.headers}
    content = {
        "schema": schema_of(status, codes),
        "examples": {
            error.code: {"summary": error.title, "value": json.loads(bytes(response.body))} for error, response in sent
        },
    }
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}",
        "headers": {name: reference("headers", name) for name in sorted(names)},
        "content": {sent[0][1].headers["content-type"]: content},
    }


def _problem_schema(status: int, codes: list[str]) -> dict[str, Any]:
    narrowed = {"code": {"enum": codes}, "status": {"const": status}}
    return {**reference("schemas", Problem.__name__), "properties": narrowed}


def _openai_schema(_: int, codes: list[str]) -> dict[str, Any]:
    narrowed = {"error": {"type": "object", "properties": {"code": {"enum": codes}}}}
    return {**reference("schemas", OpenAIProblem.__name__), "properties": narrowed}


def _event(data: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    """One event on the wire."""
    properties = {"data": {"type": "string", **data}}
    if name is not None:
        properties = {"event": {"const": name}, **properties}
    return {"type": "object", "required": list(properties), "properties": properties}


def _json_event(schema: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    """One with JSON in its data."""
    return _event({"contentMediaType": "application/json", "contentSchema": schema}, name)


def _named_event(example: Part) -> dict[str, Any]:
    """An event of the kind of this one."""
    described = _json_event(reference("schemas", type(example).__name__), event_name(example))
    return {**described, "examples": [{"event": event_name(example), "data": example.model_dump_json()}]}


def _streams(begin: Callable[[], Wire]) -> dict[str, Any]:
    """A stream that comes to its end, and one that does not."""
    whole, broken = begin(), begin()
    done = b"".join(map(whole.part, ANSWERED)) + whole.end()
    error = b"".join(map(broken.part, UNFINISHED)) + broken.failure(BROKEN_OFF)
    return {
        "done": {"summary": "An answer", "value": done.decode()},
        "error": {"summary": "One that broke off", "value": error.decode()},
    }


def _complete(operation: dict[str, Any], security: list[dict[str, list[str]]], *, is_open: bool) -> None:
    """Adds what surrounds every call: its id, and for the API keys and limits."""
    responses = operation["responses"]
    _drop_default_422(responses)
    form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    if form is not None:
        form["encoding"] = {"image": {"contentType": ", ".join(MIME_TYPES)}}
    operation.setdefault("parameters", []).append(reference("parameters", "X-Request-Id"))
    headers = ["X-Request-Id"]
    if not is_open:
        operation["security"] = security
        headers += _RATE_HEADERS
    for response in responses.values():
        _restore_nulls(response)
        response["headers"] = {name: reference("headers", name) for name in headers} | response.get("headers", {})
    operation["responses"] = dict(sorted(responses.items()))


def _bounds(models: Sequence[ModelManifest], most_messages: int) -> dict[str, dict[str, Any]]:
    """What bounds the fields of requests here, by their names."""
    longest_answer = max(model.max_new_tokens for model in models)
    names = [model.name for model in models]
    return {
        "max_tokens": {"maximum": longest_answer},
        "max_completion_tokens": {"maximum": longest_answer},
        "messages": {"maxItems": most_messages},
        "model": {"const": names[0]} if len(names) == 1 else {"enum": names},
    }


def _bound(schema: dict[str, Any], bounds: dict[str, dict[str, Any]]) -> None:
    """Adds to the fields of a request what bounds them here."""
    for name, bound in bounds.items():
        field = schema["properties"].get(name)
        if field is not None:
            kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
            kinds[0].update(bound)


def _correct_form(schema: dict[str, Any]) -> None:
    """FastAPI describes forms by what becomes of them. But no field of a form can be null, only missing; and the
    caption has its default for FastAPI alone, to which an empty field is one that was not sent."""
    del schema["properties"]["caption"]["default"]
    schema["required"].append("caption")
    for field in schema["properties"].values():
        if "anyOf" in field:
            [kind] = [kind for kind in field.pop("anyOf") if kind != {"type": "null"}]
            field |= kind


def _restore_nulls(response: dict[str, Any]) -> None:
    """FastAPI leaves out of examples what is null in them."""
    for content in response.get("content", {}).values():
        for example in content.get("examples", {}).values():
            if isinstance(example["value"], dict) and "error" in example["value"]:
                example["value"]["error"].setdefault("param", None)


def _drop_default_422(responses: dict[str, Any]) -> None:
    """FastAPI promises its own 422 wherever a path has a parameter; ours are all problems, and described as such."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
