"""Reduces a request's Content-Type to the media type and, for a form, its boundary, before any parser reads it.

Other parameters let the client choose what a parser does. Starlette decodes the fields of a form with
whichever codec `charset` names, and Python has codecs that take quadratic time (punycode), or whose text cannot be
encoded again (UTF-7). Here forms and JSON are UTF-8, whatever the header says (RFC 7578, section 5.1.2; RFC 8259,
section 8.1).
"""

from __future__ import annotations

from python_multipart.multipart import parse_options_header
from starlette.types import ASGIApp, Receive, Scope, Send

_MOST_BYTES = 1024
"""Of a header whose parameters are looked at; clients send about 100."""

_FORM = b"multipart/form-data"


class PlainContentType:
    """Leaves one Content-Type, and of its parameters the boundary of a form alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = [value for name, value in scope["headers"] if name == b"content-type"]
            if len(given) > 1 or (given and b";" in given[0]):
                others = [header for header in scope["headers"] if header[0] != b"content-type"]
                scope["headers"] = [*others, (b"content-type", plain(given[0]))]
        await self._app(scope, receive, send)


def plain(content_type: bytes) -> bytes:
    """The header as parsers are to see it. One that is too long keeps no parameter, so a form of it has no boundary."""
    if len(content_type) > _MOST_BYTES:
        return content_type.partition(b";")[0].strip()[:_MOST_BYTES]
    kind, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary") if kind == _FORM else None
    if boundary is None:
        return kind
    return b'%b; boundary="%b"' % (kind, boundary.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
