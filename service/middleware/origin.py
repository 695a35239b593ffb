"""Checks Host and Origin: protects against DNS rebinding and against requests of other sites' pages (CSRF).

A page of another site can have a browser send requests to a gateway that only the browser's machine reaches, with a
name of its own that leads there (DNS rebinding), or without. So the Host must be a name of this gateway, and a request
that changes something must come from a page of this gateway, or from no page at all: programs send neither Origin nor
Sec-Fetch-Site. An IP address as Host is accepted, because DNS cannot make it lead elsewhere.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import HostNotAllowed, OriginNotAllowed
from service.middleware.refusal import refuse

_PROBED = ("/healthz", "/readyz", "/metrics")
"""Orchestrators ask these under names of their own; the answers hold nothing to protect from rebinding."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]/@\s]+)(?::\d*)?")


class CheckOrigin:
    """Refuses requests under foreign names, and changes that pages of others ask for. In `hosts`, * is any name."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host")  # clients of HTTP/1.0 need not send one; browsers always do
        if host is not None and scope["path"] not in _PROBED and not self._is_ours(host):
            words = "This gateway does not go by that name: LLAVA_GRAPH_ALLOWED_HOSTS lists its names."
            await refuse(HostNotAllowed(words), scope, receive, send)
        elif scope["method"] not in _SAFE and _is_of_another_site(headers, host or ""):
            await refuse(OriginNotAllowed("The page that sends this is not the gateway's own."), scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        if "*" in self._hosts:
            return True
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower().strip("[]").removesuffix(".")
        return name in self._hosts or _is_address(name)


def _is_of_another_site(headers: Headers, host: str) -> bool:
    """Whether the browser's headers say that another site's page sends the request. Sec-Fetch-Site is computed by the
    browser, so it holds behind a proxy that changes the Host, too; browsers that do not send it send the Origin."""
    site = headers.getlist("sec-fetch-site")
    if site:
        return site != ["same-origin"] and site != ["none"]
    origins = headers.getlist("origin")
    return bool(origins) and [_without_port(origin.partition("://")[2]) for origin in origins] != [_without_port(host)]


def _without_port(host: str) -> str:
    """In lower case, and without a port that its scheme has anyway."""
    return host.lower().removesuffix(":80").removesuffix(":443")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
