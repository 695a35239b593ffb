"""Clients of servers on this machine, which speak plain HTTP."""

from __future__ import annotations

import ssl
from typing import Any

import httpx2

_WITHOUT_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""By itself each client reads the certificates of all authorities, which takes 60 ms; tests make a thousand clients."""


def plain_client(**options: Any) -> httpx2.AsyncClient:
    """An httpx2.AsyncClient that takes no setting from the environment, and trusts no certificate at all."""
    return httpx2.AsyncClient(**{"trust_env": False, "verify": _WITHOUT_CERTIFICATES, **options})
