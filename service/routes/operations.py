"""What operators and orchestrators ask: is it alive, is it ready, what does it count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from service.health import Readiness

_METRICS_EXAMPLE = """# HELP llava_graph_gateway_in_flight Requests being answered
# TYPE llava_graph_gateway_in_flight gauge
llava_graph_gateway_in_flight 2.0
"""


def operations_router(registry: CollectorRegistry, readiness: Callable[[], Awaitable[Readiness]]) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="Alive")
    async def healthz() -> dict[str, str]:
        """The process answers. Says nothing of what it leans on: restarting would not mend that."""
        return {"status": "ok"}

    @router.get(
        "/readyz",
        summary="Ready",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "No engine, or this gateway is being stopped"}},
    )
    async def readyz() -> JSONResponse:
        """200 while figures can be explained (`ready`, or `degraded` when their text cannot be read), else 503:
        `unavailable` without an engine, `draining` while this gateway is being stopped."""
        state = await readiness()
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
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
