"""Files for browsers: sent as they lie in a folder, with the headers that keep what is made of them safe."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

METHODS = ["GET", "HEAD"]

# Only what this service sends itself: no inline script or style, no other host, no frame around it.
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # a browser asks each time whether a file has changed, which costs it a 304
}


def safe_headers(policy: dict[str, str]) -> dict[str, str]:
    """The headers of everything that a page consists of; `policy` says what its content may do beyond the least."""
    return {
        "Content-Security-Policy": "; ".join(" ".join(entry) for entry in {**_POLICY, **policy}.items()),
        **_HEADERS,
    }


async def sent(files: StaticFiles, name: str, request: Request, headers: dict[str, str]) -> Response:
    """A file, or 304 where the browser has it. Raises HTTPException 404."""
    response = await files.get_response(name, request.scope)
    response.headers.update(headers)
    return response
