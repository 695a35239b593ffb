"""The page: its files, and the example figures it offers. Everything a browser loads for it comes from here.

Files are sent as they lie in the package; a browser asks each time whether one has changed, which costs it a 304. What
the page does with the gateway it does over the public interface.
"""

from __future__ import annotations

from pathlib import Path

import structlog
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from llava_graph.examples import Example, ExamplesError, load_examples

_FILES = Path(__file__).parents[1] / "page"

# Only what this service sends itself: no inline script or style, no other host, no frame around the page. `blob:` is
# for the figure that the user chose. Trusted types forbid to make markup out of texts, which may be an attacker's.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_METHODS = ["GET", "HEAD"]

log = structlog.stdlib.get_logger(__name__)


def page_router(examples_dir: Path) -> APIRouter:
    """The page with the examples of a folder; without any where the folder holds none."""
    router = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=_FILES)
    examples = {example.image.name: example for example in _examples(examples_dir)}
    example_files = StaticFiles(directory=examples_dir, check_dir=False)
    listed = [{"image": f"page/examples/{name}", "caption": example.caption} for name, example in examples.items()]

    @router.api_route("/", methods=_METHODS)
    async def page(request: Request) -> Response:
        return await _sent(files, "index.html", request)

    @router.api_route("/page/examples.json", methods=_METHODS)
    async def example_list() -> Response:
        return JSONResponse(listed, headers=_HEADERS)

    @router.api_route("/page/examples/{name}", methods=_METHODS)
    async def example(name: str, request: Request) -> Response:
        if name not in examples:  # the folder may hold more than the examples
            raise HTTPException(404)
        return await _sent(example_files, name, request)

    @router.api_route("/page/{name}", methods=_METHODS)
    async def file(name: str, request: Request) -> Response:
        return await _sent(files, name, request)

    return router


async def _sent(files: StaticFiles, name: str, request: Request) -> Response:
    """A file, or 304 where the browser has it. Raises HTTPException 404."""
    response = await files.get_response(name, request.scope)
    response.headers.update(_HEADERS)
    return response


def _examples(folder: Path) -> list[Example]:
    try:
        return load_examples(folder)
    except ExamplesError as error:
        log.info("page_without_examples", detail=str(error))
        return []
