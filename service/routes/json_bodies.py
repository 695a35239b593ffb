"""JSON bodies as RFC 8259 has them, in UTF-8; shared by the routes that take JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response


class _Utf8Request(Request):
    async def json(self) -> Any:
        """From text: from bytes `json` would guess whether they are UTF-16 or UTF-32."""
        return json.loads((await self.body()).decode())


class Utf8Route(APIRoute):
    """A route whose JSON is read as UTF-8."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_utf8(request: Request) -> Response:
            return await handle(_Utf8Request(request.scope, request.receive))

        return handle_utf8
