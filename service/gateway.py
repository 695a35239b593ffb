"""Builds the parts of one gateway process from its settings and hands them to the routes and middleware.

`build` makes them and connects to nothing; `opened` connects and closes them with the application. Route handlers get
them through `GatewayParts`. This module knows how the parts fit together, not what they do.
"""

# No `from __future__ import annotations` here: FastAPI reads the type of GatewayParts.

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import structlog
from fastapi import Depends, Request
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from llava_graph import jobs
from llava_graph.figure import FigureLimits
from llava_graph.manifest import ModelManifest
from llava_graph.tracing import Traces
from service.engine.models import Models
from service.example_figures import ExampleFigures
from service.explain import Explainer
from service.feedback import Feedback
from service.figures.decode import FigureOpener
from service.figures.figure_room import FigureRoom
from service.figures.ocr_client import OcrClient
from service.figures.remote import RemoteImages
from service.figures.store import FigureStore
from service.metrics import Metrics
from service.middleware.admission import Admission
from service.middleware.authentication import KeyRing, keys_are_asked_for
from service.middleware.drain import Drain
from service.middleware.rate_limits import RateLimits
from service.openai.bodies import BodyRoom
from service.settings import GatewaySettings
from service.slots import OwnSlots, Slots

_LOADS_AT_ONCE = 4
"""Images taken out of Redis to be sent: what is loaded, and not being sent yet, counts nowhere else."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Gateway:
    """One of each part. `keys` is None where keys are not looked at; `created_s` (Unix time) is when it was made."""

    settings: GatewaySettings
    models: Models
    created_s: int
    metrics: Metrics
    traces: Traces
    drain: Drain
    redis: Redis
    owns_redis: bool
    redis_keys: jobs.Keys
    key_ring: KeyRing
    keys: KeyRing | None
    asks_for_keys: bool
    rates: RateLimits
    admission: Admission
    figures: FigureOpener
    store: FigureStore
    figure_loads: asyncio.Semaphore
    ocr: OcrClient
    remote: RemoteImages
    completion_bodies: BodyRoom
    explainer: Explainer
    feedback: Feedback
    examples: ExampleFigures


def build(
    settings: GatewaySettings,
    *,
    manifest: ModelManifest | None = None,
    redis: Redis | None = None,
    registry: CollectorRegistry | None = None,
    drain: Drain | None = None,
    remote: RemoteImages | None = None,
    slots: Slots | None = None,
    metrics_folder: Path | None = None,
) -> Gateway:
    """The parts for the models of the engines file, or for one model and one engine. What is not handed in is made from
    the settings; `manifest` stands for the one of the settings' folder. `slots` and `metrics_folder` are what one of
    several processes shares with the others.

    Raises EnginesFileError or ManifestError when the file or a manifest cannot be read, AccessError when the keys
    cannot, or when there are none where callers must have one, TracesError when traces are asked for and cannot be
    sent, FeedbackFolderError when feedback is on and its folder cannot be written to.
    """
    metrics = Metrics(registry or CollectorRegistry(), metrics_folder)
    drain = drain or Drain()
    drain.when_begun = lambda: metrics.draining.set(1)
    key_ring = KeyRing(settings)
    asks_for_keys = keys_are_asked_for(settings, key_ring)
    heeded = settings.access != "open" and (asks_for_keys or key_ring.without_keys)
    traces = Traces(settings.traces_endpoint, "llava-graph-gateway")
    owns_redis = redis is None
    redis = redis or jobs.connect(settings.redis_url)
    redis_keys = jobs.Keys(settings.key_prefix)
    models = Models(settings, metrics, traces.tracer, manifest=manifest)
    room = FigureRoom(settings.figures_in_hand_bytes + settings.known_figures_bytes)
    figures = _figure_opener(settings, room, traces)
    store = _figure_store(settings, redis, room, metrics)
    ocr = _ocr_client(settings, redis, redis_keys, room, metrics, traces)
    admission = Admission(metrics, slots or OwnSlots.of(settings))
    return Gateway(
        settings=settings,
        models=models,
        created_s=int(time.time()),
        metrics=metrics,
        traces=traces,
        drain=drain,
        redis=redis,
        owns_redis=owns_redis,
        redis_keys=redis_keys,
        key_ring=key_ring,
        keys=key_ring if heeded else None,
        asks_for_keys=asks_for_keys,
        rates=RateLimits(redis, settings.key_prefix, metrics, deadline_s=settings.redis_deadline_s),
        admission=admission,
        figures=figures,
        store=store,
        figure_loads=asyncio.Semaphore(_LOADS_AT_ONCE),
        ocr=ocr,
        remote=remote or _remote_images(settings, metrics),
        completion_bodies=BodyRoom(settings.completion_bodies_bytes, settings.max_completion_values),
        explainer=Explainer(figures, store, ocr, admission, metrics, ocr_deadline_s=settings.ocr_deadline_s),
        feedback=Feedback(
            settings.feedback_dir if settings.feedback == "on" else None, metrics, max_bytes=settings.feedback_bytes
        ),
        examples=ExampleFigures(settings.examples_dir),
    )


@asynccontextmanager
async def opened(gateway: Gateway) -> AsyncIterator[None]:
    """The parts connected and their background tasks running. Starts without Redis and without engines, too."""
    async with AsyncExitStack() as stack:
        if gateway.owns_redis:
            stack.push_async_callback(gateway.redis.aclose)
        stack.push_async_callback(asyncio.to_thread, gateway.traces.close)
        stack.callback(gateway.figures.close)
        await stack.enter_async_context(gateway.ocr.listening())
        await stack.enter_async_context(gateway.models.opened())
        await stack.enter_async_context(gateway.remote.connected())
        await stack.enter_async_context(gateway.key_ring.watched())
        await stack.enter_async_context(gateway.rates.renewing())
        default = gateway.models.default.manifest
        log.info(
            "gateway_starts",
            model=default.name,
            revision=default.revision,
            models=[manifest.name for manifest in gateway.models.manifests],
        )
        yield
        log.info("gateway_stops")


# A coroutine though nothing is awaited: FastAPI calls a plain function in a thread, and beside a busy event loop a
# thread waits long for the interpreter's lock: on two cores beginning 500 streams took 54 s instead of 30.
async def _gateway_of(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


GatewayParts = Annotated[Gateway, Depends(_gateway_of)]
"""What a route handler declares to be given the parts."""


def _figure_opener(settings: GatewaySettings, room: FigureRoom, traces: Traces) -> FigureOpener:
    return FigureOpener(
        FigureLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels),
        processes=settings.decode_processes,
        queue=settings.decode_queue,
        known_bytes=settings.known_figures_bytes,
        queue_bytes=settings.decode_queue_bytes,
        wait_s=settings.decode_wait_s,
        deadline_s=settings.decode_s,
        max_png_bytes=settings.figure_bytes,
        room=room,
        tracer=traces.tracer,
    )


def _figure_store(settings: GatewaySettings, redis: Redis, room: FigureRoom, metrics: Metrics) -> FigureStore:
    return FigureStore(
        redis,
        settings.key_prefix,
        metrics,
        ttl_s=settings.figure_ttl_s,
        max_bytes=settings.figure_store_bytes,
        deadline_s=settings.redis_deadline_s,
        room=room,
    )


def _ocr_client(
    settings: GatewaySettings,
    redis: Redis,
    keys: jobs.Keys,
    room: FigureRoom,
    metrics: Metrics,
    traces: Traces,
) -> OcrClient:
    return OcrClient(
        redis,
        keys,
        metrics,
        max_depth=settings.ocr_max_depth,
        max_bytes=settings.ocr_queue_bytes,
        room=room,
        redis_deadline_s=settings.redis_deadline_s,
        tracer=traces.tracer,
    )


def _remote_images(settings: GatewaySettings, metrics: Metrics) -> RemoteImages:
    return RemoteImages(
        settings.image_hosts, metrics, max_bytes=settings.max_image_bytes, deadline_s=settings.image_url_deadline_s
    )
