"""The description of the interface, and whether a response is one of those that it has: asked of every response that a
test gets (tests/harness/gateway.py)."""

from __future__ import annotations

import re
from typing import Any

import httpx2
from prometheus_client import CollectorRegistry

from llava_graph.manifest import ModelManifest
from service.app import create_app
from service.settings import GatewaySettings


class Description:
    """The OpenAPI document of a gateway that serves this model."""

    def __init__(self, manifest: ModelManifest) -> None:
        # Port 1 is closed, and never connected to: the application is not started.
        settings = GatewaySettings(redis_url="redis://127.0.0.1:1", engine_url="http://127.0.0.1:1")
        app = create_app(settings, manifest=manifest, registry=CollectorRegistry())
        self.document: dict[str, Any] = app.openapi()
        self._paths = [(_pattern(path), operations) for path, operations in self.document["paths"].items()]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """None for what is not described: the page, and what does not exist."""
        for pattern, operations in self._paths:
            if pattern.fullmatch(path):
                found: dict[str, Any] | None = operations.get(method.lower())
                return found
        return None

    async def check(self, response: httpx2.Response) -> None:
        """Raises AssertionError for a status, a media type or a code that the operation does not have."""
        operation = self.operation(response.request.method, response.url.path)
        if operation is None:
            return
        described = operation["responses"].get(str(response.status_code))
        assert described is not None, f"{response.request.url}: {response.status_code} is not described"
        assert "x-request-id" in response.headers
        if response.status_code >= 400 and "content" in described:
            await response.aread()
            media_type = response.headers["content-type"]
            assert media_type in described["content"], f"{response.url}: {media_type} is not described"
            examples = described["content"][media_type].get("examples")
            code = code_of(response)
            assert examples is None or code in examples, f"{response.url}: {code} is not described"


def code_of(response: httpx2.Response) -> str | None:
    """The code of a refusal, in whichever shape it came."""
    said = response.json()
    code: str | None = said.get("error", said).get("code")
    return code


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
