"""The caller of a request and the caller's limits, as authentication found them, for later steps of the request.

`service.middleware.authentication` attaches the caller; rate limits, kept figures and log lines use it. This module
knows neither keys nor Redis nor how limits are kept.
"""

from __future__ import annotations

import ipaddress
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import Scope

_SCOPE_KEY = "llava_graph.caller"

_HOUSE = 64
"""Leading bits of an IPv6 address that stand for one household or server, which can use any address below them."""


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
    """`name` is the name of the caller's key; None where no keys are required, and all callers share kept figures."""

    name: str | None
    limits: Limits
    bucket: str
    """The name under which use is counted: the same for all requests of this caller, and for no other caller."""

    @property
    def scope(self) -> str:
        """The owner of the figures that the caller keeps; without keys, all callers who know an id."""
        return self.name or ""


def named(name: str, limits: Limits) -> Caller:
    """The caller with a key."""
    return Caller(name, limits, f"key:{name}")


def anonymous(scope: Scope, limits: Limits) -> Caller:
    """A caller without a key: the address that the request came from."""
    client = scope.get("client")
    return Caller(None, limits, f"address:{_place(client[0]) if client else 'local'}")


_bucket: ContextVar[str] = ContextVar("bucket", default="")


def attach(scope: Scope, caller: Caller) -> None:
    scope[_SCOPE_KEY] = caller
    _bucket.set(caller.bucket)


def bucket_of_request() -> str:
    """`usage` of the current request's caller, in the request's task and those it starts; empty outside of a request.

    For queues deep inside that must be fair between callers: everything between would only pass it on."""
    return _bucket.get()


def find_caller(scope: Scope) -> Caller | None:
    """The caller; None on paths that need none, such as the page."""
    caller: Caller | None = scope.get(_SCOPE_KEY)
    return caller


def caller_of(scope: Scope) -> Caller:
    """The caller, on the paths of the API, where it is always known."""
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
