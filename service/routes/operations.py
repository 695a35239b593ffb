"""Routes for operators and orchestrators: liveness, readiness, metrics."""

# No `from __future__ import annotations` here: FastAPI reads the types below.

from fastapi import APIRouter
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from service.gateway import Gateway, GatewayParts
from service.health import Readiness, readiness_of

_METRICS_EXAMPLE = """# HELP llava_graph_gateway_in_flight Requests being answered
# TYPE llava_graph_gateway_in_flight gauge
llava_graph_gateway_in_flight 2.0
"""

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Alive")
async def healthz() -> dict[str, str]:
    """The process answers. Does not check engine or Redis: restarting the gateway would not repair those."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "No engine, or this gateway is being stopped"}},
)
async def readyz(gateway: GatewayParts) -> JSONResponse:
    """200 while figures can be explained (`ready`, or `degraded` when their text cannot be read), else 503:
    `unavailable` without an engine, `draining` while this gateway is being stopped."""
    state = await readiness(gateway)
    return JSONResponse(state.model_dump(), 503 if state.status in ("unavailable", "draining") else 200)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={
        200: {
            "description": "In Prometheus's text format",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": _METRICS_EXAMPLE}},
        }
    },
)
async def metrics(gateway: GatewayParts) -> Response:
    return Response(gateway.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


async def readiness(gateway: Gateway) -> Readiness:
    """The state of engine, Redis and OCR workers."""
    return await readiness_of(
        gateway.drain,
        gateway.models,
        gateway.redis,
        gateway.redis_keys,
        redis_deadline_s=gateway.settings.redis_deadline_s,
    )
