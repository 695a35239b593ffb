"""The page: its files, and the example figures it offers. Everything a browser loads for it comes from here.

What the page does with the gateway it does over the public interface.
"""

from __future__ import annotations

from pathlib import Path

import structlog
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from llava_graph.examples import Example, ExamplesError, load_examples
from service.routes.files import METHODS, safe_headers, sent

_FILES = Path(__file__).parents[1] / "page"

# `blob:` is for the figure that the user chose. Trusted types forbid to make markup out of texts, which may be an
# attacker's.
_HEADERS = safe_headers({"img-src": "'self' blob:", "require-trusted-types-for": "'script'", "trusted-types": "'none'"})

log = structlog.stdlib.get_logger(__name__)


def page_router(examples_dir: Path) -> APIRouter:
    """The page with the examples of a folder; without any where the folder holds none."""
    router = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=_FILES)
    examples = {example.image.name: example for example in _examples(examples_dir)}
    example_files = StaticFiles(directory=examples_dir, check_dir=False)
    listed = [{"image": f"page/examples/{name}", "caption": example.caption} for name, example in examples.items()]

    @router.api_route("/", methods=METHODS)
    async def page(request: Request) -> Response:
        return await sent(files, "index.html", request, _HEADERS)

    @router.api_route("/page/examples.json", methods=METHODS)
    async def example_list() -> Response:
        return JSONResponse(listed, headers=_HEADERS)

    @router.api_route("/page/examples/{name}", methods=METHODS)
    async def example(name: str, request: Request) -> Response:
        if name not in examples:  # the folder may hold more than the examples
            raise HTTPException(404)
        return await sent(example_files, name, request, _HEADERS)

    @router.api_route("/page/{name}", methods=METHODS)
    async def file(name: str, request: Request) -> Response:
        return await sent(files, name, request, _HEADERS)

    return router


def _examples(folder: Path) -> list[Example]:
    try:
        return load_examples(folder)
    except ExamplesError as error:
        log.info("page_without_examples", detail=str(error))
        return []
