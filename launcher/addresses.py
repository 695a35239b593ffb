"""Picks free addresses for the parts of one run, and writes them as URLs."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from launcher.errors import AddressError
from llava_graph.address import LOOPBACK, Address


@dataclass(frozen=True, slots=True)
class Addresses:
    """All of one run; only the gateway's is the user's choice."""

    gateway: Address
    engine: Address
    redis: Address
    redis_password: str = field(repr=False)

    @property
    def redis_url(self) -> str:
        return f"redis://:{self.redis_password}@{self.redis.host}:{self.redis.port}/0"


@contextmanager
def reserved(host: str, port: int) -> Iterator[Address]:
    """The address, reserved while the context lasts; `port` 0 takes a free one. Raises AddressError.

    After the context another program could take it before its owner does, which then ends and says so in its log.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as held:
        # As the servers themselves do: connections of an earlier run in TIME_WAIT do not make an address taken.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((host, port))
        except OSError as error:
            raise AddressError(
                f"{host}:{port} cannot be used ({error.strerror or error}); choose another with --port (0: a free one)"
            ) from error
        yield Address(host, held.getsockname()[1])


def choose_addresses(gateway_host: str, gateway_port: int) -> Addresses:
    """Addresses for all parts. Raises AddressError when the gateway's cannot be had."""
    with ExitStack() as held:  # all at once, so that no two get the same port
        return Addresses(
            gateway=held.enter_context(reserved(gateway_host, gateway_port)),
            engine=held.enter_context(reserved(LOOPBACK, 0)),
            redis=held.enter_context(reserved(LOOPBACK, 0)),
            redis_password=secrets.token_urlsafe(16),
        )
