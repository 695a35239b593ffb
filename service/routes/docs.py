"""GET /docs: the interface in full, to read and to try, in Swagger UI.

FastAPI's own has the browser load Swagger UI from a host on the internet. Here its files come from a package, and the
browser asks nobody else, so it works where there is no internet, and nobody learns of it where there is.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from service.routes.files import METHODS, safe_headers, sent

_OURS = Path(__file__).parents[1] / "swagger"

# Swagger UI draws its icons from `data:` addresses in its stylesheet. It makes markup out of texts (sanitised, and all
# of them the gateway's own), so trusted types are not for it.
_HEADERS = safe_headers({"img-src": "'self' data:"})


def docs_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    ours = StaticFiles(directory=_OURS)
    swagger = StaticFiles(directory=Path(str(resources.files("fastapi_swagger").joinpath("resources"))))
    files = {"start.js": ours, "swagger-ui-bundle.js": swagger, "swagger-ui.css": swagger}

    @router.api_route("/docs", methods=METHODS)
    async def docs(request: Request) -> Response:
        return await sent(ours, "index.html", request, _HEADERS)

    @router.api_route("/docs/{name}", methods=METHODS)
    async def file(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404)
        return await sent(files[name], name, request, _HEADERS)

    return router
