"""Who is asking, and how much he may: what access control finds out, for whoever needs it later in a request.

`service.access` attaches the caller to the request; rate limits, kept figures and log lines go by him. This module
knows neither keys nor Redis nor how limits are kept.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from starlette.types import Scope

_SCOPE_KEY = "llava_graph.caller"

_HOUSE = 64
"""Leading bits of an IPv6 address that are one household or server: what is behind them is handed out freely."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one caller may ask of all gateways together. 0 is no limit."""

    requests_per_minute: int = 0
    upload_bytes_per_minute: int = 0
    """Of request bodies: images, and all that comes with them."""
    concurrent_streams: int = 0
    """Answers being made at the same time, streamed or not."""

    @property
    def any(self) -> bool:
        return self != Limits()


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` is the name of his key; None where nobody is asked for one, and all share what is kept."""

    name: str | None
    limits: Limits
    bucket: str
    """What his use is counted under; the same for all his requests, and nobody else's."""

    @property
    def scope(self) -> str:
        """Whose the figures are that he keeps; without keys everybody's who knows the id."""
        return self.name or ""


def named(name: str, limits: Limits) -> Caller:
    """The caller with a key."""
    return Caller(name, limits, f"key:{name}")


def anonymous(scope: Scope, limits: Limits) -> Caller:
    """A caller without a key: whoever is at the address that the request came from."""
    client = scope.get("client")
    return Caller(None, limits, f"address:{_place(client[0]) if client else 'local'}")


def attach(scope: Scope, caller: Caller) -> None:
    scope[_SCOPE_KEY] = caller


def find_caller(scope: Scope) -> Caller | None:
    """Who is asking; None where that is nobody's business, as on the page."""
    caller: Caller | None = scope.get(_SCOPE_KEY)
    return caller


def caller_of(scope: Scope) -> Caller:
    """Who is asking, on the paths of the API, where that is always known."""
    caller: Caller = scope[_SCOPE_KEY]
    return caller


def _place(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # not an address: a test client, or the name that a proxy gave
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address.packed, _HOUSE), strict=False))
    return str(address)
