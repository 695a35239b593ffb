"""GET /docs: the interface in full, to read and to try, in Swagger UI.

FastAPI's own has the browser load Swagger UI from a host on the internet. Here its files come from a package, and the
browser contacts no other host, so it works without internet access and reports its use to no third party.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from service.routes.files import METHODS, safe_headers, sent

_OURS = StaticFiles(directory=Path(__file__).parents[1] / "swagger")
_SWAGGER = StaticFiles(directory=Path(str(resources.files("fastapi_swagger").joinpath("resources"))))
_FILES = {"start.js": _OURS, "swagger-ui-bundle.js": _SWAGGER, "swagger-ui.css": _SWAGGER}

# Swagger UI draws its icons from `data:` addresses in its stylesheet. It makes markup out of texts (sanitised, and all
# of them the gateway's own), so trusted types are not for it.
_HEADERS = safe_headers({"img-src": "'self' data:"})

router = APIRouter(include_in_schema=False)


@router.api_route("/docs", methods=METHODS)
async def docs(request: Request) -> Response:
    return await sent(_OURS, "index.html", request, _HEADERS)


@router.api_route("/docs/{name}", methods=METHODS)
async def docs_file(name: str, request: Request) -> Response:
    if name not in _FILES:
        raise HTTPException(404)
    return await sent(_FILES[name], name, request, _HEADERS)
