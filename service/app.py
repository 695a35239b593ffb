"""The gateway as an ASGI application: puts the parts together, opens and closes them, gives every error its shape."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from starlette.exceptions import HTTPException
from starlette.responses import Response

from llava_graph import jobs
from llava_graph.figure import FigureLimits
from llava_graph.manifest import ModelManifest, load_manifest
from llava_graph.tracing import Traces
from service.access import Identify, KeyRing, default_limits, keys_are_asked_for
from service.admission import Admission, Admit
from service.drain import Drain, EndInTime
from service.engine import Engine
from service.errors import BodyMalformed, GatewayError, fields_invalid
from service.explain import Explainer
from service.figure_store import FigureStore
from service.figures import FigureOpener
from service.health import readiness
from service.metrics import Metrics
from service.middleware import REQUEST_ID, BoundBody, HangUp, RecordRequests
from service.ocr_client import OcrClient
from service.openapi import DescribedApp
from service.rates import LimitRates, RateLimits
from service.record import record_of
from service.refusal import response_of
from service.remote import RemoteImages
from service.routes.chat import chat_router
from service.routes.completions import completions_router
from service.routes.docs import docs_router
from service.routes.explain import explain_router
from service.routes.figures import figures_router
from service.routes.operations import operations_router
from service.routes.page import page_router
from service.settings import GatewaySettings
from service.tracing import TraceRequests

log = structlog.stdlib.get_logger(__name__)


def create_app(
    settings: GatewaySettings,
    *,
    manifest: ModelManifest | None = None,
    redis: Redis | None = None,
    registry: CollectorRegistry | None = None,
    drain: Drain | None = None,
    remote: RemoteImages | None = None,
) -> FastAPI:
    """The gateway for one model and one engine. What is not handed in is made from the settings, and closed again.

    `drain` is for whoever stops it. Connects to nothing before the application starts, and then only to Redis; it
    starts without Redis, without OCR workers and without an engine. Raises ManifestError when the model's manifest
    cannot be read, AccessError when the keys cannot, or when there are none where callers must have one, TracesError
    when traces are asked for and cannot be sent.
    """
    manifest = manifest or load_manifest(settings.model_dir)
    metrics = Metrics(registry or CollectorRegistry())
    drain = drain or Drain()
    metrics.draining.set_function(lambda: drain.begun)
    keys = jobs.Keys(settings.key_prefix)
    key_ring = KeyRing(settings)
    asked_for = key_ring if keys_are_asked_for(settings, key_ring) else None
    owned = AsyncExitStack()
    if redis is None:
        redis = jobs.connect(settings.redis_url)
        owned.push_async_callback(redis.aclose)
    traces = Traces(settings.traces_endpoint, "llava-graph-gateway")
    engine = Engine(settings, manifest.name, traces.tracer)
    reader = OcrClient(
        redis,
        keys,
        metrics,
        max_depth=settings.ocr_max_depth,
        redis_deadline_s=settings.redis_deadline_s,
        tracer=traces.tracer,
    )
    limits = FigureLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    opener = FigureOpener(
        limits,
        threads=settings.decode_threads,
        queue=settings.decode_queue,
        known_bytes=settings.known_figures_bytes,
        tracer=traces.tracer,
    )
    store = FigureStore(
        redis,
        settings.key_prefix,
        metrics,
        ttl_s=settings.figure_ttl_s,
        max_bytes=settings.figure_store_bytes,
        deadline_s=settings.redis_deadline_s,
    )
    admission = Admission(
        metrics, running=settings.max_answers, waiting=settings.max_waiting_answers, wait_s=settings.answer_wait_s
    )
    rates = RateLimits(redis, settings.key_prefix, metrics, deadline_s=settings.redis_deadline_s)
    explainer = Explainer(
        manifest, opener, store, reader, engine, admission, metrics, ocr_deadline_s=settings.ocr_deadline_s
    )

    remote = remote or RemoteImages(
        settings.image_hosts, metrics, max_bytes=settings.max_image_bytes, deadline_s=settings.image_url_deadline_s
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with owned:
            owned.push_async_callback(asyncio.to_thread, traces.close)
            owned.callback(opener.close)
            await owned.enter_async_context(reader.listening())
            await owned.enter_async_context(engine.connected())
            await owned.enter_async_context(remote.connected())
            await owned.enter_async_context(key_ring.watched())
            await owned.enter_async_context(rates.renewing())
            log.info("gateway_starts", model=manifest.name, revision=manifest.revision)
            yield
            log.info("gateway_stops")

    app = DescribedApp(
        asks_for_keys=asked_for is not None,
        title="LLaVA-Graph",
        summary="Explains scientific figures: figure and caption in, streamed explanation out.",
        version=version("llava-graph"),
        lifespan=lifespan,
        docs_url=None,  # ours is in service/routes/docs.py
        redoc_url=None,
    )
    routers = (
        explain_router(explainer, manifest, settings),
        figures_router(opener, store, reader, settings),
        chat_router(explainer, manifest, settings),
        completions_router(explainer, remote, manifest, settings),
        page_router(settings.examples_dir),
        docs_router(),
        operations_router(
            metrics.registry,
            partial(readiness, drain, engine, redis, keys, redis_deadline_s=settings.redis_deadline_s),
        ),
    )
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(405, partial(_refuse_method, _methods_by_path(routers)))
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_fields)
    app.add_exception_handler(Exception, _unforeseen)
    # The last one added is the outermost.
    app.add_middleware(LimitRates, rates=rates)
    app.add_middleware(Admit, admission=admission)
    app.add_middleware(Identify, keys=asked_for, limits=default_limits(settings))
    app.add_middleware(BoundBody, max_bytes=settings.max_bytes_of)
    app.add_middleware(EndInTime, drain=drain)
    app.add_middleware(HangUp)
    app.add_middleware(RecordRequests, metrics=metrics)
    if traces.on:
        app.add_middleware(TraceRequests, tracer=traces.tracer)
    return app


def _methods_by_path(routers: Iterable[APIRouter]) -> dict[str, str]:
    methods: dict[str, set[str]] = defaultdict(set)
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                methods[route.path] |= route.methods or set()
    return {path: ", ".join(sorted(those)) for path, those in methods.items()}


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return response_of(error, request.scope)


async def _refuse_method(methods: Mapping[str, str], request: Request, error: Exception) -> Response:
    """Starlette names the methods of that route alone which it comes to first, of several with the same path."""
    response = await _refuse(request, error)
    response.headers["Allow"] = methods[request.scope["route"].path]
    return response


async def _refuse_fields(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if any(entry["type"] == "json_invalid" for entry in error.errors()):
        return await _refuse(request, BodyMalformed("The body is not JSON."))
    # `loc` is ("body", "caption", …)
    return await _refuse(request, fields_invalid([{**entry, "loc": entry["loc"][1:]} for entry in error.errors()]))


async def _unforeseen(request: Request, error: Exception) -> Response:
    """Runs outside of all middleware, so it brings its own request id."""
    record = record_of(request.scope)
    log.error("unforeseen", exc_info=error, request_id=record.request_id)
    response = response_of(GatewayError("Something went wrong that nobody foresaw."), request.scope)
    response.headers[REQUEST_ID] = record.request_id
    return response
