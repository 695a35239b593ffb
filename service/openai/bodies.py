"""Reads JSON bodies that hold images: whole in memory, with a bound on all of them together.

Such JSON can only be parsed in one piece, and is a third larger than the images. An upload in parts goes to disk
instead, and needs none of this. service/middleware/body_bound.py bounds the bytes of a single body; here is the
bound on its values, for a body of small ones would take a hundred times as long to parse as one with an image.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from service.content_type import check_content_type
from service.errors import BodyMalformed, BodyTooLarge, Overloaded

_BEFORE_VALUES = (b",", b"[", b"{")
"""Signs that no image in base64 has; in texts they count as well."""


class BodyRoom:
    """One per process: `most_bytes` of bodies at the same time, each of about `most_values`. They count once they are
    there; until then they are middleware.ReceiveInTime's to bound."""

    def __init__(self, most_bytes: int, most_values: int) -> None:
        self._most_bytes = most_bytes
        self._most_values = most_values
        self._held_bytes = 0

    @asynccontextmanager
    async def json_of(self, request: Request) -> AsyncIterator[object]:
        """What the body says; its room is held until the block is left.

        Raises Overloaded when there is no room, BodyTooLarge for too many values, BodyTypeUnsupported, BodyMalformed.
        """
        check_content_type(request, "application/json")
        body = bytearray()
        held_bytes = values = 0
        try:
            async for part in request.stream():
                values += sum(part.count(sign) for sign in _BEFORE_VALUES)
                if values > self._most_values:
                    raise BodyTooLarge(f"The body has more than {self._most_values} values.")
                body += part
            if self._held_bytes + len(body) > self._most_bytes:
                raise Overloaded("There is no room now for so large a request.")
            held_bytes = len(body)
            self._held_bytes += held_bytes
            said = _parsed(body)
            del body
            yield said
        except ClientDisconnect as error:
            raise BodyMalformed("The body ended before it was complete.") from error
        finally:
            self._held_bytes -= held_bytes


def _parsed(body: bytearray) -> object:
    """Raises BodyMalformed. A thread would not help: no parser lets others run while it parses. This one needs less
    than 10 ms for an image of 20 MiB."""
    try:
        return from_json(body)
    except ValueError:
        pass
    try:
        # Takes halves of characters (lone surrogates), which clients cut texts into. From bytes it would guess a codec.
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise BodyMalformed("The body is not JSON.") from error
