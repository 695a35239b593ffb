"""The gateway's ASGI application: its parts, routes, middleware and exception handlers.

service/explain.py tells how a figure goes through it; service/gateway.py tells what the parts are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from starlette.exceptions import HTTPException
from starlette.responses import Response

from llava_graph.manifest import ModelManifest
from service.errors import BodyMalformed, GatewayError, fields_invalid
from service.exhaustion import exhausted
from service.figures.remote import RemoteImages
from service.gateway import Gateway, build, opened
from service.middleware.drain import Drain
from service.middleware.refusal import response_of
from service.middleware.request_context import record_of
from service.middleware.request_log import REQUEST_ID
from service.middleware_stack import surround
from service.routes import ROUTERS
from service.schema.description import DescribedApp
from service.settings import GatewaySettings
from service.slots import Slots

log = structlog.stdlib.get_logger(__name__)


def create_app(
    settings: GatewaySettings,
    *,
    manifest: ModelManifest | None = None,
    redis: Redis | None = None,
    registry: CollectorRegistry | None = None,
    drain: Drain | None = None,
    remote: RemoteImages | None = None,
    slots: Slots | None = None,
    metrics_folder: Path | None = None,
) -> FastAPI:
    """The gateway for its models and their engines. What is not handed in is made from the settings, and closed again.

    `drain` is for the process that stops it; `slots` and `metrics_folder` are for one of several processes. Connects to
    nothing before the application starts. Raises what service.gateway.build raises.
    """
    gateway = build(
        settings,
        manifest=manifest,
        redis=redis,
        registry=registry,
        drain=drain,
        remote=remote,
        slots=slots,
        metrics_folder=metrics_folder,
    )
    app = _described_app(gateway)
    app.state.gateway = gateway
    app.state.metrics = gateway.metrics  # the server counts what never becomes a request
    for router in ROUTERS:
        app.include_router(router)
    _give_errors_their_shape(app)
    surround(app, gateway)
    return app


def _described_app(gateway: Gateway) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with opened(gateway):
            yield

    return DescribedApp(
        asks_for_keys=gateway.asks_for_keys,
        most_messages=gateway.settings.max_messages,
        models=lambda: gateway.models.manifests,
        title="LLaVA-Graph",
        summary="Explains scientific figures: figure and caption in, streamed explanation out.",
        version=version("llava-graph"),
        lifespan=lifespan,
        docs_url=None,  # ours is in service/routes/docs.py
        redoc_url=None,
    )


def _give_errors_their_shape(app: FastAPI) -> None:
    app.add_exception_handler(405, partial(_refuse_method, _methods_by_path()))
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_fields)
    app.add_exception_handler(OSError, _refuse_if_exhausted)
    app.add_exception_handler(Exception, _unhandled_exception)


def _methods_by_path() -> dict[str, str]:
    methods: dict[str, set[str]] = defaultdict(set)
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                methods[route.path] |= route.methods or set()
    return {path: ", ".join(sorted(those)) for path, those in methods.items()}


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if not isinstance(error, GatewayError):
        # FastAPI reports every error while a form is read as an error of the form.
        error = exhausted(error) or error
    return response_of(error, request.scope)


async def _refuse_if_exhausted(request: Request, error: Exception) -> Response:
    refusal = exhausted(error)
    if refusal is None:
        raise error
    log.warning("exhausted", detail=refusal.detail, request_id=record_of(request.scope).request_id)
    return await _refuse(request, refusal)


async def _refuse_method(methods: Mapping[str, str], request: Request, error: Exception) -> Response:
    """All methods of a path. Starlette names only the methods of the first route, of several with the same path."""
    response = await _refuse(request, error)
    response.headers["Allow"] = methods[request.scope["route"].path]
    return response


async def _refuse_fields(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if any(entry["type"] == "json_invalid" for entry in error.errors()):
        return await _refuse(request, BodyMalformed("The body is not JSON."))
    # `loc` is ("body", "caption", …)
    return await _refuse(request, fields_invalid([{**entry, "loc": entry["loc"][1:]} for entry in error.errors()]))


async def _unhandled_exception(request: Request, error: Exception) -> Response:
    """Runs outside of all middleware, so it brings its own request id."""
    record = record_of(request.scope)
    log.error("unhandled_exception", exc_info=error, request_id=record.request_id)
    response = response_of(GatewayError("The gateway had an unexpected error."), request.scope)
    response.headers[REQUEST_ID] = record.request_id
    return response
