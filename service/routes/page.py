"""The page: its files, and the example figures it offers. Everything a browser loads for it comes from here.

What the page does with the gateway it does over the public interface.
"""

# No `from __future__ import annotations` here: FastAPI reads the types below.

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from service.gateway import GatewayParts
from service.routes.files import METHODS, safe_headers, sent

_FILES = StaticFiles(directory=Path(__file__).parents[1] / "page")

# `blob:` is for the figure that the user chose. Trusted types forbid to make markup out of texts, which may be an
# attacker's.
_HEADERS = safe_headers({"img-src": "'self' blob:", "require-trusted-types-for": "'script'", "trusted-types": "'none'"})

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=METHODS)
async def page(request: Request) -> Response:
    return await sent(_FILES, "index.html", request, _HEADERS)


@router.api_route("/page/examples.json", methods=METHODS)
async def example_list(gateway: GatewayParts) -> Response:
    return JSONResponse(gateway.examples.listed(), headers=_HEADERS)


@router.api_route("/page/options.json", methods=METHODS)
async def options(gateway: GatewayParts) -> Response:
    """What the operator has turned on of what the page can do."""
    shown = {"feedback": gateway.feedback.on, "feedback_images": gateway.settings.feedback_images == "on"}
    return JSONResponse(shown, headers=_HEADERS)


@router.api_route("/page/examples/{name}", methods=METHODS)
async def example(name: str, request: Request, gateway: GatewayParts) -> Response:
    if name not in gateway.examples.by_name:  # the folder may hold more than the examples
        raise HTTPException(404)
    return await sent(gateway.examples.files, name, request, _HEADERS)


@router.api_route("/page/{name}", methods=METHODS)
async def page_file(name: str, request: Request) -> Response:
    return await sent(_FILES, name, request, _HEADERS)
