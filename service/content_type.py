"""Refuses request bodies whose content type is not the one that the route reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from service.errors import BodyTypeUnsupported


def check_content_type(request: Request, expected: str) -> None:
    """Raises BodyTypeUnsupported. Parameters (a charset, a boundary) are not looked at."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != expected:
        raise BodyTypeUnsupported(f"Send {expected}, not {content_type or 'a body without a content type'}.")


def content_type_is(expected: str) -> Callable[[Request], Awaitable[None]]:
    """The check as a dependency of a route."""

    async def check(request: Request) -> None:
        check_content_type(request, expected)

    return check
